"""Mutations of valid inputs for fuzzing. The same generator state gives the same mutation."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

EDGE_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 1e308, 1.5, "", " ", "\x00", "\ud800", "a" * 5000,
    "\u202e\u0301" * 50, "😀" * 300, "null", [], {}, [[]], [None], [""], {"": ""}, "english-sentiment", "../../etc",
]  # fmt: skip
"""Values that programs often handle wrongly."""


def mutate_bytes(generator: random.Random, content: bytes) -> bytes:
    """Flip a bit, insert, delete or duplicate bytes, or truncate the content, up to 8 times."""
    mutated = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 8))):
        position = generator.randrange(len(mutated) + 1)
        kind = generator.randrange(5)
        if kind == 0 and mutated:
            mutated[position % len(mutated)] ^= 1 << generator.randrange(8)
        elif kind == 1:
            mutated[position:position] = generator.randbytes(generator.choice((1, 2, 16)))
        elif kind == 2:
            del mutated[position : position + generator.choice((1, 4, 64))]
        elif kind == 3:
            mutated[position:position] = mutated[position : position + generator.choice((8, 200))]
        elif generator.random() < 0.3:
            del mutated[position:]
    return bytes(mutated)


def mutate_value(generator: random.Random, value: Any) -> Any:
    """Replace, remove, repeat or nest a part of a JSON value."""
    if isinstance(value, dict) and value and generator.random() < 0.8:
        key = generator.choice(sorted(value))
        kind = generator.random()
        if kind < 0.1:
            return {name: member for name, member in value.items() if name != key}
        if kind < 0.2:
            return {**value, generator.choice(("", "extra", key + " ", "\ud800")): generator.choice(EDGE_VALUES)}
        return {**value, key: mutate_value(generator, value[key])}
    if isinstance(value, list) and value and generator.random() < 0.7:
        position = generator.randrange(len(value))
        rest = value[position + generator.randrange(3) :]
        return [*value[:position], mutate_value(generator, value[position]), *rest]
    return nested_value(generator) if generator.random() < 0.03 else generator.choice(EDGE_VALUES)


def nested_value(generator: random.Random) -> Any:
    """Return a deeply nested value."""
    value: Any = "deep"
    for _ in range(generator.choice((5, 60, 400))):
        value = [value] if generator.random() < 0.5 else {"inputs": value}
    return value


def mutate_body(generator: random.Random, value: Any) -> bytes:
    """Return a request body: JSON of a mutated value, mutated bytes of it, or bytes that are not JSON."""
    mutated = value
    for _ in range(generator.choice((0, 1, 1, 2))):
        mutated = mutate_value(generator, mutated)
    content = json.dumps(mutated, ensure_ascii=generator.random() < 0.5).encode("utf-8", "surrogatepass")
    bodies: list[Callable[[], bytes]] = [
        lambda: content,
        lambda: content,
        lambda: mutate_bytes(generator, content),
        lambda: b"[" * generator.choice((10, 5_000, 200_000)),
        lambda: generator.randbytes(generator.randrange(200)),
        lambda: content.decode("utf-8", "replace").encode("utf-16"),
    ]
    return generator.choices(bodies, (5, 5, 6, 0.2, 0.5, 0.5))[0]()
