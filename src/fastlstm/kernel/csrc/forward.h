// The forward pass: projection, and the steps of one shard.
#ifndef FASTLSTM_FORWARD_H
#define FASTLSTM_FORWARD_H

#include <string.h>

#include <utility>

#include "barrier.h"
#include "loops.h"
#include "packed.h"
#include "tile.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

constexpr int64_t terms_together = terms_in_cache / panel_width;

// Rows that meet all weights before the next rows do: what is read and summed of them stays in the second cache. Where
// that has a megabyte, more rows have to wait for weights that no cache holds less often (H = 1024, B = 256: 7% less time
// than 96, benchmarks/kernel.py).
constexpr int64_t rows_together = lanes == 16 ? 256 : 96;

// The sums of a tile: what they start from, and what they come to on top of `onto`.
template <class Arithmetic>
inline Vector start_of(const Matrix<Arithmetic> &matrix, int64_t at, const float *onto) {
    return load(Arithmetic::scaled ? matrix.start + at : onto);
}

template <class Arithmetic>
inline Vector finish(const Matrix<Arithmetic> &matrix, int64_t at, const float *onto, Vector sum) {
    if constexpr (Arithmetic::scaled) return Arithmetic::finish(sum, load(matrix.scale + at), load(onto));
    return sum;
}

// The words first .. last - 1 of K, of the sums of R rows. `waiting` [R, 4, L] holds them in between.
template <class Arithmetic, int R>
inline void project_tile(const float *const *inputs, int64_t K, int64_t first, int64_t last, const float *bias,
                         const Matrix<Arithmetic> &matrix, int64_t panel, float *waiting, float *to, int64_t width) {
    const float *a[R];
    Vector sums[R][4];
    const int64_t column = panel * panel_width;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
        a[r] = inputs[r] + first;
#pragma GCC unroll 8
        for (int v = 0; v < 4; ++v)
            sums[r][v] = first ? load(waiting + r * panel_width + v * lanes)
                               : start_of(matrix, column + v * lanes, bias + column + v * lanes);
    }
    accumulate<Arithmetic, R, 1, 4>(sums, a, last - first, matrix.weight + (panel * K + first) * panel_width, 0);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < 4; ++v) {
            if (last < K)
                store(waiting + r * panel_width + v * lanes, sums[r][v]);
            else
                store(to + r * width + v * lanes,
                      finish(matrix, column + v * lanes, bias + column + v * lanes, sums[r][v]));
        }
}

// W_ih x + b of rows of K words anywhere in memory, for the panels first .. last - 1, to [count, panels, 4, L].
template <class Arithmetic>
void project_rows(const float *const *inputs, int64_t count, int64_t K, const float *bias,
                  const Matrix<Arithmetic> &matrix, int64_t first, int64_t last, int64_t width, float *projected) {
    float waiting[rows_together * panel_width];
    for (; count > 0; count -= rows_together, inputs += rows_together, projected += rows_together * width) {
        Tiles tiles(count < rows_together ? count : rows_together, gate_rows);
        for (int64_t panel = first; panel < last; ++panel)
            for (int64_t term = 0, end; term < K; term = end) {
                end = K - term < terms_together ? K : term + terms_together;
                for (int64_t tile = 0, row = 0; tile < tiles.tiles; row += tiles.size(tile++))
                    with_rows<gate_rows>(tiles.size(tile), [&](auto rows) {
                        project_tile<Arithmetic, rows.count>(inputs + row, K, term, end, bias, matrix, panel,
                                                             waiting + row * panel_width,
                                                             projected + row * width + panel * panel_width, width);
                    });
            }
    }
}

void project(int64_t rows, int64_t I, int64_t H, const float *packed, const float *inputs, float *projected) {
    const int64_t width = panels_of(H) * panel_width;
    const Packed<Float32> weights(packed, I, H);
    const float *pointers[rows_together];
    for (int64_t row = 0; row < rows; row += rows_together) {
        int64_t count = rows - row < rows_together ? rows - row : rows_together;
        for (int64_t r = 0; r < count; ++r) pointers[r] = inputs + (row + r) * I;
        project_rows(pointers, count, I, weights.bias, weights.ih, 0, panels_of(H), width, projected + row * width);
    }
}

// Where a running row reads and writes.
struct Row {
    const float *projected;  // [panels, 4, L]
    float *gates, *cells;    // [4, P], [P]; or null
};

