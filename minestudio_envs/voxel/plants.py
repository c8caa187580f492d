"""Trees and plants."""

import numpy as np

from minestudio_envs.voxel.biomes import (
    BIOMES,
    DESERT,
    EXTREME_HILLS,
    FOREST,
    PLAINS,
    SAVANNA,
    SWAMP,
    TAIGA,
    sea_level,
)
from minestudio_envs.voxel.blocks import (
    AIR,
    BLOCK_ID,
    DIRT,
    FACINGS,
    FIRST_OPAQUE,
    GRASS_BLOCK,
    WATER,
)
from minestudio_envs.voxel.columns import build, ground_of, put_cutout, surface_index
from minestudio_envs.voxel.ground import is_soil
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.noise import noise, torus_offset
from minestudio_envs.voxel.randomness import hash2, mix, to_unit

# TREES

TREE_CELL = 4  # at most one tree in each square of this side, not on two of its edges
GROVE_WAVE = 32
GROVE_LEVEL = 0.72  # noise above it is a grove of the plains
GROVE_CHANCE = 0.125
# Chance of a tree per cell; in the plains that outside of groves.
TREE_CHANCE = np.zeros(len(BIOMES))
TREE_CHANCE[[PLAINS, FOREST, TAIGA, SAVANNA, SWAMP, EXTREME_HILLS]] = 0.003, 0.4, 0.3, 0.03, 0.14, 0.04
OAK, BIRCH, SPRUCE, ACACIA, SWAMP_OAK = range(5)
BIRCH_CHANCE = 0.2
CLEARING, FOREST_CLEARING = 7.0, 5.0  # blocks around the spawn without a trunk
LEAF_RADIUS = 2
SPRUCE_RADII = np.array([0, 1, 1, 2, 1, 2, 2, 1], np.int64)  # of the layers of leaves, from the top
_WOOD = ("oak", "birch", "spruce", "acacia", "oak")
LOGS = np.array([BLOCK_ID[f"{wood}_log"] for wood in _WOOD], np.int64)
LEAVES = np.array([BLOCK_ID[f"{wood}_leaves"] for wood in _WOOD], np.int64)
VINES = np.array([BLOCK_ID[f"vine[facing={facing}]"] for facing in FACINGS], np.int64)
TALLEST_TREE = 10

# PLANTS

TALL_GRASS, TALL_GRASS_TOP = BLOCK_ID["tall_grass[half=lower]"], BLOCK_ID["tall_grass[half=upper]"]
LARGE_FERN, LARGE_FERN_TOP = BLOCK_ID["large_fern[half=lower]"], BLOCK_ID["large_fern[half=upper]"]
DEAD_BUSH, CACTUS, SUGAR_CANE, LILY_PAD = (BLOCK_ID[n] for n in ("dead_bush", "cactus", "sugar_cane", "lily_pad"))
BROWN_MUSHROOM, RED_MUSHROOM, SNOW = (BLOCK_ID[n] for n in ("brown_mushroom", "red_mushroom", "snow"))
PUMPKIN, SAND, PODZOL, COARSE_DIRT = (BLOCK_ID[n] for n in ("pumpkin", "sand", "podzol", "coarse_dirt"))

