"""Input that was made to do harm: pickles with code, images that swell, names that lead out."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

from PIL import Image


class _Runs:
    """Pickles as a call: what unpickles it makes the call."""

    def __init__(self, function: Any, *words: Any) -> None:
        self.function, self.words = function, words

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.words


def pickles(canary: Path) -> list[bytes]:
    """Pickles that write the canary file when they are loaded without care."""
    code = f"open({str(canary)!r}, 'w').close()"
    calls = (
        _Runs(builtins.exec, code),
        _Runs(builtins.eval, code),
        _Runs(os.system, f"touch {canary}"),
        _Runs(open, str(canary), "w"),
        _Runs(subprocess.call, ["touch", str(canary)]),
        _Runs(builtins.__import__, "antigravity"),
    )
    found = []
    for protocol in (0, 2, 4):
        for call in calls:
            found.append(pickle.dumps(call, protocol))
            found.append(pickle.dumps({"state_dict": {"model.1.weight": call}}, protocol))
    return found


def odd_images() -> list[tuple[str, bytes]]:
    """(suffix, content): sound ones that are rare, and ones that swell."""
    odd = [
        ("png", _saved(Image.new("RGB", (1, 1)), "PNG")),
        ("png", _saved(Image.new("RGB", (30_000, 2)), "PNG")),
        ("png", _saved(Image.new("L", (2, 30_000)), "PNG")),
        ("jpg", _saved(Image.new("CMYK", (9, 9)), "JPEG")),
        ("png", _saved(Image.new("RGB", (9, 9)), "JPEG")),
        ("jpg", _saved(Image.new("RGBA", (9, 9)), "PNG")),
        ("gif", _saved(Image.new("P", (9, 9)), "GIF", save_all=True, append_images=[
            Image.new("P", (9, 9), i) for i in range(5)])),
        ("png", _saved(Image.new("RGB", (9, 9)), "PNG", save_all=True, append_images=[
            Image.new("RGB", (9, 9), (i, 0, 0)) for i in range(5)])),
        ("tif", _saved(Image.new("RGB", (9, 9)), "TIFF", save_all=True, append_images=[
            Image.new("RGB", (5, 7))])),
    ]  # fmt: skip
    # 100,000 x 100,000 pixels by the head, in a few bytes; and a real swell, of 400 MB of zeros.
    odd += [("png", bomb(100_000, 100_000, b"")), ("png", bomb(60_000, 60_000, bytes(1 << 20)))]
    text = struct.pack(">I", 0)
    swollen = zlib.compress(bytes(1 << 24), 9)
    odd.append(("png", bomb(64, 64, bytes(64 * 193), _chunk(b"iCCP", b"x\0\0" + swollen) + text)))
    npy = b"\x93NUMPY\x01\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}"
    odd.append(("npy", npy.ljust(127) + b"\n" + bytes(64)))
    return odd


def bomb(width: int, height: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG of that size by its head, whose rows are what is given."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(rows, 9)
    chunks = _chunk(b"IHDR", head) + extra + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def archive_names() -> list[str]:
    return [
        "../out.png", "toy/../../out.png", "toy/../../../out.png", "/tmp/out.png", "toy/b.png",
        "toy/train/c.png", "toy\\..\\..\\out.png", "C:\\out.png", "C:out.png", "\\\\host\\s\\o.png",
        "toy/./d.png", "toy//e.png", "toy/ f .png", "toy/é.png", "toy/" + "g" * 300 + ".png",
        "toy/" + "h/" * 100 + "i.png", ".", "..", "", "toy/a\n.png", "toy/train/a.png", "CON",
        "toy/nul.png", "toy/train", "~/out.png", "toy/\udce9.png", ".bashrc", "toy/.only/a.png",
    ]  # fmt: skip


def _chunk(name: bytes, data: bytes) -> bytes:
    sum_ = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + sum_


def _saved(image: Image.Image, kind: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()
