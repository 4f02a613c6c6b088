"""Weights that timm takes from its hub, here from a cache on the disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch

REVISION = "0" * 40
COMPARE = """
import sys
from tlsearch.backbones import load_backbone
for name, path, size in zip(sys.argv[1::3], sys.argv[2::3], sys.argv[3::3]):
    hub, file = (load_backbone(name, weights, int(size)) for weights in ("timm", path))
    print(name, size, hub.fingerprint() == file.fingerprint())
"""


def cached(name: str, home: Path) -> Path:
    """Put random weights where huggingface_hub keeps those it has downloaded."""
    repository = timm.create_model(name).pretrained_cfg["hf_hub_id"].replace("/", "--")
    folder = home / "hub" / f"models--{repository}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(REVISION)
    path = folder / "snapshots" / REVISION / "model.safetensors"
    path.parent.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        safetensors.torch.save_file(timm.create_model(name).state_dict(), path)
    return path


@pytest.mark.slow
def test_the_hub_gives_what_the_file_gives(tmp_path):
    """At the native size and at others, whether timm's loader of the family resamples or not."""
    asked = [("test_vit", (160, 64)), ("pit_ti_224", (224, 64)), ("test_resnet", (160, 64))]
    arguments = []
    for name, sizes in asked:
        path = cached(name, tmp_path)
        for size in sizes:
            arguments += [name, str(path), str(size)]
    offline = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, *arguments],
        env=offline,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == [
        word for name, sizes in asked for size in sizes for word in (name, str(size), "True")
    ]
