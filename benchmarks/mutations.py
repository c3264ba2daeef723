"""What fuzzing feeds: valid things with something wrong about them, the same for the same generator."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 1e308, 1.5, "", " ", "\x00", "\ud800", "a" * 5000,
    "\u202e\u0301" * 50, "😀" * 300, "null", [], {}, [[]], [None], [""], {"": ""}, "english-sentiment", "../../etc",
]  # fmt: skip
"""Values that are often not thought of."""


def bytes_of(generator: random.Random, content: bytes) -> bytes:
    """The content with one to a few of its bytes changed, left out, doubled or cut off."""
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 8))):
        at = generator.randrange(len(changed) + 1)
        what = generator.randrange(5)
        if what == 0 and changed:
            changed[at % len(changed)] ^= 1 << generator.randrange(8)
        elif what == 1:
            changed[at:at] = generator.randbytes(generator.choice((1, 2, 16)))
        elif what == 2:
            del changed[at : at + generator.choice((1, 4, 64))]
        elif what == 3:
            changed[at:at] = changed[at : at + generator.choice((8, 200))]
        elif generator.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def value_of(generator: random.Random, value: Any) -> Any:
    """The JSON value with something in it replaced, left out, repeated or put deeper."""
    if isinstance(value, dict) and value and generator.random() < 0.8:
        key = generator.choice(sorted(value))
        what = generator.random()
        if what < 0.1:
            return {name: of for name, of in value.items() if name != key}
        if what < 0.2:
            return {**value, generator.choice(("", "extra", key + " ", "\ud800")): generator.choice(ODD)}
        return {**value, key: value_of(generator, value[key])}
    if isinstance(value, list) and value and generator.random() < 0.7:
        at = generator.randrange(len(value))
        return [*value[:at], value_of(generator, value[at]), *value[at + generator.randrange(3) :]]
    return deep(generator) if generator.random() < 0.03 else generator.choice(ODD)


def deep(generator: random.Random) -> Any:
    """A value within many others."""
    value: Any = "deep"
    for _ in range(generator.choice((5, 60, 400))):
        value = [value] if generator.random() < 0.5 else {"inputs": value}
    return value


def body_of(generator: random.Random, value: Any) -> bytes:
    """A request's body: JSON of a changed value, or changed bytes of it, or neither JSON nor text."""
    changed = value
    for _ in range(generator.choice((0, 1, 1, 2))):
        changed = value_of(generator, changed)
    content = json.dumps(changed, ensure_ascii=generator.random() < 0.5).encode("utf-8", "surrogatepass")
    ways: list[Callable[[], bytes]] = [
        lambda: content,
        lambda: content,
        lambda: bytes_of(generator, content),
        lambda: b"[" * generator.choice((10, 5_000, 200_000)),
        lambda: generator.randbytes(generator.randrange(200)),
        lambda: content.decode("utf-8", "replace").encode("utf-16"),
    ]
    return generator.choices(ways, (5, 5, 6, 0.2, 0.5, 0.5))[0]()
