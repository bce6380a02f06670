"""One slot between the subscription and the worker: the newest frame waits, older ones are gone."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar('Item')


class Mailbox(Generic[Item]):
    """A slot for one item that a newer one replaces; nothing is ever queued.

    Any thread may `put`, one thread takes.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: Item | None = None
        self._closed = False

    def put(self, item: Item) -> Item | None:
        """Put an item in the slot; return the one that it replaces, for the caller to count.

        A closed mailbox gives the item itself back.
        """
        with self._condition:
            if self._closed:
                return item
            replaced, self._item = self._item, item
            self._condition.notify()
            return replaced

    def take(self) -> Item | None:
        """Wait for an item and return it; None once the mailbox is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> Item | None:
        """Wake the worker for good; return the item that nobody will take any more."""
        with self._condition:
            self._closed = True
            item, self._item = self._item, None
            self._condition.notify_all()
            return item
