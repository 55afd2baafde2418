"""What ties the networks of several processes to one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn

from p2ptk.config import Train
from p2ptk.contracts import Judgement
from p2ptk.errors import UserError
from p2ptk.parallel.gradients import Exchange
from p2ptk.parallel.norms import synchronise
from p2ptk.parallel.ranks import Ranks
from p2ptk.step import Networks, Term


def share(
    networks: Networks, train: Train, ranks: Ranks, note: Callable[[str], object]
) -> Networks:
    """The networks of a run that several processes train: they average their gradients, and watch
    D's judgement of the whole batch. Alone they are given back as they are.
    """
    if ranks.alone:
        return networks
    for updater in (networks.g, networks.d):
        if updater is not None:
            updater.share(Exchange(updater.parameters.values(), ranks.world))
    if train.sync_norm:
        for network in (networks.generator, networks.discriminator):
            if network is not None:
                synchronise(network, note)
    watching = {key: _Together(each, ranks) for key, each in networks.watching.items()}
    return replace(networks, watching=watching)


def start_alike(networks: Networks, losses: Sequence[Term], ranks: Ranks) -> None:
    """Take over the leader's weights: a network that was passed in may have drawn its own."""
    modules = [networks.generator, networks.discriminator, *(term.loss for term in losses)]
    for module in modules if not ranks.alone else ():
        if isinstance(module, nn.Module):
            for tensor in (*module.parameters(), *module.buffers()):
                dist.broadcast(tensor.data, src=0)


def check_shares(train: Train, world: int) -> None:
    """Raises UserError unless every process has an equal share of every batch."""
    batch, parts = train.batch_size, train.accumulate
    if batch % (world * parts):
        nearest = max(1, round(batch / (world * parts))) * world * parts
        cut = f" in {parts} parts" if parts > 1 else ""
        raise UserError(
            f"a batch of {batch} can't be shared equally by {world} processes{cut}: it is the "
            f"batch of all of them together, and --batch-size {nearest} would do."
        )
    if train.pool and world > 1:
        raise UserError(
            "train.pool keeps the translations of one process, and here are "
            f"{world}: set train.pool=0."
        )


class _Together:
    """An augmentation that watches how D judges the whole batch, not its process's share."""

    def __init__(self, augmentation: Any, ranks: Ranks) -> None:
        self.augmentation, self.ranks = augmentation, ranks

    @property
    def state(self) -> nn.Module:
        found: nn.Module = self.augmentation.state
        return found

    def observe(self, judged: Judgement) -> dict[str, Tensor]:
        whole = Judgement(tuple(self.ranks.gather(x) for x in judged.logits), judged.features)
        notes: dict[str, Tensor] = self.augmentation.observe(whole)
        return notes
