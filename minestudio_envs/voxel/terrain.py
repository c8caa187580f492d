"""The world of an episode: rolling plains on a torus, with oaks and birches in small groves."""

import math

import numpy as np

from minestudio_envs.voxel.blocks import (
    AIR,
    BEDROCK,
    BIRCH_LEAVES,
    BIRCH_LOG,
    DIRT,
    GRASS_BLOCK,
    OAK_LEAVES,
    OAK_LOG,
    STONE,
)
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.physics import place_player
from minestudio_envs.voxel.randomness import STREAM_SPAWN, STREAM_TREE, STREAM_WORLD, hash2, mix, to_unit

BASE_HEIGHT = 36.0  # of the ground's surface, on average
# Sums of smooth noise: wavelength in blocks (a power of two), amplitude in blocks.
WAVE1, WAVE2, WAVE3 = 64, 32, 16
SWELL1, SWELL2, SWELL3 = 3.5, 1.8, 0.8
NOISE_TILE = 16  # columns per side that share their lattice points; no wavelength may be shorter

TREE_CELL = 8  # at most one tree in each square of this side, one block clear of its edges
GROVE_WAVE = 32
GROVE_LEVEL = 0.72  # noise above it is a grove
GROVE_CHANCE, OPEN_CHANCE = 0.5, 0.012  # of a tree per cell
BIRCH_CHANCE = 0.2
CLEARING = 7.0  # blocks around the spawn without a trunk
LEAF_RADIUS = 2


@device_function
def lattice(seed, wave, i, j):
    """The random value in [-1, 1) of lattice point (i, j) of the noise of one wavelength."""
    return 2.0 * to_unit(mix(hash2(seed + np.uint64(wave), (i << 32) | j))) - 1.0


@device_function
def smooth(t):
    """Perlin's fade curve: 0 to 1 with flat ends."""
    return t * t * t * (t * (t * 6.0 - 15.0) + 10.0)


