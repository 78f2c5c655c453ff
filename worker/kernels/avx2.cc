// The kernels for AVX2 with FMA.
#include "worker/kernels/kernels.h"

#define RETORT_KERNELS kAvx2Kernels
#define RETORT_KERNELS_NAME "avx2"
#define RETORT_LANES 8
#define RETORT_COLUMNS 2
#define RETORT_GRADIENT_TILE 2
#include "loops.inc"  // beside this file: of its own folder alone
