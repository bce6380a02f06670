"""Results as a new bag, with every topic that the node publishes, as if it had run."""

from __future__ import annotations

from pathlib import Path

from semdepth_ros.bags import messages
from semdepth_ros.bags.drive import Drive
from semdepth_ros.bags.writer import BagWriter
from semdepth_ros.classes import CLASS_NAMES
from semdepth_ros.inference.sources import SourceFrame
from semdepth_ros.pipeline import FrameResult

#: Name of the node whose private topics the bag holds.
NODE = '/depth_node'


class BagOutput:
    """Writes what the node would publish, stamps untouched, at the stamp of each image.

    The static transforms of the recording go along, so that RViz2 finds its frames.
    """

    def __init__(self, path: Path, drive: Drive | None = None) -> None:
        self._writer = BagWriter(path)
        self._drive = drive
        self._started = False

    def write(self, frame: SourceFrame, result: FrameResult) -> None:
        """Write the outputs of a frame."""
        stamp, frame_id = frame.stamp_ns, frame.frame_id
        if not self._started:
            self._start(stamp, frame_id)
        outputs = {
            'depth/image_rect': messages.image(stamp, frame_id, result.depth_HW, '32FC1'),
            'depth/camera_info': messages.camera_info(stamp, frame_id, result.camera),
            'points': messages.point_cloud(stamp, frame_id, result.points()),
            'label_mask': messages.image(stamp, frame_id, result.label_HW, 'mono8'),
            'label_mask/confidence': messages.image(stamp, frame_id, result.confidence_HW, 'mono8'),
            'depth/image_color': messages.image(stamp, frame_id, result.depth_color(), 'rgb8'),
            'label_mask/image_color': messages.image(stamp, frame_id, result.label_color(), 'rgb8'),
        }
        for name, message in outputs.items():
            self._writer.write(f'{NODE}/{name}', message, stamp)

    def _start(self, stamp: int, frame_id: str) -> None:
        names = dict(enumerate(CLASS_NAMES))
        info = messages.label_info(stamp, frame_id, names)
        self._writer.write(f'{NODE}/label_info', info, stamp)
        if self._drive is not None and self._drive.tree.edges:
            transforms = messages.transforms(stamp, self._drive.tree.edges.values())
            self._writer.write('/tf_static', transforms, stamp)
        self._started = True

    def __enter__(self) -> BagOutput:
        self._writer.__enter__()
        return self

    def __exit__(self, *exception) -> None:
        self._writer.__exit__(*exception)
