"""bench/engine: its images, its figures, and that it runs to its end."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]

# By name, since mypy knows the modules of bench/ by other names.
gpu, images, process, run, table = (
    importlib.import_module(f"bench.engine.{name}")
    for name in ("gpu", "images", "process", "run", "table")
)


def trial(arm, seed, seconds, accuracy=0.5):
    parts = dict.fromkeys(table.PARTS, seconds / 4)
    line = {"kind": "trial", "arm": arm, "size": 64, "seed": seed, "seconds": seconds, **parts}
    used = {"cpu_seconds": seconds, "peak_mb": 900.0, "cores_of_others": 0.1}
    return {**line, "accuracy": accuracy, **used}


def test_ratios_are_of_the_same_seed():
    lines = [trial("timm", 1, 8.0), trial("tlsearch", 0, 2.0), trial("tlsearch", 1, 2.0)]
    lines.append(trial("timm", 0, 3.0))
    assert table.speedup(lines, "tlsearch", 64) == [1.5, 4.0]


@pytest.mark.parametrize(("ours", "same"), [((0.52, 0.6), True), ((0.7, 0.72), False)])
def test_accuracies_are_the_same_to_one_deviation_over_seeds(ours, same):
    lines = [trial("timm", seed, 1.0, value) for seed, value in enumerate((0.5, 0.58))]
    lines += [trial("tlsearch", seed, 1.0, value) for seed, value in enumerate(ours)]
    assert table.alike(lines, 64) is same


def test_the_table_says_where_the_goal_is_missed():
    head = {"model": "m", "train": 1, "val": 1, "epochs": 1, "threads": 2, "workers": 2}
    head |= {"jpeg_kb": [40, 50, 60], "cpu": "c", "cores": 2, "python": "3", "versions": {}}
    head |= {"commit": "a" * 40, "started": "now"}
    lines = [head, trial("timm", 0, 2.8), trial("tlsearch", 0, 2.0)]
    text = table.cpu(lines)
    assert "64 pixels: 1.40 times as fast (goal 1.5: missed)." in text
    assert table.between_marks(f"a{table.BEGIN}old{table.END}b", "new").count("new") == 1


def test_an_image_is_a_photograph_in_size_and_the_same_each_time():
    first, label = images.picture(7)
    again, _ = images.picture(7)
    other, other_label = images.picture(8)
    assert max(first.size) == 500
    assert first.tobytes() == again.tobytes() != other.tobytes()
    assert (label, other_label) == (7, 8)


def test_files_are_as_large_as_photographs_and_copies_look_alike(tmp_path):
    images.write([tmp_path / "0", tmp_path / "1"], every=2)
    (first, second) = sorted(tmp_path.rglob("*.jpg"))
    assert 30_000 < first.stat().st_size < 90_000
    assert first.read_bytes() != second.read_bytes()
    with Image.open(first) as one, Image.open(second) as two:
        assert one.size == two.size
        differences = [abs(a - b) for a, b in zip(one.tobytes(), two.tobytes(), strict=True)]
    assert 0 < sum(differences) / len(differences) < 3


def test_the_peak_is_that_of_the_command_alone():
    held = bytearray(300 << 20)
    ran = process.run([sys.executable, "-c", "print('{\"a\": 1}')"], os.environ)
    assert ran.json == {"a": 1}
    assert 1 < ran.peak_mb < len(held) >> 20
    with pytest.raises(RuntimeError, match=r"ended with 3: .*no such thing"):
        process.run([sys.executable, "-c", "print('no such thing'); exit(3)"], os.environ)


def test_without_a_gpu_it_says_so_in_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run", "--device", "cuda", "--results", f"{tmp_path}"])
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.err == "torch finds no GPU here (CUDA), so nothing was measured\n"
    assert not said.out
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_small_run_measures_everything(tmp_path):
    results = tmp_path / "results"
    environment = os.environ | {"TLSEARCH_BENCH_CACHE": f"{tmp_path}"}
    command = [sys.executable, "-m", "bench.engine.run", "--small", "--results", f"{results}"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    text = (results / "cpu.jsonl").read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    trials = [line for line in lines if line["kind"] == "trial"]
    assert [line["arm"] for line in trials] == ["tlsearch", "timm", "timm", "tlsearch"]
    assert all(line["seconds"] > line["steps"] > 0 for line in trials)
    reads = {line["what"]: line for line in lines if line["kind"] == "reading"}
    assert set(reads) == {"decoding alone", "check", "create", "create after check"}
    assert "study 'reading-second' created" in reads["create"]["said"]
    assert "### Reading 40 files" in done.stdout


@pytest.mark.slow
def test_what_a_gpu_would_run_works_on_a_cpu(tmp_path, monkeypatch):
    monkeypatch.setenv("TLSEARCH_BENCH_CACHE", f"{tmp_path}")
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}")
    head, *lines = gpu.measured(gpu.ON_CPU)
    assert [line["kind"] for line in lines] == ["step", "step", "training", "hour"]
    assert all(line["an_hour"] > 0 for line in lines if line["kind"] == "hour")
    shown = table.cuda([head, *lines])
    assert "| network | pixels | step | images a second | of the plain step |" in shown
    assert "| network | pixels | whole training | seconds | batches | steps | validation" in shown
    assert "| network | pixels | workers on the GPU | trials | trials an hour |" in shown
