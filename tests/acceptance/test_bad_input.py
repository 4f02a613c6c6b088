"""Bad input gets one clear sentence and exit code 2; no traceback, nothing half made."""

import os
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from tests.acceptance.study_rows import add_trial
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study


def make_pets(folder, n=6):
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for i in range(n):
            pixels = np.full((20, 20, 3), 10 * i, np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i}.png")
    return folder


@pytest.fixture
def pets(tmp_path):
    return make_pets(tmp_path / "pets")


def refused(tlsearch, *args, lines=1, **env):
    """Run a command that must be refused, and return what it says."""
    done = tlsearch.run(*args, rc=2, **env)
    said = done.stderr.strip().splitlines()
    assert len(said) == lines, done.stderr
    assert all(line.startswith("error: ") for line in said)
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("epochs = 3", "epoch = 3", "recipe.epoch: no such key; did you mean recipe.epochs?"),
        (
            "epochs = 3",
            'epochs = 3\noptimizer = "adamw"\nmomentum = 0.9',
            'momentum = 0.9 is of SGD, and optimizer is "adamw"',
        ),
        ("epochs = 3", "epochs = 3\nema_epochs = 4", "ema_epochs = 4 must be at most epochs = 3"),
        (
            "train_per_class = 8",
            "train_per_class = 1",
            'recipe.batch_norm = "recalibrated": 10 training images of 10 classes are too few',
        ),
        ("epochs = 3", "epochs = 3\nbatch_size = 1", "recipe.batch_size = 1: one image of 32"),
        ("epochs = 3", 'epochs = "3"', 'recipe.epochs = "3": must be a whole number'),
        (
            "[space]",
            "[space]\nhigh_lr = [0.1, 0.01]",
            "space.high_lr = [0.1, 0.01]: has low above high",
        ),
        ("[space]", "[space]\nlow_layers = [0, 40]", "the network has 6 body layers"),
        ("test_efficientnet", "test_eficientnet", "did you mean test_efficientnet"),
        ("builtin:fashion-mnist-30", "nowhere", "nowhere"),
        ("builtin:fashion-mnist-30", "builtin:fashion", "builtin:fashion"),
        ('model = "test_efficientnet"', 'model = "resnet18"', "do not fit resnet18"),
        (
            'model = "test_efficientnet"',
            'model = "halonet_h1"',
            "halonet_h1: it cannot take images of 32 pixels (AssertionError); take 256 pixels",
        ),
    ],
)
def test_specs(tlsearch, tiny, old, new, sentence):
    spec = tiny()
    assert old in spec.read_text()
    spec.write_text(spec.read_text().replace(old, new))
    assert sentence in refused(tlsearch, "create", str(spec))
    assert n_studies(tlsearch) == 0


def test_weights_that_are_no_checkpoint(tlsearch, tiny, tmp_path):
    spec = tiny()
    for name, content in (("list.pth", [1, 2]), ("text.pth", {"state_dict": {"a": "b"}})):
        torch.save(content, tmp_path / name)
        weights = f'weights = "{tmp_path / name}"'
        spec.write_text(re.sub(r"(?m)^weights = .*$", weights, spec.read_text()))
        assert "has no state dict of tensors" in refused(tlsearch, "check", str(spec))
    assert n_studies(tlsearch) == 0


def n_studies(tlsearch):
    """Count all studies, half-made ones too."""
    return len(open_storage(tlsearch.storage_url).get_all_studies())


def empty_class(pets):
    (pets / "bird").mkdir()
    return "bird"


def one_class(pets):
    shutil.rmtree(pets / "cat")
    return "class"


def unreadable(pets):
    (pets / "cat" / "3.png").write_bytes(b"\x89PNG rubbish")
    return "3.png"


def test_images_that_changed_are_named(tlsearch, tiny, pets):
    """By the command that would say that nothing changed, and by the worker."""
    spec = tiny()
    text = spec.read_text().replace("builtin:fashion-mnist-30", str(pets))
    spec.write_text(text.replace("train_per_class = 8\nval_per_class = 5\n", "test_fraction = 0"))
    tlsearch.run("create", str(spec))
    assert "nothing changed" in tlsearch.run("create", str(spec)).stdout
    Image.new("RGB", (20, 20), "red").save(pets / "cat" / "3.png")
    for command in (["create", str(spec)], ["worker", "tiny"]):
        said = refused(tlsearch, *command)
        assert "these are not the images study 'tiny' was created with: 1 changed" in said
        assert "cat/3.png" in said
    (pets / "bird").mkdir()
    shutil.copy(pets / "cat" / "3.png", pets / "bird" / "x.png")
    shutil.copy(pets / "cat" / "3.png", pets / "bird" / "y.png")
    shutil.rmtree(os.environ["XDG_CACHE_HOME"])  # where they were never seen
    assert "the class bird is new" in refused(tlsearch, "worker", "tiny")
    shutil.rmtree(pets)
    assert "nothing changed" in tlsearch.run("create", str(spec)).stdout


