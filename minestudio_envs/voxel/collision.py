"""Boxes against voxels: what a move of a box comes to, and which block a ray meets.

Blocks are unit squares seen from above, as tall as ``block_height`` says. Minecraft 1.16.5 moves a box along y, then
along the longer of x and z, then along the other, and ignores overlaps below 1e-7.
"""

import math

from minestudio_envs.voxel.blocks import AIR, BEDROCK, FIRST_LIQUID, FIRST_OPAQUE, LAST_WATER, LAVA, WATER
from minestudio_envs.voxel.jit import device_function

EPSILON = 1e-7
NO_BLOCK = -(1 << 30)  # a height at which there is no block

# The side of a block that a ray meets; from NORTH on in the order of blocks.FACINGS.
DOWN, UP, NORTH, SOUTH, WEST, EAST = range(6)

# What a body may touch, as bits of Tables.block_touch.
TOUCH_WATER, TOUCH_LAVA, TOUCH_WEB, TOUCH_CACTUS, TOUCH_OPAQUE, TOUCH_CLIMB = 1, 2, 4, 8, 16, 32
TOUCH_MARGIN = 0.01  # a body that leans on a block touches it
SHRINK = 0.001  # by which a body must be in a liquid to be in it


@device_function
def block_at(voxels, n, x, y, z):
    """Block id at integer coordinates; bedrock below the world, air above it."""
    if y < 0:
        return BEDROCK
    if y >= voxels.shape[3]:
        return AIR
    mask = voxels.shape[1] - 1
    return int(voxels[n, x & mask, z & mask, y])


@device_function(forceinline=True)
def clip_vertical(voxels, n, block_height, x0, x1, z0, z1, y0, y1, dy):
    """How far the box [x0, x1] x [y0, y1] x [z0, z1] gets when it moves by ``dy`` along y."""
    if abs(dy) < EPSILON:
        return 0.0
    bx1, bz1 = math.floor(x1 - EPSILON), math.floor(z1 - EPSILON)
    for bx in range(math.floor(x0 + EPSILON), bx1 + 1):
        for bz in range(math.floor(z0 + EPSILON), bz1 + 1):
            if dy < 0.0:
                by, last = math.floor(y0 + EPSILON), math.floor(y0 + dy)
                while by >= last:
                    top = by + block_height[block_at(voxels, n, bx, by, bz)]
                    if top > by and top <= y0 + EPSILON:
                        dy = max(dy, min(top - y0, 0.0))
                        if dy == 0.0:  # what stands is held by one block: no need to look at the others
                            return 0.0
                        break
                    by -= 1
            else:
                by, last = math.ceil(y1 - EPSILON), math.floor(y1 + dy)
                while by <= last:
                    if block_height[block_at(voxels, n, bx, by, bz)] > 0.0:
                        dy = min(dy, max(by - y1, 0.0))
                        break
                    by += 1
    return dy


@device_function(forceinline=True)
def clip_horizontal(voxels, n, block_height, along_x, low, high, side0, side1, y0, y1, d):
    """How far a box gets when it moves by ``d`` along x (``along_x``) or z.

    It spans [low, high] along the movement, [side0, side1] along the other horizontal axis, [y0, y1] vertically.
    """
    if abs(d) < EPSILON:
        return 0.0
    if d > 0.0:
        b, last, step = math.ceil(high - EPSILON), math.floor(high + d), 1
    else:
        b, last, step = math.floor(low + EPSILON) - 1, math.floor(low + d), -1
    while (last - b) * step >= 0:  # mostly empty: few moves enter a new layer of blocks
        for bs in range(math.floor(side0 + EPSILON), math.floor(side1 - EPSILON) + 1):
            for by in range(math.floor(y0 + EPSILON), math.floor(y1 - EPSILON) + 1):
                block = block_at(voxels, n, b, by, bs) if along_x else block_at(voxels, n, bs, by, b)
                if by + block_height[block] > max(y0 + EPSILON, float(by)):
                    return max(b - high, 0.0) if d > 0.0 else min(b + 1 - low, 0.0)
        b += step
    return d


@device_function
def is_free(voxels, n, block_height, x0, x1, y0, y1, z0, z1):
    """Whether a box touches no block's inside."""
    for bx in range(math.floor(x0 + EPSILON), math.floor(x1 - EPSILON) + 1):
        for bz in range(math.floor(z0 + EPSILON), math.floor(z1 - EPSILON) + 1):
            for by in range(math.floor(y0 + EPSILON), math.floor(y1 - EPSILON) + 1):
                if by + block_height[block_at(voxels, n, bx, by, bz)] > max(y0 + EPSILON, float(by)):
                    return False
    return True


