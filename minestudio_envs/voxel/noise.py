"""Smooth value noise on the torus."""

import math

import numpy as np

from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.randomness import hash2, mix, to_unit


@device_function
def lattice(seed, wave, i, j):
    """The random value in [-1, 1) of lattice point (i, j) of the noise of one wavelength."""
    return 2.0 * to_unit(mix(hash2(seed + np.uint64(wave), (i << 32) | j))) - 1.0


@device_function
def smooth(t):
    """Perlin's fade curve: 0 to 1 with flat ends."""
    return t * t * t * (t * (t * 6.0 - 15.0) + 10.0)


@device_function
def noise(seed, wave, size, x, z):
    """Smooth value noise in [-1, 1) at (x, z), repeating after ``size`` blocks."""
    mask = max(size // wave, 1) - 1
    i, j = math.floor(x / wave), math.floor(z / wave)
    u, v = smooth(x / wave - i), smooth(z / wave - j)
    a, b = lattice(seed, wave, i & mask, j & mask), lattice(seed, wave, (i + 1) & mask, j & mask)
    c, d = lattice(seed, wave, i & mask, (j + 1) & mask), lattice(seed, wave, (i + 1) & mask, (j + 1) & mask)
    near, far = a + (b - a) * u, c + (d - c) * u
    return near + (far - near) * v


@device_function
def corners(seed, wave, size, x, z):
    """The four lattice values around the tile at (x, z)."""
    mask = max(size // wave, 1) - 1
    i, j = x // wave, z // wave
    return (
        lattice(seed, wave, i & mask, j & mask),
        lattice(seed, wave, (i + 1) & mask, j & mask),
        lattice(seed, wave, i & mask, (j + 1) & mask),
        lattice(seed, wave, (i + 1) & mask, (j + 1) & mask),
    )


@device_function
def torus_offset(a, b, size):
    """The shortest way from b to a along an axis that repeats after ``size``, in [-size / 2, size / 2)."""
    return ((a - b + size // 2) & (size - 1)) - size // 2
