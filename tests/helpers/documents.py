"""Code blocks of Markdown documents."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def code_blocks(document: str) -> list[tuple[str, str]]:
    """Return (language, code) of each fenced block of a document of the repository, in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
