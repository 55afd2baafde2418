"""Each component keeps the contract of its kind; a failure says what to change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from p2ptk import Spec
from p2ptk.testing import conformance


def test_generator() -> None:
    conformance("generator", "aurora:width=4,blocks=1")


def test_encoder() -> None:
    conformance("encoder", "aurora:width=4,depth=3")


def test_discriminator() -> None:
    conformance("discriminator", "aurora:width=4")


def test_loss() -> None:
    conformance("loss", "aurora")


def test_dataset(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("val", 1)):
        (tmp_path / split).mkdir()
        for i in range(count):
            a = np.random.default_rng(i).integers(0, 256, (8, 12, 3), dtype=np.uint8)
            np.savez(tmp_path / split / f"{i}.npz", a=a, b=255 - a)
    conformance("dataset", str(Spec("aurora", {"path": str(tmp_path)})))


def test_augmentation() -> None:
    conformance("augmentation", "aurora")


def test_metric() -> None:
    conformance("metric", "aurora")


def test_launcher() -> None:
    conformance("launcher", "aurora")


def test_tracker() -> None:
    conformance("tracker", "aurora")


def test_recipe() -> None:
    conformance("recipe", "aurora")


def test_command() -> None:
    conformance("command", "aurora")
