"""Splits are exact, repeatable, keep groups together, and touch nothing that is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from p2ptk.components import create
from p2ptk.dataprep.split import draw, split_pairs
from p2ptk.errors import UserError
from p2ptk.specs import Spec


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """40 side-by-side images of 8 cameras, 5 frames each."""
    folder = tmp_path / "frames"
    (folder / "sub").mkdir(parents=True)
    for i in range(40):
        place = folder / "sub" if i % 2 else folder
        Image.new("RGB", (8, 4), (i, i, i)).save(place / f"cam{i // 5}_{i % 5}.png")
    return folder


def side_by_side(folder: Path) -> Spec:
    return Spec("side-by-side", {"path": str(folder)})


def tree(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_counts_names_and_content(frames: Path, tmp_path: Path) -> None:
    before = tree(frames)
    done = split_pairs(side_by_side(frames), tmp_path / "out", val=0.1, test=0.2)
    assert done.counts == {"train": 28, "val": 4, "test": 8}
    after = tree(tmp_path / "out")
    assert {name.split("/", 1)[1]: data for name, data in after.items()} == before
    assert tree(frames) == before
    dataset = create("dataset", side_by_side(tmp_path / "out"))
    assert {s: len(dataset.split(s)) for s in dataset.splits()} == done.counts


def test_the_seed_decides(frames: Path, tmp_path: Path) -> None:
    names = []
    for i, seed in enumerate((0, 0, 1)):
        split_pairs(side_by_side(frames), tmp_path / str(i), val=0.1, test=0.1, seed=seed)
        names.append(sorted(tree(tmp_path / str(i))))
    assert names[0] == names[1] != names[2]


def test_groups_stay_together(frames: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = split_pairs(side_by_side(frames), out, val=0.125, test=0.25, group=r"(cam\d+)_")
    assert done.counts == {"train": 25, "val": 5, "test": 10}
    assert done.groups == {"train": 5, "val": 1, "test": 2}
    of_camera: dict[str, set[str]] = {}
    for name in tree(out):
        split, _, rest = name.partition("/")
        of_camera.setdefault(rest.removeprefix("sub/")[:4], set()).add(split)
    assert len(of_camera) == 8
    assert all(len(splits) == 1 for splits in of_camera.values())


def test_links_where_they_can_be(frames: Path, tmp_path: Path) -> None:
    assert split_pairs(side_by_side(frames), tmp_path / "l", val=0.5, test=0).linked
    assert not split_pairs(side_by_side(frames), tmp_path / "c", val=0.5, test=0, copy=True).linked
    source = (frames / "cam0_0.png").stat().st_ino
    linked = {p.name: p.stat().st_ino for p in (tmp_path / "l").rglob("cam*.png")}
    copied = {p.name: p.stat().st_ino for p in (tmp_path / "c").rglob("cam*.png")}
    assert linked["cam0_0.png"] == source != copied["cam0_0.png"]


def test_copies_where_links_can_not_be(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    done = split_pairs(side_by_side(frames), tmp_path / "out", val=0.1, test=0.1)
    assert not done.linked
    assert len(tree(tmp_path / "out")) == 40


def test_two_folders(tmp_path: Path) -> None:
    for which, end in (("A", "png"), ("B", "tif")):
        (tmp_path / "in" / which).mkdir(parents=True)
        for i in range(10):
            Image.new("L", (4, 4), i).save(tmp_path / "in" / which / f"{i}.{end}")
    spec = Spec("two-folders", {"path": str(tmp_path / "in")})
    split_pairs(spec, tmp_path / "out", val=0.2, test=0.2)
    dataset = create("dataset", Spec("two-folders", {"path": str(tmp_path / "out")}))
    assert {s: len(dataset.split(s)) for s in dataset.splits()} == {"train": 6, "val": 2, "test": 2}
    assert {Path(n).suffix for n in tree(tmp_path / "out")} == {".png", ".tif"}


def test_files_that_share_a_stem_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("x.png", "x.bmp", "y.png", "z.png.png", "z.png"):
        Image.new("RGB", (4, 2), (len(name), 0, 0)).save(tmp_path / "in" / name)
    split_pairs(side_by_side(tmp_path / "in"), tmp_path / "out", val=0.2, test=0.0)
    names = {name.split("/", 1)[1] for name in tree(tmp_path / "out")}
    assert names == {"x.png", "x.bmp", "y.png", "z.png.png", "z.png"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"val": 0.5, "test": 0.5}, "leave some of 1"),
        ({"val": -0.1, "test": 0.5}, "leave some of 1"),
        ({"val": 0, "test": 0}, "nothing to divide"),
        ({"val": 0.1, "test": 0.1, "group": "("}, "is no regular expression"),
        ({"val": 0.1, "test": 0.1, "group": "dog"}, "does not match 40 names: cam0_0, cam0_2"),
        ({"val": 0.1, "test": 0.1, "group": "cam"}, "nothing is left for train"),
        ({"val": 0.1, "test": 0.1, "group": "sub|cam"}, "2 groups of 40 pairs"),
    ],
)
def test_refusals(frames: Path, tmp_path: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        split_pairs(side_by_side(frames), tmp_path / "out", **options)  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]


def test_places_that_can_not_be(frames: Path, tmp_path: Path) -> None:
    for out in (frames, frames / "in", tmp_path):
        with pytest.raises(UserError, match="overlap"):
            split_pairs(side_by_side(frames), out, val=0.1, test=0.1)
    out = tmp_path / "out"
    split_pairs(side_by_side(frames), out, val=0.1, test=0.1)
    with pytest.raises(UserError, match="out is not empty: choose another folder"):
        split_pairs(side_by_side(frames), out, val=0.1, test=0.1)
    with pytest.raises(UserError, match="is divided already: it has train, val, test"):
        split_pairs(side_by_side(out), tmp_path / "again", val=0.1, test=0.1)
    with pytest.raises(UserError, match="'demo' can't be divided"):
        split_pairs(Spec("demo"), tmp_path / "again", val=0.1, test=0.1)


def test_a_place_beside_the_two_folders_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it lies in the folder that holds both."""
    monkeypatch.chdir(tmp_path)
    for which in ("photos", "maps"):
        Path(which).mkdir()
        for i in range(4):
            Image.new("L", (4, 4), i).save(f"{which}/{i}.png")
    Path("pairs.csv").write_text(
        "source,target\n" + "".join(f"photos/{i}.png,maps/{i}.png\n" for i in range(4))
    )
    for spec in ("two-folders:a=photos,b=maps", "list:path=pairs.csv"):
        out = Path("out-" + spec[:4])
        assert split_pairs(Spec.parse(spec), out, val=0.25, test=0.25).counts["train"] == 2
        assert len(tree(out)) == 8
    with pytest.raises(UserError, match="overlap"):
        split_pairs(Spec.parse("two-folders:a=photos,b=maps"), Path("maps/in"), val=0.5, test=0)


