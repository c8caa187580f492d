"""The inventory screen."""

from minestudio_envs.voxel.jit import inlined_function


@inlined_function
def tick_screen(state, n, tables, pressed, camera):
    """Opens and closes the screen; moves its cursor and stacks."""
