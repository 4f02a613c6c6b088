"""Reads a data set whose damaged files may be left out, up to a share of all."""

from dataclasses import dataclass

from tlsearch.data.cache import read_once
from tlsearch.data.catalog import catalog_of, load_catalog, without
from tlsearch.data.colours import Look
from tlsearch.data.reading import Unread, UnreadableError, listed
from tlsearch.data.references import Catalog, SourceImages
from tlsearch.data.sources import read_source
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec, RecipeSpec


@dataclass(frozen=True, slots=True)
class ReadImages:
    """A data set of which each image was read.

    Attributes:
        catalog: the images that can be read.
        looks: how those for training, validation and testing look, in this order.
        left_out: names of those that cannot be read, with the reasons.
    """

    catalog: Catalog
    looks: tuple[Look, ...]
    left_out: tuple[tuple[str, Unread], ...] = ()


def load_readable(spec: DataSpec, recipe: RecipeSpec) -> ReadImages:
    """Read every image once, and leave out those that cannot be read, if they are few.

    Splits are made of the others. With `data.splits = "stable"` no other image moves for it.

    Args:
        spec: the data; `max_bad_fraction` is the share of all images that may be left out.
        recipe: for the sizes at which the images go into the cache.

    Raises:
        DataError: as `load_catalog`; or more images than that cannot be read.
    """
    source = read_source(spec)
    sizes = dict.fromkeys((recipe.image_size, recipe.for_evaluation().image_size))
    left: dict[str, Unread] = {}
    while True:
        try:
            catalog = catalog_of(without(source, left), spec)
            for size in sizes:
                looks = read_once(catalog, size, recipe.eval_crop, recipe.resize)
            return ReadImages(catalog, tuple(looks), tuple(sorted(left.items())))
        except UnreadableError as error:
            left |= _few(source, spec, left, error)
        except DataError as error:
            if not left:
                raise
            raise DataError(f"{error}; {_they_were(left)} left out") from None


def find_images(spec: DataSpec, recipe: RecipeSpec) -> Catalog:
    """Find the images without a study; where some may be left out, all are read to know which.

    Raises:
        DataError: as `load_catalog` and `load_readable`.
    """
    return load_readable(spec, recipe).catalog if spec.max_bad_fraction else load_catalog(spec)


def _few(
    source: SourceImages, spec: DataSpec, left: dict[str, Unread], error: UnreadableError
) -> dict[str, Unread]:
    """Return the newly found images by name, where all of them may be left out."""
    refs = [ref for refs in source.splits.values() for ref in refs]
    reasons = {image.place: image for image in error.images}
    found = {ref.name: reasons[ref.place] for ref in refs if ref.place in reasons}
    most = spec.max_bad_fraction
    if most == 0:
        advice = "or set data.max_bad_fraction, the share of them that may be left out"
        raise UnreadableError(error.images, f"{error}, {advice}") from None
    every = left | found
    if not found or len(every) > most * len(refs):
        raise DataError(
            f"{source.where}: {len(every)} of {len(refs)} images cannot be read, and "
            f"data.max_bad_fraction = {most:g} allows {int(most * len(refs))}: "
            f"{listed(image.text for image in every.values())}; replace or remove the broken "
            "files, or raise it"
        ) from None
    return found


def _they_were(left: dict[str, Unread]) -> str:
    return "1 image is" if len(left) == 1 else f"{len(left)} images are"
