"""What the plugin provides: names only; the code loads when a component is used."""

from __future__ import annotations

from collections.abc import Iterable

from p2ptk import Component, hookimpl

P2PTK_API = 1


@hookimpl
def p2ptk_datasets() -> Iterable[Component]:
    yield Component(
        "webdataset",
        "p2ptk_shards.tars:WebDataset",
        "Tar shards in webdataset's naming, on a disk or in an object store.",
    )
    yield Component(
        "hf",
        "p2ptk_shards.hf:HuggingFace",
        "Parquet with columns of pictures, or a folder of Dataset.save_to_disk.",
    )


@hookimpl
def p2ptk_commands() -> Iterable[Component]:
    yield Component(
        "shards", "p2ptk_shards.command:shards", "Write any pairs as tar shards or parquet."
    )
