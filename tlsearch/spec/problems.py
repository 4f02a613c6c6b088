"""Turns pydantic's errors into sentences: the key, its value, the rule, the nearest valid key."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_TYPE_RULES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
    "model_type": "must be a table",
    "finite_number": "must be a finite number",
}


def describe(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """Return a sentence for each problem, in the order of the spec's keys."""
    return [_sentence(details, root) for details in error.errors(include_url=False)]


def _sentence(details: ErrorDetails, root: type[BaseModel]) -> str:
    keys = [str(part) for part in details["loc"]]
    key = ".".join(keys)
    kind = details["type"]
    if kind == "extra_forbidden":
        return f"{key}: no such key{_nearest(keys, root)}"
    if kind == "missing":
        return f"{key}: is missing; add it to the spec"
    if kind == "value_error" and isinstance(details["input"], Mapping):
        return f"[{key}]: {_rule(details)}" if key else _rule(details)
    return f"{key} = {_formatted(details['input'])}: {_rule(details)}"


def _rule(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _TYPE_RULES:
        return _TYPE_RULES[kind]
    if kind == "literal_error":
        return f"must be one of {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    return details["msg"].replace("Input should", "must").replace("String should", "must")


def _nearest(keys: list[str], root: type[BaseModel]) -> str:
    names: Iterable[str] = _fields_at(keys[:-1], root)
    close = difflib.get_close_matches(keys[-1], list(names), n=1, cutoff=0.5)
    where = f"in [{'.'.join(keys[:-1])}]" if keys[:-1] else "at the top level"
    if close:
        return f"; did you mean {'.'.join([*keys[:-1], close[0]])}?"
    return f"; the keys {where} are {', '.join(names)}"


def _fields_at(keys: list[str], root: type[BaseModel]) -> list[str]:
    model = root
    for key in keys:
        if key.isdecimal():  # a place in a list of tables, whose model is known already
            continue
        annotation: Any = model.model_fields[key].annotation
        for kind in (annotation, *get_args(annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                model = kind
    return list(model.model_fields)


def _formatted(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
