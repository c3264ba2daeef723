"""Fuzzing: malformed requests, WebSocket messages, model folders and files to import.

    python benchmarks/fuzzing.py [bodies] [frames] [folders] [imports] [schema]

Bodies and frames are sent to a real server; folders and imports are loaded in separate processes. Failures are: a 5xx
status, a response after more than 10 s, a connection closed without a response, a process that exits, and an error
that is not a `FastLSTMError`. `schema` runs schemathesis, which must be on the PATH, on the OpenAPI document. `imports`
only runs on request: each Keras file is read in a process of its own, which takes half a second.
"""

from __future__ import annotations

import http.client
import io
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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
from serving import serve_command, wait_until_ready

PORT = 8126
TIMEOUT_SECONDS = 10
CLIENTS = 4
PARTITIONS = 64
"""Partitions of the cases that processes load."""
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
EXPECTED_STATUSES = {200, 400, 401, 404, 405, 408, 413, 415, 422, 429}


def main() -> None:
    """Run the parts, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parts = {
        "bodies": fuzz_bodies,
        "frames": fuzz_frames,
        "folders": fuzz_folders,
        "imports": fuzz_imports,
        "schema": run_schemathesis,
    }
    parser.add_argument("parts", nargs="*", choices=[[], *parts], metavar="part",
        default=[name for name in parts if name != "imports"],
    )  # fmt: skip
    parser.add_argument("--cases", type=int, default=100_000, help="number of cases per part")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    path = machine.result_path("fuzzing", publish=arguments.publish)
    results = json.loads(path.read_text(encoding="utf-8"))["parts"] if path.exists() else {}
    for part in arguments.parts:
        start = time.perf_counter()
        result = parts[part](arguments.cases, arguments.seed)
        results[part] = {**result, "seed": arguments.seed, "seconds": round(time.perf_counter() - start)}
        print(part, json.dumps(results[part]))
    packages = ["fastlstm", "fastapi", "uvicorn", "websockets", "tokenizers", "safetensors"]
    print(machine.save("fuzzing", packages, {"parts": results}, publish=arguments.publish))


@contextmanager
def surviving_server() -> Iterator[subprocess.Popen[bytes]]:
    """Run a server of the bundled model. Fails if it has exited at the end, or does not stop with status 0."""
    command = serve_command(PORT, "--body-seconds", "2")
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait_until_ready(PORT)
            yield process
            assert process.poll() is None, "the server has exited"
        finally:
            process.terminate()
        assert process.wait(60) == 0


def client_cases(cases: int) -> list[range]:
    """Return the case numbers of each client."""
    return [range(first, cases, CLIENTS) for first in range(CLIENTS)]


def fuzz_bodies(cases: int, seed: int) -> dict[str, Any]:
    """Send mutated bodies, with various paths, content types and methods."""

    def run_client(numbers: range) -> tuple[Counter[str], list[str]]:
        statuses, failures = Counter[str](), list[str]()
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=TIMEOUT_SECONDS)
        for number in numbers:
            generator = random.Random(f"{seed} {number}")
            path, valid = generator.choice(VALID)
            method = "POST" if generator.random() < 0.97 else generator.choice(("GET", "PUT", "DELETE", "HEAD"))
            content_type = "application/json"
            if generator.random() >= 0.97:
                content_type = generator.choice(("text/plain", "", "a/b;"))
            body = mutations.mutate_body(generator, valid)
            try:
                connection.request(method, path, body, {"Content-Type": content_type})
                response = connection.getresponse()
                response.read()
                statuses[str(response.status)] += 1
                if response.status not in EXPECTED_STATUSES:
                    failures.append(f"case {number}: {response.status}")
            except (OSError, http.client.HTTPException) as error:
                failures.append(f"case {number}: {error!r}")
                connection.close()
                connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=TIMEOUT_SECONDS)
        connection.close()
        return statuses, failures

    with surviving_server(), ThreadPoolExecutor(CLIENTS) as threads:
        return summarize(cases, threads.map(run_client, client_cases(cases)))


def fuzz_frames(cases: int, seed: int) -> dict[str, Any]:
    """Send mutated WebSocket messages, text and binary, and reconnect whenever the server closes the connection."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import ClientConnection, connect

    def open_connection() -> ClientConnection:
        return connect(f"ws://127.0.0.1:{PORT}/stream", open_timeout=TIMEOUT_SECONDS, legacy=True)

    def run_client(numbers: range) -> tuple[Counter[str], list[str]]:
        outcomes, failures = Counter[str](), list[str]()
        socket = None
        for number in numbers:
            generator = random.Random(f"{seed} {number}")
            content = mutations.mutate_body(generator, generator.choice(FRAMES))
            frame: str | bytes = content if generator.random() < 0.05 else content.decode("utf-8", "replace")
            try:
                socket = socket or open_connection()
                socket.send(frame)
                socket.recv(timeout=TIMEOUT_SECONDS)
                outcomes["answered"] += 1
                if generator.random() < 0.05:
                    socket.close()
                    socket = None
            except ConnectionClosed as closed:
                socket = None
                code = closed.rcvd.code if closed.rcvd is not None else None
                outcomes[f"closed {code}"] += 1
                if code not in (1007, 1008, 1009):
                    failures.append(f"case {number}: closed {code}")
            except (OSError, TimeoutError) as error:
                socket = None
                failures.append(f"case {number}: {error!r}")
        if socket is not None:
            socket.close()
        return outcomes, failures

    with surviving_server(), ThreadPoolExecutor(CLIENTS) as threads:
        return summarize(cases, threads.map(run_client, client_cases(cases)))


