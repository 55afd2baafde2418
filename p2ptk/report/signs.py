"""Signs of trouble in a run: three plain sentences, and what to type.

One sentence each on the pictures (grey mush, checkerboard, colour cast), on the game between the
networks (D wins, a loss that is not finite) and on the pairs (overfitting few of them, sides that
lie apart). The rules are few and their limits stand below; they look at metrics.jsonl and at the
sample sheets alone, and are made to be right about plain cases rather than to find faint ones.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from p2ptk.config import RunConfig
from p2ptk.report.looks import Looks
from p2ptk.report.trends import Rows, share_of_chance, slipped, validated

Level = Literal["fine", "early", "watch", "trouble"]

MUSH = 0.45  # of the targets' fine detail; less is mush
BOARD = 6.0  # times that a pattern stands out more than in the targets
CAST = 0.08  # of the whole scale, by which all outputs are off
TINT = 0.05  # of it, by which one channel is off beside the others
WON = 0.1  # of the loss that D has when it guesses; less, and it has won
GUESSING = 0.97  # of it; more, and it can't tell the two apart
EARLY = 300  # steps before which neither mush nor a winner means much
SEEN = 100  # times that each of FEW pairs was seen
FEW = 30


@dataclass(frozen=True)
class Sign:
    """A sentence or two about one side of a run. commands: what to type about it."""

    about: Literal["pictures", "game", "pairs"]
    level: Level
    sentence: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What the sample sheets show, as far as they can be read.

    looks: of the newest outputs. distances: (step, mean |output - target|) through time.
    shifted: how many of `pairs` shown pairs have a target that lies elsewhere than its source.
    """

    looks: Looks | None = None
    distances: Sequence[tuple[int, float]] = ()
    shifted: int = 0
    pairs: int = 0


def signs(rows: Rows, config: RunConfig, seen: Seen, run: str) -> tuple[Sign, Sign, Sign]:
    """What to know first of a run. run: its folder, for the commands."""
    again = _Again(run)
    return (
        _pictures(rows, config, seen, again),
        _game(rows, config, again),
        _pairs(rows, config, seen, again),
    )


class _Again:
    """`p2ptk run` with the run's own config and one thing changed."""

    def __init__(self, run: str) -> None:
        self.run = run

    def __call__(self, *words: str) -> str:
        base = ["p2ptk", "run", "--config", f"{self.run}/run.toml"]
        return shlex.join([*base, *words, "-o", f"{self.run}-2"])


def _pictures(rows: Rows, config: RunConfig, seen: Seen, again: _Again) -> Sign:
    looks, step = seen.looks, _last_step(rows)
    if looks is None:
        return Sign("pictures", "early", "There is no sample sheet yet to judge the pictures by.")
    share = f"{100 * looks.detail:.0f} %"
    if looks.checkerboard >= BOARD:
        words = ["--steps", str(2 * max(step, 1))]
        if config.generator.params.get("upsample", "resize") != "resize":
            words = ["-G", str(config.generator.having(upsample="resize"))]
        return Sign(
            "pictures",
            "trouble",
            f"The outputs carry a checkerboard: a pattern of {looks.period} pixels stands out "
            f"{looks.checkerboard:.0f} times as far as in the targets.",
            (again(*words),),
        )
    cast = _cast(looks)
    if cast and step >= EARLY:
        other = "running" if config.inference.norm == "image" else "image"
        command = ["p2ptk", "translate", again.run, "PICTURES", "-o", "OUT", "--norm", other]
        return Sign(
            "pictures",
            "trouble",
            f"The outputs have a cast: all of them are {cast} than their targets.",
            (shlex.join(command), again("--set", f"inference.norm={other}")),
        )
    if looks.detail < MUSH:
        return _mush(rows, config, share, again)
    return Sign(
        "pictures",
        "fine",
        f"The outputs have {share} of their targets' fine detail, no checkerboard and no colour "
        "cast.",
    )


def _mush(rows: Rows, config: RunConfig, share: str, again: _Again) -> Sign:
    step = _last_step(rows)
    said = f"The outputs are soft: they have {share} of their targets' fine detail"
    if step < EARLY:
        longer = shlex.join(["p2ptk", "resume", again.run, "--steps", str(10 * EARLY)])
        return Sign(
            "pictures", "early", f"{said}, which is usual after only {step:,} steps.", (longer,)
        )
    if config.discriminator is None:
        words = ("-D", "patchgan", "-L", "+gan")
        return Sign(
            "pictures",
            "trouble",
            f"{said}, since no discriminator asks for more.",
            (again(*words),),
        )
    weight = config.losses["l1"].params.get("weight", 1) if "l1" in config.losses else 0
    lower = (
        ("--set", f"losses.l1.weight={weight / 2:g}") if weight > 1 else ("--steps", f"{2 * step}")
    )
    return Sign("pictures", "trouble", f"{said}: grey mush.", (again(*lower),))


