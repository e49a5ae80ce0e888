"""When pictures are due."""

from dataclasses import dataclass

from lightning_cnnviz.errors import whole_number


@dataclass(frozen=True)
class Schedule:
    """An interval in epochs or in optimizer steps.

    Counts as Lightning's `ModelCheckpoint` does: with `every_n_epochs=2`, pictures are due at the end of the second,
    fourth, ... epoch; with `every_n_train_steps=50`, at optimizer steps 50, 100, ... Without arguments they are due
    at the end of every epoch. With one, the state before the first step is drawn as well, where it is known. The state
    in which training ends is drawn whatever the interval.

    Args:
        every_n_epochs: Epochs between pictures, at least 1.
        every_n_train_steps: Optimizer steps (batches, with manual optimization) between pictures, at least 1.

    Raises:
        TypeError: If an interval is not an integer.
        ValueError: If an interval is below 1 or both are given.

    Example:
        >>> [epoch for epoch in range(6) if Schedule(every_n_epochs=2).epoch_due(epoch)]
        [1, 3, 5]
        >>> Schedule(every_n_train_steps=50).step_due(last=49, step=50)
        True
    """

    every_n_epochs: int | None = None
    every_n_train_steps: int | None = None

    def __post_init__(self) -> None:
        if self.every_n_epochs is not None and self.every_n_train_steps is not None:
            raise ValueError(
                "expected every_n_epochs or every_n_train_steps, got both "
                f"({self.every_n_epochs} and {self.every_n_train_steps}); pass only one"
            )
        for name in ("every_n_epochs", "every_n_train_steps"):
            interval = getattr(self, name)
            if interval is None:
                continue
            number = whole_number(interval, name)
            if number < 1:
                raise ValueError(
                    f"expected {name} to be at least 1, got {number}; to draw nothing, remove the callback"
                )
            object.__setattr__(self, name, number)

    @property
    def given(self) -> bool:
        """Whether an interval was given; the state at step 0 is then drawn as well."""
        return self.every_n_epochs is not None or self.every_n_train_steps is not None

    def epoch_due(self, epoch: int, stretch: int = 1) -> bool:
        """Whether a picture is due at the end of an epoch.

        Args:
            epoch: Index of the epoch, from 0.
            stretch: Factor by which the interval is lengthened.
        """
        return self.every_n_train_steps is None and (epoch + 1) % (stretch * (self.every_n_epochs or 1)) == 0

    def step_due(self, last: int, step: int, stretch: int = 1) -> bool:
        """Whether a picture became due after optimizer step `last` and up to `step`, `last` excluded."""
        if self.every_n_train_steps is None:
            return False
        every = stretch * self.every_n_train_steps
        return step // every > last // every

    def in_words(self, stretch: int = 1) -> str:
        """The interval as text, e.g. `"every 4 epochs"`.

        Example:
            >>> Schedule(every_n_epochs=2).in_words(stretch=2)
            'every 4 epochs'
        """
        interval = stretch * (self.every_n_train_steps or self.every_n_epochs or 1)
        return f"every {interval} {'epochs' if self.every_n_train_steps is None else 'steps'}"
