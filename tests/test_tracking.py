from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from p2ptk.components import register
from p2ptk.errors import UserError
from p2ptk.specs import Spec
from p2ptk.tracking import Trackers

calls: list[tuple[Any, ...]] = []


class Recorder:
    """Notes its calls; raises in the method that `fails` names."""

    def __init__(self, *, folder: Path, fails: str = "", label: str = "") -> None:
        self.fails, self.label = fails, label
        self._note("init", folder)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._note("scalars", step, dict(values))

    def images(self, step: int, images: Mapping[str, Any]) -> None:
        self._note("images", step, sorted(images))

    def close(self) -> None:
        self._note("close")

    def _note(self, method: str, *values: Any) -> None:
        calls.append((self.label, method, *values))
        if self.fails == method:
            raise ConnectionError("no route to the server")


@pytest.fixture(autouse=True)
def _recorder() -> None:
    calls.clear()
    register("tracker", "recorder-test", Recorder)


def specs(**fails: str) -> dict[str, Spec]:
    return {
        key: Spec("recorder-test", {"label": key, "fails": where}) for key, where in fails.items()
    }


def use(trackers: Trackers) -> None:
    for step in (1, 2):
        trackers.scalars(step, {"g_l1": 0.5})
        trackers.images(step, {"samples": None})
    trackers.close()


def test_everything_is_forwarded(tmp_path: Path) -> None:
    use(Trackers(specs(a=""), tmp_path))
    assert calls == [
        ("a", "init", tmp_path),
        ("a", "scalars", 1, {"g_l1": 0.5}),
        ("a", "images", 1, ["samples"]),
        ("a", "scalars", 2, {"g_l1": 0.5}),
        ("a", "images", 2, ["samples"]),
        ("a", "close"),
    ]


@pytest.mark.parametrize("where", ["init", "scalars", "images", "close"])
def test_a_failing_tracker_is_named_once_and_dropped(
    where: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "p2ptk"):
        use(Trackers(specs(bad=where, good=""), tmp_path))
    assert [r.getMessage() for r in caplog.records] == [
        "tracker bad failed and is left out from here on: ConnectionError: no route to the server"
    ]
    assert sum(call[:2] == ("bad", where) for call in calls) == 1
    assert calls[-1] == ("good", "close")
    assert sum(call[0] == "good" for call in calls) == 6


def test_closing_twice_closes_once(tmp_path: Path) -> None:
    trackers = Trackers(specs(a=""), tmp_path)
    trackers.close()
    trackers.close()
    assert sum(call[1] == "close" for call in calls) == 1


def test_an_interrupt_is_not_swallowed(tmp_path: Path) -> None:
    class Stops(Recorder):
        def scalars(self, step: int, values: Mapping[str, float]) -> None:
            raise KeyboardInterrupt

    register("tracker", "stops-test", Stops)
    trackers = Trackers({"stops": Spec("stops-test")}, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        trackers.scalars(1, {})


def test_wrong_specs_are_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'recorder-test'"):
        Trackers({"x": Spec("recorder-tes")}, tmp_path)
    with pytest.raises(UserError, match="has no parameter 'labl'"):
        Trackers({"x": Spec("recorder-test", {"labl": "a"})}, tmp_path)
