"""Pairs that a list names: a CSV or JSONL file with a row a pair."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import Field

from p2ptk.datasets.filepairs import Entry, FilePairs, Problem
from p2ptk.datasets.folders import SPLITS
from p2ptk.datasets.sides import Kind, Range, make_side
from p2ptk.errors import UserError, did_you_mean

COLUMNS = ("source", "target", "split", "name")
LIST_SUFFIXES = (".csv", ".jsonl")


class ListFile(FilePairs):
    """A list of pairs: CSV with a header row, or JSONL with an object a line.

    Columns: `source` (A) and `target` (B), paths relative to the list's own folder; and, where
    wanted, `split` (train, val or test; train if empty) and `name` (the source's path without its
    ending if empty; unique within a split).

    path: the list, a .csv or .jsonl file.
    a_kind, b_kind: `image`, `labels` (a class a pixel) or `values` (measurements).
    a_range, b_range: values that become -1 and 1; the dtype's own range if none. Float needs one.
    a_classes, b_classes: number of classes of labels that are stored as numbers.
    a_palette, b_palette: colours of the classes, as #rrggbb, of labels that are stored as colours.
    val_fraction: the part of train that is set aside where there is no val.
    split_seed: draws which part.
    skip_bad: go on without rows and files that are damaged or do not fit.

    Raises UserError that lists the rows and files that can't be used.
    """

    def __init__(
        self,
        *,
        path: Path,
        a_kind: Kind = "image",
        b_kind: Kind = "image",
        a_range: Range | None = None,
        b_range: Range | None = None,
        a_classes: Annotated[int, Field(gt=1)] | None = None,
        b_classes: Annotated[int, Field(gt=1)] | None = None,
        a_palette: list[str] | None = None,
        b_palette: list[str] | None = None,
        val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        split_seed: int = 0,
        skip_bad: bool = False,
    ) -> None:
        found: dict[str, list[Entry]] = {}
        problems: list[Problem] = []
        names: set[tuple[str, str]] = set()
        for number, row in _rows(path):
            try:
                split, entry = _entry(row, path.parent)
                if (split, entry.name) in names:
                    raise ValueError(f"the name {entry.name!r} comes twice in {split}")
                names.add((split, entry.name))
                found.setdefault(split, []).append(entry)
            except ValueError as error:
                problems.append(Problem(f"row {number}", str(error)))
        if not found and not problems:
            raise UserError(f"{path} lists no pairs.")
        super().__init__(
            path,
            {split: found[split] for split in ("train", "val", "test") if split in found},
            problems,
            make_side("a", a_kind, a_range, a_classes, a_palette),
            make_side("b", b_kind, b_range, b_classes, b_palette),
            skip_bad=skip_bad,
            val_fraction=val_fraction,
            split_seed=split_seed,
        )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their line numbers. Raises UserError for what is no list."""
    if path.suffix.lower() not in LIST_SUFFIXES:
        raise UserError(f"{path} is no list of pairs: it should end with .csv or .jsonl.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"the list {path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"the list {path} is not in UTF-8.") from None
    if path.suffix.lower() == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        _check_columns(path, list(reader.fieldnames or []))
        yield from ((reader.line_num, row) for row in reader)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{path}, line {number} is no JSON: {error.msg}.") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number} is no object like {{'source': ...}}.")
            _check_columns(path, list(row))
            yield number, row


def _check_columns(path: Path, columns: list[str]) -> None:
    for column in ("source", "target"):
        if column not in columns:
            has = ", ".join(columns) or "none"
            raise UserError(f"{path} has no column {column!r}; its columns are {has}.")
    for column in columns:
        if column not in COLUMNS:
            raise UserError(f"{path} has a column {column!r}: {did_you_mean(column, COLUMNS)}")


def _entry(row: dict[str, Any], folder: Path) -> tuple[str, Entry]:
    """A row's split and entry. Raises ValueError in words."""
    cells = {column: row.get(column) or "" for column in COLUMNS}
    if wrong := next((v for v in row.values() if v is not None and not isinstance(v, str)), None):
        raise ValueError(f"{wrong!r} is no text")
    source, target = cells["source"].strip(), cells["target"].strip()
    if not source or not target:
        raise ValueError(f"it has no {'target' if source else 'source'}")
    split = SPLITS.get((cells["split"].strip() or "train").lower())
    if not split:
        raise ValueError(f"{cells['split']!r} is no split; write train, val or test")
    name = cells["name"].strip() or _name_of(source)
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"the name {name!r} leads out of a folder")
    a, b = folder / source, folder / target
    if a == b:
        raise ValueError(f"source and target are the same file {source!r}")
    return split, Entry(name, a, b)


def _name_of(source: str) -> str:
    """The source's path without its ending, and without what leads out of a folder."""
    path = Path(source).with_suffix("")
    return "/".join(part for part in path.parts if part not in ("..", path.anchor))
