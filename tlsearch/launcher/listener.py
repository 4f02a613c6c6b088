"""What a launcher reports about its slots."""

from collections.abc import Mapping
from typing import Any, Protocol

from tlsearch.launcher.slots import Slot


class Listener(Protocol):
    """Receives what happens in the slots; the command line shows it."""

    def progress(self, slot: Slot, event: Mapping[str, Any]) -> None:
        """A worker reported progress: one object of `tlsearch worker --json-progress`."""

    def output(self, slot: Slot, line: str) -> None:
        """A worker wrote a line that is not progress, mostly on standard error."""

    def state(self, slot: Slot, text: str) -> None:
        """A slot's worker starts, crashed or ended."""

    def problem(self, slot: Slot | None, sentence: str) -> None:
        """Something the user should read, about one slot or about all of them (None)."""
