// What the variants have in common: the measures of the format and the loops that a variant is made of.
#ifndef LARDER_KV_KERNELS_H
#define LARDER_KV_KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kv_codec.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the loops load and store words as they are stored");

#define HIDDEN __attribute__((visibility("hidden")))
#define INLINE static inline __attribute__((always_inline))

/// Elements of a group, bytes of its digits at one place, groups of a chunk, and groups that one call of a loop takes:
/// what a batch needs stays in the first-level cache.
#define GROUP 128
#define DIGITS 32
#define CHUNK_GROUPS 128
#define BATCH_GROUPS 8
/// Exponents that have a rank; the rank behind them is the escape.
#define RANKS 9
/// What word-wide loops may read or write behind a stream of bits.
#define SLACK 64
#define LOW_OF_PAIRS 0x5555555555555555u

/// Where bits go to: `fill` of them wait in `bits`.
typedef struct {
    uint8_t *next;
    uint64_t bits;
    unsigned fill;
} bit_writer;

/// Where bits come from: `position` counts bits from `start`.
typedef struct {
    const uint8_t *start;
    size_t position;
} bit_reader;

/// Elements into exponents and the fixed part behind the first digits, and back.
typedef void split_loop(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed);
typedef void join_loop(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements);

/// The loops over bytes. Tables are indexed by element; place 0 is empty.
typedef struct {
    split_loop *split[6];
    join_loop *join[6];
    /// Exponents into digits; those of the first place go to the head of each group's fixed part.
    void (*rank)(const uint8_t *exponents, size_t groups, const uint8_t *dictionary, uint8_t *fixed, size_t stride,
                 uint8_t *second, uint8_t *third);
    /// Digits into exponents; an escape gives any.
    void (*unrank)(const uint8_t *fixed, size_t stride, const uint8_t *second, const uint8_t *third, size_t groups,
                   const uint8_t *dictionary, uint8_t *exponents);
} lane_loops;

/// The loops over bits.
typedef struct {
    /// Appends the digits that follow a 3, and drops the others.
    void (*squeeze)(const uint8_t *fixed, size_t stride, const uint8_t *second, const uint8_t *third, size_t groups,
                    bit_writer *seconds, bit_writer *thirds);
    /// Puts digits back to their places and zeros between them. May read SLACK bytes behind each position, and moves it
    /// by at most 2 * GROUP bits for a group.
    void (*spread)(const uint8_t *fixed, size_t stride, size_t groups, bit_reader *seconds, bit_reader *thirds,
                   uint8_t *second, uint8_t *third);
} bit_loops;

extern const lane_loops larder_kv_lanes_portable HIDDEN;
extern const bit_loops larder_kv_bits_tables HIDDEN;
#if defined(__x86_64__)
extern const lane_loops larder_kv_lanes_avx2 HIDDEN;
extern const lane_loops larder_kv_lanes_avx512 HIDDEN;
extern const bit_loops larder_kv_bits_pdep HIDDEN;
// AVX-512 gains nothing on these.
split_loop larder_kv_split_float16_avx2 HIDDEN, larder_kv_split_float32_avx2 HIDDEN;
split_loop larder_kv_split_float8_e4m3_avx2 HIDDEN, larder_kv_split_float8_e5m2_avx2 HIDDEN;
join_loop larder_kv_join_float16_avx2 HIDDEN, larder_kv_join_float32_avx2 HIDDEN;
join_loop larder_kv_join_float8_e4m3_avx2 HIDDEN, larder_kv_join_float8_e5m2_avx2 HIDDEN;
#endif

/// What is fixed for an element.
typedef struct {
    /// Bytes of one, bits behind the exponent in its top byte, and bytes of a group's fixed part; 0 for no element.
    unsigned size, loose_bits, stride;
} element_traits;

INLINE element_traits traits_of(unsigned element) {
    switch (element) {
    case LARDER_KV_BFLOAT16: return (element_traits){2, 0, DIGITS + GROUP};
    case LARDER_KV_FLOAT16: return (element_traits){2, 3, DIGITS + 48 + GROUP};
    case LARDER_KV_FLOAT32: return (element_traits){4, 0, DIGITS + 3 * GROUP};
    case LARDER_KV_FLOAT8_E4M3: return (element_traits){1, 4, DIGITS + 64};
    case LARDER_KV_FLOAT8_E5M2: return (element_traits){1, 3, DIGITS + 48};
    default: return (element_traits){0, 0, 0};
    }
}

/// The exponents of a stretch, counted.
typedef struct {
    uint32_t counts[256];
    uint32_t total;
} exponent_counts;

/// Counts the exponents of 1,024 elements or a few more, spread over `groups` groups.
void larder_kv_count_exponents(unsigned element, const uint8_t *elements, size_t groups, exponent_counts *counts)
    HIDDEN;

/// The nine most frequent exponents, the lower first among equals, and the bits that the counted elements would take.
size_t larder_kv_choose_dictionary(unsigned element, const exponent_counts *counts, uint8_t dictionary[RANKS]) HIDDEN;

INLINE uint64_t load64(const uint8_t *from) {
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}
INLINE void store64(uint8_t *into, uint64_t word) { memcpy(into, &word, 8); }

#endif
