// Tables of the kernels of each instruction set. Dimensions as in lstm.h; sizes in floats.
#ifndef FASTLSTM_DISPATCH_H
#define FASTLSTM_DISPATCH_H

#include <stdint.h>

#include "lstm.h"
#include "partition.h"

namespace fastlstm {

struct ForwardJob {
    const fastlstm_forward_arguments *arguments;
    const int64_t *offsets;  // [T + 1], the first row of each step
};

struct BackwardJob {
    const fastlstm_backward_arguments *arguments;
    const int64_t *offsets;   // [T + 1]
    const float *packed_hh;   // W_hh, from `pack_columns` in the precision of the pass
    const float *packed_ih;   // W_ih, likewise; empty without inputs
    float *weight_gradients;  // out [shards, weight_gradient_size]: of W_hh, W_ih and b, summed over a shard
};

struct ProjectBackwardJob {
    int64_t M, I, H;
    const float *gates;             // [N, 4P]
    const int64_t *order, *starts;  // [N], [M + 1]
    const float *inputs;            // [M, I]
    const float *packed_ih;         // from `pack_columns` in float32
    float *sums;                    // [M, row_stride(4P)], written by project_backward_rows
    float *padded_inputs;           // [M, row_stride(padded I)], written by project_backward_rows
    float *padded_weight;           // [4P, padded I], written by project_backward_weight
    float *grad_inputs;             // out [M, I]
    float *grad_weight_ih;          // out [4H, I]
};

// Elements of a lookup of n-grams that hold a bit for each id. Those after them hold, as uint32, the number
// of ids below each of these elements.
constexpr int64_t ngram_words = FASTLSTM_NGRAM_IDS / 64;

// The kernels in one precision. The functions of the backward pass are null if the precision has none.
struct PrecisionKernels {
    int64_t max_columns;  // of W_ih and W_hh
    int64_t (*packed_size)(int64_t I, int64_t H);
    // Pack the panels [panel_begin, panel_end) of L hidden units each.
    void (*pack)(int64_t I, int64_t H, const float *weight_ih, const float *weight_hh, const float *bias,
                 int64_t panel_begin, int64_t panel_end, float *packed);
    int64_t (*forward_workspace_size)(const fastlstm_forward_arguments &, const Partition &);
    void (*forward)(const ForwardJob &, const Partition &, float *workspace);
    int64_t (*packed_columns_size)(int64_t H, int64_t columns);
    // Pack the blocks of columns [block_begin, block_end) of a weight [4H, columns].
    void (*pack_columns)(int64_t H, int64_t columns, const float *weight, int64_t block_begin,
                         int64_t block_end, float *packed);
    int64_t (*backward_workspace_size)(const fastlstm_backward_arguments &, const Partition &);
    void (*backward)(const BackwardJob &, const Partition &, float *workspace);
};

// The kernels of one instruction set.
struct IsaKernels {
    const char *name;
    int32_t lanes;
    PrecisionKernels float32;
    void (*project)(int64_t rows, int64_t I, int64_t H, const float *packed, const float *inputs,
                    float *projected);
    int64_t (*row_stride)(int64_t columns);
    int64_t (*column_blocks)(int64_t columns);
    int64_t (*weight_gradient_size)(int64_t I, int64_t H);
    // Sum the gradients of all shards, for the rows [row_begin, row_end) of the 4H rows of the weights.
    void (*reduce_weight_gradients)(const BackwardJob &, int64_t shards, int64_t row_begin, int64_t row_end);
    // The backward pass of `project`: first for the rows [row_begin, row_end) of `projected`; when all rows
    // are done, for the panels [panel_begin, panel_end) of the weight.
    void (*project_backward_rows)(const ProjectBackwardJob &, int64_t row_begin, int64_t row_end);
    void (*project_backward_weight)(const ProjectBackwardJob &, int64_t panel_begin, int64_t panel_end);
    // Update the rows [row_begin, row_end) of the M rows.
    void (*adam)(const fastlstm_adam_arguments &, int64_t row_begin, int64_t row_end);
    // Find the n-grams of a kind that begin at the positions [begin, end) of `tokens`. Add the rows of those
    // that have weights to `rows`, a set as in fastlstm_ngram_arguments.
    void (*find_ngrams)(const fastlstm_ngram_kind &, const uint64_t *lookup, const int32_t *tokens,
                        int64_t begin, int64_t end, uint64_t *rows);
    // Write the row of each of these n-grams, or -1.
    void (*find_ngram_rows)(const fastlstm_ngram_kind &, const uint64_t *lookup, const int32_t *tokens,
                            int64_t begin, int64_t end, int32_t *rows);
};

extern const IsaKernels kernels_v2, kernels_v3, kernels_v4, kernels_neon;
extern const PrecisionKernels bfloat16_v4, int8_v4;  // for processors with AVX512-BF16 and AVX512-VNNI

}  // namespace fastlstm

#endif
