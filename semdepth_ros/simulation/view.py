"""Which surface each sample of a view hits, and where: exact geometry, no colours.

For a ray r = (x, y, 1) a quad `o + a u + b v` in the camera frame has, with n = u x v,
    1/Z = r.n / o.n      a/Z = r.(v x o) / o.n      b/Z = r.(o x u) / o.n
so that all three are linear in the ray, and a, b in [0, 1] compares without a division.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from semdepth_ros.simulation.quads import Quads
from semdepth_ros.simulation.rays import SampleRays

_NEAR = 0.25
#: Quads that are smaller than this share of a pixel either way are left out.
_SMALLEST = 0.5
#: Windows of fewer samples are not worth testing for being hidden.
_WORTH_TESTING = 1500


class View:
    """The quads and the ground (z = 0) as seen from one pose.

    Attributes:
        quads: The quads that may be visible.
        ground: The index of `hit` that means the ground; `ground + 1` is the sky.
        w, a, b: (N + 2, 3) coefficients of 1/Z, a/Z and b/Z over (x, y, 1), float32.
    """

    def __init__(
        self,
        rays: SampleRays,
        T_world_camera: np.ndarray,
        quads: Quads,
        alpha: list[list[np.ndarray] | None],
    ) -> None:
        self.rays = rays
        self.R = T_world_camera[:3, :3]
        self.position = T_world_camera[:3, 3]
        self._alpha = alpha
        o = (quads.origin - self.position) @ self.R
        u, v = quads.u @ self.R, quads.v @ self.R
        n = np.cross(u, v)
        facing = (n * o).sum(1)
        size = np.linalg.norm(n, axis=1)
        seen = np.where(quads.two_sided, np.abs(facing), facing) > 1e-6 * size
        low, high, nearest = _extent(o, u, v)
        seen &= (nearest < np.inf) & (
            (high - low) * [rays.camera.fx, rays.camera.fy] > _SMALLEST
        ).all(1)
        windows = rays.windows(low, high)
        seen &= (windows[:, 1] > windows[:, 0]) & (windows[:, 3] > windows[:, 2])
        order = np.nonzero(seen)[0]
        order = order[np.argsort(nearest[order])]
        self.quads = quads[order]
        self.ground, self.sky = len(order), len(order) + 1
        self._windows, self._nearest = windows[order], nearest[order]
        w, a, b = _inverse_depth_forms(o[order], u[order], v[order])
        nothing = np.zeros((2, 3))
        self._w64 = np.concatenate([w, [-self.R[2] / self.position[2], nothing[0]]])
        self.w = self._w64.astype(np.float32)
        self.a = np.concatenate([a, nothing]).astype(np.float32)
        self.b = np.concatenate([b, nothing]).astype(np.float32)

    def visibility(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what each sample hits and 1/Z there, both (2, H + 1, W + 1)."""
        _, h, width = self.rays.shape
        (w,) = self.rays.forms((0, width, 0, h), self.w[self.ground : self.sky])
        hit = np.where(w > 0, self.ground, self.sky).astype(np.int32)
        w = np.maximum(w, 0)
        coefficients = np.stack([self.w, self.a, self.b], axis=1).tolist()
        # Nearest first, so that what is hidden is dropped early.
        for k, window in enumerate(self._windows.tolist()):
            x0, x1, y0, y1 = window
            behind = w[:, y0:y1, x0:x1]
            if behind.size > _WORTH_TESTING and behind.min() * self._nearest[k] > 1:
                continue
            wk, a, b = self.rays.forms((x0, x1, y0, y1), coefficients[k])
            inside = (wk > behind) & (a >= 0) & (a <= wk) & (b >= 0) & (b <= wk)
            pyramid = self._alpha[self.quads.layer[k]]
            if pyramid is not None:
                self._cut(k, pyramid, window, inside, wk, a, b)
            np.copyto(behind, wk, where=inside)
            np.copyto(hit[:, y0:y1, x0:x1], k, where=inside)
        return hit, w

    def _cut(
        self,
        k: int,
        pyramid: list[np.ndarray],
        window: list[int],
        inside: np.ndarray,
        w: np.ndarray,
        a: np.ndarray,
        b: np.ndarray,
    ) -> None:
        """Clear `inside` where the texture of quad k is cut out."""
        index = np.flatnonzero(inside)
        if not len(index):
            return
        t0, t1, t2, t3 = self.quads.tiles[k].tolist()
        x0, x1, y0, y1 = window
        texels = min(
            pyramid[0].shape[1] * abs(t2) / (x1 - x0), pyramid[0].shape[0] * abs(t3) / (y1 - y0)
        )
        level = min(max(int(np.log2(max(texels, 1e-3))), 0), len(pyramid) - 1)
        alpha = pyramid[level]
        rows, columns = alpha.shape
        scale = 1 / w.ravel()[index]
        column = (a.ravel()[index] * scale * (t2 * columns) + t0 * columns).astype(np.int32)
        row = (b.ravel()[index] * scale * (t3 * rows) + t1 * rows).astype(np.int32)
        # At its far edge a picture that does not repeat would begin anew.
        if t2 == 1:
            np.minimum(column, columns - 1, out=column)
        if t3 == 1:
            np.minimum(row, rows - 1, out=row)
        opaque = alpha.ravel().take((row % rows) * columns + column % columns) >= 128
        inside.ravel()[index[~opaque]] = False

    def on_ground(
        self, origin: np.ndarray, u: np.ndarray, v: np.ndarray
    ) -> Iterator[tuple[int, list[int], np.ndarray, np.ndarray]]:
        """Give index, window, a and b of each parallelogram on the ground that is in view."""
        o, u, v = (origin - self.position) @ self.R, u @ self.R, v @ self.R
        low, high, _ = _extent(o, u, v)
        pixels = (high - low) * [self.rays.camera.fx, self.rays.camera.fy]
        windows = self.rays.windows(low, high)
        seen = (pixels > 1).all(1)
        seen &= (windows[:, 1] > windows[:, 0]) & (windows[:, 3] > windows[:, 2])
        w, a, b = _inverse_depth_forms(o, u, v)
        coefficients = np.stack([w, a, b], axis=1).tolist()
        for k in np.nonzero(seen)[0].tolist():
            window = windows[k].tolist()
            wk, ak, bk = self.rays.forms(tuple(window), coefficients[k])
            scale = 1 / np.maximum(wk, np.float32(1e-6))
            yield k, window, ak * scale, bk * scale

    def exact_depth(self, hit: np.ndarray) -> np.ndarray:
        """Return the depth (H, W) float32 in metres of the pixel centres, infinite for the sky."""
        a, b, c = (np.ascontiguousarray(column).take(hit) for column in self._w64.T)
        with np.errstate(divide='ignore'):
            return (1 / (a * self.rays.centre_x + b * self.rays.centre_y + c)).astype(np.float32)

    def directions(self, index: np.ndarray) -> np.ndarray:
        """Return the world directions (3, n) of samples, of unit depth."""
        x, y = self.rays.flat_x.take(index), self.rays.flat_y.take(index)
        R = self.R.astype(np.float32)
        return np.stack([R[k, 0] * x + R[k, 1] * y + R[k, 2] for k in range(3)])

    def ground_points(self, index: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the world x and y where samples with inverse depth `w` meet the ground."""
        x, y, _ = self.directions(index)
        depth = 1 / w
        return (
            x * depth + np.float32(self.position[0]),
            y * depth + np.float32(self.position[1]),
        )


def _inverse_depth_forms(
    o: np.ndarray, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the coefficients (N, 3) of 1/Z, a/Z and b/Z; see the top of this module."""
    n = np.cross(u, v)
    with np.errstate(divide='ignore', invalid='ignore'):
        scale = 1 / (n * o).sum(1, keepdims=True)
        return n * scale, np.cross(v, o) * scale, np.cross(o, u) * scale


def _extent(
    o: np.ndarray, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the box (N, 2), (N, 2) of x/z, y/z that each quad fills and its nearest depth (N,).

    What lies before the near plane is clipped away; the depth is infinite where nothing is left.
    """
    corners = np.stack([o, o + u, o + u + v, o + v], axis=1)
    following = np.roll(corners, -1, axis=1)
    z0, z1 = corners[..., 2], following[..., 2]
    with np.errstate(divide='ignore', invalid='ignore'):
        share = ((_NEAR - z0) / (z1 - z0))[..., None]
        cuts = corners + share * (following - corners)
        points = np.concatenate([corners, cuts], axis=1)
        valid = np.concatenate([z0 >= _NEAR, (z0 >= _NEAR) != (z1 >= _NEAR)], axis=1)[..., None]
        rays = points[..., :2] / points[..., 2:]
        low = np.where(valid, rays, np.inf).min(1)
        high = np.where(valid, rays, -np.inf).max(1)
    nearest = np.where(valid[..., 0], points[..., 2], np.inf).min(1)
    return low, high, nearest
