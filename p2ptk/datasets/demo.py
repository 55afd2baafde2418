"""The embedded pairs: the earth as satellites see it, and as a relief map."""

from __future__ import annotations

from pathlib import Path

from p2ptk.datasets.side_by_side import SideBySide


class Demo(SideBySide):
    """59 embedded pairs of 256x256: A is a satellite picture, B a shaded relief map; 10 are test.

    Relief map to satellite picture (`--direction BtoA`) is what people train. Both are in the
    public domain; `earth/ORIGIN.md` says where they come from.
    """

    def __init__(self) -> None:
        super().__init__(path=Path(__file__).with_name("earth"))
