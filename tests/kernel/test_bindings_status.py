"""The library itself rejects wrong arguments, with one status per cause, even if the bindings do not check them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_calls import Calls
from tests.helpers.kernel_ngrams import ngram_arguments

from fastlstm.kernel.abi import (
    NGRAM_LOOKUP_SIZE,
    AdamArguments,
    BackwardArguments,
    ForwardArguments,
    InferenceArguments,
)
from fastlstm.kernel.stack import Stack
from fastlstm.text.ngrams import NGRAM_KINDS, NGramLogits

OK, BAD_SIZE, BAD_INDEX, BAD_POINTER, NO_MEMORY = range(5)
BAD_SIZES = [0, -1, -(2**63), 2**63 - 1, 2**62, 2**41]


def forward_arguments(calls: Calls, *, projected: bool = False) -> Any:
    b = calls.batch
    last, inputs = np.empty((2, 3, 7), np.float32), b.inputs
    arguments: Any = ForwardArguments(
        T=len(b.batch_sizes), B=3, I=3, H=7, batch_sizes=b.batch_sizes.ctypes.data,
        packed=calls.packed.values.ctypes.data, inputs=None if projected else inputs.ctypes.data,
        projected=calls.projected.ctypes.data, index=b.index.ctypes.data, M=len(calls.projected),
        h0=b.h0.ctypes.data, c0=b.c0.ctypes.data, outputs=calls.outputs.ctypes.data, output_stride=7,
        h_n=last[0].ctypes.data, c_n=last[1].ctypes.data,
    )  # fmt: skip
    arguments.arrays = last, inputs  # keeps them alive
    return arguments


def backward_arguments(calls: Calls, *, projected: bool = False) -> Any:
    b = calls.batch
    gradients, inputs = [np.empty(s, np.float32) for s in ((28, 3), (28, 7), (28,))], b.inputs
    arguments: Any = BackwardArguments(
        T=len(b.batch_sizes), B=3, I=3, H=7, batch_sizes=b.batch_sizes.ctypes.data,
        inputs=None if projected else inputs.ctypes.data, weight_ih=b.weight_ih.ctypes.data,
        weight_hh=b.weight_hh.ctypes.data, outputs=calls.outputs.ctypes.data, output_stride=7,
        gates=calls.activations.gates.ctypes.data, cells=calls.activations.cells.ctypes.data, grad_output_stride=7,
        grad_outputs=calls.outputs.ctypes.data, grad_weight_ih=gradients[0].ctypes.data,
        grad_weight_hh=gradients[1].ctypes.data, grad_bias=gradients[2].ctypes.data,
    )  # fmt: skip
    arguments.arrays = gradients, inputs
    return arguments


def inference_arguments(calls: Calls) -> Any:
    stack = Stack([[calls.packed]], [calls.projected], ["last"])
    starts, index, features = np.array([0, 2, 5]), np.zeros(5, np.int32), np.empty((2, 7), np.float32)
    arguments: Any = InferenceArguments.from_buffer_copy(stack.arguments)
    arguments.arrays = stack, starts, index, features
    arguments.texts, arguments.starts, arguments.index = 2, starts.ctypes.data, index.ctypes.data
    arguments.features = features.ctypes.data
    return arguments


def ngram_logits_arguments(calls: Calls) -> Any:
    texts = [np.array([3, 1, 4], np.int32), np.array([1, 5], np.int32)]
    model = NGramLogits(np.array([7, 9], np.int32), np.ones((2, 1), np.float32), NGRAM_KINDS["places"])
    return ngram_arguments(calls.kernel, model, texts)


def adam_arguments(calls: Calls) -> Any:  # noqa: ARG001
    arrays = [np.ones((5, 3), np.float32) for _ in range(5)]
    done, rows = np.zeros(5, np.int64), np.array([3, 1], np.int32)
    weight, mean, square, rates, grads = (array.ctypes.data for array in arrays)
    arguments: Any = AdamArguments(
        V=5, I=3, M=2, rows=rows.ctypes.data, grads=grads, scale=1, beta1=0.9, beta2=0.9, epsilon=1e-8, step=3,
        rates=rates, weight=weight, mean=mean, square=square, last_steps=done.ctypes.data,
    )  # fmt: skip
    arguments.arrays = arrays, done, rows
    return arguments


WEIGHT_GRADIENTS = ("grad_weight_ih", "grad_weight_hh", "grad_bias")
ARGUMENTS: dict[str, tuple[Callable[..., Any], list[str], list[str]]] = {
    "forward": (forward_arguments, ["T", "B", "H", "I", "output_stride"], ["batch_sizes", "packed", "h_n", "c_n"]),
    "backward": (
        backward_arguments,
        ["T", "B", "H", "I", "output_stride", "grad_output_stride"],
        ["batch_sizes", "weight_ih", "weight_hh", "outputs", "gates", "cells", *WEIGHT_GRADIENTS],
    ),
    "infer": (
        inference_arguments,
        ["M", "directions", "layers", "I", "pooling", "texts"],
        ["starts", "index", "projected", "H", "packed", "features"],
    ),
    "ngram_logits": (
        ngram_logits_arguments,
        ["kind_count", "K", "C", "texts", "W", "R"],
        ["kinds", "lookup", "weight", "starts", "tokens", "last", "end_rows", "seen", "tokens_read"],
    ),
    "adam": (adam_arguments, ["V", "I", "M", "step"], ["rates", "weight", "mean", "square", "last_steps"]),
}


def call_status(calls: Calls, name: str, arguments: Any) -> int:
    return int(getattr(calls.kernel._library, name)(calls.kernel._isa, ctypes.byref(arguments)))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_size_out_of_range_returns_bad_size(calls: Calls, name: str) -> None:
    make, sizes, _ = ARGUMENTS[name]
    assert call_status(calls, name, make(calls)) == OK
    for size in sizes:
        for bad in BAD_SIZES:
            if (size, bad) in {("texts", 0), ("M", 0), ("I", 0), ("K", 0)} and name not in ("forward", "backward"):
                continue  # zero texts, rows and n-grams, and layers with projected inputs are valid
            if size.endswith("stride") and bad > 0:
                continue
            arguments = make(calls)
            setattr(arguments, size, bad)
            assert call_status(calls, name, arguments) == BAD_SIZE, (size, bad)
    if name in ("forward", "backward"):
        arguments = make(calls)
        arguments.H = 2**18 + 1
        assert call_status(calls, name, arguments) == BAD_SIZE


@pytest.mark.parametrize("name", ARGUMENTS)
def test_missing_array_returns_bad_pointer(calls: Calls, name: str) -> None:
    make, _, pointers = ARGUMENTS[name]
    for pointer in pointers:
        arguments = make(calls)
        setattr(arguments, pointer, None)
        assert call_status(calls, name, arguments) == BAD_POINTER, pointer


def test_logits_are_required_for_whole_texts_only(calls: Calls) -> None:
    arguments = ngram_logits_arguments(calls)
    arguments.logits = None
    assert call_status(calls, "ngram_logits", arguments) == OK
    assert arguments.arrays["tokens_read"].tolist() == [3, 2]
    arguments.last = arguments.end_rows = arguments.seen = arguments.tokens_read = None
    assert call_status(calls, "ngram_logits", arguments) == BAD_POINTER


@pytest.mark.parametrize("bad", [-1, 2**62])
def test_invalid_number_of_tokens_read_returns_bad_size(calls: Calls, bad: int) -> None:
    arguments = ngram_logits_arguments(calls)
    arguments.arrays["tokens_read"][1] = bad
    assert call_status(calls, "ngram_logits", arguments) == BAD_SIZE
    assert arguments.arrays["tokens_read"].tolist() == [0, bad]


def test_ngram_lookup_checks_its_arguments(calls: Calls) -> None:
    library, lookup, ids = calls.kernel._library, np.empty(NGRAM_LOOKUP_SIZE, np.uint64), np.array([5, 2], np.int32)
    for K in (-1, 2**22 + 1, 2**62):
        assert library.ngram_lookup(K, ids.ctypes.data, lookup.ctypes.data) == BAD_SIZE
    assert library.ngram_lookup(1, None, lookup.ctypes.data) == BAD_POINTER
    assert library.ngram_lookup(1, ids.ctypes.data, None) == BAD_POINTER
    assert library.ngram_lookup(2, ids.ctypes.data, lookup.ctypes.data) == BAD_INDEX


def test_weight_gradients_may_all_be_omitted(calls: Calls) -> None:
    arguments = backward_arguments(calls)
    for pointer in WEIGHT_GRADIENTS:
        setattr(arguments, pointer, None)
    assert call_status(calls, "backward", arguments) == OK


def test_inputs_or_projected_rows_with_index_are_required(calls: Calls) -> None:
    assert call_status(calls, "forward", forward_arguments(calls, projected=True)) == OK
    for pointer in ("projected", "index"):
        arguments = forward_arguments(calls, projected=True)
        setattr(arguments, pointer, None)
        assert call_status(calls, "forward", arguments) == BAD_POINTER
    for M in (0, -1, 1, int(calls.batch.index.max())):
        arguments = forward_arguments(calls, projected=True)
        arguments.M = M
        assert call_status(calls, "forward", arguments) == BAD_INDEX
    arguments = backward_arguments(calls, projected=True)
    arguments.grad_inputs = calls.outputs.ctypes.data
    assert call_status(calls, "backward", arguments) == BAD_POINTER


@pytest.mark.parametrize(
    "sizes", [[3, 4, 1], [3, 2, 3], [4, 2, 1], [3, 3, 0], [3, -1, -1], [2**62, 1, 1], [-3, 1, 1]]
)
@pytest.mark.parametrize("name", ["forward", "backward"])
def test_rising_or_non_positive_batch_sizes_return_bad_size(calls: Calls, name: str, sizes: list[int]) -> None:
    array = np.array(sizes)
    arguments = ARGUMENTS[name][0](calls)
    arguments.T, arguments.batch_sizes = 3, array.ctypes.data
    assert call_status(calls, name, arguments) == BAD_SIZE


@pytest.mark.parametrize("H", [0, -1, 2**18 + 1, 2**62])
def test_layer_size_out_of_range_returns_bad_size(calls: Calls, H: int) -> None:
    arguments = inference_arguments(calls)
    sizes = np.array([H])
    arguments.H = sizes.ctypes.data
    assert call_status(calls, "infer", arguments) == BAD_SIZE


@pytest.mark.parametrize("bad", BAD_SIZES)
def test_functions_without_structures_check_their_sizes(calls: Calls, bad: int) -> None:
    library, isa, pointer = calls.kernel._library, calls.kernel._isa, calls.packed.values.ctypes.data
    assert library.pack(isa, 0, 3, bad, pointer, pointer, pointer, pointer) == BAD_SIZE
    assert library.packed_size(isa, 0, 3, bad) == 0
    assert library.project(isa, bad, 3, 7, pointer, pointer, pointer) == BAD_SIZE
    assert library.project(isa, 1, bad, 7, pointer, pointer, pointer) == BAD_SIZE
    assert library.project(isa, 1, 3, bad, pointer, pointer, pointer) == BAD_SIZE
    for k in range(4):
        sizes = [bad if k == place else 2 for place in range(4)]
        assert library.project_backward(isa, *sizes, *[pointer] * 7) == BAD_SIZE
    if bad:
        assert library.pack(isa, 0, bad, 7, pointer, pointer, pointer, pointer) == BAD_SIZE


def test_functions_without_structures_check_their_pointers(calls: Calls) -> None:
    library, isa, pointer = calls.kernel._library, calls.kernel._isa, calls.packed.values.ctypes.data
    for k in range(4):
        assert library.pack(isa, 0, 3, 7, *[None if k == m else pointer for m in range(4)]) == BAD_POINTER
    for k in range(3):
        assert library.project(isa, 1, 3, 7, *[None if k == m else pointer for m in range(3)]) == BAD_POINTER
    for k in range(7):
        assert (
            library.project_backward(isa, 2, 2, 3, 7, *[None if k == m else pointer for m in range(7)])
            == BAD_POINTER
        )
