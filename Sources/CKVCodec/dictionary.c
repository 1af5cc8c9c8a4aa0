// Which exponents are frequent.
#include "kernels.h"

/// Stretches of half a group that are looked at: 1,024 elements in all.
#define STRETCHES 16
#define STRETCH (GROUP / 2)

// The exponents of a stretch; `size` and `loose_bits` are constants where this is inlined.
INLINE void count_stretch(const uint8_t *element, unsigned size, unsigned loose_bits, uint32_t *even, uint32_t *odd) {
    for (size_t i = 0; i < STRETCH; i += 2) {
        unsigned tops[2];
        for (size_t j = 0; j < 2; j++) {
            const uint8_t *last = element + (i + j + 1) * size - 1;
            // The top byte after the rotation: the sign leaves, the bit below the byte comes in.
            tops[j] = ((unsigned)*last << 1 & 0xFF) | (size > 1 ? last[-1] >> 7 : *last >> 7);
        }
        even[tops[0] >> loose_bits]++;
        odd[tops[1] >> loose_bits]++;
    }
}

void larder_kv_count_exponents(unsigned element, const uint8_t *elements, size_t groups, exponent_counts *counts) {
    const element_traits traits = traits_of(element);
    const size_t halves = groups * 2;
    const size_t stretches = halves < STRETCHES ? halves : STRETCHES;
    const size_t step = stretches ? halves / stretches : 0;
    uint32_t odd[256] = {0};
    memset(counts, 0, sizeof *counts);
    for (size_t i = 0; i < stretches; i++) {
        // Not at even steps: rows of a power of two would show the same column again and again.
        const size_t half = i * halves / stretches + i * 5 % step;
        const uint8_t *first = elements + half * STRETCH * traits.size;
        switch (element) {
        case LARDER_KV_BFLOAT16: count_stretch(first, 2, 0, counts->counts, odd); break;
        case LARDER_KV_FLOAT16: count_stretch(first, 2, 3, counts->counts, odd); break;
        case LARDER_KV_FLOAT32: count_stretch(first, 4, 0, counts->counts, odd); break;
        case LARDER_KV_FLOAT8_E4M3: count_stretch(first, 1, 4, counts->counts, odd); break;
        case LARDER_KV_FLOAT8_E5M2: count_stretch(first, 1, 3, counts->counts, odd); break;
        default: return;
        }
    }
    for (size_t i = 0; i < 256; i++) { counts->counts[i] += odd[i]; }
    counts->total = (uint32_t)(stretches * STRETCH);
}

size_t larder_kv_choose_dictionary(unsigned element, const exponent_counts *counts, uint8_t dictionary[RANKS]) {
    // Count and exponent in one number, so that it can be sorted: more first, then the lower exponent.
    uint32_t best[RANKS] = {0};
    for (uint32_t exponent = 0; exponent < 256; exponent++) {
        uint32_t candidate = counts->counts[exponent] << 8 | (255 - exponent);
        if (candidate <= best[RANKS - 1]) { continue; }
        size_t place = RANKS - 1;
        for (; place > 0 && best[place - 1] < candidate; place--) { best[place] = best[place - 1]; }
        best[place] = candidate;
    }
    const element_traits traits = traits_of(element);
    size_t left = counts->total;
    size_t bits = left * (traits.size * 8 - (8 - traits.loose_bits));
    for (size_t rank = 0; rank < RANKS; rank++) {
        dictionary[rank] = (uint8_t)(255 - (best[rank] & 0xFF));
        if (rank % 3 == 0) { bits += 2 * left; }
        left -= best[rank] >> 8;
    }
    return bits + 8 * left;
}

size_t larder_kv_estimate(larder_kv_element element, const uint8_t *piece, size_t count) {
    const element_traits traits = traits_of(element);
    const size_t groups = traits.size ? count / (GROUP * traits.size) : 0;
    if (groups == 0) { return count; }
    exponent_counts counts;
    uint8_t dictionary[RANKS];
    larder_kv_count_exponents(element, piece, groups, &counts);
    const size_t bits = larder_kv_choose_dictionary(element, &counts, dictionary);
    const double share = (double)bits / ((double)counts.total * 8 * traits.size);
    return share < 1 ? (size_t)((double)count * share) : count;
}
