"""All images of another domain, without splits: those that a network was pretrained on."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tlsearch.data.decode import decode
from tlsearch.data.fitting import stored_size
from tlsearch.data.imageset import ImageSet, labels_of, packed
from tlsearch.data.reading import read_all, unreadable
from tlsearch.data.references import ImageRef
from tlsearch.data.sources import read_source
from tlsearch.data.splits import check_classes
from tlsearch.errors import DataError
from tlsearch.records.resize import Resize
from tlsearch.spec import DataSpec

_CHUNK = 2000


@dataclass(frozen=True)
class Domain:
    """The labelled images of a domain; images of any size.

    Attributes:
        where: its name for the user.
        refs: the images.
        fingerprint: SHA-256 of names, labels and content.
        n_classes: of the images.
    """

    where: str
    refs: tuple[ImageRef, ...]
    fingerprint: str
    n_classes: int

    def decoded(self, image_size: int, eval_crop: float, resize: Resize) -> Iterator[ImageSet]:
        """Yield the images a few thousand at a time, in the size of `load_training_data`.

        Raises:
            DataError: some cannot be read; the message names the first five of a chunk.
        """
        short_side = stored_size(image_size, eval_crop)
        read = partial(decode, short_side=short_side, resize=resize)
        for start in range(0, len(self.refs), _CHUNK):
            refs = self.refs[start : start + _CHUNK]
            images, problems = read_all(refs, read)
            if problems:
                raise unreadable(problems)
            yield packed(images, labels_of(refs, self.n_classes))


def load_domain(path: str) -> Domain:
    """Find all images of a folder with one folder per class; joins its splits.

    Raises:
        DataError: there is no such folder, or it has fewer than two classes.
    """
    try:
        source = read_source(DataSpec(path=path))
        check_classes(source)
    except DataError as error:
        raise DataError(f"measures.source: {error}") from None
    refs = tuple(ref for split in source.splits.values() for ref in split)
    contents, problems = read_all(refs, ImageRef.digest)
    if problems:
        raise unreadable(problems)
    digest = hashlib.sha256()
    for ref, content in zip(refs, contents, strict=True):
        digest.update(f"{ref.name}\0{ref.label}\0".encode("utf-8", "surrogateescape") + content)
    return Domain(path, refs, digest.hexdigest(), len(source.class_names))
