"""Writes files by hand that Pillow does not write: EXIF blocks, TIFFs and PNGs of odd kinds."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

Entry = tuple[int, int, int, bytes]  # tag, type, count, the four bytes of value or offset

ORIENTATION = 0x112
BROKEN: dict[str, list[Entry]] = {
    "a ratio of a type that cannot be written back": [(0x11A, 10, 1, struct.pack("<I", 38))],
    "a text that begins outside of the block": [(0x10F, 2, 40, struct.pack("<I", 9_999_999))],
    "a text that ends outside of the block": [(0x10E, 2, 500, struct.pack("<I", 8))],
    "a count without end": [(0x10F, 2, 0xFFFFFFFF, struct.pack("<I", 8))],
    "an unknown type": [(0x10F, 99, 1, b"\0\0\0\0")],
    "a directory that is not there": [(0x8769, 4, 1, struct.pack("<I", 4_000_000))],
    "a directory that is itself": [(0x8769, 4, 1, struct.pack("<I", 8))],
    "places of a text": [(0x8825, 2, 4, b"abc\0")],
    "a text where a number is due": [(0x11A, 2, 4, b"abc\0"), (0x11B, 2, 4, b"abc\0")],
    "a ratio over zero": [(0x11A, 5, 1, struct.pack("<I", 46))],
    "an empty note": [(0x927C, 7, 0, b"\0\0\0\0")],
}


def exif(entries: Sequence[Entry], order: str = "<") -> bytes:
    """Return a TIFF structure of one directory; what follows it is -1/0."""
    body = [struct.pack(order + "HHI", tag, kind, n) + value for tag, kind, n, value in entries]
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = magic + struct.pack(order + "IH", 8, len(body))
    return head + b"".join(body) + bytes(4) + struct.pack(order + "ii", -1, 0)


def oriented(value: int, broken: Sequence[Entry] = (), order: str = "<") -> bytes:
    """Return a block with an orientation, and broken tags before and after it, by number."""
    short = struct.pack(order + "HH", value, 0)
    return exif(sorted([(ORIENTATION, 3, 1, short), *broken]), order)


def tiff(
    path: Path,
    pixels: bytes,
    width: int,
    height: int,
    tags: Mapping[int, tuple[int, Sequence[int]]],
    entries: Sequence[Entry] = (),
) -> Path:
    """Write a TIFF of one strip; `tags` are type and values by number, `entries` as they are."""
    all_tags = {
        256: (3, [width]),
        257: (3, [height]),
        259: (3, [1]),
        273: (4, [8]),
        277: (3, [1]),
        278: (3, [height]),
        279: (4, [len(pixels)]),
        **tags,
    }
    extra, made = b"", list(entries)
    start = 8 + len(pixels) + len(pixels) % 2
    for tag, (kind, values) in all_tags.items():
        packed = struct.pack("<" + {3: "H", 4: "I", 8: "h"}[kind] * len(values), *values)
        if len(packed) > 4:
            packed, extra = struct.pack("<I", start + len(extra)), extra + packed + bytes(2)
        made.append((tag, kind, len(values), packed.ljust(4, b"\0")))
    body = b"".join(struct.pack("<HHI", t, k, n) + value for t, k, n, value in sorted(made))
    ifd = start + len(extra)
    path.write_bytes(
        b"II*\0"
        + struct.pack("<I", ifd)
        + pixels.ljust(start - 8, b"\0")
        + extra
        + struct.pack("<H", len(made))
        + body
        + bytes(4)
    )
    return path


def png(
    path: Path, values: np.ndarray, depth: int, chunks: dict[bytes, bytes] | None = None
) -> Path:
    """Write a PNG of values (h, w) or (h, w, channels) with so many bits each."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    flat = values.reshape(height, width * channels)
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in flat]
    else:
        digits = [np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, -depth:] for row in flat]
        rows = [np.packbits(row.reshape(-1)).tobytes() for row in digits]
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", head), *(chunks or {}).items(), (b"IDAT", data), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts))
    return path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
