"""A study's report: report.{html,md,tex,csv,json} and sheet.png, written from its evidence."""

from __future__ import annotations

from pathlib import Path

from p2ptk.files import explained, write_atomically
from p2ptk.study.formats import csv_text, json_text, latex, markdown
from p2ptk.study.page import page
from p2ptk.study.records import Evidence
from p2ptk.study.sheet import draw_sheet
from p2ptk.study.tables import tables


def write(evidence: Evidence, folder: Path) -> list[Path]:
    """Write the report into `folder` (made if missing), be all runs there or not.

    Without jinja2 there is no page, without matplotlib it has no figures.

    Gives what was written, the page first. Raises UserError where the folder can't be written.
    """
    found = tables(evidence)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    sheet, notes = draw_sheet(evidence)
    html = page(found, sheet, notes)
    texts = {
        **({"report.html": html} if html else {}),
        "report.md": markdown(found),
        "report.tex": latex(found),
        "report.csv": csv_text(found),
        "report.json": json_text(found),
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    written = [folder / name for name in texts]
    if sheet:
        sheet.write(folder / "sheet.png")
        written.append(folder / "sheet.png")
    return written
