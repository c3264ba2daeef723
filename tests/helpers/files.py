"""Files that tests write."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

WriteFile = Callable[[str, str | bytes], Path]
"""Name and content -> path of the file, below a test's folder."""


def write_file(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file below `folder`, gzipped if its name ends in .gz, and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(encoded) if name.endswith(".gz") else encoded)
    return path
