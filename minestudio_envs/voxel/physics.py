"""The player: camera, motion, falling, hunger and healing, death; one tick at a time.

The order of a tick and its numbers are Minecraft 1.16.5's: input, acceleration, move with collision, drag.
"""

import math

import numpy as np

from minestudio_envs.voxel.blocks import BLOCK_ID, LAVA, WATER
from minestudio_envs.voxel.collision import (
    NO_BLOCK,
    SHRINK,
    TOUCH_CACTUS,
    TOUCH_CLIMB,
    TOUCH_LAVA,
    TOUCH_OPAQUE,
    TOUCH_WATER,
    TOUCH_WEB,
    block_at,
    current,
    is_free,
    liquid_depth,
    liquid_surface,
    move_box,
    touched,
)
from minestudio_envs.voxel.drops import WATER_PUSH
from minestudio_envs.voxel.inventory import close_screen, throw_everything, wear
from minestudio_envs.voxel.items import FEET, HEAD, HOTBAR_SLOTS, INVENTORY_SLOTS
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.player_body import DEGREES, PLAYER_HALF_WIDTH, STANDING_HEIGHT, body_height, eye_height
from minestudio_envs.voxel.state import CUSTOM_ID, DAMAGE_TAKEN, DEATHS, EFFECT_ID, EFFECTS, GAMERULE_ID

# Indices into the 20 buttons of a tick (VPT's order).
ATTACK, BACK, FORWARD, JUMP, LEFT, RIGHT, SNEAK, SPRINT, USE, DROP, INVENTORY = range(11)
HOTBAR = 11  # the first of nine
NUM_BUTTONS = HOTBAR + HOTBAR_SLOTS
JUMPS, SNEAK_TIME, PLAY_TIME = CUSTOM_ID["jump"], CUSTOM_ID["sneak_time"], CUSTOM_ID["play_one_minute"]
TIME_SINCE_DEATH, FALLEN = CUSTOM_ID["time_since_death"], CUSTOM_ID["fall_one_cm"]
WALKED, SPRINTED, CROUCHED = (CUSTOM_ID[f"{way}_one_cm"] for way in ("walk", "sprint", "crouch"))
SWUM, WALKED_UNDER_WATER = CUSTOM_ID["swim_one_cm"], CUSTOM_ID["walk_under_water_one_cm"]
KEEP_INVENTORY, NATURAL_REGENERATION = GAMERULE_ID["keepInventory"], GAMERULE_ID["naturalRegeneration"]
FALL_DAMAGE, FIRE_DAMAGE = GAMERULE_ID["fallDamage"], GAMERULE_ID["fireDamage"]
DROWNING_DAMAGE = GAMERULE_ID["drowningDamage"]

SPEED, SLOWNESS, STRENGTH = EFFECT_ID["speed"], EFFECT_ID["slowness"], EFFECT_ID["strength"]
WEAKNESS, JUMP_BOOST, REGENERATION = EFFECT_ID["weakness"], EFFECT_ID["jump_boost"], EFFECT_ID["regeneration"]
INSTANT_HEALTH, INSTANT_DAMAGE, SATURATION = (EFFECT_ID[e] for e in ("instant_health", "instant_damage", "saturation"))
RESISTANCE, FIRE_RESISTANCE, ABSORPTION = (EFFECT_ID[e] for e in ("resistance", "fire_resistance", "absorption"))
HUNGER, POISON, SLOW_FALLING = EFFECT_ID["hunger"], EFFECT_ID["poison"], EFFECT_ID["slow_falling"]
WATER_BREATHING = EFFECT_ID["water_breathing"]
NUM_EFFECTS = len(EFFECTS)

STEP_HEIGHT = 0.6

GRAVITY, VERTICAL_DRAG = 0.08, 0.98
SLIPPERINESS, ICE_SLIPPERINESS = 0.6, 0.98
GROUND_DRAG, AIR_DRAG = SLIPPERINESS * 0.91, 0.91
STILL = 0.003  # slower velocity components become zero
INPUT_SCALE = 0.98
WALK_SPEED, AIR_SPEED = 0.1, 0.02
SPRINT_FACTOR, SNEAK_FACTOR = 1.3, 0.3
JUMP_VELOCITY, SPRINT_JUMP_BOOST, JUMP_REPEAT = 0.42, 0.2, 10
SPRINT_WINDOW = 7
SAFE_FALL = 3.0

