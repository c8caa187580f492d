"""Mobs that come and go by themselves: animals when a world is made, monsters in the dark.

Minecraft 1.16.5's rules for places, light and despawning, with distances and numbers for a world of 128 x 128 blocks.
"""

import math

from minestudio_envs.voxel.blocks import AIR, BEDROCK, FIRST_LIQUID, FIRST_OPAQUE, GRASS_BLOCK
from minestudio_envs.voxel.collision import block_at, is_free
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.light import light_at, sky_darkening
from minestudio_envs.voxel.mobs import BABY_AGE, FIRST_MONSTER, more_bits, spawn_natural
from minestudio_envs.voxel.randomness import STREAM_NATURAL_SPAWN, draw, random_bits
from minestudio_envs.voxel.state import CHICKEN, COW, GAMERULE_ID, PIG, SHEEP, SKELETON, ZOMBIE

DO_MOB_SPAWNING = GAMERULE_ID["doMobSpawning"]
SPAWN_EVERY = 8  # ticks from one attempt to the next
MONSTER_CAP = 8
NEAREST, FARTHEST = 24.0, 56.0  # blocks from the player; farther away monsters are gone at once
LINGER, LINGER_TICKS, LEAVE_CHANCE = 32.0, 600, 1 / 800  # beyond it they may leave after that time, per tick
CAVE_SCAN = 16  # blocks downwards in which a floor is looked for
DARK = 8  # light levels below are dark enough, the darker the likelier

GROUP_TRIES, GROUP_SMALLEST, GROUP_LARGEST, GROUP_SPREAD = 3, 2, 4, 5
ANIMAL_WEIGHTS = ((SHEEP, 12), (PIG, 10), (CHICKEN, 10), (COW, 8))  # Minecraft's, of all biomes with farm animals
BABY_CHANCE = 0.05  # of each but the first of a group


@device_function
def stands_well(state, n, tables, kind, x, y, z):
    """Whether a mob may appear with its feet in block (x, y, z): solid ground, two free blocks, room for its box."""
    floor = block_at(state.voxels, n, x, y - 1, z)
    # what lets light through is leaves or ice
    if floor < FIRST_OPAQUE or floor == BEDROCK or tables.block_filter[floor] < 15 or tables.block_light[floor] > 0:
        return False
    for up in range(2):
        block = block_at(state.voxels, n, x, y + up, z)
        if block >= FIRST_LIQUID or tables.block_height[block] > 0.0 or tables.block_light[block] > 0:
            return False
    half = tables.mob_width[kind] / 2.0
    return is_free(
        *(state.voxels, n, tables.block_height, x + 0.5 - half, x + 0.5 + half),
        *(float(y), y + tables.mob_height[kind], z + 0.5 - half, z + 0.5 + half),
    )


@device_function
def dark_enough(state, n, x, y, z, bits):
    """Minecraft's draw for monsters: at light 0 always, the brighter the rarer, never at 8 and above."""
    sky, block = light_at(state.light, state.height, n, x, y, z)
    if sky > int(32.0 * draw(bits, 0)):
        return False
    level = max(sky - sky_darkening(state.world[n].time_of_day, state.world[n].weather), block)
    return level <= int(DARK * draw(bits, 1))


@device_function
def despawn(state, n, bits):
    """Monsters that came by themselves leave when they are far from the player -> how many stay."""
    stay = 0
    for m in range(state.mobs.shape[1]):
        if not state.mobs[n, m].natural or state.mobs[n, m].kind < FIRST_MONSTER:
            continue
        dx = state.mobs[n, m].position[0] - state.player[n].position[0]
        dy = state.mobs[n, m].position[1] - state.player[n].position[1]
        dz = state.mobs[n, m].position[2] - state.player[n].position[2]
        distance = dx * dx + dy * dy + dz * dz
        if distance < LINGER * LINGER:
            state.mobs[n, m].age = 0
        else:
            state.mobs[n, m].age += SPAWN_EVERY
        late = state.mobs[n, m].age > LINGER_TICKS and draw(more_bits(bits, 16 + m), 0) < SPAWN_EVERY * LEAVE_CHANCE
        if distance > FARTHEST * FARTHEST or late:
            state.mobs[n, m].kind = 0
            state.mobs[n, m].natural = 0
        else:
            stay += 1
    return stay