# Columns of 4096 that are given a plant, where it finds room.
_TULIPS = {f"{colour}_tulip": 2 for colour in ("red", "orange", "white", "pink")}
_PLANTS = {
    "plains": {"grass": 330, TALL_GRASS: 25, "dandelion": 14, "poppy": 10, "azure_bluet": 8, "oxeye_daisy": 8}
    | {"cornflower": 8, **_TULIPS},
    "forest": {"grass": 200, TALL_GRASS: 15, "dandelion": 12, "poppy": 16, "lily_of_the_valley": 12, "allium": 3}
    | {"brown_mushroom": 10, "red_mushroom": 6},
    "desert": {"dead_bush": 24, "cactus": 28},
    "extreme_hills": {"grass": 160, "poppy": 8, "dandelion": 8},
    "taiga": {"fern": 260, "grass": 60, LARGE_FERN: 60, "brown_mushroom": 20, "red_mushroom": 8, "poppy": 4},
    "savanna": {"grass": 700, TALL_GRASS: 260},
    "swamp": {"grass": 260, "blue_orchid": 40, "brown_mushroom": 24, "red_mushroom": 10},
    "beach": {},
    "ocean": {},
}
# [biome, i]: plant and the share of the draws up to it
PLANTS = np.zeros((len(BIOMES), max(map(len, _PLANTS.values())), 2), np.int64)
for _biome, _plants in _PLANTS.items():
    _sum = 0
    for _i, (_plant, _share) in enumerate(_plants.items()):
        _sum += _share
        PLANTS[BIOMES.index(_biome), _i] = BLOCK_ID.get(_plant, _plant), _sum
PATCHINESS = 0.9  # 0: plants are spread evenly
MOST_PLANTS = np.array([sum(_PLANTS[biome].values()) * (1 + PATCHINESS) for biome in BIOMES], np.int64)
LILY_PADS, SUGAR_CANES = 160, 400  # of 4096 columns of shallow water in swamps, of shores
SNOW_LINE = 0.8  # of the way from the sea to the highest peaks
PUMPKIN_CHANCE = 1 / 32  # of a patch per chunk

STREAM_TREE, STREAM_PUMPKIN = np.uint64(36 << 16), np.uint64(37 << 16)


# TREES


@device_function
def tree_size(kind, bits):
    """(logs, layers of leaves, logs of an acacia's straight part) of a tree.

    Oak and birch: 4-6 or 5-7 logs, four layers. Spruce: 6-8 logs, a cone of leaves down to the first or second log.
    Acacia: a trunk that bends to one side and carries a flat crown, often a branch with a smaller one to another side.
    """
    draw = np.int64((bits >> np.uint64(8)) % np.uint64(3))
    coin = np.int64((bits >> np.uint64(16)) & np.uint64(1))
    if kind == SPRUCE:
        return 6 + draw, 6 + draw - coin, 0
    if kind == ACACIA:
        branch = np.int64((bits >> np.uint64(24)) & np.uint64(1))
        straight = 2 + (draw & 1)
        return straight + 2 + coin + 2 * branch, 2 + 2 * branch, straight
    if kind == SWAMP_OAK:
        return 5 + (draw & 1), 4, 0
    return (5 if kind == BIRCH else 4) + draw, 4, 0


@device_function
def acacia_way(bits, branch):
    """The direction (x, z) to which an acacia's trunk or its branch leads."""
    way = np.int64((bits >> np.uint64(18)) & np.uint64(3))
    dx, dz = (1 - (way & 2)) * (way & 1), (1 - (way & 2)) * (1 - (way & 1))
    return (-dz, -dx) if branch else (dx, dz)


@device_function
def log_place(kind, i, straight, coin, bits):
    """Where log ``i`` of a tree is, from its lowest log: (x, y, z). ``coin``: how many logs above 2 an acacia bends."""
    if kind != ACACIA or i < straight:
        return 0, i, 0
    i -= straight - 1
    branch = i > 2 + coin
    if branch:
        i -= 2 + coin
    dx, dz = acacia_way(bits, branch)
    return dx * i, straight - 1 + i, dz * i


