"""Changing the world: setting blocks, and what that makes of their neighbours."""

import numpy as np

from minestudio_envs.voxel.blocks import AIR, FIRST_LIQUID
from minestudio_envs.voxel.jit import device_function, inlined_function
from minestudio_envs.voxel.light import relight
from minestudio_envs.voxel.state import WORD


@device_function
def set_block(voxels, height, cutouts, n, x, y, z, block):
    """Makes (x, y, z) that block and keeps the map of heights and that of cutouts true; outside the world: nothing."""
    if y < 0 or y >= voxels.shape[3]:
        return
    mask = voxels.shape[1] - 1
    x, z = x & mask, z & mask
    voxels[n, x, z, y] = block
    bit = np.uint64(1) << np.uint64(y % WORD)
    cutouts[n, x, z, y // WORD] &= ~bit
    if AIR < block < FIRST_LIQUID:
        cutouts[n, x, z, y // WORD] |= bit
    top = int(height[n, x, z])
    if block >= FIRST_LIQUID:
        top = max(top, y + 1)
    elif y + 1 == top:
        while top > 0 and voxels[n, x, z, top - 1] < FIRST_LIQUID:
            top -= 1
    height[n, x, z] = top


@device_function
def change_block(state, n, tables, x, y, z, block):
    """``set_block`` during play: light changes with it, and what stands or flows beside it is looked at soon."""
    voxels = state.voxels
    if y < 0 or y >= voxels.shape[3]:
        return
    mask = voxels.shape[1] - 1
    before = voxels[n, x & mask, z & mask, y]
    set_block(voxels, state.height, state.cutouts, n, x, y, z, block)
    relight(voxels, state.light, state.scratch, n, tables.block_light, tables.block_filter, x, y, z, before, int(block))


@inlined_function
def tick_blocks(state, n, tables):
    """Carries out the block updates that are due."""
