"""Which side of pairs holds label maps, and how to read it as labels: for `p2ptk train-scorer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from p2ptk.components import resolve
from p2ptk.contracts import Dataset, Split
from p2ptk.errors import UserError
from p2ptk.metrics.palette import Colour, Found, find_palette, written
from p2ptk.metrics.setting import as_colours
from p2ptk.specs import Spec

Letter = Literal["A", "B"]
LOOKED_AT = 100  # pairs that are looked at for colours


def label_side(dataset: Dataset, split: Split) -> Letter:
    """The side that holds labels: the one that says so, or the one whose pictures have a palette.

    Raises UserError where that is neither or both.
    """
    declared: list[Letter] = [
        letter for letter in ("A", "B") if getattr(dataset, letter.lower()).kind == "labels"
    ]
    if len(declared) == 1:
        return declared[0]
    found: list[Letter] = [
        letter
        for letter in ("A", "B")
        if getattr(dataset, letter.lower()).kind == "image"
        and palette_of(dataset, split, letter).pure
    ]
    if len(found) != 1:
        which = "both sides look" if found else "neither side looks"
        raise UserError(f"{which} like label maps: say which it is with --labels A or --labels B.")
    return found[0]


def palette_of(dataset: Dataset, split: Split, letter: Letter) -> Found:
    """The colours of one side, from pairs spread evenly over a split."""
    step = -(-len(split) // LOOKED_AT)
    side = dataset.a if letter == "A" else dataset.b

    pairs = (split[number] for number in range(0, len(split), step))
    return find_palette(
        as_colours(pair.source if letter == "A" else pair.target, side) for pair in pairs
    )


def with_labels(spec: Spec, letter: Letter, colours: Sequence[Colour]) -> Spec:
    """A dataset's spec, with that side as labels of these colours.

    Raises UserError for datasets that can't read a side as labels.
    """
    low = letter.lower()
    known = {field.name for field in resolve("dataset", spec).fields}
    if not {f"{low}_kind", f"{low}_palette"} <= known:
        raise UserError(
            f"the dataset {spec.name!r} can't read side {letter} as labels: it has no parameters "
            f"{low}_kind and {low}_palette."
        )
    return spec.having(**{f"{low}_kind": "labels", f"{low}_palette": written(colours)})
