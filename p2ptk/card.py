"""Model cards: a README.md that says what a model file is, in the form that hubs read.

The head is the metadata of Hugging Face's model cards; the rest is for people. All of it comes from
the model's header and, where the model lies in its run's folder, from what the run left there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from p2ptk.cli.show_model import model_facts, model_lines
from p2ptk.errors import UserError
from p2ptk.files import explained, write_atomically
from p2ptk.report.evaluations import read_evaluations
from p2ptk.runfolder import RunFolder
from p2ptk.weights import MODEL_FILE, ModelHeader, find_model, read_header

CARD = "README.md"
MARK = "<!-- written by p2ptk card -->"  # what may be written over; a card somebody edits has none
TASK = "image-to-image"


def write_card(
    model: str | Path,
    out: str | Path | None = None,
    *,
    license: str | None = None,
    repo: str | None = None,
    force: bool = False,
) -> Path:
    """Write the card of a model file or run folder, by default as README.md beside it.

    license: an identifier such as `cc-by-4.0`; without one the card says that none is stated.
    repo: `OWNER/NAME` of the hub's, for the lines on how to use it.
    force: write over a README.md that this did not write.
    Raises UserError for a bad model, or where another README.md is in the way.
    """
    file = find_model(model)
    place = Path(out) if out is not None else file.parent / CARD
    if place.is_dir():
        place /= CARD
    if place.exists() and not force and MARK not in place.read_text("utf-8", "replace"):
        raise UserError(
            f"{place} is there already, and p2ptk did not write it as it stands: add --force to "
            "write over it, or choose another file with -o."
        )
    text = card(file, license=license, repo=repo, folder=place.parent)
    with explained(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(place, text.encode())
    return place


def card(
    file: Path, *, license: str | None = None, repo: str | None = None, folder: Path | None = None
) -> str:
    """A model file's card. folder: where it will lie, for the link to its sample sheet."""
    header, facts = read_header(file), model_facts(file)
    scores = read_evaluations(file.parent)
    title = (repo or "").rpartition("/")[2] or _title(file)
    body = [
        *_metadata(header, scores, title, license),
        MARK,
        f"# {title}",
        _about(header),
        *_samples(file, folder or file.parent),
        *_description(header, facts, license),
        *_scores(header, scores),
        *_use(header, file, repo),
    ]
    return "\n\n".join(body) + "\n"


def sample_sheet(file: Path) -> Path | None:
    """The newest sheet of samples of the run that a model file lies in."""
    sheets = [p for p in RunFolder(file.parent).samples.glob("*.png") if p.stem.isdigit()]
    return max(sheets, key=lambda path: int(path.stem), default=None)


def _title(file: Path) -> str:
    return file.resolve().parent.name if file.name == MODEL_FILE else file.stem


def _metadata(
    header: ModelHeader, scores: list[dict[str, Any]], title: str, license: str | None
) -> Iterable[str]:
    """The head, between its lines of dashes: YAML, every text of it as JSON writes it."""
    tags = ["p2ptk", "pix2pix", TASK, "pytorch", header.spec.name]
    names = [row["name"] for found in scores for row in found["rows"]]
    lines = ["---"]
    if license:
        lines.append(f"license: {json.dumps(license)}")
    lines += ["library_name: p2ptk", f"pipeline_tag: {TASK}", "tags:"]
    lines += [f"- {json.dumps(tag)}" for tag in dict.fromkeys(tags)]
    if names:
        lines += ["metrics:", *(f"- {json.dumps(name)}" for name in dict.fromkeys(names))]
        lines += ["model-index:", f"- name: {json.dumps(title)}", "  results:"]
    for found in scores:
        data = Path(found["data"]).name or header.trained_on or "pairs"
        dataset = {"name": data, "type": data, "split": found["split"]}
        values = [
            {"type": row["name"], "name": row["name"], "value": float(row["value"])}
            for row in found["rows"]
            if row["value"] != "not finite"
        ]
        if values:
            lines.append(f"  - task: {json.dumps({'type': TASK})}")
            lines.append(f"    dataset: {json.dumps(dataset)}")
            lines += ["    metrics:", *(f"    - {json.dumps(value)}" for value in values)]
    yield "\n".join([*lines, "---"])


