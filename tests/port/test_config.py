"""The PyTorch port's option files become configs, and nothing in them is lost on the way."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2ptk.config import RunConfig
from p2ptk.errors import UserError
from p2ptk.port.config import import_options, to_config
from p2ptk.port.options import Options, read_options

# name, value, and the default where it is another
OPTIONS: list[tuple[str, str, str | None]] = [
    ("batch_size", "4", "1"),
    ("beta1", "0.5", None),
    ("checkpoints_dir", "./checkpoints", None),
    ("continue_train", "False", None),
    ("crop_size", "256", None),
    ("dataroot", "./my data/facades", "None"),
    ("dataset_mode", "aligned", None),
    ("direction", "BtoA", "AtoB"),
    ("display_env", "main", None),
    ("display_freq", "400", None),
    ("display_id", "1", None),
    ("display_ncols", "4", None),
    ("display_port", "8097", None),
    ("display_server", "http://localhost", None),
    ("display_winsize", "256", None),
    ("epoch", "latest", None),
    ("epoch_count", "1", None),
    ("gan_mode", "lsgan", "vanilla"),
    ("gpu_ids", "0", None),
    ("init_gain", "0.02", None),
    ("init_type", "xavier", "normal"),
    ("input_nc", "3", None),
    ("isTrain", "True", "None"),
    ("lambda_L1", "10.0", "100.0"),
    ("load_iter", "0", "0"),
    ("load_size", "286", None),
    ("lr", "0.0001", "0.0002"),
    ("lr_decay_iters", "50", None),
    ("lr_policy", "linear", None),
    ("max_dataset_size", "inf", None),
    ("model", "pix2pix", "cycle_gan"),
    ("n_epochs", "50", "100"),
    ("n_epochs_decay", "150", "100"),
    ("n_layers_D", "3", None),
    ("name", "facades_pix2pix", "experiment_name"),
    ("ndf", "32", "64"),
    ("netD", "basic", None),
    ("netG", "unet_128", "unet_256"),
    ("ngf", "48", "64"),
    ("no_dropout", "True", "False"),
    ("no_flip", "True", "False"),
    ("no_html", "False", None),
    ("norm", "instance", "batch"),
    ("num_threads", "4", None),
    ("output_nc", "3", None),
    ("phase", "train", None),
    ("pool_size", "50", "0"),
    ("preprocess", "resize_and_crop", None),
    ("print_freq", "100", None),
    ("save_by_iter", "False", None),
    ("save_epoch_freq", "5", None),
    ("save_latest_freq", "5000", None),
    ("serial_batches", "True", "False"),
    ("suffix", "", None),
    ("update_html_freq", "1000", None),
    ("use_wandb", "False", None),
    ("verbose", "False", None),
    ("wandb_project_name", "CycleGAN-and-pix2pix", None),
]


def as_the_port_writes(rows: list[tuple[str, str, str | None]]) -> str:
    lines = ["----------------- Options ---------------"]
    for name, value, default in rows:
        comment = "" if default is None else f"\t[default: {default}]"
        lines.append(f"{name:>25}: {value:<30}{comment}")
    return "\n".join([*lines, "----------------- End -------------------", ""])


FILE = as_the_port_writes(OPTIONS)


def options(**values: object) -> Options:
    return Options({name: str(value) for name, value in values.items()}, set())


def config(**values: object) -> dict[str, Any]:
    return to_config(options(**values))


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "train_opt.txt").write_text(FILE)
    told = import_options(tmp_path / "train_opt.txt", tmp_path / "run.toml")
    found = RunConfig.read(tmp_path / "run.toml")
    assert found.data.table() == {"name": "side-by-side", "path": "./my data/facades"}
    assert (found.direction, found.size, found.precision, found.device) == (
        "BtoA",
        (256, 256),
        "fp32",
        "auto",
    )
    assert found.generator.table() == {
        "name": "unet", "depth": 7, "width": 48, "norm": "instance", "dropout": 0.0,
    }  # fmt: skip
    assert found.discriminator is not None
    assert found.discriminator.table() == {
        "name": "patchgan", "layers": 3, "width": 32, "norm": "instance",
    }  # fmt: skip
    assert found.losses["gan"].params == {"mode": "lsgan"}
    assert found.losses["l1"].params == {"weight": 10.0}
    assert found.augmentations["jitter"].params == {"load": 286 / 256, "mirror": False}
    train = found.train
    assert (train.epochs, train.decay_from, train.schedule) == (200, 0.25, "linear")
    assert (train.batch_size, train.lr, train.betas) == (4, 1e-4, (0.5, 0.999))
    assert (train.init, train.init_gain, train.pool) == ("xavier", 0.02, 50)
    # The port counts images, of which a step has four.
    output = found.output
    assert (output.log_every, output.sample_every, output.checkpoint_every) == (25, 100, 1250)
    assert told[0].startswith("serial_batches = True: the order")
    assert "more options without a key" in told[1]
    assert len(told) == 2


def test_no_option_is_lost(tmp_path: Path) -> None:
    """Each is in the config or in its heading, also one that nobody knows."""
    (tmp_path / "train_opt.txt").write_text(FILE + "   lambda_style: 3.0    \n")
    told = import_options(tmp_path / "train_opt.txt", tmp_path / "run.toml")
    text = (tmp_path / "run.toml").read_text()
    heading = [line for line in text.splitlines() if line.startswith("#")]
    names = set(read_options(tmp_path / "train_opt.txt").values)
    listed = {name for name in names if any(f"  {name} = " in line for line in heading)}
    mapped = {
        "batch_size", "beta1", "crop_size", "dataroot", "dataset_mode", "direction", "display_freq",
        "gan_mode", "gpu_ids", "init_gain", "init_type", "lambda_L1", "load_size", "lr",
        "lr_policy", "model", "n_epochs", "n_epochs_decay", "name", "ndf", "netD", "netG", "ngf",
        "no_dropout", "no_flip", "norm", "phase", "pool_size", "preprocess", "print_freq",
        "save_latest_freq",
    }  # fmt: skip
    assert listed.isdisjoint(mapped)
    assert names - mapped == listed
    assert "lambda_style = 3.0: p2ptk does not know this option" in told
    assert "runs/facades_pix2pix" in text


def test_the_defaults_of_the_port_are_the_recipe() -> None:
    port = config(
        model="pix2pix", direction="AtoB", netG="unet_256", netD="basic", ngf=64, ndf=64,
        norm="batch", no_dropout=False, gan_mode="vanilla", lambda_L1=100.0, lr=0.0002, beta1=0.5,
        n_epochs=100, n_epochs_decay=100, lr_policy="linear", batch_size=1, load_size=286,
        crop_size=256, preprocess="resize_and_crop", no_flip=False, pool_size=0,
        init_type="normal", init_gain=0.02,
    )  # fmt: skip
    from p2ptk.build import resolve_config
    from p2ptk.layers import layers_of

    ours = resolve_config(RunConfig.of(*layers_of({"precision": "fp32"}))).table()
    theirs = resolve_config(RunConfig.of(*layers_of(port))).table()
    assert theirs == ours


@pytest.mark.parametrize(
    ("given_", "place", "expected"),
    [
        ({"netG": "resnet_6blocks"}, ("generator",), {"name": "resnet", "blocks": 6}),
        ({"netG": "unet_256"}, ("generator",), {"name": "unet", "depth": 8}),
        ({"ngf": 32}, ("generator",), {"width": 32}),
        ({"netD": "pixel"}, ("discriminator",), {"name": "patchgan", "layers": 0}),
        ({"netD": "n_layers", "n_layers_D": 5}, ("discriminator", "layers"), 5),
        ({"netD": "basic", "n_layers_D": 5}, ("discriminator", "layers"), 3),
        ({"gan_mode": "wgangp"}, ("losses", "gan", "mode"), "wgan"),
        ({"no_lsgan": True}, ("losses", "gan", "mode"), "vanilla"),
        ({"no_lsgan": False}, ("losses", "gan", "mode"), "lsgan"),
        ({"gpu_ids": "-1"}, ("device",), "cpu"),
        ({"gpu_ids": "2"}, ("device",), "cuda:2"),
        ({"gpu_ids": "1,3"}, ("device",), "cuda:1"),
        ({"lr_policy": "cosine"}, ("train", "schedule"), "cosine"),
        ({"lr_policy": "plateau"}, ("train", "schedule"), "constant"),
        ({"lr_policy": "lambda", "n_epochs": 0, "n_epochs_decay": 8}, ("train", "decay_from"), 0.0),
        ({"load_size": 256, "crop_size": 256, "no_flip": True}, ("augmentations",), []),
        ({"load_size": 512, "crop_size": 256}, ("augmentations",),
         [{"name": "jitter", "load": 2.0, "mirror": True}]),
        ({"norm": "sync_batch"}, ("generator", "norm"), "batch"),
        ({"eval": False, "no_dropout": False}, ("inference",), {"norm": "image", "dropout": True}),
        ({"eval": False, "no_dropout": True}, ("inference",), {"norm": "image", "dropout": False}),
        ({"eval": True}, ("inference",), {"norm": "running", "dropout": False}),
    ],
)  # fmt: skip
def test_single_options(given_: dict[str, Any], place: tuple[str, ...], expected: Any) -> None:
    found: Any = config(**given_)
    for name in place:
        found = found[name]
    assert found == expected


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"gan_mode": "wgangp"}, "leaves the penalty out"),
        ({"lr_policy": "step"}, "the rate stays constant"),
        ({"lr_policy": "cosine"}, "rises again"),
        ({"netG": "stylegan2"}, "a U-Net stands in its place"),
        ({"netD": "multi"}, "PatchGAN stands in its place"),
        ({"preprocess": "scale_width"}, "resizes every picture"),
        ({"gpu_ids": "0,1"}, "the first of them"),
        ({"model": "colorization"}, "read as pix2pix"),
        ({"dataset_mode": "single"}, "read as aligned"),
        ({"load_size": 200, "crop_size": 256}, "nothing is cropped"),
    ],
)
def test_what_is_not_quite_the_same_is_said(given_: dict[str, Any], words: str) -> None:
    found = options(**given_)
    to_config(found)
    assert any(words in note for note in found.notes)


def test_names_of_former_versions(tmp_path: Path) -> None:
    (tmp_path / "opt.txt").write_text(
        "batchSize: 2\nfineSize: 128\nloadSize: 143\nwhich_direction: BtoA\n"
        "which_model_netG: unet_128\nniter: 10\nniter_decay: 30\nno_lsgan: True\nsuffix:\n"
    )
    import_options(tmp_path / "opt.txt", tmp_path / "run.toml")
    found = RunConfig.read(tmp_path / "run.toml")
    assert (found.size, found.direction, found.train.batch_size) == ((128, 128), "BtoA", 2)
    assert (found.train.epochs, found.train.decay_from) == (40, 0.25)
    assert found.generator.params["depth"] == 7


def test_refusals(tmp_path: Path) -> None:
    cases = {
        "model: cycle_gan": "unpaired",
        "dataset_mode: unaligned": "unpaired",
        "batch_size: many": "should be a number",
        "batch_size: 1.5": "should be a whole number",
        "batch_size: 0": "at least 1",
        "batch_size: -1": "train.batch_size",
        "gan_mode: magic": "mode",
        "norm: layer": "norm",
        "init_type: zeros": "train.init",
        "direction: both": "direction",
        "n_epochs: 0\nn_epochs_decay: 0": "train.epochs",
        "just some words": "no option file",
    }
    for number, (text, words) in enumerate(cases.items()):
        path = tmp_path / f"{number}.txt"
        path.write_text(text + "\n")
        with pytest.raises(UserError, match=words):
            import_options(path, tmp_path / "run.toml")
    assert not (tmp_path / "run.toml").exists()
    with pytest.raises(UserError, match="there is no file"):
        import_options(tmp_path / "none.txt", tmp_path / "run.toml")
    (tmp_path / "run.toml").write_text("mine")
    (tmp_path / "opt.txt").write_text(FILE)
    with pytest.raises(UserError, match="is there already"):
        import_options(tmp_path / "opt.txt", tmp_path / "run.toml")
    assert (tmp_path / "run.toml").read_text() == "mine"


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["dataroot", "name", "suffix", "strange", "model", "preprocess"]),
        st.text(max_size=30),
    )
)
def test_any_text_gives_a_toml_file_or_a_sentence(values: dict[str, str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path, output = Path(folder) / "opt.txt", Path(folder) / "run.toml"
        path.write_text("".join(f"{k}: {v}\n" for k, v in values.items()), "utf-8", newline="")
        try:
            import_options(path, output)
        except UserError:
            assert not output.exists()
        else:
            tomllib.loads(output.read_text("utf-8"))
