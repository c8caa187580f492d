"""The use key: placing blocks, buckets, eating, putting on armour, shearing and milking."""

import numpy as np

from minestudio_envs.voxel.blocks import (
    AIR,
    BLOCK_ID,
    BLOCK_NAME,
    DOUBLE_PLANTS,
    FIRST_LIQUID,
    FIRST_OPAQUE,
    FLOWERS,
    LAVA,
    NUM_BLOCKS,
    TOOL_ID,
    WATER,
)
from minestudio_envs.voxel.collision import DOWN, EAST, NO_BLOCK, NORTH, SOUTH, UP, WEST, block_at, pick_block
from minestudio_envs.voxel.drops import add_item, drop_item, throw
from minestudio_envs.voxel.ground import holds_up, is_dry_ground, is_sand, is_soil, is_water
from minestudio_envs.voxel.inventory import clear_slot, take, wear
from minestudio_envs.voxel.items import FEET, ITEM_ID, OFFHAND
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.physics import MAX_FOOD, give_effect
from minestudio_envs.voxel.player_body import PLAYER_HALF_WIDTH, body_height, view_ray
from minestudio_envs.voxel.randomness import STREAM_EAT, draw, random_bits
from minestudio_envs.voxel.state import COW, EFFECT_ID, SHEEP
from minestudio_envs.voxel.world import change_block

USE_EVERY = 4  # ticks between two acts of a held key
EATING_TICKS = 32
LIQUID_REACH = 5.0

# WHERE A BLOCK CAN BE

ANYWHERE, ON_SOIL, ON_SAND, ON_SOLID, BY_WATER, ON_CACTUS_GROUND, ON_WATER, TORCH, LADDER, TWO_HIGH = range(10)
NEEDS = np.full(NUM_BLOCKS, ANYWHERE, np.uint8)
for _i, _name in enumerate(BLOCK_NAME):
    if _name in ("grass", "fern", *FLOWERS) or _name.endswith("_sapling"):
        NEEDS[_i] = ON_SOIL
    NEEDS[_i] = {
        "dead_bush": ON_SAND, "brown_mushroom": ON_SOLID, "red_mushroom": ON_SOLID, "snow": ON_SOLID,
        "sugar_cane": BY_WATER, "cactus": ON_CACTUS_GROUND, "lily_pad": ON_WATER, "torch": TORCH,
        "wall_torch": LADDER, "ladder": LADDER, "vine": LADDER, **dict.fromkeys(DOUBLE_PLANTS, TWO_HIGH),
    }.get(_name, NEEDS[_i])  # fmt: skip
SUGAR_CANE, CACTUS = BLOCK_ID["sugar_cane"], BLOCK_ID["cactus"]
ICE, PACKED_ICE = BLOCK_ID["ice"], BLOCK_ID["packed_ice"]
TORCH_BLOCK, WALL_TORCH = BLOCK_ID["torch"], BLOCK_ID["wall_torch[facing=north]"]
LADDER_BLOCK, VINE_BLOCK = BLOCK_ID["ladder[facing=north]"], BLOCK_ID["vine[facing=north]"]
# Blocks that take a use key for themselves; their screens are not here, so nothing happens.
OPENED = tuple(BLOCK_ID[name] for name in ("chest", "crafting_table", "furnace"))
CHEST, CRAFTING_TABLE, FURNACE = OPENED

# ITEMS THAT DO SOMETHING OF THEIR OWN

