"""What mobs want: to flee, to follow food, to graze, to wander, to look about; and monsters, to attack.

Chances, ranges and factors are Minecraft 1.16.5's. A mob has one goal at a time, in Minecraft's order of importance.
"""

import math

from minestudio_envs.voxel.blocks import AIR, BLOCK_ID, DIRT, FIRST_LIQUID, FIRST_OPAQUE, GRASS_BLOCK
from minestudio_envs.voxel.collision import block_at, ray_to_solid
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.light import light_at, sky_darkening
from minestudio_envs.voxel.mobs import (
    FIRST_MONSTER,
    GOAL_ATTACK,
    GOAL_EAT,
    GOAL_FOLLOW,
    GOAL_LOOK_AROUND,
    GOAL_LOOK_AT_PLAYER,
    GOAL_NONE,
    GOAL_PANIC,
    GOAL_PARENT,
    GOAL_WANDER,
    PANIC_TICKS,
    SHORN,
    more_bits,
)
from minestudio_envs.voxel.physics import STOPPED_BY_ARMOUR, hurt_player, wrap_degrees
from minestudio_envs.voxel.player_body import DEGREES, PLAYER_HALF_WIDTH, STANDING_HEIGHT, eye_height
from minestudio_envs.voxel.projectiles import HARD_DAMAGE, shoot_arrow
from minestudio_envs.voxel.randomness import draw
from minestudio_envs.voxel.state import GAMERULE_ID, SHEEP, SKELETON, ZOMBIE
from minestudio_envs.voxel.world import change_block

WANDER_CHANCE, WANDER_RANGE, WANDER_TICKS = 1 / 120, 10.0, 240
WANDER_TRIES = 4  # targets looked at for one that is not in water
NO_WANDER = 32.0  # blocks from the player beyond which nothing wanders
PANIC_RANGE, PANIC_GOAL_TICKS = 5.0, 60
LOOK_CHANCE = 0.02
TEMPT_RANGE, TEMPT_STOP, CALM_TICKS = 10.0, 2.5, 100
EAT_CHANCE, BABY_EAT_CHANCE, EAT_TICKS, EAT_BITE = 1 / 1000, 1 / 50, 40, 4
MEAL_GROWTH = 1200  # ticks that a meal makes a lamb older
PARENT_RANGE, PARENT_HEIGHT, PARENT_NEAR, PARENT_LOST = 8.0, 4.0, 3.0, 16.0  # blocks
GRASS = BLOCK_ID["grass"]
MOB_GRIEFING = GAMERULE_ID["mobGriefing"]

SEE_CHANCE, SEE_EVERY, MEMORY_TICKS = 0.1, 4, 60  # monsters forget a player whom they have not seen for so long
SNEAK_FACTOR = 0.8  # of the range from which a sneaking player is seen
BLOW_DAMAGE, BLOW_TICKS = 3.0, 20
BLOW_FIRE_CHANCE, BLOW_FIRE_TICKS = 0.675, 80  # a burning zombie's blow, at hard's regional difficulty of 2.25
BOW_RANGE = 15.0
DRAW_TICKS, SHOT_TICKS = 20, 40  # drawing takes 20 ticks, the pause before it on hard another 20
ARROW_SPEED, ARROW_INACCURACY = 1.6, 14.0 - 3 * 4.0  # on hard
ARROW_LOFT = 0.2  # of the distance, by which it aims higher
SUN_CHANCE, SUN_FIRE_TICKS = 0.04, 160  # (brightness 1 - 0.4) x 2 / 30 per tick
DAY_DARKENING = 4  # it is day while the sky is darkened by less

HEAD_TURN, FAST_HEAD_TURN, HEAD_LIMIT, PITCH_LIMIT = 10.0, 30.0, 75.0, 40.0  # degrees per tick, from the body


@device_function
def turn_towards(angle, target, limit):
    """``angle`` turned by at most ``limit`` degrees towards ``target``."""
    return wrap_degrees(angle + min(limit, max(-limit, wrap_degrees(target - angle))))


@device_function
def yaw_towards(dx, dz):
    return math.atan2(-dx, dz) / DEGREES


@device_function
def sees_player(state, n, m, tables):
    """Whether no solid block is between the mob's eyes and the player's."""
    x, z = state.mobs[n, m].position[0], state.mobs[n, m].position[2]
    y = state.mobs[n, m].position[1] + tables.mob_eyes[state.mobs[n, m].kind]
    dx, dz = state.player[n].position[0] - x, state.player[n].position[2] - z
    dy = state.player[n].position[1] + eye_height(state.player[n].sneaking) - y
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    if length < 1e-6:
        return True
    reached = ray_to_solid(
        state.voxels, n, tables.block_height, x, y, z, dx / length, dy / length, dz / length, length
    )  # fmt: skip
    return reached >= length


