"""Recipes: everything that decides how a flow is trained, in one JSON file."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tfflows.checks.settings import Settings, serialized
from tfflows.data import Dataset, load
from tfflows.layers.memory import require_memory_mode

if TYPE_CHECKING:
    from tfflows.flow import Flow


PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class Recipe:
    """How to train a flow.

    Attributes:
        flow: name of a flow in `tfflows`, e.g. `"RealNVP"`, or of a registered class of your own
            (see `tfflows.flows.flow_class`).
        data: what `tfflows.data.load` takes, e.g. `"digits"` or a path.
        config: hyper-parameters of the flow, also such as `tfflows.ode.RungeKutta4(8)`, which a
            file has in Keras's serialised form, `{"class_name": "tfflows>RungeKutta4", "config":
            {"steps": 8}}`; event shape, bits and classes come from the data.
        num_bits: bits per pixel that are kept of images; `None` where the data are no images.
        conditional: whether to condition on the data set's labels or attributes.
        epochs: at the end of each, the flow is validated and a backup is written.
        passes_per_epoch: passes over the training split in an epoch, more than 1 where a pass is
            short beside a validation.
        batch_size: examples per step, over all replicas.
        learning_rate: Adam's highest; it falls to zero along a cosine over the last epochs.
        warmup_steps: steps over which the learning rate rises from zero.
        decay_epochs: epochs over which the learning rate falls; `None` for all.
        patience: number of epochs without a lower validation nll after which training ends early;
            `None` for all epochs. The learning rate falls as if all of them came.
        ema_momentum: of an exponential moving average of the weights, which then is what is
            validated and kept; `None` for none.
        flip: mirror half of the training images left to right.
        weight_decay: AdamW's decoupled decay of the networks' kernels.
        global_clipnorm: largest norm of the whole gradient, `None` for no clipping.
        gradient_accumulation: parts that a batch is worked off in, one after the other, on one
            device; the result is the same, in less memory.
        memory: how training comes by activations, see `tfflows.Flow`.
        precision: Keras's dtype policy of the networks: `"float32"`, `"mixed_bfloat16"`, or
            `"mixed_float16"` (whose loss is scaled). All else is float32.
        jit_compile: compile the step with XLA, which pays for small networks.
        loss: a `tfflows.training.losses.Loss`, also in its serialised form, `"likelihood"` or
            `"flow_matching"`; `None` for the likelihood.
        pretraining: what is different in a first training, whose best weights this one starts from,
            e.g. `{"loss": "flow_matching", "epochs": 50}`; `None` for no such training.
        seed: of the initial weights, the order of the data and the noise.
        expected: the figure that the recipe should reach, and where it comes from.
        cost: what it takes, e.g. "4 minutes on 2 CPU cores".
    """

    flow: str
    data: str
    config: dict = field(default_factory=dict)
    num_bits: int | None = 8
    conditional: bool = False
    epochs: int = 100
    passes_per_epoch: int = 1
    batch_size: int = 128
    learning_rate: float = 1e-3
    warmup_steps: int = 0
    decay_epochs: int | None = None
    patience: int | None = None
    ema_momentum: float | None = None
    flip: bool = False
    weight_decay: float = 0.0
    global_clipnorm: float | None = None
    gradient_accumulation: int = 1
    memory: str = "store"
    precision: str = "float32"
    jit_compile: bool = False
    loss: str | dict | None = None
    pretraining: dict | None = None
    seed: int = 0
    expected: str = field(default="", compare=False)
    cost: str = field(default="", compare=False)

    def __post_init__(self):
        # As JSON would give it back, so that a recipe equals its file.
        for name in ("config", "loss", "pretraining"):
            text = json.dumps(getattr(self, name), default=_serialized)
            object.__setattr__(self, name, json.loads(text))
        names = ("epochs", "passes_per_epoch", "batch_size", "gradient_accumulation")
        positive = {name: getattr(self, name) for name in names}
        if self.patience is not None:
            positive["patience"] = self.patience
        for name, value in positive.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"A recipe's {name} must be an integer of at least 1, but found {value!r}."
                )
        if not isinstance(self.learning_rate, (int, float)) or not self.learning_rate > 0:
            raise ValueError(
                f"A recipe's learning_rate must be positive, but found {self.learning_rate!r}."
            )
        if self.batch_size % self.gradient_accumulation:
            raise ValueError(
                "A recipe's gradient_accumulation must be a divisor of its batch_size "
                f"{self.batch_size}, but found {self.gradient_accumulation}."
            )
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"A recipe's precision must be one of {PRECISIONS}, but found {self.precision!r}."
            )
        require_memory_mode(self.memory)
        self._check_pretraining()

    def _check_pretraining(self):
        if self.pretraining is None:
            return
        fixed = ("flow", "data", "config", "num_bits", "conditional", "pretraining")
        allowed = {f.name for f in dataclasses.fields(self)}.difference(fixed)
        unknown = sorted(set(self.pretraining) - allowed)
        if unknown:
            raise ValueError(
                f"A recipe's pretraining changes some of {sorted(allowed)}, but found {unknown}."
            )
        self.first_recipe()

    def first_recipe(self) -> Recipe | None:
        """The recipe of the pretraining, or `None` if there is none."""
        if self.pretraining is None:
            return None
        return self.replace(**self.pretraining, pretraining=None)

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> Recipe:
        """Read a recipe from JSON.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not valid JSON, or has unknown or missing keys.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"There is no recipe at {path}.")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"The recipe {path} is not valid JSON: {error}.") from error
        if not isinstance(values, dict):
            raise ValueError(
                f"The recipe {path} must be a JSON object, but found {json.dumps(values)[:50]}."
            )
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        missing = sorted({"flow", "data"} - set(values))
        if unknown or missing:
            raise ValueError(
                f"The recipe {path} has unknown keys {unknown} and lacks {missing}; known are "
                f"{sorted(known)}."
            )
        return cls(**values)

    def to_json(self) -> str:
        """The recipe as the text of its file."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    def to_file(self, path: str | os.PathLike) -> None:
        """Write the recipe as JSON."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    def load_data(self, **settings) -> Dataset:
        """The data set; `settings` go to `tfflows.data.load`."""
        return load(self.data, num_bits=self.num_bits or 8, **settings)

    def replace(self, **changes) -> Recipe:
        """A copy with some values changed."""
        return dataclasses.replace(self, **changes)

    def differences(self, other: Recipe) -> list[tuple[str, object, object]]:
        """Each key that decides about a training and differs, with its value here and there.

        Keys of dictionaries that both have are looked at one by one, as `config.hidden`.
        """
        compared = [f.name for f in dataclasses.fields(self) if f.compare]
        both = [{name: getattr(recipe, name) for name in compared} for recipe in (self, other)]
        return _differences(*both)

    def build_flow(self, data: Dataset, name: str | None = None) -> Flow:
        """A new, untrained flow for a data set, reproducible from the seed."""
        import keras

        from tfflows.flows import flow_class

        reserved = {"event_shape", "num_bits", "num_classes", "context_dim"} & set(self.config)
        if reserved:
            raise ValueError(
                f"A recipe's config must not have {sorted(reserved)}, which come from the data."
            )
        if self.conditional and data.num_classes is None and data.context_dim is None:
            raise ValueError(
                f"The recipe is conditional, but the data set {data.name!r} has neither labels nor "
                "attributes."
            )
        keras.utils.set_random_seed(self.seed)
        policy = keras.config.dtype_policy()
        if self.precision != "float32":
            keras.config.set_dtype_policy(self.precision)
        try:
            # A configuration, which may be spelled as in 0.1.0.
            flow = flow_class(self.flow).from_config(
                {
                    "event_shape": data.event_shape,
                    "num_bits": data.num_bits,
                    "num_classes": data.num_classes if self.conditional else None,
                    "context_dim": data.context_dim if self.conditional else None,
                    "name": name,
                    **self.config,
                }
            )
        except TypeError as error:
            raise ValueError(f"The recipe's config does not fit {self.flow}: {error}.") from error
        finally:
            keras.config.set_dtype_policy(policy)
        if self.memory != "store":
            flow.memory = self.memory
        return flow


def _differences(own: dict, other: dict, prefix: str = "") -> list[tuple[str, object, object]]:
    found = []
    for key in [*own, *(key for key in other if key not in own)]:
        values = own.get(key), other.get(key)
        if all(isinstance(value, dict) for value in values):
            found += _differences(*values, f"{prefix}{key}.")
        elif values[0] != values[1]:
            found.append((f"{prefix}{key}", *values))
    return found


def _serialized(value):
    """What JSON has no word for."""
    if not isinstance(value, Settings):
        raise ValueError(f"A recipe is saved as JSON, which does not know {value!r}.")
    return serialized(value)
