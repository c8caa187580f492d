"""Mobs: what kinds there are, how they come, get hurt, die and what they leave. Numbers are Minecraft 1.16.5's.

What they want is in ``goals``, how they move in ``mob_motion``, where they come from by themselves in ``spawning``.
"""

import math
from typing import NamedTuple

import numpy as np

from minestudio_envs.voxel.blocks import COLOURS
from minestudio_envs.voxel.drops import drop_item
from minestudio_envs.voxel.game_data import ENTITIES
from minestudio_envs.voxel.items import ITEM_ID, NUM_ITEMS
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.randomness import draw, mix
from minestudio_envs.voxel.state import (
    CHICKEN,
    CUSTOM_ID,
    GAMERULE_ID,
    MOB_ID,
    MOBS,
    SHEEP,
    ZOMBIE,
)


class Loot(NamedTuple):
    """``low`` to ``high`` of an item, each number as likely as the others."""

    item: str
    low: int
    high: int
    cooked: str = ""  # what it is instead when the mob died burning


class MobKind(NamedTuple):
    name: str
    health: float
    width: float
    height: float
    eyes: float  # height above the feet
    speed: float  # the movement speed attribute
    panic: float = 0.0  # speed factor when hurt, 0 = does not flee
    tempt: float = 0.0  # speed factor behind a player who holds its food
    foods: tuple[str, ...] = ()
    look: float = 6.0  # blocks from which it looks at a player
    range: float = 0.0  # blocks from which it sees an enemy in a player, 0 = does not
    loot: tuple[Loot, ...] = ()
    parent: float = 1.1  # speed factor of a baby behind an adult


BOX = {name: (width, height) for name, (width, height, _) in ENTITIES.items()}
SEEDS = ("wheat_seeds", "melon_seeds", "pumpkin_seeds", "beetroot_seeds")
WOOL = "white_wool"  # stands for the sheep's colour
MOB_KINDS = (
    MobKind("none", 0, 0, 0, 0, 0),
    MobKind(
        *("cow", 10, *BOX["cow"], 1.3, 0.2, 2.0, 1.25, ("wheat",)),
        loot=(Loot("leather", 0, 2), Loot("beef", 1, 3, "cooked_beef")),
        parent=1.25,
    ),
    MobKind(
        *("pig", 10, *BOX["pig"], 0.765, 0.25, 1.25, 1.2, ("carrot", "potato", "beetroot")),
        loot=(Loot("porkchop", 1, 3, "cooked_porkchop"),),
    ),
    MobKind(
        *("sheep", 8, *BOX["sheep"], 1.235, 0.23, 1.25, 1.1, ("wheat",)),
        loot=(Loot(WOOL, 1, 1), Loot("mutton", 1, 2, "cooked_mutton")),
    ),
    MobKind(
        *("chicken", 4, *BOX["chicken"], 0.644, 0.25, 1.4, 1.0, SEEDS),
        loot=(Loot("feather", 0, 2), Loot("chicken", 1, 1, "cooked_chicken")),
    ),
    MobKind(
        *("zombie", 20, *BOX["zombie"], 1.74, 0.23),
        **{"look": 8, "range": 35, "loot": (Loot("rotten_flesh", 0, 2),)},
    ),
    MobKind(
        *("skeleton", 20, *BOX["skeleton"], 1.74, 0.25),
        **{"look": 8, "range": 16, "loot": (Loot("arrow", 0, 2), Loot("bone", 0, 2))},
    ),
)
assert tuple(kind.name for kind in MOB_KINDS) == MOBS
MAX_LOOT = 2

# Goals: animals flee, follow food, eat grass, and as babies their parents; monsters attack; all wander and look about.
GOAL_NONE, GOAL_WANDER, GOAL_PANIC, GOAL_LOOK_AT_PLAYER, GOAL_LOOK_AROUND, GOAL_FOLLOW, GOAL_EAT, GOAL_ATTACK = range(8)
GOAL_PARENT = 8

HURT_TICKS, IMMUNE_TICKS = 20, 10
PANIC_TICKS = 100
DEATH_TICKS = 20
ZOMBIE_ARMOUR = 2.0
BABY_AGE, BABY_SCALE = -24000, 0.5
FIRST_MONSTER = ZOMBIE
SHORN = 16  # in a sheep's variant, beside its colour
EGG_TICKS = 6000  # the fewest from egg to egg, and how many more there may be
RARE_LOOT_CHANCE = 0.025
RARE_LOOT = tuple(ITEM_ID[name] for name in ("iron_ingot", "carrot", "potato"))  # of zombies that a player killed
DO_MOB_LOOT, MOB_KILLS = GAMERULE_ID["doMobLoot"], CUSTOM_ID["mob_kills"]

