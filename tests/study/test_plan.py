"""Plans: variants, keys, and everything that is refused before a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from p2ptk.config import RunConfig
from p2ptk.errors import UserError
from p2ptk.layers import read_toml
from p2ptk.study.plan import Plan, make_plan

TWO = """
[factors]
"losses.l1.weight" = [100, 10]
discriminator = ["patchgan:layers=1,width=4", "patchgan:layers=0,width=4"]
"""


Make = Callable[..., Plan]
Refused = Callable[..., str]


@pytest.fixture
def plan(tmp_path: Path, pairs: Path, write_study: Callable[..., Path]) -> Make:
    """plan(body, head) -> the plan of a tiny study."""

    def made(body: str, head: str = "", data: Path = pairs, **more: str) -> Plan:
        return make_plan(write_study(tmp_path, data, body, head, **more), tmp_path / "out")

    return made


@pytest.fixture
def problems(plan: Make) -> Refused:
    """problems(body, head) -> what is said of a study that is refused."""

    def said(*given: str, **more: object) -> str:
        with pytest.raises(UserError) as caught:
            plan(*given, **more)
        return str(caught.value)

    return said


def labels(made: Plan) -> list[str]:
    return [variant.label for variant in made.variants]


def test_one_at_a_time(plan: Make) -> None:
    made = plan(TWO)
    assert labels(made) == ["baseline", "losses.l1.weight=10", "patchgan:layers=0,width=4"]
    assert [v.baseline for v in made.variants] == [True, False, False]
    assert made.variants[2].levels["losses.l1.weight"] == "100"
    assert made.variants[1].settings["losses"] == {"l1": {"weight": 10}}
    assert [(t.variant.label, t.job.seed) for t in made.tasks[:3]] == [
        ("baseline", 0),
        ("baseline", 1),
        ("losses.l1.weight=10", 0),
    ]
    assert made.configs["losses.l1.weight=10"].losses["l1"].params["weight"] == 10
    assert made.protocol.budget == "4 steps of 2 pairs = 8 images"
    assert (made.protocol.primary, made.protocol.higher_is_better) == ("ssim", True)


def test_named_baseline(plan: Make) -> None:
    made = plan(TWO, head='baseline = { "losses.l1.weight" = 10 }\n')
    assert labels(made)[:2] == ["baseline", "losses.l1.weight=100"]
    assert made.configs["baseline"].losses["l1"].params["weight"] == 10


def test_grid_with_exclusion(plan: Make) -> None:
    body = (
        TWO + '[[exclude]]\n"losses.l1.weight" = 10\ndiscriminator = "patchgan:layers=0,width=4"\n'
    )
    made = plan(body, head="mode = 'grid'\n")
    assert labels(made) == [
        "losses.l1.weight=100, patchgan:layers=1,width=4",
        "losses.l1.weight=100, patchgan:layers=0,width=4",
        "losses.l1.weight=10, patchgan:layers=1,width=4",
    ]
    assert made.variants[0].baseline


def test_named_levels_and_unquoted_keys(plan: Make) -> None:
    """A parameter's factor holds for whatever a named level chooses, in whatever order."""
    body = """
[factors]
losses.l1.weight = [100, 10]
train.lr = [2e-4, 1e-4]
[factors.loss]
"L1 + cGAN" = {}
"L1" = { losses = ["l1"], discriminator = "none" }
"""
    made = plan(body, head="mode = 'grid'\n")
    assert len(made.variants) == 8
    assert "losses.l1.weight=10, train.lr=0.0001, L1" in labels(made)
    alone = made.configs["losses.l1.weight=10, train.lr=0.0001, L1"]
    assert list(alone.losses) == ["l1"]
    assert alone.losses["l1"].params["weight"] == 10
    assert alone.discriminator is None
    assert alone.train.lr == 1e-4


def test_list_and_rows(plan: Make) -> None:
    body = """
[[variants]]
label = "narrow"
[[variants]]
label = "wide"
baseline = true
generator.width = 8
"""
    made = plan(body, head="mode = 'list'\n")
    assert labels(made) == ["wide", "narrow"]
    assert made.configs["wide"].generator.params["width"] == 8


