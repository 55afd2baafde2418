"""The machines, as numbers. Each default is measured, or of a source, or an assumption: ASSUMED."""

from __future__ import annotations

from dataclasses import dataclass

GIGABITS = 1e9 / 8

# Why each default is what it is, by field: (unit, reason), printed as the table of assumptions.
ASSUMED = {
    "gpu_flops": ("FLOP/s", "measured on one H200: large bf16 matrix products"),
    "memory_bandwidth": ("B/s", "measured on one H200"),
    "memory": ("B", "an H200's, as the driver tells it"),
    "utilisation": ("", "assumption: what makes 2,500 images/s at batch 16 of one H200"),
    "launch": ("s", "assumption: Python, autograd and driver, for an operation of eager code"),
    "gpus_per_node": ("", "assumption: the usual machine with NVLink among all of its GPUs"),
    "nvlink": (
        "B/s",
        "rings on an H100 reach 370 of 450 GB/s: github.com/NVIDIA/nccl-tests/issues/212",
    ),
    "network_share": ("", "assumption: what protocols leave of the line rate"),
    "base_latency": ("s", "NCCL's own estimate (src/graph/tuning.cc): base of a ring, Simple"),
    "hop_nvlink": ("s", "the same: a tree over NVLink, LL128"),
    "hop_network": ("s", "the same: a tree over the network, LL128"),
    "pair_bytes": ("B", "measured: the mean JPEG of 500 facades, two pictures of 256x256"),
    "decode": (
        "s",
        "measured on one core: p2ptk reads and decodes that pair; by pixels for other sizes",
    ),
    "disk": ("B/s", "assumption: one NVMe disk, or a shared one with few writers"),
    "store": ("B/s", "assumption: an object store, to one machine"),
    "checkpoint_every": ("s", "p2ptk's default"),
    "price": ("$", "assumption, for a GPU hour: look up your own"),
}


@dataclass(frozen=True)
class Cluster:
    """GPUs, what joins them, and what feeds them. Seconds, bytes and bytes/s unless said.

    gpu_flops: FLOP/s of large matrix products, and `utilisation` the share that training reaches.
    launch: for each operation, on the host; 0 is a step captured as a CUDA graph (one GPU only).
    nvlink: bus bandwidth of an all-reduce within a node. network: line rate of a node's ports to
    other nodes, together; `network_share` of it is used.
    base_latency, hop_nvlink, hop_network: of one message through all GPUs.
    pair_bytes, decode: of a pair of 256x256 pictures; decode is on one core.
    price: of a GPU hour.
    """

    gpu_flops: float = 790e12
    memory_bandwidth: float = 4.3e12
    memory: float = 139 * 2**30
    utilisation: float = 0.30
    launch: float = 10e-6
    gpus_per_node: int = 8
    nvlink: float = 370e9
    network: float = 400 * GIGABITS
    network_share: float = 0.9
    base_latency: float = 8.4e-6
    hop_nvlink: float = 1.2e-6
    hop_network: float = 8.5e-6
    pair_bytes: float = 51_660
    decode: float = 1.2e-3
    disk: float = 1e9
    store: float = 1e9
    checkpoint_every: float = 600
    price: float = 3.0

    def nodes(self, gpus: int) -> int:
        return -(-gpus // self.gpus_per_node)

    def bus(self, gpus: int) -> float:
        """Bytes/s at the narrowest place of a ring through all GPUs."""
        if self.nodes(gpus) == 1:
            return self.nvlink
        return min(self.nvlink, self.network * self.network_share)

    def latency(self, gpus: int) -> float:
        """Of the smallest message: up and down a tree, along a node and then over nodes.

        NCCL's own estimate has this form.
        """
        if gpus == 1:
            return 0.0
        nodes = self.nodes(gpus)
        along = min(gpus, self.gpus_per_node) - 1
        levels = (nodes - 1).bit_length()
        return self.base_latency + 2 * (along * self.hop_nvlink + levels * self.hop_network)

    def all_reduce(self, size: float, gpus: int) -> float:
        """Seconds for `size` bytes: each GPU sends and receives 2 (N - 1) / N of them."""
        if gpus == 1:
            return 0.0
        return self.latency(gpus) + 2 * (gpus - 1) / gpus * size / self.bus(gpus)
