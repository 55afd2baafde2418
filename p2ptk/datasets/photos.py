"""Single pictures: both sides of a pair are the same, until an augmentation makes the source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from p2ptk.datasets.filepairs import Entry, FilePairs
from p2ptk.datasets.folders import images_under, need_folder, no_images, split_folders
from p2ptk.datasets.side_by_side import name_files
from p2ptk.datasets.sides import Range, make_side


class Photos(FilePairs):
    """A folder of single pictures, for augmentations that make the source: `-A colorize`.

    path: folder with train, val and test in it, of which val and test may be missing (and val may
        be called valid or validation); or a folder of pictures, which are all for training.
    kind: `image`, or `values` (measurements).
    range: values that become -1 and 1; the dtype's own range if none. Float needs one.
    val_fraction: the part of train that is set aside where there is no val.
    split_seed: draws which part.
    skip_bad: go on without files that are damaged or do not fit.

    Raises UserError that lists the files that can't be used.
    """

    def __init__(
        self,
        *,
        path: Path,
        kind: Literal["image", "values"] = "image",
        range: Range | None = None,
        val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        split_seed: int = 0,
        skip_bad: bool = False,
    ) -> None:
        folders = split_folders(need_folder(path)) or {"train": path}
        found = {split: _entries(folder) for split, folder in folders.items()}
        if not any(found.values()):
            raise no_images(path)
        side = make_side("", kind, range, None, None)
        super().__init__(
            path,
            found,
            (),
            side,
            side,
            skip_bad=skip_bad,
            val_fraction=val_fraction,
            split_seed=split_seed,
        )


def _entries(folder: Path) -> Sequence[Entry]:
    files = images_under(folder)
    names = name_files(files, folder)
    return [Entry(name, file, file, single=True) for name, file in zip(names, files, strict=True)]
