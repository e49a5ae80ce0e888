import sys
from pathlib import Path

from recipes.errors import RecipeError
from recipes.records import differences, saved_config, saved_metrics

CONFIGS = Path(__file__).parent / "configs"

USAGE = """\
Usage:
  python -m recipes RECIPE [OVERRIDES]         train, test and draw into runs/RECIPE
  python -m recipes RECIPE --help              list all settings of a recipe
  python -m recipes rerun FOLDER [OVERRIDES]   repeat a run and compare; exit code 1 if it differs

Recipes:
{recipes}

Examples:
  python -m recipes demo
  python -m recipes lenet5 --trainer.max_epochs=3 --data.root=/path/to/data
  python -m recipes lenet5 --data=Digits --model.optimizer=Adam --model.optimizer.lr=0.001
  python -m recipes rerun runs/demo/version_0
"""


def main(arguments: list[str]) -> int:
    """Run the command line ``python -m recipes`` and return its exit code."""
    try:
        match arguments:
            case [] | ["-h" | "--help", *_] | ["rerun", "-h" | "--help", *_]:
                print(usage(), end="")
                return 0
            case ["rerun"]:
                raise RecipeError("expected rerun FOLDER, got no folder; pass one such as runs/demo/version_0")
            case ["rerun", folder, *overrides]:
                return rerun(Path(folder), overrides)
            case [name, *overrides]:
                return run(name, overrides)
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
    return 2


def usage() -> str:
    """Return the help text; each recipe is described by the first line of its configuration."""
    paths = sorted(CONFIGS.glob("*.yaml"))
    lines = [path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for path in paths]
    width = max(len(path.stem) for path in paths)
    return USAGE.format(
        recipes="\n".join(f"  {path.stem:<{width}}  {line}" for path, line in zip(paths, lines, strict=True))
    )


def run(name: str, overrides: list[str]) -> int:
    """Train a recipe by its name."""
    names = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    if name not in names:
        raise RecipeError(f"expected one of the recipes {', '.join(names)}, got {name!r}")
    # Imported late, so that the help and a mistyped name do not wait for torch
    from recipes.cli import train

    train(CONFIGS / f"{name}.yaml", overrides, prog=f"python -m recipes {name}")
    return 0


def rerun(folder: Path, overrides: list[str]) -> int:
    """Repeat a run from its saved configuration and compare the final metrics."""
    config, recorded = saved_config(folder), saved_metrics(folder)
    from recipes.cli import train

    repeated = train(config, overrides, prog=f"python -m recipes rerun {folder}")
    different = differences(recorded, repeated)
    print()
    print("\n".join([f"differs from {folder}", *different]) if different else f"identical to {folder}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
