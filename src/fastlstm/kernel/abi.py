"""The C interface of the compiled kernel in ctypes: library file, functions and structs. csrc/lstm.h defines it."""

from __future__ import annotations

import ctypes
import sys
from ctypes import c_char_p, c_float, c_int32, c_int64, c_uint64, c_void_p
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastlstm.errors import FastLSTMError

ABI = 9
"""FASTLSTM_ABI of lstm.h."""
PRECISIONS = ("float32", "bfloat16", "int8")
"""In the order of `fastlstm_precision`. Every processor supports the first."""
NGRAM_IDS = 1 << 22
"""FASTLSTM_NGRAM_IDS: the number of possible n-gram ids."""
NGRAM_TOKENS = 8
"""FASTLSTM_NGRAM_TOKENS: the maximum number of tokens of an n-gram."""
NGRAM_LOOKUP_SIZE = NGRAM_IDS // 64 * 3 // 2
"""FASTLSTM_NGRAM_LOOKUP_SIZE."""
ACTIVATIONS = ("softmax", "sigmoid")
"""In the order of `fastlstm_activation`."""
FILE_NAME = "libfastlstm_kernel.dylib" if sys.platform == "darwin" else "libfastlstm_kernel.so"


class KernelLibraryError(FastLSTMError, OSError):
    """A file is not the kernel library of this version of fastlstm."""

    default_code = "bad-kernel-library"


class ForwardArguments(ctypes.Structure):
    """fastlstm_forward_arguments."""

    _fields_ = (
        *((name, c_int64) for name in ("precision", "T", "B", "I", "H", "reverse")),
        *((name, c_void_p) for name in ("batch_sizes", "packed", "inputs", "projected", "index")),
        ("M", c_int64),
        *((name, c_void_p) for name in ("h0", "c0", "outputs")),
        ("output_stride", c_int64),
        *((name, c_void_p) for name in ("h_n", "c_n", "gates", "cells")),
    )


class InferenceArguments(ctypes.Structure):
    """fastlstm_inference_arguments."""

    _fields_ = (
        *((name, c_int64) for name in ("precision", "texts")),
        *((name, c_void_p) for name in ("starts", "index")),
        ("M", c_int64),
        ("projected", c_void_p),
        *((name, c_int64) for name in ("directions", "layers", "I")),
        *((name, c_void_p) for name in ("H", "packed")),
        ("pooling", c_int64),
        *((name, c_void_p) for name in ("features", "states", "steps_read")),
    )


class BackwardArguments(ctypes.Structure):
    """fastlstm_backward_arguments."""

    _fields_ = (
        *((name, c_int64) for name in ("precision", "T", "B", "I", "H", "reverse")),
        *((name, c_void_p) for name in ("batch_sizes", "inputs", "weight_ih", "weight_hh", "h0", "c0", "outputs")),
        ("output_stride", c_int64),
        *((name, c_void_p) for name in ("gates", "cells", "grad_outputs")),
        ("grad_output_stride", c_int64),
        *((name, c_void_p) for name in ("grad_h_n", "grad_c_n", "grad_inputs", "grad_weight_ih")),
        *((name, c_void_p) for name in ("grad_weight_hh", "grad_bias", "grad_h0", "grad_c0")),
    )


class AdamArguments(ctypes.Structure):
    """fastlstm_adam_arguments."""

    _fields_ = (
        *((name, c_int64) for name in ("V", "I", "M")),
        *((name, c_void_p) for name in ("rows", "grads")),
        *((name, c_float) for name in ("scale", "beta1", "beta2", "epsilon")),
        ("step", c_int64),
        *((name, c_void_p) for name in ("rates", "weight", "mean", "square", "last_steps")),
    )


class TokenizerArguments(ctypes.Structure):
    """fastlstm_tokenizer."""

    _fields_ = (
        ("kinds", c_char_p),
        ("words", c_int64),
        ("characters", c_char_p),
        *((name, c_void_p) for name in ("starts", "ids")),
        *((name, c_int64) for name in ("unknown_id", "slots")),
        ("table", c_void_p),
    )


class KernelNGramKind(ctypes.Structure):
    """fastlstm_ngram_kind."""

    _fields_ = (
        ("tag", c_uint64),
        ("tokens", c_int64),
        ("offsets", c_int64 * NGRAM_TOKENS),
        ("beginning", c_int64),
        ("end", c_int64),
    )


