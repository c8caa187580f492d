"""Animals: what they want, how they move, what hurts them; one tick at a time.

Speeds, chances and ranges are Minecraft 1.16.5's. There is no path search: an animal walks straight at its target,
jumps up single blocks, and gives a target up at a wall or a drop of more than three blocks.
"""

import math
from typing import NamedTuple

import numpy as np

from minestudio_envs.voxel.blocks import AIR
from minestudio_envs.voxel.collision import block_at, is_free, move_box
from minestudio_envs.voxel.game_data import ENTITIES
from minestudio_envs.voxel.jit import device_function, inlined_function
from minestudio_envs.voxel.physics import (
    AIR_DRAG,
    AIR_SPEED,
    DEGREES,
    GRAVITY,
    GROUND_DRAG,
    INPUT_SCALE,
    JUMP_VELOCITY,
    PLAYER_HALF_WIDTH,
    SAFE_FALL,
    SNEAKING_HEIGHT,
    STANDING_HEIGHT,
    STEP_HEIGHT,
    VERTICAL_DRAG,
    eye_height,
    still,
    wrap_degrees,
)
from minestudio_envs.voxel.randomness import STREAM_MOB, stream_bits, tick_bits
from minestudio_envs.voxel.state import MOBS


class MobKind(NamedTuple):
    name: str
    health: float
    width: float
    height: float
    speed: float  # the movement speed attribute
    panic: float  # speed factor when hurt, 0 = does not flee


BOX = {name: (width, height) for name, (width, height, _) in ENTITIES.items()}
MOB_KINDS = (
    MobKind("none", 0, 0, 0, 0, 0),
    MobKind("cow", 10, *BOX["cow"], 0.2, 2.0),
    MobKind("pig", 10, *BOX["pig"], 0.25, 1.25),
    MobKind("sheep", 8, *BOX["sheep"], 0.23, 1.25),
    MobKind("chicken", 4, *BOX["chicken"], 0.25, 1.4),
    MobKind("zombie", 20, *BOX["zombie"], 0.23, 0),
    MobKind("skeleton", 20, *BOX["skeleton"], 0.25, 0),
)
assert tuple(kind.name for kind in MOB_KINDS) == MOBS

GOAL_NONE, GOAL_WANDER, GOAL_PANIC, GOAL_LOOK_AT_PLAYER, GOAL_LOOK_AROUND = range(5)

HURT_TICKS, IMMUNE_TICKS = 20, 10
PANIC_TICKS = 100
DEATH_TICKS = 20
WANDER_CHANCE, WANDER_RANGE, WANDER_TICKS = 1 / 120, 10.0, 240
PANIC_RANGE, PANIC_GOAL_TICKS = 5.0, 60
LOOK_CHANCE, LOOK_RANGE = 0.02, 6.0
ARRIVED = 0.5  # horizontal distance at which a target counts as reached
HEAD_TURN, HEAD_LIMIT, BODY_TURN = 10.0, 75.0, 90.0  # degrees per tick, from the body, per tick
DEEPEST_STEP_DOWN = 3
PUSH = 0.05  # speed given by each of two overlapping bodies to the other in each one's tick


@device_function
def draw(bits, which):
    """The ``which``-th (0-3) of the four numbers in [0, 1) that 64 random bits hold."""
    return float((bits >> np.uint64(16 * which)) & np.uint64(0xFFFF)) * 2.0**-16


@device_function
def turn_towards(angle, target, limit):
    """``angle`` turned by at most ``limit`` degrees towards ``target``."""
    return wrap_degrees(angle + min(limit, max(-limit, wrap_degrees(target - angle))))


@device_function
def yaw_towards(dx, dz):
    return math.atan2(-dx, dz) / DEGREES


@device_function
def free_slot(mobs, n):
    """The first free mob slot, -1 if there is none."""
    for m in range(mobs.shape[1]):
        if mobs[n, m].kind == 0:
            return m
    return -1


@device_function
def spawn_mob(state, n, tables, kind, x, y, z, bits):
    """Puts an adult at (x, y, z); without a free slot it counts a refusal."""
    m = free_slot(state.mobs, n)
    if m < 0:
        state.statistics[n].mobs_refused += 1
        return
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
    state.mobs[n, m].walk = 0.0
    state.mobs[n, m].age = 0
    state.mobs[n, m].natural = 0
    state.mobs[n, m].variant = 0
    state.mobs[n, m].timer = 0
    state.mobs[n, m].fire_ticks = 0


