"""A new world in passes, for a GPU: each is work that the threads of a block share without waiting for each other.

After the last pass the environment is as ``engine.begin_episode`` leaves it, bit for bit. Light is spread the other way
round than in light.py: there what is lit reaches out, here every column looks at its neighbours.
"""

import numpy as np

from minestudio_envs.voxel.biomes import sea_level
from minestudio_envs.voxel.blocks import LAST_WATER, LAVA, LIGHT_FILTER, WATER
from minestudio_envs.voxel.columns import FULL, ONE, bits_below
from minestudio_envs.voxel.engine import choose_start, enter_episode
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.light import DE_BRUIJN, LOWEST_BIT, MAX_LIGHT, SKY
from minestudio_envs.voxel.plants import TREE_CELL, grow_plant_row, grow_pumpkins, grow_tree_row
from minestudio_envs.voxel.state import WORD
from minestudio_envs.voxel.terrain import NOISE_TILE, enter_world, plan_world, shape_tile
from minestudio_envs.voxel.underground import carve_worm, count_worms, lava_level, place_ores

CACTUS_ROWS = 16  # of columns per pass


@device_function
def sections(size, world_height):
    """The first pass of each kind -> (caves, trees, plants, cacti, lava light, sky light, entering, all)."""
    caves = 2  # after the land and its ores
    trees = caves + count_worms(size, world_height)
    plants = trees + size // TREE_CELL + 1  # one for the pumpkins
    cacti = plants + 1
    lava = cacti + (size + CACTUS_ROWS - 1) // CACTUS_ROWS + 1  # one to put the player on the ground
    sky = lava + MAX_LIGHT - 1
    entering = sky + MAX_LIGHT - 1
    return caves, trees, plants, cacti, lava, sky, entering, entering + 1


