from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from fastlstm import model_folder, saved_model
from fastlstm.config import ModelConfig, option
from fastlstm.errors import (
    CorruptModelError,
    InputError,
    ModelNotFoundError,
    ModelTooNewError,
    NotAModelError,
)
from fastlstm.model_folder import CARD, CONFIG, TOKENIZER, WEIGHTS
from fastlstm.ngrams import NUMBERS
from fastlstm.saved_model import (
    FIRST_FIELDS,
    GOLDEN,
    SavedModel,
    check_target,
    read,
    write,
)

MakeModel = Callable[..., SavedModel]
Files = dict[str, bytes]
DOCUMENTED = (ModelNotFoundError, NotAModelError, CorruptModelError, ModelTooNewError)


@pytest.fixture(scope="module")
def files(tiny_model: SavedModel, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a good model, to be damaged."""
    folder = tmp_path_factory.mktemp("good") / "model"
    write(tiny_model, folder, card="# A model\n", golden=[], extras={})
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Files], Path]:
    """Makes a folder of the given files, always the same one."""
    folder = tmp_path_factory.mktemp("damaged") / "model"
    folder.mkdir()

    def put(files: Files) -> Path:
        for path in folder.iterdir():
            path.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder

    return put


Place = Callable[[Files], Path]


def changed(files: Files, *path: str, value: object) -> Files:
    """The files with another value somewhere in config.json."""
    config = json.loads(files[CONFIG])
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return {**files, CONFIG: json.dumps(config).encode()}


def replaced(files: Files, name: str, content: bytes) -> Files:
    """The files with another one in place of `name`, and its checksum put right."""
    return changed({**files, name: content}, "sha256", name, value=hashlib.sha256(content).hexdigest())


def complaint(folder: Path, kind: type[Exception], *named: str) -> str:
    """The message of `read`, which is one line and names the folder and what else is asked for."""
    with pytest.raises(kind) as caught:
        read(folder)
    message = str(caught.value)
    assert type(caught.value) is kind
    assert "\n" not in message
    for name in (str(folder), *named):
        assert name in message
    return message


def outcome(folder: Path) -> str:
    """What reading a folder comes to: nothing to say, or one of the documented errors."""
    try:
        read(folder)
    except DOCUMENTED as error:
        return str(error)
    return ""


# What is written is read back.


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        (ModelConfig(embedding_size=3, hidden_sizes=(2,)), ("negative", "positive")),
        (
            ModelConfig(
                vocabulary_size=17,
                max_tokens=9,
                truncate="both",
                embedding_size=1,
                hidden_sizes=(1, 5),
                bidirectional=True,
                pooling="concat",
                dropout=0.25,
                activation="sigmoid",
            ),
            ("schön", "很好", "très émouvant", "", "two words", 'a "quoted"\nlabel', "🎬"),
        ),
    ],
)
def test_a_model_survives_writing_and_reading(
    make_model: MakeModel, tmp_path: Path, config: ModelConfig, labels: tuple[str, ...]
) -> None:
    training = {"seed": 3, "data": {"train": "critiques_françaises.csv"}, "losses": [0.5, 0.25]}
    model = dataclasses.replace(make_model(config, labels, temperature=1.37), training=training)
    if len(labels) == 2:
        model = dataclasses.replace(model, threshold=0.3)
    write(model, tmp_path / "model", card="# Karte ✓\n", golden=[{"text": "é"}], extras={"loss.png": b"\x89PNG"})
    back = read(tmp_path / "model")
    assert (back.config, back.labels, back.temperature) == (model.config, labels, 1.37)
    assert back.threshold == model.threshold
    assert back.training == training
    assert back.tokenizer.to_str() == model.tokenizer.to_str()
    assert set(back.weights) == set(model.weights)
    for name, array in model.weights.items():
        assert back.weights[name].dtype == np.float32
        assert np.array_equal(back.weights[name], array)


def test_the_folder_holds_the_five_files_and_the_extras(tiny_model: SavedModel, tmp_path: Path) -> None:
    golden, extras = [{"text": "é"}], {"loss.png": b"\x89PNG", "more/notes.txt": b"notes"}
    write(tiny_model, tmp_path / "model", card="# Karte ✓\n", golden=golden, extras=extras)
    folder = tmp_path / "model"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        CONFIG,
        TOKENIZER,
        WEIGHTS,
        CARD,
        GOLDEN,
        *extras,
    }
    assert (folder / CARD).read_text(encoding="utf-8") == "# Karte ✓\n"
    assert json.loads((folder / GOLDEN).read_bytes()) == golden
    assert (folder / "more/notes.txt").read_bytes() == b"notes"
    config = json.loads((folder / CONFIG).read_bytes())
    assert (config["format"], config["format_version"]) == ("fastlstm", 2)


def test_the_same_model_is_written_as_the_same_bytes(tiny_model: SavedModel, files: Files, tmp_path: Path) -> None:
    turned = dataclasses.replace(tiny_model, weights=dict(reversed(list(tiny_model.weights.items()))))
    write(turned, tmp_path / "model", card="# A model\n", golden=[], extras={})
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == files


def test_a_model_that_was_read_is_written_as_the_same_bytes(files: Files, place: Place, tmp_path: Path) -> None:
    write(read(place(files)), tmp_path / "model", card="# A model\n", golden=[], extras={})
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == files


def test_weights_that_are_views_are_written_by_value(tiny_model: SavedModel, tmp_path: Path) -> None:
    views = {name: np.ascontiguousarray(array.T).T for name, array in tiny_model.weights.items()}
    assert not views["embedding.weight"].flags.c_contiguous
    model = dataclasses.replace(tiny_model, weights=views)
    write(model, tmp_path / "model", card="", golden=[], extras={})
    for name, array in read(tmp_path / "model").weights.items():
        assert np.array_equal(array, tiny_model.weights[name])


# Where no model is, and where another may not be written.


def test_a_missing_folder_is_not_found(tmp_path: Path) -> None:
    complaint(tmp_path / "model", ModelNotFoundError, "no such folder")


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    complaint(tmp_path / "model", NotAModelError, CONFIG)


@pytest.mark.parametrize(
    "others", [{}, {"reviews.csv": b"text,label\n"}, {"config": b"{}"}, {TOKENIZER: b"{}", WEIGHTS: b""}]
)
def test_a_folder_with_other_things_is_no_model(place: Place, others: Files) -> None:
    complaint(place(others), NotAModelError, CONFIG)


@pytest.mark.parametrize(
    "content", [b"{}", b"[]", b"null", b'"fastlstm"', b'{"format": "other"}', b'{"model_type": "bert"}']
)
def test_the_configuration_of_something_else_is_no_model(files: Files, place: Place, content: bytes) -> None:
    complaint(place({**files, CONFIG: content}), NotAModelError, CONFIG)


def test_a_model_may_be_written_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for overwrite in (False, True):
        check_target(tmp_path / "free", overwrite=overwrite)
        check_target(tmp_path / "some" / "where", overwrite=overwrite)
        check_target(tmp_path / "empty", overwrite=overwrite)


@pytest.mark.parametrize("version", [1, 2, 99])
def test_a_model_is_only_written_over_when_asked(files: Files, place: Place, version: int) -> None:
    folder = place(changed(files, "format_version", value=version))
    check_target(folder, overwrite=True)
    with pytest.raises(InputError, match="holds a model already; pass --overwrite to replace it"):
        check_target(folder, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("content", [b'{"format": "other"}', b"{", None])
def test_something_else_is_never_written_over(
    tiny_model: SavedModel, place: Place, overwrite: bool, content: bytes | None
) -> None:
    others = {"photo.jpg": b"memories"} if content is None else {CONFIG: content}
    folder = place(others)
    with pytest.raises(InputError, match="is not a fastlstm model, so it is never written over"):
        check_target(folder, overwrite=overwrite)
    with pytest.raises(InputError, match="is not a fastlstm model, so it is never written over"):
        write(tiny_model, folder, card="", golden=[], extras={})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == others


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_never_written_over(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "model").write_bytes(b"memories")
    with pytest.raises(InputError, match="never written over"):
        check_target(tmp_path / "model", overwrite=overwrite)


def test_an_older_model_is_replaced_wholly(tiny_model: SavedModel, files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write(tiny_model, folder, card="old", golden=[], extras={"old.png": b"old"})
    write(tiny_model, folder, card="# A model\n", golden=[], extras={})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


# Every damage has its error.


def test_a_newer_format_is_too_new_not_corrupt(files: Files, place: Place) -> None:
    message = complaint(place(changed(files, "format_version", value=3)), ModelTooNewError, "version 3")
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
    read(folder)


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
    write(make_model(seed=1), tmp_path / "other", card="", golden=[], extras={})
    other = (tmp_path / "other" / WEIGHTS).read_bytes()
    complaint(place({**files, WEIGHTS: other}), CorruptModelError, WEIGHTS)


@pytest.mark.parametrize("key", ["labels", "model", "calibration", "sha256", "training"])
def test_a_configuration_without_a_part_is_corrupt(files: Files, place: Place, key: str) -> None:
    config = json.loads(files[CONFIG])
    del config[key]
    folder = place({**files, CONFIG: json.dumps(config).encode()})
    complaint(folder, CorruptModelError, f"{CONFIG} lacks or misstates '{key}'")


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "a"],
        ["a"],
        [],
        ["a", 1],
        ["a", None],
        "ab",
        {"a": 1, "b": 2},
        None,
        ["a", "\ud800"],
        ["a", ["b"]],
    ],
)
def test_labels_that_are_not_two_or_more_different_texts_are_corrupt(
    files: Files, place: Place, labels: object
) -> None:
    complaint(place(changed(files, "labels", value=labels)), CorruptModelError, CONFIG)


@pytest.mark.parametrize(
    "temperature",
    [
        0,
        -1.0,
        float("nan"),
        float("inf"),
        1e-300,
        1e300,
        pytest.param(10**400, id="401 digits"),
        "warm",
        "1.5",
        True,
        None,
        [1.0],
    ],
)
def test_a_temperature_that_nothing_can_be_divided_by_is_corrupt(
    files: Files, place: Place, temperature: object
) -> None:
    damaged = changed(files, "calibration", "temperature", value=temperature)
    complaint(place(damaged), CorruptModelError, CONFIG)


@pytest.mark.parametrize(
    "threshold",
    [
        -1e-9,
        1.0000001,
        float("nan"),
        float("inf"),
        pytest.param(10**400, id="401 digits"),
        "0.5",
        True,
        None,
        [0.5],
    ],
)
def test_a_threshold_that_is_no_probability_is_corrupt(files: Files, place: Place, threshold: object) -> None:
    complaint(place(changed(files, "calibration", "threshold", value=threshold)), CorruptModelError, CONFIG)


@pytest.mark.parametrize("threshold", [0, 0.0, 0.25, 1, 1.0])
def test_a_threshold_is_read_back(files: Files, place: Place, threshold: float) -> None:
    assert read(place(changed(files, "calibration", "threshold", value=threshold))).threshold == threshold


def test_only_two_classes_have_a_threshold(make_model: MakeModel, tmp_path: Path) -> None:
    for threshold in (0.5, 0.4):
        model = make_model(labels=("a", "b", "c"), threshold=threshold)
        write(model, tmp_path / str(threshold), card="", golden=[], extras={})
    assert read(tmp_path / "0.5").threshold == 0.5
    complaint(tmp_path / "0.4", CorruptModelError, "threshold 0.4 for 3 classes")


def test_a_configuration_without_a_threshold_is_corrupt(files: Files, place: Place) -> None:
    damaged = changed(files, "calibration", value={"temperature": 1.0})
    complaint(place(damaged), CorruptModelError, f"{CONFIG} lacks or misstates 'threshold'")


# Older formats.


def of_version_1(files: Files) -> Files:
    """The same model as version 1 wrote it."""
    model = {name: json.loads(files[CONFIG])["model"][name] for name in FIRST_FIELDS}
    first = changed(changed(files, "format_version", value=1), "model", value=model)
    return changed(first, "calibration", value={"temperature": 1.5})


def test_version_1_has_no_threshold_and_later_fields_at_their_defaults(files: Files, place: Place) -> None:
    model = read(place(of_version_1(files)))
    assert (model.temperature, model.threshold) == (1.5, 0.5)
    assert model.config == ModelConfig(**{name: getattr(model.config, name) for name in FIRST_FIELDS})


@pytest.mark.parametrize("name", FIRST_FIELDS)
def test_a_field_that_version_1_had_must_be_there_in_every_version(files: Files, place: Place, name: str) -> None:
    for of_version in (files, of_version_1(files)):
        model = {k: v for k, v in json.loads(of_version[CONFIG])["model"].items() if k != name}
        complaint(place(changed(of_version, "model", value=model)), CorruptModelError, f"'{name}'")


def test_a_field_that_no_version_knows_is_corrupt(files: Files, place: Place) -> None:
    for of_version in (files, of_version_1(files)):
        damaged = changed(of_version, "model", "colour", value="blue")
        complaint(place(damaged), CorruptModelError, "'colour'")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Later(ModelConfig):
    """A model's configuration as a later fastlstm may have it."""

    colour: str = option("of nothing", default="blue")

    def __post_init__(self) -> None:
        """Nothing to check."""


def test_a_field_added_later_is_at_its_default_where_an_older_model_lacks_it(
    files: Files, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_model, "ModelConfig", Later)
    for of_version in (files, of_version_1(files)):
        assert getattr(read(place(of_version)).config, "colour") == "blue"  # noqa: B009 -- a field of Later alone
    assert getattr(read(place(changed(files, "model", "colour", value="red"))).config, "colour") == "red"  # noqa: B009
    complaint(place(changed(of_version_1(files), "model", "colour", value="red")), CorruptModelError, "'colour'")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", "500"),
        ("hidden_sizes", []),
        ("hidden_sizes", [4, -3]),
        ("pooling", "avg"),
        ("pooling", {}),
        ("bidirectional", 0),
        ("dropout", float("nan")),
        ("colour", "blue"),
    ],
)
def test_a_model_configuration_out_of_range_is_corrupt(
    files: Files, place: Place, name: str, value: object
) -> None:
    complaint(place(changed(files, "model", name, value=value)), CorruptModelError, CONFIG)


