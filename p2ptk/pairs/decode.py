"""Pairs decoded in threads, in their order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from p2ptk.contracts import Pair, Split
from p2ptk.errors import UserError
from p2ptk.pairs.store import Images

SHOWN = 10  # undecodable pairs listed in a message
MOST_THREADS = 16  # that decode, where the config leaves it open
AHEAD = 4  # pairs that each thread may be ahead of their use

Progress = Callable[[int, int], None]


class Decoded(NamedTuple):
    """Some pairs as they were decoded: sides A and B, extra tensors, names."""

    a: Images
    b: Images
    extra: dict[str, Images]
    names: tuple[str, ...]


def collate(pairs: Sequence[Pair]) -> Decoded:
    """Pairs as batches where shapes and dtypes agree, else as lists. Raises as `check_alike`."""
    check_alike(pairs)
    return Decoded(
        _stack([pair.source for pair in pairs]),
        _stack([pair.target for pair in pairs]),
        {key: _stack([pair.extra[key] for pair in pairs]) for key in pairs[0].extra},
        tuple(pair.name for pair in pairs),
    )


def check_alike(pairs: Sequence[Pair]) -> None:
    """Raise UserError where a pair's channels or extra tensors are not as the first one's."""
    first = pairs[0]
    for pair in pairs:
        for x, y in ((pair.source, first.source), (pair.target, first.target)):
            if x.ndim != 3 or x.shape[0] != y.shape[0]:
                raise UserError(
                    f"pair {pair.name!r} has a side of shape {tuple(x.shape)}, "
                    f"where that of {first.name!r} is {tuple(y.shape)}: channels should agree."
                )
        if pair.extra.keys() != first.extra.keys():
            raise UserError(f"pairs {pair.name!r} and {first.name!r} have different extra tensors.")


def decode_each(
    split: Split,
    indices: Sequence[int],
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Pair]:
    """Pairs by index and in order, decoded in threads a little ahead of their use.

    progress: called as progress(done, of) in this thread.
    Raises UserError that lists the pairs that do not decode; none is given after the first such.
    """
    threads = default_workers(workers, MOST_THREADS) or 1
    wrong: list[UserError] = []
    pool = ThreadPoolExecutor(threads)
    try:
        coming = iter(indices)
        ahead = deque(pool.submit(split.__getitem__, i) for i in islice(coming, AHEAD * threads))
        for done in range(1, len(indices) + 1):
            future = ahead.popleft()
            ahead.extend(pool.submit(split.__getitem__, i) for i in islice(coming, 1))
            try:
                pair = future.result()
            except UserError as error:
                wrong.append(error)
            else:
                if not wrong:
                    yield pair
            if progress:
                progress(done, len(indices))
    finally:
        pool.shutdown(cancel_futures=True)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        lines = "".join(f"\n  {error}" for error in wrong[:SHOWN])
        more = f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError(f"{len(wrong)} pairs can't be used:{lines}{more}")


def decode_all(split: Split, indices: Sequence[int], workers: int | None = None) -> list[Pair]:
    """Pairs by index, all at once. Raises as `decode_each` does."""
    return list(decode_each(split, indices, workers))


def decoded_bytes(split: Split) -> int:
    """What all pairs take once decoded, judged by the first and, where told, by their sizes."""
    first: Pair = split[0]
    single = first.target is first.source
    return round(sum(x.nbytes for x in tensors_of(first, single)) * times_first(split, first))


def times_first(split: Split, first: Pair) -> float:
    """How many times the pixels of the first pair all pairs have, as far as the split tells."""
    sizes = getattr(split, "sizes", None)
    if sizes is None:
        return float(len(split))
    return sum(height * width for height, width in sizes()) / first.source.shape[-2:].numel()


def tensors_of(pair: Pair, single: bool) -> tuple[Tensor, ...]:
    """A, B, and the extra tensors in their order; of a single picture, which is both, it and them.

    Raises UserError for a pair that is no single picture.
    """
    if single and pair.target is not pair.source:
        raise UserError(f"pair {pair.name!r} has two sides, but others are single pictures.")
    return (pair.source, *(() if single else (pair.target,)), *pair.extra.values())


def default_workers(workers: int | None, most: int) -> int:
    """The workers asked for, else one a core up to `most`."""
    if workers is not None:
        return workers
    ours = getattr(os, "sched_getaffinity", None)  # what this process may use, on Linux
    return min(most, len(ours(0)) if ours else os.cpu_count() or 1)


def _stack(images: list[Tensor]) -> Images:
    """Copies in any case: torch can't send parts of a mapped file to another process."""
    alike = len({(image.dtype, image.shape) for image in images}) == 1
    return torch.stack(images) if alike else [image.clone() for image in images]
