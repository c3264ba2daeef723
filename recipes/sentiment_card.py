"""Model cards of the bundled models: the training record, the one evaluation on the test split, and the probes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastlstm.inference import Classifier
from fastlstm.pretrained import ENGLISH_ENCODER
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.serialization.model_card import language_model_card, model_card
from probes import PROBES


def sentiment_card(model: Classifier, scoring: dict[str, Any], costs: dict[str, float], size: int) -> str:
    """Return the README.md of the classifier.

    Args:
        model: The model as it is bundled.
        scoring: Its results of `benchmarks/scoring.py`.
        costs: Seconds of training by stage.
        size: Bytes of its folder.
    """
    card = model_card(model.saved).replace('load("this-folder")', "load()")
    return "\n".join((card, *_lines(model, scoring, costs, size))) + "\n"


def encoder_card(model: SavedLanguageModel, seconds: float) -> str:
    """Return the README.md of the encoder, which took `seconds` to train."""
    card = language_model_card(model).replace("this-folder", ENGLISH_ENCODER)
    return "\n".join((card, *_origin_lines(f"Training time: {seconds / 3600:.1f} h."))) + "\n"


def _lines(model: Classifier, scoring: dict[str, Any], costs: dict[str, float], size: int) -> Iterator[str]:
    yield from ("## IMDb test split", "")
    yield (
        f"Evaluated once: accuracy **{scoring['accuracy']:.2%}**, log loss {scoring['loss']:.4f}, "
        f"calibration error {scoring['calibration_error']:.2%}."
    )
    yield (
        f"Without the {scoring['repeated_texts']} texts that are also in the training split: "
        f"accuracy {scoring['accuracy_without_repeated']:.2%}. The model is {size / 1e6:.1f} MB."
    )
    yield from ("", "| tokens | texts | accuracy |", "| --- | --- | --- |")
    last = scoring["by_length"][-1]["from"]
    for group in scoring["by_length"]:
        span = f"{group['from']} or more" if group["from"] == last else f"{group['from']} to {group['below'] - 1}"
        yield f"| {span} | {group['texts']:,} | {group['accuracy']:.1%} |"
    yield from ("", "| stars (the data has no 5 or 6) | texts | accuracy |", "| --- | --- | --- |")
    for group in scoring["by_rating"]:
        yield f"| {group['rating']} | {group['texts']:,} | {group['accuracy']:.1%} |"
    yield from ("", "## Known errors", "")
    yield "Test sentences (`recipes/probes.py`). They are too few to compare models, but show what to watch for:"
    yield from ("", "| kind | correct | example of an error |", "| --- | --- | --- |")
    for kind, sentences in PROBES.items():
        predictions = model.predict([text for text, _ in sentences])
        pairs = zip(sentences, predictions, strict=True)
        wrong = [text for (text, label), prediction in pairs if label != prediction]
        yield f"| {kind} | {len(sentences) - len(wrong)} of {len(sentences)} | {wrong[0] if wrong else '-'} |"
    yield ""
    yield "The model was trained on long English film reviews. It knows almost no words of other languages, so its"
    yield "predictions for them are meaningless. It takes irony literally. On other products, it relies on what their"
    yield "reviews have in common with film reviews. Do not use it to judge people."
    hours = ", ".join(f"{stage} {seconds / 3600:.1f} h" for stage, seconds in costs.items())
    yield from ("", *_origin_lines(f"Training times, without the pretraining of the student:\n{hours}."))


def _origin_lines(cost: str) -> Iterator[str]:
    yield from ("## Data, license and cost", "")
    yield "The Large Movie Review Dataset (Maas et al. 2011): 25,000 labelled and 50,000 unlabelled IMDb user reviews"
    yield "from before 2011. It was released for research, names no license and asks to be cited; the reviews belong to"
    yield "their authors. The model files contain no reviews, only a vocabulary and weights, under the MIT license of"
    yield "fastlstm. The test split was not used in any stage of training."
    yield ""
    yield "Trained by `recipes/english_sentiment.py`."
    yield cost
    yield ""
    yield "Maas, Daly, Pham, Huang, Ng & Potts (2011), Learning Word Vectors for Sentiment Analysis, ACL."
