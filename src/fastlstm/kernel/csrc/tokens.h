/* The C interface of the tokenizer of texts in UTF-8: bytes -> token ids.
 *
 * Ownership, lifetime, aliasing and status as in lstm.h. No call uses the threads of the library or memory of
 * its own.
 */
#ifndef FASTLSTM_TOKENS_H
#define FASTLSTM_TOKENS_H

#include <stdint.h>

#include "lstm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The kind of a character, by its first byte: one of these, or a number between them. */
enum fastlstm_character_kind {
    FASTLSTM_SEPARATOR = 0, /* belongs to no token */
    FASTLSTM_SYMBOL = 1,    /* is a token */
    FASTLSTM_RUN = 2,       /* the longest run of characters of the same kind is a token */
    FASTLSTM_WIDE = 127     /* is the first of three bytes that are a token */
};
/* Added to the kind of a character of which any number may follow the "<br" of an HTML line break. */
#define FASTLSTM_BREAK_SPACE 128

/* A tokenizer: the rule that splits texts, words with their ids, and a hash table of the words. */
typedef struct {
    const uint8_t *kinds;   /* in [256], the kind of each first byte */
    int64_t words;          /* W, below `slots` */
    const char *characters; /* in [starts[W]], the words, one after the other */
    const int64_t *starts;  /* in [W + 1], where each word starts, and the end of the last */
    const int32_t *ids;     /* in [W] */
    int64_t unknown_id;     /* the id of a token that is not a word */
    int64_t slots;          /* a power of two; calls are fast from 2 W on */
    int32_t *table;         /* [slots]; out of fastlstm_index_words, in of fastlstm_token_ids */
} fastlstm_tokenizer;

FASTLSTM_API int32_t fastlstm_index_words(const fastlstm_tokenizer *tokenizer);

/* The token ids of texts. An HTML line break, "<br>" or "<br/>", separates tokens.
 *
 *   texts        0 or more
 *   characters   in [starts[texts]], the texts in lower case, one after the other
 *   starts       in [texts + 1], where each text starts, and the end of the last
 *   ids          out [starts[texts]], of which the first id_starts[texts] are written
 *   id_starts    out [texts + 1], where each text starts in `ids`, and the end of the last
 */
FASTLSTM_API int32_t fastlstm_token_ids(const fastlstm_tokenizer *tokenizer, int64_t texts,
                                        const char *characters, const int64_t *starts, int32_t *ids,
                                        int64_t *id_starts);

#ifdef __cplusplus
}
#endif

#endif
