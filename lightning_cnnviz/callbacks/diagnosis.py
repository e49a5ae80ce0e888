"""Names what is wrong with a training run, where, since when, and on which evidence."""

import json
import math
from collections.abc import Mapping
from typing import Any

import fsspec
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from lightning_cnnviz.callbacks.base import OnError
from lightning_cnnviz.callbacks.guarded import GuardedCallback
from lightning_cnnviz.data.batch import Key, batch_size
from lightning_cnnviz.data.data_setup import samples_of
from lightning_cnnviz.data.datasets import first_loader
from lightning_cnnviz.data.scores import Task, check_task
from lightning_cnnviz.functional.diagnosis.catalog import CATALOG
from lightning_cnnviz.functional.diagnosis.diagnose import FindingHistory, observe
from lightning_cnnviz.functional.diagnosis.finding import Finding, findings_markdown
from lightning_cnnviz.functional.tab.data import TabData
from lightning_cnnviz.lightning import logged_step, loss_scale, step_after_batch
from lightning_cnnviz.model.loss_evidence import MAX_LOSSES, LossEvidence
from lightning_cnnviz.model.loss_facts import graph_facts, loss_facts
from lightning_cnnviz.model.non_finite import origin_of_non_finite
from lightning_cnnviz.model.outputs import first_tensor, plain
from lightning_cnnviz.model.score_listener import ScoreListener
from lightning_cnnviz.model.torch_internals import unscales_in_step
from lightning_cnnviz.output.writer import Writer
from lightning_cnnviz.statistics.look_pace import next_look, scores_every
from lightning_cnnviz.statistics.run_evidence import RunEvidence
from lightning_cnnviz.statistics.run_setup import is_half, run_setup, validation_loss
from lightning_cnnviz.statistics.step_look import StepLook

MAX_VALIDATION_BATCHES = 16
"""Batches of a validation whose scores are read, the first ones."""
JUDGED_AGAIN = 1.5
"""Factor by which steps have become more when the rules are applied again, apart from after each validation."""


