"""Fixed features at other image sizes: what is kept of them, and what is said."""

import json
from dataclasses import replace

import pytest

from tests.parity.conftest import stand_in
from tests.unit.test_prior import NEUTRAL
from tlsearch.errors import BackboneError, SpecError
from tlsearch.measures import check_size
from tlsearch.records import Measures, SizeMeasure, size_lead, size_sentence
from tlsearch.report.measures_table import measures_rows
from tlsearch.spec import parse_spec

CLEAR = SizeMeasure(128, 0.83, size_lead(40, 10, 1000), 3.0)
UNCLEAR = SizeMeasure(96, 0.81, size_lead(25, 15, 1000), 2.0)
SMALLER = SizeMeasure(48, 0.82, size_lead(30, 10, 1000), 1.0)


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ((), None),
        ((UNCLEAR,), None),
        (
            (UNCLEAR, CLEAR, SMALLER),
            "at 128 px fixed features alone have 83.0 %, 3.0 points more than at 64 "
            "(+- 0.7 points): raise recipe.image_size",
        ),
        (
            (SMALLER,),
            "at 48 px fixed features alone have 82.0 %, 2.0 points more than at 64 "
            "(+- 0.6 points): lower recipe.image_size",
        ),
    ],
)
def test_what_is_said(sizes, sentence):
    assert size_sentence(sizes, 64) == sentence


def test_they_are_stored_and_shown():
    measures = replace(NEUTRAL, sizes=(UNCLEAR, CLEAR))
    assert Measures.from_dict(json.loads(json.dumps(measures.as_dict()))) == measures
    rows = {row[0]: row[1] for row in measures_rows(measures)}
    assert rows["  at 128 px"] == "83.0 % (+3.0 +- 0.7)"


def test_measures_of_earlier_versions_have_none():
    stored = NEUTRAL.as_dict()
    del stored["sizes"]
    assert Measures.from_dict(stored) == NEUTRAL


def test_a_network_may_refuse_a_size():
    check_size(stand_in("test_vit", 48))
    with pytest.raises(BackboneError, match=r"40.*divisible by patch size"):
        check_size(stand_in("test_vit", 40))


@pytest.mark.parametrize(
    ("measures", "sentence"),
    [
        ({"sizes": [8]}, r"measures.sizes.0 = 8: must be greater than or equal to 16"),
        ({"sizes": "128"}, r"measures.sizes"),
        ({"sizes": [128], "when": "off"}, r"\[measures\]: sizes are measured"),
    ],
)
def test_sizes_that_cannot_be(measures, sentence):
    spec = {"name": "a", "data": {"path": "x"}, "backbone": {"model": "y"}, "measures": measures}
    with pytest.raises(SpecError, match=sentence):
        parse_spec(spec)
