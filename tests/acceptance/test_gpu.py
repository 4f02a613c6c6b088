"""What a user does on a GPU: workers that share one, their energy, a model for the CPU."""

import json

import numpy as np
import pytest
import sqlalchemy as sa
import torch
from PIL import Image

from tests.acceptance.conftest import storage_at
from tests.acceptance.test_workers import records_of
from tlsearch.data import load_catalog
from tlsearch.spec import DataSpec
from tlsearch.store.studies import find_study

pytestmark = [pytest.mark.gpu, pytest.mark.xdist_group("gpu")]


def test_two_workers_share_a_gpu_and_its_model_predicts_on_a_cpu(
    tlsearch, tiny, storage_url, tmp_path
):
    tlsearch.run("create", str(tiny(trials=6, epochs=3, real=True, measures="worker")))
    done = tlsearch.run_process("worker", "tiny", "--gpus", "0", "--per-gpu", "2", "--json")
    assert done.returncode == 0, done
    assert [slot["slot"] for slot in json.loads(done.stdout)] == ["cuda:0/1", "cuda:0/2"]
    records = records_of(storage_url)
    assert {record.state for record in records} <= {"complete", "pruned"}
    storage = storage_at(storage_url)
    trials = storage.get_all_trials(find_study(storage, "tiny").study_id)
    trained = [trial for trial in trials if "times" in trial.user_attrs]
    with storage.engine.connect() as connection:
        names = connection.scalars(sa.text("SELECT device_name FROM tlsearch.workers")).all()
    assert names == [torch.cuda.get_device_name()] * 2
    assert all(trial.user_attrs["energy_joules"] > 0 for trial in trained)

    best = max(
        (record for record in records if record.state == "complete" and record.params),
        key=lambda record: record.val_accuracy or 0,
    )
    out = tmp_path / "out"
    tlsearch.run("export", "tiny", "--trial", f"{best.number}", "--out", f"{out}")
    images = tmp_path / "images"
    images.mkdir()
    catalog = load_catalog(DataSpec(path="builtin:fashion-mnist-30", val_per_class=5))
    for number, image in enumerate(catalog.val):
        assert isinstance(image.source, np.ndarray)
        Image.fromarray(image.source).save(images / f"{number:03}.png")
    told = {
        device: tlsearch.run(
            "predict", f"{out}", f"{images}", "--device", device, "--format", "jsonl"
        ).stdout.splitlines()
        for device in ("cpu", "cuda")
    }
    pairs = list(zip(*(map(json.loads, lines) for lines in told.values()), strict=True))
    assert len(pairs) == len(catalog.val)
    alike = [one["label"] == other["label"] for one, other in pairs]
    assert sum(alike) >= 0.95 * len(alike)
