"""Models to and from a hub that speaks Hugging Face's protocol, through `huggingface_hub`.

Nothing here runs unless it is asked for by name: loading and translating never ask a network.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from p2ptk.card import CARD, sample_sheet, write_card
from p2ptk.errors import P2ptkError, UserError
from p2ptk.files import explained, replacing
from p2ptk.weights import MODEL_FILE, find_model, read_header

INSTALL = 'pip install "p2ptk[hub]"'
FETCHED = [CARD, "*.safetensors", "samples/*.png"]


def push(
    model: str | Path,
    repo: str,
    *,
    private: bool = False,
    license: str | None = None,
    message: str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
) -> str:
    """Put a model file, its card and its newest sample sheet into a repository; gives its address.

    The repository is made where it does not exist. The card is the README.md beside the model where
    there is one, else it is written for this. Nothing else of a run folder is sent.
    license: for a card that is written now. endpoint, token: default to huggingface_hub's own.
    Raises UserError for a bad model or name, P2ptkError where the hub refuses or can't be reached.
    """
    file = find_model(model)
    read_header(file)
    _need_name(repo)
    hub = _hub()
    with tempfile.TemporaryDirectory() as folder:
        beside, sheet = file.parent / CARD, sample_sheet(file)
        place = beside
        if not beside.is_file():
            # As it will lie in the repository, so that its link to the samples holds.
            place = write_card(file, Path(folder) / CARD, license=license, repo=repo)
            if sheet is not None:
                link = Path(os.path.relpath(sheet, folder)).as_posix()
                text = place.read_text("utf-8").replace(f"({link})", f"(samples/{sheet.name})")
                place.write_text(text, "utf-8")
        sent = {MODEL_FILE: file, CARD: place}
        if sheet is not None:
            sent[f"samples/{sheet.name}"] = sheet
        with _explained(repo, endpoint):
            api = hub.HfApi(endpoint=endpoint, token=token)
            if not api.repo_exists(repo):  # a token may write to it and not make any
                api.create_repo(repo, private=private, exist_ok=True)
            operations = [
                hub.CommitOperationAdd(path_in_repo=where, path_or_fileobj=str(what))
                for where, what in sent.items()
            ]
            api.create_commit(repo, operations, commit_message=message or "Model of p2ptk")
            return f"{api.endpoint}/{repo}"


def pull(
    repo: str,
    out: str | Path,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
) -> Path:
    """Fetch a repository's model, card and samples into a new folder; gives the model's path.

    revision: branch, tag or commit. No code is fetched: only README.md, safetensors and PNGs.
    Raises UserError where the folder is there already or the repository holds no model of p2ptk's,
    P2ptkError where the hub refuses or can't be reached.
    """
    out = Path(out)
    _need_name(repo)
    hub = _hub()
    if out.exists():
        raise UserError(f"{out} is there already: name a folder that is not.")
    with explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as cache:
        with _explained(repo, endpoint):
            fetched = hub.snapshot_download(
                repo,
                revision=revision,
                allow_patterns=FETCHED,
                endpoint=endpoint,
                token=token,
                cache_dir=cache,
            )
        with replacing(out) as place:
            _copy(Path(fetched), place)
            found = sorted(place.glob("*.safetensors"))
            if not found:
                raise UserError(f"{repo} holds no .safetensors file, so no model of p2ptk's.")
            model = place / MODEL_FILE if place / MODEL_FILE in found else found[0]
            try:
                read_header(model)
            except UserError as error:
                raise UserError(f"{repo} holds no model of p2ptk's: {error}") from None
    return out / model.name


def _copy(source: Path, place: Path) -> None:
    """A snapshot's files, which are links into the cache, as files of their own."""
    for file in sorted(source.rglob("*")):
        if file.is_file():
            there = place / file.relative_to(source)
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(file.read_bytes())


def _need_name(repo: str) -> None:
    if repo.count("/") != 1 or not all(repo.split("/")) or repo.startswith((".", "/")):
        raise UserError(f"a repository is OWNER/NAME, not {repo!r}.")


def _hub() -> Any:
    if find_spec("huggingface_hub") is None:
        raise UserError(f"push and pull need the package huggingface_hub: {INSTALL}")
    # Read when it is imported: no bars among our lines, and no count of who uses what.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub

    return huggingface_hub


@contextmanager
def _explained(repo: str, endpoint: str | None) -> Iterator[None]:
    """Turn what the hub's client raises into one sentence."""
    from huggingface_hub import constants, errors

    host = endpoint or str(constants.ENDPOINT)
    try:
        yield
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"{host} has no repository {repo!r}, or not for you: check the name; `hf auth login` "
            "shows who you are."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"the repository {repo!r} has no such revision.") from error
    except errors.HFValidationError as error:
        raise UserError(f"{repo!r} is no name of a repository: {_first(error)}") from error
    except errors.HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            raise UserError(
                f"{host} refuses ({status}): log in with `hf auth login`, or set HF_TOKEN to a "
                "token that may write."
            ) from error
        raise P2ptkError(f"{host} refused: {_first(error)}") from error
    except P2ptkError:
        raise
    except Exception as error:
        # The client's own library for HTTP differs from one release to another.
        if isinstance(error, OSError) or "Connect" in str(type(error).__mro__):
            raise P2ptkError(
                f"{host} can't be reached from here: push and pull need a network, everything else "
                "works without."
            ) from error
        raise


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