def _about(header: ModelHeader) -> str:
    kinds = {"image": "a picture", "labels": "a label map", "values": "a map of values"}
    given, made = kinds[header.source.kind], kinds[header.target.kind]
    if header.derive:
        given = "what is made from a photo by " + ", ".join(str(t["name"]) for t in header.derive)
    on = f", trained on the pairs of {header.trained_on}" if header.trained_on else ""
    return (
        f"A generator `{header.spec.name}` for paired image-to-image translation: it takes {given} "
        f"and gives {made}{on}. Trained with p2ptk {header.version}."
    )


def _samples(file: Path, folder: Path) -> Iterable[str]:
    sheet = sample_sheet(file)
    if sheet is not None:
        link = Path(os.path.relpath(sheet, folder)).as_posix()
        yield f"![source, output and target of validation pairs]({link})"
        yield "Source, output and target of validation pairs, which it was not trained on."


def _description(header: ModelHeader, facts: dict[str, Any], license: str | None) -> Iterable[str]:
    yield "## The model"
    # Whether a part is installed is of this machine, not of the model.
    rows = [
        (label, text.partition(": ")[0] if label in ("needs", "trained with") else text)
        for label, text in model_lines(facts)
        if label != "file"
    ]
    yield _table(("", ""), rows)
    yield "## What it was trained on"
    data = header.trained_on or "Data that the file does not name"
    count = f", {header.pairs:,} pairs" if header.pairs else ""
    yield (
        f"{data}{count}, in the direction {header.direction.replace('to', ' to ')}, at "
        f"{header.size[0]}x{header.size[1]} pixels, for {header.step:,} steps. It knows what those "
        "pairs show and nothing else: of other pictures it makes something that looks like them."
    )
    if not license:
        yield "No licence is stated for these weights."


def _scores(header: ModelHeader, scores: list[dict[str, Any]]) -> Iterable[str]:
    if not scores and not header.validation:
        return
    yield "## Scores"
    for found in scores:
        step = found["step"]
        other = (
            f", of step {step:,}, not of these weights" if step not in (None, header.step) else ""
        )
        yield f"Over the {found['pairs']} pairs of `{found['split']}`{other}:"
        yield _table(
            ("metric", "value", "95 % interval", "protocol"),
            [
                (f"{row['name']} {row['better']}".strip(), row["value"], row["interval"] or "-",
                 row["protocol"])
                for row in found["rows"]
            ],
        )  # fmt: skip
        yield from found["notes"]
    if header.validation:
        best = f"; these weights were chosen by {header.best_by}" if header.best_by else ""
        values = ", ".join(f"{name} {value:.4g}" for name, value in header.validation.items())
        yield f"On the validation pairs while it trained: {values}{best}."


def _use(header: ModelHeader, file: Path, repo: str | None) -> Iterable[str]:
    plugins = {
        provider.partition(" ")[0]
        for part, provider in header.providers.items()
        if part.startswith(("generator/", "encoder/"))
        or part in {f"augmentation/{table['name']}" for table in header.derive}
    }
    needed = sorted(name for name in plugins if "/" not in name and name not in ("p2ptk", "here"))
    packages = " ".join(["p2ptk" if not repo else '"p2ptk[hub]"', *needed])
    name = repo.rpartition("/")[2] if repo else file.name
    lines = [f"pip install {packages}"]
    if repo:
        lines.append(f"p2ptk pull {repo} -o {name}")
    lines.append(f"p2ptk translate {name} PICTURES -o OUT")
    yield "## How to use it"
    yield "```\n" + "\n".join(lines) + "\n```"
    python = [
        "from p2ptk import Translator",
        "from PIL import Image",
        "",
        f'translator = Translator.load("{name}")',
        'translator(Image.open("picture.png")).save("translated.png")',
    ]
    yield "```python\n" + "\n".join(python) + "\n```"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in row) + " |" for row in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
