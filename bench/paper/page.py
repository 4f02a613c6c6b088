"""Writes docs/paper.md from the results: the paper's claims, one by one, beside our figures.

python -m bench.paper.page [--results FOLDER] [--out FILE]
"""

import argparse
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.accuracy.places import ROOT
from bench.accuracy.run import lines

from . import verdicts
from .claims import CLAIMS, Claim, fit_of, side
from .found import Found, Trial
from .results import RESULTS
from .units import TARGETS, experiments, runs

PAGE = ROOT / "docs" / "paper.md"
WHAT = {
    "fashion-30": "300 images of clothes (the quickstart's), 20 epochs: 180 steps",
    "emoji": "320 of Google's emoji by category, 20 epochs: 200 steps",
    "digits": "300 handwritten digits of 8 x 8 pixels, 20 epochs: 180 steps",
    "fashion-30-long": "the images of clothes again, 112 epochs: 1,008 steps; rates and L2-SP",
}
INTRO = """\
# The paper's claims on small images

Written by `python -m bench.paper.page` from `bench/paper/results`; do not edit it.

What of *Rethinking binary hyperparameters for deep transfer learning for image classification*
(Plested, Shen, Gedeon) holds for a small network on a few hundred small images? Its experiments are
studies: those on its own data and network in `studies/paper`, the same on small images in
`studies/paper/quickstart`, which this page is about. The network is tf_efficientnet_lite0 with
ImageNet weights at 32 pixels. Nothing here says that the paper is wrong about its own network and
data; it says how far its claims carry.

    python -m bench.paper.run       # what is missing; all is {hours:.0f} hours of a core
    python -m bench.paper.page

{progress}

In 180 steps L2-SP has little time to act, and a rate ten times lower hardly trains; so one target
trains 1,008 steps."""
RULE = """\
## How a verdict is made

{rules}

The paper's figures and ours show one run, its tables and ours four. A table's setting is the best
of the figure before it by validation accuracy, and its four runs have other seeds than that figure.
Each is tested on the test images once, and nothing is chosen by them. Whether the weights fit is
the paper's own rule, on validation images.

The paper's own differences are small beside their spread: by its standard deviations of four runs,
two standard errors of a difference from the default are 0.1 to 0.2 points on Caltech, Cars and
Aircraft with one new layer, 0.75 on DTD. That is the seeds' part alone; an accuracy on its test
images has a standard error of 0.25 (Cars), 0.4 (Aircraft) and 1 point (DTD) besides."""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args()
    text = page(given.results)
    half = given.out.with_suffix(".half")
    half.write_text(text, encoding="utf-8")
    half.replace(given.out)
    print(given.out)


def page(results: Path) -> str:
    """Return the page as Markdown."""
    every = [Found(target, found) for target in TARGETS if len(found := lines(results, target)) > 1]
    parts = [
        INTRO.format(hours=_hours(), progress="\n".join(_progress(results))),
        "## In short\n\n" + _summary(every),
        *(_claim(number, claim, every) for number, claim in enumerate(CLAIMS, 1)),
        RULE.format(rules=_rules()),
        "## Our figures",
        *(part for found in every for part in _figures(found)),
    ]
    return "\n\n".join(parts) + "\n"


def _hours() -> float:
    """Return what all studies take by the measured pace."""
    from .units import maker

    make = maker()
    trials = {
        target: sum(
            len(runs(each.name)) if len(runs(each.name)) > 1 else each.trials
            for each in make.quick_experiments(target)
        )
        for target in TARGETS
    }
    return float(sum(n * make.QUICK[target].seconds[0] for target, n in trials.items()) / 3600)


def _progress(results: Path) -> Iterator[str]:
    yield "| images | what is done | machine | commit |"
    yield "|---|---|---|---|"
    for target in TARGETS:
        found = lines(results, target)[1:]
        done = {
            (each["experiment"], each["run"])
            for each in found
            if each["complete"] and each["run"] != "ensemble"
        }
        all_of_it = [(name, run) for name in experiments(target) for run in runs(name)]
        machines = sorted({each["machine"] for each in found if "machine" in each})
        commits = sorted({each["commit"][:12] for each in found if "commit" in each})
        yield _row(
            f"**{target}**: {WHAT[target]}",
            f"{len(done)} of {len(all_of_it)} studies" if done else "not run yet",
            ", ".join(machines),
            ", ".join(commits),
        )


