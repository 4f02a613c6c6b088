"""Reinitialises the top layers of a pretrained network.

Plested et al., section 4.3: all layers but the top k are transferred. A fresh residual block may
start as the identity (ResNet's last BN weight 0, ConvNeXt's gamma 1e-6), as the authors of the
architecture do; that is a smaller change than a fresh Inception block.
"""

from torch import nn

from tlsearch.backbones import AS_TIMM_BUILDS_IT, Backbone, Dropping, build


def initial_model(
    backbone: Backbone,
    n_classes: int,
    reinit_layers: int,
    seed: int,
    dropping: Dropping = AS_TIMM_BUILDS_IT,
) -> nn.Module:
    """Return a model with pretrained layers below the top `reinit_layers`.

    Parameters and buffers of a kept layer (batch-norm statistics too) are those of the pretrained
    network bit for bit; all others are those of `build(..., seed)`.

    Args:
        backbone: pretrained network.
        n_classes: outputs of the classifier, which is always fresh.
        reinit_layers: 1 = the classifier only.
        seed: of the fresh weights.
        dropping: what the model drops in training.

    Raises:
        ValueError: `reinit_layers` below 1 or above the number of layers.
    """
    n_layers = len(backbone.layers.layers)
    if not 1 <= reinit_layers <= n_layers:
        raise ValueError(f"reinit_layers = {reinit_layers} must lie in 1..{n_layers}")
    model = build(backbone.name, n_classes, seed, backbone.image_size, dropping)
    state = model.state_dict()
    for key, tensor in backbone.state.items():
        if backbone.layers.index_of[key] < n_layers - reinit_layers:
            state[key] = tensor
    model.load_state_dict(state, strict=True)
    return model
