"""Train the bundled English sentiment model, for short and long texts, from start to end.

    pip install -e ".[train]" -r recipes/requirements.txt
    python recipes/english_sentiment.py WORK --imdb IMDB --sst2 SST2 --emotions EMOTIONS --rated RATED \
        --lstm-teacher LSTM [--encoders ENCODER]

The folders of texts are described in `english_texts.py`. LSTM is a classifier of IMDb's reviews from
`recipes/english_encoder.py`. ENCODER is a folder with config.json, model.safetensors and tokenizer.json, such as that
of sentence-transformers/all-mpnet-base-v2 (Apache 2.0). The names of its files in WORK contain the folder's name.
Without it, labels and word vectors come from `english_teacher.npz`, which --save-teacher wrote in another call. Each
stage saves its output in WORK and is skipped if the output exists; an interrupted stage resumes from its checkpoint.
The stages:

1. Fine-tune each encoder on sentences: phrases of film reviews, comments with emotions, rated sentences, generated
   ones.
2. Label reviews with the LSTM, and sentences with the mean logit of the transformers: sentences cut from reviews, the
   same about other subjects, parts of sentences, sentences with phrases of others, and all texts of stage 1.
3. Distil a forward LSTM from these labels. Its embeddings start from the vectors that the last transformer has for
   single words (`teacher_vectors.py`).
4. With --publish: quantize it, measure it, and save it as the package's bundled model; the test split of IMDb is
   scored once. Held-out sentences that occur among the training texts with other punctuation are not measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import numpy as np
import torch

import english_texts
import fastlstm
import teacher_cache
import teacher_vectors
import transformer_teacher
from augmentation import augmented, swapped
from english_publication import publish
from english_texts import Reviews
from fastlstm.cli.progress import Display
from fastlstm.data.soft_labels import SoftLabels
from fastlstm.nn.runs import checkpoint_path
from opponents.transformer_training import FineTuning
from probes import ENGLISH, LABELS, POSITIVE, load_probes
from scored import Scored, join
from sst2 import load_treebank, split_treebank, whole_sentences
from stages import run_stage, stage_seconds
from text_key import key

REVIEWS_FILE = "reviews labelled by LSTM.parquet"
SENTENCES_KIND, FURTHER_KIND, VARIED_KIND = "sentences", "further sentences", "varied sentences"
CACHED_TEACHER = "all-mpnet-base-v2"
VECTORS_FILE, VECTOR_SIZE = "words.vec", 96
SENTENCES, PARTS, OTHER_SUBJECTS = 180_000, 60_000, 45_000
"""Numbers of sentences cut from reviews, of parts of these, and of these about other subjects."""
COPIES, RATED_COPIES = 8, 4
"""Shortened copies of each whole sentence of SST-2, and of each rated sentence."""
SWAPPED = 80_000
"""Number of sentences of SST-2 in which phrases are replaced."""
LABEL_WEIGHT = 0.5
FINE_TUNING = FineTuning(learning_rate=3e-5, epochs=1, batch_texts=32)
TEACHER_TEXTS = 50_000
"""Number of texts to fine-tune on: whole and rated sentences, and others at random."""
VALIDATION_PART = 1
"""The part of SST-2's whole sentences that selects settings."""
STUDENT: dict[str, Any] = {
    "preset": "small",
    "tokens": "words",
    "vocabulary_size": 20_000,
    "hidden_sizes": (384,),
    "pretraining_epochs": 1,
    "epochs": 4,
    "learning_rate": 2e-3,
    "dropout": 0.1,
    "word_dropout": 0.0,
    "ngrams": 100_000,
}
"""Little dropout, because the targets are soft and the texts many."""


@dataclass(frozen=True)
class Folders:
    """Where the texts are, see `english_texts`, and the LSTM that labels reviews."""

    imdb: Path
    sst2: Path
    emotions: Path
    rated: Path
    lstm_teacher: Path


