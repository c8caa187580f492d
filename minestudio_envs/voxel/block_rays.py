"""Rays and the blocks that stop them: what is hit, its texture, light and fog; liquids.

Face shading, ambient occlusion and smooth light follow Minecraft 1.16.5: the light of a face is that of the cell in
front of it, smooth near by.
"""

import numpy as np

from minestudio_envs.voxel.blocks import FIRST_OPAQUE, LAVA
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.view import (
    DRY,
    FAR,
    MIP_SCALE,
    ONE,
    SKY,
    SKYLIGHT,
    TILE,
    TWO,
    ZERO,
    F,
    horizon_colour,
    ray_direction,
    sky_colour,
)

FACES_KNOWN = 512  # whose corners a picture remembers; a power of two


@device_function
def solid(voxels, frame, x, y, z):
    """1 if the block at (x, y, z), x and z relative to the eye's column, stops a ray; outside the world is air."""
    mask = voxels.shape[0] - 1
    if y < 0 or y >= voxels.shape[2]:
        return 0
    return np.int32(
        voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)] >= frame.first
    )


@device_function
def trace(voxels, height, tiles, frame, dx, dy, dz, start):
    """Follow a ray from depth ``start`` -> (face, x, y, z) of the first block hit; x, z relative to the eye's column.

    ``voxels`` uint8 [S, S, H], ``height`` uint8 [S, S] and ``tiles`` (see make_tiles) are one environment's.
    Face SKY: nothing within view. The ray steps from tile to tile, and where it may hit, from column to column.
    """
    mask = height.shape[0] - 1
    step_x, step_z = (1 if dx > ZERO else -1), (1 if dz > ZERO else -1)
    side_x, side_z = (0 if dx > ZERO else 1), (4 if dz > ZERO else 5)
    per_x = ONE / max(abs(dx), F(1e-7))
    per_z = ONE / max(abs(dz), F(1e-7))
    limit = frame.reach / np.sqrt(dx * dx + dy * dy + dz * dz)
    x = z = np.int64(0)
    t, y = ZERO, frame.ey
    if start > ZERO:
        x = np.int64(np.floor(frame.ex + dx * start))
        z = np.int64(np.floor(frame.ez + dz * start))
        t, y = start, frame.ey + dy * start
        if solid(voxels, frame, x, np.int64(np.floor(y)), z):  # too far on
            x = z = np.int64(0)
            t, y = ZERO, frame.ey
    side = SKY  # the face through which the ray enters the column; none where it begins

    # The first column of the tile, and the depth at which the ray leaves it.
    tile_x = x - ((frame.ox + x) & (TILE - 1))
    tile_z = z - ((frame.oz + z) & (TILE - 1))
    out_x = (F(tile_x + TILE) - frame.ex if dx > ZERO else frame.ex - F(tile_x)) * per_x
    out_z = (F(tile_z + TILE) - frame.ez if dz > ZERO else frame.ez - F(tile_z)) * per_z
    while t < limit:
        out = min(out_x, out_z)
        end = min(out, limit)
        end_y = frame.ey + dy * end
        i, j = np.uint32(((frame.ox + tile_x) & mask) // TILE), np.uint32(((frame.oz + tile_z) & mask) // TILE)
        if min(y, end_y) < F(tiles[i, j]):
            if side != SKY:
                x = min(max(np.int64(np.floor(frame.ex + dx * t)), tile_x), tile_x + TILE - 1)
                z = min(max(np.int64(np.floor(frame.ez + dz * t)), tile_z), tile_z + TILE - 1)
                if side < 2:
                    x = tile_x if side == 0 else tile_x + TILE - 1
                else:
                    z = tile_z if side == 4 else tile_z + TILE - 1
            next_x = (F(x + 1) - frame.ex if dx > ZERO else frame.ex - F(x)) * per_x
            next_z = (F(z + 1) - frame.ez if dz > ZERO else frame.ez - F(z)) * per_z
            while True:
                leave = min(next_x, next_z)
                next_y = frame.ey + dy * min(leave, limit)
                i, j = np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask)
                column = F(height[i, j])
                if min(y, next_y) < column and column > ZERO:  # a column of air only has no top
                    if dy < ZERO:
                        level = np.int64(column) - 1
                        face = 3
                        if y < column:
                            level = np.int64(np.floor(y))
                            face = side
                        elif frame.medium == DRY:
                            return 3, x, level, z  # the column's top block
                        last = max(np.int64(np.floor(next_y)), 0)
                        while level >= last:
                            if voxels[i, j, np.uint32(level)] >= frame.first and face != SKY:
                                return face, x, level, z
                            face = 3
                            level -= 1
                    else:
                        level = max(np.int64(np.floor(y)), 0)
                        last = min(np.int64(np.floor(next_y)), np.int64(column) - 1)
                        face = side if y >= ZERO else 2
                        while level <= last:
                            if voxels[i, j, np.uint32(level)] >= frame.first and face != SKY:
                                return face, x, level, z
                            face = 2
                            level += 1
                y = next_y
                along_x = next_x < next_z  # no branch: it could not be predicted
                x += step_x if along_x else 0
                z += 0 if along_x else step_z
                next_x += per_x if along_x else ZERO
                next_z += ZERO if along_x else per_z
                side = side_x if along_x else side_z
                if leave >= limit or np.uint64(x - tile_x) >= TILE or np.uint64(z - tile_z) >= TILE:
                    break
        elif dy >= ZERO and y >= frame.top:
            break
        y, t = end_y, end
        along_x = out_x < out_z
        tile_x += step_x * TILE if along_x else 0
        tile_z += 0 if along_x else step_z * TILE
        side = side_x if along_x else side_z
        out_x += F(TILE) * per_x if along_x else ZERO
        out_z += ZERO if along_x else F(TILE) * per_z
    return SKY, np.int64(0), np.int64(0), np.int64(0)


