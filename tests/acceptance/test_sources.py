"""Studies on other sources than folders, from the spec to trained trials."""

import numpy as np
import pytest
from PIL import Image

LIMITS = "train_per_class = 8\nval_per_class = 5\n"


@pytest.fixture
def photos(tmp_path):
    """Twenty files of two classes in one folder, and a manifest beside it."""
    (tmp_path / "files").mkdir()
    lines = ["path,label,group"]
    for k in range(20):
        pixels = np.random.default_rng(k).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"files/{k}.png")
        lines.append(f"files/{k}.png,{'cat' if k % 2 else 'dog'},g{k // 2}")
    (tmp_path / "photos.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "photos.csv"


def spec_of(tiny, path, **options):
    spec = tiny(**options)
    spec.write_text(
        spec.read_text().replace("builtin:fashion-mnist-30", str(path)).replace(LIMITS, "")
    )
    return spec


def test_a_study_on_a_manifest_trains(tlsearch, tiny, photos):
    spec = spec_of(tiny, photos, trials=1)
    (photos.parent / "files/7.png").write_bytes(b"rubbish")
    said = tlsearch.run("check", str(spec), rc=2).stderr
    assert "or set data.max_bad_fraction, the share of them that may be left out" in said
    spec.write_text(spec.read_text().replace("[data]", "[data]\nmax_bad_fraction = 0.05"))
    checked = tlsearch.json("check", str(spec))
    assert checked["classes"] == ["cat", "dog"]
    assert [each["name"] for each in checked["left_out"]] == ["files/7.png"]
    assert "left out: 1 image that cannot be read" in tlsearch.run("create", str(spec)).stdout
    tlsearch.run("worker", "tiny")
    assert tlsearch.json("status", "tiny")["counts"]["complete"] == 1
    text = photos.read_text()
    photos.write_text(text.replace("files/3.png,cat", "files/3.png,dog"))
    said = tlsearch.run("create", str(spec), rc=2).stderr
    assert "1 in another class or split (files/3.png)" in said
    photos.write_text(text.replace("files/3.png", "files/33.png"))
    said = tlsearch.run("check", str(spec), rc=2).stderr
    assert said.startswith(f"error: {photos}: 1 file is not there: files/33.png (line 5)")
    assert len(said.splitlines()) == 1


def test_duplicates_are_a_leak_until_a_clean_manifest_is_used(tlsearch, tiny, photos, tmp_path):
    (tmp_path / "files/2.png").write_bytes((tmp_path / "files/0.png").read_bytes())
    splits = [["train", "val", "test"][max(0, k // 4 - 2)] for k in range(20)]
    lines = photos.read_text().replace("group", "split").splitlines()
    rows = [line.rpartition(",")[0] for line in lines[1:]]
    splits[2] = "val"
    photos.write_text("\n".join([lines[0], *map(",".join, zip(rows, splits, strict=True))]))
    spec = spec_of(tiny, photos)
    (copy,) = tlsearch.json("check", str(spec))["copies"]
    assert (copy["image"], copy["first"]) == ("files/0.png", "files/2.png")
    said = " ".join(tlsearch.run("check", str(spec)).stdout.split())
    assert "note a leak: 1 image has the content of one of another split (train: files/0" in said
    (tmp_path / "files/5.png").write_bytes(b"rubbish")
    assert "5.png" in tlsearch.run("check", str(spec), rc=2).stderr
    wrong = tlsearch.run("check", str(spec), "--drop-duplicates", rc=2).stderr
    assert "needs --write-manifest" in wrong
    target = tmp_path / "clean.csv"
    clean = ("check", str(spec), "--write-manifest", str(target), "--drop-duplicates")
    shown = tlsearch.run(*clean).stdout
    assert "damaged   1 left out" in shown
    assert "copies    1 image like another, 1 of them of another split (a leak); 1 left" in shown
    assert "is there already" in tlsearch.run(*clean, rc=2).stderr
    target.unlink()
    assert len(tlsearch.json(*clean)["damaged"]) == 1
    checked = tlsearch.json("check", str(spec_of(tiny, target)))
    assert (checked["copies"], checked["n_train"]) == ([], 9)
