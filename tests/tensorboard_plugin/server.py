"""A TensorBoard as users start it."""

import json
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""To this machine itself, whatever proxy the environment names."""


class Server:
    """A TensorBoard on a folder, with one of its two loaders."""

    def __init__(self, folder, fast, prefix="", python=sys.executable):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        self.address = f"http://localhost:{port}{prefix}/"
        self.log = folder.parent / f"{folder.name}-{port}.log"
        command = [
            *(python, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)),
            *("--load_fast", "true" if fast else "false", "--reload_interval", "1", "--path_prefix", prefix),
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def get(self, route, **query):
        address = f"{self.address}data/plugin/cnnviz/{route}?{urllib.parse.urlencode(query)}"
        with DIRECT.open(address, timeout=20) as answer:
            return json.loads(answer.read())

    def wait_for(self, run, steps):
        """Until a run is loaded up to a number of steps."""
        for _ in range(240):
            assert self.process.poll() is None, self.log.read_text()
            try:
                listed = {entry["name"] for entry in self.get("runs")["runs"]} if steps else {run}
                if run in listed and max(map(len, self.get("series", run=run)["timelines"]), default=0) >= steps:
                    return self
            except OSError:
                pass
            time.sleep(0.25)
        raise AssertionError(f"{run} was not loaded: {self.log.read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
