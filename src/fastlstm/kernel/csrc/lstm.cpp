// The functions of lstm.h: check the arguments, then run.
#include "lstm.h"

#include <string.h>

#include <new>
#include <vector>

#include "dispatch.h"
#include "inference.h"
#include "ngrams.h"
#include "output.h"
#include "schedule.h"
#include "threads.h"
#include "tokens.h"

struct fastlstm_isa {
    const fastlstm::IsaKernels &kernels;
    bool (*is_supported)();
    const fastlstm::PrecisionKernels *(*low_precision)(int64_t precision);  // null if not supported
};

namespace fastlstm {
namespace {

const PrecisionKernels *no_low_precision(int64_t) { return nullptr; }

#if defined(__x86_64__)
const PrecisionKernels *low_precision_v4(int64_t precision) {
    if (precision == FASTLSTM_BFLOAT16 && __builtin_cpu_supports("avx512bf16")) return &bfloat16_v4;
    if (precision == FASTLSTM_INT8 && __builtin_cpu_supports("avx512vnni")) return &int8_v4;
    return nullptr;
}
#endif

// Best first.
const fastlstm_isa isas[] = {
#if defined(__x86_64__)
    {kernels_v4, [] { return __builtin_cpu_supports("x86-64-v4") > 0; }, low_precision_v4},
    {kernels_v3, [] { return __builtin_cpu_supports("x86-64-v3") > 0; }, no_low_precision},
    {kernels_v2, [] { return __builtin_cpu_supports("x86-64-v2") > 0; }, no_low_precision},
#elif defined(__aarch64__)
    {kernels_neon, [] { return true; }, no_low_precision},
#endif
};

// Null if the processor does not support the precision.
const PrecisionKernels *find_precision(const fastlstm_isa &isa, int64_t precision) {
    return precision == FASTLSTM_FLOAT32 ? &isa.kernels.float32 : isa.low_precision(precision);
}

// No array has more elements, so that products of sizes fit 64 bits.
constexpr int64_t max_elements = int64_t(1) << 40;
constexpr int64_t max_columns = int64_t(1) << 18;
constexpr int64_t max_layers = 1024;
constexpr int64_t max_kinds = 1024;

bool in_range(int64_t value, int64_t min, int64_t max) { return min <= value && value <= max; }

bool valid_layer(int64_t I, int64_t H, int64_t max = max_columns) {
    return in_range(I, 0, max) && in_range(H, 1, max);
}

// The first row of each step [T + 1]; empty if the sizes of a batch are invalid.
template <class Arguments>
std::vector<int64_t> batch_offsets(const Arguments &a) {
    if (!in_range(a.T, 1, max_elements) || !in_range(a.B, 1, max_elements) || !valid_layer(a.I, a.H))
        return {};
    std::vector<int64_t> offsets(a.T + 1);
    int64_t before = a.B;
    for (int64_t t = 0; t < a.T; ++t) {
        const int64_t size = a.batch_sizes[t];
        if (!in_range(size, 1, before) || (t == 0 && size != a.B) || offsets[t] > max_elements) return {};
        offsets[t + 1] = offsets[t] + size;
        before = size;
    }
    return offsets;
}

bool valid_index(const int32_t *index, int64_t count, int64_t M) {
    for (int64_t n = 0; n < count; ++n)
        if (!in_range(index[n], 0, M - 1)) return false;
    return true;
}

int32_t forward(const fastlstm_isa &isa, const fastlstm_forward_arguments &f) {
    const PrecisionKernels *precision = find_precision(isa, f.precision);
    if (!precision) return FASTLSTM_BAD_PRECISION;
    if (!f.batch_sizes) return FASTLSTM_BAD_POINTER;
    const std::vector<int64_t> offsets = batch_offsets(f);
    if (offsets.empty() || !valid_layer(f.I, f.H, precision->max_columns)) return FASTLSTM_BAD_SIZE;
    if ((f.outputs && f.output_stride < f.H) || (f.inputs && f.I < 1)) return FASTLSTM_BAD_SIZE;
    if (!f.packed || !f.h_n || !f.c_n || (!f.inputs && !(f.projected && f.index)))
        return FASTLSTM_BAD_POINTER;
    if (!f.inputs && !valid_index(f.index, offsets[f.T], f.M)) return FASTLSTM_BAD_INDEX;
    schedule_forward(isa.kernels, *precision, ForwardJob{&f, offsets.data()});
    return FASTLSTM_OK;
}

int32_t check_inference(const fastlstm_inference_arguments &a, int64_t max_layer_columns) {
    if (!in_range(a.texts, 0, max_elements) || !in_range(a.M, 1, max_elements) ||
        !in_range(a.directions, 1, 2) || !in_range(a.layers, 1, max_layers) || !in_range(a.pooling, 1, 7))
        return FASTLSTM_BAD_SIZE;
    if (!a.starts || !a.index || !a.projected || !a.H || !a.packed || !a.features ||
        !a.states != !a.steps_read)
        return FASTLSTM_BAD_POINTER;
    if (a.states && a.directions != 1) return FASTLSTM_BAD_SIZE;
    for (int64_t text = 0; a.steps_read && text < a.texts; ++text)
        if (!in_range(a.steps_read[text], 0, max_elements)) return FASTLSTM_BAD_SIZE;
    for (int64_t layer = 0; layer < a.layers; ++layer)
        if (!valid_layer(layer ? a.directions * a.H[layer - 1] : a.I, a.H[layer], max_layer_columns))
            return FASTLSTM_BAD_SIZE;
    for (int64_t k = 0; k < a.layers * a.directions; ++k)
        if (!a.packed[k] || (k < a.directions && !a.projected[k])) return FASTLSTM_BAD_POINTER;
    if (a.starts[0] != 0) return FASTLSTM_BAD_SIZE;
    for (int64_t text = 0; text < a.texts; ++text)
        if (a.starts[text + 1] <= a.starts[text] || a.starts[text + 1] > max_elements)
            return FASTLSTM_BAD_SIZE;
    return valid_index(a.index, a.starts[a.texts], a.M) ? FASTLSTM_OK : FASTLSTM_BAD_INDEX;
}

int32_t backward(const fastlstm_isa &isa, const fastlstm_backward_arguments &b) {
    const PrecisionKernels *precision = find_precision(isa, b.precision);
    if (!precision || !precision->backward) return FASTLSTM_BAD_PRECISION;
    if (!b.batch_sizes) return FASTLSTM_BAD_POINTER;
    const std::vector<int64_t> offsets = batch_offsets(b);
    if (offsets.empty() || b.output_stride < b.H || (b.grad_outputs && b.grad_output_stride < b.H) ||
        (b.inputs && b.I < 1))
        return FASTLSTM_BAD_SIZE;
    if (!b.weight_hh || !b.outputs || !b.gates || !b.cells) return FASTLSTM_BAD_POINTER;
    if ((b.inputs && !b.weight_ih) || (!b.inputs && b.grad_inputs)) return FASTLSTM_BAD_POINTER;
    const bool any = b.grad_weight_hh || b.grad_bias || (b.inputs && b.grad_weight_ih);
    const bool all = b.grad_weight_hh && b.grad_bias && (!b.inputs || b.grad_weight_ih);
    if (any != all) return FASTLSTM_BAD_POINTER;
    schedule_backward(isa.kernels, *precision, b, offsets.data());
    return FASTLSTM_OK;
}

int32_t check_project_backward(int64_t N, const ProjectBackwardJob &p, const float *weight_ih) {
    if (!in_range(N, 1, max_elements) || !in_range(p.M, 1, max_elements) || !valid_layer(p.I, p.H) || p.I < 1)
        return FASTLSTM_BAD_SIZE;
    if (!p.gates || !p.order || !p.starts || !p.inputs || !weight_ih || !p.grad_inputs || !p.grad_weight_ih)
        return FASTLSTM_BAD_POINTER;
    if (p.starts[0] != 0 || p.starts[p.M] != N) return FASTLSTM_BAD_INDEX;
    for (int64_t m = 0; m < p.M; ++m)
        if (p.starts[m] > p.starts[m + 1]) return FASTLSTM_BAD_INDEX;
    for (int64_t n = 0; n < N; ++n)
        if (!in_range(p.order[n], 0, N - 1)) return FASTLSTM_BAD_INDEX;
    return FASTLSTM_OK;
}

int32_t check_adam(const fastlstm_adam_arguments &a) {
    if (!in_range(a.V, 1, max_elements) || !in_range(a.I, 1, max_elements) || !in_range(a.M, 0, a.V) ||
        !in_range(a.step, 1, max_elements) || (!a.rows && a.M != a.V))
        return FASTLSTM_BAD_SIZE;
    if (!a.rates || !a.weight || !a.mean || !a.square || !a.last_steps) return FASTLSTM_BAD_POINTER;
    for (int64_t m = 0; m < a.M; ++m) {
        const int64_t row = a.rows ? a.rows[m] : m;
        if (!in_range(row, 0, a.V - 1) || !in_range(a.last_steps[row], 0, a.step)) return FASTLSTM_BAD_INDEX;
    }
    return FASTLSTM_OK;
}

bool valid_kind(const fastlstm_ngram_kind &kind) {
    if (!in_range(kind.tokens, 1, FASTLSTM_NGRAM_TOKENS) || kind.offsets[0] != 0) return false;
    for (int64_t k = 1; k < kind.tokens; ++k)
        if (!in_range(kind.offsets[k], kind.offsets[k - 1] + 1, max_elements)) return false;
    return in_range(kind.beginning, 0, max_elements) && in_range(kind.end, 0, max_elements);
}

int32_t check_ngrams(const fastlstm_ngram_arguments &a) {
    if (!in_range(a.kind_count, 1, max_kinds) || !in_range(a.K, 0, FASTLSTM_NGRAM_IDS) ||
        !in_range(a.C, 1, max_columns) || !in_range(a.texts, 0, max_elements))
        return FASTLSTM_BAD_SIZE;
    if (!a.kinds || !a.lookup || !a.weight || !a.starts || !a.tokens || (!a.logits && !a.seen) ||
        !a.seen != !a.last || !a.seen != !a.end_rows || !a.seen != !a.tokens_read)
        return FASTLSTM_BAD_POINTER;
    for (int64_t k = 0; k < a.kind_count; ++k)
        if (!valid_kind(a.kinds[k])) return FASTLSTM_BAD_SIZE;
    const NgramStateSizes sizes = ngram_state_sizes(a.kinds, a.kind_count);
    if (a.seen && (a.W != sizes.W || a.R != sizes.R)) return FASTLSTM_BAD_SIZE;
    if (a.starts[0] != 0) return FASTLSTM_BAD_SIZE;
    for (int64_t text = 0; text < a.texts; ++text)
        if (!in_range(a.starts[text + 1], a.starts[text], max_elements) ||
            (a.seen && !in_range(a.tokens_read[text], 0, max_elements)))
            return FASTLSTM_BAD_SIZE;
    return FASTLSTM_OK;
}

int32_t check_output(const fastlstm_output_arguments &a) {
    if (!in_range(a.texts, 0, max_elements) || !in_range(a.C, 1, max_columns) ||
        !in_range(a.activation, FASTLSTM_SOFTMAX, FASTLSTM_SIGMOID) ||
        (a.features && !in_range(a.F, 1, max_elements)))
        return FASTLSTM_BAD_SIZE;
    return a.logits && (!a.features || (a.weight && a.bias)) ? FASTLSTM_OK : FASTLSTM_BAD_POINTER;
}

// Call work(), which returns a status, and turn a failed allocation into one.
template <class Work>
int32_t catch_no_memory(Work work) {
    try {
        return work();
    } catch (const std::bad_alloc &) {
        return FASTLSTM_NO_MEMORY;
    }
}

}  // namespace
}  // namespace fastlstm

