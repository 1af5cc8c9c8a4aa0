// Bits on any machine: four digits at a time, by tables of all their values.
#include "kernels.h"

// Which of four digits are 3, a bit for each.
#define THREES(b) \
    ((((b) & 3) == 3) | (((b) >> 2 & 3) == 3) << 1 | (((b) >> 4 & 3) == 3) << 2 | (((b) >> 6 & 3) == 3) << 3)
// Bits of a set of digits, and the bits of those before digit 1, 2 and 3.
#define BEFORE_1(set) (((set) & 1) * 2)
#define BEFORE_2(set) (BEFORE_1(set) + ((set) >> 1 & 1) * 2)
#define BEFORE_3(set) (BEFORE_2(set) + ((set) >> 2 & 1) * 2)
#define BITS(set) (BEFORE_3(set) + ((set) >> 3 & 1) * 2)
// The digits of a set moved together, and apart.
#define SQUEEZED(set, b)                                                                           \
    (((set) & 1) * ((b) & 3) | ((set) >> 1 & 1) * ((b) >> 2 & 3) << BEFORE_1(set)                  \
     | ((set) >> 2 & 1) * ((b) >> 4 & 3) << BEFORE_2(set) | ((set) >> 3 & 1) * ((b) >> 6 & 3) << BEFORE_3(set))
#define SPREAD(set, b)                                                                             \
    (((set) & 1) * ((b) & 3) | ((set) >> 1 & 1) * ((b) >> BEFORE_1(set) & 3) << 2                  \
     | ((set) >> 2 & 1) * ((b) >> BEFORE_2(set) & 3) << 4 | ((set) >> 3 & 1) * ((b) >> BEFORE_3(set) & 3) << 6)

#define TIMES_4(f, set, b) f(set, b), f(set, b + 1), f(set, b + 2), f(set, b + 3)
#define TIMES_16(f, set, b) \
    TIMES_4(f, set, b), TIMES_4(f, set, b + 4), TIMES_4(f, set, b + 8), TIMES_4(f, set, b + 12)
#define TIMES_64(f, set, b) \
    TIMES_16(f, set, b), TIMES_16(f, set, b + 16), TIMES_16(f, set, b + 32), TIMES_16(f, set, b + 48)
#define ROW(f, set) {TIMES_64(f, set, 0), TIMES_64(f, set, 64), TIMES_64(f, set, 128), TIMES_64(f, set, 192)}
#define ROWS(f)                                                                                    \
    {ROW(f, 0), ROW(f, 1), ROW(f, 2), ROW(f, 3), ROW(f, 4), ROW(f, 5), ROW(f, 6), ROW(f, 7),       \
     ROW(f, 8), ROW(f, 9), ROW(f, 10), ROW(f, 11), ROW(f, 12), ROW(f, 13), ROW(f, 14), ROW(f, 15)}
#define THREES_OF(set, b) THREES((b))
#define SQUEEZED_OF(set, b) SQUEEZED((set), (b))
#define SPREAD_OF(set, b) SPREAD((set), (b))

static const uint8_t threes[256] = ROW(THREES_OF, 0);
static const uint8_t bit_counts[16] = {BITS(0),  BITS(1),  BITS(2),  BITS(3),  BITS(4),  BITS(5),  BITS(6),  BITS(7),
                                       BITS(8),  BITS(9),  BITS(10), BITS(11), BITS(12), BITS(13), BITS(14), BITS(15)};
static const uint8_t squeezed[16][256] = ROWS(SQUEEZED_OF);
static const uint8_t apart[16][256] = ROWS(SPREAD_OF);

// Stores whole bytes of what waits; fewer than 8 bits stay.
INLINE void flush(bit_writer *writer) {
    store64(writer->next, writer->bits);
    writer->next += writer->fill / 8;
    writer->bits >>= writer->fill & ~7u;
    writer->fill &= 7;
}

INLINE void append(bit_writer *writer, unsigned set, unsigned digits) {
    writer->bits |= (uint64_t)squeezed[set][digits] << writer->fill;
    writer->fill += bit_counts[set];
}

static void squeeze(const uint8_t *fixed, size_t stride, const uint8_t *second, const uint8_t *third, size_t groups,
                    bit_writer *seconds, bit_writer *thirds) {
    bit_writer second_writer = *seconds, third_writer = *thirds;
    for (size_t group = 0; group < groups; group++, fixed += stride, second += DIGITS, third += DIGITS) {
        for (size_t four = 0; four < DIGITS; four += 4) {
            for (size_t i = four; i < four + 4; i++) {
                append(&second_writer, threes[fixed[i]], second[i]);
                append(&third_writer, threes[second[i]], third[i]);
            }
            flush(&second_writer);
            flush(&third_writer);
        }
    }
    *seconds = second_writer;
    *thirds = third_writer;
}

static void spread(const uint8_t *fixed, size_t stride, size_t groups, bit_reader *seconds, bit_reader *thirds,
                   uint8_t *second, uint8_t *third) {
    const uint8_t *second_start = seconds->start, *third_start = thirds->start;
    size_t second_position = seconds->position, third_position = thirds->position;
    for (size_t group = 0; group < groups; group++, fixed += stride, second += DIGITS, third += DIGITS) {
        for (size_t four = 0; four < DIGITS; four += 4) {
            uint64_t second_bits = load64(second_start + second_position / 8) >> second_position % 8;
            uint64_t third_bits = load64(third_start + third_position / 8) >> third_position % 8;
            for (size_t i = four; i < four + 4; i++) {
                const unsigned set = threes[fixed[i]];
                const unsigned digits = apart[set][second_bits & 0xFF];
                const unsigned next_set = threes[digits];
                second[i] = (uint8_t)digits;
                third[i] = apart[next_set][third_bits & 0xFF];
                second_bits >>= bit_counts[set];
                third_bits >>= bit_counts[next_set];
                second_position += bit_counts[set];
                third_position += bit_counts[next_set];
            }
        }
    }
    seconds->position = second_position;
    thirds->position = third_position;
}

const bit_loops larder_kv_bits_tables = {squeeze, spread};
