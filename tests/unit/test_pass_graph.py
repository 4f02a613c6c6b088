"""When the passes of a step are recorded and replayed, with a graph that a CPU can replay.

What a real graph does is in tests/parity/test_pass_graph.py, which needs a GPU.
"""

import logging
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from tlsearch.finetune import pass_graph
from tlsearch.finetune.cuda_recording import CannotRecord
from tlsearch.finetune.pass_graph import WARM_UP, PassGraph


class Passes:
    """The passes of a small network, and how often they ran kernel by kernel."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Linear(4, 3)
        self.ran = 0

    def __call__(self, images, labels):
        self.ran += 1
        loss = nn.functional.cross_entropy(self.model(images), labels)
        loss.backward()
        return loss.detach()

    def of(self, images, labels):
        """The loss and the gradients of a batch, computed without the graph."""
        loss = nn.functional.cross_entropy(self.model(images), labels)
        return loss.detach(), torch.autograd.grad(loss, list(self.model.parameters()))


class Replay:
    """Does what was recorded, and puts what comes of it where the recording left its tensors."""

    def __init__(self, run, passes):
        self.run, self.passes, self.replays = run, passes, 0
        self.loss = torch.full((), torch.nan)
        for parameter in passes.model.parameters():
            assert parameter.grad is None
            parameter.grad = torch.full_like(parameter, torch.nan)
        self.gradients = [parameter.grad for parameter in passes.model.parameters()]

    def replay(self):
        self.replays += 1
        self.passes.model.zero_grad(set_to_none=True)  # a graph writes, and does not add
        self.loss.copy_(self.run())
        self.passes.ran -= 1  # not kernel by kernel
        for gradient, parameter in zip(self.gradients, self.passes.model.parameters(), strict=True):
            gradient.copy_(parameter.grad)


@pytest.fixture
def passes():
    return Passes()


@pytest.fixture
def recorded(monkeypatch, passes):
    """What was recorded; recording leaves tensors and computes nothing."""
    graphs: list[Replay] = []
    waits: list[str] = []

    def record(run, _device):
        graphs.append(Replay(run, passes))
        return graphs[-1], graphs[-1].loss

    @contextmanager
    def noting_waits():
        yield waits

    monkeypatch.setattr(pass_graph, "record", record)
    monkeypatch.setattr(pass_graph, "noting_waits", noting_waits)
    monkeypatch.setattr(pass_graph, "_cannot", set())
    return graphs, waits


def batch(seed, n=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4, generator=generator), torch.randint(3, (n,), generator=generator)


def stepped(graph, passes, seed, n=6):
    """Run a batch by the graph as a training does; it must be that batch's loss and gradients."""
    passes.model.zero_grad(set_to_none=True)
    images, labels = batch(seed, n)
    loss = graph(images, labels, passes)
    expected, gradients = passes.of(images, labels)
    torch.testing.assert_close(loss, expected)
    for parameter, gradient in zip(passes.model.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    return loss


def test_warm_passes_are_recorded_once_and_replayed(passes, recorded):
    graph = PassGraph("small", passes.model)
    losses = [stepped(graph, passes, seed) for seed in range(WARM_UP + 5)]
    assert passes.ran == WARM_UP
    assert [each.replays for each in recorded[0]] == [5]
    assert len({loss.data_ptr() for loss in losses}) == len(losses), "each keeps its own loss"
    assert len({loss.item() for loss in losses}) == len(losses)


def test_a_batch_of_another_shape_runs_kernel_by_kernel(passes, recorded):
    graph = PassGraph("small", passes.model)
    for seed in range(WARM_UP + 1):
        stepped(graph, passes, seed)
    stepped(graph, passes, 9, n=4)
    stepped(graph, passes, 10)
    assert passes.ran == WARM_UP + 1
    assert [each.replays for each in recorded[0]] == [2]


def test_a_released_graph_is_recorded_anew_without_a_warm_up(passes, recorded):
    graph = PassGraph("small", passes.model)
    for seed in range(WARM_UP + 1):
        stepped(graph, passes, seed)
    graph.release()
    assert not graph.recorded
    stepped(graph, passes, 9)
    assert passes.ran == WARM_UP
    assert [each.replays for each in recorded[0]] == [1, 1]


def test_passes_that_wait_are_never_recorded_and_the_log_says_so_once(passes, recorded, caplog):
    recorded[1].append("net.py:7")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            graph = PassGraph("small", passes.model)
            for seed in range(WARM_UP + 2):
                stepped(graph, passes, seed)
    assert (passes.ran, recorded[0]) == (2 * (WARM_UP + 2), [])
    (said,) = caplog.messages
    assert said.startswith("small: a training step cannot be a CUDA graph (it waits")
    assert "net.py:7" in said


@pytest.mark.parametrize("memory", [False, True])
def test_what_cannot_be_recorded_runs_kernel_by_kernel(
    passes, recorded, monkeypatch, caplog, memory
):
    tried = []

    def record(_run, _device):
        tried.append(1)
        next(passes.model.parameters()).grad = torch.ones(3, 4)  # the recording was half way
        raise CannotRecord("operation not permitted", memory=memory)

    monkeypatch.setattr(pass_graph, "record", record)
    graph = PassGraph("small", passes.model)
    with caplog.at_level(logging.WARNING):
        for seed in range(WARM_UP + 3):
            stepped(graph, passes, seed)
    assert (passes.ran, len(tried)) == (WARM_UP + 3, 1)
    assert len(caplog.messages) == (0 if memory else 1)


@pytest.mark.parametrize(
    ("device", "said", "there"),
    [("cpu", None, False), ("cuda", None, True), ("cuda", "1", True), ("cuda", "0", False)],
)
def test_there_are_graphs_on_a_gpu_unless_the_environment_says_no(
    passes, monkeypatch, device, said, there
):
    monkeypatch.delenv(pass_graph.VARIABLE, raising=False)
    if said is not None:
        monkeypatch.setenv(pass_graph.VARIABLE, said)
    found = PassGraph.on(torch.device(device), "small", passes.model)
    assert (found is not None) == there
