"""A text in pieces against the text at once, to the last bit."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.inference.explain.test_attribution import with_ngrams

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier, network
from fastlstm.inference.streaming import MAGIC
from fastlstm.kernel import KernelInfo, find_kernel
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.token_boundaries import MAX_PENDING, TokenBuffer
from fastlstm.text.tokenizer import TextTokenizer

MakeModel = Callable[..., SavedModel]
PIECES = [
    "not",
    "bad",
    " ",
    "\n",
    "<",
    "b",
    "r",
    "/",
    ">",
    "<br />",
    "!",
    ".",
    "Ñ",
    "n\u0303",
    "\u0301",
    "很",
    "看",
]
PIECES += ["Σ", "’s", "\u200d", "👍🏽", "movie", "_", "5", "\x1c", "\u3000", "İ", "\ufb01"]
MANY = 10**9
"""Tokens: more than any text here has."""


@pytest.fixture(params=["kernel", "NumPy"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "NumPy":
        monkeypatch.setattr(network, "find_kernel", lambda: KernelInfo(None, "a test asks for NumPy", None))
    elif find_kernel().kernel is None:
        pytest.skip(f"no kernel: {find_kernel().why_not}")


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
    """One without a limit of tokens, with n-grams near both ends."""
    config = ModelConfig(embedding_size=5, max_tokens=MANY, **request.param)
    return Classifier(with_ngrams(make_model(config, seed=6, temperature=1.3)))


def text_of(words: int, seed: int = 0) -> str:
    generator = np.random.default_rng(seed)
    known = [
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
    return " ".join(generator.choice(known, words))


def pieces_of(text: str, seed: int) -> list[str]:
    generator, pieces = np.random.default_rng(seed), []
    while text:
        size = int(generator.integers(1, 30))
        pieces.append(text[:size])
        text = text[size:]
    return pieces


@pytest.mark.parametrize("words", [1, 12, 150, 700])
def test_pieces_say_what_the_text_does(classifier: Classifier, words: int) -> None:
    text = text_of(words) + "."
    stream = classifier.stream()
    read = ""
    for number, piece in enumerate(pieces_of(text, words)):
        assert stream.feed(piece) is stream
        read += piece
        if number % 7 == 0 and stream.tokens:
            complete = read[: len(read) - len(stream.held)]
            assert np.array_equal(stream.probabilities, classifier.predict_proba(complete))
    assert np.array_equal(stream.end().probabilities, classifier.predict_proba(text))
    assert stream.tokens == len(classifier.encode([text]).ids[0])
    assert stream.held == ""


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.randoms(use_true_random=False))
def test_any_cut_gives_the_tokens_of_the_whole(parts: list[str], random: Any) -> None:
    encode = ENCODER
    text = "".join(parts)
    words, found = TokenBuffer(), []
    rest = text
    while rest:
        size = random.randint(1, 4)
        found += encode.tokens(words.feed(rest[:size])).tolist()
        rest = rest[size:]
    found += encode.tokens(words.end()).tolist()
    assert found == encode.tokens(text).tolist()


@given(st.text(max_size=60), st.integers(1, 7))
@settings(max_examples=200)
def test_any_text_gives_its_tokens_in_pieces(text: str, size: int) -> None:
    words, found = TokenBuffer(), []
    for at in range(0, len(text), size):
        found += ENCODER.tokens(words.feed(text[at : at + size])).tolist()
    found += ENCODER.tokens(words.end()).tolist()
    assert found == ENCODER.tokens(text).tolist()


def _encoder() -> TextTokenizer:
    from tokenizers import Tokenizer

    from fastlstm.text.tokenizer import train_tokenizer

    known = ["not bad movie b r br ñ 很 看 σ ς ’s s _ 5 movie5 fi ﬁ i̇ > < /> . !", "notbad <b badmovie ñn ͏"]
    tokenizer: Tokenizer = train_tokenizer([*known, *PIECES], 200)
    return TextTokenizer(tokenizer, max_tokens=MANY, truncate="end", whole=True)


ENCODER = _encoder()


def test_a_word_that_may_go_on_is_held_back() -> None:
    words = TokenBuffer()
    assert [words.feed(piece) for piece in ("Not b", "ad", ".", ".", " 很", "好吃")] == [
        "Not ",
        "",
        "bad",
        "",
        ".. 很",
        "好吃",
    ]
    assert (words.held, words.end(), words.held) == ("", "", "")


def test_a_line_break_in_pieces_is_one() -> None:
    words = TokenBuffer()
    released = [words.feed(piece) for piece in ("good<", "b", "R ", " /", ">bad ")]
    assert "".join(released) == "good<bR  />bad "
    assert words.held == ""
    whole = "<br<br>> x"
    assert ENCODER.tokens(words.feed(whole) + words.end()).tolist() == ENCODER.tokens(whole).tolist()


def test_what_is_held_back_does_not_grow() -> None:
    words = TokenBuffer()
    for _ in range(5):
        words.feed("x" * MAX_PENDING)
        assert len(words.held) <= MAX_PENDING
    stream_of_breaks = TokenBuffer()
    for _ in range(3 * MAX_PENDING // 100):
        stream_of_breaks.feed(" " * 50 + "<br" + " " * 47)
    assert len(stream_of_breaks.held) <= MAX_PENDING


def test_it_goes_on_in_another_process(make_model: MakeModel, tmp_path: Path) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(9, 4), pooling="concat", max_tokens=MANY)
    classifier = Classifier(with_ngrams(make_model(config)))
    classifier.save(tmp_path / "model")
    text = text_of(400)
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


def test_a_state_is_taken_at_any_time_and_stays_small(classifier: Classifier) -> None:
    text = text_of(600)
    stream = classifier.stream()
    assert np.array_equal(classifier.stream(stream.state).probabilities, classifier.predict_proba(""))
    sizes = []
    for piece in pieces_of(text, 3):
        stream = classifier.stream(stream.state).feed(piece)
        assert np.array_equal(classifier.stream(stream.state).probabilities, stream.probabilities)
        sizes.append(len(stream.state))
    assert np.array_equal(stream.end().probabilities, classifier.predict_proba(text))
    assert max(sizes) < 16_000


def test_a_damaged_state_and_another_models_are_refused(make_model: MakeModel) -> None:
    one, other = (Classifier(make_model(seed=seed)) for seed in (1, 2))
    state = one.stream().feed("not bad ").state
    with pytest.raises(DataError, match="stream of another model"):
        other.stream(state)
    for ill in (b"", b"x", state[:-1], state[:-1] + bytes([state[-1] ^ 1]), b"x" + state, state + b"x"):
        with pytest.raises(DataError, match="the state is none of a stream, or damaged"):
            one.stream(ill)
    restored = pickle.loads(pickle.dumps(one)).stream(state)
    assert np.array_equal(restored.probabilities, one.stream(state).probabilities)


def test_streams_do_not_touch_each_other(make_model: MakeModel) -> None:
    classifier = Classifier(make_model(ModelConfig(embedding_size=5, hidden_sizes=(9,), max_tokens=MANY)))
    texts = [text_of(30, seed) for seed in range(5)]
    streams = [classifier.stream() for _ in texts]
    for at in range(0, 200, 3):
        for stream, text in zip(streams, texts, strict=True):
            stream.feed(text[at : at + 3])
    for stream, text in zip(streams, texts, strict=True):
        assert np.array_equal(stream.end().probabilities, classifier.predict_proba(text[:201]))


def test_a_model_of_both_directions_has_no_stream(make_model: MakeModel) -> None:
    classifier = Classifier(make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), bidirectional=True)))
    with pytest.raises(OptionError, match="the model reads in both directions"):
        classifier.stream()


@pytest.mark.parametrize("piece", [None, 3, b"bytes", ["a"], "\ud800"])
def test_what_is_no_text_is_refused(make_model: MakeModel, piece: Any) -> None:
    stream = Classifier(make_model()).stream().feed("not ")
    with pytest.raises(DataError):
        stream.feed(piece)
    assert stream.tokens == 1


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_rounded_models_stream_too(make_model: MakeModel, tmp_path: Path, precision: str) -> None:
    kernel = find_kernel().kernel
    if kernel is None or not kernel.has(precision):
        pytest.skip(f"this machine has no {precision}")
    config = ModelConfig(embedding_size=5, hidden_sizes=(19, 7), pooling="concat", max_tokens=MANY)
    Classifier(make_model(config)).save(tmp_path / "model")
    classifier = fastlstm.load(tmp_path / "model", precision=precision)
    text, stream = text_of(60), classifier.stream()
    for piece in pieces_of(text, 5):
        stream.feed(piece)
    assert np.array_equal(stream.end().probabilities, classifier.predict_proba(text))


def test_a_text_longer_than_the_model_reads_is_read_whole(make_model: MakeModel) -> None:
    short = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), max_tokens=5))
    whole = dataclasses.replace(short, config=dataclasses.replace(short.config, max_tokens=MANY))
    text = text_of(40)
    stream = Classifier(short).stream().feed(text).end()
    assert np.array_equal(stream.probabilities, Classifier(whole).predict_proba(text))
    assert repr(stream) == "Stream(40 tokens read, 0 characters held back)"


def forged(state: bytes, **changes: Any) -> bytes:
    """A state with another head, and a sum that fits."""
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
def test_a_forged_state_is_refused(make_model: MakeModel, changes: dict[str, Any]) -> None:
    classifier = Classifier(with_ngrams(make_model()))
    state = classifier.stream().feed("not bad at all ").state
    assert classifier.stream(forged(state)).tokens == 4
    with pytest.raises(DataError, match="the state is none that a stream gave"):
        classifier.stream(forged(state, **changes))


def test_n_grams_that_the_model_does_not_know_are_refused(make_model: MakeModel) -> None:
    classifier = Classifier(with_ngrams(make_model()))
    stream = classifier.stream().feed("not bad at all ")
    sightings = stream._reading._seen
    assert sightings is not None
    arrays = sightings.arrays()
    for seen in ([-1], [1 << 22], [5, 4], [int(np.flatnonzero(~classifier.network.wide.among)[0])]):  # type: ignore[union-attr]
        with pytest.raises(ValueError, match="n-grams"):
            sightings.restore(np.array(seen, np.int32), arrays["last"], 4)
    with pytest.raises(ValueError, match="last tokens"):
        sightings.restore(arrays["seen"], np.zeros(5, np.int32), 4)
