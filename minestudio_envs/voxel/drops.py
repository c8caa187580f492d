"""Item entities: what lies about and waits to be picked up, and which items a broken block leaves.

The field ``item`` is asked for as ``["item"]``: outside of a kernel, ``.item`` of a NumPy record is a method.
"""

import math

import numpy as np

from minestudio_envs.voxel.blocks import (
    BLOCK_ID,
    BLOCK_NAME,
    DOUBLE_PLANTS,
    FIRST_OPAQUE,
    NUM_BLOCKS,
    OAK_LEAVES,
    TOOL_ID,
    WATER,
    WOODS,
)
from minestudio_envs.voxel.collision import (
    TOUCH_LAVA,
    TOUCH_WATER,
    block_at,
    current,
    liquid_depth,
    move_box,
    touched,
)
from minestudio_envs.voxel.items import BLOCK_ITEM, ITEM_ID, MAIN_SLOTS, OFFHAND
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.player_body import PLAYER_HALF_WIDTH, body_height, view_ray
from minestudio_envs.voxel.randomness import STREAM_LOOT, STREAM_THROW, draw, random_bits
from minestudio_envs.voxel.state import CUSTOM_ID, GAMERULE_ID

DROP_HALF, DROP_HEIGHT = 0.125, 0.25
DROP_GRAVITY, DROP_DRAG, DROP_GROUND_DRAG = 0.04, 0.98, 0.6 * 0.98
DROP_LIFE, DROP_DELAY, THROWN_DELAY = 6000, 10, 40
MERGE_REACH, MERGE_EVERY = 0.5, 40
PICK_UP_SIDE, PICK_UP_UP = 1.0, 0.5
FLOAT_DEPTH = 0.1  # of water, deeper it floats
WATER_PUSH = 0.014  # speed that flowing water adds in a tick
DO_TILE_DROPS, ITEMS_DROPPED = GAMERULE_ID["doTileDrops"], CUSTOM_ID["drop"]

# LOOT: per block the item, the least and most of it, and the chance of it. What differs is in `drop_loot`.

SHEARS = TOOL_ID["shears"]
GRAVEL, DARK_OAK_LEAVES = BLOCK_ID["gravel"], BLOCK_ID["dark_oak_leaves"]
DEAD_BUSH = BLOCK_ID["dead_bush"]
FLINT, STICK, APPLE = ITEM_ID["flint"], ITEM_ID["stick"], ITEM_ID["apple"]
FLINT_CHANCE, STICK_CHANCE, APPLE_CHANCE = 0.1, 0.02, 0.005

_LOOT = {
    "stone": ("cobblestone", 1, 1, 1),
    "grass_block": ("dirt", 1, 1, 1),
    "podzol": ("dirt", 1, 1, 1),
    "clay": ("clay_ball", 4, 4, 1),
    "snow": ("snowball", 1, 1, 1),
    "snow_block": ("snowball", 4, 4, 1),
    "coal_ore": ("coal", 1, 1, 1),
    "redstone_ore": ("redstone", 4, 5, 1),
    "lapis_ore": ("lapis_lazuli", 4, 9, 1),
    "diamond_ore": ("diamond", 1, 1, 1),
    "emerald_ore": ("emerald", 1, 1, 1),
    "glowstone": ("glowstone_dust", 2, 4, 1),
    "melon": ("melon_slice", 3, 7, 1),
    "bookshelf": ("book", 3, 3, 1),
    "cobweb": ("string", 1, 1, 1),
    "dead_bush": ("stick", 0, 2, 1),
    **{f"{wood}_leaves": (f"{wood}_sapling", 1, 1, 0.025 if wood == "jungle" else 0.05) for wood in WOODS},
    **dict.fromkeys(("grass", "fern", *DOUBLE_PLANTS), ("wheat_seeds", 1, 1, 0.125)),
    **dict.fromkeys(("air", "water", "lava", "bedrock", "glass", "ice", "packed_ice", "vine"), ("air", 0, 0, 0)),
}
LOOT = [_LOOT.get(name) for name in BLOCK_NAME]
DROP_ITEM = np.array([ITEM_ID[loot[0]] if loot else BLOCK_ITEM[i] for i, loot in enumerate(LOOT)], np.int32)
DROP_LEAST = np.array([loot[1] if loot else 1 for loot in LOOT], np.int32)
DROP_MOST = np.array([loot[2] if loot else 1 for loot in LOOT], np.int32)
DROP_CHANCE = np.array([loot[3] if loot else 1 for loot in LOOT], np.float64)
# What shears take instead: the block itself, of a double plant two of the small one.
SHEARED_ITEM, SHEARED_COUNT = np.zeros(NUM_BLOCKS, np.int32), np.ones(NUM_BLOCKS, np.int32)
for _i, _name in enumerate(BLOCK_NAME):
    if _name.endswith("_leaves") or _name in ("grass", "fern", "dead_bush", "vine", "cobweb"):
        SHEARED_ITEM[_i] = BLOCK_ITEM[_i]
    elif _name in DOUBLE_PLANTS:
        SHEARED_ITEM[_i], SHEARED_COUNT[_i] = ITEM_ID["grass" if _name == "tall_grass" else "fern"], 2


