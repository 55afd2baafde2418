"""Everything `p2ptk data inspect` tells, gathered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from p2ptk.components import create, resolve
from p2ptk.contracts import Dataset, Side
from p2ptk.dataprep.contact import Shown, contact_sheet
from p2ptk.dataprep.copies import Copies, find_copies
from p2ptk.dataprep.findings import Finding, findings
from p2ptk.dataprep.place import need_outside
from p2ptk.dataprep.suggest import Suggestion, suggest
from p2ptk.dataprep.survey import Look, Progress, SideLook, Survey, survey
from p2ptk.datasets.filepairs import Problem
from p2ptk.errors import UserError
from p2ptk.files import explained
from p2ptk.report.sheets import save_png
from p2ptk.specs import Spec

ON_SHEET = 24


@dataclass(frozen=True)
class Inspection:
    """What was found in a set of pairs.

    problems: files that give no pair.
    """

    spec: Spec
    dataset: Dataset
    survey: Survey
    copies: Copies
    problems: tuple[Problem, ...]
    findings: tuple[Finding, ...]
    suggestion: Suggestion

    def plain(self) -> dict[str, Any]:
        """Values that JSON holds."""
        looks = self.survey.looks
        sides = {"a": (self.dataset.a, [look.a for look in looks])}
        if not self.survey.single:
            sides["b"] = (self.dataset.b, [look.b for look in looks])
        return {
            "data": str(self.spec),
            "splits": self.survey.counts,
            "looked_at": len(looks),
            "sides": {name: of_side(side, each) for name, (side, each) in sides.items()},
            "problems": [asdict(problem) for problem in self.problems],
            "findings": [asdict(finding) for finding in self.findings],
            "suggestion": asdict(self.suggestion),
        }


def open_all(spec: Spec) -> Dataset:
    """The dataset with all its pairs in the splits they are stored in; bad files left out."""
    known = {field.name for field in resolve("dataset", spec).fields}
    wanted = {"skip_bad": True, "val_fraction": 0.0}
    more = {k: v for k, v in wanted.items() if k in known and k not in spec.params}
    dataset: Dataset = create("dataset", spec.having(**more))
    return dataset


def inspect(
    spec: Spec, given: str, most: int | None = None, progress: Progress | None = None
) -> Inspection:
    """Read all pairs and judge them.

    given: how the user named the data. most: pairs to read of each split; all if None.
    Raises UserError where no pair can be read.
    """
    dataset = open_all(spec)
    found = survey(dataset, most, progress)
    problems = (*getattr(dataset, "skipped", ()), *found.unread)
    if not found.looks:
        first = f": {problems[0]}" if problems else ""
        raise UserError(f"no pair of {given} can be read{first}.")
    copies = find_copies(found.looks, single=found.single)
    return Inspection(
        spec=spec,
        dataset=dataset,
        survey=found,
        copies=copies,
        problems=problems,
        findings=tuple(findings(found, copies, dataset)),
        suggestion=suggest(given, found.looks, single=found.single),
    )


def write_sheets(found: Inspection, folder: Path) -> list[Path]:
    """`contact.png`, and `suspects.png` where some pair is suspected; gives their paths.

    Raises UserError for a folder among the data.
    """
    need_outside(folder, found.dataset)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    suspects = _suspects(found)
    for name, pairs in (("contact.png", _some(found.survey.looks)), ("suspects.png", suspects)):
        path = folder / name
        if pairs:
            save_png(path, contact_sheet(found.dataset, pairs))
            written.append(path)
        else:
            path.unlink(missing_ok=True)  # one of an earlier inspection
    return written


def of_side(side: Side, looks: Sequence[SideLook]) -> dict[str, Any]:
    """What all pairs' sides have in common, and how they differ."""
    sizes = Counter(look.size for look in looks).most_common()
    return {
        "kind": side.kind,
        "sizes": [{"height": h, "width": w, "pairs": n} for (h, w), n in sizes],
        "channels": sorted({look.channels for look in looks}),
        "dtypes": sorted({look.dtype for look in looks}),
        "low": min(look.low for look in looks),
        "high": max(look.high for look in looks),
        "range": side.range,
        "classes": side.depth,
    }


def _some(looks: Sequence[Look]) -> list[Shown]:
    """Pairs spread evenly over all splits."""
    count = min(ON_SHEET, len(looks))
    chosen = (looks[i * len(looks) // count] for i in range(count))
    return [Shown(look.split, look.number, f"{look}   A | B") for look in chosen]


def _suspects(found: Inspection) -> list[Shown]:
    """The pairs that findings other than notes name, each once."""
    by_name = {str(look): look for look in found.survey.looks}
    shown: dict[str, Shown] = {}
    for finding in found.findings:
        if finding.level == "note":
            continue
        for name in finding.pairs[:ON_SHEET]:
            look = by_name[name]
            words = finding.kind
            if finding.kind == "shifted" and look.agreement:
                words += " {:+d},{:+d}".format(*look.agreement.shift)
            shown.setdefault(name, Shown(look.split, look.number, f"{words}: {name}", True))
    return list(shown.values())[: 2 * ON_SHEET]
