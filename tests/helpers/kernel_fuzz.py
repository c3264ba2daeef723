"""Random calls of the kernel, in arrays that begin at any float and lie between canaries, against float64.

`scripts/fuzz_kernel.py` runs it from the command line. A case follows from the seed and its number alone.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from tests.helpers.kernel_exact import TOLERANCE, Array, Batch, Results, errors, exact, readers, sizes_of
from tests.helpers.kernel_rounded import rounded, rounded_gradients

from fastlstm._typing import FloatArray
from fastlstm.kernel.abi import PRECISIONS, Backward, Forward, Texts
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.stack import Stack

ROUNDED_TOLERANCE = 0.05  # a state may round the other way now and then
GUARD = 24  # floats before and after every array
CANARY = np.uint32(0x7FA5A5A5)  # a NaN: reading it shows too


class MismatchError(Exception):
    """What a case found."""


@dataclass(frozen=True)
class Case:
    """What one case was drawn as."""

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
    "h0", "c0", "outputs", "kept", "backward", "grad_outputs", "grad_h_n", "grad_c_n", "grad_inputs", "grad_h0",
    "grad_c0",
)  # fmt: skip


def draw(generator: np.random.Generator, isa: str, lanes: int, share: float) -> Case:
    """Mostly small, often around whole vectors, now and then large."""

    def size(most: int, large: int) -> int:
        kind = generator.random()
        if kind < 0.35:
            return int(max(1, lanes * generator.integers(1, 4) + generator.integers(-1, 2)))
        return int(generator.integers(1, (large if kind > 0.99 else most) + 1))

    H = int(generator.integers(257, 330)) if generator.random() < 0.001 else size(20, 90)
    missing = frozenset(name for name in OPTIONAL if generator.random() < 0.15)
    return Case(
        isa=isa,
        threads=int(generator.choice([1, 1, 2, 3, 8])),
        T=int(generator.integers(1, 9) if generator.random() < 0.97 else generator.integers(9, 60)),
        B=int(generator.integers(1, 8) if generator.random() < 0.8 else generator.integers(8, 80)),
        I=size(12, 80),
        H=H,
        M=int(generator.integers(1, 30)),
        reverse=bool(generator.random() < 0.5),
        projected=bool(generator.random() < 0.5),
        missing=missing,
        output_stride=H + int(generator.integers(0, 3) * generator.integers(0, 9)),
        grad_output_stride=H + int(generator.integers(0, 3) * generator.integers(0, 9)),
        compared=bool(generator.random() < share),
    )


class Guarded:
    """Arrays at random alignments between canaries."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._bands: list[tuple[str, Array, Array]] = []

    def empty(self, name: str, *shape: int) -> Array:
        size = int(np.prod(shape))
        memory: FloatArray = np.full(size + 2 * GUARD + 16, CANARY, np.uint32).view(np.float32)
        first = GUARD + int(self._generator.integers(16)) - memory.ctypes.data // 4 % 16
        self._bands.append((name, memory[:first], memory[first + size :]))
        return memory[first : first + size].reshape(shape)

    def copy(self, name: str, values: Array) -> Array:
        array = self.empty(name, *values.shape)
        array[...] = values
        return array

    def check(self) -> None:
        for name, before, after in self._bands:
            if any((band.view(np.uint32) != CANARY).any() for band in (before, after)):
                raise MismatchError(f"something was written beside {name}")


def batch_of(case: Case, generator: np.random.Generator) -> Batch:
    lengths = generator.integers(1, case.T + 1, case.B)
    lengths[0] = case.T
    batch_sizes = sizes_of(lengths)
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


def _at(array: Array | None) -> int | None:
    return None if array is None else array.ctypes.data


def _fine(status: int, call: str) -> None:
    if status:
        raise MismatchError(f"{call} returned {status}")