class NGramArguments(ctypes.Structure):
    """fastlstm_ngram_arguments."""

    _fields_ = (
        ("kind_count", c_int64),
        ("kinds", c_void_p),
        *((name, c_int64) for name in ("K", "C")),
        *((name, c_void_p) for name in ("lookup", "weight")),
        ("texts", c_int64),
        *((name, c_void_p) for name in ("starts", "tokens", "logits")),
        *((name, c_int64) for name in ("W", "R")),
        *((name, c_void_p) for name in ("last", "end_rows", "seen", "tokens_read")),
    )


class OutputArguments(ctypes.Structure):
    """fastlstm_output_arguments."""

    _fields_ = (
        *((name, c_int64) for name in ("texts", "F", "C")),
        *((name, c_void_p) for name in ("features", "weight", "bias", "ngram_logits")),
        ("temperature", c_float),
        ("activation", c_int64),
        *((name, c_void_p) for name in ("logits", "probabilities")),
    )


STRUCTS: dict[str, type[ctypes.Structure]] = {
    "fastlstm_forward_arguments": ForwardArguments,
    "fastlstm_inference_arguments": InferenceArguments,
    "fastlstm_backward_arguments": BackwardArguments,
    "fastlstm_adam_arguments": AdamArguments,
    "fastlstm_tokenizer": TokenizerArguments,
    "fastlstm_ngram_kind": KernelNGramKind,
    "fastlstm_ngram_arguments": NGramArguments,
    "fastlstm_output_arguments": OutputArguments,
}

_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "abi": (c_int32, []),
    "struct_size": (c_int64, [c_char_p]),
    "open": (c_void_p, [c_char_p]),
    "isa_name": (c_char_p, [c_void_p]),
    "lanes": (c_int32, [c_void_p]),
    "set_threads": (None, [c_int32]),
    "threads": (c_int32, []),
    "supports": (c_int32, [c_void_p, c_int64]),
    "packed_size": (c_int64, [c_void_p, *[c_int64] * 3]),
    "pack": (c_int32, [c_void_p, *[c_int64] * 3, *[c_void_p] * 4]),
    "project": (c_int32, [c_void_p, *[c_int64] * 3, *[c_void_p] * 3]),
    "forward": (c_int32, [c_void_p, c_void_p]),
    "infer": (c_int32, [c_void_p, c_void_p]),
    "ngram_lookup": (c_int32, [c_int64, *[c_void_p] * 2]),
    "ngram_logits": (c_int32, [c_void_p, c_void_p]),
    "output": (c_int32, [c_void_p]),
    "backward": (c_int32, [c_void_p, c_void_p]),
    "project_backward": (c_int32, [c_void_p, *[c_int64] * 4, *[c_void_p] * 7]),
    "adam": (c_int32, [c_void_p, c_void_p]),
    "index_words": (c_int32, [c_void_p]),
    "token_ids": (c_int32, [c_void_p, c_int64, c_char_p, *[c_void_p] * 3]),
}


def load_library(path: Path) -> SimpleNamespace:
    """Return the functions of the shared library at `path`, without the prefix "fastlstm_".

    Raises:
        OSError: The file is not a shared library.
        KernelLibraryError: It is not a kernel library, or its version or the size of a struct differs.
    """
    library = ctypes.CDLL(str(path))
    if hasattr(library, "fastlstm_abi") and library.fastlstm_abi() != ABI:
        raise _version_mismatch(path, "interface version", library.fastlstm_abi(), ABI)
    functions = SimpleNamespace()
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, f"fastlstm_{name}", None)
        if function is None:
            raise KernelLibraryError(
                f"{path} has no function fastlstm_{name}; expected {FILE_NAME}; reinstall fastlstm",
                path=path,
                function=f"fastlstm_{name}",
            )
        function.restype, function.argtypes = result, arguments
        setattr(functions, name, function)
    for name, struct in STRUCTS.items():
        size, expected = functions.struct_size(name.encode()), ctypes.sizeof(struct)
        if size != expected:
            raise _version_mismatch(path, f"size of {name}", size, expected)
    return functions


def _version_mismatch(path: Path, quantity: str, found: int, expected: int) -> KernelLibraryError:
    return KernelLibraryError(
        f"{path} belongs to another version of fastlstm: {quantity} {found}, expected {expected}; reinstall fastlstm",
        code="kernel-version-mismatch",
        path=path,
        found=found,
        expected=expected,
    )
