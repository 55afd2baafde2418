"""Mirrors what a run logs to trackers; none of them can end the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from p2ptk.components import create
from p2ptk.errors import P2ptkError
from p2ptk.specs import Spec

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("p2ptk")


class Trackers:
    """The run's trackers by key; one that fails is named in a warning, once, and dropped.

    specs: as `RunConfig.trackers`. folder: the run's, which each tracker is built with.
    Raises UserError for an unknown name or a wrong parameter: that is found out before step 0.
    """

    def __init__(self, specs: Mapping[str, Spec], folder: Path) -> None:
        self._trackers: dict[str, Any] = {}
        for key, spec in specs.items():
            try:
                self._trackers[key] = create("tracker", spec, folder=folder)
            except P2ptkError:
                raise
            except Exception as error:
                self._drop(key, error)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Forward one line of the log."""
        self._each("scalars", step, values)

    def images(self, step: int, images: Mapping[str, Tensor]) -> None:
        """Forward pictures, uint8 H W 3 by name."""
        self._each("images", step, images)

    def close(self) -> None:
        """Let every tracker finish; nothing is forwarded after that."""
        self._each("close")
        self._trackers = {}

    def _each(self, method: str, *values: Any) -> None:
        for key, tracker in list(self._trackers.items()):
            try:
                getattr(tracker, method)(*values)
            except Exception as error:
                self._drop(key, error)

    def _drop(self, key: str, error: Exception) -> None:
        self._trackers.pop(key, None)
        reason = str(error) if isinstance(error, P2ptkError) else f"{type(error).__name__}: {error}"
        log.warning("tracker %s failed and is left out from here on: %s", key, reason)
        log.debug("tracker %s", key, exc_info=error)