BUCKET, WATER_BUCKET, LAVA_BUCKET = (ITEM_ID[name] for name in ("bucket", "water_bucket", "lava_bucket"))
MILK_BUCKET, BOWL, GLASS_BOTTLE = ITEM_ID["milk_bucket"], ITEM_ID["bowl"], ITEM_ID["glass_bottle"]
LILY_PAD, LILY_PAD_BLOCK = ITEM_ID["lily_pad"], BLOCK_ID["lily_pad"]
WHITE_WOOL = ITEM_ID["white_wool"]
GOLDEN_APPLE, ENCHANTED_APPLE = ITEM_ID["golden_apple"], ITEM_ID["enchanted_golden_apple"]
CHORUS_FRUIT, HONEY_BOTTLE, CAKE = ITEM_ID["chorus_fruit"], ITEM_ID["honey_bottle"], ITEM_ID["cake"]
STEWS = tuple(ITEM_ID[name] for name in ("mushroom_stew", "rabbit_stew", "beetroot_soup", "suspicious_stew"))
MUSHROOM_STEW, RABBIT_STEW, BEETROOT_SOUP, SUSPICIOUS_STEW = STEWS
ROTTEN_FLESH, CHICKEN_MEAT = ITEM_ID["rotten_flesh"], ITEM_ID["chicken"]
SPIDER_EYE, PUFFERFISH = ITEM_ID["spider_eye"], ITEM_ID["pufferfish"]
POISONOUS_POTATO = ITEM_ID["poisonous_potato"]
ABSORPTION, REGENERATION = EFFECT_ID["absorption"], EFFECT_ID["regeneration"]
RESISTANCE, FIRE_RESISTANCE = EFFECT_ID["resistance"], EFFECT_ID["fire_resistance"]
HUNGER, POISON = EFFECT_ID["hunger"], EFFECT_ID["poison"]
SHEARS, SHORN, COLOUR = TOOL_ID["shears"], 16, 15

PASS, DONE, FAILED = 0, 1, 2  # what an act came to: the next one may try, it worked, no other may try


@device_function
def behind(x, z, side):
    """The block at the wall side of what hangs on ``side``: one step against it."""
    dx = (1 if side == WEST else 0) - (1 if side == EAST else 0)
    dz = (1 if side == NORTH else 0) - (1 if side == SOUTH else 0)
    return x + dx, z + dz


@device_function
def can_be(voxels, n, needs, block_height, block, x, y, z):
    """Whether ``block`` finds at (x, y, z) the ground, wall or water that it needs."""
    need = needs[block]
    if need == ANYWHERE:
        return True
    below = block_at(voxels, n, x, y - 1, z)
    if need == ON_SOIL:
        return is_soil(below)
    if need == TWO_HIGH:
        return is_soil(below) and block_at(voxels, n, x, y + 1, z) == AIR
    if need == ON_SAND:
        return is_dry_ground(below)
    if need == ON_SOLID:
        return below >= FIRST_OPAQUE and below != ICE and below != PACKED_ICE
    if need == TORCH:
        return holds_up(below)
    if need == ON_WATER:
        return below == WATER or below == ICE
    if need == LADDER:
        side = NORTH + (block - WALL_TORCH) % 4 if block < LADDER_BLOCK else NORTH + (block - LADDER_BLOCK) % 4
        wx, wz = behind(x, z, side)
        return holds_up(block_at(voxels, n, wx, y, wz))
    if need == BY_WATER and below == SUGAR_CANE:
        return True
    if need == BY_WATER and not (is_soil(below) or is_sand(below)):
        return False
    if need == ON_CACTUS_GROUND and not (below == CACTUS or is_sand(below)):
        return False
    for side in range(NORTH, EAST + 1):
        bx, bz = behind(x, z, side)
        if need == BY_WATER:
            if is_water(block_at(voxels, n, bx, y - 1, bz)):
                return True
        else:
            beside = block_at(voxels, n, bx, y, bz)
            if block_height[beside] > 0.0 or beside == LAVA:
                return False
    return need == ON_CACTUS_GROUND


