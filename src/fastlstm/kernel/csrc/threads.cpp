#include "threads.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "barrier.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#include <sched.h>
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

void give_core_away() {
#if defined(_WIN32)
    std::this_thread::yield();
#else
    sched_yield();
#endif
}

// Denormals count as zero while it lives; then the mode is as it was.
class DenormalsFlushed {
  public:
#if defined(__x86_64__)
    DenormalsFlushed() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
    ~DenormalsFlushed() { _mm_setcsr(before_); }

  private:
    unsigned before_;
#elif defined(__aarch64__)
    DenormalsFlushed() {
        asm volatile("mrs %0, fpcr" : "=r"(before_));
        asm volatile("msr fpcr, %0" : : "r"(before_ | (uint64_t(1) << 24)));
    }
    ~DenormalsFlushed() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

  private:
    uint64_t before_;
#endif
};

constexpr uint64_t spins = 10000;  // some 100 microseconds: calls of one training step follow each other as fast

class Pool {
  public:
    // False where another call is in here.
    bool run(int64_t most, const std::function<void(int64_t, int64_t)> &work) {
        std::unique_lock<std::mutex> mine(calls_, std::try_to_lock);
        if (!mine.owns_lock()) return false;
        const int64_t members = start(most);
        left_.store(members - 1, std::memory_order_relaxed);
        {
            std::lock_guard<std::mutex> guard(sleep_);
            work_ = &work;
            members_ = members;
            for (int64_t k = 0; k + 1 < members; ++k) workers_[k]->jobs.fetch_add(1, std::memory_order_release);
        }
        for (int64_t k = 0; k + 1 < members; ++k) workers_[k]->wake.notify_one();
        work(0, members);
        for (uint64_t i = 0; left_.load(std::memory_order_acquire) > 0; ++i)
            i < spins ? pause_briefly() : give_core_away();
        return true;
    }

  private:
    struct Worker {
        std::condition_variable wake;
        std::atomic<uint64_t> jobs{0};  // how many it was given; changes are guarded by sleep_
        std::thread thread;
    };

    // How many threads there are with the caller's, up to `most`; starts those that are missing.
    int64_t start(int64_t most) {
        while ((int64_t)workers_.size() + 1 < most) {
            try {
                workers_.push_back(std::make_unique<Worker>());
                workers_.back()->thread = std::thread(&Pool::live, this, workers_.size(), std::ref(*workers_.back()));
            } catch (const std::system_error &) {
                workers_.pop_back();
                break;  // no more threads to be had: fewer do the work
            }
        }
        return most < (int64_t)workers_.size() + 1 ? most : (int64_t)workers_.size() + 1;
    }

    void live(int64_t member, Worker &self) {
        for (uint64_t done = 0;; ++done) {
            for (uint64_t i = 0; i < spins && self.jobs.load(std::memory_order_acquire) == done; ++i) pause_briefly();
            const std::function<void(int64_t, int64_t)> *work;
            int64_t members;
            {
                std::unique_lock<std::mutex> guard(sleep_);
                self.wake.wait(guard, [&] { return self.jobs.load(std::memory_order_relaxed) != done; });
                work = work_;
                members = members_;
            }
            {
                DenormalsFlushed flushed;
                (*work)(member, members);
            }
            left_.fetch_sub(1, std::memory_order_release);
        }
    }

    std::mutex calls_, sleep_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::atomic<int64_t> left_{0};
    int64_t members_ = 0;  // these two guarded by sleep_
    const std::function<void(int64_t, int64_t)> *work_ = nullptr;
};

std::atomic<int32_t> wanted{1};
std::atomic<Pool *> pool{nullptr};  // never destroyed: its threads sleep until the process ends

Pool &the_pool() {
    static std::once_flag once;
    std::call_once(once, [] {
        pool = new Pool;
#if !defined(_WIN32)
        pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });  // threads do not survive a fork
#endif
    });
    return *pool;
}

}  // namespace

void set_threads(int32_t threads) { wanted = threads < 1 ? 1 : threads; }
int32_t threads() { return wanted; }

void run(int64_t most, const std::function<void(int64_t, int64_t)> &work) {
    DenormalsFlushed flushed;
    if (most > wanted) most = wanted;
    if (most <= 1 || !the_pool().run(most, work)) work(0, 1);
}

void wait(Barrier &barrier, int64_t members) {
    const int64_t round = __atomic_load_n(&barrier.round, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&barrier.arrived, 1, __ATOMIC_ACQ_REL) == members) {
        __atomic_store_n(&barrier.arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier.round, round + 1, __ATOMIC_RELEASE);
        return;
    }
    for (uint64_t i = 1; __atomic_load_n(&barrier.round, __ATOMIC_ACQUIRE) == round; ++i)
        i % spins ? pause_briefly() : give_core_away();
}

}  // namespace fastlstm
