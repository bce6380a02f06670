"""`semdepth benchmark cloud`: what surrounds the network on its way from image to message."""

from __future__ import annotations

import array

import cv2
import numpy as np

from semdepth_ros import pointcloud
from semdepth_ros.benchmarks.measure import peak_array_mib, take_turns
from semdepth_ros.benchmarks.report import Report, Row
from semdepth_ros.camera import Camera
from semdepth_ros.pointcloud import organised_cloud
from semdepth_ros.postprocessing import depth_edges, depth_from_inverse
from semdepth_ros.preprocessing import fit

_MEMCPY = 'memcpy'


def measure(width: int = 1280, height: int = 720, rounds: int = 101) -> Report:
    """Return the costs of cloud, message fill, depth values and preprocessing of one frame."""
    frame = _Frame(width, height)
    rows = [
        *_cloud_rows(frame, rounds),
        *_fill_rows(frame, rounds),
        *_depth_rows(frame, rounds),
        *_preprocessing_rows(frame, rounds),
    ]
    loops = 'array operations' if pointcloud.kernels is None else 'compiled by numba'
    notes = (
        f'One frame of {width}x{height}; loops over pixels: {loops}.',
        f'{_MEMCPY}: numpy.copyto of as many bytes as the row writes, to memory that exists.',
        'MiB: peak of what numpy and OpenCV allocate in one call.',
    )
    return Report('cloud', tuple(rows), notes)


