// Bytes with AVX2.
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)

INLINE __m256i load(const uint8_t *from) { return _mm256_loadu_si256((const __m256i *)from); }
INLINE void store(uint8_t *into, __m256i value) { _mm256_storeu_si256((__m256i *)into, value); }
INLINE __m256i bytes(int value) { return _mm256_set1_epi8((char)value); }

// Bits of bytes moved up or down by a number of places; those that leave their byte are not masked.
#define UP(value, places) _mm256_slli_epi16(value, places)
#define DOWN(value, places) _mm256_srli_epi16(value, places)
#define AND(a, b) _mm256_and_si256(a, b)
#define OR(a, b) _mm256_or_si256(a, b)

// Four digits of two bits that were in a byte each.
INLINE __m256i four_digits(__m256i a, __m256i b, __m256i c, __m256i d) {
    return OR(OR(a, UP(b, 2)), OR(UP(c, 4), UP(d, 6)));
}

INLINE void pack_three_bits(const __m256i *tops, uint8_t *packed) {
    const __m256i low = bytes(3), high = bytes(1);
    store(packed, four_digits(AND(tops[0], low), AND(tops[1], low), AND(tops[2], low), AND(tops[3], low)));
    const __m256i thirds = four_digits(AND(DOWN(tops[0], 2), high), AND(DOWN(tops[1], 2), high),
                                       AND(DOWN(tops[2], 2), high), AND(DOWN(tops[3], 2), high));
    const __m128i pairs = _mm_slli_epi16(_mm256_extracti128_si256(thirds, 1), 1);
    _mm_storeu_si128((__m128i *)(packed + 32), _mm_or_si128(_mm256_castsi256_si128(thirds), pairs));
}

// The third bits of 32 elements: `place` is that of the first 16.
INLINE __m256i third_bits(__m256i thirds, int place) {
    const __m256i places = _mm256_set_m128i(_mm_set1_epi8((char)(2 << place)), _mm_set1_epi8((char)(1 << place)));
    return AND(_mm256_cmpeq_epi8(AND(thirds, places), places), bytes(4));
}

INLINE void unpack_three_bits(const uint8_t *exponents, const uint8_t *packed, __m256i *tops) {
    const __m256i low = load(packed), mask = bytes(3);
    const __m256i thirds = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(packed + 32)));
    const __m256i loose[4] = {
        OR(AND(low, mask), third_bits(thirds, 0)),
        OR(AND(DOWN(low, 2), mask), third_bits(thirds, 2)),
        OR(AND(DOWN(low, 4), mask), third_bits(thirds, 4)),
        OR(AND(DOWN(low, 6), mask), third_bits(thirds, 6)),
    };
    for (size_t s = 0; s < 4; s++) {
        tops[s] = OR(AND(UP(load(exponents + 32 * s), 3), bytes(0xF8)), loose[s]);
    }
}

INLINE void take_exponents(const __m256i *tops, int loose_bits, uint8_t *exponents) {
    for (size_t s = 0; s < 4; s++) {
        store(exponents + 32 * s, AND(DOWN(tops[s], loose_bits), bytes(0xFF >> loose_bits)));
    }
}

// 32 words turned left, as their high and low bytes.
INLINE __m256i split_words(const uint8_t *elements, uint8_t *lows) {
    __m256i first = load(elements), second = load(elements + 32);
    first = OR(_mm256_slli_epi16(first, 1), _mm256_srli_epi16(first, 15));
    second = OR(_mm256_slli_epi16(second, 1), _mm256_srli_epi16(second, 15));
    const __m256i low = _mm256_set1_epi16(0xFF);
    const __m256i high_bytes = _mm256_packus_epi16(_mm256_srli_epi16(first, 8), _mm256_srli_epi16(second, 8));
    const __m256i low_bytes = _mm256_packus_epi16(AND(first, low), AND(second, low));
    store(lows, _mm256_permute4x64_epi64(low_bytes, 0xD8));
    return _mm256_permute4x64_epi64(high_bytes, 0xD8);
}

