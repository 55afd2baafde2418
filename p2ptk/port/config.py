"""The PyTorch port's options as configs of p2ptk.

Every option of a file either becomes a key of the config or is named, with the reason, in the
config's heading comment.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tomli_w

from p2ptk.build import resolve_config
from p2ptk.config import RunConfig
from p2ptk.errors import UserError
from p2ptk.files import write_atomically
from p2ptk.layers import layers_of
from p2ptk.port.options import NOT_TAKEN, Options, read_options
from p2ptk.specs import Spec

_CONTROL = re.compile(r"[^\t\x20-\x7e\x80-\U0010ffff]")  # which a comment of TOML may not hold


def import_options(path: str | Path, output: str | Path) -> list[str]:
    """Write the config of an option file; gives what the user should know.

    Raises UserError for a file of another kind, one of unpaired training, or an output that is
    there already.
    """
    output = Path(output)
    if output.exists():
        raise UserError(f"{output} is there already: remove it, or write another name.")
    options = read_options(path)
    name = re.sub(r"\W+", "-", options.take("name") or "") or "run"
    table = to_config(options)
    resolve_config(RunConfig.of(*layers_of(table)))  # what p2ptk run would refuse is refused here
    heading = [
        f"From {Path(path).name}, an option file of pix2pix's PyTorch port.",
        "",
        f"  p2ptk run --config {output.name} -o runs/{name}",
    ]
    if options.notes:
        heading += ["", "Not quite the same:", *(f"  {note}" for note in options.notes)]
    left = [f"{option} = {words}" for option, words in options.left.items()]
    if left:
        heading += ["", "Without a key:", *(f"  {line}" for line in left)]
    text = "".join(f"# {_CONTROL.sub('?', line)}".rstrip() + "\n" for line in heading)
    write_atomically(output, (text + tomli_w.dumps(table)).encode())
    changed = options.changed - {"isTrain"}  # which has no default
    told = [f"{o} = {words}" for o, words in options.left.items() if o in changed]
    quiet = len(left) - len(told)
    if quiet:
        told.append(f"{quiet} more options without a key, at their defaults, stand in {output}")
    return [*options.notes, *told]


def to_config(options: Options) -> dict[str, Any]:
    """The layer of a config that the options stand for; takes every option out of `values`."""
    _refuse_unpaired(options)
    networks, train = _networks(options), _training(options)
    output = _output(options, train.get("batch_size", 1))
    inference = _inference(options, networks["generator"].get("dropout", 0.5) > 0)
    table = {
        "recipe": "pix2pix",
        **_data(options),
        **networks,
        **_losses(options),
        **_device(options),
        "train": train,
        "output": output,
        "inference": inference,
    }
    for option in sorted(options.values):
        reason = NOT_TAKEN.get(option, "p2ptk does not know this option")
        options.left[option] = f"{options.values[option]}: {reason}"
        if option not in NOT_TAKEN:
            options.changed.add(option)
    options.values.clear()
    return {name: value for name, value in table.items() if value != {}}


def _refuse_unpaired(options: Options) -> None:
    model, mode = options.take("model"), options.take("dataset_mode")
    if model == "cycle_gan" or mode == "unaligned":
        raise UserError("these are the options of an unpaired training; p2ptk trains on pairs.")
    if model not in (None, "pix2pix", "test"):
        options.note("model", model, "read as pix2pix")
    if mode not in (None, "aligned"):
        options.note("dataset_mode", mode, "read as aligned: pairs side by side in one image")


def _data(options: Options) -> dict[str, Any]:
    table: dict[str, Any] = {}
    root, phase = options.take("dataroot"), options.take("phase")
    if root is not None:
        table["data"] = Spec("side-by-side", {"path": root}).table()
    if phase not in (None, "train", "test"):
        options.note("phase", phase, "p2ptk trains on the folder train")
    direction = options.take("direction")
    if direction is not None:
        table["direction"] = direction
    for option in ("input_nc", "output_nc"):
        channels = options.count(option)
        if channels is not None:
            options.left[option] = f"{channels}: the networks have the channels of the files"
            options.changed |= {option} if channels != 3 else set()

    load, crop = options.count("load_size"), options.count("crop_size")
    flip, way = options.take("no_flip"), options.take("preprocess")
    if load is not None or crop is not None or flip is not None:
        crop = 256 if crop is None else crop
        load = 286 if load is None else load
        if load < crop:
            options.note("load_size", load, "smaller than crop_size, so nothing is cropped")
        jitter = {"name": "jitter", "load": max(load / max(crop, 1), 1.0), "mirror": flip != "True"}
        table["size"] = crop
        table["augmentations"] = [jitter] if jitter["mirror"] or load > crop else []
    if way not in (None, "resize_and_crop"):
        options.note(
            "preprocess",
            way,
            "p2ptk resizes every picture to `size` times jitter's `load`; `size` may be "
            "[HEIGHT, WIDTH]",
        )
    return table


def _networks(options: Options) -> dict[str, Any]:
    """Specs, or parameters alone where the file names no network."""
    norm = options.take("norm")
    if norm is not None and norm.startswith("sync"):
        plain = norm.removeprefix("sync").removeprefix("_")
        options.note("norm", norm, f"read as {plain}")
        norm = plain
    shared = {} if norm is None else {"norm": norm}

    name, width, off = options.take("netG"), options.count("ngf"), options.take("no_dropout")
    generator: dict[str, Any] = shared | ({} if width is None else {"width": width})
    if off is not None:
        generator["dropout"] = 0.0 if off == "True" else 0.5
    if name is not None:
        spec = _generator(name)
        if spec is None:
            options.note("netG", name, "p2ptk has none of that name; a U-Net stands in its place")
        generator = (spec or Spec("unet")).table() | generator

    name, width, layers = options.take("netD"), options.count("ndf"), options.count("n_layers_D")
    discriminator: dict[str, Any] = shared | ({} if width is None else {"width": width})
    if name is not None:
        known = {"basic": 3, "n_layers": 3 if layers is None else layers, "pixel": 0}
        if name not in known:
            options.note("netD", name, "p2ptk has none of that name; PatchGAN stands in its place")
        discriminator |= {"name": "patchgan", "layers": known.get(name, 3)}
    if layers is not None and name != "n_layers":
        options.left["n_layers_D"] = f"{layers}: it goes with netD n_layers"
    return {"generator": generator, "discriminator": discriminator}


def _generator(name: str) -> Spec | None:
    if match := re.fullmatch(r"unet_(\d+)", name):
        size = int(match[1])
        if size >= 4 and size.bit_count() == 1:
            return Spec("unet", {"depth": size.bit_length() - 1})
    if match := re.fullmatch(r"resnet_(\d+)blocks", name):
        return Spec("resnet", {"blocks": int(match[1])})
    return None


def _losses(options: Options) -> dict[str, Any]:
    mode, weight = options.take("gan_mode"), options.number("lambda_L1")
    former = options.take("no_lsgan")
    if mode is None and former is not None:
        mode = "vanilla" if former == "True" else "lsgan"
    if mode == "wgangp":
        options.note(
            "gan_mode", mode, "the port's pix2pix leaves the penalty out, and so does this; "
            "p2ptk run --recipe wgan-gp has it"
        )  # fmt: skip
        mode = "wgan"
    losses: dict[str, Any] = {}
    if mode is not None:
        losses["gan"] = {"name": "gan", "mode": mode}
    if weight is not None:
        losses["l1"] = {"name": "l1", "weight": weight}
    return {"losses": losses}


def _device(options: Options) -> dict[str, Any]:
    """float32 in any case: the port knows no other."""
    table = {"precision": "fp32"}
    text = options.take("gpu_ids")
    if text is None:
        return table
    ids = [int(part) for part in re.findall(r"-?\d+", text) if int(part) >= 0]
    if len(ids) > 1:
        options.note("gpu_ids", text, "p2ptk trains on the first of them")
    table["device"] = ("auto" if ids[0] == 0 else f"cuda:{ids[0]}") if ids else "cpu"
    return table


def _training(options: Options) -> dict[str, Any]:
    table: dict[str, Any] = {
        "batch_size": _batch_size(options),
        "lr": options.number("lr"),
        "init": options.take("init_type"),
        "init_gain": options.number("init_gain"),
        "pool": options.count("pool_size"),
    }
    beta = options.number("beta1")
    if beta is not None:
        table["betas"] = [beta, 0.999]
    steady, falling = options.count("n_epochs"), options.count("n_epochs_decay")
    policy = options.take("lr_policy") or "linear"
    if steady is not None or falling is not None:
        steady, falling = 100 if steady is None else steady, 100 if falling is None else falling
        table["epochs"] = steady + falling
        if policy in ("linear", "lambda"):
            table["decay_from"] = steady / max(steady + falling, 1)
    if policy in ("linear", "lambda"):
        table["schedule"] = "linear"
    elif policy == "cosine":
        table["schedule"] = "cosine"
        options.note(
            "lr_policy", policy, "p2ptk's falls to zero at the end of the run, the port's after "
            "n_epochs and then rises again"
        )  # fmt: skip
    else:
        table["schedule"] = "constant"
        options.note("lr_policy", policy, "p2ptk has no such schedule: the rate stays constant")
    return {name: value for name, value in table.items() if value is not None}


def _output(options: Options, batch_size: int) -> dict[str, Any]:
    """How often things are written. The port counts images, p2ptk steps."""
    table = {}
    for option, key in (
        ("print_freq", "log_every"),
        ("display_freq", "sample_every"),
        ("save_latest_freq", "checkpoint_every"),
    ):
        images = options.count(option)
        if images is not None:
            table[key] = max(1, round(images / max(batch_size, 1)))
    return table


def _inference(options: Options, dropout: bool) -> dict[str, Any]:
    """The rule at test time, which only test_opt.txt tells: train mode, unless --eval was given."""
    text = options.take("eval")
    if text is None:
        return {}
    if text == "True":
        return {"norm": "running", "dropout": False}
    return {"norm": "image", "dropout": dropout}


def _batch_size(options: Options) -> int | None:
    """The batch size; here 0 would mean that p2ptk is to find one."""
    count = options.count("batch_size")
    if count == 0:
        raise UserError("the option batch_size should be at least 1, not 0.")
    return count
