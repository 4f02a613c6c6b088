"""Odd study specs, each decided by a seed: damaged bytes, odd values, odd tables."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel

from tlsearch.spec import StudySpec

PLAIN = """\
name = "plain"

[data]
path = "{images}"
val_fraction = 0.25
test_fraction = 0.25

[backbone]
model = "test_efficientnet"
weights = "{weights}"

[recipe]
image_size = 32
epochs = 3

[measures]
when = "off"

[budget]
trials = 3
"""

VALUES = [
    "0", "-1", "1", "2", "1.5", "-0.0", "nan", "inf", "-inf", "1e308", "1e-320", "0x10", "1_000",
    "9" * 30, "9" * 5000, "-" + "9" * 400, "true", "false", '""', '" "', '"x"', "'x'", '"\\u0000"',
    '"a\\nb"', '"' + "long" * 3000 + '"', '"猫 🐈"', '"\\u202e"', '"{}"', '"%s %(x)s"', '"../.."',
    "[]", "[1]", "[0.1, 0.01]", "[0.01, 0.1]", "[nan, 1]", "[[1, 2], [3]]", '["a", 1]', "{}",
    "{a = 1}", "2026-12-24", "2026-12-24T18:00:00Z", "12:00:00", "[" * 200 + "]" * 200, "[true, 1]",
    '"none"', '"auto"', '"off"', '"create"', '"adamw"', '"GPSampler"', '"x.Sampler"',
    '"builtin:x"', '"builtin:fashion-mnist-30"', '"package:x"', '"s3://"', '"s3://b/p"', '"ftp://x/y"',
    '"postgresql://u:p@127.0.0.1:1/d"', '"sqlite:///x"', '"timm"', '"resnet18"', '"test_vit"',
    '"/"', '"."', '"~"', '"~nobody-here/x"', '"/dev/null"', '"/dev/zero"', '"/proc/self/mem"',
    '"w.safetensors"', '"w.pth"', '"pipe.npz"', '"loop"', '"self.toml"', '"empty.npz"', '"locked"',
]  # fmt: skip
LINES = [
    "[", "]", "=", "x", "x =", "x = ", "[data]", "[[data]]", "[data.path]", "[recipe.epochs.x]",
    "data = 1", "name.x = 1", 'name = "twice"', "\x00", "\x07", "# \x7f", "\ufeff", "a.b.c.d.e = 1",
    '"" = 1', '"quoted key" = 1', "[space]\nhigh_lr = 0.01", "[prior.mode]\nalpha = 1",
    "'''", '"""',
]  # fmt: skip


def keys_of(model: type[BaseModel] = StudySpec, prefix: str = "") -> Iterator[str]:
    """Yield every key of a spec, with its table."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield prefix + name
            yield from keys_of(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


KEYS = list(keys_of())


def odd_spec(seed: int, images: Path, weights: Path) -> bytes:
    """Return the bytes of a spec: a plain one with one to four oddities."""
    chance = random.Random(seed)
    text = PLAIN.format(images=images, weights=weights)
    text = "".join(f"{line}\n" for line in _with_values(chance, text.splitlines()))
    data = text.encode(errors="surrogateescape")
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        data = chance.choice(_DAMAGES)(chance, data)
    return data


def _with_values(chance: random.Random, lines: list[str]) -> list[str]:
    """Set odd values, before all tables, in place of plain ones with the same key."""
    odd = list(lines)
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        key, value = chance.choice(KEYS), chance.choice(VALUES)
        table, _, last = key.rpartition(".")
        start = odd.index(f"[{table}]") + 1 if f"[{table}]" in odd else 0
        odd = [line for line in odd if start == 0 or not line.startswith(f"{last} =")]
        odd.insert(min(start, len(odd)), f"{last if start else key} = {value}")
    if chance.random() < 0.2:
        odd.insert(chance.randrange(len(odd)), chance.choice(LINES))
    if chance.random() < 0.1:
        odd.insert(chance.randrange(len(odd)), f"{json.dumps(chance.choice(KEYS) + 'x')} = 1")
    return odd


def _cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _flip(chance: random.Random, data: bytes) -> bytes:
    place = chance.randrange(max(1, len(data)))
    return data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]


def _insert(chance: random.Random, data: bytes) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.randbytes(chance.choice([1, 2, 40])) + data[place:]


def _repeat(chance: random.Random, data: bytes) -> bytes:
    return data * chance.choice([2, 3])


def _mark(chance: random.Random, data: bytes) -> bytes:
    return chance.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf" * 2]) + data


def _recode(chance: random.Random, data: bytes) -> bytes:
    code = chance.choice(["utf-16", "utf-32", "utf-16-le", "utf-8-sig", "cp1252"])
    return data.decode(errors="replace").encode(code, errors="replace")


def _line_ends(chance: random.Random, data: bytes) -> bytes:
    return data.replace(b"\n", chance.choice([b"\r\n", b"\r", b"\n\n", b"\x0b", b"\xe2\x80\xa8"]))


_DAMAGES: list[Callable[[random.Random, bytes], bytes]] = [
    _cut,
    _flip,
    _insert,
    _repeat,
    _mark,
    _recode,
    _line_ends,
]