using namespace fastlstm;

int32_t fastlstm_abi(void) { return FASTLSTM_ABI; }

int64_t fastlstm_struct_size(const char *name) {
    const struct {
        const char *name;
        int64_t size;
    } structs[] = {
        {"fastlstm_forward_arguments", sizeof(fastlstm_forward_arguments)},
        {"fastlstm_inference_arguments", sizeof(fastlstm_inference_arguments)},
        {"fastlstm_backward_arguments", sizeof(fastlstm_backward_arguments)},
        {"fastlstm_adam_arguments", sizeof(fastlstm_adam_arguments)},
        {"fastlstm_tokenizer", sizeof(fastlstm_tokenizer)},
        {"fastlstm_ngram_kind", sizeof(fastlstm_ngram_kind)},
        {"fastlstm_ngram_arguments", sizeof(fastlstm_ngram_arguments)},
        {"fastlstm_output_arguments", sizeof(fastlstm_output_arguments)},
    };
    for (const auto &entry : structs)
        if (!strcmp(name, entry.name)) return entry.size;
    return 0;
}

const fastlstm_isa *fastlstm_open(const char *name) {
    for (const fastlstm_isa &isa : isas)
        if ((!name || !strcmp(name, isa.kernels.name)) && isa.is_supported()) return &isa;
    return nullptr;
}

