// Where the threads of a team wait for each other.
#ifndef FASTLSTM_BARRIER_H
#define FASTLSTM_BARRIER_H

#include <stdint.h>

namespace fastlstm {

// Lies apart from other data, since every member writes to it.
struct alignas(128) Barrier {
    int64_t arrived = 0;  // of the members, this round
    int64_t round = 0;    // how often all have arrived
};

// Returns once every one of `members` threads has called it. Spins, since a step takes microseconds; gives its
// core away now and then, since a member may wait for one.
void wait(Barrier &barrier, int64_t members);

}  // namespace fastlstm

#endif
