"""The entry point for TensorBoard, with minimal imports: an entry point that fails to load ends TensorBoard."""

import argparse
from typing import Any

from tensorboard.plugins.base_plugin import TBLoader, TBPlugin

from lightning_cnnviz.functional.tab.schema import PLUGIN_NAME


class CNNVizLoader(TBLoader):  # type: ignore[misc]
    """Creates the plugin and makes TensorBoard keep nothing of its data, which the plugin reads from the event files.

    Example:
        >>> flags = argparse.Namespace(samples_per_plugin={"images": 100})
        >>> CNNVizLoader().fix_flags(flags)
        >>> flags.samples_per_plugin
        {'images': 100, 'cnnviz': 1}
    """

    def fix_flags(self, flags: argparse.Namespace) -> None:
        """Requests a single step of each series, the fewest that there are (0 means all), unless the user did."""
        samples = getattr(flags, "samples_per_plugin", None)
        if isinstance(samples, dict):
            samples.setdefault(PLUGIN_NAME, 1)

    def load(self, context: Any) -> TBPlugin | None:
        """Returns the plugin, or None, which hides the tab, if there is no data provider to read from."""
        if context.data_provider is None:
            return None
        # Imported here, where TensorBoard catches exceptions and continues without the tab.
        from lightning_cnnviz.tensorboard_plugin.plugin import CNNVizPlugin

        return CNNVizPlugin(context)
