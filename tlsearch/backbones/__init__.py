"""Pretrained networks: their ordered layers and their weights. The only place that knows timm."""

from tlsearch.backbones.layers import Layer, Layers, layers_of
from tlsearch.backbones.models import InputStatistics, build, input_statistics
from tlsearch.backbones.weights import Backbone, load_backbone

__all__ = [
    "Backbone",
    "InputStatistics",
    "Layer",
    "Layers",
    "build",
    "input_statistics",
    "layers_of",
    "load_backbone",
]
