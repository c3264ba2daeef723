"""The bundled models: present, small, undamaged, and suited to their purpose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastlstm
from fastlstm.errors import ModelNotFoundError
from fastlstm.pretrained import (
    CHINESE_CLASSIFIER,
    DEFAULT_CLASSIFIER,
    ENGLISH_ENCODER,
    bundled_model,
    bundled_names,
    find_model,
)

MEGABYTE = 10**6


def folder_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def bundled_folder(name: str) -> Path:
    folder = bundled_model(name)
    assert folder is not None
    return folder


CLASSIFIERS = DEFAULT_CLASSIFIER, CHINESE_CLASSIFIER
SECTIONS = "## Sentences written for this card", "## Do not use it for", "## Data, license and cost"


def test_classifiers_and_encoder_are_bundled_and_small() -> None:
    assert bundled_names() == sorted([*CLASSIFIERS, ENGLISH_ENCODER])
    assert folder_size(bundled_folder(CHINESE_CLASSIFIER)) < 6 * MEGABYTE
    classifier_size = folder_size(bundled_folder(DEFAULT_CLASSIFIER))
    assert classifier_size < 10 * MEGABYTE
    assert classifier_size + folder_size(bundled_folder(ENGLISH_ENCODER)) < 15 * MEGABYTE


def test_default_classifier_predicts_sentiment() -> None:
    model = fastlstm.load()
    assert model.labels == ("negative", "positive")
    texts = [
        "This movie was fantastic! I really enjoyed it.",
        "A dull, lifeless film with terrible acting.",
        "It is not bad at all, in fact it is one of the best films of the year.",
        "I wanted to like it, but it is a mess from beginning to end.",
    ]
    assert list(model.predict(texts)) == ["positive", "negative", "positive", "negative"]


def test_chinese_classifier_predicts_sentiment() -> None:
    model = fastlstm.load(CHINESE_CLASSIFIER)
    assert model.labels == ("negative", "positive")
    texts = [
        "这部电影不错",
        "物流很快,包装完好,苹果又脆又甜,下次还会再买。",
        "房间又小又脏,隔音很差,服务员态度冷淡。",
        "电脑用了两天就死机,客服也不管,太让人失望了。",
        "一点也不好用",
        "虽然价格便宜,但是质量太差",
    ]
    assert list(model.predict(texts)) == ["positive", "positive", *["negative"] * 4]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_can_stream(name: str) -> None:
    assert not fastlstm.load(name).saved.config.bidirectional


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_give_their_golden_probabilities(name: str) -> None:
    golden = json.loads((bundled_folder(name) / "golden.json").read_bytes())
    probabilities = fastlstm.load(name).predict_proba([entry["text"] for entry in golden])
    expected = [entry["probabilities"] for entry in golden]
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-4)


def test_default_classifier_exits_early() -> None:
    model = fastlstm.load()
    long_text = "This movie was fantastic! I really enjoyed it. " * 30
    early = model.predict_early([long_text], 0.99)
    assert early.tokens_read[0] < early.token_counts[0]
    assert model.predict(long_text, min_agreement=0.99) == model.predict(long_text) == "positive"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (DEFAULT_CLASSIFIER, ["93.08%", "## Texts held out", *SECTIONS]),
        (CHINESE_CLASSIFIER, ["94.04%", "## Reviews held out, by category", *SECTIONS]),
        (ENGLISH_ENCODER, ["57.6", "## Data, license and cost"]),
    ],
)
def test_card_has_its_figures_and_sections(name: str, parts: list[str]) -> None:
    card = (bundled_folder(name) / "README.md").read_text("utf-8")
    assert [part for part in parts if part not in card] == []


def test_encoder_prefers_english_word_order() -> None:
    encoder = fastlstm.load_language_model()
    sentence = "the acting is good , but the plot makes no sense and the ending was a disappointment ."
    shuffled = " ".join(np.random.default_rng(0).permutation(sentence.split()))
    assert encoder.evaluate(sentence).perplexity < 100 < encoder.evaluate(shuffled).perplexity
    assert encoder.generate("This movie", max_tokens=8, temperature=0).startswith("This movie")


def test_training_can_start_from_the_encoder_by_name(tmp_path: Path) -> None:
    texts = [f"a {word} film number {i}" for i in range(6) for word in ("wonderful", "terrible")]
    result = fastlstm.train(
        fastlstm.Dataset(texts, ["good", "bad"] * 6, "a test"),
        tmp_path / "model",
        preset="accurate",
        encoder=ENGLISH_ENCODER,
        epochs=1,
        ngrams=0,
        validation=0.5,
        baseline=False,
    )
    texts = ["a wonderful film number 9", "a terrible film number 9"]
    assert list(result.classifier.predict(texts)) == ["good", "bad"]


def test_folder_takes_precedence_over_a_bundled_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model(DEFAULT_CLASSIFIER) == bundled_folder(DEFAULT_CLASSIFIER)
    Path(DEFAULT_CLASSIFIER).mkdir()
    assert find_model(DEFAULT_CLASSIFIER) == Path(DEFAULT_CLASSIFIER)


def test_unknown_name_is_returned_as_a_path() -> None:
    assert find_model("no-such-model") == Path("no-such-model")


@pytest.mark.parametrize("name", ["", ".", "..", "__pycache__", "../pretrained/english", "english/"])
def test_only_plain_names_are_bundled_models(name: str) -> None:
    assert bundled_model(name) is None


def test_load_without_a_default_model_raises_model_not_found_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.inference.classifier.bundled_model", lambda _: None)
    with pytest.raises(ModelNotFoundError) as raised:
        fastlstm.load()
    assert raised.value.code == "model-not-found"
