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
from fastlstm.language_model import inference as language_model
from fastlstm.language_model import inference as recurrence
from fastlstm.language_model.inference import LanguageModel, Recurrence, load_language_model
from fastlstm.serialization import weights
from fastlstm.serialization.language_model import SavedLanguageModel
from fastlstm.text.detokenizer import detokenize
from fastlstm.text.tokenizer import BOUNDARY_ID, UNKNOWN_ID, train_tokenizer


@pytest.fixture(autouse=True, params=["kernel", "NumPy"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads the texts."""
    if request.param == "NumPy":
        monkeypatch.setattr(recurrence, "find_kernel", lambda: KernelInfo(None, "a test asks for NumPy", None))
    elif find_kernel().kernel is None:
        pytest.skip(f"no kernel: {find_kernel().why_not}")


TEXTS = ["The film was good.", "A story, and what a story!", "good", "It was not the end of it: it was the start."]


def make_model(
    direction: Direction = "forward",
    hidden_sizes: tuple[int, ...] = (7,),
    embedding_size: int = 5,
    scale: float = 0.8,
) -> LanguageModel:
    """A model with random weights."""
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


def torch_outputs(model: LanguageModel, direction: str, ids: np.ndarray) -> torch.Tensor:
    """The last layer's outputs for one text, by nn.LSTM in float64."""
    arrays = {name: torch.from_numpy(w).double() for name, w in model.model.weights.items()}
    rows = arrays["embedding.weight"][torch.from_numpy(ids).long()][:, None]
    for layer, size in enumerate(model.model.config.hidden_sizes):
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


def plain_loss(model: LanguageModel, direction: str, ids: np.ndarray) -> float:
    """The summed loss of one text, by its definition in float64."""
    turned = ids if direction == "forward" else ids[::-1]
    between = np.concatenate([[BOUNDARY_ID], turned, [BOUNDARY_ID]])
    outputs = torch_outputs(model, direction, between[:-1])
    if weights.has_projection(model.model.config):
        outputs = outputs @ torch.from_numpy(model.model.weights[f"projection.{direction}.weight"]).double().T
    scores = outputs @ torch.from_numpy(model.model.weights["embedding.weight"]).double().T
    scores += torch.from_numpy(model.model.weights["output.bias"]).double()
    expected = torch.from_numpy(between[1:]).long()
    return float(nn.functional.cross_entropy(scores, expected, reduction="sum"))


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
@pytest.mark.parametrize("hidden_sizes", [(7,), (7, 5), (5, 6, 4)])
def test_perplexity_is_that_of_its_definition(direction: Direction, hidden_sizes: tuple[int, ...]) -> None:
    model = make_model(direction, hidden_sizes)
    encoded = model._encode([*TEXTS, "unheard of", ""]).ids
    measured = model.perplexity(encoded)
    tokens = sum(len(ids) + 1 for ids in encoded)
    losses = [sum(plain_loss(model, d, ids) for ids in encoded) for d in model.model.config.directions]
    assert measured.tokens == tokens
    assert measured.loss == pytest.approx(np.mean(losses) / tokens, rel=1e-5)
    assert measured.perplexity == pytest.approx(np.exp(measured.loss))
    unknown = sum(int((ids == UNKNOWN_ID).sum()) for ids in encoded)
    assert measured.unknown == pytest.approx(unknown / tokens)
    assert unknown >= 2


def test_texts_are_measured_alike_alone_and_together() -> None:
    model = make_model()
    together = model.evaluate(TEXTS)
    alone = [model.evaluate([text]) for text in TEXTS]
    assert together.loss * together.tokens == pytest.approx(sum(one.loss * one.tokens for one in alone), rel=1e-5)


def test_no_texts_have_no_perplexity() -> None:
    with pytest.raises(DataError, match="no texts came"):
        make_model().evaluate([])


@pytest.mark.parametrize("hidden_sizes", [(5,), (7, 5)])
def test_word_vectors_of_the_states_size_need_no_projection(hidden_sizes: tuple[int, ...]) -> None:
    model = make_model(hidden_sizes=hidden_sizes)
    assert not any(name.startswith("projection") for name in model.model.weights)
    (ids,) = model._encode(TEXTS[:1]).ids
    assert model.evaluate(TEXTS[0]).loss * (len(ids) + 1) == pytest.approx(plain_loss(model, "forward", ids))


def test_more_tokens_than_are_scored_at_a_time_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    model, texts = make_model("both"), TEXTS * 5
    whole = model.evaluate(texts)
    monkeypatch.setattr(language_model, "SCORED_ROWS", 7)
    monkeypatch.setattr(language_model, "BATCH_TEXTS", 3)
    assert model.evaluate(texts).loss == pytest.approx(whole.loss, rel=1e-6)


def test_a_string_is_one_text() -> None:
    model = make_model()
    assert model.evaluate(TEXTS[0]) == model.evaluate([TEXTS[0]])
    assert model.evaluate(iter(TEXTS)) == model.evaluate(TEXTS)


@pytest.mark.parametrize("texts", [["a", 3], ["a \ud800"], b"a", 3])
def test_what_is_no_text_is_refused(texts: Any) -> None:
    with pytest.raises(DataError, match="expected"):
        make_model().evaluate(texts)


def test_the_worst_perplexity_is_still_a_number() -> None:
    model = make_model()
    model.model.weights["output.bias"][BOUNDARY_ID] = -1e6
    measured = model.evaluate([""])
    assert measured.loss > 1e5
    assert np.isfinite(measured.perplexity)
    assert json.loads(json.dumps(measured.to_json()))["texts"] == 1
    assert "1 text, 2 tokens: perplexity" in str(measured)


def test_reading_goes_on_from_given_states() -> None:
    model = make_model(hidden_sizes=(7, 5))
    read = Recurrence.of(model.model.weights, "forward", 2)
    inputs = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)
    whole, end = read(inputs, np.ones(9, np.int64))
    first, states = read(inputs[:4], np.ones(4, np.int64))
    rest, after = read(inputs[4:], np.ones(5, np.int64), states)
    np.testing.assert_allclose(np.concatenate([first, rest]), whole, rtol=1e-6, atol=1e-6)
    for (h, c), (expected_h, expected_c) in zip(after, end, strict=True):
        np.testing.assert_allclose(h, expected_h, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(c, expected_c, rtol=1e-6, atol=1e-6)


def test_the_likeliest_token_is_drawn_at_temperature_zero() -> None:
    model = make_model()
    drawn = list(itertools.islice(model.tokens("the film", max_tokens=6, temperature=0, top_p=1, seed=0), 6))
    ids = [BOUNDARY_ID, *model._encode(["the film"]).ids[0].tolist()]
    for token in drawn:
        outputs = torch_outputs(model, "forward", np.array(ids, np.int32))[-1]
        outputs = outputs @ torch.from_numpy(model.model.weights["projection.forward.weight"]).double().T
        scores = outputs @ torch.from_numpy(model.model.weights["embedding.weight"]).double().T
        scores += torch.from_numpy(model.model.weights["output.bias"]).double()
        scores[UNKNOWN_ID] = -torch.inf
        best = int(scores.argmax())
        assert model.model.tokenizer.id_to_token(best) == token
        ids.append(best)


def test_draws_follow_the_seed_alone() -> None:
    model = make_model()
    texts = [model.generate("the", max_tokens=12, seed=seed) for seed in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


def test_top_p_leaves_the_unlikely_out() -> None:
    model = make_model(scale=0.3)
    seen: dict[float, set[str]] = {0.05: set(), 1.0: set()}
    for top_p, seed in itertools.product(seen, range(60)):
        seen[top_p] |= set(model.tokens("the", max_tokens=1, temperature=1, top_p=top_p, seed=seed))
    assert len(seen[0.05]) <= 2 < len(seen[1.0])


def test_a_text_that_the_model_ends_is_short_and_unknown_words_are_never_written() -> None:
    model = make_model()
    bias = model.model.weights["output.bias"]
    bias[UNKNOWN_ID] = 60
    assert "[UNK]" not in model.generate("the", max_tokens=30, seed=0)
    bias[BOUNDARY_ID] = 50
    assert model.generate("the film", max_tokens=30) == "the film"


def test_a_backward_model_writes_what_comes_before() -> None:
    model = make_model("backward")
    text = model.generate("the end", max_tokens=5, seed=3)
    assert text.endswith("the end")
    drawn = list(model.tokens("the end", max_tokens=5, seed=3))
    assert text == detokenize([*reversed(drawn), "the", "end"])
    assert len(model.generate(max_tokens=5, seed=3)) > 0


def test_a_text_is_streamed_as_it_is_written() -> None:
    model = make_model()
    pieces = list(model.stream("The  film ", max_tokens=8, seed=1))
    assert len(pieces) > 2
    assert pieces[0] == "The  film"
    assert "".join(pieces) == model.generate("The  film ", max_tokens=8, seed=1)


def test_a_cold_model_writes_the_likeliest_and_a_hot_one_anything() -> None:
    model = make_model()
    likeliest = model.generate("the", max_tokens=6, temperature=0)
    assert {model.generate("the", max_tokens=6, temperature=1e-310, seed=seed) for seed in range(5)} == {likeliest}
    assert {model.generate("the", max_tokens=6, top_p=1e-6, seed=seed) for seed in range(5)} == {likeliest}
    assert len({model.generate("the", max_tokens=1, temperature=100, seed=seed) for seed in range(60)}) > 10


def test_a_prompt_that_is_no_text_is_refused() -> None:
    with pytest.raises(DataError, match="not valid Unicode"):
        make_model().generate("a \udcff")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature is -1"),
        ({"top_p": 0}, "top-p is 0"),
        ({"max_tokens": 0}, "max-tokens is 0"),
        ({"max_tokens": 1.5}, "max-tokens is 1.5; expected a whole number"),
        ({"temperature": float("nan")}, "temperature is nan; expected from 0 to 100"),
        ({"seed": -1}, "seed is -1; expected at least 0"),
        ({"seed": "a"}, "seed is 'a'; expected a whole number"),
        ({"max_tokens": True}, "max-tokens is True; expected a whole number"),
        ({"temperature": None}, "temperature is None; expected a number"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_model().generate("the", **options)


def test_numbers_may_be_numpys() -> None:
    model = make_model()
    options = {"seed": np.int64(3), "max_tokens": np.int32(4), "temperature": np.float32(0.5)}
    assert model.generate("the", **options) == model.generate("the", seed=3, max_tokens=4, temperature=0.5)


@pytest.mark.parametrize(("prompt", "options"), [(5, {}), ("a", {"temperature": -1}), ("a", {"seed": 0.5})])
def test_what_is_wrong_is_said_before_the_first_piece(prompt: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        make_model().stream(prompt, **options)


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_a_model_of_fewer_words_reads_the_others_as_unknown(direction: Direction) -> None:
    model = make_model(direction)
    shorter = model.of_vocabulary(9)

    assert shorter.model.tokenizer.get_vocab() == {
        word: i for word, i in model.model.tokenizer.get_vocab().items() if i < 9
    }
    measured = shorter.evaluate(TEXTS)
    assert measured.vocabulary_size == 9
    assert measured.unknown > model.evaluate(TEXTS).unknown
    ids = shorter.model.tokenizer.encode(TEXTS[3]).ids
    assert max(ids) < 9
    expected = sum(plain_loss(shorter, way, np.array(ids)) for way in shorter.model.config.directions)
    assert shorter.evaluate(TEXTS[3]).loss == pytest.approx(
        expected / len(shorter.model.config.directions) / (len(ids) + 1), rel=1e-5
    )


def test_figures_of_another_vocabulary_are_not_kept() -> None:
    model = make_model()
    with_figures = dataclasses.replace(
        model.model, training={"epochs": 3, "results": {"perplexity": 9.0}, "identity": {"seed": 0}}
    )
    assert LanguageModel(with_figures).of_vocabulary(5).model.training == {"epochs": 3}


@pytest.mark.parametrize("size", [2, 1000])
def test_a_vocabulary_can_only_be_cut(size: int) -> None:
    with pytest.raises(OptionError, match=f"vocabulary-size is {size}; expected from 3 to"):
        make_model().of_vocabulary(size)


@pytest.mark.parametrize(("storage", "tolerance"), [("float32", 0), ("float16", 1e-2), ("int8", 0.3)])
def test_a_saved_model_is_read_again(tmp_path: Path, storage: str, tolerance: float) -> None:
    model = make_model(embedding_size=17)
    model.save(tmp_path / "model", storage=storage)

    again = load_language_model(tmp_path / "model")
    assert again.model.config == model.model.config
    assert again.model.training["storage"] == storage
    assert again.evaluate(TEXTS).loss == pytest.approx(model.evaluate(TEXTS).loss, rel=tolerance)
    with pytest.raises(InputError, match="holds a model already"):
        model.save(tmp_path / "model")
    model.save(tmp_path / "model", overwrite=True)