@device_function
def body_in(state, n, tables, x, y, z, height):
    """Whether a living body is in the way of a block."""
    px, py, pz = state.player[n].position[0], state.player[n].position[1], state.player[n].position[2]
    tall = body_height(state.player[n].sneaking)
    half = PLAYER_HALF_WIDTH
    if (
        x < px + half
        and px - half < x + 1
        and y < py + tall
        and py < y + height
        and z < pz + half
        and pz - half < z + 1
    ):
        return True
    for m in range(state.mobs.shape[1]):
        kind = state.mobs[n, m].kind
        if kind == 0 or state.mobs[n, m].health <= 0.0:
            continue
        mx, my, mz = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
        half, tall = tables.mob_width[kind] / 2.0, tables.mob_height[kind]
        if mx - half < x + 1 and x < mx + half and my < y + height and y < my + tall:
            if mz - half < z + 1 and z < mz + half:
                return True
    return False


@device_function
def step_out(x, y, z, side):
    """The block in front of a block's side."""
    if side == UP:
        y += 1
    elif side == DOWN:
        y -= 1
    else:
        bx, bz = behind(x, z, side)
        x, z = 2 * x - bx, 2 * z - bz
    return x, y, z


@device_function
def place(state, n, tables, slot, x, y, z, side):
    """Places the block in a slot onto a block's side."""
    item = int(state.player[n].inventory_item[slot])
    block = int(tables.item_block[item])
    aimed = block_at(state.voxels, n, x, y, z)
    if not tables.block_replaceable[aimed] or tables.block_first[aimed] == block:
        x, y, z = step_out(x, y, z, side)
    else:
        side = UP
    there = block_at(state.voxels, n, x, y, z)
    if y < 0 or y >= state.voxels.shape[3] or not tables.block_replaceable[there]:
        return FAILED
    needs = tables.block_needs
    if block == TORCH_BLOCK or block == LADDER_BLOCK or block == VINE_BLOCK:
        block = hang(state.voxels, n, needs, tables.block_height, block, x, y, z, side)
        if block == AIR:
            return FAILED
    if not can_be(state.voxels, n, needs, tables.block_height, block, x, y, z):
        return FAILED
    if tables.block_height[block] > 0.0 and body_in(state, n, tables, x, y, z, tables.block_height[block]):
        return FAILED
    change_block(state, n, tables, x, y, z, block)
    if needs[block] == TWO_HIGH:
        change_block(state, n, tables, x, y + 1, z, block + 1)
    state.statistics[n].use_item[item] += 1
    take(state.player, n, slot, 1)
    return DONE


@device_function
def hang(voxels, n, needs, block_height, block, x, y, z, side):
    """A torch, ladder or vine as it hangs at the wall of ``side``, or another one; AIR if there is none."""
    first = WALL_TORCH if block == TORCH_BLOCK else block
    if side >= NORTH and can_be(voxels, n, needs, block_height, first + side - NORTH, x, y, z):
        return first + side - NORTH
    if block == TORCH_BLOCK and can_be(voxels, n, needs, block_height, block, x, y, z):
        return block
    for other in range(4):
        if can_be(voxels, n, needs, block_height, first + other, x, y, z):
            return first + other
    return AIR


@device_function
def give_back(state, n, tables, slot, item):
    """What an emptied or filled vessel turns into: in its place, or beside a stack of the others."""
    take(state.player, n, slot, 1)
    if state.player[n].inventory_count[slot] == 0:
        state.player[n].inventory_item[slot] = item
        state.player[n].inventory_count[slot] = 1
    elif add_item(state.player, n, tables.stack_size, item, 1, 0) > 0:
        throw(state, n, item, 1, 0, slot, False)


