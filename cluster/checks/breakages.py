"""Ways to break these files, each of which has to be noticed."""
import pathlib
import shutil
import tempfile

# What to break, and what it has to be called.
BREAKAGES = [
    ("up.sh", "--replicas \"$replicas\"", "--replicaz \"$replicas\"", "has no --replicaz"),
    ("up.sh", "membership=(--member-ttl", "membership=(--member-tll", "has no --member-tll"),
    ("up.sh", "cluster status --node", "cluster state --node", "has no --nodes"),
    ("up.sh", "    local cluster=", "    if local cluster=", "syntax error"),
    ("demo.sh", "cluster drain node-3", "cluster drain --nod node-3", "has no --nod"),
    ("README.md", "larder cluster drain", "larder cluster drain --quick", "has no --quick"),
    ("README.md", "| `--weight` |", "| `--wight` |", "has no --wight"),
    ("secrets.sh", "add_user ops read,write,admin", "add_user ops read,write", "may not drain"),
    ("compose.yaml", "--memory=1GiB", "--memory=1.5GiB", "/dev/shm is too small"),
    ("compose.yaml", "shm_size: 1088m", "shm_size: 1024m", "/dev/shm is too small"),
    ("compose.yaml", "mem_limit: 1536m", "mem_limit: 1200m", "the limit is below"),
    ("compose.yaml", "stop_grace_period: 45s", "stop_grace_period: 10s", "killed before"),
    ("compose.yaml", "--member-ttl=30s", "--member-ttl=3", "member-ttl"),
    ("compose.yaml", "--replicas=1", "--replicas=3", "replicas"),
    ("compose.yaml", "[CMD, larder, cluster, status,", "[CMD, larder, cluster, statuss,", "needs a command"),
    ("compose.yaml", "LARDER_ADVERTISE: node-2:7379", "LARDER_ADVERTISE: node-1:7379", "others do not find it"),
    ("compose.yaml", "LARDER_NODE_NAME: node-3", "LARDER_NODENAME: node-3", "LARDER_NODENAME"),
    ("compose.yaml", "127.0.0.1:7003:7379", "7003:7379", "open to other hosts"),
    ("compose.yaml", "etcd:v3.5.21", "etcd:latest", "not pinned"),
    ("compose.yaml", "    file: secrets/users.txt", "    file: users.txt", "no secret users.txt"),
    ("compose.yaml", "  read_only: true\n", "  read_only: true\n  read_only: true\n", "there twice"),
    ("kubernetes/statefulset.yaml", "--memory=4GiB", "--memory=4300MiB", "/dev/shm is too small"),
    ("kubernetes/statefulset.yaml", "sizeLimit: 4352Mi", "sizeLimit: 6Gi", "larger than the container"),
    ("kubernetes/statefulset.yaml", "sizeLimit: 4352Mi", "sizeLimit: 4352m", "/dev/shm is too small"),
    ("kubernetes/statefulset.yaml", "medium: Memory", 'medium: ""', "RAM is on a disk"),
    ("kubernetes/statefulset.yaml", "enableServiceLinks: false", "enableServiceLinks: true", "taken for settings"),
    ("kubernetes/statefulset.yaml", "storage: 60Gi", "storage: 50Gi", "no room for --disk"),
    ("kubernetes/statefulset.yaml", "[larder, cluster, status, --ready, --timeout, 3s]", "[larder, ping]", "larder ping"),
    ("kubernetes/statefulset.yaml", "status, --ready, --timeout, 3s]", "status, --timeout, 3s]", "is content with one"),
    ("kubernetes/statefulset.yaml", "status, --timeout, 10s]", "status, --ready, --timeout, 10s]", "restarts a node"),
    ("kubernetes/statefulset.yaml", "minReadySeconds: 10", "minReadySeconds: 0", "wait for a node to settle"),
    ("kubernetes/statefulset.yaml", "until larder cluster drain --quiet; do", "larder cluster drain --quiet || while false; do",
     "preStop takes drains"),
    ("kubernetes/statefulset.yaml", 'test "$status" -eq 1 || exit "$status"', "true", "preStop"),
    ("kubernetes/statefulset.yaml", "status, --timeout, 10s]", "status, --timeout, 20s]", "not below the probe's"),
    ("kubernetes/statefulset.yaml", "larder cluster drain --quiet", "larder cluster drain --silent", "has no --silent"),
    ("kubernetes/statefulset.yaml", '"${POD_NAME##*-}" -ge', '"${POD_NAME##*-}" -le', "preStop of larder-0"),
    ("kubernetes/statefulset.yaml", "(POD_NAME).larder-nodes.", "(POD_NAME).larder.", "do not find"),
    ("kubernetes/statefulset.yaml", "GracePeriodSeconds: 900", "GracePeriodSeconds: 60", "killed before"),
    ("kubernetes/statefulset.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "runs as root"),
    ("kubernetes/statefulset.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "privileges"),
    ("kubernetes/statefulset.yaml", "secret/users.txt", "secret/user.txt", "makes no user.txt"),
    ("kubernetes/statefulset.yaml", "--member-ttl=2m", "--member-ttl=45s", "loses its place"),
    ("kubernetes/services.yaml", "  clusterIP: None\n", "", "one address"),
    ("kubernetes/services.yaml", "publishNotReadyAddresses: true", "publishNotReadyAddresses: false", "hides nodes"),
    ("kubernetes/disruption.yaml", "  maxUnavailable: 1", "\tmaxUnavailable: 1", "disruption.yaml"),
    ("kubernetes/scale.yaml", 'nodes: "3"', 'nodes: "2"', "scale.yaml"),
    ("kubernetes/kustomization.yaml", "  - disruption.yaml\n", "", "kustomization.yaml"),
    ("kubernetes/secret.template.yaml", 'ops.password: ""', 'ops.password: "x"', "has a value"),
    ("kubernetes/etcd.yaml", "--auto-compaction-retention", "--auto-compaction", "etcd"),
    ("Dockerfile", "FROM swift:6.3-bookworm", "FROM swift:6.3", "do not go together"),
    ("Dockerfile", '"status", "--timeout"', '"status", "--time"', "has no --time"),
    ("Dockerfile", "ca-certificates librocksdb7.8", "librocksdb7.8", "has no certificates"),
    ("Dockerfile", "USER 10001:10001", "USER 0", "runs as root"),
]


def unnoticed(look_at, directory):
    """Breaks a copy in each way and has `look_at` say what is wrong with it; gives what went unnoticed."""
    missed = []
    for name, old, new, expected in BREAKAGES:
        with tempfile.TemporaryDirectory() as folder:
            project = pathlib.Path(folder)
            copy = project / "cluster"
            shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("secrets", "checks", "__pycache__"))
            shutil.copytree(directory.parent / "scripts", project / "scripts")
            shutil.copy(directory.parent / "Package.swift", project)
            text = (copy / name).read_text()
            if old not in text:
                missed.append(f"{name} has no '{old}' to break")
                continue
            (copy / name).write_text(text.replace(old, new, 1))
            faults = look_at(copy)
            if not any(expected in fault for fault in faults):
                missed.append(f"{name} with '{new.strip()}' for '{old.strip()}': {faults or 'nothing'}")
    return missed
