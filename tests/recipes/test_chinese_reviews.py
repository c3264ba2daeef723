"""Chinese reviews: repetitions, contradictions, and held-out parts that nothing else contains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.helpers.recipes import load_recipe


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """recipes/chinese_reviews.py"""
    return load_recipe("chinese_reviews", monkeypatch)


def reviews(recipe: Any, count: int) -> list[Any]:
    return [recipe.Review(f"review number {k}", "positive", "books" if k % 2 else "hotels") for k in range(count)]


def test_repetitions_and_contradictions_are_removed(recipe: Any, tmp_path: Path) -> None:
    rows = [
        ("很好!", "positive"),
        ("很好。", "positive"),
        ("一般", "positive"),
        ("一般!", "negative"),
        ("...", "negative"),
    ]
    columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows], "category": ["书籍"] * 5}
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    assert recipe.load_reviews(tmp_path) == [recipe.Review("很好!", "positive", "书籍")]


def test_key_has_letters_and_digits_only(recipe: Any) -> None:
    assert recipe.key("The 4G 手机,很_好!") == "the4g手机很好"


def test_parts_of_each_category_are_disjoint_and_complete(recipe: Any) -> None:
    everything = reviews(recipe, 200)
    parts = [recipe.split(everything, part)[1] for part in range(recipe.PARTS)]
    assert [sum(review.category == "books" for review in part) for part in parts] == [10] * recipe.PARTS
    assert {review.text for part in parts for review in part} == {review.text for review in everything}
    training, test = recipe.split(everything)
    assert len(training) == 180
    assert not {review.text for review in training} & {review.text for review in test}


def test_split_does_not_depend_on_the_order(recipe: Any) -> None:
    everything = reviews(recipe, 60)
    assert set(recipe.split(everything)[1]) == set(recipe.split(everything[::-1])[1])


def test_sentences_of_held_out_texts_are_removed(recipe: Any, tmp_path: Path) -> None:
    (tmp_path / "neg.txt").write_text("房间又小又脏,再也不会来住这家酒店了\n太差\n", encoding="utf-8")
    (tmp_path / "pos.txt").write_text("服务非常热情,早餐也很丰富,下次还来\n", encoding="utf-8")
    held_out = [recipe.Review("上个月住的。房间又小又脏,再也不会来住这家酒店了!", "negative", "酒店")]
    labels = {sentence.text: sentence.label for sentence in recipe.load_sentences(tmp_path, held_out)}
    assert labels == {"太差": "negative", "服务非常热情,早餐也很丰富,下次还来": "positive"}


def test_unique_keeps_the_first_text(recipe: Any) -> None:
    assert recipe.unique([recipe.Review("好!", "positive", "a"), recipe.Review("好", "positive", "b")]) == [
        recipe.Review("好!", "positive", "a")
    ]