# For tables.Tables.
LOOT = np.zeros((len(MOBS), MAX_LOOT, 4), np.int32)  # item, cooked item, fewest, most
BAIT = np.zeros(NUM_ITEMS, np.uint8)  # a bit per kind that follows who holds the item
for _kind in MOB_KINDS:
    for _i, _loot in enumerate(_kind.loot):
        LOOT[MOB_ID[_kind.name], _i] = (
            *(ITEM_ID[_loot.item], ITEM_ID[_loot.cooked or _loot.item]),
            *(_loot.low, _loot.high),
        )
    for _food in _kind.foods:
        BAIT[ITEM_ID[_food]] |= 1 << MOB_ID[_kind.name]
WOOL_ITEM = np.array([ITEM_ID[f"{colour}_wool"] for colour in COLOURS], np.int32)
WHITE_WOOL = ITEM_ID[WOOL]
# Colours of sheep that nobody chose: so many of 10000. The rest is white.
_SHEEP_COLOURS = {"black": 500, "gray": 500, "light_gray": 500, "brown": 300, "pink": 16}
SHEEP_COLOUR = np.zeros(10000, np.uint8)
_first = 0
for _colour, _count in _SHEEP_COLOURS.items():
    SHEEP_COLOUR[_first : _first + _count] = COLOURS.index(_colour)
    _first += _count


@device_function
def more_bits(bits, which):
    """Other random bits made of ``bits``."""
    return mix(bits + np.uint64(0x9E3779B97F4A7C15) * np.uint64(which + 1))


@device_function
def body(mobs, n, m, tables):
    """(half the width, height) of a mob; babies are half as large."""
    kind = mobs[n, m].kind
    scale = BABY_SCALE if mobs[n, m].age < 0 else 1.0
    return tables.mob_width[kind] * 0.5 * scale, tables.mob_height[kind] * scale


# COMING


@device_function
def free_slot(mobs, n):
    """The first free mob slot, -1 if there is none."""
    for m in range(mobs.shape[1]):
        if mobs[n, m].kind == 0:
            return m
    return -1


@device_function
def slot_that_gives_way(mobs, n, x, z):
    """The slot of the mob farthest from (x, z) that came by itself, -1 if there is none."""
    farthest, slot = -1.0, -1
    for m in range(mobs.shape[1]):
        if mobs[n, m].natural:
            dx, dz = mobs[n, m].position[0] - x, mobs[n, m].position[2] - z
            if dx * dx + dz * dz > farthest:
                farthest, slot = dx * dx + dz * dz, m
    return slot


@device_function
def spawn_mob(state, n, tables, kind, x, y, z, bits):
    """Puts an adult at (x, y, z) -> its slot. It never despawns; sheep are white.

    Without a free slot a mob that came by itself gives way; without one of those it counts a refusal, -1.
    """
    m = free_slot(state.mobs, n)
    if m < 0:
        m = slot_that_gives_way(state.mobs, n, state.player[n].position[0], state.player[n].position[2])
    if m < 0:
        state.statistics[n].mobs_refused += 1
        return m
    state.mobs[n, m].kind = kind
    state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2] = x, y, z
    for axis in range(3):
        state.mobs[n, m].previous_position[axis] = state.mobs[n, m].position[axis]
        state.mobs[n, m].target[axis] = state.mobs[n, m].position[axis]
        state.mobs[n, m].velocity[axis] = 0.0
    state.mobs[n, m].yaw = draw(bits, 3) * 2.0 * math.pi  # radians taken for degrees, as the game does
    state.mobs[n, m].head_yaw = state.mobs[n, m].yaw
    state.mobs[n, m].head_pitch = 0.0
    state.mobs[n, m].on_ground = 0
    state.mobs[n, m].fall_distance = 0.0
    state.mobs[n, m].health = tables.mob_health[kind]
    state.mobs[n, m].hurt_ticks = 0
    state.mobs[n, m].last_damage = 0.0
    state.mobs[n, m].panic_ticks = 0
    state.mobs[n, m].death_ticks = 0
    state.mobs[n, m].goal = GOAL_NONE
    state.mobs[n, m].goal_ticks = 0
    state.mobs[n, m].detour = 0
    state.mobs[n, m].walk = 0.0
    state.mobs[n, m].age = 0
    state.mobs[n, m].natural = 0
    state.mobs[n, m].variant = 0
    state.mobs[n, m].timer = 0
    state.mobs[n, m].fire_ticks = 0
    if kind == CHICKEN:
        state.mobs[n, m].timer = EGG_TICKS + int(EGG_TICKS * draw(bits, 2))
    return m


