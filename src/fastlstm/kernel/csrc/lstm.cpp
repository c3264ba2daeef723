// The contract of lstm.h: checks what came, cuts the batch into shares, and gives each to a thread.
#include "lstm.h"

#include <string.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <numeric>
#include <vector>

#include "barrier.h"
#include "loops.h"
#include "memory.h"
#include "texts.h"
#include "threads.h"

struct fastlstm_isa {
    const fastlstm::Loops &loops;
    bool (*there)();
    const fastlstm::Pass *(*narrow)(int64_t precision);  // null where the processor has it not
};

namespace fastlstm {
namespace {

const Pass *no_pass(int64_t) { return nullptr; }

#if defined(__x86_64__)
const Pass *narrow_pass_of_v4(int64_t precision) {
    if (precision == FASTLSTM_BFLOAT16 && __builtin_cpu_supports("avx512bf16")) return &bfloat16_v4;
    if (precision == FASTLSTM_INT8 && __builtin_cpu_supports("avx512vnni")) return &int8_v4;
    return nullptr;
}
#endif

// Best first.
const fastlstm_isa isas[] = {
#if defined(__x86_64__)
    {loops_v4, [] { return __builtin_cpu_supports("x86-64-v4") > 0; }, narrow_pass_of_v4},
    {loops_v3, [] { return __builtin_cpu_supports("x86-64-v3") > 0; }, no_pass},
    {loops_v2, [] { return __builtin_cpu_supports("x86-64-v2") > 0; }, no_pass},
#elif defined(__aarch64__)
    {loops_neon, [] { return true; }, no_pass},
#endif
};

// Null where there is none.
const Pass *pass_of(const fastlstm_isa &isa, int64_t precision) {
    return precision == FASTLSTM_FLOAT32 ? &isa.loops.float32 : isa.narrow(precision);
}

constexpr int64_t largest = int64_t(1) << 40;  // no array has more elements: products of sizes stay in 64 bits

bool sizes_fit(int64_t I, int64_t H, int64_t most = int64_t(1) << 18) {
    return I >= 0 && I <= most && H >= 1 && H <= most;
}

int64_t panels_of(const Loops &loops, int64_t H) { return (H + loops.lanes - 1) / loops.lanes; }

// The first row of every step [T + 1]; empty where the batch sizes are none.
template <class Arguments>
std::vector<int64_t> offsets_of(const Arguments &a) {
    if (a.T < 1 || a.B < 1 || a.T > largest || a.B > largest || !sizes_fit(a.I, a.H)) return {};
    std::vector<int64_t> offsets(a.T + 1);
    int64_t before = a.B;
    for (int64_t t = 0; t < a.T; ++t) {
        const int64_t size = a.batch_sizes[t];
        if (size < 1 || size > before || (t == 0 && size != a.B) || offsets[t] > largest) return {};
        offsets[t + 1] = offsets[t] + size;
        before = size;
    }
    return offsets;
}

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Where the weights are larger than this, threads share them out instead of the sequences, the forward pass only where
// those are few: a megabyte, a core's second cache or half of it on today's processors (benchmarks/kernel.py).
constexpr int64_t weights_in_cache = (int64_t(1) << 20) / sizeof(float);

// Where each thread's share of the sequences has fewer, it reads the weights too often for what it does with them.
constexpr int64_t team_rows = 16;

bool too_large(const Pass &pass, int64_t I, int64_t H) { return pass.packed_size(I, H) > weights_in_cache; }

// work(cut, workspace) for every shard, on as many threads as there are.
template <class Size, class Work>
void each_shard(int64_t shards, Size workspace_size, Work work) {
    std::atomic<int64_t> next{0};
    const int64_t size = workspace_size(Cut{0, shards, 0, 1, nullptr});
    const int64_t most = smaller(threads(), shards);
    const Floats workspaces = floats(size * most);
    run(most, [&](int64_t member, int64_t) {
        for (int64_t shard; (shard = next.fetch_add(1)) < shards;)
            work(Cut{shard, shards, 0, 1, nullptr}, workspaces.get() + member * size);
    });
}

// work(cut, workspace) for all sequences, by a team that shares the hidden units.
template <class Size, class Work>
void one_team(int64_t most, Size workspace_size, Work work) {
    Barrier barrier;
    const Floats workspace = floats(workspace_size(Cut{0, 1, 0, most, nullptr}));
    run(most, [&](int64_t member, int64_t members) { work(Cut{0, 1, member, members, &barrier}, workspace.get()); });
}

// work(first, last) for parts 0 .. parts - 1 of what copies `moved` floats: by one thread, unless they are many. Waking
// another takes time, and what it wrote lies in its core's cache.
template <class Work>
void share_out(int64_t parts, int64_t moved, Work work) {
    const int64_t worth_a_thread = 1 << 17;
    run(smaller(parts, moved / worth_a_thread), [&](int64_t member, int64_t members) {
        work(parts * member / members, parts * (member + 1) / members);
    });
}

void pack_columns(const Loops &loops, const Pass &pass, int64_t H, int64_t columns, const float *weight, float *packed) {
    share_out(loops.column_blocks(columns), 4 * H * columns, [&](int64_t first, int64_t last) {
        pass.pack_columns(H, columns, weight, first, last, packed);
    });
}

// A layer, shared out to as many threads as there are.
void forward_on_threads(const Loops &loops, const Pass &pass, const Forward &layer) {
    const fastlstm_forward_arguments &f = *layer.arguments;
    auto size = [&](const Cut &cut) { return pass.workspace(f, cut); };
    auto work = [&](const Cut &cut, float *workspace) { pass.forward(layer, cut, workspace); };
    if (too_large(pass, f.inputs ? f.I : 0, f.H) && f.B < team_rows * threads())
        one_team(smaller(threads(), panels_of(loops, f.H)), size, work);
    else
        each_shard(smaller(f.B, larger(threads(), (f.B + 31) / 32)), size, work);
}

int32_t forward(const fastlstm_isa &isa, const fastlstm_forward_arguments &f) {
    const Pass *pass = pass_of(isa, f.precision);
    if (!pass) return FASTLSTM_BAD_PRECISION;
    if (!f.batch_sizes) return FASTLSTM_BAD_POINTER;
    const std::vector<int64_t> offsets = offsets_of(f);
    if (offsets.empty() || !sizes_fit(f.I, f.H, pass->most_columns) || (f.outputs && f.output_stride < f.H) ||
        (f.inputs && f.I < 1))
        return FASTLSTM_BAD_SIZE;
    if (!f.packed || !f.h_n || !f.c_n || (!f.inputs && !(f.projected && f.index))) return FASTLSTM_BAD_POINTER;
    if (!f.inputs)
        for (int64_t n = 0; n < offsets[f.T]; ++n)
            if (f.index[n] < 0 || f.index[n] >= f.M) return FASTLSTM_BAD_INDEX;

    forward_on_threads(isa.loops, *pass, Forward{&f, offsets.data()});
    return FASTLSTM_OK;
}

int32_t check_texts(const fastlstm_texts_arguments &a, int64_t most_columns) {
    if (a.texts < 0 || a.texts > largest || a.M < 1 || a.M > largest || a.directions < 1 || a.directions > 2 ||
        a.layers < 1 || a.layers > 1024 || a.pooling < 1 || a.pooling > 7)
        return FASTLSTM_BAD_SIZE;
    if (!a.starts || !a.index || !a.projected || !a.H || !a.packed || !a.features || !a.states != !a.read)
        return FASTLSTM_BAD_POINTER;
    if (a.states && a.directions != 1) return FASTLSTM_BAD_SIZE;
    for (int64_t text = 0; a.read && text < a.texts; ++text)
        if (a.read[text] < 0 || a.read[text] > largest) return FASTLSTM_BAD_SIZE;
    for (int64_t layer = 0; layer < a.layers; ++layer)
        if (!sizes_fit(layer ? a.directions * a.H[layer - 1] : a.I, a.H[layer], most_columns)) return FASTLSTM_BAD_SIZE;
    for (int64_t k = 0; k < a.layers * a.directions; ++k)
        if (!a.packed[k] || (k < a.directions && !a.projected[k])) return FASTLSTM_BAD_POINTER;
    if (a.starts[0] != 0) return FASTLSTM_BAD_SIZE;
    for (int64_t text = 0; text < a.texts; ++text)
        if (a.starts[text + 1] <= a.starts[text] || a.starts[text + 1] > largest) return FASTLSTM_BAD_SIZE;
    for (int64_t n = 0; n < a.starts[a.texts]; ++n)
        if (a.index[n] < 0 || a.index[n] >= a.M) return FASTLSTM_BAD_INDEX;
    return FASTLSTM_OK;
}

int32_t texts(const fastlstm_isa &isa, const fastlstm_texts_arguments &a) {
    const Pass *pass = pass_of(isa, a.precision);
    if (!pass) return FASTLSTM_BAD_PRECISION;
    if (const int32_t status = check_texts(a, pass->most_columns)) return status;
    std::vector<int64_t> order(a.texts);
    std::iota(order.begin(), order.end(), 0);
    auto length = [&](int64_t text) { return a.starts[text + 1] - a.starts[text]; };
    std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) { return length(x) > length(y); });

