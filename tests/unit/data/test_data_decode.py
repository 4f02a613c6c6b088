"""Pixels of all kinds of files, against values worked out by hand."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tlsearch.data import ImageRef, stored_size
from tlsearch.data.decode import decode, look_at, open_rgb
from tlsearch.data.idx import read_idx
from tlsearch.data.npz import read_npz
from tlsearch.data.reading import read_all
from tlsearch.errors import DataError
from tlsearch.records.resize import Resize

RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def read(source: Path | np.ndarray) -> np.ndarray:
    return np.asarray(open_rgb(ImageRef("x", 0, source)))


def save(folder: Path, image: Image.Image, name: str = "x.png", **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def mode_of(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey] * 3, axis=-1)


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return rgb * share + 255 * (1 - share)


def test_rgb_and_grey_come_back_as_they_are(tmp_path):
    assert np.array_equal(read(save(tmp_path, Image.fromarray(RGB))), RGB)
    assert np.array_equal(read(save(tmp_path, Image.fromarray(GREY))), as_rgb(GREY))


def test_one_bit(tmp_path):
    bits = GREY > 127
    path = save(tmp_path, Image.fromarray(bits))
    assert mode_of(path) == "1"
    assert np.array_equal(read(path), as_rgb(np.where(bits, 255, 0)))


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, name):
    values = RNG.integers(0, 65536, (6, 9)).astype(np.uint16)
    values[0, :4] = [0, 255, 256, 65535]
    found = read(save(tmp_path, Image.fromarray(values), name))
    assert np.array_equal(found, as_rgb(np.round(values / 257)))
    assert found[0, 0, 0] == 0
    assert found[0, 3, 0] == 255


def test_big_endian_sixteen_bits(tmp_path):
    values = (np.arange(54) * 1200).astype(">u2").reshape(6, 9)
    path = save(tmp_path, Image.frombytes("I;16B", (9, 6), values.tobytes()), "x.tif")
    assert np.array_equal(read(path), as_rgb(np.round(values / 257)))


@pytest.mark.parametrize(("values", "mode"), [(2**20, "int32"), (0.5, "float32")])
def test_refuses_wider_pixels(tmp_path, values, mode):
    path = save(tmp_path, Image.fromarray(np.full((4, 4), values, mode)), "x.tif")
    with pytest.raises(Exception, match=r"has (32-bit|floating-point) pixels"):
        read(path)


def test_rgba_goes_on_white(tmp_path):
    alpha = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
    alpha[0, :2] = [0, 255]
    path = save(tmp_path, Image.fromarray(np.dstack([RGB, alpha])))
    found = read(path)
    assert np.abs(found - on_white(RGB, alpha)).max() <= 1
    assert found[0, 0].tolist() == [255, 255, 255]
    assert np.array_equal(found[0, 1], RGB[0, 1])


def test_la_goes_on_white(tmp_path):
    alpha = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
    path = save(tmp_path, Image.fromarray(np.dstack([GREY, alpha]), "LA"))
    assert mode_of(path) == "LA"
    assert np.abs(read(path) - on_white(as_rgb(GREY), alpha)).max() <= 1


@pytest.mark.parametrize("name", ["x.png", "x.gif"])
@pytest.mark.parametrize("transparent", [None, 2])
def test_palette(tmp_path, name, transparent):
    palette = np.array([[255, 0, 0], [0, 200, 0], [0, 0, 100], [9, 8, 7]])
    indices = RNG.integers(0, 4, (6, 9), dtype=np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.astype(np.uint8).tobytes())
    options = {} if transparent is None else {"transparency": transparent}
    expected = palette[indices]
    if transparent is not None:
        expected[indices == transparent] = 255
    assert np.array_equal(read(save(tmp_path, image, name, **options)), expected)


def test_a_transparent_colour_of_rgb_is_white(tmp_path):
    path = save(tmp_path, Image.fromarray(RGB), transparency=tuple(RGB[2, 3].tolist()))
    found = read(path)
    assert found[2, 3].tolist() == [255, 255, 255]
    assert np.array_equal(found[0], RGB[0])


def test_cmyk(tmp_path):
    inks = np.zeros((8, 8, 4), dtype=np.uint8)
    inks[..., 1], inks[..., 3] = 255, 51  # magenta, a fifth black
    found = read(save(tmp_path, Image.fromarray(inks, "CMYK"), "x.tif"))
    assert np.abs(found.astype(int) - [204, 0, 204]).max() <= 1
    found = read(save(tmp_path, Image.fromarray(inks, "CMYK"), "x.jpg", quality=95))
    assert np.abs(found.astype(int) - [204, 0, 204]).max() <= 4


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "lime", "blue")]
    path = save(tmp_path, frames[0], "x.gif", save_all=True, append_images=frames[1:])
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 3
    assert np.array_equal(read(path), np.full((4, 5, 3), [255, 0, 0]))


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, Image.fromarray(RGB), exif=exif)
    assert np.array_equal(read(path), UPRIGHT[orientation](RGB))


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 1), (6, 9, 3), (6, 9, 4)])
def test_arrays(shape):
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    grey = pixels.reshape(6, 9, -1)
    expected = on_white(grey[..., :3], grey[..., 3]) if shape[2:] == (4,) else grey
    assert np.abs(read(pixels) - expected).max() <= (1 if shape[2:] == (4,) else 0)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 60), (33, 20)),
        ((60, 100), (20, 33)),
        ((8, 8), (20, 20)),
        ((20, 31), (20, 31)),
        ((120, 40), (40, 20)),
        ((40, 200), (20, 40)),
        ((1000, 1), (40, 20)),
    ],
)
def test_the_shorter_side_is_as_asked(size, expected):
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    height, width, _ = decode(ImageRef("x", 0, pixels), 20).shape
    assert (width, height) == expected


def test_resizing_is_bicubic_and_antialiased():
    pixels = RNG.integers(0, 256, (90, 60, 3), dtype=np.uint8)
    by_hand = Image.fromarray(pixels).resize((20, 30), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(ImageRef("x", 0, pixels), 20), np.asarray(by_hand))
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    inner = decode(ImageRef("x", 0, stripes), 16)[2:-2, 2:-2]
    assert np.abs(inner.astype(int) - 127).max() < 8


def test_the_same_size_is_not_resampled():
    assert np.array_equal(decode(ImageRef("x", 0, RGB), 6), RGB)


@pytest.mark.parametrize(("resize", "kept"), [("rounded", (15, 35)), ("timm", (16, 34))])
def test_long_images_are_cropped_about_the_centre(resize: Resize, kept: tuple[int, int]):
    pixels = np.zeros((10, 50, 3), dtype=np.uint8)
    pixels[:, slice(*kept)] = 200
    found = decode(ImageRef("x", 0, pixels), 10, resize)
    assert np.array_equal(found, np.full((10, kept[1] - kept[0], 3), 200))


@pytest.mark.parametrize(
    ("image_size", "eval_crop", "expected"),
    [(224, 0.875, 256), (64, 0.875, 74), (21, 0.7, 30), (64, 0.8, 80), (32, 1.0, 32)],
)
def test_stored_size(image_size, eval_crop, expected):
    assert stored_size(image_size, eval_crop) == expected


def test_a_stored_image_always_holds_the_evaluated_crop():
    for size in range(16, 300):
        for share in np.linspace(0.5, 1, 23):
            assert size <= stored_size(size, float(share)) <= math.ceil(size / share)


def test_large_colour_profiles_and_texts(tmp_path):
    """Pillow's own limit is 1 MB; profiles of printers have more."""
    path = save(tmp_path, Image.fromarray(RGB), icc_profile=bytes(3_000_000))
    assert np.array_equal(read(path), RGB)
    info = PngInfo()
    info.add_text("prompt", "x" * 5_000_000, zip=True)
    assert np.array_equal(read(save(tmp_path, Image.fromarray(RGB), "t.png", pnginfo=info)), RGB)


