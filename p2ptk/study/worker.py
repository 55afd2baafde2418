"""One job of a study, in its own process: train what is missing, score it, say how it ended."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from p2ptk.checkpoint import newest_checkpoint, prune_checkpoints
from p2ptk.components import create
from p2ptk.config import RunConfig
from p2ptk.contracts import Dataset
from p2ptk.data import need_split
from p2ptk.device import choose_device, lacks_memory, peak_memory
from p2ptk.errors import Diverged, P2ptkError, UserError
from p2ptk.evaluate import score_images, score_model
from p2ptk.layers import read_toml
from p2ptk.metrics.results import Evaluation
from p2ptk.observe import Observer
from p2ptk.plugins import configure
from p2ptk.run import resume, start
from p2ptk.runfolder import RunFolder
from p2ptk.specs import Spec
from p2ptk.study.cost import cost_of
from p2ptk.study.job import PARENT, is_done, read_result, working, write_result
from p2ptk.study.records import Cost, Result, Status
from p2ptk.train import Outcome
from p2ptk.translate import Translator

FORMAT = 1
WATCH = 2.0  # seconds between looks at whether the process that waits for us is alive


@dataclass(frozen=True)
class JobFile:
    """What a job's file says.

    config: of the run, resolved. evaluate: metrics, primary, split, select. images: for a row that
    was not trained here, the pictures, as `p2ptk evaluate --images` takes them.
    """

    key: str
    variant: str
    seed: int
    folder: Path
    config: RunConfig
    evaluate: Mapping[str, Any]
    images: str | None = None

    @classmethod
    def read(cls, path: Path) -> JobFile:
        """Raises UserError for a file that is no job's."""
        table = read_toml(path)
        if int(table.get("format", 1)) > FORMAT:
            raise UserError(f"{path} was written by a newer p2ptk: upgrade it.")
        if files := table.get("plugins"):
            configure(files=[str(file) for file in files])
        missing = [k for k in ("variant", "seed", "config", "evaluate") if k not in table]
        if missing:
            raise UserError(f"{path} is no job of a study: it has no {missing[0]!r}.")
        images = table.get("images")
        return cls(
            key=path.stem,
            variant=str(table["variant"]),
            seed=int(table["seed"]),
            folder=path.resolve().parents[1] / "runs" / path.stem,
            config=RunConfig.of(table["config"]),
            evaluate=table["evaluate"],
            images=str(images).replace("{seed}", str(table["seed"])) if images else None,
        )


def work(path: Path, observer: Observer) -> Outcome | None:
    """Do the job of a file `STUDY/jobs/KEY.toml`, or what is left of it.

    A run that has begun goes on from its newest checkpoint; one that is trained is only scored; one
    that is done, under the same evaluation, is left alone. How it ended stands in
    `STUDY/runs/KEY/result.json`, also where this raises what a run raises: Diverged, UserError.
    Gives the outcome of a training that was stopped early, of which nothing is kept there.
    """
    job = JobFile.read(path)
    with working(job.folder):
        if is_done(job.folder, job.evaluate):
            observer.note(f"{job.variant}, seed {job.seed}: done already")
            return None
        before = read_result(job.folder)
        attempts = before.attempts + 1 if before and before.status != "done" else 1
        result = Result(
            key=job.key,
            variant=job.variant,
            seed=job.seed,
            status="done",
            attempts=attempts,
            folder="" if job.images else f"runs/{job.key}",
            cost=before.cost if before else Cost(),
        )
        try:
            if job.images is None:
                outcome = _train(job, observer)
                if outcome is not None and not outcome.finished:
                    return outcome
                result = replace(result, cost=_cost(job, result.cost, trained=outcome is not None))
            result = _scored(job, result, observer)
        except Exception as error:
            status, reason = verdict(error)
            failed = replace(result, status=status, reason=reason)
            with suppress(P2ptkError):  # a full disk: the first error tells more
                write_result(job.folder, failed, job.evaluate)
            raise
        write_result(job.folder, result, job.evaluate)
        # A study has many runs, and a checkpoint is four times as large as the weights.
        prune_checkpoints(job.folder / "checkpoints", keep=1)
    return None


def verdict(error: BaseException) -> tuple[Status, str]:
    """The status that an error stands for, and its sentence."""
    if isinstance(error, Diverged):
        return "diverged", str(error)
    cause: BaseException | None = error
    while cause is not None:
        if lacks_memory(cause):
            return "out of memory", _first_line(error)
        cause = cause.__cause__
    return "crashed", _first_line(error)


