"""Programs: what happens to an environment besides its player's actions, as rows of numbers.

A reset runs a program, one row per tick, as MineStudio sends one command per tick; a command in the middle of an
episode is a program of one row. ``commands.py`` writes the rows, from text or from callbacks. Rows may depend on a
condition that is drawn anew in every episode; what a reset makes the world from, ``starts``, too.
"""

import math
from typing import NamedTuple

import numpy as np

from minestudio_envs.voxel.blocks import AIR
from minestudio_envs.voxel.collision import is_free
from minestudio_envs.voxel.drops import add_item, drop_item
from minestudio_envs.voxel.items import HOTBAR_SLOTS, INVENTORY_SLOTS, MAIN_SLOTS, NUM_ITEMS
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.mobs import spawn_mob
from minestudio_envs.voxel.physics import give_effect, place_player, wrap_degrees
from minestudio_envs.voxel.player_body import DEGREES, PLAYER_HALF_WIDTH, STANDING_HEIGHT
from minestudio_envs.voxel.randomness import STREAM_COMMAND, STREAM_SUMMON, random_bits, random_index, to_unit
from minestudio_envs.voxel.world import break_block, change_block

ROW = 16
CONDITION = ROW - 1  # the last column: 1 + the row of `conditions` that must hold, 0 = always
(
    NOTHING,
    GIVE,  # item, count, damage
    EFFECT_GIVE,  # effect, ticks, amplifier
    EFFECT_CLEAR,  # effect or -1
    SUMMON,  # mob, place (4 columns), age, variant or -1, health or 0
    SUMMON_RANGE,  # mob, x low, x high, z low, z high
    SUMMON_ITEM,  # item, count, damage, place (4)
    TIME_SET,  # time of day
    TIME_ADD,  # ticks
    CLEAR,  # item or -1, most items
    KILL,  # selection (5)
    TELEPORT,  # selection (5), place (4), bits: 1 = turn, 2 = yaw is relative, 4 = pitch is relative; yaw, pitch
    SET_SLOT,  # slot or IN_HAND, item, count, damage
    DRAW_SLOT,  # slot or -1, free slots, drawn before, item or -1, low, high, chance of 1, damage, of, active, stream
    SET_BLOCK,  # block, mode, place (4)
    FILL,  # block, mode, filter or -1, place (4), place (4)
    GAMERULE,  # rule, value
    WEATHER,  # state.WEATHERS, ticks
    STAND,  # x, y, z: there, or on the ground if that is nowhere to stand
) = range(19)

# A place: bits of the axes that are relative to the player's feet, x, y, z; LOCAL: left, up, forward of the view.
LOCAL = 8
# A selection: bits of what is selected, least and greatest distance in blocks, most of them (0 = all), order.
SELECT_PLAYER, SELECT_ITEMS, SELECT_ARROWS = 1, 1 << 8, 1 << 9  # and 1 << k for mobs of kind k
NEAREST, FURTHEST, RANDOM, ARBITRARY = range(4)

REPLACE, KEEP, DESTROY, HOLLOW, OUTLINE = range(5)  # how blocks are set
MAX_FILL = 32768

IN_HAND = -2  # the selected slot
SUMMON_HEIGHT = 3.0  # above the player's feet
SUMMON_TRIES = 8

# Columns of `conditions`. A member of a group holds in an episode in which it is among the `chosen` of the group's
# `members` that are drawn, and the `parent` (1 + its row, 0 = none) holds too.
PARENT, MEMBER, MEMBERS, CHOSEN, STREAM = range(5)
# Columns of `starts`; the last row whose condition holds is the one.
START_COLUMNS = 7
START_CONDITION, START_RANGE, START_TIME, START_WEATHER, START_SEEDED, START_KEY, START_BIOMES = range(START_COLUMNS)


class Script(NamedTuple):
    """What resets do."""

    program: np.ndarray  # float64 [P, ROW]
    conditions: np.ndarray  # int64 [C, 5]
    starts: np.ndarray  # int64 [S, START_COLUMNS]


def make_script(program=None, conditions=None, starts=None) -> Script:
    """A Script from arrays or lists of rows, None for none. Raises ValueError for wrong shapes."""

    def table(name, rows, columns, dtype):
        table = np.zeros((0, columns), dtype) if rows is None else np.ascontiguousarray(rows, dtype)
        if table.ndim != 2 or table.shape[1] != columns:
            raise ValueError(f"{name} must be [rows, {columns}], not {list(table.shape)}")
        return table

    return Script(
        table("program", program, ROW, np.float64),
        table("conditions", conditions, 5, np.int64),
        table("starts", starts, START_COLUMNS, np.int64),
    )


