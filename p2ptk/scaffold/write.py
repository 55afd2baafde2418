"""Copies the template plugin under a new name, with the kinds of components asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import p2ptk
from p2ptk.contracts import KINDS
from p2ptk.errors import UserError
from p2ptk.files import explained
from p2ptk.hooks import hook_name
from p2ptk.scaffold.names import Names

TEMPLATE = Path(__file__).parent / "template"
EXAMPLE = Names("p2ptk-aurora")  # what the template is called

# The file of each kind, beside plugin.py.
FILES = {
    "generator": "net.py",
    "encoder": "encoder.py",
    "discriminator": "discriminator.py",
    "loss": "loss.py",
    "dataset": "data.py",
    "augmentation": "augmentation.py",
    "metric": "metric.py",
    "launcher": "launcher.py",
    "tracker": "tracker.py",
    "recipe": f"recipes/{EXAMPLE.component}.toml",
    "command": "command.py",
}

# A first command for each kind that runs without further preparation.
TRIES = {
    "generator": "p2ptk run --recipe quick -G {} --steps 20",
    "encoder": "p2ptk run --recipe quick -G unet:encoder={} --steps 20",
    "discriminator": "p2ptk run --recipe quick -D {} --steps 20",
    "loss": "p2ptk run --recipe quick -L +{} --steps 20",
    "dataset": "p2ptk show dataset {}",
    "augmentation": "p2ptk run --recipe quick -A +{} --steps 20",
    "metric": "p2ptk show metric {}",
    "launcher": "p2ptk show launcher {}",
    "tracker": 'p2ptk run --recipe quick --set "trackers=[{}]" --steps 20',
    "recipe": "p2ptk run --recipe {} --steps 20",
    "command": "p2ptk {} --help",
}


def write_plugin(names: Names, kinds: Sequence[str], folder: str | Path) -> Path:
    """Write a distribution that provides one component of each kind; gives the folder.

    The folder is there as a whole or not at all. Raises UserError where it can't be written, or
    exists and is not empty.
    """
    folder = Path(folder)
    there = folder.exists()
    if there and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists and is not empty: choose another folder with -o.")
    with explained(folder):
        beside = folder if there else folder.parent
        beside.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".p2ptk-", dir=beside) as hidden:
            made = Path(hidden, names.distribution)
            _copy(made, names, kinds)
            if not there:
                made.rename(folder)
            else:  # the folder itself stays: it may be where the user stands
                for child in made.iterdir():
                    child.rename(folder / child.name)
    return folder


def _copy(place: Path, names: Names, kinds: Sequence[str]) -> None:
    for source in sorted(path for path in TEMPLATE.rglob("*") if path.is_file()):
        path = source.relative_to(TEMPLATE)
        if _wanted(path, kinds):
            target = place / _renamed(path, names)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_text(source, names, kinds), "utf-8", newline="\n")


def first_tries(names: Names, kinds: Sequence[str]) -> list[str]:
    """A command for each kind to begin with."""
    return [TRIES[kind].format(names.component) for kind in kinds]


def _wanted(path: Path, kinds: Sequence[str]) -> bool:
    """Whether a file belongs to a plugin of these kinds."""
    of_kind = {Path("src", EXAMPLE.package, file): kind for kind, file in FILES.items()}
    left_by_tools = any(part.startswith((".", "__pycache__")) for part in path.parts)
    return not left_by_tools and of_kind.get(path, kinds[0]) in kinds


def _renamed(path: Path, names: Names) -> Path:
    """Where a file of the template goes. Names with a dot in front have none in the template."""
    text = _under_its_name(path.as_posix(), names)
    return Path(f".{text}" if path.parts[0] in ("github", "gitignore") else text)


def _text(source: Path, names: Names, kinds: Sequence[str]) -> str:
    text = source.read_text("utf-8")
    if source.name in ("plugin.py", "test_conformance.py"):
        text = _of_kinds(text, kinds)
    if source.name in ("pyproject.toml", "README.md"):
        text = text.replace("DESCRIPTION", _description(kinds))
        text = text.replace("USES", "\n".join(first_tries(EXAMPLE, kinds)))
        major, minor, *_ = p2ptk.__version__.split(".")
        text = text.replace('"p2ptk>=0.1"', f'"p2ptk>={major}.{minor}"')
    return _under_its_name(text, names)


def _under_its_name(text: str, names: Names) -> str:
    spellings = {
        getattr(EXAMPLE, way): getattr(names, way)
        for way in ("distribution", "package", "component", "prefix")
    }
    return re.sub("|".join(spellings), lambda found: spellings[found[0]], text)


def _description(kinds: Sequence[str]) -> str:
    """`A generator and a loss for p2ptk, paired image-to-image translation`."""
    parts = [f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}" for kind in kinds]
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return f"{listed[0].upper()}{listed[1:]} for p2ptk, paired image-to-image translation"


def _of_kinds(text: str, kinds: Sequence[str]) -> str:
    """A module of the template with the functions of these kinds, and the imports they take."""
    functions = {name for kind in kinds for name in (hook_name(kind), f"test_{kind}")}
    others = {name for kind in KINDS for name in (hook_name(kind), f"test_{kind}")} - functions
    head, *blocks = text.rstrip().split("\n\n\n")
    kept = [b for b in blocks if not others & set(re.findall(r"^def (\w+)", b, re.MULTILINE))]
    body = "\n\n\n".join(kept)
    lines = []
    for line in head.splitlines():
        imported = re.fullmatch(r"(?:from \S+ )?import (?:\w+ as )?(\w+(?:, \w+)*)", line)
        used = imported and any(re.search(rf"\b{n}\b", body) for n in imported[1].split(", "))
        if not imported or used or "__future__" in line:
            lines.append(line)
    head = re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
    return f"{head}\n\n\n{body}\n"
