/* The kernel's contract: one LSTM layer in one direction, over a packed batch, on the CPU, in float32.
 *
 * Legend. Rightmost index fastest; every array is contiguous unless a stride is given.
 *
 *   T   steps of the longest sequence             I   input size, numbers a step
 *   B   sequences, sorted longest first           H   hidden units
 *   N   rows: all steps of all sequences          L   lanes of the instruction set: 4, 8 or 16
 *   M   rows of `projected`                       P   H rounded up to a multiple of L
 *
 * A packed batch is time-major: the rows of step 0, then those of step 1, and so on. Step t has
 * batch_sizes[t] rows, which belong to the sequences 0 .. batch_sizes[t] - 1. Batch sizes never rise, the
 * first is B, the last at least 1, and they sum to N.
 *
 * Gates stand in the order i, f, g, o everywhere, as in PyTorch's nn.LSTM:
 *
 *   i, f, g, o = W_ih x_t + W_hh h_{t-1} + b        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
 *                                                   h_t = sigmoid(o) tanh(c_t)
 *
 * Who owns what. The caller allocates every array and keeps it alive during the call; the kernel keeps none.
 * Outputs alias neither inputs nor each other, but for those that say so themselves.
 * float arrays are aligned to 4 bytes or better.
 *
 * What holds. Results have the same bits for any number of threads, and a row's results the same bits
 * whatever else is in the batch. Denormals count as zero inside; the caller's floating-point mode stays as it
 * was. Any thread may call at any time; a call made while another holds the library's threads runs on its
 * caller's alone. After fork() the child starts threads of its own.
 */
#ifndef FASTLSTM_LSTM_H
#define FASTLSTM_LSTM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define FASTLSTM_API __declspec(dllexport)
#else
#define FASTLSTM_API __attribute__((visibility("default")))
#endif

/* Raised whenever anything below changes. */
#define FASTLSTM_ABI 6

/* What calls return. */
enum fastlstm_status {
    FASTLSTM_OK = 0,
    FASTLSTM_BAD_SIZE = 1,    /* a size is below 1 or too large, or batch_sizes rise or end below 1 */
    FASTLSTM_BAD_INDEX = 2,   /* an index lies outside the array it points into */
    FASTLSTM_BAD_POINTER = 3, /* an array that the call needs is missing */
    FASTLSTM_NO_MEMORY = 4,
    FASTLSTM_BAD_PRECISION = 5 /* this processor has not the instructions for it */
};

/* The loops as compiled for one instruction set. */
typedef struct fastlstm_isa fastlstm_isa;

FASTLSTM_API int32_t fastlstm_abi(void);

/* The instruction set called `name` ("v2", "v3", "v4" for x86-64-v2 to v4; "neon"), or the best there is if NULL.
 * NULL if this processor has it not. */
FASTLSTM_API const fastlstm_isa *fastlstm_open(const char *name);
FASTLSTM_API const char *fastlstm_isa_name(const fastlstm_isa *isa);
FASTLSTM_API int32_t fastlstm_lanes(const fastlstm_isa *isa);

/* How many threads a call may use, its caller's own included; at least 1. Counts for the calls that follow. */
FASTLSTM_API void fastlstm_set_threads(int32_t threads);
FASTLSTM_API int32_t fastlstm_threads(void);

/* What the passes multiply: weights and states as they are; both rounded to bfloat16; or weights as whole
 * numbers -127 .. 127 times a scale a row, and states as 127ths. Sums, gates and cells are float32 in all of them, but
 * sums of int8 exact, for I and H of up to 2^17. In int8 `inputs` and h are taken to be a layer's outputs: what lies
 * beyond -1 .. 1 counts as its end, and NaN as any number; a NaN in c or `projected` stays in its sequence. `projected`
 * rows are float32 and may be any. The backward pass knows float32 and bfloat16, in which it also rounds the gradients
 * that it multiplies, by the gates; its sums and what it returns are float32. */
enum fastlstm_precision { FASTLSTM_FLOAT32 = 0, FASTLSTM_BFLOAT16 = 1, FASTLSTM_INT8 = 2 };

