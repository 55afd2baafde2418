"""Guesses how a bare path holds its pairs, and says what was guessed and why."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from p2ptk.datasets.folders import images_under, is_image, need_folder, no_images, split_folders
from p2ptk.datasets.images import UnreadableImage, image_size
from p2ptk.datasets.list import LIST_SUFFIXES
from p2ptk.datasets.two_folders import Folders, find_folders
from p2ptk.errors import UserError
from p2ptk.specs import Spec

LOOKED_AT = 256  # headers that are read to guess


def guess(path: Path) -> tuple[Spec, str]:
    """The spec of a folder or list of pairs, and one sentence that says why it is read so.

    Two folders called A and B, in any layout that `two-folders` knows; or images that are exactly
    twice as wide as high, side by side; or any two folders whose images have the same names.
    Raises UserError for a path that is missing or holds no pairs, and, where it could be either,
    one that shows how to write the spec.
    """
    if path.is_file():
        return _of_file(path)
    need_folder(path)
    splits = split_folders(path)
    if folders := _named_a_and_b(path):
        return _two_folders(path, "A", "B", folders)
    if names := _two_alike(splits.get("train", path)):
        return _two_folders(path, *names, find_folders(path, *names))
    sets = sorted(str(x) for x in path.iterdir() if x.is_dir() and split_folders(x))
    if sets and not splits:
        raise UserError(f"{path} holds sets, and is none itself: give one of {', '.join(sets)}.")
    return _side_by_side(path, splits or {"train": path})


def _of_file(path: Path) -> tuple[Spec, str]:
    if path.suffix.lower() in LIST_SUFFIXES:
        spec = Spec("list", {"path": str(path)})
        return spec, f"{path}: a {path.suffix.lower()[1:].upper()} file, read as a list of pairs."
    if is_image(path):
        raise UserError(f"{path} is one image: give the folder that holds the pairs.")
    raise UserError(f"{path} is no list of pairs: it should end with .csv or .jsonl.")


def _named_a_and_b(path: Path) -> Folders:
    """The folders A and B of each split, or nothing where neither layout is there."""
    splits = list(split_folders(path).values())
    places = [path / "A", path / "trainA", path / "testA", *(folder / "A" for folder in splits)]
    return find_folders(path, "A", "B") if any(place.is_dir() for place in places) else {}


def _two_alike(folder: Path) -> tuple[str, str] | None:
    """The names of the only two folders here, if most of their images share their names."""
    inside = sorted(x for x in folder.iterdir() if x.is_dir() and x.name[0] != ".")
    if len(inside) != 2 or split_folders(folder):
        return None
    files = [images_under(each) for each in inside]
    a, b = ({file.stem for file in each} for each in files)
    if len(a & b) * 2 <= max(len(a), len(b)) or _halves(_sizes(files[0])):
        return None
    return inside[0].name, inside[1].name


def _two_folders(path: Path, a: str, b: str, folders: Folders) -> tuple[Spec, str]:
    names = {} if (a, b) == ("A", "B") else {"a": a, "b": b}
    counts = {split: len(images_under(pair[0])) for split, pair in folders.items()}
    where = " and ".join(str(folder) for folder in next(iter(folders.values())))
    why = f"{path}: two folders, {where}: read as {_count(counts, 'pairs')} of the same names"
    hint = f"; A is {a}, B is {b}" if names else ""
    return Spec("two-folders", {"path": str(path), **names}), f"{why}{hint}."


def _side_by_side(path: Path, folders: dict[str, Path]) -> tuple[Spec, str]:
    files = {split: images_under(folder) for split, folder in folders.items()}
    together = [file for part in files.values() for file in part]
    if not together:
        raise no_images(path)
    sizes = _sizes(together)
    if not sizes:
        raise UserError(f"{path}: none of its {len(together)} images can be read.")
    counts = {split: len(part) for split, part in files.items() if part}
    shown = "x".join(map(str, next(iter(sizes))[::-1])) if len(sizes) == 1 else "of many sizes"
    what = f"{path}: {_count(counts, 'images')} {shown}"
    if _halves(sizes):
        spec = Spec("side-by-side", {"path": str(path)})
        return spec, f"{what}, twice as wide as high: read as side-by-side pairs."
    by_side = Spec("side-by-side", {"path": str(path)})
    two = Spec("two-folders", {"path": str(path), "a": "PHOTOS", "b": "MAPS"})
    single = Spec("photos", {"path": str(path)})
    raise UserError(
        f"{what}, not twice as wide as high, so how they pair is not plain. "
        f"Write -d '{by_side}' if each is a pair, -d '{two}' with the names of two folders, "
        f"or -d '{single}' for single pictures that an augmentation makes sources of."
    )


def _sizes(files: list[Path]) -> set[tuple[int, int]]:
    """The sizes of some of the files, spread evenly; of those that can be read."""
    step = -(-len(files) // LOOKED_AT) or 1
    with ThreadPoolExecutor(8) as pool:
        return {size for size in pool.map(_size, files[::step]) if size}


def _halves(sizes: set[tuple[int, int]]) -> bool:
    return bool(sizes) and all(width == 2 * height for height, width in sizes)


def _size(file: Path) -> tuple[int, int] | None:
    try:
        return image_size(file)
    except UnreadableImage:  # listed when the data is opened
        return None


def _count(counts: dict[str, int], what: str) -> str:
    """`400 train and 100 val images`."""
    return " and ".join(f"{number} {split}" for split, number in counts.items()) + f" {what}"