LIQUID_SPEED, LIQUID_UP = 0.02, 0.04  # acceleration in a liquid, and of a held jump key there
WATER_DRAG, SWIM_DRAG, LAVA_DRAG = 0.8, 0.9, 0.5
WATER_GRAVITY, LAVA_GRAVITY = GRAVITY / 16, GRAVITY / 4
SHALLOW = 0.4  # liquid that does not carry who stands in it
LEAP = 0.3  # upwards, of who swims against an edge that is low enough
CLIMB_UP, CLIMB_LIMIT = 0.2, 0.15
WEB_SIDE, WEB_UP = 0.25, 0.05  # what a cobweb leaves of a move
SOUL_SAND_FACTOR = 0.4
EATING_FACTOR = 0.2  # of the speed, while eating
HAY_FALL = 0.2  # of the fall damage, on hay
ICE, PACKED_ICE, SOUL_SAND, HAY = (BLOCK_ID[b] for b in ("ice", "packed_ice", "soul_sand", "hay_block"))

HURT_TICKS, IMMUNE_TICKS, IMMUNE_ABOVE = 10, 20, 10
KNOCKBACK = 0.4
LAVA_DAMAGE, LAVA_FIRE_TICKS, FIRE_EVERY = 4.0, 300, 20
DROWNING_EVERY, DROWNING_DAMAGE_POINTS = 20, 2.0
BREATHE = 4  # air that comes back in a tick
EYE_DEPTH = 1.0 / 9.0  # that the eyes must be below the water's surface
# What damage gets through: worn armour helps; it does not; nor does resistance.
STOPPED_BY_ARMOUR, PIERCES, ABSOLUTE = 0, 1, 2
FIRST_CLIMB, LAST_CLIMB = BLOCK_ID["ladder[facing=north]"], BLOCK_ID["vine[facing=east]"]

MAX_AIR = 300  # ticks of breath
MAX_HEALTH, MAX_FOOD, START_SATURATION = 20.0, 20, 5.0
SPRINT_FOOD = 6  # sprinting needs more
EXHAUSTION_STEP = 4.0
MAX_EXHAUSTION = 40.0
STARVATION_DAMAGE = 1.0  # every 80 ticks; difficulty hard starves to death


@device_function
def wrap_degrees(angle):
    """An angle in degrees to [-180, 180)."""
    turned = angle + 180.0
    if 0.0 <= turned < 360.0:  # mostly; a division takes long
        return angle
    return angle - 360.0 * math.floor(turned / 360.0)


@device_function
def still(v):
    return 0.0 if abs(v) < STILL else v


@device_function
def effect_level(player, n, effect):
    """Level of a potion effect, 0 if it is not active."""
    return player[n].effect_amplifier[effect] + 1 if player[n].effect_ticks[effect] > 0 else 0


@device_function
def turn_camera(state, n, pitch_change, yaw_change):
    """Turns the view by degrees, positive = down and right; pitch stays within +-90."""
    state.player[n].yaw = np.float32(wrap_degrees(float(state.player[n].yaw) + float(yaw_change)))
    state.player[n].pitch = np.float32(min(90.0, max(-90.0, float(state.player[n].pitch) + float(pitch_change))))


@device_function
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


@device_function
def exhaust(player, n, amount):
    """Effort, which uses up saturation and then food."""
    player[n].exhaustion = min(np.float32(MAX_EXHAUSTION), player[n].exhaustion + np.float32(amount))


@device_function
def heal(player, n, amount):
    player[n].health = min(np.float32(MAX_HEALTH), player[n].health + np.float32(amount))


@device_function
def eyes_in_water(voxels, n, x, y, z, eyes):
    """Whether eyes ``eyes`` above the feet are below the surface of water."""
    y += eyes - EYE_DEPTH
    by = math.floor(y)
    return by + liquid_surface(voxels, n, math.floor(x), by, math.floor(z), WATER) > y


@device_function
def climbs(voxels, n, x, y, z):
    """Whether the feet are in a ladder or a vine."""
    return FIRST_CLIMB <= block_at(voxels, n, math.floor(x), math.floor(y), math.floor(z)) <= LAST_CLIMB