@pytest.mark.parametrize(
    ("name", "value"), [("hidden_sizes", [4, 4]), ("embedding_size", 6), ("bidirectional", True)]
)
def test_a_configuration_of_another_shape_does_not_fit_the_weights(
    files: Files, place: Place, name: str, value: object
) -> None:
    message = complaint(place(changed(files, "model", name, value=value)), CorruptModelError, WEIGHTS)
    assert "expected float32" in message


def test_more_labels_than_the_output_has_do_not_fit_the_weights(files: Files, place: Place) -> None:
    folder = place(changed(files, "labels", value=["a", "b", "c"]))
    complaint(folder, CorruptModelError, f"{WEIGHTS}: output.weight is float32 [1, 3]; expected float32 [3, 3]")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLACES = [
    ("format",),
    ("format_version",),
    ("labels",),
    ("model",),
    ("calibration",),
    ("sha256",),
    ("training",),
    ("calibration", "temperature"),
    ("calibration", "threshold"),
    ("sha256", TOKENIZER),
    *(("model", field.name) for field in dataclasses.fields(ModelConfig)),
]


@given(st.sampled_from(PLACES), JSON)
def test_any_value_in_the_configuration_is_read_or_has_its_error(
    files: Files, place: Place, path: tuple[str, ...], value: object
) -> None:
    assert "\n" not in outcome(place(changed(files, *path, value=value)))


