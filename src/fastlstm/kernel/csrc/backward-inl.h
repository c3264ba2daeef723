// The backward pass over one partition of a batch, from the last step to the first, in chunks of steps. The
// gradients of the weights are products of matrices that hold the rows of a chunk.
#ifndef FASTLSTM_BACKWARD_INL_H
#define FASTLSTM_BACKWARD_INL_H

#include "forward-inl.h"
#include "matmul-inl.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// Gradients of the weights, summed over a shard: of W_hh [4P, P], of W_ih [4P, padded I], of b [4P].
struct WeightGradients {
    float *hh, *ih, *bias;
    WeightGradients(float *at, int64_t I, int64_t H)
        : hh(at), ih(hh + 4 * round_up(H) * round_up(H)), bias(ih + 4 * round_up(H) * round_up(I)) {}
};

int64_t weight_gradient_size(int64_t I, int64_t H) {
    return 4 * round_up(H) * (round_up(H) + round_up(I) + 1);
}

// What the gradients of a row need of the forward pass.
struct Activations {
    const float *gates, *cell, *cell_before;
};

// Compute the gradients of the gates of one vector of units, before their activations, from those of h and c
// after the step. Write them to `to`, rounded to `to_lanes`, and to `replace` unless it is null. Replace dc
// by the gradient of c before the step.
template <class Precision>
inline void gates_backward(const Activations &x, int64_t P, int64_t unit, Vector dh, float *dc, float *to,
                           Lane32 *to_lanes, float *replace) {
    const Vector one = broadcast(1), i = load(x.gates + unit), f = load(x.gates + P + unit);
    const Vector g = load(x.gates + 2 * P + unit), o = load(x.gates + 3 * P + unit);
    const Vector t = tanh(load(x.cell + unit));
    const Vector dt = multiply(dh, o);
    const Vector d = add(load(dc + unit), subtract(dt, multiply(dt, multiply(t, t))));
    store(dc + unit, multiply(d, f));
    const Vector gradients[4] = {
        multiply(multiply(d, g), multiply(i, subtract(one, i))),
        multiply(multiply(d, load(x.cell_before + unit)), multiply(f, subtract(one, f))),
        multiply(multiply(d, i), subtract(one, multiply(g, g))),
        multiply(multiply(dh, t), multiply(o, subtract(one, o)))};
    for (int gate = 0; gate < 4; ++gate) {
        store(to + gate * P + unit, gradients[gate]);
        if constexpr (is_rounded<Precision>)
            Precision::store_rounded(gradients[gate], to_lanes, gate * P + unit);
        if (replace) store(replace + gate * P + unit, gradients[gate]);
    }
}

// to[m] += sum over q of a[q][m], for m in [begin, end), multiples of L.
inline void add_rows(const float *a, int64_t a_stride, int64_t count, int64_t begin, int64_t end, float *to) {
    int64_t m = begin;
    for (; m + 4 * lanes <= end; m += 4 * lanes) {
        Vector sums[4];
        for (int v = 0; v < 4; ++v) sums[v] = load(to + m + v * lanes);
        for (int64_t q = 0; q < count; ++q)
            for (int v = 0; v < 4; ++v) sums[v] = add(sums[v], load(a + q * a_stride + m + v * lanes));
        for (int v = 0; v < 4; ++v) store(to + m + v * lanes, sums[v]);
    }
    for (; m < end; m += lanes) {
        Vector sum = load(to + m);
        for (int64_t q = 0; q < count; ++q) sum = add(sum, load(a + q * a_stride + m));
        store(to + m, sum);
    }
}

// Rows of a chunk; at least those of one step.
template <class Precision>
inline int64_t backward_chunk_rows(int64_t sequences, int64_t width) {
    int64_t rows = backward_chunk_floats / width;
    if (rows < Precision::group * min_backward_chunk_rows) rows = Precision::group * min_backward_chunk_rows;
    return sequences > rows ? sequences : rows;
}

template <class Precision>
struct BackwardWorkspace {
    int64_t sequences, P, padded_I, chunk_rows, gate_stride, lane_stride, h_stride, input_stride;
    float *dh, *dc;   // [sequences, P], gradients of the states
    float *h0, *c0;   // [sequences, P]
    float *gates;     // [chunk_rows, gate_stride], gradients of the gates
    float *h_before;  // [chunk_rows, h_stride], h before each step
    float *inputs;    // [chunk_rows, input_stride]
    // The same in the precision of the products; in float32 the arrays above. Lanes of neighbouring gates for
    // products with weights [chunk_rows, lane_stride]; lanes of two rows for the gradients of weights
    // [chunk_rows / 2, ...].
    Lane32 *gate_lanes, *gate_pairs, *h_pairs, *input_pairs;
    const Lane32 **from;  // [chunk_rows], operands of products, of this member
    float **to;           // [chunk_rows], results of products, of this member

