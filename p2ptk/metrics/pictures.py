"""Pictures that stand in files, matched with the pairs that they translate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from p2ptk.contracts import Dataset, Pair, Side, Split
from p2ptk.datasets.images import IMAGE_SUFFIXES, UnreadableImage
from p2ptk.datasets.sides import read_side
from p2ptk.errors import UserError
from p2ptk.pairs.batch import Batch, Direction, fixed_batch
from p2ptk.pairs.pixels import normalise, one_hot
from p2ptk.translation.files import COMPARED
from p2ptk.translation.pictures import fit_channels

SHOWN = 10  # names listed in a message


def pair_stem(name: str) -> PurePosixPath:
    """A pair's name as a path below a folder, without an image's ending."""
    path = PurePosixPath(*[part for part in PurePosixPath(name).parts if part not in ("..", "/")])
    return path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path


def pair_file(folder: Path, name: str, suffix: str) -> Path:
    """Where the translation of a pair goes, or lies."""
    stem = pair_stem(name)
    return folder / stem.with_name(stem.name + suffix)


@dataclass(frozen=True)
class Pictures:
    """Files in the order of a split's pairs."""

    split: Split
    files: tuple[Path, ...]

    @classmethod
    def find(cls, images: str | Path, split: Split) -> Pictures:
        """The picture of each pair: in a folder by its stem, or by a path with a `*` for it.

        Raises UserError that lists what has no partner.
        """
        found = _by_stem(Path(images))
        names: Sequence[str] = getattr(split, "names", None) or [
            split[number].name for number in range(len(split))
        ]
        stems = [str(pair_stem(name)) for name in names]
        missing = [stem for stem in stems if stem not in found]
        wanted = set(stems)
        extra = [
            path.name
            for stem, path in found.items()
            if stem not in wanted and not stem.startswith(f"{COMPARED}/")
        ]
        if missing or extra:
            parts = [f"pairs without a picture: {_listed(missing)}"] * bool(missing)
            parts += [f"pictures without a pair: {_listed(extra)}"] * bool(extra)
            raise UserError(
                f"{images} does not match the {len(names)} pairs. {'; '.join(parts)}. Names should "
                "be those of the pairs; a path like 'results/*_fake_B.png' says what else is in "
                "them."
            )
        return cls(split, tuple(found[stem] for stem in stems))

    def batches(
        self,
        dataset: Dataset,
        direction: Direction,
        size: tuple[int, int] | None,
        device: torch.device,
        batch_size: int,
    ) -> Iterator[tuple[Tensor, Batch]]:
        """Pictures N C H W as the networks would give them, with their pairs; in order.

        A batch holds pictures of one size. Raises UserError for a picture that can't be read or is
        of another size than its target.
        """
        side = dataset.a if direction == "BtoA" else dataset.b
        waiting: list[tuple[Tensor, Pair]] = []

        def batch() -> tuple[Tensor, Batch]:
            fakes = torch.stack([fake for fake, _ in waiting]).to(device)
            height, width = fakes.shape[-2:]
            pairs = fixed_batch(
                [pair for _, pair in waiting],
                range(len(waiting)),
                dataset.a,
                dataset.b,
                direction=direction,
                size=(height, width),
                device=device,
            )
            waiting.clear()
            return fakes, pairs

        for number, path in enumerate(self.files):
            pair = self.split[number]
            target = pair.source if direction == "BtoA" else pair.target
            fake = _read(path, side, target, size)
            full = len(waiting) == batch_size
            if waiting and (full or fake.shape != waiting[0][0].shape):
                yield batch()
            waiting.append((fake, pair))
        if waiting:
            yield batch()


def _by_stem(images: Path) -> dict[str, Path]:
    """Files by what stands for the pair's name. Raises UserError where two have the same."""
    start, star, end = images.name.partition("*")
    folder = images.parent if star else images
    if not folder.is_dir():
        raise UserError(f"there is no folder {str(folder)!r}.")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
            continue
        below = path.relative_to(folder)
        if star:
            if not (path.name.startswith(start) and path.name.endswith(end)):
                continue
            stem = below.with_name(path.name[len(start) : len(path.name) - len(end)])
        else:
            stem = below.with_suffix("")
        other = found.setdefault(stem.as_posix(), path)
        if other != path:
            raise UserError(f"{other} and {path.name} would both be the picture of {stem}.")
    if not found:
        raise UserError(f"{images} holds no images.")
    return found


def _read(path: Path, side: Side, target: Tensor, size: tuple[int, int] | None) -> Tensor:
    """A picture as the networks would give it, C H W: in [-1, 1], or one channel a class."""
    try:
        picture = read_side(path, side)
    except UnreadableImage as error:
        raise UserError(f"{path}: {error.why}.") from None
    height, width = size or tuple(target.shape[-2:])
    if tuple(picture.shape[-2:]) != (height, width):
        found = f"{picture.shape[-2]}x{picture.shape[-1]}"
        hint = "" if size else f": --size {found} scales the pairs to that, if the program did"
        raise UserError(f"{path} is {found}, and its target {height}x{width}{hint}.")
    if side.kind == "labels":
        return one_hot(picture[None], side.depth or 1)[0]
    try:
        return normalise(fit_channels(picture, side, target.shape[0])[0], side)
    except (UserError, ValueError) as error:
        raise UserError(f"{path}: {error}".rstrip(".") + ".") from None


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names)})" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
