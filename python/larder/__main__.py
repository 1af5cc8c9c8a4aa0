"""``python -m larder``: try a node from Python."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from ._version import __version__
from .client import Client
from .errors import LarderError
from .namespace import Namespace
from .results import PutResult

_ABOUT = """\
Try a Larder node from Python: store a block, find it, read it back, and see how fast that is.

  larder serve --memory 2GiB --unix /tmp/larder.sock       # the node, in another terminal
  python -m larder describe '{"model":"m"}'                # a namespace's identifier; asks no node
  python -m larder put   --ns '{"model":"m"}' first README.md
  python -m larder match --ns '{"model":"m"}' first second third
  python -m larder get   --ns '{"model":"m"}' first copy.md
  python -m larder stats
  python -m larder bench --size 2 --count 64
  python -m larder bench --node unix:/tmp/larder.sock      # by the node's own memory

A key is text, or hex: and hexadecimal digits. A namespace is its JSON description, or @FILE with one.
Exit status: 0 done; 1 the answer is no (absent, refused); 64 the command line is wrong; 69 no node answers;
70 the node answered something unexpected; 74 reading or writing failed; 77 the node refuses who asks.
"""

_STATUS = {"unreachable": 69, "timed_out": 69, "unauthorized": 77}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m larder", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    node = _node_options()

    describe = commands.add_parser("describe", help="print a namespace's identifier and canonical description")
    describe.add_argument("ns", metavar="NAMESPACE", help="JSON description, or @FILE")
    describe.set_defaults(run=_describe)

    put = commands.add_parser("put", parents=[node], help="store a file as one block")
    _namespace_option(put)
    put.add_argument("key", help="text, or hex: and digits")
    put.add_argument("file", help="the payload; - is standard input")
    put.add_argument("--tokens", type=int, help="tokens whose keys and values the block holds")
    put.add_argument("--ttl-ms", type=int, help="milliseconds until the block expires (default: never)")
    put.add_argument("--pin", action="store_true", help="keep the block from being evicted")
    put.add_argument("--durable", action="store_true", help="answer only when the block is safe on disk")
    put.set_defaults(run=_put)

    get = commands.add_parser("get", parents=[node], help="write one block to a file")
    _namespace_option(get)
    get.add_argument("key", help="text, or hex: and digits")
    get.add_argument("file", nargs="?", default="-", help="where to (default: standard output)")
    get.set_defaults(run=_get)

    match = commands.add_parser(
        "match", parents=[node], help="how many of the first keys the node holds, and where"
    )
    _namespace_option(match)
    match.add_argument("keys", nargs="+", metavar="key")
    match.set_defaults(run=_match)

    stats = commands.add_parser("stats", parents=[node], help="figures of the node, or of one namespace")
    stats.add_argument("--ns", metavar="NAMESPACE", help="JSON description, or @FILE")
    stats.add_argument("--json", action="store_true", help="as one JSON object")
    stats.set_defaults(run=_stats)

    bench = commands.add_parser(
        "bench", parents=[node], help="store and read blocks, and say how fast that was"
    )
    bench.add_argument("--size", type=float, default=2.0, metavar="MIB", help="of a block (default: 2)")
    bench.add_argument("--count", type=int, default=64, help="blocks of a round (default: 64)")
    bench.add_argument("--batch", type=int, default=32, help="blocks of a call (default: 32)")
    bench.add_argument("--rounds", type=int, default=5, help="the median of so many is shown (default: 5)")
    bench.add_argument(
        "--no-shared-memory", action="store_true", help="by the socket, also where memory is shared"
    )
    bench.set_defaults(run=_bench)

    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except LarderError as error:
        hint = ": start one with 'larder serve', or see --node" if error.code == "unreachable" else ""
        print(f"larder: {error}{hint}", file=sys.stderr)
        return _STATUS.get(error.code, 70)
    except (ValueError, TypeError) as error:
        print(f"larder: {error}", file=sys.stderr)
        return 64
    except BrokenPipeError:
        # Whoever read the output has enough; Python must not complain of it again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 74
    except OSError as error:
        print(f"larder: {error}", file=sys.stderr)
        return 74


def _node_options() -> argparse.ArgumentParser:
    node = argparse.ArgumentParser(add_help=False)
    group = node.add_argument_group("node")
    group.add_argument(
        "--node",
        default=os.environ.get("LARDER_NODE") or "127.0.0.1:7379",
        metavar="ADDRESS",
        help="HOST:PORT or unix:PATH (default: %(default)s; LARDER_NODE)",
    )
    group.add_argument(
        "--user",
        default=os.environ.get("LARDER_USER") or None,
        metavar="NAME",
        help="for a node with users (LARDER_USER)",
    )
    group.add_argument(
        "--password-file",
        default=os.environ.get("LARDER_PASSWORD_FILE"),
        metavar="FILE",
        help="its first line is the password (LARDER_PASSWORD_FILE)",
    )
    group.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS", help="of one call (default: 5)")
    return node


def _namespace_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ns", required=True, metavar="NAMESPACE", help="JSON description, or @FILE")


def _client(options: argparse.Namespace, **settings: Any) -> Client:
    password = None
    if options.user is not None:
        if not options.password_file:
            raise ValueError("--user needs --password-file: a file whose first line is the password")
        with open(options.password_file, encoding="utf-8") as file:
            password = file.readline().rstrip("\r\n")
    return Client(options.node, options.user, password, deadline=options.timeout, breaker=None, **settings)


def _namespace(text: str) -> Namespace:
    if text.startswith("@"):
        with open(text[1:], encoding="utf-8") as file:
            text = file.read()
    return Namespace(json.loads(text, parse_float=_no_fraction, object_pairs_hook=_object))


def _no_fraction(text: str) -> NoReturn:
    raise ValueError(f"a description holds no fractions: write {text} as a string")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is there twice in one object of the description")
    return members


def _key(text: str) -> bytes:
    return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode("utf-8")


def _describe(options: argparse.Namespace) -> int:
    ns = _namespace(options.ns)
    print(ns.id, ns.canonical.decode("utf-8"))
    return 0


def _put(options: argparse.Namespace) -> int:
    ns, key = _namespace(options.ns), _key(options.key)
    if options.file == "-":
        payload = sys.stdin.buffer.read()
    else:
        with open(options.file, "rb") as file:
            payload = file.read()
    with _client(options) as client:
        client.hello(ns)
        result = client.put(ns, key, payload, options.tokens, options.ttl_ms, options.pin, options.durable)
    return _say(result)


def _say(result: PutResult) -> int:
    print(result.status + (f": {result.reason}" if result.reason else ""))
    return 0 if result else 1


def _get(options: argparse.Namespace) -> int:
    ns, key = _namespace(options.ns), _key(options.key)
    with _client(options) as client:
        client.hello(ns)
        payload = client.get(ns, key)
        if payload is None:
            print(f"absent: {client.explain(ns, [key])[0]}", file=sys.stderr)
            return 1
    if options.file == "-":
        sys.stdout.buffer.write(payload)
        sys.stdout.buffer.flush()
    else:
        with open(options.file, "wb") as file:
            file.write(payload)
    return 0


def _match(options: argparse.Namespace) -> int:
    ns, keys = _namespace(options.ns), [_key(key) for key in options.keys]
    with _client(options) as client:
        client.hello(ns)
        match = client.match(ns, keys)
    print(f"{match.count} of {len(keys)}")
    for key, tier in zip(options.keys, match.tiers):
        print(f"{tier:>8}  {key}")
    return 0 if match.count == len(keys) else 1


def _stats(options: argparse.Namespace) -> int:
    with _client(options) as client:
        figures = client.stats(_namespace(options.ns) if options.ns else None)
    if options.json:
        print(json.dumps(figures))
        return 0
    width = max(map(len, figures), default=0)
    for name, value in figures.items():
        print(f"{name:<{width}}  {value}")
    return 0


def _bench(options: argparse.Namespace) -> int:
    size, count, batch = int(options.size * (1 << 20)), options.count, options.batch
    if not (size > 0 and count > 0 and batch > 0 and options.rounds > 0):
        raise ValueError("--size, --count, --batch and --rounds are more than 0")
    with _client(options, shared_memory=not options.no_shared_memory and "auto") as client:
        ns = client.describe({"model": "python-bench", "process": str(os.getpid()), "dtype": "uint8"})
        client.hello(ns)
        payloads = [memoryview(os.urandom(8) + bytes(size))[:size] for _ in range(count)]
        buffers = [memoryview(bytearray(b"\1" * size)) for _ in range(count)]
        rates: dict[str, list[float]] = {"put": [], "get": []}
        # The first round is not counted: it makes connections and touches memory for the first time.
        for turn in range(options.rounds + 1):
            keys = [b"%d-%d" % (turn, index) for index in range(count)]
            begin = time.perf_counter()
            for start in range(0, count, batch):
                stop = start + batch
                for result in client.put_from(ns, keys[start:stop], payloads[start:stop]):
                    if not result:
                        return _say(result)
            middle = time.perf_counter()
            loaded = []
            for start in range(0, count, batch):
                loaded += client.get_into(ns, keys[start : start + batch], buffers[start : start + batch])
            end = time.perf_counter()
            if not all(loaded):
                print(
                    f"{loaded.count(False)} of {count} blocks did not come back: is the node's memory too small?"
                )
                return 1
            if any(buffer != payload for buffer, payload in zip(buffers, payloads)):
                print("wrong bytes came back")
                return 70
            if turn:
                rates["put"].append(size * count / (middle - begin) / 1e9)
                rates["get"].append(size * count / (end - middle) / 1e9)
            client.delete(ns, keys)
        counters = client.counters
    for name, shared in (("put", "shared_stores"), ("get", "shared_loads")):
        rate = sorted(rates[name])[len(rates[name]) // 2]
        way = "the node's memory" if counters[shared] else "the socket"
        print(f"{name}  {rate:6.2f} GB/s  {count} blocks of {size / (1 << 20):g} MiB, {batch} a call, by {way}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
