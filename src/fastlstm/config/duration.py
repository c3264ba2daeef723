"""Durations as people write them: 90s, 10m, 1h30m."""

from __future__ import annotations

import math
import re

from fastlstm.errors import OptionError

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_WRITTEN = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?")


def parse_duration(duration: str | float, name: str = "budget") -> float:
    """The seconds that a duration says: a number of them, or hours, minutes and seconds such as "1h30m".

    Raises `OptionError`, which calls it `name`, for anything else and for what is not above zero.
    """
    if isinstance(duration, str):
        match = _WRITTEN.fullmatch(duration.strip().lower())
        seconds = (
            math.nan if match is None else sum(_UNITS[unit] * float(n) for unit, n in match.groupdict("0").items())
        )
    else:
        seconds = float(duration)
    if not 0 < seconds < math.inf:
        raise OptionError(f"{name} is {duration!r}; expected a duration above zero, such as 90s, 10m or 1h30m")
    return seconds
