"""Ores and caves."""

import math

import numpy as np

from minestudio_envs.voxel.biomes import EXTREME_HILLS, sea_level
from minestudio_envs.voxel.blocks import AIR, BLOCK_ID, LAVA, STONE
from minestudio_envs.voxel.columns import OPEN_SKY, column, ground_of, open_span, span
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.noise import torus_offset
from minestudio_envs.voxel.randomness import hash2, mix, to_unit
from minestudio_envs.voxel.state import WORD

MINECRAFT_SEA = 63  # blocks below the sea's surface in Minecraft, which its depths refer to
CHUNK = 16  # columns along a side
MIN_DEPTH = 5  # nothing replaces the layers of bedrock

# Minecraft 1.16's veins: block, veins per chunk, lowest and highest y. A vein is a walk of so many steps through
# stone, which finds about as many blocks as Minecraft's veins hold: 4 of iron, gold, 3 of redstone, lapis, diamond,
# 12 of coal. Coal goes up to 127 in Minecraft, with half of it in the air.
ORES = np.array(
    [
        (BLOCK_ID["coal_ore"], 10, 24, 0, 63),
        (BLOCK_ID["iron_ore"], 20, 6, 0, 63),
        (BLOCK_ID["gold_ore"], 2, 6, 0, 31),
        (BLOCK_ID["redstone_ore"], 8, 6, 0, 15),
        (BLOCK_ID["lapis_ore"], 1, 5, 0, 30),
        (BLOCK_ID["diamond_ore"], 1, 6, 0, 15),
    ],
    np.int64,
)
TURN_X = np.array([-1, 1, 0, 0, 0, 0, -1, 0], np.int64)  # the steps of a vein's walk
TURN_Z = np.array([0, 0, -1, 1, 0, 0, 0, -1], np.int64)
TURN_Y = np.array([0, 0, 0, 0, -1, 1, 0, 0], np.int64)
EMERALD, EMERALDS_PER_CHUNK, EMERALD_LOW, EMERALD_HIGH = BLOCK_ID["emerald_ore"], 5.5, 4, 31
# Pockets of other stone: block, pockets per chunk below the sea. Minecraft has 10 smaller ones of each.
POCKETS = np.array(
    [
        (BLOCK_ID["granite"], 4),
        (BLOCK_ID["diorite"], 4),
        (BLOCK_ID["andesite"], 4),
        (BLOCK_ID["dirt"], 2),
        (BLOCK_ID["gravel"], 1),
    ],
    np.int64,
)
# Half the height of balls of four sizes at (dx, dz) from their middle, -1 = outside.
POCKET_REACH = 3
_d = np.arange(-POCKET_REACH, POCKET_REACH + 1)
_rest = np.array([2.3, 2.7, 3.1, 3.5])[:, None, None] ** 2 - _d[:, None] ** 2 - _d[None, :] ** 2
POCKET_SHAPES = np.where(_rest > 0, np.sqrt(np.maximum(_rest, 0)).astype(np.int64), -1)

WORMS_PER_CHUNK = 0.55  # tunnels in a world as deep as Minecraft's
WORM_STEPS, WORM_STEP = 45, 2.2  # steps of that many blocks
WORM_RADIUS = 1.5, 2.6
ENTRANCES = 0.3  # share of the tunnels that begin at the surface
ROOMS = 0.35  # share of the others that begin with a room
ROOM_RADIUS = 3.5, 5.5
LAVA_DEPTH = 10  # caves are filled with lava up to this height in Minecraft
DRY_ROOF = 5  # blocks between a cave and water above it
SAFE_DEPTH = 14  # that far below the ground there is no water in the neighbouring columns
SPAWN_ROOF, SPAWN_CLEAR = 6, 9.0  # blocks of ground that stay below the spawn, and how far around it

STREAM_ORE, STREAM_CAVE = np.uint64(34 << 16), np.uint64(35 << 16)


@device_function
def depth_scale(world_height):
    """Depths and numbers of veins of Minecraft times this are those of a world of that height."""
    return sea_level(world_height) / MINECRAFT_SEA


@device_function
def lava_level(world_height):
    """The highest y of lava in caves."""
    return max(int(LAVA_DEPTH * depth_scale(world_height)), MIN_DEPTH + 1)


@device_function
def place_vein(voxels, n, block, steps, x0, z0, i, j, y, low, high, bits):
    """A walk through stone from (i, j) in the chunk at (x0, z0), within it and within heights low to high."""
    for _ in range(steps):
        if voxels[n, x0 + i, z0 + j, y] == STONE:
            voxels[n, x0 + i, z0 + j, y] = block
        turn = np.int64(bits & np.uint64(7))
        bits = (bits >> np.uint64(3)) | (bits << np.uint64(61))
        i, j = min(max(i + TURN_X[turn], 0), CHUNK - 1), min(max(j + TURN_Z[turn], 0), CHUNK - 1)
        y = min(max(y + TURN_Y[turn], low), high)