# What `feel` finds around the player.
FEELS_WATER, FEELS_LAVA, FEELS_UNDER, FEELS_WEB, FEELS_LADDER = 1, 2, 4, 8, 16


@device_function
def feel(voxels, player, gamerule, n, tables, touch):
    """What liquids, fire, cacti and lack of air do to the player in a tick.

    ``touch``: from collision.touched. Returns (FEELS_ bits, depth of the feet in water or lava).
    """
    x, y, z = player[n].position[0], player[n].position[1], player[n].position[2]
    half = PLAYER_HALF_WIDTH
    height = body_height(player[n].sneaking)
    eyes = eye_height(player[n].sneaking)
    bits, depth = 0, 0.0
    if touch & TOUCH_WATER:
        depth = liquid_depth(voxels, n, x - half, x + half, y, y + height, z - half, z + half, WATER)
        if depth > 0.0:
            bits |= FEELS_WATER
            if eyes_in_water(voxels, n, x, y, z, eyes):
                bits |= FEELS_UNDER
            cx, cy, cz = current(voxels, n, tables.block_height, x - half, x + half, y, y + height, z - half, z + half)
            cx, cy, cz = cx * WATER_PUSH, cy * WATER_PUSH, cz * WATER_PUSH
            length = math.sqrt(cx * cx + cy * cy + cz * cz)
            if length > 0.0:
                still_here = abs(player[n].velocity[0]) < STILL and abs(player[n].velocity[2]) < STILL
                if still_here and length < 0.0045:  # or it would not move what stands
                    cx, cy, cz = cx / length * 0.0045, cy / length * 0.0045, cz / length * 0.0045
                player[n].velocity[0] += cx
                player[n].velocity[1] += cy
                player[n].velocity[2] += cz
            player[n].fall_distance = 0.0
            player[n].fire_ticks = 0
    player[n].in_water = depth > 0.0

    # FIRE
    proof = effect_level(player, n, FIRE_RESISTANCE) > 0 or not gamerule[FIRE_DAMAGE]
    if player[n].fire_ticks > 0:
        if player[n].fire_ticks % FIRE_EVERY == 0 and not proof:
            hurt_player(player, n, tables, 1.0, math.nan, math.nan, PIERCES)
        player[n].fire_ticks -= 1
    if touch & TOUCH_LAVA:
        lava = liquid_depth(voxels, n, x - half, x + half, y, y + height, z - half, z + half, LAVA)
        if lava > 0.0:
            if not proof:
                hurt_player(player, n, tables, LAVA_DAMAGE, math.nan, math.nan, STOPPED_BY_ARMOUR)
            player[n].fire_ticks = LAVA_FIRE_TICKS
            player[n].fall_distance *= 0.5
            if depth == 0.0:
                bits |= FEELS_LAVA
                depth = lava

    # AIR
    if bits & FEELS_UNDER and effect_level(player, n, WATER_BREATHING) == 0:
        player[n].air -= 1
        if player[n].air <= -DROWNING_EVERY:
            player[n].air = 0
            if gamerule[DROWNING_DAMAGE]:
                hurt_player(player, n, tables, DROWNING_DAMAGE_POINTS, math.nan, math.nan, PIERCES)
    elif player[n].air < MAX_AIR and not bits & FEELS_UNDER:
        player[n].air = min(MAX_AIR, player[n].air + BREATHE)

    # SOLID THINGS
    if touch & TOUCH_CACTUS:
        hurt_player(player, n, tables, 1.0, math.nan, math.nan, STOPPED_BY_ARMOUR)
    if touch & TOUCH_WEB and within(voxels, n, tables.block_touch, TOUCH_WEB, x, y, z, half - SHRINK, height):
        bits |= FEELS_WEB
        player[n].fall_distance = 0.0
    if touch & TOUCH_OPAQUE:
        if within(voxels, n, tables.block_touch, TOUCH_OPAQUE, x, y + eyes - 0.05, z, 0.8 * half, 0.1):
            hurt_player(player, n, tables, 1.0, math.nan, math.nan, PIERCES)
    if touch & TOUCH_CLIMB and climbs(voxels, n, x, y, z):
        bits |= FEELS_LADDER
        player[n].fall_distance = 0.0
    return bits, depth


