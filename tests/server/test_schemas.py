"""Checks of request texts, and error bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastlstm.server.errors import APIError
from fastlstm.server.schemas import check_texts, parse_inputs
from fastlstm.server.settings import Settings

SETTINGS = Settings(models={"m": Path("m")}, max_texts=8, max_characters=500)


def test_texts_at_the_limits_are_accepted() -> None:
    texts = ["x" * 500] * 8
    assert check_texts(texts, SETTINGS, "inputs") == texts


@pytest.mark.parametrize(
    ("texts", "status", "code", "values"),
    [
        ([], 422, "empty-batch", {}),
        (["x"] * 9, 413, "too-many-texts", {"texts": 9, "maximum": 8}),
        (["", "x" * 501], 413, "text-too-long", {"position": 1, "characters": 501, "maximum": 500}),
    ],
)
def test_batches_outside_the_limits_are_rejected(
    texts: list[str], status: int, code: str, values: dict[str, Any]
) -> None:
    with pytest.raises(APIError) as raised:
        check_texts(texts, SETTINGS, "inputs")
    error = raised.value
    assert (error.status, error.code, error.values) == (status, code, values)
    assert error.body()["error_type"] == "validation"


def test_invalid_unicode_is_rejected() -> None:
    with pytest.raises(APIError) as raised:
        check_texts(["\ud800"], SETTINGS, "inputs")
    assert (raised.value.status, raised.value.code) == (422, "invalid-unicode")


def test_error_body_is_valid_unicode_even_if_the_message_is_not() -> None:
    error = APIError(422, "validation", "unknown model '\ud800'", code="unknown-model")
    assert error.body() == {"error": "unknown model '?'", "error_type": "validation", "code": "unknown-model"}


@pytest.mark.parametrize(
    ("inputs", "texts"),
    [
        ("a", ["a"]),
        ([], []),
        (["a", "b"], ["a", "b"]),
        ([["a"], ["b"]], ["a", "b"]),
        ([["a"], "b"], ["a", "b"]),
        ("", [""]),
    ],
)
def test_inputs_are_one_text_or_a_batch_of_texts(inputs: object, texts: list[str]) -> None:
    assert parse_inputs(inputs) == texts


@pytest.mark.parametrize(
    ("inputs", "code", "field"),
    [
        (None, "not-a-text", "inputs"),
        (5, "not-a-text", "inputs"),
        (True, "not-a-text", "inputs"),
        ({"text": "a"}, "not-a-text", "inputs"),
        (["a", 5.5], "not-a-text", "inputs[1]"),
        (["a", None], "not-a-text", "inputs[1]"),
        ([{"text": "a"}], "not-a-text", "inputs[0]"),
        ([[]], "not-a-text", "inputs[0]"),
        ([["a"], [None]], "not-a-text", "inputs[1][0]"),
        ([[["a"]]], "not-a-text", "inputs[0][0]"),
        ([["a", 1]], "not-a-text", "inputs[0]"),
        ([["a", "b", "c"]], "not-a-text", "inputs[0]"),
        ([["a"], ["a", "b"]], "text-pair", "inputs[1]"),
    ],
)
def test_other_inputs_are_rejected_with_their_field(inputs: object, code: str, field: str) -> None:
    with pytest.raises(APIError) as raised:
        parse_inputs(inputs)
    error = raised.value
    assert (error.status, error.error_type, error.code, error.field) == (422, "validation", code, field)
