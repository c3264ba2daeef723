// The projection of inputs: W_ih x + b.
#ifndef FASTLSTM_PROJECTION_INL_H
#define FASTLSTM_PROJECTION_INL_H

#include "packing-inl.h"
#include "tile-inl.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

constexpr int64_t panel_pass_terms = tile_pass_weights / panel_width;

// The value that a sum starts from, and the result of a sum. Both include `addend`.
template <class Precision>
inline Vector initial_sum(const PackedMatrix<Precision> &matrix, int64_t at, const float *addend) {
    return load(Precision::quantized ? matrix.initial + at : addend);
}

template <class Precision>
inline Vector final_sum(const PackedMatrix<Precision> &matrix, int64_t at, const float *addend, Vector sum) {
    if constexpr (Precision::quantized)
        return Precision::dequantize(sum, load(matrix.scale + at), load(addend));
    return sum;
}

// Add the terms [begin, end) of K to the sums of R rows with a panel. Until the last term, the sums are kept
// in `partial` [R, 4, L].
template <class Precision, int R>
inline void project_tile(const Lane32 *const *inputs, int64_t K, int64_t begin, int64_t end,
                         const float *bias, const PackedMatrix<Precision> &matrix, int64_t panel,
                         float *partial, float *to, int64_t width, const NextWeights &next) {
    const Lane32 *a[R];
    Vector sums[R][4];
    const int64_t column = panel * panel_width;
    FASTLSTM_UNROLL
    for (int r = 0; r < R; ++r) {
        a[r] = inputs[r] + begin;
        FASTLSTM_UNROLL
        for (int v = 0; v < 4; ++v)
            sums[r][v] = begin ? load(partial + r * panel_width + v * lanes)
                               : initial_sum(matrix, column + v * lanes, bias + column + v * lanes);
    }
    accumulate<Precision, R, 1, 4>(sums, a, end - begin, matrix.weight + (panel * K + begin) * panel_width, 0,
                                   next);
    FASTLSTM_UNROLL
    for (int r = 0; r < R; ++r) {
        FASTLSTM_UNROLL
        for (int v = 0; v < 4; ++v) {
            if (end < K)
                store(partial + r * panel_width + v * lanes, sums[r][v]);
            else
                store(to + r * width + v * lanes,
                      final_sum(matrix, column + v * lanes, bias + column + v * lanes, sums[r][v]));
        }
    }
}

// Compute W_ih x + b [count, panels, 4, L] of rows of K lanes, for the panels [panel_begin, panel_end).
template <class Precision>
void project_rows(const Lane32 *const *inputs, int64_t count, int64_t K, const float *bias,
                  const PackedMatrix<Precision> &matrix, int64_t panel_begin, int64_t panel_end,
                  int64_t width, float *projected) {
    const bool prefetched = (panel_end - panel_begin) * K * panel_width > min_prefetched_weights;
    float partial[block_rows * panel_width];
    for (; count > 0; count -= block_rows, inputs += block_rows, projected += block_rows * width) {
        Tiles tiles(count < block_rows ? count : block_rows, gate_tile_rows);
        for (int64_t panel = panel_begin; panel < panel_end; ++panel)
            for (int64_t begin = 0, end; begin < K; begin = end) {
                end = K - begin < panel_pass_terms ? K : begin + panel_pass_terms;
                NextWeights next;
                if (prefetched && (end < K || panel + 1 < panel_end))
                    next = {matrix.weight + (panel * K + end) * panel_width, (end - begin) * panel_width};
                for (int64_t tile = 0, row = 0; tile < tiles.tiles; row += tiles.size(tile++))
                    with_rows<gate_tile_rows>(tiles.size(tile), [&](auto rows) {
                        project_tile<Precision, rows.count>(inputs + row, K, begin, end, bias, matrix, panel,
                                                            partial + row * panel_width,
                                                            projected + row * width + panel * panel_width,
                                                            width, next.part(tile, end - begin));
                    });
            }
    }
}

// The same of contiguous rows [rows, I] for all panels, in float32.
void project(int64_t rows, int64_t I, int64_t H, const float *packed, const float *inputs, float *projected) {
    const int64_t width = panel_count(H) * panel_width;
    const PackedWeights<Float32> weights(packed, I, H);
    const float *pointers[block_rows];
    for (int64_t row = 0; row < rows; row += block_rows) {
        int64_t count = rows - row < block_rows ? rows - row : block_rows;
        for (int64_t r = 0; r < count; ++r) pointers[r] = inputs + (row + r) * I;
        project_rows(pointers, count, I, weights.bias, weights.ih, 0, panel_count(H), width,
                     projected + row * width);
    }
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
