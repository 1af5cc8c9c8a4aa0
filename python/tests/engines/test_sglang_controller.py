"""SGLang's own cache controllers and their storage threads over the backend, against a live node; see sglang_engine.py
for what stands in for a GPU."""

import logging

import pytest
import torch
from sglang_engine import PAGE, Engine

PAGES = 300  # three of the storage threads' batches of 128 pages


def tokens_of(count, first=7):
    return list(range(first, first + count * PAGE))


@pytest.fixture
def engines(stack, recipe):
    def make(address, settings=None, interface_v1=1, **options):
        extra = recipe("sglang.json", address)
        extra["larder"].update(settings or {})
        extra["interface_v1"] = interface_v1
        engine = Engine(extra, **options)
        stack.callback(engine.close)
        return engine

    return make


@pytest.fixture
def errors(caplog):
    """What SGLang logged as an error: an exception that reached its threads is one."""
    caplog.set_level(logging.ERROR)
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def assert_same(one, other):
    assert all(torch.equal(here, there) for here, there in zip(one, other, strict=True))


KINDS = [(True, "page_first_direct"), (True, "layer_first"), (False, "page_first_direct"), (False, "layer_first")]


@pytest.mark.parametrize("is_hybrid, layout", KINDS)
def test_one_server_backs_up_and_another_prefetches(node, engines, errors, is_hybrid, layout):
    writer, reader = (engines(node.address, is_hybrid=is_hybrid, layout=layout) for _ in range(2))
    tokens = tokens_of(PAGES)
    rows, computed = writer.compute(tokens, seed=1)
    assert writer.back_up(tokens, rows) == len(tokens)

    more = tokens + tokens_of(5, first=1_000_000)
    completed, host_rows = reader.prefetch(more)
    assert completed == len(tokens)
    assert_same(computed, reader.rows(reader.load(host_rows)))
    stats = reader.backend.get_stats()
    assert sum(stats.prefetch_pgs) == PAGES
    assert errors() == []


def test_with_interface_v1_nothing_is_copied(node, engines):
    controller = engines(node.address).controller
    assert controller.page_get_func == controller._page_get_zero_copy
    assert controller.page_set_func == controller._page_set_zero_copy


@pytest.mark.parametrize("is_hybrid", [True, False])
def test_without_interface_v1_whole_pages_are_copied(node, engines, errors, is_hybrid):
    writer, reader, other = (
        engines(node.address, interface_v1=0, is_hybrid=is_hybrid, layout=layout)
        for layout in ("page_first_direct", "page_first_direct", "layer_first")
    )
    assert writer.controller.page_get_func == writer.controller._generic_page_get
    tokens = tokens_of(9, first=3)
    rows, computed = writer.compute(tokens, seed=2)
    assert writer.back_up(tokens, rows) == len(tokens)
    completed, host_rows = reader.prefetch(tokens)
    assert completed == len(tokens)
    assert_same(computed, reader.rows(reader.load(host_rows)))
    # Pages of the same size whose bytes lie in another order are other pages, and so are those of the other interface.
    assert other.prefetch(tokens)[0] == 0
    assert engines(node.address, is_hybrid=is_hybrid).prefetch(tokens)[0] == 0
    assert errors() == []


@pytest.mark.parametrize("is_hybrid", [True, False])
def test_a_hole_ends_the_prefix(node, engines, is_hybrid):
    engine = engines(node.address, is_hybrid=is_hybrid)
    tokens = tokens_of(PAGES)
    rows, computed = engine.compute(tokens, seed=3)
    assert engine.back_up(tokens[: 140 * PAGE], rows[: 140 * PAGE]) == 140 * PAGE
    completed, host_rows = engine.prefetch(tokens)
    assert completed == 140 * PAGE
    assert_same([part[: 140 * PAGE] for part in computed], engine.rows(engine.load(host_rows)))


def in_the_middle(controller, name, happens):
    """Lets `happens` come before the second batch of the storage thread, whose function has this name."""
    original, calls = getattr(controller, name), []

    def wrapped(*arguments, **named):
        calls.append(1)
        if len(calls) == 2:
            happens()
        return original(*arguments, **named)

    setattr(controller, name, wrapped)


PATIENT = {"lookup_deadline_ms": 60_000, "transfer_deadline_ms": 60_000}
HASTY = {"lookup_deadline_ms": 300, "transfer_deadline_ms": 300}


