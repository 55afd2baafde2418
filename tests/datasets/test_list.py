from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from p2ptk.datasets.list import ListFile
from p2ptk.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("x/one", "x/two", "y/one", "y/two", "y/three, with a comma"):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(path)
    (tmp_path / "lists").mkdir()
    return tmp_path / "lists"


def write_csv(folder: Path, *rows: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join(rows), encoding="utf-8-sig")
    return path


def test_csv(folder: Path) -> None:
    path = write_csv(
        folder,
        "source,target,split,name",
        "../images/x/one.png,../images/y/one.png,,",
        '../images/x/two.png,"../images/y/three, with a comma.png",validation,my name',
        "",
    )
    data = ListFile(path=path)
    assert data.splits() == ("train", "val")
    assert data.split("train").names == ("images/x/one",)
    assert data.split("val").names == ("my name",)
    assert data.split("val")[0].target.shape == (3, 6, 8)


def test_jsonl(folder: Path) -> None:
    path = folder / "pairs.jsonl"
    rows = [{"source": f"../images/x/{n}.png", "target": f"../images/y/{n}.png"} for n in
            ("one", "two")]  # fmt: skip
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
    data = ListFile(path=path, val_fraction=0)
    assert data.split("train").names == ("images/x/one", "images/x/two")


def test_bad_rows_are_listed_and_can_be_skipped(folder: Path) -> None:
    good = "../images/x/one.png,../images/y/one.png"
    path = write_csv(
        folder,
        "source,target,split,name",
        f"{good},train,good",
        f"{good},train,good",
        f"{good},trian,other",
        f"{good},train,../../escape",
        "../images/x/one.png,,train,",
        "../images/x/one.png,../images/x/one.png,train,same",
        "../images/x/gone.png,../images/y/one.png,train,gone",
    )
    with pytest.raises(UserError) as caught:
        ListFile(path=path)
    message = str(caught.value)
    assert "row 3: the name 'good' comes twice in train" in message
    assert "row 4: 'trian' is no split; write train, val or test" in message
    assert "row 5: the name '../../escape' leads out of a folder" in message
    assert "row 6: it has no target" in message
    assert "row 7: source and target are the same file" in message
    assert "gone.png: there is no such file" in message
    data = ListFile(path=path, skip_bad=True)
    assert data.split("train").names == ("good",)
    assert len(data.skipped) == 6


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "sorce,target\na,b", "no column 'source'; its columns are sorce, target"),
        ("a.csv", "source,target,splits\na,b,c", "column 'splits': did you mean 'split'"),
        ("a.csv", "source,target\n", "lists no pairs"),
        ("a.csv", "", "no column 'source'; its columns are none"),
        ("a.jsonl", "{]", "line 1 is no JSON"),
        ("a.jsonl", "[1]", "line 1 is no object"),
        ("a.jsonl", '{"source": "a"}', "no column 'target'"),
        ("a.jsonl", '{"source": 3, "target": "b"}', "3 is no text"),
        ("a.txt", "", r"should end with \.csv or \.jsonl"),
    ],
)
def test_what_is_no_list(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        ListFile(path=tmp_path / name)


def test_a_missing_list(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        ListFile(path=tmp_path / "no.csv")
    (tmp_path / "latin.csv").write_bytes("source,target\nä,b".encode("latin-1"))
    with pytest.raises(UserError, match="not in UTF-8"):
        ListFile(path=tmp_path / "latin.csv")
