"""Fixtures for the engines' tests; scripts/test-engines.sh runs them, each engine in a process of its own.

LARDER_BIN names the node's program, LARDER_ENGINES the directory with the engines' sources: `vllm/`, `sglang/`.
"""

import contextlib
import json
import os
import pathlib
import sys
import time

import pytest

PYTHON = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PYTHON))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from credentials import accepted, guarded_node, rejected, said  # noqa: E402, F401  (fixtures for every engine's tests)
from live_node import temporary_node  # noqa: E402

#: How long anything is waited for before a test gives up; nothing here should take a tenth of it.
PATIENCE = float(os.environ.get("LARDER_TEST_PATIENCE", "120"))


def pytest_sessionfinish(session, exitstatus):
    """With --strict of the script, a test that was skipped is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("LARDER_STRICT") == "true" and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def node(stack):
    """A node that keeps blocks in RAM."""
    return temporary_node(stack)


@pytest.fixture
def durable_node(stack):
    """A node with a disk, which a restart leaves as it was."""
    return temporary_node(stack, with_disk=True)


@pytest.fixture
def recipe():
    """Reads a file of python/recipes/, with the address of the test's node in it."""

    def read(name, address):
        text = (PYTHON / "recipes" / name).read_text().replace("127.0.0.1:7379", address)
        return json.loads(text)

    return read


def until(condition, step=lambda: None, what="the awaited"):
    """Steps until `condition` gives something true, and returns that."""
    end = time.monotonic() + PATIENCE
    while not (result := condition()):
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come within {PATIENCE:.0f} s")
        step()
        time.sleep(0.001)
    return result
