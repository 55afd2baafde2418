"""Translate files, folders and the sources of paired sets into a folder."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from p2ptk.contracts import Pair, Side, Split
from p2ptk.datasets.images import IMAGE_SUFFIXES, UnreadableImage
from p2ptk.datasets.sides import read_side
from p2ptk.errors import UserError
from p2ptk.report.sheets import sample_sheet, save_png
from p2ptk.translation.inputs import Job, find_inputs, plan_outputs, refuse_side_by_side
from p2ptk.translation.pictures import save_picture, suffix_for

if TYPE_CHECKING:
    from p2ptk.translate import Translator

T = TypeVar("T")
U = TypeVar("U")
Progress = Callable[[int, int, str], None]

COMPARED = "compare"  # the folder of source | output sheets, in the output folder


@dataclass
class Summary:
    """What became of the inputs. failed: the reason for each one that was left out."""

    written: list[Path] = field(default_factory=list)
    sheets: list[Path] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        return 2 if self.failed else 0


def translate_files(
    translator: Translator,
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    compare: bool = False,
    as_is: bool = False,
    seed: int | None = None,
    on_progress: Progress | None = None,
) -> Summary:
    """Translate images, and folders of images with the folders below them.

    out: a folder, in which names and subfolders are kept; or, for one input file, an image file.
        Extensions are kept where they hold the target without loss, else `.png` or `.tiff`.
    compare: also write source | output sheets to `out/compare`.
    as_is: translate pictures that look like a pair side by side, too.
    on_progress: told (done, total, name) after each.
    Files that can't be read or do not fit the model are left out and named in the summary.

    Raises UserError, before anything is written, where an input does not exist, where a picture is
    twice as wide as those trained on, or where an output would overwrite an input.
    """
    out = Path(out)
    jobs = find_inputs(inputs, out)
    if not as_is:
        height, width = translator.header.size
        refuse_side_by_side(jobs, translator.header.aspect or width / height)
    places = plan_outputs(jobs, out, lambda like: suffix_for(translator.codec.blank, like))

    def load(job: Job) -> Tensor:
        return read_side(job.path, translator.codec.side)

    def sheet_of(job: Job) -> Path:
        place = places[job]
        if place == out:  # a single file was asked for
            return out.with_name(f"{out.stem}-{COMPARED}.png")
        return out / COMPARED / place.relative_to(out).with_suffix(".png")

    def save(job: Job, picture: Tensor, result: Tensor, summary: Summary) -> None:
        save_picture(places[job], result)
        summary.written.append(places[job])
        if compare:
            _sheet(translator, sheet_of(job), picture, result, None)
            summary.sheets.append(sheet_of(job))

    def name(job: Job) -> str:
        return str(job.path)

    return _translate_all(translator, jobs, load, lambda x: x, save, name, 4, seed, on_progress)


def translate_pairs(
    translator: Translator,
    split: Split,
    sides: tuple[Side, Side],
    out: str | Path,
    *,
    compare: bool = False,
    seed: int | None = None,
    on_progress: Progress | None = None,
) -> Summary:
    """Translate the sources of a paired set, B where the model's direction is BtoA.

    sides: what A and B of the dataset hold. Outputs are named after the pairs.
    compare: also write source | output | target sheets to `out/compare`.
    Raises UserError where the source side is not of the kind that the model translates.
    """
    out = Path(out)
    header = translator.header
    backwards = header.direction == "BtoA"
    source_side = sides[1] if backwards else sides[0]
    if not translator.codec.derives and source_side.kind != header.source.kind:
        raise UserError(
            f"the model translates {header.source.kind}, and side {'AB'[backwards]} of this data "
            f"holds {source_side.kind}: is it the data that the model was trained for?"
        )
    suffix = suffix_for(translator.codec.blank, ".png")

    def photo(pair: Pair) -> Tensor:
        """What is translated: the source, or the target where the model makes sources from it."""
        return pair.target if backwards != translator.codec.derives else pair.source

    def save(number: int, pair: Pair, result: Tensor, summary: Summary) -> None:
        name = Path(*[part for part in Path(pair.name).parts if part not in ("..", "/", "\\")])
        name = name.with_suffix("") if name.suffix.lower() in IMAGE_SUFFIXES else name
        place = out / name.with_name(name.name + suffix)
        save_picture(place, result)
        summary.written.append(place)
        if compare:
            target = pair.source if backwards else pair.target
            sheet = out / COMPARED / name.with_name(name.name + ".png")
            _sheet(translator, sheet, photo(pair), result, target)
            summary.sheets.append(sheet)

    # One reader, in order: a dataset need not bear several threads.
    return _translate_all(
        translator, range(len(split)), split.__getitem__, photo, save, str, 1, seed, on_progress
    )


def _sheet(
    translator: Translator, path: Path, picture: Tensor, result: Tensor, target: Tensor | None
) -> None:
    header = translator.header
    source = translator.codec.source(*_batched(translator, picture))[0]
    seen = [translator.codec.seen(x) for x in (result, target) if x is not None]
    path.parent.mkdir(parents=True, exist_ok=True)
    same = len({x.shape[-2] for x in (source, *seen)}) == 1
    cell = None if same else max(192, min(512, result.shape[-2]))
    save_png(path, sample_sheet([(source, *seen)], header.source, header.target, cell=cell))


def _batched(translator: Translator, picture: Tensor) -> tuple[Tensor, Side]:
    raw, side = translator.codec.fit(picture)
    return raw[None], side


def _translate_all(
    translator: Translator,
    items: Sequence[T],
    load: Callable[[T], U],
    picture_of: Callable[[U], Tensor],
    save: Callable[[T, U, Tensor, Summary], None],
    name: Callable[[T], str],
    readers: int,
    seed: int | None,
    on_progress: Progress | None,
) -> Summary:
    """Read ahead, translate pictures of one size together, write behind."""
    summary, started, done = Summary(), time.monotonic(), 0
    behind: deque[tuple[T, Future[None]]] = deque()

    def tell(item: T, reason: str = "") -> None:
        nonlocal done
        done += 1
        if reason:
            summary.failed[name(item)] = reason
        if on_progress:
            on_progress(done, len(items), name(item))

    def note(text: str) -> None:
        if text not in summary.notes:
            summary.notes.append(text)

    def translate(batch: Sequence[tuple[T, U]]) -> None:
        pictures = [picture_of(loaded) for _, loaded in batch]
        try:
            results = translator.translate(pictures, seed=seed, note=note)
        except UserError as error:
            if len(batch) == 1:
                tell(batch[0][0], str(error))
            else:  # find the one at fault
                for one in batch:
                    translate([one])
            return
        for (item, loaded), result in zip(batch, results, strict=True):
            behind.append((item, writer.submit(save, item, loaded, result, summary)))
        settle(2 * translator.batch_size)

    def settle(most: int) -> None:
        """Wait until at most so many results are still being written."""
        while len(behind) > most:
            item, future = behind.popleft()
            future.result()
            tell(item)

    def kind(loaded: U) -> tuple[torch.Size, torch.dtype]:
        return picture_of(loaded).shape, picture_of(loaded).dtype

    with ThreadPoolExecutor(readers) as reader, ThreadPoolExecutor(1) as writer:
        batch: list[tuple[T, U]] = []
        for item, future in _ahead(reader, items, load, translator.batch_size + readers):
            try:
                loaded = future.result()
            except UnreadableImage as error:
                tell(item, error.why)
                continue
            full = len(batch) == translator.batch_size
            if batch and (full or kind(loaded) != kind(batch[0][1])):
                translate(batch)
                batch = []
            batch.append((item, loaded))
        if batch:
            translate(batch)
        settle(0)
    summary.seconds = time.monotonic() - started
    return summary


def _ahead(
    pool: ThreadPoolExecutor, items: Sequence[T], load: Callable[[T], U], count: int
) -> Iterator[tuple[T, Future[U]]]:
    """Items in order with their loads, of which `count` are under way."""
    waiting: deque[tuple[T, Future[U]]] = deque()
    for item in items:
        waiting.append((item, pool.submit(load, item)))
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting
