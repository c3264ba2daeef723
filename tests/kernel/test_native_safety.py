"""Wrong arguments are refused, each with an error that says so, and the caller's floating-point mode is its own."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.kernel.exact import Size, batch, readers

from fastlstm.kernel import abi
from fastlstm.kernel.native import Kept, Kernel, Stack

OK, BAD_SIZE, BAD_INDEX, BAD_POINTER, NO_MEMORY = range(5)
HUGE = [0, -1, -(2**63), 2**63 - 1, 2**62, 2**41]


class Calls:
    """Every call of a kernel, with arguments that are right."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.b = kernel, batch(Size(5, 3, 3, 7))
        b = self.b
        self.packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias)
        self.projected = kernel.project(self.packed, b.words)
        self.kept = kernel.keep(len(b.index), 7)
        self.outputs, _, _ = kernel.forward(self.packed, b.batch_sizes, inputs=b.inputs, kept=self.kept)
        self.order, self.starts = readers(b)
        self.alive: Any = None

    def pack(self, **changed: Any) -> Any:
        b = self.b
        return self.kernel.pack(**({"weight_ih": b.weight_ih, "weight_hh": b.weight_hh, "bias": b.bias} | changed))

    def project(self, **changed: Any) -> Any:
        right: dict[str, Any] = {"packed": self.packed, "inputs": self.b.words}
        return self.kernel.project(**(right | changed))

    def forward(self, **changed: Any) -> Any:
        b = self.b
        right: dict[str, Any] = {
            "packed": self.packed, "batch_sizes": b.batch_sizes, "inputs": b.inputs, "h0": b.h0, "c0": b.c0,
            "kept": self.kept,
        }  # fmt: skip
        return self.kernel.forward(**(right | changed))

    def forward_projected(self, **changed: Any) -> Any:
        return self.forward(**({"inputs": None, "projected": self.projected, "index": self.b.index} | changed))

    def backward(self, **changed: Any) -> Any:
        b = self.b
        right: dict[str, Any] = {
            "batch_sizes": b.batch_sizes, "weight_hh": b.weight_hh, "outputs": self.outputs, "kept": self.kept,
            "inputs": b.inputs, "weight_ih": b.weight_ih, "h0": b.h0, "c0": b.c0, "grad_outputs": b.grad_outputs,
            "grad_h_n": b.grad_h_n, "grad_c_n": b.grad_c_n,
        }  # fmt: skip
        return self.kernel.backward(**(right | changed))

    def project_backward(self, **changed: Any) -> Any:
        right: dict[str, Any] = {
            "gates": self.kept.gates, "order": self.order, "starts": self.starts, "inputs": self.b.words,
            "weight_ih": self.b.weight_ih,
        }  # fmt: skip
        return self.kernel.project_backward(**(right | changed))

    def texts(self, **changed: Any) -> Any:
        right: dict[str, Any] = {
            "stack": Stack([[self.packed]], [self.projected], ["last", "mean"]),
            "starts": np.array([0, 2, 5]), "index": np.array([0, 1, 2, 0, 1], np.int32),
        }  # fmt: skip
        return self.kernel.texts(**(right | changed))

    def adam(self, **changed: Any) -> Any:
        right: dict[str, Any] = {
            "weight": np.ones((5, 3), np.float32), "mean": np.ones((5, 3), np.float32),
            "square": np.ones((5, 3), np.float32), "done": np.zeros(5, np.int64),
            "rates": np.ones((4, 2), np.float32), "rows": np.array([3, 1], np.int32),
            "grads": np.ones((2, 3), np.float32),
        }  # fmt: skip
        return self.kernel.adam(**(right | changed))


@pytest.fixture
def calls(kernel: Kernel) -> Calls:
    return Calls(kernel)


METHODS = (
    "pack", "project", "forward", "forward_projected", "backward", "project_backward", "texts", "adam",
)  # fmt: skip


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
    for kept in (Kept(gates[1:], cells), Kept(gates, cells[1:]), Kept(gates.transpose(0, 2, 1), cells)):
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


# By status code, past the binding.


def forward_arguments(calls: Calls, *, projected: bool = False) -> Any:
    b = calls.b
    last = np.empty((2, 3, 7), np.float32)
    calls.alive = last, b.inputs
    return abi.Forward(
        T=len(b.batch_sizes), B=3, I=3, H=7, batch_sizes=b.batch_sizes.ctypes.data,
        packed=calls.packed.values.ctypes.data, inputs=None if projected else calls.alive[1].ctypes.data,
        projected=calls.projected.ctypes.data, index=b.index.ctypes.data, M=len(calls.projected),
        h0=b.h0.ctypes.data, c0=b.c0.ctypes.data, outputs=calls.outputs.ctypes.data, output_stride=7,
        h_n=last[0].ctypes.data, c_n=last[1].ctypes.data,
    )  # fmt: skip


