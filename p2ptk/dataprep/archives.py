"""The sets that pix2pix's authors offer, and how each is trained."""

from __future__ import annotations

from dataclasses import dataclass

# As the authors' own script has it; the address with https has failed for some.
BASE = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets"
MIB, GIB = 2**20, 2**30


@dataclass(frozen=True)
class Archive:
    """One set.

    holds: what A and B are. size: about how many bytes the archive has, for a look at the disk
    before the server is asked. options: of `p2ptk run`, beside `-d` and `-o`.
    """

    name: str
    holds: str
    size: int
    options: str

    @property
    def url(self) -> str:
        return f"{BASE}/{self.name}.tar.gz"


_LARGE = "--epochs 15 --batch-size 4 -A none"
ARCHIVES = {
    archive.name: archive
    for archive in (
        Archive("facades", "A photo, B labels", 29 * MIB, "--direction BtoA"),
        Archive("maps", "A aerial photo, B map", 239 * MIB, "--direction AtoB"),
        Archive("cityscapes", "A photo, B labels", 99 * MIB, "--direction BtoA"),
        Archive("edges2shoes", "A edges, B photo", 2 * GIB, f"--direction AtoB {_LARGE}"),
        Archive("edges2handbags", "A edges, B photo", 8 * GIB, f"--direction AtoB {_LARGE}"),
        Archive(
            "night2day",
            "A night, B day",
            round(1.9 * GIB),
            "--direction BtoA --epochs 17 --batch-size 4",
        ),
    )
}
