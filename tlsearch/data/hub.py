"""Data sets of the Hugging Face hub by name: their Parquet files, through the hub's own cache.

The hub converts nearly every data set to Parquet, one folder a configuration and in it one a split,
on the branch `refs/convert/parquet`. That is what is read: no code of a data set is run.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from tlsearch.data.cache import cache_folder
from tlsearch.data.reading import listed
from tlsearch.errors import DataError, first_line
from tlsearch.spec import HF

_BRANCH = "refs/convert/parquet"
_PARTIAL = "partial-"  # before the name of a split of which the hub has converted a part
_EXPORT = (
    'save it by the package datasets: load_dataset("{}").save_to_disk("DIR"), and set data.path to '
    "DIR"
)


def hub_folder(path: str) -> Path:
    """Return the folder of a data set's Parquet files; downloads what is not in the hub's cache.

    What was downloaded whole is used again without asking the hub.

    Args:
        path: `hf:NAME` or `hf:NAME:CONFIGURATION`.

    Raises:
        DataError: there is no such data set or configuration, or it can be neither found here nor
            downloaded.
    """
    name, _, configuration = path.removeprefix(HF).partition(":")
    note = cache_folder().parent / "hub" / f"{path.removeprefix(HF).replace('/', '--')}.json"
    if (known := _noted(note)) is not None:
        return known
    with _silent():
        folder = _downloaded(path, name, configuration)
    _refuse_partial(path, name, folder)
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        files = sorted(str(file) for file in folder.rglob("*.parquet"))
        note.write_text(json.dumps({"folder": str(folder), "files": files}))
    return folder


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the hub's bars and warnings off the terminal, where the command's own progress is."""
    bars = import_module("huggingface_hub.utils")
    log, shown = logging.getLogger("huggingface_hub"), not bars.are_progress_bars_disabled()
    level = log.level
    log.setLevel(logging.CRITICAL)
    bars.disable_progress_bars()
    try:
        yield
    finally:
        log.setLevel(level)
        if shown:
            bars.enable_progress_bars()


def _noted(note: Path) -> Path | None:
    """Return where a data set was downloaded to, if all of it is still there."""
    try:
        found = json.loads(note.read_text())
        whole = all(Path(file).is_file() for file in found["files"])
        return Path(found["folder"]) if whole and found["files"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _downloaded(path: str, name: str, configuration: str) -> Path:
    from huggingface_hub import errors

    try:
        try:
            return _from_hub(path, name, configuration)
        except errors.GatedRepoError:
            raise DataError(
                f"{path}: its owner must let you in; ask on its page at the hub, then log in "
                "(hf auth login)"
            ) from None
        except errors.RepositoryNotFoundError:
            raise DataError(
                f"{path}: the hub has no data set {name!r}, or it is private; correct the name, or "
                "log in (hf auth login)"
            ) from None
        except errors.RevisionNotFoundError:
            raise DataError(
                f"{path}: the hub has no Parquet files of it; {_EXPORT.format(name)}"
            ) from None
    except errors.HFValidationError:
        raise DataError(f"{path}: is no name of a data set; give {HF}OWNER/NAME") from None
    except OSError as error:  # all of the hub's and the network's are such
        return _from_cache(path, name, configuration, first_line(error))


def _from_hub(path: str, name: str, configuration: str) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    files = HfApi().list_repo_files(name, repo_type="dataset", revision=_BRANCH)
    there = sorted({file.partition("/")[0] for file in files if file.endswith(".parquet")})
    chosen = _configuration(path, there, configuration)
    root = snapshot_download(
        name, repo_type="dataset", revision=_BRANCH, allow_patterns=[f"{chosen}/*"]
    )
    return Path(root, chosen)


def _from_cache(path: str, name: str, configuration: str, why: str) -> Path:
    """Return what the hub's cache has, where the hub cannot be asked."""
    from huggingface_hub import snapshot_download

    try:
        root = Path(
            snapshot_download(name, repo_type="dataset", revision=_BRANCH, local_files_only=True)
        )
    except OSError:
        raise DataError(
            f"{path}: is not in the hub's cache, and cannot be downloaded ({why}); where there is "
            f"a network run: hf download {name} --repo-type dataset --revision {_BRANCH}, and copy "
            "~/.cache/huggingface/hub here"
        ) from None
    there = sorted({file.relative_to(root).parts[0] for file in root.rglob("*.parquet")})
    return root / _configuration(path, there, configuration)


def _configuration(path: str, there: Sequence[str], wanted: str) -> str:
    """Return the configuration that is meant: the one named, the only one, or `default`."""
    if wanted in there:
        return wanted
    if not wanted and (len(there) == 1 or "default" in there):
        return there[0] if len(there) == 1 else "default"
    if not there:
        raise DataError(f"{path}: has no Parquet files; name another data set")
    what = f"has no configuration {wanted!r}" if wanted else "has several configurations"
    raise DataError(f"{path}: {what}; append one of {listed(there)}, as in {HF}NAME:{there[0]}")


def _refuse_partial(path: str, name: str, folder: Path) -> None:
    if any(each.name.startswith(_PARTIAL) for each in folder.iterdir()):
        raise DataError(
            f"{path}: is so large that the hub has Parquet files of a part alone; "
            f"{_EXPORT.format(name)}"
        )
