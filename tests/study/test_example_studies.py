"""The studies of the examples: each is planned as it is, and run in a tiny form."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from p2ptk import Study
from p2ptk.observe import Observer
from p2ptk.plugins import configure
from p2ptk.study.job import read_result
from p2ptk.study.records import Job, Result
from p2ptk.study.worker import work

FILES = sorted((Path(__file__).parents[2] / "examples" / "studies").glob("*.toml"))
RUNS = {"augmentation": 36, "earth": 18, "generators": 15, "losses": 15, "patch-size": 12}
SMALL = {
    r"^unet:encoder=timm.*true.*": "unet:depth=5,width=4,encoder=timm(model=test_efficientnet)",
    r"^unet:encoder=timm.*resnet.*": "unet:depth=5,width=4,encoder=timm(model=test_resnet)",
    r"^unet:encoder=timm.*convnext.*": "unet:depth=5,width=4,encoder=timm(model=test_convnext)",
    r"^unet.*": "unet:depth=5,width=4",
    r"^encoder-decoder.*": "encoder-decoder:depth=5,width=4",
    r"^patchgan:(.*?),?width=\d+": r"patchgan:\1,width=4",
    r"^patchgan(:(?!.*width)|$)": r"patchgan:width=4,",
}


def small(value: Any) -> Any:
    """The same table with networks of a few channels."""
    if isinstance(value, dict):
        return {key: small(each) for key, each in value.items()}
    if isinstance(value, list):
        return [small(each) for each in value]
    if isinstance(value, str):
        for pattern, by in SMALL.items():
            if re.match(pattern, value):
                return re.sub(pattern, by, value).rstrip(",")
    return value


def tiny(path: Path, place: Path, **changes: Any) -> Path:
    """A study file of the embedded pairs, one seed and one step."""
    table = small(tomllib.loads(path.read_text())) | {"seeds": 1, "budget": "1 steps"} | changes
    base = {"generator": "unet:depth=5,width=4", "discriminator": "patchgan:width=4"}
    table["base"] = base | table["base"] | {"data": "demo", "size": 128, "device": "cpu"}
    table["base"]["cache"] = False
    file = place / path.name
    file.write_text(tomli_w.dumps(table))
    return file


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("P2PTK_PLUGINS", "p2ptk-timm,p2ptk-kornia")
    configure()
    yield
    monkeypatch.undo()
    configure()


def test_all_are_here() -> None:
    assert {path.stem for path in FILES} == set(RUNS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_it_plans_as_many_runs_as_it_says(path: Path, tmp_path: Path) -> None:
    written = tomllib.loads(path.read_text())
    study = Study.from_file(tiny(path, tmp_path, seeds=written["seeds"]), tmp_path / "study")
    assert len(study.plan.tasks) == RUNS[path.stem]
    assert sum(variant.baseline for variant in study.plan.variants) == 1
    kept = tomllib.loads(path.read_text())["evaluate"]["primary"]
    assert study.plan.protocol.primary == kept


class InThisProcess:
    """A launcher that saves each job the start of a process; the jobs' own tests have that."""

    def launch(self, jobs: Sequence[Job]) -> Iterator[Result]:
        for job in jobs:
            work(Path(job.command[-1]), Observer())
            result = read_result(job.folder)
            assert result is not None
            yield result


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_it_runs_in_a_tiny_form(path: Path, tmp_path: Path) -> None:
    study = Study.from_file(tiny(path, tmp_path), tmp_path / "study")
    ended = study.run(launcher=InThisProcess(), quiet=True)
    assert {result.status for result in ended.results} == {"done"}, ended.results
    rows = study.table()
    assert [row["done"] for row in rows] == [1] * len(study.plan.variants)
    assert all(0 < row["ssim"] < 1 for row in rows)
    assert (tmp_path / "study" / "report.html").is_file()
    assert (tmp_path / "study" / "sheet.png").is_file()
