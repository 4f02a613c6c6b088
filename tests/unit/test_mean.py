"""The geometric mean of models' probabilities."""

import numpy as np
from scipy.special import log_softmax, softmax

from tlsearch.finetune.mean import mean_of


def test_it_is_the_softmax_of_the_mean_log_softmax():
    logits = np.random.default_rng(0).normal(size=(2, 50, 7)).astype(np.float32) * 2
    expected = softmax(log_softmax(logits, axis=2).mean(axis=0), axis=1)
    found = mean_of(*softmax(logits, axis=2))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_certain_model_does_not_forbid_a_class():
    certain, unsure = (np.array([row], np.float32) for row in ([1, 0, 0], [0, 0.5, 0.5]))
    found = mean_of(certain, unsure)
    assert np.isfinite(found).all()
    assert found.sum() == np.float32(1)
