"""The backend of the tab: four routes, all relative to the plugin's base URL."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorboard import errors, plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins.base_plugin import FrontendMetadata, TBPlugin
from werkzeug import wrappers

from lightning_cnnviz.functional.tab.schema import PLUGIN_NAME, SCHEMA
from lightning_cnnviz.tensorboard_plugin.frames import Frame, pack, pick
from lightning_cnnviz.tensorboard_plugin.series import Reader

STATIC = Path(__file__).parent / "static"
MIME_TYPES = {".js": "text/javascript", ".css": "text/css", ".json": "application/json"}
STATIC_FILES = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.suffix in MIME_TYPES}
STATIC_FILES["draw/colours.json"] = Path(__file__).parents[1] / "functional" / "drawing" / "colours.json"
"""The only files served below `/static/`: the page, and the colours that it shares with the pictures."""
MAX_RESPONSE_BYTES = 24 * 2**20
"""Maximum size of a response; a longer one is cut short, and the page requests the rest."""
App = Callable[..., Any]


class CNNVizPlugin(TBPlugin):  # type: ignore[misc]
    """Serves the page and the data of the runs in the log directory.

    Args:
        context: TensorBoard's context, of which only the data provider is used, so that both data loaders work.
    """

    plugin_name = PLUGIN_NAME

    def __init__(self, context: Any) -> None:
        self._reader = Reader(context.data_provider)

    def get_plugin_apps(self) -> dict[str, App]:
        """Routes below `data/plugin/cnnviz`."""
        return {
            "/static/*": wrappers.Request.application(self._static),
            "/runs": wrappers.Request.application(self._runs),
            "/series": wrappers.Request.application(self._series),
            "/frames": wrappers.Request.application(self._frames),
        }

    def is_active(self) -> bool:
        """Returns False: TensorBoard itself checks whether any run has data for this plugin."""
        return False

    def frontend_metadata(self) -> FrontendMetadata:
        """Returns the page's entry module and the name of the tab."""
        return FrontendMetadata(es_module_path="/static/index.js", tab_name="CNN Viz")

    def _static(self, request: wrappers.Request) -> Any:
        name = request.path.partition("/static/")[2]
        path = STATIC_FILES.get(name)
        if path is None:
            raise errors.NotFoundError(f"no file {name!r}")
        return http_util.Respond(request, path.read_bytes(), MIME_TYPES[path.suffix])

    def _runs(self, request: wrappers.Request) -> Any:
        ours, others = self._reader.runs(*_origin(request))
        return _json(request, {"runs": ours, "others": others})

    def _series(self, request: wrappers.Request) -> Any:
        """Lists the series of a run and their steps; `timelines` holds each distinct list of steps once."""
        run = request.args.get("run", "")
        timelines: dict[tuple[int, ...], int] = {}
        listed, problems = [], []
        for tag, series in self._reader.series(*_origin(request), run).items():
            schema = series.identity.get("schema")
            if schema != SCHEMA:
                problems.append(_schema_problem(tag, schema))
                continue
            timeline = timelines.setdefault(tuple(series.keys), len(timelines))
            first = next(iter(series.written.values()), None)
            listed.append({**series.identity, "tag": tag, "timeline": timeline, "written": first})
        answer = {"series": listed, "timelines": list(map(list, timelines)), "problems": sorted(set(problems))}
        digest = hashlib.sha1(json.dumps(answer).encode(), usedforsecurity=False).hexdigest()
        if request.args.get("known") == digest:
            return _json(request, {"digest": digest})
        return _json(request, {"digest": digest, **answer})

    def _frames(self, request: wrappers.Request) -> Any:
        """Returns frames of one series (`run`, `tag`) at `steps`, indexed by `place`, e.g. `sample,channel`.

        `arrays` names those that are asked for, e.g. `low,high`; without it, a frame has all of them.

        The response is cut short after `MAX_RESPONSE_BYTES`; steps that the series does not have are omitted.
        """
        ctx, experiment = _origin(request)
        run, tag = request.args.get("run", ""), request.args.get("tag", "")
        steps, place = _numbers(request, "steps"), _numbers(request, "place")
        names = set(request.args.get("arrays", "").split(",")) - {""}
        answer: list[tuple[int, Frame | str]] = []
        size = 0
        for step, frame in self._reader.frames(ctx, experiment, run, tag, steps):
            if names and isinstance(frame, Frame):
                frame = Frame(frame.info, {name: array for name, array in frame.arrays.items() if name in names})
            if place and isinstance(frame, Frame):
                try:
                    frame = pick(frame, place)
                except IndexError as error:
                    frame = f"{tag} at step {step}: {error}"
            size += 0 if isinstance(frame, str) else frame.nbytes
            if answer and size > MAX_RESPONSE_BYTES:
                break
            answer.append((step, frame))
        return http_util.Respond(request, pack(answer), "application/octet-stream")


def _origin(request: wrappers.Request) -> tuple[Any, str]:
    return plugin_util.context(request.environ), plugin_util.experiment_id(request.environ)


def _numbers(request: wrappers.Request, name: str) -> list[int]:
    text = request.args.get(name, "")
    try:
        return [int(number) for number in text.split(",") if number]
    except ValueError:
        raise errors.InvalidArgumentError(f"{name}: expected integers, got {text!r}") from None


def _schema_problem(tag: str, schema: Any) -> str:
    if isinstance(schema, int) and schema > SCHEMA:
        return (
            f"Some data were written by a newer lightning-cnnviz (expected schema {SCHEMA}, got {schema}). "
            "Upgrade lightning-cnnviz in TensorBoard's environment."
        )
    return f"{tag} has an unsupported schema (expected {SCHEMA}, got {schema!r})."


def _json(request: wrappers.Request, answer: dict[str, Any]) -> Any:
    return http_util.Respond(request, json.dumps(answer), "application/json")
