"""An image is what its valid tags say: how it lies, how many bits it has, what is white."""

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.unit.data.made_files import BROKEN, exif, oriented, png, tiff
from tests.unit.data.test_data_decode import UPRIGHT, as_rgb, read, save
from tlsearch.data import ImageRef, load_catalog, load_training_data
from tlsearch.data.colours import narrow_range
from tlsearch.data.decode import look_at, open_rgb
from tlsearch.data.orientation import exif_orientation
from tlsearch.data.reading import UnreadableImageError
from tlsearch.spec import DataSpec

RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (16, 24, 3), dtype=np.uint8)
TWELVE = RNG.integers(0, 4096, (16, 24)).astype(np.uint16)
TWELVE[0, :3] = [0, 1, 4095]
COLOURS = RNG.integers(0, 4096, (16, 24, 3)).astype(np.uint16)


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def read_with(path: Path, bits: int | None) -> np.ndarray:
    return np.asarray(open_rgb(ImageRef("x", 0, path, bits)))


def eight(values: np.ndarray, bits: int) -> np.ndarray:
    """Scale to eight bits, the long way."""
    scaled: np.ndarray = np.round(values.astype(np.float64) * 255 / (2**bits - 1))
    return scaled.astype(np.uint8)


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("orientation", [2, 6])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_orientation_beside_broken_tags(tmp_path, suffix, broken, orientation):
    block = oriented(orientation, BROKEN[broken])
    block = block if suffix == "png" else b"Exif\0\0" + block
    options = {"lossless": True} if suffix == "webp" else {"quality": 100, "subsampling": 0}
    image = Image.fromarray(np.kron(RGB, np.ones((8, 8, 1), np.uint8)))
    plain = read(save(tmp_path, image, f"plain.{suffix}", **options))
    turned = read(save(tmp_path, image, f"turned.{suffix}", exif=block, **options))
    assert np.array_equal(turned, UPRIGHT[orientation](plain))


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_of_a_tiff_beside_broken_tags(tmp_path, broken, orientation):
    tags = {258: (3, [8, 8, 8]), 262: (3, [2]), 277: (3, [3]), 274: (3, [orientation])}
    # Pillow stops at some broken tags: before that of the pixels' place, it opens no such file.
    later = [(t if t > 279 else t + 0x1000, k, n, value) for t, k, n, value in BROKEN[broken]]
    path = tiff(tmp_path / "x.tif", RGB.tobytes(), 24, 16, tags, later)
    assert np.array_equal(read(path), UPRIGHT[orientation](RGB))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_of_compressed_tiffs(tmp_path, compression, orientation):
    options = {"compression": compression, "tiffinfo": {274: orientation}}
    path = save(tmp_path, Image.fromarray(RGB), "x.tif", **options)
    assert np.array_equal(read(path), UPRIGHT[orientation](RGB))
    pages = {"save_all": True, "append_images": [Image.new("RGB", (5, 5))]}
    path = save(tmp_path, Image.fromarray(RGB), "pages.tif", **options, **pages)
    assert np.array_equal(read(path), UPRIGHT[orientation](RGB))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [1, 3, 4, 8, 9])
def test_any_whole_number_may_be_an_orientation(order, kind):
    letter = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i"}[kind]
    value = struct.pack(order + letter, 6).ljust(4, b"\0")
    assert exif_orientation(exif([(0x112, kind, 1, value)], order)) == 6


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II*\0",
        b"Exif\0\0",
        b"nonsense",
        oriented(0),
        oriented(9),
        exif([(0x112, 2, 2, b"6\0\0\0")]),
        exif([(0x112, 5, 1, struct.pack("<I", 8))]),
        exif([(0x112, 3, 0, struct.pack("<HH", 6, 0))]),
        b"II*\0" + struct.pack("<I", 2**31),
        b"II*\0" + struct.pack("<IH", 8, 65535),
        oriented(6)[:20],
    ],
)
def test_what_is_no_orientation(block):
    assert exif_orientation(block) is None


