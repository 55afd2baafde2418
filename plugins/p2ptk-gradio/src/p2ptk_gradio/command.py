"""`p2ptk serve`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click


@click.command(
    epilog="""
\b
Examples:
  p2ptk serve runs/maps
  p2ptk serve runs/unet runs/resnet
  p2ptk serve runs/maps --api-only --port 8000
  curl --data-binary @photo.jpg 'http://127.0.0.1:8000/v1/translate?seed=3' -o map.png
"""
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...",
                type=click.Path(path_type=Path))  # fmt: skip
@click.option("--api-only", is_flag=True, help="Without the page: POST /v1/translate and the like.")
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Address to listen at; 0.0.0.0 lets other machines in.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True,
              help="0 takes a free one.")  # fmt: skip
@click.option("--user", help="Ask for this user and --password.")
@click.option("--password", envvar="P2PTK_SERVE_PASSWORD", show_envvar=True,
              help="Better given by the variable.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto",
              show_default=True, help="Of the network's numbers.")  # fmt: skip
@click.option("--max-upload", type=click.FloatRange(min=0.01), default=20.0, show_default=True,
              metavar="MB", help="Of one file.")  # fmt: skip
@click.option("--max-pixels", type=click.FloatRange(min=0.001), default=16.0, show_default=True,
              metavar="MILLION", help="Of one picture.")  # fmt: skip
@click.option("--max-files", type=click.IntRange(min=1), default=200, show_default=True,
              help="In one folder or ZIP.")  # fmt: skip
@click.option("--queue", type=click.IntRange(min=1), default=32, show_default=True,
              help="Translations that may wait.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(min=1), default=4, show_default=True,
              help="Waiting pictures of one size that run together.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True,
              help="Batches at a time.")  # fmt: skip
@click.option("--users", type=click.IntRange(min=4), default=64, show_default=True,
              help="Connections at a time; a page takes about two.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(min=0.1), default=60.0, show_default=True,
              metavar="SECONDS", help="Until a request is given up.")  # fmt: skip
def serve(models: Sequence[Path], api_only: bool, host: str, port: int, **options: Any) -> None:
    """Serve MODELs (run folders or model files) as a page in the browser, or over HTTP alone.

    Nothing that is uploaded is kept, and the page loads nothing from another host.
    """
    from p2ptk_gradio.start import start

    start(models, api_only=api_only, host=host, port=port, **options)
