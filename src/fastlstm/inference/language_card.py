"""The model card of a language model, in Markdown, from its configuration and training record."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fastlstm import weights
from fastlstm.saved_language_model import SavedLanguageModel


def language_card(model: SavedLanguageModel) -> str:
    """The README.md of a saved language model: what it is, what it has read, how well it foretells."""
    return "\n".join(_lines(model)) + "\n"


def _lines(model: SavedLanguageModel) -> Iterator[str]:
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
