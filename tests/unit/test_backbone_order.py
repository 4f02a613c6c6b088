"""The order of layers of networks that declare none: that in which an image passes them."""

import pytest
import timm
import torch
from torch import nn

from tlsearch.backbones import build, layers_of
from tlsearch.backbones.order import order_of_modules
from tlsearch.errors import BackboneError


@pytest.mark.parametrize(
    ("name", "n_body", "first", "last_body", "classifier"),
    [
        ("poolformerv2_s12", 13, "stem", "stages.3.blocks.1 + head.norm", "head.fc"),
        (
            "caformer_s18",
            19,
            "stem",
            "stages.3.blocks.2 + head.norm + head.fc.fc1 + head.fc.norm",
            "head.fc.fc2",
        ),
        (
            "pit_ti_distilled_224",
            13,
            "pos_embed + cls_token + patch_embed",
            "transformers.2.blocks.3 + norm",
            "head + head_dist",
        ),
        ("csatv2", 19, "stem_dct", "stages.3.6 + head.norm", "head.fc"),
    ],
)
def test_the_order_is_that_of_the_images_way(name, n_body, first, last_body, classifier):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=3).eval()
    found = layers_of(model, name)
    assert found.order == "feature_info"
    names = [layer.name for layer in found.layers]
    assert (names[0], names[-1]) == (first, classifier)
    assert (found.n_body, names[-2]) == (n_body, last_body)
    assert set(found.index_of) == set(model.state_dict())
    passed = passed_layers(model, found)
    assert sorted(set(passed)) == list(dict.fromkeys(passed))
    assert len(set(passed)) == len(found.layers)


def passed_layers(model, found):
    """The layers in the order in which a forward pass comes to their modules first."""
    passed: list[int] = []

    def note(name, module):
        own = [f"{name}.{key}" for key, _ in module.named_parameters(recurse=False)]
        own += [f"{name}.{key}" for key, _ in module.named_buffers(recurse=False)]
        indices = {found.index_of[key] for key in own if key in found.index_of}
        if indices:
            module.register_forward_pre_hook(lambda *_: passed.append(min(indices)))

    for name, module in model.named_modules():
        note(name, module)
    side = timm.get_pretrained_cfg(model.pretrained_cfg["architecture"]).input_size[-1]
    with torch.device("meta"), torch.inference_mode():
        model(torch.zeros(1, 3, side, side, device="meta"))
    return passed


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "densenet121", "test_vit"])
def test_it_agrees_with_what_timm_declares(name):
    """Where timm declares an order, that of the modules never contradicts it."""
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=3)
    declared = layers_of(model, name)
    assert declared.order == "group_matcher"
    groups, order = order_of_modules(model, name, ("head", "fc", "head.fc", "classifier"))
    assert order in ("feature_info", "modules")
    indices = [declared.index_of[key] for group in groups for key in sorted(group)]
    lowest = [min(declared.index_of[key] for key in group) for group in groups]
    assert lowest == sorted(lowest)
    assert len(indices) == len(declared.index_of)


class Plain(nn.Module):
    """A network of two stages, with as much of an order as one wants."""

    def __init__(self, stages, info=()):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        for name in stages:
            setattr(self, name, nn.Sequential(*(nn.Sequential(nn.Conv2d(4, 4, 3)) for _ in "ab")))
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)
        self.pretrained_cfg = {"classifier": "head"}
        if info:
            self.feature_info = [{"module": name} for name in info]


def test_modules_alone():
    found = layers_of(Plain(["low", "high"]), "plain")
    assert found.order == "modules"
    assert [layer.name for layer in found.layers] == [
        "stem",
        "low.0",
        "low.1",
        "high.0",
        "high.1 + norm",
        "head",
    ]


def test_what_has_no_order():
    with pytest.raises(BackboneError, match="plain: its modules come in another order than"):
        layers_of(Plain(["low", "high"], ["high", "low"]), "plain")
    with pytest.raises(BackboneError, match="plain: it declares no order of layers") as caught:
        layers_of(Plain([]), "plain")
    assert "\n" not in str(caught.value)


def test_the_heaviest_layer():
    with torch.device("meta"):
        vgg = layers_of(timm.create_model("vgg11"), "vgg11")
    assert vgg.heaviest is not None
    assert "pre_logits" in vgg.heaviest.name
    assert layers_of(build("resnet18", 5, seed=0), "resnet18").heaviest is None
