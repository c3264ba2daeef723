"""Keras models with more than Embedding, LSTM and one Dense, compared with the originals."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastlstm._typing import FloatArray
from fastlstm.convert.classifier import make_classifier
from fastlstm.convert.keras import from_keras
from fastlstm.convert.keras_file import read_model
from fastlstm.convert.tokenization import TOKENIZATION_RULES
from fastlstm.convert.vocabulary import VocabularyOptions, make_vocabulary
from fastlstm.errors import DataError
from fastlstm.inference import Classifier

pytest.importorskip("torch")
pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
L = keras.layers
# Raised by Keras on PyTorch.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning"),
]

LENGTH = 6
WORDS = ["", "[UNK]", "good", "bad", "film", "it"]
TEXTS = ["good film", "it it bad film it good bad film", "never seen", "bad"]
RULE = TOKENIZATION_RULES["spaces"]
BinaryCrossentropy = keras.losses.BinaryCrossentropy


def randomize(model: Any) -> Any:
    """Set random weights."""
    generator = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(generator.normal(0, 0.7, tuple(weight.shape)))
    return model


def token_ids(text: str) -> Any:
    """Return the ids [1, LENGTH] of a text, padded at the back."""
    ids = [WORDS.index(word) if word in WORDS else 1 for word in text.split()]
    return keras.utils.pad_sequences([ids], LENGTH, padding="post", truncating="post")


def original_outputs(model: Any) -> FloatArray:
    """Return the outputs [n] of a model with one output for `TEXTS`."""
    ids = np.concatenate([token_ids(text) for text in TEXTS])
    outputs: FloatArray = model.predict(ids, verbose=0)[:, 0]
    return outputs


def import_classifier(path: Path) -> Classifier:
    return Classifier(
        make_classifier(from_keras(path), make_vocabulary(WORDS), RULE, padding="back", truncate="beginning")
    )


def imported_outputs(path: Path) -> FloatArray:
    column: FloatArray = import_classifier(path).predict_proba(TEXTS)[:, 1]
    return column


def sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def embedding(**options: Any) -> Any:
    return L.Embedding(len(WORDS), 3, **options)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("mask", [False, True])
def test_tutorial_of_tensorflow_with_nested_encoder_and_training_layers_matches(
    tmp_path: Path, suffix: str, mask: bool
) -> None:
    encoder = keras.Sequential(
        [
            embedding(mask_zero=mask), L.SpatialDropout1D(0.2), L.Bidirectional(L.LSTM(4, return_sequences=True)),
            L.GaussianNoise(0.1), L.Bidirectional(L.LSTM(2)),
        ],
        name="encoder",
    )  # fmt: skip
    encoder.layers[0].trainable = False  # .h5 files list the arrays of frozen layers last
    model = keras.Sequential(
        [
            keras.Input((LENGTH,)), keras.Sequential([encoder]), L.Dense(5), L.Activation("relu"), L.Dropout(0.5),
            L.Dense(3, activation="tanh"), L.AlphaDropout(0.1), L.Dense(1),
        ]
    )  # fmt: skip
    model.compile(loss=BinaryCrossentropy(from_logits=True))
    randomize(model).save(tmp_path / f"m.{suffix}")
    imported = from_keras(tmp_path / f"m.{suffix}")
    assert ([layer.activation for layer in imported.dense], imported.notes) == (["relu", "tanh"], ())
    np.testing.assert_allclose(
        imported_outputs(tmp_path / f"m.{suffix}"), sigmoid(original_outputs(model)), atol=1e-6
    )


@pytest.mark.parametrize(
    "last",
    [
        [L.Dense(1, activation="sigmoid")],
        [L.Dense(1), L.Activation("sigmoid")],
        [L.Dense(4), L.ReLU(), L.Dense(1), L.Activation("linear"), L.Activation("sigmoid")],
        [L.Flatten(), L.Dense(1, activation=keras.activations.sigmoid)],
    ],
)  # fmt: skip
def test_activations_in_layers_of_their_own_belong_to_the_dense_layer_before(
    tmp_path: Path, last: list[Any]
) -> None:
    model = keras.Sequential([keras.Input((LENGTH,)), embedding(), L.LSTM(3), *last])
    randomize(model).save(tmp_path / "m.keras")
    np.testing.assert_allclose(imported_outputs(tmp_path / "m.keras"), original_outputs(model), atol=1e-6)


def state_model(state: int, *, sequences: bool = False) -> Any:
    """Return a model whose last layer reads output, hidden state or cell state of an LSTM."""
    ids = keras.Input((LENGTH,))
    states = L.LSTM(3, return_state=True, return_sequences=sequences, name="lstm")(embedding()(ids))
    return randomize(keras.Model(ids, L.Dense(1, activation="sigmoid")(states[state])))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_last_hidden_state_is_read_and_cell_state_is_rejected(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m.{suffix}"
    for sequences in (False, True):
        model = state_model(1, sequences=sequences)
        model.save(path)
        np.testing.assert_allclose(imported_outputs(path), original_outputs(model), atol=1e-6)
    state_model(2).save(path)
    with pytest.raises(DataError) as raised:
        from_keras(path)
    assert (raised.value.code, raised.value.inputs) == ("unsupported-graph", ["lstm"])


def functional(build: Callable[[Any], Any]) -> Any:
    ids = keras.Input((LENGTH,))
    return keras.Model(ids, build(L.LSTM(3)(embedding()(ids))))


def two_calls(features: Any) -> Any:
    twice = L.Dense(3, activation="relu", name="twice")
    return L.Dense(1, activation="sigmoid")(twice(twice(features)))


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (lambda features: L.Dense(1)(L.Dropout(0.5)(features, training=True)), "unsupported-call"),
        (lambda features: [L.Dense(1, name="a")(features), features], "unsupported-graph"),
        (two_calls, "unsupported-graph"),
        (lambda features: L.Dense(1)(L.LayerNormalization()(features)), "unsupported-layers"),
        (lambda features: L.Dense(1)(L.Dense(3, activation="elu")(features)), "unsupported-layer-option"),
        (lambda features: L.Dense(1)(L.ReLU(max_value=6)(L.Dense(3)(features))), "unsupported-layer-option"),
        (
            lambda features: L.Activation("tanh")(L.Dense(1, activation="relu")(features)),
            "unsupported-layer-option",
        ),
    ],
)
def test_layers_and_calls_that_change_the_result_raise_data_error(
    tmp_path: Path, build: Callable[[Any], Any], code: str
) -> None:
    functional(build).save(tmp_path / "m.keras")
    with pytest.raises(DataError) as raised:
        from_keras(tmp_path / "m.keras")
    assert raised.value.code == code


@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy", BinaryCrossentropy()])
def test_outputs_that_the_loss_does_not_read_as_logits_raise_data_error(tmp_path: Path, loss: Any) -> None:
    model = functional(L.Dense(1))
    model.compile(loss=loss)
    model.save(tmp_path / "m.keras")
    with pytest.raises(DataError) as raised:
        from_keras(tmp_path / "m.keras")
    assert raised.value.code == "unsupported-loss"


def test_rounding_and_unknown_losses_are_noted(tmp_path: Path) -> None:
    lstm = L.LSTM(3, dtype="mixed_bfloat16")
    for layer in (lstm, L.Bidirectional(L.LSTM.from_config(lstm.get_config()))):
        layers = [embedding(), layer, L.Dense(1)]
        keras.Sequential([keras.Input((LENGTH,)), *layers]).save(tmp_path / "m.keras")
        assert len(from_keras(tmp_path / "m.keras").notes) == 2


def rewrite(path: Path, target: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Write a .keras file with changed layers."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        config = json.loads(source.read("config.json"))
        change(config["config"]["layers"])
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", source.read("model.weights.h5"))


def make_bidirectional(layers: list[dict[str, Any]]) -> None:
    """Put the LSTM, as a class of another module, into a Bidirectional."""
    inner = {**layers[2], "registered_name": "mine>LSTM"}
    layers[2] = {"class_name": "Bidirectional", "config": {"name": "both", "layer": inner, "merge_mode": "concat"}}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda layers: layers[2].update(module="my.layers"), "unsupported-layers"),
        (lambda layers: layers[2].update(registered_name="mine>LSTM"), "unsupported-layers"),
        (lambda layers: layers[2]["config"].update(stateful=True), "unsupported-layer-option"),
        (make_bidirectional, "unsupported-layer-option"),
        (
            lambda layers: layers[3]["config"].update(
                activation={"module": "builtins", "class_name": "function", "config": "sigmoid"}
            ),
            "unsupported-layer-option",
        ),
        (lambda layers: layers[2]["config"].update(time_major=True), "unsupported-layer-option"),
        (lambda layers: layers[3]["config"].update(use_bias=False), "missing-weights"),
    ],
)
def test_layers_that_are_not_what_their_name_says_raise_data_error(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], code: str
) -> None:
    layers = [keras.Input((LENGTH,)), embedding(), L.LSTM(3), L.Dense(1)]
    keras.Sequential(layers).save(tmp_path / "m.keras")
    rewrite(tmp_path / "m.keras", tmp_path / "n.keras", change)
    with pytest.raises(DataError) as raised:
        from_keras(tmp_path / "n.keras")
    assert raised.value.code == code


def test_masked_text_without_tokens_has_features_of_zero(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((LENGTH,)), embedding(mask_zero=True), L.LSTM(3), L.Dense(1)])
    randomize(model).save(tmp_path / "m.keras")
    expected = sigmoid(model.predict(np.zeros((1, LENGTH)), verbose=0)[:, 0])
    np.testing.assert_allclose(
        import_classifier(tmp_path / "m.keras").predict_proba(" ")[1], expected[0], atol=1e-6
    )


def test_dropped_unknown_words_leave_the_others(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((LENGTH,)), embedding(), L.LSTM(3), L.Dense(1, activation="sigmoid")])
    randomize(model).save(tmp_path / "m.keras")
    words = ["", "is", *WORDS[2:]]
    vocabulary = make_vocabulary(words, VocabularyOptions(drop_unknown=True))
    classifier = Classifier(make_classifier(from_keras(tmp_path / "m.keras"), vocabulary, RULE, padding="front"))
    texts = ["a good film", "the bad and the good and the bad film and it is a bad film", "what"]
    ids = [[words.index(word) for word in text.split() if word in words] for text in texts]
    expected = model.predict(keras.utils.pad_sequences(ids, LENGTH), verbose=0)[:, 0]
    np.testing.assert_allclose(classifier.predict_proba(texts)[:, 1], expected, atol=1e-6)
    assert classifier.tokens("a good film")[-2:] == ("good", "film")


@pytest.mark.parametrize("words", [["good", "[UNK]"], ["[UNK]", "good"]])
def test_word_that_the_mask_skips_raises_data_error(tmp_path: Path, words: list[str]) -> None:
    keras.Sequential([keras.Input((LENGTH,)), embedding(mask_zero=True), L.LSTM(3), L.Dense(1)]).save(
        tmp_path / "m.keras"
    )
    with pytest.raises(DataError) as raised:
        make_classifier(from_keras(tmp_path / "m.keras"), make_vocabulary(words), RULE, padding="front")
    assert raised.value.code == "masked-word"


def test_reading_that_does_not_end_in_time_raises_data_error(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(DataError) as raised:
        read_model(tmp_path / "m.h5", seconds=0)
    assert (raised.value.code, raised.value.path) == ("reading-timed-out", tmp_path / "m.h5")


def test_vocabulary_written_on_windows_has_no_carriage_returns(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((LENGTH,)), embedding(), L.LSTM(3), L.Dense(1)]).save(tmp_path / "m.keras")
    options = {"name": "text", "standardize": "lower", "split": "character", "output_mode": "int",
               "output_sequence_length": None, "ngrams": None}  # fmt: skip

    def insert(layers: list[dict[str, Any]]) -> None:
        layers.insert(1, {"class_name": "TextVectorization", "config": options})

    rewrite(tmp_path / "m.keras", tmp_path / "n.keras", insert)
    with zipfile.ZipFile(tmp_path / "n.keras", "a") as archive:
        archive.writestr("assets/layers/text_vectorization/vocabulary.txt", "\r\n[UNK]\r\na\r\n\u0085")
    tokenization = from_keras(tmp_path / "n.keras").tokenization
    assert tokenization is not None
    assert tokenization.vocabulary == ["", "[UNK]", "a", "\u0085"]
    assert (tokenization.rule.lower, tokenization.rule.separators, tokenization.max_tokens) == ("ascii", None, None)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("pooling", [None, L.GlobalAveragePooling1D])
def test_mask_that_a_functional_model_passes_on_is_that_of_padding(
    tmp_path: Path, suffix: str, pooling: Any
) -> None:
    ids = keras.Input((LENGTH,))
    steps = L.SpatialDropout1D(0.1)(embedding(mask_zero=True)(ids))
    features = L.Bidirectional(L.LSTM(3, return_sequences=pooling is not None))(steps)
    features = features if pooling is None else pooling()(features)
    model = randomize(keras.Model(ids, L.Dense(1, activation="sigmoid")(features)))
    model.save(tmp_path / f"m.{suffix}")
    np.testing.assert_allclose(imported_outputs(tmp_path / f"m.{suffix}"), original_outputs(model), atol=1e-6)


def test_masks_of_anything_but_padding_raise_data_error(tmp_path: Path) -> None:
    for comparison in (0, 2):
        ids = keras.Input((LENGTH,))
        mask = keras.ops.not_equal(ids, comparison)
        features = L.LSTM(3)(L.LSTM(3, return_sequences=True)(embedding()(ids), mask=mask))
        keras.Model(ids, L.Dense(1)(features)).save(tmp_path / "m.keras")
        if comparison == 0:  # both layers are masked, because the first passes the mask on
            assert from_keras(tmp_path / "m.keras").masks_padding
            continue
        with pytest.raises(DataError) as raised:
            from_keras(tmp_path / "m.keras")
        assert raised.value.code == "unsupported-graph"
