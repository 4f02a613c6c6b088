"""The sections of a report: what they say of real fine-tunes, of few trials and of odd ones."""

import csv
import io
import math
import re
import subprocess
import sys
import time
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

import numpy as np
import pytest
from PIL import Image

from tests.unit.report.made import HOSTILE, facts, many, study, table, trial
from tlsearch.records import FIXED_FEATURES
from tlsearch.records.energy import EnergySpan, TrialEnergy
from tlsearch.records.finals import Comparison, Finalist, Finals, SeedRun
from tlsearch.records.knobs import Knob, KnobGain, KnobsTable
from tlsearch.records.tested import ClassFigure, TestFigure, TestGain, TestResult, WrongImage
from tlsearch.report.csv_file import as_csv
from tlsearch.report.page.bins import depth_bins, log_bins, median_of
from tlsearch.report.page.course import course
from tlsearch.report.page.facts import Extras, Facts, TrialFile
from tlsearch.report.page.importances import FEWEST
from tlsearch.report.page.report import SECTIONS, files_of
from tlsearch.report.page.section import Section, Table
from tlsearch.report.page.style import drawing
from tlsearch.report.page.table_7_rule import findings
from tlsearch.report.page.table_picture import MOST_ROWS, table_png


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        yield


@pytest.fixture(scope="module")
def emoji() -> Facts:
    return table("emoji")


@pytest.fixture(scope="module")
def sections(emoji: Facts) -> dict[str, Section]:
    return {found.slug: found for found in (section(emoji) for section in SECTIONS)}


def cells(section: Section, table: int = 0) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for row in section.tables[table].rows}


def built(known: Facts, *slugs: str) -> dict[str, Section]:
    """Build the sections whose files have such names."""
    modules = [slug.replace("-", "_") for slug in slugs]
    of_slugs = [s for s in SECTIONS if any(name in s.__module__ for name in modules)]
    return {found.slug: found for found in (section(known) for section in of_slugs)}


def words(section: Section) -> str:
    return " ".join([*section.words, *(figure.caption for figure in section.figures)])


def test_every_table_and_figure_of_the_paper_is_there(sections):
    titles = " ".join(section.title for section in sections.values())
    assert set(re.findall(r"Table (\d)", titles)) == set("1234567")
    slugs = {figure.slug for section in sections.values() for figure in section.figures}
    assert {slug[7] for slug in slugs if slug.startswith("figure")} == set("123456")
    assert {"course", "learning-curves", "importances"} <= slugs


def test_figures_are_drawn_whole(sections):
    for section in sections.values():
        for figure in section.figures:
            picture = Image.open(io.BytesIO(figure.drawn.png))
            assert picture.format == "PNG"
            assert picture.width > 700
            root = ET.fromstring(figure.drawn.svg)
            assert "viewBox" in root.attrib
            assert figure.alt
            assert "paper" in figure.caption
            assert re.search(r"\bn\b|\d+ \w* ?trials?|validation images", figure.caption)


def test_tables_are_drawn_whole(sections):
    """Nothing reaches the edge, and every cell is seen."""
    tables = [table for section in sections.values() for table in section.tables]
    assert len(tables) > 9
    files = files_of("s", list(sections.values()))
    for each in tables:
        picture = np.asarray(Image.open(io.BytesIO(files[f"tables/{each.slug}.png"])).convert("L"))
        assert picture.shape[1] > 300
        edges = (picture[:8], picture[-8:], picture[:, :6], picture[:, -6:])
        assert all((edge == 255).all() for edge in edges), each.slug
        assert (picture < 100).sum() > 40 * sum(bool(cell) for row in each.rows for cell in row)


