// Products of the backward pass: rows times the columns of a weight, and the gradients of weights, which are
// sums of outer products of rows.
#ifndef FASTLSTM_MATMUL_INL_H
#define FASTLSTM_MATMUL_INL_H

#include "packing-inl.h"
#include "tile-inl.h"
#include "workspace-inl.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// Interleave two rows, one above the other, into lanes of one number of each; null is a row of zeros.
template <class Precision>
void interleave_rows(const float *above, const float *below, int64_t columns, Lane32 *to) {
    int64_t at = 0;
    for (; at + lanes <= columns; at += lanes)
        store(to + at, Precision::interleave(load(above + at), below ? load(below + at) : broadcast(0)));
    if (const int64_t left = columns - at; left > 0) {
        const Vector last = below ? load_partial(below + at, left) : broadcast(0);
        store_partial(to + at, Precision::interleave(load_partial(above + at, left), last), left);
    }
}

// Interleave every two rows of [count, columns], some of them for each member of a team.
template <class Precision>
void interleave_row_pairs(const float *rows, int64_t stride, int64_t columns, int64_t count,
                          const Partition &partition, Lane32 *to) {
    for (int64_t q = 2 * partition.member; q < count; q += 2 * partition.members)
        interleave_rows<Precision>(rows + q * stride, q + 1 < count ? rows + (q + 1) * stride : nullptr,
                                   columns, to + q / 2 * stride);
}

// A weight [4H, columns] is packed as [blocks, lanes32 of 4P, block_width]: a block is as wide as a tile.
constexpr int64_t block_width = max_tile_vectors * lanes;

template <class Precision>
int64_t packed_columns_size(int64_t H, int64_t columns) {
    return lanes32<Precision>(4 * round_up(H)) * round_up(columns);
}

int64_t column_blocks(int64_t columns) { return (round_up(columns) + block_width - 1) / block_width; }

template <class Precision>
void pack_columns(int64_t H, int64_t columns, const float *weight, int64_t block_begin, int64_t block_end,
                  float *packed) {
    constexpr int64_t group = Precision::group;
    const int64_t P = round_up(H), padded_columns = round_up(columns), K = lanes32<Precision>(4 * P);
    const int64_t begin = block_begin * block_width, end = block_end * block_width;
    for (int64_t column = begin; column < padded_columns && column < end; column += block_width) {
        const int64_t width = padded_columns - column < block_width ? padded_columns - column : block_width;
        const int64_t present = columns - column < width ? columns - column : width;
        Lane32 *block = packed + K * column;
        memset(block, 0, K * width * sizeof(Lane32));
        for (int64_t gate = 0; gate < 4; ++gate)
            for (int64_t unit = 0; unit < H; unit += group) {
                Lane32 *out = block + (gate * P + unit) / group * width;
                const float *row = weight + (gate * H + unit) * columns + column;
                if constexpr (is_rounded<Precision>)
                    interleave_rows<Precision>(row, unit + 1 < H ? row + columns : nullptr, present, out);
                else
                    memcpy(out, row, present * sizeof(float));
            }
    }
}

// Add the terms [begin, end) of K to the sums of R rows with the columns from `column` on. Until the last
// term, the sums are kept in `to`.
template <class Precision, int R, int N, int V>
inline void column_tile(const Lane32 *const *a, int64_t K, int64_t begin, int64_t end, const Lane32 *b,
                        float *const *to, int64_t column, int64_t columns, const NextWeights &next = {}) {
    const Lane32 *rows[R];
    Vector sums[R][N * V];
    FASTLSTM_UNROLL
    for (int r = 0; r < R; ++r) {
        rows[r] = a[r] + begin;
        FASTLSTM_UNROLL
        for (int v = 0; v < N * V; ++v) {
            const int64_t at = column + v * lanes;
            sums[r][v] = begin == 0 || at >= columns ? broadcast(0)
                         : at + lanes <= columns     ? load(to[r] + at)
                                                     : load_partial(to[r] + at, columns - at);
        }
    }
    accumulate<Precision, R, N, V>(sums, rows, end - begin, b + begin * V * lanes, K * V * lanes, next);
    FASTLSTM_UNROLL
    for (int r = 0; r < R; ++r) {
        FASTLSTM_UNROLL
        for (int v = 0; v < N * V; ++v) {
            const int64_t at = column + v * lanes;
            if (at + lanes <= columns)
                store(to[r] + at, sums[r][v]);
            else if (at < columns)
                store_partial(to[r] + at, sums[r][v], columns - at);
        }
    }
}

template <class Precision, int V>
inline void column_block(const Lane32 *const *a, int64_t count, int64_t K, const Lane32 *b, float *const *to,
                         int64_t column, int64_t columns) {
    constexpr int64_t pass_terms = tile_pass_weights / (V * lanes);
    const bool prefetched = K * columns > min_prefetched_weights;
    Tiles tiles(count, column_tile_rows);
    for (int64_t begin = 0, end; begin < K; begin = end) {
        end = K - begin < pass_terms ? K : begin + pass_terms;
        NextWeights next;
        if (prefetched && (end < K || column + block_width < columns))
            next = {b + end * V * lanes, (end - begin) * V * lanes};
        for (int64_t tile = 0, row = 0; tile < tiles.tiles; row += tiles.size(tile++))
            with_rows<column_tile_rows>(tiles.size(tile), [&](auto rows) {
                column_tile<Precision, rows.count, 1, V>(a + row, K, begin, end, b, to + row, column, columns,
                                                         next.part(tile, end - begin));
            });
    }
}

