"""How many bursts tell the pace of a training, and which of them count."""

import pytest
import torch

from tests.parity.conftest import stand_in
from tests.parity.trainings import CPU, PLAIN_NETWORK, RECIPE
from tlsearch.finetune.pace import FEWEST_BURSTS, measure_pace
from tlsearch.finetune.pass_graph import WARM_UP, PassGraph


class KernelByKernel:
    """In the place of a graph: the passes themselves."""

    def __call__(self, images, labels, passes):
        return passes(images, labels)


@pytest.mark.parametrize(("graph", "warm"), [(None, 1), (KernelByKernel(), WARM_UP + 1)])
def test_the_bursts_before_a_graph_is_replayed_do_not_count(
    shipped_images, monkeypatch, graph, warm
):
    monkeypatch.setattr(PassGraph, "on", lambda *_: graph)
    begun: list[int] = []
    network = stand_in(PLAIN_NETWORK)
    pace = measure_pace(network, shipped_images, RECIPE, CPU, 0.0, begun.append)
    assert begun == list(range(warm + FEWEST_BURSTS))
    assert pace.bursts == FEWEST_BURSTS
    assert min(pace.setup, pace.step_image, pace.val_image) > 0


@pytest.mark.gpu
def test_the_pace_of_a_gpu_is_that_of_its_graph(images_on_gpu):
    device = torch.device("cuda", 0)
    pace = measure_pace(stand_in(PLAIN_NETWORK), images_on_gpu, RECIPE, device, 0.0)
    assert pace.bursts == FEWEST_BURSTS
    assert min(pace.setup, pace.step_image, pace.val_image) > 0
