"""The PyTorch port's option files, `train_opt.txt`: read, and what of them has no key here."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from p2ptk.errors import UserError

_LINE = re.compile(r"\s*(?P<name>\w+):\s*(?P<value>.*?)\s*(\[default: (?P<default>.*)\])?\s*")

# What options were called before 2018 and 2020.
FORMER = {
    "batchSize": "batch_size",
    "loadSize": "load_size",
    "fineSize": "crop_size",
    "nThreads": "num_threads",
    "which_direction": "direction",
    "which_epoch": "epoch",
    "which_model_netG": "netG",
    "which_model_netD": "netD",
    "resize_or_crop": "preprocess",
    "niter": "n_epochs",
    "niter_decay": "n_epochs_decay",
}

_PAGE = "samples/ and report.html of the run folder take its place"
_TEST = "it says how to test: see p2ptk translate and evaluate"
_CYCLE = "it belongs to CycleGAN"

# Options that no key stands for, and why.
NOT_TAKEN = {
    "checkpoints_dir": "the run folder is given with -o",
    "suffix": "the run folder is given with -o",
    "isTrain": "it says who wrote the file",
    "verbose": "-v of any command says more",
    "num_threads": "p2ptk chooses how many decode; the key `workers` sets it",
    "max_dataset_size": "all pairs are used",
    "serial_batches": "the order of pairs is drawn from the seed",
    "epoch": "p2ptk resume takes the newest checkpoint",
    "load_iter": "p2ptk resume takes the newest checkpoint",
    "continue_train": "p2ptk resume goes on with a run; --init begins from imported weights",
    "epoch_count": "p2ptk resume knows where a run stands",
    "save_epoch_freq": "checkpoints are counted in steps, output.checkpoint_every",
    "save_by_iter": "checkpoints are called by their step",
    "lr_decay_iters": "it goes with lr_policy step",
    "display_id": _PAGE,
    "display_server": _PAGE,
    "display_env": _PAGE,
    "display_port": _PAGE,
    "display_ncols": _PAGE,
    "display_winsize": _PAGE,
    "update_html_freq": _PAGE,
    "no_html": _PAGE,
    "use_wandb": "trackers are components: p2ptk components tracker",
    "wandb_project_name": "trackers are components: p2ptk components tracker",
    "results_dir": _TEST,
    "aspect_ratio": _TEST,
    "num_test": _TEST,
    "ntest": _TEST,
    "how_many": _TEST,
    "model_suffix": _TEST,
    "lambda_A": _CYCLE,
    "lambda_B": _CYCLE,
    "lambda_identity": _CYCLE,
    "identity": _CYCLE,
}


@dataclass
class Options:
    """An option file's values by today's names, and what is said of them on the way.

    changed: those that were not at their default.
    notes: where the config differs from the option. left: what has no key, with the reason.
    """

    values: dict[str, str]
    changed: set[str]
    notes: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    def take(self, name: str) -> str | None:
        return self.values.pop(name, None)

    def number(self, name: str) -> float | None:
        text = self.take(name)
        if text is None:
            return None
        try:
            return float(text)
        except ValueError:
            raise UserError(f"the option {name} should be a number, not {text!r}.") from None

    def count(self, name: str) -> int | None:
        value = self.number(name)
        if value is not None and (not math.isfinite(value) or value != int(value)):
            raise UserError(f"the option {name} should be a whole number, not {value!r}.")
        return None if value is None else int(value)

    def note(self, name: str, value: object, words: str) -> None:
        self.notes.append(f"{name} = {value}: {words}")


def read_options(path: str | Path) -> Options:
    """The options of a file that the port wrote. Raises UserError where it is none."""
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"there is no file {str(path)!r}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read as text: {error}.") from None
    found = Options({}, set())
    for line in lines:
        match = _LINE.fullmatch(line)
        if match:
            name = FORMER.get(match["name"], match["name"])
            found.values[name] = match["value"]
            # The port marks 0 as another than "0", too.
            if match["default"] not in (None, match["value"]):
                found.changed.add(name)
    if not found.values:
        raise UserError(f"{path} is no option file: it has no lines 'NAME: VALUE'.")
    return found
