"""Which topics of a bag make a drive: found by type, name and neighbourhood, unless named."""

from __future__ import annotations

import dataclasses
import re

from semdepth_ros.bags.errors import BagError
from semdepth_ros.bags.reader import Bag

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
POINT_CLOUD = 'sensor_msgs/msg/PointCloud2'
ODOMETRY = 'nav_msgs/msg/Odometry'
TWIST_STAMPED = 'geometry_msgs/msg/TwistStamped'
TRANSFORMS = 'tf2_msgs/msg/TFMessage'

_DEPTH_ENCODINGS = ('32FC1', '16UC1')
#: Names of image topics that are no camera's pictures.
_NOT_PICTURES = ('depth', 'label', 'mask', 'confidence', 'disparity', 'semantic', 'segmentation')


@dataclasses.dataclass(frozen=True)
class Topics:
    """Names of the topics of a drive; None means "found by type", or after that "there is none".

    `image` is Image or CompressedImage; `camera_info` its CameraInfo; `odometry` is Odometry,
    TwistStamped, or `/tf` with a moving frame; `truth` is a depth image (32FC1 metres or 16UC1
    millimetres) or a PointCloud2.
    """

    image: str | None = None
    camera_info: str | None = None
    odometry: str | None = None
    truth: str | None = None


def find_topics(bag: Bag, wanted: Topics) -> Topics:
    """Return the topics of a bag, those that are named in `wanted` as they are.

    Raises:
        BagError: if there is no image or camera_info, if several images could be meant, or if a
            named topic is absent or of an unfit type.
    """
    image = _named(bag, wanted.image, IMAGE, COMPRESSED_IMAGE) or _find_image(bag)
    info = _named(bag, wanted.camera_info, CAMERA_INFO) or _find_camera_info(bag, image)
    odometry = _named(bag, wanted.odometry, ODOMETRY, TWIST_STAMPED, TRANSFORMS)
    if odometry is None:
        for msgtype in (ODOMETRY, TWIST_STAMPED):
            if found := bag.of_type(msgtype):
                odometry = found[0].name
                break
        else:
            moving = [t.name for t in bag.of_type(TRANSFORMS) if not t.name.endswith('tf_static')]
            odometry = moving[0] if moving else None
    truth = _named(bag, wanted.truth, IMAGE, POINT_CLOUD) or _find_truth(bag, image)
    return Topics(image, info, odometry, truth)


def is_rectified(image: str) -> bool:
    """Return whether images are rectified, by the name of their topic (`image_rect_color`)."""
    return re.search(r'(?:^|[/_])rect', image) is not None


def is_depth(bag: Bag, topic: str) -> bool:
    """Return whether a topic is of depth images, by the encoding of its first readable message."""
    if bag.topics[topic].msgtype != IMAGE:
        return False
    for number in range(min(5, bag.topics[topic].count)):
        try:
            return bag.message(topic, number).encoding in _DEPTH_ENCODINGS
        except BagError:
            continue
    return False


def _named(bag: Bag, name: str | None, *msgtypes: str) -> str | None:
    if name is None:
        return None
    if name not in bag.topics or not bag.topics[name].count:
        has = ', '.join(f'{t.name} ({t.msgtype})' for t in bag.topics.values() if t.count)
        raise BagError(f'bag {bag.path} has no messages on {name}, it has: {has or "none at all"}')
    if bag.topics[name].msgtype not in msgtypes:
        raise BagError(
            f'bag {bag.path}: {name} is {bag.topics[name].msgtype}, expected '
            + ' or '.join(msgtypes)
        )
    return name


def _find_image(bag: Bag) -> str:
    pictures = [
        topic.name
        for topic in bag.of_type(IMAGE, COMPRESSED_IMAGE)
        if not any(word in topic.name.lower() for word in _NOT_PICTURES)
        and not is_depth(bag, topic.name)
    ]
    if not pictures:
        raise BagError(f'bag {bag.path} has no images of type Image or CompressedImage')
    # One camera may be recorded raw and rectified, plain and compressed: rectified and plain wins.
    best: dict[str, list[str]] = {}
    for name in pictures:
        best.setdefault(_base(name).rsplit('/', 1)[0], []).append(name)
    if len(best) > 1:
        raise BagError(
            f'bag {bag.path} has images of several cameras ({", ".join(pictures)}), '
            'expected one of them to be named'
        )
    (names,) = best.values()
    return min(names, key=lambda name: (not is_rectified(name), name != _base(name), name))


def _base(image: str) -> str:
    """Return the topic of the plain image, as image_transport names it."""
    return image.removesuffix('/compressed')


def _find_camera_info(bag: Bag, image: str) -> str:
    infos = [topic.name for topic in bag.of_type(CAMERA_INFO)]
    sibling = _base(image).rsplit('/', 1)[0] + '/camera_info'
    if sibling in infos:
        return sibling
    if len(infos) == 1:
        return infos[0]
    if not infos:
        raise BagError(f'bag {bag.path} has no camera_info (sensor_msgs/CameraInfo) for {image}')
    raise BagError(
        f'bag {bag.path} has no {sibling} for {image} but {", ".join(infos)}, '
        'expected one of them to be named'
    )


def _find_truth(bag: Bag, image: str) -> str | None:
    """Return the depth image or else the point cloud of a bag, if there is exactly one."""
    depth = [t.name for t in bag.of_type(IMAGE) if t.name != image and is_depth(bag, t.name)]
    clouds = [topic.name for topic in bag.of_type(POINT_CLOUD)]
    for found in (depth, clouds):
        if len(found) == 1:
            return found[0]
    return None
