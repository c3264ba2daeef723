#include "schedule.h"

#include <algorithm>
#include <atomic>

#include "memory.h"
#include "threads.h"
#include "tuning.h"

namespace fastlstm {
namespace {

// Call work(partition, workspace) for each shard, on several threads.
template <class WorkspaceSize, class Work>
void for_each_shard(int64_t shards, WorkspaceSize workspace_size, Work work) {
    std::atomic<int64_t> next{0};
    const int64_t size = workspace_size(Partition{0, shards, 0, 1, nullptr});
    const int64_t max_members = std::min<int64_t>(threads(), shards);
    const Floats workspaces = allocate_floats(size * max_members);
    run(max_members, [&](int64_t member, int64_t) {
        for (int64_t shard; (shard = next.fetch_add(1)) < shards;)
            work(Partition{shard, shards, 0, 1, nullptr}, workspaces.get() + member * size);
    });
}

// Call work(partition, workspace) on each thread of a team, which shares the hidden units of all sequences.
template <class WorkspaceSize, class Work>
void run_team(int64_t max_members, WorkspaceSize workspace_size, Work work) {
    Barrier barrier;
    const Floats workspace = allocate_floats(workspace_size(Partition{0, 1, 0, max_members, nullptr}));
    run(max_members, [&](int64_t member, int64_t members) {
        work(Partition{0, 1, member, members, &barrier}, workspace.get());
    });
}

// Call work(begin, end) for ranges of `count` parts, on several threads.
template <class Work>
void for_each_range(int64_t count, int64_t max_members, Work work) {
    run(std::min(count, max_members), [&](int64_t member, int64_t members) {
        work(count * member / members, count * (member + 1) / members);
    });
}

// Call work(begin, end) for tasks of `task_rows` rows. Each thread takes the next task.
template <class Work>
void for_each_task(int64_t rows, int64_t task_rows, int64_t max_members, Work work) {
    std::atomic<int64_t> next{0};
    run(std::min((rows + task_rows - 1) / task_rows, max_members), [&](int64_t, int64_t) {
        for (int64_t row; (row = next.fetch_add(task_rows)) < rows;)
            work(row, std::min(rows, row + task_rows));
    });
}

void pack_columns(const IsaKernels &kernels, const PrecisionKernels &precision, int64_t H, int64_t columns,
                  const float *weight, float *packed) {
    for_each_range(
        kernels.column_blocks(columns), 4 * H * columns / min_copy_per_thread,
        [&](int64_t begin, int64_t end) { precision.pack_columns(H, columns, weight, begin, end, packed); });
}

// See tuning.h.
int64_t backward_shards(int64_t sequences) {
    const int64_t min_shards = sequences < min_sequences_of_two_shards ? 1 : 2;
    return std::max(min_shards, std::min(max_backward_shards, sequences / backward_shard_sequences));
}

}  // namespace

int64_t panel_count(const IsaKernels &kernels, int64_t units) {
    return (units + kernels.lanes - 1) / kernels.lanes;
}

bool exceeds_cache(const PrecisionKernels &precision, int64_t I, int64_t H) {
    return precision.packed_size(I, H) > max_cached_weights;
}

void schedule_pack(const IsaKernels &kernels, const PrecisionKernels &precision, int64_t I, int64_t H,
                   const float *weight_ih, const float *weight_hh, const float *bias, float *packed) {
    for_each_range(panel_count(kernels, H), 4 * H * (I + H) / min_copy_per_thread,
                   [&](int64_t begin, int64_t end) {
                       precision.pack(I, H, weight_ih, weight_hh, bias, begin, end, packed);
                   });
}

void schedule_project(const IsaKernels &kernels, int64_t M, int64_t I, int64_t H, const float *packed,
                      const float *inputs, float *projected) {
    const int64_t width = 4 * panel_count(kernels, H) * kernels.lanes;
    const int64_t max_members = (M + min_projection_rows_per_thread - 1) / min_projection_rows_per_thread;
    for_each_range(M, max_members, [&](int64_t begin, int64_t end) {
        kernels.project(end - begin, I, H, packed, inputs + begin * I, projected + begin * width);
    });
}

void schedule_forward(const IsaKernels &kernels, const PrecisionKernels &precision, const ForwardJob &job) {
    const fastlstm_forward_arguments &f = *job.arguments;
    auto size = [&](const Partition &partition) { return precision.forward_workspace_size(f, partition); };
    auto work = [&](const Partition &partition, float *workspace) {
        precision.forward(job, partition, workspace);
    };
    const int64_t max_members = threads();
    if (exceeds_cache(precision, f.inputs ? f.I : 0, f.H) && f.B < min_team_sequences * max_members) {
        run_team(std::min(max_members, panel_count(kernels, f.H)), size, work);
        return;
    }
    const int64_t shards = (f.B + forward_shard_sequences - 1) / forward_shard_sequences;
    for_each_shard(std::min(f.B, std::max(max_members, shards)), size, work);
}

void schedule_backward(const IsaKernels &kernels, const PrecisionKernels &precision,
                       const fastlstm_backward_arguments &b, const int64_t *offsets) {
    const int64_t I = b.inputs ? b.I : 0;
    const bool team = exceeds_cache(kernels.float32, I, b.H);
    const int64_t shards = team ? 1 : backward_shards(b.B);
    const int64_t gradient_size = kernels.weight_gradient_size(I, b.H);
    const Floats packed_hh = allocate_floats(precision.packed_columns_size(b.H, b.H));
    const Floats packed_ih = allocate_floats(precision.packed_columns_size(b.H, I));
    pack_columns(kernels, precision, b.H, b.H, b.weight_hh, packed_hh.get());
    if (I) pack_columns(kernels, precision, b.H, I, b.weight_ih, packed_ih.get());
    const Floats gradients = allocate_floats(shards * gradient_size);

    const BackwardJob job = {&b, offsets, packed_hh.get(), packed_ih.get(), gradients.get()};
    auto size = [&](const Partition &partition) { return precision.backward_workspace_size(b, partition); };
    auto work = [&](const Partition &partition, float *workspace) {
        precision.backward(job, partition, workspace);
    };
    if (team)
        run_team(std::min<int64_t>(threads(), panel_count(kernels, b.H)), size, work);
    else
        for_each_shard(shards, size, work);

    if (!b.grad_weight_hh) return;
    for_each_range(4 * b.H, shards * gradient_size / min_copy_per_thread, [&](int64_t begin, int64_t end) {
        kernels.reduce_weight_gradients(job, shards, begin, end);
    });
}

void schedule_project_backward(const IsaKernels &kernels, ProjectBackwardJob job, const float *weight_ih) {
    const PrecisionKernels &float32 = kernels.float32;
    const int64_t panels = panel_count(kernels, job.H), width = 4 * panels * kernels.lanes;
    const int64_t padded_I = panel_count(kernels, job.I) * kernels.lanes;
    const Floats packed_ih = allocate_floats(float32.packed_columns_size(job.H, job.I));
    const Floats sums = allocate_floats(job.M * kernels.row_stride(width));
    const Floats padded_inputs = allocate_floats(job.M * kernels.row_stride(padded_I));
    const Floats padded_weight = allocate_floats(width * padded_I);
    pack_columns(kernels, float32, job.H, job.I, weight_ih, packed_ih.get());
    job.packed_ih = packed_ih.get();
    job.sums = sums.get();
    job.padded_inputs = padded_inputs.get();
    job.padded_weight = padded_weight.get();

    for_each_task(job.M, projection_task_rows, job.M,
                  [&](int64_t begin, int64_t end) { kernels.project_backward_rows(job, begin, end); });
    for_each_range(panels, panels,
                   [&](int64_t begin, int64_t end) { kernels.project_backward_weight(job, begin, end); });
}

void schedule_adam(const IsaKernels &kernels, const fastlstm_adam_arguments &a) {
    for_each_task(a.M, adam_task_rows, a.M * a.I / min_adam_floats_per_thread,
                  [&](int64_t begin, int64_t end) { kernels.adam(a, begin, end); });
}

}  // namespace fastlstm
