"""The command line in this process, and plugin distributions made for a test."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from p2ptk.cli import main
from p2ptk.plugins import configure


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """The output with all white space made single."""
        return re.sub(r"\s+", " ", self.out)


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Done]]:
    """Run `p2ptk ARGUMENTS` as the console script does, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Done:
        configure(enabled=True, files=[])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    yield call
    configure(enabled=True, files=[])


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a distribution: plugin("p2ptk-x", "1.2", "source of its module of hooks")."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delenv("P2PTK_PLUGINS", raising=False)

    def install(name: str, version: str, source: str) -> None:
        module = f"hooks_of_{re.sub(r'[^a-z]', '_', name)}_{abs(hash(str(site)))}"
        about = site / f"{name.replace('-', '_')}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8"
        )
        (about / "entry_points.txt").write_text(f"[p2ptk]\nhooks = {module}\n", "utf-8")
        (site / f"{module}.py").write_text(source, "utf-8")

    return install


@pytest.fixture
def two_plugins(plugin: Callable[..., None]) -> None:
    """One that works, and one that does not import."""
    plugin(
        "p2ptk-good",
        "1.2",
        "from p2ptk import Component, hookimpl\n"
        "@hookimpl\n"
        "def p2ptk_generators():\n"
        "    yield Component('oasis', 'nowhere.net:Oasis', 'OASIS [Sushko 2021]', 'Sushko 2021')\n"
        "    yield Component('unet', 'nowhere.net:UNet', 'another U-Net')\n"
        "@hookimpl\n"
        "def p2ptk_launchers():\n"
        "    yield Component('cluster', 'nowhere.net:Cluster', 'jobs on a cluster')\n",
    )
    plugin("p2ptk-bad", "0.3", "import no_such_module_at_all\n")