@device_function
def spawn_natural(state, n, tables, kind, x, y, z, bits):
    """``spawn_mob`` for one that comes by itself: only into a free slot, turned anywhere, sheep of any colour."""
    if free_slot(state.mobs, n) < 0:
        return -1
    m = spawn_mob(state, n, tables, kind, x, y, z, bits)
    state.mobs[n, m].natural = 1
    state.mobs[n, m].yaw = draw(bits, 1) * 360.0 - 180.0
    state.mobs[n, m].head_yaw = state.mobs[n, m].yaw
    if kind == SHEEP:
        state.mobs[n, m].variant = tables.sheep_colour[int(10000.0 * draw(bits, 0))]
    return m


# GETTING HURT, DYING


@device_function
def wound_mob(mobs, n, m, amount, armour):
    """Damage with the hurt window: 0 = no effect, 1 = only the excess over the last hit counted, 2 = a fresh hit.

    ``armour``: points that soften it, 0 = none, or damage that pierces.
    """
    if mobs[n, m].health <= 0.0:
        return 0
    fresh = mobs[n, m].hurt_ticks <= IMMUNE_TICKS
    if not fresh and amount <= mobs[n, m].last_damage:
        return 0
    taken = float(amount) if fresh else float(amount) - float(mobs[n, m].last_damage)
    taken *= 1.0 - max(armour - taken / 2.0, armour / 5.0) / 25.0
    mobs[n, m].health = max(np.float32(0.0), mobs[n, m].health - np.float32(taken))
    mobs[n, m].last_damage = amount
    if fresh:
        mobs[n, m].hurt_ticks = HURT_TICKS
    return 2 if fresh else 1


@device_function
def hurt_mob(mobs, n, m, amount, by_player):
    """A blow, which armour softens -> what wound_mob returns. Counting a player's kill is the caller's business."""
    result = wound_mob(mobs, n, m, amount, ZOMBIE_ARMOUR if mobs[n, m].kind == ZOMBIE else 0.0)
    if by_player and result > 0:
        mobs[n, m].panic_ticks = PANIC_TICKS
    return result


@device_function
def hurt_by_world(state, n, m, amount):
    """A fall, fire, lava, a cactus, an arrow. It is the player's kill when they hit the mob not long before."""
    result = wound_mob(state.mobs, n, m, np.float32(amount), 0.0)
    if result > 0 and state.mobs[n, m].health <= 0.0 and state.mobs[n, m].panic_ticks > 0:
        count_kill(state, n, state.mobs[n, m].kind)
    return result


@device_function
def count_kill(state, n, kind):
    """Enters a kill by the player into the statistics."""
    state.statistics[n].kill_entity[kind] += 1
    state.statistics[n].custom[MOB_KILLS] += 1


@device_function
def knock_back(mobs, n, m, strength, away_x, away_z):
    """Halves the velocity and adds ``strength`` along (away_x, away_z); from the ground also upwards."""
    length = math.sqrt(away_x * away_x + away_z * away_z)
    if length > 0.0:
        away_x, away_z = away_x / length, away_z / length
    mobs[n, m].velocity[0] = mobs[n, m].velocity[0] / 2.0 + away_x * strength
    mobs[n, m].velocity[2] = mobs[n, m].velocity[2] / 2.0 + away_z * strength
    if mobs[n, m].on_ground:
        mobs[n, m].velocity[1] = min(0.4, mobs[n, m].velocity[1] / 2.0 + strength)


@device_function
def leave_item(state, n, m, item, count, bits):
    """Drops ``count`` of an item where the mob is, with a small jump."""
    if count > 0:
        x, y, z = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
        vx, vz = 0.2 * draw(bits, 0) - 0.1, 0.2 * draw(bits, 1) - 0.1
        drop_item(state, n, item, count, 0, x, y, z, vx, 0.2, vz)


@device_function
def leave_loot(state, n, m, tables, bits):
    """What a mob that has just died leaves; babies leave nothing."""
    if state.world[n].gamerule[DO_MOB_LOOT] == 0 or state.mobs[n, m].age < 0:
        return
    kind = state.mobs[n, m].kind
    burning = 1 if state.mobs[n, m].fire_ticks > 0 else 0
    for i in range(MAX_LOOT):
        item, low, high = tables.mob_loot[kind, i, burning], tables.mob_loot[kind, i, 2], tables.mob_loot[kind, i, 3]
        if item == WHITE_WOOL:
            variant = int(state.mobs[n, m].variant)
            item, high = tables.wool_item[variant & 15], (high if variant < SHORN else 0)
            low = min(low, high)
        count = low + int(draw(bits, i) * (high - low + 1))
        leave_item(state, n, m, item, count, more_bits(bits, i))
    if kind == ZOMBIE and state.mobs[n, m].panic_ticks > 0 and draw(bits, 2) < RARE_LOOT_CHANCE:
        which = int(3.0 * draw(bits, 3))
        rare = RARE_LOOT[0] if which == 0 else (RARE_LOOT[1] if which == 1 else RARE_LOOT[2])
        leave_item(state, n, m, rare, 1, more_bits(bits, 3))
