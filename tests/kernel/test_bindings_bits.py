"""To the last bit: neither threads, nor the batch, nor the place in it, nor how a reading is cut up change it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from tests.helpers.kernel_exact import Array, Batch, Results, Size, assert_same_bits, batch, computed

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
BY_SEQUENCE = ("h_n", "c_n", "grad_h0", "grad_c0")
BY_ROW = ("outputs", "gates", "cells", "grad_inputs")

each_size = pytest.mark.parametrize("size", SIZES, ids=str)
both_kinds_of_input = pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
both_directions = pytest.mark.parametrize("reverse", [False, True])


def of_sequence(results: Results, b: Batch, k: int) -> Results:
    """What was computed of one sequence alone."""
    rows = b.rows[k]
    return {name: results[name][rows] for name in BY_ROW} | {name: results[name][k] for name in BY_SEQUENCE}


def together(batches: list[Batch]) -> Batch:
    """Several batches of a sequence each as one, in an order that keeps the longest first."""
    lengths = np.array([len(b.index) for b in batches])
    at = [(t, k) for t in range(int(lengths.max())) for k in range(len(batches)) if t < lengths[k]]
    inputs = np.array([batches[k].inputs[t] for t, k in at])
    assert all(b.grad_outputs is not None for b in batches)
    grads = np.array([b.grad_outputs[t] for t, k in at for b in [batches[k]] if b.grad_outputs is not None])
    states = [np.concatenate([getattr(b, name) for b in batches]) for name in ("h0", "c0", "grad_h_n", "grad_c_n")]
    sizes = np.array([(lengths > t).sum() for t in range(int(lengths.max()))], np.int64)
    h0, c0, grad_h_n, grad_c_n = states
    whole = batches[0].with_inputs(inputs)
    return replace(whole, batch_sizes=sizes, h0=h0, c0=c0, grad_outputs=grads, grad_h_n=grad_h_n, grad_c_n=grad_c_n)


@both_kinds_of_input
@each_size
def test_threads_do_not_change_a_bit(kernel: Kernel, size: Size, projected: bool) -> None:
    kernel.threads = 1
    expected = computed(kernel, batch(size), projected=projected)
    for threads in (2, 3, 8):
        kernel.threads = threads
        assert_same_bits(computed(kernel, batch(size), projected=projected), expected)


@both_kinds_of_input
@each_size
def test_a_call_and_its_repetition_give_the_same_bits(kernel: Kernel, size: Size, projected: bool) -> None:
    expected = computed(kernel, batch(size), projected=projected)
    assert_same_bits(computed(kernel, batch(size), projected=projected), expected)


@each_size
def test_inputs_and_their_projections_give_the_same_bits(kernel: Kernel, size: Size) -> None:
    direct, by_projection = (computed(kernel, batch(size), projected=projected) for projected in (False, True))
    names = ("outputs", "h_n", "c_n", "gates", "cells")
    assert_same_bits({name: direct[name] for name in names}, by_projection)


@both_directions
@pytest.mark.parametrize(("I", "H"), [(5, 13), (64, 64), (3, 2), (1, 311)])
def test_a_sequence_has_the_same_bits_alone_and_in_a_batch(kernel: Kernel, I: int, H: int, reverse: bool) -> None:  # noqa: E741
    """Outputs, states, gates, cells, and the gradients of its own inputs and states."""
    kernel.threads = 3
    b = batch(Size(13, 37, I, H, reverse))
    whole = computed(kernel, b)
    for k in range(0, 37, 3):
        alone = b.alone(k)
        assert_same_bits(of_sequence(whole, b, k), of_sequence(computed(kernel, alone), alone, 0))


@both_directions
@pytest.mark.parametrize("mates", [1, 2, 5, 6, 31, 32, 33, 70])
def test_the_place_in_the_batch_does_not_change_a_bit(kernel: Kernel, mates: int, reverse: bool) -> None:
    sequence = batch(Size(6, 1, 13, 19, reverse))
    expected = of_sequence(computed(kernel, sequence), sequence, 0)
    others = [batch(Size(6, 1, 13, 19, reverse, seed)) for seed in range(1, mates + 1)]
    for place in sorted({0, 1, mates // 2, mates - 1, mates}):
        b = together([*others[:place], sequence, *others[place:]])
        b = replace(b, weight_ih=sequence.weight_ih, weight_hh=sequence.weight_hh, bias=sequence.bias)
        assert_same_bits(of_sequence(computed(kernel, b), b, place), expected)


def pieces(b: Batch, cut: int) -> tuple[tuple[slice, Array], tuple[slice, Array]]:
    """Rows and batch sizes of the steps before `cut`, and of those from it on."""
    at = int(b.batch_sizes[:cut].sum())
    return (slice(0, at), b.batch_sizes[:cut]), (slice(at, len(b.index)), b.batch_sizes[cut:])


@both_directions
@pytest.mark.parametrize("size", [Size(23, 13, 5, 13), Size(9, 35, 64, 64), Size(11, 5, 3, 311)], ids=str)
def test_a_reading_in_two_pieces_is_the_reading(kernel: Kernel, size: Size, reverse: bool) -> None:
    """Forwards the head comes first; backwards the tail, which only the longer sequences have."""
    b = batch(replace(size, reverse=reverse))
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias)
    inputs = b.inputs
    whole = kernel.forward(packed, b.batch_sizes, inputs=inputs, h0=b.h0, c0=b.c0, reverse=reverse)
    for cut in (1, 2, size.T // 2, size.T - 1):
        outputs, h, c = np.empty_like(whole[0]), b.h0.copy(), b.c0.copy()
        for rows, batch_sizes in pieces(b, cut)[:: -1 if reverse else 1]:
            n = int(batch_sizes[0])
            outputs[rows], h[:n], c[:n] = kernel.forward(
                packed, batch_sizes, inputs=inputs[rows], h0=h[:n].copy(), c0=c[:n].copy(), reverse=reverse
            )
        assert_same_bits({"outputs": outputs, "h": h, "c": c}, dict(zip(("outputs", "h", "c"), whole, strict=True)))


@pytest.mark.parametrize("callers", [2, 4])
def test_threads_of_python_may_call_at_once(kernel: Kernel, callers: int) -> None:
    """Some get the library's threads, others work alone; all get their own right bits."""
    kernel.threads = 3
    sizes = [Size(9, 67, 5, 13), Size(31, 5, 64, 64, reverse=True), Size(5, 3, 3, 311), Size(7, 33, 1, 37)][
        :callers
    ]
    expected = [computed(kernel, batch(size)) for size in sizes]

    def call(k: int) -> list[Results]:
        return [computed(kernel, batch(sizes[k])) for _ in range(20)]

    with ThreadPoolExecutor(callers) as threads:
        for k, results in enumerate(threads.map(call, range(callers))):
            for result in results:
                assert_same_bits(result, expected[k])


