// The library's threads: started when first needed, asleep between calls, forgotten in a forked child.
#ifndef FASTLSTM_THREADS_H
#define FASTLSTM_THREADS_H

#include <stdint.h>

#include <functional>

namespace fastlstm {

void set_threads(int32_t threads);
int32_t threads();

// work(0, n) .. work(n - 1, n), at the same time, each on a thread of its own, work(0, n) on the caller's. n is
// `most` or fewer, as threads are set; 1 where another call has the threads. Denormals count as zero inside.
void run(int64_t most, const std::function<void(int64_t, int64_t)> &work);

}  // namespace fastlstm

#endif
