"""What one tenant, or a stranger, does to a node: each attack makes its peers, and says what it must have reached to count."""

import json

from hostile_peers import CallPeer, Peer, command
from workload import KIB, MIB, Connection, ReplyError

ATTACKER, ATTACKER_PASSWORD = "beta", "only-for-this-check-b"
NAMESPACE = {"model": "check/attacker", "dtype": "uint8", "layout": "opaque", "tokens_per_block": 16}
LARGE, SMALL, SMALL_COUNT = 28 * MIB, 16 * KIB - 1, 2_000
LEASED_COUNT = 130


class Ports:
    """Where the node listens."""

    def __init__(self, redis, control, lm, events, replay):
        self.redis, self.control, self.lm, self.events, self.replay = redis, control, lm, events, replay
        #: The attacker's namespace, once it is prepared.
        self.attacked = b""

    def all(self):
        return [self.redis, self.control, self.lm, self.events, self.replay]


def login():
    return command("AUTH", ATTACKER, ATTACKER_PASSWORD)


def prepare(ports):
    """The attacker's own keys and blocks, which its requests name."""
    with Connection(ports.redis, timeout=60) as connection:
        connection.call("AUTH", ATTACKER, ATTACKER_PASSWORD)
        connection.call("SET", "large", bytes(LARGE))
        connection.call("SET", "small", bytes(SMALL))
        for start in range(0, SMALL_COUNT, 500):
            connection.pipeline([
                ("SET", ("key-%06d-" % number + "a" * 396).encode(), b"1") for number in range(start, start + 500)
            ])
        ports.attacked = bytes(connection.call("KV.DESCRIBE", json.dumps(NAMESPACE)))
        for number in range(LEASED_COUNT):
            payload = number.to_bytes(4, "big") * (MIB // 4)
            connection.call("KV.PUT", ports.attacked, "BLOCKS", 1, b"held-%d" % number, payload)


def slow_readers(ports):
    request = command("MGET", *[b"small"] * 3_000)
    return [Peer(ports.redis, login(), request, read_rate=64, again=3) for _ in range(200)]


def slow_senders(ports):
    large = 60 * MIB
    announced = b"*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$%d\r\n" % large
    peers = [Peer(ports.redis, login() + announced, bytes(4 * MIB), send_rate=80 * KIB, again=20) for _ in range(4)]
    half = b"*2\r\n$3\r\nGET\r\n$512\r\n"
    peers += [Peer(ports.redis, login() + half, bytes(500), send_rate=8, again=3) for _ in range(100)]
    peers += [Peer(ports.redis, b"*1\r\n", b"$4\r\nPI", send_rate=1, again=5) for _ in range(100)]
    return peers


def huge_mgets(ports):
    large = command("MGET", *[b"large"] * 30_000)
    small = command("MGET", *[b"small"] * 39_000)
    peers = [Peer(ports.redis, login(), large, read_rate=0, again=20) for _ in range(2)]
    return peers + [Peer(ports.redis, login(), small, read_rate=0, again=20) for _ in range(2)]


def patterns(ports):
    # A set of many members, none of which is in a key: each byte of each key is held against all of them. The short ones
    # are as long as a node may allow.
    scans = [
        command("SCAN", 0, "MATCH", b"*[" + b"!#%+" * (length // 4 - 2) + b"]q", "COUNT", 16_000) for length in (16_000, 1_024)
    ]
    configs = [
        command("CONFIG", "GET", *[b"*[%b]%d" % (b"acegikmo" * (length // 8 - 2), index) for index in range(count)])
        for length, count in ((1_600, 300), (1_024, 64))
    ]
    return [Peer(ports.redis, login(), request, repeats=1) for request in scans + scans + configs]


def grpc_streams(ports):
    health = "/grpc.health.v1.Health/"
    peers = [CallPeer(ports.control, health + "Watch", 90) for _ in range(2)]
    peers += [CallPeer(ports.control, health + "Check", 90) for _ in range(2)]
    peers += [CallPeer(ports.control, health + "Check", 80, message=2 * MIB) for _ in range(3)]
    user = f"{ATTACKER}:{ATTACKER_PASSWORD}"
    peers += [CallPeer(ports.control, "/larder.v1.Blocks/Put", 80, message=1 * MIB, user=user) for _ in range(2)]
    return peers + [Peer(ports.control, again=20) for _ in range(64)]


def silent(ports):
    return [Peer(port, again=20) for port in ports.all() for _ in range(200)]


def passwords(ports):
    peers = []
    for number in range(600):
        guesses = [command("AUTH", ATTACKER, f"guess-{number}-{index}") for index in range(4)]
        request = command("RESET").join(guesses) if number % 2 else guesses[0]
        peers.append(Peer(ports.redis, b"", request, repeats=7 if number % 2 else 1, again=20))
    return peers


def idle(ports):
    return [Peer(ports.redis, login(), again=1) for _ in range(10_000)]


def kept_requests(ports):
    keys = [b"%06d" % number + b"k" * 506 for number in range(32_700)]
    request = command("EXISTS", *keys)
    return [Peer(ports.redis, login(), request, again=0) for _ in range(60)]


def leases(ports):
    """Leases, pins and namespaces, as many as there are to be had."""
    keys = [b"held-%d" % number for number in range(LEASED_COUNT)]
    match = b"".join(command("KV.MATCH", ports.attacked, "LEASE", 600_000, "KEYS", 1, key) for key in keys)
    pin = command("KV.PIN", ports.attacked, "KEYS", len(keys), *keys)
    names = b"".join(
        command("KV.DESCRIBE", json.dumps({**NAMESPACE, "cache_salt": f"{number} " + "s" * 1000})) for number in range(4_200)
    )
    return [Peer(ports.redis, login(), match + pin, again=0), Peer(ports.redis, login(), names, again=0)]


#: By name: what makes the peers, how many connections must have been open or made for the attack to count, and what it is.
ATTACKS = {
    "slow-readers": (slow_readers, 200, "200 connections ask for 3,000 x 16 KiB each and read 64 bytes a second"),
    "slow-senders": (slow_senders, 204, "4 payloads of 60 MiB at 80 KiB/s, 200 requests a byte at a time"),
    "huge-mgets": (huge_mgets, 4, "30,000 x 28 MiB and 39,000 x 16 KiB asked for in one request, nothing read"),
    "patterns": (patterns, 6, "SCAN and CONFIG GET with patterns of 1 and 16 KB, over and over"),
    "grpc-streams": (grpc_streams, 73, "Health and Put calls whose message never ends, silent connections"),
    "silent": (silent, 1_000, "200 silent connections to each port"),
    "passwords": (passwords, 600, "600 connections guess passwords, half of them with RESET between"),
    "idle": (idle, 9_000, "10,000 connections that log in and stay"),
    "kept-requests": (kept_requests, 60, "60 connections send 17 MB of keys each and then nothing"),
    "leases": (leases, 2, "every lease, pin and namespace that one tenant can get"),
}


def usable(ports):
    """Whether the node answers the attacker at all, for messages."""
    try:
        with Connection(ports.redis, timeout=5) as connection:
            return connection.call("AUTH", ATTACKER, ATTACKER_PASSWORD) == b"OK"
    except (OSError, ReplyError):
        return False
