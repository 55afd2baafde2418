"""All pairs of a split, decoded: in memory, or in files that are mapped into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from p2ptk.contracts import Pair, Split
from p2ptk.pairs.decode import Progress, check_alike, decode_each, tensors_of, times_first
from p2ptk.pairs.store import Store, laid_out


class Packed:
    """Decoded pairs: a split itself, whose pairs are views of a few large tensors.

    columns: a Store for A, one for B, and one for each extra tensor of `keys`. Of single pictures,
        which are both sides, A's is B's.
    again: a function and its arguments that give the same in another process, where the tensors
        should not travel there themselves.
    """

    def __init__(
        self,
        names: Sequence[str],
        keys: Sequence[str],
        columns: Sequence[Store],
        again: tuple[Callable[..., Any], tuple[Any, ...]] | None = None,
    ) -> None:
        self.names, self.keys = tuple(names), tuple(keys)
        self.columns, self.again = list(columns), again

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Pair:
        views = [column.view(index) for column in self.columns]
        a, b = views[0], views[0] if self.single else views[1]
        return Pair(a, b, self.names[index], dict(zip(self.keys, views[2:], strict=True)))

    def __reduce__(self) -> Any:
        return self.again or (Packed, (self.names, self.keys, self.columns))

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each pair."""
        return tuple((shape[-2], shape[-1]) for _, _, shape in self.columns[0].places)

    @property
    def single(self) -> bool:
        return self.columns[0] is self.columns[1]

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self.columns[int(self.single) :])


class Sink(Protocol):
    """Where the images of one side and dtype go, one behind the other."""

    def add(self, image: Tensor) -> None: ...

    def close(self) -> Tensor: ...


NewSink = Callable[[int, torch.dtype, int], Sink]


class Memory:
    """A buffer in main memory that grows where more comes than was expected.

    What is reserved and never written to takes no memory.
    """

    def __init__(self, column: int, dtype: torch.dtype, expected: int) -> None:
        self.buffer, self.length = torch.empty(expected, dtype=dtype), 0

    def add(self, image: Tensor) -> None:
        end = self.length + image.numel()
        if end > len(self.buffer):
            larger = torch.empty(max(end, 2 * self.length), dtype=self.buffer.dtype)
            larger[: self.length] = self.buffer[: self.length]
            self.buffer = larger
        self.buffer[self.length : end] = image.flatten()
        self.length = end

    def close(self) -> Tensor:
        return self.buffer[: self.length]


class Files:
    """A file a side and dtype, `COLUMN.DTYPE` in a folder, which is mapped once it is closed."""

    def __init__(self, folder: Path, column: int, dtype: torch.dtype) -> None:
        self.path, self.dtype = folder / file_name(column, dtype), dtype
        self.file = self.path.open("xb")

    def add(self, image: Tensor) -> None:
        self.file.write(image.contiguous().view(torch.uint8).numpy().data)

    def close(self) -> Tensor:
        self.file.close()
        return map_file(self.path, self.dtype)


def pack(
    split: Split,
    new_sink: NewSink = Memory,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Packed:
    """Decode a split, in threads, and put each pair away as it comes.

    new_sink: makes a place for images of a column and dtype; the third argument is how many
        elements are expected. Raises UserError that lists the pairs that can't be used.
    """
    names: list[str] = []
    first: Pair | None = None
    kinds: list[list[tuple[torch.dtype, torch.Size]]] = []
    sinks: dict[tuple[int, torch.dtype], Sink] = {}
    for pair in decode_each(split, range(len(split)), workers, progress):
        if first is None:
            first, single = pair, pair.target is pair.source
            kinds = [[] for _ in tensors_of(first, single)]
            times = times_first(split, first)
        check_alike([first, pair])
        names.append(pair.name)
        # Extra tensors may come in another order.
        in_order = pair._replace(extra={key: pair.extra[key] for key in first.extra})
        for i, image in enumerate(tensors_of(in_order, single)):
            kinds[i].append((image.dtype, image.shape))
            if (i, image.dtype) not in sinks:
                sinks[i, image.dtype] = new_sink(i, image.dtype, round(image.numel() * times))
            sinks[i, image.dtype].add(image)
    assert first is not None, "a split without pairs"
    buffers: list[dict[torch.dtype, Tensor]] = [{} for _ in kinds]
    for (i, dtype), sink in sinks.items():
        buffers[i][dtype] = sink.close()
    columns = [Store(own, laid_out(k)[0]) for own, k in zip(buffers, kinds, strict=True)]
    return Packed(names, tuple(first.extra), columns[:1] * single + columns)


def file_name(column: int, dtype: torch.dtype) -> str:
    return f"{column}.{str(dtype).removeprefix('torch.')}"


def map_file(path: Path, dtype: torch.dtype) -> Tensor:
    """A file of numbers as a flat tensor; pages are read when touched, and shared by processes.

    Writing to the tensor changes neither the file nor what others see. Raises OSError.
    """
    size = path.stat().st_size  # torch tells of a missing file in its own way
    flat = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    return flat.view(dtype)
