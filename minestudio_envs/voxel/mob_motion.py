"""How mobs move: one tick of goals, walking, swimming, falling, burning and dying for each of them.

Accelerations and drags are Minecraft 1.16.5's. There is no path search: a mob walks straight at its target, jumps up
single blocks, and stops at deep drops, lava and cacti. One that follows or attacks walks to one side for a while when
something is in its way; the others give their target up.
"""

import math

from minestudio_envs.voxel.blocks import AIR, BLOCK_ID, FIRST_LIQUID, FIRST_OPAQUE, LAST_WATER, LAVA
from minestudio_envs.voxel.collision import block_at, is_free, move_box
from minestudio_envs.voxel.drops import drop_item
from minestudio_envs.voxel.goals import (
    BOW_RANGE,
    MEMORY_TICKS,
    NO_WANDER,
    SEE_EVERY,
    SUN_FIRE_TICKS,
    TEMPT_STOP,
    catch_fire,
    choose_goal,
    draw_bow,
    strike_player,
    turn_head,
    turn_towards,
    yaw_towards,
)
from minestudio_envs.voxel.items import ITEM_ID, OFFHAND
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.mobs import (
    DEATH_TICKS,
    EGG_TICKS,
    FIRST_MONSTER,
    GOAL_ATTACK,
    GOAL_FOLLOW,
    GOAL_NONE,
    GOAL_PANIC,
    GOAL_PARENT,
    GOAL_WANDER,
    MOB_KINDS,
    body,
    hurt_by_world,
    leave_loot,
    more_bits,
)
from minestudio_envs.voxel.physics import (
    AIR_DRAG,
    AIR_SPEED,
    GRAVITY,
    GROUND_DRAG,
    INPUT_SCALE,
    JUMP_VELOCITY,
    SAFE_FALL,
    STEP_HEIGHT,
    VERTICAL_DRAG,
    still,
)
from minestudio_envs.voxel.player_body import DEGREES, PLAYER_HALF_WIDTH, body_height
from minestudio_envs.voxel.randomness import STREAM_MOB, STREAM_STRAFE, draw, random_bits, stream_bits, tick_bits
from minestudio_envs.voxel.state import CHICKEN, SKELETON, ZOMBIE

ARRIVED = 0.5  # horizontal distance at which a target counts as reached
BODY_TURN, STRAFE_TURN = 90.0, 30.0  # degrees per tick
DEEPEST_STEP_DOWN = 3
DETOUR_TICKS, DETOUR_YAW, BLOCKED = 20, 90.0, 0.25  # BLOCKED: part of the way's square below which it is
STRAFE_SPEED, STRAFE_INPUT, STRAFE_TICKS = 0.25, 0.5, 64  # a skeleton changes sides after about so many ticks
WIDEST = max(kind.width for kind in MOB_KINDS)
TOUCH = 1e-5  # blocks by which a move must be shortened to be a collision
PUSH = 0.05  # speed given by each of two overlapping bodies to the other in each one's tick

WATER_SPEED, WATER_DRAG, WATER_GRAVITY = 0.02, 0.8, 0.005
LAVA_DRAG, LAVA_GRAVITY = 0.5, 0.02
FLOAT_DEPTH, FLOAT_CHANCE, FLOAT_LIFT = 0.4, 0.8, 0.04
CLIMB_OUT = 0.3  # vertical speed of a swimmer at a bank
CHICKEN_FALL = 0.6  # factor of a falling chicken's speed
LAVA_DAMAGE, LAVA_FIRE_TICKS = 4.0, 300
CACTUS_DAMAGE, FIRE_DAMAGE, FIRE_EVERY = 1.0, 1.0, 20
CACTUS, EGG = BLOCK_ID["cactus"], ITEM_ID["egg"]


@device_function
def bad_step(voxels, n, x, y, z, dry):
    """Whether nobody walks on to (x, z) from height ``y``: a deep drop, lava, a cactus, or (``dry``) water."""
    bx, by, bz = math.floor(x), math.floor(y + 1e-6), math.floor(z)
    if by >= voxels.shape[3]:
        return False
    for down in range(DEEPEST_STEP_DOWN + 2):
        block = block_at(voxels, n, bx, by - down, bz)
        if block == AIR:
            continue
        if block < FIRST_LIQUID or block >= FIRST_OPAQUE:
            return block == CACTUS
        return block == LAVA or dry
    return True


