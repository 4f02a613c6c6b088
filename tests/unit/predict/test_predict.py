"""Predictions of exported folders, from Python."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import tlsearch
from tests.exported_folder import CLASSES, lively
from tlsearch.errors import DataError, InputError
from tlsearch.predict.exported import read_exported
from tlsearch.predict.images import crops_of, given_images
from tlsearch.predict.mean import mean_of
from tlsearch.predict.preprocess import normalised

pytestmark = pytest.mark.xdist_group("exported")  # one set of files for all


def logits_of(seed: int, folder: Path, images) -> torch.Tensor:
    """What the network that was exported says, before it was written."""
    pre = read_exported(folder).preprocessing
    inputs = normalised(crops_of(given_images(images), pre), pre)  # type: ignore[arg-type]
    model = lively(seed, len(CLASSES)).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.from_numpy(inputs).permute(0, 3, 1, 2))
    return logits


def paths_of(photos: Path) -> list[Path]:
    return sorted(photos.iterdir())


def test_probabilities_are_those_of_the_network_that_was_exported(single, photos):
    found = tlsearch.load(single).predict(paths_of(photos), top_k=2)
    wanted = logits_of(1, single, paths_of(photos)).softmax(1).numpy()
    assert np.array_equal(found.probabilities, wanted)
    for each, row, path in zip(found, wanted, paths_of(photos), strict=True):
        assert (each.image, each.error) == (str(path), None)
        assert each.label == CLASSES[row.argmax()]
        assert each.probability == row.max()
        assert [g.probability for g in each.top] == sorted(row.tolist(), reverse=True)[:2]
    assert len({each.label for each in found}) > 1


def test_the_mean_of_two_is_the_geometric_one(mean, photos):
    found = tlsearch.load(mean).predict(paths_of(photos))
    logits = [logits_of(seed, mean, paths_of(photos)) for seed in (1, 2)]
    wanted = torch.stack([each.log_softmax(1) for each in logits]).mean(0).softmax(1).numpy()
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-6)
    assert np.array_equal(found.probabilities, mean_of(*(t.softmax(1).numpy() for t in logits)))


def test_a_batch_size_changes_nothing(single, photos):
    predictor = tlsearch.load(single)
    whole = predictor.predict(photos)
    for size in (1, 3):
        parts = predictor.predict(photos, batch_size=size)
        np.testing.assert_allclose(parts.probabilities, whole.probabilities, atol=1e-5)
        assert [each.image for each in parts] == [each.image for each in whole]


def test_onnx_gives_the_same(mean, photos):
    images = paths_of(photos)
    torchs, onnx = tlsearch.load(mean), tlsearch.load(mean, onnx=True)
    for part in (images[:1], images, []):
        wanted = torchs.predict(part).probabilities
        np.testing.assert_allclose(onnx.predict(part).probabilities, wanted, atol=1e-5)


def test_kinds_of_images_may_be_mixed(single, photos):
    pixels = np.asarray(Image.open(photos / "large.tif"))
    images = [photos / "large.tif", Image.fromarray(pixels), pixels, str(photos / "large.tif")]
    found = tlsearch.load(single).predict(images)
    assert len(found) == 4
    assert np.ptp(found.probabilities, axis=0).max() < 1e-6
    assert [each.image for each in found][1:3] == ["image 1", "image 2"]
    assert len(tlsearch.load(single).predict(np.stack([pixels] * 3))) == 3


def test_a_folder_stands_for_its_images_sorted(single, photos):
    inner = photos / "b" / "deeper"
    inner.mkdir(parents=True)
    (photos / "dot.png").rename(inner / "dot.png")
    (photos / "notes.txt").write_text("no image")
    found = [Path(each.image) for each in tlsearch.load(single).predict(photos)]
    assert found == sorted(found)
    assert len(found) == 10
    assert inner / "dot.png" in found


def test_a_bad_image_is_named_and_the_others_go_on(single, photos):
    (photos / "broken.jpg").write_bytes((photos / "turned.jpg").read_bytes()[:200])
    (photos / "lfs.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    good = tlsearch.load(single).predict(
        [p for p in paths_of(photos) if p.stem not in "broken lfs"]
    )
    found = tlsearch.load(single).predict([*paths_of(photos), "gone.png"], batch_size=4)
    said = {Path(each.image).name: each.error for each in found.errors}
    assert said.keys() == {"broken.jpg", "lfs.png", "gone.png"}
    assert "Git LFS pointer" in (said["lfs.png"] or "")
    assert said["gone.png"] == "No such file or directory"
    assert all(each.label is None and each.top == () for each in found.errors)
    failed = [each.error is not None for each in found]
    assert np.isnan(found.probabilities[failed]).all()
    rest = found.probabilities[[not each for each in failed]]
    np.testing.assert_allclose(rest, good.probabilities, atol=1e-6)


def png(width: int, height: int) -> bytes:
    """Return a white image of one bit a pixel, made without having all of its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    rows = zlib.compress((b"\0" + b"\xff" * -(-width // 8)) * height, 1)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_images_of_any_size(single, tmp_path):
    (tmp_path / "huge.png").write_bytes(png(30_000, 30_000))
    Image.new("L", (30_000, 40), 255).save(tmp_path / "long.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    (tmp_path / "wide.png").write_bytes(png(30_000, 30))
    dot, huge, long, wide = tlsearch.load(single).predict(tmp_path)
    assert dot.label in CLASSES
    assert huge.error == "has too many pixels"
    assert long.label in CLASSES
    assert wide.label in CLASSES


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((5, 5, 3)), "float64"),
        (np.zeros((5, 5, 2), np.uint8), "(5, 5, 2)"),
        (np.zeros((0, 5, 3), np.uint8), "(0, 5, 3)"),
        (7, "int"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_image_by_its_type(single, image, said):
    with pytest.raises(DataError, match="image 0 is") as caught:
        tlsearch.load(single).predict([image])
    assert said in str(caught.value)


def test_odd_numbers(single, photos):
    for wrong in ({"top_k": 0}, {"batch_size": 0}):
        with pytest.raises(InputError, match="must be 1 or more"):
            tlsearch.load(single).predict(photos, **wrong)
    assert len(tlsearch.load(single).predict(photos / "dot.png", top_k=99)[0].top) == len(CLASSES)
    with pytest.raises(InputError, match="'cuda:7' is not there"):
        tlsearch.load(single, device="cuda:7")


def test_a_notebook_shows_a_small_table(single, photos):
    (photos / "a<b>.png").write_bytes(b"nothing")
    page = tlsearch.load(single).predict([photos] * 3, top_k=3)._repr_html_()
    assert page.count("<tr>") == 1 + 20 + 1
    assert "a&lt;b&gt;.png" in page
    assert "&lt;b&gt;&amp;amp;" in page
    assert "and 13 more" in page
    assert "cannot be read" in page


def test_timm_loads_what_was_exported_bit_by_bit(single):
    found = timm.create_model(f"local-dir:{single}", pretrained=True).eval()
    images = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        assert torch.equal(found(images), lively(1, len(CLASSES))(images))
    assert found.pretrained_cfg["label_names"] == list(CLASSES)


FORBIDDEN = ("optuna", "sqlalchemy", "psycopg2", "sklearn", "scipy", "matplotlib")
ROOMS = ("finetune", "worker", "store", "studies", "export", "sampler", "measures")


@pytest.mark.parametrize("onnx", [False, True])
def test_predicting_loads_nothing_of_search_and_training(mean, photos, onnx):
    """With `--onnx` not even torch."""
    code = (
        "import sys; from tlsearch.cli.main import main\n"
        "try: main()\nfinally: sys.stderr.write(' '.join(sorted(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "predict", str(mean), str(photos)]
    command += ["--format", "jsonl", *(["--onnx"] if onnx else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
    loaded = set(done.stderr.split())
    wrong = {*FORBIDDEN, *(f"tlsearch.{room}" for room in ROOMS)}
    assert ("torch" in loaded, "timm" in loaded) == (not onnx, not onnx)
    assert ("onnxruntime" in loaded) == onnx
    assert loaded & (wrong if onnx else wrong - {"scipy"}) == set()
    assert len(done.stdout.splitlines()) == 10