// The states of the rows that run: what a step's products read of h, and what it writes: the next h, the same in words
// (in float32 they are one), all [count, stride]; and c [count, P], in place.
struct States {
    const float *words;
    float *h_next, *words_next, *c;
    int64_t stride, P;
    States from(int64_t row) const {
        return {words + row * stride, h_next + row * stride, words_next + row * stride, c + row * P, stride, P};
    }
};

// The words first .. last - 1 of R rows' sums, and after the last of all the gates. `waiting` holds the sums
// [R, 4, L] in between.
template <class Arithmetic, int R, int N>
inline void step_tile(const Row *rows, const States &states, int64_t K, const Matrix<Arithmetic> &matrix, int64_t panel,
                      int64_t first, int64_t last, float *waiting) {
    const int64_t P = states.P, stride = states.stride, column = panel * panel_width;
    const float *a[R];
    Vector sums[R][N * 4];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
        a[r] = states.words + r * stride + first;
#pragma GCC unroll 16
        for (int v = 0; v < N * 4; ++v)
            sums[r][v] = first ? load(waiting + r * panel_width + v * lanes)
                               : start_of(matrix, column + v * lanes, rows[r].projected + column + v * lanes);
    }
    accumulate<Arithmetic, R, N, 4>(sums, a, last - first, matrix.weight + (panel * K + first) * panel_width,
                                    K * panel_width);
    if (last < K) {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
            for (int v = 0; v < N * 4; ++v) store(waiting + r * panel_width + v * lanes, sums[r][v]);
        return;
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) {
            const int64_t unit = (panel + n) * lanes;
            Vector gates[4];
#pragma GCC unroll 4
            for (int gate = 0; gate < 4; ++gate) {
                const int64_t at = column + (n * 4 + gate) * lanes;
                gates[gate] = finish(matrix, at, rows[r].projected + at, sums[r][n * 4 + gate]);
            }
            Vector input = sigmoid_of_double(gates[0]), forget = sigmoid_of_double(gates[1]);
            Vector candidate = tanh_of(gates[2]), output = sigmoid_of_double(gates[3]);
            Vector cell = multiply_add(forget, load(states.c + r * P + unit), multiply(input, candidate));
            Vector h = multiply(output, tanh_of(cell));
            store(states.c + r * P + unit, cell);
            store(states.h_next + r * stride + unit, h);
            if constexpr (Arithmetic::group > 1) Arithmetic::narrow(h, states.words_next + r * stride, unit);
            if (rows[r].gates) {
                store(rows[r].gates + unit, input);
                store(rows[r].gates + P + unit, forget);
                store(rows[r].gates + 2 * P + unit, candidate);
                store(rows[r].gates + 3 * P + unit, output);
            }
            if (rows[r].cells) store(rows[r].cells + unit, cell);
        }
}

// Panels of a row alone: two at a time, since four sums would wait for each other; narrow products are fewer and take
// longer, and have registers for four.
template <class Arithmetic, int N>
void step_alone(const Row *row, const States &states, int64_t K, const Matrix<Arithmetic> &matrix, int64_t first,
                int64_t last, bool back, float *waiting) {
    const int64_t together = (last - first) / N, rest = first + together * N;
    if constexpr (N > 1) step_alone<Arithmetic, N / 2>(row, states, K, matrix, rest, last, back, waiting);
    for (int64_t at = 0; at < together; ++at)
        step_tile<Arithmetic, 1, N>(row, states, K, matrix, first + N * (back ? together - 1 - at : at), 0, K,
                                    waiting);
}

// One step of `count` rows, for the panels first .. last - 1, or from the last back to the first: weights that are
// larger than a cache are then half there from the step before (a text alone at H = 64: 11% less time, benchmarks/inference.py).
template <class Arithmetic>
void step(const Row *rows, int64_t count, States states, int64_t K, const Matrix<Arithmetic> &matrix, int64_t first,
          int64_t last, bool back) {
    float waiting[rows_together * panel_width];
    if (count == 1) {
        step_alone<Arithmetic, (Arithmetic::group > 1 ? 4 : 2)>(rows, states, K, matrix, first, last, back, waiting);
        return;
    }
    for (; count > 0; count -= rows_together) {
        Tiles tiles(count < rows_together ? count : rows_together, gate_rows);
        for (int64_t at = first; at < last; ++at) {
            const int64_t panel = back ? first + last - 1 - at : at;
            for (int64_t term = 0, end; term < K; term = end) {
                end = K - term < terms_together ? K : term + terms_together;
                for (int64_t tile = 0, row = 0; tile < tiles.tiles; row += tiles.size(tile++))
                    with_rows<gate_rows>(tiles.size(tile), [&](auto tile_rows) {
                        step_tile<Arithmetic, tile_rows.count, 1>(rows + row, states.from(row), K, matrix, panel, term,
                                                                  end, waiting + row * panel_width);
                    });
            }
        }
        rows += rows_together;
        states = states.from(rows_together);
    }
}

