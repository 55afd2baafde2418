"""Finds how a side's labels are stored, and how to say so to a dataset."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from p2ptk.components import resolve
from p2ptk.contracts import Dataset
from p2ptk.data import need_split
from p2ptk.dataprep.inspection import open_all
from p2ptk.dataprep.palette import Palette, find_palette
from p2ptk.dataprep.survey import spread
from p2ptk.dataprep.traits import drawn, traits
from p2ptk.dataprep.views import as_contrast
from p2ptk.errors import UserError
from p2ptk.specs import Spec

LOOKED_AT = 24  # pairs that tell which side is drawn
MOST_CLASSES = 256


@dataclass(frozen=True)
class Labels:
    """A side's labels: colours, or class numbers where `palette` is None.

    side: `a` or `b`. spec: the data with this side declared. sentence: what was found, in words.
    """

    dataset: Dataset
    side: str
    palette: Palette | None
    classes: int
    spec: Spec
    sentence: str

    @property
    def toml(self) -> str:
        """The line of run.toml."""
        values = ", ".join(f"{key} = {_toml(v)}" for key, v in self.spec.table().items())
        return f"data = {{{values}}}"

    @property
    def option(self) -> str:
        return f"-d {shlex.quote(str(self.spec))}"

    def plain(self) -> dict[str, Any]:
        colours = self.palette.colours if self.palette else ()
        return {
            "side": self.side,
            "classes": self.classes,
            "palette": [{"colour": c.text, "share": c.share} for c in colours],
            "labels": self.palette.labels if self.palette else True,
            "toml": self.toml,
            "spec": str(self.spec),
            "sentence": self.sentence,
        }


def find_labels(spec: Spec, which: str | None, most: int, distance: float) -> Labels:
    """The labels of side `which` ("a" or "b"), or of the side that looks drawn.

    most: pairs that are read of each split. Raises UserError for a side that is declared as labels
    or measurements already, and for pictures that are no labels.
    """
    dataset = open_all(spec)
    said = ""
    if which is None:
        which = _drawn(dataset)
        said = ", which looks drawn," if which else " (neither looks drawn; --side chooses)"
        which = which or "b"
    side = getattr(dataset, which)
    if side.kind != "image":
        raise UserError(f"side {which.upper()} is declared as {side.kind} already.")
    name = f"side {which.upper()}{said}"
    if f"{which}_kind" not in {field.name for field in resolve("dataset", spec).fields}:
        raise UserError(f"the dataset {spec.name!r} takes no labels.")
    tensors = list(_tensors(dataset, which, most))
    if not tensors:
        raise UserError("no pair can be read; `p2ptk data inspect` says why.")
    if len(tensors[0]) == 1:
        return _numbers(dataset, spec, which, name, tensors)
    if any(x.is_floating_point() or x.element_size() > 1 for x in tensors):
        raise UserError(f"{name} holds {tensors[0].dtype} colours: a palette has 8 bits a channel.")
    found = find_palette((as_contrast(x, side) for x in tensors), distance)
    count = len(found.colours)
    if found.photos:
        raise UserError(
            f"{name} is no label map: its {count} commonest colours are near only "
            f"{found.covered:.0%} of its even areas."
        )
    sentence = f"{name} holds {count} colours in {len(tensors)} pictures"
    sentence += ", and no other." if found.exact else f", near {found.covered:.0%} of even areas."
    if not found.labels:
        sentence += " These are hardly label maps: a palette leaves out much of them."
    palette = [colour.text for colour in found.colours]
    declared = spec.having(**{f"{which}_kind": "labels", f"{which}_palette": palette})
    return Labels(dataset, which, found, count, declared, sentence)


def _numbers(dataset: Dataset, spec: Spec, which: str, name: str, tensors: list[Any]) -> Labels:
    """One channel: the class numbers themselves."""
    values = np.unique(np.concatenate([np.unique(x.numpy()) for x in tensors]))
    high = int(values.max())
    if values.dtype.kind == "f" or len(values) > MOST_CLASSES or high >= 4 * MOST_CLASSES:
        raise UserError(
            f"{name} has one channel of {len(values)} different values up to {values.max():g}: "
            "these are no class numbers."
        )
    shown = ", ".join(str(v) for v in values[:20]) + (", ..." if len(values) > 20 else "")
    sentence = f"{name} holds the numbers {shown} in {len(tensors)} pictures."
    if high > 2 * len(values):
        sentence += f" With {high + 1} classes most would be empty: number them from 0 on."
    declared = spec.having(**{f"{which}_kind": "labels", f"{which}_classes": high + 1})
    return Labels(dataset, which, None, high + 1, declared, sentence)


def _drawn(dataset: Dataset) -> str:
    """`a` or `b`, or nothing where neither looks drawn."""
    both = [
        [
            traits(as_contrast(x, getattr(dataset, which)))
            for x in _tensors(dataset, which, LOOKED_AT)
        ]
        for which in ("a", "b")
    ]
    return drawn(*both)


def _tensors(dataset: Dataset, which: str, most: int) -> Iterator[Any]:
    """A side of the pairs of all splits, of those that can be read."""
    for name in dataset.splits():
        split = need_split(dataset, name)
        for number in spread(len(split), most):
            try:
                pair = split[number]
            except UserError:
                continue
            yield pair.source if which == "a" else pair.target


def _toml(value: Any) -> str:
    """A value on one line of TOML; JSON writes strings and numbers as TOML does."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