@device_function
def drop_item(state, n, item, count, damage, x, y, z, vx, vy, vz):
    """Puts an item entity into the world and returns its slot; if all are taken the oldest one goes."""
    if count <= 0 or item == 0:
        return -1
    slot, oldest = 0, -1
    for i in range(state.drops.shape[1]):
        age = state.drops[n, i].age if state.drops[n, i]["item"] != 0 else DROP_LIFE + 1
        if age > oldest:
            slot, oldest = i, age
    state.drops[n, slot]["item"] = item
    state.drops[n, slot].count = count
    state.drops[n, slot].damage = damage
    state.drops[n, slot].position[0] = x
    state.drops[n, slot].position[1] = y
    state.drops[n, slot].position[2] = z
    for axis in range(3):
        state.drops[n, slot].previous_position[axis] = state.drops[n, slot].position[axis]
    state.drops[n, slot].velocity[0] = vx
    state.drops[n, slot].velocity[1] = vy
    state.drops[n, slot].velocity[2] = vz
    state.drops[n, slot].age = 0
    state.drops[n, slot].delay = DROP_DELAY
    state.drops[n, slot].on_ground = 0
    state.world[n].drop_slots = max(state.world[n].drop_slots, slot + 1)
    return slot


@device_function
def drop_in_block(state, n, item, count, x, y, z, bits):
    """Drops what a block leaves, somewhere in its middle with a small hop."""
    drop_item(
        state, n, item, count, 0,
        x + 0.25 + 0.5 * draw(bits, 0), y + 0.25 + 0.5 * draw(bits, 1), z + 0.25 + 0.5 * draw(bits, 2),
        0.2 * draw(bits, 3) - 0.1, 0.2, 0.2 * draw(bits ^ (bits >> np.uint64(8)), 0) - 0.1,
    )  # fmt: skip


@device_function
def drop_loot(state, n, tables, block, tool, x, y, z):
    """Drops what ``block`` at (x, y, z) leaves when it is broken with an item of the kind ``tool`` (blocks.TOOLS).

    Whether the tool is good enough is the caller's question.
    """
    if not state.world[n].gamerule[DO_TILE_DROPS]:
        return
    stream = STREAM_LOOT + ((x & 15) | ((z & 15) << 4) | ((y & 63) << 8))  # one of the tick's blocks
    key, episode, tick = state.world[n].key, state.world[n].episode, state.world[n].tick
    places = random_bits(key, episode, tick, stream)
    chances = random_bits(key, episode, tick, stream + (1 << 14))
    if tool == SHEARS and tables.block_sheared_item[block] != 0:
        item, count = int(tables.block_sheared_item[block]), int(tables.block_sheared_count[block])
        drop_in_block(state, n, item, count, x, y, z, places)
        return
    item, chance = int(tables.block_drop_item[block]), tables.block_drop_chance[block]
    least, most = int(tables.block_drop_least[block]), int(tables.block_drop_most[block])
    if block == GRAVEL and draw(chances, 0) < FLINT_CHANCE:
        item = FLINT
    if draw(chances, 1) < chance:
        count = least + int(draw(chances, 2) * (most - least + 1))
        drop_in_block(state, n, item, count, x, y, z, places)
    if OAK_LEAVES <= block <= DARK_OAK_LEAVES and tables.block_sheared_item[block] != 0:  # leaves: two more draws
        more = random_bits(key, episode, tick, stream + (2 << 14))
        if draw(chances, 3) < STICK_CHANCE:
            drop_in_block(state, n, STICK, 1 + int(2.0 * draw(more, 0)), x, y, z, more)
        if (block == OAK_LEAVES or block == DARK_OAK_LEAVES) and draw(more, 1) < APPLE_CHANCE:
            drop_in_block(state, n, APPLE, 1, x, y, z, ~more)


