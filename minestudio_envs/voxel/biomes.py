"""The biomes: where they lie and how their land is shaped."""

import math

import numpy as np

from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.noise import torus_offset
from minestudio_envs.voxel.randomness import hash2, to_unit

# Minecraft's biome categories; the index is the id in state.biome.
BIOMES = ("plains", "forest", "desert", "extreme_hills", "taiga", "savanna", "swamp", "beach", "ocean")
PLAINS, FOREST, DESERT, EXTREME_HILLS, TAIGA, SAVANNA, SWAMP, BEACH, OCEAN = range(len(BIOMES))

HOME_RADIUS = 50.0  # blocks around the spawn that are of the episode's biome, more or less
HOME_EDGE = 12.0  # the most by which that radius varies
COAST = 24.0  # half the width of a beach
REGION = 64  # side of the squares beyond that are of one biome
# What may lie around a biome, drawn per region.
NEIGHBOURS = np.array(
    [
        (PLAINS, PLAINS, FOREST, OCEAN),
        (FOREST, PLAINS, TAIGA, SWAMP),
        (DESERT, DESERT, SAVANNA, OCEAN),
        (EXTREME_HILLS, TAIGA, FOREST, PLAINS),
        (TAIGA, FOREST, EXTREME_HILLS, OCEAN),
        (SAVANNA, DESERT, PLAINS, FOREST),
        (SWAMP, FOREST, PLAINS, OCEAN),
        (PLAINS, FOREST, DESERT, SAVANNA),
        (OCEAN, OCEAN, PLAINS, FOREST),
    ],
    np.int64,
)

# Height of the ground above the sea in a world of 64 blocks, and how much of the swell it has. The hills of
# extreme_hills fill the world's height, see land_shape.
LIFT = np.array([5.0, 5.5, 5.0, 0.0, 6.0, 5.5, 0.5, 1.2, -9.0])
ROUGHNESS = np.array([1.0, 1.0, 0.8, 0.0, 1.2, 0.7, 0.35, 0.25, 0.8])


@device_function
def sea_level(world_height):
    """How many blocks lie below the sea's surface: Minecraft's 63, half of it in a world of 64 blocks."""
    return 63 if world_height >= 128 else 31


@device_function
def peak_height(world_height):
    """How far hills may rise above the sea; above them there is room for a tree."""
    return min(world_height - 12 - sea_level(world_height), 55)


@device_function
def land_shape(biome, world_height):
    """(blocks above the sea, share of the swell) of a biome's ground."""
    if biome == EXTREME_HILLS:
        peak = peak_height(world_height)
        return 0.45 * peak, 0.09 * peak
    deep = 2.0 if biome == OCEAN and world_height >= 128 else 1.0
    return deep * LIFT[biome], ROUGHNESS[biome]


@device_function
def biome_at(seed, size, home, spawn_x, spawn_z, x, z):
    """The biome at a corner (x, z) of the tiles: ``home`` around the spawn, its neighbours beyond."""
    dx, dz = torus_offset(x, spawn_x, size), torus_offset(z, spawn_z, size)
    i, j = (dx + size) // REGION, (dz + size) // REGION
    pick = NEIGHBOURS[home, np.int64(hash2(seed, i * 4096 + j) & np.uint64(3))]
    if home == BEACH:  # a straight coast between land and sea
        angle = to_unit(seed) * 2.0 * math.pi
        inland = dx * math.cos(angle) + dz * math.sin(angle)
        return BEACH if abs(inland) < COAST else pick if inland > 0.0 else OCEAN
    edge = HOME_RADIUS + HOME_EDGE * (to_unit(hash2(seed + np.uint64(1), (x << 32) | z)) - 0.5)
    return home if dx * dx + dz * dz < edge * edge else pick
