"""Imported PyTorch state dicts, compared with the original modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastlstm.convert.classifier import make_classifier
from fastlstm.convert.pytorch import from_pytorch
from fastlstm.convert.tokenization import TOKENIZATION_RULES
from fastlstm.convert.vocabulary import make_vocabulary
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier

torch = pytest.importorskip("torch")
nn = torch.nn

WORDS = ["<unk>", "<pad>", "good", "bad", "film", "it", "!"]
TEXTS = ["good film !", "it", "bad bad bad film it", "never seen", "GOOD good!"]


class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A typical tutorial model: embedding, stacked LSTM, linear layer."""

    def __init__(
        self, *, layers: int = 2, bidirectional: bool = True, classes: int = 1, max_pooling: bool = False
    ) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.max_pooling, self.last_step = max_pooling, False
        self.emb = nn.Embedding(len(WORDS), 5)
        self.rnn = nn.LSTM(5, 3, num_layers=layers, bidirectional=bidirectional, batch_first=True)
        self.fc = nn.Linear(6 if bidirectional else 3, classes)

    def forward(self, ids: Any) -> Any:
        outputs, (h, _) = self.rnn(self.emb(ids))
        if self.max_pooling:
            return self.fc(outputs.amax(1))
        if self.last_step:
            return self.fc(outputs[:, -1])
        last = torch.cat([h[-2], h[-1]], 1) if self.rnn.bidirectional else h[-1]
        return self.fc(last)


def original_logits(net: Any, text: str) -> Any:
    tokens = text.lower().replace("!", " !").split()
    ids = [WORDS.index(token) if token in WORDS else 0 for token in tokens]
    with torch.no_grad():
        return net(torch.tensor([ids]))[0]


def import_classifier(path: Path, pooling: str = "last") -> Classifier:
    rule = TOKENIZATION_RULES["fastlstm"]
    return Classifier(make_classifier(from_pytorch(path, pooling), make_vocabulary(WORDS), rule, padding="none"))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_model_with_one_logit_matches_the_original(tmp_path: Path, layers: int, bidirectional: bool) -> None:
    net = Net(layers=layers, bidirectional=bidirectional)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    imported = import_classifier(tmp_path / "net.pt").predict_proba(TEXTS)[:, 1]
    original = [float(torch.sigmoid(original_logits(net, text))) for text in TEXTS]
    np.testing.assert_allclose(imported, original, atol=1e-6)


def test_safetensors_model_with_several_classes_and_max_pooling_matches_the_original(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    net = Net(classes=3, max_pooling=True)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    imported = import_classifier(tmp_path / "net.safetensors", "max").predict_proba(TEXTS)
    original = np.array([torch.softmax(original_logits(net, text), 0).numpy() for text in TEXTS])
    np.testing.assert_allclose(imported, original, atol=1e-6)


def test_state_dict_inside_a_checkpoint_is_found_and_its_model_streams(tmp_path: Path) -> None:
    net = Net(bidirectional=False)
    torch.save({"epoch": 3, "model_state_dict": net.state_dict()}, tmp_path / "net.pt")
    classifier = import_classifier(tmp_path / "net.pt")
    stream = classifier.stream().feed("good fi").feed("lm !").end()
    np.testing.assert_array_equal(stream.probabilities, classifier.predict_proba("good film !"))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": {"weights": {"net": state}}, "optimizer": {"step": torch.tensor(3.0)}},
        lambda state: {"hyper_parameters": {}, "state_dict": {f"module.{name}": w for name, w in state.items()}},
        lambda state: {f"_orig_mod.{name}": w for name, w in state.items()},
        lambda state: {"steps": torch.tensor(3), **state, "emb.positions": torch.arange(9)},
    ],
)
def test_state_dict_is_found_under_any_key_and_integers_are_ignored(tmp_path: Path, wrap: Any) -> None:
    net = Net()
    torch.save(wrap(net.state_dict()), tmp_path / "net.ckpt")
    imported = import_classifier(tmp_path / "net.ckpt").predict_proba(TEXTS)[:, 1]
    original = [float(torch.sigmoid(original_logits(net, text))) for text in TEXTS]
    np.testing.assert_allclose(imported, original, atol=1e-6)


def test_one_of_several_state_dicts_must_be_chosen(tmp_path: Path) -> None:
    states = {"model": Net().state_dict(), "ema": {"net": Net(classes=3).state_dict()}}
    torch.save(states, tmp_path / "net.pt")
    with pytest.raises(DataError) as raised:
        from_pytorch(tmp_path / "net.pt", "last")
    assert (raised.value.code, raised.value.keys) == ("ambiguous-state-dict", ["model", "ema.net"])
    assert len(from_pytorch(tmp_path / "net.pt", "last", state_dict="ema.net").output[1]) == 3
    with pytest.raises(DataError) as raised:
        from_pytorch(tmp_path / "net.pt", "last", state_dict="emma")
    assert raised.value.code == "unknown-state-dict"


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_outputs_of_the_last_step_are_a_pooling(tmp_path: Path, layers: int, bidirectional: bool) -> None:
    net = Net(layers=layers, bidirectional=bidirectional)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    imported = import_classifier(tmp_path / "net.pt", "last-step").predict_proba(TEXTS)[:, 1]
    net.last_step = True
    original = [float(torch.sigmoid(original_logits(net, text))) for text in TEXTS]
    np.testing.assert_allclose(imported, original, atol=1e-6)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_several_linear_layers_need_their_activation(tmp_path: Path, suffix: str) -> None:
    from safetensors.torch import save_file

    net = Net(classes=4)
    net.z_first, net.out = net.fc, nn.Linear(4, 3)
    del net.fc
    net.fc = lambda features: net.out(torch.relu(net.z_first(features)))
    path = tmp_path / f"net.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(net.state_dict(), path)
    with pytest.raises(OptionError) as raised:
        from_pytorch(path, "last")
    assert (raised.value.code, raised.value.layers) == ("missing-activation", 2)
    imported = from_pytorch(path, "last", activation="relu")
    model = make_classifier(imported, make_vocabulary(WORDS), TOKENIZATION_RULES["fastlstm"], padding="none")
    original = np.array([torch.softmax(original_logits(net, text), 0).numpy() for text in TEXTS])
    np.testing.assert_allclose(Classifier(model).predict_proba(TEXTS), original, atol=1e-6)