def test_a_directory_that_ends_too_early_says_what_it_has():
    assert exif_orientation(oriented(6, [(0x11A, 10, 1, bytes(4))])[:23]) == 6
    assert exif_orientation(b"Exif\0\0Exif\0\0" + oriented(8, order=">")) == 8


def test_the_thumbnails_orientation_is_not_the_images(tmp_path):
    """A second directory may have one of its own."""
    first = exif([(0x10F, 2, 4, b"abc\0")])
    second = struct.pack("<HHHIHH", 1, 0x112, 3, 1, 6, 0) + bytes(4)
    place = 10 + 12  # of the pointer to the next directory
    block = first[:place] + struct.pack("<I", len(first)) + first[place + 4 :] + second
    assert exif_orientation(block) is None


def test_xmp_where_exif_says_nothing(tmp_path):
    xmp = b'<x:xmpmeta xmlns:tiff="t"><rdf:D tiff:Orientation="6"/></x:xmpmeta>'
    path = save(tmp_path, Image.fromarray(RGB), "x.webp", lossless=True, xmp=xmp)
    assert np.array_equal(read(path), UPRIGHT[6](RGB))
    options = {"lossless": True, "xmp": xmp, "exif": oriented(3)}
    path = save(tmp_path, Image.fromarray(RGB), "y.webp", **options)
    assert np.array_equal(read(path), UPRIGHT[3](RGB))


def tif(path: Path, values: np.ndarray, **more: int) -> Path:
    """Write grey of 16 bits as a TIFF; `more` are tags, as t258=12."""
    tags = {258: 16, 262: 1} | {int(name[1:]): value for name, value in more.items()}
    short = {tag: (3, [value]) for tag, value in tags.items()}
    return tiff(path, values.tobytes(), values.shape[1], values.shape[0], short)


def packed_twelve(values: np.ndarray) -> bytes:
    pairs = values.ravel().astype(int).reshape(-1, 2)
    return b"".join((int(a) << 12 | int(b)).to_bytes(3, "big") for a, b in pairs)


def test_twelve_bits_of_a_tiff(tmp_path):
    tags = {258: (3, [12]), 262: (3, [1])}
    path = tiff(tmp_path / "x.tif", packed_twelve(TWELVE), 24, 16, tags)
    assert np.array_equal(read(path), as_rgb(eight(TWELVE, 12)))
    assert look_at(ImageRef("x", 0, path)).used.known


@pytest.mark.parametrize("tag", ["t281", "t341"])
@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_the_largest_value_that_a_tiff_declares(tmp_path, tag, bits):
    values = RNG.integers(0, 2**bits, (16, 24)).astype(np.uint16)
    path = tif(tmp_path / "x.tif", values, **{tag: 2**bits - 1})
    assert np.array_equal(read(path), as_rgb(eight(values, bits)))


def test_a_largest_value_that_is_statistics_scales_nothing(tmp_path):
    path = tif(tmp_path / "x.tif", TWELVE, t281=3977)
    assert np.array_equal(read(path), as_rgb(eight(TWELVE, 16)))


def test_significant_bits_of_a_png(tmp_path):
    """By the format they are the upper ones; some programs write the lower ones."""
    chunks = {b"sBIT": bytes([12])}
    low = png(tmp_path / "low.png", TWELVE, 16, chunks)
    assert np.array_equal(read(low), as_rgb(eight(TWELVE, 12)))
    for name, full in (("repeated", TWELVE << 4 | TWELVE >> 8), ("zeros", TWELVE << 4)):
        path = png(tmp_path / f"{name}.png", full, 16, chunks)
        assert np.array_equal(read(path), as_rgb(eight(full, 16)))
        dark = full >> 5 << 4 if name == "zeros" else (TWELVE >> 8) << 4
        path = png(tmp_path / f"dark-{name}.png", dark, 16, chunks)
        assert np.array_equal(read(path), as_rgb(eight(dark, 16)))
    colours = png(tmp_path / "rgb.png", COLOURS, 16, {b"sBIT": bytes([12] * 3)})
    assert np.array_equal(read(colours), eight(COLOURS, 12))


