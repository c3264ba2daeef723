// The forward pass: packed weights, projection, and the steps of one shard.
#ifndef FASTLSTM_FORWARD_H
#define FASTLSTM_FORWARD_H

#include <string.h>

#include "barrier.h"
#include "loops.h"
#include "tile.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

constexpr int64_t panel_width = 4 * lanes;  // the 4 gates of `lanes` hidden units, side by side

inline int64_t panels_of(int64_t H) { return (H + lanes - 1) / lanes; }
inline int64_t padded(int64_t units) { return panels_of(units) * lanes; }

// From one row to the next of a matrix that is read by columns: a cache line more than the row, so that rows of
// powers of two do not all fall into the same few sets of a cache.
inline int64_t strided(int64_t columns) { return columns + 16; }

// Packed weights: bias [panels, 4, L], W_ih [panels, I, 4, L], W_hh [panels, H, 4, L]. Those of the sigmoid gates
// are halved, which is exact: sigmoid(x) is taken from tanh(x / 2).
struct Packed {
    const float *bias, *ih, *hh;
    Packed(const float *packed, int64_t I, int64_t H)
        : bias(packed), ih(packed + panels_of(H) * panel_width), hh(ih + panels_of(H) * panel_width * I) {}
};

int64_t packed_size(int64_t I, int64_t H) { return panels_of(H) * panel_width * (1 + I + H); }

// weight [4H, inputs] -> panels [inputs, 4, L], first .. last - 1 of them.
void pack_panels(int64_t inputs, int64_t H, const float *weight, int64_t first, int64_t last, float *to) {
    constexpr int64_t together = 64;  // columns, four cache lines of each row
    for (int64_t panel = first; panel < last; ++panel)
        for (int64_t column = 0; column < inputs; column += together) {
            const int64_t columns = inputs - column < together ? inputs - column : together;
            for (int gate = 0; gate < 4; ++gate) {
                const float scale = gate == 2 ? 1.0f : 0.5f;
                float lines[lanes][together] = {};
                for (int64_t unit = 0; unit < lanes && panel * lanes + unit < H; ++unit)
                    memcpy(lines[unit], weight + (gate * H + panel * lanes + unit) * inputs + column,
                           columns * sizeof(float));
                float *out = to + (panel * inputs + column) * panel_width + gate * lanes;
                for (int64_t k = 0; k < columns; ++k)
                    for (int unit = 0; unit < lanes; ++unit) out[k * panel_width + unit] = scale * lines[unit][k];
            }
        }
}

void pack(int64_t I, int64_t H, const float *weight_ih, const float *weight_hh, const float *bias, int64_t first,
          int64_t last, float *packed) {
    pack_panels(1, H, bias, first, last, packed);
    packed += panels_of(H) * panel_width;
    pack_panels(I, H, weight_ih, first, last, packed);
    pack_panels(H, H, weight_hh, first, last, packed + panels_of(H) * panel_width * I);
}

constexpr int64_t terms_together = terms_in_cache / panel_width;

// Rows that meet all weights before the next rows do: what is read and summed of them stays in the second cache.
constexpr int64_t rows_together = 96;

// The terms first .. last - 1 of the sums of R rows. `waiting` [R, 4, L] holds them in between.
template <int R>
inline void project_tile(const float *const *inputs, int64_t I, int64_t first, int64_t last, const float *bias,
                         const float *weight, float *waiting, float *to, int64_t width) {
    const float *a[R];
    Vector sums[R][4];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
        a[r] = inputs[r] + first;
#pragma GCC unroll 8
        for (int v = 0; v < 4; ++v) sums[r][v] = load((first ? waiting + r * panel_width : bias) + v * lanes);
    }
    accumulate<R, 1, 4>(sums, a, last - first, weight + first * panel_width, 0);
    if (last < I) {
        to = waiting;
        width = panel_width;
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < 4; ++v) store(to + r * width + v * lanes, sums[r][v]);
}

// W_ih x + b of rows anywhere in memory, for the panels first .. last - 1, to [count, panels, 4, L].
void project_rows(const float *const *inputs, int64_t count, int64_t I, const Packed &packed, int64_t first,
                  int64_t last, int64_t width, float *projected) {
    float waiting[rows_together * panel_width];
    for (; count > 0; count -= rows_together, inputs += rows_together, projected += rows_together * width) {
        Tiles tiles(count < rows_together ? count : rows_together, gate_rows);
        for (int64_t panel = first; panel < last; ++panel) {
            const float *bias = packed.bias + panel * panel_width, *weight = packed.ih + panel * I * panel_width;
            for (int64_t term = 0, end; term < I; term = end) {
                end = I - term < terms_together ? I : term + terms_together;
                for (int64_t tile = 0, row = 0; tile < tiles.tiles; row += tiles.size(tile++))
                    with_rows<gate_rows>(tiles.size(tile), [&](auto rows) {
                        project_tile<rows.count>(inputs + row, I, term, end, bias, weight, waiting + row * panel_width,
                                                 projected + row * width + panel * panel_width, width);
                    });
            }
        }
    }
}

void project(int64_t rows, int64_t I, int64_t H, const float *packed, const float *inputs, float *projected) {
    const int64_t width = panels_of(H) * panel_width;
    const float *pointers[rows_together];
    for (int64_t row = 0; row < rows; row += rows_together) {
        int64_t count = rows - row < rows_together ? rows - row : rows_together;
        for (int64_t r = 0; r < count; ++r) pointers[r] = inputs + (row + r) * I;
        project_rows(pointers, count, I, Packed(packed, I, H), 0, panels_of(H), width, projected + row * width);
    }
}