def missing(pets):
    shutil.rmtree(pets)
    return str(pets)


@pytest.mark.parametrize("spoil", [empty_class, one_class, unreadable, missing])
def test_images(tlsearch, tiny, pets, spoil):
    spec = tiny()
    text = spec.read_text().replace("builtin:fashion-mnist-30", str(pets))
    spec.write_text(text.replace("train_per_class = 8\nval_per_class = 5\n", ""))
    names = spoil(pets)
    assert names in refused(tlsearch, "create", str(spec))
    assert n_studies(tlsearch) == 0


def test_problems_of_data_network_and_space_come_together(tlsearch, tiny):
    spec = tiny()
    text = spec.read_text().replace("builtin:fashion-mnist-30", "nowhere")
    spec.write_text(text.replace("[space]", "[space]\nlow_layers = 99\nl2sp_layers = 99"))
    said = refused(tlsearch, "check", str(spec), lines=3)
    assert all(key in said for key in ("nowhere", "space.low_layers", "space.l2sp_layers"))


@pytest.mark.parametrize("command", ["worker", "status", "best"])
def test_no_such_study(tlsearch, command):
    assert "study 'cars' does not exist" in refused(tlsearch, command, "cars")


def test_no_finished_trial(tlsearch, tiny, tmp_path):
    tlsearch.run("create", str(tiny()))
    out, nothing = str(tmp_path / "out"), "has no complete trial"
    assert f"{nothing} besides its baselines" in refused(tlsearch, "finalists", "tiny")
    assert f"{nothing} besides its baselines" in refused(tlsearch, "knobs", "tiny")
    assert "has no finalists to test" in refused(tlsearch, "test", "tiny")
    assert f"{nothing} yet" in refused(tlsearch, "export", "tiny", "--out", out, "--json")
    assert f"{nothing} yet" in refused(tlsearch, "report", "tiny", "--out", out)
    assert not os.path.exists(out)
    assert n_studies(tlsearch) == 1


def test_no_default_trial_is_no_reason_to_refuse(tlsearch, tiny, tmp_path):
    tlsearch.run("create", str(tiny()))
    storage = open_storage(tlsearch.storage_url)
    add_trial(storage, find_study(storage, "tiny"), 0.5, params={"high_lr": 0.02})
    shown = tlsearch.run("finalists", "tiny", "--queue-only").stdout
    assert "trial 1 and two baselines" in shown
    assert (
        "from the plain default to trial 1" in tlsearch.run("knobs", "tiny", "--queue-only").stdout
    )
    tlsearch.run("report", "tiny", "--out", str(tmp_path / "out"))
    assert (tmp_path / "out" / "index.html").is_file()


def test_databases(tlsearch, tcp_server, tcp_database):
    wrong = tcp_server.url(tcp_database, password="s3cret-but-wrong")
    said = refused(tlsearch, "status", "x", "--storage", wrong)
    assert "password" in said
    assert "s3cret" not in said
    said = refused(tlsearch, "status", "x", "--storage", "postgresql://u:s3cret@127.0.0.1:1/d")
    assert "127.0.0.1:1" in said
    assert "s3cret" not in said
    assert "nodb" in refused(tlsearch, "status", "x", "--storage", tcp_server.url("nodb"))
    assert "mysql" in refused(tlsearch, "status", "x", "--storage", "mysql://u@h/d")


def test_devices_and_models(tlsearch, tiny):
    tlsearch.run("create", str(tiny()))
    assert "cuda:7" in refused(tlsearch, "worker", "tiny", "--device", "cuda:7")
    assert "gpu" in refused(tlsearch, "worker", "tiny", "--device", "gpu")
    assert "resnet5" in refused(tlsearch, "layers", "resnet5")


def test_a_process_says_the_same(tlsearch):
    done = tlsearch.run_process("worker", "cars")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: study 'cars' does not exist in this database")
    assert len(done.stderr.splitlines()) == 1


def test_usage(tlsearch, tiny):
    for args in (["worker"], ["best", "x", "--top", "0"], ["nonsense"], ["create"]):
        done = tlsearch.run(*args, rc=2)
        assert "Usage" in done.stderr