@device_function
def choose_wander(state, n, m, bits):
    """A target within 10 blocks, rather not in water or lava. Sets ``target``."""
    size = state.voxels.shape[1]
    for attempt in range(WANDER_TRIES):
        x = state.mobs[n, m].position[0] + (2.0 * draw(bits, 2) - 1.0) * WANDER_RANGE
        z = state.mobs[n, m].position[2] + (2.0 * draw(bits, 3) - 1.0) * WANDER_RANGE
        state.mobs[n, m].target[0], state.mobs[n, m].target[2] = x, z
        bx, bz = math.floor(x) & (size - 1), math.floor(z) & (size - 1)
        top = int(state.voxels[n, bx, bz, max(0, int(state.height[n, bx, bz]) - 1)])
        if top < FIRST_LIQUID or top >= FIRST_OPAQUE:
            break
        bits = more_bits(bits, attempt)


@device_function
def eat_grass(state, n, m, tables):
    """A sheep's bite: the grass goes, its wool comes back, a lamb grows."""
    x, z = math.floor(state.mobs[n, m].position[0]), math.floor(state.mobs[n, m].position[2])
    y = math.floor(state.mobs[n, m].position[1] + 1e-6)
    feet = block_at(state.voxels, n, x, y, z)
    griefing = state.world[n].gamerule[MOB_GRIEFING] != 0
    if feet == GRASS:
        if griefing:
            change_block(state, n, tables, x, y, z, AIR)
    elif block_at(state.voxels, n, x, y - 1, z) == GRASS_BLOCK:
        if griefing:
            change_block(state, n, tables, x, y - 1, z, DIRT)
    else:
        return
    state.mobs[n, m].variant &= SHORN - 1
    if state.mobs[n, m].age < 0:
        state.mobs[n, m].age = min(0, state.mobs[n, m].age + MEAL_GROWTH)


@device_function
def can_graze(state, n, m):
    """Whether there is grass at a sheep's feet or below them."""
    x, z = math.floor(state.mobs[n, m].position[0]), math.floor(state.mobs[n, m].position[2])
    y = math.floor(state.mobs[n, m].position[1] + 1e-6)
    return (
        block_at(state.voxels, n, x, y, z) == GRASS or block_at(state.voxels, n, x, y - 1, z) == GRASS_BLOCK
    )  # fmt: skip


@device_function
def find_parent(state, n, m, reach):
    """The nearest adult of a baby's kind that is within ``reach`` and not near: it is followed. Else -1."""
    x, y, z = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
    parent, nearest = -1, 2.0 * reach * reach
    for other in range(state.mobs.shape[1]):
        if state.mobs[n, other].kind != state.mobs[n, m].kind or state.mobs[n, other].age < 0:
            continue
        dx, dz = state.mobs[n, other].position[0] - x, state.mobs[n, other].position[2] - z
        dy = state.mobs[n, other].position[1] - y
        apart = dx * dx + dy * dy + dz * dz
        within = abs(dx) <= reach and abs(dz) <= reach and abs(dy) <= PARENT_HEIGHT
        if within and apart < nearest and state.mobs[n, other].health > 0.0:
            parent, nearest = other, apart
    return parent if nearest >= PARENT_NEAR * PARENT_NEAR else -1


