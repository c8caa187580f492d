"""Changing the world: setting blocks, and what that makes of their neighbours.

A changed block has its neighbours looked at some ticks later (``state.updates``): sand and gravel fall, water flows,
plants and torches whose support is gone break, lava that water touches hardens. Where more updates wait than there is
room for, the newest are forgotten: what they were for happens when something changes beside it again.
"""

import numpy as np

from minestudio_envs.voxel.blocks import (
    AIR,
    BLOCK_ID,
    BLOCK_NAME,
    DOUBLE_PLANTS,
    FACINGS,
    FIRST_LIQUID,
    FIRST_OPAQUE,
    FLOWERS,
    LAST_WATER,
    LAVA,
    NUM_BLOCKS,
    SOLID,
    WATER,
    WOODS,
)
from minestudio_envs.voxel.collision import block_at
from minestudio_envs.voxel.drops import drop_loot
from minestudio_envs.voxel.ground import holds_up, is_dry_ground, is_full, is_sand, is_soil, is_water
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.light import beside, relight
from minestudio_envs.voxel.state import WORD

# What an update of a block looks at.
(
    STAYS,
    FALLS,  # when there is nothing below it
    FLOWS,
    HARDENS,  # to obsidian beside water
    ON_SOIL,
    ON_SAND,
    ON_OPAQUE,
    STANDS,  # on what holds a torch
    ON_WATER,
    CANE,  # on soil or sand, or more of it
    CACTUS_STEM,  # on sand or more of it, with nothing beside it
    UPPER_HALF,
    LOWER_HALF,
    HANGS,  # on the block behind it: HANGS + blocks.FACINGS
) = range(14)
VINE_HANGS = HANGS + len(FACINGS)  # on leaves too, or on a vine above it
DELAY = np.ones(VINE_HANGS + len(FACINGS), np.int64)  # ticks until the update
DELAY[FALLS], DELAY[FLOWS] = 2, 5


def _reactions() -> np.ndarray:
    kinds = {
        FALLS: ("sand", "red_sand", "gravel"),
        ON_SOIL: ("grass", "fern", *FLOWERS, *(f"{wood}_sapling" for wood in WOODS)),
        ON_SAND: ("dead_bush",),
        ON_OPAQUE: ("snow", "brown_mushroom", "red_mushroom"),
        STANDS: ("torch",),
        ON_WATER: ("lily_pad",),
        CANE: ("sugar_cane",),
        CACTUS_STEM: ("cactus",),
        UPPER_HALF: [f"{plant}[half=upper]" for plant in DOUBLE_PLANTS],
        LOWER_HALF: [f"{plant}[half=lower]" for plant in DOUBLE_PLANTS],
    }
    reaction = np.zeros(NUM_BLOCKS, np.int64)
    for kind, names in kinds.items():
        reaction[[BLOCK_ID[name] for name in names]] = kind
    for i, facing in enumerate(FACINGS):
        reaction[[BLOCK_ID[f"{block}[facing={facing}]"] for block in ("wall_torch", "ladder")]] = HANGS + i
        reaction[BLOCK_ID[f"vine[facing={facing}]"]] = VINE_HANGS + i
    reaction[WATER : LAST_WATER + 1] = FLOWS
    reaction[LAVA] = HARDENS
    return reaction


REACTION = _reactions()
# The side (light.beside) on which the wall is that a block hangs on, by facing: away from where it looks.
WALL_SIDE = np.array([5, 4, 3, 2], np.int64)
# Cutouts that water washes away.
WASHABLE = SOLID[:FIRST_LIQUID] == 0
WASHABLE[[i for i in range(FIRST_LIQUID) if BLOCK_NAME[i] in ("air", "ladder", "sugar_cane")]] = False
WASHABLE[BLOCK_ID["lily_pad"]] = True
OBSIDIAN, ICE = BLOCK_ID["obsidian"], BLOCK_ID["ice"]
CACTUS, SUGAR_CANE = BLOCK_ID["cactus"], BLOCK_ID["sugar_cane"]
NO_TOOL = 0
FALLING, SPENT = 8, 7  # water's levels: falling, and the last that flows sideways
MAX_HEIGHT = 255  # what state.height holds


