"""What models reach on the test images: every look at them."""

from statistics import fmean

from tlsearch.records.format import percent
from tlsearch.records.objective import ACCURACY, words
from tlsearch.records.tested import ClassFigure, TestFigure, TestResult
from tlsearch.report.page.facts import Facts
from tlsearch.report.page.plots import Dot, draw_dots
from tlsearch.report.page.section import Drawn, Figure, Row, Section, Table
from tlsearch.report.page.style import drawing
from tlsearch.report.page.words import count, exact, shown_name

MOST_CLASSES, MOST_WRONG = 50, 12  # listed on the page; the CSV files have all classes


def section(facts: Facts) -> Section:
    """Return the test results, or how to get them."""
    looks, title = facts.extras.tests, "On the test images"
    if not looks:
        missing = (
            f"The {facts.study.data.n_test} test images have not been looked at. They are for the "
            "last step alone, once the finalists are chosen."
        )
        return Section(
            "test",
            title,
            (missing,),
            commands=(f"tlsearch finalists {facts.name}", f"tlsearch test {facts.name}"),
        )
    words = [_look_words(look) for look in looks]
    tables = [table for look in looks for table in _tables(look)]
    figures = tuple(_figure(look) for look in looks)
    return Section("test", title, tuple(words), figures, tuple(tables))


def _look_words(look: TestResult) -> str:
    said = (
        f"Look {look.look}, {look.at:%Y-%m-%d %H:%M %Z}: {look.n_test} test images, models trained "
        f"on {look.trained_on}, {count(len(look.seeds), 'seed')}; the answer that was chosen "
        f"before is {look.answer}."
    )
    if look.look > 1:
        said += " It is not the first look, so its figures are no longer honest ones."
    return said


def _figure(look: TestResult) -> Figure:
    slug = f"test-look-{look.look}"
    caption = (
        f"{_title(look)} on {look.n_test} test images: mean, 95 % interval, and each seed's model "
        f"as a tick. Look {look.look}."
    )
    if look.objective == ACCURACY:
        caption += (
            " The paper's ensembles of four runs with 10-crop gain 0.5 to 1.4 points over its "
            "single models."
        )
    data: list[Row] = [("finalist", "prediction", "mean", "low", "high", "sd", "models")]
    data += [
        (f.finalist, f.prediction, exact(f.mean), exact(f.low), exact(f.high), exact(f.sd), str(n))
        for f in look.figures
        for n in (len(f.accuracies),)
    ]
    listed = "; ".join(f"{f.finalist}, {f.prediction}: {percent(f.mean)}" for f in look.figures)
    return Figure(
        slug,
        f"Test, look {look.look}",
        caption,
        f"Test figures: {listed}",
        _draw(look, slug),
        tuple(data),
    )


def _draw(look: TestResult, slug: str) -> Drawn:
    names = list(dict.fromkeys(figure.finalist for figure in look.figures))
    dots = [
        Dot(
            f"{figure.finalist}\n{figure.prediction}",
            figure.mean,
            figure.low,
            figure.high,
            figure.each if len(figure.each) > 1 else (),
            names.index(figure.finalist),
        )
        for figure in look.figures
    ]
    with drawing(slug, 0.5 * len(dots) + 0.8) as canvas:
        draw_dots(canvas.axes, dots, f"test {words(look.objective)}, %")
    return canvas.drawn


def _tables(look: TestResult) -> list[Table]:
    n = look.look
    found = [_results(look)]
    if look.gains:
        rows: list[Row] = [("answer against", "gain, points", "95 % interval", "p")]
        for gain in look.gains:
            interval = f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
            rows.append((gain.other, f"{100 * gain.gain:+.1f}", interval, f"{gain.p_value:.2g}"))
        title = f"The answer against the others, look {n}"
        found.append(Table(f"test-gains-{n}", title, tuple(rows)))
    if look.classes:
        found.append(_classes(look))
    if look.most_wrong:
        rows = [("image", "is", "was taken for", "probability")]
        for wrong in look.most_wrong[:MOST_WRONG]:
            names = (shown_name(wrong.image), shown_name(wrong.label), shown_name(wrong.predicted))
            rows.append((*names, f"{wrong.probability:.2f}"))
        title = f"Most certain and wrong, look {n}"
        found.append(Table(f"test-most-wrong-{n}", title, tuple(rows)))
    return found


def _results(look: TestResult) -> Table:
    one = look.objective == ACCURACY
    second = "balanced" if one else "all right"
    head = ("finalist", "prediction", words(look.objective), "95 % interval", second, "macro F1")
    rows: list[Row] = [(*head, "ECE", "ECE, scaled", "passes", "ms an image")]
    rows += [(f.finalist, f.prediction, *_cells(f)) for f in look.figures]
    return Table(f"test-results-{look.look}", f"Test results, look {look.look}", tuple(rows))


def _cells(figure: TestFigure) -> Row:
    spread = "" if figure.sd is None else f" ± {100 * figure.sd:.1f}"
    return (
        f"{100 * figure.mean:.1f}{spread} %",
        f"{100 * figure.low:.1f} to {100 * figure.high:.1f}",
        percent(
            fmean(figure.accuracies) if figure.average_precisions else figure.balanced_accuracy
        ),
        f"{figure.macro_f1:.3f}",
        percent(figure.ece),
        percent(figure.ece_scaled),
        str(figure.passes),
        f"{1000 * figure.seconds_per_image:.1f}",
    )


def _title(look: TestResult) -> str:
    return "Top-1 accuracy" if look.objective == ACCURACY else "Mean average precision"


def _worth(each: ClassFigure) -> float:
    return each.f1 if each.average_precision is None else each.average_precision


def _classes(look: TestResult) -> Table:
    several = look.objective != ACCURACY
    more = ("average precision",) if several else ()
    rows: list[Row] = [("class", "test images", *more, "recall", "precision", "F1")]
    worst = sorted(look.classes, key=_worth)[:MOST_CLASSES]
    for each in worst:
        own = (percent(each.average_precision),) if several else ()
        figures = (*own, percent(each.recall), percent(each.precision), f"{each.f1:.3f}")
        rows.append((shown_name(each.name), str(each.n), *figures))
    few = len(worst) < len(look.classes)
    note = f"The worst {len(worst)} of {len(look.classes)} classes." if few else ""
    return Table(f"test-classes-{look.look}", f"Classes, look {look.look}", tuple(rows), note)