@device_function
def choose_goal(state, n, m, tables, bits, bait, distance):
    """Starts a new goal for a living mob when it is time to.

    ``bait``: a bit per kind that what the player holds tempts. ``distance``: squared, between the feet.
    """
    kind = state.mobs[n, m].kind
    goal = state.mobs[n, m].goal
    left = state.mobs[n, m].goal_ticks
    calm = state.mobs[n, m].panic_ticks
    if left > 0:
        left -= 1
    if left == 0:
        goal = GOAL_NONE

    busy = False  # with what is more important than wandering
    if kind >= FIRST_MONSTER:
        reach = tables.mob_range[kind]
        if goal == GOAL_ATTACK:
            if distance > reach * reach or state.player[n].health <= 0.0:
                goal, left = GOAL_NONE, 0
            elif (state.world[n].tick + m) % SEE_EVERY == 0 and sees_player(state, n, m, tables):
                left = MEMORY_TICKS
        elif distance < reach * reach and state.player[n].health > 0.0:
            near = reach * SNEAK_FACTOR if state.player[n].sneaking else reach
            seen = draw(bits, 0) < SEE_CHANCE and distance < near * near and sees_player(state, n, m, tables)
            if seen or calm == PANIC_TICKS - 1:  # or just hit
                goal, left = GOAL_ATTACK, MEMORY_TICKS
                state.mobs[n, m].timer = DRAW_TICKS if kind == SKELETON else 0
                state.mobs[n, m].detour = 0
        busy = goal == GOAL_ATTACK
    else:
        scared = (calm > 0 or state.mobs[n, m].fire_ticks > 0) and tables.mob_panic[kind] > 0.0
        tempted = (bait >> kind) & 1 and distance <= TEMPT_RANGE * TEMPT_RANGE and calm >= 0
        if scared:
            if goal != GOAL_PANIC:
                goal, left = GOAL_PANIC, PANIC_GOAL_TICKS
                state.mobs[n, m].target[0] = state.mobs[n, m].position[0] + (2.0 * draw(bits, 2) - 1.0) * PANIC_RANGE
                state.mobs[n, m].target[2] = state.mobs[n, m].position[2] + (2.0 * draw(bits, 3) - 1.0) * PANIC_RANGE
        elif goal == GOAL_FOLLOW and not tempted:
            goal, left = GOAL_NONE, 0
            state.mobs[n, m].panic_ticks = -CALM_TICKS
        elif tempted and goal != GOAL_PANIC:
            goal, left = GOAL_FOLLOW, 2
        busy = goal == GOAL_PANIC or goal == GOAL_FOLLOW or goal == GOAL_EAT
        if state.mobs[n, m].age < 0 and not busy:
            parent = find_parent(state, n, m, PARENT_LOST if goal == GOAL_PARENT else PARENT_RANGE)
            if parent >= 0:
                if goal != GOAL_PARENT:
                    state.mobs[n, m].detour = 0
                goal, left, busy = GOAL_PARENT, 2, True
                state.mobs[n, m].target[0] = state.mobs[n, parent].position[0]
                state.mobs[n, m].target[2] = state.mobs[n, parent].position[2]
            elif goal == GOAL_PARENT:
                goal, left = GOAL_NONE, 0
        if kind == SHEEP:
            if goal == GOAL_EAT and left == EAT_BITE:
                eat_grass(state, n, m, tables)
            elif not busy and goal != GOAL_WANDER:
                chance = BABY_EAT_CHANCE if state.mobs[n, m].age < 0 else EAT_CHANCE
                if draw(more_bits(bits, 0), 0) < chance and can_graze(state, n, m):
                    goal, left, busy = GOAL_EAT, EAT_TICKS, True

    if not busy and goal != GOAL_WANDER:
        if draw(bits, 0) < WANDER_CHANCE:
            if distance < NO_WANDER * NO_WANDER:
                goal, left = GOAL_WANDER, WANDER_TICKS
                state.mobs[n, m].detour = 0
                choose_wander(state, n, m, bits)
        elif goal == GOAL_NONE:
            u = draw(bits, 1)
            if u < LOOK_CHANCE:
                if distance < tables.mob_look[kind] * tables.mob_look[kind]:
                    goal, left = GOAL_LOOK_AT_PLAYER, 40 + int(40.0 * draw(bits, 2))
            elif u < 2.0 * LOOK_CHANCE:
                goal, left = GOAL_LOOK_AROUND, 20 + int(20.0 * draw(bits, 2))
                angle = 2.0 * math.pi * draw(bits, 3)
                state.mobs[n, m].target[0] = state.mobs[n, m].position[0] + math.cos(angle)
                state.mobs[n, m].target[2] = state.mobs[n, m].position[2] + math.sin(angle)
    state.mobs[n, m].goal = goal
    state.mobs[n, m].goal_ticks = left


@device_function
def strike_player(state, n, m, tables, bits, distance):
    """A zombie's blow, when the player is in reach."""
    state.mobs[n, m].timer = max(0, state.mobs[n, m].timer - 1)
    width = 2.0 * tables.mob_width[ZOMBIE]
    if distance <= width * width + 2.0 * PLAYER_HALF_WIDTH and state.mobs[n, m].timer == 0:
        state.mobs[n, m].timer = BLOW_TICKS
        x, z = state.mobs[n, m].position[0], state.mobs[n, m].position[2]
        hurt_player(state.player, n, tables, BLOW_DAMAGE * HARD_DAMAGE, x, z, STOPPED_BY_ARMOUR)
        if state.mobs[n, m].fire_ticks > 0 and draw(bits, 1) < BLOW_FIRE_CHANCE:
            state.player[n].fire_ticks = max(state.player[n].fire_ticks, BLOW_FIRE_TICKS)


