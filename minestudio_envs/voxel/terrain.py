"""The world of an episode: the land of its biomes on a torus, what lies under it and what grows on it.

A world is made in steps that each touch every column at most once or write only few blocks: the shape of the land and
its layers (here), ores and caves (underground.py), trees and plants (plants.py), light (light.py).

Heights follow Minecraft in worlds of 128 blocks and more: the sea's surface is at 63. A world of 64 blocks has it at
31, and depths (of ores, of lava) are scaled by 31 / 63; so is the number of veins, since the stone is half as thick.
"""

import math

import numpy as np

from minestudio_envs.voxel.biomes import (
    BEACH,
    BIOMES,
    DESERT,
    EXTREME_HILLS,
    OCEAN,
    SAVANNA,
    SWAMP,
    TAIGA,
    biome_at,
    land_shape,
    peak_height,
    sea_level,
)
from minestudio_envs.voxel.blocks import AIR, BEDROCK, BLOCK_ID, DIRT, GRASS_BLOCK, STONE, WATER
from minestudio_envs.voxel.columns import OPEN_SKY, ground_of, open_span, surface_index
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.light import light_world
from minestudio_envs.voxel.noise import corners, torus_offset
from minestudio_envs.voxel.physics import place_player
from minestudio_envs.voxel.plants import choose_plant, grow_plants, grow_pumpkins, grow_trees
from minestudio_envs.voxel.randomness import STREAM_SPAWN, STREAM_WORLD, hash2, mix, random_index, to_unit
from minestudio_envs.voxel.underground import CHUNK, carve_caves, place_ores

__all__ = ["BIOMES", "NOISE_TILE", "generate"]

# Sums of smooth noise: wavelength in blocks (a power of two), amplitude in blocks.
WAVE1, WAVE2, WAVE3 = 64, 32, 16
SWELL1, SWELL2, SWELL3 = 3.5, 1.8, 0.8
NOISE_TILE = CHUNK  # columns per side that share their lattice points; no wavelength may be shorter
ROLLING = 1.2  # land that is rougher than this share of the swell has crags, too
CRAGS2, CRAGS3 = 2.5, 2.5  # blocks of the shorter waves per share beyond that
BORDER_WOBBLE = 0.35  # how far the border between two biomes winds, in tiles
ISLET = 2.2  # the ground at the spawn is at least that high above the sea, and slopes down around it

SAND, SANDSTONE, GRAVEL, CLAY = (BLOCK_ID[name] for name in ("sand", "sandstone", "gravel", "clay"))
PODZOL, COARSE_DIRT = BLOCK_ID["podzol"], BLOCK_ID["coarse_dirt"]
BEDROCK_LAYERS = 5  # the lowest is whole, the others are more and more ragged

_t = np.arange(64) / 64
FADE = _t**3 * (_t * (_t * 6 - 15) + 10)  # Perlin's fade curve at every 64th

STREAM_BIOME, STREAM_COLUMN = np.uint64(32 << 16), np.uint64(33 << 16)


@device_function
def surface_blocks(biome, ground, sea, n2, n3):
    """(top, filler, sub) of a column: the surface's block, three below it, four below those.

    ``n2``, ``n3``: noise at the column, which decides about patches.
    """
    if biome == DESERT or biome == BEACH:
        return SAND, SAND, SANDSTONE
    if biome == OCEAN:
        if ground >= sea - 4 or n3 > 0.3:
            return SAND, SAND, SANDSTONE
        return GRAVEL, DIRT if n2 > 0.4 else GRAVEL, STONE
    if ground < sea:
        if n3 > 0.45:
            return CLAY, CLAY, STONE
        return (DIRT, DIRT, STONE) if biome == SWAMP or n2 > 0.0 else (SAND, DIRT, STONE)
    if biome == EXTREME_HILLS:
        if n2 > 0.3:
            return STONE, STONE, STONE
        if n3 < -0.5:
            return GRAVEL, GRAVEL, STONE
    elif biome == TAIGA and n3 > 0.3:
        return PODZOL, DIRT, STONE
    elif biome == SAVANNA and n3 > 0.5:
        return COARSE_DIRT, DIRT, STONE
    return GRASS_BLOCK, DIRT, STONE


