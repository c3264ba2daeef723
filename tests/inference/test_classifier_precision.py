"""Classifiers that read in less than float32."""

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
    if kernel is None or not kernel.has(request.param):
        pytest.skip(f"this machine has no {request.param}")
    return str(request.param)


def test_rounded_products_are_near_and_do_not_depend_on_the_batch(
    three_classes: Classifier, precision: str, tmp_path: Path
) -> None:
    three_classes.save(tmp_path / "model")
    texts = random_texts(50)
    rounded = fastlstm.load(tmp_path / "model", precision=precision)
    together = rounded.predict_proba(texts)
    np.testing.assert_allclose(together, three_classes.predict_proba(texts), atol=0.05)
    assert not np.array_equal(together, three_classes.predict_proba(texts))
    for text, row in zip(texts, together, strict=True):
        assert np.array_equal(rounded.predict_proba(text), row)
    again = pickle.loads(pickle.dumps(rounded))
    assert np.array_equal(again.predict_proba(texts), together)


def test_an_unknown_precision_is_refused(three_classes: Classifier) -> None:
    with pytest.raises(OptionError, match=r"unknown precision 'int9'; did you mean 'int8'\? known: "):
        Classifier(three_classes.model, "int9")


@pytest.mark.parametrize(("isa", "why"), [(None, "no compiled kernel"), ("v2", "the kernel runs v2")])
def test_a_precision_that_the_machine_lacks_is_refused(
    three_classes: Classifier, isa: str | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = find_kernel()
    if isa is not None and (there.path is None or there.kernel is None or there.kernel.isa == "neon"):
        pytest.skip("no kernel for x86-64 here")
    kernel = None if isa is None or there.path is None else Kernel(load_library(there.path), isa)
    monkeypatch.setattr("fastlstm.inference.network.find_kernel", lambda: KernelInfo(kernel, "", None))
    with pytest.raises(OptionError, match=rf"^int8 was asked .* AVX512-VNNI; .*{why}.*; it has float32$"):
        Classifier(three_classes.model, "int8")
