"""Log lines that repeat are said once in a while, with how often they were meant."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

#: So many kinds of sentence are remembered; hostile input cannot make it more.
_KINDS = 200


class ThrottledLog:
    """Says each kind of sentence at most once a period, by the monotonic clock.

    Sentences that differ in numbers alone are of one kind. rclpy throttles by line of code, so
    that two topics with a fault each would silence one another.
    """

    def __init__(self, period: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._period = period
        self._clock = clock
        self._lock = threading.Lock()
        #: kind -> (when it was said last, how often it was held back since)
        self._said: dict[str, tuple[float, int]] = {}

    def say(self, log: Callable[[str], object], text: str) -> None:
        """Call `log(text)` unless its kind was said less than a period ago."""
        kind = re.sub(r'\d+', '0', text)
        now = self._clock()
        with self._lock:
            last, held_back = self._said.get(kind, (0.0, 0))
            if kind in self._said and now - last < self._period:
                self._said[kind] = (last, held_back + 1)
                return
            if kind not in self._said and len(self._said) >= _KINDS:
                del self._said[min(self._said, key=lambda known: self._said[known][0])]
            self._said[kind] = (now, 0)
        log(f'{text} ({held_back} more since this was last said)' if held_back else text)
