// The loops of one instruction set. Compiled once for each, with FASTLSTM_ISA its name.
#include "adam.h"
#include "backward.h"
#include "project_backward.h"

#define FASTLSTM_TEXT(name) #name
#define FASTLSTM_NAME(name) FASTLSTM_TEXT(name)
#define FASTLSTM_JOIN(a, b) a##b
#define FASTLSTM_LOOPS(name) FASTLSTM_JOIN(loops_, name)

namespace fastlstm {

const Loops FASTLSTM_LOOPS(FASTLSTM_ISA) = {
    FASTLSTM_NAME(FASTLSTM_ISA),
    FASTLSTM_ISA::lanes,
    FASTLSTM_ISA::both_passes_in<FASTLSTM_ISA::Float32>(),
    FASTLSTM_ISA::project,
    FASTLSTM_ISA::strided,
    FASTLSTM_ISA::column_blocks,
    FASTLSTM_ISA::gradient_size,
    FASTLSTM_ISA::reduce,
    FASTLSTM_ISA::project_backward_rows,
    FASTLSTM_ISA::project_backward_weight,
    FASTLSTM_ISA::adam,
};

}  // namespace fastlstm
