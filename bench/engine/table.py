"""Shows the results as Markdown, or writes them into README.md.

python -m bench.engine.table [--results FOLDER] [--write]
"""

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .places import HERE, RESULTS
from .reading import AFTER_CHECK, ALONE, CHECK, CREATE
from .trial import LABELS, OURS, PLAIN, PLAIN_STEP

Line = dict[str, Any]
README = HERE / "README.md"
BEGIN, END = "<!-- results: written by table.py -->", "<!-- end of results -->"
GOAL = 1.5
DEVICES = ("cpu", "cuda")
PARTS = ("reading", "batches", "steps", "validation")


def main() -> None:
    """Read results and print or write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.write:
        write(given.results)
    else:
        print(markdown(kept(given.results)))


def kept(results: Path) -> dict[str, list[Line]]:
    """Return the lines of each device that has some."""
    found = {}
    for device in DEVICES:
        path = results / f"{device}.jsonl"
        if path.exists():
            found[device] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return found


def write(results: Path) -> None:
    """Put the tables between the marks of README.md."""
    README.write_text(between_marks(README.read_text("utf-8"), markdown(kept(results))), "utf-8")


def between_marks(document: str, text: str) -> str:
    """Return a document with another text between its marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def markdown(found: Mapping[str, Sequence[Line]]) -> str:
    """Return the tables of what was measured."""
    parts = [cpu(found["cpu"])] if found.get("cpu") else []
    parts += [cuda(found["cuda"])] if found.get("cuda") else []
    return "\n\n".join(parts) or "There are no results yet."


def cpu(lines: Sequence[Line]) -> str:
    """Return the tables of the CPU."""
    head, rest = lines[0], lines[1:]
    trials = [line for line in rest if line["kind"] == "trial"]
    reads = {line["what"]: line for line in rest if line["kind"] == "reading"}
    parts = []
    if trials:
        parts += ["### A whole trial on a CPU", _trials_foot(head), _trials(trials), _parts(trials)]
    if CHECK in reads and ALONE in reads:
        parts += [f"### Reading {reads[CHECK]['files']:,} files", _reads(reads)]
    return "\n\n".join([*parts, _machine(head, trials)])


def speedup(trials: Sequence[Line], arm: str, size: int) -> list[float]:
    """Return by seed how many times as long timm takes as an arm."""
    ours, plain = _by_seed(trials, arm, size), _by_seed(trials, PLAIN, size)
    return [plain[seed]["seconds"] / ours[seed]["seconds"] for seed in sorted(ours.keys() & plain)]


def alike(trials: Sequence[Line], size: int) -> bool | None:
    """Return whether both reach the same accuracy, to one standard deviation over seeds.

    The larger one of the two arms; None with fewer than two seeds.
    """
    ours, plain = (
        [line["accuracy"] for line in _by_seed(trials, arm, size).values()] for arm in (OURS, PLAIN)
    )
    if min(len(ours), len(plain)) < 2:
        return None
    spread = max(statistics.stdev(ours), statistics.stdev(plain))
    return bool(abs(statistics.mean(ours) - statistics.mean(plain)) <= spread)


def _trials(trials: Sequence[Line]) -> str:
    rows = [
        [
            "pixels",
            "arm",
            "n",
            "seconds",
            "of CPU",
            "peak, MB",
            "accuracy, %",
            "times as fast as timm",
        ]
    ]
    for size in _sizes(trials):
        for arm in LABELS:
            found = list(_by_seed(trials, arm, size).values())
            if not found:
                continue
            ratios = [] if arm == PLAIN else speedup(trials, arm, size)
            rows.append(
                [
                    f"{size}",
                    LABELS[arm],
                    f"{len(found)}",
                    _range([line["seconds"] for line in found], 1),
                    _range([line["cpu_seconds"] for line in found], 1),
                    f"{max(line['peak_mb'] for line in found):.0f}",
                    _mean([100 * line["accuracy"] for line in found]),
                    _range(ratios, 2) if ratios else "",
                ]
            )
    words = [_judged(trials, size) for size in _sizes(trials)]
    return "\n".join([_table(rows), "", *words])


def _judged(trials: Sequence[Line], size: int) -> str:
    ratios, same = speedup(trials, OURS, size), alike(trials, size)
    if not ratios:
        return ""
    middle = statistics.median(ratios)
    reached = "reached" if middle >= GOAL else "missed"
    text = f"- {size} pixels: {middle:.2f} times as fast (goal {GOAL}: {reached})"
    if same is None:
        return f"{text}."
    return f"{text}; accuracy {'the same' if same else 'NOT the same'} to one s.d. over seeds."


