// Peak rate of float32 fused multiply-add on the given number of cores, in GFLOP/s per core.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int bytes = 64, chains = 24;
#elif defined(__AVX__)
constexpr int bytes = 32, chains = 12;
#else
constexpr int bytes = 16, chains = 12;
#endif
typedef float Vector __attribute__((vector_size(bytes)));

double gigaflops() {
    Vector sums[chains], factor, addend;
    for (int lane = 0; lane < (int)(bytes / sizeof(float)); ++lane) {
        factor[lane] = 0.999999f;
        addend[lane] = 1e-7f;
    }
    for (Vector &sum : sums) sum = factor;
    const long rounds = 20000000;
    const auto started = std::chrono::steady_clock::now();
    for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 32
        for (int chain = 0; chain < chains; ++chain) sums[chain] = sums[chain] * factor + addend;
        asm volatile("");
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    volatile float used = 0;  // so that the compiler keeps the loop
    for (const Vector &sum : sums) used = used + sum[0];
    return rounds * chains * 2.0 * (bytes / sizeof(float)) / seconds / 1e9;
}

int main(int count, char **arguments) {
    const int threads = count > 1 ? atoi(arguments[1]) : 1;
    std::vector<double> rates(threads);
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; ++thread)
        others.emplace_back([&, thread] { rates[thread] = gigaflops(); });
    rates[0] = gigaflops();
    for (std::thread &other : others) other.join();
    double sum = 0;
    for (double rate : rates) sum += rate;
    printf("%.2f\n", sum / threads);
}
