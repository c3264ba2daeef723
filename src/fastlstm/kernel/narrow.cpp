// The forward pass in bfloat16 and int8, of processors that have instructions for their products.
#include "forward.h"

namespace fastlstm {

const Pass bfloat16_v4 = FASTLSTM_ISA::pass_in<FASTLSTM_ISA::BFloat16>();
const Pass int8_v4 = FASTLSTM_ISA::pass_in<FASTLSTM_ISA::Int8>();

}  // namespace fastlstm
