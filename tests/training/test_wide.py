import numpy as np
import pytest

from fastlstm.text.ngrams import extract_ngrams
from fastlstm.training.linear import fit_wide, ngram_matrix

GOOD, BAD, NOT, FILLER = 2, 3, 4, range(5, 40)


def labelled(count: int, classes: int = 2) -> tuple[list[np.ndarray], np.ndarray]:
    """Texts of filler words with one word that tells the class."""
    generator = np.random.default_rng(0)
    truth = np.arange(count) % classes
    texts = []
    for k in truth:
        words = generator.integers(FILLER.start, FILLER.stop, int(generator.integers(3, 12))).astype(np.int32)
        words[generator.integers(len(words))] = GOOD + k
        texts.append(words)
    return texts, truth.astype(np.int64)


def test_evidence_tells_the_classes_apart() -> None:
    texts, truth = labelled(200)
    wide = fit_wide(texts[:150], truth[:150], 1, 100, "pairs")
    assert wide.weight.shape == (len(wide.ngram_ids), 1)
    evidence = wide.logits(texts[150:])
    assert ((evidence[:, 0] > 0) == (truth[150:] == 1)).mean() > 0.95


def test_every_class_has_its_column() -> None:
    texts, truth = labelled(240, classes=3)
    wide = fit_wide(texts[:180], truth[:180], 3, 100, "pairs")
    assert wide.weight.shape == (len(wide.ngram_ids), 3)
    assert wide.bias.shape == (3,)
    assert (wide.logits(texts[180:]).argmax(axis=1) == truth[180:]).mean() > 0.95


def test_the_strongest_ngrams_are_kept_in_rising_order() -> None:
    texts, truth = labelled(200)
    wide = fit_wide(texts, truth, 1, 7, "pairs")
    assert len(wide.ngram_ids) == 7
    assert (np.diff(wide.ngram_ids) > 0).all()
    telling = {int(n) for word in (GOOD, BAD) for n in extract_ngrams([np.array([word], np.int32)]).ids}
    assert telling <= set(wide.ngram_ids.tolist())
    everything = fit_wide(texts, truth, 1, 10**6, "pairs")
    assert len(everything.ngram_ids) == len(np.unique(extract_ngrams(texts).ids))


def test_of_many_texts_an_ngram_of_one_alone_is_left_out() -> None:
    texts, truth = labelled(1000)
    texts[0] = np.array([GOOD, 39, 38, 37, 36], np.int32)
    seen = np.bincount(extract_ngrams(texts).ids)
    wide = fit_wide(texts, truth, 1, 10**6, "pairs")
    assert set(wide.ngram_ids.tolist()) == set(np.flatnonzero(seen >= 2).tolist())


def test_learning_twice_gives_the_same_bits() -> None:
    texts, truth = labelled(100)
    one, other = (fit_wide(texts, truth, 1, 50, "pairs") for _ in range(2))
    np.testing.assert_array_equal(one.ngram_ids, other.ngram_ids)
    np.testing.assert_array_equal(one.weight, other.weight)


@pytest.mark.parametrize("kept", [0, 5])
def test_a_matrix_says_which_text_holds_which_ngram(kept: int) -> None:
    texts, _ = labelled(9)
    found = extract_ngrams(texts)
    columns = np.unique(found.ids)[:kept].astype(np.int32)
    dense = ngram_matrix(found, columns).toarray()
    assert dense.shape == (9, kept)
    for i in range(9):
        own = set(found.ids[found.starts[i] : found.starts[i + 1]].tolist())
        assert dense[i].tolist() == [float(n in own) for n in columns.tolist()]


def test_rare_classes_may_count_more() -> None:
    texts, _ = labelled(300)
    truth = (np.arange(300) % 10 == 0).astype(np.int64)
    plain, balanced = (fit_wide(texts, truth, 1, 10**6, "pairs", balanced=of).bias for of in (False, True))
    assert plain[0] < balanced[0]