def test_a_profile_without_end_is_said_in_our_words(tmp_path):
    path = save(tmp_path, Image.fromarray(RGB), icc_profile=bytes(70_000_000))
    _, problems = read_all([ImageRef("x", 0, path)], look_at)
    assert [each.text for each in problems] == [
        f"{path} (has a colour profile or texts of more than 64 MB)"
    ]


def test_warnings_name_the_image_once(tmp_path, caplog, recwarn):
    exif = b"Exif\0\0II*\0" + bytes([8, 0, 0, 0, 2, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0])
    exif += bytes([0x0E, 1, 2, 0, 0xF4, 1, 0, 0, 0xF0, 0xFF, 0, 0, 0, 0, 0, 0])
    odd = save(tmp_path, Image.fromarray(RGB), "odd.jpg", exif=exif)
    large = save(tmp_path, Image.new("1", (10_000, 10_000)), "large.png")
    plain = save(tmp_path, Image.fromarray(RGB), "plain.png")
    refs = [ImageRef(path.name, 0, path) for path in (odd, large, plain)]
    for _ in range(2):
        assert read_all(refs, look_at)[1] == []
    (said,) = caplog.records
    assert "2 images are odd, but can be read: " in said.getMessage()
    assert f"{large} (very large)" in said.getMessage()
    assert f"{odd} (Tag data larger than file" in said.getMessage()
    assert not recwarn.list


POINTERS = {
    b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n": "Git LFS pointer",
    b"/annex/objects/SHA256E-s12--abc.jpg\n": "git-annex pointer",
    b"<!DOCTYPE html><html>": "web page",
    b"": "is empty",
    b"rubbish": "not an image of a known format",
}


@pytest.mark.parametrize("content", POINTERS)
def test_what_stands_for_an_image(tmp_path, content):
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    problem = read_all([ImageRef("x", 0, path)], look_at)[1][0].text
    assert POINTERS[content] in problem


def test_what_stands_for_arrays(tmp_path):
    for name in ("x.npz", "train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (tmp_path / name).write_bytes(next(iter(POINTERS)))
    with pytest.raises(DataError, match="Git LFS pointer"):
        read_npz(tmp_path / "x.npz", "x.npz")
    with pytest.raises(DataError, match="Git LFS pointer"):
        read_idx(tmp_path)


@pytest.mark.parametrize(
    ("begin", "advice"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIC photo, which Pillow cannot open; install"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "is a JPEG XL image, which Pillow cannot open"),
        (bytes(128) + b"DICM", "is a DICOM file, which Pillow cannot open; convert them"),
    ],
)  # fmt: skip
def test_photos_of_other_formats_under_the_name_of_an_image(tmp_path, monkeypatch, begin, advice):
    monkeypatch.setattr("tlsearch.data.decode.register_all", lambda: False)
    path = tmp_path / "IMG_0001.jpg"
    path.write_bytes(begin + bytes(400))
    problem = read_all([ImageRef("x", 0, path)], look_at)[1][0].text
    assert f"{path} ({advice}" in problem


def test_heic_where_its_package_is_installed(tmp_path):
    """Also under the name of another format."""
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    image = Image.new("RGB", (64, 48), (200, 40, 90))
    for name in ("x.heic", "y.jpg"):
        image.save(tmp_path / name, format="HEIF")
        assert np.abs(read(tmp_path / name).astype(int) - (200, 40, 90)).max() < 8
