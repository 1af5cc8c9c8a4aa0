// Pieces, chunks and batches; the loops are the variant's.
#include "kernels.h"

enum { PIECE_PLAIN_BODY = 0 };
enum { CHUNK_PLAIN = 0, CHUNK_CODED = 1, CHUNK_REPEATED = 2 };
#define CHUNK_HEAD 16
#define STREAM_MAX (CHUNK_GROUPS * DIGITS)
#define ESCAPES_MAX (CHUNK_GROUPS * GROUP)
_Static_assert(2 * (STREAM_MAX + SLACK) + ESCAPES_MAX + SLACK <= LARDER_KV_SCRATCH_BYTE_COUNT, "streams fit scratch");
_Static_assert(ESCAPES_MAX <= UINT16_MAX, "counts fit their fields");

typedef struct {
    const lane_loops *lanes;
    const bit_loops *bits;
} loops;

static loops loops_of(larder_kv_variant variant) {
    switch (variant) {
#if defined(__x86_64__)
    case LARDER_KV_AVX2_TABLES: return (loops){&larder_kv_lanes_avx2, &larder_kv_bits_tables};
    case LARDER_KV_AVX2: return (loops){&larder_kv_lanes_avx2, &larder_kv_bits_pdep};
    case LARDER_KV_AVX512: return (loops){&larder_kv_lanes_avx512, &larder_kv_bits_pdep};
#endif
    default: return (loops){&larder_kv_lanes_portable, &larder_kv_bits_tables};
    }
}

static void store16(uint8_t *into, size_t value) {
    into[0] = (uint8_t)value;
    into[1] = (uint8_t)(value >> 8);
}
static size_t load16(const uint8_t *from) { return from[0] | (size_t)from[1] << 8; }
static void store32(uint8_t *into, size_t value) {
    store16(into, value);
    store16(into + 2, value >> 16);
}
static size_t load32(const uint8_t *from) { return load16(from) | load16(from + 2) << 16; }

size_t larder_kv_bound(size_t count) {
    return LARDER_KV_HEAD_BYTE_COUNT + count + CHUNK_HEAD * (count / (CHUNK_GROUPS * GROUP) + 1);
}

static size_t finish_bits(bit_writer *writer, const uint8_t *start) {
    store64(writer->next, writer->bits);
    return (size_t)(writer->next - start) + (writer->fill + 7) / 8;
}

// Which digits are 3: the low bit of each pair.
INLINE uint64_t threes(uint64_t digits) { return digits & digits >> 1 & LOW_OF_PAIRS; }
// The element whose digit is at the low bit `bit` of word `word` of a group.
INLINE size_t element_at(size_t word, unsigned bit) { return 32 * (bit % 8 / 2) + 8 * word + bit / 8; }

// Appends the exponents without a rank.
static uint8_t *take_escapes(const uint8_t *third, const uint8_t *exponents, size_t groups, uint8_t *escapes) {
    for (size_t word = 0; word < groups * 4; word++) {
        for (uint64_t left = threes(load64(third + 8 * word)); left; left &= left - 1) {
            const size_t element = element_at(word % 4, (unsigned)__builtin_ctzll(left));
            *escapes++ = exponents[word / 4 * GROUP + element];
        }
    }
    return escapes;
}

// Puts the exponents without a rank back; NULL when there are fewer than the digits say.
static const uint8_t *put_escapes(const uint8_t *third, const uint8_t *escapes, const uint8_t *end, size_t groups,
                                  uint8_t *exponents) {
    for (size_t word = 0; word < groups * 4; word++) {
        for (uint64_t left = threes(load64(third + 8 * word)); left; left &= left - 1) {
            if (escapes == end) { return NULL; }
            const size_t element = element_at(word % 4, (unsigned)__builtin_ctzll(left));
            exponents[word / 4 * GROUP + element] = *escapes++;
        }
    }
    return escapes;
}