@given(st.integers(0, 10**6), st.binary(max_size=3))
def test_any_bytes_in_the_configuration_are_read_or_have_their_error(
    files: Files, place: Place, position: int, inserted: bytes
) -> None:
    at = position % len(files[CONFIG])
    content = files[CONFIG][:at] + inserted + files[CONFIG][at + 1 :]
    assert "\n" not in outcome(place({**files, CONFIG: content}))


# Damage that the checksum was made to fit.


def tensors(files: Files) -> dict[str, Any]:
    return safetensors.numpy.load(files[WEIGHTS])


def wrong_type(arrays: dict[str, Any], dtype: str) -> dict[str, Any]:
    return {**arrays, "lstm.0.forward.bias": arrays["lstm.0.forward.bias"].astype(dtype)}


@pytest.mark.parametrize("dtype", ["float64", "int8", "int32", "bool", "complex64"])
def test_weights_of_another_type_are_corrupt(files: Files, place: Place, dtype: str) -> None:
    damaged = replaced(files, WEIGHTS, safetensors.numpy.save(wrong_type(tensors(files), dtype)))
    expected = f"{WEIGHTS}: lstm.0.forward.bias is {dtype} [16]; expected float32 [16]"
    complaint(place(damaged), CorruptModelError, expected)


def test_weights_stored_in_half_precision_are_read_as_float32(files: Files, place: Place) -> None:
    halved = {name: array.astype(np.float16) for name, array in tensors(files).items()}
    model = read(place(replaced(files, WEIGHTS, safetensors.numpy.save(halved))))
    assert {str(array.dtype) for array in model.weights.values()} == {"float32"}
    np.testing.assert_array_equal(model.weights["output.weight"], halved["output.weight"].astype(np.float32))


