#!/usr/bin/env python3
"""Checks that the scripts, the compose file and the manifests in this directory fit the program, and each other.

    cluster/check.py [--larder PATH] [--directory DIRECTORY] [--breakages]

Every flag has to be one of `larder ... --help`, every probe and hook a command that there is, and each node's settings are
read by `larder serve --print-config` itself. Sizes, times, ports, names and secrets have to go together. --breakages breaks
a copy in many ways instead, one after the other, and fails unless each is noticed.

Needs PyYAML, which scripts/install.sh installs.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

try:
    import yaml
except ImportError:
    # It is installed for the system's Python, which need not be the first one.
    system = "/usr/bin/python3"
    if os.path.exists(system) and os.path.realpath(sys.executable) != os.path.realpath(system):
        os.execv(system, [system, *sys.argv])
    sys.exit("check.py: there is no PyYAML; scripts/install.sh installs it")

HERE = pathlib.Path(__file__).resolve().parent
MEBIBYTE = 1 << 20
# What a node keeps beside --memory at most, as README.md promises.
BESIDE_MEMORY = 256 * MEBIBYTE
# What must be said of every node of a cluster.
NEEDED_SETTINGS = {"cluster", "node-name", "advertise", "cluster-secret", "member-ttl", "replicas", "memory", "data-dir",
                   "disk"}


class Strict(yaml.SafeLoader):
    """YAML in which no key is there twice."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if key.value != "<<"]
        for key in set(keys):
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"'{key}' is there twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def byte_count(text, units):
    """Bytes of `512m` and the like; `None` for something else."""
    match = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]*)", str(text))
    return int(float(match[1]) * units[match[2]]) if match and match[2] in units else None


def larder_bytes(text):
    """Bytes of a size as `larder` reads it."""
    return byte_count(text, {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
                             "MB": 10**6, "GB": 10**9, "TB": 10**12})


def compose_bytes(text):
    """Bytes of a size as compose reads it."""
    return byte_count(text, {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30})


def kubernetes_bytes(text):
    """Bytes of a size as Kubernetes reads it."""
    return byte_count(text, {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40})


def seconds(text):
    """Seconds of `500ms`, `30s`, `2m`, `1h`; 0 for something else, which is then too short."""
    match = re.fullmatch(r"([0-9.]+)(ms|s|m|h)", str(text))
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0


