"""`fastlstm import`: convert a Keras or PyTorch model to fastlstm."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from fastlstm.cli.options import PanelCommand, common_options, option
from fastlstm.cli.output import json_object, note
from fastlstm.config import Pooling
from fastlstm.convert.classifier import DEFAULT_MAX_TOKENS, ImportedModel, make_classifier
from fastlstm.convert.vocabulary import (
    TOKENIZATION_RULES,
    TokenizationRule,
    Vocabulary,
    make_vocabulary,
    read_vocabulary,
)
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization import weights

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
PYTORCH_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
POOLINGS = get_args(Pooling)
MIN_WORD_FRACTION = 0.9
"""If fewer embedding rows have a word, the vocabulary may belong to another model."""
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("import", cls=PanelCommand)
@click.argument("file", type=FILE)
@option("--pooling", type=click.Choice(POOLINGS), default=POOLINGS[0], show_default=True, panel="Model",
        help="How a PyTorch model pools its outputs.")  # fmt: skip
@option("--labels", metavar="A,B,...", panel="Model", help="Class names in output order. [default: 0,1,...]")
@option("--vocabulary", type=FILE, metavar="FILE", panel="Tokenization",
        help="Words in the order of the embedding rows.")  # fmt: skip
@option("--index-from", type=click.IntRange(min=0), metavar="N", default=0, show_default=True, panel="Tokenization",
        help="Offset of JSON word indices; 3 for Keras' IMDb.")  # fmt: skip
@option("--unknown", metavar="WORD", panel="Tokenization", help="Word that represents unknown words.")
@option("--tokenization", type=click.Choice(list(TOKENIZATION_RULES)), panel="Tokenization",
        help="How texts are split into words.")  # fmt: skip
@option("--max-tokens", type=click.IntRange(min=1), metavar="N", panel="Tokenization",
        help=f"Tokens read per text. [default: the model's, or {DEFAULT_MAX_TOKENS}]")  # fmt: skip
@option("--truncate", type=click.Choice(("end", "beginning")), panel="Tokenization",
        help="Part of longer texts that is kept.")  # fmt: skip
@option("--padding", type=click.Choice(("front", "back", "none")), panel="Tokenization",
        help="Side on which shorter texts were padded.")  # fmt: skip
@option("--out", "-o", type=click.Path(path_type=Path), metavar="DIR", default=Path("model"), show_default=True,
        panel="Output", help="Folder to save the model to.")  # fmt: skip
@option("--overwrite", is_flag=True, panel="Output", help="Replace an existing model.")
@common_options
def command(
    file: Path, out: Path, vocabulary: Path | None, index_from: int, unknown: str | None, tokenization: str | None,
    padding: str | None, truncate: str | None, max_tokens: int | None, labels: str | None, pooling: str,
    overwrite: bool, as_json: bool,
) -> None:  # fmt: skip
    """Convert FILE, a Keras model (.keras, .h5) or a PyTorch state dict (.pt, .safetensors), to fastlstm.

    The converted model returns the same probabilities as the original, if texts are split into the same words.
    Defaults of the tokenization options depend on the model: see docs/importing.md.
    """
    imported = _read_model(file, pooling)
    if imported.tokenization is not None:
        if vocabulary is not None or tokenization is not None or index_from:
            raise OptionError(
                "the model tokenizes texts itself (TextVectorization); omit --vocabulary, --index-from and "
                "--tokenization",
                code="conflicting-options",
                options=("vocabulary", "index_from", "tokenization"),
            )
        rule, words = imported.tokenization.rule, make_vocabulary(imported.tokenization.vocabulary, unknown)
        padding = padding or ("back" if imported.tokenization.max_tokens else "none")
        max_tokens = max_tokens or imported.tokenization.max_tokens
    else:
        words = _read_words(vocabulary, index_from, unknown)
        rule = TOKENIZATION_RULES[tokenization or _default_rule(imported, words)]
        keras_padding = "back" if words.is_vectorization else "front"
        padding = padding or (keras_padding if imported.source == "Keras" else "none")
    model = make_classifier(
        imported,
        words,
        rule,
        padding=padding,
        truncate=truncate or ("beginning" if words.is_vectorization else "end"),
        max_tokens=max_tokens,
        labels=None if labels is None else [label.strip() for label in labels.split(",")],
    )
    Classifier(model).save(out, overwrite=overwrite)
    config, row_count = model.config, len(imported.embedding)
    rule_name = _rule_name(rule)
    weight_count = weights.parameter_count(config, len(model.labels))
    if as_json:
        json_object(
            {
                "out": str(out),
                "from": imported.source,
                "labels": list(model.labels),
                "vocabulary": config.vocabulary_size,
                "rows": row_count,
                "weights": weight_count,
                "max_tokens": config.max_tokens,
                "truncate": config.truncate,
                "padding": config.padding,
                "tokenization": rule_name,
            }
        )
        return
    print(f"{out}: imported from {imported.source}, {weight_count:,} weights")
    print(
        f"vocabulary: {config.vocabulary_size:,} words for {row_count:,} embedding rows, tokenization {rule_name}"
    )
    print(
        f"input: {config.max_tokens} tokens per text, keeps the {config.truncate} of longer texts, "
        f"padding: {config.padding}"
    )
    if config.vocabulary_size < MIN_WORD_FRACTION * row_count:
        note(
            f"{row_count - config.vocabulary_size:,} embedding rows have no word; check that the vocabulary "
            "belongs to this model"
        )
    note(f"compare its predictions with the original's on some texts: fastlstm predict --model {out} TEXT")


def _read_model(file: Path, pooling: str) -> ImportedModel:
    if file.suffix in KERAS_SUFFIXES:
        from fastlstm.convert.keras import from_keras

        if pooling != POOLINGS[0]:
            raise OptionError(
                "--pooling applies to PyTorch, and a Keras file contains its pooling; omit it",
                code="conflicting-options",
                options=("pooling",),
            )
        return from_keras(file)
    if file.suffix in PYTORCH_SUFFIXES:
        from fastlstm.convert.pytorch import from_pytorch

        return from_pytorch(file, pooling)
    supported = (*KERAS_SUFFIXES, *PYTORCH_SUFFIXES)
    raise DataError(
        f"{file} has the file extension {file.suffix!r}; supported: {', '.join(supported)}",
        code="unknown-format",
        source=str(file),
        supported=supported,
    )


def _read_words(vocabulary: Path | None, index_from: int, unknown: str | None) -> Vocabulary:
    if vocabulary is None:
        raise OptionError(
            "the file contains weights but no words; pass --vocabulary FILE: one word per line in the order of the "
            "embedding rows, such as TextVectorization.get_vocabulary(), or JSON, word -> index",
            code="missing-vocabulary",
        )
    return read_vocabulary(vocabulary, index_from=index_from, unknown=unknown)


def _default_rule(imported: ImportedModel, words: Vocabulary) -> str:
    if imported.source != "Keras":
        return "fastlstm"
    return "vectorization" if words.is_vectorization else "keras"


def _rule_name(rule: TokenizationRule) -> str:
    return next(name for name, candidate in TOKENIZATION_RULES.items() if candidate == rule)
