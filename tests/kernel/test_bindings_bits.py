"""Results are bit-identical for any number of threads, any batch, any position in it, and any cut in two calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from tests.helpers.kernel_exact import Array, Batch, Results, Size, assert_same_bits, random_batch, run_kernel

from fastlstm.kernel.bindings import Kernel

SIZES = [
    Size(11, 67, 5, 13),
    Size(9, 131, 7, 37, reverse=True),
    Size(17, 3, 64, 64),
    Size(23, 1, 5, 31, reverse=True),
    Size(3, 300, 1, 2),
    Size(7, 3, 3, 311),
    Size(5, 37, 67, 257, reverse=True),
]
SEQUENCE_ARRAYS = ("h_n", "c_n", "grad_h0", "grad_c0")
ROW_ARRAYS = ("outputs", "gates", "cells", "grad_inputs")

parametrize_size = pytest.mark.parametrize("size", SIZES, ids=str)
parametrize_source = pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
parametrize_reverse = pytest.mark.parametrize("reverse", [False, True])


def select_sequence(results: Results, b: Batch, k: int) -> Results:
    """Return the results of one sequence."""
    rows = b.sequence_rows[k]
    return {name: results[name][rows] for name in ROW_ARRAYS} | {name: results[name][k] for name in SEQUENCE_ARRAYS}


def merge_batches(batches: list[Batch]) -> Batch:
    """Merge batches of one sequence each into one batch. Longer sequences must come first."""
    lengths = np.array([len(b.index) for b in batches])
    steps = [(t, k) for t in range(int(lengths.max())) for k in range(len(batches)) if t < lengths[k]]
    inputs = np.array([batches[k].inputs[t] for t, k in steps])
    assert all(b.grad_outputs is not None for b in batches)
    grads = np.array([b.grad_outputs[t] for t, k in steps for b in [batches[k]] if b.grad_outputs is not None])
    states = [np.concatenate([getattr(b, name) for b in batches]) for name in ("h0", "c0", "grad_h_n", "grad_c_n")]
    sizes = np.array([(lengths > t).sum() for t in range(int(lengths.max()))], np.int64)
    h0, c0, grad_h_n, grad_c_n = states
    merged = batches[0].with_inputs(inputs)
    return replace(
        merged, batch_sizes=sizes, h0=h0, c0=c0, grad_outputs=grads, grad_h_n=grad_h_n, grad_c_n=grad_c_n
    )


@parametrize_source
@parametrize_size
def test_threads_do_not_change_results(kernel: Kernel, size: Size, projected: bool) -> None:
    kernel.threads = 1
    expected = run_kernel(kernel, random_batch(size), projected=projected)
    for threads in (2, 3, 8):
        kernel.threads = threads
        assert_same_bits(run_kernel(kernel, random_batch(size), projected=projected), expected)


@parametrize_source
@parametrize_size
def test_repeated_call_is_bit_identical(kernel: Kernel, size: Size, projected: bool) -> None:
    expected = run_kernel(kernel, random_batch(size), projected=projected)
    assert_same_bits(run_kernel(kernel, random_batch(size), projected=projected), expected)


@parametrize_size
def test_inputs_and_their_projections_give_identical_results(kernel: Kernel, size: Size) -> None:
    direct, by_projection = (
        run_kernel(kernel, random_batch(size), projected=projected) for projected in (False, True)
    )
    names = ("outputs", "h_n", "c_n", "gates", "cells")
    assert_same_bits({name: direct[name] for name in names}, by_projection)


@parametrize_reverse
@pytest.mark.parametrize(("I", "H"), [(5, 13), (64, 64), (3, 2), (1, 311)])
def test_sequence_is_bit_identical_alone_and_in_a_batch(kernel: Kernel, I: int, H: int, reverse: bool) -> None:  # noqa: E741
    """Compares outputs, states, gates, cells, and the gradients of its inputs and states."""
    kernel.threads = 3
    b = random_batch(Size(13, 37, I, H, reverse))
    results = run_kernel(kernel, b)
    for k in range(0, 37, 3):
        single = b.sequence(k)
        assert_same_bits(select_sequence(results, b, k), select_sequence(run_kernel(kernel, single), single, 0))


@parametrize_reverse
@pytest.mark.parametrize("count", [1, 2, 5, 6, 31, 32, 33, 70])
def test_position_in_the_batch_does_not_change_results(kernel: Kernel, count: int, reverse: bool) -> None:
    sequence = random_batch(Size(6, 1, 13, 19, reverse))
    expected = select_sequence(run_kernel(kernel, sequence), sequence, 0)
    others = [random_batch(Size(6, 1, 13, 19, reverse, seed)) for seed in range(1, count + 1)]
    for position in sorted({0, 1, count // 2, count - 1, count}):
        b = merge_batches([*others[:position], sequence, *others[position:]])
        b = replace(b, weight_ih=sequence.weight_ih, weight_hh=sequence.weight_hh, bias=sequence.bias)
        assert_same_bits(select_sequence(run_kernel(kernel, b), b, position), expected)


def split_steps(b: Batch, cut: int) -> tuple[tuple[slice, Array], tuple[slice, Array]]:
    """Return the rows and batch sizes of the steps before `cut` and of the steps from `cut` on."""
    row = int(b.batch_sizes[:cut].sum())
    return (slice(0, row), b.batch_sizes[:cut]), (slice(row, len(b.index)), b.batch_sizes[cut:])


@parametrize_reverse
@pytest.mark.parametrize("size", [Size(23, 13, 5, 13), Size(9, 35, 64, 64), Size(11, 5, 3, 311)], ids=str)
def test_two_calls_with_saved_states_are_bit_identical_to_one_call(
    kernel: Kernel, size: Size, reverse: bool
) -> None:
    """A reverse pass starts with the last steps, which only the longer sequences have."""
    b = random_batch(replace(size, reverse=reverse))
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias)
    inputs = b.inputs
    expected = kernel.forward(packed, b.batch_sizes, inputs=inputs, h0=b.h0, c0=b.c0, reverse=reverse)
    for cut in (1, 2, size.T // 2, size.T - 1):
        outputs, h, c = np.empty_like(expected[0]), b.h0.copy(), b.c0.copy()
        for rows, batch_sizes in split_steps(b, cut)[:: -1 if reverse else 1]:
            n = int(batch_sizes[0])
            outputs[rows], h[:n], c[:n] = kernel.forward(
                packed, batch_sizes, inputs=inputs[rows], h0=h[:n].copy(), c0=c[:n].copy(), reverse=reverse
            )
        actual = {"outputs": outputs, "h": h, "c": c}
        assert_same_bits(actual, dict(zip(("outputs", "h", "c"), expected, strict=True)))


@pytest.mark.parametrize("callers", [2, 4])
def test_concurrent_calls_return_their_own_results(kernel: Kernel, callers: int) -> None:
    """Some calls get the library's threads, others run on their own thread alone."""
    kernel.threads = 3
    sizes = [Size(9, 67, 5, 13), Size(31, 5, 64, 64, reverse=True), Size(5, 3, 3, 311), Size(7, 33, 1, 37)][
        :callers
    ]
    expected = [run_kernel(kernel, random_batch(size)) for size in sizes]

    def call(k: int) -> list[Results]:
        return [run_kernel(kernel, random_batch(sizes[k])) for _ in range(20)]

    with ThreadPoolExecutor(callers) as threads:
        for k, results in enumerate(threads.map(call, range(callers))):
            for result in results:
                assert_same_bits(result, expected[k])


