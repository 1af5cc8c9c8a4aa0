// Any machine: the compiler's own vector code, and fmaf from the C library where there is no such instruction.
#include "CEngineKernels.h"

#define KERNEL(name) larder_portable_##name
#define TILE_ROWS 4
#include "kernels_body.h"
