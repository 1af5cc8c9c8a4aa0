"""Prefixes of transformers' models, shared by processes through a live node."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import torch
from hf_worker import make_model
from transformers import MistralConfig, MistralForCausalLM

from larder.hf import PrefixCache

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = HERE.parents[1]


def run(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(PYTHON)}
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def prompt_of(count, seed=1):
    return torch.randint(3, 1000, (1, count), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_second_process_takes_the_prefix_and_gets_the_same_bits(node, dtype, capsys):
    tokens, split = 4_096 + 32, 4_096
    first, second = (json.loads(run(HERE / "hf_worker.py", node.address, dtype, tokens, split)) for _ in range(2))
    assert (first["cached"], second["cached"]) == (0, split)
    assert (first["stored"], second["stored"]) == (tokens // 16, 2)
    assert second["bytes_loaded"] == split // 16 * second["block_bytes"]
    assert first["logits"] == second["logits"]
    with capsys.disabled():
        print(
            f"\n{dtype}: time to first token of {tokens:,} tokens: computed {first['seconds'] * 1e3:,.0f} ms, "
            f"{split:,} from the node {second['seconds'] * 1e3:,.0f} ms, logits equal bit for bit"
        )


def test_prompts_share_what_they_have_in_common_and_no_more(node):
    model = make_model(torch.float32)
    prompt = prompt_of(200)
    other = torch.cat([prompt[:, :100], prompt_of(100, seed=2)], dim=1)
    with PrefixCache(model, address=node.address, revision="r") as prefixes, torch.inference_mode():
        cache, cached = prefixes.load(prompt)
        model(prompt, past_key_values=cache, use_cache=True)
        assert (cached, prefixes.store(prompt, cache)) == (0, 12)
        assert prefixes.load(other)[1] == 96
        assert prefixes.load(prompt)[1] == 192
        # The last token is always left to compute.
        assert prefixes.load(prompt[:, :192])[1] == 176
        assert prefixes.load(prompt, cache_salt="another tenant")[1] == 0
        assert prefixes.load(prompt[:, :3])[1] == 0
    with PrefixCache(model, address=node.address, revision="other weights") as strangers:
        assert strangers.load(prompt)[1] == 0
    with PrefixCache(make_model(torch.bfloat16), address=node.address, revision="r") as strangers:
        assert strangers.load(prompt)[1] == 0


def test_without_a_node_prompts_are_computed(node):
    model = make_model(torch.float32)
    prompt = prompt_of(64)
    with PrefixCache(model, address=node.address, revision="r") as prefixes, torch.inference_mode():
        node.kill()
        cache, cached = prefixes.load(prompt)
        model(prompt, past_key_values=cache, use_cache=True)
        assert (cached, prefixes.store(prompt, cache)) == (0, 0)


def test_what_cannot_be_shared_is_refused(node):
    config = MistralConfig(
        vocab_size=100, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=32,
    )
    with pytest.raises(ValueError, match="does not keep all tokens"):
        PrefixCache(MistralForCausalLM(config), address=node.address, revision="r")
    model = make_model(torch.float32)
    with PrefixCache(model, address=node.address, revision="r") as prefixes:
        with pytest.raises(ValueError, match="one prompt at a time"):
            prefixes.load(torch.zeros((2, 20), dtype=torch.long))
    with pytest.raises(ValueError, match="adress"):
        PrefixCache(model, adress="127.0.0.1:1", revision="r")


def test_the_example_runs(node):
    example = PYTHON / "examples" / "transformers_prefix.py"
    assert run(example, node.address).startswith("0 tokens from the node")
    assert run(example, node.address).startswith("2032 tokens from the node")
    assert len(example.read_text().split('"""')[2].strip().splitlines()) <= 30