class Diagnosis(GuardedCallback):
    """Says what is wrong with a run: the fault, the layers, since when, the evidence, and what to try.

    Silence is the normal state: a healthy run has no finding. A finding is told once, in a warning; all of them are
    the text `diagnosis/findings`, the file `findings.json` in the folder of the run, marks in the CNN Viz tab, and
    `findings()`, for a script to stop or branch on. Rules look at what the module itself computes in its own training
    and validation passes: every loss, the scores of some batches, and some steps more closely, about one in a hundred.
    Nothing is run again, but for the batch in which a loss first becomes NaN.

    Works without a logger. Findings are those of rank zero; where weights are sharded, gradients are not looked at.

    Args:
        ignore: Names of rules that are not told, e.g. `["not_shuffled"]`; see the fault atlas.
        inputs: Index, key or attribute of the inputs in a batch. Default: detected, see
            `lightning_cnnviz.data.batch.split_batch`.
        targets: Index, key or attribute of the class indices in a batch. Default: detected.
        task: What the class scores are: `"multiclass"`, `"binary_logits"`, `"binary_probabilities"` or, if there are
            none, `"none"`. Default: what the training's loss tells.
        on_error: `"warn"`: an exception in a rule gives one warning, and training continues; `"raise"`: it ends the
            run, for debugging.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> Diagnosis(ignore=["not_shuffled"]).findings()
        []
    """

    def __init__(
        self,
        *,
        ignore: str | list[str] | tuple[str, ...] = (),
        inputs: Key | None = None,
        targets: Key | None = None,
        task: Task | None = None,
        on_error: OnError = "warn",
    ) -> None:
        super().__init__()
        if on_error not in ("warn", "raise"):
            raise ValueError(f'expected on_error to be "warn" or "raise", got {on_error!r}')
        self.on_error = on_error
        self.account.strict = on_error == "raise"
        self.account.task = "look for faults"
        self.ignore = _rules([ignore] if isinstance(ignore, str) else list(ignore))
        self.inputs = inputs
        self.targets = targets
        self.task = check_task(task)
        self.auto = False  # whether CNNVIZ_AUTO added it; it then yields to callbacks that the user added
        self._history = FindingHistory()
        self.writer: Writer | None = None
        """Writes to the loggers; None outside a run and in a run without loggers."""
        self._run: RunEvidence | None = None
        self._look: StepLook | None = None
        self._loss: float | None = None  # of the batch that runs, where reading it makes no device wait
        self._costed = 0, 0.0  # the step at which the cost was logged, and the seconds until then
        self._batches = 0
        self._next_batch = 0  # before which no step can be due
        self._step = self._first_step = self._next_look = self._judged = self._written = 0
        self._stepped: set[int] = set()  # optimizers that step in this batch, and in the one before
        self._stepped_before: set[int] = set()
        self._clears_next = False  # whether the batch after a step is to be looked at, with which gradients begin anew
        self._reset()

    @property
    def state_key(self) -> str:
        """Identifies this callback in a checkpoint."""
        return "Diagnosis(auto)" if self.auto else "Diagnosis"

    def findings(self) -> list[Finding]:
        """Returns what was found in the run so far, the most probable cause first."""
        return self._history.findings

    def state_dict(self) -> dict[str, Any]:
        """Returns what was found, so that a resumed run does not tell it again."""
        return {"findings": [one.as_dict() for one in self.findings()]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what was found from a checkpoint."""
        self._history = FindingHistory(map(Finding.from_dict, state_dict["findings"]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "writer": None, "_look": None, "_run": None, "_batch": None}

    # ---- Lightning's hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Opens the writer."""
        self._reset()
        if self.yields(trainer):
            return
        if trainer.loggers and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.writer = Writer.open(trainer)
            self.account = self.writer.ledger.open(type(self).__name__, self.on_error == "raise")
            self.account.task = "look for faults"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes how the training is set up."""
        if not trainer.is_global_zero or trainer.fast_dev_run or self.yields(trainer):  # type: ignore[attr-defined]
            return
        if not logged_step(trainer):
            self._history = FindingHistory()
        with self._guard():
            setup = run_setup(trainer, pl_module)
            loader = first_loader(trainer.train_dataloader)
            self._run = RunEvidence(setup, 0 if loader is None else samples_of(loader.dataset))
            self._first_step = self._next_look = self._step = logged_step(trainer)
            if setup.layers:
                self._look = StepLook(pl_module, setup.layers)
            settled = self.targets is not None
            self._listener = ScoreListener(self.inputs, self.targets, LossEvidence(settled, self.task))
            self._told = self._listener.evidence.verdict is not None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begins to look at the batch, if it is one of those."""
        if self._run is None:
            return
        self._batch = batch
        due = False
        if self._batches >= self._next_batch and self._look is not None:
            after = step_after_batch(trainer, batch_idx)
            steps = not pl_module.automatic_optimization or after > logged_step(trainer)
            due = steps and after > self._next_look
        if due or self._batches % scores_every(self._batches) == 0 or not self._told:
            with self._guard():
                self._listens = True
                if self._knows_classes or not self._told:
                    self._listener.start(pl_module, batch)
                if due and self._look is not None:
                    self._look.begin(batch_size(batch))
        self._batches += 1
        self._stepped_before, self._stepped = self._stepped, set()

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Reads what the loss is made of; looks for the origin of one that is not a number."""
        if self._run is None:
            return
        if loss.is_cpu:
            self._loss = loss.item()
            if not math.isfinite(self._loss) and self._run.is_finite:
                with self._guard():
                    self._run.add_non_finite(self._origin(trainer, pl_module))
        if self._listens:
            with self._guard():
                if self._listener.evidence.verdict is None:
                    self._listener.evidence.read(loss)
                if not self._run.known_loss:
                    self._run.add_graph(loss_facts(loss, self._batch), graph_facts(loss))
                if self._look is not None and self._look.begun:
                    self._look.before_backward(one for one in trainer.optimizers if id(one) in self._stepped_before)
        if self._clears_next and self._stepped_before and self._look is not None:
            self._clears_next = False
            with self._guard():
                self._look.begin_accumulating(one for one in trainer.optimizers if id(one) in self._stepped_before)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Reads the gradients, which are accumulated, unscaled and not yet clipped at this point."""
        self._stepped.add(id(optimizer))
        if self._look is not None and self._look.begun:
            with self._guard():
                self._look.before_step(optimizer, loss_scale(trainer) if unscales_in_step(optimizer) else None)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes the loss, and ends looking at the batch."""
        if self._run is None:
            return
        self._batch = None
        known: Tensor | float | None = self._loss
        if not pl_module.automatic_optimization:
            self._step = logged_step(trainer)
        elif self._stepped:
            self._step += 1  # which takes less time than to ask the trainer, twice in each step
        if known is None or not pl_module.automatic_optimization:
            loss = first_tensor(outputs.get("loss") if isinstance(outputs, Mapping) else outputs)
            known = plain(loss.detach()) if loss is not None and loss.numel() == 1 else None
        if known is not None:  # which Lightning has divided by the number of accumulated batches
            self._run.add_loss(known * trainer.accumulate_grad_batches, self._step)
            self._loss = None
        if self._listens:
            self._listens = False
            with self._guard():
                captured = self._listener.stop()
                self._told = self._listener.evidence.verdict is not None or self._batches >= 2 * MAX_LOSSES
                if captured is not None and self._knows_classes:
                    self._run.add_scores(captured, self._step)
            if self._look is not None and self._look.begun:
                with self._guard():
                    self._end_look(trainer)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Starts capturing the class scores."""
        if self._hears_validation(trainer, batch_idx, dataloader_idx):
            with self._guard():
                self._listener.start(pl_module, batch)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Takes the scores of the batch."""
        if self._hears_validation(trainer, batch_idx, dataloader_idx) and self._run is not None:
            with self._guard():
                captured = self._listener.stop()
                if captured is not None:
                    self._run.add_validation(captured, logged_step(trainer))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judges the run so far."""
        if self._run is not None and not trainer.sanity_checking:
            with self._guard():
                self._run.end_validation(logged_step(trainer), validation_loss(trainer))
                self._judge(trainer)
            self._log_cost(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Judges the whole run."""
        if self._run is not None:
            with self._guard():
                self._judge(trainer, last=True)
            self._log_cost(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Judges what was seen, which may be why."""
        try:
            if self._run is not None:
                with self._guard():
                    self._judge(trainer, last=True)
        finally:
            self._end(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Closes the writer."""
        self._end(trainer)

    # ---- internals

    def _reset(self) -> None:
        self._run = self._look = self._batch = self._loss = None
        self._listener = ScoreListener(self.inputs, self.targets, LossEvidence())
        self._listens = self._told = False  # whether the loss has told what it compares
        self._stepped, self._stepped_before = set(), set()
        self._clears_next = False
        self._costed = 0, 0.0
        self._batches = self._next_batch = 0
        self._step = self._first_step = self._next_look = self._judged = self._written = 0

    @property
    def _knows_classes(self) -> bool:
        """Whether it is known that the loss compares the class scores with the class indices."""
        evidence = self._listener.evidence
        return evidence.verified and not evidence.so_far.reason

    def _guard(self) -> Any:
        return self.account.guard(timed=True, report=True)

    def _hears_validation(self, trainer: Trainer, batch_idx: int, dataloader_idx: int) -> bool:
        early = batch_idx < MAX_VALIDATION_BATCHES and dataloader_idx == 0
        return self._run is not None and early and self._knows_classes and not trainer.sanity_checking

    def _end_look(self, trainer: Trainer) -> None:
        assert self._look is not None
        assert self._run is not None
        self._step = logged_step(trainer)
        if self._step <= self._next_look:  # a batch that the module has skipped
            self._look.close()
            return
        done = self._step - self._first_step
        self._next_look = self._first_step + next_look(done)
        self._next_batch = self._batches + self._next_look - self._step
        self._run.add_look(self._look.end(self._step, trainer.optimizers))
        self._clears_next = trainer.accumulate_grad_batches > 1 and self._run.setup.automatic
        if done >= JUDGED_AGAIN * self._judged:
            self._judge(trainer)

    def _judge(self, trainer: Trainer, last: bool = False) -> None:
        """Applies the rules, and tells what is new."""
        assert self._run is not None
        step = logged_step(trainer)
        self._judged = step - self._first_step
        seen = [one for one in observe(self._run.evidence(step), self.account.keeps) if one.rule not in self.ignore]
        new = self._history.update(seen, step)
        for finding in new:
            rank_zero_warn(f"Diagnosis at step {step}: {finding.sentence()}")
        if new or (last and self.findings() and step > self._written):  # by then some may no longer be seen
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        if self.writer is not None:
            self._written = step = logged_step(trainer)
            found = [one.as_dict() for one in self.findings()]
            self.writer.texts({"diagnosis/findings": findings_markdown(self.findings())}, step, self.account)
            self.writer.tab_data(TabData("findings", {}, {"findings": found}, {}), step, self.account)
            self._save(trainer)

    def _log_cost(self, trainer: Trainer) -> None:
        """Logs the milliseconds on the training thread since the last time, once for a step."""
        step, seconds = logged_step(trainer), self.account.seconds
        if self.writer is not None and step > self._costed[0]:
            cost = 1000 * (seconds - self._costed[1])
            self._costed = step, seconds
            self.writer.scalars({f"cnnviz/cost/{self.account.name}": cost}, step, self.account)

    def _save(self, trainer: Trainer) -> None:
        folder = getattr(trainer.logger, "log_dir", None)
        if folder is not None:
            files, path = fsspec.core.url_to_fs(str(folder))
            files.makedirs(path, exist_ok=True)  # a logger may not have written anything yet
            with files.open(f"{path}/findings.json", "w") as file:
                json.dump([one.as_dict() for one in self.findings()], file, indent=1)

    def _origin(self, trainer: Trainer, module: LightningModule) -> dict[str, Any]:
        """Where NaN or infinity first arose in the batch that runs now; called before its backward pass."""
        origin = origin_of_non_finite(trainer, module, self._batch, (self.inputs, self.targets))
        half = origin.of_layers and is_half(trainer, module)
        step = logged_step(trainer) + module.automatic_optimization
        return {"step": step, "words": origin.words, "layers": origin.layers, "half": half}

    def _end(self, trainer: Trainer) -> None:
        try:
            if self._look is not None:
                self._look.close()
            self._listener.stop()
        finally:
            self._run = self._look = self._batch = None
            if self.writer is not None:
                writer, self.writer = self.writer, None
                writer.close(trainer)
                self.account.report()


def _rules(names: list[str]) -> list[str]:
    unknown = sorted(set(names) - set(CATALOG))
    if unknown:
        raise ValueError(f"expected ignore to be names of rules, got {unknown}; rules are: {', '.join(CATALOG)}")
    return names