static size_t encode_coded(const loops *use, unsigned element, const uint8_t *elements, size_t groups, uint8_t *chunk,
                           uint8_t *scratch) {
    const element_traits traits = traits_of(element);
    const size_t raw_count = groups * GROUP * traits.size;
    const uint8_t *dictionary = chunk + 1;
    uint8_t *fixed = chunk + CHUNK_HEAD;
    uint8_t *const seconds = scratch, *const thirds = seconds + STREAM_MAX + SLACK;
    uint8_t *const escapes = thirds + STREAM_MAX + SLACK;
    uint8_t *escapes_end = escapes;
    bit_writer second_writer = {seconds, 0, 0}, third_writer = {thirds, 0, 0};
    uint8_t exponents[BATCH_GROUPS * GROUP], second[BATCH_GROUPS * DIGITS], third[BATCH_GROUPS * DIGITS];
    for (size_t done = 0; done < groups;) {
        const size_t batch = groups - done < BATCH_GROUPS ? groups - done : BATCH_GROUPS;
        use->lanes->split[element](elements, batch, exponents, fixed);
        use->lanes->rank(exponents, batch, dictionary, fixed, traits.stride, second, third);
        use->bits->squeeze(fixed, traits.stride, second, third, batch, &second_writer, &third_writer);
        escapes_end = take_escapes(third, exponents, batch, escapes_end);
        elements += batch * GROUP * traits.size;
        fixed += batch * traits.stride;
        done += batch;
    }
    const size_t second_count = finish_bits(&second_writer, seconds), third_count = finish_bits(&third_writer, thirds);
    const size_t escape_count = (size_t)(escapes_end - escapes);
    const size_t coded_count = groups * traits.stride + second_count + third_count + escape_count;
    if (coded_count >= raw_count) { return 0; }
    memcpy(fixed, seconds, second_count);
    memcpy(fixed + second_count, thirds, third_count);
    memcpy(fixed + second_count + third_count, escapes, escape_count);
    store16(chunk + 10, second_count);
    store16(chunk + 12, third_count);
    store16(chunk + 14, escape_count);
    return CHUNK_HEAD + coded_count;
}

static size_t encode_chunk(const loops *use, unsigned element, const uint8_t *elements, size_t groups, uint8_t *chunk,
                           uint8_t *scratch) {
    const element_traits traits = traits_of(element);
    const size_t raw_count = groups * GROUP * traits.size;
    exponent_counts counts;
    memset(chunk, 0, CHUNK_HEAD);
    larder_kv_count_exponents(element, elements, groups, &counts);
    const size_t bits = larder_kv_choose_dictionary(element, &counts, chunk + 1);
    const int may_repeat = counts.counts[chunk[1]] == counts.total;
    if (may_repeat && memcmp(elements, elements + traits.size, raw_count - traits.size) == 0) {
        memset(chunk, 0, CHUNK_HEAD);
        chunk[0] = CHUNK_REPEATED;
        memcpy(chunk + 1, elements, traits.size);
        return CHUNK_HEAD;
    }
    if (bits < (size_t)counts.total * traits.size * 8) {
        chunk[0] = CHUNK_CODED;
        const size_t count = encode_coded(use, element, elements, groups, chunk, scratch);
        if (count) { return count; }
    }
    memset(chunk, 0, CHUNK_HEAD);
    memcpy(chunk + CHUNK_HEAD, elements, raw_count);
    return CHUNK_HEAD + raw_count;
}

size_t larder_kv_encode(larder_kv_variant variant, larder_kv_element element, const uint8_t *piece, size_t count,
                        uint8_t *coded, uint8_t *scratch) {
    const element_traits traits = traits_of(element);
    if (traits.size == 0 || count > LARDER_KV_PIECE_BYTE_COUNT_MAX) { return 0; }
    const loops use = loops_of(variant);
    const size_t group_byte_count = (size_t)GROUP * traits.size;
    uint8_t *next = coded + LARDER_KV_HEAD_BYTE_COUNT;
    size_t left = count;
    for (size_t groups = count / group_byte_count; groups;) {
        const size_t some = groups < CHUNK_GROUPS ? groups : CHUNK_GROUPS;
        next += encode_chunk(&use, element, piece, some, next, scratch);
        piece += some * group_byte_count;
        left -= some * group_byte_count;
        groups -= some;
    }
    if (left) { memcpy(next, piece, left); }
    next += left;
    memset(coded, 0, LARDER_KV_HEAD_BYTE_COUNT);
    coded[0] = PIECE_PLAIN_BODY;
    coded[1] = (uint8_t)element;
    store32(coded + 4, count);
    store32(coded + 8, (size_t)(next - coded) - LARDER_KV_HEAD_BYTE_COUNT);
    return (size_t)(next - coded);
}

