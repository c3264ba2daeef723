// The functions of tokens.h.
#include "tokens.h"

#include <string.h>

namespace {

constexpr int64_t max_slots = int64_t(1) << 31;

// A word and its hash (FNV-1a), which is computed while the word is read.
struct Word {
    const char *start, *end;
    uint32_t hash = 2166136261u;

    explicit Word(const char *first) : start(first), end(first) {}
    void add_character() { hash = (hash ^ uint8_t(*end++)) * 16777619u; }
    int64_t size() const { return end - start; }
};

bool is_equal(const char *a, const char *b, int64_t size) {
    for (int64_t i = 0; i < size; ++i)
        if (a[i] != b[i]) return false;
    return true;
}

// The slot of a word, or the empty slot where it belongs. A slot contains the word's number + 1, or 0.
int64_t find_slot(const fastlstm_tokenizer &t, const Word &word) {
    int64_t slot = (word.hash ^ (word.hash >> 15)) & (t.slots - 1);
    for (; t.table[slot] != 0; slot = (slot + 1) & (t.slots - 1)) {
        const int64_t *start = t.starts + t.table[slot] - 1;
        if (start[1] - start[0] == word.size() && is_equal(t.characters + start[0], word.start, word.size()))
            break;
    }
    return slot;
}

int32_t find_id(const fastlstm_tokenizer &t, const Word &word) {
    const int32_t number = t.table[find_slot(t, word)];
    return number == 0 ? int32_t(t.unknown_id) : t.ids[number - 1];
}

bool valid_starts(const int64_t *starts, int64_t count) {
    if (starts[0] != 0) return false;
    for (int64_t n = 0; n < count; ++n)
        if (starts[n + 1] < starts[n]) return false;
    return true;
}

int32_t check(const fastlstm_tokenizer &t) {
    if (t.slots < 1 || t.slots > max_slots || (t.slots & (t.slots - 1)) != 0) return FASTLSTM_BAD_SIZE;
    if (t.words < 0 || t.words >= t.slots) return FASTLSTM_BAD_SIZE;
    if (!t.kinds || !t.characters || !t.starts || !t.ids || !t.table) return FASTLSTM_BAD_POINTER;
    return FASTLSTM_OK;
}

// The kind of each character, and the end of a text.
struct Rule {
    const uint8_t *kinds;
    const char *end;

    int kind(const char *c) const { return kinds[uint8_t(*c)] & ~FASTLSTM_BREAK_SPACE; }

    // The end of the line break that starts at `c`; `c` if none does.
    const char *end_of_break(const char *c) const {
        if (*c != '<' || end - c < 4 || c[1] != 'b' || c[2] != 'r') return c;
        const char *next = c + 3;
        while (next < end && (kinds[uint8_t(*next)] & FASTLSTM_BREAK_SPACE)) ++next;
        if (next < end && *next == '/') ++next;
        return next < end && *next == '>' ? next + 1 : c;
    }

    // The start of the first token from `c` on; `end` if there is none.
    const char *skip_separators(const char *c) const {
        while (c < end) {
            const char *after = end_of_break(c);
            if (after == c && kind(c) != FASTLSTM_SEPARATOR) return c;
            c = after == c ? c + 1 : after;
        }
        return c;
    }

    // Whether the next byte belongs to the token of that kind.
    bool continues(const Word &word, int first) const {
        if (first == FASTLSTM_WIDE) return word.size() < 3;
        return kind(word.end) == first && end_of_break(word.end) == word.end;
    }

    Word read_token(const char *c) const {
        Word word(c);
        const int first = kind(c);
        do word.add_character();
        while (first != FASTLSTM_SYMBOL && word.end < end && continues(word, first));
        return word;
    }
};

}  // namespace

int32_t fastlstm_index_words(const fastlstm_tokenizer *tokenizer) {
    const fastlstm_tokenizer &t = *tokenizer;
    if (const int32_t status = check(t)) return status;
    if (!valid_starts(t.starts, t.words)) return FASTLSTM_BAD_INDEX;
    memset(t.table, 0, t.slots * sizeof *t.table);
    for (int64_t w = 0; w < t.words; ++w) {
        Word word(t.characters + t.starts[w]);
        while (word.size() < t.starts[w + 1] - t.starts[w]) word.add_character();
        t.table[find_slot(t, word)] = int32_t(w + 1);
    }
    return FASTLSTM_OK;
}

int32_t fastlstm_token_ids(const fastlstm_tokenizer *tokenizer, int64_t texts, const char *characters,
                           const int64_t *starts, int32_t *ids, int64_t *id_starts) {
    const fastlstm_tokenizer t = *tokenizer;
    if (const int32_t status = check(t)) return status;
    if (texts < 0) return FASTLSTM_BAD_SIZE;
    if (!characters || !starts || !ids || !id_starts) return FASTLSTM_BAD_POINTER;
    if (!valid_starts(starts, texts)) return FASTLSTM_BAD_INDEX;
    int64_t count = 0;
    for (int64_t text = 0; text < texts; ++text) {
        id_starts[text] = count;
        const Rule rule = {t.kinds, characters + starts[text + 1]};
        const char *next = rule.skip_separators(characters + starts[text]);
        while (next < rule.end) {
            const Word word = rule.read_token(next);
            ids[count++] = find_id(t, word);
            next = rule.skip_separators(word.end);
        }
    }
    id_starts[texts] = count;
    return FASTLSTM_OK;
}
