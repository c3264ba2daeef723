import pytest

from fastlstm.config.options import parse_duration
from fastlstm.errors import OptionError


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("90", 90), ("10m", 600), ("1h30m", 5400), ("1H 30M".replace(" ", ""), 5400), ("0.5h", 1800),
     ("1h2m3s", 3723), (" 5m ", 300), (45, 45), (1.5, 1.5)],
)  # fmt: skip
def test_durations_are_read_as_people_write_them(written: str | float, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize("written", ["", "m", "10 minutes", "-5m", "0s", "1m1h", "nan", float("inf"), -1, 0])
def test_anything_else_is_refused(written: str | float) -> None:
    with pytest.raises(OptionError, match=r"budget is .*; expected a duration above zero, such as"):
        parse_duration(written)