@pytest.mark.parametrize("bits", [8, 10, 12, 15])
def test_bits_that_the_user_gives(tmp_path, bits):
    grey = RNG.integers(0, 2**bits, (16, 24)).astype(np.uint16)
    colours = RNG.integers(0, 2**bits, (16, 24, 3)).astype(np.uint16)
    alpha = np.full((16, 24, 1), 65535, np.uint16)
    assert np.array_equal(
        read_with(png(tmp_path / "g.png", grey, 16), bits), as_rgb(eight(grey, bits))
    )
    assert np.array_equal(read_with(tif(tmp_path / "g.tif", grey), bits), as_rgb(eight(grey, bits)))
    assert np.array_equal(
        read_with(png(tmp_path / "c.png", colours, 16), bits), eight(colours, bits)
    )
    path = png(tmp_path / "ca.png", np.dstack([colours, alpha]), 16)
    assert np.array_equal(read_with(path, bits), eight(colours, bits))
    path = png(tmp_path / "ga.png", np.dstack([grey, alpha]), 16)
    assert np.array_equal(read_with(path, bits), as_rgb(eight(grey, bits)))
    tags = {258: (3, [16] * 3), 262: (3, [2]), 277: (3, [3])}
    path = tiff(tmp_path / "c.tif", colours.tobytes(), 24, 16, tags)
    assert np.array_equal(read_with(path, bits), eight(colours, bits))


def test_bits_that_the_user_gives_are_not_those_of_files_with_eight(tmp_path):
    assert np.array_equal(read_with(save(tmp_path, Image.fromarray(RGB)), 12), RGB)


@pytest.mark.parametrize("bits", [1, 4, 7])
def test_few_bits_in_files_of_eight(tmp_path, bits):
    values = RNG.integers(0, 2**bits, (16, 24, 3), dtype=np.uint8)
    assert np.array_equal(
        read_with(save(tmp_path, Image.fromarray(values)), bits), eight(values, bits)
    )
    array = np.asarray(open_rgb(ImageRef("x", 0, values, bits)))
    assert np.array_equal(array, eight(values, bits))


@pytest.mark.parametrize("most", [1, 15, 255, 1000, 4095, 65535])
@pytest.mark.parametrize("kind", [b"P5", b"P6", b"P2"])
def test_the_largest_value_of_a_ppm(tmp_path, most, kind):
    shape = (16, 24, 3) if kind == b"P6" else (16, 24)
    values = RNG.integers(0, most + 1, shape)
    body = values.astype(np.uint8 if most < 256 else ">u2").tobytes()
    if kind == b"P2":
        body = " ".join(map(str, values.ravel())).encode()
    (tmp_path / "x.ppm").write_bytes(kind + b" 24 16 %d\n" % most + body)
    expected = np.round(values * 255 / most)
    found = read(tmp_path / "x.ppm").astype(int)
    assert np.abs(found - (expected if kind == b"P6" else as_rgb(expected))).max() <= 1
    known = look_at(ImageRef("x", 0, tmp_path / "x.ppm")).used.known
    assert known == (most not in (255, 65535))


@pytest.mark.parametrize("bits", [None, 12])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_white_is_zero(tmp_path, compression, bits):
    path = tmp_path / "x.tif"
    if compression is None:
        tif(path, TWELVE, t262=0)
    else:
        Image.fromarray(TWELVE).save(path, compression=compression, tiffinfo={262: 0})
    assert np.array_equal(read_with(path, bits), as_rgb(255 - eight(TWELVE, bits or 16)))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey(tmp_path, depth):
    values = RNG.integers(0, 2**depth, (16, 24)).astype(np.uint16)
    values[3, 4] = 2 ** (depth - 1)
    chunks = {b"tRNS": struct.pack(">H", int(values[3, 4]))}
    found = read(png(tmp_path / "x.png", values, depth, chunks))
    expected = eight(values, depth)
    expected[values == values[3, 4]] = 255
    assert np.array_equal(found, as_rgb(expected))


