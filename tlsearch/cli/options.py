"""Options and arguments that several commands take."""

from typing import Annotated

import typer

Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="TLSEARCH_STORAGE",
        show_envvar=True,
        help="PostgreSQL URL, better in the environment if with a password; "
        "without one, the embedded server on this machine.",
    ),
]
Artifacts = Annotated[
    str | None,
    typer.Option(
        "--artifacts",
        metavar="WHERE",
        envvar="TLSEARCH_ARTIFACTS",
        show_envvar=True,
        help="Where checkpoints and models lie: a folder all workers reach, or s3://bucket/prefix.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.")]
StudyNames = Annotated[
    list[str], typer.Argument(metavar="STUDY", help="Names of the studies, worked on in turn.")
]
