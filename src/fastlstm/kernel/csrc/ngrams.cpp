#include "ngrams.h"

#include <string.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "threads.h"

namespace fastlstm {
namespace {

// Tokens per task: about 150 microseconds of work, more than it takes to wake a thread.
constexpr int64_t ngram_task_tokens = 1 << 12;

// Words of a set whose rows are listed, then summed column by column.
constexpr int64_t block_words = 64;

// The distance from the first token of an n-gram to its last.
int64_t span(const fastlstm_ngram_kind &kind) { return kind.offsets[kind.tokens - 1]; }

// Reads texts, or pieces of texts, one after the other.
class NgramReader {
  public:
    NgramReader(const IsaKernels &kernels, const fastlstm_ngram_arguments &a, int64_t longest)
        : kernels_(kernels),
          a_(a),
          words_((a.K + 63) / 64),
          rows_(words_ + 1),
          sums_(a.C),
          window_(a.seen ? a.W + longest : 0) {}

    void read(int64_t text) {
        if (a_.seen)
            read_piece(text);
        else
            read_whole(text);
    }

  private:
    void read_whole(int64_t text) {
        const int64_t count = a_.starts[text + 1] - a_.starts[text];
        for (int64_t k = 0; k < a_.kind_count; ++k) {
            const fastlstm_ngram_kind &kind = a_.kinds[k];
            kernels_.find_ngrams(kind, a_.lookup, a_.tokens + a_.starts[text], end_begin(kind, count),
                                 ngrams_end(kind, 0, count), rows_.data());
        }
        sum(nullptr, a_.logits + text * a_.C);
    }

    void read_piece(int64_t text) {
        const int64_t read = a_.tokens_read[text], known = std::min(read, a_.W), before = read - known;
        const int64_t added = a_.starts[text + 1] - a_.starts[text], count = known + added;
        int32_t *last = a_.last + text * a_.W, *end_rows = a_.end_rows + text * a_.R;
        uint64_t *seen = a_.seen + text * words_;
        if (!read) memset(seen, 0, words_ * sizeof(uint64_t));
        if (a_.K % 64) seen[words_ - 1] &= (uint64_t(1) << a_.K % 64) - 1;  // other rows do not exist
        std::copy_n(last, known, window_.data());
        std::copy_n(a_.tokens + a_.starts[text], added, window_.data() + known);
        for (int64_t k = 0; k < a_.kind_count; end_rows += a_.kinds[k++].end) {
            const fastlstm_ngram_kind &kind = a_.kinds[k];
            if (!kind.end) {
                kernels_.find_ngrams(kind, a_.lookup, window_.data(),
                                     std::max<int64_t>(known - span(kind), 0),
                                     ngrams_end(kind, before, count), seen);
                continue;
            }
            update_end_rows(kind, known, count, end_rows);
            if (a_.logits) add_end_rows(kind, before, count, end_rows);
        }
        const int64_t kept = std::min(count, a_.W);
        std::copy_n(window_.data() + count - kept, kept, last);
        a_.tokens_read[text] = read + added;
        if (a_.logits) sum(seen, a_.logits + text * a_.C);
    }

    // The position of the first n-gram of a kind that counts, in the last `count` tokens of a text.
    static int64_t end_begin(const fastlstm_ngram_kind &kind, int64_t count) {
        return kind.end ? std::max<int64_t>(count - kind.end, 0) : 0;
    }

    // The position after that of the last n-gram that counts, in the last `count` tokens of a text, which
    // follow `before` others.
    static int64_t ngrams_end(const fastlstm_ngram_kind &kind, int64_t before, int64_t count) {
        return (kind.beginning ? std::min(count, kind.beginning - before) : count) - span(kind);
    }

    // Shift the rows of a kind, and find those of the n-grams that are complete with the tokens of the window
    // from `known` on.
    void update_end_rows(const fastlstm_ngram_kind &kind, int64_t known, int64_t count, int32_t *rows) const {
        const int64_t kept = kind.end - (count - known);
        if (kept > 0) memmove(rows, rows + kind.end - kept, kept * sizeof(int32_t));
        const int64_t begin = std::max(end_begin(kind, count), known - span(kind));
        kernels_.find_ngram_rows(kind, a_.lookup, window_.data(), begin, count - span(kind),
                                 rows + kind.end - count + begin);
    }

