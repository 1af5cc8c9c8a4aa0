"""A node with users, for the tests of every adapter: who is let in, who is not, and what may be said of it."""

import logging

import pytest
from live_node import temporary_node

#: Name, tenant, scopes, password.
USERS = [
    ("engine", "team-a", "read,write", "Open:Sesame/1"),
    ("reader", "team-a", "read", "Sesame/2:Read"),
    ("other", "team-b", "read,write", "Sesame/3:Other"),
]
#: A login costs a node some computing, which on a busy machine takes longer than a look-up may.
PATIENT = {"lookup_deadline_ms": 60_000, "transfer_deadline_ms": 60_000}
WRONG = "Sesame/4:Wrong"
SECRETS = ["Sesame"]

_PASSWORDS = {name: password for name, _, _, password in USERS}
#: The same as a URL has them.
_QUOTED = {name: password.replace(":", "%3A").replace("/", "%2F") for name, password in _PASSWORDS.items()}


def settings_of(name):
    """An adapter's settings for a user."""
    return {"username": name, "password": _PASSWORDS[name], **PATIENT}


@pytest.fixture
def guarded_node(stack):
    """A node that asks everyone for a name and a password."""
    return temporary_node(stack, with_disk=True, users=USERS)


@pytest.fixture(params=["in the settings", "in the address", "in a variable"])
def accepted(request, guarded_node, monkeypatch):
    """Settings with which the node lets an adapter in, in each way to give them."""
    if request.param == "in the address":
        return {"address": f"redis://engine:{_QUOTED['engine']}@{guarded_node.address}", **PATIENT}
    if request.param == "in a variable":
        monkeypatch.setenv("LARDER_PASSWORD", _PASSWORDS["engine"])
        return {"username": "engine", **PATIENT}
    return settings_of("engine")


@pytest.fixture(params=["wrong password", "unknown user", "in the address", "no credentials"])
def rejected(request, guarded_node):
    """Settings with which it does not."""
    return {
        "wrong password": {"username": "engine", "password": WRONG},
        "unknown user": {"username": "nobody", "password": _PASSWORDS["engine"]},
        "in the address": {"address": f"redis://engine:{WRONG.replace('/', '%2F')}@{guarded_node.address}"},
        "no credentials": {},
    }[request.param]


@pytest.fixture
def said(caplog):
    """What was logged; at the end of the test no password may be in what this package logged, and nothing is an error
    or comes with a traceback."""
    caplog.set_level(logging.DEBUG, logger="larder")
    said = Said(caplog)
    yield said
    for record in [*caplog.get_records("setup"), *caplog.get_records("call")]:
        if record.name.startswith("larder"):
            assert record.levelno < logging.ERROR and record.exc_info is None, record.getMessage()
            assert not any(secret in record.getMessage() for secret in SECRETS)


class Said:
    def __init__(self, caplog):
        self._caplog = caplog

    def refusals(self):
        """The lines that tell an operator that the node refuses the adapter."""
        return [
            record.getMessage() for record in self._caplog.records
            if record.name == "larder" and record.levelno == logging.WARNING and "refuses" in record.getMessage()
        ]


def assert_keeps_its_secret(adapter):
    """No password is in what an object of this package, or one that it has, looks like."""
    seen, waiting = set(), [adapter]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        assert not any(secret in repr(thing) + str(thing) for secret in SECRETS), type(thing)
        if isinstance(thing, (list, tuple, set)):
            waiting += thing
        elif isinstance(thing, dict):
            waiting += thing.values()
        elif type(thing).__module__.startswith("larder") and hasattr(thing, "__dict__"):
            # What keeps the credentials has to have them somewhere: under these names, and nowhere else.
            keeps = ("username", "password", "address")
            for name, value in vars(thing).items():
                if name.lstrip("_") not in keeps and type(value).__module__.split(".")[0] in ("larder", "builtins"):
                    waiting.append(value)