@device_function
def throw(state, n, item, count, damage, which, scattered):
    """Throws a stack out of the player's hands: along the view, or ``scattered`` as a dead player's things are.

    ``which``: tells apart the throws of one tick.
    """
    bits = random_bits(state.world[n].key, state.world[n].episode, state.world[n].tick, STREAM_THROW + which)
    angle = 2.0 * math.pi * draw(bits, 0)
    x, y, z, dx, dy, dz = view_ray(state.player, n)
    if scattered:
        speed = 0.5 * draw(bits, 1)
        vx, vy, vz = -math.sin(angle) * speed, 0.2, math.cos(angle) * speed
    else:
        speed = 0.02 * draw(bits, 1)
        vx = dx * 0.3 + math.cos(angle) * speed
        vy = dy * 0.3 + 0.1 + (draw(bits, 2) - draw(bits, 3)) * 0.1
        vz = dz * 0.3 + math.sin(angle) * speed
        state.statistics[n].custom[ITEMS_DROPPED] += 1
    slot = drop_item(state, n, item, count, damage, x, y - 0.3, z, vx, vy, vz)
    if slot >= 0:
        state.drops[n, slot].delay = THROWN_DELAY


@device_function
def add_item(player, n, stack_size, item, count, damage):
    """Puts items into the inventory as a pick-up does; returns how many had no room.

    Stacks of the same item come first (the hand's, the offhand's, then in order), then empty slots.
    """
    size = stack_size[item]
    if size > 1 and damage == 0:
        for step in range(MAIN_SLOTS + 2):
            slot = player[n].selected if step == 0 else OFFHAND if step == 1 else step - 2
            if player[n].inventory_item[slot] == item and player[n].inventory_damage[slot] == 0:
                added = min(count, size - player[n].inventory_count[slot])
                if added > 0:
                    player[n].inventory_count[slot] += added
                    count -= added
    for slot in range(MAIN_SLOTS):
        if count > 0 and player[n].inventory_item[slot] == 0:
            added = min(count, size)
            player[n].inventory_item[slot] = item
            player[n].inventory_count[slot] = added
            player[n].inventory_damage[slot] = damage
            count -= added
    return count


@device_function
def move_drop(voxels, block_height, block_touch, drops, n, i):
    """One tick of an item entity's motion. Returns False if it burns."""
    x, y, z = drops[n, i].position[0], drops[n, i].position[1], drops[n, i].position[2]
    vx, vy, vz = drops[n, i].velocity[0], drops[n, i].velocity[1], drops[n, i].velocity[2]
    half, height = DROP_HALF, DROP_HEIGHT
    touch = touched(voxels, n, block_touch, x, y, z, half, height)
    if touch & TOUCH_LAVA:
        return False
    depth = 0.0
    if touch & TOUCH_WATER:
        depth = liquid_depth(voxels, n, x - half, x + half, y, y + height, z - half, z + half, WATER)
        if depth > 0.0:
            cx, cy, cz = current(voxels, n, block_height, x - half, x + half, y, y + height, z - half, z + half)
            length = math.sqrt(cx * cx + cy * cy + cz * cz)
            if length > 0.0:
                vx, vy, vz = vx + cx / length * WATER_PUSH, vy + cy / length * WATER_PUSH, vz + cz / length * WATER_PUSH
    if depth > FLOAT_DEPTH:
        vx, vz = vx * 0.99, vz * 0.99
        if vy < 0.06:
            vy += 5e-4
    else:
        vy -= DROP_GRAVITY
    drops[n, i].velocity[0], drops[n, i].velocity[1], drops[n, i].velocity[2] = vx, vy, vz
    on_ground = drops[n, i].on_ground != 0
    if on_ground and vx * vx + vz * vz <= 1e-5 and drops[n, i].age % 4 != 0:
        return True  # what lies still is moved every fourth tick only
    if block_at(voxels, n, math.floor(x), math.floor(y + height / 2.0), math.floor(z)) >= FIRST_OPAQUE:
        mx, my, mz, vy = 0.0, 0.1, 0.0, 0.1  # caught in a block: out at its top
        on_ground = False
    else:
        mx, my, mz = move_box(voxels, n, block_height, x, y, z, half, height, 0.0, on_ground, vx, vy, vz)
        on_ground = my != vy and vy < 0.0
        if mx != vx:
            vx = 0.0
        if mz != vz:
            vz = 0.0
        if my != vy:
            vy = 0.0
    drag = DROP_GROUND_DRAG if on_ground else DROP_DRAG
    drops[n, i].position[0], drops[n, i].position[1], drops[n, i].position[2] = x + mx, y + my, z + mz
    drops[n, i].velocity[0], drops[n, i].velocity[1], drops[n, i].velocity[2] = vx * drag, vy * DROP_DRAG, vz * drag
    drops[n, i].on_ground = on_ground
    return True


