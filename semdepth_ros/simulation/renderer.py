"""From quads, ground and sky to an image with exact depth.

Visibility is found on two sample grids, pixel centres and pixel corners. Depth and labels are those
of the centres. The image is the centre and its four corners, weighed 4:1:1:1:1, of a ripmapped
texture, so neither edges nor far surfaces alias, and what a surface looks like depends on the
surface alone, not on the view: warping with true depth and pose gives the same picture.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from semdepth_ros.camera import Camera
from semdepth_ros.classes import SKY
from semdepth_ros.simulation.ground import GROUND_PERIOD, GROUND_REACH, GROUND_STRIP
from semdepth_ros.simulation.materials import Materials
from semdepth_ros.simulation.rays import SampleRays
from semdepth_ros.simulation.road import CentreLine
from semdepth_ros.simulation.scenery import Pieces
from semdepth_ros.simulation.surfaces import SKY_TANGENT
from semdepth_ros.simulation.view import View

#: Metres that the pattern of large stains covers.
_MACRO = 37.0
#: Metres within which shadows on the ground are drawn.
_SHADOW_RANGE = 100.0
#: Texels per texel covered: the corners blur as well, so the texture may stay sharper.
_SHARPNESS = np.float32(0.75)


@dataclasses.dataclass(frozen=True)
class Light:
    """The sun's direction (unit, towards it), its strength, and the light from all around."""

    direction: np.ndarray
    sun: float
    ambient: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Light:
        """Draw a time of day and weather."""
        azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.1)
        direction = np.array(
            [
                np.cos(azimuth) * np.cos(elevation),
                np.sin(azimuth) * np.cos(elevation),
                np.sin(elevation),
            ]
        )
        sun = rng.uniform(0.1, 0.6)
        warmth = np.array([1.0, 1.0, 1.0]) + rng.uniform(-0.05, 0.05) * np.array([1, 0, -1])
        return cls(direction, sun, rng.uniform(0.85, 1.2) * (1 - 0.65 * sun) * warmth)

    def on(self, normals: np.ndarray) -> np.ndarray:
        """Return the factor (N, 3) on the colour of surfaces with these unit normals (N, 3)."""
        return self.ambient + self.sun * np.maximum(normals @ self.direction, 0)[:, None]


@dataclasses.dataclass(frozen=True)
class Rendering:
    """What one frame shows: image, depth, label, instance and moving, all (H, W[, 3])."""

    image: np.ndarray
    depth: np.ndarray
    label: np.ndarray
    instance: np.ndarray
    moving: np.ndarray


