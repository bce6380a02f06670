"""The ground under a camera, from a depth map: RANSAC that does not know the scale.

A plane at camera height h with unit normal n (pointing up) holds the points p with n.p = -h. For
the ray r = (x, y, 1) of a pixel with depth z, p = z r, so 1 / z = (-n / h).r: inverse depth is a
*linear* function of the ray. Fitting m = -n / h in that form makes the residual z (m.r) - 1 the
height above or below the plane **in units of the camera height**, whatever unit the depth has.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from semdepth_ros.camera import Camera

#: Half the thickness of the plane, in camera heights (8 cm under a camera at 1.6 m).
TOLERANCE = 0.05

#: Camera heights under a plane from which a point speaks against it.
_FAR_BELOW = 0.5

_HYPOTHESES = 256
_SAMPLES = 4096


@dataclasses.dataclass(frozen=True)
class GroundPlane:
    """A plane under the camera.

    Attributes:
        m: (3,) float64, -normal / height: a point p lies on the plane where m.p = 1, below it where
            m.p > 1.
        inliers: share of the candidate pixels within the tolerance, 0 to 1.
    """

    m: np.ndarray
    inliers: float

    @property
    def height(self) -> float:
        """Distance of the camera from the plane, in the unit of the depth."""
        return float(1 / np.linalg.norm(self.m))

    @property
    def normal(self) -> np.ndarray:
        """Unit normal in the camera frame, pointing up (y negative)."""
        return -self.m * self.height

    def depth_below(self, depth_HW: np.ndarray, camera: Camera) -> np.ndarray:
        """Return how far each pixel lies below the plane, (H, W), in units of the camera height.

        Negative above the plane. Infinite depth below the horizon is infinitely far below; what has
        no depth is NaN.
        """
        rays = camera.rays()
        with np.errstate(invalid='ignore'):
            slope = rays[..., 0] * self.m[0] + rays[..., 1] * self.m[1] + self.m[2]
            return depth_HW * slope - 1


def fit_ground_plane(
    depth_HW: np.ndarray,
    camera: Camera,
    mask_HW: np.ndarray | None = None,
    *,
    max_tilt_degrees: float = 20.0,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> GroundPlane | None:
    """Fit the plane that most pixels lie on, among those that a camera can stand on.

    Args:
        depth_HW: depth along Z in any unit; non-finite and non-positive pixels are left out.
        camera: camera of the depth image.
        mask_HW: the pixels to look at, such as those of the road; all of them by default.
        max_tilt_degrees: largest angle between the plane's normal and the camera's up axis.
        tolerance: distance from the plane, in camera heights, that still counts as on it.
        seed: of the random samples; the same input and seed give the same plane.

    Returns:
        The plane, or None where fewer than 100 pixels qualify or no hypothesis fits.
    """
    valid = np.isfinite(depth_HW) & (depth_HW > 0)
    if mask_HW is not None:
        valid &= mask_HW
    candidates = np.flatnonzero(valid)
    if candidates.size < 100:
        return None
    rng = np.random.default_rng(seed)
    if candidates.size > _SAMPLES:
        candidates = rng.choice(candidates, _SAMPLES, replace=False)
    rays = camera.rays().reshape(-1, 2)[candidates].astype(np.float64)
    rays = np.column_stack([rays, np.ones(len(rays))])
    points = rays * depth_HW.reshape(-1)[candidates, None].astype(np.float64)
    # Any common factor leaves every decision below unchanged; this one keeps numbers near 1.
    unit = float(np.median(points[:, 2]))
    points /= unit

    triples = points[rng.integers(0, len(points), (_HYPOTHESES, 3))]
    determinants = np.linalg.det(triples)
    triples = triples[np.abs(determinants) > 1e-9]
    if not len(triples):
        return None
    hypotheses = np.linalg.solve(triples, np.ones((len(triples), 3, 1)))[..., 0]
    hypotheses = hypotheses[_is_ground(hypotheses, max_tilt_degrees)]
    if not len(hypotheses):
        return None
    below = points @ hypotheses.T - 1
    # Nothing lies under the ground: a plane through the air above it pays for what it cuts off.
    score = (np.abs(below) < tolerance).sum(axis=0) - (below > _FAR_BELOW).sum(axis=0)
    m = hypotheses[int(score.argmax())]
    for _ in range(3):
        inliers = np.abs(points @ m - 1) < tolerance
        if inliers.sum() < 3:
            return None
        refined = np.linalg.lstsq(points[inliers], np.ones(inliers.sum()), rcond=None)[0]
        if not _is_ground(refined[None], max_tilt_degrees)[0]:
            break
        m = refined
    share = float((np.abs(points @ m - 1) < tolerance).mean())
    return GroundPlane(m / unit, share)


def _is_ground(m_N3: np.ndarray, max_tilt_degrees: float) -> np.ndarray:
    # m points down: its angle to the camera's y axis is the tilt.
    lengths = np.linalg.norm(m_N3, axis=1)
    with np.errstate(divide='ignore', invalid='ignore'):
        return m_N3[:, 1] / lengths >= math.cos(math.radians(max_tilt_degrees))
