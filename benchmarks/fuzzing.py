"""Requests, WebSocket frames, model folders and files to import with something wrong about them.

    python benchmarks/fuzzing.py [bodies] [frames] [folders] [imports] [schema]

Bodies and frames go to a real server, folders are read in processes of their own. Counted as failures: a 5xx, an
answer that takes longer than ten seconds, a connection that breaks without an answer, a process that ends, an error
that is none of fastlstm's own. `schema` has schemathesis, installed apart and on the PATH, make requests from the
OpenAPI document. `imports` must be named: HDF5's own reader does not come to an end on some damaged files.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import machine
import mutations
from fastlstm import load
from fastlstm.errors import FastLSTMError
from fastlstm.pretrained import DEFAULT_CLASSIFIER
from fastlstm.serialization.folder import sha256
from serving import until_it_answers

PORT = 8126
SECONDS = 10
"""That an answer may take."""
CLIENTS, PARTS = 4, 64
TEXT = "This movie was fantastic! I really enjoyed it."
VALID: list[tuple[str, dict[str, Any]]] = [
    ("/predict", {"inputs": TEXT, "truncate": True, "raw_scores": False, "model": "english-sentiment"}),
    ("/predict", {"inputs": [TEXT, "", "很好看的电影"]}),
    ("/explain", {"text": "Not bad at all.", "label": "positive", "method": "gradients", "gates": 3}),
    (
        "/v2/models/english-sentiment/infer",
        {
            "id": "a",
            "inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": [TEXT, "dull"]}],
            "outputs": [{"name": "label"}],
        },
    ),
]
FRAMES: list[dict[str, Any]] = [
    {"text": "This movie was fan"}, {"text": "tastic! I really", "state": True}, {"end": True}, {"restore": "AAAA"},
]  # fmt: skip
EXPECTED = {200, 400, 401, 404, 405, 408, 413, 415, 422, 429}


def main() -> None:
    """Feeds, counts, prints and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"bodies": bodies, "frames": frames, "folders": folders, "imports": imports, "schema": schema}
    parser.add_argument("parts", nargs="*", choices=[[], *parts], metavar="part",
        default=[name for name in parts if name != "imports"],
    )  # fmt: skip
    parser.add_argument("--cases", type=int, default=100_000, help="of each")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    path = machine.RESULTS / "fuzzing.json"
    found = json.loads(path.read_text(encoding="utf-8"))["parts"] if path.exists() else {}
    for part in arguments.parts:
        started = time.perf_counter()
        result = parts[part](arguments.cases, arguments.seed)
        found[part] = {**result, "seed": arguments.seed, "seconds": round(time.perf_counter() - started)}
        print(part, json.dumps(found[part]))
    packages = ["fastlstm", "fastapi", "uvicorn", "websockets", "tokenizers", "safetensors"]
    print(machine.save("fuzzing", machine.describe(packages), {"parts": found}))


@contextmanager
def served() -> Iterator[subprocess.Popen[bytes]]:
    """A server of the bundled model. Raises where it does not end as a stopped one does."""
    command = [sys.executable, "-m", "fastlstm", "serve", "--port", str(PORT), "--body-seconds", "2"]
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stderr=log) as process:
        try:
            until_it_answers(PORT)
            yield process
            assert process.poll() is None, "the server has ended"
        finally:
            process.terminate()
        assert process.wait(60) == 0


def shares(cases: int) -> list[range]:
    """The numbers of the cases, for each client its own."""
    return [range(first, cases, CLIENTS) for first in range(CLIENTS)]


def bodies(cases: int, seed: int) -> dict[str, Any]:
    """Changed bodies, paths, content types and methods."""

    def client(numbers: range) -> tuple[Counter[str], list[str]]:
        statuses, failures = Counter[str](), list[str]()
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=SECONDS)
        for number in numbers:
            generator = random.Random(f"{seed} {number}")
            path, valid = generator.choice(VALID)
            method = "POST" if generator.random() < 0.97 else generator.choice(("GET", "PUT", "DELETE", "HEAD"))
            kind = "application/json" if generator.random() < 0.97 else generator.choice(("text/plain", "", "a/b;"))
            body = mutations.body_of(generator, valid)
            try:
                connection.request(method, path, body, {"Content-Type": kind})
                answer = connection.getresponse()
                answer.read()
                statuses[str(answer.status)] += 1
                if answer.status not in EXPECTED:
                    failures.append(f"case {number}: {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                failures.append(f"case {number}: {error!r}")
                connection.close()
                connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=SECONDS)
        connection.close()
        return statuses, failures

    with served(), ThreadPoolExecutor(CLIENTS) as threads:
        return summed(cases, threads.map(client, shares(cases)))


