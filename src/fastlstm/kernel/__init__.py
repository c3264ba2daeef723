"""The LSTM itself. Callers use `forward` from here and never ask which implementation runs."""

from fastlstm.kernel.reference import forward

__all__ = ["forward"]