class Renderer:
    """Renders what a camera sees of the world."""

    def __init__(
        self, rays: SampleRays, line: CentreLine, materials: Materials, light: Light
    ) -> None:
        self._rays = rays
        self._line = line
        self._materials = materials
        self._atlas = materials.atlas
        self._light = light

    def with_camera(self, camera: Camera) -> Renderer:
        """Return a renderer of the same world through another camera."""
        return Renderer(SampleRays(camera), self._line, self._materials, self._light)

    def render(self, pieces: Pieces, T_world_camera: np.ndarray) -> Rendering:
        """Return the view from a pose (4x4, points of the camera to the world)."""
        view = View(self._rays, T_world_camera, pieces.quads, self._atlas.alpha)
        hit, w = view.visibility()
        h, width = self._rays.camera.height, self._rays.camera.width
        centre = hit[0, :h, :width]
        return Rendering(
            image=_filtered(self._color(view, hit, w, pieces.shadows)),
            depth=view.exact_depth(centre),
            label=self._label(view, hit, w),
            instance=np.append(view.quads.instance, [0, 0]).astype(np.int32)[centre],
            moving=np.append(view.quads.moving, [False, False])[centre],
        )

    def _label(self, view: View, hit: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return the label (H, W) of the pixel centres; that of the ground lies in its texture."""
        h, width = self._rays.camera.height, self._rays.camera.width
        label = np.append(view.quads.label, [0, SKY]).astype(np.uint8)[hit[0]]
        at = np.flatnonzero(hit[0] == view.ground)
        _, d, _, _ = self._line.coordinates(*view.ground_points(at, w[0].ravel().take(at)))
        table = self._materials.ground_label
        row = ((_folded(d) / GROUND_REACH + 1) / 2 * len(table)).astype(np.int32)
        label.ravel()[at] = table[row]
        return np.ascontiguousarray(label[:h, :width])

    def _color(self, view: View, hit: np.ndarray, w: np.ndarray, shadows: np.ndarray) -> np.ndarray:
        """Return the colour (2, H + 1, W + 1, 3) float32 of every sample."""
        flat_hit, flat_w = hit.ravel(), w.ravel()
        quad = np.flatnonzero(flat_hit < view.ground)
        ground = np.flatnonzero(flat_hit == view.ground)
        sky = np.flatnonzero(flat_hit == view.sky)
        surface = _Surface.joined(
            self._quad_surface(view, quad, flat_hit.take(quad), flat_w.take(quad)),
            self._ground_surface(view, ground, flat_w.take(ground)),
            self._sky_surface(view, sky),
        )
        # Samples lie sorted by kind of surface, in rows only because OpenCV wants an image.
        layer, u, v, du, dv, stain_x, stain_y = (
            getattr(surface, field.name).reshape(-1, hit.shape[2])
            for field in dataclasses.fields(surface)
        )
        texture = self._atlas.sample(layer, u, v, du, dv)
        stain = cv2.remap(
            self._materials.stains, stain_x, stain_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        place = np.concatenate([quad, ground, sky])
        color = np.empty((hit.size, 3), np.float32)
        color[place] = texture.reshape(-1, 3)
        shade = np.ones(hit.shape, np.float32)
        lands = len(quad) + len(ground)
        np.put(shade, place[:lands], stain.ravel()[:lands])
        _throw_shadows(view, hit, shade, shadows)
        color *= self._tints(view).take(flat_hit, axis=0)
        color *= shade.reshape(-1, 1)
        return color.reshape(*hit.shape, 3)

    def _tints(self, view: View) -> np.ndarray:
        """Return the factor (N + 2, 3) float32 of light and tint for each quad, ground and sky."""
        normals = np.cross(view.quads.v, view.quads.u)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        # Foliage and other sheets are lit through: half the sun whichever way they stand.
        light = np.where(
            view.quads.two_sided[:, None],
            self._light.ambient + 0.5 * self._light.sun,
            self._light.on(normals),
        )
        ground = self._light.on(np.array([[0.0, 0.0, 1.0]]))
        return np.concatenate([view.quads.tint * light, ground, np.ones((1, 3))]).astype(np.float32)

    def _quad_surface(self, view: View, at: np.ndarray, hit: np.ndarray, w: np.ndarray) -> _Surface:
        quads, camera = view.quads, self._rays.camera
        x, y = self._rays.flat_x.take(at), self._rays.flat_y.take(at)
        depth = 1 / w
        wx, wy = (np.ascontiguousarray(view.w[:, k]).take(hit) for k in (0, 1))
        layer = quads.layer.take(hit)
        sides = []
        for coefficients, edge, tiles, texels in (
            (view.a, quads.u, quads.tiles[:, (0, 2)], self._atlas.width),
            (view.b, quads.v, quads.tiles[:, (1, 3)], self._atlas.height),
        ):
            ax, ay, ac = (np.ascontiguousarray(c).take(hit) for c in coefficients.T)
            share = (ax * x + ay * y + ac) * depth
            # How far one pixel to the right and one down move on the surface.
            step_x = (ax - share * wx) * depth * np.float32(1 / camera.fx)
            step_y = (ay - share * wy) * depth * np.float32(1 / camera.fy)
            scale = tiles * texels[quads.layer][:, None]
            start, extent = (np.ascontiguousarray(c).take(hit) for c in scale.T)
            reach = np.sqrt(step_x * step_x + step_y * step_y) * np.abs(extent)
            # Stains lie on the object, not on its texture: no two houses look alike.
            metres = np.linalg.norm(edge, axis=1) * (256 / _MACRO)
            offset = (metres * 17.3 + quads.layer * 41.7 + quads.instance % 97 * 13.1) % 256
            stain = share * metres.astype(np.float32).take(hit)
            stain += offset.astype(np.float32).take(hit)
            sides.append((start + share * extent, reach, stain))
        (u, du, stain_x), (v, dv, stain_y) = sides
        return _Surface(layer, u, v, du * _SHARPNESS, dv * _SHARPNESS, stain_x, stain_y)

    def _ground_surface(self, view: View, at: np.ndarray, w: np.ndarray) -> _Surface:
        x, y = view.ground_points(at, w)
        s, d, cos, sin = self._line.coordinates(x, y)
        layer = self._materials['ground'][0]
        per_s = self._atlas.width[layer] / GROUND_PERIOD
        per_d = self._atlas.height[layer] / (2 * GROUND_REACH)
        forward = view.R[:2, 2] / np.linalg.norm(view.R[:2, 2])
        along = np.abs(cos * np.float32(forward[0]) + sin * np.float32(forward[1]))
        across = np.sqrt(np.maximum(1 - along * along, 0))
        depth = 1 / w
        wide = depth * np.float32(1 / self._rays.camera.fx)
        deep = depth * depth * np.float32(1 / (self._rays.camera.fy * view.position[2]))
        du = np.hypot(along * deep, across * wide) * (per_s * _SHARPNESS)
        dv = np.hypot(across * deep, along * wide) * (per_d * _SHARPNESS)
        return _Surface(
            np.full(len(w), layer, np.int32),
            s * per_s,
            (_folded(d) + np.float32(GROUND_REACH)) * per_d,
            du,
            dv,
            x * np.float32(256 / _MACRO) % 256,
            y * np.float32(256 / _MACRO) % 256,
        )

    def _sky_surface(self, view: View, at: np.ndarray) -> _Surface:
        x, y, z = view.directions(at)
        layer = self._materials['sky'][0]
        width, height = self._atlas.width[layer], self._atlas.height[layer]
        tangent = z / np.hypot(x, y)
        one = np.ones_like(x)
        return _Surface(
            np.full(len(x), layer, np.int32),
            np.arctan2(-y, x) * (width / np.float32(2 * np.pi)) + width / 2,
            np.clip((1 - tangent / np.float32(SKY_TANGENT)) * height, 0.5, height - 0.5),
            one,
            one,
            one,
            one,
        )


@dataclasses.dataclass(frozen=True)
class _Surface:
    """Where n samples lie on their textures, and among the stains.

    Texture layer, place u, v and reach du, dv in texels, place among the stains.
    """

    layer: np.ndarray
    u: np.ndarray
    v: np.ndarray
    du: np.ndarray
    dv: np.ndarray
    stain_x: np.ndarray
    stain_y: np.ndarray

    @classmethod
    def joined(cls, *parts: _Surface) -> _Surface:
        return cls(
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in dataclasses.fields(cls)
            )
        )


def _folded(d: np.ndarray) -> np.ndarray:
    """Return d mirrored back and forth into the outer strip of the ground's texture."""
    start = GROUND_REACH - GROUND_STRIP
    away = np.abs(d)
    beyond = (away - start) % GROUND_STRIP
    folded = start + np.minimum(beyond, GROUND_STRIP - beyond)
    return np.copysign(np.where(away > start, folded, away), d)


def _throw_shadows(view: View, hit: np.ndarray, shade: np.ndarray, shadows: np.ndarray) -> None:
    """Darken the ground under objects, in place; a shadow is fixed to its object."""
    near = np.hypot(*(shadows[:, :2] - view.position[:2]).T) < _SHADOW_RANGE
    x, y, yaw, long, wide, depth = shadows[near].T
    cos, sin, zero = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)
    u = 2 * long[:, None] * np.stack([cos, sin, zero], axis=1)
    v = 2 * wide[:, None] * np.stack([-sin, cos, zero], axis=1)
    origin = np.stack([x, y, zero], axis=1) - (u + v) / 2
    for k, (x0, x1, y0, y1), a, b in view.on_ground(origin, u, v):
        # A soft-edged rounded rectangle.
        a, b = np.square(2 * a - 1), np.square(2 * b - 1)
        far = a * a + b * b
        dark = 1 - np.float32(depth[k]) * np.clip((1.0 - far) * 2, 0, 1)
        dark[hit[:, y0:y1, x0:x1] != view.ground] = 1
        shade[:, y0:y1, x0:x1] *= dark


def _filtered(color: np.ndarray) -> np.ndarray:
    """Return the image (H, W, 3) uint8: half the centre, an eighth of each corner."""
    centre, corner = color[0, :-1, :-1], color[1]
    corners = corner[:-1] + corner[1:]
    corners = corners[:, :-1] + corners[:, 1:]
    image = cv2.addWeighted(centre, 0.5, corners, 0.125, 0)
    return cv2.convertScaleAbs(np.maximum(image, 0, out=image))
