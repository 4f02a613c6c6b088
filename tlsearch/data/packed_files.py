"""Image files that lie inside of another file, a table say."""

import io
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, eq=False)
class PackedFile:
    """An image file in memory; it is read as a path is.

    Attributes:
        data: its bytes.
    """

    data: bytes

    def open(self, mode: str = "rb") -> io.BytesIO:
        """Open it to be read."""
        assert mode == "rb"
        return io.BytesIO(self.data)

    def read_bytes(self) -> bytes:
        """Return its bytes."""
        return self.data


def to_open(file: Path | PackedFile) -> Path | io.BytesIO:
    """Return what Pillow opens."""
    return file if isinstance(file, Path) else file.open()
