"""Makes side-by-side images of two folders: A left, B right."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from p2ptk.dataprep.place import need_place, staged
from p2ptk.datasets.filepairs import Entry, Problem, listed
from p2ptk.datasets.folders import need_folder, no_images, split_folders
from p2ptk.datasets.images import Header, UnreadableImage, check_image, read_image
from p2ptk.datasets.two_folders import find_folders, pair_up
from p2ptk.datasets.write import write_image
from p2ptk.errors import UserError

Format = Literal["png", "tif"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Combined:
    """What was written: images by split ("" where the folders have none), and what was done."""

    counts: Mapping[str, int]
    grey: int  # pairs of which one side was grey and got three equal channels


def combine(
    a: Path,
    b: Path,
    out: Path,
    *,
    format: Format = "png",
    force: bool = False,
    progress: Progress | None = None,
) -> Combined:
    """Write OUT/SPLIT/NAME.png of A/SPLIT/NAME.* and B/SPLIT/NAME.*, without loss.

    Splits and folders within them are kept; where there are none the images lie in OUT. All is
    written beside OUT first and put in its place at the end.
    force: write into a folder that holds something, over files of the same names.

    Raises UserError that lists the files without a partner and the pairs that don't fit: of other
    size, of another depth, or with channels that `format` can't hold.
    """
    found, problems = _pairs(a, b)
    need_place(out, (a, b), force)
    flat = not split_folders(a)
    entries = [(Path() if flat else Path(split), e) for split, part in found.items() for e in part]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        checked = list(pool.map(lambda each: _check(each[1], format), entries))
        problems += [result for result in checked if isinstance(result, Problem)]
        if problems:
            raise UserError(f"nothing was written: {listed(problems)}")
        with staged(out, force) as place:
            todo = [(entry, place / folder / f"{entry.name}.{format}") for folder, entry in entries]
            for done, _ in enumerate(pool.map(lambda each: _write(*each), todo), 1):
                if progress:
                    progress(done, len(entries))
    counts = {"" if flat else split: len(part) for split, part in found.items()}
    return Combined(counts, sum(result is True for result in checked))


def _pairs(a: Path, b: Path) -> tuple[dict[str, list[Entry]], list[Problem]]:
    need_folder(a)
    need_folder(b)
    if a.resolve() == b.resolve():
        raise UserError(f"{a} and {b} are the same folder.")
    found: dict[str, list[Entry]] = {}
    problems: list[Problem] = []
    for split, folders in find_folders(Path(), str(a), str(b)).items():
        for item in pair_up(*folders):
            if isinstance(item, Problem):
                problems.append(item)
            else:
                found.setdefault(split, []).append(item)
    if not found and not problems:
        raise no_images(a)
    return found, problems


def _check(entry: Entry, format: Format) -> Problem | bool:
    """What keeps a pair from being one image; else whether one of its sides is grey, one not."""
    try:
        a, b = check_image(entry.a), check_image(entry.b)
    except UnreadableImage as error:
        return Problem(str(error.path), error.why)
    if why := _unlike(a, b, entry.b):
        return Problem(str(entry.a), why)
    channels = max(a.channels, b.channels)
    if format == "png" and (channels > 4 or a.dtype == "float32"):
        what = f"{channels} channels" if channels > 4 else "float values"
        return Problem(str(entry.a), f"a PNG can't hold {what}; write TIFF with --format tif")
    return a.channels != b.channels


def _unlike(a: Header, b: Header, other: Path) -> str:
    """In what way two sides can't share an image, or nothing."""
    if (a.height, a.width) != (b.height, b.width):
        return f"it is {a.width}x{a.height}, but {other} is {b.width}x{b.height}"
    if a.dtype != b.dtype:
        return (
            f"it holds {a.dtype}, but {other} holds {b.dtype}: one file can't hold both; train on "
            "the two folders as they are"
        )
    if a.channels != b.channels and {a.channels, b.channels} != {1, 3}:
        return f"it has {a.channels} channels, but {other} has {b.channels}"
    return ""


def _write(entry: Entry, path: Path) -> None:
    sides = [read_image(entry.a), read_image(entry.b)]
    channels = max(len(side) for side in sides)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, torch.cat([_widened(side, channels) for side in sides], -1))


def _widened(x: Tensor, channels: int) -> Tensor:
    return x if len(x) == channels else x.expand(channels, -1, -1)
