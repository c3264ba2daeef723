// Whole texts through every layer: a few of like length at a time, whose outputs then never leave a core's cache.
#ifndef FASTLSTM_TEXTS_H
#define FASTLSTM_TEXTS_H

#include <functional>
#include <vector>

#include "loops.h"
#include "memory.h"

namespace fastlstm {

// Runs one layer in one direction.
using ReadLayer = std::function<void(const Forward &)>;

// Reads shards of texts, one after another, in memory that it keeps.
class Reader {
  public:
    Reader(const fastlstm_texts_arguments &arguments, ReadLayer read_layer);

    // The features of `count` texts, longest first.
    void read(const int64_t *texts, int64_t count);

  private:
    void pack(const int64_t *texts, int64_t count);
    void read_steps(int64_t first, int64_t last);
    void pool(const float *outputs, int64_t first, int64_t last);
    void finish(const int64_t *texts, int64_t count);
    void take_states(const int64_t *texts, int64_t count);
    void give_states(const int64_t *texts, int64_t count);
    float *state(int64_t text) const;
    int64_t length(int64_t text) const { return a_.starts[text + 1] - a_.starts[text]; }
    int64_t width(int64_t layer) const { return a_.directions * a_.H[layer]; }

    const fastlstm_texts_arguments &a_;
    const ReadLayer read_layer_;
    std::vector<int64_t> batch_sizes_, offsets_;
    std::vector<int32_t> index_;
    std::vector<Memory> outputs_, h_, c_;  // of every layer; both directions side by side in `outputs_`
    Memory highest_, sum_;
};

}  // namespace fastlstm

#endif
