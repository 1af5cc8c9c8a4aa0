// x86-64 with AVX2 and FMA: 16 registers of 8 floats hold 6 rows of 16 columns.
#include "CEngineKernels.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define KERNEL(name) larder_avx2_##name
#define TILE_ROWS 6
#include "kernels_body.h"
#pragma clang attribute pop
#endif
