#include "inference.h"

#include <string.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>
#include <numeric>
#include <vector>

#include "memory.h"
#include "schedule.h"
#include "threads.h"
#include "tuning.h"

namespace fastlstm {
namespace {

// Runs groups of texts through all layers, in memory that it reuses from group to group.
class GroupRunner {
  public:
    // With `use_team`, each layer uses the threads of the library; else it runs on the thread of the caller.
    GroupRunner(const IsaKernels &kernels, const PrecisionKernels &precision,
                const fastlstm_inference_arguments &a, bool use_team)
        : kernels_(kernels),
          precision_(precision),
          a_(a),
          use_team_(use_team),
          outputs_(a.layers),
          h_(a.layers * a.directions),
          c_(a.layers * a.directions) {}

    // Compute the features of `count` texts, longest first.
    void run(const int64_t *texts, int64_t count) {
        pack_batch(texts, count);
        initialize_states(count);
        if (a_.states) load_states(texts, count);
        const int64_t T = (int64_t)batch_sizes_.size();
        for (int64_t begin = 0, end; begin < T; begin = end) {
            end = begin + 1;  // a backward direction needs all steps at once
            while (end < T && (a_.directions == 2 || offsets_[end + 1] - offsets_[begin] <= layer_chunk_rows))
                ++end;
            run_steps(begin, end);
        }
        if (a_.states) save_states(texts, count);
        write_features(texts, count);
    }

  private:
    int64_t length(int64_t text) const { return a_.starts[text + 1] - a_.starts[text]; }
    int64_t width(int64_t layer) const { return a_.directions * a_.H[layer]; }

