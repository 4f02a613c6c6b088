"""The report of a study that makes the log loss least."""

from dataclasses import replace

from tests.unit.report.made import facts, study, trial
from tests.unit.report.test_sections import cells, words
from tlsearch.records import FIXED_FEATURES, TrialRecord
from tlsearch.records.finals import Comparison, Finalist, Finals, SeedRun
from tlsearch.records.knobs import Knob, KnobGain, KnobsTable
from tlsearch.records.objective import OwnScore
from tlsearch.report.page.facts import Extras
from tlsearch.report.page.report import SECTIONS

LOSSES = (0.9, 0.4, 0.45, 0.55, 0.6, 0.7)


def by_log_loss(number: int, loss: float, **more) -> TrialRecord:
    own = OwnScore("log_loss", -loss, 0.02, expected=-loss - 0.01, expected_sd=0.03)
    return replace(trial(number, 0.7 + 0.01 * number, **more), own=own)


def test_every_section_goes_by_log_loss():
    made = [
        by_log_loss(n, loss, high_lr=0.01 * (n + 1), origin="tpe" if n else "default")
        for n, loss in enumerate(LOSSES)
    ]
    made.append(replace(by_log_loss(6, 0.5, origin=FIXED_FEATURES), params=None, seconds=1.0))
    runs = tuple(SeedRun(n, n, 0.8, 9.0, -0.4 - 0.01 * n) for n in range(4))
    known = Finalist("trial 1", "candidate", made[1].params, 1, 4, runs)
    comparison = Comparison("fixed features", 0.085, 0.05, 0.12, 0.001, 4, True)
    finals = Finals("s", (known,), True, "trial 1", (comparison,), objective="log_loss")
    gain = KnobGain(0.05, 0.01, 0.03, 0.07, 4)
    knob = Knob(("high_lr",), (0.01,), (0.02,), gain, gain)
    knobs = KnobsTable("s", "trial 1", (knob,), (), gain, 8, 8, objective="log_loss")
    spec = study().spec.model_copy(update={"objective": "log_loss"})
    found = facts(
        made,
        curves={n: (-loss - 0.1, -loss) for n, loss in enumerate(LOSSES)},
        extras=Extras(finals=finals, knobs=knobs),
        of=replace(study(), spec=spec),
    )
    page = {section.slug: section for section in (build(found) for build in SECTIONS)}
    assert "Recommended: trial 1, log loss 0.400 on validation" in words(page["summary"])
    assert "makes log loss best" in words(page["summary"])
    results = cells(page["summary"], 0)
    assert results["best trial (1)"][:2] == (
        "0.400 ± 0.020 (accuracy 71.0 %)",
        "0.410 ± 0.030",
    )
    assert cells(page["figure-1"])["log loss"][0] == "0.400 ± 0.020"
    assert cells(page["figure-6"])["the same over seeds"][0] == "0.415 ± 0.013 (trial 1, 4 seeds)"
    figure = page["figure-1"].figures[0]
    assert "validation log loss, nats" in figure.drawn.svg
    assert figure.data[0][1] == "val_log_loss"
    assert {row[1] for row in figure.data[1:]} == {repr(loss) for loss in LOSSES}
    curves = page["curves"].figures[0].data
    assert curves[0][3] == "val_log_loss"
    assert ("1", "complete", "2", "0.4") in curves
    course = page["course"].figures[0]
    assert course.alt.endswith("at the end 0.400")
    assert cells(page["finalists"], 0)["trial 1"][0] == "0.415 ± 0.013"
    assert cells(page["finalists"], 1)["fixed features"][0] == "+0.085"
    assert "+0.050 (+0.030 to +0.070, n = 4)" in words(page["knobs"])
    assert "gain in validation log loss, nats less" in page["knobs"].figures[0].drawn.svg
