"""Sections over sockets: get, set, sizes, mixed, connections, match, LMCache's lm server, batches beside Mooncake."""

from figures import Spread, at_least, at_most
from node import NodeFailed


def tcp(server):
    return f"127.0.0.1:{server.port}"


def split(rows, count):
    """Rows case by case, each with `count` servers."""
    return [rows[start : start + count] for start in range(0, len(rows), count)]


def loopback(run):
    """GET and SET of 2 MiB, 1 and 4 in flight, on Larder, bare sockets and Redis."""
    versus = [tcp(run.bare), tcp(run.redis)]
    for operation, of_redis in (("get", 1.4), ("set", 1.2)):
        rows = run.bench.server(
            tcp(run.node), "--op", operation, "--size", "2MiB", "--inflight", "1,4", versus=versus
        )
        for larder, bare, redis in split(rows, 3):
            in_flight = larder["in_flight"].split("x")[0]
            what = f"{operation.upper()} 2 MiB, TCP, {in_flight} in flight"
            mine = Spread.of(larder, "gb_per_second")
            run.results.ratio(
                what, mine, Spread.of(redis, "gb_per_second"), "Redis", at_least(of_redis, f"{of_redis} x Redis")
            )
            goal = at_least(0.9, "0.9 x bare") if operation == "get" else None
            run.results.ratio(what, mine, Spread.of(bare, "gb_per_second"), "bare sockets", goal)


def sizes(run):
    """GET and SET of 64 KiB to 32 MiB, and GET with 20 % SET at 2 MiB, on Larder and Redis."""
    for arguments in (
        ("--op", "get,set", "--size", "64KiB,256KiB", "--keys", "256"),
        ("--op", "get,set", "--size", "1MiB,8MiB,32MiB", "--keys", "16"),
        ("--op", "mixed", "--size", "2MiB", "--inflight", "4"),
    ):
        rows = run.bench.server(tcp(run.node), *arguments, versus=[tcp(run.redis)], rounds=run.few, seconds=run.short)
        for larder, redis in split(rows, 2):
            size = larder["bytes"]
            name = f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
            operation = "GET with 20 % SET" if larder["op"] == "mixed" else larder["op"].upper()
            in_flight = larder["in_flight"].split("x")[0]
            run.results.ratio(
                f"{operation} {name}, TCP, {in_flight} in flight",
                Spread.of(larder, "gb_per_second"), Spread.of(redis, "gb_per_second"), "Redis",
            )


def connections(run):
    """GET with 1 to 1,000 connections: none of them may bring the node down to a crawl."""
    few, many = "1,2,8,64", "1000"
    for size, name, keys, seconds in (("64KiB", "64 KiB", "512", run.seconds), ("2MiB", "2 MiB", "64", 4 * run.seconds)):
        common = ("--op", "get", "--size", size, "--keys", keys, "--inflight")
        rows = run.bench.server(tcp(run.node), *common, few, versus=[tcp(run.redis)], rounds=run.few)
        # A round has to be long beside the time in which all thousand are answered once.
        rows += run.bench.server(
            tcp(run.node), *common, many, versus=[tcp(run.redis)], rounds=min(2, run.few), seconds=seconds
        )
        cases = split(rows, 2)
        best = max(Spread.of(larder, "gb_per_second").median for larder, _ in cases)
        for larder, redis in cases:
            count = int(larder["in_flight"].split("x")[0])
            speed = Spread.of(larder, "operations_per_second").median
            slowest = Spread.of(larder, "p99_us").median / 1e3
            mine = Spread.of(larder, "gb_per_second")
            run.results.ratio(
                f"GET {name}, {count:,} connections", mine, Spread.of(redis, "gb_per_second"), "Redis",
                unit=f"GB/s, {speed:,.0f} op/s, p99 {slowest:,.1f} ms",
            )
            if count == 1_000:
                run.results.figure(
                    f"GET {name}, {count:,} connections, of the best of these", mine.scaled(1 / best),
                    at_least(0.5, "0.5: no collapse"),
                )


def match(run):
    """KV.MATCH of 1,000 keys beside 1,000 EXISTS on Redis: awaited one by one, and in one pipeline."""
    matched, piped, awaited = [], [], []
    for _ in range(run.rounds):
        rows = run.bench.server(
            tcp(run.node), "--op", "match", "--keys", "1000", versus=[tcp(run.redis)], rounds=1, seconds=run.short
        )
        matched.append(rows[0]["p50_us"]["median"])
        piped.append(rows[1]["p50_us"]["median"])
        row = run.bench.server(
            tcp(run.redis), "--op", "exists", "--keys", "1000", "--batch", "1", rounds=1, seconds=run.short
        )[0]
        awaited.append(1_000 * 1e6 / row["keys_per_second"]["median"])
    matched = Spread(matched)
    run.results.figure("KV.MATCH of 1,000 keys, p50", matched, at_most(300, "300 us"), unit="us", digits=0)
    run.results.ratio(
        "KV.MATCH / 1,000 EXISTS one by one", matched, Spread(awaited), "Redis", at_least(10, "10 x faster"),
        unit="us", digits=0, inverse=True,
    )
    run.results.ratio(
        "KV.MATCH / 1,000 EXISTS in one pipeline", matched, Spread(piped), "Redis", unit="us", digits=0, inverse=True
    )