def _cast(looks: Looks) -> str:
    """The cast in words, such as `darker` or `more yellow`; empty without one."""
    level = sum(looks.cast) / 3
    tint = [value - level for value in looks.cast]
    strongest = max(range(3), key=lambda i: abs(tint[i]))
    if abs(tint[strongest]) >= TINT:
        more, less = ("red", "green", "blue"), ("cyan", "magenta", "yellow")
        return f"more {(more if tint[strongest] > 0 else less)[strongest]}"
    if abs(level) >= CAST:
        return "brighter" if level > 0 else "darker"
    return ""


def _game(rows: Rows, config: RunConfig, again: _Again) -> Sign:
    if not rows:
        return Sign("game", "early", "Nothing is logged yet.")
    losses = [name for name in rows[-1] if name[:2] in ("g_", "d_")]
    odd = [name for name in losses if rows[-1][name] is None]
    if odd:
        return Sign(
            "game",
            "trouble",
            f"{', '.join(odd)} is not finite any more: the run diverged.",
            (again("--set", f"train.lr={config.train.lr / 2:g}", "--precision", "fp32"),),
        )
    adversarial = next((s for s in config.losses.values() if s.name == "gan"), None)
    if config.discriminator is None or adversarial is None:
        return Sign("game", "fine", "No discriminator takes part, so none can win.")
    late = rows[-max(3, len(rows) // 5) :]
    mode = str(adversarial.params.get("mode", "vanilla"))
    share = share_of_chance(late, mode)
    if share is None:
        return Sign("game", "fine", f"All losses are finite; {mode} losses don't tell who wins.")
    step = _last_step(rows)
    if share < WON and step >= EARLY:
        slower = (config.train.lr_d or config.train.lr) / 4
        return Sign(
            "game",
            "trouble",
            f"D wins: of late its loss is {100 * share:.0f} % of what guessing would give, so G "
            "learns little from it.",
            (again("--set", f"train.lr_d={slower:g}"), again("-L", "+r1:gamma=0.2")),
        )
    if share > GUESSING and step >= EARLY:
        return Sign(
            "game",
            "watch",
            "D can't tell outputs from targets: its loss is what guessing would give, which is "
            "fine if the outputs are sharp.",
        )
    return Sign(
        "game",
        "early" if step < EARLY else "fine",
        f"D and G keep up with each other: of late D's loss is {100 * share:.0f} % of what "
        "guessing would give" + (", though it is early to say." if step < EARLY else "."),
    )


def _pairs(rows: Rows, config: RunConfig, seen: Seen, again: _Again) -> Sign:
    if seen.shifted >= 2 and 2 * seen.shifted >= seen.pairs:
        return Sign(
            "pairs",
            "trouble",
            f"The pairs look misaligned: in {seen.shifted} of {seen.pairs} shown pairs the edges "
            "of the target lie elsewhere than those of the source.",
            (shlex.join(["p2ptk", "data", "inspect", str(config.data)]),),
        )
    worse = slipped(rows, seen.distances)
    if worse:
        what, step = worse
        count = f" of {config.record['pairs']:,}" if "pairs" in config.record else ""
        return Sign(
            "pairs",
            "trouble",
            f"The model overfits its training pairs{count}: {what} was best at step {step:,} and "
            "has become worse since, while the training loss went on falling.",
            (again("--steps", str(step)), again("--set", "train.ema=0.999")),
        )
    pairs, epoch = config.record.get("pairs"), rows[-1].get("epoch", 0) if rows else 0
    if pairs and pairs < FEW and epoch > SEEN:
        return Sign(
            "pairs",
            "watch",
            f"Only {pairs} training pairs were seen {epoch:.0f} times each: compare the shown "
            "pairs with the training ones before you trust it.",
        )
    if not (_last_step(rows) and (len(seen.distances) > 2 or validated(rows))):
        return Sign("pairs", "early", "It is early to say whether the pairs suffice.")
    said = "The shown pairs are aligned, and nothing" if seen.pairs else "Nothing"
    return Sign("pairs", "fine", f"{said} speaks of overfitting.")


def _last_step(rows: Rows) -> int:
    return int(rows[-1].get("step", 0)) if rows else 0
