"""What a section of the report consists of."""

from dataclasses import dataclass

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure in two forms.

    Attributes:
        svg: an `<svg>` element for the page, whose colours follow the page's.
        png: a PNG file on white.
    """

    svg: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with what it was drawn from.

    Attributes:
        slug: the name of its files.
        title: short, such as `Figure 1: single rates`.
        caption: what it shows, of how many trials, and what the paper found.
        alt: the same for people who do not see it, in a sentence.
        drawn: the figure.
        data: heading and rows of its CSV file; numbers are written out in full.
    """

    slug: str
    title: str
    caption: str
    alt: str
    drawn: Drawn
    data: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        slug: the name of its file.
        title: short, such as `Table 2: one learning rate`.
        rows: the heading first; the first cell of a row names it.
        note: what the figures in it mean.
    """

    slug: str
    title: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that a worker drew.

    Attributes:
        slug: the name of its file.
        title: what it is, and of which trial.
        alt: the same in a sentence.
        png: the file.
    """

    slug: str
    title: str
    alt: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Attributes:
        slug: its anchor.
        title: its heading.
        words: paragraphs.
        figures, tables, pictures: in the order of the page.
        commands: what to type for what is missing here.
    """

    slug: str
    title: str
    words: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    commands: tuple[str, ...] = ()
