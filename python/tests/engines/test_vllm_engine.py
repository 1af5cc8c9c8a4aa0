"""Whole vLLM engines, without model and GPU, share what they computed through a node; see `vllm_engine`."""

import random

import pytest

from conftest import until
from vllm_engine import TOKENS_PER_BLOCK, Engine, kv_cache_config, vllm_config

import larder


@pytest.fixture
def engines(stack, recipe, tmp_path):
    """Makes engines from a recipe's file."""

    def make(name, address, /, block_count=512, layers=4, windowed_layers=0, ranks=1, **changes):
        transfer = recipe(name, address)
        extra = transfer["kv_connector_extra_config"]
        if "secondary_tiers" in extra:
            # 10 GiB of CPU memory, as the recipe has it, are more than a test needs.
            extra["cpu_bytes_to_use"] = 64 << 20
            extra["block_size"] = 2 * TOKENS_PER_BLOCK
            extra["secondary_tiers"][0].update(changes)
        else:
            extra.update(changes)
        config = vllm_config(tmp_path, transfer, tensor_parallel_size=ranks)
        engine = Engine(config, kv_cache_config(block_count, layers, windowed_layers))
        stack.callback(engine.close)
        return engine

    return make


def prompt(length, seed):
    generator = random.Random(seed)
    return [generator.randrange(3, 1000) for _ in range(length)]


def serve(engine, name, tokens, max_tokens=1):
    """Serves one request to its end; how many of its tokens were loaded instead of computed."""
    engine.add(name, tokens, max_tokens)
    until(lambda: not engine.is_busy, engine.step, f"the end of {name}")
    assert engine.wrong == []
    return engine.loaded_tokens[name]


def settle(engine):
    """Steps until nothing of the engine's stores is under way."""
    halves = [getattr(worker.connector, "_worker", None) for worker in engine.workers]
    if all(halves):
        until(lambda: not any(half._transfers.unfinished_count for half in halves), what="the end of the stores")
        return
    manager = engine.scheduler.connector.connector_scheduler.manager
    for _ in range(3):
        engine.step()
    until(lambda: not manager.has_pending_work(), engine.step, "the end of the stores")


