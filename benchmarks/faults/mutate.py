"""Sound input, changed a little by a seeded hand: bytes, text, and tables as JSON and TOML hold."""

from __future__ import annotations

import copy
import random
from typing import Any

NASTY_NUMBERS = (
    0, 1, -1, 2, 7, 255, 65535, 99_999, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    10**30, -(2**63), 0.5, -0.0, 1e-320, 1e308, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
NASTY_TEXTS = (
    "", " ", "\0", "\n", "none", "true", "..", "../../outside", "/etc/passwd", "/dev/zero",
    "C:\\outside", "~", "a" * 5000, "9" * 5000, "[" * 3000, "{" * 3000, "a(b=" * 500, "é💥\u202e",
    "%s%n{0}${HOME}", "__import__('os').system('true')", "unet", "./outside.py:Net", "1e999",
    "name", "\ud800",
)  # fmt: skip
MAGIC = (b"\0", b"\xff", b"\x80\x02", b"PK\x03\x04", b"{", b'"', b"IHDR", b"IDAT", b"IEND", b"..")


def nasty(rng: random.Random) -> Any:
    """A value that hardly anything expects."""
    match rng.randrange(6):
        case 0 | 1:
            return rng.choice(NASTY_NUMBERS)
        case 2 | 3:
            return rng.choice(NASTY_TEXTS)
        case 4:
            return rng.choice((None, True, False, [], {}, [[]], {"": {}}, {"name": {}}, [None, 1]))
    deep: Any = 1
    for _ in range(rng.choice((5, 60, 180))):
        deep = [deep] if rng.random() < 0.5 else {"name": deep}
    return deep


def in_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to four small changes: flipped, cut, lost, doubled, foreign and extreme bytes."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        # Heads decide more than bodies: half of the changes go there.
        reach = min(len(made), 64) if rng.random() < 0.5 else len(made)
        at = rng.randrange(reach) if reach else 0
        end = at + rng.choice((1, 2, 4, 8, 100))
        match rng.randrange(8):
            case 0 | 1:
                made[at:end] = bytes(b ^ (1 << rng.randrange(8)) for b in made[at:end])
            case 2:
                del made[rng.randrange(len(made) + 1) :]
            case 3:
                del made[at:end]
            case 4:
                made[at:at] = made[at:end] * rng.choice((1, 3, 50))
            case 5:
                made[at:at] = rng.choice(MAGIC)
            case 6:
                number = rng.choice((0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1))
                made[at : at + 4] = number.to_bytes(4, rng.choice(("little", "big")))
            case _:
                made[at:end] = rng.randbytes(end - at)
    return bytes(made)


def in_text(text: str, rng: random.Random) -> str:
    """One to three lines, words or letters changed."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        lines = text.splitlines(keepends=True) or [""]
        i = rng.randrange(len(lines))
        words = lines[i].split(" ")
        j = rng.randrange(len(words))
        value = nasty(rng)
        shown = value if isinstance(value, str) and rng.random() < 0.5 else _shown(value)
        match rng.randrange(7):
            case 0:
                del lines[i]
            case 1:
                lines.insert(rng.randrange(len(lines)), lines[i])
            case 2 | 3:
                words[j] = shown + ("\n" if words[j].endswith("\n") else "")
                lines[i] = " ".join(words)
            case 4:
                head, equals, _ = lines[i].partition("=")
                lines[i] = f"{head}{equals} {shown}\n" if equals else lines[i]
            case 5:
                at = rng.randrange(len(lines[i]) + 1)
                letter = rng.choice(" =:,.[]{}()\"'#\\\n\0é-+0a")
                lines[i] = lines[i][:at] + letter + lines[i][at + rng.randrange(2) :]
            case _:
                lines[i] = lines[i][: rng.randrange(len(lines[i]) + 1)]
        text = "".join(lines)
    return text


def in_table(table: Any, rng: random.Random) -> Any:
    """A copy in which one to three values, keys or items are others."""
    made = copy.deepcopy(table)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(made))
        if not places:
            return nasty(rng)
        holder, key = rng.choice(places)
        match rng.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                name = nasty(rng)
                holder[name if isinstance(name, str) else "extra"] = holder.pop(key)
            case 2 if isinstance(holder[key], (int, float)):
                holder[key] = rng.choice(NASTY_NUMBERS)
            case 3 if isinstance(holder[key], str):
                holder[key] = rng.choice(NASTY_TEXTS)
            case _:
                holder[key] = nasty(rng)
    return made


def _places(value: Any) -> Any:
    """Each (holder, key or index) in a tree of dicts and lists."""
    if isinstance(value, dict):
        for key in list(value):
            yield value, key
            yield from _places(value[key])
    elif isinstance(value, list):
        for i in range(len(value)):
            yield value, i
            yield from _places(value[i])


def _shown(value: Any) -> str:
    """A value roughly as TOML and specs write it."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case dict():
            return "{" + ", ".join(f"{k or '_'} = {_shown(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_shown, value)) + "]"
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
