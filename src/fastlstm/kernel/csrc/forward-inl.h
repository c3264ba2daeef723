// The forward pass over one partition of a batch.
#ifndef FASTLSTM_FORWARD_INL_H
#define FASTLSTM_FORWARD_INL_H

#include <utility>

#include "step-inl.h"
#include "workspace-inl.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// Rows of projected inputs that are computed at a time; at least those of one step.
inline int64_t forward_chunk_rows(int64_t sequences, int64_t width) {
    const int64_t rows =
        forward_chunk_floats / width < block_rows ? block_rows : forward_chunk_floats / width;
    return sequences > rows ? sequences : rows;
}

template <class Precision>
struct ForwardWorkspace {
    int64_t sequences, P, chunk_rows, state_stride, input_stride;
    float *h, *h_next;               // [sequences, state_stride]
    Lane32 *h_lanes, *h_lanes_next;  // the same in the precision of the products; in float32 h and h_next
    float *c;                        // [sequences, P]
    float *projected;                // [chunk_rows, 4P]
    Lane32 *input_lanes;             // [chunk_rows, input_stride], rounded inputs; null in float32
    Row *rows;                       // [sequences], of this member
    const float **inputs;            // [chunk_rows], of this member

    ForwardWorkspace(Arena &arena, const fastlstm_forward_arguments &f, const Partition &partition)
        : sequences(shard_size(f.B, partition)),
          P(round_up(f.H)),
          chunk_rows(f.inputs ? forward_chunk_rows(sequences, 4 * P) : 0),
          state_stride(row_stride(P)),
          input_stride(row_stride(round_up(f.I))) {
        constexpr bool rounded = is_rounded<Precision>;
        h = arena.take<float>(sequences * state_stride);
        h_next = arena.take<float>(sequences * state_stride);
        h_lanes = rounded ? arena.take<Lane32>(sequences * state_stride) : h;
        h_lanes_next = rounded ? arena.take<Lane32>(sequences * state_stride) : h_next;
        c = arena.take<float>(sequences * P);
        projected = arena.take<float>(chunk_rows * 4 * P);
        input_lanes = rounded ? arena.take<Lane32>(chunk_rows * input_stride) : nullptr;
        for (int64_t member = 0; member < partition.members; ++member) {
            Row *member_rows = arena.take<Row>(sequences);
            const float **member_inputs = arena.take<const float *>(chunk_rows);
            if (member != partition.member) continue;
            rows = member_rows;
            inputs = member_inputs;
        }
    }
};

// Round `count` rows of floats to rows of lanes.
template <class Precision>
void round_rows(const float *const *rows, int64_t count, int64_t columns, int64_t stride, Lane32 *to) {
    for (int64_t row = 0; row < count; ++row, to += stride) {
        int64_t at = 0;
        for (; at + lanes <= columns; at += lanes) Precision::store_rounded(load(rows[row] + at), to, at);
        if (at < columns) Precision::store_rounded(load_partial(rows[row] + at, columns - at), to, at);
    }
}

template <class Precision>
class ForwardPass {
  public:
    ForwardPass(const ForwardJob &job, const Partition &partition, float *workspace)
        : f_(*job.arguments),
          offsets_(job.offsets),
          partition_(partition),
          packed_(f_.packed, f_.I, f_.H),
          panel_begin_(member_begin(partition, panel_count(f_.H), partition.member)),
          panel_end_(member_begin(partition, panel_count(f_.H), partition.member + 1)),
          arena_(workspace),
          w_(arena_, f_, partition) {}

    void run() {
        if (partition_.member == 0) load_initial_states();
        team_barrier(partition_);
        for (int64_t s = 0; s < f_.T; ++s) {
            if (f_.inputs && s == chunk_end_) project_chunk();
            const int64_t count = running(s);
            locate_rows(s, count);
            if (!f_.inputs) prefetch_projected(s + 1);
            const States states = {w_.h_lanes, w_.h_next, w_.h_lanes_next, w_.c, w_.state_stride, w_.P};
            step(w_.rows, count, states, lanes32<Precision>(f_.H), packed_.hh, panel_begin_, panel_end_,
                 s % 2 == 1);
            store_states(s, count);
            team_barrier(partition_);
            std::swap(w_.h, w_.h_next);
            std::swap(w_.h_lanes, w_.h_lanes_next);
        }
    }

  private:
    // The step that is read as number s, the number of sequences that have it, and their rows.
    int64_t time(int64_t s) const { return f_.reverse ? f_.T - 1 - s : s; }
    int64_t running(int64_t s) const {
        return s < f_.T ? shard_size(f_.batch_sizes[time(s)], partition_) : 0;
    }
    int64_t row(int64_t s, int64_t j) const { return offsets_[time(s)] + sequence_of(partition_, j); }

