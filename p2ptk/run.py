"""Runs from beginning to end: start, resume, try out. The command line and Python call these."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from p2ptk.blame import Blamed, named
from p2ptk.build import Parts, build_parts, resolve_config
from p2ptk.checkpoint import Checkpoint, newest_checkpoint
from p2ptk.config import RunConfig
from p2ptk.data import build_data
from p2ptk.device import choose_device, describe_device, lacks_memory, prepare
from p2ptk.errors import Unavailable, UserError
from p2ptk.files import free_name, lock_folder, sha256, write_atomically
from p2ptk.interrupts import Interrupts
from p2ptk.layers import merge, read_toml
from p2ptk.manifest import first_lines, make_header, pairs_digest, record
from p2ptk.observe import Observer
from p2ptk.parallel.ranks import joined
from p2ptk.parallel.share import check_shares
from p2ptk.plugins import registry
from p2ptk.probe import settle_batch_size
from p2ptk.rebuild import rebuilding
from p2ptk.report.page import write_report
from p2ptk.runfolder import RunFolder
from p2ptk.train import Outcome, Trainer
from p2ptk.weights import find_model, load_matching, load_tensors


def start(
    config: RunConfig,
    folder: RunFolder,
    observer: Observer,
    *,
    stop_at: int | None = None,
    max_seconds: float | None = None,
    **objects: Any,
) -> Outcome:
    """Train from the first step into a new run folder.

    objects: `dataset`, `generator`, `discriminator`, `losses` in place of their specs.
    Raises UserError for bad input, before anything is written; Diverged as the trainer does.
    """
    with joined(config.device) as ranks, Interrupts(max_seconds) as interrupts, ExitStack() as held:
        observer, folder = ranks.observer(observer), RunFolder(ranks.told(folder.path))
        with ranks.agreeing():
            folder.need_free()
            config = resolve_config(config)
            device = choose_device(config.device)
            prepare(device, config.deterministic)
            held.enter_context(memory_explained(config, device))
            data = build_data(config, objects.pop("dataset", None))
        with ranks.led() as leads:
            if leads:
                config = settle_batch_size(config, data, observer.note, ranks.world, **objects)
        config = ranks.told(config)
        with ranks.agreeing():
            check_shares(config.train, ranks.world)
            parts = build_parts(config, data, **objects)
            parent = _begin_from(config.init, parts, observer) if config.init else None
            config = config.model_copy(update={"record": record(config, data, device, parent)})
            header = make_header(config, data, parts, parent)
        with ranks.led() as leads:
            if leads:
                held.enter_context(_undone_on_bad_input(folder))
                held.enter_context(lock_folder(folder.path))
                _begin(folder, config, device, ranks.world)
        for line in first_lines(config, data, parts, device, ranks.world):
            observer.note(line)
        with ranks.agreeing():
            trainer = Trainer(config, data, parts, folder, header, observer, ranks)
        return _finish(trainer, parts, interrupts, stop_at)


def resume(
    folder: RunFolder,
    observer: Observer,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    stop_at: int | None = None,
    max_seconds: float | None = None,
) -> Outcome:
    """Go on from the newest whole checkpoint, exactly as if the run had never stopped.

    epochs, steps: a new length of the whole run; it is then no longer the original one.
    Raises UserError where there is nothing to go on with or the data is not the same any more.
    """
    folder.need_run()
    table = read_toml(folder.config)
    if "generator" not in table:
        raise UserError(f"{folder.config} is damaged: it does not say what was trained.")
    if epochs or steps:
        length = {"epochs": epochs} if epochs else {"steps": steps}
        table = merge(table, {"train": length})
    config = RunConfig.of(table)
    with joined(config.device) as ranks, Interrupts(max_seconds) as interrupts, ExitStack() as held:
        observer = ranks.observer(observer)
        if epochs or steps:
            observer.note("the run has a new length: it is no longer the original one")
        with ranks.led() as leads:
            if leads:
                held.enter_context(lock_folder(folder.path))
                folder.tidy()
        with ranks.agreeing():
            device = choose_device(config.device)
            prepare(device, config.deterministic)
            held.enter_context(memory_explained(config, device))
            before = config.providers
            config = resolve_config(config)
            check_shares(config.train, ranks.world)
            _note_other_providers(config, before, observer)
            data = build_data(config)
            recorded, now = config.record.get("pairs_digest"), pairs_digest(data)
            if recorded not in (None, now):
                raise UserError(
                    f"the training pairs are not those that {folder.path} began with: put them "
                    f"back, or start anew from its weights with --init {folder.path}."
                )
            checkpoint, notes = newest_checkpoint(folder.path)
            for note in notes:
                observer.note(note)
            with rebuilding(checkpoint is not None):
                parts = build_parts(config, data)
            header = make_header(config, data, parts, config.record.get("parent"))
            trainer = Trainer(config, data, parts, folder, header, observer, ranks)
            _go_back_to(checkpoint, trainer)
        if (epochs or steps) and ranks.leads:
            write_atomically(folder.config, config.toml().encode())
        return _finish(trainer, parts, interrupts, stop_at)


def _begin(folder: RunFolder, config: RunConfig, device: torch.device, processes: int) -> None:
    """Write what a run folder holds before the first step."""
    folder.create()
    folder.tidy()
    write_atomically(folder.config, config.toml().encode())
    folder.write_environment(describe_device(device), config.providers, processes)
    _keep_local_plugins(folder)


def _go_back_to(checkpoint: Checkpoint | None, trainer: Trainer) -> None:
    """Put a trainer where its run was. Raises UserError where that lies past the run's end."""
    note = trainer.observer.note
    if checkpoint is None:
        if trainer.ranks.leads:
            trainer.folder.cut_log(0)
        note("there is no whole checkpoint: the run starts from its first step")
        return
    trainer.restore(checkpoint)
    note(f"resumed at step {trainer.step} of {trainer.total}")
    if trainer.step > trainer.total:
        path = trainer.folder.path
        raise UserError(f"{path} is at step {trainer.step}, past the new length {trainer.total}.")


