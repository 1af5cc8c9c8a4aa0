// Bytes on any machine: plain loops that compilers turn into vector code.
#include "kernels.h"

#define LANES 16
typedef uint8_t lanes __attribute__((vector_size(LANES)));
typedef uint8_t loose_lanes __attribute__((vector_size(LANES), aligned(1), may_alias));

// What a top byte holds behind the exponent, three bits of each element.
INLINE void pack_three_bits(const uint8_t *tops, uint8_t *packed) {
    for (size_t b = 0; b < 32; b++) {
        const unsigned lower = (tops[b] & 3) | (tops[32 + b] & 3) << 2;
        packed[b] = (uint8_t)(lower | (tops[64 + b] & 3) << 4 | (tops[96 + b] & 3) << 6);
    }
    for (size_t b = 0; b < 16; b++) {
        uint8_t bits = 0;
        for (size_t k = 0; k < 8; k++) { bits |= (uint8_t)((tops[16 * k + b] >> 2 & 1) << k); }
        packed[32 + b] = bits;
    }
}

INLINE void unpack_three_bits(const uint8_t *exponents, const uint8_t *packed, uint8_t *tops) {
    for (size_t k = 0; k < 8; k++) {
        for (size_t b = 0; b < 16; b++) {
            const unsigned low = packed[k % 2 * 16 + b] >> (k / 2 * 2) & 3;
            const unsigned high = packed[32 + b] >> k & 1;
            tops[16 * k + b] = (uint8_t)(exponents[16 * k + b] << 3 | high << 2 | low);
        }
    }
}

INLINE void take_exponents(const uint8_t *tops, unsigned loose_bits, uint8_t *exponents) {
    for (size_t i = 0; i < GROUP; i++) { exponents[i] = tops[i] >> loose_bits; }
}

INLINE void split_words(const uint8_t *elements, uint8_t *tops, uint8_t *lows) {
    for (size_t i = 0; i < GROUP; i++) {
        uint16_t word;
        memcpy(&word, elements + 2 * i, 2);
        word = (uint16_t)(word << 1 | word >> 15);
        tops[i] = (uint8_t)(word >> 8);
        lows[i] = (uint8_t)word;
    }
}

INLINE void join_words(const uint8_t *tops, const uint8_t *lows, uint8_t *elements) {
    for (size_t i = 0; i < GROUP; i++) {
        const unsigned turned = (unsigned)tops[i] << 8 | lows[i];
        const uint16_t word = (uint16_t)(turned >> 1 | turned << 15);
        memcpy(elements + 2 * i, &word, 2);
    }
}

static void split_bfloat16(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed) {
    for (; groups; groups--, elements += 2 * GROUP, exponents += GROUP, fixed += DIGITS + GROUP) {
        split_words(elements, exponents, fixed + DIGITS);
    }
}

static void join_bfloat16(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements) {
    for (; groups; groups--, elements += 2 * GROUP, exponents += GROUP, fixed += DIGITS + GROUP) {
        join_words(exponents, fixed + DIGITS, elements);
    }
}

static void split_float16(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed) {
    uint8_t tops[GROUP];
    for (; groups; groups--, elements += 2 * GROUP, exponents += GROUP, fixed += DIGITS + 48 + GROUP) {
        split_words(elements, tops, fixed + DIGITS + 48);
        pack_three_bits(tops, fixed + DIGITS);
        take_exponents(tops, 3, exponents);
    }
}

static void join_float16(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements) {
    uint8_t tops[GROUP];
    for (; groups; groups--, elements += 2 * GROUP, exponents += GROUP, fixed += DIGITS + 48 + GROUP) {
        unpack_three_bits(exponents, fixed + DIGITS, tops);
        join_words(tops, fixed + DIGITS + 48, elements);
    }
}

static void split_float32(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed) {
    for (; groups; groups--, elements += 4 * GROUP, exponents += GROUP, fixed += DIGITS + 3 * GROUP) {
        for (size_t i = 0; i < GROUP; i++) {
            uint32_t word;
            memcpy(&word, elements + 4 * i, 4);
            word = word << 1 | word >> 31;
            const uint16_t low = (uint16_t)word;
            memcpy(fixed + DIGITS + 2 * i, &low, 2);
            fixed[DIGITS + 2 * GROUP + i] = (uint8_t)(word >> 16);
            exponents[i] = (uint8_t)(word >> 24);
        }
    }
}

static void join_float32(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements) {
    for (; groups; groups--, elements += 4 * GROUP, exponents += GROUP, fixed += DIGITS + 3 * GROUP) {
        for (size_t i = 0; i < GROUP; i++) {
            uint16_t low;
            memcpy(&low, fixed + DIGITS + 2 * i, 2);
            const uint32_t turned = (uint32_t)exponents[i] << 24 | (uint32_t)fixed[DIGITS + 2 * GROUP + i] << 16 | low;
            const uint32_t word = turned >> 1 | turned << 31;
            memcpy(elements + 4 * i, &word, 4);
        }
    }
}

INLINE void turn_left(const uint8_t *elements, uint8_t *tops) {
    for (size_t i = 0; i < GROUP; i++) { tops[i] = (uint8_t)(elements[i] << 1 | elements[i] >> 7); }
}