def backward_arguments(calls: Calls, *, projected: bool = False) -> Any:
    b = calls.b
    made = [np.empty(s, np.float32) for s in ((28, 3), (28, 7), (28,))]
    calls.alive = made, b.inputs
    return abi.Backward(
        T=len(b.batch_sizes), B=3, I=3, H=7, batch_sizes=b.batch_sizes.ctypes.data,
        inputs=None if projected else calls.alive[1].ctypes.data, weight_ih=b.weight_ih.ctypes.data,
        weight_hh=b.weight_hh.ctypes.data, outputs=calls.outputs.ctypes.data, output_stride=7,
        gates=calls.kept.gates.ctypes.data, cells=calls.kept.cells.ctypes.data, grad_output_stride=7,
        grad_outputs=calls.outputs.ctypes.data, grad_weight_ih=made[0].ctypes.data,
        grad_weight_hh=made[1].ctypes.data, grad_bias=made[2].ctypes.data,
    )  # fmt: skip


def texts_arguments(calls: Calls) -> Any:
    stack = Stack([[calls.packed]], [calls.projected], ["last"])
    starts, index, features = np.array([0, 2, 5]), np.zeros(5, np.int32), np.empty((2, 7), np.float32)
    calls.alive = stack, starts, index, features
    arguments = abi.Texts.from_buffer_copy(stack.arguments)
    arguments.texts, arguments.starts, arguments.index = 2, starts.ctypes.data, index.ctypes.data
    arguments.features = features.ctypes.data
    return arguments


def adam_arguments(calls: Calls) -> Any:
    arrays = [np.ones((5, 3), np.float32) for _ in range(5)]
    done, rows = np.zeros(5, np.int64), np.array([3, 1], np.int32)
    calls.alive = arrays, done, rows
    weight, mean, square, rates, grads = (array.ctypes.data for array in arrays)
    return abi.Adam(
        V=5, I=3, M=2, rows=rows.ctypes.data, grads=grads, scale=1, beta1=0.9, beta2=0.9, epsilon=1e-8, step=3,
        rates=rates, weight=weight, mean=mean, square=square, done=done.ctypes.data,
    )  # fmt: skip


MADE = ("grad_weight_ih", "grad_weight_hh", "grad_bias")
ARGUMENTS: dict[str, tuple[Callable[..., Any], list[str], list[str]]] = {
    "forward": (forward_arguments, ["T", "B", "H", "I", "output_stride"], ["batch_sizes", "packed", "h_n", "c_n"]),
    "backward": (
        backward_arguments,
        ["T", "B", "H", "I", "output_stride", "grad_output_stride"],
        ["batch_sizes", "weight_ih", "weight_hh", "outputs", "gates", "cells", *MADE],
    ),
    "texts": (
        texts_arguments,
        ["M", "directions", "layers", "I", "pooling", "texts"],
        ["starts", "index", "projected", "H", "packed", "features"],
    ),
    "adam": (adam_arguments, ["V", "I", "M", "step"], ["rates", "weight", "mean", "square", "done"]),
}


def status(calls: Calls, name: str, arguments: Any) -> int:
    return int(getattr(calls.kernel._library, name)(calls.kernel._isa, ctypes.byref(arguments)))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_sizes_out_of_range_have_a_status(calls: Calls, name: str) -> None:
    make, sizes, _ = ARGUMENTS[name]
    assert status(calls, name, make(calls)) == OK
    for size in sizes:
        for bad in HUGE:
            if (size, bad) in {("texts", 0), ("M", 0), ("I", 0)} and name in ("texts", "adam"):
                continue  # no texts, no rows, and layers whose inputs are projected, are none
            if size.endswith("stride") and bad > 0:
                continue
            arguments = make(calls)
            setattr(arguments, size, bad)
            assert status(calls, name, arguments) == BAD_SIZE, (size, bad)
    if name in ("forward", "backward"):
        arguments = make(calls)
        arguments.H = 2**18 + 1
        assert status(calls, name, arguments) == BAD_SIZE


@pytest.mark.parametrize("name", ARGUMENTS)
def test_missing_arrays_have_a_status(calls: Calls, name: str) -> None:
    make, _, pointers = ARGUMENTS[name]
    for pointer in pointers:
        arguments = make(calls)
        setattr(arguments, pointer, None)
        assert status(calls, name, arguments) == BAD_POINTER, pointer