def _finish(trainer: Trainer, parts: Parts, interrupts: Interrupts, stop_at: int | None) -> Outcome:
    try:
        with named(_by_name(trainer, parts), lambda: trainer.step):
            outcome = trainer.run(interrupts, stop_at)
    finally:
        trainer.observer.end()
        trainer.trackers.close()
        trainer.feed.close()
    with trainer.ranks.led() as leads:
        if leads:
            write_report(trainer.folder)
    return outcome


def _by_name(trainer: Trainer, parts: Parts) -> dict[str, Any]:
    """The components of a run, by what to call them in a sentence."""
    config = trainer.config
    judge = config.discriminator.name if config.discriminator else ""
    return {
        f"the generator {config.generator.name!r}": parts.generator,
        f"the discriminator {judge!r}": parts.discriminator,
        **{f"the loss {term.key!r}": term.loss for term in parts.losses},
        **{f"the augmentation {each.key!r}": each.augmentation for each in parts.augmentations},
        f"the dataset {config.data.name!r}": trainer.data.dataset,
    }


@contextmanager
def _undone_on_bad_input(folder: RunFolder) -> Iterator[None]:
    """Take a new run folder away again where the run can't begin: an image or a batch too much."""
    new = not folder.path.exists()
    try:
        yield
    except (UserError, Unavailable, Blamed, MemoryError, RuntimeError):
        if new and newest_checkpoint(folder.path)[0] is None and not folder.read_log():
            shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _begin_from(model: str, parts: Parts, observer: Observer) -> str:
    """`--init`: load every tensor that fits and list the rest; gives the parent's name and sum.

    From a run folder the discriminator comes too, out of its newest checkpoint; from a folder of
    imported networks out of discriminator.safetensors.
    """
    path = find_model(model)
    tensors = {"generator": load_tensors(path)}
    checkpoint = newest_checkpoint(model)[0] if Path(model).is_dir() else None
    if checkpoint is not None and "discriminator" in checkpoint.names:
        tensors["discriminator"] = checkpoint.load("discriminator")
    elif (judge := Path(model) / "discriminator.safetensors").is_file():
        tensors["discriminator"] = load_tensors(judge)
    for name, module in (("generator", parts.generator), ("discriminator", parts.discriminator)):
        if module is None or name not in tensors:
            continue
        loaded, rest = load_matching(module, tensors[name])
        if not any(tensors[name][each].dim() for each in loaded):
            raise UserError(f"no tensor of {model} fits this run's {name}; it began as another.")
        observer.note(f"{name}: {len(loaded)} of {len(module.state_dict())} tensors from {model}")
        for left, why in rest.items():
            observer.note(f"  not taken: {left} ({why})")
    return f"{path} sha256:{sha256(path)}"


def _keep_local_plugins(folder: RunFolder) -> None:
    """Copies of the one-off plugin files, for the record; they are never loaded from there."""
    for status in registry().plugins:
        if status.file is not None:
            (folder.path / "plugins").mkdir(exist_ok=True)
            content = status.file.read_bytes()
            write_atomically(folder.path / "plugins" / status.file.name, content)


def _note_other_providers(config: RunConfig, before: Mapping[str, str], observer: Observer) -> None:
    for part, provider in before.items():
        now = config.providers.get(part, "nothing")
        if now != provider:
            observer.note(f"{part} came from {provider}, now from {now}: results may differ")


@contextmanager
def memory_explained(config: RunConfig, device: torch.device) -> Iterator[None]:
    """Say what to lower when a batch does not fit."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        height, width = config.size
        raise UserError(
            f"a batch of {config.train.batch_size} at {height}x{width} does not fit in the memory "
            f"of {describe_device(device)}: lower --batch-size or --size, or set train.accumulate."
        ) from error


def default_folder(config: RunConfig) -> Path:
    """`runs/DATA-GENERATOR`, or with -2, -3 ... behind it where that is taken."""
    return free_name(Path("runs", f"{config.data.name}-{config.generator.name}"))
