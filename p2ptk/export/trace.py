"""A module as a torch.export program, with as many free dimensions as it allows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config

from p2ptk.errors import UserError
from p2ptk.export.pictures import Pictures, dtype_of
from p2ptk.weights import ModelHeader

log = logging.getLogger("p2ptk")


@dataclass(frozen=True)
class Traced:
    """A program, and what may vary in its input: the number of pictures, their height and width.

    size: height and width where they may not. refused: why something may not, in torch's words.
    """

    program: ExportedProgram
    any_batch: bool
    size: tuple[int, int] | None
    refused: str = ""


def trace(pictures: Pictures, header: ModelHeader, size: tuple[int, int] | None) -> Traced:
    """The program of a module in eval mode.

    size: height and width to fix; None leaves them free, as multiples of the generator's.
    Raises UserError where the generator can't be traced at all.
    """
    fixed = size or header.size
    refused = ""
    # Without `oblivious` torch guards against maps of one pixel and single pictures, which the
    # trained size may lead to; with it, some operations ask for several pictures.
    for any_size, any_batch, oblivious in product((True, False), (True, False), (True, False)):
        if any_size and size is not None:
            continue
        place = None if any_size else fixed
        try:
            with quiet(), _oblivious(oblivious):
                program = _trace(pictures, header, any_batch, place)
                _try(program, pictures, header, fixed)
        except Exception as error:  # whatever a plugin's forward or torch raises
            log.debug("torch.export: %s", error)
            if not oblivious:
                refused = refused or first_line(error)
            continue
        return Traced(program, any_batch, place, refused)
    raise UserError(
        f"the generator {header.spec.name!r} can't be traced by torch.export, so it has no form "
        f"outside PyTorch: {refused}"
    )


def _trace(
    pictures: Pictures, header: ModelHeader, any_batch: bool, size: tuple[int, int] | None
) -> ExportedProgram:
    # What is free is traced at 2 or more: torch takes sizes of 1 for fixed ones.
    down, across = header.size_multiple
    shape = size or (3 * down, 2 * across)
    source = example(pictures, header, 2 if any_batch else 1, shape)
    free: dict[int, Any] = {0: Dim("batch", min=1)} if any_batch else {}
    if size is None:
        for place, multiple, name in ((2, down, "height"), (3, across, "width")):
            part = Dim(name if multiple == 1 else f"{name}_parts", min=1)
            free[place] = part if multiple == 1 else multiple * part
    given: tuple[Tensor, ...] = (source,)
    shapes: tuple[Any, ...] = (free,)
    if pictures.seed is not None:
        given, shapes = (source, torch.zeros(1, dtype=torch.int64)), (free, None)
    return torch.export.export(pictures, given, dynamic_shapes=shapes, strict=False)


@contextmanager
def _oblivious(wanted: bool) -> Iterator[None]:
    """Whether sizes are traced without asking if they are 1; older torch always asks."""
    if not hasattr(_config, "backed_size_oblivious"):
        yield
        return
    before = _config.backed_size_oblivious
    _config.backed_size_oblivious = wanted
    try:
        yield
    finally:
        _config.backed_size_oblivious = before


def _try(
    program: ExportedProgram, pictures: Pictures, header: ModelHeader, size: tuple[int, int]
) -> None:
    """Raises where a program refuses one picture of the trained size."""
    given = [example(pictures, header, 1, size)]
    if pictures.seed is not None:
        given.append(torch.zeros(1, dtype=torch.int64))
    with torch.no_grad():
        program.module()(*given)


def example(pictures: Pictures, header: ModelHeader, count: int, size: tuple[int, int]) -> Tensor:
    """Random pictures as the file takes them."""
    side = pictures.source_side
    numbers = torch.Generator().manual_seed(0)
    if side.kind == "labels":
        drawn = torch.randint(0, side.depth or 1, (count, 1, *size), generator=numbers)
        return drawn.to(dtype_of(side))
    low, high = side.range or (0.0, 1.0)
    shape = (count, header.source_channels, *size)
    return torch.rand(shape, generator=numbers) * (high - low) + low


def first_line(error: Exception) -> str:
    """The first line of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and notes of torch's exporters."""
    loggers = [logging.getLogger(n) for n in ("torch.export", "torch.onnx", "onnxscript", "torch")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
