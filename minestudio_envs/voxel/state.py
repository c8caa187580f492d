"""The engine's whole state, as one NamedTuple of arrays: structure of arrays, leading axis = environment.

On the CPU the arrays are NumPy's; on a GPU they will be device arrays. The engine's functions are plain
``numba.njit`` functions ``f(state, n, ...)`` that read and write environment ``n``; a driver calls them from a
``prange`` loop (CPU) or a kernel (GPU). Nothing else is hidden anywhere: copying these arrays copies the engine.

Coordinates are Minecraft's: x east, y up, z south; one unit is one block (one metre). Positions are absolute and
unbounded; the voxels are a torus of power-of-two sides, so block (x, y, z) is ``voxels[n, x & mask, z & mask, y]``.
Every tick begins by moving mobs by whole laps to where they are nearest to the player.
Time is in ticks of 1/20 s, angles in degrees: yaw 0 looks to +z (south), 90 to -x (west); pitch 90 looks down.
"""

from typing import NamedTuple

import numpy as np

from minestudio_envs.voxel.items import INVENTORY_SLOTS

WORLD_SIZE = 128  # blocks along x and z before the world repeats; a power of two
WORLD_HEIGHT = 64  # blocks along y; a column of uint8 is one cache line

MOBS = ("none", "cow")
MOB_ID = {name: i for i, name in enumerate(MOBS)}
COW = MOB_ID["cow"]

EFFECTS = ("speed", "slowness", "strength", "weakness", "jump_boost", "regeneration")
EFFECT_ID = {name: i for i, name in enumerate(EFFECTS)}


class State(NamedTuple):
    # world
    voxels: np.ndarray  # uint8 [N, S, S, H]: block ids, x then z then y
    height: np.ndarray  # uint8 [N, S, S]: 1 + y of the highest block that is not air
    time_of_day: np.ndarray  # int32 [N]: 0-23999; 0 sunrise, 6000 noon
    # identity of the random numbers
    key: np.ndarray  # int64 [N]: randomness.environment_key
    episode: np.ndarray  # int64 [N]: episodes begun since the key was set, the first is 0
    tick: np.ndarray  # int64 [N]: ticks since the episode's world was made
    # player
    position: np.ndarray  # float64 [N, 3]: the feet
    previous_position: np.ndarray  # float64 [N, 3]: at the start of the last tick; what is drawn
    velocity: np.ndarray  # float64 [N, 3]: blocks per tick
    yaw: np.ndarray  # float32 [N]
    pitch: np.ndarray  # float32 [N]: within +-90
    on_ground: np.ndarray  # uint8 [N]
    sprinting: np.ndarray  # uint8 [N]
    sneaking: np.ndarray  # uint8 [N]
    jump_delay: np.ndarray  # int32 [N]: ticks before a held jump key jumps again
    sprint_window: np.ndarray  # int32 [N]: ticks in which a second press of forward starts a sprint
    fall_distance: np.ndarray  # float64 [N]
    spawn: np.ndarray  # float64 [N, 3]: where a dead player comes back
    health: np.ndarray  # float32 [N]: 0-20
    food: np.ndarray  # int32 [N]: 0-20
    saturation: np.ndarray  # float32 [N]: used up before food is
    exhaustion: np.ndarray  # float32 [N]: at 4 it costs a point of saturation or food
    heal_ticks: np.ndarray  # int32 [N]: ticks towards the next natural healing
    hurt_ticks: np.ndarray  # int32 [N]: counts down from 10 after damage; the view tilts
    attack_ticks: np.ndarray  # int32 [N]: ticks since the last swing, the attack's charge
    swing_ticks: np.ndarray  # int32 [N]: 0 = arm at rest, else ticks into the 6-tick swing
    selected: np.ndarray  # int32 [N]: hotbar slot 0-8
    held_item: np.ndarray  # int32 [N]: item in hand at the last tick; a change restarts the attack's charge
    inventory_item: np.ndarray  # int32 [N, 41]: item ids, 0 = empty
    inventory_count: np.ndarray  # int32 [N, 41]
    effect_ticks: np.ndarray  # int32 [N, len(EFFECTS)]: ticks left, 0 = none
    effect_amplifier: np.ndarray  # int32 [N, len(EFFECTS)]: level - 1
    pressed: np.ndarray  # uint8 [N, 20]: buttons of the last tick, for rising edges
    # mobs
    mob_kind: np.ndarray  # uint8 [N, M]: 0 = free
    mob_position: np.ndarray  # float64 [N, M, 3]: the feet
    mob_previous_position: np.ndarray  # float64 [N, M, 3]
    mob_velocity: np.ndarray  # float64 [N, M, 3]
    mob_yaw: np.ndarray  # float32 [N, M]: of the body, and of the movement
    mob_head_yaw: np.ndarray  # float32 [N, M]: absolute
    mob_head_pitch: np.ndarray  # float32 [N, M]
    mob_on_ground: np.ndarray  # uint8 [N, M]
    mob_fall_distance: np.ndarray  # float64 [N, M]
    mob_health: np.ndarray  # float32 [N, M]
    mob_hurt_ticks: np.ndarray  # int32 [N, M]: counts down from 20 after a hit; above 10 it is immune, and red
    mob_last_damage: np.ndarray  # float32 [N, M]: of the hit that opened the window
    mob_panic_ticks: np.ndarray  # int32 [N, M]: counts down from 100 after a hit
    mob_death_ticks: np.ndarray  # int32 [N, M]: 0 = alive, else ticks lying, removed at 20
    mob_goal: np.ndarray  # uint8 [N, M]: what it does now, mobs.GOAL_*
    mob_goal_ticks: np.ndarray  # int32 [N, M]: ticks the goal may still take
    mob_target: np.ndarray  # float64 [N, M, 3]: where the goal leads
    mob_walk: np.ndarray  # float32 [N, M]: distance walked, drives the legs
    # statistics since the episode began, as Minecraft counts them
    kill_entity: np.ndarray  # int32 [N, len(MOBS)]: kills by the player
    damage_dealt: np.ndarray  # int32 [N]: in tenths of a health point
    deaths: np.ndarray  # int32 [N]
    jumps: np.ndarray  # int32 [N]
    # what went wrong without stopping anything
    mobs_refused: np.ndarray  # int32 [N]: summons for which no slot was free


