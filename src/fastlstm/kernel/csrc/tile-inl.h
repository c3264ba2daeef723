// Products of a few rows with a block of columns. The sums stay in registers.
//
// Each sum is one chain, term by term, in order. So its bits do not depend on the tile or on other sums.
#ifndef FASTLSTM_TILE_INL_H
#define FASTLSTM_TILE_INL_H

#include "precision-inl.h"
#include "tuning.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// The weights that the next pass reads. The tiles of a pass prefetch them, one cache line per term: otherwise
// weights that no cache holds are read at the latency of memory (H = 1024 and 2048: 15 to 35% faster).
struct NextWeights {
    static constexpr int64_t line = 16;  // lanes
    const Lane32 *from = nullptr;
    int64_t count = 0;  // lanes; 0: there is nothing to prefetch
    // The part of tile number `tile`, if each tile has `terms` terms.
    NextWeights part(int64_t tile, int64_t terms) const {
        const int64_t at = tile * terms * line;
        return at < count ? NextWeights{from + at, count - at} : NextWeights{};
    }
};

// sums[r][n V + v] += a[r][k] b[n][v], for one k. The blocks n of b are `block` lanes apart.
template <class Precision, int R, int N, int V>
inline __attribute__((always_inline)) void add_term(Vector (&sums)[R][N * V], const Lane32 *const (&a)[R],
                                                    int64_t k, const Lane32 *b, int64_t block) {
    if (R <= N * V) {
        Vector factors[R];
        FASTLSTM_UNROLL
        for (int r = 0; r < R; ++r) factors[r] = broadcast(a[r][k]);
        FASTLSTM_UNROLL
        for (int n = 0; n < N; ++n) {
            FASTLSTM_UNROLL
            for (int v = 0; v < V; ++v) {
                Vector column = load(b + n * block + v * lanes);
                FASTLSTM_UNROLL
                for (int r = 0; r < R; ++r)
                    sums[r][n * V + v] = Precision::multiply_add(factors[r], column, sums[r][n * V + v]);
            }
        }
    } else {
        Vector columns[N * V];
        FASTLSTM_UNROLL
        for (int n = 0; n < N; ++n) {
            FASTLSTM_UNROLL
            for (int v = 0; v < V; ++v) columns[n * V + v] = load(b + n * block + v * lanes);
        }
        FASTLSTM_UNROLL
        for (int r = 0; r < R; ++r) {
            Vector factor = broadcast(a[r][k]);
            FASTLSTM_UNROLL
            for (int v = 0; v < N * V; ++v)
                sums[r][v] = Precision::multiply_add(factor, columns[v], sums[r][v]);
        }
    }
}

// sums[r][n V + v] += a[r][k] b[n][k][v], for all k < K.
template <class Precision, int R, int N, int V>
inline __attribute__((always_inline)) void accumulate(Vector (&sums)[R][N * V], const Lane32 *const (&a)[R],
                                                      int64_t K, const Lane32 *b, int64_t block,
                                                      const NextWeights &next = {}) {
    const int64_t lines = next.count / NextWeights::line, prefetching = lines < K ? lines : K;
    int64_t k = 0;
    for (; k < prefetching; ++k, b += V * lanes) {
        __builtin_prefetch(next.from + k * NextWeights::line, 0, 2);
        add_term<Precision, R, N, V>(sums, a, k, b, block);
    }
    for (; k < K; ++k, b += V * lanes) add_term<Precision, R, N, V>(sums, a, k, b, block);
}

// A number of rows known at compile time.
template <int R>
struct Rows {
    static constexpr int count = R;
};

// Call work(Rows<count>()), for a count from 1 to Max.
template <int Max, class Work>
inline void with_rows(int64_t count, Work work) {
    switch (count) {
        case 1: return work(Rows<1>());
        case 2: return work(Rows<2>());
        case 3: return work(Rows<3>());
        case 4:
            if constexpr (Max >= 4) return work(Rows<4>());
            break;
        case 5:
            if constexpr (Max >= 5) return work(Rows<5>());
            break;
        case 6:
            if constexpr (Max >= 6) return work(Rows<6>());
            break;
    }
}

// `count` rows divided into tiles of almost equal numbers of rows, at most `max_rows`.
struct Tiles {
    int64_t tiles, rows, larger;
    Tiles(int64_t count, int64_t max_rows)
        : tiles((count + max_rows - 1) / max_rows),
          rows(tiles ? count / tiles : 0),
          larger(tiles ? count % tiles : 0) {}
    int64_t size(int64_t tile) const { return rows + (tile < larger); }
};

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
