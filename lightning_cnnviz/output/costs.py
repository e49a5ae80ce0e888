"""The cost of callbacks: time on the training thread, pictures and bytes."""

import time
from dataclasses import dataclass, field
from typing import NamedTuple

from pytorch_lightning.utilities import rank_zero_warn

from lightning_cnnviz.errors import ConfigurationError

MAX_NAMED = 3
"""Number of losses that are named at the end of a run; the others are counted."""


class Failure(NamedTuple):
    """An exception, and what was lost by it, e.g. `"kernels/conv1 at step 6"`; empty if nothing in particular."""

    error: Exception
    lost: str = ""


@dataclass(eq=False)
class Account:
    """The cost and failures of one callback in a run so far.

    Attributes:
        name: Name of the callback, with a number appended if there are several of its class.
        seconds: Time on the training thread, in seconds.
        flexible: Part of `seconds` that drawing less often would save.
        background: Processor time that its pictures took beside the training thread, in seconds.
        pictures: Number of pictures written.
        written: Bytes written to the event file; without TensorBoard, bytes of the pictures.
        dropped: Number of pictures and layouts left out because too much was waiting or the event file was full.
        failures: Failures since the last report; other threads may append to it.
        task: What the callback failed to do, for the warning.
        strict: Whether exceptions propagate to the run, for debugging.
    """

    name: str
    seconds: float = 0.0
    flexible: float = 0.0
    background: float = 0.0
    pictures: int = 0
    written: int = 0
    dropped: int = 0
    failures: list[Failure] = field(default_factory=list)
    task: str = "draw"
    strict: bool = False
    _warned: bool = False
    _more: list[str] = field(default_factory=list)

    def guard(
        self,
        *,
        timed: bool = False,
        flexible: bool = False,
        report: bool = False,
        background: bool = False,
        lost: str = "",
    ) -> "Guard":
        """Returns a context that records exceptions in `failures` and suppresses them.

        On the training thread `ConfigurationError`, and with `strict` every exception, propagates.

        Args:
            timed: Add the elapsed time to `seconds`; only for work on the training thread.
            flexible: Whether drawing less often would save this time.
            report: Warn of failures on exit; only on the training thread.
            background: Whether it runs on another thread, which an exception would end.
            lost: What an exception in it costs, e.g. `"kernels/conv1 at step 6"`.
        """
        return Guard(self, timed, flexible, report, background, lost)

    def keeps(self, error: Exception, lost: str = "") -> bool:
        """Records an exception on the training thread and returns True, unless it is to propagate."""
        if self.strict or isinstance(error, ConfigurationError):
            return False
        self.failures.append(Failure(error, lost))
        return True

    def report(self) -> None:
        """Warns of the first failure of a run; `report_rest` tells of the others."""
        count = len(self.failures)  # other threads may append more meanwhile
        failures, self.failures[:count] = self.failures[:count], []
        if failures and not self._warned:
            self._warned = True
            error, lost = failures.pop(0)
            rank_zero_warn(
                f"{self.name} failed to {self.task}; training continues: {type(error).__name__}: {error} ("
                + (f"lost: {lost}; " if lost else "")
                + ('shown once; on_error="raise" shows where)' if self.task == "draw" else "shown once)")
            )
        self._more += [failure.lost for failure in failures if failure.lost]

    def report_rest(self) -> None:
        """Warns of all failures that have not been told, in one line; called at the end of a run."""
        self.report()
        lost, self._more = list(dict.fromkeys(self._more)), []
        if lost:
            more = f" and {len(lost) - MAX_NAMED} more" if len(lost) > MAX_NAMED else ""
            rank_zero_warn(
                f"{self.name} also lost {', '.join(lost[:MAX_NAMED])}{more}, for the same or another reason"
            )


class Guard:
    """See `Account.guard`. A class rather than a generator for speed, since every training step enters several."""

    __slots__ = ("_account", "_background", "_flexible", "_lost", "_report", "_start", "_timed")

    def __init__(
        self, account: Account, timed: bool, flexible: bool, report: bool, background: bool, lost: str
    ) -> None:
        self._account, self._timed, self._flexible = account, timed, flexible
        self._report, self._background, self._lost = report, background, lost

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        account = self._account
        kept = False
        if isinstance(error, Exception):
            if self._background:
                account.failures.append(Failure(error, self._lost))
            kept = self._background or account.keeps(error, self._lost)
        if self._timed:
            seconds = time.perf_counter() - self._start
            account.seconds += seconds
            account.flexible += seconds if self._flexible else 0
        if self._report and account.failures:
            account.report()
        return kept


class Ledger:
    """The accounts of a run's callbacks.

    Example:
        >>> ledger = Ledger()
        >>> ledger.open("KernelGrid").name, ledger.open("KernelGrid").name
        ('KernelGrid', 'KernelGrid-2')
    """

    def __init__(self) -> None:
        self.accounts: list[Account] = []
        self._begun: tuple[float, int] | None = None
        self._ended: tuple[float, int] | None = None

    def open(self, name: str, strict: bool = False) -> Account:
        """Opens an account; a number is appended to a name that is taken."""
        same = sum(account.name.partition("-")[0] == name for account in self.accounts)
        account = Account(f"{name}-{same + 1}" if same else name, strict=strict)
        self.accounts.append(account)
        return account

    def last(self) -> Account:
        """Returns the account opened last, whose callback ends last and can thus report failures up to the end."""
        return self.accounts[-1] if self.accounts else Account("")

    def begin(self, step: int) -> None:
        """Records the start of training at an optimizer step."""
        self._begun = self._begun or (time.perf_counter(), step)

    def end(self, step: int) -> None:
        """Records the end of training at an optimizer step, for whatever reason."""
        self._ended = self._ended or (time.perf_counter(), step)

    def written(self) -> int:
        """Returns the bytes that all callbacks have written."""
        return sum(account.written for account in self.accounts)

    def table(self) -> str:
        """Returns a table of what each callback took; empty if there was no training step.

        Its columns are pictures, milliseconds per step on the training thread and their share of the training time,
        megabytes, and seconds of processor time beside the training thread. Rows are sorted by time, costliest first.
        """
        if self._begun is None or self._ended is None:
            return ""
        seconds, steps = (end - begin for begin, end in zip(self._begun, self._ended, strict=True))
        if steps < 1:
            return ""
        rows = sorted(self.accounts, key=lambda account: -account.seconds)
        total = Account(
            "total",
            seconds=sum(account.seconds for account in rows),
            pictures=sum(account.pictures for account in rows),
            background=sum(account.background for account in rows),
            written=self.written(),
        )
        width = max(len(account.name) for account in rows)
        head = (
            f"{'callback':<{width}} {'pictures':>8} {'ms/step':>8} {'of training':>11} {'MB':>7} {'beside it, s':>12}"
        )
        return "\n".join([head, *(_row(account, width, seconds, int(steps)) for account in [*rows, total])])


def _row(account: Account, width: int, seconds: float, steps: int) -> str:
    return (
        f"{account.name:<{width}} {account.pictures:>8} {1000 * account.seconds / steps:>8.3f} "
        f"{account.seconds / seconds:>11.2%} {account.written / 1e6:>7.2f} {account.background:>12.2f}"
        + (f"  {account.dropped} left out" if account.dropped else "")
    )
