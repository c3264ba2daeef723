// Whole texts through all layers, in groups of similar length whose outputs never leave the cache of a core.
#ifndef FASTLSTM_INFERENCE_H
#define FASTLSTM_INFERENCE_H

#include "dispatch.h"

namespace fastlstm {

// Compute the features of all texts. Arguments have been checked. Throws std::bad_alloc.
void infer(const IsaKernels &kernels, const PrecisionKernels &precision,
           const fastlstm_inference_arguments &arguments);

}  // namespace fastlstm

#endif