// How many of a shard's sequences are running at a step that `running` of all sequences reach.
inline int64_t share(int64_t running, const Cut &cut) { return (running - cut.shard + cut.shards - 1) / cut.shards; }

// Cuts a workspace into aligned pieces.
class Pieces {
  public:
    explicit Pieces(float *workspace) : next_((char *)workspace) {}
    template <class T>
    T *take(int64_t count) {
        T *piece = (T *)(((uintptr_t)next_ + alignment - 1) / alignment * alignment);
        next_ = (char *)(piece + count);
        return piece;
    }
    static constexpr int64_t alignment = 64;

  private:
    char *next_;
};

// Floats that `count` of T take up as a piece, at most.
template <class T>
constexpr int64_t piece(int64_t count) {
    return (count * (int64_t)sizeof(T) + Pieces::alignment) / (int64_t)sizeof(float) + 1;
}

// Waits for the rest of the team, if there is one.
inline void meet(const Cut &cut) {
    if (cut.members > 1) wait(*cut.barrier, cut.members);
}

// [sequences, stride] from a shard's rows of [B, H], or zeros.
inline void load_states(const float *from, float *to, int64_t stride, int64_t sequences, int64_t H, const Cut &cut) {
    memset(to, 0, sequences * stride * sizeof(float));
    for (int64_t j = 0; from && j < sequences; ++j)
        memcpy(to + j * stride, from + (cut.shard + j * cut.shards) * H, H * sizeof(float));
}

// Inputs projected at a time: 128 KiB, which a core's second cache holds beside the weights, but enough that the
// weights, however large, are not read too often for what is done with them.
constexpr int64_t chunk_floats = 1 << 15;

inline int64_t chunk_rows(int64_t sequences, int64_t width) {
    const int64_t rows = chunk_floats / width < rows_together ? rows_together : chunk_floats / width;
    return sequences > rows ? sequences : rows;
}

// Rows of numbers as words.
template <class Arithmetic>
void narrow_rows(const float *const *from, int64_t rows, int64_t columns, int64_t stride, float *to) {
    for (int64_t row = 0; row < rows; ++row, to += stride) {
        int64_t at = 0;
        for (; at + lanes <= columns; at += lanes) Arithmetic::narrow(load(from[row] + at), to, at);
        if (at < columns) Arithmetic::narrow(load_first(from[row] + at, columns - at), to, at);
    }
}

template <class Arithmetic>
int64_t forward_workspace(const fastlstm_forward_arguments &f, const Cut &cut) {
    constexpr bool narrow = Arithmetic::group > 1;
    const int64_t sequences = share(f.B, cut), P = padded(f.H), rows = f.inputs ? chunk_rows(sequences, 4 * P) : 0;
    return (narrow ? 4 : 2) * piece<float>(sequences * strided(P)) + piece<float>(sequences * P) +
           piece<float>(rows * 4 * P) + (narrow ? piece<float>(rows * strided(padded(f.I))) : 0) +
           cut.members * (piece<Row>(sequences) + piece<const float *>(rows));
}

