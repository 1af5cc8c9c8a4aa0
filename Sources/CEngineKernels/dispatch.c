// Which body of the loops runs.
#include "CEngineKernels.h"

#define DECLARE(variant)                                                                                             \
    void larder_##variant##_multiply(const float *, size_t, size_t, size_t, const float *, size_t, size_t, float *,  \
                                     size_t, int);                                                                   \
    float larder_##variant##_exponentiate(float *, size_t);                                                          \
    void larder_##variant##_normalize(const float *, const float *, size_t, float, float *);                         \
    void larder_##variant##_gate(float *, const float *, size_t);

DECLARE(portable)
#if defined(__x86_64__)
DECLARE(avx2)
#define DISPATCH(variant, name, ...)                                                                                 \
    switch (variant) {                                                                                               \
    case LARDER_KERNEL_AVX2: return larder_avx2_##name(__VA_ARGS__);                                                 \
    case LARDER_KERNEL_PORTABLE: break;                                                                              \
    }                                                                                                                \
    return larder_portable_##name(__VA_ARGS__)
#else
#define DISPATCH(variant, name, ...)                                                                                 \
    (void)variant;                                                                                                   \
    return larder_portable_##name(__VA_ARGS__)
#endif

int larder_kernel_is_supported(larder_kernel_variant variant) {
#if defined(__x86_64__)
    switch (variant) {
    case LARDER_KERNEL_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case LARDER_KERNEL_PORTABLE: break;
    }
#endif
    return variant == LARDER_KERNEL_PORTABLE;
}

void larder_multiply(larder_kernel_variant variant, const float *rows, size_t row_stride, size_t row_count,
                     size_t depth, const float *panels, size_t panel_stride, size_t panel_count,
                     float *destination, size_t destination_stride, int accumulates) {
    DISPATCH(variant, multiply, rows, row_stride, row_count, depth, panels, panel_stride, panel_count, destination,
             destination_stride, accumulates);
}

float larder_exponentiate(larder_kernel_variant variant, float *scores, size_t count) {
    DISPATCH(variant, exponentiate, scores, count);
}

void larder_normalize(larder_kernel_variant variant, const float *source, const float *weights, size_t count,
                      float epsilon, float *destination) {
    DISPATCH(variant, normalize, source, weights, count, epsilon, destination);
}

void larder_gate(larder_kernel_variant variant, float *gate, const float *up, size_t count) {
    DISPATCH(variant, gate, gate, up, count);
}
