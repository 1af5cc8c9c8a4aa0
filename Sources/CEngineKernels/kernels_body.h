// The loops, compiled once for each instruction set. The including file defines
//   KERNEL(name)  the variant's function name
//   TILE_ROWS     rows computed side by side: as many as have their accumulators in registers
// and nothing here may depend on either in its results.

#pragma STDC FP_CONTRACT OFF

typedef float lanes __attribute__((vector_size(64)));
typedef float loose_lanes __attribute__((vector_size(64), aligned(4)));
typedef int whole_lanes __attribute__((vector_size(64)));

#define INLINE static inline __attribute__((always_inline))
#define WIDTH LARDER_PANEL_WIDTH
// A slice of a panel of this depth (16 KiB) stays in the first-level cache while all rows pass by.
#define DEPTH_SLICE 256

INLINE void KERNEL(load)(lanes *into, const float *from) { *into = *(const loose_lanes *)from; }
INLINE void KERNEL(store)(float *into, const lanes *from) { *(loose_lanes *)into = *from; }

// `tile` is a constant wherever this is inlined, so the accumulators live in registers.
INLINE void KERNEL(multiply_tile)(size_t tile, const float *restrict rows, size_t row_stride, size_t depth,
                                  const float *restrict panel, float *restrict destination,
                                  size_t destination_stride, int accumulates) {
    lanes sums[TILE_ROWS];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < tile; r++) {
        if (accumulates) {
            KERNEL(load)(&sums[r], destination + r * destination_stride);
        } else {
            sums[r] = (lanes){0};
        }
    }
    for (size_t i = 0; i < depth; i++) {
        lanes column;
        KERNEL(load)(&column, panel + i * WIDTH);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < tile; r++) {
            const lanes value = (lanes){0} + rows[r * row_stride + i];
            sums[r] = __builtin_elementwise_fma(value, column, sums[r]);
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < tile; r++) {
        KERNEL(store)(destination + r * destination_stride, &sums[r]);
    }
}

INLINE void KERNEL(multiply_panel)(const float *rows, size_t row_stride, size_t row_count, size_t depth,
                                   const float *panel, float *destination, size_t destination_stride,
                                   int accumulates) {
    size_t row = 0;
    for (; row + TILE_ROWS <= row_count; row += TILE_ROWS) {
        KERNEL(multiply_tile)(TILE_ROWS, rows + row * row_stride, row_stride, depth, panel,
                              destination + row * destination_stride, destination_stride, accumulates);
    }
    for (; row + 2 <= row_count; row += 2) {
        KERNEL(multiply_tile)(2, rows + row * row_stride, row_stride, depth, panel,
                              destination + row * destination_stride, destination_stride, accumulates);
    }
    for (; row < row_count; row++) {
        KERNEL(multiply_tile)(1, rows + row * row_stride, row_stride, depth, panel,
                              destination + row * destination_stride, destination_stride, accumulates);
    }
}

void KERNEL(multiply)(const float *rows, size_t row_stride, size_t row_count, size_t depth, const float *panels,
                      size_t panel_stride, size_t panel_count, float *destination, size_t destination_stride,
                      int accumulates);
void KERNEL(multiply)(const float *rows, size_t row_stride, size_t row_count, size_t depth, const float *panels,
                      size_t panel_stride, size_t panel_count, float *destination, size_t destination_stride,
                      int accumulates) {
    // Slicing the depth stores and reloads the chain's value, which changes no bit of it.
    for (size_t start = 0; start < depth; start += DEPTH_SLICE) {
        const size_t slice = depth - start < DEPTH_SLICE ? depth - start : DEPTH_SLICE;
        for (size_t p = 0; p < panel_count; p++) {
            KERNEL(multiply_panel)(rows + start, row_stride, row_count, slice,
                                   panels + p * panel_stride + start * WIDTH, destination + p * WIDTH,
                                   destination_stride, accumulates || start > 0);
        }
    }
}

// e to the x, within 2 units in the last place for x in -87...88; 0 below, clamped above. Cephes' polynomial.
INLINE void KERNEL(exponential)(lanes *value) {
    const lanes zero = {0};
    const whole_lanes is_zero = *value < zero - 87.0f;
    lanes x = __builtin_elementwise_min(__builtin_elementwise_max(*value, zero - 87.0f), zero + 88.0f);
    // Adding 1.5 * 2^23 rounds to a whole number in the low bits.
    const lanes shifted = __builtin_elementwise_fma(x, zero + 1.44269504088896341f, zero + 12582912.0f);
    const lanes whole = shifted - 12582912.0f;
    const whole_lanes power = ((whole_lanes)shifted - 0x4B400000 + 127) << 23;
    x = __builtin_elementwise_fma(whole, zero - 0.693359375f, x);
    x = __builtin_elementwise_fma(whole, zero + 2.12194440e-4f, x);
    lanes y = zero + 1.9875691500e-4f;
    y = __builtin_elementwise_fma(y, x, zero + 1.3981999507e-3f);
    y = __builtin_elementwise_fma(y, x, zero + 8.3334519073e-3f);
    y = __builtin_elementwise_fma(y, x, zero + 4.1665795894e-2f);
    y = __builtin_elementwise_fma(y, x, zero + 1.6666665459e-1f);
    y = __builtin_elementwise_fma(y, x, zero + 5.0000001201e-1f);
    y = __builtin_elementwise_fma(y, x * x, x) + 1.0f;
    *value = (lanes)((whole_lanes)(y * (lanes)power) & ~is_zero);
}