RECIPES = ["vllm-tier.json", "vllm-connector.json"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_second_engine_loads_what_the_first_computed(node, engines, name):
    tokens = prompt(1_000, 1)
    first = engines(name, node.address)
    assert serve(first, "a", tokens) == 0
    settle(first)
    second = engines(name, node.address)
    # All but the last tokens: whole chunks only, and the last token is always computed.
    assert serve(second, "b", tokens) >= 960
    assert serve(second, "c", prompt(300, 2)) == 0
    assert serve(second, "d", tokens[:500] + prompt(300, 3)) >= 480


@pytest.mark.parametrize("name", RECIPES)
def test_each_of_two_ranks_loads_its_own_share(node, engines, name):
    tokens = prompt(600, 90)
    first = engines(name, node.address, ranks=2)
    serve(first, "a", tokens)
    settle(first)
    assert serve(engines(name, node.address, ranks=2), "b", tokens) >= 576
    # Another shape has other blocks.
    assert serve(engines(name, node.address), "c", tokens) == 0


def test_what_one_rank_lacks_is_no_hit_of_the_connector(node, engines):
    tokens = prompt(600, 91)
    first = engines("vllm-connector.json", node.address, ranks=2)
    serve(first, "a", tokens)
    settle(first)
    second = engines("vllm-connector.json", node.address, ranks=2)
    half = second.scheduler.connector._scheduler
    key = half._layout.key(first.request("named", tokens, 1), half._layout.groups[0], 20)
    assert half._client.delete(half._namespaces[1], [key]) == 1
    assert serve(second, "b", tokens) == 20 * TOKENS_PER_BLOCK


@pytest.mark.parametrize("name", RECIPES)
def test_many_requests_at_once_share_prefixes_and_none_gets_wrong_bytes(node, engines, name):
    shared = prompt(400, 4)
    first, second = engines(name, node.address), engines(name, node.address)
    for engine in (first, second):
        for index in range(8):
            engine.add(f"r{index}", shared[: 50 * index] + prompt(200 + 30 * index, 10 + index), max_tokens=40)
        until(lambda: not engine.is_busy, engine.step, "the end of all requests")
        settle(engine)
        assert engine.wrong == []
    assert sum(second.loaded_tokens.values()) > 1_000


@pytest.mark.parametrize("name", RECIPES)
def test_requests_that_are_preempted_come_out_right(node, engines, name):
    first = engines(name, node.address, block_count=70)
    second = engines(name, node.address, block_count=70)
    for engine in (first, second):
        for index in range(6):
            engine.add(f"r{index}", prompt(220, 20 + index), max_tokens=60)
        until(lambda: not engine.is_busy, engine.step, "the end of all requests")
        settle(engine)
        assert engine.wrong == []
    assert sum(second.loaded_tokens.values()) > 500


@pytest.mark.parametrize("name", RECIPES)
def test_an_engine_outlives_its_node(durable_node, engines, name):
    tokens = [prompt(800, 30 + index) for index in range(4)]
    first = engines(name, durable_node.address)
    for index in range(2):
        serve(first, f"a{index}", tokens[index])
    settle(first)
    durable_node.stop()
    durable_node.start()

    second = engines(name, durable_node.address)
    assert serve(second, "b0", tokens[0]) >= 768
    # Killed between the match and the load.
    second.add("b1", tokens[1])
    for _ in range(2):
        second.step()
    durable_node.kill()
    until(lambda: not second.is_busy, second.step, "the end of the request whose node was killed")
    assert second.wrong == []
    assert serve(second, "b2", tokens[2]) == 0

    durable_node.start()
    with larder.Client(durable_node.address) as client:
        until(client.ping, what="the restarted node")
    third = engines(name, durable_node.address)
    assert serve(third, "c1", tokens[1]) >= 768
    # The second engine's own client finds the node again, and stores.
    fresh = iter(range(1_000))

    def is_shared():
        seed = 100 + next(fresh)
        serve(second, f"fresh{seed}", prompt(400, seed))
        settle(second)
        return serve(third, f"fresh{seed}", prompt(400, seed)) >= 384

    until(is_shared, what="the second engine's way back to the node")


def test_the_connector_loads_what_is_left_of_a_prefix(node, engines):
    """Blocks that are lost between match and load are computed; the others are loaded."""
    tokens = prompt(640, 40)
    first = engines("vllm-connector.json", node.address)
    serve(first, "a", tokens)
    settle(first)
    second = engines("vllm-connector.json", node.address)
    half = second.scheduler.connector._scheduler
    match = half._client.match

    def match_then_lose(namespace, keys, **options):
        found = match(namespace, keys, **options)
        half._client.delete(namespace, [keys[10], keys[25]])
        return found

    half._client.match = match_then_lose
    serve(second, "b", tokens)
    assert second.stats["loads"] >= 30 and second.stats["loads_failed"] >= 1


@pytest.mark.parametrize("name", RECIPES)
def test_a_model_with_windows_loads_both_kinds_of_layers(node, engines, name):
    tokens = prompt(700, 50)
    first = engines(name, node.address, windowed_layers=4)
    serve(first, "a", tokens)
    settle(first)
    second = engines(name, node.address, windowed_layers=4)
    assert serve(second, "b", tokens) >= 640


def test_the_connector_survives_blocks_lost_of_a_model_with_windows(node, engines):
    tokens = prompt(640, 60)
    first = engines("vllm-connector.json", node.address, windowed_layers=4)
    serve(first, "a", tokens)
    settle(first)
    second = engines("vllm-connector.json", node.address, windowed_layers=4)
    half = second.scheduler.connector._scheduler
    match = half._client.match

    def match_then_lose(namespace, keys, **options):
        found = match(namespace, keys, **options)
        half._client.delete(namespace, keys[3:5])
        return found

    half._client.match = match_then_lose
    serve(second, "b", tokens)
    assert second.stats["loads_failed"] >= 1


def test_the_connector_counts(node, engines):
    engine = engines("vllm-connector.json", node.address)
    serve(engine, "a", prompt(500, 70))
    settle(engine)
    left = engine.workers[0].connector.get_kv_connector_stats()
    assert engine.stats["stores"] + (left.reduce()["stores"] if left else 0) == 500 // TOKENS_PER_BLOCK


def test_stores_beyond_the_staging_memory_are_dropped(node, engines):
    engine = engines("vllm-connector.json", node.address, staging_bytes=1)
    serve(engine, "a", prompt(500, 80))
    assert serve(engines("vllm-connector.json", node.address), "b", prompt(500, 80)) == 0
