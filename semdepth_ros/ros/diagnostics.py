"""Counts, ages and faults of one camera's frames, and how they look on /diagnostics (REP 107)."""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

#: Ages of this many newest frames make up p50 and p99.
_AGES = 500


@dataclasses.dataclass
class Counts:
    """Where received frames went: each is in one of the other counts, or still on its way.

    Attributes:
        received: images that arrived.
        published: frames whose outputs were published.
        replaced: by a newer one, while they waited for the worker.
        failed: frames that could not be used, or that the engine failed on.
        unheard: frames that nobody listened for.
        unmatched: images without partners from the other cameras.
        discarded: frames on their way when the node was deactivated.
    """

    received: int = 0
    published: int = 0
    replaced: int = 0
    failed: int = 0
    unheard: int = 0
    unmatched: int = 0
    discarded: int = 0

    @property
    def waiting(self) -> int:
        """Frames on their way: in the mailbox, in the synchroniser or with the worker."""
        gone = dataclasses.astuple(self)[1:]
        return self.received - sum(gone)


class FrameStatistics:
    """Counts, ages and the standing fault of one camera; every method may be called by any thread.

    Ages run from the receipt of a frame to the end of its publication, by the monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts = Counts()
        self._ages: collections.deque[float] = collections.deque(maxlen=_AGES)
        self._stamp_age: float | None = None
        self._published_at: collections.deque[float] = collections.deque(maxlen=30)
        self._fault = ''
        self._last_fault = ''
        #: Messages that the middleware reports as lost before they were received.
        self.lost = 0
        #: Messages that could not be published.
        self.publish_errors = 0
        #: Last sentence about a publisher or subscriber that does not fit.
        self.last_warning = ''

    def count(self, name: str, number: int = 1) -> None:
        """Add to one of the `Counts`."""
        with self._lock:
            setattr(self._counts, name, getattr(self._counts, name) + number)

    def set_unmatched(self, number: int) -> None:
        """Take over the count that the synchroniser keeps."""
        with self._lock:
            self._counts.unmatched = number

    def published(self, received_at: float, stamp_age: float | None) -> None:
        """Count a frame as published, and the fault before it, if any, as over.

        Args:
            received_at: when its image was received, by the monotonic clock.
            stamp_age: seconds since the stamp of the image, None where the clocks disagree.
        """
        now = self._clock()
        with self._lock:
            self._counts.published += 1
            self._ages.append(now - received_at)
            self._published_at.append(now)
            self._stamp_age = stamp_age
            self._fault = ''

    def fault(self, text: str) -> None:
        """Note what is wrong; it stands until the next frame is published."""
        with self._lock:
            self._fault = self._last_fault = text

    def counts(self) -> Counts:
        """Return the counts of this moment."""
        with self._lock:
            return dataclasses.replace(self._counts)

    def standing_fault(self) -> str:
        """Return what is wrong now, or ''."""
        with self._lock:
            return self._fault

    def values(self) -> dict[str, str]:
        """Return what /diagnostics shows, as text."""
        counts = self.counts()
        with self._lock:
            ages_ms = np.array(self._ages) * 1000
            times = self._published_at
            # A rate of long ago is no rate.
            live = len(times) > 1 and self._clock() - times[-1] < 2.0
            rate = (len(times) - 1) / max(times[-1] - times[0], 1e-9) if live else 0.0
            values = {name: str(n) for name, n in dataclasses.asdict(counts).items()}
            values |= {
                'waiting': str(counts.waiting),
                'lost in transport': str(self.lost),
                'publish errors': str(self.publish_errors),
                'rate [Hz]': f'{rate:.1f}',
                'last fault': self._last_fault,
                'last warning': self.last_warning,
            }
            if ages_ms.size:
                values['age p50 [ms]'] = f'{np.percentile(ages_ms, 50):.1f}'
                values['age p99 [ms]'] = f'{np.percentile(ages_ms, 99):.1f}'
            if self._stamp_age is not None:
                values['age by stamp [ms]'] = f'{self._stamp_age * 1000:.1f}'
        return values


def status(name: str, level: bytes, message: str, values: Mapping[str, str]) -> DiagnosticStatus:
    """Return one entry of a DiagnosticArray."""
    return DiagnosticStatus(
        name=name,
        level=level,
        message=message,
        hardware_id='semdepth_ros',
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
