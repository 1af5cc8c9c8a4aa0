"""The control plane, by clients that grpcio generates from proto/ and by grpcio's own client of grpc.health.v1."""

import importlib
import pathlib
import queue
import socket
import subprocess
import sys
import threading

import grpc
import pytest
import xxhash
from conftest import PATIENCE
from grpc_health.v1 import health_pb2, health_pb2_grpc
from live_node import PROGRAM, temporary_node

PROTO = pathlib.Path(__file__).resolve().parents[3] / "proto"
DESCRIPTION = '{"model":"tiny","dtype":"bfloat16","tokens_per_block":4}'


class Messages:
    """The generated modules, in one namespace."""

    def __init__(self, directory):
        files = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("larder/v1/*.proto"))
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO}"]
        subprocess.run(
            [*command, f"--python_out={directory}", f"--grpc_python_out={directory}", *files], check=True
        )
        sys.path.insert(0, str(directory))
        # `larder.v1` beside the package `larder` of this repository: its path takes in both.
        for name in ("control", "blocks", "events"):
            for suffix in ("pb2", "pb2_grpc"):
                vars(self).update(vars(importlib.import_module(f"larder.v1.{name}_{suffix}")))


@pytest.fixture(scope="session")
def messages(tmp_path_factory):
    return Messages(tmp_path_factory.mktemp("generated"))


