"""The engine's whole state, as one NamedTuple of arrays whose leading axis is the environment.

On the CPU the arrays are NumPy's; on a GPU they are numba's device arrays. The engine's functions are device
functions (jit.py) ``f(state, n, ...)`` that read and write environment ``n``; a driver calls them from a ``prange``
loop (CPU) or a kernel (GPU). Nothing else is hidden anywhere: copying these arrays copies the engine.
What is small is kept in records, ``state.player[n].health``: few arrays, which numba compiles six times as fast as
one for each of the hundred fields. Outside of kernels ``views`` gives every field as an array, ``mob_health`` [N, M].

Coordinates are Minecraft's: x east, y up, z south; one unit is one block (one metre). Positions are absolute and
unbounded; the voxels are a torus of power-of-two sides, so block (x, y, z) is ``voxels[n, x & mask, z & mask, y]``.
Every tick begins by moving mobs by whole laps to where they are nearest to the player.
Time is in ticks of 1/20 s, angles in degrees: yaw 0 looks to +z (south), 90 to -x (west); pitch 90 looks down.
"""

from typing import NamedTuple

import numpy as np

from minestudio_envs.voxel.blocks import NUM_BLOCKS
from minestudio_envs.voxel.items import INVENTORY_SLOTS, NUM_ITEMS

WORLD_SIZE = 128  # blocks along x and z before the world repeats; a power of two
WORLD_HEIGHT = 64  # blocks along y; a column of uint8 is one cache line

MAX_DROPS = 64  # item entities lying about; a dead player leaves up to 42
MAX_ARROWS = 8
MAX_UPDATES = 256  # block updates that wait for their tick
WORD = 64  # blocks of a column per word of `cutouts`

MOBS = ("none", "cow", "pig", "sheep", "chicken", "zombie", "skeleton")
MOB_ID = {name: i for i, name in enumerate(MOBS)}
COW, PIG, SHEEP, CHICKEN, ZOMBIE, SKELETON = range(1, len(MOBS))

EFFECTS = (
    *("speed", "slowness", "haste", "mining_fatigue", "strength", "weakness", "jump_boost", "regeneration"),
    *("instant_health", "instant_damage", "resistance", "fire_resistance", "water_breathing", "night_vision"),
    *("hunger", "poison", "absorption", "saturation", "slow_falling"),
)
EFFECT_ID = {name: i for i, name in enumerate(EFFECTS)}

# Minecraft's custom statistics that the engine keeps.
CUSTOM_STATISTICS = (
    *("damage_dealt", "damage_taken", "deaths", "jump", "mob_kills", "drop", "play_one_minute", "time_since_death"),
    *("walk_one_cm", "sprint_one_cm", "crouch_one_cm", "swim_one_cm", "fall_one_cm", "walk_under_water_one_cm"),
    *("sneak_time", "open_container"),
)
CUSTOM_ID = {name: i for i, name in enumerate(CUSTOM_STATISTICS)}
DAMAGE_DEALT, DAMAGE_TAKEN, DEATHS, JUMP = (
    CUSTOM_ID[name] for name in ("damage_dealt", "damage_taken", "deaths", "jump")
)

# Game rules that change something here, with Minecraft's defaults (1 = true).
GAMERULES = {
    "doDaylightCycle": 1,
    "doMobSpawning": 1,
    "doMobLoot": 1,
    "doTileDrops": 1,
    "keepInventory": 0,
    "naturalRegeneration": 1,
    "fallDamage": 1,
    "drowningDamage": 1,
    "fireDamage": 1,
    "mobGriefing": 1,
    "doWeatherCycle": 1,
}
GAMERULE_ID = {name: i for i, name in enumerate(GAMERULES)}

WEATHERS = ("clear", "rain", "thunder")


def _record(*fields: tuple) -> np.dtype:
    return np.dtype(list(fields), align=True)