# CONDITIONS


@device_function
def is_drawn(key, episode, stream, member, members, chosen):
    """Whether ``member`` is among the ``chosen`` of ``members`` that this episode draws."""
    own = random_bits(key, episode, 0, stream + member)
    before = 0
    for other in range(members):
        bits = random_bits(key, episode, 0, stream + other)
        if bits < own or (bits == own and other < member):
            before += 1
    return before < chosen


@device_function
def holds(world, n, conditions, condition):
    """Whether a row's condition holds in the current episode."""
    while condition > 0:
        c = condition - 1
        if not is_drawn(
            world[n].key,
            world[n].episode,
            conditions[c, STREAM],
            conditions[c, MEMBER],
            conditions[c, MEMBERS],
            conditions[c, CHOSEN],
        ):
            return False
        condition = conditions[c, PARENT]
    return True


# PLACES AND ENTITIES


@device_function
def locate(player, n, bits, x, y, z):
    """The coordinates that a place means now."""
    if bits & LOCAL:
        yaw, pitch = player[n].yaw * DEGREES, player[n].pitch * DEGREES
        sin_yaw, cos_yaw, sin_pitch, cos_pitch = math.sin(yaw), math.cos(yaw), math.sin(pitch), math.cos(pitch)
        left, up, forward = x, y, z
        x = player[n].position[0] + left * cos_yaw - up * sin_yaw * sin_pitch - forward * sin_yaw * cos_pitch
        y = player[n].position[1] + up * cos_pitch - forward * sin_pitch
        z = player[n].position[2] + left * sin_yaw + up * cos_yaw * sin_pitch + forward * cos_yaw * cos_pitch
        return x, y, z
    if bits & 1:
        x += player[n].position[0]
    if bits & 2:
        y += player[n].position[1]
    if bits & 4:
        z += player[n].position[2]
    return x, y, z


@device_function
def locate_column(player, n, program, row, column):
    """``locate`` of the place in four columns of a row."""
    bits, x, y, z = program[row, column], program[row, column + 1], program[row, column + 2], program[row, column + 3]
    return locate(player, n, int(bits), x, y, z)


@device_function
def entity_bit(state, n, i):
    """The bit of entity ``i`` in a selection, 0 if there is none: the player, mobs, items, arrows are counted."""
    if i == 0:
        return SELECT_PLAYER
    i -= 1
    if i < state.mobs.shape[1]:
        return 1 << int(state.mobs[n, i].kind) if state.mobs[n, i].kind != 0 and state.mobs[n, i].health > 0.0 else 0
    i -= state.mobs.shape[1]
    if i < state.drops.shape[1]:
        return SELECT_ITEMS if state.drops[n, i]["item"] != 0 else 0
    i -= state.drops.shape[1]
    return SELECT_ARROWS if state.arrows[n, i].ticks != 0 else 0


@device_function
def squared_distance(state, n, i):
    """From the player's feet to those of entity ``i``."""
    if i == 0:
        return 0.0
    i -= 1
    x, y, z = state.player[n].position[0], state.player[n].position[1], state.player[n].position[2]
    if i < state.mobs.shape[1]:
        x, y, z = x - state.mobs[n, i].position[0], y - state.mobs[n, i].position[1], z - state.mobs[n, i].position[2]
    elif i < state.mobs.shape[1] + state.drops.shape[1]:
        i -= state.mobs.shape[1]
        x, y, z = (
            x - state.drops[n, i].position[0],
            y - state.drops[n, i].position[1],
            z - state.drops[n, i].position[2],
        )
    else:
        i -= state.mobs.shape[1] + state.drops.shape[1]
        x -= state.arrows[n, i].position[0]
        y -= state.arrows[n, i].position[1]
        z -= state.arrows[n, i].position[2]
    return x * x + y * y + z * z


@device_function
def sort_key(state, n, i, order):
    """What a selection is sorted by."""
    if order == NEAREST:
        return squared_distance(state, n, i)
    if order == FURTHEST:
        return -squared_distance(state, n, i)
    if order == RANDOM:
        bits = random_bits(state.world[n].key, state.world[n].episode, state.world[n].tick, STREAM_COMMAND + i)
        return float(to_unit(bits))
    return 0.0


