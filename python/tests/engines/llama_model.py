"""A model file for llama.cpp with random weights: small, and a Llama in everything else."""

import gguf
import numpy as np

LAYERS, WIDTH, HEADS, KV_HEADS, FEED_FORWARD, VOCABULARY = 4, 128, 4, 2, 256, 259


def write(path, seed=1):
    """Writes the file; its tokens are the 256 bytes and three control tokens."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(f"random-{seed}")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_tokens(writer)
    random = np.random.default_rng(seed)
    for name, shape in _tensors():
        weights = random.standard_normal(shape, dtype=np.float32) / np.sqrt(shape[-1], dtype=np.float32)
        writer.add_tensor(name, np.ones(shape, np.float32) if len(shape) == 1 else weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokens(writer):
    kinds = gguf.TokenType
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))])
    writer.add_token_scores([0.0] * VOCABULARY)
    writer.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *([kinds.BYTE] * 256)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _tensors():
    """Names and shapes, rows first."""
    kv_width = WIDTH // HEADS * KV_HEADS
    yield from (("token_embd.weight", (VOCABULARY, WIDTH)), ("output_norm.weight", (WIDTH,)))
    yield "output.weight", (VOCABULARY, WIDTH)
    for layer in range(LAYERS):
        for name, shape in (
            ("attn_norm", (WIDTH,)), ("attn_q", (WIDTH, WIDTH)), ("attn_k", (kv_width, WIDTH)),
            ("attn_v", (kv_width, WIDTH)), ("attn_output", (WIDTH, WIDTH)), ("ffn_norm", (WIDTH,)),
            ("ffn_gate", (FEED_FORWARD, WIDTH)), ("ffn_up", (FEED_FORWARD, WIDTH)), ("ffn_down", (WIDTH, FEED_FORWARD)),
        ):
            yield f"blk.{layer}.{name}.weight", shape
