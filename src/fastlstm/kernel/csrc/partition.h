// How a batch is divided among threads.
//
// This header and dispatch.h are included by files that are compiled for different instruction sets. They
// must not define functions, inline ones included: the linker keeps one copy, which the processor may not be
// able to run.
#ifndef FASTLSTM_PARTITION_H
#define FASTLSTM_PARTITION_H

#include <stdint.h>

namespace fastlstm {

// Where the threads of a team wait for each other. Aligned so that it shares no cache line with other data.
struct alignas(128) Barrier {
    int64_t arrived = 0;  // members that have arrived in this round
    int64_t round = 0;    // rounds completed
};

// Return when `members` threads have called it.
void wait_at_barrier(Barrier &barrier, int64_t members);

// What one thread computes: a shard of the sequences (shard, shard + shards, ...), over all steps.
//
// If the weights are too large for the cache of one core, a team of threads computes a shard: each member
// computes some of the hidden units, and all members wait at a barrier after each step.
struct Partition {
    int64_t shard, shards;
    int64_t member, members;
    Barrier *barrier;  // null if there is one member
};

}  // namespace fastlstm

#endif
