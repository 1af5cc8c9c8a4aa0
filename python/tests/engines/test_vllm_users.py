"""vLLM's tier and connector against a node with users."""

import pytest
from conftest import until
from credentials import assert_keeps_its_secret, settings_of
from test_vllm_engine import RECIPES, engines, prompt, serve, settle  # noqa: F401  (a fixture)

TOKENS = prompt(500, 1)
pytestmark = pytest.mark.parametrize("name", RECIPES)


def ours(engine):
    """What this package has in an engine."""
    connector = engine.scheduler.connector
    if hasattr(connector, "connector_scheduler"):
        return list(connector.connector_scheduler.manager.secondary_tiers)
    return [connector, *(worker.connector for worker in engine.workers)]


def stored(engine, name, tokens=TOKENS):
    serve(engine, name, tokens)
    settle(engine)


def test_who_is_let_in_shares_blocks(engines, guarded_node, name, accepted, said):  # noqa: F811
    first = engines(name, guarded_node.address, **accepted)
    stored(first, "a")
    assert serve(engines(name, guarded_node.address, **accepted), "b", TOKENS) >= 480
    assert said.refusals() == []
    for adapter in ours(first):
        assert_keeps_its_secret(adapter)


def test_who_is_not_has_misses_and_a_clear_line(engines, guarded_node, name, rejected, said):  # noqa: F811
    engine = engines(name, guarded_node.address, **rejected)
    fresh = iter(range(1_000))

    def serves():
        number = next(fresh)
        stored(engine, f"r{number}", prompt(200, 50 + number))

    stored(engine, "a")
    until(said.refusals, serves, "a line that says what is wrong")
    # One for each client: the connector has one for its scheduler and one for its worker.
    assert len(said.refusals()) <= len(ours(engine))
    for adapter in ours(engine):
        assert_keeps_its_secret(adapter)
    assert serve(engines(name, guarded_node.address, **settings_of("engine")), "b", TOKENS) == 0


def test_a_reader_loads_and_stores_nothing(engines, guarded_node, name, said):  # noqa: F811
    stored(engines(name, guarded_node.address, **settings_of("engine")), "a")
    reader = engines(name, guarded_node.address, **settings_of("reader"))
    assert serve(reader, "b", TOKENS) >= 480
    more = prompt(500, 2)
    stored(reader, "c", more)
    assert len(said.refusals()) >= 1
    assert serve(engines(name, guarded_node.address, **settings_of("engine")), "d", more) == 0


def test_another_tenant_shares_nothing(engines, guarded_node, name, said):  # noqa: F811
    stored(engines(name, guarded_node.address, **settings_of("engine")), "a")
    assert serve(engines(name, guarded_node.address, **settings_of("other")), "b", TOKENS) == 0
    assert said.refusals() == []
