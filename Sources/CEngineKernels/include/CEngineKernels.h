#ifndef LARDER_CENGINEKERNELS_H
#define LARDER_CENGINEKERNELS_H
// The decoder's inner loops. Swift's default x86-64 target has neither AVX nor FMA, and raising it takes build
// flags that a package must not force on its dependents; so the loops are C, compiled once for each instruction
// set from one body (kernels_body.h), and chosen at run time.
//
// All variants give the same bits: every output element is one chain of fused multiply-adds in ascending order of
// the reduction index (or, where lanes are summed, of a fixed number of lanes in a fixed tree), and everything
// else is made of correctly rounded IEEE 754 operations. The instruction set only decides how many elements are
// computed side by side. For the same reason a row's result does not depend on the rows computed with it.

#include <stddef.h>

/// Columns of one packed panel, and tokens of one page of keys and values.
#define LARDER_PANEL_WIDTH 16

/// The instruction set that the loops are compiled for.
typedef enum {
    LARDER_KERNEL_PORTABLE = 0,
    LARDER_KERNEL_AVX2 = 1,
} larder_kernel_variant;

/// Whether this machine can run a variant.
int larder_kernel_is_supported(larder_kernel_variant variant);

/// destination[r][n] (+)= sum over i of rows[r][i] * panels[n / 16][i][n % 16], i ascending.
///
/// `rows` has `row_count` rows of `depth` floats, `row_stride` apart. `panels` has `panel_count` panels, each
/// `depth` times 16 floats, `panel_stride` floats apart. `destination` rows are `destination_stride` apart and have
/// 16 * panel_count floats. `accumulates` 0 starts every chain at +0, else at the destination's value.
void larder_multiply(larder_kernel_variant variant, const float *rows, size_t row_stride, size_t row_count,
                     size_t depth, const float *panels, size_t panel_stride, size_t panel_count,
                     float *destination, size_t destination_stride, int accumulates);

/// Replaces scores[0..<count] by exp(score - greatest) and returns their sum. Writes nothing behind `count`.
float larder_exponentiate(larder_kernel_variant variant, float *scores, size_t count);

/// destination[i] = source[i] / sqrt(mean of squares + epsilon) * weights[i], for i in 0..<count.
void larder_normalize(larder_kernel_variant variant, const float *source, const float *weights, size_t count,
                      float epsilon, float *destination);

/// gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i], for i in 0..<count.
void larder_gate(larder_kernel_variant variant, float *gate, const float *up, size_t count);

#endif