    BackwardWorkspace(Arena &arena, const fastlstm_backward_arguments &b, const Partition &partition)
        : sequences(shard_size(b.B, partition)),
          P(round_up(b.H)),
          padded_I(b.inputs ? round_up(b.I) : 0),
          chunk_rows(backward_chunk_rows<Precision>(sequences, 4 * P)),
          gate_stride(row_stride(4 * P)),
          lane_stride(row_stride(lanes32<Precision>(4 * P))),
          h_stride(row_stride(P)),
          input_stride(row_stride(padded_I)) {
        constexpr bool rounded = is_rounded<Precision>;
        const int64_t pairs = (chunk_rows + 1) / 2;
        dh = arena.take<float>(sequences * P);
        dc = arena.take<float>(sequences * P);
        h0 = arena.take<float>(sequences * P);
        c0 = arena.take<float>(sequences * P);
        gates = arena.take<float>(chunk_rows * gate_stride);
        h_before = arena.take<float>(chunk_rows * h_stride);
        inputs = arena.take<float>(chunk_rows * input_stride);
        gate_lanes = rounded ? arena.take<Lane32>(chunk_rows * lane_stride) : gates;
        gate_pairs = rounded ? arena.take<Lane32>(pairs * gate_stride) : gates;
        h_pairs = rounded ? arena.take<Lane32>(pairs * h_stride) : h_before;
        input_pairs = rounded ? arena.take<Lane32>(pairs * input_stride) : inputs;
        for (int64_t member = 0; member < partition.members; ++member) {
            const Lane32 **member_from = arena.take<const Lane32 *>(chunk_rows);
            float **member_to = arena.take<float *>(chunk_rows);
            if (member != partition.member) continue;
            from = member_from;
            to = member_to;
        }
    }
};

// A member of a team computes the gates and the gradients of the weights of its blocks of units.
template <class Precision>
class BackwardPass {
  public:
    BackwardPass(const BackwardJob &job, const Partition &partition, float *workspace)
        : b_(*job.arguments),
          job_(job),
          partition_(partition),
          I_(b_.inputs ? b_.I : 0),
          block_begin_(member_begin(partition, column_blocks(b_.H), partition.member)),
          block_end_(member_begin(partition, column_blocks(b_.H), partition.member + 1)),
          arena_(workspace),
          w_(arena_, b_, partition),
          unit_begin_(block_begin_ * block_width),
          unit_end_(block_end_ * block_width < w_.P ? block_end_ * block_width : w_.P),
          gradients_(job.weight_gradients + partition.shard * weight_gradient_size(I_, b_.H), I_, b_.H) {}

    void run() {
        if (partition_.member == 0) initialize_workspace();
        if (b_.grad_weight_hh) clear_weight_gradients();
        team_barrier(partition_);
        for (int64_t s = b_.T - 1; s >= 0;) {
            const int64_t last = s;
            int64_t count = 0;
            for (; s >= 0 && count + running(s) <= w_.chunk_rows; --s) {
                step_back(s, count);
                count += running(s);
            }
            if (b_.grad_weight_hh) add_weight_gradients(count);
            if (b_.grad_inputs) compute_input_gradients(last, s, count);
            team_barrier(partition_);
        }
        store_state_gradients();
    }

  private:
    // The step that the forward pass read as number s, the number of sequences that have it, and their rows.
    int64_t time(int64_t s) const { return b_.reverse ? b_.T - 1 - s : s; }
    int64_t running(int64_t s) const { return s >= 0 ? shard_size(b_.batch_sizes[time(s)], partition_) : 0; }
    int64_t row(int64_t s, int64_t j) const { return job_.offsets[time(s)] + sequence_of(partition_, j); }

    void initialize_workspace() {
        load_states(b_.grad_h_n, w_.dh, w_.P, w_.sequences, b_.H, partition_);
        load_states(b_.grad_c_n, w_.dc, w_.P, w_.sequences, b_.H, partition_);
        load_states(b_.h0, w_.h0, w_.P, w_.sequences, b_.H, partition_);
        load_states(b_.c0, w_.c0, w_.P, w_.sequences, b_.H, partition_);
        memset(w_.h_before, 0, w_.chunk_rows * w_.h_stride * sizeof(float));
        memset(w_.inputs, 0, w_.chunk_rows * w_.input_stride * sizeof(float));
    }

