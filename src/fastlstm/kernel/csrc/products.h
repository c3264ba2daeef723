// The backward pass's products: rows times a weight's columns, and the sums over rows that are the weights' gradients.
#ifndef FASTLSTM_PRODUCTS_H
#define FASTLSTM_PRODUCTS_H

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

// Every two rows [count, columns] as one of words, a share of them for each member of a team.
template <class Arithmetic>
void pair_rows(const float *from, int64_t stride, int64_t columns, int64_t count, const Cut &cut, float *to) {
    for (int64_t q = 2 * cut.member; q < count; q += 2 * cut.members)
        pair_row<Arithmetic>(from + q * stride, q + 1 < count ? from + (q + 1) * stride : nullptr, columns,
                             to + q / 2 * stride);
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
