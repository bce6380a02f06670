"""The images of one topic, in the order of their stamps, read at random."""

from __future__ import annotations

import numpy as np

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.reader import NO_STAMP, Bag
from semdepth_ros.bags.topics import COMPRESSED_IMAGE
from semdepth_ros.encodings import EncodingError, decode_compressed, image_to_rgb


class Frames:
    """Image frames with strictly increasing stamps.

    `stamps` are header stamps in ns, (N,) int64; `numbers` the message numbers in the bag. Left out
    and counted in `dropped`: frames whose header is unreadable, repeats a stamp, or falls into a
    time that was recorded already, as after a clock that was set back. If headers carry no stamps
    at all, the log times stand in, and `dropped` says so.
    """

    def __init__(self, bag: Bag, topic: str) -> None:
        self.bag = bag
        self.topic = topic
        stamps = bag.header_stamps(topic)
        self.dropped: dict[str, int] = {}
        readable = stamps != NO_STAMP
        if (~readable).any():
            self.dropped['unreadable'] = int((~readable).sum())
        numbers = np.flatnonzero(readable)
        stamps = stamps[readable]
        self.has_stamps = bool(len(stamps) and np.median(stamps) > 0)
        if not self.has_stamps:
            stamps = bag.log_times(topic)[numbers]
        #: Header stamps in the order of recording, for whoever judges them.
        self.recorded_stamps = stamps
        kept = in_order(stamps)
        if len(kept) < len(stamps):
            self.dropped['out of order'] = len(stamps) - len(kept)
        self.stamps = stamps[kept]
        self.numbers = numbers[kept]

    def __len__(self) -> int:
        return len(self.stamps)

    def image(self, index: int) -> np.ndarray:
        """Return frame `index` as (H, W, 3) uint8 RGB; it may be a read-only view.

        Raises:
            BagError: naming bag, frame and stamp, if the frame is damaged.
        """
        message = self.bag.message(self.topic, int(self.numbers[index]))
        try:
            if self.bag.topics[self.topic].msgtype == COMPRESSED_IMAGE:
                return decode_compressed(message.format, message.data)
            return image_to_rgb(
                message.encoding,
                message.width,
                message.height,
                message.step,
                bool(message.is_bigendian),
                message.data,
            )
        except EncodingError as error:
            raise BagError(
                f'bag {self.bag.path}: frame {index} of {self.topic}, '
                f'stamp {self.stamps[index] / 1e9:.3f} s: {error}'
            ) from error

    def frame_id(self) -> str:
        """Return the frame of the first readable image, '' if none can be read."""
        for number in self.numbers[:5]:
            try:
                return self.bag.message(self.topic, int(number)).header.frame_id
            except BagError:
                continue
        return ''


def in_order(stamps: np.ndarray) -> np.ndarray:
    """Return the indices, in the order of their stamps, of frames that make one timeline.

    The recording is split where a stamp does not grow; of a later piece only that counts which
    lies outside of the time covered before, so that frames of two passes never interleave.
    """
    if not len(stamps):
        return np.empty(0, np.int64)
    pieces = np.split(np.arange(len(stamps)), np.flatnonzero(np.diff(stamps) <= 0) + 1)
    first, last = stamps[0], stamps[pieces[0][-1]]
    kept = [pieces[0]]
    for piece in pieces[1:]:
        fresh = piece[(stamps[piece] < first) | (stamps[piece] > last)]
        if len(fresh):
            kept.append(fresh)
            first, last = min(first, stamps[fresh[0]]), max(last, stamps[fresh[-1]])
    joined = np.concatenate(kept)
    return joined[np.argsort(stamps[joined], kind='stable')]