@device_function
def fill_column(voxels, light, n, x, z, ground, top, sea, surface, filler, sub, bits):
    """A column from its layers: ragged bedrock, stone, sub, filler, surface, water up to the sea, and air."""
    s, f, u, w = np.uint8(ground - 1), np.uint8(ground - 4), np.uint8(max(ground - 8, 0)), np.uint8(top)
    stone, water, air = np.uint8(STONE), np.uint8(WATER), np.uint8(AIR)
    surface, filler, sub = np.uint8(surface), np.uint8(filler), np.uint8(sub)
    for i in range(voxels.shape[3]):
        y = np.uint8(i)
        block = stone if y < u else sub
        block = block if y < f else filler
        block = block if y < s else surface
        block = block if y <= s else water
        voxels[n, x, z, i] = block if y < w else air
        light[n, x, z, i] = np.uint8(0) if y < w else OPEN_SKY
    voxels[n, x, z, 0] = BEDROCK
    for y in range(1, BEDROCK_LAYERS):
        whole = (bits >> np.uint64(8 * y)) & np.uint64(255) >= np.uint64(256 * y // BEDROCK_LAYERS)
        voxels[n, x, z, y] = BEDROCK if whole else STONE


@device_function
def shape_land(state, n, seed, home, spawn_x, spawn_z):
    """Biome, height, layers and ores of every column; also clears what the next steps add to."""
    for x0 in range(0, state.voxels.shape[1], NOISE_TILE):
        for z0 in range(0, state.voxels.shape[1], NOISE_TILE):
            shape_tile(state, n, seed, home, spawn_x, spawn_z, x0, z0, 0, NOISE_TILE)
            place_ores(state, n, seed, x0, z0)  # while its blocks are in the processor's cache


@device_function
def shape_tile(state, n, seed, home, spawn_x, spawn_z, x0, z0, first, last):
    """``shape_land`` of rows first to last - 1 of the tile at (x0, z0), without ores."""
    voxels, height = state.voxels, state.height
    size, world_height = voxels.shape[1], voxels.shape[3]
    sea, mask = sea_level(world_height), size - 1
    highest = sea + peak_height(world_height)
    biomes_seed = mix(seed + STREAM_BIOME)
    a1, b1, c1, d1 = corners(seed, WAVE1, size, x0, z0)
    a2, b2, c2, d2 = corners(seed, WAVE2, size, x0, z0)
    a3, b3, c3, d3 = corners(seed, WAVE3, size, x0, z0)
    x1, z1 = (x0 + NOISE_TILE) & mask, (z0 + NOISE_TILE) & mask
    biome_a = biome_at(biomes_seed, size, home, spawn_x, spawn_z, x0, z0)
    biome_b = biome_at(biomes_seed, size, home, spawn_x, spawn_z, x1, z0)
    biome_c = biome_at(biomes_seed, size, home, spawn_x, spawn_z, x0, z1)
    biome_d = biome_at(biomes_seed, size, home, spawn_x, spawn_z, x1, z1)
    lift_a, rough_a = land_shape(biome_a, world_height)
    lift_b, rough_b = land_shape(biome_b, world_height)
    lift_c, rough_c = land_shape(biome_c, world_height)
    lift_d, rough_d = land_shape(biome_d, world_height)
    coast = biome_a == OCEAN or biome_b == OCEAN or biome_c == OCEAN or biome_d == OCEAN
    for x in range(x0 + first, x0 + last):
        u1, u2, u3 = FADE[x & 63], FADE[(x & 31) << 1], FADE[(x & 15) << 2]
        p1, q1 = a1 + (b1 - a1) * u1, c1 + (d1 - c1) * u1
        p2, q2 = a2 + (b2 - a2) * u2, c2 + (d2 - c2) * u2
        p3, q3 = a3 + (b3 - a3) * u3, c3 + (d3 - c3) * u3
        lift_p, lift_q = lift_a + (lift_b - lift_a) * u3, lift_c + (lift_d - lift_c) * u3
        rough_p, rough_q = rough_a + (rough_b - rough_a) * u3, rough_c + (rough_d - rough_c) * u3
        dx = torus_offset(x, spawn_x, size)
        for z in range(z0, z0 + NOISE_TILE):
            v1, v2, v3 = FADE[z & 63], FADE[(z & 31) << 1], FADE[(z & 15) << 2]
            n1, n2, n3 = p1 + (q1 - p1) * v1, p2 + (q2 - p2) * v2, p3 + (q3 - p3) * v3
            level = sea + lift_p + (lift_q - lift_p) * v3
            rough = rough_p + (rough_q - rough_p) * v3
            level += rough * (SWELL1 * n1 + SWELL2 * n2 + SWELL3 * n3)
            level += max(rough - ROLLING, 0.0) * (CRAGS2 * n2 + CRAGS3 * n3)
            dz = torus_offset(z, spawn_z, size)
            level = max(min(level, highest), sea + ISLET - 0.045 * (dx * dx + dz * dz), BEDROCK_LAYERS + 9.0)
            ground = int(level)

            east = (x - x0) / NOISE_TILE + BORDER_WOBBLE * n2 >= 0.5
            south = (z - z0) / NOISE_TILE + BORDER_WOBBLE * n3 >= 0.5
            near, far = (biome_c, biome_d) if south else (biome_a, biome_b)
            biome = far if east else near
            if coast and biome != OCEAN and biome != SWAMP and sea - 2 <= ground <= sea + 1:
                if dx * dx + dz * dz > 64:  # what the player stands on stays of its biome
                    biome = BEACH
            surface, filler, sub = surface_blocks(biome, ground, sea, n2, n3)
            bits = mix(seed + STREAM_COLUMN + np.uint64((x << 32) | z))
            top = max(ground, sea)
            fill_column(voxels, state.light, n, x, z, ground, top, sea, surface, filler, sub, bits)
            height[n, x, z] = top
            state.biome[n, x, z] = biome
            for word in range(state.cutouts.shape[3]):
                state.cutouts[n, x, z, word] = 0
                state.scratch[n, (x * size + z) * state.cutouts.shape[3] + word] = 0
            if ground < sea:
                open_span(state, n, x, z, ground, sea)
            plant = choose_plant(biome, ground, sea, highest, n2, bits)
            state.scratch[n, surface_index(voxels, x, z)] = np.uint64(ground | plant << 8)


@device_function
def pick_biome(bits, biomes):
    """One of the biomes in the bits of ``biomes``."""
    count = 0
    for biome in range(len(BIOMES)):
        count += (biomes >> biome) & 1
    skip = random_index(bits, count)
    for biome in range(len(BIOMES)):
        if (biomes >> biome) & 1:
            if skip == 0:
                return biome
            skip -= 1
    return 0


@device_function
def plan_world(key, episode, teleport_range, biomes):
    """What a world is made from -> (seed, biome around the spawn, x and z of the spawn's block).

    The biome is drawn from the bits of ``biomes``. The player's x and z are uniform within +-teleport_range / 2
    (0 = at the origin), in the middle of a block.
    """
    seed = hash2(hash2(key, episode), STREAM_WORLD)
    home = pick_biome(mix(seed + np.uint64(STREAM_SPAWN + 3)), biomes)
    u, v = to_unit(mix(seed + np.uint64(STREAM_SPAWN))), to_unit(mix(seed + np.uint64(STREAM_SPAWN + 1)))
    block_x = math.floor((float(u) - 0.5) * teleport_range)
    block_z = math.floor((float(v) - 0.5) * teleport_range)
    return seed, home, block_x, block_z


@device_function
def generate(state, n, teleport_range, biomes):
    """Makes the world of the current episode and puts the player on its surface (``plan_world``).

    passes.py does the same with many threads.
    """
    size = state.voxels.shape[1]
    seed, home, block_x, block_z = plan_world(state.world[n].key, state.world[n].episode, teleport_range, biomes)
    spawn_x, spawn_z = block_x & (size - 1), block_z & (size - 1)
    shape_land(state, n, seed, home, spawn_x, spawn_z)
    carve_caves(state, n, seed, spawn_x, spawn_z)
    grow_trees(state, n, seed, spawn_x, spawn_z)
    grow_pumpkins(state, n, seed, spawn_x, spawn_z)
    grow_plants(state, n, seed, spawn_x, spawn_z)
    enter_world(state, n, seed, block_x, block_z)
    light_world(state, n)


@device_function
def enter_world(state, n, seed, block_x, block_z):
    """Puts the player on the surface; before the light is made, which overwrites where the ground is."""
    mask = state.voxels.shape[1] - 1
    ground = ground_of(state, n, block_x & mask, block_z & mask)
    state.player[n].spawn[0], state.player[n].spawn[2] = block_x + 0.5, block_z + 0.5
    state.player[n].spawn[1] = float(ground)
    place_player(state, n, state.player[n].spawn[0], state.player[n].spawn[1], state.player[n].spawn[2])
    state.player[n].yaw = np.float32(to_unit(mix(seed + np.uint64(STREAM_SPAWN + 2))) * 360.0 - 180.0)
    state.player[n].pitch = 0.0
