"""Imported Keras models, compared with the originals."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastlstm._typing import TokenIds
from fastlstm.convert.classifier import make_classifier
from fastlstm.convert.keras import from_keras
from fastlstm.convert.tokenization import TOKENIZATION_RULES
from fastlstm.convert.vocabulary import VocabularyOptions, make_vocabulary, read_vocabulary
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.classifier import load

pytest.importorskip("torch")
h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
L = keras.layers
# Raised by Keras on PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROWS, LENGTH = 13, 9
INDEX = {"a": 1, "good": 2, "bad": 3, "film": 4, "don't": 5, "watch": 6, "it": 7, "fun": 8, "rare": 30}
"""A word index as of keras.datasets.imdb; "rare" has no embedding row."""
PADDING, TRUNCATE = {"pre": "front", "post": "back"}, {"pre": "end", "post": "beginning"}
"""fastlstm's option values by Keras' names."""
TEXTS = (
    "A good film!",
    "don't watch it; a bad, bad film (it a bad bad bad)",
    "rare film: never seen",
    "",
    "fun",
    "a good film a good film a good",
)


def imdb_ids(text: str) -> list[int]:
    """Return the ids of keras.datasets.imdb.load_data(num_words=ROWS)."""
    words = "".join(" " if letter in "!;,():" else letter for letter in text.lower()).split()
    return [1, *(INDEX[word] + 3 if word in INDEX and INDEX[word] + 3 < ROWS else 2 for word in words)]


def pad(ids: Sequence[Sequence[int]], padding: str, truncating: str = "pre") -> TokenIds:
    return np.array(keras.utils.pad_sequences(ids, maxlen=LENGTH, padding=padding, truncating=truncating))


def make_model(*layers: Any, length: int | None = LENGTH, seed: int = 0) -> Any:
    """Return a Sequential model with random weights, biases included."""
    model = keras.Sequential([keras.Input((length,)), *layers])
    generator = np.random.default_rng(seed)
    model.set_weights([generator.normal(0, 0.7, tuple(weight.shape)) for weight in model.weights])
    return model


def import_classifier(
    model: Any, path: Path, *, padding: str = "front", truncate: str = "end", max_tokens: int | None = None
) -> Classifier:
    """Save the model as `path` and import it with the words of `INDEX`."""
    model.save(path)
    vocabulary_path = path.parent / "words.json"
    vocabulary_path.write_text(json.dumps(INDEX))
    vocabulary, rule = (
        read_vocabulary(vocabulary_path, VocabularyOptions(index_from=3)),
        TOKENIZATION_RULES["keras"],
    )
    return Classifier(
        make_classifier(
            from_keras(path), vocabulary, rule, padding=padding, truncate=truncate, max_tokens=max_tokens
        )
    )


def original_outputs(model: Any, padding: str = "pre", truncating: str = "pre") -> Any:
    """Return what the Keras model predicts for `TEXTS`."""
    return model.predict(pad([imdb_ids(text) for text in TEXTS], padding, truncating), verbose=0)


def tutorial_model(**options: Any) -> Any:
    return make_model(L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(1, activation="sigmoid"), **options)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
def test_stacked_model_reads_padding_as_the_original(
    tmp_path: Path, suffix: str, padding: str, truncating: str
) -> None:
    model = make_model(
        L.Embedding(ROWS, 5), L.LSTM(7, return_sequences=True), L.Dropout(0.3), L.LSTM(3),
        L.Dense(1, activation="sigmoid"),
    )  # fmt: skip
    path = tmp_path / f"model.{suffix}"
    classifier = import_classifier(model, path, padding=PADDING[padding], truncate=TRUNCATE[truncating])
    expected = original_outputs(model, padding, truncating)[:, 0]
    np.testing.assert_allclose(classifier.predict_proba(TEXTS)[:, 1], expected, atol=1e-6)
    for text, probability in zip(TEXTS, expected, strict=True):
        np.testing.assert_allclose(classifier.predict_proba(text)[1], probability, atol=1e-6)


@pytest.mark.parametrize("pooling", [L.GlobalMaxPooling1D, L.GlobalAveragePooling1D])
def test_bidirectional_model_with_pooling_and_three_classes_matches_the_original(
    tmp_path: Path, pooling: Any
) -> None:
    model = make_model(
        L.Embedding(ROWS, 4), L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.Bidirectional(L.LSTM(5, return_sequences=True)), pooling(), L.Dense(3, activation="softmax"),
    )  # fmt: skip
    classifier = import_classifier(model, tmp_path / "model.keras")
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), original_outputs(model), atol=1e-6)


@pytest.mark.parametrize("padding", ["pre", "post"])
def test_masked_padding_is_not_read(tmp_path: Path, padding: str) -> None:
    model = make_model(L.Embedding(ROWS, 4, mask_zero=True), L.Bidirectional(L.LSTM(3)), L.Dense(1))
    classifier = import_classifier(model, tmp_path / "model.h5", padding=PADDING[padding])
    assert classifier.saved.config.padding == "none"
    expected = 1 / (1 + np.exp(-original_outputs(model, padding)[:, 0]))
    np.testing.assert_allclose(classifier.predict_proba(TEXTS)[:, 1], expected, atol=1e-6)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_functional_model_with_named_layers_matches_the_original(tmp_path: Path, suffix: str) -> None:
    ids = keras.Input((LENGTH,))
    steps = L.LSTM(3, name="the_lstm")(L.Embedding(ROWS, 4, name="the_words")(ids))
    model = keras.Model(ids, L.Dense(1, activation="sigmoid", name="the_output")(steps))
    classifier = import_classifier(model, tmp_path / f"model.{suffix}")
    np.testing.assert_allclose(classifier.predict_proba(TEXTS)[:, 1], original_outputs(model)[:, 0], atol=1e-6)


def write_with_vectorization(model: Any, folder: Path, words: list[str]) -> Path:
    """Write the file that Keras saves for the model behind a TextVectorization, which needs TensorFlow to run."""
    model.save(folder / "without.keras")
    with zipfile.ZipFile(folder / "without.keras") as source, zipfile.ZipFile(folder / "m.keras", "w") as target:
        config = json.loads(source.read("config.json"))
        config["config"]["layers"][0]["config"].update(batch_shape=[None, 1], dtype="string")
        options = {
            "name": "split", "standardize": "lower_and_strip_punctuation", "split": "whitespace", "ngrams": None,
            "output_mode": "int", "output_sequence_length": LENGTH, "vocabulary": None,
        }  # fmt: skip
        config["config"]["layers"].insert(1, {"class_name": "TextVectorization", "config": options})
        target.writestr("config.json", json.dumps(config))
        target.writestr("model.weights.h5", source.read("model.weights.h5"))
        target.writestr("assets/layers/text_vectorization/vocabulary.txt", "\n".join(words))
    return folder / "m.keras"


def test_model_with_text_vectorization_contains_its_vocabulary_and_rule(tmp_path: Path) -> None:
    model = make_model(L.Embedding(8, 4), L.LSTM(3), L.Dense(1, activation="sigmoid"))
    words = ["", "[UNK]", "good", "dont", "film", "it"]
    imported = from_keras(write_with_vectorization(model, tmp_path, words))
    assert imported.tokenization is not None
    assert imported.input_length is None
    classifier = Classifier(
        make_classifier(
            imported, make_vocabulary(imported.tokenization.vocabulary), imported.tokenization.rule,
            padding="back", truncate="beginning", max_tokens=LENGTH,
        )
    )  # fmt: skip
    texts = ["Good, film!", "DON'T it " * 6, "...", "film-good film"]
    # Punctuation is dropped rather than replaced by spaces: "film-good" is one word.
    tokens: tuple[list[str], ...] = (["good", "film"], ["dont", "it"] * 6, [], ["[UNK]", "film"])
    ids = [[words.index(token) for token in text] for text in tokens]
    expected = model.predict(pad(ids, "post", "post"), verbose=0)[:, 0]
    np.testing.assert_allclose(classifier.predict_proba(texts)[:, 1], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "kinds"),
    [
        ((L.Embedding(ROWS, 4), L.GRU(3), L.Dense(1)), ["GRU", "Dense"]),
        ((L.Embedding(ROWS, 4), L.LSTM(3), L.LayerNormalization(), L.Dense(1)), ["LayerNormalization", "Dense"]),
        ((L.Embedding(ROWS, 4), L.LSTM(3, return_sequences=True), L.Dense(1)), ["Dense"]),
    ],
)  # fmt: skip
def test_unsupported_layers_raise_data_error(tmp_path: Path, layers: Any, kinds: list[str]) -> None:
    make_model(*layers).save(tmp_path / "model.keras")
    with pytest.raises(DataError) as raised:
        from_keras(tmp_path / "model.keras")
    assert (raised.value.code, raised.value.layers) == ("unsupported-layers", kinds)


@pytest.mark.parametrize(
    ("layers", "option", "value"),
    [
        ((L.Embedding(ROWS, 4), L.LSTM(3, activation="relu"), L.Dense(1)), "activation", "relu"),
        ((L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(2, activation="sigmoid")), "activation", "sigmoid"),
        ((L.Embedding(ROWS, 4), L.LSTM(3, go_backwards=True), L.Dense(1)), "go_backwards", True),
        (
            (
                L.Embedding(ROWS, 4),
                L.Bidirectional(L.LSTM(3), backward_layer=L.LSTM(3, go_backwards=True, activation="relu")),
                L.Dense(1),
            ),
            "activation",
            "relu",
        ),
    ],
)
def test_unsupported_layer_options_raise_data_error(
    tmp_path: Path, layers: Any, option: str, value: object
) -> None:
    make_model(*layers).save(tmp_path / "model.keras")
    with pytest.raises(DataError) as raised:
        from_keras(tmp_path / "model.keras")
    assert raised.value.code == "unsupported-layer-option"
    assert (raised.value.option, raised.value.value) == (option, value)


def test_branching_layers_raise_data_error(tmp_path: Path) -> None:
    ids = keras.Input((LENGTH,))
    words = L.Embedding(ROWS, 4, name="words")(ids)
    branches = L.Concatenate()([L.LSTM(3)(words), L.LSTM(2)(words)])
    keras.Model(ids, L.Dense(1)(branches)).save(tmp_path / "model.keras")
    with pytest.raises(DataError) as raised:
        from_keras(tmp_path / "model.keras")
    assert (raised.value.code, raised.value.inputs) == ("unsupported-graph", ["words"])


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"\x89HDF\r\n\x1a\n", b"no model at all"])
def test_files_that_are_not_keras_models_raise_data_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        from_keras(path)
    assert (raised.value.code, raised.value.path) == ("not-a-keras-model", path)


def test_model_that_reads_padding_without_a_length_needs_max_tokens(tmp_path: Path) -> None:
    model = tutorial_model(length=None)
    with pytest.raises(OptionError) as raised:
        import_classifier(model, tmp_path / "model.keras")
    assert raised.value.code == "missing-max-tokens"
    classifier = import_classifier(model, tmp_path / "model.keras", max_tokens=LENGTH)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS)[:, 1], original_outputs(model)[:, 0], atol=1e-6)


def test_explanations_include_padding_that_the_model_reads(tmp_path: Path) -> None:
    classifier = import_classifier(tutorial_model(), tmp_path / "model.keras")
    text = "A good film!"
    explanation = classifier.explain(text)
    assert explanation.tokens == ("[PAD]",) * 5 + ("[START]", "A", "good", "film")
    assert explanation.baseline_logit + float(explanation.lstm.sum()) == pytest.approx(explanation.logit, abs=0.02)
    np.testing.assert_allclose(classifier.trajectory(text)[-1], classifier.predict_proba(text), atol=1e-6)
    assert classifier.gates(text).layers[0].hidden.shape == (LENGTH, 3)


def test_model_that_reads_padding_cannot_stream(tmp_path: Path) -> None:
    classifier = import_classifier(tutorial_model(), tmp_path / "model.keras")
    with pytest.raises(OptionError) as raised:
        classifier.stream()
    assert raised.value.code == "cannot-stream"


def test_imported_model_is_saved_and_loaded_unchanged(tmp_path: Path) -> None:
    classifier = import_classifier(tutorial_model(), tmp_path / "model.keras")
    classifier.save(tmp_path / "saved")
    loaded = load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict_proba(TEXTS), classifier.predict_proba(TEXTS))
    # Version 4 marks models whose texts are not cleaned.
    assert json.loads((tmp_path / "saved" / "config.json").read_bytes())["format_version"] == 4


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
@pytest.mark.parametrize("padding", ["pre", "post"])
def test_max_pooling_over_masked_steps_raises_data_error(tmp_path: Path, padding: str) -> None:
    model = make_model(
        L.Embedding(ROWS, 4, mask_zero=True), L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.GlobalMaxPooling1D(), L.Dense(1),
    )  # fmt: skip
    with pytest.raises(DataError) as raised:
        import_classifier(model, tmp_path / "model.keras", padding=PADDING[padding])
    assert raised.value.code == "unsupported-masking"


def test_unidirectional_and_bidirectional_layers_together_match_the_original(tmp_path: Path) -> None:
    layers = [
        L.LSTM(2, return_sequences=True), L.Bidirectional(L.LSTM(3, return_sequences=True)),
        L.LSTM(4, return_sequences=True), L.GlobalMaxPooling1D(),
    ]  # fmt: skip
    model = make_model(L.Embedding(ROWS, 4), *layers, L.Dense(3, activation="tanh"), L.Dense(1))
    classifier = import_classifier(model, tmp_path / "model.keras")
    expected = 1 / (1 + np.exp(-original_outputs(model)[:, 0]))
    np.testing.assert_allclose(classifier.predict_proba(TEXTS)[:, 1], expected, atol=1e-6)


def test_max_tokens_other_than_the_input_length_raises_option_error(tmp_path: Path) -> None:
    model = make_model(L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(1))
    with pytest.raises(OptionError) as raised:
        import_classifier(model, tmp_path / "model.keras", max_tokens=20)
    assert raised.value.code == "max-tokens-mismatch"
    assert (raised.value.max_tokens, raised.value.input_length) == (20, LENGTH)


@pytest.mark.parametrize(
    ("replace", "code"),
    [
        (
            lambda group, name: group.create_dataset(name, (3, 1), "f4", external=[("/etc/hostname", 0, 12)]),
            "bad-weights",
        ),
        (
            lambda group, name: group.__setitem__(name, h5py.ExternalLink("other.h5", "/secret")),
            "external-weights",
        ),
        (lambda group, name: group.__setitem__(name, h5py.SoftLink("/model_weights")), "external-weights"),
        (
            lambda group, name: group.create_dataset(name, (1 << 40, 4), "f4", chunks=(1024, 4)),
            "too-large-unpacked",
        ),
        (lambda group, name: group.create_dataset(name, data=np.array([b"text"])), "bad-weights"),
    ],
)
def test_weights_in_other_files_or_of_excessive_size_raise_data_error(
    tmp_path: Path, replace: Callable[[Any, str], None], code: str
) -> None:
    path = tmp_path / "model.h5"
    make_model(L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(1)).save(path)
    with h5py.File(path, "a") as weights:
        (layer,) = [name for name in weights["model_weights"] if name.startswith("dense")]
        group = weights["model_weights"][layer]
        kernel = group.attrs["weight_names"][0]
        del group[kernel]
        replace(group, kernel)
    with pytest.raises(DataError) as raised:
        from_keras(path)
    assert raised.value.code == code


def test_archive_of_excessive_unpacked_size_raises_data_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 20_000_000)
    with pytest.raises(DataError) as raised:
        from_keras(tmp_path / "m.keras")
    assert (raised.value.code, raised.value.name) == ("too-large-unpacked", "config.json")


def test_weights_without_layers_raise_data_error(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    make_model(L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(1)).save_weights(path)
    with pytest.raises(DataError) as raised:
        from_keras(path)
    assert (raised.value.code, raised.value.path) == ("weights-only", path)


@pytest.mark.parametrize(
    ("field", "code", "value"),
    [
        ("units", "incomplete-layer", "cause"),
        ("activation", "unsupported-layer-option", "option"),
        ("use_bias", "incomplete-layer", "cause"),
    ],
)
def test_incomplete_layer_configurations_raise_data_error(
    tmp_path: Path, field: str, code: str, value: str
) -> None:
    make_model(L.Embedding(ROWS, 4), L.LSTM(3), L.Dense(1)).save(tmp_path / "a.keras")
    with zipfile.ZipFile(tmp_path / "a.keras") as source, zipfile.ZipFile(tmp_path / "b.keras", "w") as target:
        config = json.loads(source.read("config.json"))
        for layer in config["config"]["layers"][2:]:
            layer["config"].pop(field, None)
        target.writestr("config.json", json.dumps(config))
        target.writestr("model.weights.h5", source.read("model.weights.h5"))
    with pytest.raises(DataError) as raised:
        from_keras(tmp_path / "b.keras")
    assert raised.value.code == code
    assert field in raised.value.values[value]