const char *fastlstm_isa_name(const fastlstm_isa *isa) { return isa->kernels.name; }
int32_t fastlstm_lanes(const fastlstm_isa *isa) { return isa->kernels.lanes; }
void fastlstm_set_threads(int32_t threads) { set_threads(threads); }
int32_t fastlstm_threads(void) { return threads(); }

int32_t fastlstm_supports(const fastlstm_isa *isa, int64_t precision) {
    return find_precision(*isa, precision) != nullptr;
}

int64_t fastlstm_packed_size(const fastlstm_isa *isa, int64_t precision, int64_t I, int64_t H) {
    const PrecisionKernels *kernels = find_precision(*isa, precision);
    return kernels && valid_layer(I, H, kernels->max_columns) ? kernels->packed_size(I, H) : 0;
}

int32_t fastlstm_pack(const fastlstm_isa *isa, int64_t precision, int64_t I, int64_t H,
                      const float *weight_ih, const float *weight_hh, const float *bias, float *packed) {
    const PrecisionKernels *kernels = find_precision(*isa, precision);
    if (!kernels) return FASTLSTM_BAD_PRECISION;
    if (!valid_layer(I, H, kernels->max_columns)) return FASTLSTM_BAD_SIZE;
    if (!weight_hh || !bias || !packed || (I > 0 && !weight_ih)) return FASTLSTM_BAD_POINTER;
    return catch_no_memory([&] {
        schedule_pack(isa->kernels, *kernels, I, H, weight_ih, weight_hh, bias, packed);
        return (int32_t)FASTLSTM_OK;
    });
}