@dataclass(frozen=True)
class Texts:
    """All texts with labels of their own.

    Attributes:
        reviews: Reviews; those held out select settings.
        kinds: Sentences to train on, by kind.
        validation: Sentences that select settings.
        phrases: The phrases of SST-2 among them.
        rated: The rated sentences among them.
        measured: Sentences that are measured at the end, by name.
    """

    reviews: Reviews
    kinds: dict[str, Scored]
    validation: Scored
    phrases: list[str]
    rated: list[str]
    measured: dict[str, Scored]

    @classmethod
    def load(cls, folders: Folders) -> Texts:
        """Read the texts."""
        treebank = load_treebank(folders.sst2)
        inner = split_treebank(treebank.training.texts, treebank.training.labels, VALIDATION_PART)
        rated = english_texts.rated(folders.rated)
        kinds = {
            "phrases of film reviews (SST-2)": english_texts.scored_phrases(inner.training),
            "Reddit comments (GoEmotions)": english_texts.emotions(folders.emotions),
            "rated sentences": rated.training,
            "generated sentences": english_texts.generated(),
        }
        validation = join(english_texts.scored_phrases(inner.held_out), rated.validation)
        measured = {
            "sentences of film reviews (SST-2), a tenth held out": english_texts.scored_phrases(treebank.held_out),
            "sentences of product reviews, a fifth held out": rated.measured,
        }
        probes = {key(probe.text) for probe in load_probes(ENGLISH)}
        kinds = {
            kind: group.where(key(text) not in probes for text in group.texts) for kind, group in kinds.items()
        }
        reviews = english_texts.load_reviews(folders.imdb)
        return cls(reviews, kinds, validation, inner.training.texts, rated.training.texts, measured)

    @cached_property
    def whole(self) -> list[str]:
        """The whole sentences of SST-2 to train on."""
        return whole_sentences(self.phrases)

    @cached_property
    def sentences(self) -> Scored:
        """All sentences to train on."""
        return join(*self.kinds.values())

    @cached_property
    def held_out(self) -> set[str]:
        """All texts that no stage of this recipe trains on, the probes among them."""
        groups = (self.reviews.held_out, self.validation, *self.measured.values())
        return {probe.text for probe in load_probes(ENGLISH)}.union(*(group.texts for group in groups))


def main() -> None:
    """Run the stages whose outputs do not exist yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    for name in ("imdb", "sst2", "emotions", "rated", "lstm-teacher"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FOLDER")
    parser.add_argument(
        "--encoders",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="transformers (default: saved labels)",
    )
    parser.add_argument("--save-teacher", action="store_true", help="replace the saved labels and word vectors")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--publish", action="store_true", help="score IMDb's test split, replace the bundled model")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    folders = Folders(arguments.imdb, arguments.sst2, arguments.emotions, arguments.rated, arguments.lstm_teacher)
    texts = Texts.load(folders)
    groups = sentence_groups(texts)
    names = [encoder.name for encoder in arguments.encoders] or [CACHED_TEACHER]
    all_reviews = [*texts.reviews.training.texts, *texts.reviews.unlabelled]
    run_stage(work / REVIEWS_FILE, partial(label_reviews, folders.lstm_teacher, all_reviews))
    if arguments.encoders:
        label_sentences(arguments.encoders, groups, work, texts)
    else:
        copy_teacher(groups, work)
    if arguments.save_teacher:
        labels = {kind: labels_path(work, kind, names[-1]) for kind in groups}
        stages = (names[-1], Path(VECTORS_FILE).stem, *(path.stem for path in labels.values()))
        seconds = {stage: stage_seconds(work)[stage] for stage in stages}
        teacher_cache.save(labels, work / VECTORS_FILE, seconds, teacher_cache.CACHE)
    run_stage(work / "student", partial(train_student, work, names, texts))
    if arguments.publish:
        validation = validation_data(texts).texts
        trained = {key(text) for text in student_data(work, names, texts).texts}
        measured = {
            name: group.where(key(text) not in trained for text in group.texts)
            for name, group in texts.measured.items()
        }
        numbers = count_texts(work, names[0], texts)
        copied = {} if arguments.encoders else teacher_cache.load_seconds(teacher_cache.CACHE)
        seconds = copied | {stage: time for stage, time in stage_seconds(work).items() if stage not in copied}
        publish(work / "student", measured, validation, folders.imdb, names, seconds, numbers)


def teacher_texts(texts: Texts) -> Scored:
    """Return the texts to fine-tune on."""
    whole = {*texts.whole, *texts.rated}
    order = np.random.default_rng(0).permutation(len(texts.sentences.texts))
    preferred = sorted(order, key=lambda row: texts.sentences.texts[row] not in whole)
    chosen = set(preferred[:TEACHER_TEXTS])
    return texts.sentences.where(row in chosen for row in range(len(order)))


def sentence_groups(texts: Texts) -> dict[str, list[str]]:
    """Return the sentences to label, by kind: those of stage 1, and further ones."""
    cut = english_texts.cut_sentences([*texts.reviews.training.texts, *texts.reviews.unlabelled], SENTENCES)
    known = texts.held_out.union(texts.sentences.texts, cut)
    parts = augmented(texts.whole, COPIES, known=known, seed=0) + augmented(
        cut[::2][:PARTS], 1, known=known, seed=1
    )
    others = english_texts.about_other_subjects([*cut, *texts.whole])[:OTHER_SUBJECTS]
    further = [text for text in dict.fromkeys([*cut, *parts, *others]) if text not in texts.held_out]
    known = known.union(further)
    varied = [
        *swapped(texts.whole, texts.phrases, SWAPPED, known=known, seed=2),
        *augmented(texts.rated, RATED_COPIES, known=known, seed=3),
    ]
    return {SENTENCES_KIND: texts.sentences.texts, FURTHER_KIND: further, VARIED_KIND: varied}


def label_sentences(encoders: Sequence[Path], groups: Mapping[str, list[str]], work: Path, texts: Texts) -> None:
    """Fine-tune the encoders, and write their labels of the groups, and word vectors, into the folder `work`."""
    for encoder in encoders:
        teacher = work / encoder.name
        run_stage(teacher, partial(transformer_teacher.train, encoder, teacher_texts(texts), FINE_TUNING))
        for kind, group in groups.items():
            out = labels_path(work, kind, encoder.name)
            run_stage(out, partial(transformer_teacher.label, teacher, group, fast=True))
    names = [encoder.name for encoder in encoders]
    run_stage(work / VECTORS_FILE, partial(make_vectors, encoders[-1], work, names, texts))


def copy_teacher(groups: Mapping[str, list[str]], work: Path) -> None:
    """Write the saved labels of the groups, and the saved word vectors, into the folder `work`."""
    for kind, group in groups.items():
        out = labels_path(work, kind, CACHED_TEACHER)
        run_stage(out, partial(teacher_cache.copy_labels, teacher_cache.CACHE, kind, group))
    run_stage(work / VECTORS_FILE, partial(teacher_cache.copy_vectors, teacher_cache.CACHE))


def labels_path(work: Path, kind: str, teacher: str) -> Path:
    """Return the file with a teacher's labels of that kind of texts."""
    return work / f"{kind} labelled by {teacher}.parquet"