def test_bad_files_are_named_or_left_out(frames: Path, tmp_path: Path) -> None:
    (frames / "bad.png").write_text("")
    spec = side_by_side(frames)
    with pytest.raises(UserError, match=r"bad\.png: the file is empty"):
        split_pairs(spec, tmp_path / "out", val=0.1, test=0.1)
    done = split_pairs(spec, tmp_path / "out", val=0.1, test=0.1, skip_bad=True)
    assert sum(done.counts.values()) == 40


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 9), min_size=3),
    val=st.floats(0.01, 0.45),
    test=st.floats(0.01, 0.45),
    seed=st.integers(0, 99),
)
def test_every_group_is_somewhere(
    sizes: dict[str, int], val: float, test: float, seed: int
) -> None:
    try:
        chosen = draw(sizes, val, test, seed)
    except UserError:
        return
    assert chosen.keys() == sizes.keys()
    assert set(chosen.values()) == {"train", "val", "test"}
    assert chosen == draw(dict(reversed(sizes.items())), val, test, seed)


@pytest.mark.parametrize("count", [3, 10, 57, 400])
def test_single_pairs_get_exactly_their_share(count: int) -> None:
    chosen = draw({str(i): 1 for i in range(count)}, 0.1, 0.2, 0)
    number: Callable[[str], int] = list(chosen.values()).count
    assert number("val") == max(1, round(0.1 * count))
    assert number("test") == max(1, round(0.2 * count))
