"""The player: camera, motion, falling, hunger and healing, death; one tick at a time.

The order of a tick and its numbers are Minecraft 1.16.5's: input, acceleration, move with collision, drag.
"""

import math

import numpy as np

from minestudio_envs.voxel.collision import is_free, move_box
from minestudio_envs.voxel.items import HOTBAR_SLOTS, INVENTORY_SLOTS
from minestudio_envs.voxel.jit import device_function, inlined_function
from minestudio_envs.voxel.state import CUSTOM_ID, DEATHS, EFFECT_ID, EFFECTS

# Indices into the 20 buttons of a tick (VPT's order).
ATTACK, BACK, FORWARD, JUMP, LEFT, RIGHT, SNEAK, SPRINT, USE, DROP, INVENTORY = range(11)
HOTBAR = 11  # the first of nine
NUM_BUTTONS = HOTBAR + HOTBAR_SLOTS
JUMPS = CUSTOM_ID["jump"]

SPEED, SLOWNESS, STRENGTH = EFFECT_ID["speed"], EFFECT_ID["slowness"], EFFECT_ID["strength"]
WEAKNESS, JUMP_BOOST, REGENERATION = EFFECT_ID["weakness"], EFFECT_ID["jump_boost"], EFFECT_ID["regeneration"]
NUM_EFFECTS = len(EFFECTS)

PLAYER_HALF_WIDTH = 0.3
STANDING_HEIGHT, SNEAKING_HEIGHT = 1.8, 1.5
STANDING_EYES, SNEAKING_EYES = 1.62, 1.27
STEP_HEIGHT = 0.6

GRAVITY, VERTICAL_DRAG = 0.08, 0.98
SLIPPERINESS = 0.6  # of every block so far
GROUND_DRAG, AIR_DRAG = SLIPPERINESS * 0.91, 0.91
STILL = 0.003  # slower velocity components become zero
INPUT_SCALE = 0.98
WALK_SPEED, AIR_SPEED = 0.1, 0.02
SPRINT_FACTOR, SNEAK_FACTOR = 1.3, 0.3
JUMP_VELOCITY, SPRINT_JUMP_BOOST, JUMP_REPEAT = 0.42, 0.2, 10
SPRINT_WINDOW = 7
SAFE_FALL = 3.0

MAX_AIR = 300  # ticks of breath
MAX_HEALTH, MAX_FOOD, START_SATURATION = 20.0, 20, 5.0
SPRINT_FOOD = 6  # sprinting needs more
EXHAUSTION_STEP = 4.0
STARVATION_DAMAGE = 1.0  # every 80 ticks; difficulty hard starves to death

DEGREES = math.pi / 180.0


@device_function
def wrap_degrees(angle):
    """An angle in degrees to [-180, 180)."""
    return angle - 360.0 * math.floor((angle + 180.0) / 360.0)


@device_function
def still(v):
    return 0.0 if abs(v) < STILL else v


@device_function
def eye_height(sneaking):
    return SNEAKING_EYES if sneaking else STANDING_EYES


@device_function
def effect_level(player, n, effect):
    """Level of a potion effect, 0 if it is not active."""
    return player[n].effect_amplifier[effect] + 1 if player[n].effect_ticks[effect] > 0 else 0


@inlined_function
def turn_camera(state, n, pitch_change, yaw_change):
    """Turns the view by degrees, positive = down and right; pitch stays within +-90."""
    state.player[n].yaw = np.float32(wrap_degrees(float(state.player[n].yaw) + float(yaw_change)))
    state.player[n].pitch = np.float32(min(90.0, max(-90.0, float(state.player[n].pitch) + float(pitch_change))))


@inlined_function
def select_hotbar(state, n, pressed):
    """A newly pressed hotbar key selects its slot; of several the highest wins."""
    for slot in range(HOTBAR_SLOTS):
        if pressed[HOTBAR + slot] and not state.player[n].pressed[HOTBAR + slot]:
            state.player[n].selected = slot


@device_function
def towards_zero(d):
    return 0.0 if abs(d) < 0.05 else d - math.copysign(0.05, d)


@device_function
def over_edge(voxels, n, block_height, x, y, z, height):
    """Whether a player with the feet at (x, y, z) has nothing to stand on within a step's height."""
    half = PLAYER_HALF_WIDTH
    y -= STEP_HEIGHT
    return is_free(voxels, n, block_height, x - half, x + half, y, y + height, z - half, z + half)


@device_function
def back_off_from_edge(voxels, n, block_height, x, y, z, height, dx, dz):
    """Shortens a sneaking player's move in steps of 0.05 until there is ground below its end."""
    while dx != 0.0 and over_edge(voxels, n, block_height, x + dx, y, z, height):
        dx = towards_zero(dx)
    while dz != 0.0 and over_edge(voxels, n, block_height, x, y, z + dz, height):
        dz = towards_zero(dz)
    while dx != 0.0 and dz != 0.0 and over_edge(voxels, n, block_height, x + dx, y, z + dz, height):
        dx, dz = towards_zero(dx), towards_zero(dz)
    return dx, dz


