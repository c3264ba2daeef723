"""`fastlstm import`: convert a Keras or PyTorch model to fastlstm."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from fastlstm.cli.escaping import print_line
from fastlstm.cli.options import PanelCommand, common_options, option
from fastlstm.cli.output import json_object, note
from fastlstm.config import Pooling
from fastlstm.config.classifier import DenseActivation
from fastlstm.convert.classifier import UNLIMITED_TOKENS, BuiltInTokenization, ImportedModel, make_classifier
from fastlstm.convert.sample import DEFAULT_TOLERANCE, check_sample, read_sample
from fastlstm.convert.tokenization import TOKENIZATION_RULES, Coverage, TokenizationRule, coverage, rule_name
from fastlstm.convert.vocabulary import Vocabulary, VocabularyOptions, make_vocabulary, read_vocabulary
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
PYTORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
POOLINGS = get_args(Pooling)
MIN_WORD_FRACTION = 0.9
"""If fewer embedding rows have a word, the vocabulary may belong to another model."""
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("import", cls=PanelCommand)
@click.argument("file", type=FILE)
@option("--pooling", type=click.Choice(POOLINGS), default=POOLINGS[0], show_default=True, panel="Model",
        help="How a PyTorch model pools its outputs.")  # fmt: skip
@option("--activation", type=click.Choice(get_args(DenseActivation)), panel="Model",
        help="Activation between linear layers of a PyTorch model.")  # fmt: skip
@option("--state-dict", metavar="KEY", panel="Model", help="State dict to read, if a checkpoint has several.")
@option("--labels", metavar="A,B,...", panel="Model", help="Class names in output order. [default: 0,1,...]")
@option("--vocabulary", type=FILE, metavar="FILE", panel="Tokenization",
        help="Words in row order, word index, or tokenizer.to_json().")  # fmt: skip
@option("--index-from", type=click.IntRange(min=0), metavar="N", default=0, show_default=True, panel="Tokenization",
        help="Offset of JSON word indices; 3 for Keras' IMDb.")  # fmt: skip
@option("--num-words", type=click.IntRange(min=1), metavar="N", panel="Tokenization",
        help="Words of row N and later are unknown.")  # fmt: skip
@option("--unknown", metavar="WORD", panel="Tokenization", help="Word that represents unknown words.")
@option(
    "--drop-unknown", is_flag=True, panel="Tokenization", help="Drop unknown words (Tokenizer without oov_token)."
)
@option("--tokenization", type=click.Choice(list(TOKENIZATION_RULES)), metavar="RULE", panel="Tokenization",
        help="How texts are split: a rule of docs/importing.md.")  # fmt: skip
@option("--max-tokens", type=click.IntRange(min=1), metavar="N", panel="Tokenization",
        help="Tokens read per text. [default: the model's, or all]")  # fmt: skip
@option("--truncate", type=click.Choice(("end", "beginning")), panel="Tokenization",
        help="Part of longer texts that is kept.")  # fmt: skip
@option("--padding", type=click.Choice(("front", "back", "none")), panel="Tokenization",
        help="Side on which shorter texts were padded.")  # fmt: skip
@option("--check", "check_file", type=FILE, metavar="FILE", panel="Checks",
        help="Texts with the original's probabilities to compare.")  # fmt: skip
@option("--tolerance", type=click.FloatRange(min=0, max=1), default=DEFAULT_TOLERANCE, show_default=True,
        panel="Checks", metavar="P", help="Largest accepted difference of --check.")  # fmt: skip
@option("--out", "-o", type=click.Path(path_type=Path), metavar="DIR", default=Path("model"), show_default=True,
        panel="Output", help="Folder to save the model to.")  # fmt: skip
@option("--overwrite", is_flag=True, panel="Output", help="Replace an existing model.")
@common_options
def command(
    file: Path, out: Path, vocabulary: Path | None, index_from: int, num_words: int | None, unknown: str | None,
    drop_unknown: bool, tokenization: str | None, padding: str | None, truncate: str | None, max_tokens: int | None,
    labels: str | None, pooling: str, activation: str | None, state_dict: str | None, check_file: Path | None,
    tolerance: float, overwrite: bool, as_json: bool,
) -> None:  # fmt: skip
    """Convert FILE, a Keras model (.keras, .h5) or a PyTorch state dict (.pt, .safetensors), to fastlstm.

    The converted model returns the same probabilities as the original, if texts are split into the same words.
    Tokenization rules, and the defaults that depend on the model: see docs/importing.md.
    """
    imported = _read_model(file, pooling, activation, state_dict)
    options = VocabularyOptions(unknown, drop_unknown, index_from, num_words)
    words, rule = _words_and_rule(imported, vocabulary, options, tokenization)
    if imported.tokenization is not None:
        _check_built_in(imported.tokenization, padding, truncate, max_tokens)
        padding = padding or ("back" if imported.tokenization.max_tokens else "none")
        max_tokens = max_tokens or imported.tokenization.max_tokens
    keras_padding = "back" if words.is_vectorization else "front"
    model = make_classifier(
        imported,
        words,
        rule,
        padding=padding or (keras_padding if imported.source == "Keras" else "none"),
        truncate=truncate or ("beginning" if words.is_vectorization else "end"),
        max_tokens=max_tokens,
        labels=None if labels is None else [label.strip() for label in labels.split(",")],
    )
    classifier = Classifier(model)
    difference, text_count = None, 0
    if check_file is not None:
        sample = read_sample(check_file, model.labels)
        difference, text_count = check_sample(classifier, sample, tolerance), len(sample.texts)
    classifier.save(out, overwrite=overwrite)
    found = _coverage(model, words, rule)
    notes = [*imported.notes, *_vocabulary_notes(model, len(imported.embedding), found)]
    config, row_count = model.config, len(imported.embedding)
    weight_count = weights.parameter_count(config, len(model.labels))
    max_length = None if config.max_tokens == UNLIMITED_TOKENS else config.max_tokens
    if as_json:
        json_object(
            {
                "out": str(out),
                "from": imported.source,
                "labels": list(model.labels),
                "vocabulary": config.vocabulary_size,
                "words": found.total,
                "words_found": found.found,
                "rows": row_count,
                "weights": weight_count,
                "max_tokens": max_length,
                "truncate": config.truncate,
                "padding": config.padding,
                "unknown_words": config.unknown_words,
                "tokenization": rule_name(rule),
                "check": None if difference is None else {"texts": text_count, "max_difference": difference},
                "notes": notes,
            }
        )
        return
    print_line(f"{out}: imported from {imported.source}, {weight_count:,} weights")
    print_line(
        f"vocabulary: {config.vocabulary_size:,} words for {row_count:,} embedding rows, tokenization "
        f"{rule_name(rule)}, unknown words: {config.unknown_words}"
    )
    print_line(f"input: {_input(max_length, config.truncate)}, padding: {config.padding}")
    if difference is not None:
        print_line(f"check: {text_count:,} texts differ by at most {difference:.2g} from the original")
    for text in notes:
        note(text)
    if difference is None:
        note("compare it with the original on some texts: pass --check FILE, with their probabilities")


def _check_built_in(
    tokenization: BuiltInTokenization, padding: str | None, truncate: str | None, max_tokens: int | None
) -> None:
    """Raise `OptionError` for options that contradict the TextVectorization of the model."""
    length = tokenization.max_tokens
    wrong = [
        name
        for name, is_wrong in (
            ("padding", padding == "front" or (length is not None and padding == "none")),
            ("truncate", truncate == "end"),
            ("max_tokens", max_tokens is not None and length not in (None, max_tokens)),
        )
        if is_wrong
    ]
    if wrong:
        names = ", ".join("--" + name.replace("_", "-") for name in wrong)
        raise OptionError(
            f"the model pads and truncates texts at their end (TextVectorization, {length} tokens); omit {names}",
            code="conflicting-options",
            options=tuple(wrong),
        )


def _input(max_tokens: int | None, truncate: str) -> str:
    if max_tokens is None:
        return "all tokens of a text"
    return f"{max_tokens} tokens per text, keeps the {truncate} of longer texts"


def _words_and_rule(
    imported: ImportedModel, vocabulary: Path | None, options: VocabularyOptions, tokenization: str | None
) -> tuple[Vocabulary, TokenizationRule]:
    """Return the vocabulary and the rule of the model, of the vocabulary's file, or of the options."""
    if imported.tokenization is not None:
        if vocabulary is not None or tokenization is not None or options != VocabularyOptions():
            raise OptionError(
                "the model tokenizes texts itself (TextVectorization); omit --vocabulary, --tokenization and the "
                "options of word indices",
                code="conflicting-options",
                options=("vocabulary", "tokenization", "index_from", "num_words", "unknown", "drop_unknown"),
            )
        return make_vocabulary(imported.tokenization.vocabulary), imported.tokenization.rule
    if vocabulary is None:
        raise OptionError(
            "the file contains weights but no words; pass --vocabulary FILE: one word per line in the order of the "
            "embedding rows, such as TextVectorization.get_vocabulary(), JSON, word -> index, or tokenizer.to_json()",
            code="missing-vocabulary",
        )
    words = read_vocabulary(vocabulary, options)
    if words.rule is not None:
        if tokenization is not None:
            raise OptionError(
                f"{vocabulary} is a Keras Tokenizer, which says itself how texts are split; omit --tokenization",
                code="conflicting-options",
                options=("vocabulary", "tokenization"),
            )
        return words, words.rule
    if tokenization is None:
        tokenization = "fastlstm" if imported.source != "Keras" else "keras"
        if words.is_vectorization and imported.source == "Keras":
            tokenization = "vectorization"
    return words, TOKENIZATION_RULES[tokenization]


