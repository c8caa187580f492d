"""Arrows: how they fly, what they hit (Minecraft 1.16.5). Only skeletons shoot them; nobody can pick them up."""

import math

import numpy as np

from minestudio_envs.voxel.blocks import FIRST_LIQUID, LAST_WATER
from minestudio_envs.voxel.collision import block_at, is_free, ray_to_box, ray_to_solid
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.mobs import body, count_kill, hurt_mob, knock_back
from minestudio_envs.voxel.physics import STOPPED_BY_ARMOUR, hurt_player
from minestudio_envs.voxel.player_body import PLAYER_HALF_WIDTH, body_height
from minestudio_envs.voxel.randomness import STREAM_ARROW, draw, random_bits

ARROW_GRAVITY, ARROW_DRAG, ARROW_WATER_DRAG = 0.05, 0.99, 0.6
ARROW_STAYS = 1200  # ticks in a block
ARROW_KNOCKBACK = 0.4
TARGET_MARGIN = 0.3  # by which bodies are larger for arrows
STUCK_OUT = 0.05  # blocks that an arrow's point stays out of what it hit
SPREAD = 0.0075  # of a shot's direction, per point of inaccuracy
DIFFICULTY = 3  # hard
HARD_DAMAGE = 1.5  # factor of what mobs do to players
DAMAGE, DAMAGE_SPREAD, DAMAGE_PER_DIFFICULTY = 2.0, 0.25, 0.11  # health points per block per tick
LOST_HEIGHT = -64.0


@device_function
def gaussians(bits):
    """Two independent standard normal numbers from the low half of the bits (Box and Muller, 1958)."""
    radius = math.sqrt(-2.0 * math.log(draw(bits, 0) + 2.0**-17))
    angle = 2.0 * math.pi * draw(bits, 1)
    return radius * math.cos(angle), radius * math.sin(angle)


@device_function
def shoot_arrow(arrows, n, x, y, z, dx, dy, dz, speed, inaccuracy, bits):
    """An arrow from (x, y, z) along (dx, dy, dz), which need not have length 1; the oldest makes room if it must."""
    slot = 0
    for i in range(arrows.shape[1]):
        if arrows[n, i].ticks == 0:
            slot = i
            break
        if arrows[n, i].ticks > arrows[n, slot].ticks:
            slot = i
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    g0, g1 = gaussians(bits)
    g2, _ = gaussians(bits >> np.uint64(32))
    spread = SPREAD * inaccuracy
    arrows[n, slot].velocity[0] = (dx / length + g0 * spread) * speed
    arrows[n, slot].velocity[1] = (dy / length + g1 * spread) * speed
    arrows[n, slot].velocity[2] = (dz / length + g2 * spread) * speed
    arrows[n, slot].position[0], arrows[n, slot].position[1], arrows[n, slot].position[2] = x, y, z
    for axis in range(3):
        arrows[n, slot].previous_position[axis] = arrows[n, slot].position[axis]
    arrows[n, slot].stuck = 0
    arrows[n, slot].ticks = 1


@device_function
def strike_player(state, n, tables, i, amount):
    """The arrow in slot ``i`` hits the player."""
    vx, vz = state.arrows[n, i].velocity[0], state.arrows[n, i].velocity[2]
    from_x, from_z = state.player[n].position[0] - vx, state.player[n].position[2] - vz
    hurt_player(state.player, n, tables, amount * HARD_DAMAGE, from_x, from_z, STOPPED_BY_ARMOUR)


@device_function
def strike_mob(state, n, i, m, amount):
    """The arrow in slot ``i`` hits mob ``m``."""
    result = hurt_mob(state.mobs, n, m, np.float32(amount), False)
    if result == 2:
        knock_back(state.mobs, n, m, ARROW_KNOCKBACK, state.arrows[n, i].velocity[0], state.arrows[n, i].velocity[2])
    if result > 0 and state.mobs[n, m].health <= 0.0 and state.mobs[n, m].panic_ticks > 0:
        count_kill(state, n, state.mobs[n, m].kind)


