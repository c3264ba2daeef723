// The backward pass: from the last step read to the first, a chunk of steps at a time, whose weights' gradients are
// then one product of matrices that the cache holds.
#ifndef FASTLSTM_BACKWARD_H
#define FASTLSTM_BACKWARD_H

#include "forward.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// Two rows of numbers as one of words, each a number of the first and the one below it; null is a row of zeros.
template <class Arithmetic>
void pair_row(const float *above, const float *below, int64_t columns, float *to) {
    int64_t at = 0;
    for (; at + lanes <= columns; at += lanes)
        store(to + at, Arithmetic::pair(load(above + at), below ? load(below + at) : same(0)));
    if (const int64_t left = columns - at; left > 0)
        store_first(to + at,
                    Arithmetic::pair(load_first(above + at, left), below ? load_first(below + at, left) : same(0)), left);
}

// A weight [4H, columns] as [blocks, words of 4P, vectors * L]: columns side by side, as many vectors as a tile has.
constexpr int64_t block_width = vectors_most * lanes;

template <class Arithmetic>
int64_t columns_size(int64_t H, int64_t columns) {
    return words<Arithmetic>(4 * padded(H)) * padded(columns);
}

int64_t column_blocks(int64_t columns) { return (padded(columns) + block_width - 1) / block_width; }

template <class Arithmetic>
void pack_columns(int64_t H, int64_t columns, const float *weight, int64_t first, int64_t last, float *packed) {
    constexpr int64_t group = Arithmetic::group;
    const int64_t P = padded(H), wide = padded(columns);
    for (int64_t column = first * block_width; column < wide && column < last * block_width; column += block_width) {
        const int64_t width = wide - column < block_width ? wide - column : block_width;
        const int64_t there = columns - column < width ? columns - column : width;
        float *to = packed + words<Arithmetic>(4 * P) * column;
        memset(to, 0, words<Arithmetic>(4 * P) * width * sizeof(float));
        for (int64_t gate = 0; gate < 4; ++gate)
            for (int64_t unit = 0; unit < H; unit += group) {
                float *place = to + (gate * P + unit) / group * width;
                const float *row = weight + (gate * H + unit) * columns + column;
                if constexpr (group == 1)
                    memcpy(place, row, there * sizeof(float));
                else
                    pair_row<Arithmetic>(row, unit + 1 < H ? row + columns : nullptr, there, place);
            }
    }
}

// The words first .. last - 1 of K, whose sums wait in `to` from one call to the next.
template <class Arithmetic, int R, int N, int V>
inline void columns_tile(const float *const *a, int64_t K, int64_t first, int64_t last, const float *b,
                         float *const *to, int64_t column, int64_t columns) {
    const float *from[R];
    Vector sums[R][N * V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
        from[r] = a[r] + first;
#pragma GCC unroll 8
        for (int v = 0; v < N * V; ++v) {
            const int64_t at = column + v * lanes;
            sums[r][v] = first == 0 || at >= columns  ? same(0)
                         : at + lanes <= columns ? load(to[r] + at)
                                                 : load_first(to[r] + at, columns - at);
        }
    }
    accumulate<Arithmetic, R, N, V>(sums, from, last - first, b + first * V * lanes, K * V * lanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < N * V; ++v) {
            const int64_t at = column + v * lanes;
            if (at + lanes <= columns)
                store(to[r] + at, sums[r][v]);
            else if (at < columns)
                store_first(to[r] + at, sums[r][v], columns - at);
        }
}

template <class Arithmetic, int V>
inline void columns_block(const float *const *a, int64_t count, int64_t K, const float *b, float *const *to,
                          int64_t column, int64_t columns) {
    constexpr int64_t together = terms_in_cache / (V * lanes);
    Tiles tiles(count, column_rows);
    for (int64_t term = 0, end; term < K; term = end) {
        end = K - term < together ? K : term + together;
        for (int64_t tile = 0, row = 0; tile < tiles.tiles; row += tiles.size(tile++))
            with_rows<column_rows>(tiles.size(tile), [&](auto rows) {
                columns_tile<Arithmetic, rows.count, 1, V>(a + row, K, term, end, b, to + row, column, columns);
            });
    }
}

