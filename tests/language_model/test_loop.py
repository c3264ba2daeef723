import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fastlstm.config import Direction, LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.errors import ResumeError, TrainingError
from fastlstm.language_model import network
from fastlstm.language_model.loop import LanguageModelEpoch, LanguageModelState, _rate, make_state, train_steps
from fastlstm.serialization import weights

CPU = torch.device("cpu")
MODEL = LanguageModelConfig(vocabulary_size=31, embedding_size=7, hidden_sizes=(9, 5), direction="both")
TRAINING = LanguageModelTrainingConfig(
    epochs=2,
    streams=3,
    window=5,
    samples=16,
    learning_rate=0.02,
    warmup=2,
    embedding_dropout=0.1,
    input_dropout=0.1,
    weight_dropout=0.2,
    hidden_dropout=0.1,
    output_dropout=0.1,
    activation_penalty=2.0,
    change_penalty=1.0,
    seed=4,
)


def some_texts(count: int = 40) -> list[np.ndarray]:
    """Texts that count upward from a random word, so that the next word is known."""
    generator = np.random.default_rng(0)
    texts = []
    for _ in range(count):
        start = int(generator.integers(2, 20))
        texts.append(np.arange(start, start + int(generator.integers(1, 11)), dtype=np.int32))
    return texts


def arrays_of(state: LanguageModelState) -> dict[str, np.ndarray]:
    state.optimizer.catch_up()
    return state.model.arrays()


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_weights_have_the_names_and_shapes_that_are_saved(direction: Direction) -> None:
    for hidden_sizes in ((9, 5), (9, 7)):
        config = LanguageModelConfig(
            vocabulary_size=31, embedding_size=7, hidden_sizes=hidden_sizes, direction=direction
        )
        named = make_state(config, TRAINING, CPU).model.named()
        assert {name: tuple(w.shape) for name, w in named.items()} == weights.language_model_shapes(config)


def test_a_model_learns_what_comes_next() -> None:
    config = LanguageModelConfig(vocabulary_size=31, embedding_size=8, hidden_sizes=(16,))
    training = LanguageModelTrainingConfig(epochs=30, streams=4, window=8, samples=31, learning_rate=0.02, warmup=0)
    epochs = [
        e
        for e in train_steps(make_state(config, training, CPU), some_texts(), training)
        if isinstance(e, LanguageModelEpoch)
    ]
    assert epochs[0].loss > 2.0
    assert epochs[-1].loss < 1.0


def test_a_run_that_goes_on_from_a_checkpoint_ends_with_the_same_bits(tmp_path: Path) -> None:
    texts, path = some_texts(), tmp_path / "checkpoint"
    whole = make_state(MODEL, TRAINING, CPU)
    steps = len(list(train_steps(whole, texts, TRAINING)))
    for stop in (3, steps // 2, steps - 1):
        state = make_state(MODEL, TRAINING, CPU)
        events = train_steps(state, texts, TRAINING)
        for _ in range(stop):
            next(events)
        state.save(path, {"run": 1})
        again = make_state(MODEL, TRAINING, CPU)
        again.restore(path, {"run": 1})
        list(train_steps(again, texts, TRAINING))
        assert again.history[-1].loss == whole.history[-1].loss
        for name, value in arrays_of(whole).items():
            np.testing.assert_array_equal(value, arrays_of(again)[name], err_msg=name)


def test_a_checkpoint_of_another_run_or_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    make_state(MODEL, TRAINING, CPU).save(path, {"seed": 1})
    with pytest.raises(ResumeError, match="another run: its seed is 1, this one's is 2"):
        make_state(MODEL, TRAINING, CPU).restore(path, {"seed": 2})
    other = LanguageModelConfig(vocabulary_size=31, embedding_size=7, hidden_sizes=(9, 6), direction="both")
    with pytest.raises(ResumeError, match="damaged"):
        make_state(other, TRAINING, CPU).restore(path, {"seed": 1})


def test_pytorch_and_the_kernel_train_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = some_texts()
    training = LanguageModelTrainingConfig(
        epochs=1, streams=3, window=5, samples=31, input_dropout=0.2, weight_dropout=0.2, precision="float32"
    )
    kernel = make_state(MODEL, training, CPU)
    list(train_steps(kernel, texts, training))
    monkeypatch.setattr(network, "uses_kernel", lambda _: False)
    monkeypatch.setattr("fastlstm.nn.optimizer.uses_kernel", lambda _: False)
    plain = make_state(MODEL, training, CPU)
    list(train_steps(plain, texts, training))
    for name, value in arrays_of(kernel).items():
        np.testing.assert_allclose(value, arrays_of(plain)[name], rtol=1e-3, atol=1e-3, err_msg=name)


def test_too_few_tokens_for_the_streams_are_refused() -> None:
    training = LanguageModelTrainingConfig(streams=500)
    with pytest.raises(TrainingError, match="too few for 500 streams"):
        next(train_steps(make_state(MODEL, training, CPU), some_texts(3), training))


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    state = make_state(MODEL, TRAINING, CPU)
    with torch.no_grad():
        state.model.bias.fill_(math.nan)
    with pytest.raises(TrainingError, match="loss is nan in step 1 of epoch 1"):
        list(train_steps(state, some_texts(), TRAINING))


def test_the_rate_rises_and_falls_within_a_run_of_any_length() -> None:
    training = LanguageModelTrainingConfig(warmup=200, learning_rate=0.5, schedule="cosine")
    for steps in (3, 40, 5000):
        rates = [_rate(training, done, steps) for done in range(steps)]
        top = int(np.argmax(rates))
        assert rates[top] > 0.45
        assert top <= steps // 10
        assert rates[-1] < 0.2 * rates[top] or steps < 10