def test_scales_that_do_not_belong_to_whole_numbers_are_corrupt(files: Files, place: Place) -> None:
    arrays = {**tensors(files), "embedding.weight.scale": np.ones(40, np.float16)}
    complaint(
        place(replaced(files, WEIGHTS, safetensors.numpy.save(arrays))),
        CorruptModelError,
        "embedding.weight is float32 [40, 5]; expected int8 [40, 5]",
    )


def test_scales_of_another_number_are_corrupt(files: Files, place: Place) -> None:
    arrays = {**tensors(files), "embedding.weight": np.ones((40, 5), np.int8)}
    arrays["embedding.weight.scale"] = np.ones(39, np.float16)
    complaint(
        place(replaced(files, WEIGHTS, safetensors.numpy.save(arrays))),
        CorruptModelError,
        "embedding.weight.scale is float16 [39]; expected float16 [40]",
    )


def wide(model: SavedModel, numbers: list[int]) -> SavedModel:
    """The model with a wide part of these n-grams."""
    logits = len(model.weights["output.bias"])
    return dataclasses.replace(
        model,
        config=dataclasses.replace(model.config, ngrams=len(numbers)),
        weights={**model.weights, "wide.weight": np.ones((len(numbers), logits), np.float32)},
        numbers={"wide.ngrams": np.array(numbers, np.int32)},
    )