@device_function
def water_depth(voxels, n, x, y, z):
    """How deep a body with the feet at (x, y, z) is in water or lava, at most 3 blocks."""
    bx, by, bz = math.floor(x), math.floor(y), math.floor(z)
    top = by
    while top < by + 3 and FIRST_LIQUID <= block_at(voxels, n, bx, top, bz) < FIRST_OPAQUE:
        top += 1
    return top - y - 1.0 / 9.0


@device_function
def steer(state, n, m, tables, distance):
    """What the goal makes the mob do -> (walks, yaw in degrees, forward and sideways input, speed). Ends goals."""
    goal = state.mobs[n, m].goal
    kind = state.mobs[n, m].kind
    speed = tables.mob_speed[kind]
    x, z = state.mobs[n, m].position[0], state.mobs[n, m].position[2]
    yaw = float(state.mobs[n, m].yaw)
    to_x, to_z = state.mobs[n, m].target[0] - x, state.mobs[n, m].target[2] - z
    if goal == GOAL_FOLLOW or goal == GOAL_ATTACK:
        to_x, to_z = state.player[n].position[0] - x, state.player[n].position[2] - z
    if goal == GOAL_ATTACK and kind == SKELETON:
        seen = state.mobs[n, m].goal_ticks > MEMORY_TICKS - 2 * SEE_EVERY
        if distance <= BOW_RANGE * BOW_RANGE and seen:
            # sideways, changing direction now and then; nearer from afar, back when the player is close
            key, episode, turn = state.world[n].key, state.world[n].episode, state.world[n].tick // STRAFE_TICKS
            bits = random_bits(key, episode, turn, STREAM_STRAFE + m)
            side = STRAFE_INPUT if draw(bits, 0) < 0.5 else -STRAFE_INPUT
            ahead = STRAFE_INPUT if draw(bits, 1) < 0.5 else -STRAFE_INPUT
            if distance > 0.75 * BOW_RANGE * BOW_RANGE:
                ahead = STRAFE_INPUT
            elif distance < 0.25 * BOW_RANGE * BOW_RANGE:
                ahead = -STRAFE_INPUT
            yaw = turn_towards(yaw, yaw_towards(to_x, to_z), STRAFE_TURN)
            return True, yaw, ahead, side, speed * STRAFE_SPEED
    if goal == GOAL_PANIC:
        speed *= tables.mob_panic[kind]
    elif goal == GOAL_FOLLOW:
        speed *= tables.mob_tempt[kind]
    elif goal == GOAL_PARENT:
        speed *= tables.mob_parent[kind]
    gap = to_x * to_x + to_z * to_z
    if goal == GOAL_FOLLOW:
        if distance < TEMPT_STOP * TEMPT_STOP:
            return False, yaw, 0.0, 0.0, speed
    elif gap < ARRIVED * ARRIVED:
        if goal != GOAL_ATTACK:
            state.mobs[n, m].goal_ticks = 0
        return False, yaw, 0.0, 0.0, speed
    wanted = yaw_towards(to_x, to_z)
    detour = state.mobs[n, m].detour
    if detour > 0:
        wanted -= DETOUR_YAW
        state.mobs[n, m].detour = detour - 1
    elif detour < 0:
        wanted += DETOUR_YAW
        state.mobs[n, m].detour = detour + 1
    return True, turn_towards(yaw, wanted, BODY_TURN), speed, 0.0, speed


@device_function
def turn_aside(state, n, m, bits):
    """Something is in the way: a mob that follows or attacks walks to one side, then to the other; others give up."""
    goal = state.mobs[n, m].goal
    if goal == GOAL_FOLLOW or goal == GOAL_PARENT or goal == GOAL_ATTACK:
        ticks = DETOUR_TICKS + int(DETOUR_TICKS * draw(bits, 0))
        if state.mobs[n, m].detour != 0:
            state.mobs[n, m].detour = -ticks if state.mobs[n, m].detour > 0 else ticks
        else:
            state.mobs[n, m].detour = ticks if draw(bits, 1) < 0.5 else -ticks
    else:
        state.mobs[n, m].goal_ticks = 0


