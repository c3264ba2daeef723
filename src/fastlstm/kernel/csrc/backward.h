// The backward pass: from the last step read to the first, a chunk of steps at a time, whose weights' gradients are
// then one product of matrices that the cache holds.
#ifndef FASTLSTM_BACKWARD_H
#define FASTLSTM_BACKWARD_H

#include "products.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// A shard's gradients: of W_hh [4P, P], of W_ih [4P, padded I], of b [4P].
struct Gradients {
    float *hh, *ih, *bias;
    Gradients(float *at, int64_t I, int64_t H)
        : hh(at), ih(hh + 4 * padded(H) * padded(H)), bias(ih + 4 * padded(H) * padded(I)) {}
};

int64_t gradient_size(int64_t I, int64_t H) { return 4 * padded(H) * (padded(H) + padded(I) + 1); }

// What the gradient of one vector of units needs of the forward pass.
struct Activations {
    const float *gates, *cell, *cell_before;
};

// From the gradient by h and c after a step to the one by its gates before the activation, also in `words` where the
// arithmetic is narrow, and by c before it. `keep` may be where the gates were, or null.
template <class Arithmetic>
inline void gates_backward(const Activations &x, int64_t P, int64_t unit, Vector dh, float *dc, float *to, float *words,
                           float *keep) {
    const Vector one = same(1), i = load(x.gates + unit), f = load(x.gates + P + unit);
    const Vector g = load(x.gates + 2 * P + unit), o = load(x.gates + 3 * P + unit);
    const Vector t = tanh_of(load(x.cell + unit));
    const Vector through = multiply(dh, o);
    const Vector d = add(load(dc + unit), subtract(through, multiply(through, multiply(t, t))));
    store(dc + unit, multiply(d, f));
    const Vector by_gates[4] = {multiply(multiply(d, g), multiply(i, subtract(one, i))),
                                multiply(multiply(d, load(x.cell_before + unit)), multiply(f, subtract(one, f))),
                                multiply(multiply(d, i), subtract(one, multiply(g, g))),
                                multiply(multiply(dh, t), multiply(o, subtract(one, o)))};
    for (int gate = 0; gate < 4; ++gate) {
        store(to + gate * P + unit, by_gates[gate]);
        if constexpr (Arithmetic::group > 1) Arithmetic::narrow(by_gates[gate], words, gate * P + unit);
        if (keep) store(keep + gate * P + unit, by_gates[gate]);
    }
}

// to[m] += sum over q of a[q][m], for m from first to last - 1, a multiple of L apart.
inline void add_rows(const float *a, int64_t a_stride, int64_t count, int64_t first, int64_t last, float *to) {
    int64_t m = first;
    for (; m + 4 * lanes <= last; m += 4 * lanes) {
        Vector sums[4];
        for (int v = 0; v < 4; ++v) sums[v] = load(to + m + v * lanes);
        for (int64_t q = 0; q < count; ++q)
            for (int v = 0; v < 4; ++v) sums[v] = add(sums[v], load(a + q * a_stride + m + v * lanes));
        for (int v = 0; v < 4; ++v) store(to + m + v * lanes, sums[v]);
    }
    for (; m < last; m += lanes) {
        Vector sum = load(to + m);
        for (int64_t q = 0; q < count; ++q) sum = add(sum, load(a + q * a_stride + m));
        store(to + m, sum);
    }
}

inline void prefetch(const float *from, int64_t count) {
    for (int64_t at = 0; at < count; at += 16) __builtin_prefetch(from + at);
}

// Rows gathered for one product: 64 KiB of gates' gradients, so that what they meet fits the first cache, but enough
// of them that the weights' gradients, however large, are not read and written too often for what is added.
constexpr int64_t backward_chunk_floats = 1 << 14, backward_rows_least = 128;

template <class Arithmetic>
inline int64_t backward_rows(int64_t sequences, int64_t width) {
    int64_t rows = backward_chunk_floats / width;
    if (rows < Arithmetic::group * backward_rows_least) rows = Arithmetic::group * backward_rows_least;
    return sequences > rows ? sequences : rows;
}

template <class Arithmetic>
int64_t backward_workspace(const fastlstm_backward_arguments &b, const Cut &cut) {
    constexpr bool narrow = Arithmetic::group > 1;
    const int64_t sequences = share(b.B, cut), P = padded(b.H), rows = backward_rows<Arithmetic>(sequences, 4 * P);
    const int64_t pairs = narrow ? (rows + 1) / 2 : 0;
    auto pieces_of = [&](int64_t count) {
        return piece<float>(count * strided(4 * P)) + piece<float>(count * strided(P)) +
               piece<float>(count * strided(padded(b.I)));
    };
    return 4 * piece<float>(sequences * P) + pieces_of(rows) + pieces_of(pairs) +
           piece<float>(narrow ? rows * strided(2 * P) : 0) + cut.members * 2 * piece<float *>(rows);
}