def _parts(trials: Sequence[Line]) -> str:
    rows = [["pixels", "arm", "reading", "waiting for batches", "steps", "validation", "rest"]]
    for size in _sizes(trials):
        for arm in LABELS:
            found = list(_by_seed(trials, arm, size).values())
            if found:
                seconds = [statistics.median(line[part] for line in found) for part in PARTS]
                rest = statistics.median(_rest(line) for line in found)
                cells = [f"{value:.1f}" for value in (*seconds, rest)]
                rows.append([f"{size}", LABELS[arm], *cells])
    return f"Where the seconds go (medians):\n\n{_table(rows)}"


def _rest(line: Line) -> float:
    return float(line["seconds"]) - sum(float(line[part]) for part in PARTS)


def _reads(reads: Mapping[str, Line]) -> str:
    alone = reads[ALONE]["seconds"]
    rows = [["what", "seconds", "of CPU", "files a second", "peak, MB", "share of the limit"]]
    for what in (ALONE, CHECK, CREATE, AFTER_CHECK):
        if what not in reads:
            continue
        line = reads[what]
        share = f"{alone / line['seconds']:.0%}" if what in (CHECK, CREATE) else ""
        rate = f"{reads[CHECK]['files'] / line['seconds']:.0f}" if what != AFTER_CHECK else ""
        cells = [
            f"{line['seconds']:.1f}",
            f"{line['cpu_seconds']:.1f}",
            rate,
            f"{line['peak_mb']:.0f}",
        ]
        rows.append([what, *cells, share])
    return _table(rows)


def _trials_foot(head: Line) -> str:
    kb = head["jpeg_kb"]
    return (
        f"{head['model']}, {head['train']} training and {head['val']} validation images as JPEG "
        f"files of {kb[0]:.0f} to {kb[2]:.0f} kB (median {kb[1]:.0f}), {head['epochs']} epochs, "
        f"{head['threads']} threads; timm's loader has {head['workers']} processes. Median "
        "(least to most)."
    )


def _machine(head: Line, trials: Sequence[Line]) -> str:
    others = [line["cores_of_others"] for line in trials if line["cores_of_others"] is not None]
    busy = f"; other processes kept up to {max(others):.1f} cores busy" if others else ""
    versions = ", ".join(f"{name} {number}" for name, number in head["versions"].items())
    return (
        f"{head['cpu']}, {head['cores']} cores; Python {head['python']}, {versions}; commit "
        f"{head['commit'][:12]}; {head['started']}{busy}."
    )


# CUDA


def cuda(lines: Sequence[Line]) -> str:
    """Return the tables of a GPU."""
    head, rest = lines[0], lines[1:]
    steps = [["network", "pixels", "step", "images a second", "of the plain step"]]
    trainings = [["network", "pixels", "whole training", "seconds", *PARTS[1:], "images a second"]]
    hours = [["network", "pixels", "workers on the GPU", "trials", "trials an hour"]]
    for line in rest:
        name = [line["model"], f"{line['size']}"]
        if line["kind"] == "hour":
            hours.append(
                [*name, f"{line['workers']}", f"{line['trials']}", f"{line['an_hour']:.0f}"]
            )
            continue
        rate = f"{line['images_a_second']:.0f}"
        if line["kind"] == "step":
            share = f"{line['images_a_second'] / _of_step(rest, line):.0%}"
            steps.append([*name, line["arm"], rate, share])
        else:
            seconds = [f"{line[part]:.2f}" for part in ("seconds", *PARTS[1:])]
            trainings.append([*name, line["arm"], *seconds, rate])
    versions = ", ".join(f"{name} {number}" for name, number in head["versions"].items())
    foot = (
        f"{head['device']}; batches of {head['batch_size']}, {head['train']} training images, "
        f"{head['epochs']} epochs a trial; {versions}; commit {head['commit'][:12]}; "
        f"{head['started']}."
    )
    tables = [_table(table) for table in (steps, trainings, hours) if len(table) > 1]
    return "\n\n".join(["### On a GPU", *tables, foot])


def _of_step(lines: Sequence[Line], of: Line) -> float:
    """Return the images a second of the plain step with the same network and size."""
    return next(
        float(line["images_a_second"])
        for line in lines
        if line["kind"] == "step"
        and line["arm"] == PLAIN_STEP
        and (line["model"], line["size"]) == (of["model"], of["size"])
    )


# Parts


def _by_seed(trials: Iterable[Line], arm: str, size: int) -> dict[int, Line]:
    return {line["seed"]: line for line in trials if line["arm"] == arm and line["size"] == size}


def _sizes(trials: Iterable[Line]) -> list[int]:
    return sorted({line["size"] for line in trials})


def _range(values: Sequence[float], digits: int) -> str:
    middle, least, most = (f"{of(values):.{digits}f}" for of in (statistics.median, min, max))
    return middle if len(values) == 1 else f"{middle} ({least} to {most})"


def _mean(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.1f}"
    return f"{mean} +- {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def _table(rows: Sequence[Sequence[str]]) -> str:
    shown = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in shown)


if __name__ == "__main__":
    main()