@device_function
def noise(seed, wave, size, x, z):
    """Smooth value noise in [-1, 1) at (x, z), repeating after ``size`` blocks."""
    mask = max(size // wave, 1) - 1
    i, j = math.floor(x / wave), math.floor(z / wave)
    u, v = smooth(x / wave - i), smooth(z / wave - j)
    a, b = lattice(seed, wave, i & mask, j & mask), lattice(seed, wave, (i + 1) & mask, j & mask)
    c, d = lattice(seed, wave, i & mask, (j + 1) & mask), lattice(seed, wave, (i + 1) & mask, (j + 1) & mask)
    near, far = a + (b - a) * u, c + (d - c) * u
    return near + (far - near) * v


@device_function
def corners(seed, wave, size, x, z):
    """The four lattice values around the tile at (x, z)."""
    mask = max(size // wave, 1) - 1
    i, j = x // wave, z // wave
    return (
        lattice(seed, wave, i & mask, j & mask),
        lattice(seed, wave, (i + 1) & mask, j & mask),
        lattice(seed, wave, i & mask, (j + 1) & mask),
        lattice(seed, wave, (i + 1) & mask, (j + 1) & mask),
    )


@device_function
def ground(seed, size, height, n):
    """Fills height[n] with the number of blocks below the air, from the noise of three wavelengths."""
    for x0 in range(0, size, NOISE_TILE):
        for z0 in range(0, size, NOISE_TILE):
            a1, b1, c1, d1 = corners(seed, WAVE1, size, x0, z0)
            a2, b2, c2, d2 = corners(seed, WAVE2, size, x0, z0)
            a3, b3, c3, d3 = corners(seed, WAVE3, size, x0, z0)
            for x in range(x0, x0 + NOISE_TILE):
                u1, u2 = smooth((x % WAVE1) / WAVE1), smooth((x % WAVE2) / WAVE2)
                u3 = smooth((x % WAVE3) / WAVE3)
                p1, q1 = a1 + (b1 - a1) * u1, c1 + (d1 - c1) * u1
                p2, q2 = a2 + (b2 - a2) * u2, c2 + (d2 - c2) * u2
                p3, q3 = a3 + (b3 - a3) * u3, c3 + (d3 - c3) * u3
                for z in range(z0, z0 + NOISE_TILE):
                    v1, v2 = smooth((z % WAVE1) / WAVE1), smooth((z % WAVE2) / WAVE2)
                    v3 = smooth((z % WAVE3) / WAVE3)
                    level = BASE_HEIGHT + SWELL1 * (p1 + (q1 - p1) * v1) + SWELL2 * (p2 + (q2 - p2) * v2)
                    level += SWELL3 * (p3 + (q3 - p3) * v3)
                    height[n, x, z] = np.uint8(level)


@device_function
def fill_columns(voxels, height, n):
    """Bedrock, stone, three blocks of dirt, one of grass, and air above."""
    size, top = voxels.shape[1], voxels.shape[3]
    for x in range(size):
        for z in range(size):
            surface = int(height[n, x, z]) - 1
            for y in range(top):
                block = STONE if y < surface - 3 else DIRT
                block = GRASS_BLOCK if y == surface else block
                voxels[n, x, z, y] = AIR if y > surface else block
            voxels[n, x, z, 0] = BEDROCK


@device_function
def plant_tree(voxels, height, n, x, z, bits):
    """A tree of Minecraft's small oak or birch shape on column (x, z).

    A trunk of 4-6 (birch 5-7) logs; from one block above it down, leaves in a cross, a 3x3 and two 5x5 layers whose
    corners are there half of the time.
    """
    mask = voxels.shape[1] - 1
    birch = to_unit(bits << np.uint64(8)) < BIRCH_CHANCE
    trunk = (5 if birch else 4) + int((bits >> np.uint64(8)) % np.uint64(3))
    log, leaves = (BIRCH_LOG, BIRCH_LEAVES) if birch else (OAK_LOG, OAK_LEAVES)
    base = int(height[n, x, z])
    voxels[n, x, z, base - 1] = DIRT
    coin = bits
    for layer in range(4):
        y = base + trunk - layer
        radius = 1 if layer < 2 else LEAF_RADIUS
        for dx in range(-radius, radius + 1):
            for dz in range(-radius, radius + 1):
                if abs(dx) == radius and abs(dz) == radius:
                    coin = mix(coin + np.uint64(1))
                    if layer == 0 or coin & np.uint64(1):
                        continue
                lx, lz = (x + dx) & mask, (z + dz) & mask
                if voxels[n, lx, lz, y] == AIR:
                    voxels[n, lx, lz, y] = leaves
                    height[n, lx, lz] = max(int(height[n, lx, lz]), y + 1)
    for y in range(base, base + trunk):
        voxels[n, x, z, y] = log
    height[n, x, z] = max(int(height[n, x, z]), base + trunk)


@device_function
def plant_trees(seed, voxels, height, n, spawn_x, spawn_z):
    """Trees in the cells of a grid: many in groves, few in the open, none near the spawn."""
    size = voxels.shape[1]
    for cell_x in range(size // TREE_CELL):
        for cell_z in range(size // TREE_CELL):
            bits = mix(hash2(seed + np.uint64(STREAM_TREE), (cell_x << 32) | cell_z))
            grove = noise(seed + np.uint64(1), GROVE_WAVE, size, cell_x * TREE_CELL, cell_z * TREE_CELL)
            chance = GROVE_CHANCE if 0.5 + 0.5 * grove > GROVE_LEVEL else OPEN_CHANCE
            if to_unit(bits) >= chance:
                continue
            bits = mix(bits)
            x = cell_x * TREE_CELL + 1 + int(bits % np.uint64(TREE_CELL - 2))
            z = cell_z * TREE_CELL + 1 + int((bits >> np.uint64(8)) % np.uint64(TREE_CELL - 2))
            dx, dz = abs(x - spawn_x), abs(z - spawn_z)
            dx, dz = min(dx, size - dx), min(dz, size - dz)
            if dx * dx + dz * dz > CLEARING * CLEARING:
                plant_tree(voxels, height, n, x, z, mix(bits))


@device_function
def generate(state, n, teleport_range):
    """Makes the world of the current episode and puts the player on its surface.

    The player's x and z are uniform within +-teleport_range / 2 (0 = at the origin), in the middle of a block.
    """
    voxels, height = state.voxels, state.height
    size = voxels.shape[1]
    seed = hash2(hash2(state.world[n].key, state.world[n].episode), STREAM_WORLD)
    ground(seed, size, height, n)
    fill_columns(voxels, height, n)
    u, v = to_unit(mix(seed + np.uint64(STREAM_SPAWN))), to_unit(mix(seed + np.uint64(STREAM_SPAWN + 1)))
    block_x = math.floor((float(u) - 0.5) * teleport_range)
    block_z = math.floor((float(v) - 0.5) * teleport_range)
    spawn_x, spawn_z = block_x & (size - 1), block_z & (size - 1)
    plant_trees(seed, voxels, height, n, spawn_x, spawn_z)
    state.player[n].spawn[0], state.player[n].spawn[2] = block_x + 0.5, block_z + 0.5
    state.player[n].spawn[1] = float(height[n, spawn_x, spawn_z])
    place_player(state, n, state.player[n].spawn[0], state.player[n].spawn[1], state.player[n].spawn[2])
    state.player[n].yaw = np.float32(to_unit(mix(seed + np.uint64(STREAM_SPAWN + 2))) * 360.0 - 180.0)
    state.player[n].pitch = 0.0
