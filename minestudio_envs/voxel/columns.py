"""What the steps of world generation share: writing blocks into a column and keeping its maps true.

While a world is made, ``scratch[n]`` holds four sections of one word (64 blocks) per word of a column:

    REST    bit y is set where light passes below the column's height: caves, water, leaves and the air below them
    SURFACE (until the light is made) the ground's height | candidate plant << 8 | shore << 16
"""

import numpy as np

from minestudio_envs.voxel.blocks import FIRST_LIQUID
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.state import WORD

OPEN_SKY = np.uint8(15 << 4)  # light of a block with nothing above it
FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
ONE = np.uint64(1)


@device_function
def bits_below(k):
    """A word whose bits 0 to k - 1 are set; k from 0 to 64 and beyond both ends."""
    if k <= 0:
        return np.uint64(0)
    if k >= WORD:
        return FULL
    return (ONE << np.uint64(k)) - ONE


@device_function
def span(low, high, word):
    """The bits of blocks low to high - 1 in a column's word."""
    return bits_below(high - WORD * word) & ~bits_below(low - WORD * word)


@device_function
def column(voxels, x, z):
    return x * voxels.shape[1] + z


@device_function
def surface_index(voxels, x, z):
    """Where SURFACE keeps the column (x, z) in scratch[n]."""
    size = voxels.shape[1]
    return size * size * (voxels.shape[3] // WORD) + x * size + z


@device_function
def ground_of(state, n, x, z):
    """How many blocks of ground lie below (x, z): no water, no trees."""
    return np.int64(state.scratch[n, surface_index(state.voxels, x, z)] & np.uint64(255))


@device_function
def open_span(state, n, x, z, low, high):
    """Marks blocks low to high - 1 as passed by light below the column's height."""
    words = state.voxels.shape[3] // WORD
    first = column(state.voxels, x, z) * words
    for word in range(words):
        state.scratch[n, first + word] |= span(low, high, word)


@device_function
def build(state, n, x, z, y, block, passes):
    """Puts a liquid or opaque block above the ground; ``passes``: light does."""
    mask = state.voxels.shape[1] - 1
    x, z = x & mask, z & mask
    top = int(state.height[n, x, z])
    if y >= top:
        open_span(state, n, x, z, top, y)
        for below in range(top, y + 1):
            state.light[n, x, z, below] = 0
        state.height[n, x, z] = y + 1
    word, bit = y // WORD, ONE << np.uint64(y % WORD)
    index = column(state.voxels, x, z) * (state.voxels.shape[3] // WORD) + word
    if passes:
        state.scratch[n, index] |= bit
    else:
        state.scratch[n, index] &= ~bit
    if 0 < state.voxels[n, x, z, y] < FIRST_LIQUID:
        state.cutouts[n, x, z, word] &= ~bit
    state.voxels[n, x, z, y] = block


@device_function
def put_cutout(state, n, x, z, y, block):
    """Puts a block that is seen through where there was air."""
    mask = state.voxels.shape[1] - 1
    x, z = x & mask, z & mask
    state.voxels[n, x, z, y] = block
    state.cutouts[n, x, z, y // WORD] |= ONE << np.uint64(y % WORD)