@device_function
def move_mob(state, n, m, tables, bits, feet, distance):
    """One tick of walking, swimming, jumping and falling; ``feet``: the block at the feet."""
    voxels, block_height = state.voxels, tables.block_height
    kind = state.mobs[n, m].kind
    half, height = body(state.mobs, n, m, tables)
    x, y, z = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
    vx, vy, vz = (
        still(state.mobs[n, m].velocity[0]),
        still(state.mobs[n, m].velocity[1]),
        still(state.mobs[n, m].velocity[2]),
    )
    on_ground = state.mobs[n, m].on_ground != 0
    goal = state.mobs[n, m].goal
    alive = state.mobs[n, m].health > 0.0
    swims = FIRST_LIQUID <= feet < FIRST_OPAQUE

    # SWIM
    if swims and alive:
        depth = water_depth(voxels, n, x, y, z)
        if depth < 0.0:
            swims = False
        elif depth > FLOAT_DEPTH or not on_ground:
            up = kind < FIRST_MONSTER or (goal == GOAL_ATTACK and state.player[n].position[1] > y)
            if up and draw(bits, 0) < FLOAT_CHANCE:
                vy += FLOAT_LIFT

    # WALK
    walking = False
    sin, cos = 0.0, 0.0  # of the direction it walks in
    follows = goal == GOAL_FOLLOW or goal == GOAL_PARENT or goal == GOAL_ATTACK
    if alive and (goal == GOAL_WANDER or goal == GOAL_PANIC or follows):
        walking, yaw, ahead, side, speed = steer(state, n, m, tables, distance)
        state.mobs[n, m].yaw = yaw
        if walking:
            facing_x, facing_z = -math.sin(yaw * DEGREES), math.cos(yaw * DEGREES)
            # to the left is (z, -x) of ahead
            ax, az = facing_x * ahead + facing_z * side, facing_z * ahead - facing_x * side
            length = math.sqrt(ax * ax + az * az)
            sin, cos = -ax / length, az / length
            dry = goal == GOAL_WANDER and not swims
            if on_ground and bad_step(voxels, n, x - sin * (half + 0.5), y, z + cos * (half + 0.5), dry):
                if side == 0.0:
                    turn_aside(state, n, m, bits)
                walking = False
            else:
                factor = INPUT_SCALE * (WATER_SPEED if swims else (speed if on_ground else AIR_SPEED))
                vx += ax * factor
                vz += az * factor

    # MOVE
    mx, my, mz = move_box(voxels, n, block_height, x, y, z, half, height, STEP_HEIGHT, on_ground, vx, vy, vz)
    drag = GROUND_DRAG if on_ground else AIR_DRAG
    hit_wall = abs(mx - vx) > TOUCH or abs(mz - vz) > TOUCH
    blocked = hit_wall and mx * mx + mz * mz < BLOCKED * (vx * vx + vz * vz)
    on_ground = my != vy and vy < 0.0
    x, y, z = x + mx, y + my, z + mz
    push_x, push_z = vx, vz
    if mx != vx:
        vx = 0.0
    if mz != vz:
        vz = 0.0
    if my != vy:
        vy = 0.0
    if swims:
        drag = LAVA_DRAG if feet == LAVA else WATER_DRAG
        vx, vy, vz = vx * drag, vy * drag - (LAVA_GRAVITY if feet == LAVA else WATER_GRAVITY), vz * drag
        if hit_wall and is_free(
            *(voxels, n, block_height, x + push_x - half, x + push_x + half, y + 0.6, y + 0.6 + height),
            *(z + push_z - half, z + push_z + half),
        ):
            vy = CLIMB_OUT
    else:
        vx, vy, vz = vx * drag, (vy - GRAVITY) * VERTICAL_DRAG, vz * drag

    # OBSTACLES
    if walking and hit_wall and on_ground:
        ax, az = x - sin * 0.3, z + cos * 0.3
        if is_free(
            voxels, n, block_height, x - half, x + half, y + 1.0, y + 1.25 + height, z - half, z + half
        ) and is_free(voxels, n, block_height, ax - half, ax + half, y + 1.0, y + 1.0 + height, az - half, az + half):
            vy = JUMP_VELOCITY
        elif blocked:
            turn_aside(state, n, m, bits)
    if hit_wall or on_ground:
        below = block_at(voxels, n, math.floor(x), math.floor(y - 0.1), math.floor(z))
        touched = AIR
        if hit_wall:
            ahead_x, ahead_z = x + math.copysign(half + 0.01, push_x), z + math.copysign(half + 0.01, push_z)
            touched = block_at(voxels, n, math.floor(ahead_x), math.floor(y), math.floor(z))
            if touched != CACTUS:
                touched = block_at(voxels, n, math.floor(x), math.floor(y), math.floor(ahead_z))
        if below == CACTUS or touched == CACTUS:
            hurt_by_world(state, n, m, CACTUS_DAMAGE)

    # FALL
    fall = state.mobs[n, m].fall_distance
    if on_ground or swims:
        if fall > SAFE_FALL and not swims and kind != CHICKEN:
            hurt_by_world(state, n, m, math.ceil(fall - SAFE_FALL))
        fall = 0.0
    elif my < 0.0:
        fall -= my
    if kind == CHICKEN and not on_ground and vy < 0.0:
        vy *= CHICKEN_FALL

    if mx != 0.0 or mz != 0.0:
        state.mobs[n, m].walk += math.sqrt(mx * mx + mz * mz)
    state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2] = x, y, z
    state.mobs[n, m].velocity[0], state.mobs[n, m].velocity[1], state.mobs[n, m].velocity[2] = vx, vy, vz
    state.mobs[n, m].on_ground = on_ground
    state.mobs[n, m].fall_distance = fall


