"""The progress of a run on the terminal: rate, loss and the time that is left."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Display:
    """A progress bar on standard error; where that is no terminal, a line a minute.

    Args:
        name: what is going on.
        steps: number of steps in all.
        done: number of steps that were done before.
        batch: triplets of a step, for the rate.
        enabled: whether this process shows anything.
    """

    #: Seconds between two lines where there is no terminal.
    LINE_EVERY = 60.0

    def __init__(self, name: str, steps: int, done: int, batch: int, enabled: bool = True) -> None:
        self._name, self._steps, self._done, self._batch = name, steps, done, batch
        self._console = Console(stderr=True)
        self._writes_lines = enabled and not self._console.is_terminal
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[rate]} triplets/s  loss {task.fields[loss]}'),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            disable=not enabled or not self._console.is_terminal,
            speed_estimate_period=60,
        )
        self._task = self._progress.add_task(name, total=steps, completed=done, rate='-', loss='-')
        self._start, self._first = time.monotonic(), done
        self._line_due = self._start + self.LINE_EVERY

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def advance(self, loss: float) -> None:
        """Show that one more step is done, with its loss."""
        self._done += 1
        now = time.monotonic()
        seconds_a_step = (now - self._start) / (self._done - self._first)
        rate = f'{self._batch / max(seconds_a_step, 1e-9):.1f}'
        self._progress.update(self._task, advance=1, rate=rate, loss=f'{loss:.4f}')
        if self._writes_lines and now >= self._line_due:
            self._line_due = now + self.LINE_EVERY
            minutes = (self._steps - self._done) * seconds_a_step / 60
            self._console.print(
                f'{self._name}: step {self._done} of {self._steps}, {rate} triplets/s, '
                f'loss {loss:.4f}, {minutes:.0f} min left',
                highlight=False,
            )
