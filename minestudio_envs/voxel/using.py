"""The use key: placing, eating."""

from minestudio_envs.voxel.jit import inlined_function


@inlined_function
def use(state, n, tables, pressed):
    """One tick of the use key."""