def lmcache(run):
    """The lm:// protocol, 2 MiB: Larder's listener beside LMCache's own server."""
    try:
        server = run.lm_server()
    except NodeFailed as failure:
        return run.results.absent("lm:// put and get 2 MiB against LMCache's lm server", str(failure).split("\n")[0])
    theirs = f"lm:127.0.0.1:{server.port}"
    rows = run.bench.server(
        tcp(run.node), "--op", "get,set", "--size", "2MiB", "--inflight", "1,4",
        versus=[f"lm:127.0.0.1:{run.lm_port}", theirs],
    )
    for larder, larder_lm, lmcache_lm in split(rows, 3):
        operation = {"get": "get", "set": "put"}[larder["op"]]
        in_flight = larder["in_flight"].split("x")[0]
        reference = Spread.of(lmcache_lm, "gb_per_second")
        what = f"{operation} 2 MiB, {in_flight} in flight"
        run.results.ratio(f"lm:// {what}", Spread.of(larder_lm, "gb_per_second"), reference, "LMCache lm server")
        run.results.ratio(f"RESP / lm:// {what}", Spread.of(larder, "gb_per_second"), reference, "LMCache lm server")
    server.kill_hard()


def mooncake(run):
    """Batches of 32 blocks, got and put: KV.GET and KV.PUT beside Mooncake's batch_get_into and batch_put_from."""
    drivers = {}
    try:
        store = run.mooncake_store()
    except NodeFailed as failure:
        return run.results.absent("batches of 32 against Mooncake Store", str(failure).split("\n")[0])
    drivers["Mooncake Store"] = store.client
    try:
        drivers["python/larder"] = run.python_client()
    except NodeFailed as failure:
        run.results.absent("batches of 32 by python/larder", str(failure).split("\n")[0])
    try:
        for mebibytes in (1, 2):
            _batches(run, drivers, mebibytes << 20)
    finally:
        store.stop()


def _batches(run, drivers, size):
    batches, puts = 4, (1 << 30) // (32 * size)
    order = {"size": size, "batch": 32, "batches": batches}
    common = ("--size", f"{size >> 20}MiB", "--batch", "32", "--keys", str(32 * batches))
    for driver in drivers.values():
        # The peer's memory is touched before it is measured, as a node's is when it starts.
        driver.tell(do="put", count=puts + puts // 2, **order)
        driver.tell(do="clear")
    names = ["larder bench", *drivers]
    figures = {way: {name: [] for name in names} for way in ("get", "put")}
    for _ in range(run.rounds):
        row = run.bench.server(tcp(run.node), "--op", "kvget", *common, rounds=1)[0]
        figures["get"]["larder bench"].append(row["gb_per_second"]["median"])
        for name, driver in drivers.items():
            driver.tell(do="fill", **order)
            driver.tell(do="get", seconds=0.3, **order)
            speed = driver.tell(do="get", seconds=run.seconds, **order)["gb_per_second"]
            figures["get"][name].append(speed)
            driver.tell(do="clear")
        row = run.bench.server(
            tcp(run.node), "--op", "kvput", *common, "--count", str(puts), "--warmup", "100ms", rounds=1
        )[0]
        figures["put"]["larder bench"].append(row["gb_per_second"]["median"])
        for name, driver in drivers.items():
            driver.tell(do="put", count=2, **order)
            figures["put"][name].append(driver.tell(do="put", count=puts, **order)["gb_per_second"])
            driver.tell(do="clear")
    for name, driver in drivers.items():
        driver.tell(do="fill", **order)
        wrong = driver.tell(do="verify", **order)["wrong"]
        driver.tell(do="clear")
        if wrong:
            run.results.fault(name, f"{wrong} blocks were not what was stored")
    for way, speeds in figures.items():
        what = f"batch {way}, 32 x {size >> 20} MiB, TCP"
        theirs, goal = Spread(speeds["Mooncake Store"]), at_least(2, "2 x Mooncake")
        run.results.ratio(what, Spread(speeds["larder bench"]), theirs, "Mooncake Store", goal)
        if "python/larder" in speeds:
            run.results.ratio(f"{what}, python/larder", Spread(speeds["python/larder"]), theirs, "Mooncake Store", goal)
