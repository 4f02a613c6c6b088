"""Pretrained networks: their ordered layers and their weights. The only place that knows timm."""

from tlsearch.backbones.head import LinearHead, has_linear_head, pooled_features, put_head
from tlsearch.backbones.layers import Layer, Layers, layers_of
from tlsearch.backbones.models import (
    AS_TIMM_BUILDS_IT,
    Dropping,
    InputStatistics,
    build,
    check_dropping,
    input_statistics,
    native_size,
)
from tlsearch.backbones.sizes import refusal
from tlsearch.backbones.weights import Backbone, load_backbone

__all__ = [
    "AS_TIMM_BUILDS_IT",
    "Backbone",
    "Dropping",
    "InputStatistics",
    "Layer",
    "Layers",
    "LinearHead",
    "build",
    "check_dropping",
    "has_linear_head",
    "input_statistics",
    "layers_of",
    "load_backbone",
    "native_size",
    "pooled_features",
    "put_head",
    "refusal",
]
