// All tuning constants. Each section names the benchmark that measures them: run it before and after a
// change.
#ifndef FASTLSTM_TUNING_H
#define FASTLSTM_TUNING_H

#include <stdint.h>

namespace fastlstm {

// --- Forward and backward pass on several threads: benchmarks/kernel.py ---

// Floats of packed weights above which threads share the hidden units instead of the sequences, in the
// forward pass only if there are few sequences: 1 MiB, the second-level cache of a core or half of it.
constexpr int64_t max_cached_weights = (int64_t(1) << 20) / sizeof(float);

// With fewer sequences per thread, large weights are read too often for the work done with them.
constexpr int64_t min_team_sequences = 16;

// Sequences of a shard of the forward pass.
constexpr int64_t forward_shard_sequences = 32;

// Shards of the backward pass: one per 16 sequences, up to 16; two from 8 sequences on, so that two threads
// have work. The number does not depend on the number of threads, so sums do not either. Other values change
// bits.
constexpr int64_t backward_shard_sequences = 16, max_backward_shards = 16, min_sequences_of_two_shards = 8;

// Floats that a thread must have to copy before another thread is woken: waking takes time, and what the
// other thread writes is in the cache of its core.
constexpr int64_t min_copy_per_thread = 1 << 17;

// Iterations that a thread waits actively before it sleeps or yields: about 100 microseconds, since the calls
// of a training step follow each other as fast.
constexpr uint64_t max_spins = 10000;

// --- Projection and Adam: benchmarks/epoch_parts.py ---

constexpr int64_t min_projection_rows_per_thread = 64;

// Rows of `projected` per task of the backward pass: some are read far more often than others.
constexpr int64_t projection_task_rows = 48;

// Rows that the backward pass of the projection prefetches. With 1, it takes 14% longer.
constexpr int64_t projection_prefetch_rows = 6;

// Rows per task: some have missed many more steps than others.
constexpr int64_t adam_task_rows = 64;

// Rows that are prefetched before they are updated, and floats per thread. Together they reduce Adam's share
// of an epoch from 0.17 s to 0.13 s.
constexpr int64_t adam_prefetch_rows = 4, min_adam_floats_per_thread = 1 << 16;

// --- Inference: benchmarks/inference.py ---

// Texts of a shard, and shards per thread, so that all threads finish at about the same time.
constexpr int64_t max_shard_texts = 32, shards_per_thread = 4;

// Rows of a layer whose outputs fit the second-level cache beside the weights of the next layer.
constexpr int64_t layer_chunk_rows = 1024;

}  // namespace fastlstm

#if defined(FASTLSTM_ISA)

#include "vector-inl.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// --- Tiles of registers and blocks of the caches: benchmarks/kernel.py ---

// Rows and vectors of a tile: 12 sums and their operands fill 16 registers, 24 sums fill 32.
constexpr int gate_tile_rows = registers == 16 ? 3 : 6;  // times the 4 gates of one vector of units
constexpr int column_tile_rows = 6;
constexpr int max_tile_vectors = registers == 16 ? 2 : 4;

// Floats of weights that a tile reads before the next rows read the same weights, which then stay in the
// first-level cache: 24 KiB. If a vector fills a cache line and the second-level cache delivers one per
// cycle, they stay there: 256 KiB (H = 1024: 13% faster). The partial sums of the tile are stored in between,
// without rounding.
constexpr int64_t tile_pass_weights = lanes == 16 ? 1 << 16 : 3 << 11;

// Floats of a matrix of weights above which the weights of the next pass are prefetched: 512 KiB, which may
// not stay in the second-level cache.
constexpr int64_t min_prefetched_weights = 1 << 17;

// Rows that read all weights before the next rows do. Their operands and sums stay in the second-level cache.
// If that has 1 MiB, more rows reduce how often weights that no cache holds are read (H = 1024, B = 256: 7%
// faster than 96).
constexpr int64_t block_rows = lanes == 16 ? 256 : 96;

// Independent sums that keep the multipliers busy when there are only one or two rows.
constexpr int min_parallel_sums = 8;

// Floats of projected inputs of a chunk of steps: 128 KiB, which fit the second-level cache beside the
// weights, but enough that large weights are not read too often.
constexpr int64_t forward_chunk_floats = 1 << 15;

// Gradients of gates of a chunk of steps: 64 KiB, so that their products with the inputs run in the
// first-level cache, but enough rows that large gradients of weights are not read and written too often.
constexpr int64_t backward_chunk_floats = 1 << 14, min_backward_chunk_rows = 128;

// Rows of an outer product, which stay in the second-level cache.
constexpr int64_t outer_product_rows = 128;

// Floats after each row of a matrix that is read by columns: a cache line, so that the rows of a matrix with
// a power of two of columns do not all use the same few sets of a cache.
constexpr int64_t row_padding = 16;

// Columns of a weight that are packed at a time: four cache lines of each row.
constexpr int64_t packing_columns = 64;

// --- Inference of one text: benchmarks/inference.py ---

// Panels of hidden units that a single row multiplies at a time: the sums of one panel would wait for each
// other. In low precision the products are fewer and slower, and registers suffice for four panels.
constexpr int single_row_panels = 2, single_row_panels_rounded = 4;

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif

#endif
