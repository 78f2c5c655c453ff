// The kernels for AVX-512.
#include "worker/kernels/kernels.h"

#define RETORT_KERNELS kAvx512Kernels
#define RETORT_KERNELS_NAME "avx512"
#define RETORT_LANES 16
#define RETORT_COLUMNS 4
#define RETORT_GRADIENT_TILE 4
#include "loops.inc"  // beside this file: of its own folder alone
