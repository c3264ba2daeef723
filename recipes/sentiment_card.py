"""The cards of the bundled models: from their records, the classifier's one scoring, and the probes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastlstm.inference import Classifier
from fastlstm.pretrained import ENGLISH_ENCODER
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.serialization.model_card import language_model_card, model_card
from probes import PROBES


def sentiment_card(model: Classifier, scored: dict[str, Any], costs: dict[str, float], size: int) -> str:
    """The README.md.

    Args:
        model: the model as it is bundled.
        scored: what `benchmarks/scoring.py` says of it.
        costs: stage -> seconds of training.
        size: bytes of its folder.
    """
    card = model_card(model.model).replace('load("this-folder")', "load()")
    return card + "\n" + "\n".join(_lines(model, scored, costs, size)) + "\n"


def _lines(model: Classifier, scored: dict[str, Any], costs: dict[str, float], size: int) -> Iterator[str]:
    yield from ("## On IMDb's test split", "")
    yield (
        f"Scored once: accuracy **{scored['accuracy']:.2%}** ({scored['accuracy_without_repeated']:.2%} without "
        f"the {scored['repeated_texts']} texts that stand in the training split too), "
        f"log loss {scored['loss']:.4f}, calibration error {scored['calibration_error']:.2%}. "
        f"The model is {size / 1e6:.1f} MB."
    )
    yield from ("", "| tokens | texts | accuracy |", "| --- | --- | --- |")
    last = scored["by_length"][-1]["from"]
    for group in scored["by_length"]:
        span = f"{group['from']} and more" if group["from"] == last else f"{group['from']} to {group['below'] - 1}"
        yield f"| {span} | {group['texts']:,} | {group['accuracy']:.1%} |"
    yield from ("", "| stars (5 and 6 are not in the data) | texts | accuracy |", "| --- | --- | --- |")
    for group in scored["by_rating"]:
        yield f"| {group['rating']} | {group['texts']:,} | {group['accuracy']:.1%} |"
    yield from ("", "## Where it fails", "")
    yield "Sentences written to find out (`recipes/probes.py`), too few to rank models, enough to warn:"
    yield from ("", "| kind | right | one that it gets wrong |", "| --- | --- | --- |")
    for kind, sentences in PROBES.items():
        predicted = model.predict([text for text, _ in sentences])
        wrong = [text for (text, label), said in zip(sentences, predicted, strict=True) if label != said]
        right = len(sentences) - len(wrong)
        yield f"| {kind} | {right} of {len(sentences)} | {wrong[0] if wrong else '-'} |"
    yield ""
    yield "It was taught by long reviews of films in English. Of other languages it knows next to no word, and its"
    yield "answer means nothing; irony it takes at its word; of other products it knows what reviews of films share"
    yield "with those. It must not judge people."
    yield from ("", *_origin(costs))


def encoder_card(model: SavedLanguageModel, seconds: float) -> str:
    """The README.md of the encoder, which took so many seconds to train."""
    return language_model_card(model).replace("this-folder", ENGLISH_ENCODER) + "\n".join(
        ("", *_origin({"language-model": seconds}), "")
    )


def _origin(costs: dict[str, float]) -> Iterator[str]:
    yield from ("## Data, licences, cost", "")
    yield "The Large Movie Review Dataset (Maas et al. 2011): 25,000 labelled and 50,000 unlabelled reviews by"
    yield "IMDb's users, from before 2011. It was released for research, names no licence, asks to be cited; the"
    yield "reviews are their writers'. None of them is in the model's files, which hold words and weights, under"
    yield "fastlstm's MIT licence. No stage of training read the test split."
    yield ""
    hours = ", ".join(f"{stage} {seconds / 3600:.1f} h" for stage, seconds in costs.items())
    yield "Made by `recipes/english_sentiment.py`; the epochs took, without the student's pretraining, on the"
    yield f"machine it was made on: {hours}."
    yield ""
    yield "Maas, Daly, Pham, Huang, Ng & Potts (2011), Learning Word Vectors for Sentiment Analysis, ACL."