@device_function
def draw_bow(state, n, m, tables, bits):
    """A skeleton's bow: a pause, 20 ticks of drawing, and a shot as soon as it sees the player."""
    state.mobs[n, m].timer = max(0, state.mobs[n, m].timer - 1)
    if state.mobs[n, m].timer > 0 or not sees_player(state, n, m, tables):
        return
    state.mobs[n, m].timer = SHOT_TICKS
    x, y, z = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
    y += tables.mob_eyes[SKELETON] - 0.1
    dx, dz = state.player[n].position[0] - x, state.player[n].position[2] - z
    dy = state.player[n].position[1] + STANDING_HEIGHT / 3.0 - y + ARROW_LOFT * math.sqrt(dx * dx + dz * dz)
    shoot_arrow(state.arrows, n, x, y, z, dx, dy, dz, ARROW_SPEED, ARROW_INACCURACY, more_bits(bits, 1))


@device_function
def catch_fire(state, n, m, tables, bits):
    """Whether zombies and skeletons are set on fire by the sun in this tick. Water is asked for elsewhere."""
    if draw(bits, 2) >= SUN_CHANCE or state.world[n].weather != 0:
        return False
    if sky_darkening(state.world[n].time_of_day, state.world[n].weather) >= DAY_DARKENING:
        return False
    x, z = math.floor(state.mobs[n, m].position[0]), math.floor(state.mobs[n, m].position[2])
    y = math.floor(state.mobs[n, m].position[1] + 0.5)
    sky, _ = light_at(state.light, state.height, n, x, y, z)
    return sky == 15


@device_function
def turn_head(state, n, m, tables):
    """Head and, when it stands, body turn towards what the mob looks at."""
    goal = state.mobs[n, m].goal
    turned_body, head, pitch = float(state.mobs[n, m].yaw), float(state.mobs[n, m].head_yaw), 0.0
    if goal == GOAL_NONE and head == turned_body and state.mobs[n, m].head_pitch == 0.0:
        return
    at_player = goal == GOAL_LOOK_AT_PLAYER or goal == GOAL_FOLLOW or goal == GOAL_ATTACK
    if at_player or goal == GOAL_LOOK_AROUND:
        if at_player:
            dx = state.player[n].position[0] - state.mobs[n, m].position[0]
            dz = state.player[n].position[2] - state.mobs[n, m].position[2]
            eyes = state.mobs[n, m].position[1] + tables.mob_eyes[state.mobs[n, m].kind]
            dy = state.player[n].position[1] + eye_height(state.player[n].sneaking) - eyes
            pitch = -math.atan2(dy, math.sqrt(dx * dx + dz * dz)) / DEGREES
            pitch = min(PITCH_LIMIT, max(-PITCH_LIMIT, pitch))
        else:
            dx = state.mobs[n, m].target[0] - state.mobs[n, m].position[0]
            dz = state.mobs[n, m].target[2] - state.mobs[n, m].position[2]
        fast = goal == GOAL_FOLLOW or goal == GOAL_ATTACK
        turned = turn_towards(head, yaw_towards(dx, dz), FAST_HEAD_TURN if fast else HEAD_TURN)
        off = wrap_degrees(turned - turned_body)
        if fast:  # the body is turned by the walk, as far as the neck lets it be
            turned = wrap_degrees(turned_body + min(HEAD_LIMIT, max(-HEAD_LIMIT, off)))
        # the body follows a head that has come to rest, or that is turned too far
        elif abs(wrap_degrees(turned - head)) < 1.0:
            turned_body = turn_towards(turned_body, head, HEAD_TURN)
        else:
            turned_body = wrap_degrees(turned - min(HEAD_LIMIT, max(-HEAD_LIMIT, off)))
        head = turned
    else:
        if goal == GOAL_EAT:
            pitch = PITCH_LIMIT
        if head != turned_body:
            head = turn_towards(head, turned_body, HEAD_TURN)
    state.mobs[n, m].yaw = turned_body
    state.mobs[n, m].head_yaw = head
    state.mobs[n, m].head_pitch = pitch
