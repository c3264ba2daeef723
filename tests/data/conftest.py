from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tests.helpers.files import WriteFile, write_file


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    """Write a file below the test's folder, gzipped if its name ends in .gz."""
    return partial(write_file, tmp_path)
