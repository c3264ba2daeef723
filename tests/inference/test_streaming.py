"""Streams, compared to the last bit with predictions for the text at once."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import pickle
import subprocess
import sys
import tracemalloc
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
from fastlstm.inference.streaming import MAGIC, MAGIC_1
from fastlstm.inference.varint import encode_varints
from fastlstm.kernel import find_kernel
from fastlstm.text.ngrams import NGRAM_ID_COUNT
from fastlstm.text.token_boundaries import MAX_PENDING

OLD_MODEL = Path(__file__).parents[1] / "serialization" / "golden" / "version-2"
OLD_TEXT = (
    "An awful movie, a dull plot! Great actors, really great music, not an awful film. A dull story and the actors"
)
OLD_STATE = base64.b64decode(
    "ZmFzdGxzdG0gc3RyZWFtIDEK4RUxETemDvgU9leeLJ+cCz80i09aOxIg6gU+IJitQ/l7Im1vZGVsIjogIjNjZjU5MzgzOGE5MjA3ODEiLCAicm"
    "VhZCI6IDI1LCAia25vd24iOiAyMywgImhlbGQiOiAiYWN0b3JzIiwgImFycmF5cyI6IHsic3RhdGUiOiAxNCwgInNlZW4iOiA5LCAibGFzdCI6"
    "IDI1fX0KZCrovtpySj+hVxU/ieJ2v0iqbkDblYw/1GxZP07DHr9/eKNAMReDwAAAAAAAAAAAAAAAAAAAAADUIwEAC8kCAKPQBACSTgUAs2cFAN"
    "92BgCfEQsA/lgLABZxDAAFAAAABgAAABAAAAAPAAAAAgAAAAMAAAARAAAACQAAAAcAAAAKAAAADwAAABIAAAAHAAAABAAAAA8AAAAIAAAABQAA"
    "AAYAAAAMAAAAAQAAAAIAAAADAAAADQAAAAsAAAABAAAA"
)
"""The state of format 1 after `OLD_TEXT`, of `OLD_MODEL`."""
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
    assert sizes[-1] - sizes[0] < 300 + 70 + 20  # last tokens and n-grams, one byte each, and digits of counts


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


def parts_of(state: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the head and the body of a state."""
    line, _, body = state[len(MAGIC) + 32 :].partition(b"\n")
    return json.loads(line), body


def forge_state(head: Any, body: bytes, magic: bytes = MAGIC) -> bytes:
    """Return a state with a valid checksum."""
    content = json.dumps(head).encode() + b"\n" + body
    return magic + hashlib.sha256(content).digest() + content


def assert_invalid(classifier: Classifier, state: bytes) -> None:
    with pytest.raises(DataError) as raised:
        classifier.stream(state)
    assert raised.value.code == "invalid-stream-state"


@pytest.mark.parametrize(
    "changes",
    [
        {"held": 5}, {"held": None}, {"held": "\ud800"}, {"held": "a" * (MAX_PENDING + 1)}, {"held": [[]]},
        {"read": 10**30}, {"read": -1}, {"read": "1"}, {"read": 4.0}, {"read": True}, {"read": None}, {"read": 0},
        {"read": 3}, {"read": 10**6},
        {"known": -1}, {"known": 5}, {"known": "1"}, {"known": None},
    ],
    ids=lambda changes: str(changes)[:30],
)  # fmt: skip
def test_forged_head_raises_data_error(make_model: MakeModel, runtime: None, changes: dict[str, Any]) -> None:  # noqa: ARG001
    classifier = Classifier(with_ngrams(make_model()))
    head, body = parts_of(classifier.stream().feed("not bad at all ").state)
    assert classifier.stream(forge_state(head, body)).token_count == 4
    assert_invalid(classifier, forge_state({**head, **changes}, body))


@pytest.mark.parametrize("head", [None, [], "x", 5, {}, {"model": None}])
def test_heads_without_fields_raise_data_error(make_model: MakeModel, head: Any) -> None:
    with pytest.raises(DataError) as raised:
        Classifier(make_model()).stream(forge_state(head, b""))
    assert raised.value.code in {"invalid-stream-state", "stream-state-mismatch"}


@pytest.mark.parametrize("ngrams", [True, False])
def test_bodies_of_another_size_raise_data_error(make_model: MakeModel, runtime: None, ngrams: bool) -> None:  # noqa: ARG001
    classifier = Classifier(with_ngrams(make_model()) if ngrams else make_model())
    head, body = parts_of(classifier.stream().feed("not bad at all ").state)
    size = 4 * classifier.network.features.state_size
    assert len(body) == size or ngrams
    for wrong in (b"", body[:4], body[: size - 1], body[: size - 4], body + b"\xff", body + b"\0" * 1000):
        assert_invalid(classifier, forge_state(head, wrong))
    if ngrams:
        assert_invalid(classifier, forge_state(head, body[:size]))