def summarize(cases: int, results: Iterable[tuple[Counter[str], list[str]]]) -> dict[str, Any]:
    """Sum the outcomes and failures of all clients or partitions."""
    total, failures = Counter[str](), list[str]()
    for outcomes, failed in results:
        total += outcomes
        failures += failed
    return {
        "cases": cases,
        "outcomes": dict(sorted(total.items())),
        "failures": failures[:20],
        "failed": len(failures),
    }


def fuzz_folders(cases: int, seed: int) -> dict[str, Any]:
    """Load folders of a small model with mutated files, most of them with matching checksums."""
    with tempfile.TemporaryDirectory() as name:
        valid = Path(name, "valid")
        save_small_model(valid)
        files = {file.name: file.read_bytes() for file in valid.iterdir()}
        parts = [(files, str(Path(name, str(k))), range(k, cases, PARTITIONS), seed) for k in range(PARTITIONS)]
        # Raises BrokenProcessPool if a process exits.
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            return summarize(cases, pool.map(load_folders, parts))


def fuzz_imports(cases: int, seed: int) -> dict[str, Any]:
    """Import mutated Keras and PyTorch files."""
    with tempfile.TemporaryDirectory() as name:
        files = save_foreign_models(Path(name))
        parts = [(files, str(Path(name, str(k))), range(k, cases, PARTITIONS), seed) for k in range(PARTITIONS)]
        with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            return summarize(cases, pool.map(import_files, parts))


def save_foreign_models(folder: Path) -> dict[str, bytes]:
    """Return the files of small models saved by Keras and PyTorch."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras
    import torch
    from safetensors.torch import save_file

    layers = [
        keras.Input((9,)), keras.layers.Embedding(5, 3), keras.layers.LSTM(4), keras.layers.Dense(1, "sigmoid"),
    ]  # fmt: skip
    model = keras.Sequential(layers)
    model.save(folder / "m.keras")
    model.save(folder / "m.h5")
    modules = {"emb": torch.nn.Embedding(5, 3), "lstm": torch.nn.LSTM(3, 4), "fc": torch.nn.Linear(4, 1)}
    state = torch.nn.ModuleDict(modules).state_dict()
    torch.save(state, folder / "m.pt")
    save_file(state, folder / "m.safetensors")
    return {path.name: path.read_bytes() for path in folder.glob("m.*")}


def import_files(part: tuple[dict[str, bytes], str, range, int]) -> tuple[Counter[str], list[str]]:
    """Import mutated files, and predict with those that can be imported."""
    from fastlstm.convert.classifier import make_classifier
    from fastlstm.convert.keras import from_keras
    from fastlstm.convert.pytorch import from_pytorch
    from fastlstm.convert.tokenization import TOKENIZATION_RULES
    from fastlstm.convert.vocabulary import make_vocabulary
    from fastlstm.inference import Classifier

    files, folder, numbers, seed = part
    Path(folder).mkdir()
    vocabulary = make_vocabulary(["", "[UNK]", "good", "bad", "film"])

    def run_case(number: int) -> None:
        generator = random.Random(f"{seed} {number}")
        name = generator.choice(sorted(files))
        content = mutations.mutate_bytes(generator, files[name])
        if name == "m.keras" and generator.random() < 0.7:
            content = mutate_archive(generator, files[name])
        path = Path(folder, name)
        path.write_bytes(content)
        imported = from_keras(path) if name in ("m.keras", "m.h5") else from_pytorch(path, "last")
        model = Classifier(
            make_classifier(imported, vocabulary, TOKENIZATION_RULES["keras"], padding="front", max_tokens=9)
        )
        model.predict_proba([TEXT, ""])

    return count_outcomes(numbers, run_case)


def mutate_archive(generator: random.Random, content: bytes) -> bytes:
    """Return a .keras file with a mutated configuration or mutated weights."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(result, "w") as target:
        mutated_name = generator.choice(("config.json", "model.weights.h5"))
        for name in source.namelist():
            member = source.read(name)
            if name == mutated_name:
                member = mutations.mutate_bytes(generator, member)
                if name == "config.json":
                    value = mutations.mutate_value(generator, json.loads(source.read(name)))
                    member = json.dumps(value).encode("utf-8", "surrogatepass")
            target.writestr(name, member)
    return result.getvalue()


