"""`tlsearch predict`: formats, order, bad images, exit codes."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

import tlsearch
from tests.exported_folder import CLASSES
from tests.unit.predict.test_predict import png
from tlsearch.cli.main import main

pytestmark = pytest.mark.xdist_group("exported")  # one set of files for all


class Ran:
    """Runs the command in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys, self._patch = capsys, patch

    def __call__(self, *args: object, rc: int = 0, stdin: bytes = b"") -> tuple[str, str]:
        self._capsys.readouterr()
        self._patch.setattr(sys, "argv", ["tlsearch", "predict", *map(str, args)])
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        assert (ended.value.code or 0) == rc, (out, err)
        return out, err


@pytest.fixture
def run(capsys, monkeypatch) -> Ran:
    return Ran(capsys, monkeypatch)


def test_a_table_for_people(run, single, photos):
    out, err = run(single, photos, "--top-k", 2)
    lines = out.splitlines()
    wanted = tlsearch.load(single).predict(photos, top_k=2)
    assert err == ""
    assert [line.split("  ")[0].strip() for line in lines] == [each.image for each in wanted]
    for line, each in zip(lines, wanted, strict=True):
        assert line.endswith(
            "  ".join(f"{100 * g.probability:5.1f} %  {g.label}".rjust(0) for g in each.top)
        )


def test_csv_in_the_order_of_the_input(run, single, photos):
    names = sorted(map(str, photos.iterdir()), reverse=True)
    (photos / "bad, bad.png").write_bytes(b"x")
    names.insert(3, str(photos / "bad, bad.png"))
    out, err = run(single, *names, "--format", "csv", "--top-k", 3, "--batch-size", 2, rc=1)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["image"] for row in rows] == names
    assert rows[3]["error"] == "not an image of a known format"
    assert rows[3]["label"] == rows[3]["probability_3"] == ""
    assert {row["label"] for row in rows if not row["error"]} <= set(CLASSES)
    first = tlsearch.load(single).predict(names[0], top_k=3)[0]
    assert [rows[0][f"label{n}"] for n in ("", "_2", "_3")] == [g.label for g in first.top]
    assert float(rows[0]["probability"]) == pytest.approx(first.probability, abs=1e-6)
    assert err.splitlines() == [
        f"error: {names[3]}: not an image of a known format",
        "error: 1 of 11 images could not be read; the others are predicted",
    ]


def test_paths_from_standard_input_as_json_lines(run, mean, photos):
    names = [f"{photos}/dot.png", f"{photos}/gone\udcff.png", f"{photos}/grey.png"]
    stdin = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
    out, _ = run(mean, "-", "--format", "jsonl", "--onnx", stdin=stdin, rc=1)
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["image"] for row in rows] == names
    assert rows[1]["error"] == "No such file or directory"
    assert rows[0].keys() == {"image", "label", "probability", "top"}
    assert run(mean, "-", "--format", "jsonl", "--onnx") == ("", "")


def test_a_file_is_written_whole_or_not_at_all(run, single, photos, tmp_path):
    out = tmp_path / "results.jsonl"
    assert run(single, photos, "--format", "jsonl", "--out", out) == ("", "")
    assert len(out.read_text().splitlines()) == 10
    before = out.read_text()
    _, err = run(single, photos, "--top-k", 2, "--out", tmp_path / "gone" / "file", rc=2)
    assert "cannot be written (No such file or directory)" in err
    run(single, tmp_path / "none.png", photos, "--out", out, rc=1)
    assert out.read_text() != before
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "results.jsonl"}


def test_what_is_passed_over_in_a_folder_is_said(run, single, photos):
    (photos / "notes.txt").write_text("no image")
    (photos / ".hidden.png").write_bytes(b"x")
    _, err = run(single, photos)
    assert err == f"{photos}: passed over were 1 file that is no image\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["gone", "a.png"], "gone: no such folder"),
        (["{photos}", "a.png"], "has no tlsearch.json"),
        (["{single}", "{empty}"], "no image in it"),
        (["{single}", "a.png", "--onnx"], "has no model.onnx; export the model again with --onnx"),
        (["{single}", "a.png", "--device", "cuda:9"], "device 'cuda:9' is not there"),
        (["{single}", "a.png", "--top-k", "0"], "--top-k"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run, single, photos, tmp_path, args, said):
    (tmp_path / "empty").mkdir()
    places = {"single": single, "photos": photos, "empty": tmp_path / "empty"}
    out, err = run(*(arg.format(**places) for arg in args), rc=2)
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_an_image_of_one_pixel_and_one_of_too_many(run, single, tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    (tmp_path / "huge.png").write_bytes(png(30_000, 30_000))
    out, err = run(single, tmp_path / "dot.png")
    assert (out.count("\n"), err) == (1, "")
    _, err = run(single, tmp_path / "huge.png", rc=2)
    assert err == f"error: {tmp_path}/huge.png: has too many pixels\n"
    _, err = run(single, tmp_path / "huge.png", tmp_path / "gone.png", rc=2)
    assert err.endswith("\nerror: none of the 2 images could be read\n")


def test_a_folder_with_one_byte_flipped(run, copied, photos):
    weights = copied / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    out, err = run(copied, photos, rc=2)
    assert out == ""
    assert err.startswith(f"error: {weights}: is not the file that was exported")
    assert err.count("\n") == 1


def test_odd_names_stay_on_their_lines(run, single, tmp_path: Path):
    folder = tmp_path / "a\nb"
    folder.mkdir()
    Image.new("RGB", (40, 40)).save(folder / "c\td.png")
    out, _ = run(single, folder)
    assert len(out.splitlines()) == 1
    assert r"a\nb/c\td.png" in out
