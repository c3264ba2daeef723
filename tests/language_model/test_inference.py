"""Inference: perplexity by its definition, text generation, smaller vocabularies, saving."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fastlstm.config import Direction, LanguageModelConfig
from fastlstm.errors import DataError, InputError, OptionError
from fastlstm.kernel import KernelInfo, find_kernel
from fastlstm.language_model import inference
from fastlstm.language_model.inference import LanguageModel, UnidirectionalLSTM, load_language_model
from fastlstm.serialization import weights
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.text.detokenizer import detokenize
from fastlstm.text.tokenizer import BOUNDARY_ID, UNKNOWN_ID, TextTokenizer, train_tokenizer

TEXTS = ["The film was good.", "A story, and what a story!", "good", "It was not the end of it: it was the start."]


@pytest.fixture(autouse=True, params=["kernel", "NumPy"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with the kernel and with NumPy."""
    if request.param == "NumPy":
        monkeypatch.setattr(inference, "find_kernel", lambda: KernelInfo(None, "a test asks for NumPy", None))
    elif find_kernel().kernel is None:
        pytest.skip(f"no kernel: {find_kernel().reason}")


def make_model(
    direction: Direction = "forward",
    hidden_sizes: tuple[int, ...] = (7,),
    embedding_size: int = 5,
    scale: float = 0.8,
) -> LanguageModel:
    """Return a model with random weights."""
    tokenizer = train_tokenizer(TEXTS, 100)
    config = LanguageModelConfig(
        vocabulary_size=tokenizer.get_vocab_size(),
        embedding_size=embedding_size,
        hidden_sizes=hidden_sizes,
        direction=direction,
    )
    generator = np.random.default_rng(0)
    arrays = {
        name: generator.normal(0, scale, shape).astype(np.float32)
        for name, shape in weights.language_model_shapes(config).items()
    }
    return LanguageModel(SavedLanguageModel(config, tokenizer, arrays))


def encode(model: LanguageModel, texts: list[str]) -> list[np.ndarray]:
    """Return the token ids of texts."""
    return TextTokenizer(model.saved.tokenizer, max_tokens=1000, truncate="end")(texts).ids


def reference_outputs(model: LanguageModel, direction: str, ids: np.ndarray) -> torch.Tensor:
    """Return the last layer's outputs for one text, by nn.LSTM in float64."""
    arrays = {name: torch.from_numpy(w).double() for name, w in model.saved.weights.items()}
    rows = arrays["embedding.weight"][torch.from_numpy(ids).long()][:, None]
    for layer, size in enumerate(model.saved.config.hidden_sizes):
        lstm = nn.LSTM(rows.shape[2], size).double()
        prefix = f"lstm.{layer}.{direction}"
        lstm.load_state_dict(
            {
                "weight_ih_l0": arrays[f"{prefix}.weight_ih"],
                "weight_hh_l0": arrays[f"{prefix}.weight_hh"],
                "bias_ih_l0": arrays[f"{prefix}.bias"],
                "bias_hh_l0": torch.zeros_like(arrays[f"{prefix}.bias"]),
            }
        )
        with torch.no_grad():
            rows, _ = lstm(rows)
    return rows[:, 0]


def reference_logits(model: LanguageModel, direction: str, ids: np.ndarray) -> torch.Tensor:
    """Return the logits of the token after each of these, in float64."""
    arrays = {name: torch.from_numpy(w).double() for name, w in model.saved.weights.items()}
    outputs = reference_outputs(model, direction, ids)
    if weights.has_projection(model.saved.config):
        outputs = outputs @ arrays[f"projection.{direction}.weight"].T
    return outputs @ arrays["embedding.weight"].T + arrays["output.bias"]


def reference_loss(model: LanguageModel, direction: str, ids: np.ndarray) -> float:
    """Return the summed loss of one text, by its definition in float64."""
    framed = np.concatenate([[BOUNDARY_ID], ids if direction == "forward" else ids[::-1], [BOUNDARY_ID]])
    logits = reference_logits(model, direction, framed[:-1])
    return float(nn.functional.cross_entropy(logits, torch.from_numpy(framed[1:]).long(), reduction="sum"))


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize("hidden_sizes", [(7,), (7, 5), (5, 6, 4)])
def test_perplexity_is_that_of_its_definition(direction: Direction, hidden_sizes: tuple[int, ...]) -> None:
    model = make_model(direction, hidden_sizes)
    texts = [*TEXTS, "unheard of", ""]
    encoded = encode(model, texts)
    perplexity = model.evaluate_ids(encoded)
    assert perplexity == model.evaluate(texts)
    tokens = sum(len(ids) + 1 for ids in encoded)
    losses = [sum(reference_loss(model, d, ids) for ids in encoded) for d in model.saved.config.directions]
    assert perplexity.tokens == tokens
    assert perplexity.loss == pytest.approx(np.mean(losses) / tokens, rel=1e-5)
    assert perplexity.perplexity == pytest.approx(np.exp(perplexity.loss))
    unknown = sum(int((ids == UNKNOWN_ID).sum()) for ids in encoded)
    assert perplexity.unknown == pytest.approx(unknown / tokens)
    assert unknown >= 2


