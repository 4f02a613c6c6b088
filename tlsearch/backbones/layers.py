"""The ordered layers of a backbone, from the input; the classifier is the last.

The order is what each timm model declares (`group_matcher`). Of the few that declare none it is the
order of their modules (`tlsearch.backbones.order`). It is not guessed from names.
Plested et al. count every stem convolution and every block of Inception v4 as a layer, 22 and the
classifier. timm merges that stem, so the model has an entry below.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from timm.models._manipulate import group_with_matcher
from torch import nn

from tlsearch.backbones.keys import within
from tlsearch.backbones.models import classifier_names
from tlsearch.backbones.order import Order, order_of_modules
from tlsearch.errors import BackboneError

_MATCHERS: Mapping[str, Mapping[str, str]] = {
    "InceptionV4": {"blocks": r"^features\.(\d+)"},
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One unit of layer-wise treatment.

    Attributes:
        index: from 0 at the input.
        name: the modules and tensors it consists of.
        n_parameters: trainable scalars.
        is_classifier: True for the last layer.
    """

    index: int
    name: str
    n_parameters: int
    is_classifier: bool


@dataclass(frozen=True)
class Layers:
    """All layers of a model.

    Attributes:
        layers: in order from the input.
        index_of: state-dict key (parameters and buffers alike) to layer index.
        order: where the order comes from: timm's `group_matcher`, or the order of the modules,
            which agrees with timm's `feature_info` or stands alone (`modules`).
    """

    layers: tuple[Layer, ...]
    index_of: Mapping[str, int]
    order: Order = "group_matcher"

    @property
    def n_body(self) -> int:
        """Layers without the classifier."""
        return len(self.layers) - 1

    @property
    def heaviest(self) -> Layer | None:
        """The body layer with more than half of the body's parameters; None where there is none."""
        body = self.layers[:-1]
        largest = max(body, key=lambda layer: layer.n_parameters)
        whole = sum(layer.n_parameters for layer in body)
        return largest if 2 * largest.n_parameters > whole else None


def layers_of(model: nn.Module, name: str) -> Layers:
    """Return the ordered layers of a timm classifier.

    Tensors that timm groups with the classifier but that are pretrained (ConvNeXt's `head.norm`,
    MobileNetV3's `conv_head`) belong to the last body layer.

    Args:
        model: the model; its state dict is read for names and sizes only.
        name: what to call the model in errors.

    Raises:
        BackboneError: the model declares no order of layers.
    """
    classifier = classifier_names(model, name)
    groups, order = _groups(model, name, classifier)
    body = [[key for key in group if not within(key, classifier)] for group in groups]
    head = [key for group in groups for key in group if within(key, classifier)]
    if any(within(key, classifier) for key in groups[-1]) and body[-1] and len(body) > 1:
        beside_classifier = body.pop()
        body[-1] += beside_classifier
    ordered = [keys for keys in body if keys]
    if not ordered or not head:
        raise BackboneError(
            f"backbone.model {name}: found {len(ordered)} body layers and {len(head)} classifier "
            "tensors, and both are needed; choose another model"
        )
    return _layers(model, [*ordered, head], order)


def _groups(
    model: nn.Module, name: str, classifier: tuple[str, ...]
) -> tuple[list[list[str]], Order]:
    """Return the state-dict keys grouped and ordered, and where the order comes from."""
    matcher = _MATCHERS.get(type(model).__name__)
    if matcher is None:
        declared = getattr(model, "group_matcher", None)
        if declared is None:
            return order_of_modules(model, name, classifier)
        matcher = declared(coarse=False)
    grouped = group_with_matcher(((key, key) for key in model.state_dict()), matcher)
    return [list(grouped[index]) for index in sorted(grouped)], "group_matcher"


def _layers(model: nn.Module, groups: list[list[str]], order: Order) -> Layers:
    index_of = {key: index for index, group in enumerate(groups) for key in group}
    sizes = [0] * len(groups)
    for key, parameter in model.named_parameters():
        sizes[index_of[key]] += parameter.numel()
    labels = _labels(index_of, len(groups))
    layers = tuple(
        Layer(index, labels[index], sizes[index], is_classifier=index == len(groups) - 1)
        for index in range(len(groups))
    )
    return Layers(layers, index_of, order)


def _labels(index_of: Mapping[str, int], n_layers: int) -> list[str]:
    """Name each layer by the largest modules that lie wholly inside it."""
    layers_under: dict[str, set[int]] = {}
    for key, index in index_of.items():
        for prefix in _prefixes(key):
            layers_under.setdefault(prefix, set()).add(index)
    modules: list[dict[str, None]] = [{} for _ in range(n_layers)]
    for key, index in index_of.items():
        largest = next(prefix for prefix in _prefixes(key) if layers_under[prefix] == {index})
        modules[index][largest] = None
    return [" + ".join(names) for names in modules]


def _prefixes(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]
