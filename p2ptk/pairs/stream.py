"""Batches of decoded pairs from worker processes, moved to the device ahead of their use."""

from __future__ import annotations

import queue
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from p2ptk.contracts import Split
from p2ptk.errors import UserError
from p2ptk.pairs.decode import Decoded, collate
from p2ptk.pairs.store import Images

Batches = Iterator[tuple[int, ...]]  # of indices

PREFETCHED = 2  # batches that each worker decodes ahead, and that lie on a GPU ahead


class Stream:
    """Decodes batches of indices ahead of their use, in worker processes (0: in this one).

    batches: gives the indices of one batch after the other, without end.
    """

    def __init__(
        self, split: Split, batches: Callable[[], Batches], workers: int, pin: bool
    ) -> None:
        options: dict[str, Any] = {}
        if workers:
            options = {"prefetch_factor": PREFETCHED, "worker_init_fn": _deaf}
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


class Ahead:
    """Takes batches from a stream and copies them to a device before they are asked for.

    A thread does so; on CUDA on a stream of its own, so that copies run beside the computation.
    """

    def __init__(self, coming: Stream, device: torch.device) -> None:
        ready: queue.Queue[Any] = queue.Queue(PREFETCHED)
        self._ready, self._ended = ready, threading.Event()
        thread = threading.Thread(
            target=_copy, args=(coming, device, ready, self._ended), daemon=True
        )
        # The thread must let go of the stream's iterator before the workers can end.
        self.close = weakref.finalize(self, _end, self._ended, thread, coming)
        thread.start()

    def __next__(self) -> Decoded:
        """Raises as the stream does."""
        decoded, copied = self._ready.get()
        if isinstance(decoded, BaseException):
            raise decoded
        if copied is not None:
            now = torch.cuda.current_stream(copied.device)
            now.wait_event(copied)
            # Their memory must not be used anew before this stream is done with them.
            each_tensor(decoded, lambda x: x.record_stream(now))
        return cast(Decoded, decoded)


def _copy(
    coming: Stream, device: torch.device, ready: queue.Queue[Any], ended: threading.Event
) -> None:
    """Fill `ready` until told to end, or until the stream raises, which is passed on."""
    on_cuda = device.type == "cuda"
    beside = torch.cuda.Stream(device) if on_cuda else None
    while not ended.is_set():
        copied = None
        try:
            with torch.cuda.stream(beside):
                decoded: Any = moved(next(coming), device)
                copied = beside.record_event() if beside else None
        except BaseException as error:
            decoded = error
        while not ended.is_set():
            try:
                ready.put((decoded, copied), timeout=0.1)
                break
            except queue.Full:
                continue
        if isinstance(decoded, BaseException):
            return


def _end(ended: threading.Event, thread: threading.Thread, coming: Stream) -> None:
    ended.set()
    if thread is not threading.current_thread():  # whichever thread collects garbage calls this
        thread.join()
    coming.close()


def moved(decoded: Decoded, device: torch.device) -> Decoded:
    """The same on a device; from pinned memory without waiting for it."""
    return each_tensor(decoded, lambda x: x.to(device, non_blocking=True))


def each_tensor(decoded: Decoded, change: Callable[[Tensor], Any]) -> Decoded:
    def all_of(images: Images) -> Any:
        return change(images) if isinstance(images, Tensor) else [change(x) for x in images]

    extra = {key: all_of(images) for key, images in decoded.extra.items()}
    return Decoded(all_of(decoded.a), all_of(decoded.b), extra, decoded.names)


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
