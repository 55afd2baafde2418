"""What a study will take, from a short probe of every variant that has runs to go."""

from __future__ import annotations

from dataclasses import dataclass

from p2ptk.data import build_data
from p2ptk.errors import P2ptkError
from p2ptk.probe import try_batch
from p2ptk.study.plan import Plan
from p2ptk.study.run import due


@dataclass(frozen=True)
class VariantEstimate:
    """What training a variant's missing runs takes.

    runs, to_go: of the variant, and those still missing. seconds: of training one whole run; None
    where nothing is to go, or nothing is trained here. peak_bytes: of one. problem: why there is
    no time.
    """

    label: str
    runs: int
    to_go: int
    steps: int
    seconds: float | None = None
    peak_bytes: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class Estimate:
    """A study's cost before it is run."""

    variants: tuple[VariantEstimate, ...]

    @property
    def runs(self) -> int:
        return sum(each.runs for each in self.variants)

    @property
    def to_go(self) -> int:
        return sum(each.to_go for each in self.variants)

    @property
    def seconds(self) -> float:
        """Of training all runs that are to go, one after the other."""
        return sum((each.seconds or 0.0) * each.to_go for each in self.variants)


def estimate(plan: Plan, *, seconds: float = 1.0) -> Estimate:
    """Take a few steps with every variant that has runs to go.

    seconds: of steps a variant, at the least three steps. Start-up, evaluations and scoring are not
    in the times. A variant that does not fit in memory is one with a problem.
    """
    return Estimate(tuple(_of_variant(plan, v.label, seconds) for v in plan.variants))


def _of_variant(plan: Plan, label: str, seconds: float) -> VariantEstimate:
    tasks = [task for task in plan.tasks if task.variant.label == label]
    to_go = sum(due(plan, task) for task in tasks)
    config = plan.configs.get(label)
    steps = (config.train.steps or 0) if config else 0
    found = VariantEstimate(label, len(tasks), to_go, steps)
    if config is None or not to_go:
        return found
    batch = config.train.batch_size
    try:
        trial = try_batch(config, batch, build_data(config), seconds=seconds)
    except P2ptkError as error:
        return VariantEstimate(label, len(tasks), to_go, steps, problem=str(error))
    if trial is None:
        problem = f"a batch of {batch} does not fit in memory"
        return VariantEstimate(label, len(tasks), to_go, steps, problem=problem)
    a_run = steps * batch * config.train.d_steps / trial.images_per_s
    return VariantEstimate(label, len(tasks), to_go, steps, a_run, trial.peak_bytes)