@device_function
def within(voxels, n, block_touch, bits, x, y, z, half, height):
    """Whether a box reaches into a block of the kind ``bits``."""
    for bx in range(math.floor(x - half), math.floor(x + half) + 1):
        for bz in range(math.floor(z - half), math.floor(z + half) + 1):
            for by in range(math.floor(y), math.floor(y + height) + 1):
                if block_touch[block_at(voxels, n, bx, by, bz)] & bits:
                    return True
    return False


@device_function
def move_player(state, n, tables, pressed):
    """One tick of what surrounds the player, of walking, sprinting, sneaking, jumping, swimming, climbing, falling."""
    voxels, block_height = state.voxels, tables.block_height
    x, y, z = state.player[n].position[0], state.player[n].position[1], state.player[n].position[2]
    half = PLAYER_HALF_WIDTH
    crouched = state.player[n].sneaking != 0

    # SURROUNDINGS
    height = body_height(crouched)
    touch = touched(voxels, n, tables.block_touch, x, y, z, half, height)
    feels, depth = 0, 0.0
    if touch != 0 or state.player[n].air < MAX_AIR or state.player[n].fire_ticks > 0:
        feels, depth = feel(voxels, state.player, state.world[n].gamerule, n, tables, touch)
    else:
        state.player[n].in_water = 0
    in_water, in_lava = feels & FEELS_WATER != 0, feels & FEELS_LAVA != 0
    under, on_ladder = feels & FEELS_UNDER != 0, feels & FEELS_LADDER != 0
    fall = state.player[n].fall_distance
    vx, vy, vz = (
        still(state.player[n].velocity[0]),
        still(state.player[n].velocity[1]),
        still(state.player[n].velocity[2]),
    )
    on_ground, sprinting = state.player[n].on_ground != 0, state.player[n].sprinting != 0
    below = block_at(voxels, n, math.floor(x), math.floor(y - 0.5000001), math.floor(z))
    slip = ICE_SLIPPERINESS if below == ICE or below == PACKED_ICE else SLIPPERINESS

    # INPUT
    sneaking = pressed[SNEAK] != 0
    if crouched and not sneaking:  # no room to stand up
        sneaking = not is_free(voxels, n, block_height, x - half, x + half, y, y + STANDING_HEIGHT, z - half, z + half)
    height = body_height(sneaking)
    forward = float(pressed[FORWARD]) - float(pressed[BACK])
    strafe = float(pressed[LEFT]) - float(pressed[RIGHT])
    eating = state.player[n].eat_ticks > 0

    # SPRINT
    window = max(0, state.player[n].sprint_window - 1)
    if eating:
        window = 0
    elif (
        forward > 0.0
        and not sneaking
        and not sprinting
        and state.player[n].food > SPRINT_FOOD
        and (not in_water or under)
    ):
        was_forward = state.player[n].pressed[FORWARD] and not state.player[n].pressed[BACK] and not crouched
        if pressed[SPRINT]:
            sprinting = True
        elif on_ground and not was_forward:
            sprinting = window > 0
            window = SPRINT_WINDOW
    if sprinting and (forward <= 0.0 or state.player[n].food <= SPRINT_FOOD or (in_water and not under)):
        sprinting = False

    # JUMP
    sin, cos = math.sin(state.player[n].yaw * DEGREES), math.cos(state.player[n].yaw * DEGREES)
    delay = max(0, state.player[n].jump_delay - 1)
    jump_boost = effect_level(state.player, n, JUMP_BOOST)
    if in_water and pressed[SNEAK]:
        vy -= LIQUID_UP
    if not pressed[JUMP]:
        delay = 0
    elif (in_water or in_lava) and not (on_ground and depth <= SHALLOW):
        vy += LIQUID_UP
    elif on_ground and delay == 0:
        vy = JUMP_VELOCITY + 0.1 * jump_boost
        if sprinting:
            vx -= sin * SPRINT_JUMP_BOOST
            vz += cos * SPRINT_JUMP_BOOST
        delay = JUMP_REPEAT
        state.statistics[n].custom[JUMPS] += 1
        exhaust(state.player, n, 0.2 if sprinting else 0.05)

    # ACCELERATION
    if sprinting and in_water:  # a swimmer goes where he looks
        up = -math.sin(state.player[n].pitch * DEGREES)
        if up <= 0.0 or pressed[JUMP] or liquid_surface(
            voxels, n, math.floor(x), math.floor(y + 0.9), math.floor(z), WATER
        ) > 0.0:  # fmt: skip
            vy += (up - vy) * (0.085 if up < -0.2 else 0.06)
    falling = vy <= 0.0
    gravity = GRAVITY
    if falling and effect_level(state.player, n, SLOW_FALLING) > 0:
        gravity, fall = 0.01, 0.0
    if forward != 0.0 or strafe != 0.0:
        scale = INPUT_SCALE * (SNEAK_FACTOR if sneaking else 1.0) * (EATING_FACTOR if eating else 1.0)
        forward, strafe = forward * scale, strafe * scale
        if in_water or in_lava:
            acceleration = LIQUID_SPEED
        else:
            if on_ground:
                speed = effect_level(state.player, n, SPEED)
                slowness = effect_level(state.player, n, SLOWNESS)
                acceleration = WALK_SPEED * (1.0 + 0.2 * speed) * max(0.0, 1.0 - 0.15 * slowness)
                if slip != SLIPPERINESS:
                    acceleration *= (SLIPPERINESS / slip) ** 3
            else:
                acceleration = AIR_SPEED
            if sprinting:
                acceleration *= SPRINT_FACTOR
        acceleration /= max(1.0, math.sqrt(forward * forward + strafe * strafe))
        vx += (strafe * cos - forward * sin) * acceleration
        vz += (forward * cos + strafe * sin) * acceleration
    if on_ladder and not in_water and not in_lava:
        vx = min(CLIMB_LIMIT, max(-CLIMB_LIMIT, vx))
        vz = min(CLIMB_LIMIT, max(-CLIMB_LIMIT, vz))
        vy = max(vy, 0.0 if sneaking else -CLIMB_LIMIT)

    # MOVE
    webbed = feels & FEELS_WEB != 0
    if webbed:
        vx, vy, vz = vx * WEB_SIDE, vy * WEB_UP, vz * WEB_SIDE
    dx, dz = vx, vz
    if sneaking and on_ground and vy <= 0.0:
        dx, dz = back_off_from_edge(voxels, n, block_height, x, y, z, height, vx, vz)
    mx, my, mz = move_box(voxels, n, block_height, x, y, z, half, height, STEP_HEIGHT, on_ground, dx, vy, dz)
    drag = slip * AIR_DRAG if on_ground else AIR_DRAG
    hit_wall = mx != dx or mz != dz
    on_ground = my != vy and vy < 0.0
    if mx != dx:
        vx = 0.0
    if mz != dz:
        vz = 0.0
    if my != vy:
        vy = 0.0
    if webbed:
        vx = vy = vz = 0.0
    if hit_wall:
        sprinting = False
    new_x, new_y, new_z = x + mx, y + my, z + mz

    # FALL
    if on_ground:
        if fall > 2.0:
            land(state, n, tables, new_x, new_y, new_z, fall, jump_boost)
        fall = 0.0
    elif my < 0.0:
        fall -= my

    # DRAG
    if touch & TOUCH_CLIMB and (hit_wall or (pressed[JUMP] and not in_water)) and not in_lava:
        if climbs(voxels, n, new_x, new_y, new_z):
            vy = CLIMB_UP
    if below == SOUL_SAND and not in_water:
        vx, vz = vx * SOUL_SAND_FACTOR, vz * SOUL_SAND_FACTOR
    if in_water or in_lava:
        if in_water:
            drag = SWIM_DRAG if sprinting else WATER_DRAG
            vx, vy, vz = vx * drag, vy * WATER_DRAG, vz * drag
        elif depth <= SHALLOW:
            vx, vy, vz = vx * LAVA_DRAG, vy * WATER_DRAG, vz * LAVA_DRAG
        else:
            vx, vy, vz = vx * LAVA_DRAG, vy * LAVA_DRAG, vz * LAVA_DRAG
        if (in_water or depth <= SHALLOW) and not sprinting:
            sink = gravity / 16.0
            if falling and abs(vy - 0.005) >= STILL and abs(vy - sink) < STILL:
                vy = -STILL
            else:
                vy -= sink
        if in_lava:
            vy -= gravity / 4.0
        if hit_wall and leaps(voxels, n, block_height, new_x + vx, y + vy + 0.6, new_z + vz, height):
            vy = LEAP
    else:
        vx, vy, vz = vx * drag, (vy - gravity) * VERTICAL_DRAG, vz * drag

    # STATISTICS
    way = mx * mx + mz * mz
    if way > 0.0 or (my != 0.0 and in_water):
        if under:
            cm = int(100.0 * math.sqrt(way + my * my) + 0.5)
            state.statistics[n].custom[SWUM if sprinting else WALKED_UNDER_WATER] += cm
            exhaust(state.player, n, 0.0001 * cm)
        elif in_water:
            exhaust(state.player, n, 0.0001 * int(100.0 * math.sqrt(way) + 0.5))
        elif on_ground and not on_ladder:
            cm = int(100.0 * math.sqrt(way) + 0.5)
            if sprinting:
                state.statistics[n].custom[SPRINTED] += cm
                exhaust(state.player, n, 0.001 * cm)
            else:
                state.statistics[n].custom[CROUCHED if sneaking else WALKED] += cm
    if sneaking:
        state.statistics[n].custom[SNEAK_TIME] += 1
    state.statistics[n].custom[PLAY_TIME] += 1
    state.statistics[n].custom[TIME_SINCE_DEATH] += 1

    state.player[n].position[0], state.player[n].position[1], state.player[n].position[2] = new_x, new_y, new_z
    state.player[n].velocity[0], state.player[n].velocity[1], state.player[n].velocity[2] = vx, vy, vz
    state.player[n].on_ground = on_ground
    state.player[n].sprinting = sprinting
    state.player[n].sneaking = sneaking
    state.player[n].sprint_window = window
    state.player[n].jump_delay = delay
    state.player[n].fall_distance = fall