def test_a_long_or_odd_table_is_drawn():
    rows = (("name", "value"), ("odd", HOSTILE), *((f"row {k}", "x") for k in range(1000)))
    long = Image.open(io.BytesIO(table_png(Table("long", "Long $x^2$", rows, "A note."))))
    same = rows[: MOST_ROWS + 1]
    cut = Image.open(io.BytesIO(table_png(Table("long", "Long $x^2$", same, "A note."))))
    assert (long.width, long.height) == (cut.width, cut.height)
    assert long.tobytes() != cut.tobytes()  # it says how many rows are left out


def test_names_in_svgs_are_unique_and_lead_somewhere(sections):
    whole = "".join(f.drawn.svg for section in sections.values() for f in section.figures)
    ids = re.findall(r' id="([^"]+)"', whole)
    assert len(ids) == len(set(ids)) > 100
    leads = re.findall(r'(?:href="#|url\(#)([^")]+)', whole)
    assert leads
    assert set(leads) <= set(ids)
    assert "currentColor" in whole
    assert "var(--blue)" in whole


def test_figure_1_counts_and_medians_are_those_of_the_trials(emoji, sections):
    """By hand: trials whose layers have about one rate, in thirds of decades."""
    one = [
        t
        for t in emoji.trials
        if t.params.canonical(17).low_layers == 0 or t.params.canonical(17).low_lr_ratio >= 0.5
    ]
    shown = cells(sections["figure-1"])
    assert shown["trials with one rate"][0] == str(len(one)) == "40"
    best = max(one, key=lambda t: t.val_accuracy)
    assert shown["best rate"][0] == f"{best.params.high_lr:.3g}"
    ends = [10 ** (k / 3) for k in range(-9, -2)]
    of_bins = {
        low: [t.val_accuracy for t in one if low <= t.params.high_lr < low * 10 ** (1 / 3)]
        for low in ends
    }
    top = max((ys for ys in of_bins.values() if len(ys) >= 3), key=median)
    expected = f"median {100 * median(top):.1f} % (n = {len(top)})"
    assert shown["rates with the best median"][0].endswith(expected)
    assert shown["accuracy"][1:] == ("83.69 ± 0.08 %", "77.30 ± 0.73 %", *shown["accuracy"][3:])


def test_data_of_figures_are_all_trials(emoji, sections):
    for slug in ("figure-1", "figure-2", "figure-3", "figure-4"):
        (head, *rows) = list(
            csv.reader(io.StringIO(as_csv(sections[slug].figures[0].data).decode()))
        )
        assert len(rows) == len(emoji.fine_tuned)
        by_number = {int(row[0]): dict(zip(head, row, strict=True)) for row in rows}
        for known in emoji.fine_tuned[:20]:
            assert float(by_number[known.number]["val_accuracy"]) == known.score
            assert float(by_number[known.number]["high_lr"]) == known.params.high_lr


@pytest.mark.parametrize(
    ("target", "rate", "layers"),
    [("emoji", ("Low", "High", "disagrees"), ("Yes", "Yes", "agrees"))],
)
def test_table_7_on_real_fine_tunes(target, rate, layers):
    found = {each.row: each for each in findings(table(target))}
    told = found["Optimal learning rate"]
    assert (told.rule, told.found, told.verdict) == rate
    told = found["More layers reinitialised"]
    assert (told.rule, told.found, told.verdict) == layers
    assert "n = " in told.why


def test_table_7_follows_what_was_planted():
    """A clear effect is found, in either direction; without one, or with few trials, none is."""
    for sign, word in ((1, "Yes"), (-1, "No")):
        planted = [
            trial(n, 0.6 + 0.001 * (n % 10) + sign * 0.1 * (n % 2), reinit_layers=1 + n % 2)
            for n in range(40)
        ]
        found = {each.row: each for each in findings(facts(planted))}
        assert found["More layers reinitialised"].found == word
        assert found["More layers reinitialised"].verdict == "cannot be told"  # nothing is measured
        assert found["L2-SP"].found is None
    few = [trial(n, 0.5 + 0.1 * (n % 2), reinit_layers=1 + n % 2) for n in range(8)]
    assert {each.found for each in findings(facts(few))} == {None}
    same = [trial(n, 0.5, reinit_layers=1 + n % 2) for n in range(40)]
    assert {each.found for each in findings(facts(same))} == {None}


