// What lstm.cpp hands to the loops of one instruction set. Letters as in lstm.h.
#ifndef FASTLSTM_LOOPS_H
#define FASTLSTM_LOOPS_H

#include <stdint.h>

#include "lstm.h"

namespace fastlstm {

struct Barrier;

// The share of a batch that one thread works on.
//
// Either a shard of the sequences (shard, shard + shards, ...) from the first step to the last, alone; or, where
// the weights are too large for one core's cache, some of the hidden units of a shard, together with the other
// members of a team, which meet at a barrier after every step.
struct Cut {
    int64_t shard, shards;
    int64_t member, members;
    Barrier *barrier;
};

struct Forward {
    const fastlstm_forward_arguments *arguments;
    const int64_t *offsets;  // [T + 1], the first row of every step
};

struct Backward {
    const fastlstm_backward_arguments *arguments;
    const int64_t *offsets;           // [T + 1]
    const float *packed_hh;           // W_hh, and below W_ih, by the pass's `pack_columns`
    const float *packed_ih;
    float *gradients;                 // out [shards, gradient_size]: of W_hh, W_ih and b, summed over a shard
};

struct ProjectBackward {
    int64_t M, I, H;
    const float *gates;            // [N, 4P]
    const int64_t *order, *starts; // [N], [M + 1]
    const float *inputs;           // [M, I]
    const float *packed_ih;        // by `pack_columns` of float32
    float *sums;                   // [M, strided 4P], by project_backward_rows
    float *padded_inputs;          // [M, strided padded I], by project_backward_rows
    float *padded_weight;          // [4P, padded I], by project_backward_weight
    float *grad_inputs;            // out [M, I]
    float *grad_weight_ih;         // out [4H, I]
};

// The passes in one precision, and the sizes (in floats) of packed weights and of the workspaces that they ask for. What
// backward needs is null where there is only forward.
struct Pass {
    int64_t most_columns;  // of W_ih and W_hh
    int64_t (*packed_size)(int64_t I, int64_t H);
    // For some of the panels of L hidden units.
    void (*pack)(int64_t I, int64_t H, const float *weight_ih, const float *weight_hh, const float *bias,
                 int64_t first_panel, int64_t last_panel, float *packed);
    int64_t (*workspace)(const fastlstm_forward_arguments &, const Cut &);
    void (*forward)(const Forward &, const Cut &, float *workspace);
    int64_t (*columns_size)(int64_t rows, int64_t columns);
    // For some of the blocks of columns.
    void (*pack_columns)(int64_t H, int64_t columns, const float *weight, int64_t first_block, int64_t last_block,
                         float *packed);
    int64_t (*backward_workspace)(const fastlstm_backward_arguments &, const Cut &);
    void (*backward)(const Backward &, const Cut &, float *workspace);
};

// One instruction set's loops, and the sizes of the workspaces (in floats) that they ask for.
struct Loops {
    const char *name;
    int32_t lanes;
    Pass float32;
    void (*project)(int64_t rows, int64_t I, int64_t H, const float *packed, const float *inputs, float *projected);
    int64_t (*strided)(int64_t columns);  // from one row to the next of a matrix with so many columns
    int64_t (*column_blocks)(int64_t columns);
    int64_t (*gradient_size)(int64_t I, int64_t H);
    // Sums the shards' gradients, for the weights' rows first_row .. last_row - 1 of 4H.
    void (*reduce)(const Backward &, int64_t shards, int64_t first_row, int64_t last_row);
    // The backward pass of `project`, below: first for some of the rows of `projected`, then, when all are done,
    // for some of the blocks of gates that the weight's rows are cut into.
    void (*project_backward_rows)(const ProjectBackward &, int64_t first_row, int64_t last_row);
    void (*project_backward_weight)(const ProjectBackward &, int64_t first_panel, int64_t last_panel);
    // For some of the M rows that are moved.
    void (*adam)(const fastlstm_adam_arguments &, int64_t first_row, int64_t last_row);
};

extern const Loops loops_v2, loops_v3, loops_v4, loops_neon;
extern const Pass bfloat16_v4, int8_v4;  // for processors with AVX512-BF16 and AVX512-VNNI

}  // namespace fastlstm

#endif
