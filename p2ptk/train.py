"""The trainer: the whole loop of a run, to be read top to bottom.

    feed -> step -> average -> log -> sample -> checkpoint

Everything random is a function of the seed and of the sample's or step's number, so that a run
resumed at any checkpoint goes on exactly as it would have gone.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from p2ptk.blame import Watched, diverged
from p2ptk.build import Parts, place
from p2ptk.capture import choose_steps
from p2ptk.checkpoint import Checkpoint, newest_checkpoint, save_checkpoint
from p2ptk.config import RunConfig
from p2ptk.data import Data
from p2ptk.device import choose_device, choose_precision
from p2ptk.errors import Elsewhere
from p2ptk.feed import make_feed
from p2ptk.inference import apply_rule, with_noise
from p2ptk.interrupts import Interrupts, clock
from p2ptk.meters import NonFinite, Stopwatch, Sums, all_finite
from p2ptk.observe import Observer
from p2ptk.optim import Average, lr_factor
from p2ptk.pairs.augment import Judged
from p2ptk.parallel.ranks import Ranks
from p2ptk.parallel.share import share, start_alike
from p2ptk.randomness import step_seed
from p2ptk.report.curves import draw_curves
from p2ptk.report.sheets import sample_sheet, save_png
from p2ptk.runfolder import RunFolder
from p2ptk.state import Progress, restore_tensors, scaler_states, training_tensors
from p2ptk.step import Step
from p2ptk.tracking import Trackers
from p2ptk.validation import Validator
from p2ptk.weights import ModelHeader, save_generator

CHECKPOINT_SECONDS = 600.0  # between checkpoints, where the config leaves it open
LOST = 10  # steps, all skipped, after which no update will come any more
ALONE = Ranks()


@dataclass(frozen=True)
class Outcome:
    """How a run ended: at its last step, or early for a reason."""

    folder: Path
    step: int
    total: int
    reason: str = ""

    @property
    def finished(self) -> bool:
        return self.step >= self.total


class Trainer:
    """A run in progress.

    config: resolved (`build.resolve_config`). data, parts: as `build` makes them.
    header: of the model files that it writes; the step is filled in.
    ranks: the processes that train it, each of which has a Trainer; the leader's writes.
    """

    def __init__(
        self,
        config: RunConfig,
        data: Data,
        parts: Parts,
        folder: RunFolder,
        header: ModelHeader,
        observer: Observer,
        ranks: Ranks = ALONE,
    ) -> None:
        self.config, self.data, self.folder = config, data, folder
        self.header, self.observer, self.ranks = header, observer, ranks
        self.device = choose_device(config.device)
        self.precision = choose_precision(config.precision, self.device)
        self.losses = parts.losses
        self.judged = Judged(parts.augmentations, config.seed, config.size, self.device)
        self.step, self.watch, self.seconds = 0, Stopwatch(), 0.0  # the last of earlier sessions
        self.total = total_steps(config, len(data.train))
        self.sums, self.bad = Sums(), NonFinite(self.device)

        # Networks and losses go to the device, as they are fast there; a GPU records the step.
        graph, note = config.train.graph, observer.note
        placed = place(parts, config.train, self.device, self.precision)
        self.networks = share(placed, config.train, ranks, note)
        ema = config.train.ema
        self.average = Average(self.networks.generator, ema) if ema else None
        self.steps = choose_steps(self.networks, self.losses, self.device, graph, note)

        # Pairs become batches on the device; the sheet's pairs stay the same for the whole run.
        self.feed = make_feed(
            data.train,
            data.dataset.a,
            data.dataset.b,
            direction=config.direction,
            size=config.size,
            batch_size=config.train.batch_size,
            seed=config.seed,
            augmentations=[a for a in parts.augmentations if a.stage != "judge"],
            device=self.device,
            workers=ranks.share_of_cores(config.workers),
            progress=observer.decoding,
            rank=ranks.rank,
            world=ranks.world,
            cache=data.cache,
        )
        self.validator = Validator(config, data, folder, self.device, observer)
        self.shown = self.validator.shown()
        self.trackers = Trackers(config.trackers if ranks.leads else {}, folder.path)

    def run(self, interrupts: Interrupts, stop_at: int | None = None) -> Outcome:
        """Train to the end, or until `stop_at`, an interrupt or a time limit.

        Raises Diverged when a loss stops being finite and the config says to stop then.
        """
        output = self.config.output
        last = min(self.total, stop_at or self.total)
        log_every = output.log_every or max(1, min(50, self.total // 200))
        sample_every = output.sample_every or max(50, self.total // 20)
        start_alike(self.networks, self.losses, self.ranks)
        self.watch, self.saved = Stopwatch(), time.monotonic()
        self.begun_at, self.watched = self.step, Watched(self.observer.note)
        self.observer.begin(self.step, self.total)
        if self.step == 0 and self.ranks.leads:
            self.sample()

        while True:
            # Where does the run stand?
            moved = self.step > self.begun_at
            asked, due = self.ranks.vote(bool(interrupts.reason), self._checkpoint_due())
            done = self.step >= last or asked
            saves = done or (moved and (due or self._checkpoint_counted()))
            scores = moved and self.validator.due(self.step, self.total)

            # Validation comes before the log, whose line its values join. Losses are read from the
            # device now and then only, since reading waits for it.
            if scores:
                with self.watch.aside(), self.ranks.led() as leads:
                    if leads:
                        self.validator.evaluate(
                            self.translate, self.weights, self.header, self.step
                        )
            if moved and (saves or scores or self.step % log_every == 0 or self.step == 10):
                self.log()

            # Pictures and weights, of the same moment.
            shows = moved and (done or self.step % sample_every == 0)
            if shows or saves:
                with self.watch.aside(), self.ranks.led() as leads:
                    if shows and leads:
                        self.sample()
                    if saves:
                        self.checkpoint()
            if done:
                break

            # One update; the next step's learning rate and dropout depend on its number alone.
            self.update()
            self.step += 1
            self.observer.stepped(self.step)

        self.trackers.close()
        asked_by = "another process was asked to stop" if asked else f"--stop-at {stop_at}"
        reason = "" if self.step >= self.total else interrupts.reason or asked_by
        return Outcome(self.folder.path, self.step, self.total, reason)

    def update(self) -> None:
        """One step of both networks, and of the average."""
        train, number = self.config.train, self.step
        factor = lr_factor(train, number, self.total)
        for updater, lr in ((self.networks.g, train.lr_g), (self.networks.d, train.lr_d)):
            if updater:
                updater.set_lr((train.lr if lr is None else lr) * factor)

        critic = self.networks.d is not None and number >= train.d_start
        for extra in range(train.d_steps if critic else 1):
            sub = number * train.d_steps + extra
            batch = self.feed.batch(sub)
            step = Step(
                number=number,
                epoch=self.epoch,
                seed=step_seed(self.config.seed, sub, self.ranks.rank),
                judge=train.judge,
                accumulate=train.accumulate,
                adversarial=critic,
                see=self.judged.draw(batch.numbers),
            )
            alone = critic and extra < train.d_steps - 1
            scalars = (self.steps.critic if alone else self.steps.adversarial)(batch, step)
            self.bad.note(scalars.pop("finite"), number)
        self.sums.add(scalars)
        if self.average:
            self.average.update(self.networks.generator, number)

    def log(self) -> None:
        """Read the losses since the last line, and write them down."""
        means = self.sums.means(self.ranks.mean)
        bad = self.bad.first()
        skipped, of = self.bad.since()
        if bad is not None:
            if self.config.train.on_nan == "stop" or skipped == of >= LOST:
                self._stop_as_diverged(bad, means)
            self.observer.note(f"{skipped} of {of} steps are skipped: a loss was not finite")
        self.watched.look(self.step)
        if not self.ranks.leads:
            return
        passed, took = self.watch.passed, self.step - self.begun_at
        images = took * self.config.train.batch_size * self.config.train.d_steps
        row: dict[str, Any] = {
            "step": self.step,
            "epoch": round(self.epoch, 4),
            "seconds": round(self.seconds + passed, 3),
            "images_per_s": round(images / self.watch.training, 3),
            "feed_wait_s": round(self.feed.waited, 4),
            "lr_g": self.networks.g.lr,
            **({"lr_d": self.networks.d.lr} if self.networks.d else {}),
            **{k: means[k] for k in sorted(means, key=lambda k: k.startswith("d_"))},
            **self.validator.logged(self.step),
        }
        self.folder.log(row)
        self.trackers.scalars(self.step, {k: v for k, v in row.items() if k != "step"})
        left = (self.total - self.step) * passed / max(took, 1)
        self.observer.logged(self.step, row, left)
        if took == 10:
            self._say_when(left)

    def sample(self) -> None:
        """Write the sheet of validation pairs, drawn by the same rule as at test time."""
        source = self.shown.source
        pictures = [self.translate(source), self.shown.target]
        pictures = [self.data.restore(source, x) for x in pictures]
        path = self.folder.samples / f"{self.step:06d}.png"
        rows = list(zip(source, *pictures, strict=True))
        sheet = sample_sheet(rows, self.header.source, self.header.target)
        save_png(path, sheet)
        draw_curves(self.folder.read_log(), self.folder.curves)
        self.trackers.images(self.step, {"samples": torch.from_numpy(sheet)})
        self.observer.sampled(self.step, path)

    @torch.no_grad()
    def translate(self, source: Tensor, seed: int = 0) -> Tensor:
        """The generator as it would be used now: averaged, and under the inference rule."""
        inference = self.config.inference
        generator = apply_rule(self.weights, inference.norm, inference.dropout)
        with self.precision.autocast():
            return torch.cat([with_noise(generator, seed)(x[None]).float() for x in source])

    def checkpoint(self) -> None:
        """Write what a resumed run needs, and the portable weights. Raises Diverged as `run`."""
        if not all_finite(self.networks.generator, self.networks.discriminator):
            self._stop_as_diverged(self.step - 1, {}, "a weight")
        self.saved = time.monotonic()
        if not self.ranks.leads:
            return
        state = {
            "step": self.step,
            "total": self.total,
            "seconds": self.seconds + self.watch.passed,
            "log_length": self.folder.log_length(),
            "scalers": scaler_states(self.networks),
            "best": self.validator.state(),
        }
        tensors = training_tensors(self.networks, self.losses, self.average)
        save_checkpoint(self.folder.path, self.step, tensors, state, self.config.output.keep)
        header = self.header.model_copy(update={"step": self.step})
        save_generator(self.folder.generator, self.weights, header)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of this run. Raises UserError for one that does not fit."""
        kept = Progress.of(checkpoint)
        restore_tensors(checkpoint, self.networks, self.losses, self.average)
        self.step, self.seconds = kept.step, kept.seconds
        if self.ranks.leads:
            self.folder.cut_log(kept.log_length)
        self.validator.restore(kept.best.model_dump() if kept.best else None)

    @property
    def epoch(self) -> float:
        """Passes over the training pairs so far."""
        train = self.config.train
        return self.step * train.d_steps * train.batch_size / len(self.data.train)

    @property
    def weights(self) -> nn.Module:
        """The generator that is shown and saved: the averaged one where there is one."""
        return self.average.module if self.average else self.networks.generator

    def _checkpoint_counted(self) -> bool:
        every = self.config.output.checkpoint_every
        return every > 0 and self.step % every == 0

    def _checkpoint_due(self) -> bool:
        by_clock = not self.config.output.checkpoint_every
        return by_clock and time.monotonic() - self.saved > CHECKPOINT_SECONDS

    def _say_when(self, seconds_left: float) -> None:
        end = time.strftime("%a %H:%M", time.localtime(time.time() + seconds_left))
        self.observer.note(f"expected to end {end}, in {clock(seconds_left)}")
        if self.device.type == "cpu" and seconds_left > 3600 and self.config.recipe != "quick":
            self.observer.note("on a CPU, --recipe quick trains a smaller model much sooner")

    def _stop_as_diverged(
        self, step: int, means: dict[str, float], what: str = "a loss"
    ) -> NoReturn:
        """Name the step, the terms and the pairs of what is first not finite."""
        shares = self.ranks.collect(self.feed.batch(step * self.config.train.d_steps).names)
        if not self.ranks.leads:
            raise Elsewhere("the run has diverged")
        names = sum(shares, ())
        raise diverged(step, means, names, newest_checkpoint(self.folder.path)[0], what)


def total_steps(config: RunConfig, pairs: int) -> int:
    """Updates in the whole run. An epoch is one pass; the last batch may begin the next."""
    train = config.train
    seen = train.batch_size * train.d_steps
    return train.steps or math.ceil((train.epochs or 1) * pairs / seen)
