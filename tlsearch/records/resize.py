"""How images get their size, and where a centre crop lies; see `tlsearch.data.fitting`."""

from typing import Literal

Resize = Literal["timm", "rounded"]