@device_function
def cell_light(world, frame, x, y, z):
    """Packed light of a cell, as the light map takes it; by day the open sky's is all that counts there."""
    mask = world.height.shape[0] - 1
    i, j = np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask)
    if y >= np.int64(world.height[i, j]):
        if frame.bright or y >= world.light.shape[2]:
            return np.uint32(SKYLIGHT)
        return np.uint32(SKYLIGHT) | np.uint32(world.light[i, j, np.uint32(max(y, 0))] & np.uint8(15))
    if y < 0:
        return np.uint32(0)
    return np.uint32(world.light[i, j, np.uint32(y)])


@device_function
def face_light(world, frame, face, x, y, z):
    """Packed light of the cell in front of a block's face."""
    out = 2 * (face & 1) - 1
    if face < 2:
        x += out
    elif face < 4:
        y += out
    else:
        z += out
    return cell_light(world, frame, x, y, z)


@device_function
def _beside(world, frame, x, y, z, own):
    """(1 if a cell beside the one in front of a face stops a ray, its light in grey or else the face's ``own``)."""
    if solid(world.voxels, frame, x, y, z):
        return 1, own
    return 0, world.light_map[cell_light(world, frame, x, y, z), 3]


@device_function
def corner_light(world, frame, face, x, y, z, light):
    """Light at the corners (0,0), (1,0), (0,1), (1,1) of a face, as parts of the face's own packed ``light``.

    The game's smooth light: the average of the four cells around a corner, less 0.2 per block among them.
    The face's own axes are (z, y) for x faces, (x, z) for y faces, (x, y) for z faces.
    """
    if face < 2:
        x += 1 if face == 1 else -1
        ux, uy, uz, vx, vy, vz = 0, 0, 1, 0, 1, 0
    elif face < 4:
        y += 1 if face == 3 else -1
        ux, uy, uz, vx, vy, vz = 1, 0, 0, 0, 0, 1
    else:
        z += 1 if face == 5 else -1
        ux, uy, uz, vx, vy, vz = 1, 0, 0, 0, 1, 0
    own = world.light_map[light, 3]
    u0, lu0 = _beside(world, frame, x - ux, y - uy, z - uz, own)
    u1, lu1 = _beside(world, frame, x + ux, y + uy, z + uz, own)
    v0, lv0 = _beside(world, frame, x - vx, y - vy, z - vz, own)
    v1, lv1 = _beside(world, frame, x + vx, y + vy, z + vz, own)
    d00, l00 = _beside(world, frame, x - ux - vx, y - uy - vy, z - uz - vz, own)
    d10, l10 = _beside(world, frame, x + ux - vx, y + uy - vy, z + uz - vz, own)
    d01, l01 = _beside(world, frame, x - ux + vx, y - uy + vy, z - uz + vz, own)
    d11, l11 = _beside(world, frame, x + ux + vx, y + uy + vy, z + uz + vz, own)
    scale, dark = F(0.25) / own, F(0.2)
    return (
        (ONE - dark * F(u0 + v0 + max(u0 & v0, d00))) * (own + lu0 + lv0 + (own if u0 & v0 else l00)) * scale,
        (ONE - dark * F(u1 + v0 + max(u1 & v0, d10))) * (own + lu1 + lv0 + (own if u1 & v0 else l10)) * scale,
        (ONE - dark * F(u0 + v1 + max(u0 & v1, d01))) * (own + lu0 + lv1 + (own if u0 & v1 else l01)) * scale,
        (ONE - dark * F(u1 + v1 + max(u1 & v1, d11))) * (own + lu1 + lv1 + (own if u1 & v1 else l11)) * scale,
    )