// The lanes' sum in a fixed tree.
INLINE float KERNEL(total)(const lanes *value) {
    float sums[WIDTH];
    KERNEL(store)(sums, value);
    for (size_t half = WIDTH / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) { sums[i] += sums[i + half]; }
    }
    return sums[0];
}

// The first `count` lanes from memory, `filler` in the others.
INLINE void KERNEL(load_part)(lanes *into, const float *from, size_t count, float filler) {
    float part[WIDTH];
    for (size_t i = 0; i < WIDTH; i++) { part[i] = i < count ? from[i] : filler; }
    KERNEL(load)(into, part);
}

INLINE void KERNEL(store_part)(float *into, const lanes *from, size_t count) {
    float part[WIDTH];
    KERNEL(store)(part, from);
    for (size_t i = 0; i < count; i++) { into[i] = part[i]; }
}

float KERNEL(exponentiate)(float *scores, size_t count);
float KERNEL(exponentiate)(float *scores, size_t count) {
    const size_t whole = count / WIDTH * WIDTH;
    const lanes zero = {0};
    lanes greatest = zero - __builtin_inff();
    lanes part;
    for (size_t i = 0; i < whole; i += WIDTH) {
        KERNEL(load)(&part, scores + i);
        greatest = __builtin_elementwise_max(greatest, part);
    }
    if (whole < count) {
        KERNEL(load_part)(&part, scores + whole, count - whole, -__builtin_inff());
        greatest = __builtin_elementwise_max(greatest, part);
    }
    float maxima[WIDTH];
    KERNEL(store)(maxima, &greatest);
    float top = maxima[0];
    for (size_t i = 1; i < WIDTH; i++) { top = maxima[i] > top ? maxima[i] : top; }

    lanes sums = zero;
    for (size_t i = 0; i < whole; i += WIDTH) {
        KERNEL(load)(&part, scores + i);
        part = part - top;
        KERNEL(exponential)(&part);
        KERNEL(store)(scores + i, &part);
        sums += part;
    }
    if (whole < count) {
        KERNEL(load_part)(&part, scores + whole, count - whole, -__builtin_inff());
        part = part - top;
        KERNEL(exponential)(&part);
        KERNEL(store_part)(scores + whole, &part, count - whole);
        sums += part;
    }
    return KERNEL(total)(&sums);
}

void KERNEL(normalize)(const float *source, const float *weights, size_t count, float epsilon, float *destination);
void KERNEL(normalize)(const float *source, const float *weights, size_t count, float epsilon, float *destination) {
    const size_t whole = count / WIDTH * WIDTH;
    lanes squares = {0};
    lanes part, weight;
    for (size_t i = 0; i < whole; i += WIDTH) {
        KERNEL(load)(&part, source + i);
        squares = __builtin_elementwise_fma(part, part, squares);
    }
    if (whole < count) {
        KERNEL(load_part)(&part, source + whole, count - whole, 0);
        squares = __builtin_elementwise_fma(part, part, squares);
    }
    const float scale = 1.0f / __builtin_sqrtf(KERNEL(total)(&squares) / (float)count + epsilon);
    for (size_t i = 0; i < whole; i += WIDTH) {
        KERNEL(load)(&part, source + i);
        KERNEL(load)(&weight, weights + i);
        part = part * scale * weight;
        KERNEL(store)(destination + i, &part);
    }
    for (size_t i = whole; i < count; i++) { destination[i] = source[i] * scale * weights[i]; }
}

void KERNEL(gate)(float *gate, const float *up, size_t count);
void KERNEL(gate)(float *gate, const float *up, size_t count) {
    for (size_t i = 0; i < count; i += WIDTH) {
        const size_t width = count - i < WIDTH ? count - i : WIDTH;
        lanes x, factor;
        if (width == WIDTH) {
            KERNEL(load)(&x, gate + i);
            KERNEL(load)(&factor, up + i);
        } else {
            KERNEL(load_part)(&x, gate + i, width, 0);
            KERNEL(load_part)(&factor, up + i, width, 0);
        }
        lanes e = -x;
        KERNEL(exponential)(&e);
        x = x / (1.0f + e) * factor;
        if (width == WIDTH) {
            KERNEL(store)(gate + i, &x);
        } else {
            KERNEL(store_part)(gate + i, &x, width);
        }
    }
}