def call(library: SimpleNamespace, kernel: Kernel, case: Case, b: Batch, room: Guarded) -> Results:
    """What the kernel makes of a case, of the names that `exact` gives."""
    isa, N, B, I, H, P = kernel._isa, len(b.index), case.B, case.I, case.H, kernel.padded(case.H)  # noqa: E741
    wanted = {name: name not in case.missing for name in OPTIONAL}
    weight_ih, weight_hh, bias = (room.copy(n, getattr(b, n)) for n in ("weight_ih", "weight_hh", "bias"))
    h0, c0 = (room.copy(n, getattr(b, n)) if wanted[n] else None for n in ("h0", "c0"))
    packed = room.empty("packed", library.packed_size(isa, 0, I, H))
    _fine(library.pack(isa, 0, I, H, _at(weight_ih), _at(weight_hh), _at(bias), _at(packed)), "pack")
    inputs = None if case.projected else room.copy("inputs", b.inputs)
    words = room.copy("words", b.words)
    projected = room.empty("projected", case.M, 4 * P) if case.projected else None
    if case.projected:
        _fine(library.project(isa, case.M, I, H, _at(packed), _at(words), _at(projected)), "project")
    backward = wanted["backward"] and wanted["kept"] and wanted["outputs"]
    rows = room.empty("outputs", (N - 1) * case.output_stride + H) if wanted["outputs"] else None
    if rows is not None:
        rows.view(np.uint32)[...] = CANARY
    h_n, c_n = room.empty("h_n", B, H), room.empty("c_n", B, H)
    gates = room.empty("gates", N, 4, P) if wanted["kept"] else None
    cells = room.empty("cells", N, P) if wanted["kept"] else None
    forward = Forward(
        0, len(b.batch_sizes), B, I, H, int(case.reverse), _at(b.batch_sizes), _at(packed), _at(inputs),
        _at(projected), _at(b.index), case.M, _at(h0), _at(c0), _at(rows), case.output_stride, _at(h_n), _at(c_n),
        _at(gates), _at(cells),
    )  # fmt: skip
    _fine(library.forward(isa, ctypes.byref(forward)), "forward")
    results = {"h_n": h_n, "c_n": c_n}
    if rows is not None:
        results["outputs"] = np.lib.stride_tricks.as_strided(rows, (N, H), (4 * case.output_stride, 4))
        between = np.ones(len(rows), bool)
        between[(np.arange(N)[:, None] * case.output_stride + np.arange(H)).ravel()] = False
        if (rows.view(np.uint32)[between] != CANARY).any():
            raise MismatchError("something was written between the outputs' rows")
    if gates is not None and cells is not None:
        results |= {"gates": gates[:, :, :H].copy(), "cells": cells[:, :H].copy()}
    if not backward:
        return results

    assert gates is not None
    grad_rows = None
    if b.grad_outputs is not None:
        grad_rows = room.empty("grad_outputs", (N - 1) * case.grad_output_stride + H)
        grad_rows[...] = np.nan
        np.lib.stride_tricks.as_strided(grad_rows, (N, H), (4 * case.grad_output_stride, 4))[...] = b.grad_outputs
    grad_h_n, grad_c_n = (room.copy(n, getattr(b, n)) if wanted[n] else None for n in ("grad_h_n", "grad_c_n"))
    made = {"grad_weight_hh": room.empty("grad_weight_hh", 4 * H, H), "grad_bias": room.empty("grad_bias", 4 * H)}
    if inputs is not None:
        made["grad_weight_ih"] = room.empty("grad_weight_ih", 4 * H, I)
        if wanted["grad_inputs"]:
            made["grad_inputs"] = room.empty("grad_inputs", N, I)
    made |= {name: room.empty(name, B, H) for name in ("grad_h0", "grad_c0") if wanted[name]}
    arguments = Backward(
        0, len(b.batch_sizes), B, I, H, int(case.reverse), _at(b.batch_sizes), _at(inputs),
        _at(weight_ih) if inputs is not None else None, _at(weight_hh), _at(h0), _at(c0), _at(rows),
        case.output_stride, _at(gates), _at(cells), _at(grad_rows), case.grad_output_stride, _at(grad_h_n),
        _at(grad_c_n), _at(made.get("grad_inputs")), _at(made.get("grad_weight_ih")), _at(made["grad_weight_hh"]),
        _at(made["grad_bias"]), _at(made.get("grad_h0")), _at(made.get("grad_c0")),
    )  # fmt: skip
    _fine(library.backward(isa, ctypes.byref(arguments)), "backward")
    results |= made
    if inputs is None:
        results["grad_rows"] = gates[:, :, :H]
        order, starts = readers(b)
        results["grad_words"] = room.empty("grad_words", case.M, I)
        results["grad_weight_ih"] = room.empty("grad_weight_ih", 4 * H, I)
        status = library.project_backward(
            isa, N, case.M, I, H, _at(gates), _at(order), _at(starts), _at(words), _at(weight_ih),
            _at(results["grad_words"]), _at(results["grad_weight_ih"]),
        )  # fmt: skip
        _fine(status, "project_backward")
    elif gates[:, :, :H].tobytes() != results["gates"].tobytes():
        raise MismatchError("the backward pass changed the gates")
    return results