@inlined_function
def move_player(state, n, tables, pressed):
    """One tick of walking, sprinting, sneaking, jumping and falling."""
    voxels, block_height = state.voxels, tables.block_height
    x, y, z = state.player[n].position[0], state.player[n].position[1], state.player[n].position[2]
    vx, vy, vz = (
        still(state.player[n].velocity[0]),
        still(state.player[n].velocity[1]),
        still(state.player[n].velocity[2]),
    )
    on_ground, sprinting = state.player[n].on_ground != 0, state.player[n].sprinting != 0
    half = PLAYER_HALF_WIDTH

    # INPUT
    crouched = state.player[n].sneaking != 0
    sneaking = pressed[SNEAK] != 0
    if crouched and not sneaking:  # no room to stand up
        sneaking = not is_free(voxels, n, block_height, x - half, x + half, y, y + STANDING_HEIGHT, z - half, z + half)
    height = SNEAKING_HEIGHT if sneaking else STANDING_HEIGHT
    forward = float(pressed[FORWARD]) - float(pressed[BACK])
    strafe = float(pressed[LEFT]) - float(pressed[RIGHT])

    # SPRINT
    window = max(0, state.player[n].sprint_window - 1)
    if forward > 0.0 and not sneaking and not sprinting and state.player[n].food > SPRINT_FOOD:
        was_forward = state.player[n].pressed[FORWARD] and not state.player[n].pressed[BACK] and not crouched
        if pressed[SPRINT]:
            sprinting = True
        elif on_ground and not was_forward:
            sprinting = window > 0
            window = SPRINT_WINDOW
    if sprinting and (forward <= 0.0 or state.player[n].food <= SPRINT_FOOD):
        sprinting = False

    # JUMP
    sin, cos = math.sin(state.player[n].yaw * DEGREES), math.cos(state.player[n].yaw * DEGREES)
    delay = max(0, state.player[n].jump_delay - 1)
    jump_boost = effect_level(state.player, n, JUMP_BOOST)
    if not pressed[JUMP]:
        delay = 0
    elif on_ground and delay == 0:
        vy = JUMP_VELOCITY + 0.1 * jump_boost
        if sprinting:
            vx -= sin * SPRINT_JUMP_BOOST
            vz += cos * SPRINT_JUMP_BOOST
        delay = JUMP_REPEAT
        state.statistics[n].custom[JUMPS] += 1
        state.player[n].exhaustion += np.float32(0.2 if sprinting else 0.05)

    # ACCELERATION
    if forward != 0.0 or strafe != 0.0:
        scale = INPUT_SCALE * (SNEAK_FACTOR if sneaking else 1.0)
        forward, strafe = forward * scale, strafe * scale
        if on_ground:
            speed = effect_level(state.player, n, SPEED)
            slowness = effect_level(state.player, n, SLOWNESS)
            acceleration = WALK_SPEED * (1.0 + 0.2 * speed) * max(0.0, 1.0 - 0.15 * slowness)
            acceleration *= (0.6 / SLIPPERINESS) ** 3
        else:
            acceleration = AIR_SPEED
        if sprinting:
            acceleration *= SPRINT_FACTOR
        acceleration /= max(1.0, math.sqrt(forward * forward + strafe * strafe))
        vx += (strafe * cos - forward * sin) * acceleration
        vz += (forward * cos + strafe * sin) * acceleration

    # MOVE
    dx, dz = vx, vz
    if sneaking and on_ground and vy <= 0.0:
        dx, dz = back_off_from_edge(voxels, n, block_height, x, y, z, height, vx, vz)
    mx, my, mz = move_box(voxels, n, block_height, x, y, z, half, height, STEP_HEIGHT, on_ground, dx, vy, dz)
    drag = GROUND_DRAG if on_ground else AIR_DRAG
    hit_wall = mx != dx or mz != dz
    on_ground = my != vy and vy < 0.0
    if mx != dx:
        vx = 0.0
    if mz != dz:
        vz = 0.0
    if my != vy:
        vy = 0.0
    if hit_wall:
        sprinting = False

    # FALL
    fall = state.player[n].fall_distance
    if on_ground:
        if fall > SAFE_FALL + jump_boost:
            hurt_player(state.player, n, tables, math.ceil(fall - SAFE_FALL - jump_boost), math.nan, math.nan, True)
        fall = 0.0
    elif my < 0.0:
        fall -= my
    if sprinting and on_ground:
        state.player[n].exhaustion += np.float32(0.1 * math.sqrt(mx * mx + mz * mz))

    state.player[n].position[0], state.player[n].position[1], state.player[n].position[2] = x + mx, y + my, z + mz
    state.player[n].velocity[0] = vx * drag
    state.player[n].velocity[1] = (vy - GRAVITY) * VERTICAL_DRAG
    state.player[n].velocity[2] = vz * drag
    state.player[n].on_ground = on_ground
    state.player[n].sprinting = sprinting
    state.player[n].sneaking = sneaking
    state.player[n].sprint_window = window
    state.player[n].jump_delay = delay
    state.player[n].fall_distance = fall