def label_reviews(folder: Path, reviews: list[str], out: Path) -> None:
    """Write the logit of "positive" of each review from a saved classifier."""
    model = fastlstm.load(folder)
    positive = model.predict_proba(reviews)[:, model.labels.index(POSITIVE)]
    transformer_teacher.write_labels(reviews, transformer_teacher.to_logits(positive), out)


def student_data(work: Path, teachers: Sequence[str], texts: Texts) -> fastlstm.Dataset:
    """Return all texts with their targets: the mean of label and teachers, or the teachers alone."""

    def mean_labels(kind: str) -> Scored:
        return transformer_teacher.mean_labels([labels_path(work, kind, teacher) for teacher in teachers])

    reviews = transformer_teacher.read_labels(work / REVIEWS_FILE)
    targets = reviews.positive.copy()
    count = len(texts.reviews.training.texts)
    targets[:count] = LABEL_WEIGHT * texts.reviews.training.positive + (1 - LABEL_WEIGHT) * targets[:count]
    sentences = mean_labels(SENTENCES_KIND)
    mixed = LABEL_WEIGHT * texts.sentences.positive + (1 - LABEL_WEIGHT) * sentences.positive
    data = join(
        Scored(reviews.texts, targets),
        Scored(sentences.texts, mixed),
        mean_labels(FURTHER_KIND),
        mean_labels(VARIED_KIND),
    )
    probabilities = np.stack([1 - data.positive, data.positive], axis=1).astype(np.float32)
    labelled = data.dataset("reviews and sentences labelled by teachers")
    soft = SoftLabels(LABELS, probabilities, np.zeros(len(data.texts), np.bool_))
    return dataclasses.replace(labelled, soft_labels=soft)


def count_texts(work: Path, teacher: str, texts: Texts) -> dict[str, int]:
    """Return the number of training texts of each kind. `teacher` is one that labelled the sentences."""
    further, varied = (
        len(transformer_teacher.read_labels(labels_path(work, kind, teacher)).texts)
        for kind in (FURTHER_KIND, VARIED_KIND)
    )
    return {
        "reviews with labels": len(texts.reviews.training.texts),
        "reviews without labels": len(texts.reviews.unlabelled),
        **{kind: len(group.texts) for kind, group in texts.kinds.items()},
        "sentences of reviews and SST-2, whole or in part, some about other subjects": further,
        "sentences of film reviews with other phrases, and parts of rated sentences": varied,
    }


def make_vectors(encoder: Path, work: Path, teachers: Sequence[str], texts: Texts, out: Path) -> None:
    """Write the vectors of the student's vocabulary, from that encoder and its fine-tuned form."""
    words = teacher_vectors.frequent_words(student_data(work, teachers, texts).texts, STUDENT["vocabulary_size"])
    teacher_vectors.write_word_vectors(encoder, work / encoder.name, words, VECTOR_SIZE, out)


def validation_data(texts: Texts) -> fastlstm.Dataset:
    """Return the reviews and sentences that select the epoch and fit the probabilities."""
    return join(texts.reviews.held_out, texts.validation).dataset("held-out reviews and sentences")


def train_student(work: Path, teachers: Sequence[str], texts: Texts, out: Path) -> None:
    """Train the LSTM, resuming from its checkpoint if there is one."""
    with Display(sys.stderr) as display:
        fastlstm.distill(
            None,
            student_data(work, teachers, texts),
            out,
            validation=validation_data(texts),
            label_weight=0.0,
            resume=checkpoint_path(out).is_file(),
            watch=display.show,
            baseline=False,
            early_exit=True,
            word_vectors=work / VECTORS_FILE,
            **STUDENT,
        )


if __name__ == "__main__":
    main()
