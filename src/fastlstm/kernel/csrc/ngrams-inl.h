// Finds the n-grams of a text that have weights: hashes of its tokens, which are looked up.
#ifndef FASTLSTM_NGRAMS_INL_H
#define FASTLSTM_NGRAMS_INL_H

#include "dispatch.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// N-grams that are hashed, then looked up. Their hashes stay in the first-level cache.
constexpr int64_t ngram_block = 256;

// The finalizer of SplitMix64 (Steele, Lea & Flood 2014): each bit of the result depends on each bit of x.
inline uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

// Compute the ids of `count` n-grams of a kind. The first begins at `tokens`, the next at the token after it.
inline void hash_ngrams(const fastlstm_ngram_kind &kind, const int32_t *tokens, int64_t count,
                        uint64_t *ids) {
    for (int64_t i = 0; i < count; ++i) ids[i] = kind.tag;
    for (int64_t k = 0; k < kind.tokens; ++k) {
        const int32_t *from = tokens + kind.offsets[k];
        for (int64_t i = 0; i < count; ++i)
            ids[i] = mix(ids[i] + ((uint64_t)(int64_t)from[i] + 1) * 0x9E3779B97F4A7C15);
    }
    for (int64_t i = 0; i < count; ++i) ids[i] &= FASTLSTM_NGRAM_IDS - 1;
}

inline bool has_row(const uint64_t *lookup, uint64_t id) { return lookup[id / 64] >> id % 64 & 1; }

// The row of an id that has one.
inline uint32_t row_of(const uint64_t *lookup, uint64_t id) {
    const uint32_t *first_rows = (const uint32_t *)(lookup + ngram_words);
    const uint64_t below = (uint64_t(1) << id % 64) - 1;
    return first_rows[id / 64] + (uint32_t)__builtin_popcountll(lookup[id / 64] & below);
}

void find_ngrams(const fastlstm_ngram_kind &kind, const uint64_t *lookup, const int32_t *tokens,
                 int64_t begin, int64_t end, uint64_t *rows) {
    uint64_t ids[ngram_block];
    uint32_t found_ids[ngram_block];
    for (; begin < end; begin += ngram_block) {
        const int64_t count = end - begin < ngram_block ? end - begin : ngram_block;
        hash_ngrams(kind, tokens + begin, count, ids);
        int64_t found = 0;
        for (int64_t i = 0; i < count; ++i) {  // without a branch, which could not be predicted
            found_ids[found] = (uint32_t)ids[i];
            found += has_row(lookup, ids[i]);
        }
        for (int64_t i = 0; i < found; ++i) {
            const uint32_t row = row_of(lookup, found_ids[i]);
            rows[row / 64] |= uint64_t(1) << row % 64;
        }
    }
}

void find_ngram_rows(const fastlstm_ngram_kind &kind, const uint64_t *lookup, const int32_t *tokens,
                     int64_t begin, int64_t end, int32_t *rows) {
    uint64_t ids[ngram_block];
    for (; begin < end; begin += ngram_block, rows += ngram_block) {
        const int64_t count = end - begin < ngram_block ? end - begin : ngram_block;
        hash_ngrams(kind, tokens + begin, count, ids);
        for (int64_t i = 0; i < count; ++i)
            rows[i] = has_row(lookup, ids[i]) ? (int32_t)row_of(lookup, ids[i]) : -1;
    }
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif
