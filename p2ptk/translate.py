"""Translate pictures of any size with a trained model.

from p2ptk import Translator
translator = Translator.load("runs/maps")
translator(PIL.Image.open("photo.jpg")).save("map.png")
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from p2ptk.contracts import Side
from p2ptk.device import (
    Precision,
    PrecisionName,
    choose_device,
    choose_precision,
    lacks_memory,
)
from p2ptk.errors import P2ptkError, UserError
from p2ptk.inference import has_noise, tile_statistics, uses_own_statistics, with_noise
from p2ptk.translation.codec import Codec, Note, log
from p2ptk.translation.files import Summary, translate_files, translate_pairs
from p2ptk.translation.pictures import give, take
from p2ptk.translation.tiles import Axis, feathered, pad, spread
from p2ptk.weights import ModelHeader, find_model, load_generator, read_header

__all__ = ["NoMemory", "Summary", "Translator", "translate_files", "translate_pairs"]

Picture = TypeVar("Picture", Image.Image, "np.ndarray[Any, Any]", Tensor)

STATISTICS_PIXELS = 4_194_304  # of the tiles that a big picture's statistics are taken from


class NoMemory(P2ptkError):
    """A tile or batch does not fit in memory; the message says what to lower."""

    exit_code = 2


class Translator:
    """A trained generator that takes pictures and gives pictures.

    Calls share nothing that changes, so that many threads may use one translator.

    generator: in eval mode, under its inference rule, on `device`.
    tile: pictures longer than this on a side are cut in tiles of about this many pixels, which
        overlap by `overlap` (default: a quarter, at most 64) and are blended.
    batch_size: pictures of one size, or tiles of one picture, that run together.
    seed: of the noise, where the model keeps dropout on.
    size: height and width that pictures are scaled to first; the results have that size.
    derive: make the source from each picture, where the model was trained so; otherwise pictures
        are sources already, such as drawings for a model of edges.
    """

    def __init__(
        self,
        generator: nn.Module,
        header: ModelHeader,
        *,
        device: torch.device,
        precision: Precision,
        tile: int = 1024,
        overlap: int | None = None,
        batch_size: int = 1,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        derive: bool = True,
    ) -> None:
        if min(tile, batch_size, *(size or ())) < 1 or (overlap or 0) < 0:
            raise UserError("tile, batch_size and size should be at least 1, overlap at least 0.")
        self.generator, self.header = generator, header
        self.device, self.precision = device, precision
        self.tile, self.batch_size, self.seed = tile, batch_size, seed
        self.overlap = min(64, tile // 4) if overlap is None else overlap
        self.codec = Codec(header, device, seed, size, derive)

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str = "auto",
        precision: PrecisionName = "auto",
        *,
        norm: Literal["running", "image"] | None = None,
        dropout: bool | None = None,
        tile: int = 1024,
        overlap: int | None = None,
        batch_size: int = 1,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        derive: bool = True,
    ) -> Translator:
        """A model file, or a run folder's newest weights.

        precision: "auto" is bf16 where the device is good at it, but float32 for targets deeper
            than 8 bits. norm, dropout: override the model's inference rule.
        Raises UserError for a bad file or device, or where a plugin is missing.
        """
        path = find_model(path)
        header = read_header(path)
        place = choose_device(device)
        if precision == "auto" and header.target_dtype != "uint8":
            precision = "fp32"
        generator = load_generator(path, place, norm, dropout)
        return cls(
            generator.to(memory_format=torch.channels_last),
            header,
            device=place,
            precision=choose_precision(precision, place),
            tile=tile,
            overlap=overlap,
            batch_size=batch_size,
            seed=seed,
            size=size,
            derive=derive,
        )

    def network(self, seed: int | None = None) -> nn.Module:
        """The generator, its noise (if it has any) a function of `seed` or the translator's own."""
        if not has_noise(self.generator):
            return self.generator
        return with_noise(self.generator, self.seed if seed is None else seed)

    @overload
    def __call__(self, image: Picture, *, seed: int | None = None) -> Picture: ...
    @overload
    def __call__(self, image: Sequence[Picture], *, seed: int | None = None) -> list[Picture]: ...
    def __call__(self, image: Any, *, seed: int | None = None) -> Any:
        """Translate one picture or a list of them; gives the same kind back.

        image: a PIL image, a numpy array H W or H W C (N H W C for several), a tensor C H W (N C H
            W for several), of any size. uint8, uint16, or float: in [0, 1] where the model was
            trained on 8 or 16 bits, else in the range it was trained on.
        The result has the picture's size (or `size`), and the target's dtype, range and channels.
        With active dropout it is a function of `seed` (the translator's own by default).
        Raises UserError for channels or kinds of picture that do not fit.
        """
        if isinstance(image, (list, tuple)):
            pictures = [take(one, self.codec.side) for one in image]
            results = self.translate(pictures, seed=seed)
            return [give(x, one) for x, one in zip(results, image, strict=True)]
        if isinstance(image, (np.ndarray, Tensor)) and image.ndim == 4:
            several = self(list(image), seed=seed)
            return torch.stack(several) if isinstance(image, Tensor) else np.stack(several)
        return give(self.translate([take(image, self.codec.side)], seed=seed)[0], image)

    @torch.no_grad()
    def translate(
        self, pictures: Sequence[Tensor], *, seed: int | None = None, note: Note = log.info
    ) -> list[Tensor]:
        """Pictures C H W of any size and dtype to C H W as the target has it, on the CPU.

        note: told when a picture's channels were converted.
        """
        module = self.network(seed)
        results: list[Tensor | None] = [None] * len(pictures)
        groups: dict[tuple[int, ...], list[tuple[int, Tensor, Side]]] = {}
        for number, picture in enumerate(pictures):
            raw, side = self.codec.fit(picture, note)
            # Only pictures of one size and range can share a batch.
            key = (*raw.shape, raw.is_floating_point(), hash(side))
            groups.setdefault(key, []).append((number, raw, side))
        for members in groups.values():
            big = max(members[0][1].shape[-2:]) > self.tile
            size = 1 if big else self.batch_size
            for first in range(0, len(members), size):
                some = members[first : first + size]
                raw, side = torch.stack([x for _, x, _ in some]), some[0][2]
                made = self._in_tiles(module, raw, side) if big else self._whole(module, raw, side)
                for (number, *_), result in zip(some, made, strict=True):
                    results[number] = result
        return [x for x in results if x is not None]

    def _whole(self, module: nn.Module, raw: Tensor, side: Side) -> Tensor:
        height, width = raw.shape[-2:]
        source = self.codec.source(raw, side)
        image = self._forward(module, pad(source, self.header.size_multiple))
        return self.codec.finish(image[..., :height, :width], source)

    def _in_tiles(self, module: nn.Module, raw: Tensor, side: Side) -> Tensor:
        """One big picture 1 C H W, a row of tiles at a time."""
        rows, columns = (
            Axis.cut(length, self.tile, self.overlap, multiple)
            for length, multiple in zip(raw.shape[-2:], self.header.size_multiple, strict=True)
        )
        down, across = rows.indices, columns.indices
        # A source made from a photo needs the whole of it.
        derived = self.codec.source(raw, side).cpu() if self.codec.derives else None
        whole = raw if derived is None else derived

        def seen(part: Tensor) -> Tensor:
            return self.codec.source(part, side) if derived is None else part.to(self.device)

        def crop(places: Sequence[tuple[int, int]]) -> Tensor:
            tiles = torch.cat(
                [
                    whole.index_select(2, down[y : y + rows.tile]).index_select(
                        3, across[x : x + columns.tile]
                    )
                    for y, x in places
                ]
            )
            return seen(tiles)

        def blended(network: nn.Module) -> Tensor:
            def run(places: list[tuple[int, int]]) -> Tensor:
                return self._forward(network, crop(places))

            done: list[Tensor] = []
            for strip in feathered(rows, columns, run, self.batch_size):
                top = sum(each.shape[2] for each in done)
                here = whole[:, :, top : top + strip.shape[1]]
                source = seen(here) if self.codec.augmentations else None
                done.append(self.codec.finish(strip[None], source))
            return torch.cat(done, 2)

        if not uses_own_statistics(module):
            return blended(module)
        most = min(16, max(4, STATISTICS_PIXELS // (rows.tile * columns.tile)))
        sample = crop(spread(rows, columns, most))
        with self._running(), tile_statistics(module, sample) as fixed:
            return blended(fixed)

    def _forward(self, module: nn.Module, source: Tensor) -> Tensor:
        with self._running():
            image: Tensor = module(source.contiguous(memory_format=torch.channels_last))
            return image.float().cpu()

    @contextmanager
    def _running(self) -> Iterator[None]:
        """The precision, and what to lower where memory does not suffice."""
        try:
            with self.precision.autocast():
                yield
        except RuntimeError as error:
            if not lacks_memory(error):
                raise
            raise NoMemory(
                f"the memory of {self.device} does not suffice: lower the tile size "
                f"({self.tile}) or the batch size ({self.batch_size})."
            ) from error
