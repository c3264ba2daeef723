#include "threads.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "partition.h"
#include "tuning.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastlstm {
namespace {

void pause_briefly() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Flushes denormals to zero while it exists; then the mode is restored.
class FlushDenormals {
  public:
#if defined(__x86_64__)
    FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#elif defined(__aarch64__)
    FlushDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" : : "r"(before_ | (uint64_t(1) << 24)));
    }
    ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

  private:
    uint64_t before_;
#endif
};

class ThreadPool {
  public:
    // Run the work; return false, without running it, if another call uses the threads.
    bool run(int64_t max_members, const std::function<void(int64_t, int64_t)> &work) {
        std::unique_lock<std::mutex> call(call_, std::try_to_lock);
        if (!call.owns_lock()) return false;
        const int64_t members = start_workers(max_members);
        unfinished_.store(members - 1, std::memory_order_relaxed);
        {
            std::lock_guard<std::mutex> guard(state_);
            work_ = &work;
            members_ = members;
            for (int64_t k = 0; k + 1 < members; ++k)
                workers_[k]->jobs.fetch_add(1, std::memory_order_release);
        }
        for (int64_t k = 0; k + 1 < members; ++k) workers_[k]->wake.notify_one();
        work(0, members);
        for (uint64_t i = 0; unfinished_.load(std::memory_order_acquire) > 0; ++i)
            if (i < max_spins)
                pause_briefly();
            else
                sched_yield();
        return true;
    }

  private:
    struct Worker {
        std::condition_variable wake;
        std::atomic<uint64_t> jobs{0};  // given to this worker so far
        std::thread thread;
    };

    // Start the workers that are missing. Return the number of threads, the caller's included, up to
    // `max_members`.
    int64_t start_workers(int64_t max_members) {
        while ((int64_t)workers_.size() + 1 < max_members) {
            try {
                workers_.push_back(std::make_unique<Worker>());
                workers_.back()->thread =
                    std::thread(&ThreadPool::work_loop, this, workers_.size(), std::ref(*workers_.back()));
            } catch (const std::system_error &) {
                workers_.pop_back();
                break;  // the system has no more threads: use fewer
            }
        }
        return std::min(max_members, (int64_t)workers_.size() + 1);
    }

    void work_loop(int64_t member, Worker &self) {
        for (uint64_t done = 0;; ++done) {
            for (uint64_t i = 0; i < max_spins && self.jobs.load(std::memory_order_acquire) == done; ++i)
                pause_briefly();
            const std::function<void(int64_t, int64_t)> *work;
            int64_t members;
            {
                std::unique_lock<std::mutex> guard(state_);
                self.wake.wait(guard, [&] { return self.jobs.load(std::memory_order_relaxed) != done; });
                work = work_;
                members = members_;
            }
            {
                FlushDenormals flush;
                (*work)(member, members);
            }
            unfinished_.fetch_sub(1, std::memory_order_release);
        }
    }

    std::mutex call_;   // held during a call
    std::mutex state_;  // guards what is given to the workers
    std::vector<std::unique_ptr<Worker>> workers_;
    std::atomic<int64_t> unfinished_{0};  // workers that still work
    int64_t members_ = 0;
    const std::function<void(int64_t, int64_t)> *work_ = nullptr;
};

std::atomic<int32_t> max_threads{1};
std::atomic<ThreadPool *> pool{nullptr};  // never destroyed: its threads sleep until the process ends

ThreadPool &shared_pool() {
    static std::once_flag once;
    std::call_once(once, [] {
        pool = new ThreadPool;
        pthread_atfork(nullptr, nullptr, [] { pool = new ThreadPool; });  // threads do not survive a fork
    });
    return *pool;
}

}  // namespace

void set_threads(int32_t threads) { max_threads = threads < 1 ? 1 : threads; }
int32_t threads() { return max_threads; }

void run(int64_t max_members, const std::function<void(int64_t, int64_t)> &work) {
    FlushDenormals flush;
    max_members = std::min<int64_t>(max_members, max_threads);
    if (max_members <= 1 || !shared_pool().run(max_members, work)) work(0, 1);
}

void wait_at_barrier(Barrier &barrier, int64_t members) {
    const int64_t round = __atomic_load_n(&barrier.round, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&barrier.arrived, 1, __ATOMIC_ACQ_REL) == members) {
        __atomic_store_n(&barrier.arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier.round, round + 1, __ATOMIC_RELEASE);
        return;
    }
    for (uint64_t i = 1; __atomic_load_n(&barrier.round, __ATOMIC_ACQUIRE) == round; ++i)
        if (i % max_spins)
            pause_briefly();
        else
            sched_yield();
}

}  // namespace fastlstm
