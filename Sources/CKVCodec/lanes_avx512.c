// Bytes with AVX-512 (VBMI, VBMI2), where a wider register saves work; the rest is AVX2's.
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2"))), \
                             apply_to = function)

INLINE __m512i load(const uint8_t *from) { return _mm512_loadu_si512(from); }
INLINE void store(uint8_t *into, __m512i value) { _mm512_storeu_si512(into, value); }
INLINE __m512i bytes(int value) { return _mm512_set1_epi8((char)value); }
INLINE __m256i load_half(const uint8_t *from) { return _mm256_loadu_si256((const __m256i *)from); }

// The lower byte of each pair of two registers; one more gives the upper.
INLINE __m512i even_bytes(void) {
    uint8_t places[64];
    for (size_t i = 0; i < 64; i++) { places[i] = (uint8_t)(2 * i); }
    return load(places);
}

static void split_bfloat16(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed) {
    const __m512i even = even_bytes(), odd = _mm512_or_si512(even, bytes(1));
    for (; groups; groups--, elements += 2 * GROUP, exponents += GROUP, fixed += DIGITS + GROUP) {
        for (size_t i = 0; i < GROUP; i += 64) {
            __m512i first = load(elements + 2 * i), second = load(elements + 2 * i + 64);
            first = _mm512_shldi_epi16(first, first, 1);
            second = _mm512_shldi_epi16(second, second, 1);
            store(exponents + i, _mm512_permutex2var_epi8(first, odd, second));
            store(fixed + DIGITS + i, _mm512_permutex2var_epi8(first, even, second));
        }
    }
}

static void join_bfloat16(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements) {
    for (; groups; groups--, elements += 2 * GROUP, exponents += GROUP, fixed += DIGITS + GROUP) {
        for (size_t i = 0; i < GROUP; i += 32) {
            const __m512i tops = _mm512_slli_epi16(_mm512_cvtepu8_epi16(load_half(exponents + i)), 8);
            const __m512i turned = _mm512_or_si512(tops, _mm512_cvtepu8_epi16(load_half(fixed + DIGITS + i)));
            store(elements + 2 * i, _mm512_shrdi_epi16(turned, turned, 1));
        }
    }
}

static void rank(const uint8_t *exponents, size_t groups, const uint8_t *dictionary, uint8_t *fixed, size_t stride,
                 uint8_t *second, uint8_t *third) {
    uint8_t ranks[256];
    memset(ranks, RANKS, sizeof ranks);
    for (size_t k = 0; k < RANKS; k++) { ranks[dictionary[k]] = (uint8_t)k; }
    const __m512i below[2] = {load(ranks), load(ranks + 64)}, above[2] = {load(ranks + 128), load(ranks + 192)};
    // Digits of the first 64 elements and of the second, each a byte, into four of a byte: the upper half of each
    // register goes up by a digit.
    const __m512i places = _mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0);
    for (; groups; groups--, exponents += GROUP, fixed += stride, second += DIGITS, third += DIGITS) {
        __m512i value[2];
        for (size_t half = 0; half < 2; half++) {
            const __m512i exponent = load(exponents + 64 * half);
            const __m512i low = _mm512_permutex2var_epi8(below[0], exponent, below[1]);
            const __m512i high = _mm512_permutex2var_epi8(above[0], exponent, above[1]);
            value[half] = _mm512_mask_blend_epi8(_mm512_movepi8_mask(exponent), low, high);
        }
        for (size_t digit = 0; digit < 3; digit++) {
            const __m512i passed = bytes((int)digit * 3), most = bytes(3);
            const __m512i first = _mm512_min_epu8(_mm512_subs_epu8(value[0], passed), most);
            const __m512i last = _mm512_min_epu8(_mm512_subs_epu8(value[1], passed), most);
            const __m512i both = _mm512_sllv_epi64(_mm512_or_si512(first, _mm512_slli_epi16(last, 4)), places);
            const __m256i digits = _mm256_or_si256(_mm512_castsi512_si256(both), _mm512_extracti64x4_epi64(both, 1));
            _mm256_storeu_si256((__m256i *)(digit == 0 ? fixed : digit == 1 ? second : third), digits);
        }
    }
}

static void unrank(const uint8_t *fixed, size_t stride, const uint8_t *second, const uint8_t *third, size_t groups,
                   const uint8_t *dictionary, uint8_t *exponents) {
    const __m512i known = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)dictionary));
    const __m512i places = _mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0), pairs = bytes(0x33), low = bytes(15);
    for (; groups; groups--, exponents += GROUP, fixed += stride, second += DIGITS, third += DIGITS) {
        __m512i sum = _mm512_setzero_si512();
        const uint8_t *const digits[3] = {fixed, second, third};
#pragma clang loop unroll(full)
        for (size_t digit = 0; digit < 3; digit++) {
            const __m512i both = _mm512_broadcast_i64x4(load_half(digits[digit]));
            sum = _mm512_add_epi8(sum, _mm512_and_si512(_mm512_srlv_epi64(both, places), pairs));
        }
        store(exponents, _mm512_shuffle_epi8(known, _mm512_and_si512(sum, low)));
        store(exponents + 64, _mm512_shuffle_epi8(known, _mm512_and_si512(_mm512_srli_epi16(sum, 4), low)));
    }
}

#pragma clang attribute pop
const lane_loops larder_kv_lanes_avx512 = {
    {NULL, split_bfloat16, larder_kv_split_float16_avx2, larder_kv_split_float32_avx2, larder_kv_split_float8_e4m3_avx2,
     larder_kv_split_float8_e5m2_avx2},
    {NULL, join_bfloat16, larder_kv_join_float16_avx2, larder_kv_join_float32_avx2, larder_kv_join_float8_e4m3_avx2,
     larder_kv_join_float8_e5m2_avx2},
    rank,
    unrank,
};
#endif
