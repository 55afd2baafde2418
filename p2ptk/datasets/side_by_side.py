"""Pairs in one image: A is the left half, B the right half."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from p2ptk.datasets.filepairs import Entry, FilePairs, twice
from p2ptk.datasets.folders import images_under, need_folder, no_images, split_folders, stem_of
from p2ptk.datasets.sides import Kind, Range, make_side


class SideBySide(FilePairs):
    """A folder of images that hold A | B, side by side (as Isola et al. 2017 publish theirs).

    path: folder with train, val and test in it, of which val and test may be missing (and val may
        be called valid or validation); or a folder of images, which are all for training.
    a_kind, b_kind: `image`, `labels` (a class a pixel) or `values` (measurements).
    a_range, b_range: values that become -1 and 1; the dtype's own range if none. Float needs one.
    a_classes, b_classes: number of classes of labels that are stored as numbers.
    a_palette, b_palette: colours of the classes, as #rrggbb, of labels that are stored as colours.
    val_fraction: the part of train that is set aside where there is no val.
    split_seed: draws which part.
    skip_bad: go on without files that are damaged or do not fit.

    Raises UserError that lists the files that can't be used.
    """

    def __init__(
        self,
        *,
        path: Path,
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
        folders = split_folders(need_folder(path)) or {"train": path}
        found = {split: _entries(folder) for split, folder in folders.items()}
        if not any(found.values()):
            raise no_images(path)
        super().__init__(
            path,
            found,
            (),
            make_side("a", a_kind, a_range, a_classes, a_palette),
            make_side("b", b_kind, b_range, b_classes, b_palette),
            skip_bad=skip_bad,
            val_fraction=val_fraction,
            split_seed=split_seed,
        )


def _entries(folder: Path) -> Sequence[Entry]:
    files = images_under(folder)
    names = name_files(files, folder)
    return [Entry(name, file, file) for name, file in zip(names, files, strict=True)]


def name_files(files: Sequence[Path], folder: Path) -> list[str]:
    """The files' stems below `folder`, or their whole names where two share the stem."""
    stems = [stem_of(file, folder) for file in files]
    shared = twice(stems)
    return [
        stem if stem not in shared else file.relative_to(folder).as_posix()
        for stem, file in zip(stems, files, strict=True)
    ]
