"""Pairs from a split: one after the other, in threads, or in worker processes."""

from __future__ import annotations

import os
import signal
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from p2ptk.contracts import Pair, Split
from p2ptk.errors import UserError
from p2ptk.pairs.store import Images

SHOWN = 10  # undecodable pairs listed in a message

Progress = Callable[[int, int], None]
Batches = Iterator[tuple[int, ...]]  # of indices


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


def decode_all(
    split: Split,
    indices: Sequence[int],
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Pair]:
    """Pairs by index, decoded in threads.

    progress: called as progress(done, of) in this thread.
    Raises UserError that lists the pairs that do not decode.
    """
    pairs: list[Pair] = []
    wrong: list[UserError] = []
    pool = ThreadPoolExecutor(default_workers(workers, 16) or 1)
    try:
        futures: list[Future[Pair]] = [pool.submit(split.__getitem__, i) for i in indices]
        for done, future in enumerate(futures, 1):
            try:
                pairs.append(future.result())
            except UserError as error:
                wrong.append(error)
            if progress:
                progress(done, len(futures))
    finally:
        pool.shutdown(cancel_futures=True)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        lines = "".join(f"\n  {error}" for error in wrong[:SHOWN])
        more = f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError(f"{len(wrong)} pairs can't be used:{lines}{more}")
    return pairs


class Stream:
    """Decodes batches of indices ahead of their use, in worker processes (0: in this one).

    batches: gives the indices of one batch after the other, without end.
    """

    def __init__(
        self, split: Split, batches: Callable[[], Batches], workers: int, pin: bool
    ) -> None:
        options: dict[str, Any] = {"prefetch_factor": 2, "worker_init_fn": _deaf} if workers else {}
        loader = DataLoader(
            _Decoder(split),
            sampler=_Endless(batches),
            batch_size=None,
            num_workers=workers,
            pin_memory=pin,
            collate_fn=_as_it_is,
            generator=torch.Generator(),  # or it would draw a seed from the global generator
            **options,
        )
        self._held = [iter(loader)]
        # Dropping the iterator ends the workers. It must happen before Python's own end, which
        # would wait for ever for processes that are deaf to SIGTERM.
        self.close = weakref.finalize(self, self._held.clear)

    def __next__(self) -> Decoded:
        """Raises the UserError of a pair that does not decode when its batch is due."""
        decoded = next(self._held[0])
        if isinstance(decoded, UserError):
            raise decoded
        return cast(Decoded, decoded)


def default_workers(workers: int | None, most: int) -> int:
    """The workers asked for, else one a core up to `most`."""
    if workers is not None:
        return workers
    ours = getattr(os, "sched_getaffinity", None)  # what this process may use, on Linux
    return min(most, len(ours(0)) if ours else os.cpu_count() or 1)


class _Decoder(Dataset[Any]):
    """Decodes a batch an item, in whichever process asks."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __getitem__(self, indices: tuple[int, ...]) -> Decoded | UserError:
        try:
            return collate([self.split[i] for i in indices])
        except UserError as error:  # given, not raised: torch would wrap it in a traceback
            return error


class _Endless(Sampler[tuple[int, ...]]):
    def __init__(self, batches: Callable[[], Batches]) -> None:
        self.batches = batches

    def __iter__(self) -> Batches:
        return self.batches()


def _deaf(worker: int) -> None:
    """Let the main process alone decide what to do when asked to stop: it finishes its step."""
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def _as_it_is(decoded: Any) -> Any:
    return decoded


def _stack(images: list[Tensor]) -> Images:
    alike = len({(image.dtype, image.shape) for image in images}) == 1
    return torch.stack(images) if alike else images
