// Adam (Kingma & Ba 2015) over rows of a matrix, each of which makes the steps it has missed first.
#ifndef FASTLSTM_ADAM_H
#define FASTLSTM_ADAM_H

#include "loops.h"
#include "vector.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

inline bool all_zero(const float *values, int64_t count) {
    bool zero = true;
    for (int64_t i = 0; i < count; ++i) zero &= values[i] == 0;
    return zero;
}

// One vector of a row, from the step after `done` to the last.
inline void adam_vector(const fastlstm_adam_arguments &a, int64_t done, Vector grad, Vector &weight, Vector &mean,
                        Vector &square) {
    const Vector beta1 = same(a.beta1), beta2 = same(a.beta2), epsilon = same(a.epsilon);
    const Vector new_mean = multiply(same(1 - a.beta1), grad);
    const Vector new_square = multiply(multiply(same(1 - a.beta2), grad), grad);
    for (int64_t s = done + 1; s <= a.step; ++s) {
        const bool now = a.grads && s == a.step;
        mean = multiply_add(beta1, mean, now ? new_mean : same(0));
        square = multiply_add(beta2, square, now ? new_square : same(0));
        const Vector root = multiply_add(square_root(square), same(a.rates[2 * s + 1]), epsilon);
        weight = subtract(weight, divide(multiply(same(a.rates[2 * s]), mean), root));
    }
}

// Rows in no order that the processor could guess are asked for so many before they are moved. With this, and no thread
// woken for small weights, Adam takes 0.13 s of an epoch instead of 0.17 s (benchmarks/epoch_parts.py).
constexpr int64_t adam_rows_ahead = 4;

void adam(const fastlstm_adam_arguments &a, int64_t first, int64_t last) {
    const int64_t whole = a.I / lanes * lanes, rest = a.I - whole;
    const Vector scale = same(a.scale);
    for (int64_t m = first; m < last; ++m) {
        const int64_t row = a.rows ? a.rows[m] : m, done = a.done[row];
        a.done[row] = a.step;
        if (a.rows && m + adam_rows_ahead < last) {
            const int64_t at = (int64_t)a.rows[m + adam_rows_ahead] * a.I;
            for (int64_t i = 0; i < a.I; i += 16) {
                __builtin_prefetch(a.weight + at + i, 1);
                __builtin_prefetch(a.mean + at + i, 1);
                __builtin_prefetch(a.square + at + i, 1);
            }
        }
        float *weight = a.weight + row * a.I, *mean = a.mean + row * a.I, *square = a.square + row * a.I;
        const float *grad = a.grads ? a.grads + m * a.I : nullptr;
        if (!grad && all_zero(mean, a.I) && all_zero(square, a.I)) continue;  // it has never had a gradient
        for (int64_t i = 0; i < whole; i += lanes) {
            Vector w = load(weight + i), u = load(mean + i), v = load(square + i);
            adam_vector(a, done, grad ? multiply(load(grad + i), scale) : same(0), w, u, v);
            store(weight + i, w);
            store(mean + i, u);
            store(square + i, v);
        }
        if (rest) {
            Vector w = load_first(weight + whole, rest), u = load_first(mean + whole, rest);
            Vector v = load_first(square + whole, rest);
            adam_vector(a, done, grad ? multiply(load_first(grad + whole, rest), scale) : same(0), w, u, v);
            store_first(weight + whole, w, rest);
            store_first(mean + whole, u, rest);
            store_first(square + whole, v, rest);
        }
    }
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
