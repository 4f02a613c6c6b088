"""Writes the studies of the paper's figures and tables: this folder's TOML files.

    python -m studies.paper.make            # writes what differs, removes what is named no longer
    python -m studies.paper.make --check    # says what differs, and ends with 1 if anything does

The values of the paper's tables are in `tables.py`. A knob that an experiment does not name has its
plain value.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from studies.paper.experiment import COUNTS, PLAIN, RUNS, Experiment, Target
from studies.paper.inception import paper_experiments, paper_target
from studies.paper.small import QUICK, quick_experiments
from studies.paper.tables import PAPER

HERE = Path(__file__).resolve().parent


def rendered(target: Target, experiment: Experiment) -> str:
    """Return the text of a study's file."""
    name = f"{experiment.name}-{target.name}"
    ours = [f"# Ours: {line}." for line in experiment.ours]
    head = [f"# {experiment.title}. {target.head[0]}.", f"# Paper: {experiment.paper}."]
    parts = [
        "\n".join([*head, *ours, *_how_long(target, experiment)]),
        f'name = "{target.prefix}-{name}"',
        target.tables.rstrip(),
        _space(experiment),
        _search(experiment),
        target.checkpoints.rstrip(),
    ]
    return "\n\n".join(parts) + "\n"


def _how_long(target: Target, experiment: Experiment) -> list[str]:
    runs = []
    if experiment.name.startswith("table") and not experiment.measures:
        runs = [
            f"# {RUNS} runs, which differ in recipe.seed alone (1 to {RUNS}): "
            f"python -m bench.paper.run --only {experiment.name}"
        ]
    if target.seconds is None:
        first = f"# The first of {RUNS} runs, which differ in recipe.seed alone: README.md."
        return [first] if runs else []
    seconds, where = target.seconds
    trials = 3 if experiment.measures else (RUNS if runs else experiment.trials)
    minutes = max(1, round(trials * seconds / 60))
    return [*runs, f"# {trials} trials, about {minutes} min {where}."]


def _space(experiment: Experiment) -> str:
    lines = ["[space]"]
    for name, plain in PLAIN.items():
        values = experiment.grid.get(name, (experiment.knobs.get(name, plain),))
        low, high = min(values), max(values)
        lines.append(f"{name} = [{_number(name, low)}, {_number(name, high)}]")
    return "\n".join(lines)


def _search(experiment: Experiment) -> str:
    lines = []
    if experiment.measures:
        lines += ["[measures]", 'when = "worker"', "random_init_share = 0.5", ""]
        lines += ["[prior]", "use = false", ""]
    else:
        lines += ["[measures]", 'when = "off"', ""]
    if experiment.grid:
        lines += ["[sampler]", 'name = "GridSampler"', ""]
        lines += ["[sampler.options.search_space]"]
        for name, values in experiment.grid.items():
            lines.append(f"{name} = [{', '.join(_number(name, value) for value in values)}]")
        lines.append("")
    lines += ["[pruner]", 'name = "none"', "", "[budget]"]
    why = "the grid, and the plain default, which is on it" if experiment.grid else "one setting"
    if experiment.measures:
        why = "fixed features, and the plain default"
    return "\n".join([*lines, f"trials = {experiment.trials}  # {why}"])


def _number(name: str, value: float) -> str:
    return str(int(value)) if name in COUNTS else repr(float(value))


def files() -> dict[Path, str]:
    """Return the text of every file by its path."""
    found: dict[Path, str] = {}
    for name in PAPER:
        target = paper_target(name)
        for each in paper_experiments(name):
            found[HERE / f"{each.name}-{name}.toml"] = rendered(target, each)
    for name, target in QUICK.items():
        for each in quick_experiments(name):
            path = HERE / target.folder / f"{each.name}-{name}.toml"
            found[path] = rendered(target, each)
    return found


def differing(found: Mapping[Path, str]) -> list[Path]:
    """Return the paths whose files differ, are missing, or are named no longer."""
    there = {*HERE.glob("*.toml"), *(HERE / "quickstart").glob("*.toml")}
    changed = {
        path
        for path, text in found.items()
        if path not in there or path.read_text(encoding="utf-8") != text
    }
    return sorted(changed | (there - found.keys()))


def write() -> list[Path]:
    """Write the files that differ, whole or not at all; return their paths."""
    found = files()
    changed = differing(found)
    for path in changed:
        if path not in found:
            path.unlink()
            continue
        path.parent.mkdir(exist_ok=True)
        half = path.with_suffix(".half")
        half.write_text(found[path], encoding="utf-8")
        half.replace(path)
    return changed


def main() -> None:
    """Write the files, or say which differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    if parser.parse_args().check:
        changed = differing(files())
        print("".join(f"{path} differs\n" for path in changed), end="")
        sys.exit(bool(changed))
    for path in write():
        print(path.relative_to(HERE))


if __name__ == "__main__":
    main()
