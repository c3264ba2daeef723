// The threads of the library. They start when they are first needed, sleep between calls, and are started
// again after a fork.
#ifndef FASTLSTM_THREADS_H
#define FASTLSTM_THREADS_H

#include <stdint.h>

#include <functional>

namespace fastlstm {

void set_threads(int32_t threads);
int32_t threads();

// Call work(0, members) .. work(members - 1, members) at the same time, each on its own thread, work(0,
// members) on the caller's. There are at most `max_members` and at most as many as set_threads says, but only
// 1 while another call uses the threads. Denormals are flushed to zero.
void run(int64_t max_members, const std::function<void(int64_t, int64_t)> &work);

}  // namespace fastlstm

#endif