def frames(cases: int, seed: int) -> dict[str, Any]:
    """Changed frames, of text and of bytes; a connection is another one once the server has closed it."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import ClientConnection, connect

    def opened() -> ClientConnection:
        return connect(f"ws://127.0.0.1:{PORT}/stream", open_timeout=SECONDS, legacy=True)

    def client(numbers: range) -> tuple[Counter[str], list[str]]:
        answers, failures = Counter[str](), list[str]()
        socket = None
        for number in numbers:
            generator = random.Random(f"{seed} {number}")
            content = mutations.body_of(generator, generator.choice(FRAMES))
            frame: str | bytes = content if generator.random() < 0.05 else content.decode("utf-8", "replace")
            try:
                socket = socket or opened()
                socket.send(frame)
                socket.recv(timeout=SECONDS)
                answers["answered"] += 1
                if generator.random() < 0.05:
                    socket.close()
                    socket = None
            except ConnectionClosed as closed:
                socket = None
                code = closed.rcvd.code if closed.rcvd is not None else None
                answers[f"closed {code}"] += 1
                if code not in (1007, 1008, 1009):
                    failures.append(f"case {number}: closed {code}")
            except (OSError, TimeoutError) as error:
                socket = None
                failures.append(f"case {number}: {error!r}")
        if socket is not None:
            socket.close()
        return answers, failures

    with served(), ThreadPoolExecutor(CLIENTS) as threads:
        return summed(cases, threads.map(client, shares(cases)))


def summed(cases: int, found: Any) -> dict[str, Any]:
    """Over all clients."""
    counts, failures = Counter[str](), list[str]()
    for some, failed in found:
        counts += some
        failures += failed
    return {
        "cases": cases,
        "outcomes": dict(sorted(counts.items())),
        "failures": failures[:20],
        "failed": len(failures),
    }


def folders(cases: int, seed: int) -> dict[str, Any]:
    """Changed files of a small model's folder, most with sums that fit them."""
    with tempfile.TemporaryDirectory() as name:
        valid = Path(name, "valid")
        small_model(valid)
        files = {file.name: file.read_bytes() for file in valid.iterdir()}
        parts = [(files, str(Path(name, str(k))), range(k, cases, PARTS), seed) for k in range(PARTS)]
        # A process that ends raises BrokenProcessPool here.
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            return summed(cases, pool.map(read_folders, parts))


def imports(cases: int, seed: int) -> dict[str, Any]:
    """Changed files of Keras and PyTorch, read in processes of their own."""
    with tempfile.TemporaryDirectory() as name:
        files = foreign(Path(name))
        parts = [(files, str(Path(name, str(k))), range(k, cases, PARTS), seed) for k in range(PARTS)]
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            return summed(cases, pool.map(read_imports, parts))


def foreign(folder: Path) -> dict[str, bytes]:
    """Small files as Keras and PyTorch write them."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch
    from safetensors.torch import save_file

    layers = [
        keras.Input((9,)), keras.layers.Embedding(5, 3), keras.layers.LSTM(4), keras.layers.Dense(1, "sigmoid"),
    ]  # fmt: skip
    made = keras.Sequential(layers)
    made.save(folder / "m.keras")
    made.save(folder / "m.h5")
    parts = {"emb": torch.nn.Embedding(5, 3), "lstm": torch.nn.LSTM(3, 4), "fc": torch.nn.Linear(4, 1)}
    state = torch.nn.ModuleDict(parts).state_dict()
    torch.save(state, folder / "m.pt")
    save_file(state, folder / "m.safetensors")
    return {path.name: path.read_bytes() for path in folder.glob("m.*")}


def read_imports(part: tuple[dict[str, bytes], str, range, int]) -> tuple[Counter[str], list[str]]:
    """Imports changed files, and predicts with what can be read."""
    from fastlstm.convert.classifier import make_classifier
    from fastlstm.convert.keras import from_keras
    from fastlstm.convert.pytorch import from_pytorch
    from fastlstm.convert.vocabulary import TOKENIZATION_RULES, find_rule
    from fastlstm.inference import Classifier

    files, folder, numbers, seed = part
    Path(folder).mkdir()
    words = find_rule(["", "[UNK]", "good", "bad", "film"])

    def read(number: int) -> None:
        generator = random.Random(f"{seed} {number}")
        name = generator.choice(sorted(files))
        content = mutations.bytes_of(generator, files[name])
        if name == "m.keras" and generator.random() < 0.7:
            content = changed_archive(generator, files[name])
        path = Path(folder, name)
        path.write_bytes(content)
        found = from_keras(path) if name in ("m.keras", "m.h5") else from_pytorch(path, "last")
        model = Classifier(
            make_classifier(found, words, TOKENIZATION_RULES["keras"], padding="front", max_tokens=9)
        )
        model.predict_proba([TEXT, ""])

    return counted(numbers, read)


def changed_archive(generator: random.Random, content: bytes) -> bytes:
    """A .keras file with another configuration, or with changed weights."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(result, "w") as after:
        changed_name = generator.choice(("config.json", "model.weights.h5"))
        for name in before.namelist():
            of = before.read(name)
            if name == changed_name:
                of = mutations.bytes_of(generator, of)
                if name == "config.json":
                    value = mutations.value_of(generator, json.loads(before.read(name)))
                    of = json.dumps(value).encode("utf-8", "surrogatepass")
            after.writestr(name, of)
    return result.getvalue()


