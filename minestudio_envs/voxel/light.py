"""Sky light and block light.

Every block has two levels of light, 0-15. A level is what is left of its brightest neighbour's after the way into the
block, which costs 1 and more in blocks that filter light (blocks.LIGHT_FILTER; 15 lets nothing in). Sky light begins
with 15 in every block that has neither liquid nor opaque block above it; block light with what a block gives off.

``light_world`` makes both for a whole world. It counts on every filter being 0, 1 or 15: then a level is 15 minus the
number of steps from the open sky, and all blocks of a column that are as many steps away are found at once, as bits
of a word. ``relight`` keeps both right when one block changes: light that may have come from there is taken away,
then let in again from its border.
"""

import math

import numpy as np

from minestudio_envs.voxel.biomes import sea_level
from minestudio_envs.voxel.blocks import LAST_WATER, LAVA, LIGHT_FILTER, WATER
from minestudio_envs.voxel.columns import FULL, ONE, bits_below
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.state import WORD
from minestudio_envs.voxel.underground import lava_level

SKY, BLOCK = 4, 0  # bits of a packed light below each level
MAX_LIGHT = 15
THUNDER = 2  # state.WEATHERS

# The number of a word's lowest bit from 0 on: the upper 6 bits of that bit times this are different for every bit.
LOW_HALF = np.uint64(0xFFFFFFFF)
DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
LOWEST_BIT = np.zeros(64, np.int64)
LOWEST_BIT[[((1 << i) * 0x03F79D71B4CB0A89 % (1 << 64)) >> 58 for i in range(64)]] = np.arange(64)


@device_function
def light_at(light, height, n, x, y, z):
    """(sky light, block light), both 0-15, at a block; the time of day is not in it."""
    mask = light.shape[1] - 1
    if y < 0 or y >= light.shape[3]:
        return (15 if y >= 0 else 0), 0
    packed = int(light[n, x & mask, z & mask, y])
    sky = 15 if y >= height[n, x & mask, z & mask] else packed >> 4
    return sky, packed & 15


@device_function
def sky_darkening(time_of_day, weather):
    """Levels that night and weather (state.WEATHERS) take from sky light, 0-11."""
    day = time_of_day / 24000.0 - 0.25
    day -= math.floor(day)
    angle = day + (0.5 - 0.5 * math.cos(day * math.pi) - day) / 3.0  # of the sun, in turns from noon
    bright = 0.5 + 2.0 * min(max(math.cos(angle * 2.0 * math.pi), -0.25), 0.25)
    if weather > 0:
        bright *= 11.0 / 16.0
    if weather == THUNDER:
        bright *= 11.0 / 16.0
    return int((1.0 - bright) * 11.0)


# A WHOLE WORLD


@device_function
def light_bits(light, scratch, n, x, z, word, lit, level, new, lists, shift, count):
    """Gives the blocks ``lit`` of word ``word`` of column (x, z) that sky light, and notes them for the next step.

    NEW begins at ``new``; the column is noted in the list (0 or 32, ``shift``) of ``count`` columns -> its new length.
    """
    size, words = light.shape[1], light.shape[3] // WORD
    c = x * size + z
    scratch[n, c * words + word] &= ~lit
    noted = np.uint64(0)
    for i in range(words):
        noted |= scratch[n, new + c * words + i]
    if noted == 0:
        kept = scratch[n, lists + count] & (LOW_HALF << np.uint64(32 - shift))
        scratch[n, lists + count] = kept | np.uint64(x << 16 | z) << np.uint64(shift)
        count += 1
    scratch[n, new + c * words + word] |= lit
    while lit:
        lowest = lit & (~lit + ONE)
        y = WORD * word + LOWEST_BIT[np.int64(lowest * DE_BRUIJN >> np.uint64(58))]
        light[n, x, z, y] |= np.uint8(level << SKY)
        lit ^= lowest
    return count


