// Divides the work of a call among threads. Arguments have been checked.
#ifndef FASTLSTM_SCHEDULE_H
#define FASTLSTM_SCHEDULE_H

#include <stdint.h>

#include "dispatch.h"

namespace fastlstm {

// Panels of L units.
int64_t panel_count(const IsaKernels &kernels, int64_t units);

// True if the weights of a layer are too large for the cache of one core.
bool exceeds_cache(const PrecisionKernels &precision, int64_t I, int64_t H);

void schedule_pack(const IsaKernels &kernels, const PrecisionKernels &precision, int64_t I, int64_t H,
                   const float *weight_ih, const float *weight_hh, const float *bias, float *packed);

void schedule_project(const IsaKernels &kernels, int64_t M, int64_t I, int64_t H, const float *packed,
                      const float *inputs, float *projected);

void schedule_forward(const IsaKernels &kernels, const PrecisionKernels &precision, const ForwardJob &job);

// `offsets` as in BackwardJob.
void schedule_backward(const IsaKernels &kernels, const PrecisionKernels &precision,
                       const fastlstm_backward_arguments &arguments, const int64_t *offsets);

// Sets the arrays of `job` that hold intermediate results.
void schedule_project_backward(const IsaKernels &kernels, ProjectBackwardJob job, const float *weight_ih);

void schedule_adam(const IsaKernels &kernels, const fastlstm_adam_arguments &arguments);

}  // namespace fastlstm

#endif
