// Bits with the processor's own deposit and extract.
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("bmi,bmi2,popcnt,lzcnt"))), apply_to = function)

// Both bits of each digit that is 3.
INLINE uint64_t pairs_of_threes(uint64_t digits) {
    const uint64_t low = digits & digits >> 1 & LOW_OF_PAIRS;
    return low | low << 1;
}

INLINE void append(bit_writer *writer, uint64_t bits, unsigned count) {
    const uint64_t low = writer->bits | bits << writer->fill;
    const uint64_t high = bits >> 1 >> (63 - writer->fill);
    const unsigned fill = writer->fill + count;
    store64(writer->next, low);
    writer->next += fill / 64 * 8;
    writer->bits = fill >= 64 ? high : low;
    writer->fill = fill % 64;
}

static void squeeze(const uint8_t *fixed, size_t stride, const uint8_t *second, const uint8_t *third, size_t groups,
                    bit_writer *seconds, bit_writer *thirds) {
    bit_writer second_writer = *seconds, third_writer = *thirds;
    for (size_t group = 0; group < groups; group++, fixed += stride) {
        for (size_t word = 0; word < 4; word++) {
            const uint64_t second_digits = load64(second + group * DIGITS + 8 * word);
            const uint64_t third_digits = load64(third + group * DIGITS + 8 * word);
            const uint64_t has_second = pairs_of_threes(load64(fixed + 8 * word));
            const uint64_t has_third = pairs_of_threes(second_digits);
            append(&second_writer, _pext_u64(second_digits, has_second), (unsigned)_mm_popcnt_u64(has_second));
            append(&third_writer, _pext_u64(third_digits, has_third), (unsigned)_mm_popcnt_u64(has_third));
        }
    }
    *seconds = second_writer;
    *thirds = third_writer;
}

// The 64 bits at a position.
INLINE uint64_t peek(const uint8_t *start, size_t position) {
    const uint8_t *from = start + position / 8;
    const unsigned skip = position % 8;
    return load64(from) >> skip | load64(from + 1) << (8 - skip);
}

static void spread(const uint8_t *fixed, size_t stride, size_t groups, bit_reader *seconds, bit_reader *thirds,
                   uint8_t *second, uint8_t *third) {
    const uint8_t *second_start = seconds->start, *third_start = thirds->start;
    size_t second_position = seconds->position, third_position = thirds->position;
    for (size_t group = 0; group < groups; group++, fixed += stride) {
        for (size_t word = 0; word < 4; word++) {
            const uint64_t has_second = pairs_of_threes(load64(fixed + 8 * word));
            const uint64_t second_digits = _pdep_u64(peek(second_start, second_position), has_second);
            const uint64_t has_third = pairs_of_threes(second_digits);
            const uint64_t third_digits = _pdep_u64(peek(third_start, third_position), has_third);
            store64(second + group * DIGITS + 8 * word, second_digits);
            store64(third + group * DIGITS + 8 * word, third_digits);
            second_position += (size_t)_mm_popcnt_u64(has_second);
            third_position += (size_t)_mm_popcnt_u64(has_third);
        }
    }
    seconds->position = second_position;
    thirds->position = third_position;
}

#pragma clang attribute pop
const bit_loops larder_kv_bits_pdep = {squeeze, spread};
#endif