def texts(library: SimpleNamespace, kernel: Kernel, case: Case, b: Batch, room: Guarded) -> None:
    """The batch's sequences as texts, through one layer of one or two directions: its last states' bits."""
    directions = 1 + int(case.reverse)
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias)
    projected = [room.copy("projected", kernel.project(packed, b.words))] * directions
    sequences = b.rows
    starts = np.cumsum([0, *map(len, sequences)]).astype(np.int64)
    index = np.concatenate([b.index[rows] for rows in sequences])
    expected = [
        kernel.forward(packed, b.batch_sizes, projected=projected[0], index=b.index, reverse=reverse)[1]
        for reverse in (False, True)[:directions]
    ]
    features = room.empty("features", case.B, directions * case.H)
    stack = Stack([[packed] * directions], projected, ["last"])
    arguments = Texts.from_buffer_copy(stack.arguments)
    arguments.texts, arguments.starts, arguments.index = case.B, _at(starts), _at(index)
    arguments.features = _at(features)
    _fine(library.texts(kernel._isa, ctypes.byref(arguments)), "texts")
    if features.tobytes() != np.concatenate(expected, 1).tobytes():
        raise MismatchError("texts have other bits than their sequences")


def narrow(library: SimpleNamespace, kernel: Kernel, case: Case, b: Batch, room: Guarded) -> None:
    """The forward pass in the precisions that the processor has beside float32."""
    b = replace(b, words=np.tanh(b.words), h0=np.tanh(b.h0))
    isa, N, B, I, H, P = kernel._isa, len(b.index), case.B, case.I, case.H, kernel.padded(case.H)  # noqa: E741
    projected = room.copy("projected", kernel.project(kernel.pack(b.weight_ih, b.weight_hh, b.bias), b.words))
    for of, precision in enumerate(PRECISIONS):
        if precision == "float32" or not kernel.has(precision):
            continue
        packed = room.empty("packed", library.packed_size(isa, of, I, H))
        weights = (room.copy(n, getattr(b, n)) for n in ("weight_ih", "weight_hh", "bias"))
        _fine(library.pack(isa, of, I, H, *map(_at, weights), _at(packed)), "pack")
        h0, c0, inputs = room.copy("h0", b.h0), room.copy("c0", b.c0), room.copy("inputs", b.inputs)
        h_n, c_n, outputs = room.empty("h_n", B, H), room.empty("c_n", B, H), room.empty("outputs", N, H)
        gates, cells = room.empty("gates", N, 4, P), room.empty("cells", N, P)
        read = (None, _at(projected), _at(b.index), case.M) if case.projected else (_at(inputs), None, None, 0)
        forward = Forward(
            of, len(b.batch_sizes), B, I, H, int(case.reverse), _at(b.batch_sizes), _at(packed), *read,
            _at(h0), _at(c0), _at(outputs), H, _at(h_n), _at(c_n), _at(gates), _at(cells),
        )  # fmt: skip
        _fine(library.forward(isa, ctypes.byref(forward)), f"forward in {precision}")
        if precision == "bfloat16":
            read_gates = gates[:, :, :H].copy()
            gradients = narrow_backward(library, isa, case, b, room, (outputs, gates, cells))
            expected = rounded_gradients(b, outputs, read_gates, cells[:, :H])
            found = errors(gradients, expected, max(0.1, 0.02 * (4 * H) ** 0.5))
            if case.compared and not max(found.values()) <= ROUNDED_TOLERANCE:
                raise MismatchError(f"gradients' errors in {precision} larger than {ROUNDED_TOLERANCE}: {found}")
        if case.compared:
            came = {"outputs": outputs, "h_n": h_n, "c_n": c_n}
            found = errors(came, rounded(b, precision, projected=case.projected), 1)
            if not max(found.values()) <= ROUNDED_TOLERANCE:
                raise MismatchError(f"errors in {precision} larger than {ROUNDED_TOLERANCE}: {found}")


