from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.damaged_models import (
    MakeFolder,
    ModelFiles,
    check_error_is_documented,
    corrupt_error,
    read_error,
    with_config_value,
    with_file,
)
from tests.helpers.random_models import MakeModel

from fastlstm.errors import ModelTooNewError
from fastlstm.serialization.classifier import GOLDEN, read_classifier, write_classifier
from fastlstm.serialization.folder import CARD, CONFIG, TOKENIZER, WEIGHTS


def test_newer_version_raises_model_too_new_error(model_files: ModelFiles, make_folder: MakeFolder) -> None:
    error = read_error(make_folder(with_config_value(model_files, "format_version", value=6)), ModelTooNewError)
    assert (error.code, error.version, error.supported) == ("model-too-new", 6, 5)
    assert "pip install --upgrade fastlstm" in str(error)


def test_newer_version_may_have_no_known_field(make_folder: MakeFolder) -> None:
    folder = make_folder({CONFIG: b'{"format": "fastlstm", "format_version": 7}'})
    assert read_error(folder, ModelTooNewError).version == 7


@pytest.mark.parametrize("version", [0, -1, "x", "1", 1.0, None, [1]])
def test_invalid_version_is_corrupt(model_files: ModelFiles, make_folder: MakeFolder, version: object) -> None:
    folder = make_folder(with_config_value(model_files, "format_version", value=version))
    assert corrupt_error(folder, CONFIG).field == "format_version"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"not JSON",
        b"\xff\xfe\x00",
        b'{"format": "fastlstm", "format_version": 1',
        b"[" * 100_000,
        b'{"format": "fastlstm", "format_version": ' + b"1" * 5000 + b"}",
    ],
)
def test_config_that_is_not_json_is_corrupt(
    model_files: ModelFiles, make_folder: MakeFolder, content: bytes
) -> None:
    error = corrupt_error(make_folder({**model_files, CONFIG: content}), CONFIG)
    assert isinstance(error.__cause__, ValueError | RecursionError)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.99])
def test_truncated_config_is_corrupt(model_files: ModelFiles, make_folder: MakeFolder, fraction: float) -> None:
    content = model_files[CONFIG][: int(fraction * len(model_files[CONFIG]))]
    corrupt_error(make_folder({**model_files, CONFIG: content}), CONFIG)


@pytest.mark.parametrize("key", ["format_version", "labels", "sha256"])
@pytest.mark.parametrize("depth", [300, 900, 960, 990])
def test_deeply_nested_config_is_corrupt(
    model_files: ModelFiles, make_folder: MakeFolder, depth: int, key: str
) -> None:
    marked = with_config_value(model_files, key, value="HERE")
    content = marked[CONFIG].replace(b'"HERE"', b"[" * depth + b"]" * depth)
    corrupt_error(make_folder({**model_files, CONFIG: content}), CONFIG)


def test_unreadable_config_is_corrupt(
    model_files: ModelFiles, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(model_files)

    def fail(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert isinstance(corrupt_error(folder, CONFIG).__cause__, PermissionError)


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
def test_missing_file_is_corrupt(model_files: ModelFiles, make_folder: MakeFolder, name: str) -> None:
    folder = make_folder(model_files)
    (folder / name).unlink()
    assert isinstance(corrupt_error(folder, name).__cause__, FileNotFoundError)


@pytest.mark.parametrize("name", [CARD, GOLDEN])
def test_card_and_golden_texts_are_optional(model_files: ModelFiles, make_folder: MakeFolder, name: str) -> None:
    folder = make_folder(model_files)
    (folder / name).unlink()
    read_classifier(folder)


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
def test_folder_instead_of_a_file_is_corrupt(model_files: ModelFiles, tmp_path: Path, name: str) -> None:
    for other, content in model_files.items():
        (tmp_path / other).write_bytes(content)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert isinstance(corrupt_error(tmp_path, name).__cause__, OSError)


def check_checksum_error(folder: Path, name: str, original: bytes, content: bytes) -> None:
    """Check the error of a file with `content` where config.json has the checksum of `original`."""
    error = corrupt_error(folder, name)
    assert error.expected == hashlib.sha256(original).hexdigest()
    assert error.actual == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
@given(data=st.data())
def test_flipped_bit_is_corrupt(
    model_files: ModelFiles, make_folder: MakeFolder, name: str, data: st.DataObject
) -> None:
    damaged = bytearray(model_files[name])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    content = bytes(damaged)
    check_checksum_error(make_folder({**model_files, name: content}), name, model_files[name], content)


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
@pytest.mark.parametrize("fraction", [0, 0.5, 0.99])
def test_truncated_file_is_corrupt(
    model_files: ModelFiles, make_folder: MakeFolder, name: str, fraction: float
) -> None:
    content = model_files[name][: int(fraction * len(model_files[name]))]
    check_checksum_error(make_folder({**model_files, name: content}), name, model_files[name], content)


def test_files_of_two_models_are_corrupt(
    make_model: MakeModel, model_files: ModelFiles, make_folder: MakeFolder, tmp_path: Path
) -> None:
    write_classifier(make_model(seed=1), tmp_path / "other", card="", golden=[], extras={})
    content = (tmp_path / "other" / WEIGHTS).read_bytes()
    folder = make_folder({**model_files, WEIGHTS: content})
    check_checksum_error(folder, WEIGHTS, model_files[WEIGHTS], content)


@given(st.integers(0, 10**6), st.binary(max_size=3), st.sampled_from([TOKENIZER, WEIGHTS]))
def test_any_bytes_in_a_file_are_read_or_raise_a_documented_error(
    model_files: ModelFiles, make_folder: MakeFolder, position: int, inserted: bytes, name: str
) -> None:
    content = model_files[name]
    start = position % len(content)
    content = content[:start] + inserted + content[start + 1 :]
    check_error_is_documented(make_folder(with_file(model_files, name, content)))
