"""The LSTM computations: the compiled kernel, found by `find_kernel`, and the reference in NumPy."""

from fastlstm.kernel.loader import KernelInfo, find_kernel, limit_threads

__all__ = ["KernelInfo", "find_kernel", "limit_threads"]
