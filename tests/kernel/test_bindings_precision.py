"""The forward pass in bfloat16 and int8: the rounding it says, and the bits that hold in float32 too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_exact import Array, Batch, Results, Size, assert_near, assert_same_bits, batch, exact
from tests.helpers.kernel_rounded import NARROW, rounded

from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import Stack

SIZES = [
    Size(11, 67, 5, 13),
    Size(9, 131, 7, 37, reverse=True),
    Size(17, 3, 64, 64),
    Size(23, 1, 5, 31, reverse=True),
    Size(31, 1, 66, 130),
    Size(3, 300, 1, 2),
    Size(7, 3, 3, 600),
    Size(5, 37, 67, 521, reverse=True),
]
LOOSE = {"bfloat16": 0.01, "int8": 0.03}
"""Over many steps a state now and then rounds the other way, since float32 is not float64."""

both_kinds_of_input = pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
each_size = pytest.mark.parametrize("size", SIZES, ids=str)


@pytest.fixture(params=NARROW)
def precision(request: pytest.FixtureRequest, kernel: Kernel) -> str:
    if not kernel.has(request.param):
        pytest.skip(f"this processor has no {request.param} beside {kernel.isa}")
    return str(request.param)


def small(size: Size) -> Batch:
    """A random batch whose inputs and states lie in -1 .. 1, as a layer's outputs do."""
    b = batch(size)
    return replace(b, words=np.tanh(b.words), h0=np.tanh(b.h0))


def came(kernel: Kernel, b: Batch, precision: str, *, projected: bool) -> Results:
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias, precision)
    read: dict[str, Any] = {"inputs": b.inputs}
    if projected:
        words = kernel.project(kernel.pack(b.weight_ih, b.weight_hh, b.bias), b.words)
        read = {"projected": words, "index": b.index}
    results = kernel.forward(packed, b.batch_sizes, **read, h0=b.h0, c0=b.c0, reverse=b.reverse)
    return dict(zip(("outputs", "h_n", "c_n"), results, strict=True))


@both_kinds_of_input
@pytest.mark.parametrize("H", [1, 3, 16, 37, 64, 131, 600])
def test_a_step_is_that_of_rounded_weights_and_states(
    kernel: Kernel, precision: str, H: int, projected: bool
) -> None:
    for B, I in ((1, 5), (7, 66), (40, 3)):  # noqa: E741
        b = small(Size(1, B, I, H))
        assert_near(came(kernel, b, precision, projected=projected), rounded(b, precision, projected=projected))


@both_kinds_of_input
@each_size
def test_many_steps_are_those_of_rounded_weights_and_states(
    kernel: Kernel, precision: str, size: Size, projected: bool
) -> None:
    b = small(size)
    expected = rounded(b, precision, projected=projected)
    assert_near(came(kernel, b, precision, projected=projected), expected, LOOSE[precision])


def test_it_is_near_float64(kernel: Kernel, precision: str) -> None:
    b = small(Size(40, 13, 5, 37))
    assert_near(came(kernel, b, precision, projected=True), exact(b), 5 * LOOSE[precision])


@both_kinds_of_input
@each_size
def test_threads_do_not_change_a_bit(kernel: Kernel, precision: str, size: Size, projected: bool) -> None:
    b = small(size)
    kernel.threads = 1
    expected = came(kernel, b, precision, projected=projected)
    for threads in (2, 3, 8):
        kernel.threads = threads
        assert_same_bits(came(kernel, b, precision, projected=projected), expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("I", "H"), [(5, 13), (64, 64), (3, 600)])
def test_a_sequence_has_the_same_bits_alone_and_in_a_batch(
    kernel: Kernel,
    precision: str,
    I: int,  # noqa: E741
    H: int,
    reverse: bool,
) -> None:
    b = small(Size(13, 37, I, H, reverse))
    whole = came(kernel, b, precision, projected=False)
    for k in range(0, 37, 3):
        alone = came(kernel, b.alone(k), precision, projected=False)
        assert_same_bits({"outputs": whole["outputs"][b.rows[k]]}, alone)
        assert_same_bits({name: whole[name][k : k + 1] for name in ("h_n", "c_n")}, alone)


