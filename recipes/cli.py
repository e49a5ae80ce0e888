"""Trains and tests a model from a configuration file and command-line overrides."""

import logging
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from pytorch_lightning import LightningDataModule, LightningModule
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_cnnviz.report.folders import ReportError
from lightning_cnnviz.report.write import write_report

# The classes that a configuration may refer to without their module
from recipes.circles import Circles, TwoCircles  # noqa: F401
from recipes.data import MNIST, Digits, FashionMNIST  # noqa: F401
from recipes.edge_filters import EdgeFilters, Photograph  # noqa: F401
from recipes.errors import RecipeError
from recipes.fashion_cnn import FashionCNN  # noqa: F401
from recipes.lenet5 import LeNet5  # noqa: F401
from recipes.lenet5_classic import LeNet5Classic  # noqa: F401
from recipes.mnist_cnn import MNISTCNN  # noqa: F401
from recipes.records import Metrics, save_metrics
from recipes.report import closing
from recipes.vgg16 import VGG16  # noqa: F401


class RecipeCLI(LightningCLI):
    """Builds trainer, model and data; every setting can be overridden.

    Args:
        config: The configuration file.
        overrides: Command-line arguments that override it, such as ``--trainer.max_epochs=3``.
        prog: The command shown in the help.
    """

    def __init__(self, config: Path, overrides: list[str], prog: str) -> None:
        super().__init__(
            LightningModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            parser_kwargs={"prog": prog, "description": None, "default_config_files": [str(config)]},
            auto_configure_optimizers=False,
            args=overrides,
            run=False,
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the overrides, which deliberately differ from ``sys.argv``: they do not include the recipe's name."""
        self.config = parser.parse_args(args)


def train(config: Path, overrides: list[str], prog: str) -> Metrics:
    """Train, validate and test, save the final metrics next to the configuration and the report, and print a summary.

    Args:
        config: The configuration file.
        overrides: Command-line arguments that override it.
        prog: The command shown in the help.

    Returns:
        The final metrics.

    Raises:
        RecipeError: The data are not available, or the run folder already holds a run.
    """
    _quieten()
    cli = RecipeCLI(config, overrides, prog)
    trainer = cli.trainer
    # None with fast_dev_run, which writes nothing
    folder = Path(trainer.log_dir) if trainer.log_dir else None
    if folder and (folder / "config.yaml").exists():
        raise RecipeError(f"expected a new run folder, got {folder}; choose another --trainer.logger.version")
    trainer.fit(cli.model, cli.datamodule)
    metrics = dict(trainer.callback_metrics)
    if is_overridden("test_step", cli.model):
        trainer.test(cli.model, cli.datamodule, verbose=False)
    metrics = {name: float(value) for name, value in (metrics | trainer.callback_metrics).items()}
    if folder and trainer.is_global_zero:
        save_metrics(folder, metrics)
        guides = [getattr(callback, "guide", None) for callback in trainer.callbacks]
        page = None
        with suppress(ReportError):  # there is nothing to show, as without a TensorBoardLogger
            try:
                page = write_report(folder)
            except OSError as error:  # after the training, which it must not fail
                print(f"No report was written: {error}", file=sys.stderr)
        print(closing(metrics, folder, [guide for guide in guides if guide is not None], page))
    return metrics


def _quieten() -> None:
    """Silence Lightning's advice, which does not concern the recipes, and keep log files short."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*The number of training batches.*")
    warnings.filterwarnings("ignore", ".*LeafSpec.*")
    if not sys.stdout.isatty():
        # Where the progress bar cannot overwrite itself, update it per epoch, not per batch
        os.environ.setdefault("TQDM_MINITERS", "1000000")