INLINE void turn_right(const uint8_t *tops, uint8_t *elements) {
    for (size_t i = 0; i < GROUP; i++) { elements[i] = (uint8_t)(tops[i] >> 1 | tops[i] << 7); }
}

static void split_float8_e4m3(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed) {
    uint8_t tops[GROUP];
    for (; groups; groups--, elements += GROUP, exponents += GROUP, fixed += DIGITS + 64) {
        turn_left(elements, tops);
        for (size_t b = 0; b < 32; b++) {
            fixed[DIGITS + b] = (uint8_t)((tops[b] & 15) | tops[32 + b] << 4);
            fixed[DIGITS + 32 + b] = (uint8_t)((tops[64 + b] & 15) | tops[96 + b] << 4);
        }
        take_exponents(tops, 4, exponents);
    }
}

static void join_float8_e4m3(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements) {
    uint8_t tops[GROUP];
    for (; groups; groups--, elements += GROUP, exponents += GROUP, fixed += DIGITS + 64) {
        for (size_t b = 0; b < 32; b++) {
            tops[b] = (uint8_t)(exponents[b] << 4 | (fixed[DIGITS + b] & 15));
            tops[32 + b] = (uint8_t)(exponents[32 + b] << 4 | fixed[DIGITS + b] >> 4);
            tops[64 + b] = (uint8_t)(exponents[64 + b] << 4 | (fixed[DIGITS + 32 + b] & 15));
            tops[96 + b] = (uint8_t)(exponents[96 + b] << 4 | fixed[DIGITS + 32 + b] >> 4);
        }
        turn_right(tops, elements);
    }
}

static void split_float8_e5m2(const uint8_t *elements, size_t groups, uint8_t *exponents, uint8_t *fixed) {
    uint8_t tops[GROUP];
    for (; groups; groups--, elements += GROUP, exponents += GROUP, fixed += DIGITS + 48) {
        turn_left(elements, tops);
        pack_three_bits(tops, fixed + DIGITS);
        take_exponents(tops, 3, exponents);
    }
}

static void join_float8_e5m2(const uint8_t *exponents, const uint8_t *fixed, size_t groups, uint8_t *elements) {
    uint8_t tops[GROUP];
    for (; groups; groups--, elements += GROUP, exponents += GROUP, fixed += DIGITS + 48) {
        unpack_three_bits(exponents, fixed + DIGITS, tops);
        turn_right(tops, elements);
    }
}

INLINE lanes load(const uint8_t *from) { return *(const loose_lanes *)from; }
INLINE void store(uint8_t *into, lanes value) { *(loose_lanes *)into = value; }
INLINE lanes all(uint8_t value) { return (lanes){0} + value; }

static void rank(const uint8_t *exponents, size_t groups, const uint8_t *dictionary, uint8_t *fixed, size_t stride,
                 uint8_t *second, uint8_t *third) {
    for (; groups; groups--, exponents += GROUP, fixed += stride, second += DIGITS, third += DIGITS) {
        for (size_t b = 0; b < DIGITS; b += LANES) {
            lanes digits[3] = {all(0), all(0), all(0)};
#pragma clang loop unroll(full)
            for (size_t s = 0; s < 4; s++) {
                const lanes exponent = load(exponents + 32 * s + b);
                // Every rank from an exponent's own on counts one down from the escape; a true comparison is -1.
                lanes found = all(0), value = all(RANKS);
#pragma clang loop unroll(full)
                for (size_t k = 0; k < RANKS; k++) {
                    found |= (lanes)(exponent == all(dictionary[k]));
                    value += found;
                }
#pragma clang loop unroll(full)
                for (size_t place = 0; place < 3; place++) {
                    digits[place] |= __builtin_elementwise_min(value, all(3)) << (uint8_t)(2 * s);
                    value = __builtin_elementwise_sub_sat(value, all(3));
                }
            }
            store(fixed + b, digits[0]);
            store(second + b, digits[1]);
            store(third + b, digits[2]);
        }
    }
}

static void unrank(const uint8_t *fixed, size_t stride, const uint8_t *second, const uint8_t *third, size_t groups,
                   const uint8_t *dictionary, uint8_t *exponents) {
    for (; groups; groups--, exponents += GROUP, fixed += stride, second += DIGITS, third += DIGITS) {
        for (size_t b = 0; b < DIGITS; b += LANES) {
            const lanes digits[3] = {load(fixed + b), load(second + b), load(third + b)};
#pragma clang loop unroll(full)
            for (size_t s = 0; s < 4; s++) {
                lanes value = all(0), exponent = all(0);
#pragma clang loop unroll(full)
                for (size_t place = 0; place < 3; place++) { value += digits[place] >> (uint8_t)(2 * s) & 3; }
#pragma clang loop unroll(full)
                for (size_t k = 0; k < RANKS; k++) {
                    exponent |= (lanes)(value == all((uint8_t)k)) & all(dictionary[k]);
                }
                store(exponents + 32 * s + b, exponent);
            }
        }
    }
}

const lane_loops larder_kv_lanes_portable = {
    {NULL, split_bfloat16, split_float16, split_float32, split_float8_e4m3, split_float8_e5m2},
    {NULL, join_bfloat16, join_float16, join_float32, join_float8_e4m3, join_float8_e5m2},
    rank,
    unrank,
};