def small_model(folder: Path) -> None:
    """The bundled model with its first words, units and n-grams alone."""
    import dataclasses

    from fastlstm.inference import Classifier
    from fastlstm.text.tokenizer import truncate_text

    whole = load(DEFAULT_CLASSIFIER).model
    words, units, ngrams = 50, 3, 20
    config = dataclasses.replace(whole.config, vocabulary_size=words, hidden_sizes=(units,), ngrams=ngrams)
    old = whole.config.hidden_sizes[0]
    gates = [gate * old + unit for gate in range(4) for unit in range(units)]
    features = whole.weights["output.weight"].shape[1] // old
    columns = [part * old + unit for part in range(features) for unit in range(units)]
    weights = dict(whole.weights)
    weights["embedding.weight"] = weights["embedding.weight"][:words]
    weights["lstm.0.forward.weight_ih"] = weights["lstm.0.forward.weight_ih"][gates]
    weights["lstm.0.forward.weight_hh"] = weights["lstm.0.forward.weight_hh"][gates][:, :units]
    weights["lstm.0.forward.bias"] = weights["lstm.0.forward.bias"][gates]
    weights["output.weight"] = weights["output.weight"][:, columns]
    weights["wide.weight"] = weights["wide.weight"][:ngrams]
    numbers = {"wide.ngrams": whole.numbers["wide.ngrams"][:ngrams]}
    tokenizer = truncate_text(whole.tokenizer, words)
    Classifier(
        dataclasses.replace(whole, config=config, weights=weights, numbers=numbers, tokenizer=tokenizer)
    ).save(folder, storage="int8")


def read_folders(part: tuple[dict[str, bytes], str, range, int]) -> tuple[Counter[str], list[str]]:
    """Reads changed folders, and predicts with what can be read."""
    files, name, numbers, seed = part
    folder = Path(name)
    folder.mkdir()

    def read(number: int) -> None:
        generator = random.Random(f"{seed} {number}")
        for file, content in changed(generator, files).items():
            (folder / file).write_bytes(content)
        model = load(folder)
        model.predict_proba([TEXT, "", "dull " * 500])
        if model.streams:
            model.stream().feed(TEXT).end()

    return counted(numbers, read)


def counted(numbers: range, read: Callable[[int], None]) -> tuple[Counter[str], list[str]]:
    """How each case ended; with another error than fastlstm's own, or too late, is a failure."""
    outcomes, failures = Counter[str](), list[str]()

    def late(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    for number in numbers:
        signal.alarm(SECONDS)
        try:
            read(number)
            outcomes["read"] += 1
        except FastLSTMError as error:
            outcomes[type(error).__name__] += 1
        except BaseException as error:  # noqa: BLE001 -- whatever else it is, it is counted
            failures.append(f"case {number}: {error!r}"[:200])
        finally:
            signal.alarm(0)
    return outcomes, failures


def changed(generator: random.Random, files: dict[str, bytes]) -> dict[str, bytes]:
    """The files, one of them changed; config.json's sums fit, unless it is itself what was changed."""
    name = generator.choice(("config.json", "tokenizer.json", "model.safetensors"))
    content = files[name]
    if name.endswith(".json") and generator.random() < 0.7:
        value = mutations.value_of(generator, json.loads(content))
        content = json.dumps(value).encode("utf-8", "surrogatepass")
    elif name == "model.safetensors" and generator.random() < 0.7:
        length = 8 + int.from_bytes(content[:8], "little")
        head = mutations.bytes_of(generator, content[8:length])
        if generator.random() < 0.5:
            value = mutations.value_of(generator, json.loads(content[8:length]))
            head = json.dumps(value).encode("utf-8", "surrogatepass")
        content = len(head).to_bytes(8, "little") + head + content[length:]
    else:
        content = mutations.bytes_of(generator, content)
    result = {**files, name: content}
    if name != "config.json" and generator.random() < 0.9:
        config = json.loads(files["config.json"])
        config["sha256"][name] = sha256(content)
        result["config.json"] = json.dumps(config).encode()
    return result


def schema(cases: int, seed: int) -> dict[str, Any]:
    """schemathesis, over all operations of the document."""
    examples = max(1, cases // 10)
    command = [
        "schemathesis", "run", f"http://127.0.0.1:{PORT}/openapi.json", "--checks", "all",
        # That an unknown label or unit is refused can't be said in a schema.
        "--exclude-checks", "positive_data_acceptance",
        "--max-examples", str(examples), "--seed", str(seed), "--no-color", "--phases", "coverage,fuzzing,stateful",
    ]  # fmt: skip
    with served():
        done = subprocess.run(command, capture_output=True, text=True)
    generated = re.search(r"(\d[\d,]*) generated", done.stdout)
    assert generated is not None, done.stdout[-2000:] + done.stderr[-2000:]
    return {
        "cases": int(generated[1].replace(",", "")),
        "version": subprocess.run(["schemathesis", "--version"], capture_output=True, text=True).stdout.strip(),
        "failures": [] if done.returncode == 0 else done.stdout.splitlines()[-60:],
        "failed": int(done.returncode != 0),
    }


if __name__ == "__main__":
    main()
