// Workspaces, and what the forward and the backward pass both do with partitions.
#ifndef FASTLSTM_WORKSPACE_INL_H
#define FASTLSTM_WORKSPACE_INL_H

#include <string.h>

#include "dispatch.h"
#include "precision-inl.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// Divides a workspace into arrays that start at cache lines. With a null workspace it only computes their
// size. So a layout, which takes arrays from an arena in its constructor, is the only definition of a
// workspace.
class Arena {
  public:
    // `workspace` is aligned to a cache line.
    explicit Arena(float *workspace) : workspace_(workspace) {}

    // An array of `count` T, not initialized.
    template <class T>
    T *take(int64_t count) {
        T *array = workspace_ ? (T *)(workspace_ + size_) : nullptr;
        const int64_t bytes = count * (int64_t)sizeof(T);
        size_ += (bytes + cache_line - 1) / cache_line * (cache_line / (int64_t)sizeof(float));
        return array;
    }

    // Floats taken so far.
    int64_t size() const { return size_; }

  private:
    static constexpr int64_t cache_line = 64;
    float *workspace_;
    int64_t size_ = 0;
};

// The size in floats of a layout whose constructor takes an arena and these arguments.
template <class Layout, class Arguments>
int64_t workspace_size(const Arguments &arguments, const Partition &partition) {
    Arena arena(nullptr);
    const Layout layout(arena, arguments, partition);
    return arena.size();
}

// The sequences of a shard that have a step, if the first `running` of all sequences have it.
inline int64_t shard_size(int64_t running, const Partition &partition) {
    return (running - partition.shard + partition.shards - 1) / partition.shards;
}

// The sequence j of a shard among all sequences.
inline int64_t sequence_of(const Partition &partition, int64_t j) {
    return partition.shard + j * partition.shards;
}

// The first of `count` items of a member of the team. Its items end where those of the next member begin.
inline int64_t member_begin(const Partition &partition, int64_t count, int64_t member) {
    return count * member / partition.members;
}

// Return when all members of the team have called it.
inline void team_barrier(const Partition &partition) {
    if (partition.members > 1) wait_at_barrier(*partition.barrier, partition.members);
}

// Copy the states [B, H] of a shard's sequences to [sequences, stride], padded with zeros; null: all zeros.
inline void load_states(const float *states, float *to, int64_t stride, int64_t sequences, int64_t H,
                        const Partition &partition) {
    memset(to, 0, sequences * stride * sizeof(float));
    for (int64_t j = 0; states && j < sequences; ++j)
        memcpy(to + j * stride, states + sequence_of(partition, j) * H, H * sizeof(float));
}

// Prefetch `count` floats. For rows whose order the processor cannot predict.
inline void prefetch(const float *from, int64_t count) {
    for (int64_t at = 0; at < count; at += 16) __builtin_prefetch(from + at);
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
