from __future__ import annotations

import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from p2ptk.datasets.images import (
    UnreadableImage,
    check_image,
    image_size,
    read_header,
    read_image,
)
from p2ptk.datasets.write import write_image
from p2ptk.errors import UserError

DTYPES = {torch.uint8: 256, torch.uint16: 65536, torch.float32: 0}


def random_image(
    channels: int, dtype: torch.dtype, height: int = 7, width: int = 11, seed: int = 0
):
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.float32:
        return torch.randn(channels, height, width, generator=generator)
    shape = (channels, height, width)
    return torch.randint(0, DTYPES[dtype], shape, generator=generator).to(dtype)


def smooth_rgb(height: int = 24, width: int = 40) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 6, y * 10, (x + y) * 4], -1).astype(np.uint8)


def assert_header_tells_the_truth(path: Path) -> None:
    image, header = read_image(path), read_header(path)
    assert (header.channels, header.height, header.width) == tuple(image.shape)
    assert f"torch.{header.dtype}" == str(image.dtype)
    assert image.is_contiguous()
    assert check_image(path) == header
    assert image_size(path) == tuple(image.shape[1:])


@settings(max_examples=60, deadline=None)
@given(
    channels=st.integers(1, 6),
    height=st.integers(6, 20),
    width=st.integers(6, 20),
    dtype=st.sampled_from(list(DTYPES)),
    suffix=st.sampled_from([".png", ".tif", ".tiff", ".npy"]),
    seed=st.integers(0, 9),
)
def test_what_is_written_is_read_back(
    tmp_path_factory, channels, height, width, dtype, suffix, seed
) -> None:
    path = tmp_path_factory.mktemp("images") / f"one{suffix}"
    image = random_image(channels, dtype, height, width, seed)
    if suffix == ".png" and (channels > 4 or dtype == torch.float32):
        with pytest.raises(UserError, match=r"\.tif or \.npy"):
            write_image(path, image)
        return
    if suffix == ".npy" and channels == width:  # a tie: read as H W C, as documented
        return
    write_image(path, image)
    if suffix == ".npy" and channels > width:
        return
    assert torch.equal(read_image(path), image)
    assert read_image(path).dtype == dtype
    assert_header_tells_the_truth(path)