@device_function
def use_bucket(state, n, tables, slot):
    """Fills a bucket at a source or empties one."""
    item = int(state.player[n].inventory_item[slot])
    liquids = item == BUCKET or item == LILY_PAD
    _, x, y, z, side = pick_block(
        state.voxels, n, tables.block_outline, *view_ray(state.player, n), LIQUID_REACH, liquids
    )
    if y == NO_BLOCK or y < 0:
        return PASS
    block = block_at(state.voxels, n, x, y, z)
    if item == BUCKET:
        if block != WATER and block != LAVA:
            return PASS
        change_block(state, n, tables, x, y, z, AIR)
        filled = WATER_BUCKET if block == WATER else LAVA_BUCKET
    elif item == LILY_PAD:
        if block != WATER or block_at(state.voxels, n, x, y + 1, z) != AIR or y + 1 >= state.voxels.shape[3]:
            return FAILED
        change_block(state, n, tables, x, y + 1, z, LILY_PAD_BLOCK)
        state.statistics[n].use_item[item] += 1
        take(state.player, n, slot, 1)
        return DONE
    else:
        if not (block < FIRST_LIQUID and tables.block_height[block] == 0.0):
            x, y, z = step_out(x, y, z, side)
            block = block_at(state.voxels, n, x, y, z)
        if y < 0 or y >= state.voxels.shape[3] or block >= FIRST_OPAQUE or tables.block_height[block] > 0.0:
            return FAILED
        change_block(state, n, tables, x, y, z, WATER if item == WATER_BUCKET else LAVA)
        filled = BUCKET
    state.statistics[n].use_item[item] += 1
    give_back(state, n, tables, slot, filled)
    return DONE


@device_function
def use_on_mob(state, n, tables, slot, m):
    """Shears a sheep or milks a cow."""
    item, kind = int(state.player[n].inventory_item[slot]), int(state.mobs[n, m].kind)
    if state.mobs[n, m].health <= 0.0 or state.mobs[n, m].age < 0:
        return PASS
    if kind == SHEEP and tables.item_tool[item] == SHEARS and not state.mobs[n, m].variant & SHORN:
        key, episode, tick = state.world[n].key, state.world[n].episode, state.world[n].tick
        bits = random_bits(key, episode, tick, STREAM_EAT + 1)
        wool = WHITE_WOOL + (int(state.mobs[n, m].variant) & COLOUR)
        x, y, z = state.mobs[n, m].position[0], state.mobs[n, m].position[1] + 1.0, state.mobs[n, m].position[2]
        vx, vy, vz = 0.2 * draw(bits, 1) - 0.1, 0.2 + 0.05 * draw(bits, 2), 0.2 * draw(bits, 3) - 0.1
        drop_item(state, n, wool, 1 + int(3.0 * draw(bits, 0)), 0, x, y, z, vx, vy, vz)
        state.mobs[n, m].variant |= SHORN
        wear(state.player, state.statistics, n, tables.item_durability, slot, 1)
        return DONE
    if kind == COW and item == BUCKET:
        give_back(state, n, tables, slot, MILK_BUCKET)
        return DONE
    return PASS


@device_function
def can_eat(player, n, item_food, slot):
    """Whether the item in a slot can be eaten now: some even with a full stomach."""
    item = int(player[n].inventory_item[slot])
    if item_food[item] == 0 or item == CAKE:
        return False
    always = item == GOLDEN_APPLE or item == ENCHANTED_APPLE or item == CHORUS_FRUIT or item == HONEY_BOTTLE
    return player[n].food < MAX_FOOD or always