def test_a_reading_in_two_pieces_is_the_reading(kernel: Kernel, precision: str) -> None:
    b = small(Size(23, 13, 5, 37))
    whole = came(kernel, b, precision, projected=False)
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias, precision)
    cut = 9
    at = int(b.batch_sizes[:cut].sum())
    head = kernel.forward(packed, b.batch_sizes[:cut], inputs=b.inputs[:at], h0=b.h0, c0=b.c0)
    running = int(b.batch_sizes[cut])
    tail = kernel.forward(
        packed,
        b.batch_sizes[cut:],
        inputs=b.inputs[at:],
        h0=head[1][:running].copy(),
        c0=head[2][:running].copy(),
    )
    assert_same_bits({"outputs": whole["outputs"]}, {"outputs": np.concatenate([head[0], tail[0]])})
    assert_same_bits({"h_n": whole["h_n"][:running]}, {"h_n": tail[1]})


def test_gates_and_cells_are_kept(kernel: Kernel, precision: str) -> None:
    b = small(Size(11, 7, 5, 13))
    kept = kernel.keep(len(b.index), 13)
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias, precision)
    outputs, _, _ = kernel.forward(packed, b.batch_sizes, inputs=b.inputs, h0=b.h0, c0=b.c0, kept=kept)
    np.testing.assert_allclose(kept.gates[:, 3, :13] * np.tanh(kept.cells[:, :13]), outputs, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_word_that_is_no_number_stays_in_its_sequence(kernel: Kernel, precision: str, bad: float) -> None:
    b = small(Size(9, 21, 5, 37))
    b = b.with_inputs(b.inputs)
    expected = came(kernel, b, precision, projected=True)
    words = b.words.copy()
    words[b.rows[4][0], 2] = bad
    results = came(kernel, replace(b, words=words), precision, projected=True)
    for k, rows in enumerate(b.rows):
        if k != 4:
            assert_same_bits({"outputs": results["outputs"][rows]}, {"outputs": expected["outputs"][rows]})
    if np.isnan(bad):
        assert np.isnan(results["h_n"][4]).all()


def test_states_beyond_one_count_as_one_in_int8_alone(kernel: Kernel, precision: str) -> None:
    b = small(Size(1, 5, 3, 37))
    far, near = replace(b, h0=3 * np.sign(b.h0)), replace(b, h0=np.sign(b.h0))
    came_far, came_near = (came(kernel, of, precision, projected=True)["h_n"] for of in (far, near))
    assert np.array_equal(came_far, came_near) == (precision == "int8")


def test_rows_of_zeros_and_a_weight_that_is_no_number(kernel: Kernel, precision: str) -> None:
    b = small(Size(5, 3, 7, 19))
    weight_hh = b.weight_hh.copy()
    weight_hh[[0, 19, 40]] = 0
    zeros = replace(b, weight_hh=weight_hh)
    assert_near(came(kernel, zeros, precision, projected=True), rounded(zeros, precision, projected=True), 0.03)
    weight_hh[2 * 19 + 4, 3] = np.nan  # of unit 4's candidate
    results = came(kernel, replace(b, weight_hh=weight_hh), precision, projected=True)
    assert np.isnan(results["c_n"][:, 4]).all()


@pytest.mark.parametrize("precision", ["int8"])
def test_sums_of_int8_that_could_overflow_are_refused(kernel: Kernel, precision: str) -> None:
    if not kernel.has(precision):
        pytest.skip(f"this processor has no {precision} beside {kernel.isa}")
    most, one = 1 << 17, np.ones((4, 1), np.float32)
    bias = np.zeros(4, np.float32)
    b = np.ones((1, most), np.float32)
    packed = kernel.pack(np.full((4, most), 1 / most, np.float32), 0 * one, bias, precision)
    _, _, c = kernel.forward(packed, np.ones(1, np.int64), inputs=b)
    assert c[0, 0] == pytest.approx(np.tanh(1) / (1 + np.exp(-1)), rel=1e-3)
    with pytest.raises(ValueError, match="a size is out of range"):
        kernel.pack(np.ones((4, most + 1), np.float32), one, bias, precision)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [3, 50])