WORLD = _record(
    ("time_of_day", np.int32),  # 0-23999; 0 sunrise, 6000 noon
    ("weather", np.int32),  # WEATHERS
    ("weather_ticks", np.int32),  # until the weather changes by itself, 0 = never
    ("gamerule", np.int32, len(GAMERULES)),
    ("key", np.int64),  # randomness.environment_key
    ("episode", np.int64),  # episodes begun since the key was set, the first is 0
    ("tick", np.int64),  # ticks since the episode's world was made
    ("pending_updates", np.int32),  # how many of `updates` wait; they are the first
    ("drop_slots", np.int32),  # item entities are in slots below this one
)
PLAYER = _record(
    ("position", np.float64, 3),  # the feet
    ("previous_position", np.float64, 3),  # at the start of the last tick; what is drawn
    ("velocity", np.float64, 3),  # blocks per tick
    ("yaw", np.float32),
    ("pitch", np.float32),  # within +-90
    ("on_ground", np.uint8),
    ("sprinting", np.uint8),
    ("sneaking", np.uint8),
    ("jump_delay", np.int32),  # ticks before a held jump key jumps again
    ("sprint_window", np.int32),  # ticks in which a second press of forward starts a sprint
    ("fall_distance", np.float64),
    ("spawn", np.float64, 3),  # where a dead player comes back
    ("health", np.float32),  # 0-20
    ("food", np.int32),  # 0-20
    ("saturation", np.float32),  # used up before food is
    ("exhaustion", np.float32),  # at 4 it costs a point of saturation or food
    ("heal_ticks", np.int32),  # ticks towards the next natural healing
    ("hurt_ticks", np.int32),  # counts down from 10 after damage; the view tilts
    ("immune_ticks", np.int32),  # counts down from 20 after damage; above 10 only more damage counts
    ("last_damage", np.float32),  # of the hit that opened the window
    ("damage_taken", np.int32),  # in tenths, since it was last counted
    ("armour_wear", np.int32),  # uses that each piece of armour has still to lose
    ("absorption", np.float32),  # health points beyond the 20
    ("air", np.int32),  # 300 above water, bubbles; drowns below 0
    ("fire_ticks", np.int32),  # ticks left on fire
    ("in_water", np.uint8),  # whether the body touches water
    ("dig_block", np.int64, 3),  # the block being mined; y is collision.NO_BLOCK while there is none
    ("dig_progress", np.float64),  # 0 to 1; the block breaks at 1
    ("dig_delay", np.int32),  # ticks until the next block can be begun
    ("miss_ticks", np.int32),  # ticks in which a held attack does nothing, after a click on nothing
    ("use_delay", np.int32),  # ticks until a held use key acts again
    ("eat_ticks", np.int32),  # ticks into eating what is in the hand
    ("attack_ticks", np.int32),  # ticks since the last swing, the attack's charge
    ("swing_ticks", np.int32),  # 0 = arm at rest, else ticks into the 6-tick swing
    ("selected", np.int32),  # hotbar slot 0-8
    ("held_item", np.int32),  # item in hand at the last tick; a change restarts the attack's charge
    ("inventory_item", np.int32, INVENTORY_SLOTS),  # item ids, 0 = empty
    ("inventory_count", np.int32, INVENTORY_SLOTS),
    ("inventory_damage", np.int32, INVENTORY_SLOTS),  # uses that a tool has behind it
    ("gui_open", np.uint8),  # whether the inventory screen is open
    ("cursor", np.float32, 2),  # x, y in the window of 640 x 360, of the open screen's cursor
    ("cursor_item", np.int32),  # the stack that hangs on the cursor
    ("cursor_count", np.int32),
    ("cursor_damage", np.int32),
    ("effect_ticks", np.int32, len(EFFECTS)),  # ticks left, 0 = none
    ("effect_amplifier", np.int32, len(EFFECTS)),  # level - 1
    ("pressed", np.uint8, 20),  # buttons of the last tick, for rising edges
)
MOB = _record(
    ("kind", np.uint8),  # 0 = free
    ("position", np.float64, 3),  # the feet
    ("previous_position", np.float64, 3),
    ("velocity", np.float64, 3),
    ("yaw", np.float32),  # of the body, and of the movement
    ("head_yaw", np.float32),  # absolute
    ("head_pitch", np.float32),
    ("on_ground", np.uint8),
    ("fall_distance", np.float64),
    ("health", np.float32),
    ("hurt_ticks", np.int32),  # counts down from 20 after a hit; above 10 it is immune, and red
    ("last_damage", np.float32),  # of the hit that opened the window
    ("panic_ticks", np.int32),  # counts down from 100 after a player's hit; below 0 up: food does not tempt it
    ("death_ticks", np.int32),  # 0 = alive, else ticks lying, removed at 20
    ("goal", np.uint8),  # what it does now, mobs.GOAL_*
    ("goal_ticks", np.int32),  # ticks the goal may still take
    ("detour", np.int32),  # ticks it still walks to the left (above 0) or right (below) of something in its way
    ("target", np.float64, 3),  # where the goal leads
    ("walk", np.float32),  # distance walked, drives the legs
    ("age", np.int32),  # below 0 it is a baby, so many ticks; of natural monsters: ticks far from the player
    ("natural", np.uint8),  # came by itself, so it may despawn
    ("variant", np.uint8),  # of sheep: colour (blocks.COLOURS) | 16 when shorn
    ("timer", np.int32),  # ticks to a chicken's next egg, a zombie's next blow, a skeleton's next arrow
    ("fire_ticks", np.int32),
)
ARROW = _record(
    ("ticks", np.int32),  # ticks it exists, 0 = free
    ("position", np.float64, 3),
    ("previous_position", np.float64, 3),
    ("velocity", np.float64, 3),
    ("stuck", np.uint8),  # in a block
)
DROP = _record(
    ("item", np.int32),  # 0 = free
    ("count", np.int32),
    ("damage", np.int32),
    ("position", np.float64, 3),  # middle of the bottom
    ("previous_position", np.float64, 3),
    ("velocity", np.float64, 3),
    ("age", np.int32),  # gone at 6000
    ("delay", np.int32),  # ticks until it can be picked up
    ("on_ground", np.uint8),
)
UPDATE = _record(
    ("place", np.int32),  # block (x & mask, z & mask, y) as one index into voxels[n]
    ("tick", np.int64),  # when it is due
)
STATISTICS = _record(
    ("kill_entity", np.int32, len(MOBS)),  # kills by the player
    ("mine_block", np.int32, NUM_BLOCKS),  # blocks broken by the player, by the first id of their name
    ("pickup", np.int32, NUM_ITEMS),  # items picked up from the ground
    ("use_item", np.int32, NUM_ITEMS),  # blocks placed, food eaten, hits and blocks dug with a tool
    ("break_item", np.int32, NUM_ITEMS),  # tools used up
    ("custom", np.int32, len(CUSTOM_STATISTICS)),
    ("distance", np.float64),  # moved and not yet counted, in cm
    ("mobs_refused", np.int32),  # summons for which no slot was free
)


