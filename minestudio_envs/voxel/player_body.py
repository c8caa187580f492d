"""The player's body: how large it is, and from where and whereto it looks (Minecraft 1.16.5)."""

import math

from minestudio_envs.voxel.jit import device_function

PLAYER_HALF_WIDTH, STANDING_HEIGHT, SNEAKING_HEIGHT = 0.3, 1.8, 1.5
STANDING_EYES, SNEAKING_EYES = 1.62, 1.27
DEGREES = math.pi / 180.0


@device_function
def body_height(sneaking):
    return SNEAKING_HEIGHT if sneaking else STANDING_HEIGHT


@device_function
def eye_height(sneaking):
    return SNEAKING_EYES if sneaking else STANDING_EYES


@device_function
def view_ray(player, n):
    """(x, y, z) of the eyes and the unit vector (dx, dy, dz) that they look along."""
    x, y, z = player[n].position[0], player[n].position[1] + eye_height(player[n].sneaking), player[n].position[2]
    yaw, pitch = player[n].yaw * DEGREES, player[n].pitch * DEGREES
    return x, y, z, -math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch)