@device_function
def next_selected(state, n, program, row, key, last):
    """The entity that follows ``last`` (with sort key ``key``; -1 before the first) in a row's selection, or -1."""
    bits, order = int(program[row, 1]), int(program[row, 5])
    low, high = program[row, 2], program[row, 3]
    best, best_key = -1, math.inf
    for i in range(1 + state.mobs.shape[1] + state.drops.shape[1] + state.arrows.shape[1]):
        if entity_bit(state, n, i) & bits == 0:
            continue
        squared = squared_distance(state, n, i)
        if squared < low * low or squared > high * high:
            continue
        own = sort_key(state, n, i, order)
        if (own > key or (own == key and i > last)) and own < best_key:
            best, best_key = i, own
    return best, best_key


@device_function
def kill_entity(state, n, i):
    if i == 0:
        state.player[n].health = 0.0
    elif i <= state.mobs.shape[1]:
        state.mobs[n, i - 1].health = 0.0
    elif i <= state.mobs.shape[1] + state.drops.shape[1]:
        state.drops[n, i - 1 - state.mobs.shape[1]]["item"] = 0
    else:
        state.arrows[n, i - 1 - state.mobs.shape[1] - state.drops.shape[1]].ticks = 0


@device_function
def move_entity(state, n, i, x, y, z):
    """Puts an entity there at once, with nothing drawn on the way."""
    if i == 0:
        place_player(state, n, x, y, z)
    elif i <= state.mobs.shape[1]:
        m = i - 1
        state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2] = x, y, z
        for axis in range(3):
            state.mobs[n, m].previous_position[axis] = state.mobs[n, m].position[axis]
            state.mobs[n, m].target[axis] = state.mobs[n, m].position[axis]
            state.mobs[n, m].velocity[axis] = 0.0
        state.mobs[n, m].fall_distance = 0.0
    elif i <= state.mobs.shape[1] + state.drops.shape[1]:
        d = i - 1 - state.mobs.shape[1]
        state.drops[n, d].position[0], state.drops[n, d].position[1], state.drops[n, d].position[2] = x, y, z
        for axis in range(3):
            state.drops[n, d].previous_position[axis] = state.drops[n, d].position[axis]


# WHAT ROWS DO


@device_function
def give(state, n, tables, item, count, damage):
    """Adds items to the inventory; what has no room falls at the player's feet."""
    left, size = add_item(state.player, n, tables.stack_size, item, count, damage), tables.stack_size[item]
    x, y, z = state.player[n].position[0], state.player[n].position[1], state.player[n].position[2]
    for _ in range(state.drops.shape[1]):
        if left > 0:
            drop_item(state, n, item, min(left, size), damage, x, y + 1.0, z, 0.0, 0.0, 0.0)
            left -= size


@device_function
def set_slot(player, n, slot, item, count, damage):
    if slot == IN_HAND:
        slot = player[n].selected
    if count <= 0:
        item, count, damage = 0, 0, 0
    player[n].inventory_item[slot] = item
    player[n].inventory_count[slot] = count
    player[n].inventory_damage[slot] = damage


@device_function
def drawn_slot(key, episode, stream, free, order):
    """The ``order``-th of the slots in the bits of ``free``, drawn one after the other; -1 when all are drawn."""
    left = 0
    for slot in range(MAIN_SLOTS):
        left += (free >> slot) & 1
    chosen = -1
    for i in range(order + 1):
        if left == 0:
            return -1
        skip = random_index(random_bits(key, episode, 0, stream + i), left)
        for slot in range(MAIN_SLOTS):
            if (free >> slot) & 1:
                if skip == 0:
                    chosen = slot
                    break
                skip -= 1
        free &= ~(1 << chosen)
        left -= 1
    return chosen


@device_function
def draw_slot(state, n, tables, program, row):
    """InitInventory's row: a random slot, item or quantity, in some episodes only."""
    key, episode, stream = state.world[n].key, state.world[n].episode, int(program[row, 11])
    of, active = int(program[row, 9]), int(program[row, 10])
    if random_index(random_bits(key, episode, 0, stream + 64), of) >= active:
        return
    slot, free, order = int(program[row, 1]), int(program[row, 2]), int(program[row, 3])
    if slot < 0:
        slot = drawn_slot(key, episode, stream, free, order)
        if slot < 0:
            return
    item = int(program[row, 4])
    if item < 0:
        item = 1 + random_index(random_bits(key, episode, 0, stream + 128 + slot), NUM_ITEMS - 1)
    low, high = int(program[row, 5]), int(program[row, 6])
    if high < 0:
        high = tables.stack_size[item]
    count = low + random_index(random_bits(key, episode, 0, stream + 192 + slot), high - low + 1)
    if to_unit(random_bits(key, episode, 0, stream + 256 + slot)) < program[row, 7]:
        count = 1
    set_slot(state.player, n, slot, item, count, int(program[row, 8]))