INLINE void join_words(__m256i tops, const uint8_t *lows, uint8_t *elements) {
    const __m256i low_bytes = load(lows);
    const __m256i even = _mm256_unpacklo_epi8(low_bytes, tops), odd = _mm256_unpackhi_epi8(low_bytes, tops);
    const __m256i first = _mm256_permute2x128_si256(even, odd, 0x20);
    const __m256i second = _mm256_permute2x128_si256(even, odd, 0x31);
    store(elements, OR(_mm256_srli_epi16(first, 1), _mm256_slli_epi16(first, 15)));
    store(elements + 32, OR(_mm256_srli_epi16(second, 1), _mm256_slli_epi16(second, 15)));
}

static void split_bfloat16(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed) {
    for (; groups; groups--, elements += 2 * GROUP, exponents += GROUP, fixed += DIGITS + GROUP) {
        for (size_t i = 0; i < GROUP; i += 32) {
            store(exponents + i, split_words(elements + 2 * i, fixed + DIGITS + i));
        }
    }
}

static void join_bfloat16(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements) {
    for (; groups; groups--, elements += 2 * GROUP, exponents += GROUP, fixed += DIGITS + GROUP) {
        for (size_t i = 0; i < GROUP; i += 32) {
            join_words(load(exponents + i), fixed + DIGITS + i, elements + 2 * i);
        }
    }
}

void larder_kv_split_float16_avx2(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed) {
    for (; groups; groups--, elements += 2 * GROUP, exponents += GROUP, fixed += DIGITS + 48 + GROUP) {
        __m256i tops[4];
        for (size_t s = 0; s < 4; s++) { tops[s] = split_words(elements + 64 * s, fixed + DIGITS + 48 + 32 * s); }
        pack_three_bits(tops, fixed + DIGITS);
        take_exponents(tops, 3, exponents);
    }
}

void larder_kv_join_float16_avx2(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements) {
    for (; groups; groups--, elements += 2 * GROUP, exponents += GROUP, fixed += DIGITS + 48 + GROUP) {
        __m256i tops[4];
        unpack_three_bits(exponents, fixed + DIGITS, tops);
        for (size_t s = 0; s < 4; s++) { join_words(tops[s], fixed + DIGITS + 48 + 32 * s, elements + 64 * s); }
    }
}

void larder_kv_split_float32_avx2(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed) {
    const __m256i low_word = _mm256_set1_epi32(0xFFFF), low_byte = _mm256_set1_epi16(0xFF);
    for (; groups; groups--, elements += 4 * GROUP, exponents += GROUP, fixed += DIGITS + 3 * GROUP) {
        for (size_t i = 0; i < GROUP; i += 32) {
            __m256i lows[2], highs[2];
            for (size_t half = 0; half < 2; half++) {
                __m256i first = load(elements + 4 * i + 64 * half), second = load(elements + 4 * i + 64 * half + 32);
                first = OR(_mm256_slli_epi32(first, 1), _mm256_srli_epi32(first, 31));
                second = OR(_mm256_slli_epi32(second, 1), _mm256_srli_epi32(second, 31));
                lows[half] = _mm256_packus_epi32(AND(first, low_word), AND(second, low_word));
                highs[half] = _mm256_packus_epi32(_mm256_srli_epi32(first, 16), _mm256_srli_epi32(second, 16));
                lows[half] = _mm256_permute4x64_epi64(lows[half], 0xD8);
                highs[half] = _mm256_permute4x64_epi64(highs[half], 0xD8);
                store(fixed + DIGITS + 2 * i + 32 * half, lows[half]);
            }
            const __m256i thirds = _mm256_packus_epi16(AND(highs[0], low_byte), AND(highs[1], low_byte));
            const __m256i tops = _mm256_packus_epi16(_mm256_srli_epi16(highs[0], 8), _mm256_srli_epi16(highs[1], 8));
            store(fixed + DIGITS + 2 * GROUP + i, _mm256_permute4x64_epi64(thirds, 0xD8));
            store(exponents + i, _mm256_permute4x64_epi64(tops, 0xD8));
        }
    }
}