def allocate(num_envs: int, max_mobs: int, world_size: int = WORLD_SIZE, world_height: int = WORLD_HEIGHT) -> State:
    """A State of zeros for ``num_envs`` environments with room for ``max_mobs`` mobs each."""
    if world_size & (world_size - 1) or world_height & (world_height - 1):
        raise ValueError(f"world_size={world_size} and world_height={world_height} must be powers of two")
    n, m = num_envs, max_mobs
    shapes = {
        "voxels": ((n, world_size, world_size, world_height), np.uint8),
        "height": ((n, world_size, world_size), np.uint8),
        "time_of_day": ((n,), np.int32),
        **{name: ((n,), np.int64) for name in ("key", "episode", "tick")},
        **{name: ((n, 3), np.float64) for name in ("position", "previous_position", "velocity", "spawn")},
        **{name: ((n,), np.float32) for name in ("yaw", "pitch", "health", "saturation", "exhaustion")},
        **{name: ((n,), np.uint8) for name in ("on_ground", "sprinting", "sneaking")},
        "fall_distance": ((n,), np.float64),
        **{
            name: ((n,), np.int32)
            for name in (
                *("jump_delay", "sprint_window", "food", "heal_ticks", "hurt_ticks", "attack_ticks", "swing_ticks"),
                *("selected", "held_item"),
                *("damage_dealt", "deaths", "jumps", "mobs_refused"),
            )
        },
        **{name: ((n, INVENTORY_SLOTS), np.int32) for name in ("inventory_item", "inventory_count")},
        **{name: ((n, len(EFFECTS)), np.int32) for name in ("effect_ticks", "effect_amplifier")},
        "pressed": ((n, 20), np.uint8),
        **{name: ((n, m), np.uint8) for name in ("mob_kind", "mob_on_ground", "mob_goal")},
        **{
            name: ((n, m, 3), np.float64)
            for name in ("mob_position", "mob_previous_position", "mob_velocity", "mob_target")
        },
        **{
            name: ((n, m), np.float32)
            for name in ("mob_yaw", "mob_head_yaw", "mob_head_pitch", "mob_health", "mob_last_damage", "mob_walk")
        },
        "mob_fall_distance": ((n, m), np.float64),
        **{
            name: ((n, m), np.int32)
            for name in ("mob_hurt_ticks", "mob_panic_ticks", "mob_death_ticks", "mob_goal_ticks")
        },
        "kill_entity": ((n, len(MOBS)), np.int32),
    }
    return State(**{name: np.zeros(*shapes[name]) for name in State._fields})
