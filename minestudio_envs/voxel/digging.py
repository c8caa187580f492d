"""Mining: how fast a block breaks, and what breaking it does (Minecraft 1.16.5)."""

import numpy as np

from minestudio_envs.voxel.blocks import (
    AIR,
    BLOCK_ID,
    BLOCK_NAME,
    FIRST_LIQUID,
    NUM_BLOCKS,
    TOOL_ID,
    WATER,
    WOODS,
)
from minestudio_envs.voxel.collision import NO_BLOCK, block_at
from minestudio_envs.voxel.drops import drop_loot
from minestudio_envs.voxel.inventory import wear
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.physics import effect_level, exhaust, eyes_in_water
from minestudio_envs.voxel.player_body import eye_height
from minestudio_envs.voxel.state import EFFECT_ID
from minestudio_envs.voxel.world import change_block

HASTE, MINING_FATIGUE = EFFECT_ID["haste"], EFFECT_ID["mining_fatigue"]
SWORD, SHEARS, NO_TOOL = TOOL_ID["sword"], TOOL_ID["shears"], TOOL_ID["none"]
COBWEB, ICE = BLOCK_ID["cobweb"], BLOCK_ID["ice"]
TALL_GRASS, LARGE_FERN_TOP = BLOCK_ID["tall_grass[half=lower]"], BLOCK_ID["large_fern[half=upper]"]

HARVEST_FACTOR, RUIN_FACTOR = 30.0, 100.0  # of a block's hardness, in ticks by hand, with and without its drop
PAUSE = 5  # ticks before the next block, after one that took a while
BREAKING_EFFORT = 0.005
ENOUGH = 1.0 - 1e-9  # sums of fractions fall short of 1

# How much faster a sword and shears dig a block than a hand does.
SWORD_SPEED, SHEARS_SPEED = np.ones(NUM_BLOCKS, np.float32), np.ones(NUM_BLOCKS, np.float32)
for _i, _name in enumerate(BLOCK_NAME):
    if _name in (*(f"{wood}_leaves" for wood in WOODS), "vine", "pumpkin", "carved_pumpkin", "melon"):
        SWORD_SPEED[_i] = 1.5
    if _name.endswith("_leaves") or _name == "cobweb":
        SHEARS_SPEED[_i] = 15
    if _name.endswith("_wool"):
        SHEARS_SPEED[_i] = 5
SWORD_SPEED[COBWEB] = 15


@device_function
def harvests(tables, item, block):
    """Whether a block broken with an item leaves what it has."""
    tier = tables.block_tier[block]
    if tier == 0:
        return True
    tool = tables.item_tool[item]
    return (tool == tables.block_tool[block] and tables.item_tier[item] >= tier) or (block == COBWEB and tool == SHEARS)


@device_function
def dig_speed(tables, item, block):
    """How many times as fast as a hand an item digs a block."""
    tool = tables.item_tool[item]
    if tool == NO_TOOL:
        return 1.0
    if tool == SWORD:
        return float(tables.block_sword_speed[block])
    if tool == SHEARS:
        return float(tables.block_shears_speed[block])
    return float(tables.item_dig_speed[item]) if tool == tables.block_tool[block] else 1.0


@device_function
def progress_per_tick(voxels, player, n, tables, block):
    """The part of a block that the player mines in a tick, >= 1: at once, 0: never."""
    hardness = float(tables.block_hardness[block])
    if hardness < 0.0:
        return 0.0
    if hardness == 0.0:
        return 1.0
    item = int(player[n].inventory_item[player[n].selected])
    speed = dig_speed(tables, item, block)
    haste, fatigue = effect_level(player, n, HASTE), effect_level(player, n, MINING_FATIGUE)
    if haste > 0:
        speed *= 1.0 + 0.2 * haste
    if fatigue > 0:
        speed *= 0.3 if fatigue == 1 else 0.09 if fatigue == 2 else 0.0027 if fatigue == 3 else 0.00081
    if player[n].in_water:
        x, y, z = player[n].position[0], player[n].position[1], player[n].position[2]
        if eyes_in_water(voxels, n, x, y, z, eye_height(player[n].sneaking)):
            speed /= 5.0
    if not player[n].on_ground:
        speed /= 5.0
    # the table's numbers are rounded to float32, the game's sums come out as these decimals say
    return speed / (round(hardness * 1e6) / 1e6) / (HARVEST_FACTOR if harvests(tables, item, block) else RUIN_FACTOR)


@device_function
def stop_digging(player, n):
    player[n].dig_block[1] = NO_BLOCK
    player[n].dig_progress = 0.0


@device_function
def begin_digging(state, n, tables, x, y, z):
    """The first knock on a block: some break at once, of others the mining begins."""
    stop_digging(state.player, n)
    block = block_at(state.voxels, n, x, y, z)
    if progress_per_tick(state.voxels, state.player, n, tables, block) >= ENOUGH:
        break_block(state, n, tables, x, y, z)
    else:
        state.player[n].dig_block[0] = x
        state.player[n].dig_block[1] = y
        state.player[n].dig_block[2] = z


@device_function
def dig(state, n, tables, x, y, z):
    """A tick of a held attack key on the block at (x, y, z)."""
    player = state.player
    if block_at(state.voxels, n, x, y, z) == AIR:  # broken by this tick's click
        return
    if player[n].dig_delay > 0:
        player[n].dig_delay -= 1
        return
    same_place = player[n].dig_block[0] == x and player[n].dig_block[1] == y and player[n].dig_block[2] == z
    if not same_place or player[n].held_item != player[n].inventory_item[player[n].selected]:
        begin_digging(state, n, tables, x, y, z)
        return
    block = block_at(state.voxels, n, x, y, z)
    player[n].dig_progress += progress_per_tick(state.voxels, player, n, tables, block)
    if player[n].dig_progress >= ENOUGH:
        stop_digging(player, n)
        player[n].dig_delay = PAUSE
        break_block(state, n, tables, x, y, z)


@device_function
def break_block(state, n, tables, x, y, z):
    """The player breaks a block: drops, statistics, wear and effort.

    Without the right tool there is no drop, and neither statistic nor effort: so the game has it.
    """
    block, slot = block_at(state.voxels, n, x, y, z), int(state.player[n].selected)
    item = int(state.player[n].inventory_item[slot])
    tool = tables.item_tool[item]
    if block == AIR or y < 0:
        return
    left_behind = AIR
    if harvests(tables, item, block):
        state.statistics[n].mine_block[tables.block_first[block]] += 1
        exhaust(state.player, n, BREAKING_EFFORT)
        below = block_at(state.voxels, n, x, y - 1, z)
        if block == ICE and (tables.block_height[below] > 0.0 or below >= FIRST_LIQUID):
            left_behind = WATER
        drop_loot(state, n, tables, block, tool, x, y, z)
    if tool != NO_TOOL:
        state.statistics[n].use_item[item] += 1
        if tables.block_hardness[block] != 0.0 or tool == SHEARS:
            wear(state.player, state.statistics, n, tables.item_durability, slot, 2 if tool == SWORD else 1)
    if TALL_GRASS <= block <= LARGE_FERN_TOP:  # the other half goes first: it leaves nothing
        change_block(state, n, tables, x, y - 1 if (block - TALL_GRASS) % 2 else y + 1, z, AIR)
    change_block(state, n, tables, x, y, z, left_behind)
