"""Tokenizers as earlier versions trained them."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, models, trainers

from fastlstm.text.segmentation import RUNS, clean_text
from fastlstm.text.tokenizer import PADDING, UNKNOWN


def train_runs_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Return a tokenizer that follows `RUNS`, with the same ids as earlier versions gave."""
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = RUNS.normalizer, RUNS.pre_tokenizer
    trainer = trainers.WordLevelTrainer(vocab_size=vocabulary_size - 2, show_progress=False)
    tokenizer.train_from_iterator((clean_text(text) for text in texts), trainer)
    words = [PADDING, UNKNOWN, *sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)]
    tokenizer.model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNKNOWN)
    return tokenizer
