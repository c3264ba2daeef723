"""The examples in docs/saved-model.md are valid."""

from __future__ import annotations

import json
import re
from pathlib import Path

from fastlstm.config import ModelConfig, from_json
from fastlstm.serialization.classifier import VERSION_1_FIELDS
from fastlstm.serialization.early_exit import EarlyExit

DOCUMENT = Path(__file__).parents[2] / "docs/saved-model.md"
CONFIG, CALIBRATION = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def test_config_example_is_valid() -> None:
    example = json.loads(CONFIG)
    assert set(example) == {"format", "format_version", "labels", "model", "calibration", "sha256", "training"}
    config = from_json(ModelConfig, example["model"], required=VERSION_1_FIELDS)
    assert config.hidden_sizes == (384,)


def test_calibration_example_is_valid() -> None:
    example = json.loads(f"{{{CALIBRATION}}}")["calibration"]
    assert set(example) == {"temperature", "threshold", "early_exit"}
    early_exit = EarlyExit.from_json(example["early_exit"])
    assert early_exit.to_json() == example["early_exit"]
    assert early_exit.threshold_for(0.97).agreement == 0.99