    bool large = false;
    for (int64_t layer = 0; layer < a.layers; ++layer)
        large = large || too_large(*pass, layer ? a.directions * a.H[layer - 1] : 0, a.H[layer]);
    if (large && a.texts < team_rows * threads()) {
        run(1, [&](int64_t, int64_t) {  // pooling too counts denormals as zero
            Reader reader(a, [&](const Forward &layer) { forward_on_threads(isa.loops, *pass, layer); });
            if (a.texts) reader.read(order.data(), a.texts);
        });
        return FASTLSTM_OK;
    }

    // Four shards a thread, so that all end at about the same time; the longest texts come first.
    const int64_t together = smaller(32, larger(1, a.texts / (4 * threads())));
    const int64_t shards = (a.texts + together - 1) / together;
    std::atomic<int64_t> next{0};
    std::atomic<bool> no_memory{false};
    run(smaller(threads(), shards), [&](int64_t, int64_t) {
        try {
            Memory workspace;
            Reader reader(a, [&](const Forward &layer) {
                const Cut cut = {0, 1, 0, 1, nullptr};
                pass->forward(layer, cut, workspace.at_least(pass->workspace(*layer.arguments, cut)));
            });
            for (int64_t shard; (shard = next.fetch_add(1)) < shards;)
                reader.read(order.data() + shard * together, smaller(together, a.texts - shard * together));
        } catch (const std::bad_alloc &) {  // it must not leave a thread of the library
            no_memory = true;
        }
    });
    return no_memory ? FASTLSTM_NO_MEMORY : FASTLSTM_OK;
}

