"""Folders of images: what lies in them, which splits they are, and what is said when none is."""

from __future__ import annotations

import os
from pathlib import Path

from p2ptk.datasets.images import IMAGE_SUFFIXES
from p2ptk.errors import UserError, did_you_mean

# Folder names that are splits, by the name that p2ptk calls them.
SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}


def need_folder(path: Path) -> Path:
    """The path, if it is a folder. Raises UserError with the nearest name that exists."""
    try:
        if path.is_dir():
            return path
    except OSError as error:  # a name that is too long for any system
        raise UserError(f"{path} can't be opened: {error.strerror}.") from None
    if path.exists():
        raise UserError(f"{path} is a file, not a folder.")
    above = path.absolute().parent
    if not above.is_dir():
        need_folder(path.parent)
    choices = [child.name for child in above.iterdir() if child.is_dir()]
    raise UserError(f"there is no folder {path}: {did_you_mean(path.name, choices)}")


def images_under(folder: Path) -> list[Path]:
    """All image files in a folder and below it, in the order of their names; hidden ones left out.

    Links are followed, each folder once.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = [
            name
            for name in folders
            if name[0] != "." and os.path.realpath(Path(place, name)) not in seen
        ]
        found += [Path(place, name) for name in files if name[0] != "." and is_image(name)]
    return sorted(found)


def is_image(name: str | Path) -> bool:
    """Whether a file's name ends as one of those that p2ptk reads."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders train, val (validation, valid) and test in `folder`, by split.

    Raises UserError where two folders are the same split.
    """
    found: dict[str, Path] = {}
    for child in sorted(folder.iterdir()):
        split = SPLITS.get(child.name.lower())
        if split and child.is_dir():
            if split in found:
                raise UserError(f"{found[split]} and {child} are both the split {split!r}.")
            found[split] = child
    return {split: found[split] for split in ("train", "val", "test") if split in found}


def stem_of(path: Path, folder: Path) -> str:
    """A file's path below `folder` without its ending, with `/` on every system."""
    return path.relative_to(folder).with_suffix("").as_posix()


def no_images(folder: Path) -> UserError:
    """What to raise for a folder that holds no image."""
    kinds = ", ".join(sorted(IMAGE_SUFFIXES))
    return UserError(f"{folder} holds no images (files that end with {kinds}).")
