"""The models that are served: loaded when first asked for, once, whatever thread asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from p2ptk import Side, Translator, UserError, read_header
from p2ptk_gradio.limits import Refused

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Ask:
    """How a picture is to be translated.

    noise: dropout on or off; None is the model's own rule, whose randomness `seed` decides.
    tile: pixels a side; larger pictures are cut. derive: make the source from a photo, where the
    model was trained so; otherwise the picture is a source already, such as a drawing. fit: scale
    the picture to the size that the model was trained at.
    """

    model: str
    seed: int = 0
    tile: int = 1024
    noise: bool | None = None
    derive: bool = True
    fit: bool = False


class Model:
    """One model file or run folder. Its header is read at once, its weights when first needed.

    Raises UserError for a bad file, and for a model whose pictures PNG can't hold.
    """

    def __init__(self, name: str, path: Path, device: str, precision: Precision) -> None:
        self.name, self.path = name, path
        self.header = read_header(path)
        self._device, self._precision = device, precision
        self._loaded: dict[bool | None, Translator] = {}
        self._lock = threading.Lock()
        need_pictures(self)

    @property
    def folder(self) -> Path:
        """The run's folder, or the folder that the file lies in."""
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def derives(self) -> bool:
        return bool(self.header.derive)

    @property
    def is_loaded(self) -> bool:
        return bool(self._loaded)

    def side(self, derive: bool = True) -> Side:
        """What a picture that is given to it shows."""
        return self.header.target if self.derives and derive else self.header.source

    def blank(self) -> Image.Image:
        """A picture of the model's size that it takes."""
        height, width = self.header.size
        return Image.new("L" if self.side().kind == "labels" else "RGB", (width, height))

    def translator(self, noise: bool | None = None) -> Translator:
        """The loaded model, warmed up by one translation."""
        with self._lock:
            if noise not in self._loaded:
                loaded = Translator.load(self.path, self._device, self._precision, dropout=noise)
                loaded(self.blank())
                self._loaded[noise] = loaded
            return self._loaded[noise]

    def translate(
        self, pictures: Sequence[Image.Image], ask: Ask, batch_size: int
    ) -> list[Image.Image]:
        """Pictures of one size and mode, as `ask` says. Raises UserError as Translator does."""
        loaded = self.translator(ask.noise)
        loaded = Translator(  # shares the network
            loaded.generator,
            loaded.header,
            device=loaded.device,
            precision=loaded.precision,
            tile=ask.tile,
            batch_size=batch_size,
            size=loaded.header.size if ask.fit else None,
            derive=ask.derive,
        )
        return loaded(list(pictures), seed=ask.seed)

    def facts(self) -> dict[str, Any]:
        """What `/v1/models` says of it."""
        header = self.header
        return {
            "name": self.name,
            "source": header.source.kind,
            "target": header.target.kind,
            "height": header.size[0],
            "width": header.size[1],
            "derives": self.derives,
            "trained_on": header.trained_on,
            "pairs": header.pairs,
            "step": header.step,
            "generator": str(header.spec),
            "loaded": self.is_loaded,
        }


class Models:
    """Models by name: a run folder's name, or a file's without its extension."""

    def __init__(
        self, paths: Sequence[Path], device: str = "auto", precision: Precision = "auto"
    ) -> None:
        self._by_name: dict[str, Model] = {}
        for path in paths:
            name = free = _name(path)
            number = 2
            while free in self._by_name:
                free, number = f"{name}-{number}", number + 1
            self._by_name[free] = Model(free, path, device, precision)
        if not self._by_name:
            raise UserError("give at least one model: a run folder or a model file.")

    def __iter__(self) -> Iterator[Model]:
        return iter(self._by_name.values())

    @property
    def names(self) -> list[str]:
        return list(self._by_name)

    @property
    def first(self) -> Model:
        return next(iter(self))

    def get(self, name: str | None) -> Model:
        """The model of a name, or the first. Raises Refused (404) where there is none."""
        if name is None:
            return self.first
        if name not in self._by_name:
            raise Refused(404, f"there is no model {name!r}: choose from {', '.join(self.names)}.")
        return self._by_name[name]


def need_pictures(model: Model) -> None:
    """Raises UserError for a model whose source or target no PNG holds."""
    header = model.header
    deep = header.target_dtype == "uint16" and header.target_channels == 1
    holds = header.target.kind == "labels" or (
        header.target_channels in (1, 3, 4) and (header.target_dtype == "uint8" or deep)
    )
    given = header.photo_channels or header.target_channels
    count = given if model.derives else header.source_channels
    takes = model.side().kind == "labels" or count in (1, 3, 4)
    if holds and takes:
        return
    what = (
        f"gives {header.target_channels} channels of {header.target_dtype}"
        if not holds
        else f"takes {count} channels"
    )
    raise UserError(
        f"{model.path} {what}, which is no picture that a browser shows: use `p2ptk translate`."
    )


def _name(path: Path) -> str:
    path = path.resolve()
    return path.parent.name if path.name == "generator.safetensors" else path.stem