template <class Arithmetic>
void backward(const Backward &backward, const Cut &cut, float *workspace) {
    constexpr bool narrow = Arithmetic::group > 1;
    const fastlstm_backward_arguments &b = *backward.arguments;
    const int64_t I = b.inputs ? b.I : 0, H = b.H;
    const int64_t sequences = share(b.B, cut), P = padded(H), width = 4 * P, most_rows = backward_rows<Arithmetic>(sequences, width);
    const int64_t gates_stride = strided(width), h_stride = strided(P), inputs_stride = strided(padded(I));
    const int64_t blocks = column_blocks(H), input_blocks = column_blocks(I);
    auto from_to = [&](int64_t all, int64_t member) { return all * member / cut.members; };
    const int64_t first_block = from_to(blocks, cut.member), last_block = from_to(blocks, cut.member + 1);
    const int64_t first = first_block * block_width, last = last_block * block_width < P ? last_block * block_width : P;
    Gradients gradients(backward.gradients + cut.shard * gradient_size(I, H), I, H);

    Pieces pieces(workspace);
    float *dh = pieces.take<float>(sequences * P), *dc = pieces.take<float>(sequences * P);
    float *h0 = pieces.take<float>(sequences * P), *c0 = pieces.take<float>(sequences * P);
    float *gates = pieces.take<float>(most_rows * gates_stride), *h_before = pieces.take<float>(most_rows * h_stride);
    float *inputs = pieces.take<float>(most_rows * inputs_stride);
    // The same as words: of units side by side, for products with weights; of rows one below the other, for the weights'
    // gradients, which are sums over rows.
    const int64_t words_stride = narrow ? strided(words<Arithmetic>(width)) : gates_stride;
    const int64_t pairs = narrow ? (most_rows + 1) / 2 : 0;
    float *gate_words = narrow ? pieces.take<float>(most_rows * words_stride) : gates;
    float *gate_pairs = narrow ? pieces.take<float>(pairs * gates_stride) : gates;
    float *h_pairs = narrow ? pieces.take<float>(pairs * h_stride) : h_before;
    float *input_pairs = narrow ? pieces.take<float>(pairs * inputs_stride) : inputs;
    const float **from = nullptr;
    float **to = nullptr;
    for (int64_t member = 0; member <= cut.member; ++member) {
        from = pieces.take<const float *>(most_rows);
        to = pieces.take<float *>(most_rows);
    }
    if (cut.member == 0) {
        load_states(b.grad_h_n, dh, P, sequences, H, cut);
        load_states(b.grad_c_n, dc, P, sequences, H, cut);
        load_states(b.h0, h0, P, sequences, H, cut);
        load_states(b.c0, c0, P, sequences, H, cut);
        memset(h_before, 0, most_rows * h_stride * sizeof(float));
        memset(inputs, 0, most_rows * inputs_stride * sizeof(float));
    }
    const bool weights = b.grad_weight_hh;
    for (int64_t gate = 0; gate < 4 && weights; ++gate) {
        const int64_t m = gate * P + first, rows = last - first;
        memset(gradients.hh + m * P, 0, rows * P * sizeof(float));
        memset(gradients.ih + m * padded(I), 0, rows * padded(I) * sizeof(float));
        memset(gradients.bias + m, 0, rows * sizeof(float));
    }
    meet(cut);

    auto time = [&](int64_t s) { return b.reverse ? b.T - 1 - s : s; };
    auto row_of = [&](int64_t s, int64_t j) { return backward.offsets[time(s)] + cut.shard + j * cut.shards; };
    auto running_at = [&](int64_t s) { return s >= 0 ? share(b.batch_sizes[time(s)], cut) : 0; };

    for (int64_t s = b.T - 1; s >= 0;) {
        int64_t count = 0;
        const int64_t chunk_begin = s;
        for (; s >= 0 && count + running_at(s) <= most_rows; --s) {
            const int64_t running = running_at(s), before = running_at(s - 1);
            for (int64_t j = 0; j < running; ++j) {
                const int64_t n = row_of(s, j), q = count + j, earlier = j < before ? row_of(s - 1, j) : -1;
                const Activations x = {b.gates + n * width, b.cells + n * P,
                                       earlier < 0 ? c0 + j * P : b.cells + earlier * P};
                const float *grad = b.grad_outputs ? b.grad_outputs + n * b.grad_output_stride : nullptr;
                float *grad_gates = gates + q * gates_stride;
                for (int64_t unit = first; unit < last; unit += lanes) {
                    Vector d = load(dh + j * P + unit);
                    if (grad) d = add(d, unit + lanes <= H ? load(grad + unit) : load_first(grad + unit, H - unit));
                    gates_backward<Arithmetic>(x, P, unit, d, dc + j * P, grad_gates, gate_words + q * words_stride,
                                               I ? nullptr : b.gates + n * width);
                }
                if (weights && j % cut.members == cut.member) {
                    memcpy(h_before + q * h_stride, earlier < 0 ? h0 + j * P : b.outputs + earlier * b.output_stride,
                           H * sizeof(float));
                    if (I) memcpy(inputs + q * inputs_stride, b.inputs + n * I, I * sizeof(float));
                }
                from[j] = gate_words + q * words_stride;
                to[j] = dh + j * P;
            }
            // What the step before reads, in rows whose order the processor can't guess (an epoch of the tutorial
            // preset: 4% less time, benchmarks/training.py).
            for (int64_t j = 0; j < before; ++j) {
                const int64_t n = row_of(s - 1, j);
                for (int64_t gate = 0; gate < 4; ++gate)
                    prefetch(b.gates + n * width + gate * P + first, last - first);
                if (b.grad_outputs) prefetch(b.grad_outputs + n * b.grad_output_stride, H);
                if (I) prefetch(b.inputs + n * I, I);
                if (j >= running_at(s - 2)) continue;
                const int64_t earlier = row_of(s - 2, j);
                prefetch(b.cells + earlier * P + first, last - first);
                prefetch(b.outputs + earlier * b.output_stride, H);
            }
            meet(cut);
            if (s > 0 || b.grad_h0)
                times_columns<Arithmetic>(from, running, words<Arithmetic>(width), backward.packed_hh, to, P, first_block,
                                          last_block);
            count += running;
        }
        if constexpr (narrow) {
            if (weights) {
                pair_rows<Arithmetic>(gates, gates_stride, width, count, cut, gate_pairs);
                pair_rows<Arithmetic>(h_before, h_stride, P, count, cut, h_pairs);
                if (I) pair_rows<Arithmetic>(inputs, inputs_stride, padded(I), count, cut, input_pairs);
                meet(cut);
            }
        }
        for (int64_t gate = 0; gate < 4 && weights; ++gate) {
            const int64_t m = gate * P + first, end = gate * P + last;
            const int64_t terms = words<Arithmetic>(count);
            add_outer<Arithmetic>(gate_pairs, gates_stride, h_pairs, h_stride, P, terms, m, end, gradients.hh);
            if (I)
                add_outer<Arithmetic>(gate_pairs, gates_stride, input_pairs, inputs_stride, padded(I), terms, m, end,
                                      gradients.ih);
            add_rows(gates, gates_stride, count, m, end, gradients.bias);
        }
        if (b.grad_inputs) {
            int64_t q = 0;
            for (int64_t done = chunk_begin; done > s; --done)
                for (int64_t j = 0; j < running_at(done); ++j, ++q) {
                    from[q] = gate_words + q * words_stride;
                    to[q] = b.grad_inputs + row_of(done, j) * I;
                }
            times_columns<Arithmetic>(from, count, words<Arithmetic>(width), backward.packed_ih, to, I,
                                      from_to(input_blocks, cut.member), from_to(input_blocks, cut.member + 1));
        }
        meet(cut);
    }
    const int64_t units = (last < H ? last : H) - first;
    for (int64_t j = 0; units > 0 && j < sequences; ++j) {
        const int64_t at = (cut.shard + j * cut.shards) * H + first;
        if (b.grad_h0) memcpy(b.grad_h0 + at, dh + j * P + first, units * sizeof(float));
        if (b.grad_c0) memcpy(b.grad_c0 + at, dc + j * P + first, units * sizeof(float));
    }
}