@device_function
def run_pass(state, n, tables, script, settings, number, lane, lanes):
    """What thread ``lane`` of ``lanes`` (a power of two) does in a pass. All must be through with the one before."""
    size = state.voxels.shape[1]
    caves, trees, plants, cacti, lava, sky, entering, _ = sections(size, state.voxels.shape[3])
    key, episode, reach, _, biomes, _ = choose_start(state.world, n, script, settings)
    seed, home, block_x, block_z = plan_world(key, episode, reach, biomes)
    x, z = block_x & (size - 1), block_z & (size - 1)
    if number == 0:
        across = size // NOISE_TILE
        for row in range(lane, across * size, lanes):
            x0, z0 = row // NOISE_TILE // across * NOISE_TILE, row // NOISE_TILE % across * NOISE_TILE
            shape_tile(state, n, seed, home, x, z, x0, z0, row % NOISE_TILE, row % NOISE_TILE + 1)
    elif number < caves:
        across = size // NOISE_TILE
        for tile in range(lane, across * across, lanes):
            place_ores(state, n, seed, tile // across * NOISE_TILE, tile % across * NOISE_TILE)
    elif number < trees:
        carve_worm(state, n, seed, number - caves, x, z, lane, lanes)
    elif number < plants:
        if lane == 0 and number < plants - 1:
            grow_tree_row(state, n, seed, x, z, number - trees)
        elif lane == 0:
            grow_pumpkins(state, n, seed, x, z)
    elif number < cacti:
        for row in range(lane, size, lanes):
            grow_plant_row(state, n, seed, x, z, row, False, True)
    elif number < lava:
        if lane == 0 and number < lava - 1:
            first = (number - cacti) * CACTUS_ROWS
            for row in range(first, min(first + CACTUS_ROWS, size)):
                grow_plant_row(state, n, seed, x, z, row, True, False)
        elif lane == 0:
            enter_world(state, n, seed, block_x, block_z)
    elif number < sky:
        for column in range(lane, size * size, lanes):
            light_lava(state, n, column // size, column % size, number - lava)
    elif number < entering:
        for column in range(lane, size * size, lanes):
            if number == sky:
                light_edge(state, n, column // size, column % size)
            else:
                light_sky(state, n, column // size, column % size, number - sky)
    elif lane == 0:
        enter_episode(state, n, tables, script, settings)


# LIGHT: sections of the scratch as in light.py, but for lava's light REST is followed by two turns of NEW and, in the
# fourth, the blocks of the lowest word that light still may enter.


@device_function
def around(scratch, n, first, x, z, word, size, words):
    """The bits of a column's word that have a neighbour among the bits of the section that begins at ``first``."""
    mask = size - 1
    c = first + (x * size + z) * words + word
    own = scratch[n, c]
    bits = own << ONE | own >> ONE
    if word > 0:
        bits |= scratch[n, c - 1] >> np.uint64(WORD - 1)
    if word < words - 1:
        bits |= scratch[n, c + 1] << np.uint64(WORD - 1)
    bits |= scratch[n, first + (((x + 1) & mask) * size + z) * words + word]
    bits |= scratch[n, first + (((x - 1) & mask) * size + z) * words + word]
    bits |= scratch[n, first + (x * size + ((z + 1) & mask)) * words + word]
    return bits | scratch[n, first + (x * size + ((z - 1) & mask)) * words + word]


@device_function
def lowest(bits):
    """The number of the lowest bit that is set."""
    return LOWEST_BIT[np.int64((bits & (~bits + ONE)) * DE_BRUIJN >> np.uint64(58))]


@device_function
def light_lava(state, n, x, z, step):
    """The column's blocks with ``step`` steps from where light leaves lava; 0: those where it does."""
    light, scratch, voxels = state.light, state.scratch, state.voxels
    size, words = voxels.shape[1], voxels.shape[3] // WORD
    section = size * size * words
    c, top = x * size + z, lava_level(voxels.shape[3]) + 1
    new, before = (1 + (step & 1)) * section, (2 - (step & 1)) * section
    level = MAX_LIGHT - 1 - step
    if step == 0:
        lit = np.uint64(0)
        if scratch[n, c * words] >> np.uint64(top) & ONE and voxels[n, x, z, top - 1] == LAVA:
            lit = ONE << np.uint64(top)
            light[n, x, z, top] |= np.uint8(level)
        free = np.uint64(0)
        for y in range(min(top + MAX_LIGHT, WORD)):
            if LIGHT_FILTER[voxels[n, x, z, y]] < MAX_LIGHT:
                free |= ONE << np.uint64(y)
        for word in range(words):
            scratch[n, new + c * words + word] = 0
            scratch[n, before + c * words + word] = 0
        scratch[n, new + c * words] = lit
        scratch[n, 3 * section + c] = free
        return
    lit = np.uint64(0)
    bits = around(scratch, n, before, x, z, 0, size, words) & scratch[n, 3 * section + c]
    while bits:
        y = lowest(bits)
        bits &= bits - ONE
        if int(light[n, x, z, y] & np.uint8(15)) < level:
            light[n, x, z, y] = (light[n, x, z, y] & np.uint8(15 << SKY)) | np.uint8(level)
            lit |= ONE << np.uint64(y)
    scratch[n, new + c * words] = lit


@device_function
def light_edge(state, n, x, z):
    """The column's blocks that the open sky is next to, and its water below the open sky."""
    voxels, light, height, scratch = state.voxels, state.light, state.height, state.scratch
    size, words = voxels.shape[1], voxels.shape[3] // WORD
    section, mask, c, sea = size * size * words, size - 1, x * size + z, sea_level(voxels.shape[3])
    for word in range(words):
        scratch[n, section + c * words + word] = 0
    top = int(height[n, x, z])
    if top == sea and WATER <= voxels[n, x, z, top - 1] <= LAST_WATER:
        rest = np.uint64(0)
        for word in range(words):
            rest |= scratch[n, c * words + word]
            scratch[n, c * words + word] = 0
        y = top - 1
        while rest and WATER <= voxels[n, x, z, y] <= LAST_WATER:
            light[n, x, z, y] = np.uint8(max(MAX_LIGHT - top + y, 0) << SKY)
            y -= 1
        return
    beside = min(
        min(int(height[n, (x + 1) & mask, z]), int(height[n, (x - 1) & mask, z])),
        min(int(height[n, x, (z + 1) & mask]), int(height[n, x, (z - 1) & mask])),
    )
    for word in range(words):
        near = FULL ^ bits_below(min(beside, top - 1) - WORD * word)
        if beside >= top:
            near &= bits_below(top - WORD * word)
        lit = scratch[n, c * words + word] & near
        light_up(state, n, x, z, word, lit, MAX_LIGHT - 1, section)


@device_function
def light_sky(state, n, x, z, step):
    """The column's blocks with ``step`` steps from those that the open sky is next to."""
    size, words = state.voxels.shape[1], state.voxels.shape[3] // WORD
    section, c = size * size * words, x * size + z
    new, before = (1 + (step & 1)) * section, (2 - (step & 1)) * section
    for word in range(words):
        lit = np.uint64(0)
        if state.scratch[n, c * words + word]:
            lit = state.scratch[n, c * words + word] & around(state.scratch, n, before, x, z, word, size, words)
        light_up(state, n, x, z, word, lit, MAX_LIGHT - 1 - step, new)


@device_function
def light_up(state, n, x, z, word, lit, level, new):
    """Gives blocks of a column's word that sky light and keeps them in the section that begins at ``new``."""
    c = (x * state.voxels.shape[1] + z) * (state.voxels.shape[3] // WORD) + word
    state.scratch[n, new + c] = lit
    state.scratch[n, c] &= ~lit
    while lit:
        state.light[n, x, z, WORD * word + lowest(lit)] |= np.uint8(level << SKY)
        lit &= lit - ONE
