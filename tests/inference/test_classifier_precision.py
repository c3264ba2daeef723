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


@pytest.fixture
def fastest(precision: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let "auto" choose `precision`."""
    monkeypatch.setattr("fastlstm.inference.network.fastest_precision", lambda *_: precision)
    return precision


def test_auto_is_the_fastest_precision(three_classes: Classifier, fastest: str, tmp_path: Path) -> None:
    three_classes.save(tmp_path / "model")
    classifier, texts = fastlstm.load(tmp_path / "model", precision="auto"), random_texts(5)
    explicit = Classifier(three_classes.saved, fastest)
    assert classifier.network.precision == fastest
    assert np.array_equal(classifier.predict_proba(texts), explicit.predict_proba(texts))
    assert classifier.network.fingerprint == explicit.network.fingerprint


def test_auto_is_float32_without_a_kernel(three_classes: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.inference.network.find_kernel", lambda: KernelInfo(None, "not built", None))
    assert Classifier(three_classes.saved, "auto").network.precision == "float32"


def test_float32_is_the_default_and_is_never_measured(
    three_classes: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastlstm.inference.network.fastest_precision", None)
    assert Classifier(three_classes.saved).network.precision == "float32"


def test_a_pickled_classifier_keeps_what_auto_chose(
    three_classes: Classifier, fastest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pickle.dumps(Classifier(three_classes.saved, "auto"))
    monkeypatch.setattr("fastlstm.inference.network.fastest_precision", lambda *_: "float32")
    assert pickle.loads(content).network.precision == fastest


def test_a_pickled_classifier_chooses_again_where_the_precision_is_not_supported(
    three_classes: Classifier, fastest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = pickle.dumps(Classifier(three_classes.saved, "auto"))
    explicit = pickle.dumps(Classifier(three_classes.saved, fastest))
    for module in ("network", "classifier"):
        monkeypatch.setattr(f"fastlstm.inference.{module}.supported_precisions", lambda _: ("float32",))
    monkeypatch.setattr("fastlstm.inference.network.fastest_precision", lambda *_: "float32")
    copy = pickle.loads(pickle.dumps(pickle.loads(chosen)))
    assert copy.network.precision == "float32"
    with pytest.raises(OptionError) as raised:
        pickle.loads(explicit)
    assert raised.value.code == "unsupported-precision"