@device_function
def leaf_layer(kind, layer, logs, straight, coin, bits):
    """Layer ``layer`` of a tree's leaves, from the top: its middle (x, y, z), its radius, whether it may have corners.

    Oak and birch: from one block above the trunk down, a cross, a 3x3 and two 5x5 layers whose corners are there half
    of the time.
    """
    if kind == ACACIA:
        branch = layer >= 2
        along = 2 if branch else 2 + coin
        dx, dz = acacia_way(bits, branch)
        upper = 1 - (layer & 1)
        return dx * along, straight - 1 + along + upper, dz * along, (2 if branch else 3) - upper, False
    if kind == SPRUCE:
        return 0, logs - layer, 0, SPRUCE_RADII[layer], False
    if kind == SWAMP_OAK:
        return 0, logs - layer, 0, 2 if layer < 2 else 3, False
    return 0, logs - layer, 0, 1 if layer < 2 else LEAF_RADIUS, layer > 0


@device_function
def grow_tree(state, n, kind, x, z, base, bits):
    """A tree whose lowest log is at (x, base, z)."""
    mask = state.voxels.shape[1] - 1
    log, leaves = LOGS[kind], LEAVES[kind]
    logs, layers, straight = tree_size(kind, bits)
    twist = np.int64((bits >> np.uint64(16)) & np.uint64(1))
    coin = bits
    for layer in range(layers):
        mx, my, mz, radius, corners = leaf_layer(kind, layer, logs, straight, twist, bits)
        for dx in range(-radius, radius + 1):
            for dz in range(-radius, radius + 1):
                if radius > 0 and abs(dx) == radius and abs(dz) == radius:
                    coin = mix(coin + np.uint64(1))
                    if not corners or coin & np.uint64(1):
                        continue
                i, j = (x + mx + dx) & mask, (z + mz + dz) & mask
                if state.voxels[n, i, j, base + my] == AIR:
                    build(state, n, i, j, base + my, leaves, True)
    for i in range(logs):
        dx, dy, dz = log_place(kind, i, straight, twist, bits)
        build(state, n, (x + dx) & mask, (z + dz) & mask, base + dy, log, False)
    state.voxels[n, x, z, base - 1] = DIRT
    if kind == SWAMP_OAK:
        hang_vines(state, n, x, base + logs - 2, z, coin)


