"""What reads files and words that strangers wrote, each with sound input to spoil.

A target is built in a folder of its own, and gives a function that takes a random generator, makes
one case there, and returns what is done with it.
"""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import tomli_w
from PIL import Image

from benchmarks.faults import mutate
from benchmarks.faults.hostile import archive_names, odd_images
from benchmarks.faults.killing import small_config, write_pairs
from benchmarks.faults.weights import Case, Maker, imported, model, state


def run_toml(folder: Path) -> Maker:
    """A run's run.toml, or a config of one's own, read and resolved with its data opened."""
    from p2ptk.build import resolve_config
    from p2ptk.config import RunConfig
    from p2ptk.data import build_data
    from p2ptk.layers import layers_of, read_toml

    text = resolve_config(small_config(write_pairs(folder / "pairs"))).toml()
    short = 'size = 32\nlosses = ["gan:mode=lsgan", "l1:weight=50"]\n[train]\nsteps = 5\n'
    place = folder / "run.toml"

    def make(rng: random.Random) -> Case:
        _write_toml(place, rng.choice((text, text, short)), rng)

        def read() -> None:
            table = read_toml(place)
            table.pop("plugins", None)  # Python files that the user names: they are run
            config = RunConfig.of(*layers_of(table))
            config = resolve_config(config)
            RunConfig.of(read_toml_text(config.toml()))
            build_data(config)

        return read

    return make