def test_a_transparent_colour_of_sixteen_bits(tmp_path):
    values = RNG.integers(0, 65536, (16, 24, 3)).astype(np.uint16)
    values[3, 5] = values[3, 4] + np.array([0, 0, 1], np.uint16)
    chunks = {b"tRNS": struct.pack(">HHH", *values[3, 4].tolist())}
    found = read(png(tmp_path / "x.png", values, 16, chunks))
    expected = eight(values, 16)
    expected[3, 4] = 255
    assert np.array_equal(found, expected)


def test_signed_values(tmp_path):
    values = RNG.integers(0, 32768, (16, 24)).astype(np.int16)
    tags = {258: (3, [16]), 262: (3, [1]), 339: (3, [2])}
    path = tiff(tmp_path / "x.tif", values.tobytes(), 24, 16, tags)
    assert np.array_equal(read(path), as_rgb(eight(values, 15)))
    twelve = tiff(tmp_path / "t.tif", TWELVE.tobytes(), 24, 16, tags)
    assert np.array_equal(read_with(twelve, 12), as_rgb(eight(TWELVE, 12)))
    small = (values >> 8).astype(np.int8)
    path = tiff(tmp_path / "s.tif", small.tobytes(), 24, 16, tags | {258: (3, [8])})
    assert np.array_equal(read(path), as_rgb(eight(small, 7)))
    for bits, array in ((16, values - 20000), (8, (small - 100).astype(np.int8))):
        path = tiff(tmp_path / "n.tif", array.tobytes(), 24, 16, tags | {258: (3, [bits])})
        with pytest.raises(UnreadableImageError, match=f"has signed {bits}-bit pixels below 0"):
            read(path)


def test_a_set_that_uses_a_small_part_of_the_range(tmp_path):
    twelve = look_at(ImageRef("x", 0, png(tmp_path / "a.png", TWELVE, 16)))
    full = look_at(ImageRef("x", 0, png(tmp_path / "b.png", TWELVE << 4, 16)))
    plain = look_at(ImageRef("x", 0, save(tmp_path, Image.fromarray(RGB))))
    dark = look_at(ImageRef("x", 0, save(tmp_path, Image.fromarray(RGB // 64), "d.png")))
    colours = look_at(ImageRef("x", 0, png(tmp_path / "c.png", COLOURS, 16)))
    assert narrow_range([]) is None
    assert narrow_range([twelve, full]) is None
    assert narrow_range([plain, dark]) is None
    said = narrow_range([twelve, twelve, plain])
    assert said == (
        "2 images have values of 0 to 4095 where 65535 would be white, and come out dark; if 4095 "
        "is white there, set data.bit_depth = 12"
    )
    assert "bit_depth = 12" in str(narrow_range([colours]))
    assert "1 image has values of 0 to 3 where 255" in str(narrow_range([dark]))
    assert narrow_range([look_at(ImageRef("x", 0, tmp_path / "a.png", 12))]) is None


def test_a_study_trains_with_the_bits_it_says(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
        for k in range(4):
            png(tmp_path / "set" / name / f"{k}.png", TWELVE, 16)
    plain, told = (
        load_catalog(DataSpec.model_validate({"path": str(tmp_path / "set"), **more}))
        for more in ({}, {"bit_depth": 12})
    )
    assert plain.fingerprint != told.fingerprint
    dark, right = (load_training_data(catalog, 16, 1.0) for catalog in (plain, told))
    assert dark.train.pixels[0].max() == 15 + 1
    assert np.array_equal(right.train.image(0), as_rgb(eight(TWELVE, 12)))
