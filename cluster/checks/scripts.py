"""Scripts, and every command that a file here shows or runs."""
import re
import subprocess

from .look import NEEDED_SETTINGS

# `larder`, as a script, a comment or a README has it, and what follows in the same command.
COMMAND = re.compile(r"(?:\"?\$\{?(?:larder|show)\}?\"?|(?<![\w./-])(?<!-n )larder) +([a-z][^\n|;&)>`']*)")


def check(look):
    """Looks at the scripts, and at the commands in all files."""
    scripts = sorted(look.directory.glob("*.sh"))
    look.expect(scripts, "there are no scripts")
    for script in scripts:
        done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
        look.expect(done.returncode == 0, f"{script.name}: {done.stderr.strip()}")
    for path in sorted(look.directory.rglob("*")):
        if path.suffix in (".sh", ".md", ".yaml") or path.name == "Dockerfile":
            commands(look, path)
    settings(look)
    for row in re.findall(r"^\| (`--[^|]*)\|", (look.directory / "README.md").read_text(), re.M):
        look.flags("README.md", ("serve",), re.findall(r"--[a-z-]+", row))


def commands(look, path):
    """Every command of `larder` that a file shows or runs."""
    text = re.sub(r"\\\n\s*(# *)?", " ", path.read_text())
    # The end of a command inside a command is not the end of this one.
    text = re.sub(r"\$\((?!\()(?![^()]*larder)[^()]*\)", "X", text)
    for match in COMMAND.finditer(text):
        words = match[1].replace('"', " ").split()
        command = look.program.command(words)
        if not command:
            # Prose, unless it has flags.
            has_flags = any(word.startswith("--") for word in words[:3])
            look.expect(not has_flags, f"{path.name}: there is no command 'larder {words[0]}'")
            continue
        flags = [word for word in words if word.startswith("--")]
        for name in re.findall(r"\$\{(\w+)\[@\]\}", match[1]):
            for array in re.findall(rf"\b{name}\+?=\(([^)]*)\)", text):
                flags += re.findall(r"(?<!\S)--[\w-]+", array)
        look.flags(path.name, command, flags)


def settings(look):
    """What up.sh gives to each node."""
    text = re.sub(r"\\\n\s*", " ", (look.directory / "up.sh").read_text())
    start = re.search(r'start_process "\$name" "\$larder" serve ([^\n]*)', text)
    if not start:
        return look.expect(False, "up.sh starts no node")
    given = set(re.findall(r"(?<!\S)--([a-z-]+)", start[1]))
    given |= set(re.findall(r"--([a-z-]+)", " ".join(re.findall(r"\bmembership=\(([^)]*)\)", text))))
    for name in NEEDED_SETTINGS - given:
        look.expect(False, f"up.sh: a node gets no --{name}")
