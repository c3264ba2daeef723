"""Text coloured token by token, as HTML that needs no style sheet and no script."""

from __future__ import annotations

from html import escape

import numpy as np
import numpy.typing as npt

TOWARDS, AWAY = (47, 109, 181), (217, 130, 43)
"""Red, green and blue of what moved the answer towards the class, and away from it."""


def explanation(
    text: str,
    places: npt.NDArray[np.int64],
    moved: npt.NDArray[np.float32],
    title: str,
    *,
    read: npt.NDArray[np.bool_],
) -> str:
    """The text, behind each token a colour as strong as what it moved; tokens that were not read are pale."""
    most = float(np.abs(moved).max(initial=0)) or 1.0
    parts, at = [], 0
    for (first, last), value, was_read in zip(places, moved, read, strict=True):
        parts.append(escape(text[at:first]))
        red, green, blue = TOWARDS if value > 0 else AWAY
        strength = abs(float(value)) / most
        style = f"background:rgba({red},{green},{blue},{strength:.2f});border-radius:3px"
        if not was_read:
            style += ";opacity:0.5"
        parts.append(f'<span style="{style}" title="{value:+.3f}">{escape(text[first:last])}</span>')
        at = last
    parts.append(escape(text[at:]))
    return (
        f'<div style="line-height:1.7"><b>{escape(title)}</b> '
        f'<span style="white-space:pre-wrap">{"".join(parts)}</span></div>'
    )