def test_course_is_the_running_best(emoji):
    steps = course(emoji)
    assert [step.trial.number for step in steps] == [t.number for t in emoji.trials]
    assert steps[-1].seconds == pytest.approx(sum(t.seconds for t in emoji.trials))
    assert steps[-1].best == max(t.val_accuracy for t in emoji.trials)
    assert all((a.best or 0.0) <= (b.best or 0.0) for a, b in pairwise(steps))


def test_importances_find_the_knob_that_matters_and_need_enough_trials():
    def shown(n: int) -> Section:
        drawn = many(3 * n)
        known = tuple(t for t in drawn.trials if t.state == "complete")[:n]
        return next(s(facts(known)) for s in SECTIONS if "importances" in s.__module__)

    assert not shown(FEWEST - 1).figures
    assert "too few" in words(shown(FEWEST - 1))
    assert shown(150).figures[0].data[1][0] == "high_lr"


def test_few_trials_are_said_to_be_few():
    made = [trial(0, 0.5, origin="default"), trial(1, 0.6, high_lr=0.05)]
    found = {section.slug: section for section in (build(facts(made)) for build in SECTIONS)}
    assert cells(found["figure-1"])["rates with the best median"][0].startswith("no range")
    assert cells(found["figure-2"])["rates with the best median"][0].startswith("too few")
    assert "n=1" in found["figure-2"].figures[0].drawn.svg
    assert "cannot be told" in words(found["table-7"])


FLOOR = replace(trial(0, 0.5, origin=FIXED_FEATURES), params=None, seconds=1.0)


@pytest.mark.parametrize(
    "trials",
    [
        [trial(0, 0.5)],
        [trial(0, 0.0)],
        [trial(0, 1.0, alpha=0.0, l2sp_layers=17)],
        [FLOOR],
        [FLOOR, trial(1, 0.5, duplicate_of=0)],
        [FLOOR, trial(1, None, "fail", reason=HOSTILE), trial(2, 0.3, "pruned", seconds=None)],
        [
            replace(trial(0, 0.5), origin=HOSTILE),
            trial(1, None, "running"),
            trial(2, None, "waiting"),
        ],
        [trial(n, 0.5, high_lr=0.01) for n in range(40)],
        [trial(n, 0.5 + n / 100, high_lr=1e-8 if n % 2 else 10.0) for n in range(40)],
    ],
    ids=["one", "0 %", "100 %", "floor", "duplicate", "failed", "odd", "alike", "far apart"],
)
def test_odd_studies_have_a_whole_page(trials):
    curves = {t.number: (math.nan,) if t.number % 2 else (0.1, math.inf, 0.3) for t in trials}
    odd = facts(trials, curves, of=study(HOSTILE, (HOSTILE, "", *map(str, range(500))), n_val=1))
    files = files_of(HOSTILE, [section(odd) for section in SECTIONS])
    page = files["index.html"].decode()
    assert "<script" not in page
    assert "\u202e" not in page
    assert "nan" not in re.sub(r"data:[^\"]*", "", page).lower().replace("dominan", "")
    assert len(page) < 2_000_000


def test_measures_that_failed(emoji):
    failed = replace(emoji.measures, random_init=None, lr_range=None, emd=None, emd_similarity=None)
    no_number = replace(emoji.measures, fisher=math.nan, random_init=math.nan)
    for measures in (failed, no_number, None):
        found = built(replace(emoji, measures=measures), "table-1", "table-7")
        assert "cannot be told" in words(found["table-7"])