@device_function
def leaps(voxels, n, block_height, x, y, z, height):
    """Whether a swimmer who is held by a wall would be free of it, and of all liquid, up there."""
    half = PLAYER_HALF_WIDTH
    return (
        is_free(voxels, n, block_height, x - half, x + half, y, y + height, z - half, z + half)
        and liquid_depth(voxels, n, x - half, x + half, y, y + height, z - half, z + half, WATER) <= 0.0
        and liquid_depth(voxels, n, x - half, x + half, y, y + height, z - half, z + half, LAVA) <= 0.0
    )


@device_function
def land(state, n, tables, x, y, z, fall, jump_boost):
    """A fall of more than two blocks ends at (x, y, z): none in water, a fifth of the damage on hay."""
    half = PLAYER_HALF_WIDTH
    if liquid_depth(state.voxels, n, x - half, x + half, y, y + 1.5, z - half, z + half, WATER) > 0.0:
        return
    state.statistics[n].custom[FALLEN] += int(100.0 * fall + 0.5)
    damage = fall - SAFE_FALL - jump_boost
    if block_at(state.voxels, n, math.floor(x), math.floor(y - 0.2), math.floor(z)) == HAY:
        damage *= HAY_FALL
    if damage > 0.0 and state.world[n].gamerule[FALL_DAMAGE]:
        hurt_player(state.player, n, tables, float(math.ceil(damage)), math.nan, math.nan, PIERCES)


