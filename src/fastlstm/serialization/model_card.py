"""The model card of a language model, in Markdown, from its configuration and training record."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fastlstm.serialization import weights
from fastlstm.serialization.classifier import THRESHOLD, SavedModel
from fastlstm.serialization.language_model import SavedLanguageModel


def model_card(model: SavedModel) -> str:
    """The README.md of a saved model: what it is, what it was trained on, how good it is, how to use it."""
    return "\n".join(_lines(model)) + "\n"


def _lines(model: SavedModel) -> Iterator[str]:
    config, training = model.config, model.training
    layers = " -> ".join(f"LSTM {size}" for size in config.hidden_sizes)
    yield from ("# A fastlstm text classifier", "")
    names = ", ".join(f"`{label}`" for label in model.labels)
    yield f"Reads a text as words and tells which of {len(model.labels)} classes it is: {names}."
    yield from ("", "## Use", "")
    yield from ("```python", "import fastlstm", "", 'fastlstm.load("this-folder").predict(["a text"])', "```")
    yield from ("", "## Model", "")
    yield f"- Embedding {config.embedding_size} -> {layers} -> {config.pooling} -> linear"
    yield f"- reads {'in both directions' if config.bidirectional else 'in one direction'}"
    yield f"- {weights.parameter_count(config, len(model.labels)):,} weights, vocabulary {config.vocabulary_size:,}"
    kept = {"both": "its beginning and its end", "end": "its end", "beginning": "its beginning"}[config.truncate]
    yield f"- reads {config.max_tokens} tokens of a text; of a longer one {kept}"
    if config.ngrams:
        yield f"- adds the evidence of {config.ngrams:,} words and word pairs, of the whole text"
    if model.threshold != THRESHOLD:
        yield f"- predicts `{model.labels[1]}` from the probability {model.threshold:.4g} on"
    if "imported_from" in training:
        yield f"- imported from {training['imported_from']}"
    if data := training.get("data"):
        yield from ("", "## Training data", "")
        parts = (
            f"{data['train_texts']:,} texts to train on and {data['validation_texts']:,} to choose the epoch with"
        )
        yield f"{data['train']}: {parts}."
        if unlabelled := data.get("unlabelled_texts"):
            yield f"Besides these, {unlabelled:,} texts without labels."
        if training.get("encoder"):
            yield f"It began from the language model `{training['encoder']}`."
        if training.get("teacher"):
            yield f"It learned the probabilities of the classifier `{training['teacher']}`, its teacher."
    if results := training.get("results"):
        yield from ("", "## How good it is", "")
        yield f"On {results['texts']:,} texts ({results['evaluated_on']}):"
        yield ""
        yield f"- accuracy {results['accuracy']:.2%}, macro F1 {results['macro_f1']:.4f}"
        yield f"- log loss {results['loss']:.4f}, calibration error {results['calibration_error']:.2%}"
        if baseline := training.get("baseline"):
            yield f"- a bag of words ({baseline['name']}) on the same texts: accuracy {baseline['accuracy']:.2%}"
    if (fitted := training.get("calibration")) and fitted["method"] != "none":
        found = fitted["method"] + (f" {model.temperature:.4g}" if fitted["method"] == "temperature" else "")
        yield from ("", "## Probabilities", "")
        yield f"Fitted to the {fitted['validation_texts']:,} validation texts by {found}. On these:"
        yield ""
        for what, name in (("log loss", "loss"), ("calibration error", "calibration_error")):
            before, after = (fitted[f"{name}_{when}"] for when in ("before", "after"))
            shown = ".4f" if name == "loss" else ".2%"
            yield f"- {what} {before:{shown}} before, {after:{shown}} after"
    yield from ("", "## Limits", "")
    yield "It knows the words and the manner of its training texts. On other subjects, other languages, irony,"
    yield "or texts much shorter or longer than those, measure before you rely on it: `fastlstm evaluate`."


def language_model_card(model: SavedLanguageModel) -> str:
    """The README.md of a saved language model: what it is, what it has read, how well it foretells."""
    return "\n".join(_language_model_lines(model)) + "\n"


def _language_model_lines(model: SavedLanguageModel) -> Iterator[str]:
    config, training = model.config, model.training
    layers = " -> ".join(f"LSTM {size}" for size in config.hidden_sizes)
    count = sum(math.prod(shape) for shape in weights.language_model_shapes(config).values())
    ways = {"forward": "the next word", "backward": "the word before", "both": "the next word and the word before"}
    yield from ("# A fastlstm language model", "", f"Foretells {ways[config.direction]} of a text.")
    yield from ("", "## Use", "", "```")
    yield "fastlstm train reviews.csv --encoder this-folder --out model"
    yield 'fastlstm generate --model this-folder "This movie"'
    yield from ("```", "", "## Model", "")
    yield f"- Embedding {config.embedding_size} -> {layers} -> softmax over the embedding"
    yield f"- {count:,} weights, vocabulary {config.vocabulary_size:,}"
    if data := training.get("data"):
        yield from ("", "## Training data", "")
        yield f"{data['texts']}: {data['count']:,} texts, {data['tokens']:,} tokens."
    if results := training.get("results"):
        yield from ("", "## How good it is", "")
        yield (
            f"On {results['texts']:,} texts ({results['measured_on']}): perplexity {results['perplexity']:.1f} "
            f"over the vocabulary, {results['unknown']:.2%} of the tokens unknown. They also chose the epoch."
        )
    yield from ("", "## Limits", "")
    yield "It has learned what its texts say, and says it again: facts, manners and prejudices. It knows no other"
    yield "kind of text, and what it generates is not true."