def narrow_backward(
    library: SimpleNamespace, isa: Any, case: Case, b: Batch, room: Guarded, kept: tuple[Array, Array, Array]
) -> Results:
    """The gradients in bfloat16, of a forward pass's outputs, gates and cells."""
    N, B, I, H = len(b.index), case.B, case.I, case.H  # noqa: E741
    outputs, gates, cells = kept
    weight_ih, weight_hh, inputs = (room.copy(n, getattr(b, n)) for n in ("weight_ih", "weight_hh", "inputs"))
    h0, c0, grad_h_n, grad_c_n = (room.copy(n, getattr(b, n)) for n in ("h0", "c0", "grad_h_n", "grad_c_n"))
    grad_outputs = None if b.grad_outputs is None else room.copy("grad_outputs", b.grad_outputs)
    shapes = {"grad_weight_hh": (4 * H, H), "grad_bias": (4 * H,), "grad_h0": (B, H), "grad_c0": (B, H)}
    if not case.projected:
        shapes |= {"grad_weight_ih": (4 * H, I), "grad_inputs": (N, I)}
    made = {name: room.empty(name, *shape) for name, shape in shapes.items()}
    arguments = Backward(
        1, len(b.batch_sizes), B, I, H, int(case.reverse), _at(b.batch_sizes),
        *((None, None) if case.projected else (_at(inputs), _at(weight_ih))), _at(weight_hh), _at(h0), _at(c0),
        _at(outputs), H, _at(gates), _at(cells), _at(grad_outputs), H, _at(grad_h_n), _at(grad_c_n),
        _at(made.get("grad_inputs")),
        _at(made.get("grad_weight_ih")), _at(made["grad_weight_hh"]), _at(made["grad_bias"]), _at(made["grad_h0"]),
        _at(made["grad_c0"]),
    )  # fmt: skip
    _fine(library.backward(isa, ctypes.byref(arguments)), "backward in bfloat16")
    return made | ({"grad_rows": gates[:, :, :H]} if case.projected else {})


def run_case(library: SimpleNamespace, kernel: Kernel, seed: int, number: int, share: float) -> dict[str, float]:
    """The errors of a case, where it is one to compare. Raises `MismatchError`, which names the case."""
    generator = np.random.default_rng([seed, number])
    case = draw(generator, kernel.isa, kernel.padded(1), share)
    kernel.threads = case.threads
    try:
        b, room = batch_of(case, generator), Guarded(generator)
        came = call(library, kernel, case, b, room)
        if number % 8 == 0:
            texts(library, kernel, case, b, room)
        if number % 4 == 1:
            narrow(library, kernel, case, b, room)
        room.check()
        if not case.compared:
            unwritten = [n for n, array in came.items() if not np.isfinite(array).all()]
            if unwritten:
                raise MismatchError(f"not finite: {', '.join(unwritten)}")
            return {}
        # Where a few numbers are all there is, they may all come out near zero: what adds up to them, 4 H gates at
        # most, is near one.
        found = errors(came, exact(b), max(0.1, 0.02 * (4 * case.H) ** 0.5))
        wrong = {name: f"{error:.1e}" for name, error in found.items() if not error <= TOLERANCE}
        if wrong:
            raise MismatchError(f"errors larger than {TOLERANCE}: {wrong}")
    except MismatchError as error:
        raise MismatchError(f"seed {seed}, case {number}: {error}\n{case}") from None
    return found


def run(library: Any, isa: str | None, seed: int, numbers: range, share: float) -> dict[str, float]:
    """The largest errors of many cases. Raises `MismatchError`."""
    kernel, worst = Kernel(library, isa), dict[str, float]()
    for number in numbers:
        for name, error in run_case(library, kernel, seed, number, share).items():
            worst[name] = max(error, worst.get(name, 0.0))
    return worst