def test_linear_layers_of_equal_shape_in_safetensors_raise_data_error(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    net = Net(classes=6)
    net.second, net.out = nn.Linear(6, 6), nn.Linear(6, 1)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(DataError) as raised:
        from_pytorch(tmp_path / "net.safetensors", "last", activation="relu")
    assert raised.value.code == "unordered-layers"


@pytest.mark.parametrize(
    ("change", "code", "values"),
    [
        (
            lambda state: {name: array for name, array in state.items() if not name.startswith("rnn")},
            "unsupported-layers",
            {"names": ["emb.weight", "fc.weight", "fc.bias"]},
        ),
        (
            lambda state: {**state, "extra.weight": torch.zeros(2, 2)},
            "unsupported-layers",
            {"names": ["emb.weight", "fc.weight", "fc.bias", "extra.weight"]},
        ),
        (
            lambda state: {name: array for name, array in state.items() if name != "rnn.weight_hh_l0"},
            "missing-weights",
            {"name": "weight_hh"},
        ),
        (lambda state: {**state, "rnn.weight_hr_l0": torch.zeros(2, 3)}, "unsupported-layers", {}),
        (
            lambda state: {**state, "emb.weight": torch.zeros(7, 4)},
            "shape-mismatch",
            {"name": "emb.weight", "expected": 5},
        ),
        (
            lambda state: {**state, "fc.weight": torch.zeros(1, 3)},
            "pooling-mismatch",
            {"name": "fc.weight", "pooling": "last", "expected": 6},
        ),
        (lambda state: [*state], "not-a-state-dict", {}),
        (lambda state: {**state, "fc.bias": torch.zeros(())}, "bad-weights", {"name": "fc.bias"}),
        (
            lambda state: {**state, "emb.weight": torch.zeros(7, 5, dtype=torch.complex64)},
            "bad-weights",
            {"name": "emb.weight"},
        ),
        (lambda state: {**state, "rnn.bias_hh_l1": torch.zeros(9)}, "shape-mismatch", {"expected": 12}),
        (lambda _: {**torch.nn.GRU(5, 3).state_dict()}, "shape-mismatch", {"name": "weight_hh", "expected": 12}),
    ],
)
def test_unsupported_state_dicts_raise_data_error(
    tmp_path: Path, change: Any, code: str, values: dict[str, object]
) -> None:
    torch.save(change(Net().state_dict()), tmp_path / "net.pt")
    with pytest.raises(DataError) as raised:
        from_pytorch(tmp_path / "net.pt", "last")
    assert raised.value.code == code
    assert {name: raised.value.values[name] for name in values} == values


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_damaged_files_raise_data_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no tensors at all")
    with pytest.raises(DataError) as raised:
        from_pytorch(tmp_path / name, "last")
    assert (raised.value.code, raised.value.path) == ("not-a-state-dict", tmp_path / name)


def test_pickled_module_which_would_run_code_raises_data_error(tmp_path: Path) -> None:
    torch.save(Net(), tmp_path / "whole.pt")
    with pytest.raises(DataError) as raised:
        from_pytorch(tmp_path / "whole.pt", "last")
    assert raised.value.code == "not-a-state-dict"


@pytest.fixture
def two_lstms() -> Any:
    """A module with two LSTM modules, the second of which reads the first."""
    torch.manual_seed(1)
    return torch.nn.ModuleDict(
        {
            "emb": torch.nn.Embedding(len(WORDS), 5),
            "words": torch.nn.LSTM(5, 4),
            "context": torch.nn.LSTM(4, 3),
            "fc": torch.nn.Linear(3, 1),
        }
    )


def test_two_lstm_modules_are_stacked_in_the_order_of_the_state_dict(tmp_path: Path, two_lstms: Any) -> None:
    torch.save(two_lstms.state_dict(), tmp_path / "net.pt")
    ids = torch.tensor([WORDS.index("good"), WORDS.index("film")])
    with torch.no_grad():
        outputs, _ = two_lstms["words"](two_lstms["emb"](ids))
        original = float(torch.sigmoid(two_lstms["fc"](two_lstms["context"](outputs)[0][-1])))
    imported = import_classifier(tmp_path / "net.pt").predict_proba("good film")[1]
    assert imported == pytest.approx(original, abs=1e-6)


def test_two_lstm_modules_in_safetensors_which_has_no_order_raise_data_error(
    tmp_path: Path, two_lstms: Any
) -> None:
    from safetensors.torch import save_file

    save_file(two_lstms.state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(DataError) as raised:
        from_pytorch(tmp_path / "net.safetensors", "last")
    assert raised.value.code == "unordered-layers"
    assert sorted(raised.value.modules) == ["context.", "words."]


def test_non_finite_weights_raise_data_error(tmp_path: Path) -> None:
    net = Net()
    net.fc.bias.data.fill_(float("nan"))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    with pytest.raises(DataError) as raised:
        import_classifier(tmp_path / "net.pt")
    assert (raised.value.code, raised.value.name) == ("non-finite-weights", "output.bias")