// to[r][n] = sum over k < K of a[r][k] weight[k][n], for the packed blocks [block_begin, block_end).
template <class Precision>
void multiply_columns(const Lane32 *const *a, int64_t count, int64_t K, const float *packed, float *const *to,
                      int64_t columns, int64_t block_begin, int64_t block_end) {
    constexpr int blocks = min_parallel_sums / max_tile_vectors;
    constexpr int three = max_tile_vectors < 3 ? max_tile_vectors : 3;
    if (count == 0) return;
    int64_t block = block_begin;
    for (; count <= 2 && block + blocks <= block_end && (block + blocks) * block_width <= round_up(columns);
         block += blocks) {
        const Lane32 *b = packed + block * block_width * K;
        if (count == 1)
            column_tile<Precision, 1, blocks, max_tile_vectors>(a, K, 0, K, b, to, block * block_width,
                                                                columns);
        else
            for (int64_t half = 0; half < blocks; half += blocks / 2)
                column_tile<Precision, 2, blocks / 2, max_tile_vectors>(
                    a, K, 0, K, b + half * block_width * K, to, (block + half) * block_width, columns);
    }
    for (; block < block_end; ++block) {
        const Lane32 *b = packed + block * block_width * K;
        const int64_t column = block * block_width;
        switch ((round_up(columns) - column) / lanes) {
            case 1: column_block<Precision, 1>(a, count, K, b, to, column, columns); break;
            case 2: column_block<Precision, 2>(a, count, K, b, to, column, columns); break;
            case 3: column_block<Precision, three>(a, count, K, b, to, column, columns); break;
            default: column_block<Precision, max_tile_vectors>(a, count, K, b, to, column, columns);
        }
    }
}

// to[r][v] += sum over q of a[q][r] b[q][v], for R rows and V vectors. `columns` is the row stride of `to`.
template <class Precision, int R, int V>
inline void outer_product_tile(const Lane32 *a, int64_t a_stride, const Lane32 *b, int64_t b_stride,
                               int64_t count, float *to, int64_t columns) {
    Vector sums[R][V];
    FASTLSTM_UNROLL
    for (int r = 0; r < R; ++r) {
        FASTLSTM_UNROLL
        for (int v = 0; v < V; ++v) sums[r][v] = broadcast(0);
    }
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) __builtin_prefetch(to + r * columns + v * lanes, 1);
    for (int64_t q = 0; q < count; ++q) {
        Vector row[V];
        FASTLSTM_UNROLL
        for (int v = 0; v < V; ++v) row[v] = load(b + v * lanes);
        FASTLSTM_UNROLL
        for (int r = 0; r < R; ++r) {
            Vector factor = broadcast(a[r]);
            FASTLSTM_UNROLL
            for (int v = 0; v < V; ++v) sums[r][v] = Precision::multiply_add(factor, row[v], sums[r][v]);
        }
        a += a_stride;
        b += b_stride;
    }
    FASTLSTM_UNROLL
    for (int r = 0; r < R; ++r) {
        FASTLSTM_UNROLL
        for (int v = 0; v < V; ++v) {
            float *at = to + r * columns + v * lanes;
            store(at, add(load(at), sums[r][v]));
        }
    }
}

// to[m][n] += sum over q of a[q][m] b[q][n], for m in [begin, end) and n < columns, a multiple of L; `count`
// rows q of lanes.
template <class Precision>
void add_outer_products(const Lane32 *a, int64_t a_stride, const Lane32 *b, int64_t b_stride, int64_t columns,
                        int64_t count, int64_t begin, int64_t end, float *to) {
    constexpr int three = max_tile_vectors < 3 ? max_tile_vectors : 3;
    Tiles tiles(end - begin, column_tile_rows);
    for (; count > 0; count -= outer_product_rows, a += outer_product_rows * a_stride,
                      b += outer_product_rows * b_stride) {
        const int64_t terms = count < outer_product_rows ? count : outer_product_rows;
        for (int64_t tile = 0, m = begin; tile < tiles.tiles; m += tiles.size(tile++))
            with_rows<column_tile_rows>(tiles.size(tile), [&](auto rows) {
                constexpr int R = rows.count;
                for (int64_t n = 0; n < columns; n += block_width) {
                    float *at = to + m * columns + n;
                    switch ((columns - n) / lanes) {
                        case 1:
                            outer_product_tile<Precision, R, 1>(a + m, a_stride, b + n, b_stride, terms, at,
                                                                columns);
                            break;
                        case 2:
                            outer_product_tile<Precision, R, 2>(a + m, a_stride, b + n, b_stride, terms, at,
                                                                columns);
                            break;
                        case 3:
                            outer_product_tile<Precision, R, three>(a + m, a_stride, b + n, b_stride, terms,
                                                                    at, columns);
                            break;
                        default:
                            outer_product_tile<Precision, R, max_tile_vectors>(a + m, a_stride, b + n,
                                                                               b_stride, terms, at, columns);
                    }
                }
            });
    }
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