class Program:
    """What `larder` and its commands take."""

    def __init__(self, path, folder):
        self.path = path
        # Of files made with it, by the text of the script that made them.
        self.folder = folder
        self.made = {}
        self.helps = {}
        self.runs = {}

    def run(self, arguments, environment=None):
        """Runs it with nothing of ours in its environment; what only reads is run once."""
        key = (tuple(arguments), tuple((environment or {}).items()))
        if key not in self.runs:
            clean = {name: value for name, value in os.environ.items() if not name.startswith("LARDER_")}
            self.runs[key] = subprocess.run([self.path, *arguments], env={**clean, **(environment or {})},
                                            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return self.runs[key]

    def etcd_help(self):
        """What etcd says that it takes."""
        if "etcd" not in self.helps:
            done = subprocess.run(["etcd", "--help"], capture_output=True, text=True)
            self.helps["etcd"] = done.stdout + done.stderr
        return self.helps["etcd"]

    def help(self, words):
        """What --help says of a command; `None` when there is no such command."""
        if words not in self.helps:
            done = self.run([*words, "--help"])
            # Help for something unknown is the help of what is above it.
            usage = " ".join(["USAGE: larder", *words])
            self.helps[words] = done.stdout if done.returncode == 0 and usage in done.stdout else None
        return self.helps[words]

    def subcommands(self, words=()):
        """The commands below one."""
        part = (self.help(words) or "").partition("SUBCOMMANDS:")[2]
        return set(re.findall(r"^  ([a-z][a-z-]*)\s", part, re.M))

    def flags(self, words):
        """A command's flags; each with whether it takes a value."""
        return {name: bool(value) for name, value in re.findall(r"^  (?:-\w, )?(--[a-z-]+)( <)?", self.help(words) or "", re.M)}

    def command(self, arguments):
        """The words of a command line that name the command."""
        words = ()
        for argument in arguments:
            if argument not in self.subcommands(words):
                break
            words += (argument,)
        return words


class Check:
    """One look at all files; `faults` is what is wrong."""

    def __init__(self, program, directory):
        self.program = program
        self.directory = directory
        self.faults = []
        self.command_count = 0
        self.secrets = set()
        # Users who may drain, each with the name of the password's file.
        self.admins = {}
        self.etcd_image = ""

    def expect(self, condition, fault):
        """Notes a fault unless the condition holds."""
        if not condition:
            self.faults.append(fault)

    def run(self):
        """Looks at everything."""
        scripts = sorted(self.directory.glob("*.sh"))
        self.expect(scripts, "there are no scripts")
        for script in scripts:
            done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
            self.expect(done.returncode == 0, f"{script.name}: {done.stderr.strip()}")
        for path in sorted(self.directory.rglob("*")):
            if path.suffix in (".sh", ".md", ".yaml") or path.name == "Dockerfile":
                self.text(path)
        self.script_settings()
        if self.make_secrets():
            self.compose()
            self.kubernetes()
        self.dockerfile()
        return self.faults

    # Commands in texts: scripts, comments, README.

    def text(self, path):
        """Every command of `larder` that a file shows or runs."""
        text = path.read_text()
        joined = re.sub(r"\\\n\s*(# *)?", " ", text)
        # The end of a command inside a command is not the end of this one.
        joined = re.sub(r"\$\((?!\()(?![^()]*larder)[^()]*\)", "X", joined)
        for match in re.finditer(r"(?:\"?\$\{?(?:larder|show)\}?\"?|(?<![\w./-])(?<!-n )larder) +([a-z][^\n|;&)>`']*)", joined):
            words = match[1].replace('"', " ").split()
            command = self.program.command(words)
            if not command:
                # Prose, unless it has flags.
                self.expect(not [word for word in words[:3] if word.startswith("--")],
                            f"{path.name}: there is no command 'larder {words[0]}'")
                continue
            flags = [word for word in words if word.startswith("--")]
            for name in re.findall(r"\$\{(\w+)\[@\]\}", match[1]):
                for array in re.findall(rf"\b{name}\+?=\(([^)]*)\)", joined):
                    flags += re.findall(r"(?<!\S)--[\w-]+", array)
            self.flags(path.name, command, flags)

    def flags(self, where, command, arguments):
        """Whether a command takes these flags."""
        self.command_count += 1
        known = self.program.flags(command)
        for argument in arguments:
            name = argument.split("=")[0]
            if name != "--":
                self.expect(name in known, f"{where}: 'larder {' '.join(command)}' has no {name}")

    def command(self, where, arguments):
        """Whether a list of arguments, `larder` first, is a command that there is, with flags it takes."""
        if not isinstance(arguments, list) or arguments[:1] != ["larder"]:
            return self.expect(False, f"{where}: runs no larder: {arguments}")
        words = [str(word) for word in arguments[1:]]
        command = self.program.command(words)
        self.expect(command, f"{where}: there is no command 'larder {' '.join(words[:2])}'")
        if command:
            self.expect(not (self.program.subcommands(command)), f"{where}: 'larder {' '.join(command)}' needs a command")
            self.flags(where, command, [word for word in words if word.startswith("--")])

    def script_settings(self):
        """What up.sh gives to each node."""
        text = re.sub(r"\\\n\s*", " ", (self.directory / "up.sh").read_text())
        start = re.search(r'start_process "\$name" "\$larder" serve ([^\n]*)', text)
        if not start:
            return self.expect(False, "up.sh starts no node")
        given = set(re.findall(r"(?<!\S)--([a-z-]+)", start[1]))
        given |= set(re.findall(r"--([a-z-]+)", " ".join(re.findall(r"\bmembership=\(([^)]*)\)", text))))
        for name in NEEDED_SETTINGS - given:
            self.expect(False, f"up.sh: a node gets no --{name}")

    # Settings of nodes.

    def make_secrets(self):
        """Has secrets.sh make its files; whether it did."""
        script = self.directory / "secrets.sh"
        text = script.read_text()
        if text not in self.program.made:
            folder = self.program.folder / str(len(self.program.made))
            done = subprocess.run(["bash", str(script), "--dir", str(folder), "--larder", self.program.path],
                                  capture_output=True, text=True)
            self.program.made[text] = (folder, done)
        self.secret_folder, done = self.program.made[text]
        self.expect(done.returncode == 0, f"secrets.sh: {done.stderr.strip()}")
        if done.returncode != 0:
            return False
        self.secrets = {path.name for path in self.secret_folder.iterdir()}
        wanted = {"cluster.secret", "users.txt", "engine.password", "ops.password"}
        self.expect(self.secrets == wanted, f"secrets.sh makes {sorted(self.secrets)}")
        for line in (self.secret_folder / "users.txt").read_text().splitlines() if "users.txt" in self.secrets else []:
            fields = line.split(":")
            if len(fields) >= 3 and "admin" in fields[2].split(","):
                self.admins[fields[0]] = f"{fields[0]}.password"
        return True

    def node(self, where, arguments, environment, secret_folder):
        """Has the program itself read a node's settings; gives them by name."""
        self.expect(arguments[:1] == ["serve"], f"{where}: runs no node: {arguments[:1]}")
        self.flags(where, ("serve",), [argument for argument in arguments[1:]])
        for name in re.findall(rf"{re.escape(secret_folder)}/([\w.]+)", " ".join([*arguments, *environment.values()])):
            self.expect(name in self.secrets, f"{where}: secrets.sh makes no {name}")
        here = [argument.replace(secret_folder, str(self.secret_folder)) for argument in arguments]
        done = self.program.run([*here, "--print-config", "--output", "jsonl"], environment)
        self.expect(done.returncode == 0, f"{where}: {done.stderr.strip()}")
        settings = {name.lower().removeprefix("larder_").replace("_", "-"): value for name, value in environment.items()}
        settings |= dict(argument.removeprefix("--").split("=", 1) for argument in arguments if "=" in argument)
        for name in NEEDED_SETTINGS - set(settings):
            self.expect(False, f"{where}: no --{name}")
        user = environment.get("LARDER_USER")
        password = environment.get("LARDER_PASSWORD_FILE", "").removeprefix(secret_folder + "/")
        self.expect(user in self.admins, f"{where}: {user} may not drain")
        self.expect(self.admins.get(user) == password, f"{where}: {password} is not the password of {user}")
        return settings

    def sizes(self, where, settings, shared, limit):
        """Whether RAM has room, in /dev/shm and in the container."""
        memory = larder_bytes(settings.get("memory"))
        if not memory:
            return self.expect(False, f"{where}: --memory is no size")
        # The file has records of its own: one part in 64, and a little.
        self.expect(shared and shared >= memory + memory // 64 + 4 * MEBIBYTE, f"{where}: /dev/shm is too small for --memory")
        self.expect(limit and limit >= memory + BESIDE_MEMORY, f"{where}: the limit is below --memory + 256 MiB")
        self.expect(shared and limit and shared <= limit, f"{where}: /dev/shm is larger than the container's memory")

    # Compose.

    def load(self, path):
        """The documents of a YAML file."""
        try:
            return [document for document in yaml.load_all(path.read_text(), Strict) if document is not None]
        except (OSError, yaml.YAMLError) as error:
            self.expect(False, f"{path.name}: {error}")
            return []

    def compose(self):
        """compose.yaml."""
        documents = self.load(self.directory / "compose.yaml")
        if not documents:
            return
        services = documents[0].get("services", {})
        nodes = {name: service for name, service in services.items() if service.get("image") == "larder"}
        self.expect(len(nodes) == 3, f"compose.yaml: {len(nodes)} nodes")
        etcd = services.get("etcd", {})
        self.etcd_image = etcd.get("image", "")
        self.expect(re.search(r":v\d+\.\d+\.\d+$", self.etcd_image), "compose.yaml: etcd's image is not pinned")
        self.expect("ports" not in etcd, "compose.yaml: etcd has no users, and can be reached from outside")
        self.etcd_flags("compose.yaml: etcd", etcd.get("command", []))
        files = documents[0].get("secrets", {})
        for name, secret in files.items():
            self.expect(secret.get("file") == f"secrets/{name}" and name in self.secrets, f"compose.yaml: no secret {name}")
        published = [port for service in services.values() for port in service.get("ports", [])]
        self.expect(len(set(published)) == len(published), "compose.yaml: a port is published twice")
        for port in published:
            self.expect(re.fullmatch(r"127\.0\.0\.1:\d+:7379", port), f"compose.yaml: {port} is open to other hosts")
        for name, service in nodes.items():
            self.compose_node(f"compose.yaml: {name}", name, service, files, documents[0].get("volumes", {}))

    def compose_node(self, where, name, service, files, volumes):
        """One node of compose.yaml."""
        environment = {key: str(value) for key, value in service.get("environment", {}).items()}
        settings = self.node(where, [str(word) for word in service.get("command", [])], environment, "/run/secrets")
        self.expect(settings.get("node-name") == name, f"{where}: is called {settings.get('node-name')}")
        self.expect(settings.get("advertise") == f"{name}:{settings.get('port')}", f"{where}: others do not find it there")
        self.expect(settings.get("cluster", "").startswith("etcd://etcd:2379/"), f"{where}: etcd is not there")
        for text in (settings.get("users"), settings.get("cluster-secret"), environment.get("LARDER_PASSWORD_FILE")):
            used = str(text).removeprefix("/run/secrets/")
            self.expect(used in files and used in service.get("secrets", []), f"{where}: {used} is not mounted")
        self.sizes(where, settings, compose_bytes(service.get("shm_size")), compose_bytes(service.get("mem_limit")))
        self.expect(seconds(service.get("stop_grace_period")) > seconds(settings.get("drain-timeout")),
                    f"{where}: is killed before --drain-timeout")
        probe = service.get("healthcheck", {})
        test = probe.get("test", [])
        self.expect(test[:1] == ["CMD"], f"{where}: no health check")
        self.command(f"{where}: health check", test[1:])
        self.probe_time(where, test, seconds(probe.get("timeout")))
        self.expect(service.get("read_only") is True and service.get("cap_drop") == ["ALL"], f"{where}: has privileges")
        self.expect(re.match(r"[1-9]", str(service.get("user"))), f"{where}: runs as root")
        targets = dict(volume.split(":")[:2] for volume in service.get("volumes", []))
        self.expect(settings.get("data-dir") in targets.values() and set(targets) <= set(volumes), f"{where}: no volume for data")

    def probe_time(self, where, words, limit):
        """Whether a probe's own time limit is what ends it."""
        words = [str(word) for word in words]
        if "--timeout" in words[:-1]:
            self.expect(seconds(words[words.index("--timeout") + 1]) < limit, f"{where}: --timeout is not below the probe's")

    def etcd_flags(self, where, arguments):
        """Whether etcd knows its flags, where it is installed."""
        self.expect(arguments[:1] == ["etcd"], f"{where}: runs no etcd")
        if shutil.which("etcd"):
            for argument in arguments[1:]:
                name = argument.split("=")[0]
                self.expect(re.search(rf"{name}(?![\w-])", self.program.etcd_help()), f"{where}: etcd has no {name}")

    # Kubernetes.

    def kubernetes(self):
        """kubernetes/."""
        folder = self.directory / "kubernetes"
        listed = [name for document in self.load(folder / "kustomization.yaml") for name in document.get("resources", [])]
        there = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml", "secret.template.yaml"}
        self.expect(set(listed) == there, f"kustomization.yaml: lists {sorted(listed)}, there are {sorted(there)}")
        objects = {}
        for name in listed:
            for document in self.load(folder / name):
                key = (document.get("kind"), document.get("metadata", {}).get("name"))
                self.expect("apiVersion" in document and all(key), f"{name}: an object without kind or name")
                self.expect(key not in objects, f"{name}: {key} is there twice")
                objects[key] = document
        needed = [("Namespace", "larder"), ("Service", "larder-nodes"), ("Service", "larder"), ("StatefulSet", "larder"),
                  ("PodDisruptionBudget", "larder"), ("ConfigMap", "larder-scale"), ("Service", "larder-etcd"),
                  ("StatefulSet", "larder-etcd"), ("NetworkPolicy", "larder-etcd")]
        missing = [f"{kind} {name}" for kind, name in needed if (kind, name) not in objects]
        self.expect(not missing, f"kubernetes: no {', '.join(missing)}")
        if missing:
            return
        template = self.load(folder / "secret.template.yaml")
        keys = set(template[0].get("stringData", {})) if template else set()
        self.expect(keys == self.secrets, f"secret.template.yaml: has {sorted(keys)}")
        self.expect(not any((template[0].get("stringData") or {}).values()) if template else False,
                    "secret.template.yaml: has a value")
        for name in ("larder", "larder-etcd"):
            self.pods(objects, name)
        self.kubernetes_node(objects)
        spec = objects["StatefulSet", "larder-etcd"]["spec"]["template"]["spec"]["containers"][0]
        self.expect(spec["image"] == self.etcd_image, "etcd.yaml: not the image of compose.yaml")
        self.etcd_flags("etcd.yaml", spec.get("command", []))

    def pods(self, objects, name):
        """What is true of all pods here: labels, volumes, no privileges."""
        where = f"StatefulSet {name}"
        spec = objects["StatefulSet", name]["spec"]
        pod = spec["template"]["spec"]
        labels = spec["template"]["metadata"]["labels"]
        self.expect(spec["selector"]["matchLabels"].items() <= labels.items(), f"{where}: selects other pods")
        for (kind, other), document in objects.items():
            selector = document.get("spec", {}).get("selector") if kind in ("Service", "PodDisruptionBudget") else None
            if selector and other.startswith(name) and (other != "larder-etcd" or name != "larder"):
                selector = selector.get("matchLabels", selector)
                self.expect(selector.items() <= labels.items(), f"{kind} {other}: selects other pods")
        self.expect(("Service", spec["serviceName"]) in objects, f"{where}: no service {spec['serviceName']}")
        self.expect(pod.get("enableServiceLinks") is False, f"{where}: variables of services would be taken for settings")
        self.expect(pod.get("automountServiceAccountToken") is False, f"{where}: has a token")
        user = pod.get("securityContext", {})
        self.expect(user.get("runAsNonRoot") is True and user.get("runAsUser", 0) > 0 and user.get("fsGroup", 0) > 0,
                    f"{where}: runs as root")
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
        for container in pod["containers"]:
            context = container.get("securityContext", {})
            self.expect(context.get("readOnlyRootFilesystem") is True and context.get("allowPrivilegeEscalation") is False
                        and context.get("capabilities", {}).get("drop") == ["ALL"], f"{where}: has privileges")
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            self.expect(mounted == volumes, f"{where}: has volumes {sorted(volumes)}, mounts {sorted(mounted)}")
            self.expect("limits" in container.get("resources", {}), f"{where}: has no limits")

    def kubernetes_node(self, objects):
        """The nodes' StatefulSet, and what goes with it."""
        where = "StatefulSet larder"
        spec = objects["StatefulSet", "larder"]["spec"]
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        known = {"POD_NAME": "larder-0", "POD_NAMESPACE": "larder"}
        given = {item["name"]: item.get("value", known.get(item["name"], "")) for item in container["env"]}
        arguments = [re.sub(r"\$\((\w+)\)", lambda match: given.get(match[1], match[0]), word) for word in container["args"]]
        environment = {name: value for name, value in given.items() if name.startswith("LARDER_")}
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        settings = self.node(where, arguments, environment, mounts.get("secret", "?"))
        port = int(settings.get("port", 0))
        self.expect(settings.get("node-name") == "larder-0", f"{where}: a node is not called like its pod")
        headless = spec["serviceName"]
        self.expect(settings.get("advertise") == f"larder-0.{headless}.larder.svc:{port}",
                    f"{where}: others do not find a node at {settings.get('advertise')}")
        service = objects["Service", headless]["spec"]
        self.expect(service.get("clusterIP") == "None", f"Service {headless}: has one address for all pods")
        self.expect(service.get("publishNotReadyAddresses") is True, f"Service {headless}: hides nodes that start")
        for name in (headless, "larder"):
            ports = objects["Service", name]["spec"]["ports"]
            self.expect([item["port"] for item in ports] == [port], f"Service {name}: not on --port")
            self.expect({item["targetPort"] for item in ports} <= {item["name"] for item in container["ports"]},
                        f"Service {name}: to no port of the pods")
        self.expect([item["containerPort"] for item in container["ports"]] == [port], f"{where}: has not --port")
        etcd = objects["Service", "larder-etcd"]["spec"]["ports"][0]["port"]
        self.expect(settings.get("cluster", "").startswith(f"etcd://larder-etcd:{etcd}/"), f"{where}: etcd is not there")
        memory = volumes.get("memory", {}).get("emptyDir", {})
        self.expect(memory.get("medium") == "Memory" and mounts.get("memory") == "/dev/shm", f"{where}: RAM is on a disk")
        self.sizes(where, settings, kubernetes_bytes(memory.get("sizeLimit")),
                   kubernetes_bytes(container["resources"]["limits"].get("memory")))
        self.expect(container["resources"]["requests"].get("memory") == container["resources"]["limits"].get("memory"),
                    f"{where}: RAM that is not requested may be missing")
        claim = spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
        self.expect(kubernetes_bytes(claim) >= 1.05 * larder_bytes(settings.get("disk", "0")), f"{where}: no room for --disk")
        self.expect(settings.get("data-dir", "").startswith(mounts.get("data", "?") + "/"), f"{where}: data is on no volume")
        grace = pod.get("terminationGracePeriodSeconds", 30)
        self.expect(grace > 2 * seconds(settings.get("drain-timeout")), f"{where}: is killed before --drain-timeout")
        self.expect(seconds(settings.get("member-ttl")) > seconds(settings.get("drain-timeout")),
                    f"{where}: loses its place while it writes RAM to disk")
        self.expect(volumes.get("secret", {}).get("secret", {}).get("secretName") == "larder", f"{where}: no secret")
        self.expect(objects["ConfigMap", "larder-scale"]["data"]["nodes"] == str(spec["replicas"]), "scale.yaml: not --replicas")
        self.probes(where, container, mounts)

    def probes(self, where, container, mounts):
        """Probes and preStop."""
        names = {item["name"] for item in container["ports"]}
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container.get(name, {})
            if "tcpSocket" in probe:
                self.expect(probe["tcpSocket"]["port"] in names, f"{where}: {name} asks no port of the pod")
            else:
                words = probe.get("exec", {}).get("command", [])
                self.command(f"{where}: {name}", words)
                self.probe_time(f"{where}: {name}", words, probe.get("timeoutSeconds", 1))
        hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
        self.expect(hook[:2] == ["sh", "-c"] and len(hook) == 3, f"{where}: no preStop")
        if len(hook) != 3:
            return
        done = subprocess.run(["sh", "-n", "-c", hook[2]], capture_output=True, text=True)
        self.expect(done.returncode == 0, f"{where}: preStop: {done.stderr.strip()}")
        self.expect(f"{mounts.get('scale')}/nodes" in hook[2], f"{where}: preStop reads no scale")
        # What it does, with a larder that only tells how it was called.
        for pod, nodes, drains in (("larder-0", "3", False), ("larder-2", "3", False), ("larder-2", "2", True),
                                   ("larder-10", "3", True), ("larder-2", "", False)):
            with tempfile.TemporaryDirectory() as folder:
                (pathlib.Path(folder) / "nodes").write_text(nodes)
                script = 'larder() { echo "larder $*"; }\n' + hook[2].replace(str(mounts.get("scale")), folder)
                done = subprocess.run(["sh", "-c", script], env={**os.environ, "POD_NAME": pod}, capture_output=True, text=True)
            called = done.stdout.split()
            self.expect(bool(called) == drains, f"{where}: preStop of {pod} of {nodes or 'no'} nodes: {called or 'nothing'}")
            if called:
                self.command(f"{where}: preStop", called)
                self.expect(called[1:3] == ["cluster", "drain"], f"{where}: preStop does not drain")

    # Image.

    def dockerfile(self):
        """The Dockerfile."""
        text = re.sub(r"\\\n", " ", (self.directory / "Dockerfile").read_text())
        stages = re.findall(r"^FROM (\S+)", text, re.M)
        self.expect(len(stages) == 2 and stages[0].endswith("-bookworm") and stages[1] == "debian:12-slim",
                    f"Dockerfile: libraries of {stages} do not go together")
        users = re.findall(r"^USER (\S+)", text, re.M)
        self.expect(users and users[-1].split(":")[0].isdigit() and not users[-1].startswith("0"), "Dockerfile: runs as root")
        health = re.search(r"^HEALTHCHECK .*CMD \[(.*)\]", text, re.M)
        self.expect(health, "Dockerfile: no health check")
        if health:
            self.command("Dockerfile: health check", re.findall(r'"([^"]*)"', health[1]))
        manifest = (self.directory.parent / "Package.swift").read_text()
        tools = re.search(r"swift-tools-version: *(\d+\.\d+)", manifest)
        self.expect(tools and stages and f"swift:{tools[1]}-" in stages[0], "Dockerfile: not the Swift of Package.swift")


# What to break, and what it has to be called.
BREAKAGES = [
    ("up.sh", "--replicas \"$replicas\"", "--replicaz \"$replicas\"", "has no --replicaz"),
    ("up.sh", "membership=(--member-ttl", "membership=(--member-tll", "has no --member-tll"),
    ("up.sh", "cluster status --node", "cluster state --node", "has no --nodes"),
    ("up.sh", "    local cluster=", "    if local cluster=", "syntax error"),
    ("demo.sh", "cluster drain node-3", "cluster drain --nod node-3", "has no --nod"),
    ("README.md", "larder cluster drain", "larder cluster drain --quick", "has no --quick"),
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
    ("kubernetes/statefulset.yaml", "[larder, cluster, status, --timeout, 3s]", "[larder, ping]", "no command 'larder ping"),
    ("kubernetes/statefulset.yaml", "status, --timeout, 10s]", "status, --timeout, 20s]", "not below the probe's"),
    ("kubernetes/statefulset.yaml", "larder cluster drain --quiet", "larder cluster drain --silent", "has no --silent"),
    ("kubernetes/statefulset.yaml", '"${POD_NAME##*-}" -ge', '"${POD_NAME##*-}" -le', "preStop of larder-0"),
    ("kubernetes/statefulset.yaml", "--advertise=$(POD_NAME).larder-nodes", "--advertise=$(POD_NAME).larder", "do not find"),
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
    ("Dockerfile", "USER 10001:10001", "USER 0", "runs as root"),
]


def try_breakages(program, directory):
    """Breaks a copy in each way; gives what went unnoticed."""
    unnoticed = []
    for name, old, new, expected in BREAKAGES:
        with tempfile.TemporaryDirectory() as folder:
            project = pathlib.Path(folder)
            copy = project / "cluster"
            shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("secrets", "__pycache__"))
            shutil.copytree(directory.parent / "scripts", project / "scripts")
            shutil.copy(directory.parent / "Package.swift", project)
            text = (copy / name).read_text()
            if old not in text:
                unnoticed.append(f"{name} has no '{old}' to break")
                continue
            (copy / name).write_text(text.replace(old, new, 1))
            try:
                faults = Check(program, copy).run()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not a fault that says what is wrong
                faults = [f"raised {error!r}"]
            if not any(expected in fault for fault in faults):
                unnoticed.append(f"{name} with '{new.strip()}' for '{old.strip()}': {faults or 'nothing'}")
    return unnoticed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--larder", default=os.environ.get("LARDER_BIN"), help="the program; LARDER_BIN, or a build of it")
    parser.add_argument("--directory", type=pathlib.Path, default=HERE, help="where the files are")
    parser.add_argument("--breakages", action="store_true", help="break a copy in many ways, and see that each is noticed")
    options = parser.parse_args()
    builds = [HERE.parent / ".build" / kind / "larder" for kind in ("debug", "release")]
    path = options.larder or next((str(build) for build in builds if build.exists()), None)
    if not path or not shutil.which(path):
        sys.exit("check.py: no larder; build it, or say with --larder or LARDER_BIN where it is")
    directory = options.directory.resolve()
    with tempfile.TemporaryDirectory() as folder:
        program = Program(shutil.which(path), pathlib.Path(folder))
        check = Check(program, directory)
        faults = check.run()
        if not faults and options.breakages:
            faults = [f"not noticed: {fault}" for fault in try_breakages(program, directory)]
    for fault in faults:
        print(f"cluster: {fault}", file=sys.stderr)
    if faults:
        sys.exit(1)
    noticed = f", {len(BREAKAGES)} breakages noticed" if options.breakages else ""
    print(f"cluster: {check.command_count} commands fit{noticed}")


if __name__ == "__main__":
    main()
