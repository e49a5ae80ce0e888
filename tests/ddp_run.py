"""A run on two processes, to be started as a script. Argument: a folder."""

import sys
from pathlib import Path

import torch
from tiny import fit

from lightning_cnnviz import cnnviz_callbacks

if __name__ == "__main__":
    where = Path(sys.argv[1])
    run = fit(where, cnnviz_callbacks(on_error="raise"), strategy="ddp", devices=2)
    torch.save(run.lightning_module.state_dict(), where / f"rank{run.global_rank}.pt")
