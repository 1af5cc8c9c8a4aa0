"""A process that answers one prompt: `hf_worker.py ADDRESS DTYPE TOKENS SPLIT` prints what came of it as JSON.

Given a node, the prompt's prefix is loaded from it when it is there, and stored when it is not. The logits are of a
computation in two parts, first the prefix up to SPLIT and then the rest: a matrix product over another number of tokens
may round differently, so only the same parts give the same bits.
"""

import hashlib
import json
import sys
import time

import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from larder.hf import PrefixCache


def make_model(dtype):
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=1000, hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=8,
        num_key_value_heads=4, max_position_embeddings=8192, attn_implementation="eager",
    )
    return LlamaForCausalLM(config).to(dtype).eval()


def digest(tensor):
    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


def main(address, dtype, token_count, split):
    torch.set_num_threads(1)
    dtype = getattr(torch, dtype)
    model = make_model(dtype)
    prompt = torch.randint(3, 1000, (1, token_count), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        model(prompt[:, :32])
        with PrefixCache(model, address=address, revision="random-7") as prefixes:
            began = time.perf_counter()
            cache, cached = prefixes.load(prompt[:, : split + 1])
            if cached < split:
                cache = DynamicCache(config=model.config)
                model(prompt[:, :split], past_key_values=cache, use_cache=True, logits_to_keep=1)
            logits = model(prompt[:, split:], past_key_values=cache, use_cache=True).logits
            seconds = time.perf_counter() - began
            stored = prefixes.store(prompt, cache, cached)
            counters = prefixes.client.counters
    print(
        json.dumps(
            {
                "cached": cached, "stored": stored, "seconds": seconds, "logits": digest(logits),
                "token": int(logits[0, -1].argmax()), "block_bytes": prefixes.block_bytes,
                "bytes_loaded": counters["bytes_loaded"],
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