    void clear_weight_gradients() {
        const int64_t units = unit_end_ - unit_begin_;
        for (int64_t gate = 0; gate < 4; ++gate) {
            const int64_t m = gate * w_.P + unit_begin_;
            memset(gradients_.hh + m * w_.P, 0, units * w_.P * sizeof(float));
            memset(gradients_.ih + m * w_.padded_I, 0, units * w_.padded_I * sizeof(float));
            memset(gradients_.bias + m, 0, units * sizeof(float));
        }
    }

    // Compute the gradients of the gates of step s, as the rows from `first_row` on of the chunk, and from
    // them dh of the step before.
    void step_back(int64_t s, int64_t first_row) {
        const int64_t H = b_.H, P = w_.P, width = 4 * P, count = running(s), before = running(s - 1);
        for (int64_t j = 0; j < count; ++j) {
            const int64_t n = row(s, j), q = first_row + j, earlier = j < before ? row(s - 1, j) : -1;
            const Activations x = {b_.gates + n * width, b_.cells + n * P,
                                   earlier < 0 ? w_.c0 + j * P : b_.cells + earlier * P};
            const float *grad = b_.grad_outputs ? b_.grad_outputs + n * b_.grad_output_stride : nullptr;
            float *grad_gates = w_.gates + q * w_.gate_stride;
            for (int64_t unit = unit_begin_; unit < unit_end_; unit += lanes) {
                Vector d = load(w_.dh + j * P + unit);
                if (grad)
                    d = add(d, unit + lanes <= H ? load(grad + unit) : load_partial(grad + unit, H - unit));
                gates_backward<Precision>(x, P, unit, d, w_.dc + j * P, grad_gates,
                                          w_.gate_lanes + q * w_.lane_stride,
                                          I_ ? nullptr : b_.gates + n * width);
            }
            if (b_.grad_weight_hh && j % partition_.members == partition_.member) {
                const float *h = earlier < 0 ? w_.h0 + j * P : b_.outputs + earlier * b_.output_stride;
                memcpy(w_.h_before + q * w_.h_stride, h, H * sizeof(float));
                if (I_) memcpy(w_.inputs + q * w_.input_stride, b_.inputs + n * I_, I_ * sizeof(float));
            }
            w_.from[j] = w_.gate_lanes + q * w_.lane_stride;
            w_.to[j] = w_.dh + j * P;
        }
        prefetch_step(s - 1);
        team_barrier(partition_);
        if (s > 0 || b_.grad_h0)
            multiply_columns<Precision>(w_.from, count, lanes32<Precision>(width), job_.packed_hh, w_.to, P,
                                        block_begin_, block_end_);
    }

    // Prefetch what step s reads (tutorial preset: 4% less time per epoch, benchmarks/training.py).
    void prefetch_step(int64_t s) const {
        const int64_t P = w_.P, units = unit_end_ - unit_begin_;
        const int64_t count = running(s), before = running(s - 1);
        for (int64_t j = 0; j < count; ++j) {
            const int64_t n = row(s, j);
            for (int64_t gate = 0; gate < 4; ++gate)
                prefetch(b_.gates + n * 4 * P + gate * P + unit_begin_, units);
            if (b_.grad_outputs) prefetch(b_.grad_outputs + n * b_.grad_output_stride, b_.H);
            if (I_) prefetch(b_.inputs + n * I_, I_);
            if (j >= before) continue;
            const int64_t earlier = row(s - 1, j);
            prefetch(b_.cells + earlier * P + unit_begin_, units);
            prefetch(b_.outputs + earlier * b_.output_stride, b_.H);
        }
    }

