"""What is asked of the model, and how its answers are written."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.scaling.cluster import GIGABITS, Cluster
from benchmarks.scaling.counts import SETUPS
from benchmarks.scaling.simulate import Update

PIX2PIX, HALF, HD = (setup.name for setup in SETUPS)
WEIGHT, GRADIENT, MOMENTS, AVERAGE = 4, 4, 8, 4  # bytes a parameter, float32
SMALL_CARD = 24e9


@dataclass(frozen=True)
class Table:
    """Cells are text, ready for a page. name: the key of the table's place in docs/scale.md."""

    name: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def markdown(self) -> str:
        lines = [self.head, tuple("---" for _ in self.head), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(frozen=True)
class Question:
    """What is asked of the model. networks: Gb/s of a node. batch: of all GPUs. share: of one."""

    cluster: Cluster
    gpus: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    networks: tuple[float, ...] = (3200, 400, 25)
    batch: int = 64
    share: int = 16

    def joined(self, network: float, **changes: float) -> Cluster:
        return replace(self.cluster, network=network * GIGABITS, **changes)

    @property
    def middle(self) -> Cluster:
        """With the network that most tables are about."""
        return self.joined(self.networks[len(self.networks) // 2])

    @property
    def most(self) -> int:
        return max(self.gpus)


def rounded(x: float) -> str:
    """Three digits: more would say that the model knows more."""
    if x == 0:
        return "0"
    text = f"{float(f'{x:.3g}'):,.10f}".rstrip("0").rstrip(".")
    return text


def percent(x: float) -> str:
    return f"{100 * x:.0f} %" if x >= 0.01 else f"{100 * x:.2g} %"


def dollars_a_million(update: Update, cluster: Cluster) -> float:
    return 1e6 / update.images_per_s / 3600 * update.gpus * cluster.price
