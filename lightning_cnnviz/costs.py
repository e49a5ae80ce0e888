"""What callbacks cost: time on the training thread, pictures, bytes."""

import time
from dataclasses import dataclass, field


@dataclass(eq=False)
class Account:
    """What one callback has cost in a run so far, and what went wrong in it.

    Attributes:
        name: Of the callback, with a number behind it where there are several of its class.
        seconds: Time on the training thread, in seconds.
        flexible: Seconds of these that drawing less often would save.
        pictures: Pictures that were written.
        written: Bytes of the event file; without TensorBoard those of the pictures.
        dropped: Pictures and layouts that were left out: newer ones were waiting, or the event file may not grow.
        failures: What was raised since the last report; may grow on other threads.
    """

    name: str
    seconds: float = 0.0
    flexible: float = 0.0
    pictures: int = 0
    written: int = 0
    dropped: int = 0
    failures: list[Exception] = field(default_factory=list)

    def add(self, seconds: float, flexible: bool) -> None:
        """Adds time on the training thread."""
        self.seconds += seconds
        self.flexible += seconds if flexible else 0


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

    def open(self, name: str) -> Account:
        """A new account; a name that is taken gets a number."""
        same = sum(account.name.partition("-")[0] == name for account in self.accounts)
        account = Account(f"{name}-{same + 1}" if same else name)
        self.accounts.append(account)
        return account

    def last(self) -> Account:
        """The account that was opened last: its callback ends last, and so reports what fails until then."""
        return self.accounts[-1] if self.accounts else Account("")

    def begin(self, step: int) -> None:
        """Training begins at an optimizer step."""
        self._begun = self._begun or (time.perf_counter(), step)

    def end(self, step: int) -> None:
        """Training ends, for whatever reason."""
        self._ended = self._ended or (time.perf_counter(), step)

    def written(self) -> int:
        """Bytes that all of them wrote."""
        return sum(account.written for account in self.accounts)

    def table(self) -> str:
        """Callback, pictures, milliseconds per step, share of training time and megabytes, costliest first."""
        if self._begun is None or self._ended is None:
            return ""
        seconds, steps = (end - begin for begin, end in zip(self._begun, self._ended, strict=True))
        if steps < 1:
            return ""
        rows = sorted(self.accounts, key=lambda account: -account.seconds)
        total = Account(
            "together",
            seconds=sum(account.seconds for account in rows),
            pictures=sum(account.pictures for account in rows),
            written=self.written(),
        )
        width = max(len(account.name) for account in rows)
        head = f"{'callback':<{width}} {'pictures':>8} {'ms/step':>8} {'of training':>11} {'MB':>7}"
        return "\n".join([head, *(_row(account, width, seconds, int(steps)) for account in [*rows, total])])


def _row(account: Account, width: int, seconds: float, steps: int) -> str:
    return (
        f"{account.name:<{width}} {account.pictures:>8} {1000 * account.seconds / steps:>8.3f} "
        f"{account.seconds / seconds:>11.2%} {account.written / 1e6:>7.2f}"
        + (f"  {account.dropped} left out" if account.dropped else "")
    )
