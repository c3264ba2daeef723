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
int64_t find_slot(const fastlstm_vocabulary &v, const Word &word) {
    int64_t slot = (word.hash ^ (word.hash >> 15)) & (v.slots - 1);
    for (; v.table[slot] != 0; slot = (slot + 1) & (v.slots - 1)) {
        const int64_t *start = v.starts + v.table[slot] - 1;
        if (start[1] - start[0] == word.size() && is_equal(v.characters + start[0], word.start, word.size()))
            break;
    }
    return slot;
}

int32_t find_id(const fastlstm_vocabulary &v, const Word &word) {
    const int32_t number = v.table[find_slot(v, word)];
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

    Word read_token(const char *c) const {
        Word word(c);
        const int first = kind(c);
        do word.add_character();
        while (first != FASTLSTM_SYMBOL && word.end < end && kind(word.end) == first &&
               end_of_break(word.end) == word.end);
        return word;
    }
};

}  // namespace

int32_t fastlstm_index_words(const fastlstm_vocabulary *vocabulary) {
    const fastlstm_vocabulary &v = *vocabulary;
    if (const int32_t status = check(v)) return status;
    if (!valid_starts(v.starts, v.words)) return FASTLSTM_BAD_INDEX;
    memset(v.table, 0, v.slots * sizeof *v.table);
    for (int64_t w = 0; w < v.words; ++w) {
        Word word(v.characters + v.starts[w]);
        while (word.size() < v.starts[w + 1] - v.starts[w]) word.add_character();
        v.table[find_slot(v, word)] = int32_t(w + 1);
    }
    return FASTLSTM_OK;
}

int32_t fastlstm_token_ids(const fastlstm_token_arguments *arguments) {
    const fastlstm_token_arguments &a = *arguments;
    if (a.texts < 0) return FASTLSTM_BAD_SIZE;
    if (!a.vocabulary || !a.kinds || !a.characters || !a.starts || !a.ids || !a.id_starts)
        return FASTLSTM_BAD_POINTER;
    const fastlstm_vocabulary v = *a.vocabulary;
    if (const int32_t status = check(v)) return status;
    if (!valid_starts(a.starts, a.texts)) return FASTLSTM_BAD_INDEX;
    int64_t count = 0;
    for (int64_t text = 0; text < a.texts; ++text) {
        a.id_starts[text] = count;
        const Rule rule = {a.kinds, a.characters + a.starts[text + 1]};
        const char *next = rule.skip_separators(a.characters + a.starts[text]);
        while (next < rule.end) {
            const Word word = rule.read_token(next);
            a.ids[count++] = find_id(v, word);
            next = rule.skip_separators(word.end);
        }
    }
    a.id_starts[a.texts] = count;
    return FASTLSTM_OK;
}
