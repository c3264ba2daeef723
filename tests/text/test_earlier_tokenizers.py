"""Tokenizers of earlier models give the same ids as when they were saved."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from tests.helpers.earlier_tokenizers import train_runs_tokenizer
from tokenizers import Tokenizer

from fastlstm.pretrained import ENGLISH_ENCODER, find_model
from fastlstm.text.segmentation import RUNS, find_segmentation
from fastlstm.text.tokenizer import TextTokenizer, train_tokenizer, truncate_vocabulary

TEXTS = [
    "Wow!!! So good... isn't it?! 10/10, 7.5",
    "The film<br /><br />was <b>not</b> bad<BR>at all",
    "Café cafe\u0301 naïve “quoted” – it’s 50€",
    "很好看的电影，很不错！film很bad",
    "とてもよかった テレビ",
    "ดีมาก good ดี",
    "हिन्दी में great",
    "😍😍👍🏽 great ❤\ufe0f❤ 1\ufe0f\u20e3 🇩🇪",
    "a\u200db\u200cc\u00add \x1c\x00 e\u3000f",
    "İstanbul ΟΔΟΣ ﬁne",
    "",
]


def ids_digest(tokenizer: Tokenizer) -> str:
    """Return the SHA-256 of the ids of all texts, read at once and alone."""
    tokenize = TextTokenizer(tokenizer, max_tokens=12, truncate="both", keep_untruncated=True)
    tokenized = tokenize(TEXTS)
    assert tokenized.untruncated is not None
    for text, ids in zip(TEXTS, tokenized.untruncated, strict=True):
        assert tokenize.align(text).ids.tolist() == ids.tolist()
        assert tokenize.token_ids(text).tolist() == (ids.tolist() if text else [])
    arrays = [*tokenized.ids, *tokenized.untruncated]
    return hashlib.sha256(b"|".join(ids.astype(np.int32).tobytes() for ids in arrays)).hexdigest()


def test_bundled_tokenizer_gives_the_ids_of_its_first_version() -> None:
    tokenizer = Tokenizer.from_file(str(find_model(ENGLISH_ENCODER) / "tokenizer.json"))
    assert find_segmentation(tokenizer) is RUNS
    assert ids_digest(tokenizer) == "966feac02be965e228de28925aebb4617876382eb6dd3006a6b3c3e6c4b76fd2"


def test_earlier_tokenizer_gives_the_ids_of_its_first_version() -> None:
    digest = "8b1f9109dbe4fe840cbad933ec3e4487675dba6de11624231554f116f63978ed"
    assert ids_digest(train_runs_tokenizer(TEXTS, 1000)) == digest


@pytest.mark.parametrize("train", [train_tokenizer, train_runs_tokenizer])
def test_truncated_vocabulary_keeps_the_segmentation(train: Callable[[list[str], int], Tokenizer]) -> None:
    tokenizer = train(TEXTS, 1000)
    assert find_segmentation(truncate_vocabulary(tokenizer, 9)) is find_segmentation(tokenizer)
