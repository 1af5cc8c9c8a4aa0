"""kubernetes/."""
import os
import pathlib
import re
import subprocess
import tempfile

from .units import kubernetes_bytes, larder_bytes, seconds


def check(look):
    """Looks at kubernetes/."""
    folder = look.directory / "kubernetes"
    listed = [name for document in look.load(folder / "kustomization.yaml") for name in document.get("resources", [])]
    there = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml", "secret.template.yaml"}
    look.expect(set(listed) == there, f"kustomization.yaml: lists {sorted(listed)}, there are {sorted(there)}")
    objects = {}
    for name in listed:
        for document in look.load(folder / name):
            key = (document.get("kind"), document.get("metadata", {}).get("name"))
            look.expect("apiVersion" in document and all(key), f"{name}: an object without kind or name")
            look.expect(key not in objects, f"{name}: {key} is there twice")
            objects[key] = document
    needed = [("Namespace", "larder"), ("Service", "larder-nodes"), ("Service", "larder"), ("StatefulSet", "larder"),
              ("PodDisruptionBudget", "larder"), ("ConfigMap", "larder-scale"), ("Service", "larder-etcd"),
              ("StatefulSet", "larder-etcd"), ("NetworkPolicy", "larder-etcd")]
    missing = [f"{kind} {name}" for kind, name in needed if (kind, name) not in objects]
    look.expect(not missing, f"kubernetes: no {', '.join(missing)}")
    if missing:
        return
    template = look.load(folder / "secret.template.yaml")
    keys = set(template[0].get("stringData", {})) if template else set()
    look.expect(keys == look.secrets, f"secret.template.yaml: has {sorted(keys)}")
    look.expect(not any((template[0].get("stringData") or {}).values()) if template else False,
                "secret.template.yaml: has a value")
    for name in ("larder", "larder-etcd"):
        pods(look, objects, name)
    kubernetes_node(look, objects)
    spec = objects["StatefulSet", "larder-etcd"]["spec"]["template"]["spec"]["containers"][0]
    look.expect(spec["image"] == look.etcd_image, "etcd.yaml: not the image of compose.yaml")
    look.etcd_flags("etcd.yaml", spec.get("command", []))


