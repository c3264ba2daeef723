"""Random texts and n-gram models, and random calls of fastlstm_ngram_logits between guarded arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from tests.helpers.kernel_guards import GuardedArrays, MismatchError

from fastlstm._typing import TokenIds
from fastlstm.kernel.abi import NGramArguments
from fastlstm.kernel.bindings import Kernel
from fastlstm.text.batches import join_texts
from fastlstm.text.ngrams import NGRAM_ID_COUNT, NGRAM_KINDS, NGramKind, NGramLogits, extract_ngrams

MIXED_KINDS = (
    NGramKind(77, (0, 3, 4)),
    NGramKind(2**64 - 1, (0,), beginning=5, end=9),
    NGramKind(3, (0, 1, 2, 3, 4, 5, 6, 7), end=12),
    NGramKind(3, (0, 40), beginning=60),
)
"""Long n-grams, gaps, and windows at both ends; two kinds with the same tag."""
STATE = ("last", "end_rows", "seen", "tokens_read")
KINDS: dict[str, Sequence[NGramKind]] = {**NGRAM_KINDS, "mixed": MIXED_KINDS, "words": [NGramKind(5, (0,))]}


def random_texts(generator: np.random.Generator, count: int, longest: int, vocabulary: int = 30) -> list[TokenIds]:
    """Return texts of 0 to `longest` tokens."""
    return [generator.integers(0, vocabulary, n, np.int32) for n in generator.integers(0, longest + 1, count)]


def random_model(
    generator: np.random.Generator, texts: Sequence[TokenIds], kinds: Sequence[NGramKind], C: int
) -> NGramLogits:
    """Return a model on NumPy with weights for half of the n-grams of the texts, and for others."""
    present = extract_ngrams(texts, kinds=kinds).ids
    others = generator.integers(0, NGRAM_ID_COUNT, int(generator.integers(1, 90)), np.int32)
    ids = np.unique(np.concatenate([generator.permutation(present)[: len(present) // 2], others])).astype(np.int32)
    return NGramLogits(ids, generator.standard_normal((len(ids), C)).astype(np.float32), kinds)


def ngram_arguments(kernel: Kernel, model: NGramLogits, texts: Sequence[TokenIds]) -> Any:
    """Return the arguments of reading texts as first pieces, which keep their arrays alive in `arrays`."""
    table = kernel.ngram_table(model.ids, model.weight, model.kinds)
    tokens, starts = join_texts(texts)
    count = len(texts)
    arrays: dict[str, Any] = {
        "starts": starts,
        "tokens": tokens,
        "logits": np.zeros((count, model.weight.shape[1]), np.float32),
        "last": np.zeros((count, table.window), np.int32),
        "end_rows": np.full((count, table.arguments.R), -1, np.int32),
        "seen": np.zeros((count, -(-len(model.ids) // 64)), np.uint64),
        "tokens_read": np.zeros(count, np.int64),
    }
    arguments: Any = NGramArguments.from_buffer_copy(table.arguments)
    arguments.texts = count
    for name, array in arrays.items():
        setattr(arguments, name, array.ctypes.data)
    arguments.table, arguments.arrays = table, arrays
    return arguments


def check_ngrams(
    library: SimpleNamespace, kernel: Kernel, generator: np.random.Generator, arrays: GuardedArrays
) -> None:
    """Check a random call of whole texts, and calls of their pieces, against NumPy, bit by bit."""
    kinds = KINDS[str(generator.choice(list(KINDS)))]
    texts = random_texts(generator, int(generator.integers(1, 9)), int(generator.integers(1, 130)))
    model = random_model(generator, texts, kinds, int(generator.integers(1, 4)))
    expected = model(texts)
    arguments = ngram_arguments(kernel, model, texts)
    guarded = {
        name: arrays.empty(name, *array.shape, dtype=array.dtype) for name, array in arguments.arrays.items()
    }
    for name in ("starts", "tokens"):
        guarded[name][:] = arguments.arrays[name]
    weight = arrays.copy("weight", model.weight)
    arguments.weight = weight.ctypes.data
    for name, array in guarded.items():
        setattr(arguments, name, array.ctypes.data)
    for name in STATE:
        setattr(arguments, name, None)
    _call(library, kernel, arguments)
    if guarded["logits"].tobytes() != expected.tobytes():
        raise MismatchError("the n-gram logits of whole texts differ")

    for name in STATE:
        setattr(arguments, name, guarded[name].ctypes.data)
    guarded["tokens_read"][:] = 0
    remaining = list(texts)
    while True:
        sizes = [min(len(text), int(generator.integers(0, 40))) for text in remaining]
        pieces = [text[:size] for text, size in zip(remaining, sizes, strict=True)]
        remaining = [text[size:] for text, size in zip(remaining, sizes, strict=True)]
        tokens, starts = join_texts(pieces)
        guarded["tokens"][: len(tokens)] = tokens
        guarded["starts"][:] = starts
        finished = not any(len(text) for text in remaining)
        arguments.logits = guarded["logits"].ctypes.data if finished or generator.random() < 0.5 else None
        _call(library, kernel, arguments)
        if finished:
            break
    if guarded["logits"].tobytes() != expected.tobytes():
        raise MismatchError("the n-gram logits of texts in pieces differ")


def _call(library: SimpleNamespace, kernel: Kernel, arguments: NGramArguments) -> None:
    status = library.ngram_logits(kernel._isa, ctypes.byref(arguments))
    if status:
        raise MismatchError(f"ngram_logits returned {status}")
