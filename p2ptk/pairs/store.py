"""Many images in a few large tensors, each image in its own dtype and size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from p2ptk.contracts import Side
from p2ptk.pairs.pixels import fit, resize

Images = Tensor | list[Tensor]  # N C H W, or C H W each where they differ

CHUNK = 64  # images that are resized at a time


class Store:
    """Images of one side on one device: a flat buffer a dtype, and where in it each image lies.

    whole: all of them as N C H W where they have one shape and dtype, else None.
    """

    def __init__(
        self, buffers: dict[torch.dtype, Tensor], places: list[tuple[torch.dtype, int, torch.Size]]
    ) -> None:
        """places: of each image the buffer, the start in it, and its C H W."""
        self.buffers, self.places = buffers, places
        dtype, _, shape = places[0]
        alike = len({(dtype, shape) for dtype, _, shape in places}) == 1
        self.whole = buffers[dtype].view(len(places), *shape) if alike else None

    @classmethod
    def pack(cls, images: list[Tensor]) -> Store:
        """Copy images C H W; each is dropped from the list, so that they don't take twice."""
        places, lengths = laid_out((image.dtype, image.shape) for image in images)
        buffers = {dtype: torch.empty(length, dtype=dtype) for dtype, length in lengths.items()}
        for i, (dtype, start, shape) in enumerate(places):
            buffers[dtype][start : start + shape.numel()] = images[i].flatten()
            images[i] = torch.empty(0)
        return cls(buffers, places)

    @property
    def nbytes(self) -> int:
        return sum(buffer.nbytes for buffer in self.buffers.values())

    @property
    def channels(self) -> int:
        return int(self.places[0][2][0])

    def to(self, device: torch.device) -> Store:
        return Store({d: buffer.to(device) for d, buffer in self.buffers.items()}, self.places)

    def take(self, indices: Sequence[int], on_device: Tensor) -> Images:
        """Some of the images; `on_device` is the indices once more, as a tensor where they lie."""
        if self.whole is None:
            return [self.view(i) for i in indices]
        if self.whole.dtype == torch.uint16:  # few devices index it, all index int16
            return self.whole.view(torch.int16).index_select(0, on_device).view(torch.uint16)
        return self.whole.index_select(0, on_device)

    def view(self, index: int) -> Tensor:
        """One image C H W, not copied."""
        dtype, start, shape = self.places[index]
        return self.buffers[dtype][start : start + shape.numel()].view(shape)

    def fitted_bytes(self, side: Side | None, size: tuple[int, int]) -> int:
        """What the images will take once they are `fitted`."""
        each = self.places[0][0].itemsize if side is not None and side.kind == "labels" else 4
        return len(self.places) * self.channels * size[0] * size[1] * each

    def fitted(self, side: Side | None, size: tuple[int, int]) -> Store:
        """All images at one size, as `fit_images` gives them, so that no step resizes again."""
        buffer: Tensor | None = None
        count, length = len(self.places), self.channels * size[0] * size[1]
        for start in range(0, count, CHUNK):
            end = min(start + CHUNK, count)
            images: Images = (
                self.whole[start:end]
                if self.whole is not None
                else [self.view(i) for i in range(start, end)]
            )
            part = fit_images(images, side, size)
            if buffer is None:
                buffer = torch.empty(count * length, dtype=part.dtype, device=part.device)
            buffer[start * length : end * length] = part.flatten()
        assert buffer is not None
        shape = torch.Size((self.channels, *size))
        places = [(buffer.dtype, i * length, shape) for i in range(count)]
        return Store({buffer.dtype: buffer}, places)


def laid_out(
    kinds: Iterable[tuple[torch.dtype, torch.Size]],
) -> tuple[list[tuple[torch.dtype, int, torch.Size]], dict[torch.dtype, int]]:
    """Where images lie, one behind the other in a buffer a dtype, and how long each buffer is."""
    places, lengths = [], dict[torch.dtype, int]()
    for dtype, shape in kinds:
        start = lengths.get(dtype, 0)
        places.append((dtype, start, shape))
        lengths[dtype] = start + shape.numel()
    return places, lengths


def fit_images(images: Images, side: Side | None, size: tuple[int, int]) -> Tensor:
    """Images at one size, N C h w, on their own device: one call where they have one shape.

    The result for an image does not depend on the others. side: None for extra tensors, which keep
    their numbers and are resized by nearest neighbour.
    """

    def at_size(x: Tensor) -> Tensor:
        return resize(x.float(), size, nearest=True) if side is None else fit(x, side, size)

    if isinstance(images, Tensor):
        return at_size(images)
    return torch.cat([at_size(image[None]) for image in images])