@device_function
def armoured(damage, points, toughness):
    """What armour lets through of a hit."""
    held = max(points / 5.0, points - damage / (2.0 + toughness / 4.0))
    return damage * (1.0 - min(20.0, held) / 25.0)


@device_function
def hurt_player(player, n, tables, amount, from_x, from_z, pierces):
    """Hurts the player by ``amount`` health points: hurt window, armour, resistance, absorption, knockback.

    Knocked back away from (from_x, from_z) unless they are NaN. ``pierces``: PIERCES passes armour (falling, drowning,
    fire on the body, magic), ABSOLUTE resistance too (hunger). Statistics and wear are counted in `tick_body`.
    """
    damage = float(amount)
    if damage <= 0.0 or player[n].health <= 0.0:
        return
    fresh = player[n].immune_ticks <= IMMUNE_ABOVE
    if not fresh and damage <= player[n].last_damage:
        return
    taken = damage if fresh else damage - player[n].last_damage
    player[n].last_damage = damage
    if fresh:
        player[n].immune_ticks, player[n].hurt_ticks = IMMUNE_TICKS, HURT_TICKS
        if not math.isnan(from_x):
            knock_player(player, n, player[n].position[0] - from_x, player[n].position[2] - from_z)
    if pierces == STOPPED_BY_ARMOUR:
        player[n].armour_wear += max(1, int(taken / 4.0))
        points, toughness = 0.0, 0.0
        for slot in range(FEET, HEAD + 1):
            points += tables.item_armour[player[n].inventory_item[slot]]
            toughness += tables.item_toughness[player[n].inventory_item[slot]]
        taken = armoured(taken, points, toughness)
    if pierces != ABSOLUTE:
        taken *= max(0.0, 1.0 - 0.2 * effect_level(player, n, RESISTANCE))
    absorbed = min(float(player[n].absorption), taken)
    player[n].absorption -= absorbed
    taken -= absorbed
    if taken > 0.0:
        if pierces == STOPPED_BY_ARMOUR:
            exhaust(player, n, 0.1)
        player[n].damage_taken += int(10.0 * taken + 0.5)
        player[n].health = max(np.float32(0.0), player[n].health - np.float32(taken))


