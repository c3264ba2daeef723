// One step of the recurrence: W_hh h is added to projected inputs, and the gates are computed from the sums.
#ifndef FASTLSTM_STEP_INL_H
#define FASTLSTM_STEP_INL_H

#include "gates-inl.h"
#include "projection-inl.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// What a step reads and writes of one row.
struct Row {
    const float *projected;  // [panels, 4, L]
    float *gates, *cells;    // [4, P], [P]; null: not stored
};

// States of the rows of a step.
struct States {
    const Lane32 *h_lanes;  // [rows, stride], h before the step, in the precision of the products
    float *h_next;          // [rows, stride], h after the step
    Lane32 *h_lanes_next;   // [rows, stride], h_next in the precision of the products; the same in float32
    float *c;               // [rows, P], updated in place
    int64_t stride, P;
    States from(int64_t row) const {
        const int64_t at = row * stride;
        return {h_lanes + at, h_next + at, h_lanes_next + at, c + row * P, stride, P};
    }
};

// Add the terms [begin, end) of K to the sums of R rows with N panels; after the last term, compute the
// gates. Until then the sums are kept in `partial` [R, 4, L].
template <class Precision, int R, int N>
inline void step_tile(const Row *rows, const States &states, int64_t K, const PackedMatrix<Precision> &matrix,
                      int64_t panel, int64_t begin, int64_t end, float *partial, const NextWeights &next) {
    const int64_t P = states.P, stride = states.stride, column = panel * panel_width;
    const Lane32 *a[R];
    Vector sums[R][N * 4];
    FASTLSTM_UNROLL
    for (int r = 0; r < R; ++r) {
        a[r] = states.h_lanes + r * stride + begin;
        FASTLSTM_UNROLL
        for (int v = 0; v < N * 4; ++v)
            sums[r][v] =
                begin ? load(partial + r * panel_width + v * lanes)
                      : initial_sum(matrix, column + v * lanes, rows[r].projected + column + v * lanes);
    }
    accumulate<Precision, R, N, 4>(sums, a, end - begin, matrix.weight + (panel * K + begin) * panel_width,
                                   K * panel_width, next);
    if (end < K) {
        FASTLSTM_UNROLL
        for (int r = 0; r < R; ++r) {
            FASTLSTM_UNROLL
            for (int v = 0; v < N * 4; ++v) store(partial + r * panel_width + v * lanes, sums[r][v]);
        }
        return;
    }
    FASTLSTM_UNROLL
    for (int r = 0; r < R; ++r) {
        FASTLSTM_UNROLL
        for (int n = 0; n < N; ++n) {
            const int64_t unit = (panel + n) * lanes;
            Vector gate_sums[4];
            FASTLSTM_UNROLL
            for (int gate = 0; gate < 4; ++gate) {
                const int64_t at = column + (n * 4 + gate) * lanes;
                gate_sums[gate] = final_sum(matrix, at, rows[r].projected + at, sums[r][n * 4 + gate]);
            }
            const GatesOf<Precision> gates(gate_sums);
            const Vector cell = gates.cell(load(states.c + r * P + unit)), h = gates.output(cell);
            store(states.c + r * P + unit, cell);
            store(states.h_next + r * stride + unit, h);
            if constexpr (is_rounded<Precision>)
                Precision::store_rounded(h, states.h_lanes_next + r * stride, unit);
            if (rows[r].gates) {
                FASTLSTM_UNROLL
                for (int gate = 0; gate < 4; ++gate)
                    store(rows[r].gates + gate * P + unit, gates.value(gate));
            }
            if (rows[r].cells) store(rows[r].cells + unit, cell);
        }
    }
}

// One step of a single row: N panels at a time, then the rest with fewer.
template <class Precision, int N>
void step_single_row(const Row *row, const States &states, int64_t K, const PackedMatrix<Precision> &matrix,
                     int64_t panel_begin, int64_t panel_end, bool reversed, float *partial) {
    const int64_t groups = (panel_end - panel_begin) / N, rest = panel_begin + groups * N;
    if constexpr (N > 1)
        step_single_row<Precision, N / 2>(row, states, K, matrix, rest, panel_end, reversed, partial);
    for (int64_t group = 0; group < groups; ++group)
        step_tile<Precision, 1, N>(row, states, K, matrix,
                                   panel_begin + N * (reversed ? groups - 1 - group : group), 0, K, partial,
                                   NextWeights{});
}

// One step of `count` rows, for the panels [panel_begin, panel_end), from first to last or reversed. If every
// other step is reversed, half of the weights that exceed a cache are still there from the step before (one
// text at H = 64: 11% faster, benchmarks/inference.py).
template <class Precision>
void step(const Row *rows, int64_t count, States states, int64_t K, const PackedMatrix<Precision> &matrix,
          int64_t panel_begin, int64_t panel_end, bool reversed) {
    constexpr int single_panels = is_rounded<Precision> ? single_row_panels_rounded : single_row_panels;
    const bool prefetched = (panel_end - panel_begin) * K * panel_width > min_prefetched_weights;
    float partial[block_rows * panel_width];
    if (count == 1) {
        step_single_row<Precision, single_panels>(rows, states, K, matrix, panel_begin, panel_end, reversed,
                                                  partial);
        return;
    }
    for (; count > 0; count -= block_rows) {
        Tiles tiles(count < block_rows ? count : block_rows, gate_tile_rows);
        for (int64_t at = panel_begin; at < panel_end; ++at) {
            const int64_t panel = reversed ? panel_begin + panel_end - 1 - at : at;
            for (int64_t begin = 0, end; begin < K; begin = end) {
                end = K - begin < panel_pass_terms ? K : begin + panel_pass_terms;
                const int64_t next_panel = end < K ? panel : reversed ? panel - 1 : panel + 1;
                NextWeights next;
                if (prefetched && panel_begin <= next_panel && next_panel < panel_end)
                    next = {matrix.weight + (next_panel * K + end % K) * panel_width,
                            (end - begin) * panel_width};
                for (int64_t tile = 0, row = 0; tile < tiles.tiles; row += tiles.size(tile++))
                    with_rows<gate_tile_rows>(tiles.size(tile), [&](auto tile_rows) {
                        step_tile<Precision, tile_rows.count, 1>(
                            rows + row, states.from(row), K, matrix, panel, begin, end,
                            partial + row * panel_width, next.part(tile, end - begin));
                    });
            }
        }
        rows += block_rows;
        states = states.from(block_rows);
    }
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