@device_function(forceinline=True)
def collide(voxels, n, block_height, x, y, z, half, height, dx, dy, dz):
    """How far a box with the feet at (x, y, z) gets when it moves by (dx, dy, dz)."""
    dy = clip_vertical(voxels, n, block_height, x - half, x + half, z - half, z + half, y, y + height, dy)
    y += dy
    z_first = abs(dx) < abs(dz)
    if z_first:
        dz = clip_horizontal(voxels, n, block_height, False, z - half, z + half, x - half, x + half, y, y + height, dz)
        z += dz
    dx = clip_horizontal(voxels, n, block_height, True, x - half, x + half, z - half, z + half, y, y + height, dx)
    x += dx
    if not z_first:
        dz = clip_horizontal(voxels, n, block_height, False, z - half, z + half, x - half, x + half, y, y + height, dz)
    return dx, dy, dz


@device_function
def climb(voxels, n, block_height, x, y, z, half, height, step, dx, dy, dz, cx, cy, cz):
    """The move (cx, cy, cz) that (dx, dy, dz) came to, or a longer one by stepping up by at most ``step``."""
    sx, sy, sz = collide(voxels, n, block_height, x, y, z, half, height, dx, step, dz)
    x0, x1, z0, z1 = x - half + min(dx, 0.0), x + half + max(dx, 0.0), z - half + min(dz, 0.0), z + half + max(dz, 0.0)
    up = clip_vertical(voxels, n, block_height, x0, x1, z0, z1, y, y + height, step)
    if up < step:  # there is a ceiling on the way: rise only as far as it lets the whole move
        ux, _, uz = collide(voxels, n, block_height, x, y + up, z, half, height, dx, 0.0, dz)
        if ux * ux + uz * uz > sx * sx + sz * sz:
            sx, sy, sz = ux, up, uz
    if sx * sx + sz * sz <= cx * cx + cz * cz:
        return cx, cy, cz
    x, y, z = x + sx, y + sy, z + sz
    down = clip_vertical(
        voxels, n, block_height, x - half, x + half, z - half, z + half, y, y + height, min(dy, 0.0) - sy
    )
    return sx, sy + down, sz


@device_function
def move_box(voxels, n, block_height, x, y, z, half, height, step, on_ground, dx, dy, dz):
    """A tick's move with collision and step-up: what (dx, dy, dz) came to."""
    cx, cy, cz = collide(voxels, n, block_height, x, y, z, half, height, dx, dy, dz)
    if (cx != dx or cz != dz) and (on_ground or (cy != dy and dy < 0.0)):
        cx, cy, cz = climb(voxels, n, block_height, x, y, z, half, height, step, dx, dy, dz, cx, cy, cz)
    return cx, cy, cz


@device_function
def pick_block(voxels, n, outline, x, y, z, dx, dy, dz, reach, liquids):
    """The block that a ray points at: (distance, x, y, z, side of the block); y is NO_BLOCK if none is within reach.

    ``outline`` [num_blocks, 6]: the box of each block that is not opaque. Liquids are looked through, but ``liquids``
    stops at their sources.
    """
    bx, by, bz = math.floor(x), math.floor(y), math.floor(z)
    far = 1e30
    step_x, step_y, step_z = 1 if dx > 0 else -1, 1 if dy > 0 else -1, 1 if dz > 0 else -1
    delta_x = abs(1.0 / dx) if dx != 0.0 else far
    delta_y = abs(1.0 / dy) if dy != 0.0 else far
    delta_z = abs(1.0 / dz) if dz != 0.0 else far
    next_x = (bx + 1 - x if dx > 0 else x - bx) * delta_x if dx != 0.0 else far
    next_y = (by + 1 - y if dy > 0 else y - by) * delta_y if dy != 0.0 else far
    next_z = (bz + 1 - z if dz > 0 else z - bz) * delta_z if dz != 0.0 else far
    distance, side = 0.0, DOWN if dy > 0 else UP
    while distance < reach:
        block = block_at(voxels, n, bx, by, bz)
        if block >= FIRST_OPAQUE or (liquids and (block == WATER or block == LAVA)):
            return distance, bx, by, bz, side
        if AIR < block < FIRST_LIQUID:
            near, near_side = ray_to_side(outline, block, x - bx, y - by, z - bz, dx, dy, dz)
            if 0.0 <= near < reach:
                return near, bx, by, bz, near_side
        if next_x <= next_y and next_x <= next_z:
            distance, side = next_x, WEST if dx > 0 else EAST
            next_x += delta_x
            bx += step_x
        elif next_y <= next_z:
            distance, side = next_y, DOWN if dy > 0 else UP
            next_y += delta_y
            by += step_y
        else:
            distance, side = next_z, NORTH if dz > 0 else SOUTH
            next_z += delta_z
            bz += step_z
    return reach, 0, NO_BLOCK, 0, UP