/* 1 if this processor has instructions for it, beside those of `isa`; else 0. */
FASTLSTM_API int32_t fastlstm_has(const fastlstm_isa *isa, int64_t precision);

/* Weights in the order in which the forward pass reads them.
 *
 *   weight_ih [4H, I], or NULL where only `projected` rows will be read   weight_hh [4H, H]   bias [4H]
 *   packed    out [fastlstm_packed_size(isa, precision, I, H)], with I = 0 where weight_ih is NULL
 */
FASTLSTM_API int64_t fastlstm_packed_size(const fastlstm_isa *isa, int64_t precision, int64_t I, int64_t H);
FASTLSTM_API int32_t fastlstm_pack(const fastlstm_isa *isa, int64_t precision, int64_t I, int64_t H,
                                   const float *weight_ih, const float *weight_hh, const float *bias, float *packed);

/* W_ih x + b of any rows: what `projected` holds. A word read many times is projected once.
 *
 *   packed in float32   inputs [M, I]   projected out [M, 4P], in an order of the kernel's own
 */
FASTLSTM_API int32_t fastlstm_project(const fastlstm_isa *isa, int64_t M, int64_t I, int64_t H,
                                      const float *packed, const float *inputs, float *projected);

typedef struct {
    int64_t precision;          /* a fastlstm_precision that the processor has */
    int64_t T, B, I, H;         /* I as the weights were packed: 0 without weight_ih */
    int64_t reverse;            /* 1: every sequence is read from its own last step to its first */
    const int64_t *batch_sizes; /* [T] */
    const float *packed;        /* by fastlstm_pack, for the same instruction set and precision */
    const float *inputs;        /* [N, I], or NULL: then `projected` and `index` are read */
    const float *projected;     /* [M, 4P], by fastlstm_project */
    const int32_t *index;       /* [N], 0 .. M - 1: which row of `projected` each row reads */
    int64_t M;
    const float *h0, *c0;       /* [B, H] states before the first step read; zeros if NULL */
    float *outputs;             /* out [N, output_stride]: h after every step; may be NULL */
    int64_t output_stride;      /* at least H, so that two directions can write side by side */
    float *h_n, *c_n;           /* out [B, H]: states after the last step read; may be h0 and c0 */
    float *gates;               /* out [N, 4, P]: sigmoid(i), sigmoid(f), tanh(g), sigmoid(o); may be NULL */
    float *cells;               /* out [N, P]: c after every step; may be NULL */
} fastlstm_forward_arguments;

FASTLSTM_API int32_t fastlstm_forward(const fastlstm_isa *isa, const fastlstm_forward_arguments *arguments);

/* Whole texts, through every layer and both directions: what inference runs. Texts come in any order; like lengths
 * are read together, a few texts a thread at a time. */
enum fastlstm_pooling { FASTLSTM_LAST = 1, FASTLSTM_HIGHEST = 2, FASTLSTM_MEAN = 4 };

typedef struct {
    int64_t precision;
    int64_t texts;
    const int64_t *starts;            /* [texts + 1] where in `index` every text begins, and where the last ends */
    const int32_t *index;             /* [starts[texts]] 0 .. M - 1, which row of `projected` each step reads */
    int64_t M;
    const float *const *projected;    /* [directions] of [M, 4P], by fastlstm_project with the first layer's weights */
    int64_t directions;               /* 1: forward; 2: backward too, behind it */
    int64_t layers;
    int64_t I;                        /* of the first layer, as its weights were packed; others' is directions H */
    const int64_t *H;                 /* [layers] */
    const float *const *packed;       /* [layers, directions], by fastlstm_pack */
    int64_t pooling;                  /* which of fastlstm_pooling to take of the last layer's outputs, summed */
    float *features;                  /* out [texts, poolings, directions H]: last, highest, mean */
    float *states;                    /* in and out [texts, S], or NULL. Where texts are read in pieces, forward alone,
                                         what is kept between them: of each layer h [H] and c [H], then of the last
                                         layer's outputs the highest [H] and the sum [H]; S floats in all */
    int64_t *read;                    /* in and out [texts], with `states`: steps read before, whatever the state holds
                                         where 0; features are those of all steps, with the bits of reading at once */
} fastlstm_texts_arguments;