def _coverage(model: SavedModel, words: Vocabulary, rule: TokenizationRule) -> Coverage:
    ids = model.tokenizer.get_vocab()
    return coverage(sorted(ids, key=ids.__getitem__), 2 if words.start is None else 3, rule)


def _vocabulary_notes(model: SavedModel, row_count: int, found: Coverage) -> list[str]:
    notes = []
    size = model.config.vocabulary_size
    if size < MIN_WORD_FRACTION * row_count:
        notes.append(
            f"{row_count - size:,} embedding rows have no word; check that the vocabulary belongs to this model"
        )
    if found.found < found.total:
        examples = ", ".join(repr(word) for word in found.examples)
        proposal = "check --tokenization"
        if found.better is not None:
            proposal = f"--tokenization {found.better} finds {found.better_found:,}"
        notes.append(
            f"{found.total - found.found:,} of {found.total:,} words, such as {examples}, are never found in texts by "
            f"this tokenization; {proposal}"
        )
    return notes


def _read_model(file: Path, pooling: str, activation: str | None, state_dict: str | None) -> ImportedModel:
    if file.suffix in KERAS_SUFFIXES:
        from fastlstm.convert.keras import from_keras

        if pooling != POOLINGS[0] or activation is not None or state_dict is not None:
            raise OptionError(
                "--pooling, --activation and --state-dict apply to PyTorch, and a Keras file contains its layers; omit "
                "them",
                code="conflicting-options",
                options=("pooling", "activation", "state_dict"),
            )
        return from_keras(file)
    if file.suffix in PYTORCH_SUFFIXES:
        from fastlstm.convert.pytorch import from_pytorch

        return from_pytorch(file, pooling, activation=activation, state_dict=state_dict)
    supported = (*KERAS_SUFFIXES, *PYTORCH_SUFFIXES)
    raise DataError(
        f"{file} has the file extension {file.suffix!r}; supported: {', '.join(supported)}",
        code="unknown-format",
        source=str(file),
        supported=supported,
    )
