"""TensorBoard's event files."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from p2ptk.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

INSTALL = 'pip install "p2ptk[tensorboard]"'
GROUPS = ("g", "d", "lr", "val")  # of what a run logs; other names are of the run itself


class TensorBoard:
    """Scalars and sample sheets for `tensorboard --logdir runs`.

    Names are grouped: `g_l1` is `g/l1`, `val_psnr` is `val/psnr`, `images_per_s` is
    `run/images_per_s`.
    A resumed run writes a further file that takes the place of what the earlier ones hold from
    its first step on, so that no step is shown twice.

    path: a folder, `{run}` in it the run's name; by default `tensorboard` in the run folder.
    flush: seconds after which what is waiting is written.
    Raises UserError where the package tensorboard is missing.
    """

    def __init__(
        self,
        *,
        folder: Path,  # the run's
        path: str | None = None,
        flush: float = 30.0,
    ) -> None:
        if find_spec("tensorboard") is None:
            raise UserError(f"the tracker 'tensorboard' needs the package tensorboard: {INSTALL}")
        run = folder.resolve().name
        self.path = Path(path.replace("{run}", run)) if path else folder / "tensorboard"
        self.flush = flush
        self._writer: Any = None

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        writer = self._at(step)
        for name, value in values.items():
            writer.add_scalar(tag(name), value, step)

    def images(self, step: int, images: Mapping[str, Tensor]) -> None:
        """Pictures, uint8 H W 3 by name."""
        writer = self._at(step)
        for name, picture in images.items():
            writer.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _at(self, step: int) -> Any:
        """The writer, opened at the first step that this process logs."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(
                str(self.path), purge_step=step, flush_secs=max(1, round(self.flush))
            )
        return self._writer


def tag(name: str) -> str:
    """`g_l1` as `g/l1`: TensorBoard groups by what stands before the slash."""
    group, _, rest = name.partition("_")
    return f"{group}/{rest}" if group in GROUPS and rest else f"run/{name}"