@device_function
def place_pocket(voxels, n, block, x, z, y, shape):
    """A ball of stone of another kind."""
    for dx in range(2 * POCKET_REACH + 1):
        for dz in range(2 * POCKET_REACH + 1):
            half = POCKET_SHAPES[shape, dx, dz]
            for k in range(y - half, y + half + 1):
                if voxels[n, x + dx - POCKET_REACH, z + dz - POCKET_REACH, k] == STONE:
                    voxels[n, x + dx - POCKET_REACH, z + dz - POCKET_REACH, k] = block


@device_function
def some(average, bits):
    """A whole number that is ``average`` on average."""
    return int(average + to_unit(bits))


@device_function
def place_ores(state, n, seed, x0, z0):
    """The pockets and veins of the chunk at (x0, z0). They only ever replace stone and stay within the chunk."""
    voxels = state.voxels
    scale, sea = depth_scale(voxels.shape[3]), sea_level(voxels.shape[3])
    chunk_seed = hash2(seed + STREAM_ORE, (x0 << 32) | z0)
    for kind in range(len(POCKETS)):
        for k in range(some(POCKETS[kind, 1] * scale, mix(chunk_seed + np.uint64(64 + kind)))):
            bits = mix(chunk_seed + np.uint64(1024 * kind + k + 4096))
            i = POCKET_REACH + np.int64(bits % np.uint64(CHUNK - 2 * POCKET_REACH))
            j = POCKET_REACH + np.int64((bits >> np.uint64(8)) % np.uint64(CHUNK - 2 * POCKET_REACH))
            y = MIN_DEPTH + int(to_unit(bits) * (sea - MIN_DEPTH))
            shape = np.int64((bits >> np.uint64(32)) & np.uint64(3))
            place_pocket(voxels, n, POCKETS[kind, 0], x0 + i, z0 + j, y, shape)
    for kind in range(len(ORES)):
        low, high = max(int(ORES[kind, 3] * scale), 1), int(ORES[kind, 4] * scale)
        for k in range(some(ORES[kind, 1] * scale, mix(chunk_seed + np.uint64(128 + kind)))):
            bits = mix(chunk_seed + np.uint64(1024 * kind + k + 16384))
            i, j = np.int64(bits & np.uint64(CHUNK - 1)), np.int64((bits >> np.uint64(8)) & np.uint64(CHUNK - 1))
            y = low + int(to_unit(bits) * (high + 1 - low))
            place_vein(voxels, n, ORES[kind, 0], ORES[kind, 2], x0, z0, i, j, y, low, high, mix(bits))
    if state.biome[n, x0, z0] == EXTREME_HILLS:
        low, high = max(int(EMERALD_LOW * scale), 1), int(EMERALD_HIGH * scale)
        for k in range(some(EMERALDS_PER_CHUNK * scale, mix(chunk_seed + np.uint64(192)))):
            bits = mix(chunk_seed + np.uint64(k + 32768))
            i, j = np.int64(bits & np.uint64(CHUNK - 1)), np.int64((bits >> np.uint64(8)) & np.uint64(CHUNK - 1))
            y = low + int(to_unit(bits) * (high + 1 - low))
            if state.biome[n, x0 + i, z0 + j] == EXTREME_HILLS and voxels[n, x0 + i, z0 + j, y] == STONE:
                voxels[n, x0 + i, z0 + j, y] = EMERALD


@device_function
def roof(state, n, x, z, spawn_x, spawn_z):
    """The y that caves in this column stay below: the surface, or less where water or the player would fall in."""
    size = state.voxels.shape[1]
    mask, sea = size - 1, sea_level(state.voxels.shape[3])
    ground = ground_of(state, n, x, z)
    lowest = min(
        min(ground_of(state, n, (x + 1) & mask, z), ground_of(state, n, (x - 1) & mask, z)),
        min(ground_of(state, n, x, (z + 1) & mask), ground_of(state, n, x, (z - 1) & mask)),
    )
    top = ground
    if min(lowest, ground) <= sea:
        top = min(lowest, ground) - DRY_ROOF
    dx, dz = torus_offset(x, spawn_x, size), torus_offset(z, spawn_z, size)
    if dx * dx + dz * dz < SPAWN_CLEAR * SPAWN_CLEAR:
        top = min(top, ground - SPAWN_ROOF)
    return top


