"""redis-py against a node: values of 64 KiB to 32 MiB, both protocols, pipelines, expiry, scans, missing keys."""

import random
import sys
import time

import redis

port, seed = int(sys.argv[1]), int(sys.argv[2])
generator = random.Random(seed)
checks = 0


def check(name, is_right):
    global checks
    if not is_right:
        print("FAILED: %s" % name, flush=True)
        sys.exit(1)
    checks += 1


for protocol in (2, 3):
    client = redis.Redis(host="127.0.0.1", port=port, protocol=protocol, db=protocol)
    client.flushdb()
    check("ping", client.ping() is True)
    size = 64 << 10
    while size <= 32 << 20:
        value = generator.randbytes(size)
        name = "value:%d" % size
        check("set %d" % size, client.set(name, value) is True)
        check("get %d" % size, client.get(name) == value)
        check("strlen %d" % size, client.strlen(name) == size)
        check("getrange %d" % size, client.getrange(name, 10, 99) == value[10:100])
        check("mget %d" % size, client.mget([name, "missing", name]) == [value, None, value])
        size *= 2
    check("get of a missing key", client.get("missing") is None)
    check("exists", client.exists("value:65536", "missing", "value:65536") == 2)
    check("set nx on a key that is there", client.set("value:65536", b"x", nx=True) is None)
    check("set xx on a missing key", client.set("missing", b"x", xx=True) is None)
    check("set replaces", client.set("small", b"one") and client.set("small", b"two") and client.get("small") == b"two")
    check("set get", client.set("small", b"three", get=True) == b"two")
    check("px", client.set("short", b"x", px=150) and 0 < client.pttl("short") <= 150)
    time.sleep(0.25)
    check("expired", client.get("short") is None and client.ttl("short") == -2)
    check("expire", client.set("small", b"x") and client.expire("small", 100) and 90 < client.ttl("small") <= 100)
    check("persist", client.persist("small") and client.ttl("small") == -1)
    check("type", client.type("small") == b"string" and client.type("missing") == b"none")
    with client.pipeline(transaction=False) as pipeline:
        for index in range(1000):
            pipeline.set("many:%d" % index, b"%d" % index)
        check("pipelined sets", all(pipeline.execute()))
        for index in range(1000):
            pipeline.get("many:%d" % index)
        check("pipelined gets", pipeline.execute() == [b"%d" % index for index in range(1000)])
    check("scan", {key for key in client.scan_iter("many:*", count=100)} == {b"many:%d" % i for i in range(1000)})
    check("dbsize", client.dbsize() >= 1000)
    check("delete", client.delete(*["many:%d" % index for index in range(1000)]) == 1000)
    check("unlink", client.unlink("small", "missing") == 1)
    check("info", "redis_version" in client.info())
    check("flushdb", client.flushdb() and client.dbsize() == 0)
print("redis-py %s: %d checks passed" % (redis.__version__, checks))