@device_function
def set_block(voxels, height, cutouts, n, x, y, z, block):
    """Makes (x, y, z) that block and keeps the map of heights and that of cutouts true; outside the world: nothing."""
    if y < 0 or y >= voxels.shape[3]:
        return
    mask = voxels.shape[1] - 1
    x, z = x & mask, z & mask
    voxels[n, x, z, y] = block
    bit = np.uint64(1) << np.uint64(y % WORD)
    cutouts[n, x, z, y // WORD] &= ~bit
    if AIR < block < FIRST_LIQUID:
        cutouts[n, x, z, y // WORD] |= bit
    top = int(height[n, x, z])
    if block >= FIRST_LIQUID:
        top = max(top, y + 1)
    elif y + 1 == top:
        while top > 0 and voxels[n, x, z, top - 1] < FIRST_LIQUID:
            top -= 1
    height[n, x, z] = min(top, MAX_HEIGHT)


@device_function
def change_block(state, n, tables, x, y, z, block):
    """``set_block`` during play: light changes with it, and what stands or flows beside it is looked at soon."""
    voxels = state.voxels
    if y < 0 or y >= voxels.shape[3]:
        return
    mask = voxels.shape[1] - 1
    before = int(voxels[n, x & mask, z & mask, y])
    set_block(voxels, state.height, state.cutouts, n, x, y, z, block)
    relight(voxels, state.light, state.scratch, n, tables.block_light, tables.block_filter, x, y, z, before, int(block))
    for side in range(7):  # the last is the block itself
        i, j, k = (x, y, z) if side == 6 else beside(x, y, z, side, mask)
        reaction = REACTION[block_at(voxels, n, i, j, k)]
        if reaction != STAYS:
            schedule(state, n, i, j, k, state.world[n].tick + DELAY[reaction])


@device_function
def schedule(state, n, x, y, z, tick):
    """Has block (x, y, z) looked at in that tick, or earlier where it is due earlier."""
    size, world_height = state.voxels.shape[1], state.voxels.shape[3]
    place = ((x & (size - 1)) * size + (z & (size - 1))) * world_height + y
    count = state.world[n].pending_updates
    for i in range(count):
        if state.updates[n, i].place == place:
            state.updates[n, i].tick = min(state.updates[n, i].tick, tick)
            return
    if count < state.updates.shape[1]:
        state.updates[n, count].place = place
        state.updates[n, count].tick = tick
        state.world[n].pending_updates = count + 1


@device_function
def tick_blocks(state, n, tables):
    """Carries out the block updates that are due."""
    if state.world[n].pending_updates > 0:
        run_updates(state, n, tables)


@device_function
def run_updates(state, n, tables):
    size, world_height = state.voxels.shape[1], state.voxels.shape[3]
    i = 0
    while i < state.world[n].pending_updates:  # those that join meanwhile are due later
        if state.updates[n, i].tick > state.world[n].tick:
            i += 1
            continue
        place = int(state.updates[n, i].place)
        last = state.world[n].pending_updates - 1
        state.updates[n, i].place = state.updates[n, last].place
        state.updates[n, i].tick = state.updates[n, last].tick
        state.world[n].pending_updates = last
        y, column = place % world_height, place // world_height
        update_block(state, n, tables, column // size, y, column % size)


@device_function
def update_block(state, n, tables, x, y, z):
    """What becomes of a block now that something beside it has changed."""
    block = block_at(state.voxels, n, x, y, z)
    reaction = REACTION[block]
    if reaction == FALLS:
        below = block_at(state.voxels, n, x, y - 1, z)
        if tables.block_replaceable[below]:
            change_block(state, n, tables, x, y, z, AIR)
            change_block(state, n, tables, x, y - 1, z, block)
    elif reaction == FLOWS:
        flow(state, n, tables, x, y, z, block - WATER)
    elif reaction == HARDENS:
        for side in range(1, 6):
            i, j, k = beside(x, y, z, side, state.voxels.shape[1] - 1)
            if WATER <= block_at(state.voxels, n, i, j, k) <= LAST_WATER:
                change_block(state, n, tables, x, y, z, OBSIDIAN)
                break
    elif reaction != STAYS and not is_supported(state.voxels, n, x, y, z, block, reaction):
        break_block(state, n, tables, x, y, z, block, AIR)


@device_function
def break_block(state, n, tables, x, y, z, block, after):
    """A block gives way to ``after`` by itself and drops what it leaves when it is broken by hand."""
    change_block(state, n, tables, x, y, z, after)
    drop_loot(state, n, tables, block, NO_TOOL, x, y, z)


@device_function
def is_supported(voxels, n, x, y, z, block, reaction):
    """Whether a block of that reaction has what it needs to stay."""
    mask = voxels.shape[1] - 1
    if reaction >= HANGS:
        i, j, k = beside(x, y, z, WALL_SIDE[(reaction - HANGS) % len(FACINGS)], mask)
        wall = block_at(voxels, n, i, j, k)
        if reaction >= VINE_HANGS:
            return is_full(wall) or block_at(voxels, n, x, y + 1, z) == block
        return holds_up(wall)
    below = block_at(voxels, n, x, y - 1, z)
    soil, sand = is_soil(below), is_sand(below)
    if reaction == ON_SOIL:
        return soil
    if reaction == ON_SAND:
        return is_dry_ground(below)
    if reaction == ON_OPAQUE:
        return below >= FIRST_OPAQUE
    if reaction == STANDS:
        return holds_up(below)
    if reaction == ON_WATER:
        return below == WATER or below == ICE
    if reaction == CANE:
        return soil or sand or below == SUGAR_CANE
    if reaction == UPPER_HALF:
        return below == block - 1
    if reaction == LOWER_HALF:
        return soil and block_at(voxels, n, x, y + 1, z) == block + 1
    if not (sand or below == CACTUS):  # a cactus
        return False
    for side in range(2, 6):
        i, j, k = beside(x, y, z, side, mask)
        other = block_at(voxels, n, i, j, k)
        if other >= FIRST_OPAQUE or other == CACTUS:
            return False
    return True


@device_function
def gives_way(block):
    """Whether water flows to where that block is."""
    return block == AIR or (block < FIRST_LIQUID and WASHABLE[block])


@device_function
def flow(state, n, tables, x, y, z, level):
    """Water at (x, y, z): its level follows from its neighbours', then it flows on, downwards if it can.

    As in Minecraft, except that on the flat it does not look for the nearest edge: it spreads to all sides.
    """
    voxels = state.voxels
    mask = voxels.shape[1] - 1
    below = block_at(voxels, n, x, y - 1, z)
    if level != 0:
        fed, sources = SPENT + 1, 0
        for side in range(2, 6):
            i, j, k = beside(x, y, z, side, mask)
            other = block_at(voxels, n, i, j, k)
            if is_water(other):
                sources += other == WATER
                fed = min(fed, 1 if other - WATER == FALLING else other - WATER + 1)
        if is_water(block_at(voxels, n, x, y + 1, z)):
            fed = FALLING
        elif sources >= 2 and (below >= FIRST_OPAQUE or below == WATER):
            fed = 0
        elif fed > SPENT:
            change_block(state, n, tables, x, y, z, AIR)
            return
        if fed != level:
            level = fed
            change_block(state, n, tables, x, y, z, WATER + level)
    if gives_way(below):
        break_block(state, n, tables, x, y - 1, z, below, WATER + FALLING)
    elif level == 0 or not is_water(below):
        after = 1 if level == FALLING else level + 1
        if after <= SPENT:
            for side in range(2, 6):
                i, j, k = beside(x, y, z, side, mask)
                other = block_at(voxels, n, i, j, k)
                if gives_way(other):
                    break_block(state, n, tables, i, j, k, other, WATER + after)
