"""Models that Keras saved answer here what they answered there."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fastlstm.convert.classifier import make_classifier
from fastlstm.convert.keras import from_keras
from fastlstm.convert.vocabulary import TOKENIZATION_RULES, find_rule, read_vocabulary
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier

pytest.importorskip("torch")
h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
L = keras.layers
# Keras' own arrays, on PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROWS, LENGTH = 13, 9
INDEX = {"a": 1, "good": 2, "bad": 3, "film": 4, "don't": 5, "watch": 6, "it": 7, "fun": 8, "rare": 30}
"""As keras.datasets.imdb has it; `rare` has no row."""
SIDES, CUT = {"pre": "front", "post": "back"}, {"pre": "end", "post": "beginning"}
TEXTS = (
    "A good film!",
    "don't watch it; a bad, bad film (it a bad bad bad)",
    "rare film: never seen",
    "",
    "fun",
    "a good film a good film a good",
)


def imdb_ids(text: str) -> list[int]:
    """As keras.datasets.imdb.load_data(num_words=ROWS) numbers words."""
    cut = "".join(" " if letter in "!;,():" else letter for letter in text.lower()).split()
    return [1, *(INDEX[word] + 3 if word in INDEX and INDEX[word] + 3 < ROWS else 2 for word in cut)]


def padded(ids: Sequence[Sequence[int]], padding: str, truncating: str = "pre") -> npt.NDArray[np.int32]:
    return np.array(keras.utils.pad_sequences(ids, maxlen=LENGTH, padding=padding, truncating=truncating))


def model(*layers: Any, length: int | None = LENGTH, seed: int = 0) -> Any:
    """A Sequential model with weights that are no zeros anywhere."""
    made = keras.Sequential([keras.Input((length,)), *layers])
    generator = np.random.default_rng(seed)
    made.set_weights([generator.normal(0, 0.7, tuple(weight.shape)) for weight in made.weights])
    return made


def imported(
    made: Any, path: Path, *, padding: str = "front", truncate: str = "end", max_tokens: int | None = None
) -> Classifier:
    made.save(path)
    vocabulary = path.parent / "words.json"
    vocabulary.write_text(json.dumps(INDEX))
    words, kind = read_vocabulary(vocabulary, index_from=3), TOKENIZATION_RULES["keras"]
    found = from_keras(path)
    return Classifier(
        make_classifier(found, words, kind, padding=padding, truncate=truncate, max_tokens=max_tokens)
    )


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
def test_the_tutorial_s_model_reads_padding_as_it_did(
    tmp_path: Path, ending: str, padding: str, truncating: str
) -> None:
    made = model(
        L.Embedding(ROWS, 5), L.LSTM(7, return_sequences=True), L.Dropout(0.3), L.LSTM(3),
        L.Dense(1, activation="sigmoid"),
    )  # fmt: skip
    path = tmp_path / f"model.{ending}"
    here = imported(made, path, padding=SIDES[padding], truncate=CUT[truncating])
    there = made.predict(padded([imdb_ids(text) for text in TEXTS], padding, truncating), verbose=0)
    np.testing.assert_allclose(here.predict_proba(TEXTS)[:, 1], there[:, 0], atol=1e-6)
    for text, probability in zip(TEXTS, there[:, 0], strict=True):
        np.testing.assert_allclose(here.predict_proba(text)[1], probability, atol=1e-6)


@pytest.mark.parametrize("pooling", [L.GlobalMaxPooling1D, L.GlobalAveragePooling1D])
def test_pooled_steps_and_several_classes(tmp_path: Path, pooling: Any) -> None:
    made = model(
        L.Embedding(ROWS, 4), L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.Bidirectional(L.LSTM(5, return_sequences=True)), pooling(), L.Dense(3, activation="softmax"),
    )  # fmt: skip
    here = imported(made, tmp_path / "model.keras")
    there = made.predict(padded([imdb_ids(text) for text in TEXTS], "pre"), verbose=0)
    np.testing.assert_allclose(here.predict_proba(TEXTS), there, atol=1e-6)


@pytest.mark.parametrize("side", ["pre", "post"])
def test_masked_padding_is_not_read(tmp_path: Path, side: str) -> None:
    made = model(L.Embedding(ROWS, 4, mask_zero=True), L.Bidirectional(L.LSTM(3)), L.Dense(1))
    here = imported(made, tmp_path / "model.h5", padding=SIDES[side])
    assert here.model.config.padding == "none"
    there = made.predict(padded([imdb_ids(text) for text in TEXTS], side), verbose=0)
    np.testing.assert_allclose(here.predict_proba(TEXTS)[:, 1], 1 / (1 + np.exp(-there[:, 0])), atol=1e-6)


def test_a_functional_model_is_followed_from_layer_to_layer(tmp_path: Path) -> None:
    ids = keras.Input((LENGTH,))
    steps = L.LSTM(3, name="the_lstm")(L.Embedding(ROWS, 4, name="the_words")(ids))
    made = keras.Model(ids, L.Dense(1, activation="sigmoid", name="the_answer")(steps))
    for ending in ("keras", "h5"):
        here = imported(made, tmp_path / f"model.{ending}")
        there = made.predict(padded([imdb_ids(text) for text in TEXTS], "pre"), verbose=0)
        np.testing.assert_allclose(here.predict_proba(TEXTS)[:, 1], there[:, 0], atol=1e-6)


def test_a_text_vectorization_brings_its_words(tmp_path: Path) -> None:
    made = model(L.Embedding(8, 4), L.LSTM(3), L.Dense(1, activation="sigmoid"))
    words = ["", "[UNK]", "good", "dont", "film", "it"]
    path = with_vectorization(made, tmp_path, words)
    found = from_keras(path)
    assert found.cutting is not None
    assert found.length is None
    here = Classifier(
        make_classifier(
            found, find_rule(found.cutting.vocabulary), found.cutting.words, padding="back", truncate="beginning",
            max_tokens=LENGTH,
        )
    )  # fmt: skip
    # Punctuation is dropped, not read as a space: "film-good" is one word.
    cut: tuple[list[str], ...] = (["good", "film"], ["dont", "it"] * 6, [], ["[UNK]", "film"])
    ids = [[words.index(word) for word in text] for text in cut]
    there = made.predict(padded(ids, "post", "post"), verbose=0)
    texts = ["Good, film!", "DON'T it " * 6, "...", "film-good film"]
    np.testing.assert_allclose(here.predict_proba(texts)[:, 1], there[:, 0], atol=1e-6)


def with_vectorization(made: Any, folder: Path, words: list[str]) -> Path:
    """The file that Keras writes of the model behind a TextVectorization, which it saves under TensorFlow alone."""
    made.save(folder / "without.keras")
    with zipfile.ZipFile(folder / "without.keras") as before, zipfile.ZipFile(folder / "m.keras", "w") as after:
        config = json.loads(before.read("config.json"))
        config["config"]["layers"][0]["config"].update(batch_shape=[None, 1], dtype="string")
        told = {
            "name": "cut", "standardize": "lower_and_strip_punctuation", "split": "whitespace", "ngrams": None,
            "output_mode": "int", "output_sequence_length": LENGTH, "vocabulary": None,
        }  # fmt: skip
        config["config"]["layers"].insert(1, {"class_name": "TextVectorization", "config": told})
        after.writestr("config.json", json.dumps(config))
        after.writestr("model.weights.h5", before.read("model.weights.h5"))
        after.writestr("assets/layers/text_vectorization/vocabulary.txt", "\n".join(words))
    return folder / "m.keras"


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ((L.Embedding(ROWS, 4), L.GRU(3), L.Dense(1)), "expected Embedding, then LSTM layers"),
        ((L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(4, activation="relu"), L.Dense(1)), "Dense, Dense"),
        ((L.Embedding(ROWS, 4), L.LSTM(3, activation="relu"), L.Dense(1)), "activation 'relu'; expected 'tanh'"),
        ((L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(2, activation="sigmoid")), "2 units and activation 'sigmoid'"),
        ((L.Embedding(ROWS, 4), L.LSTM(3, return_sequences=True), L.Dense(1)), "after 1 LSTM layers come Dense"),
        ((L.Embedding(ROWS, 4), L.LSTM(3, go_backwards=True), L.Dense(1)), "go_backwards True"),
    ],
)  # fmt: skip
def test_layers_without_a_like_here_are_named(tmp_path: Path, layers: Any, why: str) -> None:
    model(*layers).save(tmp_path / "model.keras")
    with pytest.raises(DataError, match=why):
        from_keras(tmp_path / "model.keras")


def test_layers_that_branch_are_refused(tmp_path: Path) -> None:
    ids = keras.Input((LENGTH,))
    words = L.Embedding(ROWS, 4, name="words")(ids)
    both = L.Concatenate()([L.LSTM(3)(words), L.LSTM(2)(words)])
    keras.Model(ids, L.Dense(1)(both)).save(tmp_path / "model.keras")
    with pytest.raises(DataError, match="reads words; expected one layer after another"):
        from_keras(tmp_path / "model.keras")


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"\x89HDF\r\n\x1a\n", b"no model at all"])
def test_a_file_that_is_none_is_said_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(DataError, match="can't be read as a Keras model"):
        from_keras(path)


def test_a_length_is_asked_for_where_padding_is_read_and_nobody_says_how_much(tmp_path: Path) -> None:
    made = model(L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(1, activation="sigmoid"), length=None)
    with pytest.raises(OptionError, match="give --max-tokens"):
        imported(made, tmp_path / "model.keras")
    here = imported(made, tmp_path / "model.keras", max_tokens=LENGTH)
    there = made.predict(padded([imdb_ids(text) for text in TEXTS], "pre"), verbose=0)
    np.testing.assert_allclose(here.predict_proba(TEXTS)[:, 1], there[:, 0], atol=1e-6)


def test_padding_is_explained_with_the_rest_and_streams_are_refused(tmp_path: Path) -> None:
    made = model(L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(1, activation="sigmoid"))
    here = imported(made, tmp_path / "model.keras")
    found = here.explain("A good film!")
    assert found.tokens == ("[PAD]",) * 5 + ("[START]", "A", "good", "film")
    assert found.start + float(found.words.sum()) == pytest.approx(found.logit, abs=0.02)
    np.testing.assert_allclose(here.trajectory("A good film!")[-1], here.predict_proba("A good film!"), atol=1e-6)
    assert here.gates("A good film!").layers[0].hidden.shape == (LENGTH, 3)
    with pytest.raises(OptionError, match="reads padding at the front"):
        here.stream()


def test_it_is_saved_and_read_like_any_other(tmp_path: Path) -> None:
    made = model(L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(1, activation="sigmoid"))
    here = imported(made, tmp_path / "model.keras")
    here.save(tmp_path / "saved")
    from fastlstm import load

    np.testing.assert_array_equal(load(tmp_path / "saved").predict_proba(TEXTS), here.predict_proba(TEXTS))
    assert json.loads((tmp_path / "saved" / "config.json").read_bytes())["format_version"] == 3  # it reads padding


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
@pytest.mark.parametrize("side", ["pre", "post"])
def test_the_highest_output_over_masked_steps_is_refused_where_it_would_be_zero(tmp_path: Path, side: str) -> None:
    made = model(
        L.Embedding(ROWS, 4, mask_zero=True), L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.GlobalMaxPooling1D(), L.Dense(1),
    )  # fmt: skip
    with pytest.raises(DataError, match="pass --padding none"):
        imported(made, tmp_path / "model.keras", padding=SIDES[side])


def test_a_backward_layer_of_another_kind_is_refused(tmp_path: Path) -> None:
    backward = L.LSTM(3, go_backwards=True, activation="relu")
    made = model(L.Embedding(ROWS, 4), L.Bidirectional(L.LSTM(3), backward_layer=backward), L.Dense(1))
    with pytest.raises(DataError, match="backward_layer has activation 'relu'"):
        imported(made, tmp_path / "model.keras")


def test_layers_of_one_and_of_both_directions_do_not_mix(tmp_path: Path) -> None:
    both = L.Bidirectional(L.LSTM(3, return_sequences=True))
    with pytest.raises(DataError, match="expected all alike"):
        imported(model(L.Embedding(ROWS, 4), both, L.LSTM(3), L.Dense(1)), tmp_path / "model.keras")


def test_another_length_than_the_model_s_is_refused(tmp_path: Path) -> None:
    made = model(L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(1))
    with pytest.raises(OptionError, match="the model takes 9 tokens"):
        imported(made, tmp_path / "model.keras", max_tokens=20)


def hostile(path: Path, change: Any) -> Path:
    """A model's `.h5` whose kernel of the output layer is something else."""
    model(L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(1)).save(path)
    with h5py.File(path, "a") as weights:
        (name,) = [name for name in weights["model_weights"] if name.startswith("dense")]
        group = weights["model_weights"][name]
        kernel = group.attrs["weight_names"][0]
        del group[kernel]
        change(group, kernel)
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda group, name: group.create_dataset(name, (3, 1), "f4", external=[("/etc/hostname", 0, 12)]),
        lambda group, name: group.__setitem__(name, h5py.ExternalLink("other.h5", "/secret")),
        lambda group, name: group.__setitem__(name, h5py.SoftLink("/model_weights")),
        lambda group, name: group.create_dataset(name, (1 << 40, 4), "f4", chunks=(1024, 4)),
        lambda group, name: group.create_dataset(name, data=np.array([b"text"])),
    ],
)
def test_a_file_can_t_name_other_files_nor_ask_for_all_memory(tmp_path: Path, change: Any) -> None:
    path = hostile(tmp_path / "model.h5", change)
    with pytest.raises(DataError, match=r"lies in another file|no array of numbers|too few"):
        from_keras(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 20_000_000)
    with pytest.raises(DataError, match="packed into too few"):
        from_keras(tmp_path / "m.keras")


@pytest.mark.parametrize("field", ["units", "activation", "use_bias"])
def test_a_configuration_that_says_too_little_is_said_so(tmp_path: Path, field: str) -> None:
    model(L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(1)).save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as before, zipfile.ZipFile(tmp_path / "b.keras", "w") as after:
        config = json.loads(before.read("config.json"))
        for layer in config["config"]["layers"][2:]:
            layer["config"].pop(field, None)
        after.writestr("config.json", json.dumps(config))
        after.writestr("model.weights.h5", before.read("model.weights.h5"))
    with pytest.raises(DataError, match=f"{field}"):
        from_keras(tmp_path / "b.keras")
