from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.damaged_models import Files, MakeModel, Place, changed, complaint, outcome, replaced

from fastlstm.errors import CorruptModelError, ModelTooNewError
from fastlstm.serialization.classifier import GOLDEN, read_classifier, write_classifier
from fastlstm.serialization.folder import CARD, CONFIG, TOKENIZER, WEIGHTS


def test_a_newer_format_is_too_new_not_corrupt(files: Files, place: Place) -> None:
    message = complaint(place(changed(files, "format_version", value=4)), ModelTooNewError, "version 4")
    assert "pip install --upgrade fastlstm" in message


def test_a_newer_format_may_look_altogether_different(place: Place) -> None:
    complaint(place({CONFIG: b'{"format": "fastlstm", "format_version": 7}'}), ModelTooNewError, "version 7")


@pytest.mark.parametrize("version", [0, -1, "x", "1", 1.0, None, [1]])
def test_a_version_that_never_was_is_corrupt(files: Files, place: Place, version: object) -> None:
    complaint(place(changed(files, "format_version", value=version)), CorruptModelError, CONFIG, "format version")


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
def test_a_configuration_that_is_not_json_is_corrupt(files: Files, place: Place, content: bytes) -> None:
    complaint(place({**files, CONFIG: content}), CorruptModelError, f"{CONFIG} is not JSON")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_configuration_is_corrupt(files: Files, place: Place, share: float) -> None:
    content = files[CONFIG][: int(share * len(files[CONFIG]))]
    complaint(place({**files, CONFIG: content}), CorruptModelError, CONFIG)


@pytest.mark.parametrize("depth", [300, 900, 960, 990])
def test_a_deeply_nested_configuration_is_corrupt(files: Files, place: Place, depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    for key in ("format_version", "labels", "sha256"):
        marked = changed(files, key, value="HERE")
        content = marked[CONFIG].replace(b'"HERE"', nested)
        complaint(place({**files, CONFIG: content}), CorruptModelError, CONFIG)


def test_a_configuration_that_cannot_be_read_is_corrupt(
    files: Files, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place(files)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    complaint(folder, CorruptModelError, f"{CONFIG} can't be read (Permission denied)")


@pytest.mark.parametrize(("name", "kind"), [(TOKENIZER, CorruptModelError), (WEIGHTS, CorruptModelError)])
def test_a_missing_file_is_corrupt(files: Files, place: Place, name: str, kind: type[Exception]) -> None:
    folder = place(files)
    (folder / name).unlink()
    complaint(folder, kind, f"{name} can't be read (No such file or directory)")


@pytest.mark.parametrize("name", [CARD, GOLDEN])
def test_the_card_and_the_golden_texts_may_be_missing(files: Files, place: Place, name: str) -> None:
    folder = place(files)
    (folder / name).unlink()
    read_classifier(folder)


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
def test_a_folder_in_place_of_a_file_is_corrupt(files: Files, tmp_path: Path, name: str) -> None:
    for other, content in files.items():
        (tmp_path / other).write_bytes(content)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    complaint(tmp_path, CorruptModelError, f"{name} can't be read")


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
@given(data=st.data())
def test_a_flipped_bit_is_corrupt(files: Files, place: Place, name: str, data: st.DataObject) -> None:
    content = bytearray(files[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    complaint(place({**files, name: bytes(content)}), CorruptModelError, name, "sha256 differs")


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_truncated_file_is_corrupt(files: Files, place: Place, name: str, share: float) -> None:
    content = files[name][: int(share * len(files[name]))]
    complaint(place({**files, name: content}), CorruptModelError, name, "sha256 differs")


def test_files_of_two_models_are_corrupt(make_model: MakeModel, files: Files, place: Place, tmp_path: Path) -> None:
    write_classifier(make_model(seed=1), tmp_path / "other", card="", golden=[], extras={})
    other = (tmp_path / "other" / WEIGHTS).read_bytes()
    complaint(place({**files, WEIGHTS: other}), CorruptModelError, WEIGHTS)


@given(st.integers(0, 10**6), st.binary(max_size=3), st.sampled_from([TOKENIZER, WEIGHTS]))
def test_any_bytes_in_a_file_are_read_or_have_their_error(
    files: Files, place: Place, position: int, inserted: bytes, name: str
) -> None:
    at = position % len(files[name])
    content = files[name][:at] + inserted + files[name][at + 1 :]
    assert "\n" not in outcome(place(replaced(files, name, content)))