@device_function
def hurt_mob(mobs, n, m, amount, by_player):
    """Damage with the hurt window: 0 = no effect, 1 = only the excess over the last hit counted, 2 = a fresh hit."""
    if mobs[n, m].health <= 0.0:
        return 0
    fresh = mobs[n, m].hurt_ticks <= IMMUNE_TICKS
    if not fresh and amount <= mobs[n, m].last_damage:
        return 0
    taken = amount if fresh else amount - mobs[n, m].last_damage
    mobs[n, m].health = max(np.float32(0.0), mobs[n, m].health - np.float32(taken))
    mobs[n, m].last_damage = amount
    if fresh:
        mobs[n, m].hurt_ticks = HURT_TICKS
    if by_player:
        mobs[n, m].panic_ticks = PANIC_TICKS
    return 2 if fresh else 1


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
def too_deep(voxels, n, x, y, z):
    """Whether the ground at (x, z) lies more than a safe drop below ``y``."""
    bx, by, bz = math.floor(x), math.floor(y), math.floor(z)
    for down in range(1, DEEPEST_STEP_DOWN + 2):
        if block_at(voxels, n, bx, by - down, bz) != AIR:
            return False
    return block_at(voxels, n, bx, by, bz) == AIR


@inlined_function
def choose_goal(state, n, m, tables, bits):
    """Starts a new goal for a living mob when it is time to."""
    kind = state.mobs[n, m].kind
    goal = state.mobs[n, m].goal
    left = state.mobs[n, m].goal_ticks
    x, z = state.mobs[n, m].position[0], state.mobs[n, m].position[2]
    if left > 0:
        left -= 1
    if left == 0:
        goal = GOAL_NONE
    scared = state.mobs[n, m].panic_ticks > 0 and tables.mob_panic[kind] > 0.0
    reach = 0.0
    if scared and goal != GOAL_PANIC:
        goal, left, reach = GOAL_PANIC, PANIC_GOAL_TICKS, PANIC_RANGE
    elif not scared and goal != GOAL_PANIC and goal != GOAL_WANDER:
        if draw(bits, 0) < WANDER_CHANCE:
            goal, left, reach = GOAL_WANDER, WANDER_TICKS, WANDER_RANGE
        elif goal == GOAL_NONE:
            u = draw(bits, 1)
            if u < LOOK_CHANCE:
                dx, dy = state.player[n].position[0] - x, state.player[n].position[1] - state.mobs[n, m].position[1]
                dz = state.player[n].position[2] - z
                if dx * dx + dy * dy + dz * dz < LOOK_RANGE * LOOK_RANGE:
                    goal, left = GOAL_LOOK_AT_PLAYER, 40 + int(40.0 * draw(bits, 2))
            elif u < 2.0 * LOOK_CHANCE:
                goal, left = GOAL_LOOK_AROUND, 20 + int(20.0 * draw(bits, 2))
                angle = 2.0 * math.pi * draw(bits, 3)
                state.mobs[n, m].target[0] = x + math.cos(angle)
                state.mobs[n, m].target[2] = z + math.sin(angle)
    if reach > 0.0:
        state.mobs[n, m].target[0] = x + (2.0 * draw(bits, 2) - 1.0) * reach
        state.mobs[n, m].target[2] = z + (2.0 * draw(bits, 3) - 1.0) * reach
    state.mobs[n, m].goal = goal
    state.mobs[n, m].goal_ticks = left


@inlined_function
def turn_head(state, n, m, tables):
    """Head and, when it stands, body turn towards what the mob looks at."""
    goal = state.mobs[n, m].goal
    body, head, pitch = float(state.mobs[n, m].yaw), float(state.mobs[n, m].head_yaw), 0.0
    if goal == GOAL_NONE and head == body and state.mobs[n, m].head_pitch == 0.0:
        return
    if goal == GOAL_LOOK_AT_PLAYER or goal == GOAL_LOOK_AROUND:
        if goal == GOAL_LOOK_AT_PLAYER:
            dx = state.player[n].position[0] - state.mobs[n, m].position[0]
            dz = state.player[n].position[2] - state.mobs[n, m].position[2]
            eyes = tables.mob_height[state.mobs[n, m].kind] * 0.93
            dy = (
                state.player[n].position[1] + eye_height(state.player[n].sneaking) - state.mobs[n, m].position[1] - eyes
            )
            pitch = -math.atan2(dy, math.sqrt(dx * dx + dz * dz)) / DEGREES
            pitch = min(40.0, max(-40.0, pitch))
        else:
            dx = state.mobs[n, m].target[0] - state.mobs[n, m].position[0]
            dz = state.mobs[n, m].target[2] - state.mobs[n, m].position[2]
        turned = turn_towards(head, yaw_towards(dx, dz), HEAD_TURN)
        # the body follows a head that has come to rest, or that is turned too far
        if abs(wrap_degrees(turned - head)) < 1.0:
            body = turn_towards(body, head, HEAD_TURN)
        else:
            off = wrap_degrees(body - turned)
            body = wrap_degrees(turned + min(HEAD_LIMIT, max(-HEAD_LIMIT, off)))
        head = turned
    elif head != body:
        head = turn_towards(head, body, HEAD_TURN)
    state.mobs[n, m].yaw = body
    state.mobs[n, m].head_yaw = head
    state.mobs[n, m].head_pitch = pitch


