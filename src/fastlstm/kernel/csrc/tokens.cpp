// The functions of tokens.h.
#include "tokens.h"

#include <string.h>

namespace {

constexpr int64_t max_slots = int64_t(1) << 31;

// FNV-1a.
uint32_t hash(const char *word, int64_t size) {
    uint32_t value = 2166136261u;
    for (int64_t i = 0; i < size; ++i) value = (value ^ uint8_t(word[i])) * 16777619u;
    return value ^ (value >> 15);
}

// The slot of a word, or the empty slot where it belongs. A slot contains the word's number + 1, or 0.
int64_t find_slot(const fastlstm_vocabulary &v, const char *word, int64_t size) {
    int64_t slot = hash(word, size) & (v.slots - 1);
    for (; v.table[slot] != 0; slot = (slot + 1) & (v.slots - 1)) {
        const int64_t *start = v.starts + v.table[slot] - 1;
        if (start[1] - start[0] == size && memcmp(v.characters + start[0], word, size) == 0) break;
    }
    return slot;
}

int32_t find_id(const fastlstm_vocabulary &v, const char *word, int64_t size) {
    const int32_t number = v.table[find_slot(v, word, size)];
    return number == 0 ? int32_t(v.unknown_id) : v.ids[number - 1];
}

bool valid_starts(const int64_t *starts, int64_t count) {
    if (starts[0] != 0) return false;
    for (int64_t n = 0; n < count; ++n)
        if (starts[n + 1] < starts[n]) return false;
    return true;
}

int32_t check(const fastlstm_vocabulary &v) {
    if (v.slots < 1 || v.slots > max_slots || (v.slots & (v.slots - 1)) != 0) return FASTLSTM_BAD_SIZE;
    if (v.words < 0 || v.words >= v.slots) return FASTLSTM_BAD_SIZE;
    if (!v.characters || !v.starts || !v.ids || !v.table) return FASTLSTM_BAD_POINTER;
    return FASTLSTM_OK;
}

// Splits the characters of one text.
class Scanner {
  public:
    Scanner(const uint8_t *kinds, const char *next, const char *end)
        : kinds_(kinds), next_(next), end_(end) {}

    // The start of the next token, or null. `size` is set to its length.
    const char *next_token(int64_t &size) {
        skip_separators();
        if (next_ == end_) return nullptr;
        const char *token = next_++;
        const int kind = kind_of(*token);
        if (kind != FASTLSTM_SYMBOL)
            while (next_ < end_ && kind_of(*next_) == kind && end_of_break() == next_) ++next_;
        size = next_ - token;
        return token;
    }

  private:
    int kind_of(char c) const { return kinds_[uint8_t(c)] & ~FASTLSTM_BREAK_SPACE; }

    void skip_separators() {
        while (next_ < end_) {
            const char *after = end_of_break();
            if (after == next_ && kind_of(*next_) != FASTLSTM_SEPARATOR) return;
            next_ = after == next_ ? next_ + 1 : after;
        }
    }

    // The end of the line break that starts here; here if none does.
    const char *end_of_break() const {
        if (*next_ != '<' || end_ - next_ < 4 || next_[1] != 'b' || next_[2] != 'r') return next_;
        const char *i = next_ + 3;
        while (i < end_ && (kinds_[uint8_t(*i)] & FASTLSTM_BREAK_SPACE)) ++i;
        if (i < end_ && *i == '/') ++i;
        return i < end_ && *i == '>' ? i + 1 : next_;
    }

    const uint8_t *kinds_;
    const char *next_, *end_;
};

}  // namespace

int32_t fastlstm_index_words(const fastlstm_vocabulary *vocabulary) {
    const fastlstm_vocabulary &v = *vocabulary;
    if (const int32_t status = check(v)) return status;
    if (!valid_starts(v.starts, v.words)) return FASTLSTM_BAD_INDEX;
    memset(v.table, 0, v.slots * sizeof *v.table);
    for (int64_t w = 0; w < v.words; ++w)
        v.table[find_slot(v, v.characters + v.starts[w], v.starts[w + 1] - v.starts[w])] = int32_t(w + 1);
    return FASTLSTM_OK;
}

int32_t fastlstm_token_ids(const fastlstm_token_arguments *arguments) {
    const fastlstm_token_arguments &a = *arguments;
    if (a.texts < 0) return FASTLSTM_BAD_SIZE;
    if (!a.vocabulary || !a.kinds || !a.characters || !a.starts || !a.ids || !a.id_starts)
        return FASTLSTM_BAD_POINTER;
    if (const int32_t status = check(*a.vocabulary)) return status;
    if (!valid_starts(a.starts, a.texts)) return FASTLSTM_BAD_INDEX;
    int64_t count = 0, size = 0;
    for (int64_t text = 0; text < a.texts; ++text) {
        a.id_starts[text] = count;
        Scanner scanner(a.kinds, a.characters + a.starts[text], a.characters + a.starts[text + 1]);
        while (const char *token = scanner.next_token(size))
            a.ids[count++] = find_id(*a.vocabulary, token, size);
    }
    a.id_starts[a.texts] = count;
    return FASTLSTM_OK;
}
