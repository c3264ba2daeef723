// The kernels of one instruction set. Compiled once for each, with its name as FASTLSTM_ISA.
#include "dispatch.h"

#include "adam-inl.h"
#include "backward-inl.h"
#include "ngrams-inl.h"
#include "project_backward-inl.h"

#define FASTLSTM_STRING_OF(text) #text
#define FASTLSTM_STRING(name) FASTLSTM_STRING_OF(name)
#define FASTLSTM_JOIN(a, b) a##b
#define FASTLSTM_KERNELS(isa) FASTLSTM_JOIN(kernels_, isa)

namespace fastlstm {

const IsaKernels FASTLSTM_KERNELS(FASTLSTM_ISA) = {
    FASTLSTM_STRING(FASTLSTM_ISA),
    FASTLSTM_ISA::lanes,
    FASTLSTM_ISA::all_kernels<FASTLSTM_ISA::Float32>(),
    FASTLSTM_ISA::project,
    FASTLSTM_ISA::row_stride,
    FASTLSTM_ISA::column_blocks,
    FASTLSTM_ISA::weight_gradient_size,
    FASTLSTM_ISA::reduce_weight_gradients,
    FASTLSTM_ISA::project_backward_rows,
    FASTLSTM_ISA::project_backward_weight,
    FASTLSTM_ISA::adam,
    FASTLSTM_ISA::find_ngrams,
    FASTLSTM_ISA::find_ngram_rows,
};

}  // namespace fastlstm
