"""The processes that train one run together: who is who, and how they agree."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from p2ptk.device import choose_device
from p2ptk.errors import Elsewhere, P2ptkError, UserError
from p2ptk.observe import Observer
from p2ptk.pairs.decode import MOST_THREADS, default_workers

T = TypeVar("T")

log = logging.getLogger(__name__)

# The others wait while the first writes a checkpoint or scores a thousand pictures.
PATIENCE = timedelta(days=2)
# Seconds before groups are destroyed: in torch 2.6 that stands still for ever where a thread of
# gloo has yet to let go of the last message.
PAUSE = 0.2


class Ranks:
    """This process among those of its run. Alone, all of it costs nothing and changes nothing.

    rank: from 0; the first one leads: it alone writes. world: how many processes there are.
    here: how many of them are on this machine. control: a group over the CPU, beside the one of
        the device, so that waiting for the leader does not look like a fault of the GPUs.
    """

    def __init__(self, rank: int = 0, world: int = 1, here: int = 1, control: Any = None) -> None:
        self.rank, self.world, self.here, self.control = rank, world, here, control
        self._cast: tuple[Any, Tensor] | None = None

    @property
    def alone(self) -> bool:
        return self.world == 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share_of_cores(self, workers: int | None) -> int | None:
        """Workers that a process may start: as many as were asked for, or its share of the cores
        where several are on this machine; None leaves it open.
        """
        if workers is None and self.here > 1:
            return max(1, default_workers(None, MOST_THREADS * self.here) // self.here)
        return workers

    def mean(self, x: Tensor) -> Tensor:
        """A tensor's mean over the processes; `x` itself where there is one."""
        if self.alone:
            return x
        whole = x.clone()
        dist.all_reduce(whole)
        return whole / self.world

    def gather(self, x: Tensor) -> Tensor:
        """The processes' tensors N ..., one after the other, without a graph."""
        if self.alone:
            return x
        parts = [
            torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(self.world)
        ]
        dist.all_gather(parts, x.detach().contiguous())
        return torch.cat(parts)

    def collect(self, value: T) -> list[T]:
        """Each process's value, by rank."""
        found: list[Any] = [value] * self.world
        if not self.alone:
            dist.all_gather_object(found, value, group=self.control)
        return found

    def told(self, value: T) -> T:
        """The leader's value."""
        found = [value]
        if not self.alone:
            dist.broadcast_object_list(found, src=0, group=self.control)
        return found[0]

    def vote(self, stop: bool, save: bool) -> tuple[bool, bool]:
        """Whether any process has voted to stop, or to save: for what a clock or a signal decides.

        The answer is that of the vote before, which the processes exchanged during the last step,
        so that nobody waits for it; all get the same one. Alone the vote is the answer.
        """
        if self.alone:
            return stop, save
        found = torch.zeros(2)
        if self._cast is not None:
            work, found = self._cast
            work.wait()
        # What is done now need not be asked for again.
        ballot = torch.tensor([float(stop), float(save and not found[1])])
        work = dist.all_reduce(ballot, dist.ReduceOp.MAX, group=self.control, async_op=True)
        self._cast = work, ballot
        return bool(found[0]), bool(found[1])

    def part(self) -> None:
        """The last vote, which nobody has read, is through as well."""
        if self._cast is not None:
            self._cast[0].wait()
            self._cast = None

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """Where one process fails in the block, all do: one of them says why, nobody waits for it.

        Raises the error of the first process that has one, there, and Elsewhere in the others.
        """
        if self.alone:
            yield
            return
        error: Exception | None = None
        try:
            yield
        except Exception as caught:
            error = caught
        failed = self.collect(error is not None)
        if error is not None and failed.index(True) == self.rank:
            raise error
        if any(failed):
            raise Elsewhere(f"process {failed.index(True)} failed") from error

    @contextmanager
    def led(self) -> Iterator[bool]:
        """A block in which the leader has work that the others wait for; gives who leads.

        Raises as `agreeing`.
        """
        with self.agreeing():
            yield self.leads

    def observer(self, observer: Observer) -> Observer:
        """The leader's; the others' notes go to the log, which -v shows."""
        return observer if self.leads else Logged(self.rank)


class Logged(Observer):
    """What a process that does not lead has to say."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def note(self, text: str) -> None:
        log.info("process %d: %s", self.rank, text)


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Meet the processes that torchrun started beside this one, and part from them at the end.

    device: as in the config; each process on CUDA takes the GPU of its own number as the current
    one. A process group that is there already is used. Without torchrun the process is alone.
    Raises UserError for a device that they can't share, P2ptkError where one is lost.
    """
    world = int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1
    if world == 1:
        yield Ranks()
        return
    on_cuda = _own_device(device).type == "cuda"
    ours, ended = not dist.is_initialized(), False
    try:
        if ours:
            _meet("nccl" if on_cuda else "gloo")
        control = dist.new_group(backend="gloo", timeout=PATIENCE)
        here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        ranks = Ranks(dist.get_rank(), world, here, control)
        yield ranks
        ranks.part()
        ended = True
    except RuntimeError as error:
        if not lost(error):
            raise
        raise P2ptkError(
            f"process {os.environ['RANK']} of {world} has lost another one, which ended or can't "
            "be reached: look above for what it said."
        ) from error
    finally:
        # After an error NCCL would wait here for processes that may be gone.
        if ours and dist.is_initialized() and (ended or not on_cuda):
            time.sleep(PAUSE)
            dist.destroy_process_group()


def _meet(backend: str) -> None:
    """Make the process group of a torchrun job. After a restart, torchrun's store still has the
    addresses of the processes before; so each attempt takes names of its own.
    """
    store, rank, world = next(rendezvous("env://"))
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    own = dist.PrefixStore(f"p2ptk/{attempt}", store)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=own, rank=rank, world_size=world)


def lost(error: RuntimeError) -> bool:
    """Whether an error says that another process is gone."""
    kinds = (dist.DistNetworkError, dist.DistBackendError, dist.DistStoreError)
    words = ("Connection closed by peer", "Connection reset by peer", "gloo", "Broken pipe")
    return isinstance(error, kinds) or any(word in str(error) for word in words)


def _own_device(name: str) -> torch.device:
    """The device of this process, a GPU being the current one from here on."""
    device = choose_device(name)
    if device.type == "mps":
        raise UserError("several processes can't share 'mps': write --device cpu, or start one.")
    if device.type == "cuda":
        if ":" in name:
            raise UserError(
                f"{name!r} is one GPU, and each process takes its own: write --device cuda."
            )
        local = int(os.environ.get("LOCAL_RANK", 0))
        if local >= torch.cuda.device_count():
            raise UserError(
                f"there are {torch.cuda.device_count()} GPUs here, and process {local} of this "
                "machine has none: start no more processes than GPUs."
            )
        torch.cuda.set_device(local)
    return device