def save_small_model(folder: Path) -> None:
    """Save the bundled model reduced to its first tokens, units and n-grams."""
    import dataclasses

    from fastlstm.inference import Classifier
    from fastlstm.text.tokenizer import truncate_vocabulary

    whole = load(DEFAULT_CLASSIFIER).saved
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
    numbers = {"wide.ngrams": whole.integer_arrays["wide.ngrams"][:ngrams]}
    tokenizer = truncate_vocabulary(whole.tokenizer, words)
    Classifier(
        dataclasses.replace(whole, config=config, weights=weights, integer_arrays=numbers, tokenizer=tokenizer)
    ).save(folder, storage="int8")


def load_folders(part: tuple[dict[str, bytes], str, range, int]) -> tuple[Counter[str], list[str]]:
    """Load mutated folders, and predict with those that can be loaded."""
    files, name, numbers, seed = part
    folder = Path(name)
    folder.mkdir()

    def run_case(number: int) -> None:
        generator = random.Random(f"{seed} {number}")
        for file, content in mutate_folder(generator, files).items():
            (folder / file).write_bytes(content)
        model = load(folder)
        model.predict_proba([TEXT, "", "dull " * 500])
        if model.can_stream:
            model.stream().feed(TEXT).end()

    return count_outcomes(numbers, run_case)


def count_outcomes(numbers: range, run_case: Callable[[int], None]) -> tuple[Counter[str], list[str]]:
    """Count how the cases end. Timeouts, and errors that are not a `FastLSTMError`, are failures."""
    outcomes, failures = Counter[str](), list[str]()

    def time_out(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, time_out)
    for number in numbers:
        signal.alarm(TIMEOUT_SECONDS)
        try:
            run_case(number)
            outcomes["read"] += 1
        except FastLSTMError as error:
            outcomes[type(error).__name__] += 1
        except BaseException as error:  # noqa: BLE001 -- counted as a failure
            failures.append(f"case {number}: {error!r}"[:200])
        finally:
            signal.alarm(0)
    return outcomes, failures


def mutate_folder(generator: random.Random, files: dict[str, bytes]) -> dict[str, bytes]:
    """Mutate one of the files. Unless it is config.json, the checksum in config.json usually matches."""
    name = generator.choice(("config.json", "tokenizer.json", "model.safetensors"))
    content = files[name]
    if name.endswith(".json") and generator.random() < 0.7:
        value = mutations.mutate_value(generator, json.loads(content))
        content = json.dumps(value).encode("utf-8", "surrogatepass")
    elif name == "model.safetensors" and generator.random() < 0.7:
        length = 8 + int.from_bytes(content[:8], "little")
        header = mutations.mutate_bytes(generator, content[8:length])
        if generator.random() < 0.5:
            value = mutations.mutate_value(generator, json.loads(content[8:length]))
            header = json.dumps(value).encode("utf-8", "surrogatepass")
        content = len(header).to_bytes(8, "little") + header + content[length:]
    else:
        content = mutations.mutate_bytes(generator, content)
    result = {**files, name: content}
    if name != "config.json" and generator.random() < 0.9:
        config = json.loads(files["config.json"])
        config["sha256"][name] = sha256(content)
        result["config.json"] = json.dumps(config).encode()
    return result


def run_schemathesis(cases: int, seed: int) -> dict[str, Any]:
    """Run schemathesis on all operations of the OpenAPI document."""
    examples = max(1, cases // 10)
    command = [
        "schemathesis", "run", f"http://127.0.0.1:{PORT}/openapi.json", "--checks", "all",
        # The schema cannot express that unknown labels and units are rejected.
        "--exclude-checks", "positive_data_acceptance",
        "--max-examples", str(examples), "--seed", str(seed), "--no-color", "--phases", "coverage,fuzzing,stateful",
    ]  # fmt: skip
    with surviving_server():
        result = subprocess.run(command, capture_output=True, text=True)
    match = re.search(r"(\d[\d,]*) generated", result.stdout)
    assert match is not None, result.stdout[-2000:] + result.stderr[-2000:]
    return {
        "cases": int(match[1].replace(",", "")),
        "version": subprocess.run(["schemathesis", "--version"], capture_output=True, text=True).stdout.strip(),
        "failures": [] if result.returncode == 0 else result.stdout.splitlines()[-60:],
        "failed": int(result.returncode != 0),
    }


if __name__ == "__main__":
    main()
