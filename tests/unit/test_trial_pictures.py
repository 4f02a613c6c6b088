"""Pictures of a trial."""

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlsearch.report.trial_pictures import confusion_matrix, learning_curve

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        yield


def picture(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("n", [2, 10, 30, 31, 257, 1000])
def test_any_number_of_classes(n: int) -> None:
    rng = np.random.default_rng(n)
    labels = rng.integers(0, n, 5 * n)
    predictions = np.where(rng.random(5 * n) < 0.7, labels, rng.integers(0, n, 5 * n))
    shown = picture(confusion_matrix(labels, predictions, [f"class {i}" for i in range(n)]))
    assert 300 < shown.shape[0] < 1500
    assert 300 < shown.shape[1] < 1600


@pytest.mark.parametrize("n", [3, 40])
def test_classes_without_images_or_errors(n: int) -> None:
    names = ["$x", "y_{", "a name that is much too long to stand here", *map(str, range(n - 3))]
    assert picture(confusion_matrix([0, 1], [0, 1], names)).std() > 0
    assert picture(confusion_matrix([], [], names)).std() > 0
    assert picture(confusion_matrix([0], [2], names, title="cost: 5 $ and _")).std() > 0
    assert picture(confusion_matrix([0], [2], ["猫", "犬", *names[2:]])).std() > 0


NAMES = [
    "$x$",
    "a\\$b",
    "new\nline",
    "\udce9",
    "\0",
    "\x1b[31m",
    "\u202eabc",
    "שלום",
    "🐈‍⬛",
    "",
    " ",
    "^{_",
]


@pytest.mark.parametrize("more", [0, 30])
def test_class_names_that_no_font_or_encoding_takes(more: int) -> None:
    names = [*NAMES, *map(str, range(more))]
    labels = list(range(len(NAMES)))
    assert picture(confusion_matrix(labels, labels[1:] + labels[:1], names)).std() > 0


def test_very_many_classes_take_little_memory() -> None:
    """All pairs of 300,000 classes would take 700 GB."""
    n = 300_000
    labels = np.arange(0, n, 7)
    shown = picture(confusion_matrix(labels, (labels + 1) % n, [str(i) for i in range(n)]))
    assert shown.std() > 0


DRAW = (
    "import sys; from tlsearch.report.trial_pictures import *;"
    "sys.stdout.buffer.write(learning_curve([.1, .3], [[.2]], 'x') +"
    " confusion_matrix([0, 1], [0, 0], ['cat', 'dog']))"
)


def drawn(folder: Path, **environment: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", DRAW],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == b""
    return done.stdout


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return drawn(tmp_path_factory.mktemp("plain"))


SETTINGS = {
    "LaTeX that is missing": b"text.usetex: True",
    "fonts, sizes and colours": b"font.family: cursive\nsavefig.dpi: 300\naxes.facecolor: red",
    "bad keys and values": b"no.such.key: 1\nlines.linewidth: wide\nnonsense",
    "Latin-1": b"font.family: caf\xe9",
    "another format": b"savefig.format: tiff\nsavefig.bbox: tight\nbackend: QtAgg",
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_of_the_user_change_nothing(settings: bytes, plain: bytes, tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(settings)
    assert drawn(tmp_path) == plain


def test_the_environment_changes_nothing(plain: bytes, tmp_path: Path) -> None:
    odd = {"MPLBACKEND": "no such backend", "MATPLOTLIBRC": str(tmp_path / "odd")}
    (tmp_path / "odd").write_bytes(b"\xff")
    assert drawn(tmp_path, **odd) == plain


def test_settings_of_the_user_stay_for_the_user() -> None:
    code = (
        "import matplotlib, os; from tlsearch.report.trial_pictures import *;"
        "matplotlib.rcParams['lines.linewidth'] = 7; learning_curve([.1], []);"
        "assert matplotlib.rcParams['lines.linewidth'] == 7"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_are_normalised() -> None:
    """A class with few images is drawn as dark as one with many."""
    labels = [0] * 100 + [1] * 2
    right = picture(confusion_matrix(labels, labels, ["many", "few"]))
    dark = (right.sum(axis=2) < 200) & (right[..., 2] > right[..., 0] + 50)
    rows = np.flatnonzero(dark.sum(axis=1) > 50)
    assert len(rows) > 150  # both cells of the diagonal
    wrong = picture(confusion_matrix(labels, [1 - label for label in labels], ["many", "few"]))
    assert not np.array_equal(right, wrong)


def test_learning_curves() -> None:
    others = [[0.1, 0.2, 0.3], [0.2], [], [0.3, 0.1]]
    alone = picture(learning_curve([0.2, 0.4, 0.5], []))
    among = picture(learning_curve([0.2, 0.4, 0.5], others, title="trial 3: $0.5"))
    assert alone.shape == among.shape
    assert not np.array_equal(alone, among)
    for curve, rest in (([], []), ([0.5], [[], []]), ([], [[0.1]]), ([0.5], [[0.2] * 300])):
        assert picture(learning_curve(curve, rest)).std() > 0


def test_no_global_state_of_matplotlib() -> None:
    code = (
        "import sys; from tlsearch.report.trial_pictures import *;"
        "learning_curve([.1], [[.2]]); confusion_matrix([0], [1], 'ab');"
        "assert 'matplotlib.pyplot' not in sys.modules; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