class _Frame:
    """A frame with structure: a road, boxes, sky, noise."""

    def __init__(self, width: int, height: int) -> None:
        random = np.random.default_rng(0)
        self.camera = Camera(width, height, 0.58 * width, 0.58 * width, width / 2, height / 2)
        self.image = random.integers(0, 256, (height, width, 3), np.uint8)
        rows = np.arange(height, dtype=np.float32)[:, None] - height / 2
        inv_depth = np.maximum(rows / (0.58 * width * 1.65), 0.01).repeat(width, 1)
        inv_depth[height // 3 : height // 2, width // 4 : width // 2] = 0.1
        inv_depth *= 1 + 0.02 * random.standard_normal((height, width), np.float32)
        self.inv_depth = np.ascontiguousarray(inv_depth, np.float32)
        self.label = np.ascontiguousarray(random.integers(0, 19, (height, width), np.uint8))
        self.depth = depth_from_inverse(self.inv_depth, self.label, 1.0, 0.5, 80.0)


def _memcpy(byte_count: int):
    source, target = np.ones(byte_count, np.uint8), np.zeros(byte_count, np.uint8)
    return lambda: np.copyto(target, source)


def _cloud_rows(frame: _Frame, rounds: int) -> list[Row]:
    points = frame.depth.size
    plain = organised_cloud(frame.depth, frame.camera, frame.image, None)
    full = organised_cloud(frame.depth, frame.camera, frame.image, frame.label)

    def xyz_rgb() -> np.ndarray:
        return organised_cloud(frame.depth, frame.camera, frame.image, None, out=plain)

    def labelled() -> np.ndarray:
        edges = depth_edges(frame.inv_depth, 0.1)
        return organised_cloud(frame.depth, frame.camera, frame.image, frame.label, edges, full)

    def naive() -> np.ndarray:
        return naive_cloud(frame.depth, frame.camera, frame.image)

    timings = take_turns(
        {
            'memcpy 16': _memcpy(points * 16),
            'memcpy 20': _memcpy(points * 20),
            'xyz_rgb': xyz_rgb,
            'labelled': labelled,
            'naive': naive,
        },
        rounds,
    )
    ours = xyz_rgb().view(np.float32).reshape(*frame.depth.shape, 4)
    difference = np.abs(ours[..., :3] - naive()[..., :3])
    copy16, copy20 = timings['memcpy 16'], timings['memcpy 20']
    against_copy = Row.timed(
        'cloud: xyz, rgb',
        timings['xyz_rgb'],
        (f'{_MEMCPY} of 16 bytes a point', copy16),
        peak_array_mib(xyz_rgb),
    )
    with_label = Row.timed(
        'cloud: xyz, rgb, label, edge filter (edges found too)',
        timings['labelled'],
        (f'{_MEMCPY} of 20 bytes a point', copy20),
        peak_array_mib(labelled),
    )
    return [
        Row.timed('memcpy, 16 bytes a point', copy16),
        Row.timed('memcpy, 20 bytes a point', copy20),
        Row.timed('cloud: xyz, rgb, naive numpy', timings['naive'], None, peak_array_mib(naive)),
        _at_most(against_copy, 1.6),
        Row.timed(
            'cloud: xyz, rgb',
            timings['xyz_rgb'],
            ('naive numpy', timings['naive']),
            max_error=float(np.nanmax(difference)),
        ),
        _at_most(with_label, 2.5),
    ]


def _at_most(row: Row, factor: float) -> Row:
    """Return the row with the target to take at most `factor` times its baseline."""
    assert row.ratio is not None
    return row.must(f'at most {factor:g} x baseline', 1 / row.ratio <= factor)


def _fill_rows(frame: _Frame, rounds: int) -> list[Row]:
    points = organised_cloud(frame.depth, frame.camera, frame.image, None)
    content = points.tobytes()

    def fill() -> None:
        # What the setter of a message's uint8[] field holds, and how the node fills it.
        array.array('B').frombytes(content)

    timings = take_turns({'memcpy': _memcpy(points.nbytes), 'fill': fill}, rounds)
    copy, filled = timings['memcpy'], timings['fill']
    row = Row.timed('message fill: frombytes', filled, (f'{_MEMCPY} of its bytes', copy))
    met = filled.median_ms <= copy.median_ms + 0.1
    return [
        Row.timed(f'memcpy, {points.nbytes / 1e6:.1f} MB', copy),
        row.must('at most 1 x baseline + 0.1 ms', met),
    ]


def _depth_rows(frame: _Frame, rounds: int) -> list[Row]:
    timings = take_turns(
        {
            'values': lambda: depth_from_inverse(frame.inv_depth, frame.label, 1.0, 0.5, 80.0),
            'edges': lambda: depth_edges(frame.inv_depth, 0.1),
        },
        rounds,
    )
    return [
        Row.timed('depth values (REP 117) from inverse depth', timings['values']),
        Row.timed('edges of depth', timings['edges']),
    ]


def _preprocessing_rows(frame: _Frame, rounds: int) -> list[Row]:
    fitted = fit(frame.camera, 640, 192, 'crop')
    out = fitted.apply(frame.image)
    timings = take_turns(
        {
            'ours': lambda: fitted.apply(frame.image, out),
            'textbook': lambda: textbook_input(frame.image[fitted.window], 640, 192),
        },
        rounds,
    )
    reference = textbook_input(frame.image[fitted.window], 640, 192)[0].transpose(1, 2, 0) * 255
    row = Row.timed(
        'network input 640x192, uint8 (the graph casts it)',
        timings['ours'],
        ('textbook numpy', timings['textbook']),
        peak_array_mib(lambda: fitted.apply(frame.image, out)),
        float(np.abs(out - reference).max()),
    )
    assert row.ratio is not None
    return [
        Row.timed('network input 640x192, textbook numpy: area, float, CHW', timings['textbook']),
        row.must('at least 2 x faster', row.ratio >= 2),
    ]


def naive_cloud(depth_HW: np.ndarray, camera: Camera, image_HW3: np.ndarray) -> np.ndarray:
    """Return xyz and rgb as most nodes compute it: grids, masks and a stack, (H, W, 4) float32."""
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    z = np.where(np.isfinite(depth_HW), depth_HW, np.nan)
    x = (u - camera.cx) * z / camera.fx
    y = (v - camera.cy) * z / camera.fy
    r, g, b = (image_HW3[..., channel].astype(np.uint32) for channel in range(3))
    rgb = (r << 16 | g << 8 | b).view(np.float32)
    return np.stack([x.astype(np.float32), y.astype(np.float32), z, rgb], axis=-1)


def textbook_input(image_HW3: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return (1, 3, h, w) float32 in [0, 1] as most nodes compute it."""
    resized = cv2.resize(image_HW3, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray((resized.astype(np.float32) / 255).transpose(2, 0, 1)[None])
