"""What the documentation names is there: links, commands, options, keys, files, Python names."""

import ast
import importlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from tlsearch.cli.app import app
from tlsearch.records import Range
from tlsearch.spec import KnobsSpec, StudySpec

ROOT = Path(__file__).parents[2]
Command = Any  # click's, or the copy of it that typer brings
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "workers").glob("*.md")),
    *sorted((ROOT / "bench").rglob("*.md")),
    *sorted((ROOT / "studies").rglob("*.md")),
]
COMMANDS_PAGE = ROOT / "docs" / "commands.md"
SPEC_PAGE = ROOT / "docs" / "spec.md"

# Options of other programs that stand alone in the text.
FOREIGN_OPTIONS = {"--requeue"}


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def every_command() -> dict[str, Command]:
    """Return the commands by name, those of `db` with it."""
    found: dict[str, Command] = {}
    groups: list[tuple[str, Command]] = [("", typer.main.get_command(app))]
    while groups:
        prefix, group = groups.pop()
        for word, command in group.commands.items():
            name = f"{prefix} {word}".strip()
            if hasattr(command, "commands"):
                groups.append((name, command))
            else:
                found[name] = command
    return found


COMMANDS = every_command()


def command_of(text: str) -> str | None:
    """Return the command that a text begins with."""
    words = text.split()
    names = (" ".join(words[:2]), words[0])
    return next((name for name in names if name in COMMANDS), None)


def options_of(name: str, hidden: bool = True) -> set[str]:
    options = [p for p in COMMANDS[name].params if p.param_type_name == "option"]
    return {flag for option in options if hidden or not option.hidden for flag in option.opts}


def code_of(text: str) -> Iterator[str]:
    """Yield inline code, and the lines of code blocks."""
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


def test_every_kind_of_page_is_looked_at() -> None:
    names = {named(page) for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "docs/spec.md", "workers/README.md"} <= names
    assert len(names) > 25


def test_the_readme_is_short_and_begins_with_the_result() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 200
    (picture,) = [n for n, line in enumerate(lines) if line.startswith("![")]
    assert picture < 30
    assert "make test" in "\n".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert found.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(found.read_text()), target


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_and_their_options_exist(page: Path) -> None:
    for code in code_of(page.read_text()):
        line = code.partition(" #")[0]
        found = re.match(r"(?:[\w.]+/)*tlsearch ([a-z].*)", line)
        if not found:
            continue
        command = command_of(found[1])
        assert command is not None, line
        if command != "db psql":  # what follows that is psql's
            options = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", found[1]))
            assert options <= options_of(command) | {"--help"}, line


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_options_that_stand_alone_are_of_some_command(page: Path) -> None:
    known = {"--help"} | FOREIGN_OPTIONS
    known |= {option for name in COMMANDS for option in options_of(name)}
    for code in code_of(page.read_text()):
        if found := re.match(r"--[a-z][\w-]*", code):
            assert found[0] in known, code


def test_every_command_is_documented_with_every_option() -> None:
    documented: dict[str, set[str]] = {}
    for row in COMMANDS_PAGE.read_text().splitlines():
        if row.startswith("| `--"):  # the table of the worker's options
            documented["worker"] |= options_in(row)
        elif row.startswith("| `tlsearch"):
            for span in re.findall(r"`tlsearch ([^`]*)`", row.split("|")[1]):
                command = command_of(span)
                assert command is not None, row
                documented.setdefault(command, set()).update(options_in(row))
    assert documented.keys() == COMMANDS.keys()
    for name, options in documented.items():
        shown = {option for option in options_of(name, hidden=False) if option.startswith("--")}
        assert options == shown, name


def options_in(row: str) -> set[str]:
    return {
        found
        for code in re.findall(r"`([^`]+)`", row)
        for found in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)
    }


