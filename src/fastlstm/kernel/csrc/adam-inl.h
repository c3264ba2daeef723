// Adam (Kingma & Ba 2015) over rows of a matrix, each of which first makes the steps that it has missed.
#ifndef FASTLSTM_ADAM_INL_H
#define FASTLSTM_ADAM_INL_H

#include "dispatch.h"
#include "tuning.h"
#include "vector-inl.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

inline bool all_zero(const float *values, int64_t count) {
    bool zero = true;
    for (int64_t i = 0; i < count; ++i) zero &= values[i] == 0;
    return zero;
}

// Make the steps after `last_step` of one vector of a row. `grad` is the gradient of the final step.
inline void update_vector(const fastlstm_adam_arguments &a, int64_t last_step, Vector grad, Vector &weight,
                          Vector &mean, Vector &square) {
    const Vector beta1 = broadcast(a.beta1), beta2 = broadcast(a.beta2), epsilon = broadcast(a.epsilon);
    const Vector new_mean = multiply(broadcast(1 - a.beta1), grad);
    const Vector new_square = multiply(multiply(broadcast(1 - a.beta2), grad), grad);
    for (int64_t s = last_step + 1; s <= a.step; ++s) {
        const bool final_step = a.grads && s == a.step;
        mean = multiply_add(beta1, mean, final_step ? new_mean : broadcast(0));
        square = multiply_add(beta2, square, final_step ? new_square : broadcast(0));
        const Vector root = multiply_add(square_root(square), broadcast(a.rates[2 * s + 1]), epsilon);
        weight = subtract(weight, divide(multiply(broadcast(a.rates[2 * s]), mean), root));
    }
}

void adam(const fastlstm_adam_arguments &a, int64_t row_begin, int64_t row_end) {
    const int64_t whole = a.I / lanes * lanes, rest = a.I - whole;
    const Vector scale = broadcast(a.scale);
    for (int64_t m = row_begin; m < row_end; ++m) {
        const int64_t row = a.rows ? a.rows[m] : m, last_step = a.last_steps[row];
        a.last_steps[row] = a.step;
        if (a.rows && m + adam_prefetch_rows < row_end) {
            const int64_t at = (int64_t)a.rows[m + adam_prefetch_rows] * a.I;
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
            update_vector(a, last_step, grad ? multiply(load(grad + i), scale) : broadcast(0), w, u, v);
            store(weight + i, w);
            store(mean + i, u);
            store(square + i, v);
        }
        if (rest) {
            Vector w = load_partial(weight + whole, rest), u = load_partial(mean + whole, rest);
            Vector v = load_partial(square + whole, rest);
            const Vector g = grad ? multiply(load_partial(grad + whole, rest), scale) : broadcast(0);
            update_vector(a, last_step, g, w, u, v);
            store_partial(weight + whole, w, rest);
            store_partial(mean + whole, u, rest);
            store_partial(square + whole, v, rest);
        }
    }
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
