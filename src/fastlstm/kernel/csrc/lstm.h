/* The C interface of the kernel: LSTM layers over packed batches, on a CPU.
 *
 * Dimensions. The rightmost index varies fastest. Arrays are contiguous unless a stride is given.
 *
 *   T   steps of the longest sequence          I   input size: floats per step
 *   B   sequences, longest first               H   hidden units
 *   N   rows: the steps of all sequences       L   lanes: floats per vector (4, 8 or 16)
 *   M   rows of `projected`                    P   H rounded up to a multiple of L
 *   V   rows of the matrix that Adam updates   S   floats of a text's state (see fastlstm_infer)
 *   K   n-grams that have weights              C   weights per n-gram: logits
 *   W, R   tokens and rows of a text's state (see fastlstm_ngram_logits)
 *   F   floats of a text's features
 *
 * Packed batch. It is time-major: first the rows of step 0, then those of step 1, and so on. Step t has
 * batch_sizes[t] rows, one for each of the sequences 0 .. batch_sizes[t] - 1. Batch sizes never increase; the
 * first is B, the last is at least 1, and their sum is N.
 *
 * Gate order. It is i, f, g, o everywhere, as in PyTorch's nn.LSTM:
 *
 *   i, f, g, o = W_ih x_t + W_hh h_{t-1} + b        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
 *                                                   h_t = sigmoid(o) tanh(c_t)
 *
 * Ownership and lifetime. The caller allocates every array, owns it, and keeps it alive until the call
 * returns. The library keeps no pointer after a call. A fastlstm_isa belongs to the library and lives as long
 * as it.
 *
 * Aliasing. Each array is marked "in" (read only), "out" (write only: its content before the call does not
 * matter) or "in/out". An "out" or "in/out" array must not overlap any other array of the call, except where
 * its comment allows it. "in" arrays may overlap each other.
 *
 * Alignment. An array needs the alignment of its element type. Arrays aligned to 64 bytes are fastest.
 *
 * Guarantees. Results are bit-identical for any number of threads. The results of a sequence are
 * bit-identical whatever else is in the batch. Denormals are flushed to zero during a call; the
 * floating-point mode of the caller is restored. Calls may come from any number of threads. The library's own
 * threads serve one call at a time; a call that finds them busy runs on the caller's thread. After fork() the
 * child starts its own threads.
 */
#ifndef FASTLSTM_LSTM_H
#define FASTLSTM_LSTM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FASTLSTM_API __attribute__((visibility("default")))

/* Increased whenever anything below changes. */
#define FASTLSTM_ABI 9

/* Result of the functions below that return int32_t, unless stated otherwise. */
enum fastlstm_status {
    FASTLSTM_OK = 0,
    FASTLSTM_BAD_SIZE = 1,     /* a size is below 1 or too large, or batch_sizes is invalid */
    FASTLSTM_BAD_INDEX = 2,    /* an index is outside the array that it points into */
    FASTLSTM_BAD_POINTER = 3,  /* a required array is NULL */
    FASTLSTM_NO_MEMORY = 4,    /* the workspace could not be allocated */
    FASTLSTM_BAD_PRECISION = 5 /* the processor does not support the precision */
};

/* The version of the library's interface: FASTLSTM_ABI. */
FASTLSTM_API int32_t fastlstm_abi(void);

/* sizeof of the struct called `name`, such as "fastlstm_forward_arguments"; 0 if there is no such struct. A
 * caller that declares the structs itself compares this with its own sizes before any other call. */
FASTLSTM_API int64_t fastlstm_struct_size(const char *name);

/* The kernels of one instruction set. Every `isa` below is one that fastlstm_open returned. */
typedef struct fastlstm_isa fastlstm_isa;

/* The instruction set called `name`: "v2", "v3" or "v4" (x86-64-v2 to v4) or "neon". If `name` is NULL, the
 * best one that the processor supports. NULL if the processor does not support it. */
