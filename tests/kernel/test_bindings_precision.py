"""The bfloat16 and int8 forward passes: their rounding, and bit-identical results as in float32."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_exact import (
    Array,
    Batch,
    Results,
    Size,
    assert_close,
    assert_same_bits,
    compute_exact,
    random_batch,
)
from tests.helpers.kernel_rounded import LOW_PRECISIONS, compute_rounded, tanh_of

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
LONG_TOLERANCE = {"bfloat16": 0.01, "int8": 0.03}
"""Over many steps a state can round in the other direction, since the kernel computes in float32."""

parametrize_source = pytest.mark.parametrize("projected", [False, True], ids=["inputs", "projected"])
parametrize_size = pytest.mark.parametrize("size", SIZES, ids=str)


@pytest.fixture(params=LOW_PRECISIONS)
def precision(request: pytest.FixtureRequest, kernel: Kernel) -> str:
    if not kernel.supports(request.param):
        pytest.skip(f"this processor does not support {request.param} with {kernel.isa}")
    return str(request.param)


def bounded_batch(size: Size) -> Batch:
    """Return a random batch whose inputs and states lie in -1 .. 1, like the outputs of a layer."""
    b = random_batch(size)
    return replace(b, words=np.tanh(b.words), h0=np.tanh(b.h0))


def run_forward(kernel: Kernel, b: Batch, precision: str, *, projected: bool) -> Results:
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias, precision)
    source: dict[str, Any] = {"inputs": b.inputs}
    if projected:
        words = kernel.project(kernel.pack(b.weight_ih, b.weight_hh, b.bias), b.words)
        source = {"projected": words, "index": b.index}
    results = kernel.forward(packed, b.batch_sizes, **source, h0=b.h0, c0=b.c0, reverse=b.reverse)
    return dict(zip(("outputs", "h_n", "c_n"), results, strict=True))


@parametrize_source
@pytest.mark.parametrize("H", [1, 3, 16, 37, 64, 131, 600])
def test_one_step_matches_rounded_weights_and_states(
    kernel: Kernel, precision: str, H: int, projected: bool
) -> None:
    for B, I in ((1, 5), (7, 66), (40, 3)):  # noqa: E741
        b = bounded_batch(Size(1, B, I, H))
        assert_close(
            run_forward(kernel, b, precision, projected=projected),
            compute_rounded(b, precision, projected=projected),
        )


@parametrize_source
@parametrize_size
def test_many_steps_match_rounded_weights_and_states(
    kernel: Kernel, precision: str, size: Size, projected: bool
) -> None:
    b = bounded_batch(size)
    expected = compute_rounded(b, precision, projected=projected)
    assert_close(run_forward(kernel, b, precision, projected=projected), expected, LONG_TOLERANCE[precision])


def test_low_precision_is_close_to_float64(kernel: Kernel, precision: str) -> None:
    b = bounded_batch(Size(40, 13, 5, 37))
    assert_close(run_forward(kernel, b, precision, projected=True), compute_exact(b), 5 * LONG_TOLERANCE[precision])


@parametrize_source
@parametrize_size
def test_threads_do_not_change_results(kernel: Kernel, precision: str, size: Size, projected: bool) -> None:
    b = bounded_batch(size)
    kernel.threads = 1
    expected = run_forward(kernel, b, precision, projected=projected)
    for threads in (2, 3, 8):
        kernel.threads = threads
        assert_same_bits(run_forward(kernel, b, precision, projected=projected), expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("I", "H"), [(5, 13), (64, 64), (3, 600)])
def test_sequence_is_bit_identical_alone_and_in_a_batch(
    kernel: Kernel,
    precision: str,
    I: int,  # noqa: E741
    H: int,
    reverse: bool,
) -> None:
    b = bounded_batch(Size(13, 37, I, H, reverse))
    results = run_forward(kernel, b, precision, projected=False)
    for k in range(0, 37, 3):
        single = run_forward(kernel, b.sequence(k), precision, projected=False)
        assert_same_bits({"outputs": results["outputs"][b.sequence_rows[k]]}, single)
        assert_same_bits({name: results[name][k : k + 1] for name in ("h_n", "c_n")}, single)


def test_two_calls_with_saved_states_are_bit_identical_to_one_call(kernel: Kernel, precision: str) -> None:
    b = bounded_batch(Size(23, 13, 5, 37))
    results = run_forward(kernel, b, precision, projected=False)
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias, precision)
    cut = 9
    row = int(b.batch_sizes[:cut].sum())
    head = kernel.forward(packed, b.batch_sizes[:cut], inputs=b.inputs[:row], h0=b.h0, c0=b.c0)
    running = int(b.batch_sizes[cut])
    tail = kernel.forward(
        packed,
        b.batch_sizes[cut:],
        inputs=b.inputs[row:],
        h0=head[1][:running].copy(),
        c0=head[2][:running].copy(),
    )
    assert_same_bits({"outputs": results["outputs"]}, {"outputs": np.concatenate([head[0], tail[0]])})
    assert_same_bits({"h_n": results["h_n"][:running]}, {"h_n": tail[1]})


def test_forward_saves_gates_and_cells(kernel: Kernel, precision: str) -> None:
    b = bounded_batch(Size(11, 7, 5, 13))
    activations = kernel.allocate_activations(len(b.index), 13)
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias, precision)
    outputs, _, _ = kernel.forward(
        packed, b.batch_sizes, inputs=b.inputs, h0=b.h0, c0=b.c0, activations=activations
    )
    tanh_of_cells = tanh_of(precision, activations.cells[:, :13].astype(np.float64))
    np.testing.assert_allclose(activations.gates[:, 3, :13] * tanh_of_cells, outputs, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_word_affects_only_its_sequence(kernel: Kernel, precision: str, bad: float) -> None:
    b = bounded_batch(Size(9, 21, 5, 37))
    b = b.with_inputs(b.inputs)
    expected = run_forward(kernel, b, precision, projected=True)
    words = b.words.copy()
    words[b.sequence_rows[4][0], 2] = bad
    results = run_forward(kernel, replace(b, words=words), precision, projected=True)
    for k, rows in enumerate(b.sequence_rows):
        if k != 4:
            assert_same_bits({"outputs": results["outputs"][rows]}, {"outputs": expected["outputs"][rows]})
    if np.isnan(bad):
        assert np.isnan(results["h_n"][4]).all()


def test_only_int8_clips_states_to_one(kernel: Kernel, precision: str) -> None:
    b = bounded_batch(Size(1, 5, 3, 37))
    batches = replace(b, h0=3 * np.sign(b.h0)), replace(b, h0=np.sign(b.h0))
    large, clipped = (run_forward(kernel, each, precision, projected=True)["h_n"] for each in batches)
    assert np.array_equal(large, clipped) == (precision == "int8")


def test_zero_rows_and_nan_weight(kernel: Kernel, precision: str) -> None:
    b = bounded_batch(Size(5, 3, 7, 19))
    weight_hh = b.weight_hh.copy()
    weight_hh[[0, 19, 40]] = 0
    zeros = replace(b, weight_hh=weight_hh)
    assert_close(
        run_forward(kernel, zeros, precision, projected=True),
        compute_rounded(zeros, precision, projected=True),
        0.03,
    )
    weight_hh[2 * 19 + 4, 3] = np.nan  # the candidate gate of unit 4
    results = run_forward(kernel, replace(b, weight_hh=weight_hh), precision, projected=True)
    assert np.isnan(results["c_n"][:, 4]).all()


@pytest.mark.parametrize("precision", ["int8"])
def test_int8_inputs_whose_sum_could_overflow_raise_value_error(kernel: Kernel, precision: str) -> None:
    if not kernel.supports(precision):
        pytest.skip(f"this processor does not support {precision} with {kernel.isa}")
    max_inputs, ones = 1 << 17, np.ones((4, 1), np.float32)
    bias = np.zeros(4, np.float32)
    inputs = np.ones((1, max_inputs), np.float32)
    weight_ih = np.full((4, max_inputs), 1 / max_inputs, np.float32)
    packed = kernel.pack(weight_ih, 0 * ones, bias, precision)
    _, _, c = kernel.forward(packed, np.ones(1, np.int64), inputs=inputs)
    assert c[0, 0] == pytest.approx(np.tanh(1) / (1 + np.exp(-1)), rel=1e-3)
    with pytest.raises(ValueError, match="size"):
        kernel.pack(np.ones((4, max_inputs + 1), np.float32), ones, bias, precision)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [3, 50])
@pytest.mark.parametrize("sizes", [(37, 13), (600, 5)], ids=str)
@pytest.mark.parametrize("directions", [1, 2])
def test_texts_are_bit_identical_to_their_layers_one_by_one(
    kernel: Kernel, precision: str, directions: int, sizes: tuple[int, int], count: int, threads: int
) -> None:
    """With few texts, several threads share the weights of the larger layer."""
    kernel.threads = threads
    generator = np.random.default_rng(5)
    words = generator.standard_normal((29, 5)).astype(np.float32)
    lengths = generator.integers(1, 20, count)
    texts = [generator.integers(0, 29, n, np.int32) for n in lengths]
    layers, projected, inputs = [], [], 5
    for layer, H in enumerate(sizes):
        packed_directions = []
        for _ in range(directions):
            weight_ih, weight_hh, bias = (
                (generator.standard_normal(shape) * H**-0.5).astype(np.float32)
                for shape in ((4 * H, inputs), (4 * H, H), (4 * H,))
            )
            if layer == 0:
                projected.append(kernel.project(kernel.pack(weight_ih, weight_hh, bias), words))
            packed_directions.append(kernel.pack(weight_ih if layer else None, weight_hh, bias, precision))
        layers.append(packed_directions)
        inputs = directions * H
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    stack = Stack(layers, projected, ("last", "max", "mean"))
    features = kernel.infer(stack, starts, np.concatenate(texts))
    for text, text_features in zip(texts, features, strict=True):
        steps = np.ones(len(text), np.int64)
        first = [
            kernel.forward(packed, steps, projected=rows, index=text, reverse=bool(k))[0]
            for k, (packed, rows) in enumerate(zip(layers[0], projected, strict=True))
        ]
        outputs: Array = np.ascontiguousarray(np.concatenate(first, axis=1))
        second = [
            kernel.forward(packed, steps, inputs=outputs, reverse=bool(k)) for k, packed in enumerate(layers[1])
        ]
        outputs = np.concatenate([step_outputs for step_outputs, _, _ in second], axis=1)
        total = np.zeros_like(outputs[0])
        for step in outputs:
            total += step
        last = np.concatenate([h[0] for _, h, _ in second])
        expected = np.concatenate([last, outputs.max(axis=0), total / np.float32(len(text))])
        assert expected.tobytes() == text_features.tobytes()


def test_unsupported_precision_raises_value_error(kernel: Kernel) -> None:
    b = random_batch(Size(3, 2, 5, 7))
    assert kernel.supports("float32")
    unsupported = [name for name in LOW_PRECISIONS if not kernel.supports(name)]
    for precision in unsupported:
        with pytest.raises(ValueError, match="precision"):
            kernel.pack(b.weight_ih, b.weight_hh, b.bias, precision)
    if kernel.isa in ("v2", "v3", "neon"):
        assert unsupported == list(LOW_PRECISIONS)


def test_mixed_precisions_raise_value_error(kernel: Kernel, precision: str) -> None:
    b = random_batch(Size(3, 2, 7, 7))
    weights = b.weight_ih, b.weight_hh, b.bias
    float32, low = kernel.pack(*weights), kernel.pack(*weights, precision)
    with pytest.raises(ValueError, match=f"{precision}.*float32"):
        kernel.project(low, b.words)
    with pytest.raises(ValueError, match="precision"):
        Stack([[float32], [low]], [kernel.project(float32, b.words)], ["last"])
