from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from p2ptk import UserError
from p2ptk_gradio.limits import Limits, Refused, explain, need_size, open_picture

SMALL = Limits(upload=5000, pixels=10_000)


def encoded(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_formats_are_known_by_their_content(photo: Image.Image, form: str, tmp_path: Path) -> None:
    content = encoded(photo, form)
    assert open_picture(content, SMALL).size == (40, 24)
    (tmp_path / "x.dat").write_bytes(content)
    assert open_picture(tmp_path / "x.dat", SMALL).size == (40, 24)


def test_a_photo_is_turned_upright(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    photo.save(file, "JPEG", exif=exif)
    assert open_picture(file.getvalue(), SMALL).size == (24, 40)


def huge_png() -> bytes:
    """A file of a few bytes that says it holds 100,000 x 100,000 pixels."""
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    )  # fmt: skip


def test_bad_files(photo: Image.Image) -> None:
    cases = [
        (b"", 415, "this is no picture"),
        (b"GIF89a not taken", 415, "this is no picture"),
        (encoded(photo, "GIF"), 415, "give one of PNG, JPEG"),
        (encoded(photo, "PNG")[:-60], 400, "the picture is damaged"),
        (b"x" * 6000, 413, "the file has 0.00572 MB; at most 0.00477 MB are taken."),
        (encoded(Image.new("L", (101, 100)), "PNG"), 413, "the picture is 101x100: at most 0.01"),
        (huge_png(), 413, "at most 0.01 million pixels"),
    ]
    for content, status, sentence in cases:
        with pytest.raises(Refused, match=sentence) as caught:
            open_picture(content, SMALL)
        assert caught.value.status == status


def test_padding_counts() -> None:
    need_size((100, 100), (1, 1), SMALL)
    need_size((1, 10), (256, 256), SMALL)  # one tile of the least size is always taken
    with pytest.raises(Refused, match="1x300"):
        need_size((1, 300), (256, 256), SMALL)


def test_errors_become_sentences() -> None:
    assert explain(UserError("do this.")).sentence == "do this."
    assert explain(UserError("do this.")).status == 422
    assert explain(TimeoutError()).status == 504
    assert "secret" not in explain(RuntimeError("secret")).sentence
