"""Wrong arguments raise a ValueError that names the argument."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_calls import METHODS, Calls

from fastlstm.kernel.bindings import Kernel, SavedActivations
from fastlstm.kernel.stack import Stack


@pytest.mark.parametrize("method", METHODS)
def test_valid_arguments_are_accepted(calls: Calls, method: str) -> None:
    getattr(calls, method)()


f, i, j = np.float32, np.int32, np.int64
SIZE, INDEX, MISSING = "size", "index", "missing"
"""Words in the messages for the library's statuses: size out of range, index outside its array, array missing."""

WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "weight_ih rows": ("pack", {"weight_ih": np.ones((27, 3), f)}, r"weight_ih.*float32 \[27, 3\].*\[28, 3\]"),
    "weight_ih dtype": ("pack", {"weight_ih": np.ones((28, 3))}, "weight_ih.*float64.*float32"),
    "weight_ih transposed": ("pack", {"weight_ih": np.ones((3, 28), f).T}, "weight_ih.*contiguous"),
    "weight_hh shape": ("pack", {"weight_hh": np.ones((27, 7), f)}, "weight_(ih|hh)"),
    "bias shape": ("pack", {"bias": np.ones(27, f)}, r"bias.*float32 \[27\].*\[28\]"),
    "no units": ("pack", {"weight_ih": None, "weight_hh": np.ones((0, 0), f), "bias": np.ones(0, f)}, SIZE),
    "input width of words": ("project", {"inputs": np.ones((3, 4), f)}, r"inputs.*float32 \[3, 4\].*\[3, 3\]"),
    "no words": ("project", {"inputs": np.ones((0, 3), f)}, SIZE),
    "rising batch sizes": ("forward", {"batch_sizes": np.array([2, 3])}, "expected"),
    "empty step": ("forward", {"batch_sizes": np.array([3, 0])}, r"\b0\b.*\b1\b"),
    "negative step": ("forward", {"batch_sizes": np.array([3, -1])}, r"-1\b.*\b1\b"),
    "no steps": ("forward", {"batch_sizes": np.empty(0, j)}, r"batch_sizes.*int64 \[0\].*int64 \[1\]"),
    "two-dimensional batch sizes": ("forward", {"batch_sizes": np.ones((2, 2), j)}, r"batch_sizes.*int64 \[2, 2\]"),
    "batch sizes dtype": ("forward", {"batch_sizes": np.array([3], i)}, "batch_sizes.*int32.*int64"),
    "strided batch sizes": ("forward", {"batch_sizes": np.ones(8, j)[::2]}, "batch_sizes.*contiguous"),
    "number of input rows": ("forward", {"inputs": np.ones((2, 3), f)}, r"inputs.*float32 \[2, 3\]"),
    "neither inputs nor projected": ("forward", {"inputs": None}, MISSING),
    "h0 shape": ("forward", {"h0": np.ones((3, 6), f)}, r"h0.*float32 \[3, 6\].*float32 \[3, 7\]"),
    "c0 shape": ("forward", {"c0": np.ones((2, 7), f)}, r"c0.*float32 \[2, 7\].*float32 \[3, 7\]"),
    "no index": ("forward_projected", {"index": None}, MISSING),
    "projected width": ("forward_projected", {"projected": np.ones((9, 4), f)}, r"projected.*\[9, 4\]"),
    "weight_hh of backward": ("backward", {"weight_hh": np.ones((20, 5), f)}, "expected"),
    "inputs without weight_ih": ("backward", {"weight_ih": None}, MISSING),
    "outputs shape": ("backward", {"outputs": np.ones((2, 7), f)}, r"outputs.*float32 \[2, 7\]"),
    "outputs transposed": ("backward", {"outputs": np.ones((7, 10), f).T}, "outputs.*expected"),
    "grad_outputs dtype": ("backward", {"grad_outputs": np.ones((10, 7))}, "grad_outputs.*float64.*float32"),
    "grad_h_n shape": ("backward", {"grad_h_n": np.ones((3, 8), f)}, r"grad_h_n.*float32 \[3, 8\]"),
    "grad_c_n dtype": ("backward", {"grad_c_n": np.ones((3, 7))}, "grad_c_n.*float64.*float32"),
    "order dtype": ("project_backward", {"order": np.ones(3, i)}, "order.*int32.*int64"),
    "starts shape": ("project_backward", {"starts": np.zeros(2, j)}, r"starts.*int64 \[2\]"),
    "inputs of project_backward": ("project_backward", {"inputs": np.ones((4, 2), f)}, "expected"),
    "no starts": ("infer", {"starts": np.empty(0, j)}, r"starts.*int64 \[0\].*int64 \[1\]"),
    "empty text": ("infer", {"starts": np.array([0, 2, 2, 5])}, SIZE),
    "first start not zero": ("infer", {"starts": np.array([1, 5])}, SIZE),
    "falling starts": ("infer", {"starts": np.array([0, 6, 5])}, SIZE),
    "starts dtype": ("infer", {"starts": np.array([0, 5], i)}, "starts.*int32.*int64"),
    "too few tokens": ("infer", {"index": np.zeros(4, i)}, r"index.*int32 \[4\].*int32 \[5\]"),
    "index dtype": ("infer", {"index": np.zeros(5, j)}, "index.*int64.*int32"),
    "token index too large": ("infer", {"index": np.array([0, 1, 2, 3, 99], i)}, INDEX),
    "token index negative": ("infer", {"index": np.array([0, 1, 2, 3, -1], i)}, INDEX),
    "mean shape": ("adam", {"mean": np.ones((5, 4), f)}, r"mean.*float32 \[5, 4\].*float32 \[5, 3\]"),
    "last_steps dtype": ("adam", {"last_steps": np.zeros(5, i)}, "last_steps.*int32.*int64"),
    "rates shape": ("adam", {"rates": np.ones((4, 3), f)}, "rates.*expected"),
    "no step": ("adam", {"rates": np.ones((1, 2), f)}, SIZE),
    "number of gradient rows": ("adam", {"grads": np.ones((3, 3), f)}, r"grads.*float32 \[3, 3\].*\[2, 3\]"),
    "row too large": ("adam", {"rows": np.array([5, 1], i)}, INDEX),
    "negative row": ("adam", {"rows": np.array([-1, 1], i)}, INDEX),
    "row ahead of the step": ("adam", {"last_steps": np.full(5, 4)}, INDEX),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_raise_value_error(calls: Calls, case: str) -> None:
    method, overrides, pattern = WRONG[case]
    with pytest.raises(ValueError, match=pattern):
        getattr(calls, method)(**overrides)


