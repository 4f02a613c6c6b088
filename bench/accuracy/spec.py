"""The study spec of a unit: the same for every tree."""

import json

from .answers import BATCH_SIZE, CROP_SCALE, LABEL_SMOOTHING, MODEL, WEIGHTS, Settings, Unit

_TEXT = """name = {name}

[data]
path = {path}

[backbone]
model = "{model}"
weights = "{weights}"

[recipe]
image_size = {image_size}
epochs = {epochs}
warmup_epochs = {warmup}
batch_size = {batch_size}
label_smoothing = {smoothing}
eval_crop = 1.0
crop_scale = [{low}, {high}]
horizontal_flip = {flip}
seed = {seed}

[sampler]
seed = {seed}

[budget]
trials = {trials}
"""


def spec_text(unit: Unit, name: str, settings: Settings) -> str:
    """Return the TOML of a unit's study; what it does not say is the tree's default."""
    return _TEXT.format(
        name=json.dumps(name),
        path=json.dumps(str(unit.prepared.study)),
        model=MODEL,
        weights=WEIGHTS,
        image_size=settings.image_size,
        epochs=settings.epochs,
        warmup=settings.warmup_epochs,
        batch_size=BATCH_SIZE,
        smoothing=LABEL_SMOOTHING,
        low=CROP_SCALE[0],
        high=CROP_SCALE[1],
        flip=str(unit.prepared.target.horizontal_flip).lower(),
        seed=unit.seed,
        trials=settings.trials,
    )
