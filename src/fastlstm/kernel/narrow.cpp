// The forward pass in bfloat16 and int8, of processors that have instructions for their products.
#include "forward.h"

namespace fastlstm {

template <class Arithmetic>
constexpr Pass pass_in() {
    return {
        FASTLSTM_ISA::packed_size<Arithmetic>,
        FASTLSTM_ISA::pack<Arithmetic>,
        FASTLSTM_ISA::forward_workspace<Arithmetic>,
        FASTLSTM_ISA::forward<Arithmetic>,
    };
}

const Pass bfloat16_v4 = pass_in<FASTLSTM_ISA::BFloat16>();
const Pass int8_v4 = pass_in<FASTLSTM_ISA::Int8>();

}  // namespace fastlstm
