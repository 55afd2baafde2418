"""Pairs of image files: checked once by their headers, then read when asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from p2ptk.contracts import Pair, Side
from p2ptk.datasets.images import Header, UnreadableImage, check_image, read_image
from p2ptk.datasets.sides import read_side
from p2ptk.errors import UserError
from p2ptk.pairs.subset import drawn

SHOWN = 10  # problems listed in a message


@dataclass(frozen=True)
class Problem:
    """A file, or a row of a list, that gives no pair, and why."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


@dataclass(frozen=True)
class Entry:
    """One pair on disk. `a == b` means that the file's left half is A and its right half B.

    single: both sides are the whole of that file.
    """

    name: str
    a: Path
    b: Path
    size: tuple[int, int] = (0, 0)  # height, width of one side; known once checked
    single: bool = False

    @property
    def halves(self) -> bool:
        return self.a == self.b and not self.single


@dataclass(frozen=True)
class FileSplit:
    """A split of file pairs: decodes when indexed, and travels to worker processes."""

    entries: tuple[Entry, ...]
    a: Side
    b: Side

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each pair, from the headers."""
        return tuple(entry.size for entry in self.entries)

    def files(self) -> tuple[Path, ...]:
        """The files that the pairs are made of, in their order."""
        return tuple(path for e in self.entries for path in dict.fromkeys((e.a, e.b)))

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Pair:
        """Raises UnreadableImage where a file turns out to be damaged."""
        entry = self.entries[index]
        if entry.single:
            picture = read_side(entry.a, self.a)
            return Pair(picture, picture, entry.name)
        if not entry.halves:
            return Pair(read_side(entry.a, self.a), read_side(entry.b, self.b), entry.name)
        left = read_side(entry.a, self.a)
        right = left if self.a == self.b else read_side(entry.b, self.b)
        if left.shape[-1] != 2 * entry.size[1]:
            raise UnreadableImage(entry.a, "its size has changed since the data was opened")
        width = entry.size[1]
        return Pair(left[..., :width].contiguous(), right[..., width:].contiguous(), entry.name)


class FilePairs:
    """What the datasets of files have in common: splits, sides, and the files left out."""

    def __init__(
        self,
        where: Path,
        found: Mapping[str, Sequence[Entry]],
        problems: Sequence[Problem],
        a: Side,
        b: Side,
        *,
        skip_bad: bool,
        val_fraction: float,
        split_seed: int,
    ) -> None:
        """Check all entries. Raises UserError that lists what is wrong, unless `skip_bad`."""
        self.a, self.b, self.where = a, b, where
        good, bad = check(found, a, b)
        self.skipped = [*problems, *bad]
        if self.skipped and not skip_bad:
            raise UserError(f"{where}: {listed(self.skipped)}\n--skip-bad goes on without them.")
        if not any(good.values()):
            raise UserError(f"{where}: no pair can be used: {listed(self.skipped)}")
        entries = with_val(good, val_fraction, split_seed)
        self._splits = {k: FileSplit(tuple(v), a, b) for k, v in entries.items() if v}

    def splits(self) -> tuple[str, ...]:
        return tuple(self._splits)

    def split(self, name: str) -> FileSplit:
        """Raises UserError naming the splits that exist."""
        if name not in self._splits:
            there = ", ".join(self._splits)
            raise UserError(f"{self.where} has no split {name!r}; it has {there}.")
        return self._splits[name]


def with_val(
    found: Mapping[str, Sequence[Entry]], fraction: float, seed: int
) -> dict[str, Sequence[Entry]]:
    """The splits, with a `val` drawn from `train` where there is none (`pairs.subset.drawn`)."""
    train = found.get("train", ())
    if "val" in found or len(train) < 2 or not fraction:
        return dict(found)
    chosen = drawn([entry.name for entry in train], fraction, seed)
    rest = {name: entries for name, entries in found.items() if name != "train"}
    return {
        "train": [entry for i, entry in enumerate(train) if i not in chosen],
        "val": [train[i] for i in sorted(chosen)],
        **rest,
    }


def check(
    found: Mapping[str, Sequence[Entry]], a: Side, b: Side
) -> tuple[dict[str, list[Entry]], list[Problem]]:
    """The entries whose files are whole and agree, with their sizes, and the problems of the rest.

    Reads headers only, in threads. Raises UserError for float data without a range.
    """
    entries = [entry for part in found.values() for entry in part]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(_look, entries))
    for side_at, (which, side) in enumerate((("a", a), ("b", b))):
        counts = Counter(r[side_at].channels for r in results if not isinstance(r, Problem))
        usual = counts.most_common(1)[0][0] if counts else 0
        for i, (entry, result) in enumerate(zip(entries, results, strict=True)):
            if isinstance(result, Problem):
                continue
            path = (entry.a, entry.b)[side_at]
            own = "" if entry.single else f"{which}_"
            if why := _unfit(own, result[side_at], side, path, usual):
                results[i] = Problem(str(path), why)

    left = iter(zip(entries, results, strict=True))
    good: dict[str, list[Entry]] = {}
    for split, part in found.items():
        pairs = [next(left) for _ in part]
        good[split] = [replace(e, size=_size(e, r[0])) for e, r in pairs if isinstance(r, tuple)]
    return good, [r for r in results if isinstance(r, Problem)]


def listed(problems: Sequence[Problem]) -> str:
    """The first problems, one a line, and how many more there are."""
    lines = [f"\n  {problem}" for problem in problems[:SHOWN]]
    more = len(problems) - SHOWN
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    return count + "".join(lines) + (f"\n  and {more} more" if more > 0 else "")


def twice(names: Iterable[str]) -> set[str]:
    """The names that come more than once."""
    return {name for name, count in Counter(names).items() if count > 1}


def _look(entry: Entry) -> Problem | tuple[Header, Header]:
    """The headers of both sides, or what is wrong with a file or between the two."""
    try:
        a = check_image(entry.a)
        b = a if entry.a == entry.b else check_image(entry.b)
    except UnreadableImage as error:
        return Problem(str(error.path), error.why)
    if entry.halves and a.width % 2:
        return Problem(str(entry.a), f"its width {a.width} is odd, so it has no two halves")
    if (a.height, a.width) != (b.height, b.width):
        sizes = f"it is {a.width}x{a.height}, but {entry.b} is {b.width}x{b.height}"
        return Problem(str(entry.a), sizes)
    return a, b


def _unfit(own: str, header: Header, side: Side, path: Path, usual: int) -> str:
    """Why a file does not suit its side, or nothing. own: how the side's parameters begin."""
    if side.kind == "labels":
        colours = header.channels > 1 and not header.indexed
        return f"labels in colours need {own}palette" if colours and not side.palette else ""
    if header.dtype == "float32" and side.range is None:
        image = read_image(path)
        low, high = float(image.min()), float(image.max())
        raise UserError(
            f"{path} holds float data, so say which values are the ends of the range: "
            f"{own}range=[low,high] (this file goes from {low:g} to {high:g})."
        )
    if header.channels != usual:
        return f"it has {header.channels} channels, most others have {usual}"
    return ""


def _size(entry: Entry, header: Header) -> tuple[int, int]:
    return header.height, header.width // 2 if entry.halves else header.width
