// The backward pass of a projection whose rows were read several times each, as words are in texts: the gradients of
// all readings are summed first, and the products taken once a word.
#ifndef FASTLSTM_PROJECT_BACKWARD_H
#define FASTLSTM_PROJECT_BACKWARD_H

#include "products.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// Rows in no order that the processor could guess are asked for so many before they are summed. One before is too late:
// the backward pass of a projection then takes 14% longer (benchmarks/epoch_parts.py).
constexpr int64_t rows_ahead = 6;

void project_backward_rows(const ProjectBackward &p, int64_t first, int64_t last) {
    const int64_t width = 4 * padded(p.H), wide = padded(p.I);
    constexpr int64_t together = 48;
    for (int64_t m = first; m < last; m += together) {
        const int64_t count = last - m < together ? last - m : together;
        const float *from[together];
        float *to[together];
        for (int64_t r = 0; r < count; ++r) {
            float *sum = p.sums + (m + r) * strided(width);
            memset(sum, 0, width * sizeof(float));
            for (int64_t at = p.starts[m + r]; at < p.starts[m + r + 1]; ++at) {
                const float *row = p.gates + p.order[at] * width;
                if (at + rows_ahead < p.starts[last]) prefetch(p.gates + p.order[at + rows_ahead] * width, width);
                for (int64_t k = 0; k < width; k += lanes) store(sum + k, add(load(sum + k), load(row + k)));
            }
            memset(p.padded_inputs + (m + r) * strided(wide), 0, wide * sizeof(float));
            memcpy(p.padded_inputs + (m + r) * strided(wide), p.inputs + (m + r) * p.I, p.I * sizeof(float));
            from[r] = sum;
            to[r] = p.grad_inputs + (m + r) * p.I;
        }
        times_columns<Float32>(from, count, width, p.packed_ih, to, p.I, 0, column_blocks(p.I));
    }
}

void project_backward_weight(const ProjectBackward &p, int64_t first_panel, int64_t last_panel) {
    const int64_t P = padded(p.H), wide = padded(p.I), first = first_panel * lanes, last = last_panel * lanes;
    for (int64_t gate = 0; gate < 4; ++gate) {
        const int64_t begin = gate * P + first, end = gate * P + last;
        memset(p.padded_weight + begin * wide, 0, (end - begin) * wide * sizeof(float));
        add_outer<Float32>(p.sums, strided(4 * P), p.padded_inputs, strided(wide), wide, p.M, begin, end, p.padded_weight);
        for (int64_t unit = first; unit < last && unit < p.H; ++unit)
            memcpy(p.grad_weight_ih + (gate * p.H + unit) * p.I, p.padded_weight + (gate * P + unit) * wide,
                   p.I * sizeof(float));
    }
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
