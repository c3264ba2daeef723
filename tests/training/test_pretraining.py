from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastlstm.config import configure
from fastlstm.data import Dataset
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


def some_records(count: int, seed: int) -> Dataset:
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(count):
        words = generator.choice(
            ["the", "a", "film", "was", "it", "story"], int(generator.integers(3, 15))
        ).tolist()
        words[int(generator.integers(len(words)))] = ("good", "bad")[i % 2]
        texts.append(" ".join(words))
        labels.append(("positive", "negative")[i % 2])
    return Dataset(texts, labels)


def a_fitting(unlabelled: tuple[str, ...] = (), **changed: Any) -> PreparedRun:
    model, training = configure("tutorial", {**OPTIONS, **changed})
    return prepare(
        some_records(40, 0), some_records(12, 1), model, training, cap_vocabulary=True, unlabelled=unlabelled
    )


def test_a_language_model_comes_first_and_hands_over_what_it_learned() -> None:
    fitting = a_fitting()
    kinds, learned = [], None
    for event in fitting.epochs():
        kinds.append(type(event))
        if isinstance(event, LanguageModelEpoch):
            assert fitting.pretraining is not None
            learned = fitting.pretraining.state.model.arrays()["embedding.weight"]
        elif isinstance(event, StepDone) and event.epoch == event.step == 1:
            assert learned is not None
            fitting.state.optimizer.catch_up()
            moved = np.abs(fitting.state.model.arrays()["embedding.weight"] - learned).max()
            assert 0 < moved < 0.01
    assert kinds.count(LanguageModelEpoch) == kinds.count(EpochResult) == 2
    assert kinds.index(StepDone) > max(i for i, kind in enumerate(kinds) if kind is LanguageModelStep)


@pytest.mark.parametrize("stop", ["in pretraining", "between the phases", "in training"])
def test_a_run_goes_on_in_either_phase_with_the_same_bits(tmp_path: Path, stop: str) -> None:
    path = tmp_path / "checkpoint"
    whole = a_fitting()
    kinds = [type(event) for event in whole.epochs()]
    last = max(i for i, kind in enumerate(kinds) if kind is LanguageModelEpoch)
    after = {"in pretraining": last // 2, "between the phases": last + 1, "in training": last + 4}[stop]
    broken = a_fitting()
    events = broken.epochs()
    for _ in range(after):
        next(events)
    broken.save(path)
    again = a_fitting()
    again.restore(path)
    left = [type(event) for event in again.epochs()]
    assert left == kinds[after:]
    for name, value in whole.state.model.arrays().items():
        np.testing.assert_array_equal(value, again.state.model.arrays()[name], err_msg=name)


def test_a_checkpoint_of_other_unlabelled_texts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    a_fitting(unlabelled=("a story was good",)).save(path)
    with pytest.raises(ResumeError, match="pretraining texts"):
        a_fitting(unlabelled=("a story was bad",)).restore(path)


def test_unlabelled_texts_add_their_words() -> None:
    words = a_fitting(unlabelled=("marvellous " * 3,)).tokenizer.get_vocab()
    assert "marvellous" in words
    assert "marvellous" not in a_fitting().tokenizer.get_vocab()


def test_words_left_out_differ_between_epochs_and_leave_something_of_every_text() -> None:
    fitting = a_fitting(word_dropout=0.9, pretraining_epochs=0, epochs=3)
    results = [event for event in fitting.epochs() if isinstance(event, EpochResult)]
    assert len(results) == 3
    assert all(np.isfinite(result.loss) for result in results)