@inlined_function
def move_mob(state, n, m, tables):
    """One tick of walking towards the goal's target, jumping, and falling."""
    voxels, block_height = state.voxels, tables.block_height
    kind = state.mobs[n, m].kind
    half, height = tables.mob_width[kind] / 2.0, tables.mob_height[kind]
    x, y, z = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
    vx, vy, vz = (
        still(state.mobs[n, m].velocity[0]),
        still(state.mobs[n, m].velocity[1]),
        still(state.mobs[n, m].velocity[2]),
    )
    on_ground = state.mobs[n, m].on_ground != 0
    goal = state.mobs[n, m].goal

    # WALK
    walking = (goal == GOAL_WANDER or goal == GOAL_PANIC) and state.mobs[n, m].health > 0.0
    sin, cos = 0.0, 0.0
    if walking:
        to_x, to_z = state.mobs[n, m].target[0] - x, state.mobs[n, m].target[2] - z
        if to_x * to_x + to_z * to_z < ARRIVED * ARRIVED:
            state.mobs[n, m].goal_ticks = 0
            walking = False
        else:
            yaw = turn_towards(float(state.mobs[n, m].yaw), yaw_towards(to_x, to_z), BODY_TURN)
            state.mobs[n, m].yaw = yaw
            sin, cos = math.sin(yaw * DEGREES), math.cos(yaw * DEGREES)
            if on_ground and too_deep(voxels, n, x - sin * (half + 0.5), y, z + cos * (half + 0.5)):
                state.mobs[n, m].goal_ticks = 0
                walking = False
            else:
                speed = tables.mob_speed[kind] * (tables.mob_panic[kind] if goal == GOAL_PANIC else 1.0)
                acceleration = INPUT_SCALE * speed * (speed if on_ground else AIR_SPEED)
                vx -= sin * acceleration
                vz += cos * acceleration

    # MOVE
    mx, my, mz = move_box(voxels, n, block_height, x, y, z, half, height, STEP_HEIGHT, on_ground, vx, vy, vz)
    drag = GROUND_DRAG if on_ground else AIR_DRAG
    hit_wall = mx != vx or mz != vz
    on_ground = my != vy and vy < 0.0
    x, y, z = x + mx, y + my, z + mz
    if mx != vx:
        vx = 0.0
    if mz != vz:
        vz = 0.0
    if my != vy:
        vy = 0.0
    vx, vy, vz = vx * drag, (vy - GRAVITY) * VERTICAL_DRAG, vz * drag

    # OBSTACLES
    if walking and hit_wall and on_ground:
        ax, az = x - sin * 0.3, z + cos * 0.3
        if is_free(
            voxels, n, block_height, x - half, x + half, y + 1.0, y + 1.25 + height, z - half, z + half
        ) and is_free(voxels, n, block_height, ax - half, ax + half, y + 1.0, y + 1.0 + height, az - half, az + half):
            vy = JUMP_VELOCITY
        else:
            state.mobs[n, m].goal_ticks = 0

    # FALL
    fall = state.mobs[n, m].fall_distance
    if on_ground:
        if fall > SAFE_FALL:
            hurt_mob(state.mobs, n, m, np.float32(math.ceil(fall - SAFE_FALL)), False,
            )  # fmt: skip
        fall = 0.0
    elif my < 0.0:
        fall -= my

    if mx != 0.0 or mz != 0.0:
        state.mobs[n, m].walk += np.float32(math.sqrt(mx * mx + mz * mz))
    state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2] = x, y, z
    state.mobs[n, m].velocity[0], state.mobs[n, m].velocity[1], state.mobs[n, m].velocity[2] = vx, vy, vz
    state.mobs[n, m].on_ground = on_ground
    state.mobs[n, m].fall_distance = fall


