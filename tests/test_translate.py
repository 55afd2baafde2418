from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from p2ptk.components import register
from p2ptk.contracts import Pair, Side
from p2ptk.datasets.images import read_image
from p2ptk.datasets.write import write_image
from p2ptk.errors import UserError
from p2ptk.pairs.pixels import denormalise, normalise
from p2ptk.translate import NoMemory, Translator, translate_files, translate_pairs
from p2ptk.weights import ModelHeader, load_generator, save_generator

Make = Callable[..., Translator]


class Same(nn.Module):
    """Gives its source back, or its first channels; complains of sizes it can't take."""

    size_multiple = 16

    def __init__(self, *, source_channels: int, target_channels: int) -> None:
        super().__init__()
        self.channels = target_channels
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, source: Tensor) -> Tensor:
        assert source.shape[-2] % 16 == source.shape[-1] % 16 == 0
        return source[:, : self.channels]


class Net(nn.Module):
    """Two halvings and back, with everything that test time has rules for."""

    size_multiple = 4

    def __init__(self, *, source_channels: int, target_channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(source_channels, 8, 4, 2, 1),
            nn.BatchNorm2d(8),
            nn.LeakyReLU(0.2),
            nn.Conv2d(8, 8, 4, 2, 1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.ConvTranspose2d(8, 8, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(8, target_channels, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, source: Tensor) -> Tensor:
        return self.layers(source)


class Grey:
    """An augmentation that makes the source from the target: its mean, as `shade` colours it."""

    stage = "derive"

    def __init__(self, *, shade: float = 1.0) -> None:
        self.shade = shade

    def sample(self, numbers: Any, size: Any, rng: Any) -> dict[str, Tensor]:
        return {"shade": torch.full((len(numbers),), self.shade)}

    def apply(
        self, source: Tensor, target: Tensor, params: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        return target.mean(1, keepdim=True) * params["shade"].view(-1, 1, 1, 1), target


@pytest.fixture(autouse=True)
def _parts() -> None:
    register("generator", "same-test", Same)
    register("generator", "net-test", Net)
    register("augmentation", "grey-test", Grey)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A translator of an untrained model, through a file."""

    def load(
        generator: str = "same-test",
        *,
        source: int = 3,
        target: int = 3,
        header: dict[str, Any] | None = None,
        **options: Any,
    ) -> Translator:
        kind = {"same-test": Same, "net-test": Net}[generator]
        params = {"dropout": 0.5} if (header or {}).get("inference_dropout") else {}
        torch.manual_seed(3)
        module = kind(source_channels=source, target_channels=target, **params)
        path = tmp_path / "model" / "generator.safetensors"
        path.parent.mkdir(exist_ok=True)
        given: dict[str, Any] = {
            "generator": {"name": generator, **params},
            "source_channels": source,
            "target_channels": target,
            "size": (32, 32),
            "size_multiple": kind.size_multiple,
            **(header or {}),
        }
        save_generator(path, module, ModelHeader(**given))
        return Translator.load(path.parent, "cpu", **{"precision": "fp32", **options})

    return load


def noise(height: int, width: int, channels: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    top = 256 if dtype == np.uint8 else 65536
    return rng.integers(0, top, (height, width, channels)).astype(dtype)


@pytest.mark.parametrize("size", [(32, 32), (5, 7), (1, 1), (1, 40), (33, 16), (100, 3)])
@pytest.mark.parametrize("tile", [1024, 32])
def test_any_size_comes_back_pixel_for_pixel(make: Make, size: tuple[int, int], tile: int) -> None:
    picture = noise(*size)
    translator = make(tile=tile)
    result = translator(picture)
    assert result.dtype == np.uint8
    assert np.array_equal(result, picture)


def test_every_kind_is_given_back(make: Make) -> None:
    translator, picture = make(), noise(20, 30)
    chw = torch.from_numpy(picture).permute(2, 0, 1)
    image = translator(Image.fromarray(picture))
    assert isinstance(image, Image.Image)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), picture)
    assert torch.equal(translator(chw), chw)
    assert torch.equal(translator(torch.stack([chw, chw])), torch.stack([chw, chw]))
    assert np.array_equal(translator(picture[None])[0], picture)
    mixed = translator([picture, noise(8, 9), Image.fromarray(picture)])
    assert [type(x) for x in mixed] == [np.ndarray, np.ndarray, Image.Image]
    assert np.array_equal(mixed[1], noise(8, 9))
    assert translator([]) == []
    with pytest.raises(UserError, match="a picture is a PIL image"):
        translator("photo.jpg")  # type: ignore[call-overload]


def test_16_bits_stay_16_bits(make: Make) -> None:
    translator = make(header={"source_dtype": "uint16", "target_dtype": "uint16"})
    picture = noise(20, 30, dtype=np.uint16)
    assert np.array_equal(translator(picture), picture)
    # 8-bit pictures are read in their own range.
    assert np.array_equal(translator(noise(4, 4)), noise(4, 4).astype(np.uint16) * 257)
    assert translator.precision.name == "fp32"


def test_auto_precision_is_exact_where_the_target_is_deep(make: Make) -> None:
    deep = make(header={"target_dtype": "uint16"}, precision="auto")
    assert deep.precision.name == "fp32"


def test_floats_are_in_0_to_1_or_in_the_trained_range(make: Make) -> None:
    picture = noise(6, 6)
    assert np.array_equal(make()(picture / np.float32(255)), picture)
    with pytest.raises(UserError, match=r"should lie in 0\.\.1"):
        make()(picture.astype(np.float32))
    heights = Side(kind="values", range=(-100.0, 8900.0))
    translator = make(
        source=1,
        target=1,
        header={"source": heights, "target": heights, "target_dtype": "float32"},
    )
    metres = np.array([[-100.0, 0.0], [4400.0, 8900.0]], np.float32)
    np.testing.assert_allclose(translator(metres), metres, atol=1e-2)


def test_grey_and_alpha_are_converted_with_a_note(make: Make) -> None:
    translator, notes = make(), []
    grey = torch.full((1, 4, 4), 9, dtype=torch.uint8)
    (result,) = translator.translate([grey], note=notes.append)
    assert torch.equal(result, grey.expand(3, -1, -1))
    assert notes == ["grey repeated in three channels"]
    assert translator(Image.new("RGBA", (4, 4), (0, 0, 0, 0))).getpixel((0, 0)) == (255,) * 3
    with pytest.raises(UserError, match="takes 3 channels; the picture has 5"):
        translator(noise(4, 4, 5))


def test_labels_as_numbers_or_colours(make: Make) -> None:
    palette = ((0, 0, 0), (255, 0, 0), (0, 0, 255))
    numbers = np.array([[0, 2, 1], [1, 1, 0]], np.uint8)
    colours = np.array(palette, np.uint8)[numbers]
    plain = Side(kind="labels", classes=3)
    translator = make(header={"source": plain, "target": plain})
    assert np.array_equal(translator(numbers), numbers)
    assert translator(Image.fromarray(numbers)).mode == "L"
    with pytest.raises(UserError, match="holds class 8"):
        translator(numbers + 6)
    painted = Side(kind="labels", palette=palette)
    translator = make(header={"source": painted, "target": painted})
    assert np.array_equal(translator(colours), colours)
    assert np.array_equal(translator(numbers), colours)


def test_the_bare_generator_and_the_translator_agree(make: Make, tmp_path: Path) -> None:
    for norm in ("running", "image"):
        translator = make("net-test", header={"inference_norm": norm})
        picture = torch.from_numpy(noise(32, 24)).permute(2, 0, 1)
        generator = load_generator(tmp_path / "model")
        with torch.no_grad():
            image = generator(normalise(picture[None], Side()))
        assert torch.equal(translator(picture), denormalise(image, Side(), torch.uint8)[0])


@pytest.mark.parametrize("norm", ["running", "image"])
def test_batch_mates_do_not_matter(make: Make, norm: str) -> None:
    translator = make("net-test", header={"inference_norm": norm}, batch_size=3)
    pictures = [noise(16, 20) // (i + 1) for i in range(5)] + [noise(12, 12)]
    together = translator(pictures)
    for picture, result in zip(pictures, together, strict=True):
        alone = translator(picture)
        assert np.abs(result.astype(int) - alone).max() <= 1


def test_noise_is_a_function_of_the_seed(make: Make) -> None:
    translator = make("net-test", header={"inference_dropout": True}, batch_size=4)
    pictures = [noise(16, 16), noise(16, 16)[::-1].copy(), noise(20, 16)]
    first = translator(pictures, seed=5)
    again = [translator(p, seed=5) for p in reversed(pictures)][::-1]
    for a, b in zip(first, again, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1
    assert not np.array_equal(translator(pictures[0], seed=6), first[0])
    assert np.array_equal(translator(pictures[0]), translator(pictures[0], seed=0))
    quiet = make("net-test", header={"inference_dropout": True}, dropout=False)
    assert np.array_equal(quiet(pictures[0], seed=1), quiet(pictures[0], seed=2))


def test_threads_do_not_disturb_each_other(make: Make) -> None:
    header = {"inference_dropout": True, "inference_norm": "image"}
    translator = make("net-test", header=header, tile=32, overlap=8)
    jobs = [(noise(20 + 9 * i, 70), i) for i in range(8)]
    alone = [translator(picture, seed=seed) for picture, seed in jobs]
    with ThreadPoolExecutor(4) as pool:
        crowd = list(pool.map(lambda job: translator(job[0], seed=job[1]), jobs))
    assert all(np.array_equal(a, b) for a, b in zip(alone, crowd, strict=True))


def test_tiles_leave_no_seams(make: Make) -> None:
    translator = make("net-test", tile=48, overlap=24)
    x = np.linspace(0, 255, 150)
    picture = np.broadcast_to(x, (60, 150))[..., None].repeat(3, 2).astype(np.uint8)
    whole = make("net-test", tile=1024)(picture).astype(int)
    tiled = translator(picture).astype(int)
    # Only what lies within reach of a tile's edge may differ, and there it is weighed lightly.
    assert np.abs(whole - tiled).max() <= 1


def test_tiles_take_their_statistics_from_the_whole_picture(make: Make) -> None:
    # Left half dark, right half bright: a tile's own statistics would even them out.
    picture = noise(64, 128) // 4
    picture[:, 64:] += 160
    header = {"inference_norm": "image"}
    whole = make("net-test", header=header)(picture).astype(int)
    tiled = make("net-test", header=header, tile=64, overlap=0)(picture).astype(int)
    alone = [make("net-test", header=header)(picture[:, s]) for s in (slice(64), slice(64, None))]
    apart = np.concatenate(alone, 1).astype(int)
    inside = np.s_[8:-8, 8:56]
    assert np.abs(whole - tiled)[inside].mean() < 3
    assert np.abs(whole - apart)[inside].mean() > 3 * np.abs(whole - tiled)[inside].mean()


def test_a_photo_becomes_the_source_by_the_model_s_own_augmentation(make: Make) -> None:
    header = {"derive": ({"name": "grey-test", "shade": 0.5, "as": "g", "stage": "derive"},)}
    photo = noise(20, 37)
    grey = (photo / 127.5 - 1).mean(-1) * 0.5
    for tile in (1024, 16):
        result = make(source=1, target=1, header={**header, "target_channels": 3}, tile=tile)
        translated = result(photo)[..., 0]
        np.testing.assert_allclose(translated, (grey + 1) * 127.5, atol=0.51)


def test_pictures_can_be_scaled_first(make: Make) -> None:
    picture = noise(40, 60) // 2 + 64  # Pillow rounds and clips between its two passes
    result = make(size=(20, 30))(picture)
    scaled = Image.fromarray(picture).resize((30, 20), Image.Resampling.BICUBIC)
    assert result.shape == (20, 30, 3)
    assert np.abs(result.astype(int) - np.asarray(scaled)).max() <= 1
    labels = Side(kind="labels", classes=256)
    numbers = np.arange(16, dtype=np.uint8).reshape(4, 4)
    small = make(source=256, target=256, header={"source": labels, "target": labels}, size=(2, 2))(
        numbers
    )
    assert set(small.flatten()) <= set(range(16))
    with pytest.raises(UserError, match="at least 1"):
        make(size=(0, 8))


def test_memory_that_does_not_suffice_is_explained(make: Make) -> None:
    translator = make()

    def full(source: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    translator.generator.forward = full  # type: ignore[method-assign]
    with pytest.raises(NoMemory, match=r"lower the tile size \(1024\) or the batch size \(1\)"):
        translator(noise(4, 4))


def test_importing_it_needs_no_extras() -> None:
    code = (
        "import sys, p2ptk.translate; assert not {'matplotlib', 'jinja2', 'scipy'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Files.


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(noise(32, 40)).save(folder / "a.png")
    Image.fromarray(noise(32, 40)).save(folder / "b.bmp")
    Image.fromarray(noise(20, 30)).save(folder / "deep" / "c.jpg")
    (folder / "notes.txt").write_text("no image")
    return folder


def below(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_folders_keep_names_and_places(make: Make, photos: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out = tmp_path / "out"
    summary = translate_files(
        make(batch_size=2),
        [photos],
        out,
        compare=True,
        on_progress=lambda done, total, name: seen.append((done, total)),
    )
    pictures = ["a.png", "b.bmp", "deep/c.png"]
    sheets = ["compare/a.png", "compare/b.png", "compare/deep/c.png"]
    assert below(out) == sorted(pictures + sheets)
    assert np.array_equal(np.asarray(Image.open(out / "a.png")), noise(32, 40))
    assert len(summary.written) == len(summary.sheets) == 3
    assert (summary.failed, summary.exit_code) == ({}, 0)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_unreadable_files_are_named_and_the_others_go_on(
    make: Make, photos: Path, tmp_path: Path
) -> None:
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    write_image(photos / "five.npy", torch.zeros(5, 32, 40, dtype=torch.uint8))
    summary = translate_files(make(batch_size=4), [photos], tmp_path / "out")
    assert len(summary.written) == 3
    assert summary.exit_code == 2
    assert list(summary.failed) == [str(photos / "broken.png"), str(photos / "five.npy")]
    assert "takes 3 channels; the picture has 5" in summary.failed[str(photos / "five.npy")]


def test_names_that_would_meet_are_told_apart(make: Make, tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        Image.fromarray(noise(8, 8)).save(tmp_path / folder / "a.png")
    Image.fromarray(noise(8, 8)).save(tmp_path / "x" / "a.jpg")
    out = tmp_path / "out"
    translate_files(make(), [tmp_path / "x", tmp_path / "y"], out)
    assert below(out) == ["x/a-png.png", "x/a.png", "y/a.png"]
    files = [tmp_path / "x" / "a.png", tmp_path / "y" / "a.png", tmp_path / "x" / "a.png"]
    summary = translate_files(make(), files, tmp_path / "flat")
    assert len(summary.written) == 2
    assert below(tmp_path / "flat") == ["a-png.png", "a.png"]


def test_one_file_can_go_to_one_file(make: Make, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "result.tif"
    translate_files(make(), [photos / "a.png"], out, compare=True)
    assert below(tmp_path / "new") == ["result-compare.png", "result.tif"]
    with pytest.raises(UserError, match="is a file name, and there are 3 inputs"):
        translate_files(make(), [photos], tmp_path / "b.png")
    with pytest.raises(UserError, match=r"\.jpg can't hold .* write .*b\.png"):
        translate_files(make(), [photos / "a.png"], tmp_path / "b.jpg")


def test_an_input_is_never_overwritten(make: Make, photos: Path) -> None:
    before = {p: p.read_bytes() for p in photos.rglob("*") if p.is_file()}
    with pytest.raises(UserError, match=r"would overwrite the input .*a\.png"):
        translate_files(make(), [photos], photos)
    with pytest.raises(UserError, match="would overwrite"):
        translate_files(make(), [photos / "a.png"], photos / "a.png")
    assert {p: p.read_bytes() for p in photos.rglob("*") if p.is_file()} == before


def test_an_output_folder_inside_the_input_is_not_read_again(make: Make, photos: Path) -> None:
    for _ in range(2):
        summary = translate_files(make(), [photos], photos / "out")
        assert len(summary.written) == 3


def test_missing_inputs_are_refused(make: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there is no file or folder"):
        translate_files(make(), [tmp_path / "gone"], tmp_path / "out")
    with pytest.raises(UserError, match="holds no images"):
        translate_files(make(), [tmp_path / "empty"], tmp_path / "out")


def test_a_pair_side_by_side_is_refused(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "facades" / "val"
    folder.mkdir(parents=True)
    Image.fromarray(noise(32, 64)).save(folder / "1.png")
    with pytest.raises(UserError, match=r"64x32, twice as wide .* `-d .*facades --split val`"):
        translate_files(make(), [folder], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert translate_files(make(), [folder], tmp_path / "out", as_is=True).written
    wide = make(header={"aspect": 2.0})
    assert translate_files(wide, [folder], tmp_path / "out").written


def test_notes_are_told_once(make: Make, tmp_path: Path) -> None:
    for name in "abc":
        Image.fromarray(noise(8, 8)[..., 0]).save(tmp_path / f"{name}.png")
    summary = translate_files(make(), [tmp_path], tmp_path / "out")
    assert summary.notes == ["grey repeated in three channels"]
    assert len(summary.written) == 3


class Pairs:
    """Four pairs: A dark and grey, B bright."""

    names = ("a", "b", "folder/c", "../d.png")

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Pair:
        a = torch.full((1, 8, 8), index, dtype=torch.uint8)
        return Pair(a, (a + 100).expand(3, -1, -1), self.names[index])


@pytest.mark.parametrize(("direction", "base"), [("AtoB", 0), ("BtoA", 100)])
def test_pairs(make: Make, tmp_path: Path, direction: str, base: int) -> None:
    out, channels = tmp_path / "out", 3 if base else 1
    translator = make(source=channels, target=1, header={"direction": direction}, batch_size=2)
    summary = translate_pairs(translator, Pairs(), (Side(), Side()), out, compare=True)
    assert summary.failed == {}
    pictures = ["a.png", "b.png", "d.png", "folder/c.png"]
    assert below(out) == sorted(pictures + [f"compare/{name}" for name in pictures])
    assert read_image(out / "b.png").unique().tolist() == [base + 1]


def test_pairs_of_a_model_that_makes_its_sources(make: Make, tmp_path: Path) -> None:
    header = {"derive": ({"name": "grey-test"},), "target_channels": 3}
    translator = make(source=1, target=1, header=header)
    translate_pairs(translator, Pairs(), (Side(), Side()), tmp_path / "out")
    assert read_image(tmp_path / "out" / "b.png").unique().tolist() == [101]


def test_pairs_of_another_kind_are_refused(make: Make, tmp_path: Path) -> None:
    labels = Side(kind="labels", classes=3)
    with pytest.raises(UserError, match="translates image, and side A of this data holds labels"):
        translate_pairs(make(), Pairs(), (labels, Side()), tmp_path / "out")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("norm", ["running", "image"])
def test_the_gpu_gives_what_the_cpu_gives(make: Make, tmp_path: Path, norm: str) -> None:
    header = {"inference_norm": norm, "inference_dropout": True}
    cpu = make("net-test", header=header, tile=64)
    gpu = Translator.load(tmp_path / "model", "cuda", "fp32", tile=64, batch_size=4)
    for size in ((40, 50), (100, 150)):
        difference = cpu(noise(*size), seed=3).astype(int) - gpu(noise(*size), seed=3)
        assert np.abs(difference).max() <= 2