FASTLSTM_API const fastlstm_isa *fastlstm_open(const char *name);
FASTLSTM_API const char *fastlstm_isa_name(const fastlstm_isa *isa);
/* L: floats per vector. */
FASTLSTM_API int32_t fastlstm_lanes(const fastlstm_isa *isa);

/* The maximum number of threads of a call, the caller's included; at least 1. It applies to later calls. */
FASTLSTM_API void fastlstm_set_threads(int32_t threads);
FASTLSTM_API int32_t fastlstm_threads(void);

/* The numbers that are multiplied: float32; weights and states rounded to bfloat16; or int8, where a weight
 * is an integer -127 .. 127 times a scale per row, and a state is a multiple of 1/127. Gates and cells are
 * float32 in every precision. Sums are float32, or in int8 exact integers, for I and H up to 2^17. tanh is
 * within 5 units in the last place (8 without fused multiply-add). In int8, it saturates at 5, its relative
 * error is at most 6e-5, and cells must stay below 1e34.
 *
 * int8 assumes that `inputs` and h are outputs of an LSTM layer: values outside -1 .. 1 are clipped, and NaN
 * becomes an arbitrary number. NaN in c or `projected` stays in its sequence. `projected` is float32 in every
 * precision, and its values are not limited.
 *
 * The backward pass supports float32 and bfloat16. In bfloat16 the gradients of the gates are rounded too
 * before they are multiplied; sums and results are float32. */
enum fastlstm_precision { FASTLSTM_FLOAT32 = 0, FASTLSTM_BFLOAT16 = 1, FASTLSTM_INT8 = 2 };

/* 1 if the processor has the instructions of the precision for this instruction set, else 0. */
FASTLSTM_API int32_t fastlstm_supports(const fastlstm_isa *isa, int64_t precision);

/* Floats of `packed` below; 0 if a size or the precision is invalid. */
FASTLSTM_API int64_t fastlstm_packed_size(const fastlstm_isa *isa, int64_t precision, int64_t I, int64_t H);

/* Copy weights into the order in which the forward pass reads them.
 *
 *   weight_ih   in [4H, I]; NULL, with I = 0, if the layer will only read `projected`
 *   weight_hh   in [4H, H]
 *   bias        in [4H]
 *   packed      out [fastlstm_packed_size(isa, precision, I, H)]; valid for this isa and precision only
 */
FASTLSTM_API int32_t fastlstm_pack(const fastlstm_isa *isa, int64_t precision, int64_t I, int64_t H,
                                   const float *weight_ih, const float *weight_hh, const float *bias,
                                   float *packed);

/* Compute W_ih x + b of each input row, so that a token that occurs many times is projected once.
 *
 *   packed      in, from fastlstm_pack in float32 with the same I and H
 *   inputs      in [M, I]
 *   projected   out [M, P / L, 4, L]: the four gates of each vector of units; i, f and o are halved
 */
FASTLSTM_API int32_t fastlstm_project(const fastlstm_isa *isa, int64_t M, int64_t I, int64_t H,
                                      const float *packed, const float *inputs, float *projected);

/* One layer in one direction. The rows come from `inputs`, or from `projected` and `index`. */
typedef struct {
    int64_t precision;          /* a supported fastlstm_precision */
    int64_t T, B, I, H;         /* I as the weights were packed: 0 if without weight_ih */
    int64_t reverse;            /* 1: read each sequence from its last step to its first */
    const int64_t *batch_sizes; /* in [T] */
    const float *packed;        /* in, from fastlstm_pack for the same isa, precision, I and H */
    const float *inputs;        /* in [N, I]; NULL: read `projected` */
    const float *projected;     /* in [M, 4P], from fastlstm_project; ignored with `inputs` */
    const int32_t *index;       /* in [N], 0 .. M - 1: the row of `projected` that each row reads */
    int64_t M;
    const float *h0, *c0;  /* in [B, H], states before the first step read; NULL: zeros */
    float *outputs;        /* out [N, H], h after each step; NULL: not stored */
    int64_t output_stride; /* floats from row to row of `outputs`, at least H; gaps are not written */
    float *h_n, *c_n;      /* out [B, H], states after the last step read; may be the arrays h0 and c0 */
    float *gates;          /* out [N, 4, P]: sigmoid(i), sigmoid(f), tanh(g), sigmoid(o); NULL: not stored */
    float *cells;          /* out [N, P], c after each step; NULL: not stored */
} fastlstm_forward_arguments;

