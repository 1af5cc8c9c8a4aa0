"""One look at all files: what it has found, and what the parts of it share."""
import re
import shutil
import subprocess

import yaml

from .units import MEBIBYTE, larder_bytes, seconds

# What a node keeps beside --memory at most, as the README promises.
BESIDE_MEMORY = 256 * MEBIBYTE
# What must be said of every node of a cluster.
NEEDED_SETTINGS = {
    "advertise", "cluster", "cluster-secret", "data-dir", "disk", "member-ttl", "memory", "node-name", "replicas",
}


class Strict(yaml.SafeLoader):
    """YAML in which no key is there twice."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if key.value != "<<"]
        for key in set(keys):
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"'{key}' is there twice{node.start_mark}")
        return super().construct_mapping(node, deep)


class Look:
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
            is_whole = not self.program.subcommands(command)
            self.expect(is_whole, f"{where}: 'larder {' '.join(command)}' needs a command")
            self.flags(where, command, [word for word in words if word.startswith("--")])

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
        settings = {}
        for name, value in environment.items():
            settings[name.lower().removeprefix("larder_").replace("_", "-")] = value
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
        file = memory + memory // 64 + 4 * MEBIBYTE
        self.expect(shared and shared >= file, f"{where}: /dev/shm is too small for --memory")
        self.expect(limit and limit >= memory + BESIDE_MEMORY, f"{where}: the limit is below --memory + 256 MiB")
        self.expect(shared and limit and shared <= limit, f"{where}: /dev/shm is larger than the container's memory")

    def load(self, path):
        """The documents of a YAML file."""
        try:
            return [document for document in yaml.load_all(path.read_text(), Strict) if document is not None]
        except (OSError, yaml.YAMLError) as error:
            self.expect(False, f"{path.name}: {error}")
            return []

    def probe_time(self, where, words, limit):
        """Whether a probe's own time limit is what ends it."""
        words = [str(word) for word in words]
        if "--timeout" in words[:-1]:
            own = seconds(words[words.index("--timeout") + 1])
            self.expect(own < limit, f"{where}: --timeout is not below the probe's")

    def etcd_flags(self, where, arguments):
        """Whether etcd knows its flags, where it is installed."""
        self.expect(arguments[:1] == ["etcd"], f"{where}: runs no etcd")
        if shutil.which("etcd"):
            for argument in arguments[1:]:
                name = argument.split("=")[0]
                self.expect(re.search(rf"{name}(?![\w-])", self.program.etcd_help()), f"{where}: etcd has no {name}")
