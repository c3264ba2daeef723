"""`fastlstm import`: a classifier that learned elsewhere, as one of fastlstm."""

from __future__ import annotations

from pathlib import Path

import click

from fastlstm import weights
from fastlstm.cli import show
from fastlstm.cli.options import common
from fastlstm.errors import InputError, OptionError
from fastlstm.importing.classifier import classifier_of
from fastlstm.importing.imported import Imported
from fastlstm.importing.vocabulary import KINDS, Vocabulary, Words, named, read_vocabulary
from fastlstm.inference import Classifier

KERAS, PYTORCH = (".keras", ".h5", ".hdf5"), (".pt", ".pth", ".bin", ".safetensors")
POOLINGS = ("last", "max", "mean", "concat")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("model"),
    show_default=True,
    help="The folder to save the model to.",
)
@click.option(
    "--vocabulary",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The words: one a line in the order of the embedding's rows, or JSON, word -> index or a list. "
    "[a .keras file with TextVectorization has its own]",
)
@click.option(
    "--index-from",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Added to the indices of a JSON object; 3 for that of keras.datasets.imdb, with its start token.",
)
@click.option(
    "--unknown", metavar="WORD", help="The word that unknown ones are read as. [[UNK], <OOV>, <unk>, ...]"
)
@click.option(
    "--words",
    "kind",
    type=click.Choice(list(KINDS)),
    help="What is a word: as Keras' Tokenizer (keras), TextVectorization or fastlstm has it, or what stands "
    "between spaces, as it is (spaces) or in lower case (lower). [Keras: keras; PyTorch: fastlstm]",
)
@click.option(
    "--padding",
    type=click.Choice(("front", "back", "none")),
    help="Where texts were padded, and longer ones cut. [Keras: front, as pad_sequences does; TextVectorization: "
    "back; PyTorch: none]",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    help="Tokens that were read of a text, up to which it was padded. [the model's own, or 500]",
)
@click.option("--labels", metavar="A,B,...", help="The classes, in the order of the outputs. [0,1,...]")
@click.option(
    "--pooling",
    type=click.Choice(POOLINGS),
    default=POOLINGS[0],
    show_default=True,
    help="What a PyTorch model keeps of all steps; Keras' files say it.",
)
@click.option("--overwrite", is_flag=True, help="Replace a model in --out.")
@common
def command(
    file: Path, out: Path, vocabulary: Path | None, index_from: int, unknown: str | None, kind: str | None,
    padding: str | None, max_tokens: int | None, labels: str | None, pooling: str, overwrite: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make a classifier of FILE: a Keras model (.keras, .h5), or a PyTorch state dict (.pt, .safetensors).

    It gives the probabilities that the model gave where it learned, for texts that are cut into the same words.
    """
    found = _found(file, pooling)
    own = found.cutting
    if own is not None:
        if vocabulary is not None or kind is not None:
            raise OptionError("the model cuts texts itself (TextVectorization); leave --vocabulary and --words out")
        words, rows = own.words, named(own.vocabulary, unknown)
        padding = padding or ("back" if own.max_tokens else "none")
        max_tokens = max_tokens or own.max_tokens
    else:
        words, rows = _words(found, vocabulary, index_from, unknown, kind)
        padding = padding or ("front" if found.source == "Keras" else "none")
    classes = None if labels is None else [label.strip() for label in labels.split(",")]
    model = classifier_of(found, rows, words, padding=padding, max_tokens=max_tokens, labels=classes)
    Classifier(model).save(out, overwrite=overwrite)
    config = model.config
    told = {
        "out": str(out),
        "from": found.source,
        "labels": list(model.labels),
        "vocabulary": config.vocabulary_size,
        "weights": weights.count(config, len(model.labels)),
        "max_tokens": config.max_tokens,
        "padding": config.padding,
    }
    if as_json:
        show.json_object(told)
        return
    reads = {"none": "no padding", "front": "padding before shorter texts", "back": "padding behind shorter texts"}
    print(
        f"{out}: from {found.source}, {told['weights']:,} weights, {config.vocabulary_size:,} words; reads "
        f"{config.max_tokens} tokens, {reads[config.padding]}"
    )
    show.note(f"compare its answers with the original's on a few texts: fastlstm predict --model {out} TEXT")


def _found(file: Path, pooling: str) -> Imported:
    if file.suffix in KERAS:
        from fastlstm.importing.keras import from_keras

        if pooling != POOLINGS[0]:
            raise OptionError("--pooling is for PyTorch; a Keras file says how its steps are pooled")
        return from_keras(file)
    if file.suffix in PYTORCH:
        from fastlstm.importing.pytorch import from_pytorch

        return from_pytorch(file, pooling)
    raise InputError(f"{file} ends in {file.suffix or 'nothing'}; expected {', '.join((*KERAS, *PYTORCH))}")


def _words(
    found: Imported, vocabulary: Path | None, index_from: int, unknown: str | None, kind: str | None
) -> tuple[Words, Vocabulary]:
    if vocabulary is None:
        raise OptionError(
            "the file has weights and no words; give --vocabulary: a file with one word a line in the order of the "
            "rows (TextVectorization.get_vocabulary()), or JSON, word -> index"
        )
    default = "keras" if found.source == "Keras" else "fastlstm"
    return KINDS[kind or default], read_vocabulary(vocabulary, index_from=index_from, unknown=unknown)