def stop_with_parent() -> None:
    """Where a process waits for this job, stop when it is gone, as at SIGTERM.

    Queues may send SIGUSR2 before the time is up, which would kill a process that ignores it.
    """
    if hasattr(signal, "SIGUSR2") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR2, lambda number, frame: os.kill(os.getpid(), signal.SIGTERM))
    parent = os.environ.get(PARENT, "")
    if not parent.isdigit() or os.name == "nt" or os.getppid() != int(parent):
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(WATCH)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _train(job: JobFile, observer: Observer) -> Outcome | None:
    """Train, or go on; None where the run is trained already."""
    folder = RunFolder(job.folder)
    if not folder.holds_run:
        return start(job.config, folder, observer)
    checkpoint, _ = newest_checkpoint(job.folder)
    if checkpoint is not None and checkpoint.step >= checkpoint.state["total"]:
        return None
    return resume(folder, observer)


def _cost(job: JobFile, before: Cost, *, trained: bool) -> Cost:
    """What training took; where it was done earlier, the memory that was measured then."""
    memory = peak_memory(choose_device(job.config.device)) if trained else before.peak_memory
    return cost_of(job.folder, job.config, model=_weights(job), peak_memory=memory)


def _weights(job: JobFile) -> Path:
    """The weights that are judged.

    Raises UserError where the best are asked for and the run kept none.
    """
    folder = RunFolder(job.folder)
    if job.evaluate.get("select", "last") != "best":
        return folder.generator
    if not folder.best.is_file():
        raise UserError(
            f"{job.folder} keeps no {folder.best.name}: selecting the best needs "
            "output.evaluate_every."
        )
    return folder.best


def _scored(job: JobFile, result: Result, observer: Observer) -> Result:
    """The result with its metrics: on the split that is reported, and on the validation split.

    Raises P2ptkError where the metric that decides could not be had.
    """
    dataset: Dataset = create("dataset", job.config.data)
    split = str(job.evaluate["split"])
    done = _score(job, dataset, split, observer)
    primary = str(job.evaluate.get("primary") or "")
    if primary and not any(n == primary or n.startswith(f"{primary}-") for n in done.values):
        why = " ".join(str(error) for error in done.failed.values())
        raise P2ptkError(f"the primary metric {primary!r} did not come out. {why}".strip())
    values = done.values if split == "val" else {}
    if job.images is None and split != "val":
        values = _score(job, dataset, "val", observer).values
    left_out = [f"{spec} was left out: {error}" for spec, error in done.failed.items()]
    rows = {
        name: dict(zip(done.names, scores, strict=True)) for name, scores in done.per_image.items()
    }
    return replace(
        result,
        reason=" ".join(left_out),
        metrics=done.values,
        validation=values,
        per_image=rows,
        higher_is_better={score.name: score.higher_is_better for score in done.scores},
        protocols={score.name: score.protocol for score in done.scores},
    )


def _score(job: JobFile, dataset: Dataset, split: str, observer: Observer) -> Evaluation:
    """Score a split, in float32, and keep the evaluation beside the run."""
    config, pairs = job.config, need_split(dataset, split)
    metrics = [Spec.of(metric) for metric in job.evaluate["metrics"]]
    about: dict[str, Any] = {"direction": config.direction, "size": list(config.size)}
    if job.images is None:
        model = _weights(job)
        translator = Translator.load(model, config.device, "fp32")
        done = score_model(translator, dataset, pairs, metrics)
        about |= {"model": str(model), "step": translator.header.step, "precision": "fp32"}
    else:
        device = choose_device(config.device)
        done = score_images(
            job.images,
            dataset,
            pairs,
            metrics,
            direction=config.direction,
            size=config.size,
            device=device,
        )
        about |= {"images": job.images}
    done.about = {"split": split, "data": str(config.data), **about}
    job.folder.mkdir(parents=True, exist_ok=True)
    done.write_json(job.folder / f"evaluation-{split}.json")
    done.write_per_image(job.folder / f"per_image-{split}.csv")
    words = [f"{k} {v:.4g}" for k, v in done.values.items() if math.isfinite(v)]
    observer.note(f"{split}: {', '.join(words)}")
    return done


def _first_line(error: BaseException) -> str:
    """An error as one sentence; p2ptk's own stand as they are."""
    said = (str(error).strip().splitlines() or [""])[0][:500]
    if isinstance(error, P2ptkError):
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
