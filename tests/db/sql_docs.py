"""The SQL of docs/sql.md and the answers it shows.

    python -m tests.db.sql_docs URL

writes the answers of a database into the document, as psql prints them.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tlsearch.postgres.cluster import binary

DOCUMENT = Path(__file__).parents[2] / "docs" / "sql.md"
_BLOCK = re.compile(r"```sql\n(?P<query>.*?)\n```\n\n```text\n(?P<answer>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Question:
    """A query and the answer that is shown below it."""

    query: str
    answer: str

    @property
    def columns(self) -> list[str]:
        """The names of the columns shown."""
        return columns_of(self.answer)


def questions() -> list[Question]:
    """Return what the document asks, in order."""
    found = _BLOCK.finditer(DOCUMENT.read_text())
    return [Question(each["query"], each["answer"]) for each in found]


def answer(url: str, query: str) -> str:
    """Return what psql prints."""
    command = [str(binary("psql")), url, "-X", "-v", "ON_ERROR_STOP=1", "-f", "-"]
    done = subprocess.run(command, input=query + ";", capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{query}\n{done.stderr}"
    return re.sub(r" +$", "", done.stdout, flags=re.MULTILINE).rstrip("\n") + "\n"


def columns_of(shown: str) -> list[str]:
    """Return the names of the columns in what psql printed."""
    return [name.strip() for name in shown.split("\n", 1)[0].split("|")]


def rewrite(url: str) -> None:
    """Put the answers of a database into the document."""

    def answered(found: re.Match[str]) -> str:
        query = found["query"]
        return f"```sql\n{query}\n```\n\n```text\n{answer(url, query)}```"

    DOCUMENT.write_text(_BLOCK.sub(answered, DOCUMENT.read_text()))


if __name__ == "__main__":
    rewrite(sys.argv[1])
