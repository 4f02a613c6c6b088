"""The record of a study whose spec fits its images and its network."""

from dataclasses import dataclass

from tlsearch.backbones import Backbone
from tlsearch.data import Catalog, Copy, Look, Unread
from tlsearch.space import SearchSpace
from tlsearch.spec import StudySpec


@dataclass(frozen=True)
class CheckedStudy:
    """A spec that fits its data and its network.

    Attributes:
        spec: the spec.
        catalog: the images and their splits.
        backbone: the pretrained network.
        space: the search space, every range filled in.
        looks: how the images for training, validation and testing look, in this order.
        copies: images that are there twice, or nearly so.
        left_out: images that cannot be read and are not used, by name, with place and reason.
        takes_head: whether the linear probe can take the place of the network's classifier.
    """

    spec: StudySpec
    catalog: Catalog
    backbone: Backbone
    space: SearchSpace
    looks: tuple[Look, ...]
    copies: tuple[Copy, ...] = ()
    left_out: tuple[tuple[str, Unread], ...] = ()
    takes_head: bool = True
