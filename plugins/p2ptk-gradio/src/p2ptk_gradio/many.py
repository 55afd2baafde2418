"""Folders and archives: many pictures in, a ZIP of their translations out."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from PIL import Image

from p2ptk_gradio.api import as_png
from p2ptk_gradio.limits import SUFFIXES, Limits, Refused, open_picture

Load = Callable[[], Image.Image]


def pictures_in(files: Sequence[Path], limits: Limits) -> list[tuple[str, Load]]:
    """The pictures of uploaded files and archives: a name without folders, and how to load it.

    Nothing is unpacked to disk. Raises Refused for an archive that can't be read, that holds a name
    which leads out of it, or for too many pictures.
    """
    found: list[tuple[str, Load]] = []
    for file in files:
        if file.suffix.lower() == ".zip":
            found += _in_archive(file, limits)
        elif file.suffix.lower() in SUFFIXES:
            found.append((file.name, partial(open_picture, file, limits)))
        if len(found) > limits.files:
            raise Refused(413, f"at most {limits.files} pictures are taken at a time.")
    if not found:
        raise Refused(400, f"there is no picture in it: {', '.join(SUFFIXES)}.")
    return found


def _in_archive(file: Path, limits: Limits) -> Iterator[tuple[str, Load]]:
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Refused(400, f"{file.name} is no ZIP that can be read: {error}.") from None
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in entry.filename:
            raise Refused(400, f"{file.name} holds {entry.filename!r}, which leads out of it.")
        hidden = path.name.startswith(".") or "__MACOSX" in path.parts
        if not entry.is_dir() and not hidden and path.suffix.lower() in SUFFIXES:
            yield path.name, partial(_load, file, entry, limits)


def _load(file: Path, entry: zipfile.ZipInfo, limits: Limits) -> Image.Image:
    try:
        with zipfile.ZipFile(file) as archive, archive.open(entry) as packed:
            content = packed.read(limits.upload + 1)  # what the entry says of its size may be wrong
    except Exception as error:  # encrypted, damaged, or of an unknown method
        raise Refused(400, f"it can't be unpacked: {error}.") from None
    return open_picture(content, limits)


def write_archive(
    path: Path,
    pictures: Sequence[tuple[str, Load]],
    translate: Callable[[Image.Image], Image.Image],
) -> Iterator[tuple[str, str | None]]:
    """Translate one after the other into a ZIP of PNG files; gives name and fault of each.

    A picture that is refused is left out.
    """
    taken: set[str] = set()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, load in pictures:
            try:
                result = as_png(translate(load()))
            except Refused as error:
                yield name, error.sentence
                continue
            archive.writestr(_free(Path(name).stem, taken), result)
            yield name, None


def _free(stem: str, taken: set[str]) -> str:
    name, number = f"{stem}.png", 2
    while name.lower() in taken:
        name, number = f"{stem}-{number}.png", number + 1
    taken.add(name.lower())
    return name