void larder_kv_join_float32_avx2(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements) {
    for (; groups; groups--, elements += 4 * GROUP, exponents += GROUP, fixed += DIGITS + 3 * GROUP) {
        for (size_t i = 0; i < GROUP; i += 32) {
            const __m256i tops = _mm256_permute4x64_epi64(load(exponents + i), 0xD8);
            const __m256i thirds = _mm256_permute4x64_epi64(load(fixed + DIGITS + 2 * GROUP + i), 0xD8);
            const __m256i highs[2] = {_mm256_unpacklo_epi8(thirds, tops), _mm256_unpackhi_epi8(thirds, tops)};
            for (size_t half = 0; half < 2; half++) {
                const __m256i lows = load(fixed + DIGITS + 2 * i + 32 * half);
                const __m256i even = _mm256_unpacklo_epi16(lows, highs[half]);
                const __m256i odd = _mm256_unpackhi_epi16(lows, highs[half]);
                const __m256i first = _mm256_permute2x128_si256(even, odd, 0x20);
                const __m256i second = _mm256_permute2x128_si256(even, odd, 0x31);
                uint8_t *into = elements + 4 * i + 64 * half;
                store(into, OR(_mm256_srli_epi32(first, 1), _mm256_slli_epi32(first, 31)));
                store(into + 32, OR(_mm256_srli_epi32(second, 1), _mm256_slli_epi32(second, 31)));
            }
        }
    }
}

INLINE __m256i turned_left(__m256i value) {
    return OR(_mm256_add_epi8(value, value), AND(DOWN(value, 7), bytes(1)));
}
INLINE __m256i turned_right(__m256i value) {
    return OR(AND(DOWN(value, 1), bytes(0x7F)), AND(UP(value, 7), bytes(0x80)));
}

void larder_kv_split_float8_e4m3_avx2(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed) {
    const __m256i low = bytes(15);
    for (; groups; groups--, elements += GROUP, exponents += GROUP, fixed += DIGITS + 64) {
        __m256i tops[4];
        for (size_t s = 0; s < 4; s++) { tops[s] = turned_left(load(elements + 32 * s)); }
        store(fixed + DIGITS, OR(AND(tops[0], low), UP(AND(tops[1], low), 4)));
        store(fixed + DIGITS + 32, OR(AND(tops[2], low), UP(AND(tops[3], low), 4)));
        take_exponents(tops, 4, exponents);
    }
}

void larder_kv_join_float8_e4m3_avx2(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements) {
    const __m256i low = bytes(15);
    for (; groups; groups--, elements += GROUP, exponents += GROUP, fixed += DIGITS + 64) {
        for (size_t s = 0; s < 4; s += 2) {
            const __m256i loose = load(fixed + DIGITS + 16 * s);
            const __m256i first = AND(UP(load(exponents + 32 * s), 4), bytes(0xF0));
            const __m256i second = AND(UP(load(exponents + 32 * s + 32), 4), bytes(0xF0));
            store(elements + 32 * s, turned_right(OR(first, AND(loose, low))));
            store(elements + 32 * s + 32, turned_right(OR(second, AND(DOWN(loose, 4), low))));
        }
    }
}

void larder_kv_split_float8_e5m2_avx2(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed) {
    for (; groups; groups--, elements += GROUP, exponents += GROUP, fixed += DIGITS + 48) {
        __m256i tops[4];
        for (size_t s = 0; s < 4; s++) { tops[s] = turned_left(load(elements + 32 * s)); }
        pack_three_bits(tops, fixed + DIGITS);
        take_exponents(tops, 3, exponents);
    }
}