@device_function
def merge_drops(drops, n, i, slots, stack_size):
    """Item entities of the same kind that lie near ``i`` become one with it if they fit into one stack."""
    for other in range(slots):
        if (
            other != i
            and drops[n, i]["item"] != 0
            and drops[n, other]["item"] == drops[n, i]["item"]
            and drops[n, other].damage == drops[n, i].damage
            and drops[n, other].count + drops[n, i].count <= stack_size[drops[n, i]["item"]]
            and abs(drops[n, other].position[0] - drops[n, i].position[0]) < MERGE_REACH + 2.0 * DROP_HALF
            and abs(drops[n, other].position[1] - drops[n, i].position[1]) < DROP_HEIGHT
            and abs(drops[n, other].position[2] - drops[n, i].position[2]) < MERGE_REACH + 2.0 * DROP_HALF
        ):
            larger, smaller = (i, other) if drops[n, i].count > drops[n, other].count else (other, i)
            drops[n, larger].count += drops[n, smaller].count
            drops[n, larger].age = min(drops[n, larger].age, drops[n, smaller].age)
            drops[n, larger].delay = max(drops[n, larger].delay, drops[n, smaller].delay)
            drops[n, smaller]["item"] = 0


@device_function
def pick_up(drops, player, statistics, n, i, stack_size):
    """The player takes what it touches of item entity ``i``."""
    height = body_height(player[n].sneaking)
    side = PLAYER_HALF_WIDTH + PICK_UP_SIDE + DROP_HALF
    y = drops[n, i].position[1] - player[n].position[1]
    if (
        abs(drops[n, i].position[0] - player[n].position[0]) < side
        and abs(drops[n, i].position[2] - player[n].position[2]) < side
        and -PICK_UP_UP - DROP_HEIGHT < y < height + PICK_UP_UP
    ):
        count, item = int(drops[n, i].count), int(drops[n, i]["item"])
        left = add_item(player, n, stack_size, item, count, int(drops[n, i].damage))
        statistics[n].pickup[item] += count - left
        drops[n, i].count = left
        if left == 0:
            drops[n, i]["item"] = 0


@device_function
def tick_each_drop(voxels, block_height, block_touch, stack_size, world, player, drops, statistics, n):
    """One tick of the item entities that there are."""
    slots, used, size = world[n].drop_slots, 0, voxels.shape[1]
    for i in range(slots):
        if drops[n, i]["item"] == 0:
            continue
        for axis in range(0, 3, 2):  # by whole laps around the torus to where it is nearest to the player
            laps = math.floor((drops[n, i].position[axis] - player[n].position[axis]) / size + 0.5)
            drops[n, i].position[axis] -= laps * size
        for axis in range(3):
            drops[n, i].previous_position[axis] = drops[n, i].position[axis]
        if drops[n, i].delay > 0:
            drops[n, i].delay -= 1
        burnt = not move_drop(voxels, block_height, block_touch, drops, n, i)
        drops[n, i].age += 1
        if burnt or drops[n, i].age >= DROP_LIFE:
            drops[n, i]["item"] = 0
            continue
        moved = False
        for axis in range(3):
            here, before = drops[n, i].position[axis], drops[n, i].previous_position[axis]
            moved = moved or math.floor(here) != math.floor(before)
        if drops[n, i].age % (2 if moved else MERGE_EVERY) == 0:
            merge_drops(drops, n, i, slots, stack_size)
    for i in range(slots):
        if drops[n, i]["item"] != 0 and drops[n, i].delay == 0 and player[n].health > 0.0:
            pick_up(drops, player, statistics, n, i, stack_size)
        if drops[n, i]["item"] != 0:
            used = i + 1
    world[n].drop_slots = used


@device_function
def tick_drops(state, n, tables):
    """One tick of all item entities: motion, merging, pick-up, end."""
    if state.world[n].drop_slots > 0:
        tick_each_drop(
            state.voxels, tables.block_height, tables.block_touch, tables.stack_size,
            state.world, state.player, state.drops, state.statistics, n,
        )  # fmt: skip
