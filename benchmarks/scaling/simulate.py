"""One training step on N GPUs: a compute stream and a channel for all-reduce, side by side.

    D's phase: generator forward, discriminator forward and backward; D's buckets; D's update
    G's phase: discriminator forward, backward through both; G's buckets; G's update

A bucket can be sent once its gradients are there, which is known from counting (counts.py), and
once the channel is free. An update begins when its network's last bucket is back.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.scaling.cluster import Cluster
from benchmarks.scaling.counts import Side, Work

# Bytes that a step moves through a GPU's memory for each parameter, whatever the batch: fused Adam
# reads weight, gradient and both moments and writes all but the gradient (28); gradients are
# written (4); weights are read as bf16 in the forward and in the backward pass (2 + 2).
UPDATE_BYTES = 36
# On several GPUs beside: gradients are copied into buckets (4 + 4), and divided there (4 + 4).
BUCKET_BYTES = 16
FLAG_BYTES = 4  # whether every process's loss is finite, once a phase


@dataclass(frozen=True)
class Update:
    """One step on one GPU, in seconds.

    compute: networks forward and backward. fixed: optimisers and buckets, through memory.
    waiting: for all-reduce, beyond what goes on beside it. sending: all-reduce, hidden or not.
    """

    batch: int
    gpus: int
    compute: float
    fixed: float
    waiting: float
    sending: float

    @property
    def seconds(self) -> float:
        return self.compute + self.fixed + self.waiting

    @property
    def images_per_s(self) -> float:
        return self.batch * self.gpus / self.seconds

    @property
    def without_overlap(self) -> float:
        """Images/s if nothing were sent before a backward pass is over."""
        return self.batch * self.gpus / (self.compute + self.fixed + self.sending)

    @property
    def without_sending(self) -> float:
        """Images/s if all-reduce took no time."""
        return self.batch * self.gpus / (self.compute + self.fixed)


def compute_seconds(work: Work, batch: int, cluster: Cluster) -> float:
    """Networks forward and backward: the GPU's time, or the host's where that is longer."""
    device = batch * work.flops / (cluster.gpu_flops * cluster.utilisation)
    return max(device, work.operations * cluster.launch)


def fixed_seconds(side: Side, gpus: int, cluster: Cluster) -> float:
    moved = UPDATE_BYTES + (BUCKET_BYTES if gpus > 1 else 0)
    return side.parameters * moved / cluster.memory_bandwidth


def simulate(
    work: Work, batch: int, gpus: int, cluster: Cluster, *, sync_norm: bool = False
) -> Update:
    """A step on `gpus` GPUs with `batch` pairs on each.

    sync_norm: batch norms exchange their statistics, which nothing can go on beside: a message in
    the forward and one in the backward pass of each.
    """
    compute = compute_seconds(work, batch, cluster)
    clock = begun = channel = sending = waiting = 0.0
    for side in (work.d, work.g):
        for bucket in side.buckets:
            ready = clock + (bucket.at - begun) / work.flops * compute
            took = cluster.all_reduce(bucket.bytes, gpus)
            channel = max(channel, ready) + took
            sending += took
        over = clock + (side.end - begun) / work.flops * compute
        took = cluster.all_reduce(FLAG_BYTES, gpus)
        channel = max(channel, over) + took if gpus > 1 else over
        sending += took
        waiting += channel - over
        clock = channel + fixed_seconds(side, gpus, cluster)
        begun = side.end
    if sync_norm:
        statistics = 2 * work.norms * cluster.latency(gpus)
        waiting, sending = waiting + statistics, sending + statistics
    fixed = sum(fixed_seconds(side, gpus, cluster) for side in (work.d, work.g))
    return Update(batch, gpus, compute, fixed, waiting, sending)


def floor_seconds(work: Work, batch: int, cluster: Cluster) -> tuple[float, float]:
    """One GPU at full matrix speed: seconds a step of arithmetic, and of memory for weights."""
    fixed = sum(fixed_seconds(side, 1, cluster) for side in (work.d, work.g))
    return batch * work.flops / cluster.gpu_flops, fixed