def test_threads_may_be_set_while_others_call(kernel: Kernel) -> None:
    size = Size(9, 67, 5, 13)
    expected = computed(kernel, batch(size))
    with ThreadPoolExecutor(1) as caller:
        calls = [caller.submit(computed, kernel, batch(size)) for _ in range(40)]
        for k in range(1000):
            kernel.threads = k % 7
        for call in calls:
            assert_same_bits(call.result(), expected)


# What is no number stays where it is.


@both_kinds_of_input
@both_directions
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("H", [13, 64, 311])
def test_what_is_no_finite_input_stays_in_its_sequence(
    kernel: Kernel, H: int, bad: float, reverse: bool, projected: bool
) -> None:
    b = batch(Size(9, 21, 5, H, reverse))
    b = b.with_inputs(b.inputs)
    expected = computed(kernel, b, projected=projected)
    ill, inputs = (2, 11), b.inputs
    for k in ill:
        inputs[b.rows[k][len(b.rows[k]) // 2], 3] = bad
    b = b.with_inputs(inputs)
    came = computed(kernel, b, projected=projected)
    for k, rows in enumerate(b.rows):
        read = rows[::-1] if reverse else rows
        names = ("outputs", "gates", "cells", "grad_rows" if projected else "grad_inputs")
        if k not in ill:
            assert_same_bits(
                {name: came[name][rows] for name in names}, {name: expected[name][rows] for name in names}
            )
            assert_same_bits({n: came[n][k] for n in BY_SEQUENCE}, {n: expected[n][k] for n in BY_SEQUENCE})
            continue
        outputs, at = came["outputs"][read], len(rows) // 2 if not reverse else (len(rows) - 1) // 2
        assert outputs[:at].tobytes() == expected["outputs"][read][:at].tobytes()
        if np.isnan(bad):
            assert np.isnan(outputs[at:]).all()
            assert np.isnan(came["h_n"][k]).all()
            assert np.isnan(came["c_n"][k]).all()
        else:
            assert (abs(outputs[at:]) <= 1).all()


@both_directions
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["h0", "c0"])
def test_a_state_that_is_no_number_stays_in_its_sequence(
    kernel: Kernel, name: str, bad: float, reverse: bool
) -> None:
    b = batch(Size(9, 21, 5, 13, reverse))
    expected = computed(kernel, b)
    state = getattr(b, name).copy()
    state[5, 3] = bad
    b = replace(b, h0=state) if name == "h0" else replace(b, c0=state)
    came = computed(kernel, b)
    for k in range(21):
        if k != 5:
            assert_same_bits(of_sequence(came, b, k), of_sequence(expected, b, k))
    outputs = came["outputs"][b.rows[5]]
    if np.isnan(bad):
        assert np.isnan(outputs[:, 3]).all()
    if np.isnan(bad) and name == "h0":
        assert np.isnan(outputs).all()
