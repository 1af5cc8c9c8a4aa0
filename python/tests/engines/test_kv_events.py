"""The node's KV events, read by libzmq's own sockets and decoded by vLLM's own classes."""

import socket
import time

import msgspec
import pytest
import vllm_engine  # noqa: F401  (vLLM's modules can be imported from here on)
import zmq
from conftest import PATIENCE, until
from live_node import temporary_node
from vllm.distributed.kv_events import AllBlocksCleared, BlockRemoved, BlockStored, KVEventBatch
from vllm.v1.kv_offload.base import make_offload_key

END_SEQ = (-1).to_bytes(8, "big", signed=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Resp:
    """A connection that speaks just enough RESP."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._file = self._socket.makefile("rb")

    def __call__(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self._reply()

    def _reply(self):
        line = self._file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise AssertionError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        return rest

    def describe(self, model="a/model"):
        return self("KV.DESCRIBE", '{"model":"%s","tokens_per_block":16}' % model)

    def put(self, namespace, *keys, options=()):
        pairs = [part for key in keys for part in (key, b"payload of " + key)]
        return self("KV.PUT", namespace, *options, "BLOCKS", len(keys), *pairs)


class Events:
    """A node that publishes events, and the sockets that a router has."""

    def __init__(self, stack, *arguments, with_disk=False):
        self.port, self.replay_port = free_port(), free_port()
        self._stack = stack
        self.node = temporary_node(
            stack, with_disk=with_disk, memory="64MiB",
            arguments=("--events-port", str(self.port), "--events-replay-port", str(self.replay_port),
                       "--events-pod", "pod-0", *arguments),
        )
        self.context = stack.enter_context(zmq.Context())
        self.client = Resp(self.node.port)

    def socket(self, kind, port, **options):
        made = self.context.socket(kind)
        self._stack.callback(made.close, 0)
        made.setsockopt(zmq.RCVTIMEO, int(PATIENCE * 1000))
        for name, value in options.items():
            made.setsockopt(getattr(zmq, name), value)
        made.connect(f"tcp://127.0.0.1:{port}")
        return made

    def subscriber(self, *topics, **options):
        return Subscriber(self, self.socket(zmq.SUB, self.port, **options), topics)

    def figure(self, name):
        fields = self.client("KV.STATS")
        return dict(zip(fields[::2], fields[1::2]))[name.encode()]


class Subscriber:
    """What a router makes of the messages: the mediums of each hash."""

    def __init__(self, events, sub, topics):
        self.sub, self.last, self.mediums, self.cleared, self.parents = sub, None, {}, 0, {}
        self.topics, self.batches, self.groups, self.sizes = set(), [], {}, {}
        before = events.figure("events_subscriptions")
        for topic in topics or ("",):
            sub.subscribe(topic)
        until(lambda: events.figure("events_subscriptions") == before + max(1, len(topics)), what="the subscription")

    def receive(self):
        return self.take(*self.sub.recv_multipart())

    def take(self, topic, number, payload):
        number = int.from_bytes(number, "big")
        batch = msgspec.msgpack.decode(payload, type=KVEventBatch)
        self.batches.append((number, topic, payload))
        self.last = number
        self.topics.add(topic)
        assert abs(batch.ts - time.time()) < 3_600 and batch.data_parallel_rank == 0
        for event in batch.events:
            self.apply(event)
        return batch

    def apply(self, event):
        if isinstance(event, AllBlocksCleared):
            self.cleared += 1
            self.mediums = {}
        elif isinstance(event, BlockStored):
            assert event.token_ids == [] and event.lora_id is None and event.lora_name is None
            parent = event.parent_block_hash
            for block in event.block_hashes:
                assert event.medium not in self.mediums.setdefault(block, set())
                self.mediums[block].add(event.medium)
                self.parents[block], self.groups[block], self.sizes[block] = parent, event.group_idx, event.block_size
                parent = block
        else:
            assert isinstance(event, BlockRemoved)
            for block in event.block_hashes:
                self.mediums[block].remove(event.medium)
                if not self.mediums[block]:
                    del self.mediums[block]

    def until(self, condition):
        while not condition(self):
            self.receive()


def keys(*numbers):
    return [bytes([number]) * 32 for number in numbers]


def test_a_router_sees_what_is_held(stack):
    events = Events(stack)
    router = events.subscriber()
    namespace = events.client.describe()
    events.client.put(namespace, *keys(1, 2, 3), options=("TOKENS", 256))
    router.until(lambda seen: len(seen.mediums) == 3)
    assert router.mediums == {key: {"CPU"} for key in keys(1, 2, 3)}
    assert router.parents == dict(zip(keys(1, 2, 3), [None, *keys(1, 2)]))
    assert set(router.sizes.values()) == {256} and router.cleared == 1
    assert router.topics == {b"kv@pod-0@a/model"}
    # What is announced is there, and a match shows the block before the next one.
    assert events.client("KV.MATCH", namespace, "KEYS", 4, *keys(1, 2, 3, 4))[0] == 3
    events.client.put(namespace, *keys(4))
    router.until(lambda seen: len(seen.mediums) == 4)
    assert router.parents[keys(4)[0]] == keys(3)[0] and router.sizes[keys(4)[0]] == 16
    assert events.client("KV.DEL", namespace, "KEYS", 1, *keys(2)) == 1
    router.until(lambda seen: len(seen.mediums) == 3)
    assert events.client("KV.CLEAR", namespace) == 3
    router.until(lambda seen: not seen.mediums)
    # vLLM's encoder writes the same bytes.
    for _, _, payload in router.batches:
        batch = msgspec.msgpack.decode(payload, type=KVEventBatch)
        assert msgspec.msgpack.Encoder().encode(batch) == payload


def test_offload_keys_tell_their_group(stack):
    events = Events(stack)
    router = events.subscriber()
    namespace = events.client.describe()
    blocks = [make_offload_key(key, group) for group in (0, 1) for key in keys(1 + group, 3 + group)]
    events.client.put(namespace, *blocks)
    router.until(lambda seen: len(seen.mediums) == 4)
    assert router.groups == dict(zip(keys(1, 3, 2, 4), (0, 0, 1, 1)))
    assert router.parents == dict(zip(keys(1, 3, 2, 4), (None, keys(1)[0], None, keys(2)[0])))


def test_hashes_as_numbers(stack):
    events = Events(stack, "--events-hashes", "int64")
    router = events.subscriber()
    events.client.put(events.client.describe(), bytes(range(32)))
    router.until(lambda seen: seen.mediums)
    assert list(router.mediums) == [int.from_bytes(bytes(range(24, 32)), "big")]


def test_the_older_dialect(stack):
    class Stored(msgspec.Struct, array_like=True, tag="BlockStored"):
        block_hashes: list[bytes]
        parent_block_hash: bytes | None
        token_ids: list[int]
        block_size: int
        lora_id: int | None
        medium: str | None = None
        lora_name: str | None = None

    class Removed(msgspec.Struct, array_like=True, tag="BlockRemoved"):
        block_hashes: list[bytes]
        medium: str | None = None

    class Cleared(msgspec.Struct, array_like=True, tag="AllBlocksCleared"):
        pass

    class Batch(msgspec.Struct, array_like=True):
        ts: float
        events: list[Stored | Removed | Cleared]
        data_parallel_rank: int | None = None

    events = Events(stack, "--events-dialect", "array")
    sub = events.subscriber().sub
    namespace = events.client.describe()
    events.client.put(namespace, b"k" * 32)
    events.client("KV.DEL", namespace, "KEYS", 1, b"k" * 32)
    events.client.put(namespace, b"l" * 32)
    seen = []
    while Stored([b"l" * 32], None, [], 16, None, "CPU", None) not in seen:
        seen += msgspec.msgpack.decode(sub.recv_multipart()[2], type=Batch).events
    assert seen[0] == Cleared()
    # A block that went as soon as it had come may not have been told of at all.
    assert seen[1:-1] in ([], [Stored([b"k" * 32], None, [], 16, None, "CPU", None), Removed([b"k" * 32], "CPU")])


def test_a_subscriber_of_one_topic_and_its_heartbeats(stack):
    events = Events(stack)
    everything = events.subscriber()
    one = events.subscriber("kv@pod-0@b", "kv@pod-0@c", HEARTBEAT_IVL=20, HEARTBEAT_TIMEOUT=2_000)
    spaces = {name: events.client.describe(name) for name in "abc"}
    for name in "abc":
        events.client.put(spaces[name], f"{name}-first".encode(), f"{name}-last".encode())
    one.until(lambda seen: b"b-last" in seen.mediums and b"c-last" in seen.mediums)
    assert {key[:1] for key in one.mediums} == {b"b", b"c"}
    # Heartbeats went to and fro all the while; the connection is the same.
    time.sleep(0.3)
    one.sub.unsubscribe("kv@pod-0@b")
    until(lambda: events.figure("events_subscriptions") == 2, what="the end of a subscription")
    for name in "bc":
        events.client.put(spaces[name], f"{name}-after".encode())
    one.until(lambda seen: b"c-after" in seen.mediums)
    everything.until(lambda seen: b"b-after" in seen.mediums and b"c-after" in seen.mediums)
    assert b"b-after" not in one.mediums
    assert events.figure("events_peers") == 2 and events.figure("events_peers_cut") == 0


@pytest.mark.parametrize("kind", ["DEALER", "REQ"])
def test_what_was_missed_is_repeated(stack, kind):
    events = Events(stack)
    router = events.subscriber()
    namespace = events.client.describe()
    for number in range(20):
        events.client.put(namespace, *keys(number))
        router.until(lambda seen: len(seen.mediums) == number + 1)
    published = {number: (topic, payload) for number, topic, payload in router.batches}
    first = router.last - 5
    replay = events.socket(getattr(zmq, kind), events.replay_port)
    if kind == "REQ":
        replay.send(first.to_bytes(8, "big"))
        # A REQ socket takes one reply for a request: the first message.
        topic, number, payload = replay.recv_multipart()
        assert int.from_bytes(number, "big") == first and published[first] == (topic, payload)
        return
    replay.send_multipart((b"", first.to_bytes(8, "big")))
    for expected in range(first, router.last + 1):
        empty, topic, number, payload = replay.recv_multipart()
        assert empty == b"" and int.from_bytes(number, "big") == expected
        assert published[expected] == (topic, payload)
    assert replay.recv_multipart() == [b"", b"", END_SEQ, b""]
    # Everything, from the start of the run.
    replay.send_multipart((b"", (0).to_bytes(8, "big")))
    numbers = []
    while (message := replay.recv_multipart())[2] != END_SEQ:
        numbers.append(int.from_bytes(message[2], "big"))
    assert numbers == list(range(router.last + 1))


def test_a_restart_voids_what_was_told(stack):
    events = Events(stack, with_disk=True)
    router = events.subscriber()
    namespace = events.client.describe()
    events.client.put(namespace, *keys(1, 2, 3), options=("DURABLE",))
    router.until(lambda seen: list(seen.mediums.values()) == [{"CPU", "STORAGE"}] * 3)
    events.node.kill()
    events.node.start()
    events.client = Resp(events.node.port)
    # The socket connects again by itself, and says what it wants as soon as it is looked at.
    until(
        lambda: events.figure("events_subscriptions") == 1,
        step=lambda: router.sub.poll(10),
        what="the subscription",
    )
    assert events.client.describe() == namespace
    router.until(lambda seen: seen.cleared == 2)
    router.until(lambda seen: len(seen.mediums) == 3)
    assert router.mediums == {key: {"STORAGE"} for key in keys(1, 2, 3)}
    assert events.client("KV.GET", namespace, "KEYS", 1, *keys(1)) == [b"payload of " + keys(1)[0]]
    router.until(lambda seen: seen.mediums[keys(1)[0]] == {"CPU", "STORAGE"})


def test_a_late_router_catches_up(stack):
    events = Events(stack)
    first = events.subscriber()
    namespace = events.client.describe()
    for number in range(50):
        events.client.put(namespace, *keys(number))
    first.until(lambda seen: len(seen.mediums) == 50)
    late = events.subscriber()
    replay = events.socket(zmq.DEALER, events.replay_port)
    replay.send_multipart((b"", (0).to_bytes(8, "big")))
    while (message := replay.recv_multipart())[2] != END_SEQ:
        late.take(*message[1:])
    assert late.mediums == first.mediums
    events.client.put(namespace, *keys(50))
    late.until(lambda seen: keys(50)[0] in seen.mediums)
    assert late.last == first.last + 1