template <class Arithmetic>
void forward(const Forward &forward, const Cut &cut, float *workspace) {
    constexpr bool narrow = Arithmetic::group > 1;
    const fastlstm_forward_arguments &f = *forward.arguments;
    const int64_t sequences = share(f.B, cut), P = padded(f.H), width = 4 * P, stride = strided(P);
    const int64_t most_rows = f.inputs ? chunk_rows(sequences, width) : 0, input_stride = strided(padded(f.I));
    const int64_t first = panels_of(f.H) * cut.member / cut.members;
    const int64_t last = panels_of(f.H) * (cut.member + 1) / cut.members;
    const int64_t unit = first * lanes, units = (last * lanes < f.H ? last * lanes : f.H) - unit;
    const Packed<Arithmetic> packed(f.packed, f.I, f.H);

    Pieces pieces(workspace);
    float *h = pieces.take<float>(sequences * stride), *h_next = pieces.take<float>(sequences * stride);
    float *words_now = narrow ? pieces.take<float>(sequences * stride) : h;
    float *words_next = narrow ? pieces.take<float>(sequences * stride) : h_next;
    float *c = pieces.take<float>(sequences * P), *projected = pieces.take<float>(most_rows * width);
    float *narrowed = narrow ? pieces.take<float>(most_rows * input_stride) : nullptr;
    Row *rows = nullptr;
    const float **inputs = nullptr;
    for (int64_t member = 0; member <= cut.member; ++member) {
        rows = pieces.take<Row>(sequences);
        inputs = pieces.take<const float *>(most_rows);
    }
    if (cut.member == 0) {
        load_states(f.h0, h, stride, sequences, f.H, cut);
        load_states(f.h0, h_next, stride, sequences, f.H, cut);  // a sequence may join at a later step
        load_states(f.c0, c, P, sequences, f.H, cut);
        if constexpr (narrow)
            for (int64_t j = 0; j < sequences; ++j)
                for (int64_t at = 0; at < P; at += lanes) {
                    Arithmetic::narrow(load(h + j * stride + at), words_now + j * stride, at);
                    Arithmetic::narrow(load(h + j * stride + at), words_next + j * stride, at);
                }
    }
    meet(cut);

    auto time = [&](int64_t s) { return f.reverse ? f.T - 1 - s : s; };
    auto row_of = [&](int64_t s, int64_t j) { return forward.offsets[time(s)] + cut.shard + j * cut.shards; };
    auto running_at = [&](int64_t s) { return s < f.T ? share(f.batch_sizes[time(s)], cut) : 0; };

    int64_t chunk_end = 0, local = 0;
    for (int64_t s = 0; s < f.T; ++s) {
        const int64_t running = running_at(s);
        if (f.inputs && s == chunk_end) {
            int64_t count = 0;
            for (; chunk_end < f.T && count + running_at(chunk_end) <= most_rows; ++chunk_end)
                for (int64_t j = 0; j < running_at(chunk_end); ++j) inputs[count++] = f.inputs + row_of(chunk_end, j) * f.I;
            if constexpr (narrow) {
                if (cut.member == 0) narrow_rows<Arithmetic>(inputs, count, f.I, input_stride, narrowed);
                for (int64_t q = 0; q < count; ++q) inputs[q] = narrowed + q * input_stride;
                meet(cut);
            }
            project_rows(inputs, count, words<Arithmetic>(f.I), packed.bias, packed.ih, first, last, width, projected);
            local = 0;
        }
        for (int64_t j = 0; j < running; ++j) {
            const int64_t n = row_of(s, j);
            rows[j].projected = f.inputs ? projected + local++ * width : f.projected + f.index[n] * width;
            rows[j].gates = f.gates ? f.gates + n * width : nullptr;
            rows[j].cells = f.cells ? f.cells + n * P : nullptr;
        }
        if (!f.inputs)  // rows of a large table, in no order that the processor could guess
            for (int64_t j = 0; j < running_at(s + 1); ++j) {
                const float *next = f.projected + f.index[row_of(s + 1, j)] * width;
                for (int64_t at = first * panel_width; at < last * panel_width; at += 16) __builtin_prefetch(next + at);
            }
        step(rows, running, States{words_now, h_next, words_next, c, stride, P}, words<Arithmetic>(f.H), packed.hh, first,
             last, s % 2 == 1);
        if (units > 0) {
            for (int64_t j = 0; f.outputs && j < running; ++j)
                memcpy(f.outputs + row_of(s, j) * f.output_stride + unit, h_next + j * stride + unit, units * sizeof(float));
            const bool ends = s + 1 == f.T;
            for (int64_t j = ends || f.reverse ? (ends ? 0 : running) : running_at(s + 1); j < running; ++j) {
                const int64_t at = (cut.shard + j * cut.shards) * f.H + unit;
                memcpy(f.h_n + at, h_next + j * stride + unit, units * sizeof(float));
                memcpy(f.c_n + at, c + j * P + unit, units * sizeof(float));
            }
        }
        meet(cut);
        std::swap(h, h_next);
        std::swap(words_now, words_next);
    }
}

template <class Arithmetic>
constexpr Pass forward_in() {
    return {Arithmetic::most_columns, packed_size<Arithmetic>, pack<Arithmetic>, forward_workspace<Arithmetic>,
            forward<Arithmetic>, nullptr, nullptr, nullptr, nullptr};
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