@device_function
def carve_span(state, n, x, z, low, high, spawn_x, spawn_z):
    """Takes blocks low to high - 1 out of a column: air, or lava far down; never bedrock, never near water."""
    voxels = state.voxels
    lava = lava_level(voxels.shape[3])
    low = max(low, MIN_DEPTH)
    if high > ground_of(state, n, x, z) - SAFE_DEPTH:
        high = min(high, roof(state, n, x, z, spawn_x, spawn_z))
    if low >= high:
        return
    for y in range(low, min(lava + 1, high)):
        voxels[n, x, z, y] = LAVA
        state.light[n, x, z, y] = 15
    for y in range(max(low, lava + 1), high):
        voxels[n, x, z, y] = AIR
    open_span(state, n, x, z, max(low, lava + 1), high)
    top = int(state.height[n, x, z])
    if high >= top:  # it opens to the sky
        while voxels[n, x, z, top - 1] == AIR:
            top -= 1
            state.light[n, x, z, top] = OPEN_SKY
        state.height[n, x, z] = top
        words = voxels.shape[3] // WORD
        for word in range(words):
            state.scratch[n, column(voxels, x, z) * words + word] &= span(0, top, word)


@device_function
def carve_ball(state, n, x, z, y, radius, flatness, spawn_x, spawn_z, lane, lanes):
    """A hollow ball around (x, y, z), lower than wide by ``flatness``; the columns of thread ``lane`` of ``lanes``."""
    mask = state.voxels.shape[1] - 1
    for i in range(math.floor(x - radius), math.floor(x + radius) + 1):
        for j in range(math.floor(z - radius), math.floor(z + radius) + 1):
            dx, dz = i + 0.5 - x, j + 0.5 - z
            rest = radius * radius - dx * dx - dz * dz
            if rest > 0.0 and (8 * (i & mask) + (j & mask)) & (lanes - 1) == lane:
                half = math.sqrt(rest) * flatness
                low, high = math.floor(y - half + 0.5), math.floor(y + half + 0.5)
                carve_span(state, n, i & mask, j & mask, low, high, spawn_x, spawn_z)


@device_function
def count_worms(size, world_height):
    return int(WORMS_PER_CHUNK * (size // CHUNK) ** 2 * depth_scale(world_height))


@device_function
def carve_caves(state, n, seed, spawn_x, spawn_z):
    """Winding tunnels, some of which begin in a room or at the surface."""
    for worm in range(count_worms(state.voxels.shape[1], state.voxels.shape[3])):
        carve_worm(state, n, seed, worm, spawn_x, spawn_z, 0, 1)


@device_function
def carve_worm(state, n, seed, worm, spawn_x, spawn_z, lane, lanes):
    """A tunnel. Of ``lanes`` threads (a power of two) that all call it each carves columns of its own."""
    size, sea = state.voxels.shape[1], sea_level(state.voxels.shape[3])
    bits = hash2(mix(seed + STREAM_CAVE), worm)
    x, z = float(bits & np.uint64(size - 1)), float((bits >> np.uint64(16)) & np.uint64(size - 1))
    y = MIN_DEPTH + to_unit(bits) * (sea - MIN_DEPTH)
    bits = mix(bits)
    yaw, pitch = to_unit(bits) * 2.0 * math.pi, (to_unit(bits << np.uint64(20)) - 0.5) * 0.8
    bits = mix(bits)
    radius = WORM_RADIUS[0] + to_unit(bits) * (WORM_RADIUS[1] - WORM_RADIUS[0])
    steps = WORM_STEPS // 2 + np.int64((bits >> np.uint64(8)) % np.uint64(WORM_STEPS))
    kind = to_unit(bits << np.uint64(24))
    bend_yaw, bend_pitch = 0.0, 0.0
    room = 0.0
    if kind < ENTRANCES:
        y, pitch = float(ground_of(state, n, int(x), int(z))), -0.6
    elif kind < ENTRANCES + (1.0 - ENTRANCES) * ROOMS:
        room = ROOM_RADIUS[0] + to_unit(mix(bits)) * (ROOM_RADIUS[1] - ROOM_RADIUS[0])
    for step in range(steps):
        bits = mix(bits)
        width = radius * (0.6 + 0.4 * math.sin(math.pi * step / steps))
        in_room = step == 0 and room > 0.0
        wide, flatness = (room, 0.6) if in_room else (width, 0.9)
        carve_ball(state, n, x, z, y, wide, flatness, spawn_x, spawn_z, lane, lanes)
        flat = math.cos(pitch)
        x += WORM_STEP * flat * math.cos(yaw)
        z += WORM_STEP * flat * math.sin(yaw)
        y += WORM_STEP * math.sin(pitch)
        if y < MIN_DEPTH + 1.0:
            y, pitch = MIN_DEPTH + 1.0, 0.3
        pitch = 0.85 * pitch + bend_pitch
        yaw += bend_yaw
        bend_pitch = 0.8 * bend_pitch + 0.12 * (to_unit(bits) - 0.5)
        bend_yaw = 0.75 * bend_yaw + 0.5 * (to_unit(bits << np.uint64(24)) - 0.5)
