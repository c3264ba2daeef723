"""Model cards in Markdown, written from a model's configuration and training record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastlstm.metrics import DEFAULT_THRESHOLD, format_accuracy
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel

if TYPE_CHECKING:
    from fastlstm.serialization.language_model import SavedLanguageModel

TRUNCATION = {"both": "the first and last tokens", "end": "the last tokens", "beginning": "the first tokens"}
PREDICTED = {"forward": "next", "backward": "previous", "both": "next and previous"}


def model_card(model: SavedModel) -> str:
    """Return the README.md of a classifier: use, model, training data, evaluation, calibration, limitations."""
    return "\n".join(_classifier_lines(model)) + "\n"


def language_model_card(model: SavedLanguageModel) -> str:
    """Return the README.md of a language model: use, model, training data, evaluation, limitations."""
    return "\n".join(_language_model_lines(model)) + "\n"


def _classifier_lines(model: SavedModel) -> Iterator[str]:
    names = ", ".join(f"`{label}`" for label in model.labels)
    yield from ("# A fastlstm text classifier", "")
    yield f"Assigns a text to one of {len(model.labels)} classes: {names}."
    yield from ("", "## Use", "")
    yield from ("```python", "import fastlstm", "", 'fastlstm.load("this-folder").predict(["a text"])', "```")
    yield from ("", "## Model", "", *_shape_lines(model))
    if data := model.training.get("data"):
        yield from ("", "## Training data", "", *_data_lines(data, model.training))
    if results := model.training.get("results"):
        yield from ("", "## Evaluation", "")
        yield f"On {results['texts']:,} texts ({results['evaluated_on']}):"
        yield ""
        accuracy = format_accuracy(results["accuracy"], results["texts"])
        yield f"- accuracy {accuracy}, macro F1 {results['macro_f1']:.4f}"
        yield f"- log loss {results['loss']:.4f}, calibration error {results['calibration_error']:.2%}"
        if baseline := model.training.get("baseline"):
            accuracy = format_accuracy(baseline["accuracy"], results["texts"])
            yield f"- baseline on the same texts ({baseline['name']}): accuracy {accuracy}"
        for note in results.get("notes", ()):
            yield f"- {note['text']}"
    if (record := model.training.get("calibration")) and record["method"] != "none":
        texts = "left-out" if model.training.get("data", {}).get("folds") else "validation"
        yield from ("", "## Calibration", "", *_calibration_lines(record, model.temperature, texts))
    yield from ("", "## Limitations", "")
    yield "The model is reliable only on texts that resemble its training texts. Evaluate it on your own data with"
    yield "`fastlstm evaluate` before you use it on other subjects, other languages, irony, or texts that are much"
    yield "shorter or longer than the training texts."


def _shape_lines(model: SavedModel) -> Iterator[str]:
    config = model.config
    if model.is_linear:
        yield f"- architecture: a linear model of {config.ngrams:,} words and word pairs over the whole text; no LSTM"
        yield f"- vocabulary of {config.vocabulary_size:,} tokens"
        yield from _option_lines(model)
        return
    layers = " -> ".join(f"LSTM {size}" for size in config.hidden_sizes)
    dense = "".join(
        f"dense {size} ({activation}) -> "
        for size, activation in zip(config.dense_sizes, config.dense_activations, strict=True)
    )
    yield (
        f"- architecture: embedding {config.embedding_size} -> {layers} -> {config.pooling} pooling -> {dense}linear"
    )
    yield f"- direction: {'forward and backward' if config.bidirectional else 'forward only'}"
    if obstacle := model.stream_obstacle:
        yield f"- no streams: {obstacle}"
    count = weights.parameter_count(config, len(model.labels))
    yield f"- {count:,} weights, vocabulary of {config.vocabulary_size:,} tokens"
    yield f"- reads at most {config.max_tokens} tokens per text: {TRUNCATION[config.truncate]} of a longer text"
    if config.ngrams:
        yield f"- adds a linear model of {config.ngrams:,} words and word pairs over the whole text"
    yield from _option_lines(model)


def _option_lines(model: SavedModel) -> Iterator[str]:
    if model.threshold != DEFAULT_THRESHOLD:
        yield f"- predicts `{model.labels[1]}` if its probability is at least {model.threshold:.4g}"
    if "imported_from" in model.training:
        yield f"- imported from {model.training['imported_from']}"


def _data_lines(data: Mapping[str, Any], training: Mapping[str, Any]) -> Iterator[str]:
    training_texts, validation_texts = data["train_texts"], data["validation_texts"]
    folds = data.get("folds", 0)
    validation = f"with {folds}-fold cross-validation" if folds else f"{validation_texts:,} for validation"
    if data.get("trained_on_validation"):
        validation = f"{validation_texts:,} of which made the choices of the run before"
    yield f"{data['train']}: {training_texts:,} texts for training, {validation}."
    if unlabelled := data.get("unlabelled_texts"):
        yield f"In addition, {unlabelled:,} texts without labels."
    if training.get("encoder"):
        yield f"Training started from the language model `{training['encoder']}`."
    if training.get("word_vectors"):
        yield f"The embeddings started from the word vectors `{training['word_vectors']}`."
    if training.get("teacher"):
        yield f"The model was distilled from the teacher `{training['teacher']}`."
    elif training.get("label_weight") is not None:
        yield "The model was distilled from probabilities in the data."
    if agreement := training.get("agreement"):
        yield from _agreement_lines(agreement)


def _agreement_lines(agreement: Mapping[str, Any]) -> Iterator[str]:
    yield f"Student and teacher agree on {agreement['agreement']:.2%} of {agreement['texts']:,} texts."
    if labelled := agreement["labelled"]:
        teacher, student = agreement["teacher_accuracy"], agreement["student_accuracy"]
        yield f"Accuracy on the {labelled:,} of them with a label: teacher {teacher:.2%}, student {student:.2%}."


def _calibration_lines(record: Mapping[str, Any], temperature: float, texts: str) -> Iterator[str]:
    is_temperature = record["method"] == "temperature"
    method = f"Temperature scaling ({temperature:.4g})" if is_temperature else record["method"].capitalize()
    yield f"{method}, fitted on the {record['validation_texts']:,} {texts} texts:"
    yield ""
    yield f"- log loss {record['loss_before']:.4f} before, {record['loss_after']:.4f} after"
    before, after = record["calibration_error_before"], record["calibration_error_after"]
    yield f"- calibration error {before:.2%} before, {after:.2%} after"


def _language_model_lines(model: SavedLanguageModel) -> Iterator[str]:
    config, training = model.config, model.training
    layers = " -> ".join(f"LSTM {size}" for size in config.hidden_sizes)
    count = sum(math.prod(shape) for shape in weights.language_model_shapes(config).values())
    yield from ("# A fastlstm language model", "")
    yield f"Predicts the {PREDICTED[config.direction]} word of a text."
    yield from ("", "## Use", "", "```")
    yield "fastlstm train reviews.csv --encoder this-folder --out model"
    yield 'fastlstm lm generate --model this-folder "This movie"'
    yield from ("```", "", "## Model", "")
    yield f"- architecture: embedding {config.embedding_size} -> {layers} -> softmax with the embedding's weights"
    yield f"- {count:,} weights, vocabulary of {config.vocabulary_size:,} tokens"
    if data := training.get("data"):
        yield from ("", "## Training data", "")
        yield f"{data['texts']}: {data['count']:,} texts, {data['tokens']:,} tokens."
    if results := training.get("results"):
        yield from ("", "## Evaluation", "")
        yield f"On {results['texts']:,} texts ({results['evaluated_on']}), which also selected the epoch:"
        yield ""
        yield f"- perplexity {results['perplexity']:.1f} over the vocabulary"
        yield f"- unknown tokens {results['unknown']:.2%}"
    yield from ("", "## Limitations", "")
    yield "The model reproduces the statements, style and prejudices of its training texts. It is only suited to"
    yield "texts of that kind. Generated text is not factual."
