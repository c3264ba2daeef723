"""The n-grams of a classifier as ONNX operators: token ids -> n-gram logits, as `fastlstm.text.ngrams` computes them.

The steps for a batch of texts, all without loops:
1. Mark the n-grams inside their windows, and list them with `NonZero`.
2. Hash them. ONNX runtimes multiply int64 and shift uint64, so the hash is cast between the two.
3. Find each id among the increasing ids of the model: a table of `BUCKET_BITS` bits gives the first candidate, and a
   binary search the rest.
4. Sort the rows found by text, drop repeated ones, and sum their weights in float64, in NumPy's order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.convert.onnx_graph import Graph
from fastlstm.text.ngrams import MIX_CONSTANTS, NGRAM_ID_COUNT, NO_LIMIT, NGramKind

BUCKET_BITS = 15
"""Buckets of the search: a table of 128 KiB leaves about 4 steps of a binary search for 100,000 n-grams."""
NGRAM_ID_BITS = NGRAM_ID_COUNT.bit_length() - 1
TEXT_SHIFT = 32
"""Rows are sorted by text and row in one int64, the text in its upper half."""


def add_ngram_logits(
    graph: Graph, ids: str, lengths: str, ngram_ids: TokenIds, weight: FloatArray, kinds: Sequence[NGramKind]
) -> str:
    """Add the n-grams to the graph and return the name of their logits, float32 [batch, logits].

    Args:
        graph: The graph.
        ids: Name of the untruncated token ids, int64 [batch, length].
        lengths: Name of the lengths, int64 [batch], at least 1.
        ngram_ids: [K], increasing.
        weight: [K, logits].
        kinds: The kinds of n-grams.
    """
    texts, hashes = _hashes(graph, ids, lengths, kinds)
    rows, found = _search(graph, hashes, ngram_ids)
    text_keys = graph.add("Mul", graph.add("Compress", texts, found), graph.integer(1 << TEXT_SHIFT))
    keys = graph.add("Add", text_keys, graph.add("Compress", rows, found))
    return _sum(graph, _distinct(graph, keys, len(ngram_ids)), lengths, weight)


def _hashes(graph: Graph, ids: str, lengths: str, kinds: Sequence[NGramKind]) -> tuple[str, str]:
    """Return the index of the text, and the n-gram id, of each n-gram; repeated ones included."""
    zero, one = graph.integer(0), graph.integer(1)
    length = graph.add("Gather", graph.add("Shape", ids), one)
    positions = graph.add("Range", zero, length, one)
    remaining = graph.add("Sub", graph.add("Unsqueeze", lengths, graph.integer([1])), positions)
    flat = graph.reshape(graph.add("Add", ids, one), [-1])
    tokens = graph.add("Mul", flat, graph.constant(MIX_CONSTANTS[0].astype(np.int64)))
    texts, hashes = [], []
    for size in sorted({len(kind.offsets) for kind in kinds}):
        group = [kind for kind in kinds if len(kind.offsets) == size]
        column = {
            "offset": [kind.offsets[-1] for kind in group],
            "beginning": [kind.beginning or NO_LIMIT for kind in group],
            "end": [kind.end or NO_LIMIT for kind in group],
        }
        constants = {name: graph.reshape(graph.integer(values), [-1, 1, 1]) for name, values in column.items()}
        last = graph.add("Add", constants["offset"], positions)
        in_text = graph.add("Greater", remaining, constants["offset"])
        in_beginning = graph.add("Less", last, constants["beginning"])
        in_end = graph.add("LessOrEqual", remaining, constants["end"])
        inside = graph.add("And", graph.add("And", in_text, in_beginning), in_end)
        kind, text, position = (
            graph.reshape(part, [-1])
            for part in graph.add("Split", graph.add("NonZero", inside), outputs=3, axis=0, num_outputs=3)
        )
        first = graph.add("Add", graph.add("Mul", text, length), position)
        state = graph.add("Gather", graph.integer([kind.tag for kind in group]), kind)
        for k in range(size):
            offset = graph.add("Gather", graph.integer([kind.offsets[k] for kind in group]), kind)
            token = graph.add("Gather", tokens, graph.add("Add", first, offset) if k else first)
            state = _mix(graph, graph.add("Add", state, token))
        texts.append(text)
        hashes.append(state)
    joined = graph.add("Concat", *hashes, axis=0)
    return graph.add("Concat", *texts, axis=0), graph.add("BitwiseAnd", joined, graph.integer(NGRAM_ID_COUNT - 1))


def _mix(graph: Graph, values: str) -> str:
    """Return the finalizer of SplitMix64 of int64 values, as `fastlstm.text.ngrams` computes it with uint64."""
    for shift, factor in ((30, MIX_CONSTANTS[1]), (27, MIX_CONSTANTS[2]), (31, None)):
        values = graph.add("BitwiseXor", values, _shift_right(graph, values, shift))
        if factor is not None:
            values = graph.add("Mul", values, graph.constant(factor.astype(np.int64)))
    return values


def _shift_right(graph: Graph, values: str, bits: int) -> str:
    """Return int64 values shifted right as uint64: ONNX shifts only unsigned integers."""
    from onnx import TensorProto

    unsigned = graph.add("Cast", values, to=TensorProto.UINT64)
    shifted = graph.add("BitShift", unsigned, graph.constant(np.uint64(bits)), direction="RIGHT")
    result: str = graph.add("Cast", shifted, to=TensorProto.INT64)
    return result


def _search(graph: Graph, hashes: str, ngram_ids: TokenIds) -> tuple[str, str]:
    """Return the row of each n-gram id in `ngram_ids`, int64, and whether it is there, bool."""
    from onnx import TensorProto

    shift = NGRAM_ID_BITS - BUCKET_BITS
    starts = np.searchsorted(ngram_ids, np.arange((1 << BUCKET_BITS) + 1) << shift)
    steps = max(int(np.diff(starts).max()) - 1, 0).bit_length()
    padding = np.full(1 << steps, np.iinfo(np.int32).max, np.int32)  # ids beyond the last, never reached
    sorted_ids = graph.constant(np.concatenate([ngram_ids, padding]).astype(np.int32))
    wanted = graph.add("Cast", hashes, to=TensorProto.INT32)
    row = graph.add("Gather", graph.constant(starts.astype(np.int32)), _shift_right(graph, hashes, shift))
    for step in range(steps - 1, -1, -1):
        candidate = graph.add("Add", row, graph.constant(np.int32(1 << step)))
        is_less = graph.add("LessOrEqual", graph.add("Gather", sorted_ids, candidate), wanted)
        row = graph.add("Where", is_less, candidate, row)
    found = graph.add("Equal", graph.add("Gather", sorted_ids, row), wanted)
    return graph.add("Cast", row, to=TensorProto.INT64), found


def _distinct(graph: Graph, keys: str, row_count: int) -> str:
    """Return the sorted, distinct keys, and that of the row after the last, so that there is at least one."""
    zero, one = graph.integer([0]), graph.integer([1])
    joined = graph.add("Concat", keys, graph.integer([row_count]), axis=0)
    count = graph.add("Shape", joined)
    ordered, _ = graph.add("TopK", joined, count, outputs=2, axis=0, largest=0, sorted=1)
    before = graph.add("Slice", ordered, zero, graph.integer([-1]))
    after = graph.add("Slice", ordered, one, count)
    differs = graph.add("Not", graph.add("Equal", before, after))
    is_first = graph.add("Concat", graph.constant(np.ones(1, np.bool_)), differs, axis=0)
    result: str = graph.add("Compress", ordered, is_first)
    return result


def _sum(graph: Graph, keys: str, lengths: str, weight: FloatArray) -> str:
    """Return the sum of the weights of the rows of each text, float32 [batch, logits]."""
    from onnx import TensorProto

    extended = np.concatenate([weight, np.zeros((1, weight.shape[1]), np.float32)])
    rows = graph.add("BitwiseAnd", keys, graph.integer((1 << TEXT_SHIFT) - 1))
    weights = graph.add("Cast", graph.add("Gather", graph.weight(extended), rows), to=TensorProto.DOUBLE)
    texts = graph.add("Unsqueeze", _shift_right(graph, keys, TEXT_SHIFT), graph.integer([1]))
    shape = graph.add("Concat", graph.add("Shape", lengths), graph.integer([weight.shape[1]]), axis=0)
    zeros = graph.add("Expand", graph.constant(np.float64(0)), shape)
    total = graph.add("ScatterND", zeros, texts, weights, reduction="add")
    result: str = graph.add("Cast", total, to=TensorProto.FLOAT)
    return result