FASTLSTM_API int32_t fastlstm_forward(const fastlstm_isa *isa, const fastlstm_forward_arguments *arguments);

/* How to reduce the outputs of the last layer over the steps of a text. Add up values to select several. */
enum fastlstm_pooling { FASTLSTM_POOL_LAST = 1, FASTLSTM_POOL_MAX = 2, FASTLSTM_POOL_MEAN = 4 };

/* Whole texts through all layers and directions, in any order. The library groups texts of similar length.
 *
 * With `states` a text can be read in pieces, by a stack of one direction. The state of a text holds, for
 * each layer, h [H] and c [H], then the maximum [H] and the sum [H] of the last layer's outputs: S floats.
 * The features are those of all steps so far, bit-identical to those of a text read at once.
 */
typedef struct {
    int64_t precision;     /* a supported fastlstm_precision */
    int64_t texts;         /* 0 or more */
    const int64_t *starts; /* in [texts + 1], where each text starts in `index`, and the end of the last */
    const int32_t *index;  /* in [starts[texts]], 0 .. M - 1: the row of `projected` that each step reads */
    int64_t M;             /* rows of each array of `projected` */
    const float *const *projected; /* in [directions], each in [M, 4P], from fastlstm_project (first layer) */
    int64_t directions;            /* 1: forward; 2: forward, then backward */
    int64_t layers;
    int64_t I;                  /* of the first layer as packed; other layers have I = directions * H */
    const int64_t *H;           /* in [layers] */
    const float *const *packed; /* in [layers, directions], each from fastlstm_pack in `precision` */
    int64_t pooling;            /* sum of fastlstm_pooling values */
    float *features;            /* out [texts, poolings, directions * H]: last, maximum, mean */
    float *states;              /* in/out [texts, S], states before and after this call; NULL: whole texts */
    int64_t *steps_read;        /* in/out [texts], steps read so far; 0: the state is ignored */
} fastlstm_inference_arguments;

FASTLSTM_API int32_t fastlstm_infer(const fastlstm_isa *isa, const fastlstm_inference_arguments *arguments);

/* Number of n-gram ids: they are 0 .. FASTLSTM_NGRAM_IDS - 1. */
#define FASTLSTM_NGRAM_IDS (1 << 22)
/* Maximum number of tokens of an n-gram. */
#define FASTLSTM_NGRAM_TOKENS 8
/* Elements of a lookup. */
#define FASTLSTM_NGRAM_LOOKUP_SIZE (FASTLSTM_NGRAM_IDS / 64 * 3 / 2)

/* Prepare n-gram ids for finding the row of their weights: the number of smaller ids.
 *
 *   ids      in [K], increasing, 0 .. FASTLSTM_NGRAM_IDS - 1; K is 0 or more
 *   lookup   out [FASTLSTM_NGRAM_LOOKUP_SIZE], in an order internal to the library: a bit for each id, then,
 * for every 64 ids, the row of the first
 */
FASTLSTM_API int32_t fastlstm_ngram_lookup(int64_t K, const int32_t *ids, uint64_t *lookup);

/* A kind of n-gram: tokens at fixed distances, anywhere in a text or near one of its ends. The id of an
 * n-gram is the low 22 bits of its hash: start with the tag; for each of its tokens add (token + 1) *
 * 0x9E3779B97F4A7C15, then apply the finalizer of SplitMix64 (Steele, Lea & Flood 2014). */