@device_function(forceinline=True)
def known_corners(world, frame, face, x, y, z, light, keys, values):
    """``corner_light`` by way of a table of faces seen before: int64 [FACES_KNOWN], float32 [FACES_KNOWN, 4]."""
    key = ((((x & 1023) * 1024 + (z & 1023)) * 1024) + y) * 8 + face
    place = np.uint32((x + z * 23 + y * 131 + face * 61) & (FACES_KNOWN - 1))
    if keys[place] != key:
        c00, c10, c01, c11 = corner_light(world, frame, face, x, y, z, light)
        keys[place] = key
        values[place, 0], values[place, 1], values[place, 2], values[place, 3] = c00, c10, c01, c11
    return values[place, 0], values[place, 1], values[place, 2], values[place, 3]


@device_function
def face_depth(frame, face, x, y, z, dx, dy, dz):
    """Depth at which a ray meets the plane of a block's face."""
    if face < 2:
        return (F(x + (face & 1)) - frame.ex) / dx
    if face < 4:
        return (F(y + (face & 1)) - frame.ey) / dy
    return (F(z + (face & 1)) - frame.ez) / dz


@device_function
def mip_start(level):
    """Where a mip level begins in a texture."""
    return (1024 - (1024 >> (2 * level))) // 3


@device_function
def texel_at(assets, texture, level, u, v):
    """The texel of a texture's mip level at (u, v), 0-1 from the left and from the top."""
    size = np.int32(16) >> level
    place = mip_start(level) + np.int32(v * F(size)) * size + np.int32(u * F(size))
    return assets.texture[np.uint32(texture), np.uint32(place)]


@device_function
def below_liquid(assets, world, frame, x, y, z, dx, dy, dz, t, length2, r, g, b):
    """The colour (r, g, b) of a liquid's surface, mixed with that of the ground below it where the ray goes on."""
    mask = world.height.shape[0] - 1
    i, j = np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask)
    ground = y - 1
    while ground >= 0 and world.voxels[i, j, np.uint32(ground)] < FIRST_OPAQUE:
        ground -= 1
    if ground < 0:
        return r, g, b
    meets = (F(ground + 1) - frame.ey) / dy
    far = (meets - t) * np.sqrt(length2)  # through the liquid
    k = F(0.42) - far * F(0.42 / 20)
    if k <= ZERO:
        return r, g, b
    u, v = frame.ex + dx * meets, frame.ez + dz * meets
    u, v = min(u - np.floor(u), F(0.9999)), min(v - np.floor(v), F(0.9999))
    footprint, normal = meets * length2 * MIP_SCALE, abs(dy)
    level = (
        np.int32(footprint > normal)
        + np.int32(footprint > normal * F(2))
        + np.int32(footprint > normal * F(4))
        + np.int32(footprint > normal * F(8))
    )
    texture = assets.block_texture[world.voxels[i, j, np.uint32(ground)], 3]
    if texture >= assets.first_tinted:
        texture += np.int32(world.biome[i, j])
    texel = texel_at(assets, texture, level, u, v)
    light = np.uint32(world.light[i, j, np.uint32(ground + 1)])
    return (
        r + (F(texel & 255) * world.light_map[light, 0] - r) * k,
        g + (F((texel >> 8) & 255) * world.light_map[light, 1] - g) * k,
        b + (F((texel >> 16) & 255) * world.light_map[light, 2] - b) * k,
    )