    // Add the gradients of the weights over the `count` rows of a chunk.
    void add_weight_gradients(int64_t count) {
        const int64_t P = w_.P, terms = lanes32<Precision>(count);
        if constexpr (is_rounded<Precision>) {
            interleave_row_pairs<Precision>(w_.gates, w_.gate_stride, 4 * P, count, partition_,
                                            w_.gate_pairs);
            interleave_row_pairs<Precision>(w_.h_before, w_.h_stride, P, count, partition_, w_.h_pairs);
            if (I_)
                interleave_row_pairs<Precision>(w_.inputs, w_.input_stride, w_.padded_I, count, partition_,
                                                w_.input_pairs);
            team_barrier(partition_);
        }
        for (int64_t gate = 0; gate < 4; ++gate) {
            const int64_t begin = gate * P + unit_begin_, end = gate * P + unit_end_;
            add_outer_products<Precision>(w_.gate_pairs, w_.gate_stride, w_.h_pairs, w_.h_stride, P, terms,
                                          begin, end, gradients_.hh);
            if (I_)
                add_outer_products<Precision>(w_.gate_pairs, w_.gate_stride, w_.input_pairs, w_.input_stride,
                                              w_.padded_I, terms, begin, end, gradients_.ih);
            add_rows(w_.gates, w_.gate_stride, count, begin, end, gradients_.bias);
        }
    }

    // Compute the gradients of the inputs of a chunk: of the steps from `last` back to the one after `s`.
    void compute_input_gradients(int64_t last, int64_t s, int64_t count) {
        int64_t q = 0;
        for (int64_t done = last; done > s; --done)
            for (int64_t j = 0; j < running(done); ++j, ++q) {
                w_.from[q] = w_.gate_lanes + q * w_.lane_stride;
                w_.to[q] = b_.grad_inputs + row(done, j) * I_;
            }
        const int64_t blocks = column_blocks(I_);
        multiply_columns<Precision>(w_.from, count, lanes32<Precision>(4 * w_.P), job_.packed_ih, w_.to, I_,
                                    member_begin(partition_, blocks, partition_.member),
                                    member_begin(partition_, blocks, partition_.member + 1));
    }

    void store_state_gradients() {
        const int64_t units = (unit_end_ < b_.H ? unit_end_ : b_.H) - unit_begin_;
        for (int64_t j = 0; units > 0 && j < w_.sequences; ++j) {
            const int64_t at = sequence_of(partition_, j) * b_.H + unit_begin_, from = j * w_.P + unit_begin_;
            if (b_.grad_h0) memcpy(b_.grad_h0 + at, w_.dh + from, units * sizeof(float));
            if (b_.grad_c0) memcpy(b_.grad_c0 + at, w_.dc + from, units * sizeof(float));
        }
    }

    const fastlstm_backward_arguments &b_;
    const BackwardJob &job_;
    const Partition partition_;
    const int64_t I_;  // 0 without inputs
    const int64_t block_begin_, block_end_;
    Arena arena_;
    const BackwardWorkspace<Precision> w_;
    const int64_t unit_begin_, unit_end_;
    const WeightGradients gradients_;
};

template <class Precision>
int64_t backward_workspace_size(const fastlstm_backward_arguments &arguments, const Partition &partition) {
    return workspace_size<BackwardWorkspace<Precision>>(arguments, partition);
}

template <class Precision>
void backward(const BackwardJob &job, const Partition &partition, float *workspace) {
    BackwardPass<Precision>(job, partition, workspace).run();
}

void reduce_weight_gradients(const BackwardJob &job, int64_t shards, int64_t row_begin, int64_t row_end) {
    const fastlstm_backward_arguments &b = *job.arguments;
    const int64_t I = b.inputs ? b.I : 0, H = b.H, P = round_up(H), size = weight_gradient_size(I, H);
    const float *gradients = job.weight_gradients;
    for (int64_t row = row_begin; row < row_end; ++row) {
        const int64_t m = row / H * P + row % H;
        auto sum = [&](int64_t from, int64_t count, float *to) {
            for (int64_t k = 0; k < count; ++k) to[k] = gradients[from + k];
            for (int64_t shard = 1; shard < shards; ++shard)
                for (int64_t k = 0; k < count; ++k) to[k] += gradients[shard * size + from + k];
        };
        const WeightGradients first(job.weight_gradients, I, H);
        sum(m * P, H, b.grad_weight_hh + row * H);
        if (I) sum((first.ih - first.hh) + m * round_up(I), I, b.grad_weight_ih + row * I);
        sum((first.bias - first.hh) + m, 1, b.grad_bias + row);
    }
}

template <class Precision>
constexpr PrecisionKernels all_kernels() {
    PrecisionKernels kernels = forward_kernels<Precision>();
    kernels.packed_columns_size = packed_columns_size<Precision>;
    kernels.pack_columns = pack_columns<Precision>;
    kernels.backward_workspace_size = backward_workspace_size<Precision>;
    kernels.backward = backward<Precision>;
    return kernels;
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
