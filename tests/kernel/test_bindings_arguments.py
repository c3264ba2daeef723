"""Wrong arguments are refused, each with an error that says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_calls import METHODS, Calls

from fastlstm.kernel.bindings import Kernel, SavedActivations
from fastlstm.kernel.stack import Stack


@pytest.mark.parametrize("method", METHODS)
def test_right_arguments_are_taken(calls: Calls, method: str) -> None:
    getattr(calls, method)()


f, i, j = np.float32, np.int32, np.int64
WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "weight_ih's rows": ("pack", {"weight_ih": np.ones((27, 3), f)}, r"weight_ih is float32 \[27, 3\].*\[28, 3\]"),
    "weight_ih's type": ("pack", {"weight_ih": np.ones((28, 3))}, "weight_ih is float64 .*expected float32"),
    "weight_ih turned": ("pack", {"weight_ih": np.ones((3, 28), f).T}, "weight_ih .*not contiguous"),
    "weight_hh's shape": ("pack", {"weight_hh": np.ones((27, 7), f)}, "weight_(ih|hh) is .*expected"),
    "bias's shape": ("pack", {"bias": np.ones(27, f)}, r"bias is float32 \[27\].*\[28\]"),
    "no units": (
        "pack",
        {"weight_ih": None, "weight_hh": np.ones((0, 0), f), "bias": np.ones(0, f)},
        "a size is out of range",
    ),
    "words' width": ("project", {"inputs": np.ones((3, 4), f)}, r"inputs is float32 \[3, 4\].*\[3, 3\]"),
    "no words": ("project", {"inputs": np.ones((0, 3), f)}, "a size is out of range"),
    "rising sizes": ("forward", {"batch_sizes": np.array([2, 3])}, "expected"),
    "an empty step": ("forward", {"batch_sizes": np.array([3, 0])}, "0 sequences; expected at least 1"),
    "a negative step": ("forward", {"batch_sizes": np.array([3, -1])}, "-1 sequences; expected at least 1"),
    "no steps": ("forward", {"batch_sizes": np.empty(0, j)}, r"batch_sizes is int64 \[0\]; expected int64 \[1\]"),
    "sizes in a square": ("forward", {"batch_sizes": np.ones((2, 2), j)}, r"batch_sizes is int64 \[2, 2\]"),
    "sizes of int32": ("forward", {"batch_sizes": np.array([3], i)}, "batch_sizes is int32 .*expected int64"),
    "every other size": ("forward", {"batch_sizes": np.ones(8, j)[::2]}, "batch_sizes .*not contiguous"),
    "another's inputs": ("forward", {"inputs": np.ones((2, 3), f)}, r"inputs is float32 \[2, 3\]; expected"),
    "neither inputs nor rows": ("forward", {"inputs": None}, "an array is missing"),
    "h0's shape": ("forward", {"h0": np.ones((3, 6), f)}, r"h0 is float32 \[3, 6\]; expected float32 \[3, 7\]"),
    "c0's shape": ("forward", {"c0": np.ones((2, 7), f)}, r"c0 is float32 \[2, 7\]; expected float32 \[3, 7\]"),
    "no index": ("forward_projected", {"index": None}, "an array is missing"),
    "rows of another width": ("forward_projected", {"projected": np.ones((9, 4), f)}, r"projected is .*\[9, 4\]"),
    "weight_hh of backward": ("backward", {"weight_hh": np.ones((20, 5), f)}, "is .*expected"),
    "inputs alone": ("backward", {"weight_ih": None}, "an array is missing"),
    "outputs' shape": ("backward", {"outputs": np.ones((2, 7), f)}, "outputs is .*whole rows"),
    "outputs turned": ("backward", {"outputs": np.ones((7, 10), f).T}, "outputs is .*expected"),
    "gradients' type": ("backward", {"grad_outputs": np.ones((10, 7))}, "grad_outputs is float64.*float32"),
    "grad_h_n's shape": ("backward", {"grad_h_n": np.ones((3, 8), f)}, r"grad_h_n is float32 \[3, 8\]"),
    "grad_c_n's type": ("backward", {"grad_c_n": np.ones((3, 7))}, "grad_c_n is float64.*float32"),
    "order's type": ("project_backward", {"order": np.ones(3, i)}, "order is int32.*expected int64"),
    "starts' shape": ("project_backward", {"starts": np.zeros(2, j)}, r"starts is int64 \[2\]; expected"),
    "readers' words": ("project_backward", {"inputs": np.ones((4, 2), f)}, "is .*expected"),
    "no starts": ("texts", {"starts": np.empty(0, j)}, r"starts is int64 \[0\]; expected int64 \[1\]"),
    "an empty text": ("texts", {"starts": np.array([0, 2, 2, 5])}, "a size is out of range"),
    "a first start": ("texts", {"starts": np.array([1, 5])}, "a size is out of range"),
    "starts that fall": ("texts", {"starts": np.array([0, 6, 5])}, "a size is out of range"),
    "starts' type": ("texts", {"starts": np.array([0, 5], i)}, "starts is int32.*expected int64"),
    "too few steps": ("texts", {"index": np.zeros(4, i)}, r"index is int32 \[4\]; expected int32 \[5\]"),
    "steps' type": ("texts", {"index": np.zeros(5, j)}, "index is int64.*expected int32"),
    "a word too far": ("texts", {"index": np.array([0, 1, 2, 3, 99], i)}, "an index lies outside"),
    "a word before": ("texts", {"index": np.array([0, 1, 2, 3, -1], i)}, "an index lies outside"),
    "moments' shape": (
        "adam",
        {"mean": np.ones((5, 4), f)},
        r"mean is float32 \[5, 4\]; expected float32 \[5, 3\]",
    ),
    "done's type": ("adam", {"done": np.zeros(5, i)}, "done is int32.*expected int64"),
    "rates' shape": ("adam", {"rates": np.ones((4, 3), f)}, "rates is .*expected"),
    "no step": ("adam", {"rates": np.ones((1, 2), f)}, "a size is out of range"),
    "gradients of others": (
        "adam",
        {"grads": np.ones((3, 3), f)},
        r"grads is float32 \[3, 3\]; expected .*\[2, 3\]",
    ),
    "a row too far": ("adam", {"rows": np.array([5, 1], i)}, "an index lies outside"),
    "a row before": ("adam", {"rows": np.array([-1, 1], i)}, "an index lies outside"),
    "a row ahead": ("adam", {"done": np.full(5, 4)}, "an index lies outside"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_arguments_are_named(calls: Calls, wrong: str) -> None:
    method, changed, says = WRONG[wrong]
    with pytest.raises(ValueError, match=says):
        getattr(calls, method)(**changed)


@pytest.mark.parametrize("bad", [-1, "M", 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("at", [0, -1])
def test_an_index_outside_is_refused(calls: Calls, bad: int | str, at: int) -> None:
    index = calls.b.index.copy()
    index[at] = len(calls.projected) if bad == "M" else bad
    with pytest.raises(ValueError, match="an index lies outside"):
        calls.forward_projected(index=index)


@pytest.mark.parametrize(
    "spoil", ["order too far", "order before", "starts fall", "starts begin late", "starts end early"]
)
def test_readers_outside_are_refused(calls: Calls, spoil: str) -> None:
    order, starts = calls.order.copy(), calls.starts.copy()
    if spoil == "order too far":
        order[3] = len(order)
    elif spoil == "order before":
        order[3] = -1
    elif spoil == "starts fall":
        starts[1] = starts[-1] + 1
    elif spoil == "starts begin late":
        starts[0] = 1
    else:
        starts[-1] -= 1
    with pytest.raises(ValueError, match="an index lies outside"):
        calls.project_backward(order=order, starts=starts)


def test_kept_arrays_of_another_shape_are_refused(calls: Calls) -> None:
    gates, cells = calls.kept.gates, calls.kept.cells
    for kept in (
        SavedActivations(gates[1:], cells),
        SavedActivations(gates, cells[1:]),
        SavedActivations(gates.transpose(0, 2, 1), cells),
    ):
        for method in (calls.forward, calls.backward):
            with pytest.raises(ValueError, match=r"(gates|cells) is float32 .*expected float32"):
                method(kept=kept)


def test_weights_packed_for_other_vectors_are_refused(calls: Calls) -> None:
    other = replace(calls.packed, values=calls.packed.values[:-4])
    with pytest.raises(ValueError, match=r"packed weights is .*expected"):
        calls.forward(packed=other)


@pytest.mark.parametrize("name", ["weight", "mean", "square", "done"])
def test_a_read_only_array_is_not_written_to(calls: Calls, name: str) -> None:
    zeros = np.zeros((3, 5), np.float32)
    state: dict[str, Any] = {key: zeros.copy() for key in ("weight", "mean", "square")}
    state |= {"done": np.zeros(3, np.int64)}
    state[name].flags.writeable = False
    with pytest.raises(ValueError, match=f"{name} is read-only; expected an array that can be written to"):
        calls.kernel.adam(**state, rates=np.ones((2, 2), np.float32), grads=zeros)


def test_rows_that_lie_no_whole_number_apart_are_refused(calls: Calls) -> None:
    memory = np.zeros(1000, np.uint8)
    outputs: Any = np.ndarray((len(calls.b.index), 7), np.float32, memory, strides=(30, 4))
    with pytest.raises(ValueError, match=r"outputs is float32 .*; expected float32 .*, whole rows"):
        calls.forward(outputs=outputs)


def test_layers_that_do_not_fit_are_refused(calls: Calls) -> None:
    packed, projected = calls.packed, calls.projected
    with pytest.raises(ValueError, match="do not fit each other"):
        Stack([[packed], [packed]], [projected], ["last"])
    with pytest.raises(ValueError, match="do not fit each other"):
        Stack([[packed, packed], [packed]], [projected, projected], ["last"])
    with pytest.raises(ValueError, match="1 directions are projected; expected 2"):
        Stack([[packed, packed]], [projected], ["last"])
    with pytest.raises(ValueError, match=r"projected is .*expected"):
        Stack([[packed]], [projected[:, 1:]], ["last"])
    with pytest.raises(ValueError, match="a size is out of range"):
        calls.texts(stack=Stack([[packed]], [projected], []))


def test_an_unknown_instruction_set_is_refused(kernel: Kernel) -> None:
    for isa in ("v1", "V3", "avx", " "):
        with pytest.raises(ValueError, match=f"has not the instruction set {isa}"):
            Kernel(kernel._library, isa)
