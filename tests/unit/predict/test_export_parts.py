"""Parts of an export that need no study: sections of the card, and the check of a graph."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import tlsearch
from tlsearch.data.references import Catalog, ImageRef
from tlsearch.errors import ExportError
from tlsearch.export import card_sections
from tlsearch.export.check import checked, compare
from tlsearch.export.onnx_file import check_onnx_packages
from tlsearch.records.finals import Finalist, Finals, SeedRun
from tlsearch.records.tested import TestFigure, TestResult

pytestmark = pytest.mark.xdist_group("exported")  # one set of files for all

FIGURE = TestFigure(
    "trial 7", "10-crop", (0.8, 0.82), 0.81, 0.0141, 0.78, 0.84, 0.8, 0.8, 0.6, 0.05, 0.03, 1.2,
    10, 0.01,
)  # fmt: skip


def catalog_of(n: int) -> Catalog:
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(n)]
    refs = tuple(ImageRef(f"x[{k}]", k % 3, image) for k, image in enumerate(images))
    return Catalog(("a", "b", "c"), (), refs, (), (), "0")


def test_a_graph_that_differs_fails_the_export(mean: Path):
    torch, onnx = tlsearch.load(mean), tlsearch.load(mean, onnx=True)
    assert 0 < compare(torch, onnx, catalog_of(40), 1e-4) < 1e-5
    with pytest.raises(ExportError, match="and 1e-12 is allowed; export without --onnx"):
        compare(torch, onnx, catalog_of(40), 1e-12)
    other = tlsearch.load(mean)
    other.model._networks.pop()  # type: ignore[attr-defined]
    with pytest.raises(ExportError, match="differ by"):
        compare(other, onnx, catalog_of(3), 1e-4)


def test_right_answers_are_counted(single: Path):
    catalog, predictor = catalog_of(30), tlsearch.load(single)
    labels = predictor.predict([ref.source for ref in catalog.val]).probabilities.argmax(1)
    found = checked(predictor, catalog)
    assert found.n_right == sum(labels == [ref.label for ref in catalog.val])
    assert found.n_val == 30


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_packages_that_are_not_installed(mean, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExportError, match="pip install onnx onnxruntime onnxscript"):
        check_onnx_packages()
    if package == "onnxruntime":
        with pytest.raises(ExportError, match="pip install onnxruntime"):
            tlsearch.load(mean, onnx=True)


def test_the_section_on_finalists():
    runs = tuple(SeedRun(n, n, accuracy, 1.0) for n, accuracy in enumerate((0.5, 0.6)))
    finalist = Finalist("trial 7", "candidate", None, 7, 2, runs)
    text = card_sections.finals_section(Finals("s", (finalist,), True, why="It is ahead."))
    assert "| trial 7 | 2 | 55.0 % | 7.1 % |" in text
    assert text.endswith("It is ahead.")


def test_the_section_on_test_images_says_which_look():
    looks = [
        TestResult("s", look, datetime(2026, 11, 26, tzinfo=UTC), 500, "trial 7", "train", (1, 2),
                   (FIGURE,), (), (), (), ())
        for look in (1, 2)
    ]  # fmt: skip
    first, second = card_sections.test_section(looks).split("Look 2")
    assert "| trial 7 | 10-crop | 2 | 81.0 % | 1.4 % | 78.0 to 84.0 % |" in first
    assert "Look 1 at the 500 test images, on 2026-11-26" in first
    assert "no honest figure any more" not in first
    assert "no honest figure any more" in second