void reduce(const Backward &backward, int64_t shards, int64_t first_row, int64_t last_row) {
    const fastlstm_backward_arguments &b = *backward.arguments;
    const int64_t I = b.inputs ? b.I : 0, H = b.H, P = padded(H), size = gradient_size(I, H);
    for (int64_t row = first_row; row < last_row; ++row) {
        const int64_t m = row / H * P + row % H;
        auto sum = [&](int64_t from, int64_t count, float *to) {
            for (int64_t k = 0; k < count; ++k) to[k] = backward.gradients[from + k];
            for (int64_t shard = 1; shard < shards; ++shard)
                for (int64_t k = 0; k < count; ++k) to[k] += backward.gradients[shard * size + from + k];
        };
        const Gradients at(backward.gradients, I, H);
        sum(m * P, H, b.grad_weight_hh + row * H);
        if (I) sum((at.ih - at.hh) + m * padded(I), I, b.grad_weight_ih + row * I);
        sum((at.bias - at.hh) + m, 1, b.grad_bias + row);
    }
}

template <class Arithmetic>
constexpr Pass both_passes_in() {
    Pass pass = forward_in<Arithmetic>();
    pass.columns_size = columns_size<Arithmetic>;
    pass.pack_columns = pack_columns<Arithmetic>;
    pass.backward_workspace = backward_workspace<Arithmetic>;
    pass.backward = backward<Arithmetic>;
    return pass;
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
