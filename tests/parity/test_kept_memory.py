"""Memory that a training frees is kept for its next step, and given back after it."""

import platform
import subprocess
import sys

import pytest

# In a process of its own: what other tests have freed lies about in the heap of this one.
SCRIPT = """
import resource
import torch
from tlsearch.data.heap import kept_memory

def faults_of_steps():
    began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        blocks = [torch.ones(12 << 20) for _ in range(2)]  # 48 MB each
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - began

def resident_mb():
    text = open("/proc/self/status").read()
    return int(text.partition("VmRSS:")[2].split()[0]) >> 10

before = resident_mb()
with kept_memory(torch.device("cpu")):
    for _ in range(5):  # the heap grows until freed blocks lie well
        faults_of_steps()
    print(faults_of_steps())
print(resident_mb() - before)
print(faults_of_steps())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_steps_take_no_new_pages_and_leave_none():
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, left, after = map(int, done.stdout.split())
    pages = 3 * 2 * (48 << 20) // 4096
    assert kept < pages / 10
    assert after > pages / 600  # fewer than all where the kernel gives pages of 2 MB
    assert after > 10 * kept
    assert left < 64  # of 96