def test_keys_say_what_decides_the_result(plan: Make, evaluate: str) -> None:
    first = {t.job.key for t in plan(TWO).tasks}
    assert len(first) == 6
    assert {t.job.key for t in plan(TWO + "train.lr = [2e-4, 1e-4]\n").tasks} > first
    more_seeds = 'seeds = 3\nbudget = "4 steps"\n'
    assert {t.job.key for t in plan(TWO, head=more_seeds).tasks} > first
    other = evaluate.replace('"psnr", "ssim"', '"ssim", "l1"')
    assert {t.job.key for t in plan(TWO, evaluate=other).tasks} == first
    beside = "output.samples = 2\nworkers = 1\ncache = false\n" + TWO
    assert {t.job.key for t in plan(beside).tasks} == first
    longer = 'seeds = 2\nbudget = "5 steps"\n'
    assert not {t.job.key for t in plan(TWO, head=longer).tasks} & first


def test_a_moved_study_keeps_its_keys(
    tmp_path: Path, pairs: Path, write_study: Callable[..., Path]
) -> None:
    keys = []
    for name in ("here", "there"):
        home = tmp_path / name
        home.mkdir()
        shutil.copytree(pairs, home / "pairs")
        made = make_plan(write_study(home, "pairs", TWO), home / "out")
        assert made.tasks[0].table["config"]["data"]["path"] == str(home / "pairs")
        keys.append([task.job.key for task in made.tasks])
    assert keys[0] == keys[1]


def test_job_files(tmp_path: Path, plan: Make) -> None:
    made = plan(TWO, head="retries = 2\n")
    made.write()
    task = made.tasks[3]
    table = read_toml(task.file)
    assert task.file == tmp_path / "out" / "jobs" / f"{task.job.key}.toml"
    assert task.job.command[-1] == str(task.file)
    config = RunConfig.of(table["config"])
    assert (table["variant"], table["seed"], config.seed) == ("losses.l1.weight=10", 1, 1)
    assert config.train.steps == 4
    assert config.losses["l1"].params["weight"] == 10
    assert table["evaluate"] == {
        "metrics": ["psnr", "ssim"],
        "primary": "ssim",
        "higher_is_better": True,
        "split": "val",
        "select": "last",
    }
    before = task.file.stat().st_mtime_ns
    made.write()
    assert task.file.stat().st_mtime_ns == before


def test_budget_in_images(plan: Make) -> None:
    head = 'seeds = 1\nbudget = "9 images"\n'
    made = plan("[factors]\ntrain.batch_size = [2, 3]\n", head=head)
    assert made.configs["baseline"].train.steps == 5
    assert made.configs["train.batch_size=3"].train.steps == 3
    assert made.notes == ("9 images are no whole number of batches of 2: 5 steps",)
    assert made.protocol.budget == "3 to 5 steps of 2 to 3 pairs = 9 to 10 images"


def test_best_weights_are_looked_for_on_val(
    tmp_path: Path, pairs: Path, plan: Make, problems: Refused, evaluate: str
) -> None:
    with_test = tmp_path / "with test"
    shutil.copytree(pairs, with_test)
    shutil.copytree(pairs / "val", with_test / "test")
    best = evaluate.replace('"val"', '"test"') + 'select = "best"\n'
    made = plan(data=with_test, body=TWO, evaluate=best)
    config = made.configs["baseline"]
    assert (config.output.evaluate_every, config.output.best) == (1, "ssim")
    assert [spec.name for spec in config.metrics.values()] == ["ssim"]
    said = problems(data=with_test, body=TWO, evaluate=best.replace('"test"', '"val"'))
    assert "select = 'best' chooses weights on val" in said


def test_pictures_of_others(tmp_path: Path, plan: Make, problems: Refused) -> None:
    body = TWO + '[[external]]\nlabel = "theirs"\nimages = "theirs-{seed}"\n'
    (tmp_path / "theirs-0").mkdir()
    said = problems(body)
    assert "'theirs': there is no folder 'theirs-1'." in said
    (tmp_path / "theirs-1").mkdir()
    made = plan(body)
    tables = [task.table for task in made.tasks if task.variant.label == "theirs"]
    assert [t["images"] for t in tables] == [str(tmp_path / f"theirs-{n}") for n in (0, 1)]
    assert made.variants[-1].external == "theirs-{seed}"
    row = '[[variants]]\nlabel = "one"\nexternal = { images = "theirs-0" }\n'
    made = plan(TWO + row)
    assert [t.job.seed for t in made.tasks if t.variant.label == "one"] == [0]


