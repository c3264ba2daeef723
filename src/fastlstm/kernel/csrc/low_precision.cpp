// Forward and backward pass in bfloat16, and forward pass in int8, for processors with instructions for them.
#include "backward-inl.h"
#include "dispatch.h"

namespace fastlstm {

const PrecisionKernels bfloat16_v4 = FASTLSTM_ISA::all_kernels<FASTLSTM_ISA::BFloat16>();
const PrecisionKernels int8_v4 = FASTLSTM_ISA::forward_kernels<FASTLSTM_ISA::Int8>();

}  // namespace fastlstm