@pytest.mark.parametrize(
    "case", ["large token", "unknown token", "large row", "unknown row", "sum of gaps", "too long"]
)
def test_forged_integers_raise_data_error(make_model: MakeModel, runtime: None, case: str) -> None:  # noqa: ARG001
    model = with_ngrams(make_model())
    classifier, vocabulary, rows = Classifier(model), model.config.vocabulary_size, model.config.ngrams
    head, body = parts_of(classifier.stream().feed("not bad at all ").state)
    states = body[: 4 * classifier.network.features.state_size]
    valid = [0, rows - 2, 0, vocabulary - 1, 0, 0]
    assert classifier.stream(forge_state(head, states + encode_varints(np.array(valid)))).token_count == 4
    forged = {
        "large token": [0, 2**31 - 1, 0, 0],
        "unknown token": [0, vocabulary, 0, 0],
        "large row": [2**31 - 1, 0, 0, 0, 0],
        "unknown row": [rows, 0, 0, 0, 0],
        "sum of gaps": [0, rows - 1, 0, 0, 0, 0],
        "too long": [*[2**31 - 1] * 3, 0, 0, 0, 0],
    }[case]
    assert_invalid(classifier, forge_state(head, states + encode_varints(np.array(forged))))


@pytest.mark.parametrize("byte", [b"\0", b"\x80", b"\xff"])
@pytest.mark.parametrize("magic", [MAGIC, MAGIC_1])
def test_large_states_are_rejected_in_little_memory(make_model: MakeModel, magic: bytes, byte: bytes) -> None:
    classifier = Classifier(with_ngrams(make_model()))
    head, body = parts_of(classifier.stream().feed("not bad at all ").state)
    state = forge_state(head, body + byte * 4_000_000, magic)
    tracemalloc.start()
    try:
        assert_invalid(classifier, state)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(state)
    finally:
        tracemalloc.stop()


def test_states_of_format_1_are_restored(runtime: None) -> None:  # noqa: ARG001
    classifier = fastlstm.load(OLD_MODEL)
    assert OLD_STATE.startswith(MAGIC_1)
    old, new = classifier.stream(OLD_STATE), classifier.stream().feed(OLD_TEXT)
    assert (
        (old.token_count, old.known, old.pending)
        == (new.token_count, new.known, new.pending)
        == (25, 0.92, "actors")
    )
    np.testing.assert_allclose(old.probabilities, new.probabilities, atol=1e-6)
    converted = classifier.stream(old.state)
    assert old.state.startswith(MAGIC)
    assert converted.state == old.state
    size = 4 * classifier.network.features.state_size
    assert parts_of(old.state)[1][size:] == parts_of(new.state)[1][size:]
    for stream in (old, new, converted):
        stream.feed(" and the plot, an awful movie " * 30).end()
    assert converted.probabilities.tobytes() == old.probabilities.tobytes()
    np.testing.assert_allclose(old.probabilities, new.probabilities, atol=1e-6)


def test_counts_of_known_tokens_are_optional_in_format_1() -> None:
    classifier = fastlstm.load(OLD_MODEL)
    head, body = parts_of(OLD_STATE)
    del head["known"]
    assert classifier.stream(forge_state(head, body, MAGIC_1)).known == 1.0


@pytest.mark.parametrize("case", ["unknown", "negative", "too large", "decreasing", "repeated", "token", "size"])
def test_forged_states_of_format_1_raise_data_error(runtime: None, case: str) -> None:  # noqa: ARG001
    classifier = fastlstm.load(OLD_MODEL)
    head, body = parts_of(OLD_STATE)
    size = 4 * classifier.network.features.state_size
    integers = np.frombuffer(body[size:], np.int32)
    first, second, *others = integers.tolist()
    forged = {
        "unknown": [first, first + 1, *others],
        "negative": [-1, second, *others],
        "too large": [*others[:2], NGRAM_ID_COUNT, *others[2:]],
        "decreasing": [second, first, *others],
        "repeated": [first, first, *others],
        "token": [first, second, *others[:-1], -1],
        "size": [first, second, *others[:10]],
    }[case]
    assert classifier.stream(forge_state(head, body, MAGIC_1)).token_count == 25
    assert_invalid(classifier, forge_state(head, body[:size] + np.array(forged, np.int32).tobytes(), MAGIC_1))
    assert_invalid(classifier, forge_state(head, body[:-2], MAGIC_1))


@pytest.mark.parametrize("magic", [MAGIC, MAGIC_1])
def test_random_changes_of_a_state_with_a_valid_checksum_are_rejected_or_restored(magic: bytes) -> None:
    classifier, generator = fastlstm.load(OLD_MODEL), np.random.default_rng(4)
    state = OLD_STATE if magic == MAGIC_1 else classifier.stream(OLD_STATE).state
    start, codes, restored_count = len(MAGIC) + 32, set(), 0
    for _ in range(300):
        content = np.frombuffer(state[start:], np.uint8).copy()
        content[generator.integers(0, len(content), 2)] = generator.integers(0, 256, 2)
        changed = magic + hashlib.sha256(content.tobytes()).digest() + content.tobytes()
        try:
            stream = classifier.stream(changed)
        except DataError as error:
            codes.add(error.code)
        else:
            stream.feed("A dull film, ").end()
            assert stream.probabilities.shape == (2,)
            restored_count += 1
    assert codes == {"invalid-stream-state", "stream-state-mismatch"}
    assert restored_count > 0
