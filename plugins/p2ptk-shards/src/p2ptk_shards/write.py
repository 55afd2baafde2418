"""Writes the pairs of any dataset as tar shards or parquet, files as they are."""

from __future__ import annotations

import io
import itertools
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from p2ptk import Pair, Side, Spec, UserError
from p2ptk_shards.headers import write_list
from p2ptk_shards.places import filesystem, is_local, local_path

Progress = Callable[[int], None]  # told how many pairs were written since the last time


@dataclass(frozen=True)
class Sample:
    """A pair as files: by side (`source` and `target`, or `pair` for both side by side) the bytes,
    and the ending that tells their format.
    """

    key: str
    files: Mapping[str, tuple[bytes, str]]


def write_tars(dataset: Any, out: str, per_shard: int, progress: Progress) -> tuple[str, ...]:
    """Write `SPLIT-000000.tar`, ... to a new folder, all or nothing, each with a list of its
    members beside it, so that an object store need not be asked for the shards to open them.

    Gives the sides written.

    out: a folder or a URL. Raises UserError where something is there.
    """
    from webdataset import TarWriter

    def write(samples: list[Sample], place: Path) -> None:
        with (
            place.open("xb") as file,
            TarWriter(file, encoder=False, mtime=0) as tar,
        ):
            for sample in samples:
                members = {f"{side}{end}": data for side, (data, end) in sample.files.items()}
                tar.write({"__key__": sample.key, **members})
        write_list(place)

    return _write(dataset, out, per_shard, "{split}-{number:06d}.tar", write, progress)


def write_parquet(
    dataset: Any, out: str, per_shard: int, per_group: int, progress: Progress
) -> tuple[str, ...]:
    """Write `SPLIT-00000-of-00002.parquet`, ... with columns of `datasets`; as `write_tars`."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features, Value
    from datasets import Image as Picture

    def write(samples: list[Sample], place: Path) -> None:
        sides = list(samples[0].files)
        kinds = {"key": Value("string"), **{side: Picture() for side in sides}}
        rows = [
            {
                "key": sample.key,
                **{
                    side: {"bytes": data, "path": f"{sample.key}{end}"}
                    for side, (data, end) in sample.files.items()
                },
            }
            for sample in samples
        ]
        table = pa.Table.from_pylist(rows, schema=Features(kinds).arrow_schema)
        pq.write_table(table, place, row_group_size=per_group)

    name = "{split}-{number:05d}-of-{count:05d}.parquet"
    return _write(dataset, out, per_shard, name, write, progress)


def spec_to_read(name: str, out: str, dataset: Any, sides: tuple[str, ...]) -> Spec:
    """The spec of what was written: what its sides hold is not in the files."""
    params: dict[str, Any] = {"path": out}
    if "pair" in sides:
        params["both"] = "pair"
    for own, side in (("a", dataset.a), ("b", dataset.b)):
        params |= {f"{own}_{key}": value for key, value in _told(side).items()}
    return Spec(name, params)


def _told(side: Side) -> dict[str, Any]:
    found: dict[str, Any] = {} if side.kind == "image" else {"kind": side.kind}
    if side.range:
        found["range"] = list(side.range)
    if side.palette:
        found["palette"] = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in side.palette]
    elif side.classes:
        found["classes"] = side.classes
    return found


def _write(
    dataset: Any,
    out: str,
    per_shard: int,
    name: str,
    write: Callable[[list[Sample], Path], None],
    progress: Progress,
) -> tuple[str, ...]:
    sides: tuple[str, ...] = ()
    with _new_place(out) as put:
        for split in dataset.splits():
            pairs = dataset.split(split)
            count, samples = math.ceil(len(pairs) / per_shard), samples_of(pairs)
            for number in range(count):
                some = list(itertools.islice(samples, per_shard))
                now = tuple(some[0].files)
                if sides not in ((), now) or any(tuple(s.files) != now for s in some):
                    raise UserError("some pairs are one file and others two: shards want one kind.")
                sides = now
                put(name.format(split=split, number=number, count=count), partial(write, some))
                progress(len(some))
    return sides


@contextmanager
def _new_place(out: str) -> Iterator[Callable[[str, Callable[[Path], None]], None]]:
    """put(name, write) has a file written to a folder that is there when all are.

    In an object store each file is there when it is whole.
    """
    if is_local(out):
        folder = Path(local_path(out)).expanduser().absolute()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} is there already: name a new folder.")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            place = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        except OSError as error:
            raise UserError(f"{folder} can't be written: {error.strerror}.") from None
        try:
            place.chmod(0o755)
            yield lambda name, write: write(place / name)
            if folder.exists():
                folder.rmdir()
            place.rename(folder)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        return
    fs, path = filesystem(out)
    if fs.exists(path) and fs.ls(path, detail=False):
        raise UserError(f"{out} holds something already: name a new place.")

    def upload(name: str, write: Callable[[Path], None]) -> None:
        with tempfile.TemporaryDirectory() as here:
            write(Path(here, name))
            fs.makedirs(path, exist_ok=True)
            for file in sorted(Path(here).iterdir()):
                fs.put_file(str(file), f"{path.rstrip('/')}/{file.name}")

    yield upload


def samples_of(split: Any) -> Iterator[Sample]:
    """The pairs of a split as files: those that they are read from, else pictures that are made.

    Raises UserError for single pictures, and for names that are the same once their dots are gone.
    """
    first: Pair = split[0]
    if first.source is first.target:
        raise UserError("the data holds single pictures, not pairs: keep them in a folder.")
    if first.extra:
        raise UserError("the data holds extra tensors with its pairs, which shards can't.")
    files = list(split.files()) if hasattr(split, "files") else []
    names: Any = getattr(split, "names", None)
    each = len(files) // len(split)
    by_files = names is not None and each in (1, 2) and len(files) == each * len(split)
    seen: set[str] = set()
    for i in range(len(split)):
        if by_files:
            own = files[i * each : (i + 1) * each]
            sides = ("pair",) if each == 1 else ("source", "target")
            contents = {s: (_bytes(p), p.suffix.lower()) for s, p in zip(sides, own, strict=True)}
            name = names[i]
        else:
            pair = split[i]
            contents = {"source": encoded(pair.source), "target": encoded(pair.target)}
            name = pair.name
        folder, slash, last = name.rpartition("/")
        key = f"{folder}{slash}{last.replace('.', '_')}"  # a key ends at its first dot
        if key in seen:
            raise UserError(f"two pairs would have the key {key!r}: rename {name!r}.")
        seen.add(key)
        yield Sample(key, contents)


def encoded(picture: Tensor) -> tuple[bytes, str]:
    """C H W as a file without loss: PNG for 8 bits and 1, 3 or 4 channels, else numpy's."""
    array, content = picture.numpy(), io.BytesIO()
    if array.dtype == np.uint8 and len(array) in (1, 3, 4):
        pixels = np.ascontiguousarray(np.moveaxis(array, 0, -1))
        Image.fromarray(pixels[..., 0] if len(array) == 1 else pixels).save(content, "PNG")
        return content.getvalue(), ".png"
    np.save(content, array)
    return content.getvalue(), ".npy"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from None
