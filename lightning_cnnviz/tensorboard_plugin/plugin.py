"""The backend of the tab: four routes, all relative to the plugin's base URL."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from tensorboard import errors, plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins.base_plugin import FrontendMetadata, TBPlugin
from werkzeug import wrappers

from lightning_cnnviz.functional.tab.schema import PLUGIN_NAME
from lightning_cnnviz.tensorboard_plugin.frames import Frame, pack, pick
from lightning_cnnviz.tensorboard_plugin.listing import listing
from lightning_cnnviz.tensorboard_plugin.run_index import RunIndex
from lightning_cnnviz.tensorboard_plugin.runs import Runs

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
        context: TensorBoard's context, of either data loader.
    """

    plugin_name = PLUGIN_NAME

    def __init__(self, context: Any) -> None:
        self._data = Runs(context)
        self._answers: WeakKeyDictionary[RunIndex, tuple[int, dict[str, tuple[str, list[Any]]]]] = WeakKeyDictionary()

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
        origin = plugin_util.context(request.environ), plugin_util.experiment_id(request.environ)
        ours, others = self._data.listed(*origin)
        return _json(request, {"runs": ours, "others": others})

    def _series(self, request: wrappers.Request) -> Any:
        """Lists the series of a run and their steps; what the page has already, by the digest `known`, is left out."""
        index = self._data.index(request.args.get("run", ""))
        found = index.series()
        version, parts = self._answers.get(index, (None, {}))
        if version != index.version:
            version, parts = index.version, listing(found, index.problems)
            self._answers[index] = version, parts
        known = request.args.get("known", "").split(".")
        new = {name: part for name, (digest, part) in parts.items() if digest not in known}
        return _json(request, {"digest": ".".join(digest for digest, _ in parts.values()), **new})

    def _frames(self, request: wrappers.Request) -> Any:
        """Returns frames of one series (`run`, `tag`) at `steps`, or parts of them: see `pick`.

        `arrays` names those that are asked for, e.g. `low,high`; without it, a frame has all of them.

        The response is cut short after `MAX_RESPONSE_BYTES`; steps that the series does not have are omitted.
        """
        index, tag = self._data.index(request.args.get("run", "")), request.args.get("tag", "")
        steps, place, rows = (_numbers(request, name) for name in ("steps", "place", "rows"))
        names = set(request.args.get("arrays", "").split(",")) - {""}
        answer: list[tuple[int, float, Frame | str]] = []
        size = 0
        for step, written, frame in index.frames(tag, steps):
            if names and isinstance(frame, Frame):
                frame = Frame(frame.info, {name: array for name, array in frame.arrays.items() if name in names})
            if isinstance(frame, Frame):
                try:
                    frame = pick(frame, place, rows)
                except IndexError as error:
                    frame = f"{tag} at step {step}: {error}"
            size += 0 if isinstance(frame, str) else frame.nbytes
            if answer and size > MAX_RESPONSE_BYTES:
                break
            answer.append((step, written, frame))
        return http_util.Respond(request, pack(answer), "application/octet-stream")


def _numbers(request: wrappers.Request, name: str) -> list[int]:
    text = request.args.get(name, "")
    try:
        return [int(number) for number in text.split(",") if number]
    except ValueError:
        raise errors.InvalidArgumentError(f"{name}: expected integers, got {text!r}") from None


def _json(request: wrappers.Request, answer: dict[str, Any]) -> Any:
    return http_util.Respond(request, json.dumps(answer), "application/json")