def test_the_loss_of_texts_does_not_depend_on_their_batch() -> None:
    model = make_model()
    batch = model.evaluate(TEXTS)
    single = [model.evaluate([text]) for text in TEXTS]
    assert batch.loss * batch.tokens == pytest.approx(sum(one.loss * one.tokens for one in single), rel=1e-5)


def test_evaluating_no_texts_raises_data_error() -> None:
    with pytest.raises(DataError) as raised:
        make_model().evaluate([])
    assert raised.value.code == "empty-dataset"


@pytest.mark.parametrize("hidden_sizes", [(5,), (7, 5)])
def test_no_projection_if_the_last_layer_has_the_embedding_dimension(hidden_sizes: tuple[int, ...]) -> None:
    model = make_model(hidden_sizes=hidden_sizes)
    assert not any(name.startswith("projection") for name in model.saved.weights)
    (ids,) = encode(model, TEXTS[:1])
    assert model.evaluate(TEXTS[0]).loss * (len(ids) + 1) == pytest.approx(reference_loss(model, "forward", ids))


def test_small_batches_and_chunks_give_the_same_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    model, texts = make_model("both"), TEXTS * 5
    expected = model.evaluate(texts)
    monkeypatch.setattr(inference, "LOGIT_ROWS", 7)
    monkeypatch.setattr(inference, "BATCH_SIZE", 3)
    assert model.evaluate(texts).loss == pytest.approx(expected.loss, rel=1e-6)


def test_a_string_is_one_text() -> None:
    model = make_model()
    assert model.evaluate(TEXTS[0]) == model.evaluate([TEXTS[0]])
    assert model.evaluate(iter(TEXTS)) == model.evaluate(TEXTS)


@pytest.mark.parametrize("texts", [["a", 3], ["a \ud800"], b"a", 3])
def test_evaluating_something_else_than_texts_raises_data_error(texts: Any) -> None:
    with pytest.raises(DataError):
        make_model().evaluate(texts)


def test_the_perplexity_of_an_enormous_loss_is_finite() -> None:
    model = make_model()
    model.saved.weights["output.bias"][BOUNDARY_ID] = -1e6
    perplexity = model.evaluate([""])
    assert perplexity.loss > 1e5
    assert np.isfinite(perplexity.perplexity)
    assert json.loads(json.dumps(perplexity.to_json()))["texts"] == 1
    assert str(perplexity).startswith("1 text, 2 tokens: ")


def test_an_lstm_continues_from_given_states() -> None:
    model = make_model(hidden_sizes=(7, 5))
    lstm = UnidirectionalLSTM.from_weights(model.saved.weights, "forward", 2)
    inputs = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)
    outputs, final_states = lstm(inputs, np.ones(9, np.int64))
    first, states = lstm(inputs[:4], np.ones(4, np.int64))
    second, second_states = lstm(inputs[4:], np.ones(5, np.int64), states)
    np.testing.assert_allclose(np.concatenate([first, second]), outputs, rtol=1e-6, atol=1e-6)
    for state, expected in zip(second_states, final_states, strict=True):
        np.testing.assert_allclose(state, expected, rtol=1e-6, atol=1e-6)


def test_temperature_zero_generates_the_most_likely_tokens() -> None:
    model = make_model()
    tokens = model.stream_tokens("the film", max_tokens=6, temperature=0, top_p=1, seed=0)
    ids = [BOUNDARY_ID, *encode(model, ["the film"])[0].tolist()]
    for token in itertools.islice(tokens, 6):
        logits = reference_logits(model, "forward", np.array(ids, np.int32))[-1]
        logits[UNKNOWN_ID] = -torch.inf
        best = int(logits.argmax())
        assert model.saved.tokenizer.id_to_token(best) == token
        ids.append(best)


