"""`fastlstm import`: a classifier that learned elsewhere, as one of fastlstm."""

from __future__ import annotations

from pathlib import Path

import click

from fastlstm.cli.options import common_options
from fastlstm.cli.output import json_object, note
from fastlstm.convert.classifier import ImportedModel, make_classifier
from fastlstm.convert.vocabulary import TOKENIZATION_RULES, TokenizationRule, Vocabulary, find_rule, read_vocabulary
from fastlstm.errors import InputError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization import weights

KERAS, PYTORCH = (".keras", ".h5", ".hdf5"), (".pt", ".pth", ".bin", ".safetensors")
POOLINGS = ("last", "max", "mean", "concat")
FEW_WORDS = 0.9
"""Of the embedding's rows: with a smaller share of words it may be another model's vocabulary."""
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
VOCABULARY = (
    "The words: one a line in the order of the embedding's rows, padding's row too, or JSON, word -> index or a "
    "list. [a .keras file with TextVectorization has its own]"
)
INDEX_FROM = "Added to the indices of a JSON object; 3 for that of keras.datasets.imdb, with its start token."
WORDS = (
    "What is a word: as Keras' Tokenizer (keras), TextVectorization or fastlstm has it, or what stands between "
    "spaces: as it is (spaces), in lower case (lower), without punctuation (stripped). [Keras: keras, or "
    "vectorization where the vocabulary begins as TextVectorization's; PyTorch: fastlstm]"
)
PADDING = "Where texts were padded. [Keras: front, as pad_sequences does; TextVectorization: back; PyTorch: none]"
TRUNCATE = "Which part of a longer text was kept. [end, as pad_sequences does; TextVectorization: beginning]"
MAX_TOKENS = "Tokens that were read of a text, up to which it was padded. [the model's own, or 500]"
POOLING = "What a PyTorch model keeps of all steps (docs/importing.md); Keras' files say it."
UNKNOWN = "The word that unknown ones are read as. [[UNK], <OOV>, <unk>, ...]"


@click.command("import")
@click.argument("file", type=FILE)
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("model"),
    show_default=True,
    help="The folder to save the model to.",
)
@click.option("--vocabulary", type=FILE, help=VOCABULARY)
@click.option("--index-from", type=click.IntRange(min=0), default=0, show_default=True, help=INDEX_FROM)
@click.option("--unknown", metavar="WORD", help=UNKNOWN)
@click.option("--words", "kind", type=click.Choice(list(TOKENIZATION_RULES)), help=WORDS)
@click.option("--padding", type=click.Choice(("front", "back", "none")), help=PADDING)
@click.option("--truncate", type=click.Choice(("end", "beginning")), help=TRUNCATE)
@click.option("--max-tokens", type=click.IntRange(min=1), help=MAX_TOKENS)
@click.option("--labels", metavar="A,B,...", help="The classes, in the order of the outputs. [0,1,...]")
@click.option("--pooling", type=click.Choice(POOLINGS), default=POOLINGS[0], show_default=True, help=POOLING)
@click.option("--overwrite", is_flag=True, help="Replace a model in --out.")
@common_options
def command(
    file: Path, out: Path, vocabulary: Path | None, index_from: int, unknown: str | None, kind: str | None,
    padding: str | None, truncate: str | None, max_tokens: int | None, labels: str | None, pooling: str,
    overwrite: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make a classifier of FILE: a Keras model (.keras, .h5), or a PyTorch state dict (.pt, .safetensors).

    It gives the probabilities that the model gave where it learned, for texts that are cut into the same words.
    """
    found = _found(file, pooling)
    own = found.cutting
    if own is not None:
        if vocabulary is not None or kind is not None or index_from:
            raise OptionError(
                "the model cuts texts itself (TextVectorization); leave --vocabulary, --index-from and --words out"
            )
        words, rows = own.words, find_rule(own.vocabulary, unknown)
        padding = padding or ("back" if own.max_tokens else "none")
        max_tokens = max_tokens or own.max_tokens
    else:
        words, rows = _words(found, vocabulary, index_from, unknown, kind)
        usual = "back" if rows.vectorized else "front"
        padding = padding or (usual if found.source == "Keras" else "none")
    truncate = truncate or ("beginning" if rows.vectorized else "end")
    classes = None if labels is None else [label.strip() for label in labels.split(",")]
    model = make_classifier(
        found, rows, words, padding=padding, truncate=truncate, max_tokens=max_tokens, labels=classes
    )
    Classifier(model).save(out, overwrite=overwrite)
    config = model.config
    told = {
        "out": str(out),
        "from": found.source,
        "labels": list(model.labels),
        "vocabulary": config.vocabulary_size,
        "rows": len(found.embedding),
        "weights": weights.parameter_count(config, len(model.labels)),
        "max_tokens": config.max_tokens,
        "truncate": config.truncate,
        "padding": config.padding,
        "words": next(name for name, of in TOKENIZATION_RULES.items() if of == words),
    }
    if as_json:
        json_object(told)
        return
    reads = {"none": "no padding", "front": "padding before shorter ones", "back": "padding behind shorter ones"}
    print(
        f"{out}: from {found.source}, {told['weights']:,} weights, {config.vocabulary_size:,} words of "
        f"{told['rows']:,} rows, cut as {told['words']}; reads {config.max_tokens} tokens of a text, the "
        f"{config.truncate} of longer ones, {reads[config.padding]}"
    )
    if config.vocabulary_size < FEW_WORDS * len(found.embedding):
        lacking = len(found.embedding) - config.vocabulary_size
        note(f"{lacking:,} rows have no word: is it the vocabulary of this model?")
    note(f"compare its answers with the original's on a few texts: fastlstm predict --model {out} TEXT")


def _found(file: Path, pooling: str) -> ImportedModel:
    if file.suffix in KERAS:
        from fastlstm.convert.keras import from_keras

        if pooling != POOLINGS[0]:
            raise OptionError("--pooling is for PyTorch; a Keras file says how its steps are pooled")
        return from_keras(file)
    if file.suffix in PYTORCH:
        from fastlstm.convert.pytorch import from_pytorch

        return from_pytorch(file, pooling)
    raise InputError(f"{file} ends in {file.suffix or 'nothing'}; expected {', '.join((*KERAS, *PYTORCH))}")


def _words(
    found: ImportedModel, vocabulary: Path | None, index_from: int, unknown: str | None, kind: str | None
) -> tuple[TokenizationRule, Vocabulary]:
    if vocabulary is None:
        raise OptionError(
            "the file has weights and no words; give --vocabulary: a file with one word a line in the order of the "
            "rows (TextVectorization.get_vocabulary()), or JSON, word -> index"
        )
    rows = read_vocabulary(vocabulary, index_from=index_from, unknown=unknown)
    default = "vectorization" if rows.vectorized else "keras"
    return TOKENIZATION_RULES[kind or (default if found.source == "Keras" else "fastlstm")], rows
