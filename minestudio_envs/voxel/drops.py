"""Item entities: what lies about and waits to be picked up."""

from minestudio_envs.voxel.jit import device_function, inlined_function


@device_function
def drop_item(state, n, item, count, damage, x, y, z, vx, vy, vz):
    """Puts an item entity into the world."""


@inlined_function
def tick_drops(state, n, tables):
    """One tick of all item entities."""
