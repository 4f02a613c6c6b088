"""Options and arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from tlsearch.cli.logs import LogLevel

Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        envvar="TLSEARCH_STORAGE",
        show_envvar=True,
        help="PostgreSQL URL; put it into the environment if it has a password. Default: the "
        "embedded server on this machine.",
    ),
]
Artifacts = Annotated[
    str | None,
    typer.Option(
        "--artifacts",
        metavar="WHERE",
        envvar="TLSEARCH_ARTIFACTS",
        show_envvar=True,
        help="Where checkpoints and models are kept: a folder all workers reach, or "
        "s3://bucket/prefix.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.")]
StudyNames = Annotated[
    list[str], typer.Argument(metavar="STUDY", help="Names of the studies, taken in turn.")
]
SpecPath = Annotated[Path, typer.Argument(metavar="SPEC.toml", help="Study spec.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="CPU threads; default: all cores.")
]
DataHere = Annotated[
    str | None, typer.Option(metavar="PATH", help="The study's images on this machine.")
]
WeightsHere = Annotated[
    str | None, typer.Option(metavar="PATH", help="The study's weights on this machine.")
]
GpuHours = Annotated[
    float | None, typer.Option(metavar="H", help="Hours that workers may hold the runs, summed.")
]
QueueOnly = Annotated[
    bool, typer.Option("--queue-only", help="Queue the runs and show what is there; train nothing.")
]
LogLevelOption = Annotated[
    LogLevel, typer.Option("--log-level", help="Least severe log records on standard error.")
]
LogJson = Annotated[
    bool, typer.Option("--log-json", help="Write log records as JSON, one object a line.")
]