@pytest.mark.parametrize("bad", [-1, "M", 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("position", [0, -1])
def test_index_outside_the_projected_rows_raises_value_error(calls: Calls, bad: int | str, position: int) -> None:
    index = calls.batch.index.copy()
    index[position] = len(calls.projected) if bad == "M" else bad
    with pytest.raises(ValueError, match=INDEX):
        calls.forward_projected(index=index)


@pytest.mark.parametrize(
    "fault", ["order too large", "order negative", "starts fall", "starts begin late", "starts end early"]
)
def test_wrong_order_or_starts_raise_value_error(calls: Calls, fault: str) -> None:
    order, starts = calls.order.copy(), calls.starts.copy()
    if fault == "order too large":
        order[3] = len(order)
    elif fault == "order negative":
        order[3] = -1
    elif fault == "starts fall":
        starts[1] = starts[-1] + 1
    elif fault == "starts begin late":
        starts[0] = 1
    else:
        starts[-1] -= 1
    with pytest.raises(ValueError, match=INDEX):
        calls.project_backward(order=order, starts=starts)


def test_saved_activations_of_another_shape_raise_value_error(calls: Calls) -> None:
    gates, cells = calls.activations.gates, calls.activations.cells
    for activations in (
        SavedActivations(gates[1:], cells),
        SavedActivations(gates, cells[1:]),
        SavedActivations(gates.transpose(0, 2, 1), cells),
    ):
        for method in (calls.forward, calls.backward):
            with pytest.raises(ValueError, match=r"(gates|cells).*float32.*float32"):
                method(activations=activations)


def test_packed_weights_of_another_size_raise_value_error(calls: Calls) -> None:
    other = replace(calls.packed, values=calls.packed.values[:-4])
    with pytest.raises(ValueError, match=r"packed weights.*expected"):
        calls.forward(packed=other)


@pytest.mark.parametrize("name", ["weight", "mean", "square", "last_steps"])
def test_read_only_array_raises_value_error(calls: Calls, name: str) -> None:
    zeros = np.zeros((3, 5), np.float32)
    state: dict[str, Any] = {key: zeros.copy() for key in ("weight", "mean", "square")}
    state |= {"last_steps": np.zeros(3, np.int64)}
    state[name].flags.writeable = False
    with pytest.raises(ValueError, match=f"{name}.*read-only"):
        calls.kernel.adam(**state, rates=np.ones((2, 2), np.float32), grads=zeros)


def test_row_stride_that_is_not_a_multiple_of_four_bytes_raises_value_error(calls: Calls) -> None:
    memory = np.zeros(1000, np.uint8)
    outputs: Any = np.ndarray((len(calls.batch.index), 7), np.float32, memory, strides=(30, 4))
    with pytest.raises(ValueError, match=r"outputs.*float32.*float32"):
        calls.forward(outputs=outputs)


def test_layers_of_different_sizes_raise_value_error(calls: Calls) -> None:
    packed, projected = calls.packed, calls.projected
    for layers, projections in (
        ([[packed], [packed]], [projected]),
        ([[packed, packed], [packed]], [projected, projected]),
        ([[packed, packed]], [projected]),
    ):
        with pytest.raises(ValueError, match=r"layers|directions"):
            Stack(layers, projections, ["last"])
    with pytest.raises(ValueError, match=r"projected.*expected"):
        Stack([[packed]], [projected[:, 1:]], ["last"])
    with pytest.raises(ValueError, match=SIZE):
        calls.infer(stack=Stack([[packed]], [projected], []))


def test_unknown_instruction_set_raises_value_error(kernel: Kernel) -> None:
    for isa in ("v1", "V3", "avx", " "):
        with pytest.raises(ValueError, match=f"instruction set.*{isa}"):
            Kernel(kernel._library, isa)
