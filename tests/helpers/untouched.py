"""All that a run leaves behind, the user's own plain attributes and logged numbers included, to be compared."""

import random
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from helpers.tiny import TinyData, TinyNet, events, fit, image_steps
from lightning_cnnviz import ActivationMaximization, FeatureMaps, LossAccuracy, Probe, cnnviz_callbacks
from lightning_cnnviz.data.datasets import first_loader

OURS = (
    *("activation_maximization/", "architecture/", "class_report/", "cnnviz/", "curves/", "feature_maps/"),
    *("activations/", "diagnosis/", "filter_response/", "gradient_flow/", "kernels/", "projection/"),
    "sample_history/",
)
"""Beginnings of the tags that the callbacks write."""
LEFT_OUT = {"_trainer", "_fabric", "_parameters", "_modules"}
"""Attributes that differ from run to run in any case, or are compared elsewhere."""
WEAK = (weakref.ref, weakref.WeakSet, weakref.WeakKeyDictionary, weakref.WeakValueDictionary, *weakref.ProxyTypes)
PLAIN = (int, float, complex, str, bytes, type(None), type, torch.dtype, torch.device)


def loaders() -> tuple[DataLoader, DataLoader]:
    """Three training batches, which draw from all global generators, and three of the validation."""
    return DataLoader(TinyData(24, augment=True), 8, shuffle=True), DataLoader(TinyData(24, seed=1), 8)


def everything(**options: Any) -> list[pl.Callback]:
    """The full set and what is in no set, which must not fail to draw unless `on_error` says otherwise."""
    options = {"on_error": "raise", **options}
    timing = {name: value for name, value in options.items() if name in ("on_error", "every_n_train_steps")}
    more = ActivationMaximization(steps=2, max_units=2, **timing)
    return [*cnnviz_callbacks("full", num_samples=20, method="pca", history=0, **options), more]


def frozen(value: Any, seen: dict[int, int] | None = None) -> Any:
    """A value with all that it refers to, as something that `==` compares to the last bit."""
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.detach().cpu().contiguous().numpy().tobytes()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, np.random.Generator):
        return str(value.bit_generator.state)
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, WEAK):
        return type(value).__name__
    seen = {} if seen is None else seen
    if id(value) in seen or isinstance(value, (pl.Trainer, DataLoader)):
        return type(value).__name__, seen.get(id(value))
    seen[id(value)] = len(seen)
    if isinstance(value, Mapping):
        return [(repr(key), frozen(part, seen)) for key, part in value.items()]
    if isinstance(value, (list, tuple, deque)):
        return [frozen(part, seen) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if isinstance(value, FunctionType):
        return value.__qualname__, [frozen(cell.cell_contents, seen) for cell in value.__closure__ or ()]
    if isinstance(value, MethodType):
        return value.__name__, frozen(value.__self__, seen)
    if isinstance(value, partial):
        return [frozen(part, seen) for part in (value.func, value.args, value.keywords)]
    return type(value).__name__, [(name, frozen(part, seen)) for name, part in _own(value).items()]


def _own(value: Any) -> dict[str, Any]:
    """Attributes of an object; of hooks, whose numbers count on through the process, only the functions."""
    own = {name: part for name, part in getattr(value, "__dict__", {}).items() if name not in LEFT_OUT}
    return {
        name: list(part.values()) if "_hooks" in name and isinstance(part, Mapping) else part
        for name, part in own.items()
    }


def left_behind(run: pl.Trainer, folder: Path) -> dict[str, Any]:
    """What a training leaves behind: one entry for each thing, so that a failure names it."""
    model = run.lightning_module
    found: dict[str, Any] = {f"weight {name}": frozen(value) for name, value in model.state_dict().items()}
    for path, module in model.named_modules():
        found |= {f"attribute {path}.{name}": frozen(value) for name, value in _own(module).items()}
    found |= {f"optimizer {number}": frozen(one.state_dict()) for number, one in enumerate(run.optimizers)}
    found["gradients"] = [frozen(weight.grad) for weight in model.parameters()]
    found["requires_grad"] = [weight.requires_grad for weight in model.parameters()]
    found["python's random"] = random.getstate()
    found["numpy's random"] = frozen(np.random.get_state())
    found["torch's random"] = frozen(torch.get_rng_state())
    found["metrics"] = frozen(dict(sorted(run.callback_metrics.items())))
    reader = events(folder)
    for tag in reader.Tags()["scalars"]:
        if not tag.startswith(OURS):
            found[f"logged {tag}"] = [(event.step, event.value) for event in reader.Scalars(tag)]
    for loader in (run.train_dataloader, first_loader(run.val_dataloaders)):
        found[f"data {len(found)}"] = None if loader is None else frozen(vars(loader.dataset))
    if hasattr(model, "outcome"):  # what only the model itself can tell
        found["outcome"] = frozen(model.outcome())
    return found


def differing(
    folder: Path,
    model: type[pl.LightningModule],
    callbacks: Sequence[pl.Callback] | None = None,
    data: Callable[[], Any] = loaders,
    **options: Any,
) -> list[str]:
    """What differs between a run with callbacks and one without.

    Args:
        folder: Where both runs log.
        model: Class of the model.
        callbacks: The callbacks. Default: `everything()`.
        data: Makes the loaders.
        options: Of the trainer.
    """
    found = []
    for name, used in (("bare", []), ("with", everything() if callbacks is None else callbacks)):
        pl.seed_everything(7)  # the data may be split at random
        run = fit(folder / name, used, model=model, data=data(), **options)
        found.append(left_behind(run, folder / name))
    bare, ours = found
    assert image_steps(folder / "with"), "callbacks that draw nothing prove nothing"
    return [name for name in {**bare, **ours} if bare.get(name) != ours.get(name)]


class Prepared(TinyNet):
    """Does something of its own to the inputs in each forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.build()

    def build(self) -> None:
        """Sets what it needs for that."""

    def before(self, x: torch.Tensor) -> torch.Tensor:
        """Is done to the inputs."""
        return x

    def count(self, x: torch.Tensor) -> torch.Tensor:
        """Counts its calls."""
        self.calls += 1
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.before(x))


def few() -> tuple[DataLoader, DataLoader]:
    """Two batches of training and of validation."""
    return DataLoader(TinyData(16), 8), DataLoader(TinyData(16, seed=1), 8)


def maps() -> list[pl.Callback]:
    """A callback with samples and one that listens, which is enough where a kind of module is in question."""
    return [FeatureMaps(num_images=2, probe=Probe(4)), LossAccuracy()]
