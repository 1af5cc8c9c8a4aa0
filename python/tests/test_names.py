"""Names are the node's and the engines' own: golden values, and what is refused."""

import doctest
import unittest

import support  # noqa: F401

import larder.hashing
import larder.namespace
from larder import Namespace, cbor
from larder.canonical import canonical_json
from larder.hashing import BlockHasher, block_hashes, hash_block, none_hash, offload_key

PLAIN = "dc918a88b139e5afe60b88eda27508d4aee16c10fdc354791efea06206ac0749"


class BlockNames(unittest.TestCase):
    """Expected digests were made by vLLM's own functions and by cbor2 with canonical=True."""

    def digests(self, tokens, size, **context):
        return [digest.hex() for digest in block_hashes(tokens, size, **context)]

    def test_a_chain_starts_where_vllm_starts_it(self):
        self.assertEqual(
            larder.hashing.NONE_HASH.hex(), "9bd96a485ad84efdafb72ee48a1d7a69bcead0f8f0433173941b276b9581eef0"
        )
        self.assertEqual(
            none_hash("0").hex(), "4e1195df020de59e0d65a33a4279f1183e7ae4e5d980e309f8b55adff2e61c3e"
        )

    def test_a_first_block_has_vllms_digest(self):
        for context, expected in (
            ({}, PLAIN),
            ({"cache_salt": ""}, PLAIN),
            ({"cache_salt": "tenant-a"}, "4e31e1ced73eb044a95997f0109d0ddab3d9145878214f1a0ee37c048b397859"),
            ({"lora": ("ad", "/p/ad")}, "ebe7506a82c8439fc373e0896bdeac553bf9569dcef619a9523dde29841fc680"),
            ({"media": [("abc", 3, 9)]}, "188b2f5bcd196c37e50037f493cc534eccde6753e822e6360e67ec722e53da6c"),
        ):
            with self.subTest(context=context):
                self.assertEqual(self.digests(range(16), 16, **context), [expected])

    def test_a_second_block_is_chained_to_the_first(self):
        tokens = [*range(16), *range(100_000, 100_016)]
        second = "3af78d9dd56947276f407313cb8fd5426b77e0e78cf246099d36b6cb83dbc8ad"
        self.assertEqual(self.digests(tokens, 16), [PLAIN, second])
        self.assertEqual(hash_block(bytes.fromhex(PLAIN), tokens[16:]).hex(), second)

    def test_blocks_of_128_tokens_and_the_open_one_has_no_name(self):
        tokens = [(i * 7919 + 13) % 152_064 for i in range(300)]
        self.assertEqual(
            self.digests(tokens, 128),
            [
                "3c922374e6fe67f3c64e75b88a3b8bd6185b538f7019674b72aefbf8dd8754f8",
                "2e69fa8c8aebe362593b51b8b212f1aeb45f9bb56c4258c0bf2a94f1e384e2a5",
            ],
        )

    def test_all_extra_keys_together_and_tokens_of_every_width(self):
        tokens = [0, 23, 24, 255, 256, 65_535, 65_536, (1 << 32) - 1, 7, 8, 9, 10]
        self.assertEqual(
            self.digests(
                tokens,
                4,
                lora=("ad", "/p/ad"),
                media=[("abc", 1, 6), ("x" * 300, 7, 9)],
                cache_salt="é",
                embedding_digests=[b"\7" * 32, b"\10" * 32],
            ),
            [
                "8baac065606415f7ad8824267f5ff8b9fc9d4d736fe90cd249e35a154292258e",
                "ca08d9c3af76f25cf45faf453df38571ecac81f114256c9e668c85b37483f74e",
                "9254168ad7fb28a5df198dea03e9e3051a3f7df2fd4a739b391aa6e0d7433301",
            ],
        )

    def test_tokens_one_by_one_give_the_same_digests_as_all_at_once(self):
        tokens = [i * 97 % 128_000 for i in range(1_000)]
        context = {"lora": ("a", "p"), "media": [("x", 10, 100), ("y", 100, 101)], "cache_salt": "s"}
        whole = block_hashes(tokens, 16, **context)
        hasher = BlockHasher(16, **context)
        stepwise = [digest for token in tokens for digest in hasher.append([token])]
        self.assertEqual(stepwise, whole)
        self.assertEqual((hasher.block_count, hasher.open_token_count, len(set(whole))), (62, 8, 62))

    def test_what_is_out_of_bounds_is_refused(self):
        for size in (0, -1, 65_537):
            self.assertRaises(ValueError, BlockHasher, size)
        for media in ([("x", 4, 8), ("x", 0, 2)], [("x", 0, 5), ("x", 4, 8)], [("x", 3, 3)], [("x", -1, 2)]):
            self.assertRaises(ValueError, BlockHasher, 4, media=media)
        self.assertRaises(ValueError, block_hashes, [-1], 1)
        self.assertRaises(TypeError, block_hashes, [1.5], 1)
        self.assertRaises(ValueError, hash_block, b"short", [1])

    def test_a_key_of_vllms_offloading_connector_has_36_bytes(self):
        digest = bytes(range(32))
        self.assertEqual(offload_key(digest, 0x01020304), digest + b"\1\2\3\4")
        self.assertRaises(ValueError, offload_key, digest[:31])

    def test_cbor_has_the_shortest_forms(self):
        for value, expected in (
            (None, "f6"), (0, "00"), (23, "17"), (24, "1818"), (255, "18ff"), (256, "190100"), (65536, "1a00010000"),
            (1 << 32, "1b0000000100000000"), (-1, "20"), (-25, "3818"), (b"ab", "426162"), ("é", "62c3a9"),
            ([1, [2]], "82018102"), (list(range(24)), "9818" + bytes(range(24)).hex()),
        ):  # fmt: skip
            self.assertEqual(cbor.encode(value).hex(), expected)
        self.assertRaises(TypeError, cbor.encode, 1.5)
        self.assertRaises(ValueError, cbor.encode, 1 << 64)