def _summary(every: Sequence[Found]) -> str:
    if not every:
        return "Nothing was run yet."
    heading = [
        _row("claim", *(found.target for found in every)),
        _row(*["---"] * (1 + len(every))),
        _row("do the weights fit?", *(_side(found) for found in every)),
    ]
    rows = [
        _row(f"{number}. {claim.text}", *(claim.find(found).word for found in every))
        for number, claim in enumerate(CLAIMS, 1)
    ]
    return "\n".join([*heading, *rows])


def _side(found: Found) -> str:
    fit = fit_of(found)
    if fit is None:
        return "not run"
    return f"{side(found) or 'not clear'} ({100 * fit[0]:+.1f} +- {100 * fit[1]:.1f})"


def _claim(number: int, claim: Claim, every: Sequence[Found]) -> str:
    parts = [f"## {number}. {claim.text}", f"Place: {claim.place}. The paper: {claim.paper}."]
    if claim.note:
        parts.append(f"The paper against itself: {claim.note}")
    rows = [_row("images", "ours", "n", "verdict"), _row(*["---"] * 4)]
    for found in every:
        finding = claim.find(found)
        rows.append(_row(found.target, finding.ours, finding.n, finding.word))
    if every:
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def _rules() -> str:
    """Return the rules as the module that applies them has them."""
    text = (verdicts.__doc__ or "").partition("\n\n")[2]
    return text.replace("`SMALL`", f"{100 * verdicts.SMALL:g} points").strip()


def _figures(found: Found) -> Iterator[str]:
    yield f"### {found.target}: {found.n_val} validation and {found.n_test} test images"
    rates = [trial for name in ("figure1", "figure2") for trial in found.figure(name) or ()]
    if rates:
        yield (
            "Figures 1 and 2: validation accuracy (one run) by rate and layers reinitialised\n\n"
            + (_grid(rates, "reinit_layers", "high_lr"))
        )
    for name, down, across, title in (
        ("figure3", "low_layers", "low_lr_ratio", "Figure 3: low layers and the ratio of rates"),
        ("figure4", "beta", "alpha", "Figure 4: L2-SP on all layers"),
    ):
        if trials := found.figure(name):
            yield f"{title}: validation accuracy (one run)\n\n" + _grid(trials, down, across)
    if trials := found.figure("figure5"):
        yield "Figure 5: validation accuracy (one run), the best of alpha and beta\n\n" + _grid(
            trials, "l2sp_layers", "alpha"
        )
    settings = found.settings()
    if settings:
        rows = [_row("table", "setting", "runs", "validation", "test"), _row(*["---"] * 5)]
        for each in settings:
            val = f"{100 * statistics.fmean(each.val):.1f}"
            rows.append(_row(each.experiment, _setting(each.params), len(each.val), val, str(each)))
        yield "\n".join(rows)


def _grid(trials: Sequence[Trial], down: str, across: str) -> str:
    """Return the best accuracy for each pair of values, per cent."""
    best: dict[tuple[float, float], float] = {}
    for trial in trials:
        at = trial["params"][down], trial["params"][across]
        best[at] = max(best.get(at, 0.0), trial["val_accuracy"])
    columns = sorted({at[1] for at in best})
    rows = [_row(f"{down} / {across}", *(f"{each:g}" for each in columns))]
    rows.append(_row(*["---"] * (1 + len(columns))))
    for value in sorted({at[0] for at in best}):
        cells = [best.get((value, each)) for each in columns]
        shown = ["" if cell is None else f"{100 * cell:.1f}" for cell in cells]
        rows.append(_row(f"{value:g}", *shown))
    return "\n".join(rows)


def _setting(params: Trial) -> str:
    from .units import maker

    plain = maker().PLAIN
    differing = [f"{name} {params[name]:g}" for name in plain if params[name] != plain[name]]
    return ", ".join(differing) or "plain"


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


if __name__ == "__main__":
    main()
