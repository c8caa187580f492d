"""Mobs that come and go by themselves."""

from minestudio_envs.voxel.jit import inlined_function


@inlined_function
def spawn_mobs(state, n, tables):
    """Spawns and despawns for one tick."""