@device_function
def hang_vines(state, n, x, y, z, coin):
    """Vines down the four sides of a swamp oak's crown, from height y as far as there is air."""
    mask = state.voxels.shape[1] - 1
    for along in range(-2, 3):
        coin = mix(coin + np.uint64(1))
        for side in range(4):
            draw = np.int64((coin >> np.uint64(8 * side)) & np.uint64(15))
            if draw >= 6:
                continue
            away = 4 if side & 1 else -4
            i = (x + (along if side < 2 else away)) & mask
            j = (z + (away if side < 2 else along)) & mask
            wall_x, wall_z = (i, z + away * 3 // 4) if side < 2 else (x + away * 3 // 4, j)
            if state.voxels[n, wall_x & mask, wall_z & mask, y] < FIRST_OPAQUE:
                continue
            for down in range(1 + (draw & 3)):
                if state.voxels[n, i, j, y - down] != AIR:
                    break
                put_cutout(state, n, i, j, y - down, VINES[side])


@device_function
def grow_trees(state, n, seed, spawn_x, spawn_z):
    """Trees in the cells of a grid by biome: many in forests and groves, few in the open, none near the spawn."""
    for cell_x in range(state.voxels.shape[1] // TREE_CELL):
        grow_tree_row(state, n, seed, spawn_x, spawn_z, cell_x)


@device_function
def grow_tree_row(state, n, seed, spawn_x, spawn_z, cell_x):
    """``grow_trees`` in a row of cells. Crowns meet, so the rows come one after another."""
    size = state.voxels.shape[1]
    for cell_z in range(size // TREE_CELL):
        bits = mix(hash2(seed + STREAM_TREE, (cell_x << 32) | cell_z))
        biome = state.biome[n, cell_x * TREE_CELL, cell_z * TREE_CELL]
        chance = TREE_CHANCE[biome]
        if biome == PLAINS and to_unit(bits) < GROVE_CHANCE:
            grove = noise(seed + np.uint64(1), GROVE_WAVE, size, cell_x * TREE_CELL, cell_z * TREE_CELL)
            chance = GROVE_CHANCE if 0.5 + 0.5 * grove > GROVE_LEVEL else chance
        if to_unit(bits) >= chance:
            continue
        bits = mix(bits)
        x = cell_x * TREE_CELL + 1 + np.int64(bits % np.uint64(TREE_CELL - 1))
        z = cell_z * TREE_CELL + 1 + np.int64((bits >> np.uint64(8)) % np.uint64(TREE_CELL - 1))
        clearing = CLEARING if biome == PLAINS else FOREST_CLEARING
        dx, dz = torus_offset(x, spawn_x, size), torus_offset(z, spawn_z, size)
        if dx * dx + dz * dz <= clearing * clearing:
            continue
        kind = BIRCH if to_unit(bits << np.uint64(8)) < BIRCH_CHANCE else OAK
        if biome == TAIGA or (biome == EXTREME_HILLS and kind == OAK):
            kind = SPRUCE
        elif biome == SAVANNA:
            kind = ACACIA
        elif biome == SWAMP:
            kind = SWAMP_OAK
        elif biome == EXTREME_HILLS:
            kind = OAK
        base = ground_of(state, n, x, z)
        room = base + TALLEST_TREE <= state.voxels.shape[3] and state.voxels[n, x, z, base] == AIR
        if room and is_soil(state.voxels[n, x, z, base - 1]):
            grow_tree(state, n, kind, x, z, base, mix(bits))


# PLANTS


@device_function
def choose_plant(biome, ground, sea, highest, patch, bits):
    """The plant that a column is given, 0 = none; ``patch``: noise in [-1, 1], where it is high there is more."""
    draw = np.int64((bits >> np.uint64(48)) & np.uint64(4095))
    if ground < sea:
        return LILY_PAD if biome == SWAMP and ground >= sea - 3 and draw < LILY_PADS else AIR
    if ground == sea and draw < SUGAR_CANES:
        return SUGAR_CANE
    if (biome == EXTREME_HILLS or biome == TAIGA) and ground > sea + SNOW_LINE * (highest - sea):
        return SNOW
    if draw >= MOST_PLANTS[biome]:
        return AIR
    draw = int(draw / (1.0 + PATCHINESS * patch))
    for i in range(PLANTS.shape[1]):
        if draw < PLANTS[biome, i, 1]:
            return PLANTS[biome, i, 0]
    return AIR


@device_function
def beside(voxels, n, x, z, y, block):
    """Whether one of the four blocks beside (x, y, z) is that block."""
    mask = voxels.shape[1] - 1
    return (
        voxels[n, (x + 1) & mask, z, y] == block
        or voxels[n, (x - 1) & mask, z, y] == block
        or voxels[n, x, (z + 1) & mask, y] == block
        or voxels[n, x, (z - 1) & mask, y] == block
    )


@device_function
def stands_free(voxels, n, x, z, y):
    """Whether no cactus and no opaque block is beside (x, y, z)."""
    mask = voxels.shape[1] - 1
    for side in range(4):
        i = (x + (side & 1) * (side - 2)) & mask  # side 1: -1, side 3: +1
        j = (z + (1 - (side & 1)) * (side - 1)) & mask  # side 0: -1, side 2: +1
        if voxels[n, i, j, y] >= FIRST_OPAQUE or voxels[n, i, j, y] == CACTUS:
            return False
    return True


@device_function
def grow_plant(state, n, x, z, ground, plant, near_spawn, bits):
    """A plant on the ground of column (x, z), if it can live there."""
    voxels = state.voxels
    sea = sea_level(voxels.shape[3])
    below = voxels[n, x, z, ground - 1]
    tall = 1 + np.int64(bits % np.uint64(3))
    if plant == LILY_PAD:
        if voxels[n, x, z, sea - 1] == WATER and voxels[n, x, z, sea] == AIR:
            put_cutout(state, n, x, z, sea, LILY_PAD)
    elif voxels[n, x, z, ground] != AIR:
        return
    elif plant == SUGAR_CANE:
        if (is_soil(below) or below == SAND) and beside(voxels, n, x, z, ground - 1, WATER) and not near_spawn:
            for y in range(ground, ground + tall):
                if voxels[n, x, z, y] == AIR:
                    put_cutout(state, n, x, z, y, SUGAR_CANE)
                else:
                    break
    elif plant == CACTUS:
        if below == SAND and not near_spawn:
            for y in range(ground, ground + tall):
                if voxels[n, x, z, y] != AIR or not stands_free(voxels, n, x, z, y):
                    break
                put_cutout(state, n, x, z, y, CACTUS)
    elif plant == DEAD_BUSH:
        if below == SAND:
            put_cutout(state, n, x, z, ground, plant)
    elif plant == SNOW:
        if below >= FIRST_OPAQUE and state.height[n, x, z] == ground:
            put_cutout(state, n, x, z, ground, plant)
    elif plant == BROWN_MUSHROOM or plant == RED_MUSHROOM:
        if below >= FIRST_OPAQUE and state.height[n, x, z] > ground + 1:
            put_cutout(state, n, x, z, ground, plant)
            if plant == BROWN_MUSHROOM:
                state.light[n, x, z, ground] |= 1
    elif is_soil(below):
        if plant == TALL_GRASS or plant == LARGE_FERN:
            if voxels[n, x, z, ground + 1] != AIR:
                return
            put_cutout(state, n, x, z, ground + 1, TALL_GRASS_TOP if plant == TALL_GRASS else LARGE_FERN_TOP)
        put_cutout(state, n, x, z, ground, plant)


@device_function
def grow_plants(state, n, seed, spawn_x, spawn_z):
    """The plants that the columns were given."""
    for x in range(state.voxels.shape[1]):
        grow_plant_row(state, n, seed, spawn_x, spawn_z, x, True, True)


@device_function
def grow_plant_row(state, n, seed, spawn_x, spawn_z, x, cacti, others):
    """``grow_plants`` of the columns (x, ...), or only the cacti, which look at their neighbours, or the others."""
    size = state.voxels.shape[1]
    first = surface_index(state.voxels, x, 0)
    for z in range(size):
        packed = np.int64(state.scratch[n, first + z])
        plant = packed >> 8
        if plant and (cacti if plant == CACTUS else others):
            dx, dz = torus_offset(x, spawn_x, size), torus_offset(z, spawn_z, size)
            bits = mix(seed + np.uint64(x * size + z))
            if dx != 0 or dz != 0:
                grow_plant(state, n, x, z, packed & 255, plant, dx * dx + dz * dz < 9, bits)


@device_function
def grow_pumpkins(state, n, seed, spawn_x, spawn_z):
    """Rare patches of pumpkins on grass."""
    size = state.voxels.shape[1]
    mask = size - 1
    for i in range(size // 16):
        for j in range(size // 16):
            bits = hash2(seed + STREAM_PUMPKIN, (i << 32) | j)
            if to_unit(bits) >= PUMPKIN_CHANCE:
                continue
            for _ in range(8):
                bits = mix(bits)
                x = (i * 16 + np.int64(bits & np.uint64(7))) & mask
                z = (j * 16 + np.int64((bits >> np.uint64(8)) & np.uint64(7))) & mask
                ground = ground_of(state, n, x, z)
                dx, dz = torus_offset(x, spawn_x, size), torus_offset(z, spawn_z, size)
                free = state.voxels[n, x, z, ground - 1] == GRASS_BLOCK and state.voxels[n, x, z, ground] == AIR
                if free and dx * dx + dz * dz > 25 and state.biome[n, x, z] != DESERT:
                    build(state, n, x, z, ground, PUMPKIN, False)
