"""A progress bar with rate and time left, on stderr, silent where nobody watches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Item = TypeVar('Item')


class RateColumn(ProgressColumn):
    """Items per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Return the rate of recent steps, or of all of them at the end."""
        speed = task.finished_speed or task.speed
        return Text(f'{speed:.1f} {self._unit}/s' if speed else f'– {self._unit}/s')


def progress_bar(unit: str = 'frames') -> Progress:
    """Return a bar to add tasks to, with the columns that every command shows."""
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(unit),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def track(
    items: Iterable[Item], total: int, description: str, unit: str = 'frames'
) -> Iterator[Item]:
    """Yield the items while a bar shows how many, how fast and how long still."""
    with progress_bar(unit) as bar:
        task = bar.add_task(description, total=total)
        for item in items:
            yield item
            bar.advance(task)
