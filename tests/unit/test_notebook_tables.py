"""How results show themselves in a notebook."""

from dataclasses import replace
from datetime import UTC, datetime

from tlsearch.records.finals import Finalist, Finals, SeedRun
from tlsearch.records.html import html_table
from tlsearch.records.tested import TestFigure, TestResult


def test_cells_are_text():
    table = html_table([("a<b", "c"), ("<script>x</script>", "&")], "Tom & Jerry")
    assert "<script>" not in table
    assert "&lt;script&gt;x&lt;/script&gt;" in table
    assert table.startswith("<table><caption>Tom &amp; Jerry</caption><thead><tr><th>a&lt;b</th>")
    assert "<caption>" not in html_table([("a",)])


def test_finals():
    runs = (SeedRun(0, 1, 0.5, 1.0), SeedRun(1, 2, 0.6, 1.0))
    finalist = Finalist("trial <7>", "candidate", None, 7, 3, runs)
    assert finalist.mean is not None
    html = Finals("s", (finalist,), False)._repr_html_()
    assert "<td>trial &lt;7&gt;</td><td>2 of 3</td><td>55.0 %</td><td>7.1 %</td>" in html
    assert "recommended" not in html
    done = Finals("s", (finalist,), True, "trial <7>", (), "trial <7>", "it is ahead")
    assert "recommended: trial &lt;7&gt;; it is ahead" in done._repr_html_()


def test_a_look_at_the_test_images():
    figure = TestFigure(
        "default", "10-crop", (0.5,), 0.5, None, 0.4, 0.6, 0.5, 0.5, 1.0, 0.1, None, None, 10, 0.1
    )
    first = TestResult(
        study="s",
        look=1,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        n_test=9,
        answer="default",
        trained_on="train",
        seeds=(1,),
        figures=(figure,),
        gains=(),
        classes=(),
        confusion=(),
        most_wrong=(),
    )
    html = first._repr_html_()
    assert "<td>default</td><td>10-crop</td><td>1</td><td>50.0 %</td><td>40.0 to 60.0</td>" in html
    assert "9 test images, looked at once" in html
    assert "look 2: no longer honest" in replace(first, look=2)._repr_html_()
