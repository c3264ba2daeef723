// The passes in bfloat16, and forward in int8, of processors that have instructions for their products.
#include "backward.h"

namespace fastlstm {

const Pass bfloat16_v4 = FASTLSTM_ISA::both_passes_in<FASTLSTM_ISA::BFloat16>();
const Pass int8_v4 = FASTLSTM_ISA::forward_in<FASTLSTM_ISA::Int8>();

}  // namespace fastlstm
