"""Which files a translation reads, and where it writes each output: never over an input."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from p2ptk.datasets.images import IMAGE_SUFFIXES, UnreadableImage, image_size
from p2ptk.errors import UserError


@dataclass(frozen=True)
class Job:
    """An input file, and its path below the output folder, still with its own extension."""

    path: Path
    name: Path


def find_inputs(inputs: Sequence[str | Path], out: Path) -> list[Job]:
    """Every image that the inputs mean; folders are searched through, but not `out` in them.

    Raises UserError for what does not exist and for folders without images.
    """
    jobs: list[Job] = []
    folders = [Path(p) for p in inputs if Path(p).is_dir()]
    for path in map(Path, inputs):
        if path.is_dir():
            inner = out.resolve() if out.resolve() != path.resolve() else None
            found = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in IMAGE_SUFFIXES
                and file.is_file()
                and (inner is None or inner not in file.resolve().parents)
            ]
            if not found:
                raise UserError(f"the folder {path} holds no images.")
            # Several folders keep their own names, so that their files don't meet.
            above = Path(path.resolve().name) if len(folders) > 1 else Path()
            jobs += [Job(file, above / file.relative_to(path)) for file in found]
        elif path.is_file():
            jobs.append(Job(path, Path(path.name)))
        else:
            raise UserError(f"there is no file or folder {str(path)!r}.")
    return list(dict.fromkeys(jobs))


def plan_outputs(
    jobs: Sequence[Job], out: Path, suffix_for: Callable[[str], str]
) -> dict[Job, Path]:
    """Where each job's output goes: below the folder `out`, or to the image file `out`.

    suffix_for: the extension an output gets, from that of its input in lower case.
    Raises UserError if that is where an input lies.
    """
    inputs = {_identity(job.path): job.path for job in jobs}
    places: dict[Job, Path] = {}
    taken: set[str] = set()
    for job in jobs:
        end = job.name.suffix
        place = out / job.name.with_suffix(suffix_for(end.lower()))
        if out.suffix.lower() in IMAGE_SUFFIXES and not out.is_dir():
            if len(jobs) > 1:
                raise UserError(f"{out} is a file name, and there are {len(jobs)} inputs.")
            if out.suffix.lower() != suffix_for(out.suffix.lower()):
                better = out.with_suffix(suffix_for(out.suffix.lower()))
                raise UserError(f"{out.suffix} can't hold this model's output: write {better}.")
            place = out
        number, stem = 1, f"{place.stem}-{end[1:].lower()}"
        while os.path.normcase(place).lower() in taken:  # a.jpg after a.png: a-jpg.png
            place = place.with_name((f"{stem}-{number}" if number > 1 else stem) + place.suffix)
            number += 1
        taken.add(os.path.normcase(place).lower())
        if place.exists() and _identity(place) in inputs:
            raise UserError(
                f"the translation of {job.path} would overwrite the input "
                f"{inputs[_identity(place)]}: choose another output folder."
            )
        places[job] = place
    return places


def _identity(path: Path) -> tuple[int, int]:
    """The same for every name of a file: links, and letters that a file system holds for equal."""
    found = path.stat()
    return found.st_dev, found.st_ino


def refuse_side_by_side(jobs: Sequence[Job], aspect: float) -> None:
    """Raises UserError for a picture twice as wide as `aspect` (width / height) says.

    It is most likely a pair of training pictures side by side.
    """
    for job in jobs:
        try:
            h, w = image_size(job.path)
        except UnreadableImage:
            continue  # named when it is read
        if abs(w / h / aspect - 2) < 0.02:
            folder, split = job.path.parent, "val"
            if folder.name in ("train", "val", "test"):
                folder, split = folder.parent, folder.name
            raise UserError(
                f"{job.path} is {w}x{h}, twice as wide as what the model was trained on: if it "
                f"shows a pair side by side, write `-d {folder} --split {split}` in its place; "
                "if it is one picture, add --as-is."
            )
