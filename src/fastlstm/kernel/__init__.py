"""The LSTM itself. Callers use `Direction` and never ask which implementation runs."""

from fastlstm.kernel.direction import Direction
from fastlstm.kernel.found import Found, find

__all__ = ["Direction", "Found", "find"]
