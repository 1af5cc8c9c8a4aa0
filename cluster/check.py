#!/usr/bin/env python3
"""Checks that the scripts, the compose file and the manifests in this directory fit the program, and each other.

    cluster/check.py [--larder PATH] [--breakages]

Every flag has to be one of `larder ... --help`, every probe and hook a command that there is, and each node's settings
are read by `larder serve --print-config` itself. Sizes, times, ports, names and secrets have to go together.
--breakages also breaks a copy in many ways, one after the other, and fails unless each is noticed.

Needs PyYAML, which scripts/install.sh installs.
"""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True

try:
    from checks import breakages, compose, image, kubernetes, scripts
    from checks.look import Look
    from checks.program import Program
except ModuleNotFoundError as error:
    if error.name != "yaml":
        raise
    # It is installed for the system's Python, which need not be the first one.
    system = "/usr/bin/python3"
    if os.path.exists(system) and os.path.realpath(sys.executable) != os.path.realpath(system):
        os.execv(system, [system, *sys.argv])
    sys.exit("check.py: there is no PyYAML; scripts/install.sh installs it")

HERE = pathlib.Path(__file__).resolve().parent


def look_at(program, directory):
    """Looks at everything in a directory like this one."""
    look = Look(program, directory)
    scripts.check(look)
    if look.make_secrets():
        compose.check(look)
        kubernetes.check(look)
    image.check(look)
    return look


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--larder", default=os.environ.get("LARDER_BIN"), help="the program; LARDER_BIN, or a build")
    parser.add_argument("--breakages", action="store_true", help="break a copy in many ways: each has to be noticed")
    options = parser.parse_args()
    builds = [HERE.parent / ".build" / kind / "larder" for kind in ("debug", "release")]
    path = options.larder or next((str(build) for build in builds if build.exists()), None)
    if not path or not shutil.which(path):
        sys.exit("check.py: no larder; build it, or say with --larder or LARDER_BIN where it is")
    with tempfile.TemporaryDirectory() as folder:
        program = Program(os.path.abspath(shutil.which(path)), pathlib.Path(folder))
        look = look_at(program, HERE)
        faults = look.faults
        if not faults and options.breakages:
            missed = breakages.unnoticed(lambda directory: look_at(program, directory).faults, HERE)
            faults = [f"not noticed: {fault}" for fault in missed]
    for fault in faults:
        print(f"cluster: {fault}", file=sys.stderr)
    if faults:
        sys.exit(1)
    noticed = f", {len(breakages.BREAKAGES)} breakages noticed" if options.breakages else ""
    print(f"cluster: {look.command_count} commands fit{noticed}")


if __name__ == "__main__":
    main()