typedef struct {
    uint64_t tag;
    int64_t tokens; /* 1 .. FASTLSTM_NGRAM_TOKENS */
    int64_t
        offsets[FASTLSTM_NGRAM_TOKENS]; /* in [tokens], increasing from 0: positions relative to the first */
    int64_t beginning;                  /* only n-grams within this many first tokens count; 0: no limit */
    int64_t end;                        /* only n-grams within this many last tokens count; 0: no limit */
} fastlstm_ngram_kind;

/* A linear model of n-grams. The logits of a text are the sums of the weights of its distinct n-grams,
 * whatever their kinds: added in float64, in the order of the rows, then rounded to float32.
 *
 * With `seen`, texts can be read in pieces. The logits are those of all tokens so far, bit-identical to those
 * of a text read at once. W is the largest distance between the first and the last token of an n-gram, or
 * `end` of a kind, if that is larger; R is the sum of `end` of all kinds. Reading a piece takes time for its
 * tokens and W; the logits take time for R, for K / 64, and for the distinct n-grams so far.
 */
typedef struct {
    int64_t kind_count;               /* 1 or more */
    const fastlstm_ngram_kind *kinds; /* in [kind_count] */
    int64_t K, C;
    const uint64_t *lookup; /* in, from fastlstm_ngram_lookup with the same K */
    const float *weight;    /* in [K, C] */
    int64_t texts;          /* 0 or more */
    const int64_t *starts;  /* in [texts + 1], where each text starts in `tokens`, and the end of the last */
    const int32_t *tokens;  /* in [starts[texts]]; texts without tokens are allowed */
    float *logits;          /* out [texts, C]; NULL, with `seen`: not computed */
    int64_t W, R;           /* ignored without `seen` */
    int32_t *last;          /* in/out [texts, W], the last min(W, tokens_read) tokens, in order */
    int32_t *end_rows; /* in/out [texts, R]: for each kind with `end`, for each of the last `end` tokens, the
                          row of the n-gram that begins there, or -1. Not defined for incomplete n-grams */
    uint64_t *seen;    /* in/out [texts, ceil(K / 64)], bit r % 64 of element r / 64: whether row r has been
                          found in the text, by a kind without `end`; NULL: whole texts */
    int64_t *tokens_read; /* in/out [texts], tokens read so far; 0: the rest of the state is ignored */
} fastlstm_ngram_arguments;

FASTLSTM_API int32_t fastlstm_ngram_logits(const fastlstm_isa *isa,
                                           const fastlstm_ngram_arguments *arguments);

/* How logits become probabilities. Rows of probabilities sum to 1. Softmax needs no more classes than logits;
 * the sigmoid of one logit is the probability of the second of two classes; the sigmoids of more logits, at
 * least FLT_MIN each, are divided by their sum. */
enum fastlstm_activation { FASTLSTM_SOFTMAX = 0, FASTLSTM_SIGMOID = 1 };

/* The output layer of texts: logits = (W x + b + ngram_logits) / temperature in float32, and then their
 * probabilities, of which exponentials and sums are float64. NaN in a logit makes its row NaN, and so does an
 * infinite maximum in softmax. Results of a text are the same for all instruction sets. */
typedef struct {
    int64_t texts; /* 0 or more */
    int64_t F, C;
    const float *features;     /* in [texts, F]; NULL: `logits` is in, and F and the four below are ignored */
    const float *weight;       /* in [C, F] */
    const float *bias;         /* in [C] */
    const float *ngram_logits; /* in [texts, C]; NULL: zeros */
    float temperature;
    int64_t activation;   /* a fastlstm_activation */
    float *logits;        /* out [texts, C] */
    float *probabilities; /* out [texts, classes]: 2 for FASTLSTM_SIGMOID with C = 1, else C; NULL: not
                             computed */
} fastlstm_output_arguments;

FASTLSTM_API int32_t fastlstm_output(const fastlstm_output_arguments *arguments);

/* The backward pass of fastlstm_forward. Gradients of the weights are computed all or not at all:
 * grad_weight_ih (only with `inputs`), grad_weight_hh and grad_bias are all given or all NULL. */