def test_a_wide_part_comes_back_as_it_was_saved(tiny_model: SavedModel, tmp_path: Path) -> None:
    model = wide(tiny_model, [0, 7, NUMBERS - 1])
    write(model, tmp_path / "model", card="", golden=[], extras={})
    came = read(tmp_path / "model")
    assert came.config == model.config
    np.testing.assert_array_equal(came.numbers["wide.ngrams"], model.numbers["wide.ngrams"])
    np.testing.assert_array_equal(came.weights["wide.weight"], model.weights["wide.weight"])


@pytest.mark.parametrize("numbers", [[3, 3], [5, 4], [-1, 4], [4, NUMBERS]])
def test_ngrams_that_do_not_rise_in_their_range_are_corrupt(
    tiny_model: SavedModel, tmp_path: Path, numbers: list[int]
) -> None:
    write(wide(tiny_model, numbers), tmp_path / "model", card="", golden=[], extras={})
    complaint(tmp_path / "model", CorruptModelError, "wide.ngrams does not rise within 0 to")


@pytest.mark.parametrize("shape", [(15,), (17,), (0,), (16, 1), (1, 16), (4, 4), ()])
def test_weights_of_another_shape_are_corrupt(files: Files, place: Place, shape: tuple[int, ...]) -> None:
    arrays = {**tensors(files), "lstm.0.forward.bias": np.ones(shape, np.float32)}
    expected = f"{WEIGHTS}: lstm.0.forward.bias is float32 {list(shape)}; expected float32 [16]"
    complaint(place(replaced(files, WEIGHTS, safetensors.numpy.save(arrays))), CorruptModelError, expected)


def test_a_missing_weight_is_corrupt(files: Files, place: Place) -> None:
    for name, array in tensors(files).items():
        arrays = {other: value for other, value in tensors(files).items() if other != name}
        expected = f"{WEIGHTS}: {name} is missing; expected float32 {list(array.shape)}"
        complaint(place(replaced(files, WEIGHTS, safetensors.numpy.save(arrays))), CorruptModelError, expected)


def test_a_weight_that_nothing_needs_is_corrupt(files: Files, place: Place) -> None:
    arrays = {**tensors(files), "lstm.2.bias\n": np.ones(1, np.float32)}
    folder = place(replaced(files, WEIGHTS, safetensors.numpy.save(arrays)))
    complaint(folder, CorruptModelError, f"{WEIGHTS} has more than the model needs: ['lstm.2.bias\\n']")