@device_function
def knock_player(player, n, away_x, away_z):
    """Halves the velocity and adds knockback along (away_x, away_z); from the ground also upwards."""
    length = math.sqrt(away_x * away_x + away_z * away_z)
    if length > 1e-4:
        away_x, away_z = away_x / length, away_z / length
    player[n].velocity[0] = player[n].velocity[0] / 2.0 + away_x * KNOCKBACK
    player[n].velocity[2] = player[n].velocity[2] / 2.0 + away_z * KNOCKBACK
    if player[n].on_ground:
        player[n].velocity[1] = min(0.4, player[n].velocity[1] / 2.0 + KNOCKBACK)


@device_function
def count_damage(player, statistics, n, item_durability):
    """Counts the damage since it was last counted and wears the armour that took part."""
    statistics[n].custom[DAMAGE_TAKEN] += player[n].damage_taken
    if player[n].armour_wear > 0:
        for slot in range(FEET, HEAD + 1):
            if player[n].inventory_count[slot] > 0:
                wear(player, statistics, n, item_durability, slot, player[n].armour_wear)
    player[n].damage_taken = player[n].armour_wear = 0


@device_function
def give_effect(player, n, effect, ticks, amplifier):
    """Adds a potion effect: a stronger one replaces a weaker one, an equal one is only ever prolonged."""
    left, before = player[n].effect_ticks[effect], player[n].effect_amplifier[effect]
    if left > 0 and (amplifier < before or (amplifier == before and ticks <= left)):
        return
    player[n].effect_ticks[effect] = ticks
    player[n].effect_amplifier[effect] = amplifier
    if effect == ABSORPTION:
        player[n].absorption = max(player[n].absorption, np.float32(4 * (amplifier + 1)))


@device_function
def act_on_body(player, n, tables, effect, left, amplifier):
    """What an active effect with ``left`` ticks to go does in this tick."""
    if effect == REGENERATION or effect == POISON:
        interval = (50 if effect == REGENERATION else 25) >> min(amplifier, 31)
        if interval == 0 or left % interval == 0:
            if effect == REGENERATION:
                heal(player, n, 1.0)
            elif player[n].health > 1.0:
                hurt_player(player, n, tables, 1.0, math.nan, math.nan, PIERCES)
    elif effect == HUNGER:
        exhaust(player, n, 0.005 * (amplifier + 1))
    elif effect == INSTANT_HEALTH:
        heal(player, n, float(4 << min(amplifier, 20)))
    elif effect == INSTANT_DAMAGE:
        hurt_player(player, n, tables, float(6 << min(amplifier, 20)), math.nan, math.nan, PIERCES)
    elif effect == SATURATION:
        player[n].food = min(MAX_FOOD, player[n].food + amplifier + 1)
        player[n].saturation = min(np.float32(player[n].food), player[n].saturation + np.float32(2 * (amplifier + 1)))
    elif effect == ABSORPTION and left == 1:
        player[n].absorption = 0.0