@inlined_function
def tick_mob(state, n, m, tables, bits):
    """One tick of one mob: counters, goal, head, motion."""
    for axis in range(3):
        state.mobs[n, m].previous_position[axis] = state.mobs[n, m].position[axis]
    if state.mobs[n, m].hurt_ticks > 0:
        state.mobs[n, m].hurt_ticks -= 1
    if state.mobs[n, m].panic_ticks > 0:
        state.mobs[n, m].panic_ticks -= 1
    if state.mobs[n, m].health <= 0.0:
        state.mobs[n, m].death_ticks += 1
        if state.mobs[n, m].death_ticks >= DEATH_TICKS:
            state.mobs[n, m].kind = 0
            return
    else:
        choose_goal(state, n, m, tables, stream_bits(bits, STREAM_MOB + m))
        turn_head(state, n, m, tables)
    move_mob(state, n, m, tables)


@device_function
def push_apart(dx, dz):
    """Velocity that a body gives another one (dx, dz) away from it when they overlap."""
    largest = max(abs(dx), abs(dz))
    if largest < 0.01:
        return 0.0, 0.0
    largest = math.sqrt(largest)
    scale = PUSH * min(1.0, 1.0 / largest) / largest
    return dx * scale, dz * scale


@inlined_function
def push_bodies(state, n, tables):
    """Living bodies that overlap push each other apart: mobs in both ticks, the player in the mob's tick only."""
    px, py, pz = state.player[n].position[0], state.player[n].position[1], state.player[n].position[2]
    player_height = SNEAKING_HEIGHT if state.player[n].sneaking else STANDING_HEIGHT
    for m in range(state.mobs.shape[1]):
        kind = state.mobs[n, m].kind
        if kind == 0 or state.mobs[n, m].health <= 0.0:
            continue
        x, y, z = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
        half, height = tables.mob_width[kind] / 2.0, tables.mob_height[kind]
        apart = half + PLAYER_HALF_WIDTH
        if abs(px - x) < apart and abs(pz - z) < apart and py < y + height and y < py + player_height:
            ax, az = push_apart(px - x, pz - z)
            state.player[n].velocity[0] += ax
            state.player[n].velocity[2] += az
            state.mobs[n, m].velocity[0] -= 2.0 * ax
            state.mobs[n, m].velocity[2] -= 2.0 * az
        for other in range(m + 1, state.mobs.shape[1]):
            other_kind = state.mobs[n, other].kind
            if other_kind == 0 or state.mobs[n, other].health <= 0.0:
                continue
            apart = half + tables.mob_width[other_kind] / 2.0
            dx, dz = state.mobs[n, other].position[0] - x, state.mobs[n, other].position[2] - z
            if abs(dx) < apart and abs(dz) < apart:
                dy = state.mobs[n, other].position[1] - y
                if dy < height and -dy < tables.mob_height[other_kind]:
                    ax, az = push_apart(dx, dz)
                    state.mobs[n, other].velocity[0] += 2.0 * ax
                    state.mobs[n, other].velocity[2] += 2.0 * az
                    state.mobs[n, m].velocity[0] -= 2.0 * ax
                    state.mobs[n, m].velocity[2] -= 2.0 * az


@inlined_function
def bring_mobs_near(state, n):
    """Moves mobs by whole laps around the torus to where they are nearest to the player."""
    world_size = state.voxels.shape[1]
    for m in range(state.mobs.shape[1]):
        for axis in range(0, 3, 2):
            laps = math.floor((state.mobs[n, m].position[axis] - state.player[n].position[axis]) / world_size + 0.5)
            if state.mobs[n, m].kind != 0 and laps != 0:
                state.mobs[n, m].position[axis] -= laps * world_size
                state.mobs[n, m].previous_position[axis] -= laps * world_size
                state.mobs[n, m].target[axis] -= laps * world_size


@inlined_function
def tick_mobs(state, n, tables):
    """One tick of all mobs of environment ``n``."""
    bits = tick_bits(state.world[n].key, state.world[n].episode, state.world[n].tick)
    for m in range(state.mobs.shape[1]):
        if state.mobs[n, m].kind != 0:
            tick_mob(state, n, m, tables, bits)
    push_bodies(state, n, tables)
