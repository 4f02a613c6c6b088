"""Exported folders that are damaged, incomplete or of another kind: a sentence with the file."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import tlsearch
from tests.exported_folder import write_folder
from tlsearch.errors import ExportError
from tlsearch.predict.exported import NAME, read_exported

pytestmark = pytest.mark.xdist_group("exported")  # one set of files for all


def refusal(folder: Path, **options) -> str:
    with pytest.raises(ExportError) as caught:
        tlsearch.load(folder, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def rewrite(folder: Path, **changes: object) -> None:
    """Change what `tlsearch.json` says, with a right checksum."""
    words = json.loads((folder / NAME).read_text())
    words.pop("sha256")
    words |= changes
    text = json.dumps(words, sort_keys=True)
    words["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / NAME).write_text(json.dumps(words))


def test_what_is_written_is_read(mean):
    found = read_exported(mean)
    assert found.text() == (mean / NAME).read_text()
    assert json.loads(found.text())["join"].startswith("geometric mean")
    assert [each.folder for each in found.members] == ["1", "2"]
    assert set(found.files) == {
        "1/config.json", "1/model.safetensors", "2/config.json", "2/model.safetensors",
        "model.onnx",
    }  # fmt: skip


@pytest.mark.parametrize("name", [NAME, "config.json", "model.safetensors"])
@pytest.mark.parametrize("where", [0.001, 0.5, 0.999])
def test_a_flipped_bit_is_found_and_named(copied, name, where):
    path = copied / name
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    assert str(path) in refusal(copied)


def test_a_flipped_bit_in_a_graph(mean, tmp_path):
    copy = Path(shutil.copytree(mean, tmp_path / "copy"))
    content = bytearray((copy / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 128
    (copy / "model.onnx").write_bytes(content)
    assert "model.onnx: is not the file that was exported" in refusal(copy, onnx=True)
    tlsearch.load(copy)  # which does not use it


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file(copied, name):
    (copied / name).unlink()
    assert f"{copied / name}: is missing" in refusal(copied)


def test_what_is_no_exported_folder(tmp_path, copied):
    assert "no such folder" in refusal(tmp_path / "gone")
    assert "no such folder" in refusal(copied / NAME)
    assert f"has no {NAME}" in refusal(tmp_path)
    assert "has no model.onnx" in refusal(copied, onnx=True)
    for text in ("", "[]", "{}", "\ufeff{", "null", '{"format": 1, "sha256": 3}'):
        (copied / NAME).write_text(text)
        assert "is damaged or was changed" in refusal(copied)
    (copied / NAME).write_bytes(b"\xff\xfe\x00")
    assert "is damaged or was changed" in refusal(copied)


def test_an_unknown_format(copied):
    rewrite(copied, format=3)
    assert "has format 3, and this version of tlsearch reads 1 and 2" in refusal(copied)


def test_weights_of_another_number_of_classes(copied, tmp_path):
    rewrite(copied, class_names=["one", "two"])
    assert "its weights are for 3 classes, and there are names of 2" in refusal(copied)
    write_folder(tmp_path / "four", classes=("a", "b", "c", "d"))
    weights = (tmp_path / "four" / "model.safetensors").read_bytes()
    (copied / "model.safetensors").write_bytes(weights)
    files = dict(read_exported(copied).files)
    rewrite(copied, files=files | {"model.safetensors": hashlib.sha256(weights).hexdigest()})
    assert "size mismatch for classifier" in refusal(copied)


def test_a_readme_may_be_edited(copied):
    (copied / "README.md").write_text("mine")
    tlsearch.load(copied)
