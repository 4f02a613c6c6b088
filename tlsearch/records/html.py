"""Tables for notebooks."""

from collections.abc import Sequence
from html import escape


def html_table(rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """Return a table whose first row is its heading; every cell is text, never markup."""
    heading, *others = rows
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in others
    )
    return f"<table>{said}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
