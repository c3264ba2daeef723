"""Keras runs on PyTorch in these tests; its backend must be set before it is imported."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")