FASTLSTM_API int32_t fastlstm_texts(const fastlstm_isa *isa, const fastlstm_texts_arguments *arguments);

typedef struct {
    int64_t precision;            /* float32, or bfloat16 where the processor has it; best that of the forward pass */
    int64_t T, B, I, H;
    int64_t reverse;
    const int64_t *batch_sizes;   /* [T] */
    const float *inputs;          /* [N, I], or NULL where the forward pass read `projected` */
    const float *weight_ih;       /* [4H, I]; read only with `inputs` */
    const float *weight_hh;       /* [4H, H] */
    const float *h0, *c0;         /* [B, H], or NULL for zeros */
    const float *outputs;         /* [N, output_stride], of the forward pass */
    int64_t output_stride;
    float *gates;                 /* [N, 4, P], of the forward pass. Where inputs is NULL, out: the gradient by
                                     every row's W_ih x + W_hh h + b; else left as it is */
    const float *cells;           /* [N, P], of the forward pass */
    const float *grad_outputs;    /* [N, grad_output_stride], or NULL for zeros */
    int64_t grad_output_stride;   /* at least H */
    const float *grad_h_n, *grad_c_n; /* [B, H], or NULL for zeros */
    float *grad_inputs;           /* out [N, I], or NULL where not wanted; only with `inputs` */
    float *grad_weight_ih;        /* out [4H, I]; only with `inputs` */
    float *grad_weight_hh;        /* out [4H, H] */
    float *grad_bias;             /* out [4H]. All the weights' are given, or all are NULL: not wanted */
    float *grad_h0, *grad_c0;     /* out [B, H], or NULL where not wanted */
} fastlstm_backward_arguments;

FASTLSTM_API int32_t fastlstm_backward(const fastlstm_isa *isa, const fastlstm_backward_arguments *arguments);

/* The backward pass of fastlstm_project, where row m of `projected` was read by several of the batch's N rows.
 *
 *   gates   [N, 4, P], as the backward pass left it      order   [N], the batch's rows, those that read m together
 *   starts  [M + 1], where m's begin in `order`          inputs  [M, I], that were projected
 *   weight_ih [4H, I]     grad_inputs out [M, I]         grad_weight_ih out [4H, I]
 */
FASTLSTM_API int32_t fastlstm_project_backward(const fastlstm_isa *isa, int64_t N, int64_t M, int64_t I, int64_t H,
                                               const float *gates, const int64_t *order, const int64_t *starts,
                                               const float *inputs, const float *weight_ih, float *grad_inputs,
                                               float *grad_weight_ih);

/* Adam over a matrix of which a step reads few rows, as it does of an embedding: a row makes the steps that it has
 * missed (whose gradient was zero) when it is next read, and ends with the bits that making each at once gives.
 *
 *   mean_s   = beta1 mean_{s-1} + (1 - beta1) g         square_s = beta2 square_{s-1} + (1 - beta2) g^2
 *   weight_s = weight_{s-1} - rates[s][0] mean_s / (rates[s][1] sqrt(square_s) + epsilon)
 */
typedef struct {
    int64_t V, I, M;                /* rows of the matrix, numbers a row, rows that this call moves */
    const int32_t *rows;            /* [M] which ones, each once; or NULL for all, and M is V */
    const float *grads;             /* [M, I], of the last step; or NULL where that too had none */
    float scale;                    /* of `grads` */
    float beta1, beta2, epsilon;
    int64_t step;                   /* the last step to make; the first is 1 */
    const float *rates;             /* [step + 1, 2]: learning rate / (1 - beta1^s), 1 / sqrt(1 - beta2^s) */
    float *weight, *mean, *square;  /* in and out [V, I] */
    int64_t *done;                  /* in and out [V]: the last step that each row has made */
} fastlstm_adam_arguments;

FASTLSTM_API int32_t fastlstm_adam(const fastlstm_isa *isa, const fastlstm_adam_arguments *arguments);

#ifdef __cplusplus
}
#endif

#endif
