"""SGLang's controller over the backend, against a node with users."""

import pytest
from conftest import until
from credentials import assert_keeps_its_secret, settings_of
from sglang_engine import PAGE, Engine

TOKENS = list(range(20 * PAGE))


@pytest.fixture
def engines(stack, recipe, guarded_node):
    def make(settings):
        extra = recipe("sglang.json", guarded_node.address)
        extra["larder"].update(settings)
        engine = Engine(extra)
        stack.callback(engine.close)
        return engine

    return make


def backed_up(engine, tokens=TOKENS):
    return engine.back_up(tokens, engine.compute(tokens, seed=1)[0])


def test_who_is_let_in_shares_pages(engines, accepted, said):
    first, second = engines(accepted), engines(accepted)
    assert backed_up(first) == len(TOKENS)
    assert second.prefetch(TOKENS)[0] == len(TOKENS)
    assert said.refusals() == []
    assert_keeps_its_secret(first.backend)


def test_who_is_not_has_misses_and_one_clear_line(engines, rejected, said):
    engine = engines(rejected)
    assert engine.prefetch(TOKENS)[0] == 0
    assert backed_up(engine) == 0
    assert engine.prefetch(TOKENS)[0] == 0
    assert all(thread.is_alive() for thread in engine.threads())
    engine.backend.clear()
    until(said.refusals, lambda: engine.prefetch(TOKENS), "a line that says what is wrong")
    assert len(said.refusals()) == 1
    assert_keeps_its_secret(engine.backend)
    assert engines(settings_of("engine")).prefetch(TOKENS)[0] == 0


def test_a_reader_loads_and_stores_nothing(engines, said):
    assert backed_up(engines(settings_of("engine"))) == len(TOKENS)
    reader = engines(settings_of("reader"))
    assert reader.prefetch(TOKENS)[0] == len(TOKENS)
    others = list(range(1_000_000, 1_000_000 + 4 * PAGE))
    assert backed_up(reader, others) == 0
    assert len(said.refusals()) == 1
    assert reader.prefetch(TOKENS)[0] == len(TOKENS)


def test_another_tenant_shares_nothing(engines, said):
    assert backed_up(engines(settings_of("engine"))) == len(TOKENS)
    assert engines(settings_of("other")).prefetch(TOKENS)[0] == 0
    assert said.refusals() == []
