"""The energy of trials: NVML's counter, or nothing at all.

A few lines of C stand for NVML, as no driver is where these tests run: a counter that goes up by a
joule whenever it is asked.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from tests.unit.worker.conftest import PLAIN, World
from tests.unit.worker.test_attempt import stop_at
from tlsearch.records.energy import EnergySpan, energy_attrs, energy_of, joules_of, total_joules
from tlsearch.worker import energy
from tlsearch.worker.energy import EnergyUse, nvml_counter

NVML = """
#include <string.h>
static unsigned long long count = 5000;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    *handle = strcmp(uuid, "GPU-new") == 0 ? &count : 0;
    return *handle || strcmp(uuid, "GPU-old") == 0 ? 0 : 6; /* NVML_ERROR_NOT_FOUND */
}
int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *energy) {
    if (!handle) return 3; /* NVML_ERROR_NOT_SUPPORTED */
    *energy = (count += 1000);
    return 0;
}
"""


@pytest.fixture(scope="module")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("nvml")
    (folder / "nvml.c").write_text(NVML)
    library = folder / "libnvidia-ml.so.1"
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(folder / "nvml.c")]
    subprocess.run(command, check=True, timeout=60)
    return str(library)


def test_without_a_driver_nothing_is_known(tmp_path: Path):
    assert nvml_counter("GPU-of-another-machine") is None  # the real library, there or not
    assert nvml_counter("GPU-1", str(tmp_path / "missing.so")) is None
    assert nvml_counter("GPU-1", "libm.so.6") is None  # a library without the function
    use = EnergyUse.now(torch.device("cpu"))
    assert use.attrs() == {}
    assert energy.counter_of(torch.device("cuda", 7)) is None


def test_a_counter_is_read(nvml: str):
    read = nvml_counter("GPU-new", nvml)
    assert read is not None
    first, second = read(), read()
    assert first is not None
    assert second == first + 1000
    assert nvml_counter("GPU-old", nvml) is None  # it has no counter
    assert nvml_counter("MIG-1", nvml) is None  # no handle of this name


def test_a_trial_knows_its_energy_over_all_attempts(
    world: World, nvml: str, monkeypatch: pytest.MonkeyPatch
):
    read = nvml_counter("GPU-new", nvml)
    assert read is not None
    monkeypatch.setattr(energy, "counter_of", lambda _: ("GPU-new since boot 1", read))
    trial = world.server.queue(PLAIN)
    stop_at(world, 2)
    with pytest.raises(SystemExit):
        world.run()
    assert trial.state == "waiting"
    assert trial.attrs["energy_joules"] == 1
    world.signals.requested = type(world.signals.requested)()
    world.told.on_epoch = lambda epoch: None
    world.run()
    assert trial.state == "complete"
    assert trial.attrs["energy_joules"] == 2
    found = energy_of(trial.attrs)
    assert found is not None
    first, second = found.spans
    assert (first.counter, second.counter) == ("GPU-new since boot 1",) * 2
    assert first.end < second.begin


def test_what_workers_use_together_counts_once():
    one, two = EnergySpan("a", 0, 10_000), EnergySpan("a", 4_000, 12_000)
    inside, other = EnergySpan("a", 5_000, 6_000), EnergySpan("b", 0, 3_000)
    assert joules_of([one]) == 10
    assert joules_of([two, one, inside]) == 12
    assert joules_of([one, other]) == 13
    assert joules_of([one, EnergySpan("a", 20_000, 21_000)]) == 11
    trials = [energy_of(energy_attrs([span])) for span in (one, two, other)]
    known = [trial for trial in trials if trial is not None]
    assert sum(trial.joules for trial in known) == 21
    assert total_joules(known) == 15
    foreign = energy_of({"energy_joules": 7.0})
    assert foreign is not None
    assert total_joules([*known, foreign, foreign]) == 29


@pytest.mark.parametrize(
    "rows", [None, "x", [1], [["a", 1]], [["a", 2, 1]], [["a", -1, 1]], [["a", 1, "2"]]]
)
def test_attributes_of_other_programs_are_passed_over(rows: object):
    found = energy_of({"energy_joules": 7, "energy_spans": rows})
    assert found is not None
    assert (found.joules, found.spans) == (7.0, ())
    assert energy_of({"energy_joules": "7"}) is None
    assert energy_of({"energy_joules": float("nan")}) is None
    assert energy_attrs([]) == {}


def test_a_counter_that_began_anew_is_no_use():
    counts = iter([9_000, 500])
    use = EnergyUse(("a", lambda: None), next(counts))
    assert use.attrs() == {}
    assert EnergyUse(("a", lambda: next(counts)), 9_000).attrs() == {}
