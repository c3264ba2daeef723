"""The compiled kernel as a C library: its file, functions and the structures they read. lstm.h is its contract."""

from __future__ import annotations

import ctypes
import sys
from ctypes import c_char_p, c_float, c_int32, c_int64, c_void_p
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ABI = 6
PRECISIONS = ("float32", "bfloat16", "int8")
"""What the forward pass multiplies: see lstm.h. The first is every processor's."""
_FILE_NAMES = {"win32": "fastlstm_kernel.dll", "darwin": "libfastlstm_kernel.dylib"}
FILE_NAME = _FILE_NAMES.get(sys.platform, "libfastlstm_kernel.so")


class Forward(ctypes.Structure):
    """`fastlstm_forward`'s arguments."""

    _fields_ = (
        *((name, c_int64) for name in ("precision", "T", "B", "I", "H", "reverse")),
        *((name, c_void_p) for name in ("batch_sizes", "packed", "inputs", "projected", "index")),
        ("M", c_int64),
        *((name, c_void_p) for name in ("h0", "c0", "outputs")),
        ("output_stride", c_int64),
        *((name, c_void_p) for name in ("h_n", "c_n", "gates", "cells")),
    )


class Texts(ctypes.Structure):
    """`fastlstm_texts`'s arguments."""

    _fields_ = (
        *((name, c_int64) for name in ("precision", "texts")),
        *((name, c_void_p) for name in ("starts", "index")),
        ("M", c_int64),
        ("projected", c_void_p),
        *((name, c_int64) for name in ("directions", "layers", "I")),
        *((name, c_void_p) for name in ("H", "packed")),
        ("pooling", c_int64),
        *((name, c_void_p) for name in ("features", "states", "read")),
    )


class Backward(ctypes.Structure):
    """`fastlstm_backward`'s arguments."""

    _fields_ = (
        *((name, c_int64) for name in ("precision", "T", "B", "I", "H", "reverse")),
        *((name, c_void_p) for name in ("batch_sizes", "inputs", "weight_ih", "weight_hh", "h0", "c0", "outputs")),
        ("output_stride", c_int64),
        *((name, c_void_p) for name in ("gates", "cells", "grad_outputs")),
        ("grad_output_stride", c_int64),
        *((name, c_void_p) for name in ("grad_h_n", "grad_c_n", "grad_inputs", "grad_weight_ih")),
        *((name, c_void_p) for name in ("grad_weight_hh", "grad_bias", "grad_h0", "grad_c0")),
    )


class Adam(ctypes.Structure):
    """`fastlstm_adam`'s arguments."""

    _fields_ = (
        *((name, c_int64) for name in ("V", "I", "M")),
        *((name, c_void_p) for name in ("rows", "grads")),
        *((name, c_float) for name in ("scale", "beta1", "beta2", "epsilon")),
        ("step", c_int64),
        *((name, c_void_p) for name in ("rates", "weight", "mean", "square", "done")),
    )


_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "abi": (c_int32, []),
    "open": (c_void_p, [c_char_p]),
    "isa_name": (c_char_p, [c_void_p]),
    "lanes": (c_int32, [c_void_p]),
    "set_threads": (None, [c_int32]),
    "threads": (c_int32, []),
    "has": (c_int32, [c_void_p, c_int64]),
    "packed_size": (c_int64, [c_void_p, *[c_int64] * 3]),
    "pack": (c_int32, [c_void_p, *[c_int64] * 3, *[c_void_p] * 4]),
    "project": (c_int32, [c_void_p, c_int64, c_int64, c_int64, *[c_void_p] * 3]),
    "forward": (c_int32, [c_void_p, c_void_p]),
    "texts": (c_int32, [c_void_p, c_void_p]),
    "backward": (c_int32, [c_void_p, c_void_p]),
    "project_backward": (c_int32, [c_void_p, *[c_int64] * 4, *[c_void_p] * 7]),
    "adam": (c_int32, [c_void_p, c_void_p]),
}


def load_library(path: Path) -> SimpleNamespace:
    """The functions of the shared library at `path`. Raises `OSError` if it is none, or of another version."""
    library = ctypes.CDLL(str(path))
    version = getattr(library, "fastlstm_abi", None)
    if version is not None and version() != ABI:
        raise OSError(f"{path} has version {version()} of the interface, expected {ABI}")
    functions = SimpleNamespace()
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, f"fastlstm_{name}", None)
        if function is None:
            raise OSError(f"{path} has no function fastlstm_{name}")
        function.restype, function.argtypes = result, arguments
        setattr(functions, name, function)
    return functions