@device_function
def burn(state, n, m, feet):
    """Lava sets on fire, water puts it out, fire hurts once a second."""
    if feet == LAVA:
        hurt_by_world(state, n, m, LAVA_DAMAGE)
        state.mobs[n, m].fire_ticks = max(state.mobs[n, m].fire_ticks, LAVA_FIRE_TICKS)
    fire = state.mobs[n, m].fire_ticks
    if fire > 0:
        if FIRST_LIQUID <= feet <= LAST_WATER:
            state.mobs[n, m].fire_ticks = 0
        else:
            if fire % FIRE_EVERY == 0 and feet != LAVA:
                hurt_by_world(state, n, m, FIRE_DAMAGE)
            state.mobs[n, m].fire_ticks = fire - 1


@device_function(forceinline=True)
def tick_mob(state, n, m, tables, bits, bait):
    """One tick of one mob: counters, goal, head, motion."""
    for axis in range(3):
        state.mobs[n, m].previous_position[axis] = state.mobs[n, m].position[axis]
    kind = state.mobs[n, m].kind
    if state.mobs[n, m].hurt_ticks > 0:
        state.mobs[n, m].hurt_ticks -= 1
    calm = state.mobs[n, m].panic_ticks
    if calm != 0:
        state.mobs[n, m].panic_ticks = calm - 1 if calm > 0 else calm + 1
    x, y, z = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
    dx, dy, dz = state.player[n].position[0] - x, state.player[n].position[1] - y, state.player[n].position[2] - z
    distance = dx * dx + dy * dy + dz * dz
    feet = block_at(state.voxels, n, math.floor(x), math.floor(y), math.floor(z))
    bits = stream_bits(bits, STREAM_MOB + m)
    if state.mobs[n, m].health <= 0.0:
        if state.mobs[n, m].death_ticks == 0:
            leave_loot(state, n, m, tables, more_bits(bits, 5))
        state.mobs[n, m].death_ticks += 1
        if state.mobs[n, m].death_ticks >= DEATH_TICKS:
            state.mobs[n, m].kind = 0
            state.mobs[n, m].natural = 0
            return
    else:
        if kind < FIRST_MONSTER:
            if state.mobs[n, m].age < 0:
                state.mobs[n, m].age += 1
            elif kind == CHICKEN:
                lay_egg(state, n, m, bits)
        elif FIRST_LIQUID > feet and catch_fire(state, n, m, tables, more_bits(bits, 6)):
            state.mobs[n, m].fire_ticks = max(state.mobs[n, m].fire_ticks, SUN_FIRE_TICKS)
        choose_goal(state, n, m, tables, bits, bait, distance)
        turn_head(state, n, m, tables)
        if state.mobs[n, m].goal == GOAL_ATTACK:
            if kind == ZOMBIE:
                strike_player(state, n, m, tables, bits, distance)
            else:
                draw_bow(state, n, m, tables, bits)
    far = distance > NO_WANDER * NO_WANDER and state.mobs[n, m].goal == GOAL_NONE and state.mobs[n, m].on_ground
    if far and state.mobs[n, m].velocity[0] == 0.0 and state.mobs[n, m].velocity[2] == 0.0:
        if state.mobs[n, m].fire_ticks > 0:
            burn(state, n, m, feet)
        return  # it stands far away: nobody sees what it stands on
    move_mob(state, n, m, tables, more_bits(bits, 7), feet, distance)
    if feet == LAVA or state.mobs[n, m].fire_ticks > 0:
        burn(state, n, m, feet)


