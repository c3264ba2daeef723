"""State dicts of PyTorch answer here what they answered there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastlstm.convert.classifier import make_classifier
from fastlstm.convert.pytorch import from_pytorch
from fastlstm.convert.vocabulary import TOKENIZATION_RULES, find_rule
from fastlstm.errors import DataError
from fastlstm.inference import Classifier

torch = pytest.importorskip("torch")
nn = torch.nn

WORDS = ["<unk>", "<pad>", "good", "bad", "film", "it", "!"]
TEXTS = ["good film !", "it", "bad bad bad film it", "never seen", "GOOD good!"]


class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
    """What tutorials write: one embedding, a stacked LSTM, one linear layer."""

    def __init__(
        self, *, layers: int = 2, bidirectional: bool = True, classes: int = 1, maximum: bool = False
    ) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.maximum = maximum
        self.emb = nn.Embedding(len(WORDS), 5)
        self.rnn = nn.LSTM(5, 3, num_layers=layers, bidirectional=bidirectional, batch_first=True)
        self.fc = nn.Linear(6 if bidirectional else 3, classes)

    def forward(self, ids: Any) -> Any:
        outputs, (h, _) = self.rnn(self.emb(ids))
        if self.maximum:
            return self.fc(outputs.amax(1))
        last = torch.cat([h[-2], h[-1]], 1) if self.rnn.bidirectional else h[-1]
        return self.fc(last)


def logits(net: Any, text: str) -> Any:
    cut = text.lower().replace("!", " !").split()
    ids = [WORDS.index(word) if word in WORDS else 0 for word in cut]
    with torch.no_grad():
        return net(torch.tensor([ids]))[0]


def imported(path: Path, pooling: str = "last") -> Classifier:
    return Classifier(
        make_classifier(
            from_pytorch(path, pooling), find_rule(WORDS), TOKENIZATION_RULES["fastlstm"], padding="none"
        )
    )


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_one_logit(tmp_path: Path, layers: int, bidirectional: bool) -> None:
    net = Net(layers=layers, bidirectional=bidirectional)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    here = imported(tmp_path / "net.pt").predict_proba(TEXTS)[:, 1]
    there = [float(torch.sigmoid(logits(net, text))) for text in TEXTS]
    np.testing.assert_allclose(here, there, atol=1e-6)


def test_several_classes_from_safetensors_and_the_highest_outputs(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    net = Net(classes=3, maximum=True)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    here = imported(tmp_path / "net.safetensors", "max").predict_proba(TEXTS)
    there = np.array([torch.softmax(logits(net, text), 0).numpy() for text in TEXTS])
    np.testing.assert_allclose(here, there, atol=1e-6)


def test_a_checkpoint_s_state_dict_is_found_and_it_streams(tmp_path: Path) -> None:
    net = Net(bidirectional=False)
    torch.save({"epoch": 3, "model_state_dict": net.state_dict()}, tmp_path / "net.pt")
    here = imported(tmp_path / "net.pt")
    stream = here.stream().feed("good fi").feed("lm !").end()
    np.testing.assert_array_equal(stream.probabilities, here.predict_proba("good film !"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda state: {k: v for k, v in state.items() if not k.startswith("rnn")}, "has no LSTM among"),
        (lambda state: {**state, "extra.weight": torch.zeros(2, 2)}, "besides LSTMs there are"),
        (lambda state: {k: v for k, v in state.items() if k != "rnn.weight_hh_l0"}, "no weight_hh"),
        (lambda state: {**state, "rnn.weight_hr_l0": torch.zeros(2, 3)}, "projections"),
        (lambda state: {**state, "emb.weight": torch.zeros(7, 4)}, "has 4 columns, and the first LSTM reads 5"),
        (lambda state: {**state, "fc.weight": torch.zeros(1, 3)}, "reads 3 features, and pooling 'last' gives 6"),
        (lambda state: [*state], "holds a list"),
        (lambda state: {**state, "fc.bias": torch.zeros(())}, "fc.bias is float32 .*expected a vector"),
        (lambda state: {**state, "emb.weight": torch.zeros(7, 5, dtype=torch.complex64)}, "plain floating-point"),
        (lambda state: {**state, "rnn.bias_hh_l1": torch.zeros(9)}, "expected 4 each"),
        (lambda _: {**torch.nn.GRU(5, 3).state_dict()}, "a GRU has 3"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, change: Any, why: str) -> None:
    torch.save(change(Net().state_dict()), tmp_path / "net.pt")
    with pytest.raises(DataError, match=why):
        from_pytorch(tmp_path / "net.pt", "last")


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_files_that_are_none_and_files_with_code_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no tensors at all")
    with pytest.raises(DataError):
        from_pytorch(tmp_path / name, "last")
    torch.save(Net(), tmp_path / "whole.pt")  # a pickled module would run code
    with pytest.raises(DataError, match="save it with"):
        from_pytorch(tmp_path / "whole.pt", "last")


def test_two_lstms_are_read_in_the_module_s_order_which_safetensors_forgets(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(1)
    parts = torch.nn.ModuleDict(
        {"emb": torch.nn.Embedding(len(WORDS), 5), "words": torch.nn.LSTM(5, 4), "context": torch.nn.LSTM(4, 3),
         "fc": torch.nn.Linear(3, 1)}
    )  # fmt: skip
    torch.save(parts.state_dict(), tmp_path / "net.pt")
    ids = torch.tensor([WORDS.index("good"), WORDS.index("film")])
    with torch.no_grad():
        outputs, _ = parts["words"](parts["emb"](ids))
        there = float(torch.sigmoid(parts["fc"](parts["context"](outputs)[0][-1])))
    assert imported(tmp_path / "net.pt").predict_proba("good film")[1] == pytest.approx(there, abs=1e-6)
    save_file(parts.state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(DataError, match="does not keep their order"):
        from_pytorch(tmp_path / "net.safetensors", "last")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    net = Net()
    net.fc.bias.data.fill_(float("nan"))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    with pytest.raises(DataError, match="not finite"):
        imported(tmp_path / "net.pt")
