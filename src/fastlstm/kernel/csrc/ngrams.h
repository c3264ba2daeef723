// The n-gram logits of texts. Arguments have been checked.
#ifndef FASTLSTM_NGRAMS_H
#define FASTLSTM_NGRAMS_H

#include "dispatch.h"

namespace fastlstm {

// Write the lookup of `K` increasing ids.
void write_ngram_lookup(int64_t K, const int32_t *ids, uint64_t *lookup);

// W and R of lstm.h.
struct NgramStateSizes {
    int64_t W, R;
};
NgramStateSizes ngram_state_sizes(const fastlstm_ngram_kind *kinds, int64_t count);

// Throws std::bad_alloc.
void compute_ngram_logits(const IsaKernels &kernels, const fastlstm_ngram_arguments &arguments);

}  // namespace fastlstm

#endif
