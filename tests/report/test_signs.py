from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from p2ptk.cli.run import run
from p2ptk.config import RunConfig
from p2ptk.layers import layers_of
from p2ptk.report.looks import Looks
from p2ptk.report.signs import Seen, Sign, signs

GOOD = Looks(detail=0.9, checkerboard=1.2, period=2, cast=(0.0, 0.0, 0.0))


def log(count: int = 100, **columns: Callable[[float], float | None]) -> list[dict[str, Any]]:
    """A healthy log of 10 * count steps; `columns` give others by the share of the run."""
    healthy: dict[str, Callable[[float], float | None]] = {
        "d_real": lambda t: 0.4,
        "d_fake": lambda t: 0.4,
        "g_gan": lambda t: 1.0,
        "g_l1": lambda t: 40 - 20 * t,
        "g_loss": lambda t: 41 - 20 * t,
    }
    made = []
    for number in range(1, count + 1):
        row: dict[str, Any] = {"step": 10 * number, "epoch": number / 5}
        row |= {k: f(number / count) for k, f in (healthy | columns).items()}
        made.append({k: v for k, v in row.items() if v != "absent"})
    return made


def config(**table: Any) -> RunConfig:
    base = {"record": {"pairs": 400}, "generator": "unet:upsample=transpose"}
    return RunConfig.of(*layers_of(base | table))


def found(
    rows: list[dict[str, Any]], seen: Seen | None = None, **table: Any
) -> tuple[Sign, Sign, Sign]:
    three = signs(rows, config(**table), seen or Seen(GOOD, pairs=4), "runs/my run")
    assert [sign.about for sign in three] == ["pictures", "game", "pairs"]
    for sign in three:
        assert sign.sentence.endswith(".")
        assert sign.level != "trouble" or sign.commands
        for command in sign.commands:
            assert shlex.split(command)[0] == "p2ptk"
            assert "runs/my run" in shlex.join(shlex.split(command)) or "inspect" in command
    return three


def test_a_healthy_run_is_told_so() -> None:
    distances = [(100 * i, 0.5 - 0.04 * i) for i in range(1, 9)]
    three = found(log(), Seen(GOOD, distances, 0, 4))
    assert [s.level for s in three] == ["fine"] * 3
    assert not any(s.commands for s in three)
    assert "90 %" in three[0].sentence
    assert "aligned" in three[2].sentence


def test_before_anything_is_logged() -> None:
    assert [s.level for s in found([], Seen())] == ["early"] * 3


def test_a_young_run_is_not_blamed() -> None:
    young = log(10, d_real=lambda t: 0.01, d_fake=lambda t: 0.01)
    dark = Looks(0.1, 1.0, 2, (-0.2, -0.2, -0.2))
    pictures, game, _ = found(young, Seen(dark))
    assert pictures.level == game.level == "early"
    assert pictures.commands == ("p2ptk resume 'runs/my run' --steps 3000",)


@pytest.mark.parametrize(
    ("looks", "words", "typed"),
    [
        (Looks(0.2, 1, 2, (0, 0, 0)), "grey mush", "losses.l1.weight=50"),
        (Looks(0.9, 20, 4, (0, 0, 0)), "a pattern of 4 pixels", "upsample=resize"),
        (Looks(0.2, 20, 2, (0, 0, 0)), "checkerboard", "upsample=resize"),
        (Looks(0.9, 1, 2, (-0.1, -0.1, -0.1)), "are darker than", "--norm image"),
        (Looks(0.9, 1, 2, (0.1, 0.1, 0.1)), "are brighter than", "inference.norm=image"),
        (Looks(0.9, 1, 2, (0.1, 0, 0)), "are more red than", "inference.norm=image"),
        (Looks(0.9, 1, 2, (0, 0, -0.1)), "are more yellow than", "inference.norm=image"),
    ],
    ids=["mush", "checks", "checks-first", "dark", "bright", "red", "yellow"],
)
def test_troubled_pictures(looks: Looks, words: str, typed: str) -> None:
    sign = found(log(), Seen(looks))[0]
    assert sign.level == "trouble"
    assert words in sign.sentence
    assert typed in " ".join(sign.commands)


def test_mush_without_a_discriminator() -> None:
    table = {"discriminator": "none", "losses": ["l1"]}
    pictures, game, _ = found(log(), Seen(Looks(0.2, 1, 2, (0, 0, 0))), **table)
    assert "-D patchgan" in pictures.commands[0]
    assert game.level == "fine"
    assert "none can win" in game.sentence


