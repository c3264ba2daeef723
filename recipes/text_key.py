"""Texts that differ in case, spaces and punctuation alone count as the same text."""

from __future__ import annotations

import re


def key(text: str) -> str:
    """Return the letters and digits of a text, in lower case."""
    return re.sub(r"[\W_]+", "", text).lower()
