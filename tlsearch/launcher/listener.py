"""What a launcher tells of its slots."""

from collections.abc import Mapping
from typing import Any, Protocol

from tlsearch.launcher.slots import Slot


class Listener(Protocol):
    """Receives what happens in the slots; the command line shows it."""

    def news(self, slot: Slot, news: Mapping[str, Any]) -> None:
        """A worker tells of its work, in the words of `tlsearch worker --news`."""

    def said(self, slot: Slot, line: str) -> None:
        """A worker wrote a line that is no news, mostly on standard error."""

    def state(self, slot: Slot, what: str) -> None:
        """A slot's worker starts or is over."""

    def trouble(self, slot: Slot | None, sentence: str) -> None:
        """Something the user should read, of one slot or of all."""
