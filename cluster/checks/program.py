"""What the program takes, as it says itself."""
import os
import re
import subprocess


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
        """A command's flags."""
        return set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", self.help(words) or "", re.M))

    def command(self, arguments):
        """The words of a command line that name the command."""
        words = ()
        for argument in arguments:
            if argument not in self.subcommands(words):
                break
            words += (argument,)
        return words