// How many shards the backward pass cuts a batch into: 16 sequences each, but two from 8 on, so that another thread has
// work. Not up to the number of threads, on which the sums must not depend.
int64_t backward_shards(int64_t sequences) {
    return larger(sequences < 8 ? 1 : 2, smaller(16, sequences / 16));
}

int32_t backward(const fastlstm_isa &isa, const fastlstm_backward_arguments &b) {
    const Loops &loops = isa.loops;
    const Pass *there = pass_of(isa, b.precision);
    if (!there || !there->backward) return FASTLSTM_BAD_PRECISION;
    const Pass &in = *there;
    if (!b.batch_sizes) return FASTLSTM_BAD_POINTER;
    const std::vector<int64_t> offsets = offsets_of(b);
    if (offsets.empty() || b.output_stride < b.H || (b.grad_outputs && b.grad_output_stride < b.H) ||
        (b.inputs && b.I < 1))
        return FASTLSTM_BAD_SIZE;
    const bool weights = b.grad_weight_hh || b.grad_bias || (b.inputs && b.grad_weight_ih);
    if (!b.weight_hh || !b.outputs || !b.gates || !b.cells || (b.inputs && !b.weight_ih) || (!b.inputs && b.grad_inputs) ||
        (weights && !(b.grad_weight_hh && b.grad_bias && (!b.inputs || b.grad_weight_ih))))
        return FASTLSTM_BAD_POINTER;

    const int64_t I = b.inputs ? b.I : 0;
    const bool team = too_large(loops.float32, I, b.H);
    const int64_t shards = team ? 1 : backward_shards(b.B);
    const Floats packed_hh = floats(in.columns_size(b.H, b.H)), packed_ih = floats(in.columns_size(b.H, I));
    pack_columns(loops, in, b.H, b.H, b.weight_hh, packed_hh.get());
    if (I) pack_columns(loops, in, b.H, I, b.weight_ih, packed_ih.get());
    const Floats gradients = floats(shards * loops.gradient_size(I, b.H));

    const Backward pass = {&b, offsets.data(), packed_hh.get(), packed_ih.get(), gradients.get()};
    auto size = [&](const Cut &cut) { return in.backward_workspace(b, cut); };
    auto work = [&](const Cut &cut, float *workspace) { in.backward(pass, cut, workspace); };
    if (team)
        one_team(smaller(threads(), panels_of(loops, b.H)), size, work);
    else
        each_shard(shards, size, work);

    if (!weights) return FASTLSTM_OK;
    share_out(4 * b.H, shards * loops.gradient_size(I, b.H),
              [&](int64_t first, int64_t last) { loops.reduce(pass, shards, first, last); });
    return FASTLSTM_OK;
}