@pytest.mark.parametrize("is_hybrid", [True, False])
@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_node_that_goes_in_the_middle_costs_pages_and_never_a_thread(durable_node, engines, errors, how, is_hybrid):
    """Killed, or stopped with its connections open, where only the deadline helps. With it back, all goes on."""
    comes = durable_node.start if how == "kill" else durable_node.thaw
    one, two, three = (
        engines(durable_node.address, settings, is_hybrid=is_hybrid, pages=2 * PAGES)
        for settings in (PATIENT, HASTY, PATIENT)
    )

    def goes_for(engine):
        def goes():
            # Nothing that the node is to do has a short deadline, on however slow a machine.
            engine.backend._client._link.deadline = 0.3
            durable_node.kill() if how == "kill" else durable_node.freeze()

        return goes

    tokens, others = tokens_of(PAGES), tokens_of(PAGES, first=2_000_000)
    rows, computed = one.compute(tokens, seed=4)
    assert one.back_up(tokens, rows) == len(tokens)
    # In order once, so that every page is on the disk.
    durable_node.stop()
    durable_node.start()
    in_the_middle(one.controller, "page_get_func", goes_for(one))
    completed, host_rows = one.prefetch(tokens)
    assert completed == 128 * PAGE
    assert_same([part[:completed] for part in computed], one.rows(one.load(host_rows)))

    # While it is away: a lookup is a miss, a back-up stores nothing.
    assert two.prefetch(tokens)[0] == 0
    rows, _ = two.compute(others, seed=5)
    assert two.back_up(others, rows) == 0
    assert all(thread.is_alive() for engine in (one, two) for thread in engine.threads())

    comes()
    completed, host_rows = three.prefetch(tokens)
    assert completed == len(tokens)
    assert_same(computed, three.rows(three.load(host_rows)))
    in_the_middle(three.controller, "page_set_func", goes_for(three))
    # The same as before: what the node may have taken of it in its last moment is no other block.
    rows, computed = three.compute(others, seed=5)
    assert three.back_up(others, rows) == 128 * PAGE
    assert all(thread.is_alive() for thread in three.threads())

    comes()
    last = engines(durable_node.address, PATIENT, is_hybrid=is_hybrid, pages=2 * PAGES)
    completed, host_rows = last.prefetch(others)
    assert how == "kill" or completed >= 128 * PAGE
    if completed:
        assert_same([part[:completed] for part in computed], last.rows(last.load(host_rows)))
    assert errors() == []


def test_a_prefetch_that_is_cancelled_ends_with_what_had_come(node, engines):
    engine = engines(node.address)
    tokens = tokens_of(PAGES)
    rows, _ = engine.compute(tokens, seed=6)
    assert engine.back_up(tokens, rows) == len(tokens)
    operations = []
    original = engine.controller._page_transfer
    engine.controller._page_transfer = lambda operation: (operations.append(operation), original(operation))
    in_the_middle(engine.controller, "page_get_func", lambda: engine.controller.terminate_prefetch(operations[0]))
    completed, _ = engine.prefetch(tokens)
    # The batch that was under way is finished, the one after it is not begun.
    assert completed == 256 * PAGE


def test_a_backend_is_detached_and_attached_at_run_time(node, engines, recipe):
    engine = engines(node.address)
    tokens = tokens_of(20)
    rows, computed = engine.compute(tokens, seed=7)
    assert engine.back_up(tokens, rows) == len(tokens)
    threads = engine.threads()
    engine.controller.detach_storage_backend()
    assert not any(thread.is_alive() for thread in threads)
    engine.controller.attach_storage_backend(
        "dynamic", prefetch_threshold=PAGE, model_name="a/model",
        storage_backend_extra_config=recipe("sglang.json", node.address),
        host_pools=engine.controller.mem_pool_host.entries,
    )
    completed, host_rows = engine.prefetch(tokens)
    assert completed == len(tokens)
    assert_same(computed, engine.rows(engine.load(host_rows)))


def test_a_reset_of_the_cache_keeps_the_backend(node, engines):
    engine = engines(node.address)
    tokens = tokens_of(20, first=50_000)
    rows, computed = engine.compute(tokens, seed=8)
    assert engine.back_up(tokens, rows) == len(tokens)
    engine.controller.reset()
    assert all(thread.is_alive() for thread in engine.threads())
    completed, host_rows = engine.prefetch(tokens)
    assert completed == len(tokens)
    assert_same(computed, engine.rows(engine.load(host_rows)))