def documented_keys() -> dict[str, str]:
    """Return the default that docs/spec.md shows of each dotted key."""
    found, table = {}, ""
    for row in SPEC_PAGE.read_text().splitlines():
        if heading := re.match(r"\| \*\*`\[(\w+)\]`\*\* \|", row):
            table = heading[1] + "."
        elif row.startswith("| `"):
            keys, shown = row.split("|")[1:3]
            names = re.findall(r"`([\w.]+)`", keys)
            defaults = shown.split(", ") if len(names) == 2 else [shown] * len(names)
            for name, default in zip(names, defaults, strict=True):
                found[(table + name).removesuffix(".NAME")] = default.strip().strip("`")
    return found


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys with their fields; a table of numbers by hyperparameter is one key."""
    for name, field in model.model_fields.items():
        inner: Any = field.annotation
        is_table = isinstance(inner, type) and issubclass(inner, BaseModel)
        if is_table and inner is not KnobsSpec:
            yield from keys_of(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def test_every_key_of_a_spec_is_documented() -> None:
    assert set(documented_keys()) == {key for key, _ in keys_of(StudySpec)}


def test_documented_defaults_are_those_of_the_code() -> None:
    shown, compared = documented_keys(), 0
    for key, field in keys_of(StudySpec):
        with suppress(json.JSONDecodeError):  # some are words, or depend on the network
            default = json.loads(shown[key])
            if not field.is_required() and field.default is not None:
                wanted = field.default
                if isinstance(wanted, Range):
                    wanted = [round(wanted.low, 3), round(wanted.high, 3)]
                assert default == wanted, key
                compared += 1
    assert compared > 35


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_that_are_named_exist(page: Path) -> None:
    folders = "tlsearch|tests|docs|db|bench|workers|studies"
    for code in code_of(page.read_text()):
        for path in re.findall(rf"(?<![\w/.~-])(?:{folders})/[\w./@*-]*\w", code):
            assert list(ROOT.glob(path)), path


def test_tests_of_faults_exist() -> None:
    names = re.findall(r"`(test_\w+\.py)`", (ROOT / "docs" / "faults.md").read_text())
    assert len(names) > 10
    assert [name for name in names if not (ROOT / "tests" / "acceptance" / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_names_in_tlsearch_exist(page: Path) -> None:
    """In inline code: a module, what is in one, or an object of the database."""
    made = r"CREATE (?:OR REPLACE )?(?:FUNCTION|VIEW|TABLE(?: IF NOT EXISTS)?) (tlsearch\.\w+)"
    in_database = set(re.findall(made, sql_texts()))
    for code in re.findall(r"`(tlsearch(?:\.\w+)+)", page.read_text()):
        name = ".".join(code.split(".")[:2])
        if not code.endswith((".toml", ".sql", ".json")):
            assert name in in_database or resolves(code), code


def sql_texts() -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / "db").rglob("*.sql")))


def resolves(dotted: str) -> bool:
    module, *names = dotted.split(".")
    found = importlib.import_module(module)
    for name in names:
        module = f"{module}.{name}"
        if not hasattr(found, name):
            try:
                importlib.import_module(module)
            except ModuleNotFoundError:
                return False
        found = getattr(found, name)
    return True


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_examples_import_what_is_there(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                assert node.module is not None
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module}.{alias.name}"
            elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("tlsearch."):
                assert resolves(ast.unparse(node)), ast.unparse(node)


def test_contributing_shows_the_rooms_in_the_order_of_imports() -> None:
    """Its table names every layer of .importlinter, from the top."""
    linter = (ROOT / ".importlinter").read_text()
    layers = re.search(r"^layers =\n((?:    .*\n)+)", linter, re.MULTILINE)
    assert layers is not None
    wanted = [set(re.findall(r"\w+", line)) for line in layers[1].splitlines()]
    table = re.findall(r"^\| `tlsearch/(\w+)(?:/|\.py)` \|", contributing(), re.MULTILINE)
    for layer in wanted:
        assert set(table[: len(layer)]) == layer
        table = table[len(layer) :]
    assert table == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_words_are_plain_and_of_the_glossary(page: Path) -> None:
    """Only the glossary tells the old words, beside the new ones."""
    old = "sign of life|signs of life|outbox|leftovers?|whoever|thereby|hence|upon|mend"
    old += "|hands? back|handed back|lets? go"
    if page.name != "glossary.md":
        assert re.findall(rf"\b(?:{old})\b", page.read_text(), re.IGNORECASE) == []


def contributing() -> str:
    return (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize(
    ("section", "example"),
    [("To add a knob", "low_lr_ratio"), ("To add a measure", "emd_similarity")],
)
def test_contributing_names_every_file_to_touch(section: str, example: str) -> None:
    """Those that name one of today's; see also `test_files_that_are_named_exist`."""
    text = contributing().partition(f"## {section}")[2].partition("\n## ")[0]
    listed = re.findall(r"`((?:tlsearch|db)/[\w/]+(?:\.\w+)?)`", text)
    sources = [*ROOT.glob("tlsearch/**/*.py"), *ROOT.glob("db/**/*.sql")]
    naming = [named(path) for path in sources if re.search(rf"\b{example}\b", path.read_text())]
    assert len(naming) >= 5
    assert [path for path in naming if not path.startswith(tuple(listed))] == []
