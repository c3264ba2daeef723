#include "texts.h"

#include <string.h>

#include <algorithm>
#include <cmath>

namespace fastlstm {
namespace {

// Rows read by one layer before the next reads them: their outputs fit a core's second cache beside the weights.
constexpr int64_t rows_together = 1024;

}  // namespace

Reader::Reader(const fastlstm_texts_arguments &arguments, ReadLayer read_layer)
    : a_(arguments),
      read_layer_(read_layer),
      outputs_(arguments.layers),
      h_(arguments.layers * arguments.directions),
      c_(arguments.layers * arguments.directions) {}

void Reader::pack(const int64_t *texts, int64_t count) {
    const int64_t T = length(texts[0]);
    batch_sizes_.clear();
    offsets_.assign(1, 0);
    index_.clear();
    int64_t running = count;
    for (int64_t t = 0; t < T; ++t) {
        while (length(texts[running - 1]) <= t) --running;
        batch_sizes_.push_back(running);
        offsets_.push_back(offsets_.back() + running);
        for (int64_t j = 0; j < running; ++j) index_.push_back(a_.index[a_.starts[texts[j]] + t]);
    }
}

void Reader::read(const int64_t *texts, int64_t count) {
    pack(texts, count);
    for (int64_t layer = 0; layer < a_.layers; ++layer)
        for (int64_t k = layer * a_.directions; k < (layer + 1) * a_.directions; ++k) {
            memset(h_[k].at_least(count * a_.H[layer]), 0, count * a_.H[layer] * sizeof(float));
            memset(c_[k].at_least(count * a_.H[layer]), 0, count * a_.H[layer] * sizeof(float));
        }
    const int64_t features = count * width(a_.layers - 1);
    if (a_.pooling & FASTLSTM_HIGHEST) std::fill_n(highest_.at_least(features), features, -INFINITY);
    if (a_.pooling & FASTLSTM_MEAN) std::fill_n(sum_.at_least(features), features, 0.0f);

    if (a_.states) take_states(texts, count);

    const int64_t T = (int64_t)batch_sizes_.size();
    for (int64_t first = 0, last; first < T; first = last) {
        last = first + 1;  // a text is read backward whole
        while (last < T && (a_.directions == 2 || offsets_[last + 1] - offsets_[first] <= rows_together)) ++last;
        read_steps(first, last);
    }
    if (a_.states) give_states(texts, count);
    finish(texts, count);
}

float *Reader::state(int64_t text) const {
    int64_t size = 2 * a_.H[a_.layers - 1];
    for (int64_t layer = 0; layer < a_.layers; ++layer) size += 2 * a_.H[layer];
    return a_.states + text * size;
}

// What texts that were begun before go on from.
void Reader::take_states(const int64_t *texts, int64_t count) {
    for (int64_t j = 0; j < count; ++j) {
        const float *from = state(texts[j]);
        if (!a_.read[texts[j]]) continue;
        for (int64_t layer = 0; layer < a_.layers; from += 2 * a_.H[layer++]) {
            memcpy(h_[layer].get() + j * a_.H[layer], from, a_.H[layer] * sizeof(float));
            memcpy(c_[layer].get() + j * a_.H[layer], from + a_.H[layer], a_.H[layer] * sizeof(float));
        }
        const int64_t H = a_.H[a_.layers - 1];
        if (a_.pooling & FASTLSTM_HIGHEST) memcpy(highest_.get() + j * H, from, H * sizeof(float));
        if (a_.pooling & FASTLSTM_MEAN) memcpy(sum_.get() + j * H, from + H, H * sizeof(float));
    }
}

void Reader::give_states(const int64_t *texts, int64_t count) {
    for (int64_t j = 0; j < count; ++j) {
        float *to = state(texts[j]);
        for (int64_t layer = 0; layer < a_.layers; to += 2 * a_.H[layer++]) {
            memcpy(to, h_[layer].get() + j * a_.H[layer], a_.H[layer] * sizeof(float));
            memcpy(to + a_.H[layer], c_[layer].get() + j * a_.H[layer], a_.H[layer] * sizeof(float));
        }
        const int64_t H = a_.H[a_.layers - 1];
        memset(to, 0, 2 * H * sizeof(float));  // what is not pooled
        if (a_.pooling & FASTLSTM_HIGHEST) memcpy(to, highest_.get() + j * H, H * sizeof(float));
        if (a_.pooling & FASTLSTM_MEAN) memcpy(to + H, sum_.get() + j * H, H * sizeof(float));
        a_.read[texts[j]] += length(texts[j]);
    }
}

// All layers over the steps first .. last - 1.
void Reader::read_steps(int64_t first, int64_t last) {
    std::vector<int64_t> offsets(last - first + 1);
    for (int64_t t = first; t <= last; ++t) offsets[t - first] = offsets_[t] - offsets_[first];
    const int64_t rows = offsets.back();
    const float *inputs = nullptr;
    for (int64_t layer = 0; layer < a_.layers; ++layer) {
        const bool wanted = layer + 1 < a_.layers || (a_.pooling & (FASTLSTM_HIGHEST | FASTLSTM_MEAN));
        float *outputs = wanted ? outputs_[layer].at_least(rows * width(layer)) : nullptr;
        for (int64_t direction = 0; direction < a_.directions; ++direction) {
            const int64_t k = layer * a_.directions + direction;
            fastlstm_forward_arguments f = {};
            f.precision = a_.precision;
            f.T = last - first;
            f.B = batch_sizes_[first];
            f.I = layer ? width(layer - 1) : a_.I;
            f.H = a_.H[layer];
            f.reverse = direction;
            f.batch_sizes = batch_sizes_.data() + first;
            f.packed = a_.packed[k];
            f.inputs = inputs;
            f.projected = layer ? nullptr : a_.projected[direction];
            f.index = layer ? nullptr : index_.data() + offsets_[first];
            f.M = a_.M;
            f.h0 = f.h_n = h_[k].get();
            f.c0 = f.c_n = c_[k].get();
            f.outputs = outputs ? outputs + direction * f.H : nullptr;
            f.output_stride = width(layer);
            read_layer_(Forward{&f, offsets.data()});
        }
        inputs = outputs;
    }
    if (inputs) pool(inputs, first, last);
}

void Reader::pool(const float *outputs, int64_t first, int64_t last) {
    const int64_t features = width(a_.layers - 1);
    for (int64_t t = first; t < last; ++t)
        for (int64_t j = 0; j < batch_sizes_[t]; ++j, outputs += features) {
            float *highest = highest_.get() + j * features, *sum = sum_.get() + j * features;
            if (a_.pooling & FASTLSTM_HIGHEST)  // NaN, once there, stays
                for (int64_t k = 0; k < features; ++k)
                    highest[k] = outputs[k] > highest[k] || outputs[k] != outputs[k] ? outputs[k] : highest[k];
            if (a_.pooling & FASTLSTM_MEAN)
                for (int64_t k = 0; k < features; ++k) sum[k] += outputs[k];
        }
}

void Reader::finish(const int64_t *texts, int64_t count) {
    const int64_t layer = a_.layers - 1, H = a_.H[layer], features = width(layer);
    const int64_t poolings = !!(a_.pooling & FASTLSTM_LAST) + !!(a_.pooling & FASTLSTM_HIGHEST) +
                             !!(a_.pooling & FASTLSTM_MEAN);
    for (int64_t j = 0; j < count; ++j) {
        float *to = a_.features + texts[j] * poolings * features;
        if (a_.pooling & FASTLSTM_LAST)
            for (int64_t direction = 0; direction < a_.directions; ++direction, to += H)
                memcpy(to, h_[layer * a_.directions + direction].get() + j * H, H * sizeof(float));
        if (a_.pooling & FASTLSTM_HIGHEST) {
            memcpy(to, highest_.get() + j * features, features * sizeof(float));
            to += features;
        }
        const float steps = (float)(a_.read ? a_.read[texts[j]] : length(texts[j]));
        if (a_.pooling & FASTLSTM_MEAN)
            for (int64_t k = 0; k < features; ++k) to[k] = sum_.get()[j * features + k] / steps;
    }
}

}  // namespace fastlstm