def header(values: object, data: bytes = b"") -> bytes:
    """A safetensors file with the given header, right or wrong."""
    encoded = values if isinstance(values, bytes) else json.dumps(values).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        b"\xff" * 8 + b"{}",
        b"\x80\x04K\x01.",
        header(b"[" * 10_000),
        header(b"\xff\xfe"),
        header({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
        header({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
        header({"a": {"dtype": "F4", "shape": [8], "data_offsets": [0, 4]}}, bytes(4)),
        header({"a": {"dtype": "Q7", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)),
        header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, bytes(4)),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}}, bytes(4)),
        header({"a": {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]}}),
        header({"a": {"dtype": "F32", "shape": [2**64 - 1] * 2, "data_offsets": [0, 4]}}, bytes(4)),
    ],
)
def test_weights_that_are_no_safetensors_file_are_corrupt(files: Files, place: Place, content: bytes) -> None:
    damaged = replaced(files, WEIGHTS, content)
    complaint(place(damaged), CorruptModelError, f"{WEIGHTS} is not a safetensors file")


def tokenizer_with(files: Files, **parts: object) -> bytes:
    return json.dumps({**json.loads(files[TOKENIZER]), **parts}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"\xff\xfe",
        b'{"version": "1.0"}',
        b"[" * 100_000,
        b'{"normalizer": ' + b'{"type": "Sequence", "normalizers": [' * 500,
    ],
)
def test_a_tokenizer_that_is_none_is_corrupt(files: Files, place: Place, content: bytes) -> None:
    complaint(place(replaced(files, TOKENIZER, content)), CorruptModelError, f"{TOKENIZER} is not a tokenizer")


@pytest.mark.parametrize(
    "parts",
    [
        {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}},
        {"model": {"type": "Other", "vocab": {}}},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "!!!"}},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""}},
        {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
        {"truncation": {"max_length": 1, "strategy": "LongestFirst", "stride": 5, "direction": "Right"}},
    ],
)
def test_a_tokenizer_that_fails_or_panics_is_corrupt(files: Files, place: Place, parts: dict[str, object]) -> None:
    damaged = replaced(files, TOKENIZER, tokenizer_with(files, **parts))
    complaint(place(damaged), CorruptModelError, f"{TOKENIZER} is not a tokenizer")


def test_a_vocabulary_of_another_size_is_corrupt(tiny_model: SavedModel, files: Files, place: Place) -> None:
    size = tiny_model.config.vocabulary_size
    folder = place(changed(files, "model", "vocabulary_size", value=size + 1))
    complaint(folder, CorruptModelError, f"{TOKENIZER} has {size} words, {CONFIG} says {size + 1}")


@pytest.mark.parametrize("number", [0, 5000, 4_000_000_000])
def test_a_word_numbered_beyond_the_vocabulary_is_corrupt(files: Files, place: Place, number: int) -> None:
    model = json.loads(files[TOKENIZER])["model"]
    model["vocab"]["good"] = number
    damaged = replaced(files, TOKENIZER, tokenizer_with(files, model=model))
    complaint(place(damaged), CorruptModelError, f"{TOKENIZER} does not number its words from 0 to ")


def test_a_tokenizer_that_pads_or_truncates_is_corrupt(tiny_model: SavedModel, files: Files, place: Place) -> None:
    for change in ("enable_padding", "enable_truncation"):
        tokenizer = type(tiny_model.tokenizer).from_str(files[TOKENIZER].decode())
        if change == "enable_padding":
            tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
        else:
            tokenizer.enable_truncation(7)
        damaged = replaced(files, TOKENIZER, tokenizer.to_str().encode())
        complaint(place(damaged), CorruptModelError, f"{TOKENIZER} pads or truncates")


@given(st.integers(0, 10**6), st.binary(max_size=3), st.sampled_from([TOKENIZER, WEIGHTS]))
def test_any_bytes_in_a_file_are_read_or_have_their_error(
    files: Files, place: Place, position: int, inserted: bytes, name: str
) -> None:
    at = position % len(files[name])
    content = files[name][:at] + inserted + files[name][at + 1 :]
    assert "\n" not in outcome(place(replaced(files, name, content)))


def test_json_is_written_for_people() -> None:
    assert model_folder.json_bytes({"größe": [1]}) == '{\n  "größe": [\n    1\n  ]\n}\n'.encode()
