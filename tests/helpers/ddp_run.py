"""A run on two processes, to be started as a script. Argument: a folder."""

import sys
from pathlib import Path

import torch

from helpers.tiny import fit
from lightning_cnnviz import ActivationMaximization, cnnviz_callbacks

if __name__ == "__main__":
    where = Path(sys.argv[1])
    callbacks = cnnviz_callbacks("full", on_error="raise", report=True)
    callbacks += [ActivationMaximization(steps=5, on_error="raise")]
    run = fit(where, callbacks, strategy="ddp", devices=2)
    torch.save(run.lightning_module.state_dict(), where / f"rank{run.global_rank}.pt")
