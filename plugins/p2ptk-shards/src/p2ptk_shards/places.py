"""Files on a disk or in an object store, through fsspec: found, told apart, and read in parts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
from fsspec.core import split_protocol, url_to_fs

from p2ptk import UserError

ASKED_AT_ONCE = 16  # files of an object store
# What fsspec needs for a protocol, where it is not in its message.
PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp",
    "https": "aiohttp", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs", "hf": "huggingface_hub",
}  # fmt: skip
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class File(NamedTuple):
    """A file and what tells it from another of its name: its size, and its time or ETag."""

    url: str
    size: int
    stamp: str


def is_local(url: str) -> bool:
    return split_protocol(url)[0] in (None, "file", "local")


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it; made once in each process.

    Raises UserError naming the package to install.
    """
    protocol = split_protocol(url)[0] or "file"
    try:
        found: tuple[Any, str] = url_to_fs(url)
        return found
    except ImportError as error:
        package = PACKAGES.get(protocol)
        how = f"the package {package}: pip install {package}" if package else str(error)
        raise UserError(f"{url} can't be opened: {protocol}:// needs {how}.") from None
    except Exception as error:
        known = difflib.get_close_matches(protocol, fsspec.available_protocols(), n=1)
        hint = f" (did you mean {known[0]}://?)" if known and known[0] != protocol else ""
        raise UserError(f"{url} can't be opened: {_words(error)}{hint}.") from None


def find_splits(
    path: str, others: dict[str, str | None], suffix: str
) -> dict[str, tuple[File, ...]]:
    """The files of each split, in the order of their names.

    path: a folder, where a file's name or folder says its split (`train-000.tar`, `val/000.tar`;
        all others are for training), or files: with `{000..123}`, `*`, several joined by `::`.
    others: by split, files that are given beside `path`.
    Raises UserError for files that are not there.
    """
    found: dict[str, list[File]] = {}
    if suffix in path.lower() or any(c in path for c in "{*?["):
        found["train"] = files_named(path)
    else:
        for name, file in _in_folder(path, suffix):
            found.setdefault(split_of(name), []).append(file)
    for split, text in others.items():
        if text is not None:
            found[split] = files_named(text)
    return {s: tuple(found[s]) for s in ("train", "val", "test") if found.get(s)}


def split_of(name: str) -> str:
    """The split that a path's parts tell: by the first that begins with such a word.

    >>> split_of("data/validation-00000-of-00002.parquet")
    'val'
    """
    for part in name.lower().split("/"):
        if word := re.match(r"(train|validation|valid|val|test)(?![a-z])", part):
            return _SPLITS[word[1]]
    return "train"


def files_named(text: str) -> list[File]:
    """The files that a text names. Raises UserError for the first that is not there."""
    urls = [text]
    if "{" in text or "::" in text:
        from webdataset.shardlists import expand_urls

        urls = list(expand_urls(text))
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return [file for files in pool.map(_named, urls) for file in files]


def read_range(url: str, start: int, end: int) -> bytes:
    """Bytes start to end of a file. Raises UserError where they are not there."""
    if is_local(url):
        data = _read_local(local_path(url), start, end)
    else:
        fs, path = filesystem(url)
        with _explained(url):
            data = fs.cat_file(path, start=start, end=end)
    if len(data) != end - start:
        raise UserError(f"{url} is shorter than when it was opened: was it replaced meanwhile?")
    return data


def fetch(url: str, place: Path) -> None:
    """Copy a file to a local place."""
    fs, path = filesystem(url)
    with _explained(url):
        fs.get_file(path, str(place))


def local_path(url: str) -> str:
    return re.sub(r"^(file|local)://", "", url)


def labels(files: Sequence[File]) -> list[str]:
    """A short name of each file: its stem, with its number where two have the same."""
    stems = [Path(file.url).name.partition(".")[0] for file in files]
    if len(set(stems)) == len(stems):
        return stems
    return [f"{number:05d}-{stem}" for number, stem in enumerate(stems)]


def nearest(word: str, choices: Iterable[str]) -> str:
    """The end of a sentence about an unknown word."""
    choices = sorted(choices)
    near = difflib.get_close_matches(word, choices, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    more = ", ..." if len(choices) > 12 else ""
    return f"there is {', '.join(choices[:12])}{more}." if choices else "there is none."


def _read_local(path: str, start: int, end: int) -> bytes:
    try:
        with Path(path).open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(end - start)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from None


def _in_folder(folder: str, suffix: str) -> list[tuple[str, File]]:
    """Files with that ending in a folder and the folders in it, and their paths below it."""
    fs, path = filesystem(folder)
    path = path.rstrip("/")
    with _explained(folder):
        found: dict[str, Any] = {}
        for between in ("", "/*"):
            found |= fs.glob(f"{path}{between}/*{suffix}", detail=True)
    if not found:
        with _explained(folder):
            if not fs.isdir(path):
                raise _missing(fs, path, f"folder {folder}")
        raise UserError(f"{folder} holds no files that end with {suffix}.")
    length = len(path)
    return [(name[length:].lstrip("/"), _file(fs, info)) for name, info in sorted(found.items())]


def _named(url: str) -> list[File]:
    fs, path = filesystem(url)
    with _explained(url):
        if any(c in url for c in "*?["):
            infos = [info for _, info in sorted(fs.glob(path, detail=True).items())]
        else:
            try:
                infos = [fs.info(path)]
            except FileNotFoundError:
                raise _missing(fs, path, f"file {url}") from None
    if not infos:
        raise UserError(f"no file is named {url}.")
    return [_file(fs, info) for info in infos]


def _missing(fs: Any, path: str, what: str) -> UserError:
    """What to raise for a path that is not there, with the nearest name that is."""
    above, _, name = path.rstrip("/").rpartition("/")
    try:
        there = [str(other).rstrip("/").rpartition("/")[2] for other in fs.ls(above, detail=False)]
    except Exception:
        return UserError(f"there is no {what}.")
    near = difflib.get_close_matches(name, there, n=1)
    return UserError(f"there is no {what}{f': did you mean {near[0]!r}?' if near else '.'}")


def _file(fs: Any, info: dict[str, Any]) -> File:
    local = "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))
    url = info["name"] if local else fs.unstrip_protocol(info["name"])
    if info.get("size") is None:
        raise UserError(f"{url} can't be read in parts: its server does not tell its size.")
    if info.get("type") == "directory":
        raise UserError(f"{url} is a folder, not a file.")
    if local:
        return File(url, info["size"], str(Path(info["name"]).stat().st_mtime_ns))
    known = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")
    return File(url, info["size"], str(next((info[k] for k in known if info.get(k)), "")))


class _explained:
    """Turn whatever a file system raises into one sentence."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FileNotFoundError):
            raise UserError(f"there is no {self.url}.") from None
        if isinstance(error, Exception) and not isinstance(error, UserError):
            raise UserError(f"{self.url} can't be read: {_words(error)}.") from error


def _words(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0].rstrip(".")
