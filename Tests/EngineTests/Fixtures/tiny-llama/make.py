"""Makes this directory's checkpoint and its expected logits with Hugging Face transformers, the reference for Llama.

    pip install torch transformers numpy && python make.py
"""

import json
import pathlib

import torch
from transformers import LlamaConfig, LlamaForCausalLM

here = pathlib.Path(__file__).parent
torch.manual_seed(20)
config = LlamaConfig(
    vocab_size=259, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=10, max_position_embeddings=512, rms_norm_eps=1e-5, bos_token_id=256,
    eos_token_id=257, pad_token_id=258, tie_word_embeddings=False, initializer_range=0.3,
    rope_parameters={"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
                     "high_freq_factor": 4.0, "original_max_position_embeddings": 64},
)
model = LlamaForCausalLM(config).eval()
for name, weights in model.named_parameters():
    if name.endswith("norm.weight"):
        torch.nn.init.uniform_(weights, 0.5, 1.5)
model.to(torch.bfloat16).save_pretrained(here)
# Loaded again, so that the weights are rounded and the rotary frequencies, which the cast rounds too, are not.
model = LlamaForCausalLM.from_pretrained(here, dtype=torch.float32).eval()
generator = torch.Generator().manual_seed(1)
tokens = [256] + torch.randint(0, 256, (99,), generator=generator).tolist()
with torch.no_grad():
    logits = model(torch.tensor([tokens])).logits[0]
expected = {"tokens": tokens, "logits": {str(n): [round(x, 7) for x in logits[n - 1].tolist()] for n in (1, 40, 100)}}
(here / "expected.json").write_text(json.dumps(expected))