def test_number_of_threads_may_change_during_calls(kernel: Kernel) -> None:
    size = Size(9, 67, 5, 13)
    expected = run_kernel(kernel, random_batch(size))
    with ThreadPoolExecutor(1) as caller:
        calls = [caller.submit(run_kernel, kernel, random_batch(size)) for _ in range(40)]
        for k in range(1000):
            kernel.threads = k % 7
        for call in calls:
            assert_same_bits(call.result(), expected)


# NaN and infinity affect only their own sequence.


@parametrize_source
@parametrize_reverse
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("H", [13, 64, 311])
def test_non_finite_input_affects_only_its_sequence(
    kernel: Kernel, H: int, bad: float, reverse: bool, projected: bool
) -> None:
    b = random_batch(Size(9, 21, 5, H, reverse))
    b = b.with_inputs(b.inputs)
    expected = run_kernel(kernel, b, projected=projected)
    bad_sequences, inputs = (2, 11), b.inputs
    for k in bad_sequences:
        inputs[b.sequence_rows[k][len(b.sequence_rows[k]) // 2], 3] = bad
    b = b.with_inputs(inputs)
    results = run_kernel(kernel, b, projected=projected)
    for k, rows in enumerate(b.sequence_rows):
        in_order = rows[::-1] if reverse else rows
        names = ("outputs", "gates", "cells", "grad_rows" if projected else "grad_inputs")
        if k not in bad_sequences:
            assert_same_bits(
                {name: results[name][rows] for name in names}, {name: expected[name][rows] for name in names}
            )
            assert_same_bits(
                {n: results[n][k] for n in SEQUENCE_ARRAYS}, {n: expected[n][k] for n in SEQUENCE_ARRAYS}
            )
            continue
        outputs, first_bad = results["outputs"][in_order], len(rows) // 2 if not reverse else (len(rows) - 1) // 2
        assert outputs[:first_bad].tobytes() == expected["outputs"][in_order][:first_bad].tobytes()
        if np.isnan(bad):
            assert np.isnan(outputs[first_bad:]).all()
            assert np.isnan(results["h_n"][k]).all()
            assert np.isnan(results["c_n"][k]).all()
        else:
            assert (abs(outputs[first_bad:]) <= 1).all()


@parametrize_reverse
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["h0", "c0"])
def test_non_finite_state_affects_only_its_sequence(kernel: Kernel, name: str, bad: float, reverse: bool) -> None:
    b = random_batch(Size(9, 21, 5, 13, reverse))
    expected = run_kernel(kernel, b)
    state = getattr(b, name).copy()
    state[5, 3] = bad
    b = replace(b, h0=state) if name == "h0" else replace(b, c0=state)
    results = run_kernel(kernel, b)
    for k in range(21):
        if k != 5:
            assert_same_bits(select_sequence(results, b, k), select_sequence(expected, b, k))
    outputs = results["outputs"][b.sequence_rows[5]]
    if np.isnan(bad):
        assert np.isnan(outputs[:, 3]).all()
    if np.isnan(bad) and name == "h0":
        assert np.isnan(outputs).all()
