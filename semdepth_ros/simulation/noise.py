"""Tileable multi-scale noise, the grain of every texture."""

from __future__ import annotations

import functools

import numpy as np

#: Patterns of each kind; textures take them shifted and mirrored.
_VARIANTS = 4


def fractal(rng: np.random.Generator, height: int, width: int, slope: float = 1.0) -> np.ndarray:
    """Return tileable noise (height, width) float32 with mean 0 and deviation 1.

    `slope` is that of the amplitude over frequency: 0 is white, 1 has detail at every scale, 2 is
    smooth like clouds.
    """
    noise = _pattern(height, width, slope, int(rng.integers(_VARIANTS)))
    noise = np.roll(noise, (rng.integers(height), rng.integers(width)), axis=(0, 1))
    return noise[:: rng.choice([1, -1]), :: rng.choice([1, -1])].copy()


@functools.lru_cache(maxsize=256)
def _pattern(height: int, width: int, slope: float, variant: int) -> np.ndarray:
    rng = np.random.default_rng((height, width, round(slope * 1000), variant))
    fy = np.fft.fftfreq(height)[:, None] * height
    fx = np.fft.rfftfreq(width)[None, :] * width
    frequency = np.hypot(fx, fy)
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / frequency**slope
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (height, width)).astype(np.float32)
    return noise / noise.std()


def grain(
    rng: np.random.Generator,
    size: tuple[int, int],
    color: tuple[float, float, float],
    contrast: float = 0.12,
    slope: float = 0.8,
) -> np.ndarray:
    """Return a surface (h, w, 3) float32 0..255 of one colour with noise at every scale."""
    noise = 1 + contrast * fractal(rng, *size, slope)
    tint = 1 + 0.04 * fractal(rng, *size, 1.2)
    image = np.array(color, np.float32) * noise[..., None]
    image[..., 0] *= tint
    return np.clip(image, 4, 250)