@device_function
def eat(state, n, tables, slot):
    """The end of a meal."""
    player = state.player
    item = int(player[n].inventory_item[slot])
    player[n].food = min(MAX_FOOD, player[n].food + tables.item_food[item])
    player[n].saturation = min(np.float32(player[n].food), player[n].saturation + tables.item_saturation[item])
    state.statistics[n].use_item[item] += 1
    bits = random_bits(state.world[n].key, state.world[n].episode, state.world[n].tick, STREAM_EAT)
    chance = draw(bits, 0)
    if item == GOLDEN_APPLE:
        give_effect(player, n, ABSORPTION, 2400, 0)
        give_effect(player, n, REGENERATION, 100, 1)
    elif item == ENCHANTED_APPLE:
        give_effect(player, n, ABSORPTION, 2400, 3)
        give_effect(player, n, REGENERATION, 400, 1)
        give_effect(player, n, RESISTANCE, 6000, 0)
        give_effect(player, n, FIRE_RESISTANCE, 6000, 0)
    elif item == ROTTEN_FLESH and chance < 0.8:
        give_effect(player, n, HUNGER, 600, 0)
    elif item == CHICKEN_MEAT and chance < 0.3:
        give_effect(player, n, HUNGER, 600, 0)
    elif item == SPIDER_EYE or (item == POISONOUS_POTATO and chance < 0.6):
        give_effect(player, n, POISON, 100, 0)
    elif item == PUFFERFISH:
        give_effect(player, n, POISON, 1200, 3)
        give_effect(player, n, HUNGER, 300, 2)
    elif item == HONEY_BOTTLE:
        player[n].effect_ticks[POISON] = 0
    if item == MUSHROOM_STEW or item == RABBIT_STEW or item == BEETROOT_SOUP or item == SUSPICIOUS_STEW:
        give_back(state, n, tables, slot, BOWL)
    elif item == HONEY_BOTTLE:
        give_back(state, n, tables, slot, GLASS_BOTTLE)
    else:
        take(player, n, slot, 1)


@device_function
def go_on_eating(state, n, tables):
    """A tick of a meal; it ends without effect when the hand holds something else."""
    player = state.player
    slot = int(player[n].selected)
    if not can_eat(player, n, tables.item_food, slot):
        slot = OFFHAND
    if player[n].held_item != player[n].inventory_item[player[n].selected] or not can_eat(
        player, n, tables.item_food, slot
    ):
        player[n].eat_ticks = 0
        return
    player[n].eat_ticks += 1
    if player[n].eat_ticks >= EATING_TICKS:
        player[n].eat_ticks = 0
        eat(state, n, tables, slot)


@device_function
def use_slot(state, n, tables, slot, seen, x, y, z, side):
    """Uses what is in a slot on the mob ``seen`` (-1: none), else on the block's side, else by itself."""
    player = state.player
    item = int(player[n].inventory_item[slot])
    if seen >= 0:
        result = use_on_mob(state, n, tables, slot, seen)
        if result != PASS:
            return result
    elif y != NO_BLOCK:
        block = block_at(state.voxels, n, x, y, z)
        if (block == CHEST or block == CRAFTING_TABLE or block == FURNACE) and not player[n].sneaking:
            return FAILED
        if tables.item_block[item] != 0 and item != LILY_PAD and player[n].inventory_count[slot] > 0:
            return place(state, n, tables, slot, x, y, z, side)
    if player[n].inventory_count[slot] == 0:
        return PASS
    if item == BUCKET or item == WATER_BUCKET or item == LAVA_BUCKET or item == LILY_PAD:
        return use_bucket(state, n, tables, slot)
    if can_eat(player, n, tables.item_food, slot):
        player[n].eat_ticks = 1
        return FAILED  # no swing, and no other hand
    worn = int(tables.item_armour_slot[item])
    if worn >= FEET and tables.item_block[item] == 0 and player[n].inventory_count[worn] == 0:
        player[n].inventory_item[worn], player[n].inventory_count[worn] = item, 1
        player[n].inventory_damage[worn] = player[n].inventory_damage[slot]
        clear_slot(player, n, slot)
        return DONE
    return PASS


@device_function
def use(state, n, tables, seen, x, y, z, side):
    """A use click: with the hand, then with the offhand. Returns whether the arm swings."""
    state.player[n].use_delay = USE_EVERY
    result = use_slot(state, n, tables, int(state.player[n].selected), seen, x, y, z, side)
    if result == PASS and state.player[n].inventory_count[OFFHAND] > 0:
        result = use_slot(state, n, tables, OFFHAND, seen, x, y, z, side)
    return result == DONE