// to[r][column] = sum over k of a[r][k] weight[k][column], for the blocks first .. last - 1 of packed columns; K words.
template <class Arithmetic>
void times_columns(const float *const *a, int64_t count, int64_t K, const float *packed, float *const *to,
                   int64_t columns, int64_t first, int64_t last) {
    constexpr int together = 8 / vectors_most;  // blocks that keep eight sums under way for one row, or two
    if (count == 0) return;
    int64_t block = first;
    for (; count <= 2 && block + together <= last && (block + together) * block_width <= padded(columns);
         block += together) {
        const float *b = packed + block * block_width * K;
        if (count == 1)
            columns_tile<Arithmetic, 1, together, vectors_most>(a, K, 0, K, b, to, block * block_width, columns);
        else
            for (int64_t half = 0; half < together; half += together / 2)
                columns_tile<Arithmetic, 2, together / 2, vectors_most>(a, K, 0, K, b + half * block_width * K, to,
                                                                        (block + half) * block_width, columns);
    }
    for (; block < last; ++block) {
        const float *b = packed + block * block_width * K;
        const int64_t column = block * block_width;
        switch ((padded(columns) - column) / lanes) {
            case 1: columns_block<Arithmetic, 1>(a, count, K, b, to, column, columns); break;
            case 2: columns_block<Arithmetic, 2>(a, count, K, b, to, column, columns); break;
            case 3: columns_block<Arithmetic, vectors_most < 3 ? vectors_most : 3>(a, count, K, b, to, column, columns); break;
            default: columns_block<Arithmetic, vectors_most>(a, count, K, b, to, column, columns);
        }
    }
}

template <class Arithmetic, int R, int V>
inline void outer_tile(const float *a, int64_t a_stride, const float *b, int64_t b_stride, int64_t count, float *to,
                       int64_t columns) {
    Vector sums[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sums[r][v] = same(0);
    for (int r = 0; r < R; ++r) __builtin_prefetch(to + r * columns, 1);
    for (int64_t q = 0; q < count; ++q) {
        Vector columns[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) columns[v] = load(b + v * lanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            Vector factor = same(a[r]);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) sums[r][v] = Arithmetic::multiply_add(factor, columns[v], sums[r][v]);
        }
        a += a_stride;
        b += b_stride;
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            float *at = to + r * columns + v * lanes;
            store(at, add(load(at), sums[r][v]));
        }
}

// Rows multiplied at a time: what is read of them stays in the second cache.
constexpr int64_t outer_rows = 128;

// to[m][n] += sum over q of a[q][m] b[q][n], for m from first to last - 1 and all n < columns, a multiple of L; `count`
// rows of words.
template <class Arithmetic>
void add_outer(const float *a, int64_t a_stride, const float *b, int64_t b_stride, int64_t columns, int64_t count,
               int64_t first, int64_t last, float *to) {
    Tiles tiles(last - first, column_rows);
    for (; count > 0; count -= outer_rows, a += outer_rows * a_stride, b += outer_rows * b_stride) {
        const int64_t terms = count < outer_rows ? count : outer_rows;
        for (int64_t tile = 0, m = first; tile < tiles.tiles; m += tiles.size(tile++))
            with_rows<column_rows>(tiles.size(tile), [&](auto rows) {
                constexpr int R = rows.count, three = vectors_most < 3 ? vectors_most : 3;
                for (int64_t n = 0; n < columns; n += block_width) {
                    float *at = to + m * columns + n;
                    switch ((columns - n) / lanes) {
                        case 1: outer_tile<Arithmetic, R, 1>(a + m, a_stride, b + n, b_stride, terms, at, columns); break;
                        case 2: outer_tile<Arithmetic, R, 2>(a + m, a_stride, b + n, b_stride, terms, at, columns); break;
                        case 3: outer_tile<Arithmetic, R, three>(a + m, a_stride, b + n, b_stride, terms, at, columns); break;
                        default: outer_tile<Arithmetic, R, vectors_most>(a + m, a_stride, b + n, b_stride, terms, at, columns);
                    }
                }
            });
    }
}

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

// Every two rows [count, columns] as one of words, a share of them for each member of a team.
template <class Arithmetic>
void pair_rows(const float *from, int64_t stride, int64_t columns, int64_t count, const Cut &cut, float *to) {
    for (int64_t q = 2 * cut.member; q < count; q += 2 * cut.members)
        pair_row<Arithmetic>(from + q * stride, q + 1 < count ? from + (q + 1) * stride : nullptr, columns,
                             to + q / 2 * stride);
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
    for (int64_t gate = 0; gate < 4; ++gate) {
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
                if (j % cut.members == cut.member) {
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
            pair_rows<Arithmetic>(gates, gates_stride, width, count, cut, gate_pairs);
            pair_rows<Arithmetic>(h_before, h_stride, P, count, cut, h_pairs);
            if (I) pair_rows<Arithmetic>(inputs, inputs_stride, padded(I), count, cut, input_pairs);
            meet(cut);
        }
        for (int64_t gate = 0; gate < 4; ++gate) {
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
