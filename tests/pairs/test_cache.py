"""Decoded pairs kept on disk: the same pixels, made once, never trusted blindly."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from p2ptk.augmentations.jitter import Jitter
from p2ptk.config import RunConfig
from p2ptk.contracts import Pair, Side
from p2ptk.data import build_data
from p2ptk.datasets.filepairs import Entry, FileSplit
from p2ptk.datasets.write import write_image
from p2ptk.errors import UserError
from p2ptk.feed import ResidentFeed, StreamedFeed, make_feed
from p2ptk.pairs import cache as cache_module
from p2ptk.pairs import kept
from p2ptk.pairs.augment import Keyed
from p2ptk.pairs.cache import Cache
from p2ptk.pairs.packed import Packed, pack

CACHE = Cache({"dataset": {"name": "mine"}}, "mine")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, in which everything is worth keeping."""
    monkeypatch.setenv("P2PTK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("P2PTK_CACHE_SIZE", raising=False)
    monkeypatch.setattr(cache_module, "seconds_to_decode", lambda split, workers: 9.0)
    return tmp_path / "cache" / "pairs"


class Slow(FileSplit):
    """Takes its time, and writes down in `log` what was decoded."""

    log: Path | None = None

    def __getitem__(self, index: int) -> Pair:
        if self.log:
            with self.log.open("a") as file:
                file.write(f"{index}\n")
            time.sleep(0.02)
        pair = super().__getitem__(index)
        return pair._replace(extra={"mask": pair.source[:1] > 99, "one": pair.target[:1]})


@pytest.fixture(params=["alike", "ragged"])
def split(request: pytest.FixtureRequest, tmp_path: Path) -> Slow:
    """Seven pairs of files: A of 8 bits in colour, B of 16 bits and grey."""
    numbers = np.random.default_rng(0)
    entries = []
    for i in range(7):
        size = (12, 16 + (i % 3) * (request.param == "ragged"))
        a = torch.from_numpy(numbers.integers(0, 256, (3, *size), dtype=np.uint8))
        b = torch.from_numpy(numbers.integers(0, 65536, (1, *size), dtype=np.uint16))
        for side, image in (("a", a), ("b", b)):
            write_image(tmp_path / f"{side}{i}.png", image)
        entries.append(Entry(f"é{i}", tmp_path / f"a{i}.png", tmp_path / f"b{i}.png", size))
    return Slow(tuple(entries), Side(), Side())


def assert_same_pairs(packed: Any, split: Any) -> None:
    assert len(packed) == len(split)
    for i in range(len(split)):
        x, y = packed[i], split[i]
        assert x.name == y.name
        assert list(x.extra) == list(y.extra)
        for p, q in zip((x.source, x.target, *x.extra.values()),
                        (y.source, y.target, *y.extra.values()), strict=True):  # fmt: skip
            assert p.dtype == q.dtype
            assert torch.equal(p, q)


def opened(split: Any, cache: Cache = CACHE) -> Packed:
    packed = cache.open(split)
    assert packed is not None
    return packed


def test_what_is_kept_is_what_was_decoded(split: Slow, folder: Path) -> None:
    first = opened(split)
    again = opened(split)
    for packed in (first, again, pack(split)):
        assert_same_pairs(packed, split)
        assert packed.sizes() == split.sizes()
        assert packed.nbytes == sum(
            x.nbytes for i in range(7) for x in (split[i].source, split[i].target)
        ) + sum(x.nbytes for i in range(7) for x in split[i].extra.values())
    (entry,) = kept.entries()
    assert (entry.title, entry.pairs, entry.path) == ("mine", 7, folder / entry.key)
    assert entry.nbytes == sum(
        f.stat().st_size for f in entry.path.iterdir() if f.name != "index.json"
    )
    assert sorted(p.name for p in folder.iterdir()) == [f".{entry.key}.lock", entry.key]


def test_nothing_is_decoded_the_second_time(split: Slow, tmp_path: Path) -> None:
    opened(split)
    Slow.log = tmp_path / "log"
    try:
        opened(split)
        assert not Slow.log.exists()
    finally:
        Slow.log = None


def test_single_pictures_are_kept_once(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", torch.arange(4800).to(torch.uint8).view(3, 40, 40))
    entry = Entry("a", tmp_path / "a.png", tmp_path / "a.png", (40, 40), single=True)
    split = FileSplit((entry,), Side(), Side())
    for packed in (opened(split), opened(split), pack(split)):
        pair = packed[0]
        assert pair.source is pair.target
        assert_same_pairs(packed, split)
        assert packed.nbytes == 4800
    feed = feed_of(split, "resident", CACHE)
    assert feed.nbytes == 3 * 15 * 20 * 4
    assert torch.equal(feed.batch(0).source, feed.batch(0).target)


def feed_of(split: Any, kind: Any, cache: Cache | None, **options: Any) -> Any:
    given = {"workers": 0, "share": 0.25, **options}
    return make_feed(
        split, Side(), Side(), direction="AtoB", size=(12, 16), batch_size=3, seed=1,
        device=torch.device("cpu"), augmentations=[Keyed("jitter", Jitter(load=1.25), "data")],
        kind=kind, cache=cache, **given,
    )  # fmt: skip


def test_the_cache_changes_no_pixel_of_any_feed(split: Slow) -> None:
    feeds = [
        feed_of(split, kind, cache, **options)
        for kind, options in (
            ("resident", {}),
            ("resident", {"share": 0.0}),  # held as decoded
            ("streamed", {}),
            ("streamed", {"workers": 2}),
        )
        for cache in (None, CACHE, CACHE)
    ]
    assert [type(f) for f in feeds[::6]] == [ResidentFeed, StreamedFeed]
    for step in (0, 1, 4):
        first, *others = [feed.batch(step) for feed in feeds]
        for other in others:
            assert torch.equal(first.source, other.source)
            assert torch.equal(first.target, other.target)
            assert all(torch.equal(first.extra[k], other.extra[k]) for k in first.extra)
            assert first.names == other.names
    for feed in feeds:
        feed.close()


@pytest.mark.parametrize(
    "change", ["touch", "grow", "rename", "dataset", "provider", "order", "sides"]
)
def test_a_change_of_what_decides_the_pixels_is_another_key(
    split: Slow, tmp_path: Path, change: str
) -> None:
    before = CACHE.key(split)
    assert before == CACHE.key(split)
    file, cache, other = tmp_path / "a3.png", CACHE, split
    if change == "touch":
        os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    elif change == "grow":
        times = file.stat()
        file.write_bytes(file.read_bytes() + b" ")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif change == "rename":
        file.rename(tmp_path / "a9.png")
        entries = [e if e.a != file else Entry(e.name, tmp_path / "a9.png", e.b, e.size)
                   for e in split.entries]  # fmt: skip
        other = Slow(tuple(entries), Side(), Side())
    elif change == "order":
        other = Slow(split.entries[::-1], Side(), Side())
    elif change == "sides":
        cache = Cache({"dataset": {"name": "mine", "a_kind": "values"}}, "mine")
    else:
        cache = Cache({**CACHE.what, change: "other"}, "mine")
    assert cache.key(other) not in (before, None)


def test_a_split_without_files_is_not_kept(split: Slow, tmp_path: Path, folder: Path) -> None:
    class Silent:
        def __len__(self) -> int:
            return 7

        def __getitem__(self, index: int) -> Pair:
            return split[index]

    assert CACHE.key(Silent()) is None
    assert CACHE.open(Silent()) is None
    (tmp_path / "a3.png").unlink()
    assert CACHE.open(split) is None  # the feed says which file is missing
    assert not folder.exists()


def test_what_decodes_in_no_time_is_not_kept(
    split: Slow, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("P2PTK_CACHE", str(folder.parent))
    assert 0 < cache_module.seconds_to_decode(split, None) < cache_module.WORTH
    assert CACHE.open(split) is None
    assert not folder.exists()


def damage(change: str, entry: Path) -> None:
    data = entry / "0.uint8"
    content = bytearray(data.read_bytes())
    if change == "a byte":
        content[len(content) // 2] ^= 1
        data.write_bytes(content)
    elif change == "the last byte":
        content[-1] ^= 128
        data.write_bytes(content)
    elif change == "cut short":
        data.write_bytes(content[:-8])
    elif change == "zeroed":
        data.write_bytes(bytes(len(content)))
    elif change == "gone":
        (entry / "1.uint16").unlink()
    elif change == "names":
        text = (entry / "pairs.json").read_text()
        (entry / "pairs.json").write_text(text.replace("0", "1", 1))
    elif change == "no JSON":
        (entry / "index.json").write_bytes(b"\xff\xfe{")
    elif change == "empty":
        (entry / "index.json").write_text("")
    elif change == "foreign":
        (entry / "index.json").write_text(json.dumps({"kind": "other"}))
    elif change == "a list":
        (entry / "index.json").write_text("[1]")


@pytest.mark.parametrize(
    "change",
    ["a byte", "the last byte", "cut short", "zeroed", "gone", "names", "no JSON", "empty",
     "foreign", "a list"],
)  # fmt: skip
def test_damage_is_found_said_and_mended(
    split: Slow, folder: Path, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    opened(split)
    (entry,) = kept.entries()
    damage(change, entry.path)
    with caplog.at_level(logging.WARNING, "p2ptk"):
        assert_same_pairs(opened(split), split)
    (said,) = caplog.messages
    assert f"the cached pairs in {entry.path} are damaged" in said
    assert said.endswith("decoding them anew")
    caplog.clear()
    assert_same_pairs(opened(split), split)
    assert not caplog.messages


def test_pairs_that_do_not_decode_are_told_and_nothing_is_left(
    split: Slow, tmp_path: Path, folder: Path
) -> None:
    for i in (2, 5):
        (tmp_path / f"b{i}.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"2 pairs can't be used:\n  .*b2.png can't be read"):
        CACHE.open(split)
    assert kept.entries() == []
    assert [p.name for p in folder.iterdir()] == [f".{CACHE.key(split)}.lock"]


def test_a_full_disk_costs_one_line(
    split: Slow, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: Any, image: torch.Tensor) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("p2ptk.pairs.packed.Files.add", full)
    assert CACHE.open(split) is None
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("decoded pairs are not kept: the disk is full")
    assert not [p for p in folder.iterdir() if p.suffix != ".lock"]


@pytest.mark.parametrize("what", ["no folder", "read only"])
def test_a_folder_that_can_not_be_written_costs_one_line(
    split: Slow, folder: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    if what == "no folder":
        folder.parent.write_text("a file")
    else:
        folder.mkdir(parents=True)
        folder.chmod(0o500)
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write anywhere")
    feed = feed_of(split, "auto", CACHE)
    assert feed.batch(0).source.shape == (3, 3, 12, 16)
    (said,) = caplog.messages
    assert said.startswith(f"decoded pairs are not kept: {folder}: ")


def test_what_is_kept_is_read_where_nothing_can_be_written(
    split: Slow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened(split)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(cache_module, "FileLock", refuse)
    assert_same_pairs(opened(split), split)
    assert not caplog.messages


def test_the_one_used_longest_ago_makes_room(
    split: Slow, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches = [Cache({"n": i}, f"set {i}") for i in range(4)]
    for i, cache in enumerate(caches[:3]):
        opened(split, cache)
        os.utime(folder / str(cache.key(split)) / "index.json", (1000 + i, 1000 + i))
    assert [entry.title for entry in kept.entries()] == ["set 2", "set 1", "set 0"]
    opened(split, caches[0])  # which makes it the one used last
    assert [entry.title for entry in kept.entries()] == ["set 0", "set 2", "set 1"]
    size = kept.entries()[0].nbytes
    monkeypatch.setenv("P2PTK_CACHE_SIZE", str(int(size * 3.5)))
    opened(split, caches[3])
    assert [entry.title for entry in kept.entries()] == ["set 3", "set 0", "set 2"]
    monkeypatch.setenv("P2PTK_CACHE_SIZE", str(size // 2))
    assert Cache({"n": 9}, "too large").open(split) is None
    assert len(kept.entries()) == 3
    assert_same_pairs(opened(split, caches[3]), split)


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GB", 20 * 10**9), ("500 mb", 5 * 10**8), ("1.5t", 1500 * 10**9), ("1000", 1000), ("0", 0)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert kept.read_size(text) == size


@pytest.mark.parametrize("text", ["many", "-1GB", "GB", "nan", "1e30GB", "20GiB"])
def test_wrong_sizes_get_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match="is no size: write 500MB or 20GB"):
        kept.read_size(text)


def test_the_default_limit_is_a_share_of_the_free_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    free = 40 * 10**9
    usage = type(shutil.disk_usage("/"))(0, 0, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    assert kept.size_limit() == free // 4
    usage = type(usage)(0, 0, 10**13)
    assert kept.size_limit() == kept.LARGEST


def test_other_processes_map_it_anew(split: Slow) -> None:
    packed = opened(split)
    sent = pickle.dumps(packed)
    assert len(sent) < 5000
    back = pickle.loads(sent)
    assert isinstance(back, Packed)
    assert_same_pairs(back, split)
    kept.remove_all()
    assert_same_pairs(pickle.loads(sent), split)  # from the files, then
    assert_same_pairs(packed, split)  # what is mapped stays


def test_clearing_spares_what_is_not_ours(split: Slow, folder: Path) -> None:
    opened(split)
    (folder / "mine").mkdir()
    (folder / "mine" / "index.json").write_text("{}")
    kept.remove_all()
    assert [p.name for p in folder.iterdir()] == ["mine"]


fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs fork"
)


@fork
def test_many_processes_decode_once(split: Slow, tmp_path: Path, folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    Slow.log = tmp_path / "log"
    start = context.Barrier(4)
    answers = context.Queue()

    def job() -> None:
        start.wait()
        packed = CACHE.open(split)
        answers.put(None if packed is None else packed[6].source.sum().item())

    try:
        jobs = [context.Process(target=job) for _ in range(4)]
        for each in jobs:
            each.start()
        found = [answers.get(timeout=60) for _ in jobs]
        for each in jobs:
            each.join(60)
        decoded = Slow.log.read_text().split()
    finally:
        Slow.log = None
    assert found == [split[6].source.sum().item()] * 4
    # Each may look at the first pair to tell the size; one of them decodes all.
    assert sorted(i for i in decoded if i != "0") == list("123456")
    assert len(kept.entries()) == 1


@fork
def test_a_killed_process_leaves_nothing_that_is_believed(
    split: Slow, tmp_path: Path, folder: Path
) -> None:
    context = multiprocessing.get_context("fork")
    Slow.log = tmp_path / "log"

    try:
        job = context.Process(target=CACHE.open, args=(split,))
        job.start()
        deadline = time.monotonic() + 60
        while "2" not in (Slow.log.read_text() if Slow.log.exists() else ""):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.kill(job.pid or 0, signal.SIGKILL)
        job.join(60)
    finally:
        Slow.log = None
    assert kept.entries() == []
    assert_same_pairs(opened(split), split)
    kept.remove_all()
    assert list(folder.iterdir()) == []


@fork
def test_who_waits_too_long_goes_on_without(
    split: Slow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()

    def hold() -> None:
        with cache_module._locked(str(CACHE.key(split))):
            held.set()
            done.wait(60)

    job = context.Process(target=hold)
    job.start()
    try:
        assert held.wait(60)
        monkeypatch.setattr(cache_module, "WAIT", 0.2)
        assert CACHE.open(split) is None
    finally:
        done.set()
        job.join(60)
    waits, gives_up = caplog.messages
    assert waits == "another process decodes these pairs: waiting for it"
    assert gives_up.startswith("decoded pairs are not kept: another process has been")


def test_a_run_says_where_its_pairs_are_kept(pairs: Path) -> None:
    layer = {"data": {"name": "side-by-side", "path": str(pairs)}}
    cache = build_data(RunConfig.of(layer)).cache
    assert cache is not None
    assert cache.title == str(pairs)
    assert cache.what["dataset"]["val_fraction"] == 0.1
    assert cache.what["provider"].startswith("p2ptk ")
    assert build_data(RunConfig.of(layer, {"cache": False})).cache is None
    own = build_data(RunConfig.of(layer)).dataset
    assert build_data(RunConfig.of(layer), own).cache is None  # an object tells no parameters
