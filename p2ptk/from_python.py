"""Training from Python, in the words of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from p2ptk.config import RunConfig
from p2ptk.layers import layers_of, read_toml
from p2ptk.observe import Lines, Observer
from p2ptk.run import default_folder, start
from p2ptk.runfolder import RunFolder
from p2ptk.train import Outcome


def fit(
    config: RunConfig | str | Path | None = None,
    *,
    output: str | Path | None = None,
    recipe: str | None = None,
    dataset: Any = None,
    generator: nn.Module | str | None = None,
    discriminator: nn.Module | str | None = None,
    losses: Mapping[str, Any] | list[str] | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Outcome:
    """Train from Python, in the same words as `p2ptk run`.

    config: a RunConfig or a TOML file; without one the recipe (`pix2pix` by default).
    dataset, generator, discriminator, losses: specs, or objects of one's own.
    settings: any config key, `.` written as `__`: `train__steps=100`, `size=128`, `data="demo"`.
    Raises UserError as the command line would say it.
    """
    layers: list[Mapping[str, Any]] = []
    if isinstance(config, RunConfig):
        layers.append(config.table())
    else:
        layers += layers_of(read_toml(Path(config)) if config else {}, recipe)
    objects: dict[str, Any] = {}
    for name, value in (
        ("dataset", dataset),
        ("generator", generator),
        ("discriminator", discriminator),
        ("losses", losses),
    ):
        if value is None:
            continue
        is_spec = isinstance(value, (str, list))
        if is_spec:
            layers.append({"data" if name == "dataset" else name: value})
        else:
            objects[name] = value
    for key, value in settings.items():
        nested: Any = value
        for part in reversed(key.split("__")):
            nested = {part: nested}
        layers.append(nested)
    made = RunConfig.of(*layers)
    folder = RunFolder(output or default_folder(made))
    return start(made, folder, Observer() if quiet else Lines(), **objects)
