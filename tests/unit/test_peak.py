"""The peak of this process's memory, from some moment on."""

import numpy as np
import torch

from tlsearch.finetune.peak import Peak

CPU = torch.device("cpu")
MB = 1_000_000


def test_what_was_used_and_given_back_counts():
    peak = Peak(CPU)
    before = peak.bytes()
    np.ones(300 * MB, dtype=np.uint8)
    assert peak.bytes() > before + 250 * MB


def test_what_was_used_before_does_not():
    np.ones(400 * MB, dtype=np.uint8)
    earlier = Peak(CPU)
    first = earlier.bytes()
    np.ones(200 * MB, dtype=np.uint8)
    assert 150 * MB < earlier.bytes() - first < 250 * MB