@device_function
def fly(state, n, tables, i):
    """One tick of a flying arrow: to the first body or block in its way, or on."""
    x, y, z = state.arrows[n, i].position[0], state.arrows[n, i].position[1], state.arrows[n, i].position[2]
    vx, vy, vz = state.arrows[n, i].velocity[0], state.arrows[n, i].velocity[1], state.arrows[n, i].velocity[2]
    speed = math.sqrt(vx * vx + vy * vy + vz * vz)
    if speed < 1e-9 or y < LOST_HEIGHT:
        state.arrows[n, i].ticks = 0
        return
    dx, dy, dz = vx / speed, vy / speed, vz / speed
    way = ray_to_solid(state.voxels, n, tables.block_height, x, y, z, dx, dy, dz, speed)

    nearest, hit = way, -1  # -1: no body, -2: the player
    px, py, pz = state.player[n].position[0], state.player[n].position[1], state.player[n].position[2]
    side = PLAYER_HALF_WIDTH + TARGET_MARGIN
    top = py + body_height(state.player[n].sneaking) + TARGET_MARGIN
    distance = ray_to_box(x, y, z, dx, dy, dz, px - side, px + side, py - TARGET_MARGIN, top, pz - side, pz + side)
    if 0.0 <= distance < nearest and state.player[n].health > 0.0:
        nearest, hit = distance, -2
    for m in range(state.mobs.shape[1]):
        if state.mobs[n, m].kind == 0 or state.mobs[n, m].health <= 0.0:
            continue
        mx, my, mz = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
        if abs(mx - x) > speed + 2.0 or abs(mz - z) > speed + 2.0:
            continue
        half, height = body(state.mobs, n, m, tables)
        side = half + TARGET_MARGIN
        low, high = my - TARGET_MARGIN, my + height + TARGET_MARGIN
        distance = ray_to_box(x, y, z, dx, dy, dz, mx - side, mx + side, low, high, mz - side, mz + side)
        if 0.0 < distance < nearest:  # 0: it has not yet left the one who shot it
            nearest, hit = distance, m

    if hit != -1:
        bits = random_bits(state.world[n].key, state.world[n].episode, state.world[n].tick, STREAM_ARROW + i)
        g, _ = gaussians(bits)
        amount = math.ceil(max(0.0, speed * (DAMAGE + DAMAGE_SPREAD * g + DAMAGE_PER_DIFFICULTY * DIFFICULTY)))
        if hit == -2:
            strike_player(state, n, tables, i, amount)
        else:
            strike_mob(state, n, i, hit, amount)
        state.arrows[n, i].ticks = 0
        return
    if way < speed:
        way -= STUCK_OUT
        state.arrows[n, i].stuck = 1
        state.arrows[n, i].ticks = 1
    else:
        feet = block_at(state.voxels, n, math.floor(x), math.floor(y), math.floor(z))
        drag = ARROW_WATER_DRAG if FIRST_LIQUID <= feet <= LAST_WATER else ARROW_DRAG
        state.arrows[n, i].velocity[0] = vx * drag
        state.arrows[n, i].velocity[1] = vy * drag - ARROW_GRAVITY
        state.arrows[n, i].velocity[2] = vz * drag
    state.arrows[n, i].position[0] = x + dx * way
    state.arrows[n, i].position[1] = y + dy * way
    state.arrows[n, i].position[2] = z + dz * way


@device_function
def tick_arrows(state, n, tables):
    """One tick of all arrows. What is stuck keeps its velocity, as the direction it points in."""
    for i in range(state.arrows.shape[1]):
        if state.arrows[n, i].ticks == 0:
            continue
        for axis in range(3):
            state.arrows[n, i].previous_position[axis] = state.arrows[n, i].position[axis]
        state.arrows[n, i].ticks += 1
        if not state.arrows[n, i].stuck:
            fly(state, n, tables, i)
            continue
        x, y, z = state.arrows[n, i].position[0], state.arrows[n, i].position[1], state.arrows[n, i].position[2]
        if state.arrows[n, i].ticks > ARROW_STAYS:
            state.arrows[n, i].ticks = 0
        elif is_free(
            state.voxels, n, tables.block_height, x - 0.06, x + 0.06, y - 0.06, y + 0.06, z - 0.06, z + 0.06
        ):  # the block is gone: it falls
            state.arrows[n, i].stuck = 0
            for axis in range(3):
                state.arrows[n, i].velocity[axis] *= 0.05
