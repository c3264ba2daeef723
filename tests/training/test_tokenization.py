"""What a trained model reads as tokens: unspaced scripts and emoji apart, and the rule of an encoder kept."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.earlier_tokenizers import train_runs_tokenizer

from fastlstm.config import LanguageModelConfig, LanguageModelTrainingConfig, ModelConfig, TrainingConfig
from fastlstm.data import Dataset
from fastlstm.language_model.loop import make_state
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.text.segmentation import RUNS, SEGMENTS, find_segmentation
from fastlstm.training.linear import baseline_report
from fastlstm.training.prepare import PreparedRun, prepare

TEXTS = ["wow!!! 好看的 film", "ดีมาก ไม่ดี", "meh... 😍😍"] * 8
DATASET = Dataset(TEXTS, ["a", "b", "a"] * 8, "reviews.csv")


def prepare_run(encoder: SavedLanguageModel | None = None) -> PreparedRun:
    model = ModelConfig(embedding_size=3, hidden_sizes=(4,), vocabulary_size=100)
    training = TrainingConfig(epochs=1)
    return prepare(DATASET, DATASET, model, training, device="cpu", cap_vocabulary=True, encoder=encoder)


def test_new_model_splits_into_segments() -> None:
    prepared = prepare_run()
    assert find_segmentation(prepared.tokenizer) is SEGMENTS
    assert {"!", "ดี", "😍", "好", "."} < set(prepared.tokenizer.get_vocab())


def test_classifier_keeps_the_segmentation_of_its_encoder() -> None:
    tokenizer = train_runs_tokenizer(TEXTS, 100)
    config = LanguageModelConfig(
        vocabulary_size=tokenizer.get_vocab_size(), embedding_size=3, hidden_sizes=(4,), direction="forward"
    )
    arrays = make_state(config, LanguageModelTrainingConfig(), torch.device("cpu")).model.arrays()
    prepared = prepare_run(SavedLanguageModel(config, tokenizer, arrays))
    assert find_segmentation(prepared.tokenizer) is RUNS
    assert prepared.tokenizer.to_str() == tokenizer.to_str()


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("นี้ดีมาก", "นี้แย่มาก"),
        ("とてもよい", "とてもわるい"),
        ("😀😍🎉", "😀💩😢"),
        ("बहुत अच्छी फिल्म", "बहुत बुरी फिल्म"),
    ],
)
def test_baseline_reads_texts_without_spaces(good: str, bad: str) -> None:
    training = Dataset([good, bad] * 4, ["good", "bad"] * 4)
    test = Dataset([good + good, bad + bad], ["good", "bad"])
    assert baseline_report(training, test, ("good", "bad")).accuracy == 1
