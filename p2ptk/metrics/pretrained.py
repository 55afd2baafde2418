"""Weights of networks that metrics compare features by: from a file, or fetched once."""

from __future__ import annotations

import hashlib
import http.client
import logging
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from p2ptk.errors import P2ptkError, Unavailable, UserError
from p2ptk.files import replacing
from p2ptk.tensors import load_tensors

log = logging.getLogger("p2ptk")
TIMEOUT = 30.0  # seconds without an answer
CHUNK = 1 << 20
_failed: dict[str, Exception] = {}  # by URL: several metrics want one file, and waiting takes long


def weights_file(url: str, given: Path | None, metric: str) -> Path:
    """The file `given`, or the one that `url` names, fetched into torch hub's folder if need be.

    The name's last part begins the file's SHA-256, as the publishers of such weights have it.
    metric: as it was asked for, for the sentence that says what to do.
    Raises UserError where `given` does not exist, Unavailable where nothing can be fetched.
    """
    if given is not None:
        given = given.expanduser()
        if not given.is_file():
            raise UserError(f"{metric}: there is no weights file {str(given)!r}.")
        return given
    place = hub_place(url)
    option = f"{metric}{',' if ':' in metric else ':'}weights=FILE"
    if not place.is_file():
        try:
            if url in _failed:
                raise _failed[url]
            _fetch(url, place)
        except (OSError, http.client.HTTPException, P2ptkError) as error:
            _failed[url] = error
            raise Unavailable(
                f"{metric} needs the weights {place.name}, which can't be fetched "
                f"({_short(error)}): get {url} where there is a network and put it into "
                f"{place.parent}, or name the file with -m {option}."
            ) from error
    return place


def hub_place(url: str) -> Path:
    """Where torch hub keeps the file that `url` names."""
    return Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])


def missing_extra(metric: str, package: str) -> Unavailable:
    """What to say where a package of the extra `metrics` is not installed."""
    return Unavailable(
        f"{metric} needs the package {package}, which is not installed: "
        "pip install 'p2ptk[metrics]'."
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name from .safetensors or a PyTorch file, of which only tensors are read.

    Raises UserError for anything else.
    """
    if path.suffix == ".safetensors":
        return load_tensors(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError, ValueError, KeyError) as error:
        raise UserError(f"{path} can't be read as weights: {_short(error)}") from None
    if not isinstance(found, Mapping) or not found:
        raise UserError(f"{path} holds no table of tensors.")
    return {str(name): x for name, x in found.items() if isinstance(x, Tensor)}


def load_into(module: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Fill every parameter and buffer. Raises UserError for the first that `tensors` lacks."""
    for name, mine in module.state_dict().items():
        if name not in tensors or tensors[name].shape != mine.shape:
            found = tuple(tensors[name].shape) if name in tensors else "missing"
            raise UserError(
                f"{path} holds other weights: {name!r} should be {tuple(mine.shape)}, "
                f"and is {found}."
            )
    module.load_state_dict({name: tensors[name] for name in module.state_dict()})


def _fetch(url: str, place: Path) -> None:
    log.warning("fetching %s", url)
    digest = hashlib.sha256()
    place.parent.mkdir(parents=True, exist_ok=True)
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT) as answer,
        replacing(place) as part,
        part.open("xb") as file,
    ):
        while chunk := answer.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
        if not digest.hexdigest().startswith(place.stem.rpartition("-")[2]):
            raise http.client.HTTPException(
                f"what came has another SHA-256, {digest.hexdigest()[:16]}"
            )


def _short(error: Exception) -> str:
    words = str(getattr(error, "reason", None) or error) or type(error).__name__
    return words.splitlines()[0][:200]
