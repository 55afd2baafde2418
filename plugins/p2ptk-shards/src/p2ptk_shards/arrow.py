"""Folders that `datasets` wrote by save_to_disk: arrow files, mapped into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from p2ptk import Pair, UserError
from p2ptk_shards.decode import Decoder
from p2ptk_shards.parquet import Columns, decode_row, need_columns
from p2ptk_shards.places import split_of

ROWS = 256  # that count as one block: rows lie one by one, so any number would do


def is_saved(folder: Path) -> bool:
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def saved_splits(folder: Path) -> dict[str, Path]:
    """The folder of each split. Raises UserError where two are the same split."""
    if (folder / "state.json").is_file():
        return {"train": folder}
    found: dict[str, Path] = {}
    for child in sorted(path.parent for path in folder.glob("*/state.json")):
        split = split_of(child.name)
        if split in found:
            raise UserError(f"{found[split]} and {child} are both the split {split!r}.")
        found[split] = child
    return {split: found[split] for split in ("train", "val", "test") if split in found}


@dataclass(frozen=True)
class ArrowSource:
    """Reads pairs of one saved `Dataset` through the library, which maps its files."""

    folder: Path
    stamp: str
    lengths: Sequence[int]
    columns: Columns
    decoder: Decoder

    @classmethod
    def open(cls, folder: Path, columns: Columns, decoder: Decoder) -> ArrowSource:
        """Raises UserError for a folder that does not open, and columns that are not there."""
        dataset = _load(folder)
        need_columns(dataset.features.arrow_schema, columns, str(folder))
        count = len(dataset)
        lengths = [min(ROWS, count - start) for start in range(0, count, ROWS)]
        return cls(folder.absolute(), dataset._fingerprint, lengths, columns, decoder)

    def name(self, block: int, row: int) -> str:
        return f"{block * ROWS + row:06d}"

    def pair(self, block: int, row: int) -> Pair:
        number = block * ROWS + row
        cells = self._rows[number]
        return decode_row(
            [cells[column] for column in self.columns.used],
            self.columns,
            self.decoder,
            self.name(block, row),
            f"{self.folder}: row {number}",
        )

    def pairs(self, block: int) -> Iterator[Pair]:
        return (self.pair(block, row) for row in range(self.lengths[block]))

    def key(self, block: int) -> str:
        return self.decoder.key(self.folder, self.stamp, self.columns, block)

    @cached_property
    def _rows(self) -> Any:
        """Rows as dictionaries, pictures as their files' bytes."""
        import datasets

        rows = _load(self.folder)
        for column in self.columns.used:
            if isinstance(rows.features[column], datasets.Image):
                rows = rows.cast_column(column, datasets.Image(decode=False))
        return rows.select_columns(self.columns.used)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_rows"}


def _load(folder: Path) -> Any:
    import datasets

    try:
        return datasets.load_from_disk(str(folder))
    except Exception as error:
        words = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise UserError(f"{folder} can't be opened as a saved data set: {words}.") from error