    // Compute the batch sizes, the offsets of the steps and the index of a packed batch.
    void pack_batch(const int64_t *texts, int64_t count) {
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

    void initialize_states(int64_t count) {
        for (int64_t layer = 0; layer < a_.layers; ++layer)
            for (int64_t k = layer * a_.directions; k < (layer + 1) * a_.directions; ++k) {
                memset(h_[k].reserve(count * a_.H[layer]), 0, count * a_.H[layer] * sizeof(float));
                memset(c_[k].reserve(count * a_.H[layer]), 0, count * a_.H[layer] * sizeof(float));
            }
        const int64_t features = count * width(a_.layers - 1);
        if (a_.pooling & FASTLSTM_POOL_MAX) std::fill_n(max_.reserve(features), features, -INFINITY);
        if (a_.pooling & FASTLSTM_POOL_MEAN) std::fill_n(sum_.reserve(features), features, 0.0f);
    }

    // The state of a text, as lstm.h defines it.
    float *state(int64_t text) const {
        int64_t size = 2 * a_.H[a_.layers - 1];
        for (int64_t layer = 0; layer < a_.layers; ++layer) size += 2 * a_.H[layer];
        return a_.states + text * size;
    }

    // Load the states of the texts that have been read in part.
    void load_states(const int64_t *texts, int64_t count) {
        for (int64_t j = 0; j < count; ++j) {
            const float *from = state(texts[j]);
            if (!a_.steps_read[texts[j]]) continue;
            for (int64_t layer = 0; layer < a_.layers; from += 2 * a_.H[layer++]) {
                memcpy(h_[layer].get() + j * a_.H[layer], from, a_.H[layer] * sizeof(float));
                memcpy(c_[layer].get() + j * a_.H[layer], from + a_.H[layer], a_.H[layer] * sizeof(float));
            }
            const int64_t H = a_.H[a_.layers - 1];
            if (a_.pooling & FASTLSTM_POOL_MAX) memcpy(max_.get() + j * H, from, H * sizeof(float));
            if (a_.pooling & FASTLSTM_POOL_MEAN) memcpy(sum_.get() + j * H, from + H, H * sizeof(float));
        }
    }

    void save_states(const int64_t *texts, int64_t count) {
        for (int64_t j = 0; j < count; ++j) {
            float *to = state(texts[j]);
            for (int64_t layer = 0; layer < a_.layers; to += 2 * a_.H[layer++]) {
                memcpy(to, h_[layer].get() + j * a_.H[layer], a_.H[layer] * sizeof(float));
                memcpy(to + a_.H[layer], c_[layer].get() + j * a_.H[layer], a_.H[layer] * sizeof(float));
            }
            const int64_t H = a_.H[a_.layers - 1];
            memset(to, 0, 2 * H * sizeof(float));  // for the poolings that are not selected
            if (a_.pooling & FASTLSTM_POOL_MAX) memcpy(to, max_.get() + j * H, H * sizeof(float));
            if (a_.pooling & FASTLSTM_POOL_MEAN) memcpy(to + H, sum_.get() + j * H, H * sizeof(float));
            a_.steps_read[texts[j]] += length(texts[j]);
        }
    }

    // Run the steps [begin, end) through all layers.
    void run_steps(int64_t begin, int64_t end) {
        chunk_offsets_.resize(end - begin + 1);
        for (int64_t t = begin; t <= end; ++t) chunk_offsets_[t - begin] = offsets_[t] - offsets_[begin];
        const int64_t rows = chunk_offsets_.back();
        const float *inputs = nullptr;
        for (int64_t layer = 0; layer < a_.layers; ++layer) {
            const bool needed =
                layer + 1 < a_.layers || (a_.pooling & (FASTLSTM_POOL_MAX | FASTLSTM_POOL_MEAN));
            float *outputs = needed ? outputs_[layer].reserve(rows * width(layer)) : nullptr;
            for (int64_t direction = 0; direction < a_.directions; ++direction) {
                const int64_t k = layer * a_.directions + direction;
                fastlstm_forward_arguments f = {};
                f.precision = a_.precision;
                f.T = end - begin;
                f.B = batch_sizes_[begin];
                f.I = layer ? width(layer - 1) : a_.I;
                f.H = a_.H[layer];
                f.reverse = direction;
                f.batch_sizes = batch_sizes_.data() + begin;
                f.packed = a_.packed[k];
                f.inputs = inputs;
                f.projected = layer ? nullptr : a_.projected[direction];
                f.index = layer ? nullptr : index_.data() + offsets_[begin];
                f.M = a_.M;
                f.h0 = f.h_n = h_[k].get();
                f.c0 = f.c_n = c_[k].get();
                f.outputs = outputs ? outputs + direction * f.H : nullptr;
                f.output_stride = width(layer);
                run_layer(ForwardJob{&f, chunk_offsets_.data()});
            }
            inputs = outputs;
        }
        if (inputs) pool(inputs, begin, end);
    }

    void run_layer(const ForwardJob &job) {
        if (use_team_) {
            schedule_forward(kernels_, precision_, job);
            return;
        }
        const Partition whole = {0, 1, 0, 1, nullptr};
        precision_.forward(job, whole,
                           workspace_.reserve(precision_.forward_workspace_size(*job.arguments, whole)));
    }

    // Update the maximum and the sum by the outputs of the steps [begin, end). NaN stays NaN.
    void pool(const float *outputs, int64_t begin, int64_t end) {
        const int64_t features = width(a_.layers - 1);
        for (int64_t t = begin; t < end; ++t)
            for (int64_t j = 0; j < batch_sizes_[t]; ++j, outputs += features) {
                float *max = max_.get() + j * features, *sum = sum_.get() + j * features;
                if (a_.pooling & FASTLSTM_POOL_MAX)
                    for (int64_t k = 0; k < features; ++k)
                        max[k] = outputs[k] > max[k] || outputs[k] != outputs[k] ? outputs[k] : max[k];
                if (a_.pooling & FASTLSTM_POOL_MEAN)
                    for (int64_t k = 0; k < features; ++k) sum[k] += outputs[k];
            }
    }

    void write_features(const int64_t *texts, int64_t count) {
        const int64_t layer = a_.layers - 1, H = a_.H[layer], features = width(layer);
        const int64_t poolings = !!(a_.pooling & FASTLSTM_POOL_LAST) + !!(a_.pooling & FASTLSTM_POOL_MAX) +
                                 !!(a_.pooling & FASTLSTM_POOL_MEAN);
        for (int64_t j = 0; j < count; ++j) {
            float *to = a_.features + texts[j] * poolings * features;
            if (a_.pooling & FASTLSTM_POOL_LAST)
                for (int64_t direction = 0; direction < a_.directions; ++direction, to += H)
                    memcpy(to, h_[layer * a_.directions + direction].get() + j * H, H * sizeof(float));
            if (a_.pooling & FASTLSTM_POOL_MAX) {
                memcpy(to, max_.get() + j * features, features * sizeof(float));
                to += features;
            }
            const float steps = (float)(a_.steps_read ? a_.steps_read[texts[j]] : length(texts[j]));
            if (a_.pooling & FASTLSTM_POOL_MEAN)
                for (int64_t k = 0; k < features; ++k) to[k] = sum_.get()[j * features + k] / steps;
        }
    }

    const IsaKernels &kernels_;
    const PrecisionKernels &precision_;
    const fastlstm_inference_arguments &a_;
    const bool use_team_;
    std::vector<int64_t> batch_sizes_, offsets_, chunk_offsets_;
    std::vector<int32_t> index_;
    std::vector<Buffer> outputs_;  // of each layer, both directions side by side
    std::vector<Buffer> h_, c_;    // of each layer and direction
    Buffer max_, sum_, workspace_;
};

}  // namespace

void infer(const IsaKernels &kernels, const PrecisionKernels &precision,
           const fastlstm_inference_arguments &a) {
    std::vector<int64_t> order(a.texts);
    std::iota(order.begin(), order.end(), 0);
    auto length = [&](int64_t text) { return a.starts[text + 1] - a.starts[text]; };
    std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) { return length(x) > length(y); });

    bool large = false;
    for (int64_t layer = 0; layer < a.layers; ++layer)
        large = large || exceeds_cache(precision, layer ? a.directions * a.H[layer - 1] : 0, a.H[layer]);
    const int64_t max_members = threads();
    if (large && a.texts < min_team_sequences * max_members) {
        run(1, [&](int64_t, int64_t) {  // so that denormals are flushed in pooling too
            GroupRunner runner(kernels, precision, a, true);
            if (a.texts) runner.run(order.data(), a.texts);
        });
        return;
    }

    // The longest texts come first, so that all threads finish at about the same time.
    const int64_t one_share = std::max<int64_t>(1, a.texts / (shards_per_thread * max_members));
    const int64_t shard_texts = std::min(max_shard_texts, one_share);
    const int64_t shards = (a.texts + shard_texts - 1) / shard_texts;
    std::atomic<int64_t> next{0};
    std::atomic<bool> no_memory{false};
    run(std::min(max_members, shards), [&](int64_t, int64_t) {
        try {
            GroupRunner runner(kernels, precision, a, false);
            for (int64_t shard; (shard = next.fetch_add(1)) < shards;) {
                const int64_t begin = shard * shard_texts;
                runner.run(order.data() + begin, std::min(shard_texts, a.texts - begin));
            }
        } catch (const std::bad_alloc &) {  // an exception must not leave a thread of the library
            no_memory = true;
        }
    });
    if (no_memory) throw std::bad_alloc();
}

}  // namespace fastlstm