@device_function
def summon_near(state, n, tables, row, kind, x_low, x_high, z_low, z_high):
    """Summons a mob above a uniformly drawn spot, where it fits: a few draws, then upwards from the last one."""
    half, height = tables.mob_width[kind] / 2.0, tables.mob_height[kind]
    x, y, z = 0.0, 0.0, 0.0
    for attempt in range(SUMMON_TRIES):
        stream = STREAM_SUMMON + row * 2 * SUMMON_TRIES + 2 * attempt
        u = to_unit(random_bits(state.world[n].key, state.world[n].episode, state.world[n].tick, stream))
        v = to_unit(random_bits(state.world[n].key, state.world[n].episode, state.world[n].tick, stream + 1))
        x = state.player[n].position[0] + x_low + (x_high - x_low) * u
        z = state.player[n].position[2] + z_low + (z_high - z_low) * v
        y = state.player[n].position[1] + SUMMON_HEIGHT
        if is_free(state.voxels, n, tables.block_height, x - half, x + half, y, y + height, z - half, z + half):
            break
    summon(state, n, tables, row, kind, x, y, z, 0, -1, 0.0)


@device_function
def summon(state, n, tables, row, kind, x, y, z, age, variant, health):
    """Summons a mob at (x, y, z), or at the first free height above it."""
    half, height = tables.mob_width[kind] / 2.0, tables.mob_height[kind]
    y = max(y, 0.0)  # nothing is free below the world
    while not is_free(state.voxels, n, tables.block_height, x - half, x + half, y, y + height, z - half, z + half):
        y = math.floor(y) + 1.0
    bits = random_bits(state.world[n].key, state.world[n].episode, state.world[n].tick, STREAM_SUMMON + (1 << 15) + row)
    m = spawn_mob(state, n, tables, kind, x, y, z, bits)
    if m >= 0:
        state.mobs[n, m].age = age
        if variant >= 0:
            state.mobs[n, m].variant = variant
        if health > 0.0:
            state.mobs[n, m].health = health


@device_function
def place_block(state, n, tables, x, y, z, block, mode, only):
    """Sets one block, as /setblock and /fill do."""
    if y < 0 or y >= state.voxels.shape[3]:
        return
    mask = state.voxels.shape[1] - 1
    old = state.voxels[n, x & mask, z & mask, y]
    if old == block or (only >= 0 and old != only) or (mode == KEEP and old != AIR):
        return
    if mode == DESTROY and old != AIR:
        break_block(state, n, tables, x, y, z, old, block)
    else:
        change_block(state, n, tables, x, y, z, block)


@device_function
def fill(state, n, tables, program, row):
    """/fill: the box between two places, both included."""
    block, mode, only = int(program[row, 1]), int(program[row, 2]), int(program[row, 3])
    ax, ay, az = locate_column(state.player, n, program, row, 4)
    bx, by, bz = locate_column(state.player, n, program, row, 8)
    x0, y0, z0 = (
        math.floor(min(ax, bx)),
        math.floor(min(ay, by)),
        math.floor(min(az, bz)),
    )
    x1, y1, z1 = (
        math.floor(max(ax, bx)),
        math.floor(max(ay, by)),
        math.floor(max(az, bz)),
    )
    if (x1 - x0 + 1) * (y1 - y0 + 1) * (z1 - z0 + 1) > MAX_FILL:
        return
    for y in range(max(y0, 0), min(y1 + 1, state.voxels.shape[3])):
        for x in range(x0, x1 + 1):
            for z in range(z0, z1 + 1):
                inside = x0 < x < x1 and y0 < y < y1 and z0 < z < z1
                if mode == HOLLOW and inside:
                    place_block(state, n, tables, x, y, z, AIR, REPLACE, -1)
                elif not (mode == OUTLINE and inside):
                    place_block(state, n, tables, x, y, z, block, mode, only)


@device_function
def stand(state, n, tables, x, y, z):
    """Puts the player at (x, y, z) if there is room and ground not far below, else on top of the column."""
    mask, top = state.voxels.shape[1] - 1, state.voxels.shape[3]
    bx, bz, feet = math.floor(x) & mask, math.floor(z) & mask, math.floor(y)
    half = PLAYER_HALF_WIDTH
    safe = 0 < feet < top and is_free(
        state.voxels, n, tables.block_height, x - half, x + half, y, y + STANDING_HEIGHT, z - half, z + half
    )
    if safe:
        safe = False
        for below in range(max(feet - 3, 0), feet):
            if tables.block_height[state.voxels[n, bx, bz, below]] > 0.0:
                safe = True
    if not safe:
        y = float(state.height[n, bx, bz])
        while not is_free(
            state.voxels, n, tables.block_height, x - half, x + half, y, y + STANDING_HEIGHT, z - half, z + half
        ):
            y += 1.0
    place_player(state, n, x, y, z)
    state.player[n].spawn[0], state.player[n].spawn[1], state.player[n].spawn[2] = x, y, z