REFUSED = [
    ("[factors]\ngenerator = ['unett', 'resnet']", "did you mean 'unet'?"),
    ("[factors]\n'losses.l1.weihgt' = [1, 2]", "has no parameter 'weihgt'"),
    ("[factors]\n'losses.gna.weight' = [1, 2]", "has no 'gna' among its losses"),
    ("[factors]\ntrain.lrr = [1, 2]", "did you mean 'train.lr'?"),
    ("[factors]\ndiscriminator = ['patchgan', 'none']", "needs a discriminator"),
    ("[factors]\nsize = [32, 36]", "multiples of 8"),
    ("[factors]\ndiscriminator = ['patchgan:layers=1', 'patchgan:layers=6']", "image of 32x32"),
    ("[factors]\nseed = [1, 2]", "are the same design"),
    ("[factors]\ntrain.steps = [1, 2]", "`budget` gives all the same"),
    ("[factors]\ntrain.batch_size = [2, 'auto']", "give a number"),
    ("[factors]\ntrain.lr = [1, 1]", "lists the level '1' twice"),
    ("[factors]\ntrain.lr = []", "has no levels"),
    ("[factors]\ntrain.lr = 3", "should be a list of levels"),
    ("train.lr = 1\n[[exclude]]\ntrian = 3\n", "there is no factor 'trian'"),
    ("[[variants]]\ngenerator = 'unet'", "[[variants]] 1 needs a label"),
    ("[[variants]]\nlabel = 'baseline'\ntrain.lr = 1", "labelled 'baseline'"),
    (TWO + "[[variants]]\nlabel='x'\nbaseline=true\ntrain.lr=1", "more than one baseline"),
    ("direcction = 'BtoA'\n", "did you mean 'direction'?"),
    ("data = 'no/such/folder'\n", "no/such/folder"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "sentence"), REFUSED)
def test_refusals(
    tmp_path: Path, problems: Refused, write_study: Callable[..., Path], body: str, sentence: str
) -> None:
    if body.startswith("data ="):
        path = write_study(tmp_path, "no/such/folder", "")
        with pytest.raises(UserError, match=sentence):
            make_plan(path, tmp_path / "out")
        return
    assert sentence in problems(body)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"psnr"', '"psrn"', "did you mean 'psnr'?"),
        ('primary = "ssim"', 'primary = "lpips"', "no metric gives 'lpips'"),
        ('"val"', '"test"', "the data has no split 'test'"),
        ('"val"', '"train"', "would report what was trained on"),
    ],
)
def test_evaluation_refused(
    problems: Refused, evaluate: str, old: str, new: str, sentence: str
) -> None:
    assert sentence in problems(TWO, evaluate=evaluate.replace(old, new))


def test_all_at_once_and_each_once(problems: Refused, evaluate: str) -> None:
    body = """train.lrr = 3
[factors]
generator = ["unett", "resnet"]
losses.l1.weihgt = [1, 2]
"""
    said = problems(body, head="nmae = 'x'\n", evaluate=evaluate.replace("psnr", "psrn"))
    lines = said.splitlines()
    for word in ("key 'nmae'", "option 'train.lrr'", "'unett'", "parameter 'weihgt'", "'psrn'"):
        assert sum(word in line for line in lines) == 1, said
    assert lines[0].endswith(f"{len(lines) - 1} things are wrong.")


def test_nothing_is_written(tmp_path: Path, plan: Make) -> None:
    plan(TWO)
    assert not (tmp_path / "out").exists()


def test_a_path_that_no_system_could_hold_is_refused(problems: Refused) -> None:
    said = problems(TWO, data=Path("{" * 5000))
    assert "[base]: data: there is no folder '{{{{" in said


def test_pictures_that_no_memory_could_hold_are_refused(
    problems: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def allocate(*args: object, **more: object) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("p2ptk.study.check.fixed_batch", allocate)
    assert "pictures of 32x32 don't fit in memory: lower size." in problems(TWO)
