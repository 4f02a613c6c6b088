"""`config.json` and `model.safetensors`, as timm reads them."""

import json
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import tlsearch
from tests.exported_folder import lively, write_folder
from tlsearch.backbones.exported import crop_share, hub_id_of, licence_of
from tlsearch.export.folder import new_folder


@pytest.mark.parametrize("network", ["test_vit", "test_convnext", "test_resnet", "test_nfnet"])
def test_networks_of_other_kinds(tmp_path: Path, network: str):
    """One with position embeddings is built for its image size, which timm is told."""
    folder, side, classes = tmp_path / "out", 96, ("a", "b", "c")
    write_folder(folder, (5,), classes=classes, network=network, side=side, short=110)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(model(images), lively(5, 3, network, side)(images))
    config = timm.data.resolve_data_config({}, model=model)
    assert tuple(config["input_size"]) == (3, side, side)
    assert (config["interpolation"], config["crop_mode"]) == ("bicubic", "center")
    resize = timm.data.create_transform(**config).transforms[0]
    assert resize.size == 110
    assert tlsearch.load(folder).predict(torch.zeros(7, 9, 3).byte().numpy())[0].label in classes


def test_the_resize_of_timm_is_ours():
    for side in (16, 32, 64, 224, 299, 1024):
        for short in range(side, 2 * side + 1):
            assert math.floor(side / crop_share(side, short)) == short


def test_rectangles_are_predicted_alike_by_plain_timm(single: Path, tmp_path: Path):
    """Files of many shapes, opened as a user of timm opens them; to the last image."""
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{k}.jpg" for k in range(60)]
    for path, (height, width) in zip(paths, random.integers(20, 160, (60, 2)), strict=True):
        corner = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(corner).resize((int(width), int(height)), 3).save(path, quality=90)
    model = timm.create_model(f"local-dir:{single}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    inputs = torch.stack([transform(Image.open(path).convert("RGB")) for path in paths])
    with torch.inference_mode():
        by_timm = model(inputs).softmax(1).numpy()
    found = tlsearch.load(single).predict(paths).probabilities
    np.testing.assert_allclose(by_timm, found, atol=1e-5)
    assert (by_timm.argmax(1) == found.argmax(1)).all()
    assert len(set(found.argmax(1))) == 3


def test_a_licence_is_only_what_timm_states():
    assert licence_of("resnet50.a1_in1k") == "apache-2.0"
    assert licence_of("vit_small_patch14_dinov2.lvd142m") == "apache-2.0"
    assert licence_of("no_such_network") is None
    assert hub_id_of("resnet50.a1_in1k") == "timm/resnet50.a1_in1k"


def test_the_config_says_nothing_of_the_pretrained_classes(single: Path):
    config = json.loads((single / "config.json").read_text())
    assert config["num_classes"] == config["pretrained_cfg"]["num_classes"] == 3
    assert not {"url", "hf_hub_id", "label_offset"} & config["pretrained_cfg"].keys()


def test_names_of_classes_that_are_no_utf_8(tmp_path: Path):
    names = ("caf\udce9", "\u202e", "a\nb")
    write_folder(tmp_path / "out", classes=names)
    predictor = tlsearch.load(tmp_path / "out")
    assert predictor.class_names == names
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True)
    assert model.pretrained_cfg["label_names"] == list(names)


def test_what_a_killed_export_left_goes_after_a_day(tmp_path: Path):
    old, young = (tmp_path / f".out.half-written-{name}" for name in ("old", "young"))
    for each in (old, young, tmp_path / ".other.half-written-old"):
        each.mkdir()
        (each / "model.safetensors").write_text("half")
        day = time.time() - (0 if each is young else 90_000)
        os.utime(each, (day, day))
    with new_folder(tmp_path / "out") as folder:
        (folder / "file").write_text("whole")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"out", young.name, ".other.half-written-old"}
