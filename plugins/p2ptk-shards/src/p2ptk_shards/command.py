"""`p2ptk shards`."""

from __future__ import annotations

import click


@click.command(
    epilog="""
\b
Examples:
  p2ptk shards pairs/ shards/
  p2ptk shards pairs/ s3://bucket/pairs --pairs-per-shard 2000
  p2ptk shards 'two-folders:path=pairs,a=photos,b=maps' parquet/ --parquet
"""
)
@click.argument("data")
@click.argument("out")
@click.option("--pairs-per-shard", type=click.IntRange(min=1), default=1000, show_default=True,
              help="Files of some 100 MB suit object stores.")  # fmt: skip
@click.option("--parquet", is_flag=True, help="Parquet as Hugging Face's datasets reads it.")
@click.option("--rows-per-group", type=click.IntRange(min=1), default=100, show_default=True,
              help="Of parquet: rows that are read at a time.")  # fmt: skip
def shards(data: str, out: str, pairs_per_shard: int, parquet: bool, rows_per_group: int) -> None:
    """Write the pairs of DATA to a new folder or URL OUT, as tar shards in webdataset's naming.

    DATA is a folder of pairs, or a dataset's spec. Picture files go in byte by byte; pairs that
    are no files are written without loss. Every split is written.
    """
    from functools import partial

    from rich.console import Console
    from rich.progress import Progress

    from p2ptk import open_data
    from p2ptk_shards.write import spec_to_read, write_parquet, write_tars

    dataset = open_data(data)
    total = sum(len(dataset.split(name)) for name in dataset.splits())
    with Progress(console=Console(stderr=True), transient=True) as bar:
        advance = partial(bar.advance, bar.add_task("pairs", total=total))
        if parquet:
            sides = write_parquet(dataset, out, pairs_per_shard, rows_per_group, advance)
        else:
            sides = write_tars(dataset, out, pairs_per_shard, advance)
    spec = spec_to_read("hf" if parquet else "webdataset", out, dataset, sides)
    click.echo(f"{total} pairs in {out}; to train on them:\n  p2ptk run -d '{spec}'")
