"""Trains the model of one package, bare or with our callbacks, and writes down all that is left of the run.

`python run.py CASE bare FOLDER` or `python run.py CASE drawn FOLDER`, with the Python that has the package.
"""

import hashlib
import importlib
import json
import logging
import random
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SEED = 7
PLAIN = (bool, int, float, complex, str, bytes, type(None))
NAMED = (type, FunctionType, MethodType, BuiltinFunctionType, ModuleType)
LEFT_OUT = {"Trainer", "Fabric", "Logger", "Callback"}
"""What a module may refer to and is another one with us than without."""


def main() -> None:
    name, how, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    said = listen()
    begun, found = time.monotonic(), {}
    try:
        found = train(importlib.import_module(f"{name}_case"), how == "drawn", folder)
    except Exception:
        found = {"error": traceback.format_exc()}
    found |= {"said": list(dict.fromkeys(said)), "seconds": time.monotonic() - begun}
    (folder / "found.json").write_text(json.dumps(found))


def listen() -> list[str]:
    """A list that fills with all that Lightning logs and whatever warns."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    for package in ("pytorch_lightning", "lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(package).addHandler(Listener())
    warnings.showwarning = lambda message, *_, **__: said.append(str(message))
    return said


def train(case: ModuleType, drawn: bool, folder: Path) -> dict[str, Any]:
    """Two epochs of a few batches; what is left of them."""
    lightning = importlib.import_module(case.LIGHTNING)
    loggers = importlib.import_module(f"{case.LIGHTNING}.loggers")
    lightning.seed_everything(SEED)
    options: dict[str, Any] = {
        "accelerator": "cpu",
        "callbacks": [],
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "log_every_n_steps": 1,
        "logger": loggers.TensorBoardLogger(folder, name="run", version=""),
        "max_epochs": 2,
    }
    if drawn:
        from lightning_cnnviz import cnnviz_callbacks

        options["callbacks"] = cnnviz_callbacks()
    if hasattr(case, "fit"):
        trainer = case.fit(options)
        loaders = ()
    else:
        module, *loaders = case.build()
        trainer = lightning.Trainer(**options)
        trainer.fit(module, *loaders)
    random_states = [random.getstate(), np.random.get_state(), torch.get_rng_state()]
    module = trainer.lightning_module
    for name in getattr(case, "UNSET", ()):
        for part in module.modules():
            if hasattr(part, name):
                getattr(part, name).zero_()  # memory that nobody has written to, and which is never the same
    left = {
        "module": module,
        "gradients": {key: weight.grad for key, weight in module.named_parameters()},
        "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
        "schedulers": [config.scheduler for config in trainer.lr_scheduler_configs],
        "metrics": [trainer.callback_metrics, trainer.logged_metrics],
        "steps": [trainer.global_step, trainer.current_epoch],
        "loaders": loaders,
        "random": random_states,
    }
    reader = EventAccumulator(str(folder / "run"), size_guidance={"images": 0, "scalars": 0, "tensors": 0}).Reload()
    tags = reader.Tags()
    return {
        "left": dict(entries(left)),
        "scalars": {tag: [(one.step, repr(one.value)) for one in reader.Scalars(tag)] for tag in tags["scalars"]},
        "pictures": {tag: [one.step for one in reader.Images(tag)] for tag in tags["images"]},
        "texts": tags["tensors"],
    }


def entries(value: Any, path: str = "", seen: dict[int, tuple[str, Any]] | None = None) -> Iterator[tuple[str, str]]:
    """Everything that hangs on a value, to the bit, each with where it is."""
    seen = {} if seen is None else seen
    if isinstance(value, PLAIN):
        yield path, repr(value)
        return
    if isinstance(value, NAMED):
        yield path, getattr(value, "__qualname__", value.__class__.__name__)
        return
    if isinstance(value, torch.Tensor):
        yield path, f"{type(value).__name__} {tensor_digest(value)}"
    elif id(value) in seen:
        yield path, f"the same as {seen[id(value)][0]}"
        return
    seen[id(value)] = path, value  # kept, so that nothing else gets its id
    if not isinstance(value, torch.Tensor):
        yield path, type(value).__name__
    if is_left_out(value):
        return
    if isinstance(value, np.ndarray) and value.dtype != object:
        yield f"{path}:", f"{value.dtype} {value.shape} {digest(np.ascontiguousarray(value).tobytes())}"
    elif isinstance(value, torch.Generator):
        yield f"{path}:", tensor_digest(value.get_state())
    elif isinstance(value, random.Random):
        yield f"{path}:", digest(repr(value.getstate()).encode())
    elif isinstance(value, (np.random.Generator, np.random.RandomState)):
        bits = value.bit_generator.state if isinstance(value, np.random.Generator) else value.get_state()
        yield f"{path}:", digest(repr(bits).encode())
    elif isinstance(value, Mapping):
        hooks = path.endswith("hooks")  # whose keys come from a counter of the whole process
        for number, (key, part) in enumerate(list(value.items())):
            yield from entries(part, f"{path}[{number if hooks or not isinstance(key, PLAIN) else key!r}]", seen)
    elif isinstance(value, Set):
        yield (
            f"{path}:",
            repr(sorted(repr(part) if isinstance(part, PLAIN) else type(part).__name__ for part in value)),
        )
    elif isinstance(value, (list, tuple, np.ndarray)):
        for number, part in enumerate(part for part in value if not is_left_out(part)):
            yield from entries(part, f"{path}[{number}]", seen)
    if isinstance(getattr(value, "__dict__", None), dict):
        for key, part in list(vars(value).items()):
            yield from entries(part, f"{path}.{key}", seen)


def is_left_out(value: Any) -> bool:
    return bool(LEFT_OUT & {kind.__name__ for kind in type(value).__mro__})


def tensor_digest(value: torch.Tensor) -> str:
    words = f"{value.dtype} {tuple(value.shape)} {value.requires_grad}"
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        return words
    return f"{words} {digest(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())}"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


if __name__ == "__main__":
    sys.setrecursionlimit(20_000)
    main()
