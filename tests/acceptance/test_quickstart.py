"""The quickstart as the README shows it, from an empty database to its table."""

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_quickstart_from_end_to_end_and_again(tlsearch):
    shown = tlsearch.run("quickstart").stdout
    assert "8/8 trials done" in shown
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert any(line.startswith("plain fine-tuning default ") for line in lines)
    assert any(line.startswith("fixed features alone ") for line in lines)
    assert any(line.startswith("recommended: ") for line in lines)
    for name in ("reinit_layers", "high_lr", "low_lr_ratio", "low_layers", "alpha", "beta"):
        assert any(line.startswith(f"{name} ") for line in lines)
    status = tlsearch.json("status", "quickstart")
    assert status["ended"] == 8
    assert status["best"]["val_accuracy"] >= max(0.75, status["default_val_accuracy"])
    assert status["fixed_features_val_accuracy"] >= 0.7
    assert status["answer"]["val_accuracy"] >= status["fixed_features_val_accuracy"]
    assert None not in status["answer"]["models"]
    (best,) = tlsearch.json("best", "quickstart")
    assert f"{100 * best['val_accuracy']:.1f} %" in shown
    sql = shown[shown.index("SELECT rank, trial") : shown.rindex('"')]
    answer = tlsearch.run_process("db", "psql", "-Atc", sql).stdout.splitlines()
    assert answer[0].split("|")[:3] == ["1", str(best["number"]), str(best["val_accuracy"])]
    again = tlsearch.run("quickstart").stdout
    assert "goes on: 8 of 8 trials done" in again
    assert tlsearch.json("status", "quickstart")["ended"] == 8