// Where a running row reads and writes.
struct Row {
    const float *projected;  // [panels, 4, L]
    float *gates, *cells;    // [4, P], [P]; or null
};

// The terms first .. last - 1 of R rows' sums, and after the last of all the gates. `waiting` holds the sums
// [R, 4, L] in between.
template <int R, int N>
inline void step_tile(const Row *rows, const float *h, float *h_next, float *c, int64_t H, int64_t P, int64_t stride,
                      const float *weight, int64_t panel, int64_t first, int64_t last, float *waiting) {
    const float *a[R];
    Vector sums[R][N * 4];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
        a[r] = h + r * stride + first;
        const float *from = first ? waiting + r * panel_width : rows[r].projected + panel * panel_width;
#pragma GCC unroll 8
        for (int v = 0; v < N * 4; ++v) sums[r][v] = load(from + v * lanes);
    }
    accumulate<R, N, 4>(sums, a, last - first, weight + (panel * H + first) * panel_width, H * panel_width);
    if (last < H) {
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
            for (int v = 0; v < N * 4; ++v) store(waiting + r * panel_width + v * lanes, sums[r][v]);
        return;
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) {
            const int64_t unit = (panel + n) * lanes;
            Vector input = sigmoid_of_double(sums[r][n * 4]), forget = sigmoid_of_double(sums[r][n * 4 + 1]);
            Vector candidate = tanh_of(sums[r][n * 4 + 2]), output = sigmoid_of_double(sums[r][n * 4 + 3]);
            Vector cell = multiply_add(forget, load(c + r * P + unit), multiply(input, candidate));
            store(c + r * P + unit, cell);
            store(h_next + r * stride + unit, multiply(output, tanh_of(cell)));
            if (rows[r].gates) {
                store(rows[r].gates + unit, input);
                store(rows[r].gates + P + unit, forget);
                store(rows[r].gates + 2 * P + unit, candidate);
                store(rows[r].gates + 3 * P + unit, output);
            }
            if (rows[r].cells) store(rows[r].cells + unit, cell);
        }
}

// One step of `count` rows, for the panels first .. last - 1, or from the last back to the first: weights that are
// larger than a cache are then half there from the step before (a text alone at H = 64: 11% less time).
void step(const Row *rows, int64_t count, const float *h, float *h_next, float *c, int64_t H, int64_t P,
          int64_t stride, const float *weight, int64_t first, int64_t last, bool back) {
    float waiting[rows_together * panel_width];
    if (count == 1) {  // two panels at a time, since four sums alone would wait for each other
        const int64_t pairs = (last - first) / 2;
        if ((last - first) % 2) step_tile<1, 1>(rows, h, h_next, c, H, P, stride, weight, last - 1, 0, H, waiting);
        for (int64_t pair = 0; pair < pairs; ++pair)
            step_tile<1, 2>(rows, h, h_next, c, H, P, stride, weight, first + 2 * (back ? pairs - 1 - pair : pair), 0,
                            H, waiting);
        return;
    }
    for (; count > 0; count -= rows_together) {
        Tiles tiles(count < rows_together ? count : rows_together, gate_rows);
        for (int64_t at = first; at < last; ++at) {
            const int64_t panel = back ? first + last - 1 - at : at;
            for (int64_t term = 0, end; term < H; term = end) {
                end = H - term < terms_together ? H : term + terms_together;
                for (int64_t tile = 0, row = 0; tile < tiles.tiles; row += tiles.size(tile++))
                    with_rows<gate_rows>(tiles.size(tile), [&](auto tile_rows) {
                        step_tile<tile_rows.count, 1>(rows + row, h + row * stride, h_next + row * stride, c + row * P,
                                                      H, P, stride, weight, panel, term, end,
                                                      waiting + row * panel_width);
                    });
            }
        }
        rows += rows_together;
        h += rows_together * stride;
        h_next += rows_together * stride;
        c += rows_together * P;
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

int64_t forward_workspace(const fastlstm_forward_arguments &f, const Cut &cut) {
    const int64_t sequences = share(f.B, cut), P = padded(f.H), rows = f.inputs ? chunk_rows(sequences, 4 * P) : 0;
    return 2 * piece<float>(sequences * strided(P)) + piece<float>(sequences * P) + piece<float>(rows * 4 * P) +
           cut.members * (piece<Row>(sequences) + piece<const float *>(rows));
}

void forward(const Forward &forward, const Cut &cut, float *workspace) {
    const fastlstm_forward_arguments &f = *forward.arguments;
    const int64_t sequences = share(f.B, cut), P = padded(f.H), width = 4 * P, stride = strided(P);
    const int64_t most_rows = f.inputs ? chunk_rows(sequences, width) : 0;
    const int64_t first = panels_of(f.H) * cut.member / cut.members;
    const int64_t last = panels_of(f.H) * (cut.member + 1) / cut.members;
    const int64_t unit = first * lanes, units = (last * lanes < f.H ? last * lanes : f.H) - unit;
    const Packed packed(f.packed, f.I, f.H);

    Pieces pieces(workspace);
    float *h = pieces.take<float>(sequences * stride), *h_next = pieces.take<float>(sequences * stride);
    float *c = pieces.take<float>(sequences * P), *projected = pieces.take<float>(most_rows * width);
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
            project_rows(inputs, count, f.I, packed, first, last, width, projected);
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
        step(rows, running, h, h_next, c, f.H, P, stride, packed.hh, first, last, s % 2 == 1);
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
        float *other = h;
        h = h_next;
        h_next = other;
    }
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
