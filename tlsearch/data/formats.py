"""Which files are images by their names, which need another package, and which are none."""

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

FIRST_EXTENSIONS = frozenset(  # those of version 0.2.0
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
    | {".webp", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2"}
)
EXTENSIONS = FIRST_EXTENSIONS | {
    ".apng", ".avifs", ".j2c", ".j2k", ".jpc", ".jpf", ".jpx", ".pcx", ".qoi", ".sgi", ".rgb"
}  # fmt: skip

AS_JPEG = "or save them as JPEG"


@dataclass(frozen=True, slots=True)
class Kind:
    """Files that are passed over for one reason.

    Attributes:
        one, many: what they are called.
        advice: what to do; "" = nothing.
    """

    one: str
    many: str
    advice: str = ""


HEIC = Kind("HEIC photo", "HEIC photos", f"install pillow-heif, {AS_JPEG}")
JXL = Kind("JPEG XL image", "JPEG XL images", f"install pillow-jxl-plugin, {AS_JPEG}")
AVIF = Kind("AVIF image", "AVIF images", f"install a newer Pillow, {AS_JPEG}")
RAW = Kind("raw photo", "raw photos", "develop them into JPEG or 16-bit TIFF, with rawpy say")
DICOM = Kind("DICOM file", "DICOM files", "convert them into 16-bit PNG, with pydicom say")
VECTOR = Kind("drawing", "drawings", "render them into PNG")
VIDEO = Kind("video", "videos", "save some of their frames as images")
ARCHIVE = Kind("archive", "archives", "unpack them")
LOOSE = Kind(
    "image beside the class folders", "images beside the class folders",
    "move each into the folder of its class",
)  # fmt: skip
UNNAMED = Kind(
    "image without the ending of one", "images without the ending of one",
    "rename them, as in photo.jpg",
)  # fmt: skip
OTHER = Kind("file that is no image", "files that are no images")
HIDDEN = Kind("hidden file", "hidden files")
FOREIGN = Kind("file of another program", "files of other programs")
SPECIAL = Kind("pipe, socket or device", "pipes, sockets and devices")
BROKEN_LINK = Kind(
    "link that leads nowhere", "links that lead nowhere", "restore what they lead to"
)
SECOND_LINK = Kind(
    "link to a folder that is read already", "links to folders that are read already"
)
BESIDE = Kind(
    "file in folders beside the splits", "files in folders beside the splits",
    "move them into train/, val/ or test/, if they belong there",
)  # fmt: skip
ARRAYS = Kind("array that is not read", "arrays that are not read")
COLUMNS = Kind("column that is not read", "columns that are not read")

_BY_EXTENSION: Mapping[str, Kind] = {
    **dict.fromkeys((".heic", ".heif", ".hif", ".heics", ".heifs"), HEIC),
    ".jxl": JXL,
    **dict.fromkeys((".avif", ".avifs"), AVIF),
    **dict.fromkeys(
        (".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf",
         ".rw2", ".rwl", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".raw"), RAW,
    ),
    **dict.fromkeys((".dcm", ".dicom", ".ima"), DICOM),
    **dict.fromkeys((".svg", ".svgz", ".eps", ".ps", ".pdf", ".ai", ".wmf", ".emf"), VECTOR),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"), VIDEO),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"), ARCHIVE),
}  # fmt: skip
_PLUGINS = {"pillow_heif": HEIC, "pillow_jxl": JXL, "pillow_avif": AVIF}
_TEXTS = frozenset(
    {".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini"}
    | {".py", ".ipynb", ".html", ".htm", ".log", ".sh", ".npy", ".npz", ".pkl", ".mat", ".db"}
)
_PHOTOS = frozenset(
    {"JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM"}
)
_FOREIGN_NAMES = frozenset(
    name.lower()
    for name in (
        "@eaDir", "@SynoEAStream", "#recycle", "#snapshot", "__MACOSX", "Thumbs.db", "ehthumbs.db",
        "desktop.ini", "Icon\r", "$RECYCLE.BIN", "System Volume Information", "lost+found",
        "__pycache__", "RECYCLER", "iPod Photo Cache", "Picasa.ini", "_vti_cnf",
    )
)  # fmt: skip
_SIGNATURES = (  # of files that Pillow alone does not open, whatever their names
    (re.compile(rb"....ftyp(?:heic|heix|hevc|hevx|heim|heis|mif1|msf1)", re.DOTALL), HEIC),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), AVIF),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), JXL),
    (re.compile(rb".{128}DICM", re.DOTALL), DICOM),
)


def is_hidden(name: str) -> bool:
    """Whether a name is that of a hidden file or folder."""
    return name.startswith(".")


def is_foreign(name: str) -> bool:
    """Whether a file or folder of this name was made by another program for itself."""
    return name.lower() in _FOREIGN_NAMES


def opens(extension: str) -> bool:
    """Whether files with this ending (lower case) can be opened as images here."""
    if extension in EXTENSIONS and _pillow_opens(extension):
        return True
    kind = _BY_EXTENSION.get(extension)
    return any(_register(plugin) for plugin, opened in _PLUGINS.items() if opened is kind)


def opened_by_first(extension: str) -> bool:
    """Whether version 0.2.0 took files with this ending for images."""
    return extension in FIRST_EXTENSIONS


def register_all() -> bool:
    """Let Pillow open what installed packages can; returns whether there are any."""
    return any([_register(plugin) for plugin in _PLUGINS])


def kind_of(path: Path) -> Kind:
    """Return why a file whose ending is not that of an image is passed over."""
    extension = path.suffix.lower()
    if extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    return OTHER if extension in _TEXTS or not _is_photo(path) else UNNAMED


def kind_by_content(begin: bytes) -> Kind | None:
    """Return what a file that Pillow does not know is, by its first bytes."""
    return next((kind for pattern, kind in _SIGNATURES if pattern.match(begin)), None)


def _is_photo(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.format in _PHOTOS
    except Exception:  # of nearly any type, where it is no image
        return False


@cache
def _pillow_opens(extension: str) -> bool:
    return extension in Image.registered_extensions() or extension not in (".avif", ".avifs")


@cache
def _register(plugin: str) -> bool:
    try:
        module = importlib.import_module(plugin)
        register: Callable[[], None] | None = getattr(module, "register_heif_opener", None)
        if register is not None:
            register()
    except Exception:  # it is not installed, or not for this Pillow
        return False
    return True