@device_function
def ray_to_side(outline, block, x, y, z, dx, dy, dz):
    """(distance, side) of a block's outline along a ray from (x, y, z), seen from the block's corner; < 0: missed."""
    near, far, side = 0.0, 1e30, UP
    for axis in range(3):
        low, high = outline[block, axis], outline[block, axis + 3]
        if axis == 0:
            origin, d, first, second = x, dx, WEST, EAST
        elif axis == 1:
            origin, d, first, second = y, dy, DOWN, UP
        else:
            origin, d, first, second = z, dz, NORTH, SOUTH
        if d == 0.0:
            if origin < low or origin > high:
                return -1.0, UP
        else:
            entered, left = (low - origin) / d, (high - origin) / d
            if d < 0.0:
                entered, left = left, entered
            if entered > near:
                near, side = entered, first if d > 0.0 else second
            far = min(far, left)
    return (near if near <= far else -1.0), side


@device_function
def touched(voxels, n, block_touch, x, y, z, half, height):
    """The TOUCH_ bits of all blocks that a body with the feet at (x, y, z) may touch."""
    mask, top = voxels.shape[1] - 1, voxels.shape[3] - 1
    bits = 0
    y0, y1 = math.floor(y), math.floor(y + height)
    if y0 < 0:
        bits = TOUCH_OPAQUE
    for bx in range(math.floor(x - half - TOUCH_MARGIN), math.floor(x + half + TOUCH_MARGIN) + 1):
        for bz in range(math.floor(z - half - TOUCH_MARGIN), math.floor(z + half + TOUCH_MARGIN) + 1):
            for by in range(max(0, y0), min(top, y1) + 1):
                bits |= block_touch[voxels[n, bx & mask, bz & mask, by]]
    return bits


@device_function
def liquid_height(voxels, n, x, y, z, first):
    """Height of the liquid in a block, 0 = none; ``first`` is WATER or LAVA. Ninths, as the game counts them."""
    block = block_at(voxels, n, x, y, z)
    if block < first or block > (LAST_WATER if first == WATER else LAVA):
        return 0.0
    level = block - first
    return 8.0 / 9.0 if level == 8 else (8 - level) / 9.0


@device_function
def liquid_surface(voxels, n, x, y, z, first):
    """``liquid_height``, or 1 if there is more of the liquid above."""
    height = liquid_height(voxels, n, x, y, z, first)
    if height > 0.0 and liquid_height(voxels, n, x, y + 1, z, first) > 0.0:
        return 1.0
    return height


@device_function
def flow(voxels, n, block_height, x, y, z):
    """The direction in which the water of a block flows, a unit vector or zero."""
    here = liquid_height(voxels, n, x, y, z, WATER)
    fx, fy, fz = 0.0, 0.0, 0.0
    walled = False
    for side in range(NORTH, EAST + 1):
        sx = (1 if side == EAST else 0) - (1 if side == WEST else 0)
        sz = (1 if side == SOUTH else 0) - (1 if side == NORTH else 0)
        there, slope = liquid_height(voxels, n, x + sx, y, z + sz, WATER), 0.0
        if there > 0.0:
            slope = here - there
        elif block_height[block_at(voxels, n, x + sx, y, z + sz)] > 0.0:
            walled = True
        else:
            there = liquid_height(voxels, n, x + sx, y - 1, z + sz, WATER)
            if there > 0.0:
                slope = here - there + 8.0 / 9.0
        fx += sx * slope
        fz += sz * slope
    length = math.sqrt(fx * fx + fz * fz)
    if length > 0.0:
        fx, fz = fx / length, fz / length
    if walled and block_at(voxels, n, x, y, z) == LAST_WATER:  # falls along a wall
        fy = -6.0
        length = math.sqrt(fx * fx + fy * fy + fz * fz)
        fx, fy, fz = fx / length, fy / length, fz / length
    return fx, fy, fz


