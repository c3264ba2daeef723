// Products of a few rows with a block of columns, whose sums stay in registers from the first term to the last.
//
// A sum is taken term by term, in order, in one chain. So its bits depend neither on the tile that it falls into
// nor on what else is computed beside it.
#ifndef FASTLSTM_TILE_H
#define FASTLSTM_TILE_H

#include "arithmetic.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// Rows and vectors a tile: 12 sums and their operands fill 16 registers, 24 fill 32.
constexpr int gate_rows = registers == 16 ? 3 : 6;  // with the 4 gates of one vector of units
constexpr int column_rows = 6;
constexpr int vectors_most = registers == 16 ? 2 : 4;

// After so many weights a tile makes way for the next rows: the weights that they all meet then stay in the first cache,
// 24 KiB, or where vectors fill a cache line and the second cache gives one a cycle, there, 256 KiB (H = 1024: 13% less
// time, benchmarks/kernel.py). What a tile has summed waits in memory, to the bit.
constexpr int64_t terms_in_cache = lanes == 16 ? 1 << 16 : 3 << 11;

// sums[r][n V + v] += a[r][k] b[n][k][v], for all k < K. The blocks n of b lie `block` floats apart.
template <class Arithmetic, int R, int N, int V>
inline __attribute__((always_inline)) void accumulate(Vector (&sums)[R][N * V], const float *const (&a)[R], int64_t K,
                                                      const float *b, int64_t block) {
    for (int64_t k = 0; k < K; ++k) {
        if (R <= N * V) {
            Vector factors[R];
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) factors[r] = same(a[r][k]);
#pragma GCC unroll 8
            for (int n = 0; n < N; ++n)
#pragma GCC unroll 8
                for (int v = 0; v < V; ++v) {
                    Vector column = load(b + n * block + v * lanes);
#pragma GCC unroll 8
                    for (int r = 0; r < R; ++r)
                        sums[r][n * V + v] = Arithmetic::multiply_add(factors[r], column, sums[r][n * V + v]);
                }
        } else {
            Vector columns[N * V];
#pragma GCC unroll 8
            for (int n = 0; n < N; ++n)
#pragma GCC unroll 8
                for (int v = 0; v < V; ++v) columns[n * V + v] = load(b + n * block + v * lanes);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) {
                Vector factor = same(a[r][k]);
#pragma GCC unroll 8
                for (int v = 0; v < N * V; ++v) sums[r][v] = Arithmetic::multiply_add(factor, columns[v], sums[r][v]);
            }
        }
        b += V * lanes;
    }
}

// A number of rows that the compiler knows.
template <int R>
struct Rows {
    static constexpr int count = R;
};

// work(Rows<count>), for a count from 1 to Most.
template <int Most, class Work>
inline void with_rows(int64_t count, Work work) {
    switch (count) {
        case 1: return work(Rows<1>());
        case 2: return work(Rows<2>());
        case 3: return work(Rows<3>());
        case 4: if constexpr (Most >= 4) return work(Rows<4>()); break;
        case 5: if constexpr (Most >= 5) return work(Rows<5>()); break;
        case 6: if constexpr (Most >= 6) return work(Rows<6>()); break;
    }
}

// `count` rows cut into tiles of nearly equal numbers of rows, at most `most`.
struct Tiles {
    int64_t tiles, rows, larger;
    Tiles(int64_t count, int64_t most)
        : tiles((count + most - 1) / most), rows(tiles ? count / tiles : 0), larger(tiles ? count % tiles : 0) {}
    int64_t size(int64_t tile) const { return rows + (tile < larger); }
};

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
