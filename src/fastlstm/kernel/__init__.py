"""The LSTM itself: compiled where `find` finds it, and in NumPy (`reference`)."""

from fastlstm.kernel.found import Found, find

__all__ = ["Found", "find"]
