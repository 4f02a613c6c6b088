"""Exported folders of random networks, and odd images, without a study."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.unit.data.made_files import oriented
from tlsearch.backbones import ExportedNetwork, build, input_statistics, pooled_features
from tlsearch.export.networks import write_manifest, write_networks
from tlsearch.export.onnx_file import write_onnx
from tlsearch.predict.exported import Exported, Kind, Member, Preprocessing

NETWORK = "test_efficientnet"
CLASSES = ("bag", "ankle boot", "<b>&amp;")
SIDE, SHORT = 32, 37  # an odd margin


def lively(seed: int, n_classes: int, network: str = NETWORK, side: int = SIDE) -> torch.nn.Module:
    """Return a random network whose classes differ from image to image."""
    model = build(network, n_classes, seed, side).eval()
    generator = torch.Generator().manual_seed(seed)
    weight, bias = model.get_classifier().parameters()  # type: ignore[operator]
    with torch.no_grad():
        features = pooled_features(model, torch.randn(32, 3, side, side, generator=generator))
        rows = torch.randn(weight.shape, generator=generator)
        rows /= (features @ rows.T).std(0)[:, None]
        weight.copy_(rows)
        bias.copy_(-rows @ features.mean(0))
    return model


def write_folder(
    folder: Path,
    seeds: tuple[int, ...] = (1,),
    *,
    classes: tuple[str, ...] = CLASSES,
    network: str = NETWORK,
    side: int = SIDE,
    short: int = SHORT,
    onnx: bool = False,
) -> Exported:
    """Export networks of these seeds; several are joined by their mean."""
    folder.mkdir()
    models = [lively(seed, len(classes), network, side) for seed in seeds]
    statistics = input_statistics(models[0])
    places = [str(n) for n in range(1, len(seeds) + 1)] if len(seeds) > 1 else ["."]
    members = tuple(Member(place, network, "trial", "tiny", 3, 0.5) for place in places)
    pre = Preprocessing(side, short, statistics.mean, statistics.std, resize="timm")
    kind: Kind = "mean" if len(seeds) > 1 else "trial"
    exported = Exported("tiny", kind, members, classes, pre, 0.5, 20, {"tlsearch": "0"}, {})
    states = [
        ExportedNetwork(network, model.state_dict(), classes, side, short, None) for model in models
    ]
    exported = write_networks(folder, exported, states)
    if onnx:
        write_onnx(folder, exported)
        exported = write_manifest(folder, exported)
    return exported


def odd_images(seed: int = 0) -> dict[str, bytes]:
    """Return files by name: of many sizes and modes."""
    random = np.random.default_rng(seed)

    def pixels(*shape: int) -> np.ndarray:
        return random.integers(0, 256, shape, dtype=np.uint8)

    exif = b"Exif\0\0" + oriented(6)
    deep = random.integers(0, 65536, (50, 70), dtype=np.uint16)
    palette = Image.fromarray(pixels(45, 60, 3)).quantize(32)
    images: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "turned.jpg": (Image.fromarray(pixels(60, 90, 3)), {"quality": 90, "exif": exif}),
        "cmyk.jpg": (Image.fromarray(pixels(48, 48, 4), "CMYK"), {}),
        "grey.png": (Image.fromarray(pixels(37, 37)), {}),
        "deep.png": (Image.fromarray(deep), {}),
        "palette.png": (palette, {"transparency": 3}),
        "clear.png": (Image.fromarray(pixels(39, 64, 4)), {}),
        "wide.png": (Image.fromarray(pixels(20, 300, 3)), {}),
        "tall.webp": (Image.fromarray(pixels(301, 90, 3)), {"lossless": True}),
        "dot.png": (Image.fromarray(pixels(1, 1, 3)), {}),
        "large.tif": (Image.fromarray(pixels(400, 333, 3)), {}),
    }
    return {name: _written(name, image, options) for name, (image, options) in images.items()}


def _written(name: str, image: Image.Image, options: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    kind = {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], name.rsplit(".", 1)[1].upper())
    image.save(out, format=kind, **options)
    return out.getvalue()
