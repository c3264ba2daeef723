import itertools

import numpy as np
import pytest
import torch
from torch import nn

from fastlstm import weights
from fastlstm.config import Direction, LanguageModelConfig
from fastlstm.errors import DataError, OptionError
from fastlstm.inference.language_model import LanguageModel, detokenized
from fastlstm.inference.recurrence import Recurrence
from fastlstm.saved_language_model import SavedLanguageModel
from fastlstm.tokens import BOUNDARY_ID, UNKNOWN_ID, train_tokenizer

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


def test_reading_goes_on_from_given_states() -> None:
    model = make_model(hidden_sizes=(7, 5))
    recurrence = Recurrence.of(model.model.weights, "forward", 2)
    inputs = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)
    whole, end = recurrence(inputs, np.ones(9, np.int64))
    first, states = recurrence(inputs[:4], np.ones(4, np.int64))
    rest, after = recurrence(inputs[4:], np.ones(5, np.int64), states)
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
    assert make_model("backward").generate("the end", max_tokens=5, seed=3).endswith("the end")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature is -1"),
        ({"top_p": 0}, "top-p is 0"),
        ({"max_tokens": 0}, "max-tokens is 0"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_model().generate("the", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("i don ' t know .", "i don't know."),
        ("well , it ' s fine !", "well, it's fine!"),
        ("( a film ) and more", "(a film) and more"),
        ("half - hearted", "half-hearted"),
        ("wait ... what ?", "wait... what?"),
        ('he said " no " .', 'he said "no".'),
        ('" yes " , he said', '"yes", he said'),
        ("10 / 10", "10/10"),
        ("", ""),
    ],
)
def test_tokens_are_joined_as_english_is_written(tokens: str, text: str) -> None:
    assert detokenized(tokens.split()) == text