int32_t fastlstm_project(const fastlstm_isa *isa, int64_t M, int64_t I, int64_t H, const float *packed,
                         const float *inputs, float *projected) {
    if (!in_range(M, 1, max_elements) || !valid_layer(I, H) || I < 1) return FASTLSTM_BAD_SIZE;
    if (!packed || !inputs || !projected) return FASTLSTM_BAD_POINTER;
    return catch_no_memory([&] {
        schedule_project(isa->kernels, M, I, H, packed, inputs, projected);
        return (int32_t)FASTLSTM_OK;
    });
}

int32_t fastlstm_forward(const fastlstm_isa *isa, const fastlstm_forward_arguments *arguments) {
    return catch_no_memory([&] { return forward(*isa, *arguments); });
}

int32_t fastlstm_infer(const fastlstm_isa *isa, const fastlstm_inference_arguments *arguments) {
    const PrecisionKernels *precision = find_precision(*isa, arguments->precision);
    if (!precision) return FASTLSTM_BAD_PRECISION;
    if (const int32_t status = check_inference(*arguments, precision->max_columns)) return status;
    return catch_no_memory([&] {
        infer(isa->kernels, *precision, *arguments);
        return (int32_t)FASTLSTM_OK;
    });
}

int32_t fastlstm_ngram_lookup(int64_t K, const int32_t *ids, uint64_t *lookup) {
    if (!in_range(K, 0, FASTLSTM_NGRAM_IDS)) return FASTLSTM_BAD_SIZE;
    if (!ids || !lookup) return FASTLSTM_BAD_POINTER;
    for (int64_t k = 0; k < K; ++k)
        if (!in_range(ids[k], k ? ids[k - 1] + 1 : 0, FASTLSTM_NGRAM_IDS - 1)) return FASTLSTM_BAD_INDEX;
    write_ngram_lookup(K, ids, lookup);
    return FASTLSTM_OK;
}

int32_t fastlstm_ngram_logits(const fastlstm_isa *isa, const fastlstm_ngram_arguments *arguments) {
    if (const int32_t status = check_ngrams(*arguments)) return status;
    return catch_no_memory([&] {
        compute_ngram_logits(isa->kernels, *arguments);
        return (int32_t)FASTLSTM_OK;
    });
}

int32_t fastlstm_output(const fastlstm_output_arguments *arguments) {
    if (const int32_t status = check_output(*arguments)) return status;
    compute_output(*arguments);
    return FASTLSTM_OK;
}

int32_t fastlstm_backward(const fastlstm_isa *isa, const fastlstm_backward_arguments *arguments) {
    return catch_no_memory([&] { return backward(*isa, *arguments); });
}

int32_t fastlstm_project_backward(const fastlstm_isa *isa, int64_t N, int64_t M, int64_t I, int64_t H,
                                  const float *gates, const int64_t *order, const int64_t *starts,
                                  const float *inputs, const float *weight_ih, float *grad_inputs,
                                  float *grad_weight_ih) {
    ProjectBackwardJob job = {};
    job.M = M;
    job.I = I;
    job.H = H;
    job.gates = gates;
    job.order = order;
    job.starts = starts;
    job.inputs = inputs;
    job.grad_inputs = grad_inputs;
    job.grad_weight_ih = grad_weight_ih;
    if (const int32_t status = check_project_backward(N, job, weight_ih)) return status;
    return catch_no_memory([&] {
        schedule_project_backward(isa->kernels, job, weight_ih);
        return (int32_t)FASTLSTM_OK;
    });
}

int32_t fastlstm_adam(const fastlstm_isa *isa, const fastlstm_adam_arguments *arguments) {
    if (const int32_t status = check_adam(*arguments)) return status;
    return catch_no_memory([&] {
        schedule_adam(isa->kernels, *arguments);
        return (int32_t)FASTLSTM_OK;
    });
}
