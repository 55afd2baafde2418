"""Studies from Python, in the words of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, overload

from p2ptk.components import resolve
from p2ptk.errors import UserError
from p2ptk.observe import Lines, Observer
from p2ptk.specs import Spec
from p2ptk.study.plan import Plan, make_plan
from p2ptk.study.records import Evidence, Result
from p2ptk.study.run import Ended, evidence, gather, run_study
from p2ptk.study.status import run_rows


class Study:
    """A study: variants of a model that are trained alike, with several seeds, and compared.

        study = p2ptk.Study.from_file("losses.toml")
        study.run(jobs=2)
        for row in study.table():
            print(row["variant"], row["ssim"], row["ssim difference"])

    folder: where its runs and report lie.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @classmethod
    def from_file(cls, path: str | Path, output: str | Path | None = None) -> Study:
        """A study file, or the folder of a study that was run.

        output: the study's folder; default `studies/STEM`.
        Raises UserError that lists everything that is wrong with the file.
        """
        return cls(make_plan(path, output))

    @property
    def folder(self) -> Path:
        return self.plan.folder

    def run(
        self,
        *,
        launcher: str | Any = "local",
        jobs: int | None = None,
        again: bool = False,
        quiet: bool = False,
    ) -> Ended:
        """Run what is missing and write the report.

        launcher: a spec, or an object with `launch(jobs)`. jobs: how many at a time. again: also
            those that failed more often than the file allows.
        Gives a result for every run. A run that failed is one of them; it raises nothing.
        """
        chosen = make_launcher(launcher, jobs) if isinstance(launcher, str) else launcher
        ended = run_study(self.plan, chosen, Observer() if quiet else Lines(), again=again)
        if ended.count("done"):
            self.report()
        return ended

    def results(self) -> tuple[Result, ...]:
        """One for each variant and seed, in the plan's order."""
        return gather(self.plan)

    def status(self) -> list[dict[str, Any]]:
        """A dict for each run: `variant`, `seed`, `status`, `step`, `steps`, `metrics` ..."""
        return run_rows(self.plan, self.results())

    def evidence(self) -> Evidence:
        """What the report is made from."""
        return evidence(self.plan)

    @overload
    def table(self, frame: Literal[False] = False) -> list[dict[str, Any]]: ...

    @overload
    def table(self, frame: Literal[True]) -> Any: ...

    def table(self, frame: bool = False) -> Any:
        """A dict for each variant: of every metric its mean, sd, n, interval, and the paired
        difference to the baseline with its p; rank, cost, and what was lost.

        frame: give a pandas DataFrame instead. Raises UserError where pandas is missing.
        """
        from p2ptk.study.tables import records, tables

        rows = records(tables(self.evidence()))
        if not frame:
            return rows
        try:
            import pandas  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            raise UserError("table(frame=True) needs pandas: pip install pandas") from None
        return pandas.DataFrame(rows)

    def report(self) -> list[Path]:
        """Write the report into the study's folder; gives its files, the page first."""
        from p2ptk.study.report import write

        return write(self.evidence(), self.folder)


def make_launcher(spec: str | Spec, jobs: int | None = None) -> Any:
    """A launcher; `jobs` becomes its `workers`.

    Raises UserError for an unknown one, and for `jobs` where it has no workers.
    """
    chosen = Spec.of(spec)
    found = resolve("launcher", chosen)
    if jobs is not None:
        if not any(each.name == "workers" for each in found.fields):
            raise UserError(
                f"the launcher {chosen.name!r} has no workers to count: leave --jobs away, or take "
                "--launcher local."
            )
        found = resolve("launcher", chosen.having(workers=jobs))
    return found.build()
