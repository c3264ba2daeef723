"""Streams, compared to the last bit with predictions for the text at once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.ngram_models import with_ngrams
from tests.helpers.random_models import MakeModel

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier, features
from fastlstm.inference.streaming import MAGIC
from fastlstm.kernel import find_kernel

UNLIMITED = 10**9
"""`max_tokens` of models that truncate no text of these tests."""
WORDS = [
    "not",
    "bad",
    "at",
    "all",
    "this",
    "movie",
    "was",
    "good",
    "the",
    "first",
    "hour",
    "很",
    "!",
    ",",
    "unseen",
]


@pytest.fixture(
    params=[
        {"pooling": "concat", "hidden_sizes": (5, 7)},
        {"pooling": "last", "hidden_sizes": (67,)},
        {"pooling": "max", "hidden_sizes": (4, 3)},
        {"pooling": "mean", "hidden_sizes": (3,), "activation": "softmax"},
    ],
    ids=str,
)
def classifier(request: pytest.FixtureRequest, make_model: MakeModel, runtime: None) -> Classifier:  # noqa: ARG001
    """A model without truncation, with n-grams near both ends of a text."""
    config = ModelConfig(embedding_size=5, max_tokens=UNLIMITED, **request.param)
    return Classifier(with_ngrams(make_model(config, seed=6, temperature=1.3)))


def make_text(words: int, seed: int = 0) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def split_text(text: str, seed: int) -> list[str]:
    generator, pieces = np.random.default_rng(seed), []
    while text:
        size = int(generator.integers(1, 30))
        pieces.append(text[:size])
        text = text[size:]
    return pieces


@pytest.mark.parametrize("words", [1, 12, 150, 700])
def test_stream_equals_predictions_for_the_text_so_far(classifier: Classifier, words: int) -> None:
    text = make_text(words) + "."
    stream = classifier.stream()
    so_far = ""
    for number, piece in enumerate(split_text(text, words)):
        assert stream.feed(piece) is stream
        so_far += piece
        if number % 7 == 0 and stream.token_count:
            complete = so_far[: len(so_far) - len(stream.pending)]
            assert np.array_equal(stream.probabilities, classifier.predict_proba(complete))
    assert np.array_equal(stream.end().probabilities, classifier.predict_proba(text))
    assert stream.token_count == len(classifier.tokenize([text]).ids[0])
    assert stream.pending == ""


def test_a_stream_does_not_need_cached_projections(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "MAX_TABLE_BYTES", 0)
    text, stream = make_text(60), Classifier(classifier.saved).stream()
    for piece in split_text(text, 1):
        stream.feed(piece)
    assert stream.end().probabilities.tobytes() == classifier.predict_proba(text).tobytes()


def test_state_is_restored_in_another_process(make_model: MakeModel, tmp_path: Path) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(9, 4), pooling="concat", max_tokens=UNLIMITED)
    classifier = Classifier(with_ngrams(make_model(config)))
    classifier.save(tmp_path / "model")
    text = make_text(400)
    stream = classifier.stream().feed(text[:1000])
    (tmp_path / "state").write_bytes(stream.state)
    code = (
        "import sys, fastlstm; from pathlib import Path\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "stream = fastlstm.load(folder / 'model').stream((folder / 'state').read_bytes())\n"
        f"print(stream.feed({text[1000:]!r}).end().probabilities.tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert bytes.fromhex(done.stdout) == classifier.predict_proba(text).tobytes()


def test_state_can_be_saved_after_any_piece_and_stays_small(classifier: Classifier) -> None:
    text = make_text(600)
    stream = classifier.stream()
    assert np.array_equal(classifier.stream(stream.state).probabilities, classifier.predict_proba(""))
    sizes = []
    for piece in split_text(text, 3):
        stream = classifier.stream(stream.state).feed(piece)
        assert np.array_equal(classifier.stream(stream.state).probabilities, stream.probabilities)
        sizes.append(len(stream.state))
    assert np.array_equal(stream.end().probabilities, classifier.predict_proba(text))
    assert max(sizes) < 16_000


def test_state_of_another_model_raises_data_error(make_model: MakeModel) -> None:
    first, second = (Classifier(make_model(seed=seed)) for seed in (1, 2))
    state = first.stream().feed("not bad ").state
    with pytest.raises(DataError) as raised:
        second.stream(state)
    assert raised.value.code == "stream-state-mismatch"
    assert raised.value.fingerprint == first.network.fingerprint
    assert raised.value.expected == second.network.fingerprint


def test_corrupted_state_raises_data_error(make_model: MakeModel) -> None:
    classifier = Classifier(make_model())
    state = classifier.stream().feed("not bad ").state
    flipped = state[:-1] + bytes([state[-1] ^ 1])
    for corrupted in (b"", b"x", state[:-1], flipped, b"x" + state, state + b"x"):
        with pytest.raises(DataError) as raised:
            classifier.stream(corrupted)
        assert raised.value.code == "invalid-stream-state"


def test_state_is_restored_with_a_pickled_model(make_model: MakeModel) -> None:
    classifier = Classifier(make_model())
    state = classifier.stream().feed("not bad ").state
    restored = pickle.loads(pickle.dumps(classifier)).stream(state)
    assert np.array_equal(restored.probabilities, classifier.stream(state).probabilities)


def test_interleaved_streams_are_independent(make_model: MakeModel) -> None:
    classifier = Classifier(make_model(ModelConfig(embedding_size=5, hidden_sizes=(9,), max_tokens=UNLIMITED)))
    texts = [make_text(30, seed) for seed in range(5)]
    streams = [classifier.stream() for _ in texts]
    for start in range(0, 200, 3):
        for stream, text in zip(streams, texts, strict=True):
            stream.feed(text[start : start + 3])
    for stream, text in zip(streams, texts, strict=True):
        assert np.array_equal(stream.end().probabilities, classifier.predict_proba(text[:201]))


@pytest.mark.parametrize("fields", [{"bidirectional": True}, {"padding": "front"}, {"padding": "back"}])
def test_models_that_cannot_stream_raise_option_error(make_model: MakeModel, fields: dict[str, Any]) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), **fields))
    classifier = Classifier(model)
    assert not classifier.can_stream
    with pytest.raises(OptionError) as raised:
        classifier.stream()
    assert raised.value.code == "cannot-stream"
    assert Classifier(make_model()).can_stream


@pytest.mark.parametrize(
    ("piece", "code"),
    [
        (None, "not-a-text"),
        (3, "not-a-text"),
        (b"bytes", "not-a-text"),
        (["a"], "not-a-text"),
        ("\ud800", "invalid-unicode"),
    ],
)
def test_anything_but_text_raises_data_error_and_leaves_the_stream_unchanged(
    make_model: MakeModel, piece: Any, code: str
) -> None:
    stream = Classifier(make_model()).stream().feed("not ")
    with pytest.raises(DataError) as raised:
        stream.feed(piece)
    assert raised.value.code == code
    assert stream.token_count == 1


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_streams_in_lower_precision_equal_predictions(
    make_model: MakeModel, tmp_path: Path, precision: str
) -> None:
    kernel = find_kernel().kernel
    if kernel is None or not kernel.supports(precision):
        pytest.skip(f"{precision} is not supported on this machine")
    config = ModelConfig(embedding_size=5, hidden_sizes=(19, 7), pooling="concat", max_tokens=UNLIMITED)
    Classifier(make_model(config)).save(tmp_path / "model")
    classifier = fastlstm.load(tmp_path / "model", precision=precision)
    text, stream = make_text(60), classifier.stream()
    for piece in split_text(text, 5):
        stream.feed(piece)
    assert np.array_equal(stream.end().probabilities, classifier.predict_proba(text))


def test_streams_are_not_truncated(make_model: MakeModel) -> None:
    limited = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), max_tokens=5))
    unlimited = dataclasses.replace(limited, config=dataclasses.replace(limited.config, max_tokens=UNLIMITED))
    text = make_text(40)
    stream = Classifier(limited).stream().feed(text).end()
    assert np.array_equal(stream.probabilities, Classifier(unlimited).predict_proba(text))
    assert repr(stream) == "Stream(40 tokens, 0 pending characters)"


def forge_state(state: bytes, **changes: Any) -> bytes:
    """Return a state with another head and a valid checksum."""
    start = len(MAGIC) + 32
    line, _, body = state[start:].partition(b"\n")
    content = json.dumps({**json.loads(line), **changes}).encode() + b"\n" + body
    return MAGIC + hashlib.sha256(content).digest() + content


@pytest.mark.parametrize(
    "changes",
    [
        {"held": 5}, {"held": None}, {"read": 10**30}, {"read": -1}, {"read": "1"}, {"arrays": []}, {"arrays": {}},
        {"arrays": {"state": 1, "seen": 0, "last": 0}}, {"arrays": {"state": -1, "seen": 1, "last": 0}},
    ],
)  # fmt: skip
def test_forged_state_raises_data_error(make_model: MakeModel, changes: dict[str, Any]) -> None:
    classifier = Classifier(with_ngrams(make_model()))
    state = classifier.stream().feed("not bad at all ").state
    assert classifier.stream(forge_state(state)).token_count == 4
    with pytest.raises(DataError) as raised:
        classifier.stream(forge_state(state, **changes))
    assert raised.value.code == "invalid-stream-state"
