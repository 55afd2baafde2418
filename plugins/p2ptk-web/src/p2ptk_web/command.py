"""`p2ptk export-web`, which `p2ptk export --format web` calls."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    epilog="""
\b
Examples:
  p2ptk export runs/facades --format web -o page/
  p2ptk export runs/facades --format onnx --half -o facades.onnx
  p2ptk export-web facades.onnx -o page/
  python -m http.server -d page/
"""
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
              help="Folder; it must not be there yet.")  # fmt: skip
@click.option("--runtime", type=click.Path(path_type=Path), metavar="FOLDER",
              help="An unpacked onnxruntime-web package; default: the one shipped.")  # fmt: skip
def export_web(model: Path, output: Path, runtime: Path | None) -> None:
    """Make a static page of MODEL, an ONNX file that `p2ptk export` wrote.

    The folder needs any web server for files, and nothing else: pictures never leave the browser.
    """
    from p2ptk_web.page import write_page

    write_page(model, output, runtime)