class State(NamedTuple):
    voxels: np.ndarray  # uint8 [N, S, S, H]: block ids, x then z then y
    height: np.ndarray  # uint8 [N, S, S]: 1 + y of the highest liquid or opaque block
    cutouts: np.ndarray  # uint64 [N, S, S, H / 64]: bit y is set where a cutout block (blocks.py) is
    light: np.ndarray  # uint8 [N, S, S, H]: sky light << 4 | block light, both 0-15
    biome: np.ndarray  # uint8 [N, S, S]: biomes.BIOMES, per column
    world: np.ndarray  # WORLD [N]
    player: np.ndarray  # PLAYER [N]
    mobs: np.ndarray  # MOB [N, M]
    arrows: np.ndarray  # ARROW [N, MAX_ARROWS]
    drops: np.ndarray  # DROP [N, MAX_DROPS]: item entities
    updates: np.ndarray  # UPDATE [N, MAX_UPDATES]: of blocks
    scratch: np.ndarray  # uint64 [N, K]: work space of terrain.py and light.py, means nothing between two calls
    statistics: np.ndarray  # STATISTICS [N]: since the episode began, as Minecraft counts them


# What the names of a record's fields begin with among the views.
PREFIX = {"mobs": "mob_", "arrows": "arrow_", "drops": "drop_", "updates": "update_"}


def views(state: State) -> dict[str, np.ndarray]:
    """Every field as an array that shares the state's memory: ``health`` [N], ``mob_position`` [N, M, 3], ..."""
    fields = {}
    for name, array in state._asdict().items():
        fields |= array_views(name, array)
    return fields


def array_views(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """``views`` of one array of a State."""
    if array.dtype.names is None:
        return {name: array}
    return {PREFIX.get(name, "") + field: np.asarray(array[field]) for field in array.dtype.names}


def without_remains(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``views``, or a snapshot, with zeros for what means nothing: free slots, and what a closed screen or an end to
    digging left behind. What is in those depends on what was there before, whatever the episode."""
    used = {
        "mob_": fields["mob_kind"] > 0,
        "arrow_": fields["arrow_ticks"] > 0,
        "drop_": fields["drop_item"] > 0,
        "cursor": fields["gui_open"] > 0,
        "dig_block": fields["dig_progress"] > 0,
    }
    kept = {}
    for name, array in fields.items():
        mask = next((mask for prefix, mask in used.items() if name.startswith(prefix)), None)
        if mask is not None and array.shape[: mask.ndim] == mask.shape:
            array = np.where(mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim)), array, 0)
        kept[name] = array
    return kept


def allocate(num_envs: int, max_mobs: int, world_size: int = WORLD_SIZE, world_height: int = WORLD_HEIGHT) -> State:
    """A State of zeros for ``num_envs`` environments with room for ``max_mobs`` mobs each.

    engine.check_world says which sizes of the world there may be.
    """
    n, size = num_envs, world_size

    def records(dtype: np.dtype, *shape: int) -> np.recarray:
        return np.zeros(shape, dtype).view(np.recarray)

    return State(
        voxels=np.zeros((n, size, size, world_height), np.uint8),
        height=np.zeros((n, size, size), np.uint8),
        cutouts=np.zeros((n, size, size, world_height // WORD), np.uint64),
        light=np.zeros((n, size, size, world_height), np.uint8),
        biome=np.zeros((n, size, size), np.uint8),
        world=records(WORLD, n),
        player=records(PLAYER, n),
        mobs=records(MOB, n, max_mobs),
        arrows=records(ARROW, n, MAX_ARROWS),
        drops=records(DROP, n, MAX_DROPS),
        updates=records(UPDATE, n, MAX_UPDATES),
        scratch=np.zeros((n, max(4 * size * size * (world_height // WORD), 1 << 15)), np.uint64),
        statistics=records(STATISTICS, n),
    )
