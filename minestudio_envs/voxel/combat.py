"""The player's attack: what is under the crosshair, charge, damage, knockback, kills (Minecraft 1.16.5)."""

import math

import numpy as np

from minestudio_envs.voxel.blocks import TOOL_ID
from minestudio_envs.voxel.collision import NO_BLOCK, pick_block, ray_to_box
from minestudio_envs.voxel.digging import begin_digging, dig, stop_digging
from minestudio_envs.voxel.inventory import wear
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.mobs import body, count_kill, hurt_mob, knock_back
from minestudio_envs.voxel.physics import ATTACK, STRENGTH, USE, WALK_SPEED, WEAKNESS, effect_level, exhaust
from minestudio_envs.voxel.player_body import DEGREES, view_ray
from minestudio_envs.voxel.state import DAMAGE_DEALT
from minestudio_envs.voxel.using import go_on_eating, use

BLOCK_REACH, ENTITY_REACH = 4.5, 3.0
CHARGED = 0.9  # attacks charged further can be critical, sweep, or knock back from a sprint
CRITICAL = 1.5
KNOCKBACK, SPRINT_KNOCKBACK = 0.4, 0.5
SWEEP_DAMAGE, SWEEP_SIDE, SWEEP_UP, SWEEP_REACH = 1.0, 1.0, 0.25, 3.0
NOTHING, BLOCK = -1, -2
MISS_TICKS = 10  # in which a held key does nothing after a click on nothing
NO_TOOL, SWORD = TOOL_ID["none"], TOOL_ID["sword"]


@device_function
def look_at(state, n, tables):
    """What the crosshair is on: (a mob's slot, BLOCK or NOTHING; the block's x, y, z and side).

    Out of an attack's reach a mob is NOTHING; without a block y is NO_BLOCK.
    """
    x, y, z, dx, dy, dz = view_ray(state.player, n)
    nearest, bx, by, bz, side = pick_block(
        state.voxels, n, tables.block_outline, x, y, z, dx, dy, dz, BLOCK_REACH, False
    )
    seen = BLOCK if by != NO_BLOCK else NOTHING
    for m in range(state.mobs.shape[1]):
        kind = state.mobs[n, m].kind
        if kind == 0:
            continue
        mx, my, mz = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
        half, height = body(state.mobs, n, m, tables)
        distance = ray_to_box(x, y, z, dx, dy, dz, mx - half, mx + half, my, my + height, mz - half, mz + half)
        if 0.0 <= distance < nearest:
            nearest = distance
            by = NO_BLOCK
            seen = m if distance <= ENTITY_REACH else NOTHING
    return seen, bx, by, bz, side


@device_function
def charge(ticks, charge_ticks):
    """How charged an attack is, 0 to 1, ``ticks`` after the last one."""
    return min(1.0, (ticks + 0.5) / charge_ticks)