@device_function
def lay_egg(state, n, m, bits):
    """Counts down to a hen's next egg."""
    state.mobs[n, m].timer -= 1
    if state.mobs[n, m].timer == 0:
        x, y, z = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
        drop_item(state, n, EGG, 1, 0, x, y, z, 0.2 * draw(bits, 0) - 0.1, 0.2, 0.2 * draw(bits, 1) - 0.1)
    if state.mobs[n, m].timer <= 0:
        state.mobs[n, m].timer = EGG_TICKS + int(EGG_TICKS * draw(bits, 2))


@device_function
def push_apart(dx, dz):
    """Velocity that a body gives another one (dx, dz) away from it when they overlap."""
    largest = max(abs(dx), abs(dz))
    if largest < 0.01:
        return 0.0, 0.0
    largest = math.sqrt(largest)
    scale = PUSH * min(1.0, 1.0 / largest) / largest
    return dx * scale, dz * scale


@device_function
def push_bodies(state, n, tables, slots):
    """Living bodies that overlap push each other apart: mobs in both ticks, the player in the mob's tick only.

    ``slots``: mobs are in slots below this one.
    """
    px, py, pz = state.player[n].position[0], state.player[n].position[1], state.player[n].position[2]
    player_height = body_height(state.player[n].sneaking)
    for m in range(slots):
        kind = state.mobs[n, m].kind
        if kind == 0 or state.mobs[n, m].health <= 0.0:
            continue
        x, y, z = state.mobs[n, m].position[0], state.mobs[n, m].position[1], state.mobs[n, m].position[2]
        half, height = body(state.mobs, n, m, tables)
        apart = half + PLAYER_HALF_WIDTH
        if abs(px - x) < apart and abs(pz - z) < apart and py < y + height and y < py + player_height:
            ax, az = push_apart(px - x, pz - z)
            state.player[n].velocity[0] += ax
            state.player[n].velocity[2] += az
            state.mobs[n, m].velocity[0] -= 2.0 * ax
            state.mobs[n, m].velocity[2] -= 2.0 * az
        for other in range(m + 1, slots):
            # most are far away: that is asked first, of free slots too
            dx, dz = state.mobs[n, other].position[0] - x, state.mobs[n, other].position[2] - z
            if abs(dx) >= WIDEST or abs(dz) >= WIDEST:
                continue
            if state.mobs[n, other].kind == 0 or state.mobs[n, other].health <= 0.0:
                continue
            other_half, other_height = body(state.mobs, n, other, tables)
            apart = half + other_half
            if abs(dx) < apart and abs(dz) < apart:
                dy = state.mobs[n, other].position[1] - y
                if dy < height and -dy < other_height:
                    ax, az = push_apart(dx, dz)
                    state.mobs[n, other].velocity[0] += 2.0 * ax
                    state.mobs[n, other].velocity[2] += 2.0 * az
                    state.mobs[n, m].velocity[0] -= 2.0 * ax
                    state.mobs[n, m].velocity[2] -= 2.0 * az


@device_function
def bring_mobs_near(state, n):
    """Moves mobs by whole laps around the torus to where they are nearest to the player."""
    world_size = state.voxels.shape[1]
    half = world_size / 2
    for m in range(state.mobs.shape[1]):
        for axis in range(0, 3, 2):
            gap = state.mobs[n, m].position[axis] - state.player[n].position[axis]
            if -half <= gap < half:
                continue
            laps = math.floor(gap / world_size + 0.5)
            if state.mobs[n, m].kind != 0:
                state.mobs[n, m].position[axis] -= laps * world_size
                state.mobs[n, m].previous_position[axis] -= laps * world_size
                state.mobs[n, m].target[axis] -= laps * world_size


@device_function
def tick_mobs(state, n, tables):
    """One tick of all mobs of environment ``n``."""
    bits = tick_bits(state.world[n].key, state.world[n].episode, state.world[n].tick)
    held, offhand = (
        state.player[n].inventory_item[state.player[n].selected],
        state.player[n].inventory_item[OFFHAND],
    )  # fmt: skip
    bait = int(tables.item_bait[held] | tables.item_bait[offhand])
    slots = 0
    for m in range(state.mobs.shape[1]):
        if state.mobs[n, m].kind != 0:
            tick_mob(state, n, m, tables, bits, bait)
            slots = m + 1
    push_bodies(state, n, tables, slots)
