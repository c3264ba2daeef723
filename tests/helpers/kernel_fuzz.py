"""Random kernel calls, compared with float64. All arrays have random alignments and lie between canary values.

`scripts/fuzz_kernel.py` runs it from the command line. The seed and the case number determine a case.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from tests.helpers.kernel_exact import (
    TOLERANCE,
    Array,
    Batch,
    Results,
    batch_sizes_of,
    compute_exact,
    relative_errors,
    rows_by_word,
)
from tests.helpers.kernel_guards import CANARY, GuardedArrays, MismatchError
from tests.helpers.kernel_ngrams import check_ngrams
from tests.helpers.kernel_rounded import compute_rounded, compute_rounded_gradients

from fastlstm.kernel.abi import PRECISIONS, BackwardArguments, ForwardArguments, InferenceArguments
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import Stack

LOW_PRECISION_TOLERANCE = 0.05  # a state occasionally rounds in the other direction


@dataclass(frozen=True)
class Case:
    """The random choices of one case."""

    isa: str
    threads: int
    T: int
    B: int
    I: int  # noqa: E741
    H: int
    M: int
    reverse: bool
    projected: bool
    missing: frozenset[str]
    output_stride: int
    grad_output_stride: int
    compared: bool


OPTIONAL = (
    "h0", "c0", "outputs", "activations", "backward", "grad_outputs", "grad_h_n", "grad_c_n", "grad_inputs", "grad_h0",
    "grad_c0",
)  # fmt: skip


def draw_case(generator: np.random.Generator, isa: str, lanes: int, share: float) -> Case:
    """Draw a case. Sizes are mostly small, often near multiples of the vector width, and sometimes large.

    `share` is the fraction of cases whose results are compared with float64.
    """

    def draw_size(usual_max: int, rare_max: int) -> int:
        kind = generator.random()
        if kind < 0.35:
            return int(max(1, lanes * generator.integers(1, 4) + generator.integers(-1, 2)))
        return int(generator.integers(1, (rare_max if kind > 0.99 else usual_max) + 1))

    H = int(generator.integers(257, 330)) if generator.random() < 0.001 else draw_size(20, 90)
    missing = frozenset(name for name in OPTIONAL if generator.random() < 0.15)
    return Case(
        isa=isa,
        threads=int(generator.choice([1, 1, 2, 3, 8])),
        T=int(generator.integers(1, 9) if generator.random() < 0.97 else generator.integers(9, 60)),
        B=int(generator.integers(1, 8) if generator.random() < 0.8 else generator.integers(8, 80)),
        I=draw_size(12, 80),
        H=H,
        M=int(generator.integers(1, 30)),
        reverse=bool(generator.random() < 0.5),
        projected=bool(generator.random() < 0.5),
        missing=missing,
        output_stride=H + int(generator.integers(0, 3) * generator.integers(0, 9)),
        grad_output_stride=H + int(generator.integers(0, 3) * generator.integers(0, 9)),
        compared=bool(generator.random() < share),
    )


def draw_batch(case: Case, generator: np.random.Generator) -> Batch:
    lengths = generator.integers(1, case.T + 1, case.B)
    lengths[0] = case.T
    batch_sizes = batch_sizes_of(lengths)
    N, B, I, H = int(batch_sizes.sum()), case.B, case.I, case.H  # noqa: E741

    def normal(*shape: int, scale: float = 1) -> Array:
        return np.asarray(generator.standard_normal(shape, np.float32) * np.float32(scale))

    words = normal(case.M, I)
    index = generator.integers(0, case.M, N, dtype=np.int32)
    return Batch(
        batch_sizes, words, index, normal(4 * H, I, scale=I**-0.5), normal(4 * H, H, scale=H**-0.5), normal(4 * H),
        **{n: normal(B, H, scale=n not in case.missing) for n in ("h0", "c0", "grad_h_n", "grad_c_n")},
        grad_outputs=None if "grad_outputs" in case.missing else normal(N, H), reverse=case.reverse,
    )  # fmt: skip


def _pointer(array: Array | None) -> int | None:
    return None if array is None else array.ctypes.data


def _pointers(**arrays: Array | None) -> dict[str, int | None]:
    return {name: _pointer(array) for name, array in arrays.items()}


def _check_status(status: int, call: str) -> None:
    if status:
        raise MismatchError(f"{call} returned {status}")


def run_float32(library: SimpleNamespace, kernel: Kernel, case: Case, b: Batch, arrays: GuardedArrays) -> Results:
    """Run a case in float32 and return the results under the names that `compute_exact` uses."""
    isa, N, B, I, H, P = kernel._isa, len(b.index), case.B, case.I, case.H, kernel.padded_units(case.H)  # noqa: E741
    wanted = {name: name not in case.missing for name in OPTIONAL}
    weight_ih, weight_hh, bias = (arrays.copy(n, getattr(b, n)) for n in ("weight_ih", "weight_hh", "bias"))
    h0, c0 = (arrays.copy(n, getattr(b, n)) if wanted[n] else None for n in ("h0", "c0"))
    packed = arrays.empty("packed", library.packed_size(isa, 0, I, H))
    _check_status(
        library.pack(isa, 0, I, H, _pointer(weight_ih), _pointer(weight_hh), _pointer(bias), _pointer(packed)),
        "pack",
    )
    inputs = None if case.projected else arrays.copy("inputs", b.inputs)
    words = arrays.copy("words", b.words)
    projected = arrays.empty("projected", case.M, 4 * P) if case.projected else None
    if case.projected:
        _check_status(
            library.project(isa, case.M, I, H, _pointer(packed), _pointer(words), _pointer(projected)), "project"
        )
    backward = wanted["backward"] and wanted["activations"] and wanted["outputs"]
    rows = arrays.empty("outputs", (N - 1) * case.output_stride + H) if wanted["outputs"] else None
    if rows is not None:
        rows.view(np.uint32)[...] = CANARY
    h_n, c_n = arrays.empty("h_n", B, H), arrays.empty("c_n", B, H)
    gates = arrays.empty("gates", N, 4, P) if wanted["activations"] else None
    cells = arrays.empty("cells", N, P) if wanted["activations"] else None
    forward = ForwardArguments(
        T=len(b.batch_sizes), B=B, I=I, H=H, reverse=int(case.reverse), M=case.M, output_stride=case.output_stride,
        **_pointers(
            batch_sizes=b.batch_sizes, packed=packed, inputs=inputs, projected=projected, index=b.index, h0=h0,
            c0=c0, outputs=rows, h_n=h_n, c_n=c_n, gates=gates, cells=cells,
        ),
    )  # fmt: skip
    _check_status(library.forward(isa, ctypes.byref(forward)), "forward")
    results = {"h_n": h_n, "c_n": c_n}
    if rows is not None:
        results["outputs"] = np.lib.stride_tricks.as_strided(rows, (N, H), (4 * case.output_stride, 4))
        between = np.ones(len(rows), bool)
        between[(np.arange(N)[:, None] * case.output_stride + np.arange(H)).ravel()] = False
        if (rows.view(np.uint32)[between] != CANARY).any():
            raise MismatchError("memory between the rows of the outputs was overwritten")
    if gates is not None and cells is not None:
        results |= {"gates": gates[:, :, :H].copy(), "cells": cells[:, :H].copy()}
    if not backward:
        return results

    assert gates is not None
    grad_rows = None
    if b.grad_outputs is not None:
        grad_rows = arrays.empty("grad_outputs", (N - 1) * case.grad_output_stride + H)
        grad_rows[...] = np.nan
        np.lib.stride_tricks.as_strided(grad_rows, (N, H), (4 * case.grad_output_stride, 4))[...] = b.grad_outputs
    grad_h_n, grad_c_n = (arrays.copy(n, getattr(b, n)) if wanted[n] else None for n in ("grad_h_n", "grad_c_n"))
    gradients = {
        "grad_weight_hh": arrays.empty("grad_weight_hh", 4 * H, H),
        "grad_bias": arrays.empty("grad_bias", 4 * H),
    }
    if inputs is not None:
        gradients["grad_weight_ih"] = arrays.empty("grad_weight_ih", 4 * H, I)
        if wanted["grad_inputs"]:
            gradients["grad_inputs"] = arrays.empty("grad_inputs", N, I)
    gradients |= {name: arrays.empty(name, B, H) for name in ("grad_h0", "grad_c0") if wanted[name]}
    arguments = BackwardArguments(
        T=len(b.batch_sizes), B=B, I=I, H=H, reverse=int(case.reverse), output_stride=case.output_stride,
        grad_output_stride=case.grad_output_stride,
        **_pointers(
            batch_sizes=b.batch_sizes, inputs=inputs, weight_ih=None if inputs is None else weight_ih,
            weight_hh=weight_hh, h0=h0, c0=c0, outputs=rows, gates=gates, cells=cells, grad_outputs=grad_rows,
            grad_h_n=grad_h_n, grad_c_n=grad_c_n, **gradients,
        ),
    )  # fmt: skip
    _check_status(library.backward(isa, ctypes.byref(arguments)), "backward")
    results |= gradients
    if inputs is None:
        results["grad_rows"] = gates[:, :, :H]
        order, starts = rows_by_word(b)
        results["grad_words"] = arrays.empty("grad_words", case.M, I)
        results["grad_weight_ih"] = arrays.empty("grad_weight_ih", 4 * H, I)
        status = library.project_backward(
            isa, N, case.M, I, H, *map(_pointer, (gates, order, starts, words, weight_ih)),
            _pointer(results["grad_words"]), _pointer(results["grad_weight_ih"]),
        )  # fmt: skip
        _check_status(status, "project_backward")
    elif gates[:, :, :H].tobytes() != results["gates"].tobytes():
        raise MismatchError("the backward pass changed the gates")
    return results


def check_texts(library: SimpleNamespace, kernel: Kernel, case: Case, b: Batch, arrays: GuardedArrays) -> None:
    """Check that the features of the sequences, read as texts, equal the last states of `forward` bit by bit."""
    directions = 1 + int(case.reverse)
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias)
    projected = [arrays.copy("projected", kernel.project(packed, b.words))] * directions
    sequences = b.sequence_rows
    starts = np.cumsum([0, *map(len, sequences)]).astype(np.int64)
    index = np.concatenate([b.index[rows] for rows in sequences])
    expected = [
        kernel.forward(packed, b.batch_sizes, projected=projected[0], index=b.index, reverse=reverse)[1]
        for reverse in (False, True)[:directions]
    ]
    features = arrays.empty("features", case.B, directions * case.H)
    stack = Stack([[packed] * directions], projected, ["last"])
    arguments = InferenceArguments.from_buffer_copy(stack.arguments)
    arguments.texts, arguments.starts, arguments.index = case.B, _pointer(starts), _pointer(index)
    arguments.features = _pointer(features)
    _check_status(library.infer(kernel._isa, ctypes.byref(arguments)), "infer")
    if features.tobytes() != np.concatenate(expected, 1).tobytes():
        raise MismatchError("the features of texts differ from the last states of their sequences")


def check_low_precisions(
    library: SimpleNamespace, kernel: Kernel, case: Case, b: Batch, arrays: GuardedArrays
) -> None:
    """Check the passes in the processor's precisions other than float32."""
    b = replace(b, words=np.tanh(b.words), h0=np.tanh(b.h0))
    isa, N, B, I, H, P = kernel._isa, len(b.index), case.B, case.I, case.H, kernel.padded_units(case.H)  # noqa: E741
    projected = arrays.copy("projected", kernel.project(kernel.pack(b.weight_ih, b.weight_hh, b.bias), b.words))
    for precision_index, precision in enumerate(PRECISIONS):
        if precision == "float32" or not kernel.supports(precision):
            continue
        packed = arrays.empty("packed", library.packed_size(isa, precision_index, I, H))
        weights = (arrays.copy(n, getattr(b, n)) for n in ("weight_ih", "weight_hh", "bias"))
        _check_status(library.pack(isa, precision_index, I, H, *map(_pointer, weights), _pointer(packed)), "pack")
        h0, c0, inputs = arrays.copy("h0", b.h0), arrays.copy("c0", b.c0), arrays.copy("inputs", b.inputs)
        h_n, c_n, outputs = arrays.empty("h_n", B, H), arrays.empty("c_n", B, H), arrays.empty("outputs", N, H)
        gates, cells = arrays.empty("gates", N, 4, P), arrays.empty("cells", N, P)
        source: dict[str, Any] = _pointers(inputs=inputs)
        if case.projected:
            source = {"M": case.M, **_pointers(projected=projected, index=b.index)}
        forward = ForwardArguments(
            precision=precision_index, T=len(b.batch_sizes), B=B, I=I, H=H, reverse=int(case.reverse),
            output_stride=H,
            **_pointers(
                batch_sizes=b.batch_sizes, packed=packed, h0=h0, c0=c0, outputs=outputs, h_n=h_n, c_n=c_n,
                gates=gates, cells=cells,
            ),
            **source,
        )  # fmt: skip
        _check_status(library.forward(isa, ctypes.byref(forward)), f"forward in {precision}")
        if precision == "bfloat16":
            forward_gates = gates[:, :, :H].copy()
            gradients = run_bfloat16_backward(library, isa, case, b, arrays, (outputs, gates, cells))
            expected = compute_rounded_gradients(b, outputs, forward_gates, cells[:, :H])
            errors = relative_errors(gradients, expected, max(0.1, 0.02 * (4 * H) ** 0.5))
            if case.compared and not max(errors.values()) <= LOW_PRECISION_TOLERANCE:
                raise MismatchError(f"gradient errors in {precision} exceed {LOW_PRECISION_TOLERANCE}: {errors}")
        if case.compared:
            results = {"outputs": outputs, "h_n": h_n, "c_n": c_n}
            errors = relative_errors(results, compute_rounded(b, precision, projected=case.projected), 1)
            if not max(errors.values()) <= LOW_PRECISION_TOLERANCE:
                raise MismatchError(f"errors in {precision} exceed {LOW_PRECISION_TOLERANCE}: {errors}")


