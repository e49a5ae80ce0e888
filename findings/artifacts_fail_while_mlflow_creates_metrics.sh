#!/usr/bin/env bash
# MLflow's file store (`./mlruns`, the default of Lightning's `MLFlowLogger`) creates the file of a new metric first and
# writes its value afterwards. Whoever reads the run between the two gets an error – and storing a run's first artifact or
# picture reads the run, so that a thread that logs pictures may lose it where training logs new metrics meanwhile.
#
# Guess: a run can be read, and artifacts be stored, while another thread or process logs metrics; at worst the metric is
# missing. It concerns callbacks and viewers that use the run while it trains, mostly in the first steps, when all names are
# new. Try again, or use a database (`sqlite:///mlflow.db`).
#
# Seen with mlflow-skinny==3.17.2:
#   reading a run while metrics are created: ValueError: Metric 'NAME' is malformed. No data found.
#   storing its first file while metrics are created: ValueError: Metric 'NAME' is malformed. No data found.
#   the same with sqlite: no error
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'mlflow-skinny==3.17.2' 'sqlalchemy==2.0.51' 'alembic==1.18.4'
cd "$folder"
cat > check.py << 'EOF'
import re
import threading
import time
from functools import partial
from pathlib import Path

from mlflow.tracking import MlflowClient

picture = Path("picture.txt").absolute()
picture.write_text("a picture")


def attempt(client, act):
    """What an act says at a run in which another thread logs metrics of new names."""
    run, done = client.create_run("0").info.run_id, threading.Event()

    def log():
        number = 0
        while not done.is_set():
            client.log_metric(run, f"metric{number}", 1.0)
            number += 1

    thread = threading.Thread(target=log)
    thread.start()
    time.sleep(0.05)
    try:
        act(run)
    except ValueError as error:
        return re.sub("'.*'", "'NAME'", f"{type(error).__name__}: {error}")
    finally:
        done.set()
        thread.join()
    return "no error"


def first_error(store, act, attempts):
    client = MlflowClient(store, registry_uri=store)
    said = (attempt(client, partial(act, client)) for _ in range(attempts))
    return next((words for words in said if words != "no error"), "no error")


def read(client, run):
    client.get_run(run)


def store_file(client, run):
    client.log_artifact(run, str(picture))


files, database = Path("mlruns").absolute().as_uri(), "sqlite:///mlflow.db"
expected = "ValueError: Metric 'NAME' is malformed. No data found."
for what, act in {"reading a run": read, "storing its first file": store_file}.items():
    seen = first_error(files, act, 1000)
    print(f"{what} while metrics are created: {seen}")
    assert seen == expected
seen = {first_error(database, act, 50) for act in (read, store_file)}
print("the same with sqlite:", *seen)
assert seen == {"no error"}
EOF
export MLFLOW_ALLOW_FILE_STORE=true
venv/bin/python check.py
