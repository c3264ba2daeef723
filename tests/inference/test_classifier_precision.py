"""Classifiers that compute in lower precision than float32."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.random_texts import random_texts

import fastlstm
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.kernel import KernelInfo, find_kernel
from fastlstm.kernel.abi import load_library
from fastlstm.kernel.bindings import Kernel


@pytest.fixture(params=["bfloat16", "int8"])
def precision(request: pytest.FixtureRequest) -> str:
    kernel = find_kernel().kernel
    if kernel is None or not kernel.supports(request.param):
        pytest.skip(f"{request.param} is not supported on this machine")
    return str(request.param)


def test_lower_precision_is_close_and_does_not_depend_on_the_batch(
    three_classes: Classifier, precision: str, tmp_path: Path
) -> None:
    three_classes.save(tmp_path / "model")
    texts = random_texts(50)
    rounded = fastlstm.load(tmp_path / "model", precision=precision)
    probabilities = rounded.predict_proba(texts)
    np.testing.assert_allclose(probabilities, three_classes.predict_proba(texts), atol=0.05)
    assert not np.array_equal(probabilities, three_classes.predict_proba(texts))
    for text, row in zip(texts, probabilities, strict=True):
        assert np.array_equal(rounded.predict_proba(text), row)
    copy = pickle.loads(pickle.dumps(rounded))
    assert np.array_equal(copy.predict_proba(texts), probabilities)


def test_explanations_are_computed_in_float32(three_classes: Classifier, precision: str) -> None:
    rounded = Classifier(three_classes.saved, precision)
    expected = three_classes.explain("not bad").to_dict()
    assert rounded.explain("not bad").to_dict() == expected


def test_an_unknown_precision_raises_option_error(three_classes: Classifier) -> None:
    with pytest.raises(OptionError) as raised:
        Classifier(three_classes.saved, "int9")
    assert (raised.value.code, raised.value.option, raised.value.value) == ("bad-option-value", "precision", "int9")
    assert "'int8'" in str(raised.value)


@pytest.mark.parametrize("isa", [None, "v2"])
def test_a_precision_that_the_machine_lacks_raises_option_error(
    three_classes: Classifier, isa: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = find_kernel()
    if isa is not None and (info.path is None or info.kernel is None or info.kernel.isa == "neon"):
        pytest.skip("no kernel for x86-64")
    kernel = None if isa is None or info.path is None else Kernel(load_library(info.path), isa)
    monkeypatch.setattr("fastlstm.inference.network.find_kernel", lambda: KernelInfo(kernel, "", None))
    with pytest.raises(OptionError) as raised:
        Classifier(three_classes.saved, "int8")
    assert raised.value.code == "unsupported-precision"
    assert (raised.value.precision, raised.value.isa) == ("int8", isa)
    assert raised.value.supported == ("float32",)
