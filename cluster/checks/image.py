"""The Dockerfile."""
import re


def check(look):
    """Looks at the Dockerfile."""
    text = re.sub(r"\\\n", " ", (look.directory / "Dockerfile").read_text())
    stages = re.findall(r"^FROM (\S+)", text, re.M)
    look.expect(len(stages) == 2 and stages[0].endswith("-bookworm") and stages[1] == "debian:12-slim",
                f"Dockerfile: libraries of {stages} do not go together")
    look.expect(re.search(r"apt-get install [^&]*\bca-certificates\b", text.split("FROM debian", 1)[-1]),
                "Dockerfile: etcds:// has no certificates to prove etcd with")
    users = re.findall(r"^USER (\S+)", text, re.M)
    look.expect(users and re.match(r"[1-9]", users[-1]), "Dockerfile: runs as root")
    health = re.search(r"^HEALTHCHECK .*CMD \[(.*)\]", text, re.M)
    look.expect(health, "Dockerfile: no health check")
    if health:
        look.command("Dockerfile: health check", re.findall(r'"([^"]*)"', health[1]))
    manifest = (look.directory.parent / "Package.swift").read_text()
    tools = re.search(r"swift-tools-version: *(\d+\.\d+)", manifest)
    look.expect(tools and stages and f"swift:{tools[1]}-" in stages[0], "Dockerfile: not the Swift of Package.swift")