// Decodes what lies behind a coded chunk's head; gives its length, 0 when it is damaged.
static size_t decode_coded(const loops *use, unsigned element, const uint8_t *head, size_t available, size_t groups,
                           uint8_t *elements, uint8_t *scratch) {
    const element_traits traits = traits_of(element);
    const size_t second_count = load16(head + 10), third_count = load16(head + 12), escape_count = load16(head + 14);
    const size_t fixed_count = groups * traits.stride;
    const size_t whole_count = fixed_count + second_count + third_count + escape_count;
    if (whole_count > available || second_count > STREAM_MAX || third_count > STREAM_MAX) { return 0; }
    const uint8_t *fixed = head + CHUNK_HEAD;
    const uint8_t *seconds = fixed + fixed_count;
    const uint8_t *thirds = seconds + second_count;
    const uint8_t *escapes = thirds + third_count, *const escapes_end = escapes + escape_count;
    // Words are read past the end of a stream: near the end of the piece, from a copy.
    if (available - (fixed_count + second_count + third_count) < BATCH_GROUPS * DIGITS + SLACK) {
        uint8_t *const third_copy = scratch + STREAM_MAX + BATCH_GROUPS * DIGITS + SLACK;
        memcpy(scratch, seconds, second_count);
        memcpy(third_copy, thirds, third_count);
        memset(scratch + second_count, 0, BATCH_GROUPS * DIGITS + SLACK);
        memset(third_copy + third_count, 0, BATCH_GROUPS * DIGITS + SLACK);
        seconds = scratch;
        thirds = third_copy;
    }
    uint8_t dictionary[16] = {0};
    memcpy(dictionary, head + 1, RANKS);
    bit_reader second_reader = {seconds, 0}, third_reader = {thirds, 0};
    uint8_t exponents[BATCH_GROUPS * GROUP], second[BATCH_GROUPS * DIGITS], third[BATCH_GROUPS * DIGITS];
    for (size_t done = 0; done < groups;) {
        const size_t batch = groups - done < BATCH_GROUPS ? groups - done : BATCH_GROUPS;
        use->bits->spread(fixed, traits.stride, batch, &second_reader, &third_reader, second, third);
        if (second_reader.position > second_count * 8 || third_reader.position > third_count * 8) { return 0; }
        use->lanes->unrank(fixed, traits.stride, second, third, batch, dictionary, exponents);
        escapes = put_escapes(third, escapes, escapes_end, batch, exponents);
        if (!escapes) { return 0; }
        use->lanes->join[element](exponents, fixed, batch, elements);
        elements += batch * GROUP * traits.size;
        fixed += batch * traits.stride;
        done += batch;
    }
    const int is_used_up = escapes == escapes_end && (second_reader.position + 7) / 8 == second_count
        && (third_reader.position + 7) / 8 == third_count;
    return is_used_up ? whole_count : 0;
}

// Fills `count` bytes with one element of `size` bytes.
static void repeat(const uint8_t *element, size_t size, uint8_t *into, size_t count) {
    memcpy(into, element, size);
    for (size_t done = size; done < count;) {
        const size_t some = done < count - done ? done : count - done;
        memcpy(into + done, into, some);
        done += some;
    }
}

int larder_kv_decode(larder_kv_variant variant, const uint8_t *coded, size_t coded_count, uint8_t *piece, size_t count,
                     uint8_t *scratch) {
    if (coded_count < LARDER_KV_HEAD_BYTE_COUNT || coded[0] != PIECE_PLAIN_BODY || load32(coded + 4) != count
        || load32(coded + 8) != coded_count - LARDER_KV_HEAD_BYTE_COUNT)
    {
        return 0;
    }
    const unsigned element = coded[1];
    const element_traits traits = traits_of(element);
    if (traits.size == 0) { return 0; }
    const loops use = loops_of(variant);
    const size_t group_byte_count = (size_t)GROUP * traits.size;
    const uint8_t *next = coded + LARDER_KV_HEAD_BYTE_COUNT, *const end = coded + coded_count;
    size_t left = count;
    for (size_t groups = count / group_byte_count; groups;) {
        if (end - next < CHUNK_HEAD) { return 0; }
        const size_t available = (size_t)(end - next) - CHUNK_HEAD;
        const size_t some = groups < CHUNK_GROUPS ? groups : CHUNK_GROUPS;
        const size_t some_count = some * group_byte_count;
        switch (next[0]) {
        case CHUNK_PLAIN:
            if (available < some_count) { return 0; }
            memcpy(piece, next + CHUNK_HEAD, some_count);
            next += CHUNK_HEAD + some_count;
            break;
        case CHUNK_CODED: {
            const size_t used = decode_coded(&use, element, next, available, some, piece, scratch);
            if (!used) { return 0; }
            next += CHUNK_HEAD + used;
            break;
        }
        case CHUNK_REPEATED:
            repeat(next + 1, traits.size, piece, some_count);
            next += CHUNK_HEAD;
            break;
        default: return 0;
        }
        piece += some_count;
        left -= some_count;
        groups -= some;
    }
    if ((size_t)(end - next) != left) { return 0; }
    if (left) { memcpy(piece, next, left); }
    return 1;
}
