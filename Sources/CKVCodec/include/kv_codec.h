#ifndef LARDER_KV_CODEC_H
#define LARDER_KV_CODEC_H
// Lossless coding of floating-point KV. Nearly all that can be won lies in the exponents: about 2.6 bits of each,
// whatever the model; signs and mantissas are noise and are stored as they are. So each element is split, its
// exponent is replaced by its rank among the exponents of its neighbourhood, and ranks are written in digits of
// two bits: one for ranks 0 to 2, two for 3 to 5, three for 6 to 8, and a whole byte behind three for the rest.
//
// A coded piece, all numbers little endian:
//
//   head        16 bytes: form (0), element, 2 zero bytes, bytes of the piece (4), bytes of the body (4), 4 zero bytes
//   body        chunks of 128 groups (the last may have fewer), then the bytes behind the last whole group, as they are
//
// A group is 128 elements. A chunk begins with 16 bytes: form, the nine most frequent exponents, the byte counts of
// second digits (2), third digits (2) and escapes (2). Behind them, by form:
//
//   0 plain     the elements as they are
//   1 coded     every group's fixed part, the second digits, the third digits, the escapes
//   2 repeated  nothing: the chunk is one element over and over, which lies in the head's bytes 1 to 4
//
// An element is rotated left by one bit, which moves the sign to the end; its top byte then begins with the exponent.
// The fixed part of a group has, in this order:
//
//   32 bytes    first digits: element 32 * s + b at bits 2s and 2s + 1 of byte b
//   0, 48, 64   what the top byte holds behind the exponent. Three bits (float16, float8 e5m2): 32 bytes with the low
//               two as above, and 16 bytes with the third of element 16 * k + b at bit k of byte b. Four bits (float8
//               e4m3): byte b of 64 has element 64 * (b / 32) + b % 32 below and the 32nd behind it above.
//   the rest    float16 and bfloat16: the low byte of each element. float32: the low two bytes of each element, then
//               the third of each.
//
// Second digits are those of the elements whose first is 3, in the order of the bits of the first digits, third digits
// likewise; both are strings of bits, lowest first. An escape is an exponent that is not among the nine.
//
// Every variant writes the same bytes and reads what any other wrote. Nothing here takes memory or keeps state.

#include <stddef.h>
#include <stdint.h>

/// The number format of the elements; the values are stored.
typedef enum {
    LARDER_KV_BFLOAT16 = 1,
    LARDER_KV_FLOAT16 = 2,
    LARDER_KV_FLOAT32 = 3,
    LARDER_KV_FLOAT8_E4M3 = 4,
    LARDER_KV_FLOAT8_E5M2 = 5,
} larder_kv_element;

/// The instruction set that the loops use.
typedef enum {
    /// Any machine: tables in place of bit deposit and extract.
    LARDER_KV_PORTABLE = 0,
    /// AVX2 with the same tables, for processors whose PDEP is slow (AMD before Zen 3).
    LARDER_KV_AVX2_TABLES = 1,
    /// AVX2 and BMI2.
    LARDER_KV_AVX2 = 2,
    /// AVX-512 with VBMI and VBMI2, and BMI2.
    LARDER_KV_AVX512 = 3,
} larder_kv_variant;

/// Bytes before a coded piece's body.
#define LARDER_KV_HEAD_BYTE_COUNT 16
/// Most bytes of one piece.
#define LARDER_KV_PIECE_BYTE_COUNT_MAX ((size_t)1 << 30)
/// Bytes that coding and decoding use while they run; no alignment is needed.
#define LARDER_KV_SCRATCH_BYTE_COUNT 32768

/// Whether this machine can run a variant, whatever its speed.
int larder_kv_variant_is_supported(larder_kv_variant variant);

/// The variant that is fastest here. Asks the processor, which takes time on virtual machines: keep the answer.
larder_kv_variant larder_kv_variant_best(void);

/// Bytes that coding a piece of `count` bytes may need: a little more than the piece.
size_t larder_kv_bound(size_t count);

/// Codes a piece into `coded`, which has `larder_kv_bound(count)` bytes; gives the bytes used there. 0 when the element
/// is none of the above or the piece is too long. The machine must run the variant.
size_t larder_kv_encode(larder_kv_variant variant, larder_kv_element element, const uint8_t *piece, size_t count,
                        uint8_t *coded, uint8_t *scratch);

/// Decodes what `larder_kv_encode` gave into a piece of `count` bytes. Safe for any bytes: 0 when they are not a coded
/// piece of that length; `piece` may have been written to then, and nothing behind it.
int larder_kv_decode(larder_kv_variant variant, const uint8_t *coded, size_t coded_count, uint8_t *piece, size_t count,
                     uint8_t *scratch);

/// About how many bytes coding would give, from 1,024 elements spread over the piece; `count` when nothing is to be won
/// or the element is none of the above.
size_t larder_kv_estimate(larder_kv_element element, const uint8_t *piece, size_t count);

#endif
