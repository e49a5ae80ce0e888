"""The files in a run's folder that are needed to repeat it: ``config.yaml`` and ``metrics.json``."""

import json
from pathlib import Path

import yaml

from recipes.errors import RecipeError

Metrics = dict[str, float]


def saved_config(folder: Path) -> Path:
    """Return the path of a run's saved configuration.

    Raises:
        RecipeError: It is missing or cannot be read.
    """
    path = folder / "config.yaml"
    try:
        with path.open(encoding="utf-8") as file:
            config = yaml.safe_load(file)
    except FileNotFoundError:
        raise RecipeError(f"expected the folder of a run, got {folder}, which has no config.yaml") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise RecipeError(f"{path} cannot be read: expected a mapping, got {type(config).__name__}")
    return path


def saved_metrics(folder: Path) -> Metrics:
    """Return the final metrics of a run.

    Raises:
        RecipeError: They are missing or cannot be read.
    """
    path = folder / "metrics.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{folder} has no metrics.json to compare with: the run did not finish") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from error


def save_metrics(folder: Path, metrics: Metrics) -> None:
    """Save final metrics at full precision."""
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def differences(recorded: Metrics, repeated: Metrics) -> list[str]:
    """List the metrics that are not bitwise equal, one line each with both values."""
    # Compared as text, since NaN differs from itself
    return [
        f"{name}: {recorded.get(name, 'missing')} recorded, {repeated.get(name, 'missing')} now"
        for name in recorded | repeated
        if repr(recorded.get(name)) != repr(repeated.get(name))
    ]
