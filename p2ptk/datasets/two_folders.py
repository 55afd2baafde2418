"""Pairs in two folders: A and B have files of the same name, whatever their endings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from p2ptk.datasets.filepairs import Entry, FilePairs, Problem
from p2ptk.datasets.folders import images_under, need_folder, no_images, split_folders, stem_of
from p2ptk.datasets.sides import Kind, Range, make_side
from p2ptk.errors import UserError

Folders = dict[str, tuple[Path, Path]]  # the folders of A and B, by split


class TwoFolders(FilePairs):
    """Images of A in one folder and of B in another, paired by their path without the ending.

    These layouts are found by themselves, with `a` and `b` as the names A and B:
    `PATH/A/train` and `PATH/B/train`; `PATH/train/A` and `PATH/train/B`; `PATH/trainA` and
    `PATH/trainB`; or `PATH/A` and `PATH/B` alone, which are all for training. With val and test
    likewise.

    path: the folder that holds both; relative to here, as is usual.
    a, b: names of the two folders, or paths below `path` (or absolute ones): `a=photos,b=maps`.
    a_kind, b_kind: `image`, `labels` (a class a pixel) or `values` (measurements).
    a_range, b_range: values that become -1 and 1; the dtype's own range if none. Float needs one.
    a_classes, b_classes: number of classes of labels that are stored as numbers.
    a_palette, b_palette: colours of the classes, as #rrggbb, of labels that are stored as colours.
    val_fraction: the part of train that is set aside where there is no val.
    split_seed: draws which part.
    skip_bad: go on without files that are damaged, do not fit or have no partner.

    Raises UserError that lists the files that can't be used.
    """

    def __init__(
        self,
        *,
        path: Path = Path(),
        a: str = "A",
        b: str = "B",
        a_kind: Kind = "image",
        b_kind: Kind = "image",
        a_range: Range | None = None,
        b_range: Range | None = None,
        a_classes: Annotated[int, Field(gt=1)] | None = None,
        b_classes: Annotated[int, Field(gt=1)] | None = None,
        a_palette: list[str] | None = None,
        b_palette: list[str] | None = None,
        val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        split_seed: int = 0,
        skip_bad: bool = False,
    ) -> None:
        folders = find_folders(need_folder(path), a, b)
        found: dict[str, list[Entry]] = {}
        problems: list[Problem] = []
        for split, (folder_a, folder_b) in folders.items():
            found[split] = []
            for item in pair_up(folder_a, folder_b):
                (problems if isinstance(item, Problem) else found[split]).append(item)  # type: ignore[arg-type]
        if not any(found.values()):
            raise _no_pair(folders)
        super().__init__(
            path,
            found,
            problems,
            make_side("a", a_kind, a_range, a_classes, a_palette),
            make_side("b", b_kind, b_range, b_classes, b_palette),
            skip_bad=skip_bad,
            val_fraction=val_fraction,
            split_seed=split_seed,
        )


def find_folders(path: Path, a: str, b: str) -> Folders:
    """The two folders of each split, in whichever layout is there.

    Raises UserError where neither is, or one side lacks a split that the other has.
    """
    if (path / a).is_dir() and (path / b).is_dir():
        splits_a, splits_b = split_folders(path / a), split_folders(path / b)
        lone = sorted(splits_a.keys() ^ splits_b.keys())
        if lone:
            has, lacks = (a, b) if lone[0] in splits_a else (b, a)
            raise UserError(f"{path / has} has a folder for {lone[0]}, {path / lacks} has none.")
        both = {split: (splits_a[split], splits_b[split]) for split in splits_a}
        return both or {"train": (path / a, path / b)}
    folders = {
        split: (folder / a, folder / b)
        for split, folder in split_folders(path).items()
        if (folder / a).is_dir() or (folder / b).is_dir()
    } or {
        split: (path / f"{split}{a}", path / f"{split}{b}")
        for split in ("train", "val", "test")
        if (path / f"{split}{a}").is_dir() or (path / f"{split}{b}").is_dir()
    }
    for folder_a, folder_b in folders.values() or [(path / a, path / b)]:
        need_folder(folder_a)
        need_folder(folder_b)
    return folders


def pair_up(folder_a: Path, folder_b: Path) -> Iterator[Entry | Problem]:
    """The pairs of two folders, in the order of names, and what is left over or doubled."""
    by_name_a, by_name_b = _by_name(folder_a), _by_name(folder_b)
    for name in sorted(by_name_a.keys() | by_name_b.keys()):
        files_a, files_b = by_name_a.get(name, []), by_name_b.get(name, [])
        if len(files_a) == len(files_b) == 1:
            yield Entry(name, files_a[0], files_b[0])
        elif not files_a or not files_b:
            other = folder_b if files_a else folder_a
            for file in files_a or files_b:
                yield Problem(str(file), f"it has no partner {name}.* in {other}")
        else:
            for files in (files_a, files_b):
                if len(files) > 1:
                    rest = ", ".join(file.name for file in files[1:])
                    yield Problem(str(files[0]), f"it has the same name as {rest} beside it")


def _by_name(folder: Path) -> Mapping[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in images_under(folder):
        found.setdefault(stem_of(file, folder), []).append(file)
    return found


def _no_pair(folders: Folders) -> UserError:
    """Nothing paired: say which side is empty, or show how the names differ."""
    pairs = list(folders.values())
    for side in (0, 1):
        if not any(images_under(pair[side]) for pair in pairs):
            return no_images(pairs[0][side])
    names = [next(iter(_by_name(folder)), "") for folder in pairs[0]]
    return UserError(
        f"no image in {pairs[0][0]} has a partner of the same name in {pairs[0][1]}: "
        f"names there are like {names[0]!r} and {names[1]!r}."
    )