@device_function
def spawn_monster(state, n, tables, bits):
    """One attempt to put a zombie or a skeleton somewhere dark around the player."""
    x = math.floor(state.player[n].position[0] + (2.0 * draw(bits, 0) - 1.0) * FARTHEST)
    z = math.floor(state.player[n].position[2] + (2.0 * draw(bits, 1) - 1.0) * FARTHEST)
    mask = state.voxels.shape[1] - 1
    top = int(state.height[n, x & mask, z & mask])
    y = top
    more = more_bits(bits, 0)
    if draw(more, 0) < 0.5:  # underground: the first floor below a random height
        y = 1 + int(draw(bits, 2) * max(0, top - 1))
        scanned = 0
        while scanned < CAVE_SCAN and y > 1 and block_at(state.voxels, n, x, y - 1, z) == AIR:
            y -= 1
            scanned += 1
    dx, dz = x + 0.5 - state.player[n].position[0], z + 0.5 - state.player[n].position[2]
    dy = y - state.player[n].position[1]
    distance = dx * dx + dy * dy + dz * dz
    if distance < NEAREST * NEAREST or distance > FARTHEST * FARTHEST:
        return
    kind = ZOMBIE if draw(more, 1) < 0.5 else SKELETON
    if stands_well(state, n, tables, kind, x, y, z) and dark_enough(state, n, x, y, z, more_bits(bits, 1)):
        spawn_natural(state, n, tables, kind, x + 0.5, float(y), z + 0.5, more_bits(bits, 2))


@device_function
def spawn_mobs(state, n, tables):
    """Spawns and despawns for one tick."""
    if state.world[n].tick % SPAWN_EVERY != 0:
        return
    bits = random_bits(state.world[n].key, state.world[n].episode, state.world[n].tick, STREAM_NATURAL_SPAWN)
    count = despawn(state, n, bits)
    if state.world[n].gamerule[DO_MOB_SPAWNING] and count < MONSTER_CAP:
        spawn_monster(state, n, tables, bits)


@device_function
def populate(state, n, tables, groups):
    """Up to ``groups`` groups of 2-4 animals on the grass of a new world; half of the mobs' slots stay free.

    Kinds come with Minecraft's weights. Animals stand on grass_block in light, so deserts, beaches and seas have none.
    """
    size = state.voxels.shape[1]
    room = state.mobs.shape[1] // 2
    for group in range(groups):
        bits = random_bits(state.world[n].key, state.world[n].episode, 0, STREAM_NATURAL_SPAWN + 1 + group)
        lot = int(draw(bits, 0) * 40.0)  # the weights' sum
        kind = COW
        for animal, weight in ANIMAL_WEIGHTS:
            if 0 <= lot < weight:
                kind = animal
            lot -= weight
        number = GROUP_SMALLEST + int(draw(bits, 1) * (GROUP_LARGEST - GROUP_SMALLEST + 1))
        centre_x = math.floor(state.player[n].position[0] + (draw(bits, 2) - 0.5) * size)
        centre_z = math.floor(state.player[n].position[2] + (draw(bits, 3) - 0.5) * size)
        placed = 0
        for attempt in range(number * GROUP_TRIES):
            bits = more_bits(bits, attempt)
            x = centre_x + int((draw(bits, 0) * 2.0 - 1.0) * GROUP_SPREAD)
            z = centre_z + int((draw(bits, 1) * 2.0 - 1.0) * GROUP_SPREAD)
            y = int(state.height[n, x & (size - 1), z & (size - 1)])
            if placed == number or room == 0 or block_at(state.voxels, n, x, y - 1, z) != GRASS_BLOCK:
                continue
            if stands_well(state, n, tables, kind, x, y, z):
                m = spawn_natural(state, n, tables, kind, x + 0.5, float(y), z + 0.5, more_bits(bits, 100))
                if m < 0:
                    return
                if placed > 0 and draw(bits, 2) < BABY_CHANCE:
                    state.mobs[n, m].age = BABY_AGE
                placed += 1
                room -= 1
