"""A real training, what TensorBoard reads of it, and its export."""

from importlib.util import find_spec

import pytest
from helpers.tiny import events, fit

from lightning_cnnviz import cnnviz_callbacks
from lightning_cnnviz.export.write import export_run


@pytest.fixture(scope="package")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    fit(folder, cnnviz_callbacks(on_error="raise"), max_epochs=4)
    return folder


@pytest.fixture(scope="package")
def reader(trained):
    return events(trained)


@pytest.fixture(scope="package")
def exported(trained, tmp_path_factory):
    parquet = find_spec("pyarrow") is not None
    return export_run(trained / "run", tmp_path_factory.mktemp("export"), parquet=parquet)
