"""Folders that are written whole or not at all, and never over what is there unasked."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from p2ptk.contracts import Dataset
from p2ptk.errors import UserError
from p2ptk.files import explained


def need_place(out: Path, sources: Iterable[Path], force: bool | None = None) -> None:
    """Raises UserError where `out` can't be written to, or lies among what is read.

    force: it may hold something already; None where the user has no such choice.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give a folder with -o.")
    here = out.resolve()
    for source in sources:
        there = source.resolve()
        if here == there or here in there.parents or there in here.parents:
            raise UserError(f"{out} and {source} overlap: give a folder of its own with -o.")
    if not force and out.is_dir() and any(out.iterdir()):
        rest = "" if force is None else ", or --force to write into it"
        raise UserError(f"{out} is not empty: choose another folder{rest}.")


def read_from(dataset: Dataset) -> set[Path]:
    """The folders that a dataset of files looks through; none for lists and other datasets."""
    where = getattr(dataset, "where", None)
    if not isinstance(where, Path) or not where.is_dir():
        return set()
    found = set()
    for name in dataset.splits():
        for entry in getattr(dataset.split(name), "entries", ()):
            depth = len(PurePosixPath(entry.name).parts)  # a name is the path below the folder
            found |= {file.parents[depth - 1] for file in (entry.a, entry.b)}
    return found


def need_outside(path: Path, dataset: Dataset) -> None:
    """Raises UserError for a place among the data, where a picture would be taken for a pair."""
    for folder in read_from(dataset):
        if folder.resolve() in (path.resolve(), *path.resolve().parents):
            raise UserError(f"{path} lies among the data in {folder}: give another place with -o.")


@contextmanager
def staged(out: Path, force: bool = False) -> Iterator[Path]:
    """A folder to write to, whose content becomes that of `out` at the end, or not at all.

    force: `out` may hold something; files of the same names are replaced, others stay.
    Raises UserError or P2ptkError where it can't be written.
    """
    with explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        hidden = out.parent / f".p2ptk-{secrets.token_hex(6)}.tmp"
        hidden.mkdir()
        place = hidden / "whole"
        try:
            place.mkdir()
            yield place
            files = [path for path in place.rglob("*") if path.is_file()]
            for file in files:
                _flush(file)
            if force and out.is_dir() and any(out.iterdir()):
                for file in files:
                    target = out / file.relative_to(place)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    file.replace(target)
            else:
                if out.is_dir():
                    out.rmdir()
                place.rename(out)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _flush(path: Path) -> None:
    """Have a file reach the disk. It may be a link to one that can only be read."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