@device_function
def liquid_depth(voxels, n, x0, x1, y0, y1, z0, z1, first):
    """How deep the bottom of a box is below the liquid's surface, 0 = not in it."""
    x0, x1, y0, y1, z0, z1 = x0 + SHRINK, x1 - SHRINK, y0 + SHRINK, y1 - SHRINK, z0 + SHRINK, z1 - SHRINK
    depth = 0.0
    for bx in range(math.floor(x0), math.floor(x1) + 1):
        for bz in range(math.floor(z0), math.floor(z1) + 1):
            for by in range(math.floor(y0), math.floor(y1) + 1):
                height = liquid_surface(voxels, n, bx, by, bz, first)
                if height > 0.0:
                    depth = max(depth, by + height - y0)
    return depth


@device_function
def current(voxels, n, block_height, x0, x1, y0, y1, z0, z1):
    """The mean flow of the water that a box is in: (x, y, z), at most 1 long."""
    x0, x1, y0, y1, z0, z1 = x0 + SHRINK, x1 - SHRINK, y0 + SHRINK, y1 - SHRINK, z0 + SHRINK, z1 - SHRINK
    cx, cy, cz, count, depth = 0.0, 0.0, 0.0, 0, 0.0
    for bx in range(math.floor(x0), math.floor(x1) + 1):
        for bz in range(math.floor(z0), math.floor(z1) + 1):
            for by in range(math.floor(y0), math.floor(y1) + 1):
                height = liquid_surface(voxels, n, bx, by, bz, WATER)
                if height > 0.0 and by + height >= y0:
                    depth = max(depth, by + height - y0)
                    fx, fy, fz = flow(voxels, n, block_height, bx, by, bz)
                    scale = depth if depth < 0.4 else 1.0
                    cx, cy, cz, count = cx + fx * scale, cy + fy * scale, cz + fz * scale, count + 1
    if count > 0:
        cx, cy, cz = cx / count, cy / count, cz / count
    return cx, cy, cz


@device_function
def ray_to_box(x, y, z, dx, dy, dz, x0, x1, y0, y1, z0, z1):
    """Distance along (dx, dy, dz) to a box: 0 from inside it, negative if the ray misses it."""
    near, far = 0.0, 1e30
    for axis in range(3):
        if axis == 0:
            origin, d, low, high = x, dx, x0, x1
        elif axis == 1:
            origin, d, low, high = y, dy, y0, y1
        else:
            origin, d, low, high = z, dz, z0, z1
        if d == 0.0:
            if origin < low or origin > high:
                return -1.0
        else:
            t0, t1 = (low - origin) / d, (high - origin) / d
            near, far = max(near, min(t0, t1)), min(far, max(t0, t1))
    return near if near <= far else -1.0


@device_function
def ray_to_solid(voxels, n, block_height, x, y, z, dx, dy, dz, reach):
    """Distance along the unit vector (dx, dy, dz) to the first box that bodies collide with, at most ``reach``."""
    bx, by, bz = math.floor(x), math.floor(y), math.floor(z)
    far = 1e30
    step_x, step_y, step_z = 1 if dx > 0 else -1, 1 if dy > 0 else -1, 1 if dz > 0 else -1
    delta_x = abs(1.0 / dx) if dx != 0.0 else far
    delta_y = abs(1.0 / dy) if dy != 0.0 else far
    delta_z = abs(1.0 / dz) if dz != 0.0 else far
    next_x = (bx + 1 - x if dx > 0 else x - bx) * delta_x if dx != 0.0 else far
    next_y = (by + 1 - y if dy > 0 else y - by) * delta_y if dy != 0.0 else far
    next_z = (bz + 1 - z if dz > 0 else z - bz) * delta_z if dz != 0.0 else far
    distance = 0.0
    while distance < reach:
        tall = block_height[block_at(voxels, n, bx, by, bz)]
        if tall >= 1.0:
            return distance
        if tall > 0.0:
            hit = ray_to_box(x, y, z, dx, dy, dz, bx, bx + 1.0, by, by + tall, bz, bz + 1.0)
            if hit >= 0.0:
                return min(hit, reach)
        if next_x <= next_y and next_x <= next_z:
            distance = next_x
            next_x += delta_x
            bx += step_x
        elif next_y <= next_z:
            distance = next_y
            next_y += delta_y
            by += step_y
        else:
            distance = next_z
            next_z += delta_z
            bz += step_z
    return reach
