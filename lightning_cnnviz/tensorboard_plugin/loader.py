"""What TensorBoard finds through the entry point: small, since an entry point that fails to load ends TensorBoard."""

import argparse
from typing import Any

from tensorboard.plugins.base_plugin import TBLoader, TBPlugin

from lightning_cnnviz.functional.tab.schema import PLUGIN_NAME


class CNNVizLoader(TBLoader):  # type: ignore[misc]
    """Makes the plugin, and lets TensorBoard keep all of its steps.

    Example:
        >>> flags = argparse.Namespace(samples_per_plugin={"images": 100})
        >>> CNNVizLoader().fix_flags(flags)
        >>> flags.samples_per_plugin
        {'images': 100, 'cnnviz': 0}
    """

    def fix_flags(self, flags: argparse.Namespace) -> None:
        """Asks for every step of our series (0 means all), unless the user asked for a number of them."""
        samples = getattr(flags, "samples_per_plugin", None)
        if isinstance(samples, dict):
            samples.setdefault(PLUGIN_NAME, 0)

    def load(self, context: Any) -> TBPlugin | None:
        """The plugin; None, which hides the tab, where there is no data provider to read from."""
        if context.data_provider is None:
            return None
        # Only now: what goes wrong in here is caught by TensorBoard, which then does without this tab.
        from lightning_cnnviz.tensorboard_plugin.plugin import CNNVizPlugin

        return CNNVizPlugin(context)
