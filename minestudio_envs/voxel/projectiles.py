"""Arrows."""

from minestudio_envs.voxel.jit import inlined_function


@inlined_function
def tick_arrows(state, n, tables):
    """One tick of all arrows."""