@device_function
def tick_body(state, n, tables):
    """Effects, hunger, healing, death and the counters of the arm, once a tick."""
    for effect in range(NUM_EFFECTS):
        left = state.player[n].effect_ticks[effect]
        if left > 0:
            act_on_body(state.player, n, tables, effect, left, state.player[n].effect_amplifier[effect])
            state.player[n].effect_ticks[effect] = left - 1

    if state.player[n].exhaustion > EXHAUSTION_STEP:
        state.player[n].exhaustion -= np.float32(EXHAUSTION_STEP)
        if state.player[n].saturation > 0.0:
            state.player[n].saturation = max(np.float32(0.0), state.player[n].saturation - np.float32(1.0))
        else:
            state.player[n].food = max(0, state.player[n].food - 1)
    wounded = 0.0 < state.player[n].health < MAX_HEALTH and state.world[n].gamerule[NATURAL_REGENERATION] != 0
    wait = state.player[n].heal_ticks + 1
    if wounded and state.player[n].saturation > 0.0 and state.player[n].food >= MAX_FOOD:
        if wait >= 10:
            spent = min(state.player[n].saturation, np.float32(6.0))
            heal(state.player, n, float(spent) / 6.0)
            exhaust(state.player, n, float(spent))
            wait = 0
    elif wounded and state.player[n].food >= 18:
        if wait >= 80:
            heal(state.player, n, 1.0)
            exhaust(state.player, n, 6.0)
            wait = 0
    elif state.player[n].food <= 0:
        if wait >= 80:
            hurt_player(state.player, n, tables, STARVATION_DAMAGE, math.nan, math.nan, ABSOLUTE)
            wait = 0
    else:
        wait = 0
    state.player[n].heal_ticks = wait

    if state.player[n].immune_ticks > 0:
        state.player[n].immune_ticks -= 1
        if state.player[n].hurt_ticks > 0:
            state.player[n].hurt_ticks -= 1
        if state.player[n].damage_taken > 0 or state.player[n].armour_wear > 0:
            count_damage(state.player, state.statistics, n, tables.item_durability)
    state.player[n].attack_ticks += 1
    held = state.player[n].inventory_item[state.player[n].selected]
    if held != state.player[n].held_item:
        state.player[n].held_item = held
        state.player[n].attack_ticks = 0
    if state.player[n].swing_ticks > 0:
        state.player[n].swing_ticks = (state.player[n].swing_ticks + 1) % 7

    if state.player[n].health <= 0.0:
        die(state, n, tables)


@device_function
def die(state, n, tables):
    """The player's death: what it carried falls about, and it is back at the spawn at once."""
    state.statistics[n].custom[DEATHS] += 1
    state.statistics[n].custom[TIME_SINCE_DEATH] = 0
    if state.world[n].gamerule[KEEP_INVENTORY]:
        close_screen(state, n, tables)
    else:
        throw_everything(state, n)
    place_player(state, n, state.player[n].spawn[0], state.player[n].spawn[1], state.player[n].spawn[2])
    new_life(state, n)


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
    """A new life with nothing carried."""
    new_life(state, n)
    state.player[n].cursor_item = 0
    state.player[n].cursor_count = 0
    state.player[n].cursor_damage = 0
    for slot in range(INVENTORY_SLOTS):
        state.player[n].inventory_item[slot] = 0
        state.player[n].inventory_count[slot] = 0
        state.player[n].inventory_damage[slot] = 0


@device_function
def new_life(state, n):
    """Full health and food, no effects, every counter at its start."""
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
    state.player[n].damage_taken = 0
    state.player[n].armour_wear = 0
    state.player[n].absorption = 0.0
    state.player[n].in_water = 0
    state.player[n].air = MAX_AIR
    state.player[n].fire_ticks = 0
    state.player[n].dig_progress = 0.0
    state.player[n].dig_block[1] = NO_BLOCK
    state.player[n].dig_delay = 0
    state.player[n].miss_ticks = 0
    state.player[n].use_delay = 0
    state.player[n].eat_ticks = 0
    state.player[n].gui_open = 0
    for effect in range(NUM_EFFECTS):
        state.player[n].effect_ticks[effect] = 0
        state.player[n].effect_amplifier[effect] = 0
