"""TensorBoard's two loaders as its server sets them up, and what they give."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.data.provider import RunTagFilter
from tensorboard.data.server_ingester import SubprocessServerDataIngester, get_server_binary
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.util.grpc_util import ChannelCredsType

LOADERS = ("python", "fast")
EVERYTHING = {"images": 0, "scalars": 0, "tensors": 0}
ASKED = {"experiment_id": "", "downsample": 2**31 - 1}


@contextmanager
def loaded(folder: Path, loader: str) -> Iterator[Any]:
    """The data provider of a folder of runs; the fast loader needs a platform that it is built for."""
    if loader == "python":
        events = EventMultiplexer(
            size_guidance=EVERYTHING, tensor_size_guidance={"images": 0, "scalars": 0, "cnnviz": 0}
        )
        events.AddRunsFromDirectory(str(folder)).Reload()
        yield MultiplexerDataProvider(events, str(folder))
        return
    pytest.importorskip("tensorboard_data_server")
    samples = {"images": 10**6, "scalars": 10**6, "cnnviz": 10**6}
    server = SubprocessServerDataIngester(
        server_binary=get_server_binary(),
        logdir=str(folder),
        reload_interval=0,
        channel_creds_type=ChannelCredsType.LOCAL,
        samples_per_plugin=samples,
    )
    server.start()
    try:
        yield server.data_provider
    finally:
        server._stdin_handle.close()  # by which the server ends


def image_steps_of(provider: Any, run: str, tag: str) -> list[int]:
    only = RunTagFilter(runs=[run], tags=[tag])
    read = provider.read_blob_sequences(RequestContext(), plugin_name="images", run_tag_filter=only, **ASKED)
    return [point.step for point in read.get(run, {}).get(tag, [])]


def tab_steps_of(provider: Any, run: str, tag: str) -> list[int]:
    only = RunTagFilter(runs=[run], tags=[tag])
    read = provider.read_blob_sequences(RequestContext(), plugin_name="cnnviz", run_tag_filter=only, **ASKED)
    return [point.step for point in read.get(run, {}).get(tag, [])]


def scalars_of(provider: Any, run: str, tag: str) -> list[tuple[int, float]]:
    only = RunTagFilter(runs=[run], tags=[tag])
    read = provider.read_scalars(RequestContext(), plugin_name="scalars", run_tag_filter=only, **ASKED)
    return [(point.step, point.value) for point in read.get(run, {}).get(tag, [])]


def chart_titles(folder: Path, provider: Any) -> dict[str, list[str]]:
    """Category → charts, as TensorBoard's Custom Scalars plugin gives them."""
    plugin = CustomScalarsPlugin(TBContext(data_provider=provider, logdir=str(folder)))
    layout = plugin.layout_impl(RequestContext(), "")
    layout = json.loads(layout) if isinstance(layout, str) else layout
    return {part["title"]: [chart["title"] for chart in part["chart"]] for part in layout["category"]}