@device_function
def hurt_player(player, n, tables, amount, from_x, from_z, pierces):
    """Takes health points; the view tilts for 10 ticks."""
    player[n].health = max(np.float32(0.0), player[n].health - np.float32(amount))
    player[n].hurt_ticks = 10


@inlined_function
def tick_body(state, n, tables):
    """Effects, hunger, healing, death and the counters of the arm, once a tick."""
    for effect in range(NUM_EFFECTS):
        left = state.player[n].effect_ticks[effect]
        if left > 0:
            if effect == REGENERATION:
                interval = 50 >> min(state.player[n].effect_amplifier[effect], 31)
                if interval == 0 or left % interval == 0:
                    state.player[n].health = min(np.float32(MAX_HEALTH), state.player[n].health + np.float32(1.0))
            state.player[n].effect_ticks[effect] = left - 1

    if state.player[n].exhaustion > EXHAUSTION_STEP:
        state.player[n].exhaustion -= np.float32(EXHAUSTION_STEP)
        if state.player[n].saturation > 0.0:
            state.player[n].saturation = max(np.float32(0.0), state.player[n].saturation - np.float32(1.0))
        else:
            state.player[n].food = max(0, state.player[n].food - 1)
    wounded = 0.0 < state.player[n].health < MAX_HEALTH
    wait = state.player[n].heal_ticks + 1
    if wounded and state.player[n].saturation > 0.0 and state.player[n].food >= MAX_FOOD:
        if wait >= 10:
            spent = min(state.player[n].saturation, np.float32(6.0))
            state.player[n].health = min(np.float32(MAX_HEALTH), state.player[n].health + spent / np.float32(6.0))
            state.player[n].exhaustion += spent
            wait = 0
    elif wounded and state.player[n].food >= 18:
        if wait >= 80:
            state.player[n].health = min(np.float32(MAX_HEALTH), state.player[n].health + np.float32(1.0))
            state.player[n].exhaustion += np.float32(6.0)
            wait = 0
    elif state.player[n].food <= 0:
        if wait >= 80:
            hurt_player(state.player, n, tables, STARVATION_DAMAGE, math.nan, math.nan, True)
            wait = 0
    else:
        wait = 0
    state.player[n].heal_ticks = wait

    if state.player[n].hurt_ticks > 0:
        state.player[n].hurt_ticks -= 1
    state.player[n].attack_ticks += 1
    held = state.player[n].inventory_item[state.player[n].selected]
    if held != state.player[n].held_item:
        state.player[n].held_item = held
        state.player[n].attack_ticks = 0
    if state.player[n].swing_ticks > 0:
        state.player[n].swing_ticks = (state.player[n].swing_ticks + 1) % 7

    if state.player[n].health <= 0.0:
        state.statistics[n].custom[DEATHS] += 1
        place_player(state, n, state.player[n].spawn[0], state.player[n].spawn[1], state.player[n].spawn[2])
        clear_player(state, n)


@device_function
def place_player(state, n, x, y, z):
    """Puts the player's feet at (x, y, z), at rest, with nothing drawn on the way."""
    state.player[n].position[0], state.player[n].position[1], state.player[n].position[2] = x, y, z
    for axis in range(3):
        state.player[n].previous_position[axis] = state.player[n].position[axis]
        state.player[n].velocity[axis] = 0.0
    state.player[n].fall_distance = 0.0
    state.player[n].on_ground = 0
    state.player[n].sprinting = 0


@device_function
def clear_player(state, n):
    """A new life: full health and food, nothing carried, no effects."""
    state.player[n].health = MAX_HEALTH
    state.player[n].food = MAX_FOOD
    state.player[n].saturation = START_SATURATION
    state.player[n].exhaustion = 0.0
    state.player[n].heal_ticks = 0
    state.player[n].hurt_ticks = 0
    state.player[n].attack_ticks = 0
    state.player[n].swing_ticks = 0
    state.player[n].jump_delay = 0
    state.player[n].sprint_window = 0
    state.player[n].sneaking = 0
    state.player[n].selected = 0
    state.player[n].held_item = 0
    state.player[n].immune_ticks = 0
    state.player[n].last_damage = 0.0
    state.player[n].air = MAX_AIR
    state.player[n].fire_ticks = 0
    state.player[n].dig_progress = 0.0
    state.player[n].dig_delay = 0
    state.player[n].miss_ticks = 0
    state.player[n].use_delay = 0
    state.player[n].eat_ticks = 0
    state.player[n].gui_open = 0
    state.player[n].cursor_item = 0
    state.player[n].cursor_count = 0
    state.player[n].cursor_damage = 0
    for slot in range(INVENTORY_SLOTS):
        state.player[n].inventory_item[slot] = 0
        state.player[n].inventory_count[slot] = 0
        state.player[n].inventory_damage[slot] = 0
    for effect in range(NUM_EFFECTS):
        state.player[n].effect_ticks[effect] = 0
        state.player[n].effect_amplifier[effect] = 0
