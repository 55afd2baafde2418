"""Pairs in the files of Hugging Face's `datasets`: parquet, and folders of save_to_disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from p2ptk import UserError
from p2ptk_shards.arrow import ArrowSource, is_saved, saved_splits
from p2ptk_shards.blocks import BlockSplit, Source
from p2ptk_shards.common import Keep, Kind, Range, Splits, make_decoder, make_kept, need_floats_told
from p2ptk_shards.parquet import Columns, ParquetSource
from p2ptk_shards.places import find_splits, is_local, local_path


class HuggingFace(Splits):
    """Pairs in parquet files with columns of pictures, as `datasets` writes them, or in a folder
    that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote.

    Parquet may lie in an object store (`s3://`, `gs://`, `https://`, `hf://`, whatever fsspec knows
    and has its package for). Nothing is asked of the Hub unless `path` begins with `hf://`.
    Training shuffles row groups, and pairs among `window` of them.

    path: a folder of .parquet files, where a name says its split
        (`data/train-00000-of-00002.parquet`, others are for training); or the training files:
        `pairs-{000..127}.parquet`, with `*`, or several joined by `::`; or a folder of
        save_to_disk on a disk.
    val, test: files of those splits, where `path` does not say. Without val a tenth of train is
        set aside, whole row groups where there are many.
    a, b: columns of the two sides: pictures of `datasets`, or the bytes of picture files.
    both: column of pictures that hold A | B side by side, in place of a and b.
    cache: a folder to keep row groups in that were used once; without it each worker reads those
        that are in use again and again.
    keep: `pixels` keeps the decoded pairs, so that nothing is decoded twice; `files` keeps the
        parquet files of object stores as they are, which takes a tenth of the room.
    cache_gb: the most that the folder may take; what was not used for longest goes.
    window: row groups whose pairs are mixed at a time; 0 mixes all pairs with all.
    a_kind, b_kind: `image`, `labels` (a class a pixel) or `values` (measurements).
    a_range, b_range: values that become -1 and 1; the dtype's own range if none. Float needs one.
    a_classes, b_classes: number of classes of labels that are stored as numbers.
    a_palette, b_palette: colours of the classes, as #rrggbb, of labels that are stored as colours.

    Raises UserError for files that are missing or damaged, and columns that are not there.
    """

    def __init__(
        self,
        *,
        path: str,
        val: str | None = None,
        test: str | None = None,
        a: str = "source",
        b: str = "target",
        both: str | None = None,
        cache: Path | None = None,
        keep: Keep = "pixels",
        cache_gb: Annotated[float, Field(gt=0)] = 100.0,
        window: Annotated[int, Field(ge=0)] = 8,
        a_kind: Kind = "image",
        b_kind: Kind = "image",
        a_range: Range | None = None,
        b_range: Range | None = None,
        a_classes: Annotated[int, Field(gt=1)] | None = None,
        b_classes: Annotated[int, Field(gt=1)] | None = None,
        a_palette: list[str] | None = None,
        b_palette: list[str] | None = None,
    ) -> None:
        decoder = make_decoder(
            (a_kind, a_range, a_classes, a_palette), (b_kind, b_range, b_classes, b_palette)
        )
        columns, kept = Columns(a, b, both), make_kept(cache, cache_gb)
        sources: dict[str, Source] = {}
        if is_local(path) and is_saved(_folder(path)):
            for name, folder in saved_splits(_folder(path)).items():
                sources[name] = ArrowSource.open(folder, columns, decoder)
        else:
            _need_no_hub_name(path)
            whole = kept if keep == "files" else None
            for name, files in find_splits(path, {"val": val, "test": test}, ".parquet").items():
                sources[name] = ParquetSource.open(files, columns, decoder, whole)
        filled = {name: source for name, source in sources.items() if sum(source.lengths)}
        if not filled:
            raise UserError(f"{path} holds no rows.")
        pixels = kept if keep == "pixels" else None
        splits = {name: BlockSplit(source, window, pixels) for name, source in filled.items()}
        need_floats_told(next(iter(splits.values())), decoder)
        super().__init__(path, splits, decoder)


def _need_no_hub_name(path: str) -> None:
    """Raise UserError for what looks like the name of a data set on the Hub."""
    parts = path.split("/")
    if len(parts) == 2 and all(parts) and is_local(path) and not Path(parts[0]).exists():
        raise UserError(
            f"there is no folder {path}, and the Hub is not asked for data by itself: write "
            f"path='hf://datasets/{path}' if you want that."
        )


def _folder(path: str) -> Path:
    return Path(local_path(path)).expanduser()
