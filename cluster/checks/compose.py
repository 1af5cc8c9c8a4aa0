"""compose.yaml."""
import re

from .units import compose_bytes, seconds


def check(look):
    """Looks at compose.yaml."""
    documents = look.load(look.directory / "compose.yaml")
    if not documents:
        return
    services = documents[0].get("services", {})
    nodes = {name: service for name, service in services.items() if service.get("image") == "larder"}
    look.expect(len(nodes) == 3, f"compose.yaml: {len(nodes)} nodes")
    etcd = services.get("etcd", {})
    look.etcd_image = etcd.get("image", "")
    look.expect(re.search(r":v\d+\.\d+\.\d+$", look.etcd_image), "compose.yaml: etcd's image is not pinned")
    look.expect("ports" not in etcd, "compose.yaml: etcd has no users, and can be reached from outside")
    look.etcd_flags("compose.yaml: etcd", etcd.get("command", []))
    files = documents[0].get("secrets", {})
    for name, secret in files.items():
        look.expect(secret.get("file") == f"secrets/{name}" and name in look.secrets, f"compose.yaml: no secret {name}")
    published = [port for service in services.values() for port in service.get("ports", [])]
    look.expect(len(set(published)) == len(published), "compose.yaml: a port is published twice")
    for port in published:
        look.expect(re.fullmatch(r"127\.0\.0\.1:\d+:7379", port), f"compose.yaml: {port} is open to other hosts")
    for name, service in nodes.items():
        compose_node(look, f"compose.yaml: {name}", name, service, files, documents[0].get("volumes", {}))


def compose_node(look, where, name, service, files, volumes):
    """One node of compose.yaml."""
    environment = {key: str(value) for key, value in service.get("environment", {}).items()}
    settings = look.node(where, [str(word) for word in service.get("command", [])], environment, "/run/secrets")
    look.expect(settings.get("node-name") == name, f"{where}: is called {settings.get('node-name')}")
    look.expect(settings.get("advertise") == f"{name}:{settings.get('port')}", f"{where}: others do not find it there")
    look.expect(settings.get("cluster", "").startswith("etcd://etcd:2379/"), f"{where}: etcd is not there")
    for text in (settings.get("users"), settings.get("cluster-secret"), environment.get("LARDER_PASSWORD_FILE")):
        used = str(text).removeprefix("/run/secrets/")
        look.expect(used in files and used in service.get("secrets", []), f"{where}: {used} is not mounted")
    look.sizes(where, settings, compose_bytes(service.get("shm_size")), compose_bytes(service.get("mem_limit")))
    look.expect(seconds(service.get("stop_grace_period")) > seconds(settings.get("drain-timeout")),
                f"{where}: is killed before --drain-timeout")
    probe = service.get("healthcheck", {})
    test = probe.get("test", [])
    look.expect(test[:1] == ["CMD"], f"{where}: no health check")
    look.command(f"{where}: health check", test[1:])
    look.probe_time(where, test, seconds(probe.get("timeout")))
    look.expect(service.get("read_only") is True and service.get("cap_drop") == ["ALL"], f"{where}: has privileges")
    look.expect(re.match(r"[1-9]", str(service.get("user"))), f"{where}: runs as root")
    targets = dict(volume.split(":")[:2] for volume in service.get("volumes", []))
    has_volume = settings.get("data-dir") in targets.values() and set(targets) <= set(volumes)
    look.expect(has_volume, f"{where}: no volume for data")