def test_either_inputs_or_projected_rows_and_their_index_are_needed(calls: Calls) -> None:
    assert status(calls, "forward", forward_arguments(calls, projected=True)) == OK
    for pointer in ("projected", "index"):
        arguments = forward_arguments(calls, projected=True)
        setattr(arguments, pointer, None)
        assert status(calls, "forward", arguments) == BAD_POINTER
    for M in (0, -1, 1, int(calls.b.index.max())):
        arguments = forward_arguments(calls, projected=True)
        arguments.M = M
        assert status(calls, "forward", arguments) == BAD_INDEX
    arguments = backward_arguments(calls, projected=True)
    arguments.grad_inputs = calls.outputs.ctypes.data
    assert status(calls, "backward", arguments) == BAD_POINTER


@pytest.mark.parametrize(
    "sizes", [[3, 4, 1], [3, 2, 3], [4, 2, 1], [3, 3, 0], [3, -1, -1], [2**62, 1, 1], [-3, 1, 1]]
)
@pytest.mark.parametrize("name", ["forward", "backward"])
def test_batch_sizes_that_rise_or_end_have_a_status(calls: Calls, name: str, sizes: list[int]) -> None:
    array = np.array(sizes)
    arguments = ARGUMENTS[name][0](calls)
    arguments.T, arguments.batch_sizes = 3, array.ctypes.data
    assert status(calls, name, arguments) == BAD_SIZE


@pytest.mark.parametrize("H", [0, -1, 2**18 + 1, 2**62])
def test_layers_of_impossible_sizes_have_a_status(calls: Calls, H: int) -> None:
    arguments = texts_arguments(calls)
    sizes = np.array([H])
    arguments.H = sizes.ctypes.data
    assert status(calls, "texts", arguments) == BAD_SIZE


@pytest.mark.parametrize("bad", HUGE)
def test_functions_of_plain_sizes_have_a_status(calls: Calls, bad: int) -> None:
    library, isa, at = calls.kernel._library, calls.kernel._isa, calls.packed.values.ctypes.data
    assert library.pack(isa, 0, 3, bad, at, at, at, at) == BAD_SIZE
    assert library.packed_size(isa, 0, 3, bad) == 0
    assert library.project(isa, bad, 3, 7, at, at, at) == BAD_SIZE
    assert library.project(isa, 1, bad, 7, at, at, at) == BAD_SIZE
    assert library.project(isa, 1, 3, bad, at, at, at) == BAD_SIZE
    for k in range(4):
        sizes = [bad if k == at_size else 2 for at_size in range(4)]
        assert library.project_backward(isa, *sizes, *[at] * 7) == BAD_SIZE
    if bad:
        assert library.pack(isa, 0, bad, 7, at, at, at, at) == BAD_SIZE


def test_functions_of_plain_pointers_have_a_status(calls: Calls) -> None:
    library, isa, at = calls.kernel._library, calls.kernel._isa, calls.packed.values.ctypes.data
    for k in range(4):
        assert library.pack(isa, 0, 3, 7, *[None if k == m else at for m in range(4)]) == BAD_POINTER
    for k in range(3):
        assert library.project(isa, 1, 3, 7, *[None if k == m else at for m in range(3)]) == BAD_POINTER
    for k in range(7):
        assert library.project_backward(isa, 2, 2, 3, 7, *[None if k == m else at for m in range(7)]) == BAD_POINTER


def test_an_unknown_instruction_set_is_refused(kernel: Kernel) -> None:
    for isa in ("v1", "V3", "avx", " "):
        with pytest.raises(ValueError, match=f"has not the instruction set {isa}"):
            Kernel(kernel._library, isa)


# The floating-point mode.


def denormals_count() -> bool:
    return bool(np.multiply(np.float32(1e-20), np.full(9, 1e-20, np.float32)).all())


@pytest.fixture
def flushing() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("PyTorch cannot flush denormals on this processor")
    yield
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("method", METHODS)
def test_the_callers_denormals_count_as_before(calls: Calls, method: str) -> None:
    assert denormals_count()
    for threads in (1, 2):
        calls.kernel.threads = threads
        getattr(calls, method)()
        assert denormals_count()


@pytest.mark.parametrize("method", METHODS)
def test_the_callers_denormals_stay_flushed(calls: Calls, flushing: None, method: str) -> None:  # noqa: ARG001
    assert not denormals_count()
    getattr(calls, method)()
    assert not denormals_count()


def test_the_callers_mode_does_not_change_a_bit(calls: Calls) -> None:
    before = calls.forward()[0]
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("PyTorch cannot flush denormals on this processor")
    try:
        assert calls.forward()[0].tobytes() == before.tobytes()
    finally:
        torch.set_flush_denormal(False)