class Control:
    """A node with a control plane, and a stub for each service."""

    def __init__(self, stack, messages, arguments=(), with_disk=False, memory="64MiB"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.node = temporary_node(
            stack, with_disk=with_disk, memory=memory,
            arguments=("--control-port", str(self.port), *arguments),
        )
        self.messages = messages
        self.channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{self.port}"))
        self.control = messages.ControlStub(self.channel)
        self.blocks = messages.BlocksStub(self.channel)
        self.events = messages.EventsStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def describe(self, **options):
        request = self.messages.DescribeNamespaceRequest(json=DESCRIPTION)
        return self.control.DescribeNamespace(request, timeout=PATIENCE, **options).namespace.id

    def put(self, ns, key, payload, piece=1 << 20, **header):
        def parts():
            fields = {"checksum": xxhash.xxh3_64_intdigest(payload), **header}
            yield self.messages.PutRequest(
                header=self.messages.PutHeader(
                    namespace_id=ns, key=key, payload_bytes=len(payload), **fields
                )
            )
            for first in range(0, len(payload), piece):
                yield self.messages.PutRequest(piece=payload[first:first + piece])

        return self.blocks.Put(parts(), timeout=PATIENCE).outcome

    def get(self, ns, key):
        header, *pieces = self.blocks.Get(
            self.messages.GetRequest(namespace_id=ns, key=key), timeout=PATIENCE
        )
        payload = b"".join(part.piece for part in pieces)
        assert header.header.payload_bytes == len(payload)
        assert header.header.checksum == xxhash.xxh3_64_intdigest(payload)
        return payload


@pytest.fixture
def control(stack, messages):
    return Control(stack, messages)


def refused(call, code, hint):
    with pytest.raises(grpc.RpcError) as error:
        call()
    assert error.value.code() == code
    assert hint in error.value.details()


def test_blocks_and_control(control, messages):
    ns = control.describe()
    payload = bytes(range(256)) * 10_000
    assert control.put(ns, b"a", payload, tokens=4) == messages.PutResponse.OUTCOME_STORED
    assert control.put(ns, b"a", payload, piece=1_000) == messages.PutResponse.OUTCOME_EXISTS
    assert control.get(ns, b"a") == payload
    refused(lambda: control.put(ns, b"a", b"other"), grpc.StatusCode.ALREADY_EXISTS, "immutable")
    refused(lambda: control.put(ns, b"b", b"x", checksum=1), grpc.StatusCode.DATA_LOSS, "nothing was stored")
    refused(lambda: control.get(ns, b"b"), grpc.StatusCode.NOT_FOUND, "Explain")

    keys = messages.Keys(key=[b"a", b"b"])
    match = control.control.Match(messages.MatchRequest(namespace_id=ns, keys=keys), timeout=PATIENCE)
    assert (match.matched_blocks, match.matched_tokens, match.queried_blocks) == (1, 4, 2)
    assert match.node[0].address == control.node.address
    assert match.node[0].run[0].tier == messages.TIER_MEMORY
    assert match.node[0].estimated_load_milliseconds > 0

    reasons = control.control.Explain(messages.ExplainRequest(namespace_id=ns, keys=keys)).explanation
    assert [reason.reason for reason in reasons] == [
        messages.Explanation.REASON_IN_MEMORY, messages.Explanation.REASON_NEVER_SEEN,
    ]
    request = messages.PinRequest(namespace_id=ns, keys=keys, milliseconds=1_000_000)
    assert list(control.control.Pin(request).pinned) == [True, False]
    request = messages.UnpinRequest(namespace_id=ns, keys=keys)
    assert list(control.control.Unpin(request).held) == [True, False]
    assert control.control.Prefetch(messages.PrefetchRequest(namespace_id=ns, keys=keys)).started == 0
    *_, warm = control.control.Warm(messages.WarmRequest(namespace_id=ns, keys=keys))
    assert (warm.blocks, warm.done, warm.in_memory, warm.missing) == (2, 2, 1, 1)
    assert [known.id for known in control.control.ListNamespaces(messages.ListNamespacesRequest()).namespace] == [ns]
    figures = {figure.name: figure for figure in control.control.Stats(messages.StatsRequest()).figure}
    assert figures["puts_stored"].integer == 1
    (member,) = control.control.ClusterView(messages.ClusterViewRequest()).member
    assert member.is_self and member.state == messages.Member.STATE_ACTIVE
    drain = control.control.Drain(messages.DrainRequest())
    refused(lambda: list(drain), grpc.StatusCode.FAILED_PRECONDITION, "no cluster")
    assert control.control.Evict(messages.EvictRequest(namespace_id=ns, keys=keys)).deleted == 1
    refused(
        lambda: control.control.Clear(messages.ClearRequest(namespace_id=ns)),
        grpc.StatusCode.FAILED_PRECONDITION, "confirm",
    )
    assert control.control.Clear(messages.ClearRequest(namespace_id=ns, confirm=ns)).deleted == 0


def test_match_by_tokens(control, messages):
    """Keys of tokens are those that this repository's own client makes."""
    from larder.hashing import block_hashes

    ns = control.describe()
    tokens = list(range(100, 111))
    digests = block_hashes(tokens, 4)
    assert len(digests) == 2
    for digest in digests:
        control.put(ns, digest, b"payload")
    request = messages.MatchRequest(namespace_id=ns, tokens=messages.Tokens(token=tokens))
    match = control.control.Match(request, timeout=PATIENCE)
    assert (match.queried_blocks, match.matched_blocks, match.matched_tokens) == (2, 2, 8)


def test_events(control, messages):
    ns = control.describe()
    control.put(ns, b"before", b"1")
    stream = control.events.Subscribe(
        messages.SubscribeRequest(namespace_id=[ns], snapshot=messages.SubscribeRequest.Snapshot()),
        timeout=PATIENCE,
    )
    seen, last = set(), None
    while b"before" not in seen:
        last = next(stream)
        seen.update(last.stored.hash)
    control.put(ns, b"after", b"2", parent_key=b"before")
    while b"after" not in seen:
        last = next(stream)
        seen.update(last.stored.hash)
    assert last.stored.parent_hash == b"before"
    control.control.Evict(messages.EvictRequest(namespace_id=ns, keys=messages.Keys(key=[b"after"])))
    while not last.removed.hash:
        last = next(stream)
    assert list(last.removed.hash) == [b"after"]
    stream.cancel()

    position = messages.SubscribeRequest.Position(run=last.run, sequence=last.sequence)
    again = control.events.Subscribe(messages.SubscribeRequest(position=position), timeout=PATIENCE)
    assert next(again).HasField("ready")
    assert list(next(again).removed.hash) == [b"after"]
    again.cancel()


def test_health_through_a_drain(control):
    request = health_pb2.HealthCheckRequest
    for service in ("", "larder.v1.Control", "larder.v1.Blocks", "larder.v1.Events"):
        answer = control.health.Check(request(service=service), timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    refused(
        lambda: control.health.Check(request(service="x"), timeout=PATIENCE),
        grpc.StatusCode.NOT_FOUND, "no such service",
    )
    told = queue.SimpleQueue()

    def watch():
        for answer in control.health.Watch(request(), timeout=PATIENCE):
            told.put(answer.status)
        told.put(None)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert told.get(timeout=PATIENCE) == health_pb2.HealthCheckResponse.SERVING
    control.node.stop()
    assert told.get(timeout=PATIENCE) == health_pb2.HealthCheckResponse.NOT_SERVING
    assert told.get(timeout=PATIENCE) is None
    watcher.join()


def test_users(stack, messages, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    users = tmp_path / "users.txt"
    subprocess.run(
        [PROGRAM, "user", "add", str(users), "router", "--tenant", "team", "--scopes", "read,write",
         "--password-file", str(secret)],
        check=True, capture_output=True,
    )
    control = Control(stack, messages, arguments=("--users", str(users)))
    refused(control.describe, grpc.StatusCode.UNAUTHENTICATED, "authorization: Basic")
    wrong = (("authorization", "Basic cm91dGVyOndyb25n"),)  # router:wrong
    refused(lambda: control.describe(metadata=wrong), grpc.StatusCode.UNAUTHENTICATED, "wrong password")
    right = (("authorization", "Basic cm91dGVyOnNlY3JldA=="),)  # router:secret
    ns = control.describe(metadata=right)
    refused(
        lambda: control.control.Clear(messages.ClearRequest(namespace_id=ns, confirm=ns), metadata=right),
        grpc.StatusCode.PERMISSION_DENIED, "admin",
    )
    answer = control.health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