@device_function
def clear_items(state, n, item, most):
    """Takes away ``most`` items of a kind, or of every kind (-1)."""
    for slot in range(INVENTORY_SLOTS):
        if most > 0 and (item < 0 or state.player[n].inventory_item[slot] == item):
            taken = min(most, state.player[n].inventory_count[slot])
            most -= taken
            set_slot(
                state.player,
                n,
                slot,
                state.player[n].inventory_item[slot],
                state.player[n].inventory_count[slot] - taken,
                state.player[n].inventory_damage[slot],
            )


@device_function
def execute(state, n, tables, program, row):
    """Runs row ``row`` of a program in environment ``n``."""
    opcode, a, b, c = int(program[row, 0]), program[row, 1], program[row, 2], program[row, 3]
    if opcode == GIVE:
        give(state, n, tables, int(a), int(b), int(c))
    elif opcode == EFFECT_GIVE:
        give_effect(state.player, n, int(a), int(b), int(c))
    elif opcode == EFFECT_CLEAR:
        for effect in range(len(state.player[n].effect_ticks)):
            if int(a) < 0 or int(a) == effect:
                state.player[n].effect_ticks[effect] = 0
    elif opcode == SUMMON:
        x, y, z = locate_column(state.player, n, program, row, 2)
        age, variant, health = int(program[row, 6]), int(program[row, 7]), np.float32(program[row, 8])
        summon(state, n, tables, row, int(a), x, y, z, age, variant, health)
    elif opcode == SUMMON_RANGE:
        summon_near(state, n, tables, row, int(a), b, c, program[row, 4], program[row, 5])
    elif opcode == SUMMON_ITEM:
        x, y, z = locate_column(state.player, n, program, row, 4)
        drop_item(state, n, int(a), int(b), int(c), x, y, z, 0.0, 0.0, 0.0)
    elif opcode == TIME_SET:
        state.world[n].time_of_day = int(a) % 24000
    elif opcode == TIME_ADD:
        state.world[n].time_of_day = (state.world[n].time_of_day + int(a)) % 24000
    elif opcode == CLEAR:
        clear_items(state, n, int(a), int(b))
    elif opcode == KILL or opcode == TELEPORT:
        most, key, i = int(program[row, 4]), -math.inf, -1
        if most == 0:
            most = 1 + state.mobs.shape[1] + state.drops.shape[1] + state.arrows.shape[1]
        x, y, z = locate_column(state.player, n, program, row, 6)
        for _ in range(most):
            i, key = next_selected(state, n, program, row, key, i)
            if i < 0:
                break
            if opcode == KILL:
                kill_entity(state, n, i)
            else:
                move_entity(state, n, i, x, y, z)
        turn = int(program[row, 10])
        if opcode == TELEPORT and turn & 1 and int(a) & SELECT_PLAYER:
            yaw = program[row, 11] + (float(state.player[n].yaw) if turn & 2 else 0.0)
            pitch = program[row, 12] + (float(state.player[n].pitch) if turn & 4 else 0.0)
            state.player[n].yaw = np.float32(wrap_degrees(yaw))
            state.player[n].pitch = np.float32(min(90.0, max(-90.0, pitch)))
    elif opcode == SET_SLOT:
        set_slot(state.player, n, int(a), int(b), int(c), int(program[row, 4]))
    elif opcode == DRAW_SLOT:
        draw_slot(state, n, tables, program, row)
    elif opcode == SET_BLOCK:
        x, y, z = locate_column(state.player, n, program, row, 3)
        place_block(state, n, tables, math.floor(x), math.floor(y), math.floor(z), int(a), int(b), -1)
    elif opcode == FILL:
        fill(state, n, tables, program, row)
    elif opcode == GAMERULE:
        state.world[n].gamerule[int(a)] = int(b)
    elif opcode == WEATHER:
        state.world[n].weather = int(a)
        state.world[n].weather_ticks = int(b)
    elif opcode == STAND:
        stand(state, n, tables, a, b, c)


assert IN_HAND < -1 and HOTBAR_SLOTS < MAIN_SLOTS
