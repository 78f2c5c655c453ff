// The kernels for any processor: vectors of 128 bits.
#include "worker/kernels/kernels.h"

#define RETORT_KERNELS kBaselineKernels
#define RETORT_KERNELS_NAME "baseline"
#define RETORT_LANES 4
#define RETORT_COLUMNS 2
#define RETORT_GRADIENT_TILE 2
#include "loops.inc"  // beside this file: of its own folder alone
