"""Constants shared by the writer and the reader of the tab's data. Imports nothing."""

PLUGIN_NAME = "cnnviz"
"""Name of the plugin in TensorBoard."""
SCHEMA = 1
"""Schema version of the data. The tab reads this version and older ones."""