@device_function
def face_look(assets, world, frame, block, face, x, y, z, light):
    """What is alike all over a block's face -> (texture, red, green, blue: what its texels are multiplied by).

    ``light``: packed, of the cell in front of it.
    """
    mask = world.height.shape[0] - 1
    texture = assets.block_texture[block, face]
    if texture >= assets.first_tinted:
        texture += np.int32(world.biome[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask)])
    shade = assets.face_shade[face]
    return (
        texture,
        shade * world.light_map[light, 0],
        shade * world.light_map[light, 1],
        shade * world.light_map[light, 2],
    )


@device_function
def face_colour(assets, world, frame, block, face, x, y, z, look, corners, u, v, normal, dx, dy, dz, t):
    """Colour of a block's face where a ray meets it at depth t: texture, shading, light and fog.

    ``look``: from face_look. ``corners``: from corner_light, where t < frame.occlusion. (u, v): the place on the face
    along its axes (see corner_light). ``normal``: the ray's direction across the face.
    """
    length2 = dx * dx + dy * dy + dz * dz
    u, v = min(max(u, ZERO), F(0.9999)), min(max(v, ZERO), F(0.9999))
    footprint = t * length2 * MIP_SCALE
    normal = abs(normal)
    level = (
        np.int32(footprint > normal)
        + np.int32(footprint > normal * F(2))
        + np.int32(footprint > normal * F(4))
        + np.int32(footprint > normal * F(8))
    )
    down = v if face == 2 or face == 3 else F(0.99995) - v
    if block < FIRST_OPAQUE:  # liquids flow
        down += frame.flow
        down -= np.floor(down)
        down = min(down, F(0.9999))
    texture, r, g, b = look
    texel = texel_at(assets, texture, level, u, down)
    if t < frame.occlusion:
        c00, c10, c01, c11 = corners
        low, high = c00 + (c10 - c00) * u, c01 + (c11 - c01) * u
        dark = ONE - (low + (high - low) * v)
        shade = ONE - dark * min(F(3) * (ONE - t / frame.occlusion), ONE)
        r, g, b = r * shade, g * shade, b * shade
    r = min(F(texel & 255) * r, F(255))
    g = min(F((texel >> 8) & 255) * g, F(255))
    b = min(F((texel >> 16) & 255) * b, F(255))
    if block < LAVA and face == 3:
        r, g, b = below_liquid(assets, world, frame, x, y, z, dx, dy, dz, t, length2, r, g, b)

    if t * TWO > frame.fog_start:  # no ray of the picture is more than twice as long as it is deep
        length = np.sqrt(length2)
        k = min(max((t * length - frame.fog_start) / (frame.reach - frame.fog_start), ZERO), ONE)
        fr, fg, fb = horizon_colour(frame, dx, dz, ONE / length)
        r, g, b = r + (fr - r) * k, g + (fg - g) * k, b + (fb - b) * k
    return r, g, b


@device_function
def block_colour(assets, world, frame, block, face, x, y, z, dx, dy, dz, t, light, corners):
    """``face_colour`` of what one ray meets."""
    look = face_look(assets, world, frame, block, face, x, y, z, light)
    if face < 2:
        u, v, normal = frame.ez + dz * t - F(z), frame.ey + dy * t - F(y), dx
    elif face < 4:
        u, v, normal = frame.ex + dx * t - F(x), frame.ez + dz * t - F(z), dy
    else:
        u, v, normal = frame.ex + dx * t - F(x), frame.ey + dy * t - F(y), dz
    return face_colour(assets, world, frame, block, face, x, y, z, look, corners, u, v, normal, dx, dy, dz, t)


@device_function
def world_pixel(world, assets, frame, row, column):
    """What one ray sees of sky and blocks -> (r, g, b float32 0-255, depth)."""
    dx, dy, dz = ray_direction(frame, row, column)
    face, x, y, z = trace(world.voxels, world.height, world.tiles, frame, dx, dy, dz, ZERO)
    if face == SKY:
        r, g, b = sky_colour(assets, frame, dx, dy, dz)
        return r, g, b, FAR
    mask = world.height.shape[0] - 1
    block = world.voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)]
    t = face_depth(frame, face, x, y, z, dx, dy, dz)
    light = face_light(world, frame, face, x, y, z)
    corners = (ONE, ONE, ONE, ONE)
    if t < frame.occlusion:
        corners = corner_light(world, frame, face, x, y, z, light)
    r, g, b = block_colour(assets, world, frame, block, face, x, y, z, dx, dy, dz, t, light, corners)
    return r, g, b, t
