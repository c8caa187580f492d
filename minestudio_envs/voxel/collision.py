"""Boxes against voxels: what a move of a box comes to, and which block a ray meets.

Blocks are unit squares seen from above, as tall as ``block_height`` says. Minecraft 1.16.5 moves a box along y, then
along the longer of x and z, then along the other, and ignores overlaps below 1e-7.
"""

import math

from minestudio_envs.voxel.blocks import AIR, BEDROCK
from minestudio_envs.voxel.jit import device_function

EPSILON = 1e-7


@device_function
def block_at(voxels, n, x, y, z):
    """Block id at integer coordinates; bedrock below the world, air above it."""
    if y < 0:
        return BEDROCK
    if y >= voxels.shape[3]:
        return AIR
    mask = voxels.shape[1] - 1
    return int(voxels[n, x & mask, z & mask, y])


@device_function
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


@device_function
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


@device_function
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
def ray_to_block(voxels, n, x, y, z, dx, dy, dz, reach):
    """Distance along the unit vector (dx, dy, dz) to the first block that is not air, or ``reach`` if none is nearer.

    Steps from block to block (Amanatides and Woo, A fast voxel traversal algorithm for ray tracing, 1987).
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
    distance = 0.0
    while distance < reach:
        if block_at(voxels, n, bx, by, bz) != AIR:
            return distance
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