@pytest.mark.parametrize(
    ("mode", "value", "level"),
    [
        ("vanilla", 0.02, "trouble"),
        ("vanilla", 0.3, "fine"),
        ("vanilla", math.log(2), "watch"),
        ("lsgan", 0.01, "trouble"),
        ("lsgan", 0.1, "fine"),
        ("hinge", 0.05, "trouble"),
        ("hinge", 1.0, "watch"),
        ("wgan", -50.0, "fine"),
    ],
)
def test_who_wins(mode: str, value: float, level: str) -> None:
    rows = log(d_real=lambda t: value, d_fake=lambda t: value)
    game = found(rows, losses=[f"gan:mode={mode}", "l1:weight=100"])[1]
    assert game.level == level
    assert ("D wins" in game.sentence) is (level == "trouble")


@pytest.mark.parametrize(("margin", "level"), [(0.0, "watch"), (1.0, "fine"), (6.0, "trouble")])
def test_who_wins_by_relativistic_margins(margin: float, level: str) -> None:
    rows = [{k: v for k, v in r.items() if k not in ("d_real", "d_fake")} for r in log()]
    for row in rows:
        row["d_margin"] = margin
    assert found(rows, losses=["gan:mode=rpgan", "l1"])[1].level == level


def test_only_late_rows_decide_who_wins() -> None:
    rows = log(d_real=lambda t: 0.01 if t < 0.7 else 0.5, d_fake=lambda t: 0.5)
    assert found(rows)[1].level == "fine"


def test_a_diverged_run() -> None:
    rows = log(g_l1=lambda t: None if t == 1 else 10.0)
    game = found(rows)[1]
    assert game.level == "trouble"
    assert game.sentence.startswith("g_l1 is not finite")


VALLEY = [(100 * i, 0.3 + 0.02 * abs(i - 4)) for i in range(1, 11)]


def test_overfitting_by_the_shown_pairs() -> None:
    pairs = found(log(), Seen(GOOD, VALLEY, 0, 4))[2]
    assert pairs.level == "trouble"
    assert "step 400" in pairs.sentence
    assert "400:" in pairs.sentence  # of so many training pairs
    assert "--steps 400" in pairs.commands[0]


def test_what_does_not_fall_in_training_is_not_overfitting() -> None:
    stuck = log(g_l1=lambda t: 30.0)
    assert found(stuck, Seen(GOOD, VALLEY, 0, 4))[2].level == "fine"


@pytest.mark.parametrize(
    ("name", "value", "level"),
    [
        ("val_psnr", lambda t: 20 - 10 * abs(t - 0.4), "trouble"),
        ("val_psnr", lambda t: 20 + t, "fine"),
        ("val_lpips-alex", lambda t: 0.3 + abs(t - 0.4), "trouble"),
        ("val_my-own", lambda t: 20 - 10 * abs(t - 0.4), "fine"),
    ],
)
def test_overfitting_by_validation(name: str, value: Callable[[float], float], level: str) -> None:
    rows = log()
    for row in rows:
        if row["step"] % 100 == 0:
            row[name] = value(row["step"] / 1000)
    assert found(rows, Seen(GOOD, [(i, 1 - i / 99) for i in range(9)], 0, 4))[2].level == level


def test_few_pairs_seen_often() -> None:
    rows = log()
    rows[-1]["epoch"] = 500
    pairs = found(rows, Seen(GOOD, [(i, 1.0) for i in range(9)]), record={"pairs": 12})[2]
    assert pairs.level == "watch"
    assert "Only 12 training pairs were seen 500 times" in pairs.sentence


@pytest.mark.parametrize(("shifted", "level"), [(0, "fine"), (1, "fine"), (3, "trouble")])
def test_misaligned_pairs(shifted: int, level: str) -> None:
    seen = Seen(GOOD, [(i, 1 - i / 99) for i in range(9)], shifted, 4)
    pairs = found(log(), seen, data="side-by-side:path=/my pairs")[2]
    assert pairs.level == level
    if level == "trouble":
        assert shlex.split(pairs.commands[0])[:3] == ["p2ptk", "data", "inspect"]


def test_what_is_to_be_typed_is_understood() -> None:
    """Every `p2ptk run` of the signs parses, up to the config that it names."""
    seens = [
        Seen(Looks(0.2, 1, 2, (0, 0, 0)), VALLEY),
        Seen(Looks(0.9, 20, 4, (0, 0, 0))),
        Seen(Looks(0.9, 1, 2, (0.1, 0.1, 0.1))),
    ]
    rows = log(d_real=lambda t: 0.01, d_fake=lambda t: 0.01)
    typed = {c for seen in seens for sign in found(rows, seen) for c in sign.commands}
    runs = [shlex.split(c)[2:] for c in typed if c.startswith("p2ptk run")]
    assert len(runs) > 4
    for words in runs:
        assert run.make_context("run", words).params["config"] is not None
