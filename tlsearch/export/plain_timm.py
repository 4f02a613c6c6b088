"""Which images a user of plain timm sees otherwise than validation did, and how to open them.

Such a user opens an image by `Image.open(path).convert("RGB")`, and takes the transform that timm
makes of the exported `config.json`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, TiffImagePlugin

from tlsearch.data import Catalog, ImageRef
from tlsearch.data.colours import needs_all_bits
from tlsearch.data.decode import ARRAY_MODES, open_rgb
from tlsearch.data.depth import samples_of
from tlsearch.data.orientation import orientation_of
from tlsearch.data.packed_files import PackedFile, to_open
from tlsearch.data.reading import Unread, read_each
from tlsearch.predict.exported import Preprocessing
from tlsearch.predict.preprocess import centre_crop

Kind = Literal["turned", "transparent", "deep", "bits", "shape"]


@dataclass(frozen=True, slots=True)
class Remedy:
    """How a kind of image is opened as tlsearch opens it.

    Attributes:
        what: the kind, in words that may follow a number.
        seen: what plain timm sees of it.
        line: Python that makes of the opened `image` one that timm sees as tlsearch does; None =
            there is no such line.
    """

    what: str
    seen: str
    line: str | None


REMEDIES: Mapping[Kind, Remedy] = {
    "turned": Remedy(
        "turned by an EXIF tag",
        "the image as it is stored, on its side",
        "image = ImageOps.exif_transpose(image)",
    ),
    "transparent": Remedy(
        "with transparent pixels",
        "the colours that these hide",
        'image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), '
        'image.convert("RGBA"))',
    ),
    "deep": Remedy(
        "grey of 16 bits",
        "white wherever a value is above 255",
        'image = Image.fromarray((np.asarray(image) / 257).round().astype("uint8"))',
    ),
    "bits": Remedy("whose values use a part of their bits, or have a sign", "it too dark", None),
    "shape": Remedy("whose crop lies elsewhere", "it moved by up to a pixel", None),
}
ALWAYS: Sequence[Kind] = ("turned", "transparent", "deep")  # may come up with any new image


@dataclass(frozen=True, slots=True)
class SeenOtherwise:
    """How many images of a study plain timm sees otherwise.

    Attributes:
        n_images: of the study, for training, validation and testing.
        n_otherwise: of them.
        kinds: how many of these are of each kind; one may be of several.
    """

    n_images: int
    n_otherwise: int
    kinds: Mapping[Kind, int]

    @property
    def text(self) -> str:
        """Return `plain timm sees 2 of 90 images otherwise (2 turned by an EXIF tag)`."""
        if not self.n_otherwise:
            return f"plain timm sees all {self.n_images} images as tlsearch does"
        kinds = ", ".join(f"{n} {REMEDIES[kind].what}" for kind, n in self.kinds.items())
        return f"plain timm sees {self.n_otherwise} of {self.n_images} images otherwise ({kinds})"


def seen_otherwise(catalog: Catalog, preprocessing: Preprocessing) -> SeenOtherwise:
    """Count the images whose pixels differ: by headers first, of which few need to be decoded."""
    refs = [*catalog.train, *catalog.val, *catalog.test]
    found = read_each(refs, partial(_otherwise, preprocessing=preprocessing))
    others = [kinds for kinds in found if not isinstance(kinds, Unread) and kinds]
    counts = Counter(kind for kinds in others for kind in kinds)
    return SeenOtherwise(len(refs), len(others), {k: counts[k] for k in REMEDIES if counts[k]})


def _otherwise(ref: ImageRef, preprocessing: Preprocessing) -> tuple[Kind, ...]:
    """Return of which kinds an image is; none where its pixels are the same."""
    with _as_a_user(ref) as image:
        kinds = _kinds(ref, image, preprocessing)
        if not kinds:
            return ()
        theirs = centre_crop(image.convert("RGB"), replace(preprocessing, resize="timm"))
    ours = centre_crop(open_rgb(ref), preprocessing)
    return () if np.array_equal(ours, theirs) else kinds


def _as_a_user(ref: ImageRef) -> Image.Image:
    if isinstance(ref.source, Path | PackedFile):
        return Image.open(to_open(ref.source))
    channels = ref.source.shape[2] if ref.source.ndim == 3 else 1
    pixels = ref.source if channels > 1 else ref.source.reshape(ref.source.shape[:2])
    return Image.fromarray(pixels, ARRAY_MODES[channels])


def _kinds(ref: ImageRef, image: Image.Image, preprocessing: Preprocessing) -> tuple[Kind, ...]:
    """Return what a header says that may make a difference."""
    is_tiff = isinstance(image, TiffImagePlugin.TiffImageFile)  # which Pillow turns itself
    samples = samples_of(image, ref.source if isinstance(ref.source, Path | PackedFile) else None)
    margin = preprocessing.short_side - preprocessing.image_size
    square = image.width == image.height
    signs: dict[Kind, bool] = {
        "turned": not is_tiff and orientation_of(image) != 1,
        "transparent": image.has_transparency_data,
        "deep": image.mode.startswith("I"),
        "bits": ref.bits is not None or samples.signed or needs_all_bits(image, samples, None),
        "shape": preprocessing.resize == "rounded" and (not square or margin % 4 == 3),
    }
    return tuple(kind for kind, there in signs.items() if there)
