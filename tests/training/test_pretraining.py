"""The pretraining phase of a run: a language model on the same texts, before training on labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.training import make_dataset

from fastlstm.config import configure
from fastlstm.errors import ResumeError
from fastlstm.language_model.loop import LanguageModelEpoch, LanguageModelStep
from fastlstm.training.events import EpochResult, StepDone
from fastlstm.training.prepare import PreparedRun, prepare

OPTIONS: dict[str, Any] = {
    "hidden_sizes": (6, 5),
    "embedding_size": 7,
    "bidirectional": True,
    "pooling": "concat",
    "dropout": 0.2,
    "ngrams": 40,
    "pretraining_epochs": 2,
    "output_first": True,
    "word_dropout": 0.2,
    "adversarial": 0.02,
    "epochs": 2,
    "batch_size": 8,
    "max_tokens": 9,
    "truncate": "both",
}


def prepare_run(unlabelled: tuple[str, ...] = (), **changes: Any) -> PreparedRun:
    model, training = configure("tutorial", {**OPTIONS, **changes})
    return prepare(
        make_dataset(40), make_dataset(12, seed=1), model, training, cap_vocabulary=True, unlabelled=unlabelled
    )


def test_training_starts_from_the_weights_of_the_language_model() -> None:
    run = prepare_run()
    kinds, pretrained = [], None
    for event in run.epochs():
        kinds.append(type(event))
        if isinstance(event, LanguageModelEpoch):
            assert run.pretraining is not None
            pretrained = run.pretraining.state.model.arrays()["embedding.weight"]
        elif isinstance(event, StepDone) and event.epoch == event.step == 1:
            assert pretrained is not None
            run.state.optimizer.catch_up()
            difference = np.abs(run.state.model.arrays()["embedding.weight"] - pretrained).max()
            assert 0 < difference < 0.01
    assert kinds.count(LanguageModelEpoch) == kinds.count(EpochResult) == 2
    assert kinds.index(StepDone) > max(i for i, kind in enumerate(kinds) if kind is LanguageModelStep)


@pytest.mark.parametrize("stop", ["in pretraining", "between the phases", "in training"])
def test_run_stopped_in_either_phase_is_resumed_with_the_same_bits(tmp_path: Path, stop: str) -> None:
    path = tmp_path / "checkpoint"
    whole = prepare_run()
    kinds = [type(event) for event in whole.epochs()]
    last = max(i for i, kind in enumerate(kinds) if kind is LanguageModelEpoch)
    count = {"in pretraining": last // 2, "between the phases": last + 1, "in training": last + 4}[stop]
    stopped = prepare_run()
    events = stopped.epochs()
    for _ in range(count):
        next(events)
    stopped.save(path)
    resumed = prepare_run()
    resumed.restore(path)
    assert [type(event) for event in resumed.epochs()] == kinds[count:]
    for name, value in whole.state.model.arrays().items():
        np.testing.assert_array_equal(value, resumed.state.model.arrays()[name], err_msg=name)


def test_checkpoint_of_other_unlabelled_texts_raises_resume_error(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    prepare_run(unlabelled=("a story was good",)).save(path)
    with pytest.raises(ResumeError) as raised:
        prepare_run(unlabelled=("a story was bad",)).restore(path)
    assert (raised.value.code, raised.value.setting) == ("checkpoint-mismatch", "pretraining texts")


def test_vocabulary_contains_words_of_unlabelled_texts() -> None:
    assert "marvellous" in prepare_run(unlabelled=("marvellous " * 3,)).tokenizer.get_vocab()
    assert "marvellous" not in prepare_run().tokenizer.get_vocab()