def read_toml_text(text: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(text)


SPECS = (
    "unet:width=32,norm=instance", "unet:encoder=conv(width=8),depth=3", "gan:mode=lsgan,weight=2",
    "patchgan:layers=1,width=4", "l1:weight=1e2", "jitter:resize=40", "list:path='a b.csv'",
    "+l1", "-gan", "none", "./net.py:Mine:width=3", "side-by-side:path=pairs", "pairs", "resnet",
    "folders:a=[1,2],b=\"x,y\"", "train.lr=1e-4", "losses.l1.weight=5", "augmentations=[]",
)  # fmt: skip
KINDS = ("generator", "discriminator", "loss", "augmentation", "dataset", "metric", "tracker")


def spec(folder: Path) -> Maker:
    """Words of the command line: -G, -D, -L, -A, -d, --set, --size, --max-time."""
    from p2ptk.build import resolve_config
    from p2ptk.cli.options import data_spec, local_class, parts_after, read_size
    from p2ptk.components import resolve
    from p2ptk.config import RunConfig
    from p2ptk.interrupts import seconds
    from p2ptk.layers import layers_of, parse_setting

    base = layers_of({})

    def make(rng: random.Random) -> Case:
        text = mutate.in_text(rng.choice(SPECS), rng)
        kind = rng.choice(KINDS)

        def single() -> None:
            resolve(kind, local_class(text, kind)[0])

        def listed() -> None:
            item = local_class(text, "loss")[0]
            below = {"l1": {"name": "l1"}, "gan": {"name": "gan"}}
            resolve_config(RunConfig.of(*base, {"losses": parts_after([item], below)}))

        def setting() -> None:
            resolve_config(RunConfig.of(*base, parse_setting(text)))

        ways = (single, single, listed, setting, lambda: data_spec(text),
                lambda: read_size(text), lambda: seconds(text))  # fmt: skip
        return rng.choice(ways)

    return make


def image(folder: Path) -> Maker:
    """Images of every kind, spoilt; and odd ones that are sound."""
    from p2ptk.datasets.images import check_image, read_header, read_image

    sound: list[tuple[str, bytes]] = []
    numbers = np.random.default_rng(0)
    for suffix, mode in (
        ("png", "RGB"), ("png", "RGBA"), ("png", "P"), ("png", "I;16"), ("png", "1"),
        ("jpg", "RGB"), ("jpg", "L"), ("jpg", "CMYK"), ("webp", "RGB"), ("gif", "P"),
        ("bmp", "RGB"), ("tif", "RGB"), ("tif", "CMYK"),
    ):  # fmt: skip
        buffer = io.BytesIO()
        grey = Image.fromarray(numbers.integers(0, 255, (24, 32, 3), np.uint8))
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
        (grey.convert("I").convert(mode) if mode == "I;16" else grey.convert(mode)).save(
            buffer, kind
        )
        sound.append((suffix, buffer.getvalue()))
    for array in (np.ones((8, 9, 3), np.uint16), np.ones((5, 8, 9), np.float32)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        sound.append(("npy", buffer.getvalue()))
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, compression="zlib")
        sound.append(("tiff", buffer.getvalue()))
    odd = odd_images()
    suffixes = sorted({suffix for suffix, _ in sound})

    def make(rng: random.Random) -> Case:
        suffix, data = rng.choice(sound)
        if rng.random() < 0.02:  # some take a while: they are large
            suffix, data = rng.choice(odd)
        elif rng.random() < 0.95:
            data = mutate.in_bytes(data, rng)
        if rng.random() < 0.1:
            suffix = rng.choice(suffixes)
        place = folder / f"image.{suffix}"
        place.write_bytes(data)

        def read() -> None:
            for function in (read_header, check_image, read_image):
                function(place)

        return read

    return make


STUDY = """\
name = "small"
mode = "grid"
seeds = [0, 1]
budget = "4 steps"
retries = 1
exclude = [{"generator.width" = 8, "train.lr" = 1e-4}]
[base]
data = "pairs"
size = 32
generator = "unet:depth=3,width=4"
discriminator = "patchgan:layers=1,width=4"
train.batch_size = 2
[factors]
"generator.width" = [4, 8]
"train.lr" = [1e-4, 2e-4]
[baseline]
"generator.width" = 4
"train.lr" = 2e-4
[evaluate]
metrics = ["ssim", "l1"]
primary = "ssim"
split = "val"
[[external]]
label = "other"
images = "pairs"
"""


def study(folder: Path) -> Maker:
    """A study file, planned but not run."""
    from p2ptk.study.plan import make_plan

    write_pairs(folder / "pairs")
    place = folder / "small.toml"

    def make(rng: random.Random) -> Case:
        _write_toml(place, STUDY, rng)
        return lambda: make_plan(place, folder / "study", check=False)

    return make


def archive(folder: Path) -> Maker:
    """A .tar.gz of images: hostile names, links, damage."""
    from p2ptk.dataprep.unpack import unpack

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    png = buffer.getvalue()
    place, out = folder / "set.tar.gz", folder / "out"

    def make(rng: random.Random) -> Case:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", format=rng.choice((1, 2))) as tar:
            for name in ("toy/train/a.png", *rng.sample(archive_names(), 2)):
                about = tarfile.TarInfo(name)
                about.type = rng.choices(
                    (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE,
                     tarfile.FIFOTYPE, tarfile.CHRTYPE), (12, 1, 1, 1, 1, 1))[0]  # fmt: skip
                about.linkname = rng.choice(archive_names())
                about.mode = rng.choice((0o644, 0o4777, 0))
                about.size = len(png) if about.type == tarfile.REGTYPE else 0
                tar.addfile(about, io.BytesIO(png))
        data = content.getvalue()
        if rng.random() < 0.4:
            data = mutate.in_bytes(data, rng)
        data = gzip.compress(data, 1, mtime=0)
        if rng.random() < 0.2:
            data = mutate.in_bytes(data, rng)
        place.write_bytes(data)

        def take() -> None:
            import shutil

            shutil.rmtree(out, ignore_errors=True)
            unpack(place, out)
            for path in out.rglob("*"):
                if path.is_symlink() or not (path.is_file() or path.is_dir()):
                    raise AssertionError(f"{path.name} is no plain file")

        return take

    return make


TARGETS: dict[str, Callable[[Path], Maker]] = {
    "model": model,
    "state": state,
    "run.toml": run_toml,
    "spec": spec,
    "import": imported,
    "image": image,
    "study": study,
    "archive": archive,
}


def _write_toml(place: Path, text: str, rng: random.Random) -> None:
    """Spoilt as text, or as a table that is written as TOML again where it can be."""
    made = mutate.in_text(text, rng)
    if rng.random() < 0.5:
        try:
            made = tomli_w.dumps(mutate.in_table(read_toml_text(text), rng))
        except Exception:  # None, and integers or texts that TOML does not hold
            made = mutate.in_text(text, rng)
    place.write_bytes(made.encode("utf-8", "surrogatepass"))
