"""Images of several cameras, matched by their stamps into one batch.

`message_filters` does it where it is installed (every apt ROS 2 machine has it); PyPI does not
carry it, so that elsewhere a small synchroniser of our own with the same behaviour takes its place.
Both are fed from one thread, the executor's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

#: A set of messages, one per camera, in the order of the cameras.
Matched = Callable[[tuple[Any, ...]], None]


def stamp_ns(message: Any) -> int:
    """Return the stamp of a message with a header, in nanoseconds."""
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


class Synchronizer(Protocol):
    """Matches messages of `inputs` cameras whose stamps lie within `slop` seconds."""

    @property
    def unmatched(self) -> list[int]:
        """How many messages of each camera left without a partner."""
        ...

    def add(self, index: int, message: Any) -> None:
        """Take a message of camera `index`; call the callback if that completes a set."""
        ...

    def reset(self) -> None:
        """Forget what waits: after a jump in time old stamps would push out all new messages."""
        ...


class MessageFiltersSynchronizer:
    """`message_filters.ApproximateTimeSynchronizer` behind the protocol above."""

    def __init__(self, inputs: int, slop: float, depth: int, matched: Matched) -> None:
        self._slop, self._depth, self._matched = slop, depth, matched
        self._added = [0] * inputs
        self._delivered = 0
        self._connect()

    def _connect(self) -> None:
        from message_filters import ApproximateTimeSynchronizer, SimpleFilter

        self._filters = [SimpleFilter() for _ in self._added]
        self._synchronizer = ApproximateTimeSynchronizer(self._filters, self._depth, self._slop)
        self._synchronizer.registerCallback(self._deliver)

    def _deliver(self, *messages: Any) -> None:
        self._delivered += 1
        self._matched(messages)

    @property
    def unmatched(self) -> list[int]:
        """How many messages of each camera left without a partner."""
        queues = self._synchronizer.queues
        return [added - self._delivered - len(queue) for added, queue in zip(self._added, queues)]

    def add(self, index: int, message: Any) -> None:
        """Take a message of camera `index`."""
        self._added[index] += 1
        self._filters[index].signalMessage(message)

    def reset(self) -> None:
        """Forget what waits."""
        self._connect()


class StampSynchronizer:
    """The same behaviour without `message_filters`."""

    def __init__(self, inputs: int, slop: float, depth: int, matched: Matched) -> None:
        self._slop_ns = round(slop * 1e9)
        self._depth = depth
        self._matched = matched
        self._waiting: list[dict[int, Any]] = [{} for _ in range(inputs)]
        self.unmatched = [0] * inputs

    def add(self, index: int, message: Any) -> None:
        """Take a message of camera `index`."""
        stamp = stamp_ns(message)
        queue = self._waiting[index]
        self.unmatched[index] += stamp in queue
        queue[stamp] = message
        while len(queue) > self._depth:
            del queue[min(queue)]
            self.unmatched[index] += 1

        stamps = []
        for other in self._waiting:
            if not other:
                return
            stamps.append(min(other, key=lambda candidate: abs(candidate - stamp)))
        if max(stamps) - min(stamps) > self._slop_ns:
            return
        self._matched(tuple(q.pop(s) for q, s in zip(self._waiting, stamps)))

    def reset(self) -> None:
        """Forget what waits."""
        for index, queue in enumerate(self._waiting):
            self.unmatched[index] += len(queue)
            queue.clear()


def create_synchronizer(inputs: int, slop: float, depth: int, matched: Matched) -> Synchronizer:
    """Return the synchroniser of message_filters where it is installed, else our own."""
    try:
        import message_filters  # noqa: F401
    except ImportError:
        return StampSynchronizer(inputs, slop, depth, matched)
    return MessageFiltersSynchronizer(inputs, slop, depth, matched)