    void add_end_rows(const fastlstm_ngram_kind &kind, int64_t before, int64_t count, const int32_t *rows) {
        const int64_t end = kind.end - count + ngrams_end(kind, before, count);
        for (int64_t i = kind.end - count + end_begin(kind, count); i < end; ++i) {
            const uint32_t row =
                std::min((uint32_t)rows[i], (uint32_t)(words_ * 64));  // -1: in the last word
            rows_[row / 64] |= uint64_t(1) << row % 64;
        }
    }

    // Sum the weights of the rows in either set, in increasing order, and clear rows_.
    void sum(const uint64_t *seen, float *logits) {
        std::fill(sums_.begin(), sums_.end(), 0.0);
        for (int64_t begin = 0; begin < words_; begin += block_words) {
            const int64_t end = std::min(words_, begin + block_words);
            int32_t words[block_words], found[block_words * 64];
            uint64_t bits[block_words];
            int64_t word_count = 0, count = 0;
            for (int64_t word = begin; word < end;
                 ++word) {  // without a branch, which could not be predicted
                bits[word_count] = rows_[word] | (seen ? seen[word] : 0);
                rows_[word] = 0;
                words[word_count] = (int32_t)word * 64;
                word_count += bits[word_count] != 0;
            }
            for (int64_t i = 0; i < word_count; ++i) do {
                    found[count++] = words[i] + __builtin_ctzll(bits[i]);
                } while (bits[i] &= bits[i] - 1);
            add_weights(found, count);
        }
        for (int64_t c = 0; c < a_.C; ++c) logits[c] = (float)sums_[c];
    }

    void add_weights(const int32_t *rows, int64_t count) {
        for (int64_t c = 0; c < a_.C; ++c) {
            double sum = sums_[c];
            for (int64_t i = 0; i < count; ++i) sum += a_.weight[rows[i] * a_.C + c];
            sums_[c] = sum;
        }
    }

    const IsaKernels &kernels_;
    const fastlstm_ngram_arguments &a_;
    const int64_t words_;  // of a set of rows
    std::vector<uint64_t>
        rows_;                  // [words_ + 1], a set of rows, empty between texts; the last word is ignored
    std::vector<double> sums_;  // [C]
    std::vector<int32_t> window_;  // the last tokens read before, then those of the piece
};

}  // namespace

void write_ngram_lookup(int64_t K, const int32_t *ids, uint64_t *lookup) {
    memset(lookup, 0, FASTLSTM_NGRAM_LOOKUP_SIZE * sizeof(uint64_t));
    for (int64_t k = 0; k < K; ++k) lookup[ids[k] / 64] |= uint64_t(1) << ids[k] % 64;
    uint32_t *first_rows = (uint32_t *)(lookup + ngram_words), row = 0;
    for (int64_t word = 0; word < ngram_words; row += __builtin_popcountll(lookup[word++]))
        first_rows[word] = row;
}

NgramStateSizes ngram_state_sizes(const fastlstm_ngram_kind *kinds, int64_t count) {
    NgramStateSizes sizes = {0, 0};
    for (int64_t k = 0; k < count; ++k) {
        sizes.W = std::max(sizes.W, kinds[k].end ? kinds[k].end : span(kinds[k]));
        sizes.R += kinds[k].end;
    }
    return sizes;
}

void compute_ngram_logits(const IsaKernels &kernels, const fastlstm_ngram_arguments &a) {
    std::vector<int64_t> tasks(1, 0);  // the first text of each, and the number of texts
    int64_t longest = 0;
    for (int64_t text = 0; text < a.texts; ++text) {
        longest = std::max(longest, a.starts[text + 1] - a.starts[text]);
        if (text + 1 == a.texts || a.starts[text + 1] - a.starts[tasks.back()] >= ngram_task_tokens)
            tasks.push_back(text + 1);
    }
    const int64_t task_count = (int64_t)tasks.size() - 1;
    const int64_t max_members = std::max<int64_t>(1, std::min<int64_t>(threads(), task_count));
    std::vector<NgramReader> readers(max_members, NgramReader(kernels, a, longest));
    std::atomic<int64_t> next{0};
    run(max_members, [&](int64_t member, int64_t) {
        for (int64_t task; (task = next.fetch_add(1)) < task_count;)
            for (int64_t text = tasks[task]; text < tasks[task + 1]; ++text) readers[member].read(text);
    });
}

}  // namespace fastlstm
