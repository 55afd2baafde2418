"""A dataset: aligned pairs, by split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from p2ptk import Pair, Side, UserError
from torch import Tensor


class AuroraPairs:
    """Pairs of arrays in files PATH/SPLIT/NAME.npz, each with `a` and `b` of H W C.

    path: a folder with a folder for each split: train, val, and test where there is one.
    """

    # What the two sides hold: images, black at 0 and white at the largest value of their dtype.
    a = Side("image")
    b = Side("image")

    def __init__(self, *, path: str) -> None:
        folder = Path(path).expanduser()
        paths = sorted(folder.glob("*/*.npz"))
        if not paths:
            raise UserError(f"{folder} holds no files SPLIT/NAME.npz: give the folder above them.")
        self.paths: dict[str, list[Path]] = {}
        for found in paths:
            self.paths.setdefault(found.parent.name, []).append(found)

    def splits(self) -> tuple[str, ...]:
        return tuple(self.paths)

    def split(self, name: str) -> AuroraSplit:
        if name not in self.paths:
            raise UserError(f"there is no split {name!r}: choose from {', '.join(self.paths)}.")
        return AuroraSplit(self.paths[name])


class AuroraSplit:
    """The pairs of one split; each is read when it is asked for, maybe in another process."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Pair:
        path = self.paths[index]
        try:
            with np.load(path) as arrays:  # which refuses to unpickle
                return Pair(image(arrays["a"]), image(arrays["b"]), name=path.stem)
        except (KeyError, OSError, ValueError, BadZipFile) as error:
            raise UserError(f"{path} gives no pair: {error}.") from error


def image(array: np.ndarray) -> Tensor:
    """H W C -> C H W."""
    return torch.from_numpy(array).permute(2, 0, 1)