@pytest.mark.slow
def test_two_thousand_trials_take_seconds():
    began = time.process_time()
    large = many(2000)
    files = files_of("large", [section(large) for section in SECTIONS])
    assert time.process_time() - began < 60
    assert len(files["index.html"]) < 10_000_000
    assert b"140" in files["figures/learning-curves.csv"]


def finals() -> Finals:
    runs = [SeedRun(10 + seed, seed, 0.6 + 0.01 * seed, 9.0) for seed in range(4)]
    params = trial(0, 0.5, reinit_layers=2).params
    known = Finalist("trial 3", "candidate", params, 3, 4, tuple(runs))
    floor = Finalist("fixed features", "fixed_features", None, 0, 1, tuple(runs[:1]))
    none = Finalist("default", "default", params, None, 4)
    comparison = Comparison("fixed features", 0.015, -0.01, 0.04, 0.2, 4, False)
    why = "use fixed features: <b>cheaper</b>"
    return Finals("s", (known, none, floor), True, "trial 3", (comparison,), "fixed features", why)


def test_the_mean_of_fixed_features_and_the_winner_is_drawn(emoji):
    known = finals()
    mean = Finalist("mean", "mean", None, 3, 4, known.finalists[0].runs)
    extras = Extras(finals=replace(known, finalists=(*known.finalists, mean)))
    found = built(replace(emoji, extras=extras), "finalists")
    assert cells(found["finalists"], 0)["mean"][:2] == ("61.5 ± 1.3 %", "4 of 4")
    assert any(row[:2] == ("mean", "mean") for row in found["finalists"].figures[0].data)


def look(number: int) -> TestResult:
    figures = (
        TestFigure(
            "trial 3",
            "single crop",
            (0.5, 0.6),
            0.55,
            0.07,
            0.5,
            0.6,
            0.5,
            0.5,
            1.0,
            0.1,
            None,
            None,
            1,
            0.01,
        ),
        TestFigure(
            "trial 3",
            "ensemble, 10-crop",
            (0.61,),
            0.61,
            None,
            0.5,
            0.7,
            0.5,
            0.5,
            1.0,
            0.1,
            0.05,
            1.2,
            40,
            0.4,
        ),
    )
    return TestResult(
        "s",
        number,
        datetime(2026, 11, 25, tzinfo=UTC),
        100,
        "trial 3",
        "train+val",
        (0, 1),
        figures,
        (TestGain("default", 0.02, -0.01, 0.05, 0.1),),
        (ClassFigure(HOSTILE, 50, 0.5, None, 0.4),),
        ((1, 0), (0, 1)),
        (WrongImage(HOSTILE, "a", "b", 0.99),),
    )


def test_finalists_and_tests_where_there_are_any(emoji):
    more = replace(emoji, extras=Extras(finals(), (look(1), look(2))))
    found = built(more, "finalists", "test-images", "figure-6", "overview")
    shown = cells(found["finalists"])
    assert shown["trial 3"][:2] == ("61.5 ± 1.3 %", "4 of 4")
    assert shown["default"][:2] == ("-", "0 of 4")
    assert shown["fixed features"][-1] == "recommended"
    assert cells(found["finalists"], 1)["fixed features"][:2] == ("+1.5", "-1.0 to +4.0")
    assert cells(found["figure-6"])["the same over seeds"][0] == "61.5 ± 1.3 % (trial 3, 4 seeds)"
    assert cells(found["figure-6"])["ensemble, 10-crop, test"][0] == "61.0 % (n = 100)"
    assert "no longer honest" in found["test"].words[1]
    assert "no longer honest" not in found["test"].words[0]
    files = files_of("s", list(found.values()))
    assert {"figures/finalists.png", "figures/test-look-2.csv"} <= set(files)
    page = files["index.html"].decode()
    assert "<script" not in page
    assert "use fixed features: &lt;b&gt;" in page


