"""Resamples tensors that depend on the image size, of families whose own loader does not.

Levit, PiT, Visformer, ConViT and others have position embeddings or tables of relative positions,
and timm has functions that resample them, but those families do not call these when they load
weights. Here the same functions are called for them.
"""

from collections.abc import Mapping
from math import isqrt

from timm.layers import (
    resample_abs_pos_embed,
    resample_abs_pos_embed_nhwc,
    resize_rel_pos_bias_table,
    resize_rel_pos_bias_table_levit,
)
from torch import Tensor
from torch.nn import functional

_MOST_PREFIX = 5  # class and register tokens before the grid


def resampled(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors, those of positions on another square grid resampled to the wanted one.

    Args:
        state: tensors by state-dict key.
        expected: those of the network; only shapes are used.
    """
    found = dict(state)
    for key, wanted in expected.items():
        tensor = state.get(key)
        if tensor is not None and tensor.shape != wanted.shape and tensor.ndim == wanted.ndim:
            found[key] = _as_wanted(key.rpartition(".")[2], tensor, wanted)
    return found


def _as_wanted(name: str, tensor: Tensor, wanted: Tensor) -> Tensor:
    """Return a tensor of the wanted shape, or the same where it is of no known kind."""
    if name == "attention_biases" and tensor.ndim == 2 and len(tensor) == len(wanted):
        if _are_squares(tensor.shape[1], wanted.shape[1]):
            table: Tensor = resize_rel_pos_bias_table_levit(tensor.T, wanted.shape[::-1])
            return table.T.contiguous()
    elif name == "relative_position_bias_table" and tensor.ndim == 2:
        return _table(tensor, wanted)
    elif name in ("rel_pos_h", "rel_pos_w") and tensor.shape[1] == wanted.shape[1]:
        # As timm's SAM does with one of another length when it uses it.
        line = functional.interpolate(tensor.float().T[None], size=len(wanted), mode="linear")
        return line[0].T.to(tensor.dtype).contiguous()
    elif name.startswith(("pos_embed", "pos_emb", "position_embedding")):
        return _embedding(tensor, wanted)
    return tensor


def _table(tensor: Tensor, wanted: Tensor) -> Tensor:
    """Resample a table of relative positions, ((2 w - 1)^2, heads), for another window."""
    if tensor.shape[1] != wanted.shape[1] or not _are_squares(len(tensor), len(wanted)):
        return tensor
    window = (isqrt(len(wanted)) + 1) // 2
    new: Tensor = resize_rel_pos_bias_table(tensor, (window, window), tuple(wanted.shape))
    return new


def _embedding(tensor: Tensor, wanted: Tensor) -> Tensor:
    """Resample a position embedding: (1, tokens, d), (1, height, width, d) or (1, d, h, w)."""
    if tensor.ndim == 3 and tensor.shape[2] == wanted.shape[2]:
        n, n_wanted = tensor.shape[1], wanted.shape[1]
        for prefix in range(_MOST_PREFIX + 1):
            if _are_squares(n - prefix, n_wanted - prefix):
                side = isqrt(n_wanted - prefix)
                new: Tensor = resample_abs_pos_embed(
                    tensor, new_size=[side, side], num_prefix_tokens=prefix
                )
                return new
    elif tensor.ndim == 4 and tensor.shape[3] == wanted.shape[3]:
        whole: Tensor = resample_abs_pos_embed_nhwc(tensor, new_size=list(wanted.shape[1:3]))
        return whole
    elif tensor.ndim == 4 and tensor.shape[1] == wanted.shape[1]:
        last: Tensor = resample_abs_pos_embed_nhwc(
            tensor.permute(0, 2, 3, 1), new_size=list(wanted.shape[2:])
        )
        return last.permute(0, 3, 1, 2).contiguous()
    return tensor


def _are_squares(*numbers: int) -> bool:
    return all(number > 0 and isqrt(number) ** 2 == number for number in numbers)
