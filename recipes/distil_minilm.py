"""My transformer is too slow for a CPU: fine-tune MiniLM, distil it into an LSTM, and compare both.

    pip install -e ".[train]" -r recipes/requirements.txt
    python recipes/distil_minilm.py SST2_FOLDER WORK_FOLDER [--imdb IMDB_FOLDER] [--unlabelled FILE] [--rows 2000]

SST2_FOLDER contains train.parquet and dev.parquet with the columns text and label. Each stage saves its output in
WORK_FOLDER and is skipped if the output exists; the first and the fourth resume from a checkpoint. The stages:

1. Fine-tune all-MiniLM-L6-v2 on the phrases; whole sentences select the learning rate.
2. Export it to ONNX in float32 and int8.
3. Label with its probabilities the phrases, augmented sentences, and, if given, sentences cut from the training reviews
   of IMDb, and those of --unlabelled.
4. Distil a forward LSTM from these probabilities, and store it in int8 too. Its embeddings start from the vectors that
   MiniLM has for single words (`teacher_vectors.py`).
5. Measure accuracy, size and texts per second of all on the tenth of the whole sentences that is held out.

The result is WORK_FOLDER/comparison.json; --publish copies it to benchmarks/results/PROCESSOR/distil_minilm.json. With
--rows, only so many phrases are used, to try the recipe.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import fastlstm
import machine
from augmentation import augmented
from english_texts import cut_sentences
from fastlstm.cli.progress import Display
from fastlstm.data.datasets import load_imdb
from fastlstm.kernel import find_kernel
from fastlstm.nn.runs import checkpoint_path
from minilm_comparison import FLOAT32, compare, export_onnx, load_onnx
from minilm_teacher import Data, load_data, report, train_teacher
from opponents import transformer
from opponents.onnx_transformer import OnnxTransformer
from opponents.transformer_training import FineTuning
from probes import LABELS
from sst2 import Phrases, whole_sentences
from stages import run_stage
from teacher_vectors import frequent_words, write_word_vectors

NAME = "distil_minilm"
PACKAGES = ("fastlstm", "torch", "transformers", "onnxruntime", "numpy", "tokenizers")
COPIES = 20
"""Augmented copies of each sentence, as in the source of the augmentation."""
CUT_SENTENCES = 120_000
"""Sentences that are cut from the reviews of IMDb."""
MAX_WORDS, VECTOR_SIZE = 30_000, 96
LABEL_CHUNK = 20_000
"""Texts that are labelled between two reports."""
STUDENT: dict[str, Any] = {
    "preset": "small",
    "hidden_sizes": (192,),
    "ngrams": 50_000,
    "epochs": 6,
    "adversarial": 0.0,
}


def main() -> None:
    """Run the stages whose outputs do not exist yet."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--encoder", type=Path, help="folder of the transformer (default: the installed MiniLM)")
    parser.add_argument("--imdb", type=Path, help="folder of IMDb, to cut sentences from")
    parser.add_argument("--unlabelled", type=Path, help="text file with one more sentence per line")
    parser.add_argument("--rows", type=int, help="phrases to train on (default: all)")
    parser.add_argument("--copies", type=int, default=COPIES, help="augmented copies of each sentence")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of fine-tuning")
    parser.add_argument("--threads", type=int, default=2, help="threads of PyTorch and ONNX Runtime")
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    if (kernel := find_kernel().kernel) is not None:
        kernel.threads = arguments.threads
    data = load_data(arguments.data_dir, arguments.rows)
    encoder = transformer.find_encoder(arguments.encoder)

    options = FineTuning(epochs=arguments.epochs)
    run_stage(work / "teacher", lambda out: train_teacher(encoder, data, options, out))
    run_stage(work / "onnx", lambda out: export_onnx(work / "teacher", out))
    run_stage(
        work / "labelled.parquet",
        lambda out: label(
            load_onnx(work, FLOAT32, arguments.threads), data.training, unlabelled(data, arguments), out
        ),
    )
    words = work / "words.vec"
    run_stage(words, lambda out: make_vectors(encoder, work / "teacher", work / "labelled.parquet", out))
    run_stage(work / "student", lambda out: train_student(work / "labelled.parquet", words, data, out))
    run_stage(work / "student-int8", lambda out: fastlstm.load(work / "student").save(out, storage="int8"))
    run_stage(work / "comparison.json", lambda out: compare(work, data.held_out, arguments.threads, out))
    result = (work / "comparison.json").read_text(encoding="utf-8")
    print(result)
    if arguments.publish:
        print(machine.save(NAME, PACKAGES, json.loads(result), publish=True))


def unlabelled(data: Data, arguments: argparse.Namespace) -> list[str]:
    """Return augmented training sentences and those of --imdb and --unlabelled; none that is validated or scored."""
    held = {*data.validation.texts, *data.held_out.texts}
    texts = augmented(
        whole_sentences(data.training.texts), arguments.copies, known={*data.training.texts, *held}, seed=0
    )
    further: list[str] = []
    if arguments.imdb is not None:
        reviews = load_imdb(arguments.imdb).train.texts
        further += [" ".join(sentence.split()) for sentence in cut_sentences(reviews, CUT_SENTENCES)]
    if arguments.unlabelled is not None:
        further += arguments.unlabelled.read_text(encoding="utf-8").splitlines()
    return texts + [text for text in dict.fromkeys(further) if text.strip() and text not in held]


def label(teacher: OnnxTransformer, phrases: Phrases, others: list[str], out: Path) -> None:
    """Write a Parquet file with the phrases, their labels, the other texts, and the teacher's probabilities of all."""
    texts = [*phrases.texts, *others]
    chunks = []
    for start in range(0, len(texts), LABEL_CHUNK):
        chunks.append(teacher.score(texts[start : start + LABEL_CHUNK]))
        report(f"labelled {min(start + LABEL_CHUNK, len(texts)):,} of {len(texts):,} texts")
    probabilities = np.concatenate(chunks)
    columns = {name: probabilities[:, k] for k, name in enumerate(LABELS)}
    labels = [*phrases.labels, *([None] * len(others))]
    temporary = out.with_suffix(".part")
    pq.write_table(pa.table({"text": texts, "label": labels, **columns}), temporary)
    temporary.rename(out)


def make_vectors(encoder: Path, teacher: Path, labelled: Path, out: Path) -> None:
    """Write the vectors of the student's vocabulary, from the encoder and its fine-tuned form."""
    texts = pq.read_table(labelled, columns=["text"])["text"].to_pylist()
    write_word_vectors(encoder, teacher, frequent_words(texts, MAX_WORDS), VECTOR_SIZE, out)


def train_student(labelled: Path, words: Path, data: Data, out: Path) -> None:
    """Train the LSTM on the teacher's probabilities, resuming from its checkpoint if there is one."""
    with Display(sys.stderr) as display:
        fastlstm.distill(
            None,
            labelled,
            out,
            probability_columns=list(LABELS),
            validation=fastlstm.Dataset(data.validation.texts, data.validation.labels),
            resume=checkpoint_path(out).is_file(),
            watch=display.show,
            baseline=False,
            word_vectors=words,
            **STUDENT,
        )


if __name__ == "__main__":
    main()