def run_bfloat16_backward(
    library: SimpleNamespace,
    isa: Any,
    case: Case,
    b: Batch,
    arrays: GuardedArrays,
    activations: tuple[Array, Array, Array],
) -> Results:
    """Return the gradients in bfloat16, given a forward pass's outputs, gates and cells."""
    N, B, I, H = len(b.index), case.B, case.I, case.H  # noqa: E741
    outputs, gates, cells = activations
    weight_ih, weight_hh, inputs = (arrays.copy(n, getattr(b, n)) for n in ("weight_ih", "weight_hh", "inputs"))
    h0, c0, grad_h_n, grad_c_n = (arrays.copy(n, getattr(b, n)) for n in ("h0", "c0", "grad_h_n", "grad_c_n"))
    grad_outputs = None if b.grad_outputs is None else arrays.copy("grad_outputs", b.grad_outputs)
    shapes = {"grad_weight_hh": (4 * H, H), "grad_bias": (4 * H,), "grad_h0": (B, H), "grad_c0": (B, H)}
    if not case.projected:
        shapes |= {"grad_weight_ih": (4 * H, I), "grad_inputs": (N, I)}
    gradients = {name: arrays.empty(name, *shape) for name, shape in shapes.items()}
    arguments = BackwardArguments(
        precision=PRECISIONS.index("bfloat16"), T=len(b.batch_sizes), B=B, I=I, H=H, reverse=int(case.reverse),
        output_stride=H, grad_output_stride=H,
        **_pointers(
            batch_sizes=b.batch_sizes, inputs=None if case.projected else inputs,
            weight_ih=None if case.projected else weight_ih, weight_hh=weight_hh, h0=h0, c0=c0, outputs=outputs,
            gates=gates, cells=cells, grad_outputs=grad_outputs, grad_h_n=grad_h_n, grad_c_n=grad_c_n, **gradients,
        ),
    )  # fmt: skip
    _check_status(library.backward(isa, ctypes.byref(arguments)), "backward in bfloat16")
    return gradients | ({"grad_rows": gates[:, :, :H]} if case.projected else {})