class NamespaceNames(unittest.TestCase):
    def test_the_id_is_the_sha_256_of_the_canonical_text(self):
        described = Namespace({"tokens_per_block": 16, "model": "m", "dtype": "bfloat16"})
        self.assertEqual(described.canonical, b'{"dtype":"bfloat16","model":"m","tokens_per_block":16}')
        self.assertEqual(described.id, "c5a0515cc687ac07c657e39fc6a6e5a2357b28779e4d0b444e4c58d85737f419")

    def test_names_are_sorted_by_utf_16_code_units(self):
        value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
        text = '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'
        self.assertEqual(canonical_json(value), text.encode())

    def test_one_spelling_of_everything(self):
        for value, text in (
            ({}, "{}"), ([], "[]"), ((), "[]"), (True, "true"), ([False, 0, "x"], '[false,0,"x"]'),
            ((1 << 53) - 1, "9007199254740991"), ("A/é\U0001f600", '"A/é\U0001f600"'),
            ("\x00\x07\x0b\x1f\x7f", '"\\u0000\\u0007\\u000b\\u001f\x7f"'), ('\b\t\n\f\r"\\', '"\\b\\t\\n\\f\\r\\"\\\\"'),
        ):  # fmt: skip
            self.assertEqual(canonical_json(value), text.encode())

    def test_what_cannot_be_described_is_refused(self):
        deep = []
        for _ in range(16):
            deep = [deep]
        for description in (
            {"model": 1}, {"dtype": True}, {"tokens_per_block": "16"}, {"tokens_per_block": 0},
            {"tokens_per_block": True}, {"tensor_parallel_rank": -1}, {"cache_salt": []}, {"x": 1 << 53},
            {"x": "\ud800"}, {"\ud800": 1}, {"x": deep}, {"x": "a" * 16_384},
        ):  # fmt: skip
            with self.subTest(description=str(description)[:40]):
                self.assertRaises(ValueError, Namespace, description)
        for description in ([], "model", {"x": None}, {"x": 1.5}, {1: "x"}, {"x": b"x"}):
            with self.subTest(description=description):
                self.assertRaises(TypeError, Namespace, description)

    def test_the_examples_in_the_documentation_are_true(self):
        for module in (larder.hashing, larder.namespace):
            self.assertEqual(doctest.testmod(module).failed, 0)


if __name__ == "__main__":
    unittest.main()