def test_which_knob_paid_where_it_is_known(emoji):
    gain = KnobGain(0.021, 0.0125, -0.004, 0.046, 4)
    known = KnobsTable(
        "emoji",
        "trial 3",
        (
            Knob(("high_lr",), (0.01,), (0.04,), gain, None),
            Knob(("alpha", "l2sp_layers"), (0.0, 0.0), (0.001, 7.0), None, None),
        ),
        ("beta",),
        gain,
        15,
        16,
        taken=4,
    )
    (found,) = built(replace(emoji, extras=Extras(knobs=known)), "knobs").values()
    assert cells(found)["high_lr"][:3] == ("0.01", "0.04", "+2.1 points (-0.4 to +4.6, n = 4)")
    assert any("4 of 16 runs are those of the finalists" in each for each in found.words)
    assert found.figures[0].data[1:] == (("high_lr", "added", "0.021", "-0.004", "0.046", "4"),)
    assert "15 of 16" in words(found)
    none = replace(known, knobs=known.knobs[1:])
    (found,) = built(replace(emoji, extras=Extras(knobs=none)), "knobs").values()
    assert not found.figures
    (found,) = built(replace(emoji, extras=Extras(knobs=replace(known, done=0))), "knobs").values()
    assert found.commands


def test_without_them_the_page_says_how_to_get_them(sections):
    assert sections["finalists"].commands == ("tlsearch finalists emoji",)
    assert sections["knobs"].commands == ("tlsearch knobs emoji",)
    assert "tlsearch test emoji" in sections["test"].commands


def test_pictures_of_trials(emoji):
    shown = replace(emoji, files=(TrialFile(7, "predictions.png", b"\x89PNG"),))
    files = files_of("s", list(built(shown, "trial-images").values()))
    assert files["pictures/trial-7-predictions.png"] == b"\x89PNG"
    assert b"data:image/png;base64,iVBORw==" in files["index.html"]


def test_energy_is_shown_where_trials_know_it(emoji):
    cost = next(section for section in SECTIONS if section.__module__.endswith("cost"))
    assert "not known" in words(cost(emoji))
    half = TrialEnergy(1.8e6)
    known = replace(emoji, energy={3: half, 4: half})
    assert "2 trials with a known use took 1 kWh." in words(cost(known))
    together = TrialEnergy(3.6e6, (EnergySpan("GPU-1", 0, 3_600_000_000),))
    shared = replace(emoji, energy={3: together, 4: together, 5: together})
    assert "3 trials with a known use took 1 kWh, by the counters of the GPUs" in words(
        cost(shared)
    )


def test_csv_holds_no_formula():
    rows = (("=1+1", "@x", "-", "-0.5", "+1"), ("a", 'b"', "c,d", "e\nf", "1e-05"))
    first, *_ = csv.reader(io.StringIO(as_csv(rows).decode()))
    assert first == ["'=1+1", "'@x", "-", "-0.5", "+1"]


def test_bins():
    bins = log_bins([0.001, 0.09])
    assert len(bins) == 6
    assert all(any(b.holds(v) for b in bins) for v in (0.001, 0.01, 0.09))
    assert len(log_bins([1e-8, 10.0])) <= 10
    assert log_bins([]) == []
    assert len(log_bins([0.02])) == 1
    for most in (1, 2, 17, 200):
        parts = depth_bins(most)
        assert [sum(b.holds(n) for b in parts) for n in range(most + 1)] == [1] * (most + 1)
    assert median_of([0.1, 0.2]) is None


def test_text_in_figures_stays_text():
    with drawing("x", 2.0) as canvas:
        canvas.axes.set_title("</text><script>#0072b2 id='a'")
    assert "<script" not in canvas.drawn.svg
    assert "#0072b2 id='a'" in canvas.drawn.svg


def test_neither_torch_nor_pyplot_is_loaded():
    code = (
        "import sys; from tests.unit.report.made import *;"
        "from tlsearch.report.page.report import *;"
        "files_of('s', [s(facts([trial(0, .5)])) for s in SECTIONS[:3]]);"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