def test_generated_text_depends_on_the_seed_alone() -> None:
    model = make_model()
    texts = [model.generate("the", max_tokens=12, seed=seed) for seed in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


def test_top_p_excludes_unlikely_tokens() -> None:
    model = make_model(scale=0.3)
    generated: dict[float, set[str]] = {0.05: set(), 1.0: set()}
    for top_p, seed in itertools.product(generated, range(60)):
        generated[top_p] |= set(model.stream_tokens("the", max_tokens=1, temperature=1, top_p=top_p, seed=seed))
    assert len(generated[0.05]) <= 2 < len(generated[1.0])


def test_the_unknown_token_is_never_generated() -> None:
    model = make_model()
    model.saved.weights["output.bias"][UNKNOWN_ID] = 60
    assert "[UNK]" not in model.generate("the", max_tokens=30, seed=0)


def test_the_boundary_token_ends_the_text() -> None:
    model = make_model()
    model.saved.weights["output.bias"][BOUNDARY_ID] = 50
    assert model.generate("the film", max_tokens=30) == "the film"


def test_a_backward_model_generates_the_text_before_the_prompt() -> None:
    model = make_model("backward")
    text = model.generate("the end", max_tokens=5, seed=3)
    assert text.endswith("the end")
    tokens = list(model.stream_tokens("the end", max_tokens=5, seed=3))
    assert text == detokenize([*reversed(tokens), "the", "end"])
    assert len(model.generate(max_tokens=5, seed=3)) > 0


def test_streamed_pieces_are_the_generated_text() -> None:
    model = make_model()
    pieces = list(model.stream("The  film ", max_tokens=8, seed=1))
    assert len(pieces) > 2
    assert pieces[0] == "The  film"
    assert "".join(pieces) == model.generate("The  film ", max_tokens=8, seed=1)


@pytest.mark.parametrize("options", [{"temperature": 1e-310}, {"top_p": 1e-6}])
def test_tiny_temperature_or_top_p_is_greedy(options: dict[str, float]) -> None:
    model = make_model()
    greedy = model.generate("the", max_tokens=6, temperature=0)
    assert {model.generate("the", max_tokens=6, seed=seed, **options) for seed in range(5)} == {greedy}


def test_a_high_temperature_generates_many_different_tokens() -> None:
    model = make_model()
    assert len({model.generate("the", max_tokens=1, temperature=100, seed=seed) for seed in range(60)}) > 10


def test_a_prompt_that_is_not_unicode_raises_data_error() -> None:
    with pytest.raises(DataError):
        make_model().generate("a \udcff")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", -1),
        ("temperature", float("nan")),
        ("temperature", None),
        ("top_p", 0),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("max_tokens", True),
        ("seed", -1),
        ("seed", "a"),
    ],
)
def test_bad_sampling_options_raise_option_error(option: str, value: Any) -> None:
    with pytest.raises(OptionError) as raised:
        make_model().generate("the", **{option: value})
    assert (raised.value.code, raised.value.option) == ("bad-option-value", option)


def test_sampling_options_may_be_numpy_scalars() -> None:
    model = make_model()
    options = {"seed": np.int64(3), "max_tokens": np.int32(4), "temperature": np.float32(0.5)}
    assert model.generate("the", **options) == model.generate("the", seed=3, max_tokens=4, temperature=0.5)


@pytest.mark.parametrize(("prompt", "options"), [(5, {}), ("a", {"temperature": -1}), ("a", {"seed": 0.5})])
def test_stream_raises_errors_before_the_first_piece(prompt: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        make_model().stream(prompt, **options)


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_words_outside_a_reduced_vocabulary_are_unknown(direction: Direction) -> None:
    model = make_model(direction)
    reduced = model.reduce_vocabulary(9)

    assert reduced.saved.tokenizer.get_vocab() == {
        word: i for word, i in model.saved.tokenizer.get_vocab().items() if i < 9
    }
    perplexity = reduced.evaluate(TEXTS)
    assert perplexity.vocabulary_size == 9
    assert perplexity.unknown > model.evaluate(TEXTS).unknown
    (ids,) = encode(reduced, TEXTS[3:])
    assert ids.max() < 9
    directions = reduced.saved.config.directions
    expected = np.mean([reference_loss(reduced, name, ids) for name in directions]) / (len(ids) + 1)
    assert reduced.evaluate(TEXTS[3]).loss == pytest.approx(expected, rel=1e-5)


def test_a_reduced_vocabulary_drops_results_and_identity_of_the_run() -> None:
    saved = dataclasses.replace(
        make_model().saved, training={"epochs": 3, "results": {"perplexity": 9.0}, "identity": {"seed": 0}}
    )
    assert LanguageModel(saved).reduce_vocabulary(5).saved.training == {"epochs": 3}


@pytest.mark.parametrize("size", [2, 1000])
def test_a_vocabulary_size_out_of_range_raises_option_error(size: int) -> None:
    with pytest.raises(OptionError) as raised:
        make_model().reduce_vocabulary(size)
    error = raised.value
    assert (error.code, error.option, error.value) == ("bad-option-value", "vocabulary_size", size)


@pytest.mark.parametrize(("storage", "tolerance"), [("float32", 0), ("float16", 1e-2), ("int8", 0.3)])
def test_a_saved_model_loads_with_its_perplexity(tmp_path: Path, storage: str, tolerance: float) -> None:
    model = make_model(embedding_size=17)
    model.save(tmp_path / "model", storage=storage)

    loaded = load_language_model(tmp_path / "model")
    assert loaded.saved.config == model.saved.config
    assert loaded.saved.training["storage"] == storage
    assert loaded.evaluate(TEXTS).loss == pytest.approx(model.evaluate(TEXTS).loss, rel=tolerance)


def test_saving_over_a_model_needs_overwrite(tmp_path: Path) -> None:
    model = make_model()
    model.save(tmp_path / "model")
    with pytest.raises(InputError) as raised:
        model.save(tmp_path / "model")
    assert raised.value.code == "output-exists"
    model.save(tmp_path / "model", overwrite=True)
