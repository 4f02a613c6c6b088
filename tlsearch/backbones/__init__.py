"""Pretrained networks: their ordered layers and their weights. The only place that knows timm."""

from tlsearch.backbones.exported import (
    ExportedNetwork,
    check_exported,
    files_of,
    hub_id_of,
    licence_of,
    load_exported,
)
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
    "ExportedNetwork",
    "InputStatistics",
    "Layer",
    "Layers",
    "LinearHead",
    "build",
    "check_dropping",
    "check_exported",
    "files_of",
    "has_linear_head",
    "hub_id_of",
    "input_statistics",
    "layers_of",
    "licence_of",
    "load_backbone",
    "load_exported",
    "native_size",
    "pooled_features",
    "put_head",
    "refusal",
]
