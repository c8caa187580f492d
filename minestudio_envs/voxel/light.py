"""Sky light and block light."""

from minestudio_envs.voxel.jit import device_function


@device_function
def light_at(light, height, n, x, y, z):
    """(sky light, block light), both 0-15, at a block; the time of day is not in it."""
    mask = light.shape[1] - 1
    if y < 0 or y >= light.shape[3]:
        return (15 if y >= 0 else 0), 0
    packed = int(light[n, x & mask, z & mask, y])
    sky = 15 if y >= height[n, x & mask, z & mask] else packed >> 4
    return sky, packed & 15


@device_function
def sky_darkening(time_of_day, weather):
    """Levels that night and weather take from sky light, 0-11."""
    return 0


@device_function
def light_world(state, n):
    """Sky and block light of a world just made."""
