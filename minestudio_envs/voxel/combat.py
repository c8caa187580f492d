"""The player's attack: what is under the crosshair, charge, damage, knockback, kills (Minecraft 1.16.5)."""

import math

import numpy as np

from minestudio_envs.voxel.collision import ray_to_block, ray_to_box
from minestudio_envs.voxel.jit import device_function, inlined_function
from minestudio_envs.voxel.mobs import hurt_mob, knock_back
from minestudio_envs.voxel.physics import (
    ATTACK,
    DEGREES,
    STRENGTH,
    WALK_SPEED,
    WEAKNESS,
    effect_level,
    eye_height,
)

BLOCK_REACH, ENTITY_REACH = 4.5, 3.0
CHARGED = 0.9  # attacks charged further can be critical, sweep, or knock back from a sprint
CRITICAL = 1.5
KNOCKBACK, SPRINT_KNOCKBACK = 0.4, 0.5
SWEEP_DAMAGE, SWEEP_SIDE, SWEEP_UP, SWEEP_REACH = 1.0, 1.0, 0.25, 3.0
NOTHING, BLOCK = -1, -2


@inlined_function
def look_at(state, n, tables):
    """What the crosshair is on: a mob's slot, BLOCK or NOTHING. Out of an attack's reach a mob is NOTHING."""
    yaw, pitch = state.yaw[n] * DEGREES, state.pitch[n] * DEGREES
    dx, dy, dz = -math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch)
    x, y, z = state.position[n, 0], state.position[n, 1] + eye_height(state.sneaking[n]), state.position[n, 2]
    nearest = ray_to_block(state.voxels, n, x, y, z, dx, dy, dz, BLOCK_REACH)
    seen = BLOCK if nearest < BLOCK_REACH else NOTHING
    for m in range(state.mob_kind.shape[1]):
        kind = state.mob_kind[n, m]
        if kind == 0:
            continue
        mx, my, mz = state.mob_position[n, m, 0], state.mob_position[n, m, 1], state.mob_position[n, m, 2]
        half, height = tables.mob_width[kind] / 2.0, tables.mob_height[kind]
        distance = ray_to_box(x, y, z, dx, dy, dz, mx - half, mx + half, my, my + height, mz - half, mz + half)
        if 0.0 <= distance < nearest:
            nearest = distance
            seen = m if distance <= ENTITY_REACH else NOTHING
    return seen


@device_function
def charge(ticks, charge_ticks):
    """How charged an attack is, 0 to 1, ``ticks`` after the last one."""
    return min(1.0, (ticks + 0.5) / charge_ticks)


@inlined_function
def strike(state, n, tables, target):
    """Hits the mob in slot ``target`` with what is in the hand."""
    item = state.inventory_item[n, state.selected[n]]
    charged = charge(state.attack_ticks[n], tables.attack_charge_ticks[item])
    strength = effect_level(state.effect_ticks, state.effect_amplifier, n, STRENGTH)
    weakness = effect_level(state.effect_ticks, state.effect_amplifier, n, WEAKNESS)
    damage = max(0.0, float(tables.attack_damage[item]) + 3.0 * strength - 4.0 * weakness)
    damage *= 0.2 + 0.8 * charged * charged
    state.attack_ticks[n] = 0
    if damage <= 0.0:
        return

    sprint_hit = charged > CHARGED and state.sprinting[n] != 0
    critical = charged > CHARGED and not sprint_hit and state.fall_distance[n] > 0.0 and not state.on_ground[n]
    if critical:
        damage *= CRITICAL
    vx, vz = state.velocity[n, 0], state.velocity[n, 2]
    moved_x = state.position[n, 0] - state.previous_position[n, 0]
    moved_z = state.position[n, 2] - state.previous_position[n, 2]
    slow = 0.6 * math.sqrt(moved_x * moved_x + moved_z * moved_z) < WALK_SPEED
    on_ground = state.on_ground[n] != 0
    sweep = charged > CHARGED and not critical and not sprint_hit and on_ground and slow and tables.is_sword[item] != 0

    before = state.mob_health[n, target]
    result = hit(state, n, target, np.float32(damage))
    if result == 0:
        return
    state.damage_dealt[n] += math.floor(float(before - state.mob_health[n, target]) * 10.0 + 0.5)
    state.exhaustion[n] += np.float32(0.1)
    view_x, view_z = -math.sin(state.yaw[n] * DEGREES), math.cos(state.yaw[n] * DEGREES)
    if sprint_hit:
        knock_back(state.mob_velocity, state.mob_on_ground, n, target, SPRINT_KNOCKBACK, view_x, view_z)
        state.velocity[n, 0], state.velocity[n, 2] = vx * 0.6, vz * 0.6
        state.sprinting[n] = 0
    if sweep:
        kind = state.mob_kind[n, target]
        reach = tables.mob_width[kind] / 2.0 + SWEEP_SIDE
        low = state.mob_position[n, target, 1] - SWEEP_UP
        high = state.mob_position[n, target, 1] + tables.mob_height[kind] + SWEEP_UP
        for m in range(state.mob_kind.shape[1]):
            kind = state.mob_kind[n, m]
            if kind == 0 or m == target or state.mob_health[n, m] <= 0.0:
                continue
            apart = reach + tables.mob_width[kind] / 2.0
            y = state.mob_position[n, m, 1]
            from_x = state.mob_position[n, m, 0] - state.position[n, 0]
            from_y = y - state.position[n, 1]
            from_z = state.mob_position[n, m, 2] - state.position[n, 2]
            if (
                abs(state.mob_position[n, m, 0] - state.mob_position[n, target, 0]) < apart
                and abs(state.mob_position[n, m, 2] - state.mob_position[n, target, 2]) < apart
                and y < high
                and low < y + tables.mob_height[kind]
                and from_x * from_x + from_y * from_y + from_z * from_z < SWEEP_REACH * SWEEP_REACH
            ):
                knock_back(state.mob_velocity, state.mob_on_ground, n, m, KNOCKBACK, view_x, view_z)
                hit(state, n, m, np.float32(SWEEP_DAMAGE))


@device_function
def hit(state, n, m, damage):
    """The player hurts mob ``m``: knockback and the kill count included. Returns what hurt_mob returns."""
    result = hurt_mob(
        state.mob_health, state.mob_hurt_ticks, state.mob_last_damage, state.mob_panic_ticks, n, m, damage, True
    )
    if result == 2:
        away_x = state.mob_position[n, m, 0] - state.position[n, 0]
        away_z = state.mob_position[n, m, 2] - state.position[n, 2]
        knock_back(state.mob_velocity, state.mob_on_ground, n, m, KNOCKBACK, away_x, away_z)
    if result > 0 and state.mob_health[n, m] <= 0.0:
        state.kill_entity[n, state.mob_kind[n, m]] += 1
    return result


@inlined_function
def attack(state, n, tables, pressed):
    """A new press of the attack key hits, misses or knocks on a block; a held one keeps the arm on a block."""
    if not pressed[ATTACK]:
        return
    clicked = not state.pressed[n, ATTACK]
    seen = look_at(state, n, tables)
    if clicked:
        if seen >= 0:
            strike(state, n, tables, seen)
        elif seen == NOTHING:
            state.attack_ticks[n] = 0
    if clicked or seen == BLOCK:
        # a swing starts over once it is half done
        if state.swing_ticks[n] == 0 or state.swing_ticks[n] >= 4:
            state.swing_ticks[n] = 1