void larder_kv_join_float8_e5m2_avx2(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements) {
    for (; groups; groups--, elements += GROUP, exponents += GROUP, fixed += DIGITS + 48) {
        __m256i tops[4];
        unpack_three_bits(exponents, fixed + DIGITS, tops);
        for (size_t s = 0; s < 4; s++) { store(elements + 32 * s, turned_right(tops[s])); }
    }
}

static void rank(const uint8_t *exponents, size_t groups, const uint8_t *dictionary, uint8_t *fixed, size_t stride,
                 uint8_t *second, uint8_t *third) {
    __m256i known[RANKS];
    for (size_t k = 0; k < RANKS; k++) { known[k] = bytes(dictionary[k]); }
    for (; groups; groups--, exponents += GROUP, fixed += stride, second += DIGITS, third += DIGITS) {
        __m256i digits[3][4];
        for (size_t s = 0; s < 4; s++) {
            const __m256i exponent = load(exponents + 32 * s);
            // Every rank from an exponent's own on counts one down from the escape.
            __m256i found = _mm256_cmpeq_epi8(exponent, known[0]), value = _mm256_add_epi8(bytes(RANKS), found);
#pragma clang loop unroll(full)
            for (size_t k = 1; k < RANKS; k++) {
                found = OR(found, _mm256_cmpeq_epi8(exponent, known[k]));
                value = _mm256_add_epi8(value, found);
            }
            digits[0][s] = _mm256_min_epu8(value, bytes(3));
            digits[1][s] = _mm256_min_epu8(_mm256_subs_epu8(value, bytes(3)), bytes(3));
            digits[2][s] = _mm256_subs_epu8(value, bytes(6));
        }
        store(fixed, four_digits(digits[0][0], digits[0][1], digits[0][2], digits[0][3]));
        store(second, four_digits(digits[1][0], digits[1][1], digits[1][2], digits[1][3]));
        store(third, four_digits(digits[2][0], digits[2][1], digits[2][2], digits[2][3]));
    }
}

static void unrank(const uint8_t *fixed, size_t stride, const uint8_t *second, const uint8_t *third, size_t groups,
                   const uint8_t *dictionary, uint8_t *exponents) {
    const __m256i known = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)dictionary));
    const __m256i pairs = bytes(0x33), low = bytes(15);
    for (; groups; groups--, exponents += GROUP, fixed += stride, second += DIGITS, third += DIGITS) {
        const __m256i a = load(fixed), b = load(second), c = load(third);
        // A sum of three digits has room where two were: ranks of the first and third 32 elements, then of the others.
        const __m256i even = _mm256_add_epi8(_mm256_add_epi8(AND(a, pairs), AND(b, pairs)), AND(c, pairs));
        const __m256i odd = _mm256_add_epi8(_mm256_add_epi8(AND(DOWN(a, 2), pairs), AND(DOWN(b, 2), pairs)),
                                            AND(DOWN(c, 2), pairs));
        store(exponents, _mm256_shuffle_epi8(known, AND(even, low)));
        store(exponents + 32, _mm256_shuffle_epi8(known, AND(odd, low)));
        store(exponents + 64, _mm256_shuffle_epi8(known, AND(DOWN(even, 4), low)));
        store(exponents + 96, _mm256_shuffle_epi8(known, AND(DOWN(odd, 4), low)));
    }
}

#pragma clang attribute pop
const lane_loops larder_kv_lanes_avx2 = {
    {NULL, split_bfloat16, larder_kv_split_float16_avx2, larder_kv_split_float32_avx2, larder_kv_split_float8_e4m3_avx2,
     larder_kv_split_float8_e5m2_avx2},
    {NULL, join_bfloat16, larder_kv_join_float16_avx2, larder_kv_join_float32_avx2, larder_kv_join_float8_e4m3_avx2,
     larder_kv_join_float8_e5m2_avx2},
    rank,
    unrank,
};
#endif
