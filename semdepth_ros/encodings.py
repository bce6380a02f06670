"""The encodings of sensor_msgs images, to and from arrays, without ROS.

What cameras send is converted here by numpy and OpenCV; what they seldom send goes to rosbags-image
or cv_bridge where one of them is installed. Sizes and lengths are checked before anything is
allocated: a message may lie about itself.
"""

from __future__ import annotations

import re
import types
import zlib
from typing import Any

import cv2
import numpy as np

from semdepth_ros.errors import SemdepthError

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

#: Images with more pixels are refused: hardly a camera has them, decompression bombs do. Decoding
#: this many takes less than a gigabyte.
MAX_PIXELS = 64_000_000
#: A compressed file whose header claims more pixels a byte than this has a damaged header: a blank
#: picture has some 170 as JPEG and 1030 as PNG.
_MAX_PIXELS_PER_BYTE = 1200
#: Progressive JPEGs refine all of the image in every scan; real ones have a dozen.
_MAX_SCANS = 64

# encoding -> channels, bytes per channel, and OpenCV's conversion to RGB (None: it is RGB or gray).
# A generic 8UC3 or 8UC4 is taken in OpenCV's order, as RViz does.
_PACKED: dict[str, tuple[int, int, int | None]] = {
    'rgb8': (3, 1, None),
    'bgr8': (3, 1, cv2.COLOR_BGR2RGB),
    '8UC3': (3, 1, cv2.COLOR_BGR2RGB),
    'rgba8': (4, 1, cv2.COLOR_RGBA2RGB),
    'bgra8': (4, 1, cv2.COLOR_BGRA2RGB),
    '8UC4': (4, 1, cv2.COLOR_BGRA2RGB),
    'rgb16': (3, 2, None),
    'bgr16': (3, 2, cv2.COLOR_BGR2RGB),
    'rgba16': (4, 2, cv2.COLOR_RGBA2RGB),
    'bgra16': (4, 2, cv2.COLOR_BGRA2RGB),
    'mono8': (1, 1, cv2.COLOR_GRAY2RGB),
    '8UC1': (1, 1, cv2.COLOR_GRAY2RGB),
    'mono16': (1, 2, cv2.COLOR_GRAY2RGB),
    'yuv422': (2, 1, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': (2, 1, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': (2, 1, cv2.COLOR_YUV2RGB_YUY2),
    'yuyv': (2, 1, cv2.COLOR_YUV2RGB_YUY2),
}
# ROS names a Bayer pattern by its first two rows, OpenCV's classic constants by its second row,
# second column: rggb is OpenCV's BayerBG.
for _pattern, _code in {
    'rggb': cv2.COLOR_BayerBG2RGB,
    'bggr': cv2.COLOR_BayerRG2RGB,
    'gbrg': cv2.COLOR_BayerGR2RGB,
    'grbg': cv2.COLOR_BayerGB2RGB,
}.items():
    _PACKED[f'bayer_{_pattern}8'] = (1, 1, _code)
    _PACKED[f'bayer_{_pattern}16'] = (1, 2, _code)

_DEPTH_TYPES = {'32FC1': 'f4', '16UC1': 'u2', 'mono16': 'u2'}


class EncodingError(SemdepthError):
    """An image whose encoding, size or data cannot be what it claims to be."""


def image_to_rgb(
    encoding: str,
    width: int,
    height: int,
    step: int,
    is_bigendian: bool,
    data: Any,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Return the image of a sensor_msgs/Image as (H, W, 3) uint8 RGB.

    `data` is anything with the buffer protocol. For `rgb8` the result is a view of it, with the
    padding of the rows as a stride; it must not be written to. 16-bit channels keep their upper
    eight bits: 65535 becomes 255, as in cv_bridge, and a camera that fills only the lower 10 or
    12 bits looks dark.

    Raises:
        EncodingError: for an encoding that nothing converts, or sizes that contradict each other.
    """
    if encoding not in _PACKED:
        return _rgb_by_library(encoding, width, height, step, is_bigendian, data, max_pixels)
    channels, depth, code = _PACKED[encoding]
    pixels = _rows(encoding, width, height, step, data, channels * depth, max_pixels)
    if depth == 2:
        pixels = pixels.reshape(height, width, channels, 2)[..., 0 if is_bigendian else 1]
        pixels = np.ascontiguousarray(pixels)
    else:
        pixels = pixels.reshape(height, width, channels)
    if code is None:
        return pixels
    if channels == 2 and width % 2:
        raise EncodingError(f'image {encoding} is {width} pixels wide, expected an even width')
    if encoding.startswith('bayer') and min(width, height) < 3:
        raise EncodingError(
            f'image {encoding} is {width}x{height}, expected at least 3x3 to interpolate colours'
        )
    return cv2.cvtColor(pixels, code)


def depth_to_metres(
    encoding: str,
    width: int,
    height: int,
    step: int,
    is_bigendian: bool,
    data: Any,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Return the depth of a sensor_msgs/Image as (H, W) float32 metres.

    `16UC1` (and `mono16`, as some drivers call it) is millimetres with 0 for invalid, which becomes
    NaN. `32FC1` is metres and comes back as it is (REP 117), as a view where the bytes allow it.

    Raises:
        EncodingError: for another encoding, or sizes that contradict each other.
    """
    if encoding not in _DEPTH_TYPES:
        raise EncodingError(f'depth image has encoding {encoding!r}, expected 32FC1 or 16UC1')
    dtype = np.dtype(_DEPTH_TYPES[encoding]).newbyteorder('>' if is_bigendian else '<')
    rows = _rows(encoding, width, height, step, data, dtype.itemsize, max_pixels)
    depth = np.ascontiguousarray(rows).view(dtype)
    if dtype.kind == 'f':
        return depth.astype(np.float32, copy=False)
    metres = depth.astype(np.float32) * np.float32(1e-3)
    metres[depth == 0] = np.nan
    return metres


def decode_compressed(format: str, data: Any, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the image of a sensor_msgs/CompressedImage as (H, W, 3) uint8 RGB.

    JPEG and PNG, known by their first bytes: drivers fill `format` with much that is not so. Gray
    images come back with three equal channels. The size in the file's header is checked before
    anything is decoded.

    Raises:
        EncodingError: for compressedDepth, another file format, a damaged or an oversized image.
    """
    if 'compresseddepth' in format.lower():
        raise EncodingError(f'compressed image has format {format!r}, expected a colour image')
    encoded = np.frombuffer(data, np.uint8)
    start = encoded[:8].tobytes()
    if start.startswith(b'\xff\xd8\xff'):
        kind = 'jpeg'
        size, after_header = _jpeg_size(encoded)
        # Cameras may pad the buffer; an end marker before the frame header is a thumbnail's.
        whole = encoded[-2:].tobytes() == b'\xff\xd9' or (
            encoded.tobytes().rfind(b'\xff\xd9') >= after_header
        )
    elif start == b'\x89PNG\r\n\x1a\n':
        kind, size, encoded = 'png', None, _essential_png(encoded)
        if whole := encoded.size > 0:
            width, height = encoded[16:24].view('>u4').tolist()
            size = (width, height)
    else:
        raise EncodingError(
            f'compressed image (format {format!r}, {encoded.size} bytes) is neither jpeg nor png'
        )
    if size is None or not whole:
        raise EncodingError(f'{kind} image of {len(data)} bytes is truncated or damaged')
    _check_size(kind, *size, max_pixels)
    scans = encoded.tobytes().count(b'\xff\xda') if kind == 'jpeg' else 1
    if size[0] * size[1] > _MAX_PIXELS_PER_BYTE * encoded.size or scans > _MAX_SCANS:
        raise EncodingError(
            f'{kind} image claims {size[0]}x{size[1]} pixels in {scans} scans and '
            f'{encoded.size} bytes, which no camera makes'
        )
    image = _decode_jpeg(encoded) if kind == 'jpeg' else _decode_by_opencv(encoded)
    if image is None or image.shape != (size[1], size[0], 3):
        raise EncodingError(f'{kind} image of {len(data)} bytes is truncated or damaged')
    # image_transport says "rgb8; jpeg compressed rgb8" where it stored red and blue swapped.
    if ';' in format and 'compressed rgb' in format:
        image = image[..., ::-1]
    return image


def _decode_jpeg(encoded: np.ndarray) -> np.ndarray | None:
    if simplejpeg is None:
        return _decode_by_opencv(encoded)
    try:
        return simplejpeg.decode_jpeg(encoded, colorspace='RGB')
    except ValueError:
        return None


def _decode_by_opencv(encoded: np.ndarray) -> np.ndarray | None:
    # A camera's pixels stay where its CameraInfo says they are, whatever EXIF would turn.
    try:
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _essential_png(encoded: np.ndarray) -> np.ndarray:
    """Return a PNG without what an image needs not, empty if it is cut off or damaged.

    Decoders allocate what the length of a chunk says and unpack text and profiles; so lengths and
    checksums are checked here, and only header, palette and pixels are passed on.
    """
    data = encoded.tobytes()
    kept, at = [data[:8]], 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], 'big')
        kind, checksum = data[at + 4 : at + 8], data[end - 4 : end]
        is_first = at == 8
        if end > len(data) or is_first != (kind == b'IHDR') or (is_first and end != 33):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(checksum, 'big'):
            break
        if kind in (b'IHDR', b'PLTE', b'IDAT', b'IEND'):
            kept.append(data[at:end])
        if kind == b'IEND':
            return np.frombuffer(b''.join(kept), np.uint8)
        at = end
    return np.empty(0, np.uint8)


def _jpeg_size(encoded: np.ndarray) -> tuple[tuple[int, int] | None, int]:
    """Return width and height from the frame header of a JPEG, and where that header ends."""
    at = 2
    for _ in range(1000):  # segments; real files have a few dozen
        if at + 9 > encoded.size or encoded[at] != 0xFF:
            break
        marker = int(encoded[at + 1])
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        # SOF0 to SOF15 without DHT, JPG and DAC, which lie between them.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = encoded[at + 5 : at + 9].view('>u2').tolist()
            return (width, height), at + 9
        if marker == 0xDA:  # the scan begins without a frame header
            break
        at += 2 + (int(encoded[at + 2]) << 8 | int(encoded[at + 3]))
    return None, 0


def _check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise EncodingError(f'{name} image is {width}x{height}, expected at least one pixel')
    if width * height > max_pixels:
        raise EncodingError(
            f'{name} image is {width}x{height}, expected at most {max_pixels:,} pixels'
        )


def _rows(
    encoding: str, width: int, height: int, step: int, data: Any, pixel: int, max_pixels: int
) -> np.ndarray:
    """Return the used bytes of every row, (H, W * pixel) uint8, a view of `data`."""
    _check_size(encoding, width, height, max_pixels)
    row = width * pixel
    if step < row:
        raise EncodingError(
            f'image {encoding} {width}x{height} has step {step}, expected at least {row}'
        )
    buffer = np.frombuffer(data, np.uint8)
    # Some drivers leave the padding of the last row away.
    shortest, longest = step * (height - 1) + row, step * height
    if not shortest <= buffer.size <= longest:
        raise EncodingError(
            f'image {encoding} {width}x{height} with step {step} has {buffer.size} bytes of data, '
            f'expected {longest}'
        )
    return np.lib.stride_tricks.as_strided(buffer, (height, row), (step, 1), writeable=False)


def _rgb_by_library(
    encoding: str,
    width: int,
    height: int,
    step: int,
    is_bigendian: bool,
    data: Any,
    max_pixels: int,
) -> np.ndarray:
    _check_size(encoding, width, height, max_pixels)
    refused = EncodingError(
        f'image encoding {encoding!r} cannot be converted to colour, expected one of '
        + ', '.join(_PACKED)
        + ', or one that rosbags-image or cv_bridge knows'
    )
    # Numbers without a colour meaning (32FC1, 16SC2): a library would turn them into nonsense.
    if re.fullmatch(r'(8|16|32|64)[USF]C?\d*', encoding):
        raise refused
    message: Any = types.SimpleNamespace(
        encoding=encoding,
        width=width,
        height=height,
        step=step,
        is_bigendian=int(is_bigendian),
        data=np.frombuffer(data, np.uint8),
    )
    # Whatever a foreign converter raises on such a message, it did not convert it.
    try:
        from rosbags.image import message_to_cvimage

        image = message_to_cvimage(message, 'rgb8')
    except Exception:
        try:
            from cv_bridge import CvBridge

            image = CvBridge().imgmsg_to_cv2(message, 'rgb8')
        except Exception:
            raise refused from None
    if image.shape != (height, width, 3) or image.dtype != np.uint8:
        raise refused
    return image
