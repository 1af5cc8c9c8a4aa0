// What this machine can run, and what is fastest here.
#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

// AMD's processors before Zen 3 (family 0x19) deposit and extract bits by microcode, a bit at a time.
static int has_fast_deposit(void) {
    unsigned greatest, b, c, d, signature;
    if (!__builtin_cpu_supports("bmi2") || !__get_cpuid(0, &greatest, &b, &c, &d)) { return 0; }
    const int is_amd = b == signature_AMD_ebx && c == signature_AMD_ecx && d == signature_AMD_edx;
    const int is_hygon = b == signature_HYGON_ebx && c == signature_HYGON_ecx && d == signature_HYGON_edx;
    if (!is_amd && !is_hygon) { return 1; }
    if (!__get_cpuid(1, &signature, &b, &c, &d)) { return 0; }
    const unsigned family = (signature >> 8 & 0xF) + (signature >> 20 & 0xFF);
    return family >= 0x19;
}

static int has_avx2(void) { return __builtin_cpu_supports("avx2"); }
static int has_bmi(void) {
    return __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}
static int has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
}
#endif

int larder_kv_variant_is_supported(larder_kv_variant variant) {
    switch (variant) {
    case LARDER_KV_PORTABLE: return 1;
#if defined(__x86_64__)
    case LARDER_KV_AVX2_TABLES: return has_avx2();
    case LARDER_KV_AVX2: return has_avx2() && has_bmi();
    case LARDER_KV_AVX512: return has_avx2() && has_bmi() && has_avx512();
#endif
    default: return 0;
    }
}

larder_kv_variant larder_kv_variant_best(void) {
#if defined(__x86_64__)
    if (has_fast_deposit()) {
        if (larder_kv_variant_is_supported(LARDER_KV_AVX512)) { return LARDER_KV_AVX512; }
        if (larder_kv_variant_is_supported(LARDER_KV_AVX2)) { return LARDER_KV_AVX2; }
    }
    if (larder_kv_variant_is_supported(LARDER_KV_AVX2_TABLES)) { return LARDER_KV_AVX2_TABLES; }
#endif
    return LARDER_KV_PORTABLE;
}