int32_t project_backward(const Loops &loops, int64_t N, ProjectBackward p, const float *weight_ih) {
    if (N < 1 || N > largest || p.M < 1 || p.M > largest || !sizes_fit(p.I, p.H) || p.I < 1) return FASTLSTM_BAD_SIZE;
    if (!p.gates || !p.order || !p.starts || !p.inputs || !weight_ih || !p.grad_inputs || !p.grad_weight_ih)
        return FASTLSTM_BAD_POINTER;
    if (p.starts[0] != 0 || p.starts[p.M] != N) return FASTLSTM_BAD_INDEX;
    for (int64_t m = 0; m < p.M; ++m)
        if (p.starts[m] > p.starts[m + 1]) return FASTLSTM_BAD_INDEX;
    for (int64_t n = 0; n < N; ++n)
        if (p.order[n] < 0 || p.order[n] >= N) return FASTLSTM_BAD_INDEX;

    const int64_t panels = panels_of(loops, p.H), width = 4 * panels * loops.lanes;
    const int64_t wide = panels_of(loops, p.I) * loops.lanes;
    const Floats packed_ih = floats(loops.float32.columns_size(p.H, p.I)), sums = floats(p.M * loops.strided(width));
    const Floats padded_inputs = floats(p.M * loops.strided(wide)), padded_weight = floats(width * wide);
    pack_columns(loops, loops.float32, p.H, p.I, weight_ih, packed_ih.get());
    p.packed_ih = packed_ih.get();
    p.sums = sums.get();
    p.padded_inputs = padded_inputs.get();
    p.padded_weight = padded_weight.get();

    constexpr int64_t together = 48;  // rows at a time, since some words are read far more often than others
    std::atomic<int64_t> next{0};
    run((p.M + together - 1) / together, [&](int64_t, int64_t) {
        for (int64_t m; (m = next.fetch_add(together)) < p.M;)
            loops.project_backward_rows(p, m, smaller(p.M, m + together));
    });
    run(panels, [&](int64_t member, int64_t members) {
        loops.project_backward_weight(p, panels * member / members, panels * (member + 1) / members);
    });
    return FASTLSTM_OK;
}

int32_t adam(const Loops &loops, const fastlstm_adam_arguments &a) {
    if (a.V < 1 || a.V > largest || a.I < 1 || a.I > largest || a.M < 0 || a.M > a.V || a.step < 1 || a.step > largest ||
        (!a.rows && a.M != a.V))
        return FASTLSTM_BAD_SIZE;
    if (!a.rates || !a.weight || !a.mean || !a.square || !a.done) return FASTLSTM_BAD_POINTER;
    for (int64_t m = 0; m < a.M; ++m) {
        const int64_t row = a.rows ? a.rows[m] : m;
        if (row < 0 || row >= a.V || a.done[row] < 0 || a.done[row] > a.step) return FASTLSTM_BAD_INDEX;
    }
    constexpr int64_t together = 64;  // rows at a time, since some have missed far more steps than others
    constexpr int64_t worth_a_thread = 1 << 16;
    std::atomic<int64_t> next{0};
    run(smaller((a.M + together - 1) / together, a.M * a.I / worth_a_thread), [&](int64_t, int64_t) {
        for (int64_t m; (m = next.fetch_add(together)) < a.M;) loops.adam(a, m, smaller(a.M, m + together));
    });
    return FASTLSTM_OK;
}

