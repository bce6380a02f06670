"""Checks a recording of the node against the drive that was played into it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.messages import stamp_ns
from semdepth_ros.bags.reader import Bag
from semdepth_ros.camera import Camera
from semdepth_ros.demo.processes import NODE, DemoError
from semdepth_ros.encodings import depth_to_metres
from semdepth_ros.pointcloud import POINT_DTYPE


@dataclasses.dataclass(frozen=True)
class PublishedFrame:
    """What the node published for one image.

    Attributes:
        stamp: header stamp, nanoseconds.
        depth_HW: float32 metres.
        label_HW: uint8 train ids.
        points_HW: organised cloud.
        camera: of `depth/camera_info`.
    """

    stamp: int
    depth_HW: np.ndarray
    label_HW: np.ndarray
    points_HW: np.ndarray
    camera: Camera


@dataclasses.dataclass(frozen=True)
class DepthError:
    """Abs Rel against the truth of a drive, over all pixels with truth up to 80 m.

    Attributes:
        unscaled: of the metres as published.
        median_scaled: after each frame was scaled by its median ratio.
        frames: that were compared.
    """

    unscaled: float
    median_scaled: float
    frames: int


class Recording:
    """The node's topics in a bag, frame by frame."""

    def __init__(self, path: Path) -> None:
        self._bag = Bag(path)
        needed = {
            'depth': f'/{NODE}/depth/image_rect',
            'info': f'/{NODE}/depth/camera_info',
            'points': f'/{NODE}/points',
            'label': f'/{NODE}/label_mask',
        }
        missing = [topic for topic in needed.values() if topic not in self._bag.topics]
        if missing:
            raise DemoError(f'the node published nothing on {", ".join(missing)}')
        self._topics = needed
        self._numbers = {
            name: {
                stamp_ns(self._bag.message(topic, number)): number
                for number in range(self._bag.topics[topic].count)
            }
            for name, topic in needed.items()
        }

    @property
    def stamps(self) -> list[int]:
        """Stamps of the frames that are there on every topic, in order."""
        return sorted(set.intersection(*(set(numbers) for numbers in self._numbers.values())))

    @property
    def depth_stamps(self) -> list[int]:
        """Stamps of all depth images."""
        return sorted(self._numbers['depth'])

    def frame(self, stamp: int) -> PublishedFrame:
        """Return everything published for one image."""
        depth, info, points, label = (
            self._bag.message(topic, self._numbers[name][stamp])
            for name, topic in self._topics.items()
        )
        return PublishedFrame(
            stamp,
            depth_to_metres(
                depth.encoding, depth.width, depth.height, depth.step, depth.is_bigendian,
                depth.data,
            ),
            np.asarray(label.data).reshape(label.height, label.width),
            np.asarray(points.data).view(POINT_DTYPE).reshape(points.height, points.width),
            Camera.from_camera_info(info),
        )  # fmt: skip

    def diagnostics(self) -> dict[str, str]:
        """Return the values of the camera's last diagnostic."""
        count = self._bag.topics['/diagnostics'].count if '/diagnostics' in self._bag.topics else 0
        for number in reversed(range(count)):
            for status in self._bag.message('/diagnostics', number).status:
                if status.name.endswith(': camera'):
                    return {value.key: value.value for value in status.values}
        raise DemoError('the node published no diagnostics')


def check_frame(frame: PublishedFrame) -> list[str]:
    """Return what is wrong with a published frame; nothing, if all is well."""
    size = (frame.camera.height, frame.camera.width)
    wrong = []
    for name in ('depth_HW', 'label_HW', 'points_HW'):
        shape = getattr(frame, name).shape
        if shape != size:
            wrong.append(f'frame {frame.stamp}: {name} is {shape}, camera_info says {size}')
    if wrong:
        return wrong
    points = frame.points_HW
    xyz = np.stack([points['x'], points['y'], points['z']], -1).astype(np.float64)
    finite = np.isfinite(xyz).all(-1)
    rows, columns = np.nonzero(finite)
    offset = np.abs(frame.camera.project(xyz[finite]) - np.stack([columns, rows], -1))
    if offset.size and offset.max() > 0.01:
        wrong.append(f'frame {frame.stamp}: a point projects {offset.max():.3f} pixels off')
    depth = frame.depth_HW[finite]
    if depth.size and np.abs(xyz[finite][:, 2] / depth - 1).max() > 1e-5:
        wrong.append(f'frame {frame.stamp}: cloud and depth image disagree')
    return wrong


def depth_error(
    drive: Drive, recording: Recording, report: Callable[[str], None]
) -> DepthError | None:
    """Compare the published depth with the truth of the drive; None where it has none."""
    if not drive.has_truth:
        return None
    index_of = {int(stamp): index for index, stamp in enumerate(drive.stamps)}
    unscaled, scaled = [], []
    for stamp in recording.stamps[:: max(1, len(recording.stamps) // 50)]:
        frame = recording.frame(stamp)
        try:
            truth = drive.truth(index_of[stamp], frame.camera)
        except DemoError as error:
            report(str(error))
            continue
        known = (truth > 0) & (truth <= 80) & np.isfinite(frame.depth_HW)
        if known.sum() < 100:
            continue
        ratio = (frame.depth_HW[known] / truth[known]).astype(np.float64)
        unscaled.append(np.abs(ratio - 1).mean())
        scaled.append(np.abs(ratio / np.median(ratio) - 1).mean())
    if not unscaled:
        return None
    return DepthError(float(np.mean(unscaled)), float(np.mean(scaled)), len(unscaled))


def check_recording(drive: Drive, recording: Recording) -> list[str]:
    """Return everything that breaks the node's contract in a recording."""
    wrong: list[str] = []
    foreign = set(recording.depth_stamps) - {int(stamp) for stamp in drive.stamps}
    if foreign:
        wrong.append(f'{len(foreign)} depth images have stamps that no image has')
    for stamp in recording.stamps[:: max(1, len(recording.stamps) // 50)]:
        wrong += check_frame(recording.frame(stamp))
    values: Any = recording.diagnostics()
    kept = sum(int(values[name]) for name in ('published', 'replaced', 'failed', 'unheard'))
    on_the_way = int(values['waiting'])
    if kept + on_the_way != int(values['received']):
        wrong.append(
            f'{values["received"]} images received, but only {kept} accounted for '
            f'and {on_the_way} on their way'
        )
    return wrong