@device_function
def light_world(state, n):
    """Light of lava and of the sky in a world just made, from the section REST of its scratch (see columns.py).

    The other sections: NEW twice, the blocks that the last step lit and those that this one does; two lists of the
    columns in which they are, in the halves of the fourth section's words.
    """
    voxels, light, height, scratch = state.voxels, state.light, state.height, state.scratch
    size, words = voxels.shape[1], voxels.shape[3] // WORD
    mask, sea = size - 1, sea_level(voxels.shape[3])
    # Lava lies up to the same height everywhere, and only there light leaves it.
    lava_top = lava_level(voxels.shape[3])
    ring, pending = scratch.shape[1] // 2, 0
    above = ONE << np.uint64((lava_top + 1) % WORD)
    for x in range(size):
        for z in range(size):
            deep = scratch[n, (x * size + z) * words + (lava_top + 1) // WORD] & above
            if deep and voxels[n, x, z, lava_top] == LAVA:
                light[n, x, z, lava_top + 1] |= np.uint8(MAX_LIGHT - 1)
                scratch[n, ring + pending] = pack(x, z, lava_top + 1)
                pending += 1
                if pending == ring // 2:
                    spread(voxels, light, scratch, n, LIGHT_FILTER, BLOCK, ring, pending)
                    pending = 0
    spread(voxels, light, scratch, n, LIGHT_FILTER, BLOCK, ring, pending)

    section = size * size * words
    new, following, lists = section, 2 * section, 3 * section
    for i in range(section):
        scratch[n, new + i] = 0
        scratch[n, following + i] = 0

    # Level 14: all that the open sky is next to.
    count, shift = 0, 0
    for x in range(size):
        for z in range(size):
            c = x * size + z
            rest = np.uint64(0)
            for word in range(words):
                rest |= scratch[n, c * words + word]
            if rest == 0:
                continue
            top = int(height[n, x, z])
            if top == sea and WATER <= voxels[n, x, z, top - 1] <= LAST_WATER:
                y = top - 1  # into open water light comes from above only
                while WATER <= voxels[n, x, z, y] <= LAST_WATER:
                    light[n, x, z, y] = np.uint8(max(MAX_LIGHT - top + y, 0) << SKY)
                    y -= 1
                for word in range(words):
                    scratch[n, c * words + word] = 0
                continue
            lowest = min(
                min(int(height[n, (x + 1) & mask, z]), int(height[n, (x - 1) & mask, z])),
                min(int(height[n, x, (z + 1) & mask]), int(height[n, x, (z - 1) & mask])),
            )
            for word in range(words):
                near = FULL ^ bits_below(min(lowest, top - 1) - WORD * word)
                if lowest >= top:
                    near &= bits_below(top - WORD * word)
                lit = scratch[n, c * words + word] & near
                if lit:
                    count = light_bits(light, scratch, n, x, z, word, lit, MAX_LIGHT - 1, new, lists, shift, count)

    # One level less: all that is next to what the last step lit.
    level = MAX_LIGHT - 2
    while count and level:
        found = 0
        for i in range(count):
            place = np.int64(scratch[n, lists + i] >> np.uint64(shift) & LOW_HALF)
            x, z = place >> 16, place & 0xFFFF
            c = x * size + z
            for word in range(words):
                own = scratch[n, new + c * words + word]
                scratch[n, new + c * words + word] = 0
                if own == 0:
                    continue
                for side in range(-1, 2):
                    w = word + side
                    if w < 0 or w >= words:
                        continue
                    if side == 0:
                        bits = own << ONE | own >> ONE
                    else:
                        bits = own << np.uint64(WORD - 1) if side < 0 else own >> np.uint64(WORD - 1)
                    lit = scratch[n, c * words + w] & bits
                    if lit:
                        found = light_bits(light, scratch, n, x, z, w, lit, level, following, lists, 32 - shift, found)
                for side in range(4):
                    i2 = x if side < 2 else (x + 2 * side - 5) & mask
                    k2 = (z + 2 * side - 1) & mask if side < 2 else z
                    lit = scratch[n, (i2 * size + k2) * words + word] & own
                    if lit:
                        found = light_bits(
                            light, scratch, n, i2, k2, word, lit, level, following, lists, 32 - shift, found
                        )
        new, following = following, new
        shift, count = 32 - shift, found
        level -= 1


# ONE BLOCK


@device_function
def pack(x, z, y):
    """A place as one number."""
    return np.uint64(x << 24 | z << 8 | y)


@device_function
def unpack(place):
    """The (x, z, y) of a place."""
    place = np.int64(place)
    return place >> 24 & 0xFFFF, place >> 8 & 0xFFFF, place & 0xFF


@device_function
def beside(x, y, z, side, mask):
    """The neighbour of a block on side 0-5: below, above, -x, +x, -z, +z."""
    step = 2 * (side & 1) - 1
    axis = side >> 1
    if axis == 0:
        return x, y + step, z
    if axis == 1:
        return (x + step) & mask, y, z
    return x, y, (z + step) & mask


@device_function
def set_level(light, n, x, y, z, shift, level):
    light[n, x, z, y] = np.uint8((int(light[n, x, z, y]) & ~(MAX_LIGHT << shift)) | level << shift)


@device_function
def spread(voxels, light, scratch, n, filters, shift, first, pending):
    """Lets light on from the ``pending`` blocks in the ring of scratch[n] that begins at ``first``.

    A ring is half of the scratch. Where it is full, light goes no farther; it is far larger than what is on its way.
    """
    mask, ring = voxels.shape[1] - 1, scratch.shape[1] // 2
    head = 0
    while head < pending:
        x, z, y = unpack(scratch[n, first + (head & (ring - 1))])
        head += 1
        level = int(light[n, x, z, y]) >> shift & MAX_LIGHT
        for side in range(6):
            i, j, k = beside(x, y, z, side, mask)
            if j < 0 or j >= voxels.shape[3]:
                continue
            cost = int(filters[voxels[n, i, k, j]])
            if cost == MAX_LIGHT:
                continue
            if cost == 0 and not (shift == SKY and side == 0 and level == MAX_LIGHT):
                cost = 1
            if level - cost > int(light[n, i, k, j]) >> shift & MAX_LIGHT:
                set_level(light, n, i, j, k, shift, level - cost)
                if pending - head < ring:
                    scratch[n, first + (pending & (ring - 1))] = pack(i, k, j)
                    pending += 1


@device_function
def relight(voxels, light, scratch, n, emitted, filters, x, y, z, before, after):
    """Corrects both lights after block ``before`` at (x, y, z) has become ``after``.

    ``emitted``, ``filters``: tables.block_light and block_filter.
    """
    mask, ring, top = voxels.shape[1] - 1, scratch.shape[1] // 2, voxels.shape[3] - 1
    x, z = x & mask, z & mask
    for channel in range(2):
        shift = SKY if channel else BLOCK
        if filters[before] == filters[after] and (shift == SKY or emitted[before] == emitted[after]):
            continue
        # What may have come from here goes; what stays around it waits to come back.
        scratch[n, 0] = pack(x, z, y) << np.uint64(4) | np.uint64(int(light[n, x, z, y]) >> shift & MAX_LIGHT)
        set_level(light, n, x, y, z, shift, 0)
        head, removed, pending = 0, 1, 0
        while head < removed:
            entry = np.int64(scratch[n, head & (ring - 1)])
            head += 1
            level = entry & MAX_LIGHT
            cx, cz, cy = unpack(entry >> 4)
            if level == 0:
                continue
            for side in range(6):
                i, j, k = beside(cx, cy, cz, side, mask)
                if j < 0 or j > top:
                    continue
                other = int(light[n, i, k, j]) >> shift & MAX_LIGHT
                if other == 0:
                    continue
                from_sky = shift == SKY and side == 0 and level == MAX_LIGHT and other == MAX_LIGHT
                stays = other >= level and not from_sky
                if not stays:
                    own = int(emitted[voxels[n, i, k, j]]) if shift == BLOCK else 0
                    set_level(light, n, i, j, k, shift, own)
                    if removed - head < ring:
                        scratch[n, removed & (ring - 1)] = pack(i, k, j) << np.uint64(4) | np.uint64(other)
                        removed += 1
                    stays = own > 0
                if stays and pending < ring:
                    scratch[n, ring + pending] = pack(i, k, j)
                    pending += 1
        # The block's own light, and that of its neighbours.
        own = int(emitted[after]) if shift == BLOCK else 0
        if shift == SKY and y == top:
            own = MAX_LIGHT - int(filters[after])
        set_level(light, n, x, y, z, shift, own)
        if pending < ring:
            scratch[n, ring + pending] = pack(x, z, y)
            pending += 1
        if filters[after] < MAX_LIGHT:
            for side in range(6):
                i, j, k = beside(x, y, z, side, mask)
                if 0 <= j <= top and pending < ring:
                    scratch[n, ring + pending] = pack(i, k, j)
                    pending += 1
        spread(voxels, light, scratch, n, filters, shift, ring, pending)