template <class Work>
int32_t without_exceptions(Work work) {
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

const fastlstm_isa *fastlstm_open(const char *name) {
    for (const fastlstm_isa &isa : isas)
        if ((!name || !strcmp(name, isa.loops.name)) && isa.there()) return &isa;
    return nullptr;
}

const char *fastlstm_isa_name(const fastlstm_isa *isa) { return isa->loops.name; }
int32_t fastlstm_lanes(const fastlstm_isa *isa) { return isa->loops.lanes; }
void fastlstm_set_threads(int32_t threads) { set_threads(threads); }
int32_t fastlstm_threads(void) { return threads(); }

int32_t fastlstm_has(const fastlstm_isa *isa, int64_t precision) { return pass_of(*isa, precision) != nullptr; }

int64_t fastlstm_packed_size(const fastlstm_isa *isa, int64_t precision, int64_t I, int64_t H) {
    const Pass *pass = pass_of(*isa, precision);
    return pass && sizes_fit(I, H, pass->most_columns) ? pass->packed_size(I, H) : 0;
}

int32_t fastlstm_pack(const fastlstm_isa *isa, int64_t precision, int64_t I, int64_t H, const float *weight_ih,
                      const float *weight_hh, const float *bias, float *packed) {
    const Pass *pass = pass_of(*isa, precision);
    if (!pass) return FASTLSTM_BAD_PRECISION;
    if (!sizes_fit(I, H, pass->most_columns)) return FASTLSTM_BAD_SIZE;
    if (!weight_hh || !bias || !packed || (I > 0 && !weight_ih)) return FASTLSTM_BAD_POINTER;
    return without_exceptions([&] {
        share_out(panels_of(isa->loops, H), 4 * H * (I + H), [&](int64_t first, int64_t last) {
            pass->pack(I, H, weight_ih, weight_hh, bias, first, last, packed);
        });
        return (int32_t)FASTLSTM_OK;
    });
}

int32_t fastlstm_project(const fastlstm_isa *isa, int64_t M, int64_t I, int64_t H, const float *packed,
                         const float *inputs, float *projected) {
    if (M < 1 || M > largest || !sizes_fit(I, H) || I < 1) return FASTLSTM_BAD_SIZE;
    if (!packed || !inputs || !projected) return FASTLSTM_BAD_POINTER;
    return without_exceptions([&] {
        const int64_t width = 4 * panels_of(isa->loops, H) * isa->loops.lanes;
        run((M + 63) / 64, [&](int64_t member, int64_t members) {
            const int64_t first = M * member / members, last = M * (member + 1) / members;
            isa->loops.project(last - first, I, H, packed, inputs + first * I, projected + first * width);
        });
        return (int32_t)FASTLSTM_OK;
    });
}

int32_t fastlstm_forward(const fastlstm_isa *isa, const fastlstm_forward_arguments *arguments) {
    return without_exceptions([&] { return forward(*isa, *arguments); });
}

int32_t fastlstm_texts(const fastlstm_isa *isa, const fastlstm_texts_arguments *arguments) {
    return without_exceptions([&] { return texts(*isa, *arguments); });
}

int32_t fastlstm_backward(const fastlstm_isa *isa, const fastlstm_backward_arguments *arguments) {
    return without_exceptions([&] { return backward(*isa, *arguments); });
}

int32_t fastlstm_project_backward(const fastlstm_isa *isa, int64_t N, int64_t M, int64_t I, int64_t H,
                                  const float *gates, const int64_t *order, const int64_t *starts,
                                  const float *inputs, const float *weight_ih, float *grad_inputs,
                                  float *grad_weight_ih) {
    return without_exceptions([&] {
        const ProjectBackward p = {M,       I,       H,       gates,   order,       starts,        inputs,
                                   nullptr, nullptr, nullptr, nullptr, grad_inputs, grad_weight_ih};
        return project_backward(isa->loops, N, p, weight_ih);
    });
}

int32_t fastlstm_adam(const fastlstm_isa *isa, const fastlstm_adam_arguments *arguments) {
    return without_exceptions([&] { return adam(isa->loops, *arguments); });
}