@device_function
def strike(state, n, tables, target):
    """Hits the mob in slot ``target`` with what is in the hand."""
    item = state.player[n].inventory_item[state.player[n].selected]
    charged = charge(state.player[n].attack_ticks, tables.attack_charge_ticks[item])
    strength = effect_level(state.player, n, STRENGTH)
    weakness = effect_level(state.player, n, WEAKNESS)
    damage = max(0.0, float(tables.attack_damage[item]) + 3.0 * strength - 4.0 * weakness)
    damage *= 0.2 + 0.8 * charged * charged
    state.player[n].attack_ticks = 0
    if damage <= 0.0:
        return

    sprint_hit = charged > CHARGED and state.player[n].sprinting != 0
    critical = (
        charged > CHARGED and not sprint_hit and state.player[n].fall_distance > 0.0 and not state.player[n].on_ground
    )
    if critical:
        damage *= CRITICAL
    vx, vz = state.player[n].velocity[0], state.player[n].velocity[2]
    moved_x = state.player[n].position[0] - state.player[n].previous_position[0]
    moved_z = state.player[n].position[2] - state.player[n].previous_position[2]
    slow = 0.6 * math.sqrt(moved_x * moved_x + moved_z * moved_z) < WALK_SPEED
    on_ground = state.player[n].on_ground != 0
    sweep = charged > CHARGED and not critical and not sprint_hit and on_ground and slow and tables.is_sword[item] != 0

    before = state.mobs[n, target].health
    result = hit(state, n, target, np.float32(damage))
    if result == 0:
        return
    state.statistics[n].custom[DAMAGE_DEALT] += math.floor(float(before - state.mobs[n, target].health) * 10.0 + 0.5)
    exhaust(state.player, n, 0.1)
    tool = tables.item_tool[item]
    if tool != NO_TOOL:
        slot = int(state.player[n].selected)
        state.statistics[n].use_item[item] += 1
        wear(state.player, state.statistics, n, tables.item_durability, slot, 1 if tool == SWORD else 2)
    view_x, view_z = -math.sin(state.player[n].yaw * DEGREES), math.cos(state.player[n].yaw * DEGREES)
    if sprint_hit:
        knock_back(state.mobs, n, target, SPRINT_KNOCKBACK, view_x, view_z)
        state.player[n].velocity[0], state.player[n].velocity[2] = vx * 0.6, vz * 0.6
        state.player[n].sprinting = 0
    if sweep:
        kind = state.mobs[n, target].kind
        reach = tables.mob_width[kind] / 2.0 + SWEEP_SIDE
        low = state.mobs[n, target].position[1] - SWEEP_UP
        high = state.mobs[n, target].position[1] + tables.mob_height[kind] + SWEEP_UP
        for m in range(state.mobs.shape[1]):
            kind = state.mobs[n, m].kind
            if kind == 0 or m == target or state.mobs[n, m].health <= 0.0:
                continue
            apart = reach + tables.mob_width[kind] / 2.0
            y = state.mobs[n, m].position[1]
            from_x = state.mobs[n, m].position[0] - state.player[n].position[0]
            from_y = y - state.player[n].position[1]
            from_z = state.mobs[n, m].position[2] - state.player[n].position[2]
            if (
                abs(state.mobs[n, m].position[0] - state.mobs[n, target].position[0]) < apart
                and abs(state.mobs[n, m].position[2] - state.mobs[n, target].position[2]) < apart
                and y < high
                and low < y + tables.mob_height[kind]
                and from_x * from_x + from_y * from_y + from_z * from_z < SWEEP_REACH * SWEEP_REACH
            ):
                knock_back(state.mobs, n, m, KNOCKBACK, view_x, view_z)
                hit(state, n, m, np.float32(SWEEP_DAMAGE))


@device_function
def hit(state, n, m, damage):
    """The player hurts mob ``m``: knockback and the kill count included. Returns what hurt_mob returns."""
    result = hurt_mob(state.mobs, n, m, damage, True)
    if result == 2:
        away_x = state.mobs[n, m].position[0] - state.player[n].position[0]
        away_z = state.mobs[n, m].position[2] - state.player[n].position[2]
        knock_back(state.mobs, n, m, KNOCKBACK, away_x, away_z)
    if result > 0 and state.mobs[n, m].health <= 0.0:
        count_kill(state, n, state.mobs[n, m].kind)
    return result


@device_function
def swing(player, n):
    """Moves the arm; a swing starts over once it is half done."""
    if player[n].swing_ticks == 0 or player[n].swing_ticks >= 4:
        player[n].swing_ticks = 1


@device_function
def act(state, n, tables, pressed):
    """One tick of the attack and the use key.

    A new press of attack hits, misses or begins to mine; a held one mines. A use key acts when newly pressed and every
    four ticks, or goes on eating.
    """
    player = state.player
    if player[n].use_delay > 0:
        player[n].use_delay -= 1
    attacking, using = pressed[ATTACK] != 0, pressed[USE] != 0
    if not attacking:
        player[n].miss_ticks = 0
        if player[n].dig_block[1] != NO_BLOCK:
            stop_digging(player, n)
    if player[n].eat_ticks > 0:
        if using:
            go_on_eating(state, n, tables)
        else:
            player[n].eat_ticks = 0
        return
    using = using and (player[n].use_delay == 0 or not player[n].pressed[USE])
    if player[n].miss_ticks > 0:
        player[n].miss_ticks -= 1
        attacking = False
    clicked = attacking and not player[n].pressed[ATTACK]
    if not attacking and not using:
        return
    seen, x, y, z, side = look_at(state, n, tables)
    if clicked:
        if seen >= 0:
            strike(state, n, tables, seen)
        elif seen == BLOCK:
            begin_digging(state, n, tables, x, y, z)
        else:
            player[n].attack_ticks = 0
            player[n].miss_ticks = MISS_TICKS - 1
            attacking = False
        swing(player, n)
    if using and player[n].dig_block[1] == NO_BLOCK and use(state, n, tables, seen, x, y, z, side):
        swing(player, n)
    if attacking:
        if seen == BLOCK and player[n].eat_ticks == 0:
            dig(state, n, tables, x, y, z)
            swing(player, n)
        elif player[n].dig_block[1] != NO_BLOCK:
            stop_digging(player, n)
