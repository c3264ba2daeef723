// The backward pass of the projection of rows that a batch reads several times each, such as the vectors of
// tokens: the gradients of all reads of a row are summed before they are multiplied.
#ifndef FASTLSTM_PROJECT_BACKWARD_INL_H
#define FASTLSTM_PROJECT_BACKWARD_INL_H

#include "matmul-inl.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

void project_backward_rows(const ProjectBackwardJob &p, int64_t row_begin, int64_t row_end) {
    const int64_t width = 4 * round_up(p.H), padded_I = round_up(p.I);
    for (int64_t m = row_begin; m < row_end; m += projection_task_rows) {
        const int64_t count = row_end - m < projection_task_rows ? row_end - m : projection_task_rows;
        const float *from[projection_task_rows];
        float *to[projection_task_rows];
        for (int64_t r = 0; r < count; ++r) {
            float *sum = p.sums + (m + r) * row_stride(width);
            memset(sum, 0, width * sizeof(float));
            for (int64_t at = p.starts[m + r]; at < p.starts[m + r + 1]; ++at) {
                const float *row = p.gates + p.order[at] * width;
                const int64_t ahead = at + projection_prefetch_rows;
                if (ahead < p.starts[row_end]) prefetch(p.gates + p.order[ahead] * width, width);
                for (int64_t k = 0; k < width; k += lanes) store(sum + k, add(load(sum + k), load(row + k)));
            }
            float *input = p.padded_inputs + (m + r) * row_stride(padded_I);
            memset(input, 0, padded_I * sizeof(float));
            memcpy(input, p.inputs + (m + r) * p.I, p.I * sizeof(float));
            from[r] = sum;
            to[r] = p.grad_inputs + (m + r) * p.I;
        }
        multiply_columns<Float32>(from, count, width, p.packed_ih, to, p.I, 0, column_blocks(p.I));
    }
}

void project_backward_weight(const ProjectBackwardJob &p, int64_t panel_begin, int64_t panel_end) {
    const int64_t P = round_up(p.H), padded_I = round_up(p.I);
    const int64_t unit_begin = panel_begin * lanes, unit_end = panel_end * lanes;
    for (int64_t gate = 0; gate < 4; ++gate) {
        const int64_t begin = gate * P + unit_begin, end = gate * P + unit_end;
        memset(p.padded_weight + begin * padded_I, 0, (end - begin) * padded_I * sizeof(float));
        add_outer_products<Float32>(p.sums, row_stride(4 * P), p.padded_inputs, row_stride(padded_I),
                                    padded_I, p.M, begin, end, p.padded_weight);
        for (int64_t unit = unit_begin; unit < unit_end && unit < p.H; ++unit)
            memcpy(p.grad_weight_ih + (gate * p.H + unit) * p.I,
                   p.padded_weight + (gate * P + unit) * padded_I, p.I * sizeof(float));
    }
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
