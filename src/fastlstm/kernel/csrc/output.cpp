#include "output.h"

#include <float.h>
#include <math.h>

#include <algorithm>

#include "threads.h"

namespace fastlstm {
namespace {

// Partial sums of a product, which the compiler keeps in vectors. The order is that of the source for every
// instruction set.
constexpr int64_t partial_sums = 16;

float dot(const float *x, const float *y, int64_t count) {
    float sums[partial_sums] = {};
    int64_t i = 0;
    for (; i + partial_sums <= count; i += partial_sums)
        for (int64_t k = 0; k < partial_sums; ++k) sums[k] += x[i + k] * y[i + k];
    for (int64_t k = 0; i < count; ++i, ++k) sums[k] += x[i] * y[i];
    for (int64_t width = partial_sums / 2; width; width /= 2)
        for (int64_t k = 0; k < width; ++k) sums[k] += sums[k + width];
    return sums[0];
}

void write_logits(const fastlstm_output_arguments &a, int64_t text) {
    for (int64_t c = 0; c < a.C; ++c) {
        float logit = dot(a.features + text * a.F, a.weight + c * a.F, a.F) + a.bias[c];
        if (a.ngram_logits) logit += a.ngram_logits[text * a.C + c];
        a.logits[text * a.C + c] = logit / a.temperature;
    }
}

void divide_by_sum(float *values, int64_t count) {
    double sum = 0;
    for (int64_t c = 0; c < count; ++c) sum += values[c];
    for (int64_t c = 0; c < count; ++c) values[c] = (float)(values[c] / sum);
}

void softmax(const float *logits, int64_t count, float *probabilities) {
    float max = logits[0];  // NaN if there is one
    for (int64_t c = 1; c < count; ++c)
        if (logits[c] > max || logits[c] != logits[c]) max = logits[c];
    for (int64_t c = 0; c < count; ++c) probabilities[c] = (float)exp((double)(logits[c] - max));
    divide_by_sum(probabilities, count);
}

float sigmoid(float x) { return (float)(1 / (1 + exp(-(double)x))); }

void sigmoids(const float *logits, int64_t count, float *probabilities) {
    if (count == 1) {
        probabilities[1] = sigmoid(logits[0]);
        probabilities[0] = 1 - probabilities[1];
        return;
    }
    for (int64_t c = 0; c < count; ++c) {
        const float value = sigmoid(logits[c]);
        probabilities[c] = value < FLT_MIN ? FLT_MIN : value;  // the sum must not be 0; NaN stays NaN
    }
    divide_by_sum(probabilities, count);
}

}  // namespace

void compute_output(const fastlstm_output_arguments &a) {
    const bool use_sigmoid = a.activation == FASTLSTM_SIGMOID;
    const int64_t classes = use_sigmoid ? std::max<int64_t>(a.C, 2) : a.C;
    run(1, [&](int64_t, int64_t) {
        for (int64_t text = 0; text < a.texts; ++text) {
            if (a.features) write_logits(a, text);
            if (!a.probabilities) continue;
            (use_sigmoid ? sigmoids : softmax)(a.logits + text * a.C, a.C, a.probabilities + text * classes);
        }
    });
}

}  // namespace fastlstm