    // Both h and h_next, because with `reverse` a sequence may start at any step.
    void load_initial_states() {
        load_states(f_.h0, w_.h, w_.state_stride, w_.sequences, f_.H, partition_);
        load_states(f_.h0, w_.h_next, w_.state_stride, w_.sequences, f_.H, partition_);
        load_states(f_.c0, w_.c, w_.P, w_.sequences, f_.H, partition_);
        if constexpr (is_rounded<Precision>)
            for (int64_t j = 0; j < w_.sequences; ++j)
                for (int64_t at = 0; at < w_.P; at += lanes) {
                    const Vector h = load(w_.h + j * w_.state_stride + at);
                    Precision::store_rounded(h, w_.h_lanes + j * w_.state_stride, at);
                    Precision::store_rounded(h, w_.h_lanes_next + j * w_.state_stride, at);
                }
    }

    // Project the inputs of the next steps, as many as fit the workspace.
    void project_chunk() {
        int64_t count = 0;
        for (; chunk_end_ < f_.T && count + running(chunk_end_) <= w_.chunk_rows; ++chunk_end_)
            for (int64_t j = 0; j < running(chunk_end_); ++j)
                w_.inputs[count++] = f_.inputs + row(chunk_end_, j) * f_.I;
        if constexpr (is_rounded<Precision>) {
            if (partition_.member == 0)
                round_rows<Precision>(w_.inputs, count, f_.I, w_.input_stride, w_.input_lanes);
            for (int64_t q = 0; q < count; ++q) w_.inputs[q] = w_.input_lanes + q * w_.input_stride;
            team_barrier(partition_);
        }
        project_rows(w_.inputs, count, lanes32<Precision>(f_.I), packed_.bias, packed_.ih, panel_begin_,
                     panel_end_, 4 * w_.P, w_.projected);
        chunk_row_ = 0;
    }

    // Set what step s reads and writes of each row.
    void locate_rows(int64_t s, int64_t count) {
        const int64_t width = 4 * w_.P;
        for (int64_t j = 0; j < count; ++j) {
            const int64_t n = row(s, j);
            w_.rows[j].projected =
                f_.inputs ? w_.projected + chunk_row_++ * width : f_.projected + f_.index[n] * width;
            w_.rows[j].gates = f_.gates ? f_.gates + n * width : nullptr;
            w_.rows[j].cells = f_.cells ? f_.cells + n * w_.P : nullptr;
        }
    }

    void prefetch_projected(int64_t s) const {
        const int64_t count = running(s);
        for (int64_t j = 0; j < count; ++j)
            prefetch(f_.projected + f_.index[row(s, j)] * 4 * w_.P + panel_begin_ * panel_width,
                     (panel_end_ - panel_begin_) * panel_width);
    }

    // Store the outputs of step s, and the final states of the sequences that end with it.
    void store_states(int64_t s, int64_t count) {
        const int64_t unit = panel_begin_ * lanes, end = panel_end_ * lanes;
        const int64_t units = (end < f_.H ? end : f_.H) - unit;
        if (units <= 0) return;
        for (int64_t j = 0; f_.outputs && j < count; ++j)
            memcpy(f_.outputs + row(s, j) * f_.output_stride + unit, w_.h_next + j * w_.state_stride + unit,
                   units * sizeof(float));
        const bool last = s + 1 == f_.T;
        for (int64_t j = last ? 0 : f_.reverse ? count : running(s + 1); j < count; ++j) {
            const int64_t at = sequence_of(partition_, j) * f_.H + unit;
            memcpy(f_.h_n + at, w_.h_next + j * w_.state_stride + unit, units * sizeof(float));
            memcpy(f_.c_n + at, w_.c + j * w_.P + unit, units * sizeof(float));
        }
    }

    const fastlstm_forward_arguments &f_;
    const int64_t *const offsets_;
    const Partition partition_;
    const PackedWeights<Precision> packed_;
    const int64_t panel_begin_, panel_end_;
    Arena arena_;
    ForwardWorkspace<Precision> w_;
    int64_t chunk_end_ = 0, chunk_row_ = 0;  // the step after the chunk, and the next row of the chunk
};

template <class Precision>
int64_t forward_workspace_size(const fastlstm_forward_arguments &arguments, const Partition &partition) {
    return workspace_size<ForwardWorkspace<Precision>>(arguments, partition);
}

template <class Precision>
void forward(const ForwardJob &job, const Partition &partition, float *workspace) {
    ForwardPass<Precision>(job, partition, workspace).run();
}

template <class Precision>
constexpr PrecisionKernels forward_kernels() {
    return {Precision::max_columns,
            packed_size<Precision>,
            pack<Precision>,
            forward_workspace_size<Precision>,
            forward<Precision>,
            nullptr,
            nullptr,
            nullptr,
            nullptr};
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
