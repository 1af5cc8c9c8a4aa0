"""Two runs of this program with the same seed share a prompt's computation through a node:

    larder serve --memory 1GiB &
    python transformers_prefix.py 127.0.0.1:7379      # computes 2,048 tokens
    python transformers_prefix.py 127.0.0.1:7379      # takes them from the node

The model is a small Llama with random weights, so that nothing is downloaded.
"""
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from larder.hf import PrefixCache

torch.manual_seed(7)
config = LlamaConfig(vocab_size=1000, hidden_size=256, intermediate_size=512, num_hidden_layers=4,
                     num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=4096)
model = LlamaForCausalLM(config).eval()
prompt = torch.randint(3, 1000, (1, 2048), generator=torch.Generator().manual_seed(1))

with PrefixCache(model, address=sys.argv[1], revision="random-7") as prefixes, torch.inference_mode():
    began = time.perf_counter()
    cache, cached = prefixes.load(prompt)
    output = model(prompt[:, cached:], past_key_values=cache, use_cache=True, logits_to_keep=1)
    token = int(output.logits[0, -1].argmax())
    milliseconds = (time.perf_counter() - began) * 1_000
    stored = prefixes.store(prompt, cache, cached)
print(f"{cached} tokens from the node, first token {token} after {milliseconds:.0f} ms, {stored} blocks stored")