@pytest.mark.parametrize(("suffix", "channels"), [(".bmp", 3), (".webp", 3), (".webp", 4)])
def test_lossless_8_bit_formats(tmp_path: Path, suffix: str, channels: int) -> None:
    image = random_image(channels, torch.uint8)
    write_image(tmp_path / f"one{suffix}", image)
    assert torch.equal(read_image(tmp_path / f"one{suffix}"), image)
    assert_header_tells_the_truth(tmp_path / f"one{suffix}")


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".gif", ".bmp"])
def test_formats_refuse_what_they_cannot_hold(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UserError, match=r"2 channels of uint16; write \.png or \.tif or \.npy"):
        write_image(tmp_path / f"one{suffix}", random_image(2, torch.uint16))


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no image format ends with '\.xyz'"):
        write_image(tmp_path / "one.xyz", random_image(3, torch.uint8))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "CMYK", "I;16"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_modes_keep_their_channels(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"one{suffix}"
    rgb = Image.fromarray(smooth_rgb())
    image = Image.fromarray(smooth_rgb()[..., 0].astype(np.uint16) * 200)
    image = image if mode == "I;16" else rgb.convert(mode)
    try:
        image.save(path)
    except (OSError, KeyError):
        pytest.skip("the format has no such mode")
    channels = {"1": 1, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "P": 3, "CMYK": 3, "I;16": 1}[mode]
    assert read_image(path).shape == (channels, 24, 40)
    assert read_image(path).dtype == (torch.uint16 if mode == "I;16" else torch.uint8)
    assert_header_tells_the_truth(path)


def test_jpeg_pixels_are_pillows(tmp_path: Path) -> None:
    for mode in ("RGB", "L"):
        path = tmp_path / f"{mode}.jpg"
        Image.fromarray(smooth_rgb(37, 51)).convert(mode).save(path, quality=80)
        expected = torch.from_numpy(np.array(Image.open(path))).reshape(37, 51, -1).permute(2, 0, 1)
        assert (read_image(path).int() - expected.int()).abs().max() <= 1


def test_palettes_give_colours_or_indices(tmp_path: Path) -> None:
    path = tmp_path / "labels.png"
    index = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    image = Image.fromarray(index, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(path)
    colours = read_image(path)
    assert colours[:, 0, :3].T.tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert read_image(path, indices=True).tolist() == [index.tolist()]
    assert read_header(path).indexed


def test_the_first_frame_of_a_gif(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "one.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "one.gif").shape == (3, 4, 6)
    assert read_image(tmp_path / "one.gif")[:, 0, 0].tolist() == [255, 0, 0]
    assert_header_tells_the_truth(tmp_path / "one.gif")


def test_one_bit_images_are_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(np.eye(5, dtype=bool)).save(tmp_path / "one.png")
    assert sorted(read_image(tmp_path / "one.png").unique().tolist()) == [0, 255]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".lzw.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    """The stored picture is what a camera held at that angle stores; all read back upright."""
    upright = smooth_rgb(24, 40)
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = Image.fromarray(upright)
    stored = stored if undo is None else stored.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95, "subsampling": 0} if suffix == ".jpg" else {}
    options |= {"lossless": True} if suffix == ".webp" else {}
    options |= {"compression": "tiff_lzw"} if suffix == ".lzw.tif" else {}  # which Pillow reads
    path = tmp_path / f"one{suffix}"
    stored.save(path, exif=exif, **options)
    difference = read_image(path).int() - torch.from_numpy(upright).permute(2, 0, 1).int()
    assert difference.abs().max() <= (6 if suffix == ".jpg" else 0)
    assert_header_tells_the_truth(path)


def test_deep_png_matches_a_reference_decoder(tmp_path: Path) -> None:
    """Our 16-bit writer against the file's own bytes, unfiltered by hand."""
    image = random_image(3, torch.uint16, 5, 4)
    write_image(tmp_path / "deep.png", image)
    data = (tmp_path / "deep.png").read_bytes()
    assert struct.unpack(">IIBB", data[16:26]) == (4, 5, 16, 2)
    start = data.index(b"IDAT")
    length = struct.unpack(">I", data[start - 4 : start])[0]
    rows = np.frombuffer(zlib.decompress(data[start + 4 : start + 4 + length]), np.uint8)
    rows = rows.reshape(5, 1 + 4 * 3 * 2)
    assert set(rows[:, 0]) == {2}
    whole = np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).view(">u2").reshape(5, 4, 3)
    assert np.array_equal(whole.astype(np.uint16), image.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_deep_png_with_every_row_filter(tmp_path: Path, channels: int) -> None:
    """A file whose rows use the five filters of PNG in turn, written here pixel by pixel."""
    image = random_image(channels, torch.uint16, 10, 6)
    rows = (
        image.permute(1, 2, 0)
        .contiguous()
        .numpy()
        .astype(">u2")
        .view(np.uint8)
        .reshape(10, -1)
        .astype(int)
    )
    step, packed = 2 * channels, b""
    for y in range(10):
        above = rows[y - 1] if y else np.zeros_like(rows[0])
        left, corner = (np.concatenate([np.zeros(step, int), r[:-step]]) for r in (rows[y], above))
        guess = left + above - corner
        d_left, d_above, d_corner = (abs(guess - n) for n in (left, above, corner))
        nearest = np.where(d_above <= d_corner, above, corner)
        paeth = np.where((d_left <= d_above) & (d_left <= d_corner), left, nearest)
        predicted = [0, left, above, (left + above) // 2, paeth][y % 5]
        packed += bytes([y % 5]) + ((rows[y] - predicted) % 256).astype(np.uint8).tobytes()
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    chunks = {b"IHDR": struct.pack(">IIBBBBB", 6, 10, 16, colour_type, 0, 0, 0)}
    chunks |= {b"IDAT": zlib.compress(packed), b"IEND": b""}
    path = tmp_path / "deep.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v))
            for k, v in chunks.items()
        )
    )
    assert torch.equal(read_image(path), image)
    assert_header_tells_the_truth(path)


def test_npy_layouts(tmp_path: Path) -> None:
    chw = np.arange(3 * 6 * 5, dtype=np.uint16).reshape(3, 6, 5)
    for name, array in {"chw": chw, "hwc": np.moveaxis(chw, 0, -1), "hw": chw[0]}.items():
        np.save(tmp_path / f"{name}.npy", array)
        expected = chw[:1] if name == "hw" else chw
        assert np.array_equal(read_image(tmp_path / f"{name}.npy").numpy(), expected)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float64", ">f4", ">u2", "bool"])
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_other_number_types(tmp_path: Path, dtype: str, suffix: str) -> None:
    array = (np.arange(20).reshape(4, 5) % 2).astype(dtype)
    path = tmp_path / f"one{suffix}"
    if suffix == ".npy":
        np.save(path, array)
    else:
        tifffile.imwrite(path, array, photometric="minisblack")
    image = read_image(path)
    kept = {">u2": torch.uint16, "bool": torch.uint8}.get(dtype, torch.float32)
    assert image.dtype == kept
    assert np.array_equal(image[0].numpy() > 0, array > 0)
    assert_header_tells_the_truth(path)


def test_tiff_layouts(tmp_path: Path) -> None:
    path = tmp_path / "one.tif"
    bands = np.arange(5 * 9 * 8, dtype=np.uint16).reshape(5, 9, 8)
    tifffile.imwrite(path, bands)  # grey pages
    assert np.array_equal(read_image(path).numpy(), bands)
    tifffile.imwrite(path, np.moveaxis(bands, 0, -1))  # H W C, which becomes pages W C
    assert np.array_equal(read_image(path).numpy(), bands)
    assert_header_tells_the_truth(path)
    tifffile.imwrite(path, bands[None], imagej=True, metadata={"axes": "TCYX"})
    assert read_image(path).shape == (5, 9, 8)
    two = np.stack([smooth_rgb(), smooth_rgb()[::-1]])
    tifffile.imwrite(path, two, photometric="rgb")  # coloured pages: the first
    assert np.array_equal(read_image(path).permute(1, 2, 0).numpy(), two[0])
    assert_header_tells_the_truth(path)
    tifffile.imwrite(path, np.zeros((2, 3, 9, 8), np.uint8), photometric="minisblack")
    with pytest.raises(UnreadableImage, match="no single image"):
        read_image(path)


def test_tiff_where_white_is_zero_and_compressed_by_lzw(tmp_path: Path) -> None:
    grey = smooth_rgb()[..., 0]
    tifffile.imwrite(tmp_path / "white.tif", 255 - grey, photometric="miniswhite")
    assert np.array_equal(read_image(tmp_path / "white.tif")[0].numpy(), grey)
    Image.fromarray(smooth_rgb()).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    assert np.array_equal(read_image(tmp_path / "lzw.tif").permute(1, 2, 0).numpy(), smooth_rgb())


BROKEN = {
    "missing.png": None,
    "empty.png": b"",
    "text.jpg": b"this is no picture",
    "text.tif": b"this is no picture",
    "text.npy": b"this is no picture",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_image_is_named_with_the_reason(tmp_path: Path, name: str) -> None:
    path, content = tmp_path / name, BROKEN[name]
    if content is not None:
        path.write_bytes(content)
    for read in (read_image, check_image):
        with pytest.raises(UnreadableImage) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert str(caught.value).endswith(".")
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 2


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif", ".npy", ".gif"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_truncated_files_are_noticed_without_reading_whole_ones(
    tmp_path: Path, suffix: str, kept: float
) -> None:
    path = tmp_path / f"one{suffix}"
    write_image(path, random_image(3, torch.uint8, 64, 64))
    check_image(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(UnreadableImage):
        check_image(path)
    with pytest.raises(UnreadableImage):
        read_image(path)


def test_a_png_header_is_read_without_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "one.png", random_image(3, torch.uint8))
    monkeypatch.setattr(Image.Image, "load", None)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    assert check_image(tmp_path / "one.png").channels == 3


def test_deep_pngs_are_turned_too(tmp_path: Path) -> None:
    image = random_image(3, torch.uint16)
    write_image(tmp_path / "one.png", image)
    data = (tmp_path / "one.png").read_bytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "one.png").write_bytes(data[:33] + chunk + data[33:])
    assert torch.equal(read_image(tmp_path / "one.png"), image.rot90(-1, (1, 2)))
    assert_header_tells_the_truth(tmp_path / "one.png")


def test_junk_after_a_jpeg_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "one.jpg"
    Image.fromarray(smooth_rgb()).save(path)
    path.write_bytes(path.read_bytes() + b"\0" * 500)
    assert check_image(path).channels == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_nan_and_infinity_are_refused(tmp_path: Path, value: float, suffix: str) -> None:
    image = torch.zeros(2, 4, 5)
    image[1, 2, 3] = value
    write_image(tmp_path / f"one{suffix}", image)
    with pytest.raises(UnreadableImage, match=r"one.* NaN or infinite"):
        read_image(tmp_path / f"one{suffix}")


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "big.png", torch.zeros(1, 30, 30, dtype=torch.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImage, match="more than 200 pixels"):
        read_image(tmp_path / "big.png")


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UnreadableImage):
        read_image(tmp_path / "objects.npy")


def test_the_error_travels_between_processes(tmp_path: Path) -> None:
    error = UnreadableImage(tmp_path / "a.png", "the file is truncated")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.why) == (str(error), error.path, error.why)
