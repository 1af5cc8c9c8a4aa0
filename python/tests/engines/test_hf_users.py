"""Prefixes of transformers' models and a node with users."""

import pytest
import torch
from conftest import until
from credentials import assert_keeps_its_secret, settings_of
from hf_worker import make_model
from test_hf import prompt_of

from larder.hf import PrefixCache

PROMPT = prompt_of(100)


@pytest.fixture(scope="module")
def model():
    return make_model(torch.float32)


@pytest.fixture
def prefixes(stack, model, guarded_node):
    def make(settings):
        return stack.enter_context(PrefixCache(model, revision="r", **{"address": guarded_node.address, **settings}))

    return make


@torch.inference_mode()
def computed_and_stored(prefixes, model):
    """How many blocks the node held of a prompt before it was computed, and holds after it."""
    cache, cached = prefixes.load(PROMPT)
    model(PROMPT[:, cached:], past_key_values=cache, use_cache=True)
    return cached // 16, prefixes.store(PROMPT, cache, cached)


def test_who_is_let_in_shares_prefixes(prefixes, model, accepted, said):
    first, second = prefixes(accepted), prefixes(accepted)
    assert computed_and_stored(first, model) == (0, 6)
    assert computed_and_stored(second, model) == (6, 0)
    assert said.refusals() == []
    assert_keeps_its_secret(first)


def test_who_is_not_computes_and_there_is_one_clear_line(prefixes, model, rejected, said):
    stranger = prefixes(rejected)
    assert computed_and_stored(stranger, model) == (0, 0)
    until(said.refusals, lambda: stranger.load(PROMPT), "a line that says what is wrong")
    assert len(said.refusals()) == 1
    assert_keeps_its_secret(stranger)
    assert computed_and_stored(prefixes(settings_of("engine")), model) == (0, 6)


def test_a_reader_loads_and_stores_nothing(prefixes, model, said):
    assert computed_and_stored(prefixes(settings_of("reader")), model) == (0, 0)
    assert len(said.refusals()) == 1
    assert computed_and_stored(prefixes(settings_of("engine")), model) == (0, 6)
    assert computed_and_stored(prefixes(settings_of("reader")), model) == (6, 0)
    assert computed_and_stored(prefixes(settings_of("other")), model) == (0, 6)
