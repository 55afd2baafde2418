"""What is said of components that are not here."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from p2ptk import missing
from p2ptk.build import resolve_config
from p2ptk.cli import main
from p2ptk.components import find, resolve
from p2ptk.config import RunConfig
from p2ptk.contracts import KINDS
from p2ptk.errors import UserError
from p2ptk.loading import provided_by
from p2ptk.missing import Listed, directory
from p2ptk.plugins import Status, registry
from p2ptk.weights import ModelHeader, load_generator, save_generator

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(ROOT.glob("plugins/*/pyproject.toml"))
GET = "the plugin p2ptk-x provides it; install it with: pip install p2ptk-x"


@pytest.fixture(autouse=True)
def _listed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A directory of one plugin, and components of this process as they were."""
    row = Listed("p2ptk-x", "x", {"encoder": ("oak",), "metric": ("ash",), "command": ("grow",)})
    monkeypatch.setattr(missing, "directory", lambda: (row,))
    registry.cache_clear()
    yield
    registry.cache_clear()


def refusal(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments)
    return str(error.value)


@pytest.mark.parametrize("name", ["oak", "p2ptk-x/oak"])
def test_a_listed_name_is_answered_with_the_install_line(name: str) -> None:
    assert refusal(find, "encoder", name) == f"there is no encoder {name!r}: {GET}"


def test_so_it_is_where_it_is_nested() -> None:
    answer = refusal(resolve, "generator", "unet:encoder=oak(depth=3)")
    assert answer == f"there is no encoder 'oak': {GET}"


def test_so_it_is_in_a_run_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('generator = {name = "unet", encoder = {name = "oak"}}\n', "utf-8")
    assert GET in refusal(resolve_config, RunConfig.read(path))


def test_so_it_is_in_a_model_file(tmp_path: Path) -> None:
    spec = {"name": "unet", "encoder": {"name": "oak"}}
    header = ModelHeader(generator=spec, source_channels=3, target_channels=3, size=(32, 32))
    save_generator(tmp_path / "m.safetensors", nn.Conv2d(3, 3, 1), header)
    assert GET in refusal(load_generator, tmp_path / "m.safetensors")
    header = header.model_copy(update={"providers": {"encoder/oak": "p2ptk-x 0.4"}})
    save_generator(tmp_path / "m.safetensors", nn.Conv2d(3, 3, 1), header)
    needs = "needs the encoder 'oak' of p2ptk-x 0.4: pip install p2ptk-x."
    assert needs in refusal(load_generator, tmp_path / "m.safetensors")


def test_so_it_is_for_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["grow", "--fast"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"Error: there is no command 'grow': {GET}\n"


@pytest.mark.parametrize("kind", ["generator", "metric"])
def test_a_name_listed_for_another_kind_is_not_meant(kind: str) -> None:
    assert "p2ptk-x" not in refusal(find, kind, "oak")


def test_a_name_near_a_listed_one() -> None:
    answer = refusal(find, "encoder", "oac")
    assert answer == f"there is no encoder 'oac': did you mean 'oak'? T{GET[1:]}"
    assert "did you mean 'conv'?" in refusal(find, "encoder", "con")


@pytest.mark.parametrize(
    ("status", "reason", "advice"),
    [
        ("failed", "ImportError: no oak", "provides it, but did not load: ImportError: no oak."),
        ("disabled", "disabled: --no-plugins", "provides it, but is switched off: --no-plugins."),
        ("active", "", "not in the version 0.1 that is here; upgrade it with: pip install --up"),
    ],
)
def test_a_listed_plugin_that_is_here_but_of_no_use(status: Any, reason: str, advice: str) -> None:
    registry().plugins.append(Status("p2ptk-x", "0.1", status, reason))
    assert advice in refusal(find, "encoder", "oak")


def test_plugins_that_are_not_in_use_are_named() -> None:
    registry().plugins[:] = [s for s in registry().plugins if s.status == "active"]
    registry().plugins.append(Status("p2ptk-y", "1", "failed", "it has no leaves"))
    registry().plugins.append(Status("p2ptk-z", "1", "disabled", "disabled: --no-plugins"))
    assert refusal(find, "loss", "l11") == (
        "there is no loss 'l11': did you mean 'l1'? Plugins that did not load: p2ptk-y (it has no "
        "leaves). Plugins switched off: p2ptk-z (--no-plugins)."
    )


def test_a_recorded_run_names_the_plugin_that_it_was_made_with() -> None:
    recorded = {"generator/ash": "p2ptk-tree 0.3", "encoder/elm": "p2ptk-elm 1.0"}
    config = RunConfig.of({"generator": "ash:width=3", "providers": recorded})
    answer = "the run needs the generator 'ash' of p2ptk-tree 0.3: pip install p2ptk-tree."
    assert refusal(resolve_config, config) == answer
    for spec in ("unet:encoder=elm", "unet:encoder=elm(depth=3)"):
        config = RunConfig.of({"generator": spec, "providers": recorded})
        assert "the encoder 'elm' of p2ptk-elm 1.0: pip" in refusal(resolve_config, config)
    # What is asked for now is another thing than what was recorded.
    config = RunConfig.of({"generator": "unett", "providers": recorded})
    assert "did you mean 'unet'?" in refusal(resolve_config, config)


def test_the_directory_is_well_formed() -> None:
    names = [plugin.distribution for plugin in directory()]
    assert names == sorted(set(names))
    for plugin in directory():
        assert plugin.distribution.startswith("p2ptk-")
        assert plugin.summary
        assert set(plugin.components) <= set(KINDS)


def test_the_directory_lists_this_repositorys_plugins_and_those_with_a_home_elsewhere() -> None:
    rows = json.loads((ROOT / "docs" / "plugin-directory.json").read_text("utf-8"))
    projects = [tomllib.loads(path.read_text("utf-8"))["project"] for path in PLUGINS]
    ours = {row["distribution"] for row in rows if "homepage" not in row}
    assert ours == {project["name"] for project in projects}


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.parent.name)
def test_the_directory_says_what_each_provides(path: Path) -> None:
    project = tomllib.loads(path.read_text("utf-8"))["project"]
    (module,) = project["entry-points"]["p2ptk"].values()
    file = path.parent / "src" / (module.replace(".", "/") + ".py")
    spec = importlib.util.spec_from_file_location(f"hooks_of_{path.parent.name}", file)
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    provides: dict[str, list[str]] = {}
    for provided in provided_by(hooks, project["name"], "0"):
        provides.setdefault(provided.kind, []).append(provided.name)
    (listed,) = (plugin for plugin in directory() if plugin.distribution == project["name"])
    assert {k: sorted(v) for k, v in listed.components.items()} == {
        k: sorted(v) for k, v in provides.items()
    }


def test_the_directory_is_shipped() -> None:
    """In a wheel it lies in the package, in a checkout in docs; hatchling is told so."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["force-include"]
    assert included["docs/plugin-directory.json"] == "p2ptk/plugin-directory.json"