def run_case(library: SimpleNamespace, kernel: Kernel, seed: int, number: int, share: float) -> dict[str, float]:
    """Run one case. Return its relative errors, empty if it is not compared. Raises `MismatchError`."""
    generator = np.random.default_rng([seed, number])
    case = draw_case(generator, kernel.isa, kernel.padded_units(1), share)
    kernel.threads = case.threads
    try:
        b, arrays = draw_batch(case, generator), GuardedArrays(generator)
        results = run_float32(library, kernel, case, b, arrays)
        if number % 8 == 0:
            check_texts(library, kernel, case, b, arrays)
        if number % 4 == 1:
            check_low_precisions(library, kernel, case, b, arrays)
        if number % 4 == 2:
            check_ngrams(library, kernel, generator, arrays)
        arrays.check()
        if not case.compared:
            unwritten = [n for n, array in results.items() if not np.isfinite(array).all()]
            if unwritten:
                raise MismatchError(f"not finite: {', '.join(unwritten)}")
            return {}
        # All values of a small array can be near zero although its summands, up to 4 H gates, are near one.
        errors = relative_errors(results, compute_exact(b), max(0.1, 0.02 * (4 * case.H) ** 0.5))
        wrong = {name: f"{error:.1e}" for name, error in errors.items() if not error <= TOLERANCE}
        if wrong:
            raise MismatchError(f"errors exceed {TOLERANCE}: {wrong}")
    except MismatchError as error:
        raise MismatchError(f"seed {seed}, case {number}: {error}\n{case}") from None
    return errors


def run_cases(library: Any, isa: str | None, seed: int, numbers: range, share: float) -> dict[str, float]:
    """Run many cases and return the largest relative errors. Raises `MismatchError`."""
    kernel, worst = Kernel(library, isa), dict[str, float]()
    for number in numbers:
        for name, error in run_case(library, kernel, seed, number, share).items():
            worst[name] = max(error, worst.get(name, 0.0))
    return worst
