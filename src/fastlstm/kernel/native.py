"""The compiled kernel, by way of ctypes, which lets other Python threads run meanwhile. lstm.h is its contract."""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastlstm.errors import OptionError

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

ABI = 1
_NAMES = {"win32": "fastlstm_kernel.dll", "darwin": "libfastlstm_kernel.dylib"}
FILE_NAME = _NAMES.get(sys.platform, "libfastlstm_kernel.so")


class _Forward(ctypes.Structure):
    _fields_ = [
        *((name, c_int64) for name in ("T", "B", "I", "H", "reverse")),
        *((name, c_void_p) for name in ("batch_sizes", "packed", "inputs", "projected", "index")),
        ("M", c_int64),
        *((name, c_void_p) for name in ("h0", "c0", "outputs")),
        ("output_stride", c_int64),
        *((name, c_void_p) for name in ("h_n", "c_n", "gates", "cells")),
    ]


class _Backward(ctypes.Structure):
    _fields_ = [
        *((name, c_int64) for name in ("T", "B", "I", "H", "reverse")),
        *((name, c_void_p) for name in ("batch_sizes", "inputs", "weight_ih", "weight_hh", "h0", "c0", "outputs")),
        ("output_stride", c_int64),
        *((name, c_void_p) for name in ("gates", "cells", "grad_outputs")),
        ("grad_output_stride", c_int64),
        *((name, c_void_p) for name in ("grad_h_n", "grad_c_n", "grad_inputs", "grad_weight_ih")),
        *((name, c_void_p) for name in ("grad_weight_hh", "grad_bias", "grad_h0", "grad_c0")),
    ]