typedef struct {
    int64_t precision;  /* float32, or bfloat16 if supported; usually that of the forward pass */
    int64_t T, B, I, H; /* as in the forward pass; I is ignored without `inputs` */
    int64_t reverse;
    const int64_t *batch_sizes; /* in [T] */
    const float *inputs;        /* in [N, I] of the forward pass; NULL if it read `projected` */
    const float *weight_ih;     /* in [4H, I]; ignored without `inputs` */
    const float *weight_hh;     /* in [4H, H] */
    const float *h0, *c0;       /* in [B, H] of the forward pass; NULL: zeros */
    const float *outputs;       /* in [N, H] of the forward pass */
    int64_t output_stride;      /* floats from row to row of `outputs`, at least H */
    float *gates;               /* in [N, 4, P] of the forward pass. Without `inputs` in/out: replaced by the
                                   gradient with respect to W_ih x + W_hh h + b of each row */
    const float *cells;         /* in [N, P] of the forward pass */
    const float *grad_outputs;  /* in [N, H]; NULL: zeros */
    int64_t grad_output_stride; /* floats from row to row of grad_outputs, at least H */
    const float *grad_h_n, *grad_c_n; /* in [B, H]; NULL: zeros */
    float *grad_inputs;               /* out [N, I], only with `inputs`; NULL: not computed */
    float *grad_weight_ih;            /* out [4H, I] */
    float *grad_weight_hh;            /* out [4H, H] */
    float *grad_bias;                 /* out [4H] */
    float *grad_h0, *grad_c0;         /* out [B, H]; NULL: not computed */
} fastlstm_backward_arguments;

FASTLSTM_API int32_t fastlstm_backward(const fastlstm_isa *isa, const fastlstm_backward_arguments *arguments);

/* The backward pass of fastlstm_project, for a batch of N rows that each read one of M rows of `projected`.
 *
 *   gates            in [N, 4, P], as fastlstm_backward left it
 *   order            in [N], rows of the batch, grouped by the row of `projected` that they read
 *   starts           in [M + 1], where the group of each row of `projected` starts in `order`; the last is N
 *   inputs           in [M, I], the rows that were projected
 *   weight_ih        in [4H, I]
 *   grad_inputs      out [M, I]
 *   grad_weight_ih   out [4H, I]
 */
FASTLSTM_API int32_t fastlstm_project_backward(const fastlstm_isa *isa, int64_t N, int64_t M, int64_t I,
                                               int64_t H, const float *gates, const int64_t *order,
                                               const int64_t *starts, const float *inputs,
                                               const float *weight_ih, float *grad_inputs,
                                               float *grad_weight_ih);

/* Adam for a matrix of which each step uses few rows, such as an embedding. The gradient of an unused row is
 * 0. A row makes the steps that it has missed when it is next updated; the result is bit-identical to
 * updating it at every step.
 *
 *   mean_s   = beta1 mean_{s-1} + (1 - beta1) g         square_s = beta2 square_{s-1} + (1 - beta2) g^2
 *   weight_s = weight_{s-1} - rates[s][0] mean_s / (rates[s][1] sqrt(square_s) + epsilon)
 */
typedef struct {
    int64_t V, I, M;     /* rows of the matrix, floats per row, rows to update */
    const int32_t *rows; /* in [M], distinct rows to update; NULL: all rows, and M is V */
    const float *grads;  /* in [M, I], gradients of the last step; NULL: zeros */
    float scale;         /* factor of `grads` */
    float beta1, beta2, epsilon;
    int64_t step;       /* the last step to make; the first is 1 */
    const float *rates; /* in [step + 1, 2]: learning rate / (1 - beta1^s), 1 / sqrt(1 - beta2^s) */
    float *weight, *mean, *square; /* in/out [V, I] */
    int64_t *last_steps;           /* in/out [V], the last step that each row has made */
} fastlstm_adam_arguments;

FASTLSTM_API int32_t fastlstm_adam(const fastlstm_isa *isa, const fastlstm_adam_arguments *arguments);

#ifdef __cplusplus
}
#endif

#endif