@pytest.mark.parametrize("sizes", [(37, 13), (600, 5)], ids=str)
@pytest.mark.parametrize("directions", [1, 2])
def test_whole_texts_have_the_bits_of_their_layers(
    kernel: Kernel, precision: str, directions: int, sizes: tuple[int, int], count: int, threads: int
) -> None:
    """The larger layer's weights are shared out among the threads, where texts are few."""
    kernel.threads = threads
    generator = np.random.default_rng(5)
    words = generator.standard_normal((29, 5)).astype(np.float32)
    lengths = generator.integers(1, 20, count)
    texts = [generator.integers(0, 29, n, np.int32) for n in lengths]
    layers, projected, inputs = [], [], 5
    for layer, H in enumerate(sizes):
        made = []
        for _ in range(directions):
            weight_ih, weight_hh, bias = (
                (generator.standard_normal(shape) * H**-0.5).astype(np.float32)
                for shape in ((4 * H, inputs), (4 * H, H), (4 * H,))
            )
            if layer == 0:
                projected.append(kernel.project(kernel.pack(weight_ih, weight_hh, bias), words))
            made.append(kernel.pack(weight_ih if layer else None, weight_hh, bias, precision))
        layers.append(made)
        inputs = directions * H
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    stack = Stack(layers, projected, ("last", "highest", "mean"))
    features = kernel.texts(stack, starts, np.concatenate(texts))
    for text, features_of in zip(texts, features, strict=True):
        steps = np.ones(len(text), np.int64)
        first = [
            kernel.forward(packed, steps, projected=rows, index=text, reverse=bool(k))[0]
            for k, (packed, rows) in enumerate(zip(layers[0], projected, strict=True))
        ]
        outputs: Array = np.ascontiguousarray(np.concatenate(first, axis=1))
        read = [
            kernel.forward(packed, steps, inputs=outputs, reverse=bool(k)) for k, packed in enumerate(layers[1])
        ]
        every = np.concatenate([of_steps for of_steps, _, _ in read], axis=1)
        total = np.zeros_like(every[0])
        for step in every:
            total += step
        last = np.concatenate([h[0] for _, h, _ in read])
        expected = np.concatenate([last, every.max(axis=0), total / np.float32(len(text))])
        assert expected.tobytes() == features_of.tobytes()


def test_what_a_processor_lacks_is_refused(kernel: Kernel) -> None:
    b = batch(Size(3, 2, 5, 7))
    assert kernel.has("float32")
    lacking = [name for name in NARROW if not kernel.has(name)]
    for precision in lacking:
        with pytest.raises(ValueError, match="has not the instructions for this precision"):
            kernel.pack(b.weight_ih, b.weight_hh, b.bias, precision)
    if kernel.isa in ("v2", "v3", "neon"):
        assert lacking == list(NARROW)


def test_precisions_are_not_mixed(kernel: Kernel, precision: str) -> None:
    b = batch(Size(3, 2, 7, 7))
    weights = b.weight_ih, b.weight_hh, b.bias
    full, narrow = kernel.pack(*weights), kernel.pack(*weights, precision)
    with pytest.raises(ValueError, match=f"packed in {precision} came; expected float32"):
        kernel.project(narrow, b.words)
    with pytest.raises(ValueError, match="expected one precision"):
        Stack([[full], [narrow]], [kernel.project(full, b.words)], ["last"])
