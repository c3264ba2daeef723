"""Random Keras models with Keras' own answers, for benchmarks/imports.py, which runs this file in other interpreters.

    python benchmarks/imports_models.py FOLDER LIBRARY SEED COUNT

LIBRARY is keras2 (tf_keras), keras3-tensorflow or keras3-torch. Each case is a folder with the model, its vocabulary if
the model does not contain it, and case.json: the texts, Keras' answers, and the options that the model's author would
pass to `fastlstm import`. This file needs Keras only.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import string
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

LIBRARY = sys.argv[2] if __name__ == "__main__" else "keras3-torch"
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", TF_ENABLE_ONEDNN_OPTS="0")
os.environ["KERAS_BACKEND"] = LIBRARY.removeprefix("keras3-").replace("keras2", "tensorflow")
NAME = "tf_keras" if LIBRARY == "keras2" else "keras"
keras: Any = importlib.import_module(NAME)
L = keras.layers
Tokenizer: Any = importlib.import_module(
    "tf_keras.preprocessing.text" if LIBRARY == "keras2" else "keras.src.legacy.preprocessing.text"
).Tokenizer
pad_sequences = keras.utils.pad_sequences

HAS_TENSORFLOW = LIBRARY != "keras3-torch"
TEXTS_PER_MODEL = 24
VOCABULARY = (
    "a the film movie was good bad not don't it's great dull Great DULL FILM wait-what café CAFÉ naïve Ελλάς ΟΔΟΣ "
    "straße 电影 很好 好 映画 ไทย 😍 e\u0301t\u00e9 co-op 3000 3.5 U.S. <br /> ok\u00a0then under_score I\u0307 x y z"
)
WORDS = VOCABULARY.split(" ")
SEPARATORS = (
    " ",
    " ",
    " ",
    " ",
    "  ",
    "\t",
    "\n",
    ", ",
    "! ",
    " - ",
    "\u00a0",
    "\u3000",
    "\r\n",
    "\x0b",
    "\x1c",
    "<br />",
    ".",
)
UNSUPPORTED_CHANCE = 0.2
"""Probability that a model has something that fastlstm is known not to support."""


class Maker:
    """Makes one random model; `random` decides everything."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.arrays = np.random.default_rng(seed)
        self.options: list[str] = []
        self.features: list[str] = []
        folder.mkdir(parents=True)
        keras.utils.set_random_seed(seed)

    def choose(self, *values: Any) -> Any:
        """Return one of the values."""
        value: Any = self.random.choice(values)
        return value

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.random.random() < probability

    def text(self, words: Sequence[str]) -> str:
        """Return a random text: empty, short or long, with known and unknown words."""
        length = self.choose(0, 1, 2, 3, 5, 8, 13, 30)
        parts = [self.choose(*words, *WORDS) + self.choose(*SEPARATORS) for _ in range(length)]
        return str(
            self.choose("", "", " ", "... ") + "".join(parts) if parts else self.choose("", " ", "...", "qqq")
        )

    def make(self) -> None:
        """Write one case."""
        corpus = [
            " ".join(self.choose(*WORDS) + self.choose("", "", ",", ".") for _ in range(9)) for _ in range(12)
        ]
        kinds = [self.keras_tokenizer, self.keras_tokenizer, self.imdb, self.python_split]
        if HAS_TENSORFLOW:
            kinds += [self.vectorization_layer] * 3 + [self.vectorization_list]
        encode, rows, vectorization = self.choose(*kinds)(corpus)
        texts = [self.text(corpus[0].split()) for _ in range(TEXTS_PER_MODEL)]
        if vectorization is not None:
            model, activation = self.model(None, rows, vectorization)
            lengths = [np.asarray(vectorization([text])).shape[1] for text in texts]
            answers = self.answers(model, self.strings, [[text] for text in texts], lengths)
        else:
            model, activation = self.model(self.input_length, rows, None)
            inputs = [encode(text) for text in texts]
            answers = self.answers(
                model, lambda batch: np.array(batch, "int32"), inputs, [len(ids) for ids in inputs]
            )
        suffix = "keras" if vectorization is not None or self.chance(0.6) else "h5"
        self.features.append(f".{suffix}")
        model.save(self.folder / f"model.{suffix}")
        case = {
            "library": LIBRARY,
            "model": f"model.{suffix}",
            "options": self.options,
            "features": sorted(set(self.features)),
            "activation": activation,
            "texts": texts,
            "answers": answers,
        }
        (self.folder / "case.json").write_text(json.dumps(case), encoding="utf-8")

    def strings(self, batch: list[list[str]]) -> Any:
        """Return texts as the input of a model that takes strings."""
        return importlib.import_module("tensorflow").constant(batch)

    def answers(
        self, model: Any, convert: Callable[[Any], Any], inputs: list[Any], lengths: list[int]
    ) -> list[list[float] | None]:
        """Return the outputs of a model for each text, asked with others of its length only: nothing is padded.

        The outputs are None where Keras raises an error.
        """
        rows: list[list[float] | None] = [None] * len(inputs)
        for length in set(lengths):
            members = [number for number, other in enumerate(lengths) if other == length]
            try:
                outputs = model(convert([inputs[number] for number in members]), training=False)
            except Exception:  # noqa: BLE001 -- Keras raises various errors for texts without tokens
                continue
            outputs = outputs[0] if isinstance(outputs, list | tuple) else outputs
            outputs = outputs.detach() if hasattr(outputs, "detach") else outputs
            for number, row in zip(members, np.asarray(outputs, np.float64).tolist(), strict=True):
                rows[number] = row
        return rows

    # Tokenization: each method returns how texts become ids, the number of embedding rows, and a layer or None.

    def padded(self) -> Callable[[list[list[int]]], list[int]]:
        """Choose padding and truncation, add their options, and return the function that applies them."""
        self.input_length = self.choose(None, None, 7, 12)
        length = self.input_length or self.choose(None, 9)
        padding, truncating = self.choose(("pre", "pre"), ("pre", "pre"), ("post", "post"), ("post", "pre"))
        self.features.append("no fixed length" if length is None else f"padding {padding}")
        if length is None:
            self.options += ["--padding", "none"]
        elif (padding, truncating) != ("pre", "pre") or self.input_length is None or self.chance(0.3):
            self.options += ["--padding", {"pre": "front", "post": "back"}[padding]]
            self.options += ["--truncate", {"pre": "end", "post": "beginning"}[truncating]]
            self.options += ["--max-tokens", str(length)]

        def pad(ids: list[list[int]]) -> list[int]:
            if length is None:
                return ids[0]
            return [int(i) for i in pad_sequences(ids, maxlen=length, padding=padding, truncating=truncating)[0]]

        return pad

    def keras_tokenizer(self, corpus: list[str]) -> Any:
        """The legacy Tokenizer, saved as JSON or as its word index."""
        settings: dict[str, Any] = {
            "num_words": self.choose(None, None, 9, 20),
            "oov_token": self.choose(None, "<OOV>"),
        }
        as_index = self.chance(0.4)
        if not as_index:
            settings["lower"] = self.choose(True, True, False)
            settings["char_level"] = self.chance(0.15)
            if self.chance(0.3):
                settings["filters"] = self.choose("", ".,!", "\t\n", '"#$%&()*+-/:;<=>@[\\]^_`{|}~')
            if self.chance(0.1):
                settings["split"] = self.choose(",", "e")
        tokenizer = Tokenizer(**settings)
        tokenizer.fit_on_texts(corpus)
        path = self.folder / "words.json"
        if as_index:
            path.write_text(json.dumps(tokenizer.word_index), encoding=self.choose("utf-8", "utf-8-sig"))
            self.options += [] if settings["num_words"] is None else ["--num-words", str(settings["num_words"])]
            self.options += ["--drop-unknown"] if settings["oov_token"] is None else []
        else:
            content = tokenizer.to_json()
            path.write_text(json.dumps(content) if self.chance(0.3) else content, encoding="utf-8")
        self.options += ["--vocabulary", path.name]
        self.features += ["Tokenizer", "word_index" if as_index else "to_json", f"oov {settings['oov_token']}"]
        pad = self.padded()
        return lambda text: pad(tokenizer.texts_to_sequences([text])), len(tokenizer.word_index) + 1, None

    def imdb(self, corpus: list[str]) -> Any:
        """The word index of keras.datasets.imdb, whose ids start at 4."""
        tokenizer = Tokenizer()
        tokenizer.fit_on_texts(corpus)
        index, rows = tokenizer.word_index, self.choose(12, 25)
        (self.folder / "words.json").write_text(json.dumps(index), encoding="utf-8")
        self.options += ["--vocabulary", "words.json", "--index-from", "3"]
        self.features.append("imdb")
        pad = self.padded()

        def encode(text: str) -> list[int]:
            words = keras_words(text)
            return pad([[1, *(index[w] + 3 if w in index and index[w] + 3 < rows else 2 for w in words)]])

        return encode, rows, None

    def python_split(self, corpus: list[str]) -> Any:
        """Words of str.split(), one per line."""
        lower = self.chance(0.5)
        words = ["<pad>", "<unk>"]
        for text in corpus:
            words += (text.lower() if lower else text).split()
        words = list(dict.fromkeys(words))[: self.choose(15, len(words))]
        newline, encoding = self.choose("\n", "\r\n"), self.choose("utf-8", "utf-8-sig")
        (self.folder / "words.txt").write_bytes(newline.join(words).encode(encoding))
        self.options += ["--vocabulary", "words.txt", "--tokenization", "lower" if lower else "spaces"]
        self.features.append("str.split")
        rows = {word: row for row, word in enumerate(words) if row > 1}
        pad = self.padded()
        split: Callable[[str], list[str]] = lambda text: (text.lower() if lower else text).split()  # noqa: E731
        return lambda text: pad([[rows.get(word, 1) for word in split(text)]]), len(words), None

    def vectorization(self, corpus: list[str], **settings: Any) -> Any:
        """A TextVectorization with random options."""
        layer = L.TextVectorization(max_tokens=self.choose(None, 15), **settings)
        layer.adapt(corpus)
        return layer

    def vectorization_layer(self, corpus: list[str]) -> Any:
        """A TextVectorization in the model."""
        settings: dict[str, Any] = {"output_sequence_length": self.choose(None, 6, 11)}
        if self.chance(0.5):
            settings["standardize"] = self.choose("lower", "strip_punctuation", None)
        if self.chance(0.15):
            settings["split"] = "character"
        if self.chance(0.05):
            settings["ngrams"] = 2
        if self.chance(0.2):
            known = sorted({word.lower() for text in corpus for word in text.split() if word not in ("", "[UNK]")})
            layer = L.TextVectorization(vocabulary=known, **settings)
            self.features.append("vocabulary given")
        else:
            layer = self.vectorization(corpus, **settings)
        self.features += ["TextVectorization", *(f"{name} {value}" for name, value in settings.items())]
        self.input_length = None
        return None, len(layer.get_vocabulary()) + self.choose(0, 2), layer

    def vectorization_list(self, corpus: list[str]) -> Any:
        """The words of a TextVectorization outside of the model."""
        length = self.choose(None, 8)
        rule, settings = self.choose(
            (None, {}),
            ("vectorization", {"standardize": "lower_and_strip_punctuation"}),
            ("vectorization-lower", {"standardize": "lower"}),
            ("vectorization-stripped", {"standardize": "strip_punctuation"}),
            ("vectorization-spaces", {"standardize": None}),
            ("vectorization-characters", {"split": "character"}),
        )
        layer = self.vectorization(corpus, output_sequence_length=length, **settings)
        words = layer.get_vocabulary()
        if self.chance(0.5):
            (self.folder / "words.json").write_text(json.dumps([str(word) for word in words]), encoding="utf-8-sig")
            self.options += ["--vocabulary", "words.json"]
        else:
            (self.folder / "words.txt").write_bytes("\n".join(words).encode())
            self.options += ["--vocabulary", "words.txt"]
        self.options += [] if rule is None else ["--tokenization", rule]
        self.options += ["--padding", "none"] if length is None else ["--max-tokens", str(length)]
        self.features += ["get_vocabulary()", rule or "default rule"]
        self.input_length = None
        return lambda text: [int(i) for i in np.asarray(layer([text]))[0]], len(words), None

    # Layers

    def model(self, length: int | None, rows: int, vectorization: Any) -> tuple[Any, str]:
        """Return a model with random weights, and the activation of its outputs."""
        mask = self.chance(0.5)
        self.features.append("mask_zero" if mask else "no mask")
        odd = self.unsupported()
        embedding = L.Embedding(rows, self.choose(3, 5), mask_zero=mask)
        encoder = [embedding, *self.noise(True)]
        count = self.choose(1, 1, 2, 3)
        pooling = self.choose(None, None, L.GlobalMaxPooling1D, L.GlobalAveragePooling1D)
        for number in range(count):
            encoder += [self.lstm(number + 1 < count or pooling is not None, odd), *self.noise(number + 1 < count)]
        if odd == "normalization":
            encoder.append(L.LayerNormalization() if self.chance(0.5) else L.BatchNormalization())
        if pooling is not None:
            encoder.append(pooling())
            self.features.append(pooling.__name__)
        elif self.chance(0.1):
            encoder.append(L.Flatten())
        head, activation = self.head(odd)
        shape = keras.Input((1,), dtype="string") if vectorization is not None else keras.Input((length,))
        front = [] if vectorization is None else [vectorization]
        if odd in ("cell state", "hidden state", "training", "two outputs", "branches") or (
            odd is None and self.chance(0.25)
        ):
            model = self.functional(shape, front, encoder, head, odd)
        elif self.chance(0.3):
            self.features.append("nested")
            if self.chance(0.3):
                inner = keras.Sequential(
                    [keras.Sequential(encoder[:1], name="words"), *encoder[1:]], name="encoder"
                )
                parts = [inner, *head]
            elif self.chance(0.5):
                parts = [keras.Sequential(encoder, name="encoder"), *head]
            else:
                parts = [*encoder, keras.Sequential(head, name="head")]
            model = keras.Sequential([shape, *front, *parts])
        else:
            model = keras.Sequential([shape, *front, *encoder, *head])
        if self.chance(0.2):
            for layer in model.layers:
                if self.chance(0.3):
                    layer.trainable = False
            self.features.append("frozen layers")
        for weight in model.weights:
            if hasattr(weight, "assign"):  # the words of Keras 2 are weights too
                weight.assign(self.arrays.normal(0, 0.7, tuple(weight.shape)).astype("float32"))
        self.compile(model, activation, odd)
        return model, activation

    def unsupported(self) -> str | None:
        """Return something that fastlstm may refuse."""
        if not self.chance(UNSUPPORTED_CHANCE):
            return None
        odd: str = self.choose(
            "GRU", "merge_mode", "go_backwards", "recurrent_activation", "normalization", "cell state",
            "hidden state", "training", "activation", "loss", "several labels", "two outputs", "branches",
            "mixed_bfloat16", "custom class",
        )  # fmt: skip
        self.features.append(odd)
        return odd

    def noise(self, sequence: bool) -> list[Any]:
        """Return layers that only matter in training."""
        if not self.chance(0.4):
            return []
        kinds: list[Callable[[], Any]] = [
            lambda: L.Dropout(0.3), lambda: L.GaussianNoise(0.2), lambda: L.GaussianDropout(0.2),
            lambda: L.AlphaDropout(0.2), lambda: L.ActivityRegularization(0.01),
        ]  # fmt: skip
        if sequence:
            kinds.append(lambda: L.SpatialDropout1D(0.3))
        layer = self.choose(*kinds)()
        self.features.append(type(layer).__name__)
        return [layer]

    def lstm(self, sequences: bool, odd: str | None) -> Any:
        """Return one recurrent layer."""
        options: dict[str, Any] = {"return_sequences": sequences, "use_bias": self.chance(0.9)}
        if self.chance(0.2):
            options.update(dropout=0.2, recurrent_dropout=0.1)
        if odd == "recurrent_activation":
            options["recurrent_activation"] = "hard_sigmoid"
        if odd == "go_backwards":
            options["go_backwards"] = True
        if odd == "mixed_bfloat16":
            options["dtype"] = "mixed_bfloat16"
        kind = {"GRU": L.GRU, "custom class": CUSTOM_LSTM}.get(str(odd), L.LSTM)
        layer = kind(self.choose(2, 3, 4), **options)
        if odd not in ("cell state", "hidden state", "go_backwards") and self.chance(0.5):
            self.features.append("Bidirectional")
            return L.Bidirectional(layer, merge_mode=self.choose("sum", "ave") if odd == "merge_mode" else "concat")
        self.features.append(kind.__name__)
        return layer

    def head(self, odd: str | None) -> tuple[list[Any], str]:
        """Return the dense layers, and the activation of the outputs."""
        layers: list[Any] = []
        for _ in range(self.choose(0, 0, 1, 1, 2)):
            activation = self.choose("relu", "relu", "tanh", "sigmoid", "linear")
            if odd == "activation":
                activation = self.choose("elu", "softplus", "gelu", "softmax")
            layers += self.dense(self.choose(3, 5), activation)
            self.features.append(f"Dense {activation}")
            layers += self.noise(False)
        units = self.choose(1, 1, 2, 3)
        activation = self.choose("linear", "sigmoid" if units == 1 else "softmax")
        if odd == "several labels":
            units, activation = 3, "sigmoid"
        if odd == "loss":
            activation = "linear"
        layers += self.dense(units, activation)
        self.features.append(f"output {activation}")
        return layers, activation

    def dense(self, units: int, activation: str) -> list[Any]:
        """Return a Dense layer with its activation, inside it or as a layer of its own."""
        bias = self.chance(0.9)
        if activation != "linear" and self.chance(0.3):
            layers: dict[str, Any] = {"relu": L.ReLU, "softmax": L.Softmax}
            own = layers[activation]() if activation in layers and self.chance(0.5) else L.Activation(activation)
            self.features.append("Activation")
            return [L.Dense(units, use_bias=bias), own]
        return [L.Dense(units, activation=activation, use_bias=bias)]

    def functional(
        self, inputs: Any, front: list[Any], encoder: list[Any], head: list[Any], odd: str | None
    ) -> Any:
        """Return a Functional model, in which layers may read states or be called in training mode."""
        self.features.append("Functional")
        steps = inputs
        for layer in front:
            steps = layer(steps)
        for layer in encoder:
            if odd == "training" and isinstance(layer, L.Dropout):
                steps = layer(steps, training=True)
            elif odd in ("cell state", "hidden state") and isinstance(layer, L.LSTM) and not layer.return_sequences:
                config = {**layer.get_config(), "return_state": True}
                outputs = L.LSTM.from_config(config)(steps)
                steps = outputs[2 if odd == "cell state" else 1]
            else:
                steps = layer(steps)
        pooled = steps
        if odd == "training":
            steps = L.Dropout(0.4)(steps, training=True)
        if odd == "branches":
            steps = L.Concatenate()([steps, L.Dense(2)(steps)])
        for layer in head:
            steps = layer(steps)
        return keras.Model(inputs, [steps, pooled] if odd == "two outputs" else steps)

    def compile(self, model: Any, activation: str, odd: str | None) -> None:
        """Compile the model with a loss that fits its outputs, or leave it uncompiled."""
        if odd == "loss":
            model.compile(loss=self.choose("mse", "binary_crossentropy", "hinge"))
        elif odd != "two outputs" and self.chance(0.6):
            logits = activation == "linear"
            binary = model.output_shape[-1] == 1
            losses = [keras.losses.BinaryCrossentropy] if binary else [
                keras.losses.CategoricalCrossentropy, keras.losses.SparseCategoricalCrossentropy
            ]  # fmt: skip
            model.compile(optimizer=self.choose("adam", "sgd"), loss=self.choose(*losses)(from_logits=logits))


def custom_lstm() -> Any:
    """Return a class named LSTM that computes something else."""

    class LSTM(L.LSTM):  # type: ignore[misc, name-defined]
        def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = False) -> Any:
            return super().call(-2 * sequences, initial_state=initial_state, mask=mask, training=training)

    register = keras.saving if hasattr(keras, "saving") else keras.utils
    return register.register_keras_serializable("mine")(LSTM)


CUSTOM_LSTM = custom_lstm()


def keras_words(text: str) -> list[str]:
    """Return the words of Keras' text_to_word_sequence."""
    filters = string.punctuation.replace("'", "") + "\t\n"
    return [word for word in text.lower().translate({ord(c): " " for c in filters}).split(" ") if word]


def main() -> None:
    """Write COUNT cases."""
    folder, seed, count = Path(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4])
    for number in range(seed, seed + count):
        Maker(folder / f"{LIBRARY}-{number}", number).make()
    print(json.dumps({"keras": keras.__version__}))


if __name__ == "__main__":
    main()
