"""The LSTM itself: compiled where `find_kernel` finds it, and in NumPy (`reference`)."""

from fastlstm.kernel.loader import KernelInfo, find_kernel

__all__ = ["KernelInfo", "find_kernel"]