def pods(look, objects, name):
    """What is true of all pods here: labels, volumes, no privileges."""
    where = f"StatefulSet {name}"
    spec = objects["StatefulSet", name]["spec"]
    pod = spec["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    look.expect(spec["selector"]["matchLabels"].items() <= labels.items(), f"{where}: selects other pods")
    for (kind, other), document in objects.items():
        selector = document.get("spec", {}).get("selector") if kind in ("Service", "PodDisruptionBudget") else None
        if selector and other.startswith(name) and (other != "larder-etcd" or name != "larder"):
            selector = selector.get("matchLabels", selector)
            look.expect(selector.items() <= labels.items(), f"{kind} {other}: selects other pods")
    look.expect(("Service", spec["serviceName"]) in objects, f"{where}: no service {spec['serviceName']}")
    look.expect(pod.get("enableServiceLinks") is False, f"{where}: variables of services would be taken for settings")
    look.expect(pod.get("automountServiceAccountToken") is False, f"{where}: has a token")
    user = pod.get("securityContext", {})
    look.expect(user.get("runAsNonRoot") is True and user.get("runAsUser", 0) > 0 and user.get("fsGroup", 0) > 0,
                f"{where}: runs as root")
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
    for container in pod["containers"]:
        context = container.get("securityContext", {})
        look.expect(context.get("readOnlyRootFilesystem") is True and context.get("allowPrivilegeEscalation") is False
                    and context.get("capabilities", {}).get("drop") == ["ALL"], f"{where}: has privileges")
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        look.expect(mounted == volumes, f"{where}: has volumes {sorted(volumes)}, mounts {sorted(mounted)}")
        look.expect("limits" in container.get("resources", {}), f"{where}: has no limits")


def prestop(hook, environment, statuses):
    """Runs the hook with a larder that only tells how it was called and ends with each status in turn; what it told, and
    the hook's own status."""
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "statuses").write_text("".join(f"{status}\n" for status in statuses))
        larder = ('larder() { echo "larder $*"; read -r status < statuses; sed -i 1d statuses; return "$status"; }\n'
                  'sleep() { :; }\n')
        done = subprocess.run(["sh", "-c", larder + hook], env={**os.environ, **environment}, cwd=folder,
                              capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines(), done.returncode


def kubernetes_node(look, objects):
    """The nodes' StatefulSet, and what goes with it."""
    where = "StatefulSet larder"
    spec = objects["StatefulSet", "larder"]["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    known = {"POD_NAME": "larder-0", "POD_NAMESPACE": "larder"}
    given = {item["name"]: item.get("value", known.get(item["name"], "")) for item in container["env"]}
    def expanded(word):
        return re.sub(r"\$\((\w+)\)", lambda match: given.get(match[1], match[0]), word)

    arguments = [expanded(word) for word in container["args"]]
    environment = {name: value for name, value in given.items() if name.startswith("LARDER_")}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    settings = look.node(where, arguments, environment, mounts.get("secret", "?"))
    port = int(settings.get("port", 0))
    look.expect(settings.get("node-name") == "larder-0", f"{where}: a node is not called like its pod")
    headless = spec["serviceName"]
    look.expect(settings.get("advertise") == f"larder-0.{headless}.larder.svc:{port}",
                f"{where}: others do not find a node at {settings.get('advertise')}")
    service = objects["Service", headless]["spec"]
    look.expect(service.get("clusterIP") == "None", f"Service {headless}: has one address for all pods")
    look.expect(service.get("publishNotReadyAddresses") is True, f"Service {headless}: hides nodes that start")
    for name in (headless, "larder"):
        ports = objects["Service", name]["spec"]["ports"]
        look.expect([item["port"] for item in ports] == [port], f"Service {name}: not on --port")
        look.expect({item["targetPort"] for item in ports} <= {item["name"] for item in container["ports"]},
                    f"Service {name}: to no port of the pods")
    look.expect([item["containerPort"] for item in container["ports"]] == [port], f"{where}: has not --port")
    etcd = objects["Service", "larder-etcd"]["spec"]["ports"][0]["port"]
    look.expect(settings.get("cluster", "").startswith(f"etcd://larder-etcd:{etcd}/"), f"{where}: etcd is not there")
    memory = volumes.get("memory", {}).get("emptyDir", {})
    look.expect(memory.get("medium") == "Memory" and mounts.get("memory") == "/dev/shm", f"{where}: RAM is on a disk")
    look.sizes(where, settings, kubernetes_bytes(memory.get("sizeLimit")),
               kubernetes_bytes(container["resources"]["limits"].get("memory")))
    look.expect(container["resources"]["requests"].get("memory") == container["resources"]["limits"].get("memory"),
                f"{where}: RAM that is not requested may be missing")
    claim = spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
    disk = larder_bytes(settings.get("disk", "0"))
    look.expect(kubernetes_bytes(claim) >= 1.05 * disk, f"{where}: no room for --disk")
    is_on_volume = settings.get("data-dir", "").startswith(mounts.get("data", "?") + "/")
    look.expect(is_on_volume, f"{where}: data is on no volume")
    grace = pod.get("terminationGracePeriodSeconds", 30)
    look.expect(grace > 2 * seconds(settings.get("drain-timeout")), f"{where}: is killed before --drain-timeout")
    look.expect(seconds(settings.get("member-ttl")) > seconds(settings.get("drain-timeout")),
                f"{where}: loses its place while it writes RAM to disk")
    look.expect(volumes.get("secret", {}).get("secret", {}).get("secretName") == "larder", f"{where}: no secret")
    look.expect(spec.get("minReadySeconds", 0) >= 5, f"{where}: a rolling update does not wait for a node to settle")
    nodes = objects["ConfigMap", "larder-scale"]["data"]["nodes"]
    look.expect(nodes == str(spec["replicas"]), f"scale.yaml: {nodes} nodes, {where} has {spec['replicas']}")
    probes(look, where, container, mounts)


def probes(look, where, container, mounts):
    """Probes and preStop."""
    names = {item["name"] for item in container["ports"]}
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container.get(name, {})
        if "tcpSocket" in probe:
            look.expect(probe["tcpSocket"]["port"] in names, f"{where}: {name} asks no port of the pod")
        else:
            words = probe.get("exec", {}).get("command", [])
            look.command(f"{where}: {name}", words)
            look.probe_time(f"{where}: {name}", words, probe.get("timeoutSeconds", 1))
            look.expect(("--ready" in words) == (name == "readinessProbe"),
                        f"{where}: {name} {'restarts a node that joins' if '--ready' in words else 'is content with one'}")
    hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    look.expect(hook[:2] == ["sh", "-c"] and len(hook) == 3, f"{where}: no preStop")
    if len(hook) != 3:
        return
    done = subprocess.run(["sh", "-n", "-c", hook[2]], capture_output=True, text=True)
    look.expect(done.returncode == 0, f"{where}: preStop: {done.stderr.strip()}")
    look.expect(f"{mounts.get('scale')}/nodes" in hook[2], f"{where}: preStop reads no scale")
    # What it does, with a larder that only tells how it was called.
    for pod, nodes, drains in (("larder-0", "3", False), ("larder-2", "3", False), ("larder-2", "2", True),
                               ("larder-10", "3", True), ("larder-2", "", False)):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "nodes").write_text(nodes)
            script = hook[2].replace(str(mounts.get("scale")), folder)
            lines, _ = prestop(script, {"POD_NAME": pod}, [0])
        called = lines[0].split() if lines else []
        look.expect(bool(called) == drains, f"{where}: preStop of {pod}, {nodes or 'no'} nodes: {called or 'nothing'}")
        if called:
            look.command(f"{where}: preStop", called)
            look.expect(called[1:3] == ["cluster", "drain"], f"{where}: preStop does not drain")
    # "Not done" is tried again; a node that is not to be reached is not.
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "nodes").write_text("2")
        script = hook[2].replace(str(mounts.get("scale")), folder)
        for statuses, calls in (([1, 1, 0], 3), ([69], 1)):
            lines, status = prestop(script, {"POD_NAME": "larder-2"}, statuses)
            look.expect(len(lines) == calls and status == statuses[-1],
                        f"{where}: preStop takes drains that end with {statuses} for {status} after {len(lines)}")
