"""Notices truncated image files by how they end, without decoding them."""

from __future__ import annotations

from pathlib import Path

from p2ptk.datasets import tiff


def ends_well(path: Path) -> bool:
    """Whether the last bytes are those that the format ends with. False means: look closer."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(max(0, size - 32))
        tail = file.read()
    if head[:2] == b"\xff\xd8":
        return b"\xff\xd9" in tail
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND" in tail
    if head[:4] == b"RIFF":
        return int.from_bytes(head[4:8], "little") + 8 <= size
    if head[:2] == b"BM":
        return 0 < int.from_bytes(head[2:6], "little") <= size
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return tiff.is_whole(path, size)
    return head[:6] == b"\x93NUMPY" or (head[:3] == b"GIF" and tail[-1:] == b";")
