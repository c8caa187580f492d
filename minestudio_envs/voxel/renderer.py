"""The picture a player sees: ``render(state, assets, n, image)`` draws environment ``n`` into a uint8 image.

A ray is followed through the columns of the world: the small map of column heights says whether it can hit anything
there, and only then voxels are read. What one ray sees is ``render_pixel``, for a kernel with a thread per pixel.
``render`` gives the same picture faster: it follows the rays at the corners of small cells of pixels, and where all
four see the same plane of blocks, near enough that nothing can hide between them, it only looks up the blocks that
the other pixels see on that plane. Mobs are drawn last, box by box, inside their outlines on the screen.

Frames of reference: the origin is the player's block column, (floor(x), 0, floor(z)), so that float32 is enough
wherever the player is. A ray's direction d has length 1 along the view, so its parameter t is depth.
Light, sky and sun follow Minecraft 1.16.5 (light map at gamma 2, face shading, ambient occlusion, linear fog).
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from minestudio_envs.voxel import hud, textures
from minestudio_envs.voxel.blocks import AIR, BLOCK_NAME, FIRST_LIQUID
from minestudio_envs.voxel.jit import device_function, inlined_function
from minestudio_envs.voxel.models import HEAD, LEG, MAX_BOXES, OPPOSITE_LEG, build_models
from minestudio_envs.voxel.physics import eye_height

F = np.float32
ZERO, HALF, ONE, TWO = F(0), F(0.5), F(1), F(2)
TILE = 8  # columns along a side of the coarse map of heights
TAN_V = F(np.tan(np.radians(35)))  # vertical field of view 70 degrees
TAN_H = F(np.tan(np.radians(35)) * 16 / 9)  # of a 16:9 window, squeezed into whatever the image is
RADIANS = F(np.pi / 180)
PI = F(np.pi)
FAR = F(1e9)
NEAR = F(0.05)  # of mobs, in front of the camera
HURT_TILT = F(14)  # degrees at most
CLOUD_HEIGHT, CLOUD_SIZE, CLOUD_CELLS = F(128), F(12), 32
# A texel is one pixel of a 640x360 window at a depth of 257 texels. Sharper than the game's choice of mipmap, which
# follows the longer side of a texel's footprint.
MIP_SCALE = F(16 / 257 * 0.6)

# Faces: 0 west (-x), 1 east, 2 bottom, 3 top, 4 north (-z), 5 south; -1 is the sky.
SKY = -1
FACE_SHADE = np.array([0.6, 0.6, 0.5, 1.0, 0.8, 0.8], np.float32)

# Columns of the table of mob parts.
PART_MATRIX, PART_ORIGIN, PART_LOW, PART_HIGH, PART_LIGHT, PART_RECT = 0, 9, 12, 15, 18, 24
PART_KIND, PART_BOX, PART_FOG, PART_RED, PART_SIZE = 28, 29, 30, 31, 32
SHADOW = -1  # as a PART_BOX: not a box but the mob's shadow on the ground
PARTS_PER_MOB = MAX_BOXES + 1

CELL = 8  # pixels between the rays that are traced first
PLANES = 1024  # room for the planes of one face
UNKNOWN, PENDING = -2, -3  # a pixel whose ray was not traced, and one that waits for it


class Assets(NamedTuple):
    """Tables of the renderer, read only."""

    texture: np.ndarray  # int32 [textures, 341]: r | g << 8 | b << 16, mip levels 16, 8, 4, 2, 1 in a row
    block_texture: np.ndarray  # int32 [blocks, 6]: texture of each face
    face_shade: np.ndarray  # float32 [6]
    cloud: np.ndarray  # uint8 [32, 32]
    model_box: np.ndarray  # see models.ModelTables
    model_moves: np.ndarray
    model_count: np.ndarray
    model_skin_start: np.ndarray
    model_skin: np.ndarray
    patch_rect: np.ndarray  # see hud.build_patches
    patch_pixels: np.ndarray
    item_picture: np.ndarray  # int32 [items]: textures.PICTURES
    charge_ticks: np.ndarray  # float32 [items]
    hand_drop: np.float32  # rows that the hand sinks when the attack's charge is 0


class Frame(NamedTuple):
    """What all pixels of a picture share: the camera, the light and the sky."""

    ex: np.float32  # the eye, relative to the corner of its column
    ey: np.float32
    ez: np.float32
    ox: np.int64  # the column, on the torus
    oz: np.int64
    # ray direction of pixel (row, column) = f + row * r + column * c
    fx: np.float32
    fy: np.float32
    fz: np.float32
    rx: np.float32
    ry: np.float32
    rz: np.float32
    cx: np.float32
    cy: np.float32
    cz: np.float32
    occlusion: np.float32  # depth at which ambient occlusion has faded away
    reach: np.float32  # blocks to the end of the fog
    fog_start: np.float32
    top: np.float32  # nothing is above this height
    light: tuple[np.float32, np.float32, np.float32]  # of the light map, multiplies every colour
    fog: tuple[np.float32, np.float32, np.float32]
    sky: tuple[np.float32, np.float32, np.float32]
    glow: tuple[np.float32, np.float32, np.float32]  # of sunrise and sunset
    glow_strength: np.float32
    sun_x: np.float32  # direction of the sun, in the plane of x and y
    sun_y: np.float32
    stars: np.float32  # brightness, 0 by day
    cloud_light: np.float32
    cloud_drift: np.float32


def _mip_levels(texture: np.ndarray) -> np.ndarray:
    """RGB [16, 16, 3] -> packed int32 [341]: the texture and its averages over 2, 4, 8, 16 texels."""
    levels, level = [], texture.astype(float)
    while True:
        levels.append(np.rint(level).astype(np.int32).reshape(-1, 3) @ np.array([1, 1 << 8, 1 << 16], np.int32))
        if len(level) == 1:
            return np.concatenate(levels)
        n = len(level) // 2
        level = level.reshape(n, 2, n, 2, 3).mean((1, 3))


def _clouds() -> np.ndarray:
    """A tileable pattern of cloud cells: long patches over about a third of the sky."""
    noise = np.random.default_rng(30).random((CLOUD_CELLS, CLOUD_CELLS))
    for axis, n in ((0, 2), (1, 1)):
        noise = sum(np.roll(noise, k, axis) for k in range(-n, n + 1))
    return (noise > np.quantile(noise, 0.68)).astype(np.uint8)


def build_assets(width: int, height: int) -> Assets:
    """Everything the renderer looks up, for images of ``height`` x ``width`` pixels."""
    names = list(textures.BLOCK_TEXTURES)
    block_texture = np.zeros((len(BLOCK_NAME), 6), np.int32)
    for i, block in enumerate(BLOCK_NAME):
        side, top, bottom = (names.index(t) for t in textures.BLOCK_FACES.get(block, ("missing",) * 3))
        block_texture[i] = (side, side, bottom, top, side, side)
    models = build_models()
    patch_rect, patch_pixels = hud.build_patches(width, height)
    return Assets(
        texture=np.stack([_mip_levels(t) for t in textures.BLOCK_TEXTURES.values()]).astype(np.int32),
        block_texture=block_texture,
        face_shade=FACE_SHADE.copy(),
        cloud=_clouds(),
        model_box=models.box,
        model_moves=models.moves,
        model_count=models.count,
        model_skin_start=models.skin_start,
        model_skin=models.skin,
        patch_rect=patch_rect,
        patch_pixels=patch_pixels,
        item_picture=textures.ITEM_PICTURE,
        charge_ticks=hud.CHARGE_TICKS,
        hand_drop=F(0.43 * height),
    )


# CAMERA, LIGHT AND SKY OF A FRAME


@device_function
def _gamma(c):
    """Minecraft's light map at gamma 2, for a light c in 0-1."""
    c = min(max(F(0.96) * c + F(0.03), ZERO), ONE)
    dark = ONE - c
    c = c + TWO * (ONE - dark * dark * dark * dark - c)
    return min(F(0.96) * min(c, ONE) + F(0.03), ONE)


@inlined_function
def make_frame(state, n, rows, columns, top):
    """Camera and light of environment ``n`` for an image of rows x columns; ``top`` as in Frame."""
    world_size = state.voxels.shape[1]
    x, z = state.player[n].previous_position[0], state.player[n].previous_position[2]
    block_x, block_z = np.floor(x), np.floor(z)
    ex, ez = F(x - block_x), F(z - block_z)
    ey = F(state.player[n].previous_position[1]) + F(eye_height(state.player[n].sneaking))

    yaw, pitch = state.player[n].yaw * RADIANS, state.player[n].pitch * RADIANS
    sin_yaw, cos_yaw, sin_pitch, cos_pitch = np.sin(yaw), np.cos(yaw), np.sin(pitch), np.cos(pitch)
    ahead = (-sin_yaw * cos_pitch, -sin_pitch, cos_yaw * cos_pitch)
    right = (-cos_yaw, ZERO, -sin_yaw)
    up = (-sin_yaw * sin_pitch, cos_pitch, cos_yaw * sin_pitch)
    hurt = F(state.player[n].hurt_ticks) / F(10)
    roll = np.sin(hurt * hurt * hurt * hurt * PI) * HURT_TILT * RADIANS
    sin_roll, cos_roll = np.sin(roll), np.cos(roll)
    right, up = (
        (right[0] * cos_roll + up[0] * sin_roll, up[1] * sin_roll, right[2] * cos_roll + up[2] * sin_roll),
        (up[0] * cos_roll - right[0] * sin_roll, up[1] * cos_roll, up[2] * cos_roll - right[2] * sin_roll),
    )
    c = TWO * TAN_H / F(columns)
    r = -TWO * TAN_V / F(rows)
    left, high = HALF * c - TAN_H, HALF * r + TAN_V  # the centre of pixel (0, 0)

    # Angle of the sun: 0 at noon; it lingers near noon and midnight.
    day = F(state.world[n].time_of_day) / F(24000) - F(0.25)
    day = day - np.floor(day)
    day = day + (HALF - HALF * np.cos(day * PI) - day) / F(3)
    sun_cos, sun_sin = np.cos(day * TWO * PI), np.sin(day * TWO * PI)
    bright = min(max(sun_cos * TWO + F(0.2), ZERO), ONE) * F(0.8) + F(0.2)
    sky_light = bright * F(0.95) + F(0.05)
    warm = F(0.65) * bright + F(0.35)  # the night is bluish
    red, blue = _gamma(sky_light * warm), _gamma(sky_light)
    clear = min(max(sun_cos * TWO + HALF, ZERO), ONE)
    fog = (
        F(183) * (clear * F(0.94) + F(0.06)),
        F(211) * (clear * F(0.94) + F(0.06)),
        F(255) * (clear * F(0.91) + F(0.09)),
    )
    sky = (F(120) * clear, F(167) * clear, F(255) * clear)
    glow_strength, phase = ZERO, sun_cos / F(0.8) + HALF
    if ZERO < phase < ONE:
        glow_strength = ONE - (ONE - np.sin(phase * PI)) * F(0.99)
        glow_strength = glow_strength * glow_strength
    glow = (
        F(255) * (phase * F(0.3) + F(0.7)),
        F(255) * (phase * phase * F(0.7) + F(0.2)),
        F(255) * F(0.2),
    )
    reach = F(world_size // 2)
    return Frame(
        ex,
        ey,
        ez,
        np.int64(block_x - world_size * np.floor(block_x / world_size)),
        np.int64(block_z - world_size * np.floor(block_z / world_size)),
        ahead[0] + left * right[0] + high * up[0],
        ahead[1] + left * right[1] + high * up[1],
        ahead[2] + left * right[2] + high * up[2],
        r * up[0],
        r * up[1],
        r * up[2],
        c * right[0],
        c * right[1],
        c * right[2],
        min(F(columns) / (TWO * TAN_H * F(4)), F(24)),
        reach,
        reach * F(0.7),
        top,
        (red, red, blue),
        fog,
        sky,
        glow,
        glow_strength,
        -sun_sin,
        sun_cos,
        min(max(HALF - TWO * sun_cos, ZERO), ONE) * HALF,
        clear * F(0.9) + F(0.1),
        F(state.world[n].time_of_day) * F(0.03),
    )


@inlined_function
def ray_direction(frame, row, column):
    row, column = F(row), F(column)
    return (
        frame.fx + row * frame.rx + column * frame.cx,
        frame.fy + row * frame.ry + column * frame.cy,
        frame.fz + row * frame.rz + column * frame.cz,
    )


@inlined_function
def horizon_colour(frame, dx, dz, inverse_length):
    """Colour of the fog in a direction: reddish towards the sun when it rises or sets."""
    r, g, b = frame.fog
    if frame.glow_strength > ZERO:
        toward = dx * inverse_length * (ONE if frame.sun_x > ZERO else -ONE)
        k = frame.glow_strength * max(toward, ZERO)
        r, g, b = r + (frame.glow[0] - r) * k, g + (frame.glow[1] - g) * k, b + (frame.glow[2] - b) * k
    return r, g, b


@inlined_function
def sky_colour(assets, frame, dx, dy, dz):
    """Colour of the sky in direction d, float32 0-255: gradient, stars, sun and moon, clouds."""
    inverse_length = ONE / np.sqrt(dx * dx + dy * dy + dz * dz)
    r, g, b = horizon_colour(frame, dx, dz, inverse_length)
    rise = dy * inverse_length
    if rise <= ZERO:
        return r, g, b
    k = max(ONE - F(0.083) / (rise + F(1e-6)), ZERO)
    r, g, b = r + (frame.sky[0] - r) * k, g + (frame.sky[1] - g) * k, b + (frame.sky[2] - b) * k

    if frame.stars > ZERO:
        scale = F(110) * inverse_length
        i, j, k = np.int32(np.floor(dx * scale)), np.int32(np.floor(dy * scale)), np.int32(np.floor(dz * scale))
        bits = (i * np.int32(7919) + j * np.int32(104729) + k * np.int32(1299709)) & np.int32(0xFFFFF)
        bits = ((bits ^ (bits >> np.int32(7))) * np.int32(1327)) & np.int32(0xFFFFF)
        if (bits >> np.int32(4)) % np.int32(383) == 0:
            star = frame.stars * F(255)
            r, g, b = max(r, star), max(g, star), max(b, star)

    toward_sun = (dx * frame.sun_x + dy * frame.sun_y) * inverse_length
    if abs(toward_sun) > F(0.9):  # both hang on squares that face the player
        across = dz * inverse_length / toward_sun
        along = (dx * frame.sun_y - dy * frame.sun_x) * inverse_length / toward_sun
        off = max(abs(across), abs(along))
        if toward_sun > ZERO:
            if off < F(0.085):
                r, g, b = F(255), F(255), F(238)
            elif off < F(0.26):
                k = F(0.55) * (ONE - (off - F(0.085)) / F(0.175))
                k = k * k
                r, g, b = r + (F(255) - r) * k, g + (F(250) - g) * k, b + (F(220) - b) * k
        elif off < F(0.055):
            crater = (abs(across - F(0.02)) < F(0.014)) & (abs(along + F(0.01)) < F(0.02))
            shade = F(168) if crater else F(214)
            r, g, b = max(r, shade), max(g, shade), max(b, shade + F(10))

    if rise > F(0.1) and frame.ey < CLOUD_HEIGHT:  # the clouds go with the player, and drift
        scale = (CLOUD_HEIGHT - frame.ey) / (dy * CLOUD_SIZE)
        i = np.int32(np.floor(dx * scale + frame.cloud_drift / CLOUD_SIZE)) & (CLOUD_CELLS - 1)
        j = np.int32(np.floor(dz * scale)) & (CLOUD_CELLS - 1)
        if assets.cloud[np.uint32(i), np.uint32(j)]:
            k = min((rise - F(0.1)) * F(4), F(0.75))
            white = F(255) * frame.cloud_light
            r, g, b = r + (white - r) * k, g + (white - g) * k, b + (white - b) * k
    return r, g, b


# BLOCKS


@inlined_function
def solid(voxels, frame, x, y, z):
    """1 if the block at (x, y, z), x and z relative to the eye's column, is not air; outside the world is air."""
    mask = voxels.shape[0] - 1
    if y < 0 or y >= voxels.shape[2]:
        return 0
    return np.int32(
        voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)] >= FIRST_LIQUID
    )


@inlined_function
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
                        if y >= column:
                            return 3, x, level, z  # the column's top block
                        level = np.int64(np.floor(y))
                        last = max(np.int64(np.floor(next_y)), 0)
                        face = side
                        while level >= last:
                            if voxels[i, j, np.uint32(level)] >= FIRST_LIQUID and face != SKY:
                                return face, x, level, z
                            face = 3
                            level -= 1
                    else:
                        level = max(np.int64(np.floor(y)), 0)
                        last = min(np.int64(np.floor(next_y)), np.int64(column) - 1)
                        face = side if y >= ZERO else 2
                        while level <= last:
                            if voxels[i, j, np.uint32(level)] >= FIRST_LIQUID and face != SKY:
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


@inlined_function
def corner_light(voxels, frame, face, x, y, z):
    """Ambient occlusion at the corners (0,0), (1,0), (0,1), (1,1) of a face: the game's 1 - 0.2 per block around.

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
    u0, u1 = solid(voxels, frame, x - ux, y - uy, z - uz), solid(voxels, frame, x + ux, y + uy, z + uz)
    v0, v1 = solid(voxels, frame, x - vx, y - vy, z - vz), solid(voxels, frame, x + vx, y + vy, z + vz)
    c00 = u0 + v0 + max(u0 & v0, solid(voxels, frame, x - ux - vx, y - uy - vy, z - uz - vz))
    c10 = u1 + v0 + max(u1 & v0, solid(voxels, frame, x + ux - vx, y + uy - vy, z + uz - vz))
    c01 = u0 + v1 + max(u0 & v1, solid(voxels, frame, x - ux + vx, y - uy + vy, z - uz + vz))
    c11 = u1 + v1 + max(u1 & v1, solid(voxels, frame, x + ux + vx, y + uy + vy, z + uz + vz))
    dark = F(0.2)
    return ONE - dark * F(c00), ONE - dark * F(c10), ONE - dark * F(c01), ONE - dark * F(c11)


@inlined_function
def face_depth(frame, face, x, y, z, dx, dy, dz):
    """Depth at which a ray meets the plane of a block's face."""
    if face < 2:
        return (F(x + (face & 1)) - frame.ex) / dx
    if face < 4:
        return (F(y + (face & 1)) - frame.ey) / dy
    return (F(z + (face & 1)) - frame.ez) / dz


@inlined_function
def block_colour(assets, frame, block, face, x, y, z, dx, dy, dz, t, corners):
    """Colour of a block's face where a ray meets it at depth t: texture, shading, occlusion, light and fog."""
    if face < 2:
        u, v, normal = frame.ez + dz * t - F(z), frame.ey + dy * t - F(y), dx
    elif face < 4:
        u, v, normal = frame.ex + dx * t - F(x), frame.ez + dz * t - F(z), dy
    else:
        u, v, normal = frame.ex + dx * t - F(x), frame.ey + dy * t - F(y), dz
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
    size = np.int32(16) >> level
    column, row = np.int32(u * F(size)), np.int32(v * F(size))
    if face != 2 and face != 3:
        row = size - 1 - row
    start = (1024 - (1024 >> (2 * level))) // 3
    texel = assets.texture[np.uint32(assets.block_texture[block, face]), np.uint32(start + row * size + column)]

    shade = assets.face_shade[face]
    if t < frame.occlusion:
        c00, c10, c01, c11 = corners
        low, high = c00 + (c10 - c00) * u, c01 + (c11 - c01) * u
        dark = ONE - (low + (high - low) * v)
        shade *= ONE - dark * min(F(3) * (ONE - t / frame.occlusion), ONE)
    r = F(texel & 255) * shade * frame.light[0]
    g = F((texel >> 8) & 255) * shade * frame.light[1]
    b = F(texel >> 16) * shade * frame.light[2]

    if t * TWO > frame.fog_start:  # no ray of the picture is more than twice as long as it is deep
        length = np.sqrt(length2)
        k = min(max((t * length - frame.fog_start) / (frame.reach - frame.fog_start), ZERO), ONE)
        fr, fg, fb = horizon_colour(frame, dx, dz, ONE / length)
        r, g, b = r + (fr - r) * k, g + (fg - g) * k, b + (fb - b) * k
    return r, g, b


@device_function
def world_pixel(voxels, height, tiles, assets, frame, row, column):
    """What one ray sees of sky and blocks -> (r, g, b float32 0-255, depth)."""
    dx, dy, dz = ray_direction(frame, row, column)
    face, x, y, z = trace(voxels, height, tiles, frame, dx, dy, dz, ZERO)
    if face == SKY:
        r, g, b = sky_colour(assets, frame, dx, dy, dz)
        return r, g, b, FAR
    mask = voxels.shape[0] - 1
    block = voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)]
    t = face_depth(frame, face, x, y, z, dx, dy, dz)
    corners = (ONE, ONE, ONE, ONE)
    if t < frame.occlusion:
        corners = corner_light(voxels, frame, face, x, y, z)
    r, g, b = block_colour(assets, frame, block, face, x, y, z, dx, dy, dz, t, corners)
    return r, g, b, t


# MOBS


@inlined_function
def _turn(x, y, z, sin_roll, cos_roll, sin_yaw, cos_yaw):
    """From a mob's axes to the world's."""
    x, y = x * cos_roll - y * sin_roll, x * sin_roll + y * cos_roll
    return x * cos_yaw - z * sin_yaw, y, x * sin_yaw + z * cos_yaw


@inlined_function
def _entity_light(x, y, z):
    """Brightness of a mob's face with this normal: two lamps above, to the north and the south."""
    lamps = max(F(0.16) * x + F(0.81) * y - F(0.57) * z, ZERO) + max(F(-0.16) * x + F(0.81) * y + F(0.57) * z, ZERO)
    return min(F(0.4) + F(0.6) * lamps, ONE)


@inlined_function
def _corner(part, corner, pivot_x, pivot_y, pivot_z, x_axis, y_axis, z_axis, pivot, camera):
    """A corner of a mob's part in the camera's axes -> (right, up, depth). ``corner`` 0-7: a bit per axis."""
    x = ((part[PART_LOW] if corner & 1 else part[PART_HIGH]) - pivot_x) / F(16)
    y = ((part[PART_LOW + 1] if corner & 2 else part[PART_HIGH + 1]) - pivot_y) / F(16)
    z = ((part[PART_LOW + 2] if corner & 4 else part[PART_HIGH + 2]) - pivot_z) / F(16)
    cx = pivot[0] + x * x_axis[0] + y * y_axis[0] + z * z_axis[0]
    cy = pivot[1] + x * x_axis[1] + y * y_axis[1] + z * z_axis[1]
    cz = pivot[2] + x * x_axis[2] + y * y_axis[2] + z * z_axis[2]
    right, up, ahead = camera
    return (
        cx * right[0] + cy * right[1] + cz * right[2],
        cx * up[0] + cy * up[1] + cz * up[2],
        cx * ahead[0] + cy * ahead[1] + cz * ahead[2],
    )


@inlined_function
def make_parts(state, assets, n, frame, rows, columns, parts):
    """Fill ``parts`` float32 [mobs * PARTS_PER_MOB, PART_SIZE] with what may be seen of the mobs -> how many."""
    count = 0
    # The camera's axes, back from the steps between pixels.
    per_row, per_column = -F(rows) / (TWO * TAN_V), F(columns) / (TWO * TAN_H)
    ux, uy, uz = frame.rx * per_row, frame.ry * per_row, frame.rz * per_row
    hx, hy, hz = frame.cx * per_column, frame.cy * per_column, frame.cz * per_column
    ax, ay, az = hy * uz - hz * uy, hz * ux - hx * uz, hx * uy - hy * ux
    camera = ((hx, hy, hz), (ux, uy, uz), (-ax, -ay, -az))
    ax, ay, az = camera[2]
    world_size = state.voxels.shape[1]
    for m in range(state.mobs.shape[1]):
        kind = state.mobs[n, m].kind
        if kind == 0:
            continue
        # Where the mob's nearest image on the torus is, relative to the eye: after a death it may be laps away.
        gap_x = state.mobs[n, m].previous_position[0] - state.player[n].previous_position[0]
        gap_z = state.mobs[n, m].previous_position[2] - state.player[n].previous_position[2]
        gap_x -= world_size * np.floor(gap_x / world_size + 0.5)
        gap_z -= world_size * np.floor(gap_z / world_size + 0.5)
        px, pz = F(gap_x), F(gap_z)
        py = F(state.mobs[n, m].previous_position[1]) - frame.ey
        distance = np.sqrt(px * px + py * py + pz * pz)
        depth = px * ax + py * ay + pz * az
        if distance > frame.reach + TWO or depth < -TWO:
            continue
        fog = min(max((distance - frame.fog_start) / (frame.reach - frame.fog_start), ZERO), ONE)

        yaw = state.mobs[n, m].yaw * RADIANS
        sin_yaw, cos_yaw = np.sin(yaw), np.cos(yaw)
        roll = ZERO
        if state.mobs[n, m].death_ticks > 0:  # falls on its side
            roll = min(np.sqrt(F(state.mobs[n, m].death_ticks) * F(0.08)), ONE) * HALF * PI
        sin_roll, cos_roll = np.sin(roll), np.cos(roll)
        red = state.mobs[n, m].hurt_ticks > 10 or state.mobs[n, m].death_ticks > 0
        step_x = state.mobs[n, m].position[0] - state.mobs[n, m].previous_position[0]
        step_z = state.mobs[n, m].position[2] - state.mobs[n, m].previous_position[2]
        stride = min(F(4) * np.sqrt(F(step_x * step_x + step_z * step_z)), ONE)
        swing = F(1.4) * stride * np.cos(state.mobs[n, m].walk * F(4 * 0.6662))

        for box in range(-1, assets.model_count[kind]):
            part = parts[count]
            part[PART_KIND], part[PART_BOX], part[PART_FOG], part[PART_RED] = F(kind), F(box), fog, F(red)
            sin_a = sin_b = ZERO
            cos_a = cos_b = ONE
            if box == SHADOW:
                if fog > ZERO or roll > ZERO:
                    continue
                radius = F(0.7)
                part[PART_ORIGIN], part[PART_ORIGIN + 1], part[PART_ORIGIN + 2] = px, py, pz
                for axis in range(3):
                    part[PART_LOW + axis] = -radius * F(16) if axis != 1 else ZERO
                    part[PART_HIGH + axis] = radius * F(16) if axis != 1 else ZERO
                pivot_x = pivot_y = pivot_z = ZERO
            else:
                for axis in range(3):
                    part[PART_LOW + axis] = assets.model_box[kind, box, axis]
                    part[PART_HIGH + axis] = assets.model_box[kind, box, 3 + axis]
                pivot_x, pivot_y, pivot_z = (
                    assets.model_box[kind, box, 6],
                    assets.model_box[kind, box, 7],
                    assets.model_box[kind, box, 8],
                )
                moves = assets.model_moves[kind, box]
                if moves == HEAD:
                    a = (state.mobs[n, m].head_yaw - state.mobs[n, m].yaw) * RADIANS
                    b = state.mobs[n, m].head_pitch * RADIANS
                    sin_a, cos_a, sin_b, cos_b = np.sin(a), np.cos(a), np.sin(b), np.cos(b)
                elif moves == LEG:
                    sin_b, cos_b = np.sin(swing), np.cos(swing)
                elif moves == OPPOSITE_LEG:
                    sin_b, cos_b = -np.sin(swing), np.cos(swing)

            # The box's axes and pivot in the world; the matrix takes the world to the box's texels.
            x_axis = _turn(cos_a, ZERO, sin_a, sin_roll, cos_roll, sin_yaw, cos_yaw)
            y_axis = _turn(-sin_a * sin_b, cos_b, cos_a * sin_b, sin_roll, cos_roll, sin_yaw, cos_yaw)
            z_axis = _turn(-sin_a * cos_b, -sin_b, cos_a * cos_b, sin_roll, cos_roll, sin_yaw, cos_yaw)
            pivot = _turn(pivot_x, pivot_y, pivot_z, sin_roll, cos_roll, sin_yaw, cos_yaw)
            w = (px + pivot[0] / F(16), py + pivot[1] / F(16), pz + pivot[2] / F(16))
            for axis in range(3):
                along = x_axis if axis == 0 else (y_axis if axis == 1 else z_axis)
                pivot_here = pivot_x if axis == 0 else (pivot_y if axis == 1 else pivot_z)
                if box != SHADOW:
                    part[PART_MATRIX + 3 * axis] = F(16) * along[0]
                    part[PART_MATRIX + 3 * axis + 1] = F(16) * along[1]
                    part[PART_MATRIX + 3 * axis + 2] = F(16) * along[2]
                    part[PART_ORIGIN + axis] = pivot_here - F(16) * (
                        w[0] * along[0] + w[1] * along[1] + w[2] * along[2]
                    )
                    part[PART_LIGHT + 2 * axis] = _entity_light(-along[0], -along[1], -along[2])
                    part[PART_LIGHT + 2 * axis + 1] = _entity_light(along[0], along[1], along[2])

            # Its outline on the screen: the rectangle around the corners, or around where edges come into view.
            first_row, last_row, first_column, last_column = FAR, -FAR, FAR, -FAR
            for corner in range(8):
                for edge in range(4):
                    across, up, depth = _corner(
                        part, corner, pivot_x, pivot_y, pivot_z, x_axis, y_axis, z_axis, w, camera
                    )
                    if edge > 0:
                        across2, up2, depth2 = _corner(
                            part,
                            corner ^ (1 << (edge - 1)),
                            pivot_x,
                            pivot_y,
                            pivot_z,
                            x_axis,
                            y_axis,
                            z_axis,
                            w,
                            camera,
                        )
                        if depth >= NEAR or depth2 < NEAR:
                            continue
                        k = (NEAR - depth) / (depth2 - depth)
                        across, up, depth = across + (across2 - across) * k, up + (up2 - up) * k, NEAR
                    elif depth < NEAR:
                        continue
                    column = (ONE + across / (depth * TAN_H)) * HALF * F(columns)
                    row = (ONE - up / (depth * TAN_V)) * HALF * F(rows)
                    first_row, last_row = min(first_row, row), max(last_row, row)
                    first_column, last_column = min(first_column, column), max(last_column, column)
            part[PART_RECT] = max(np.floor(first_row), ZERO)
            part[PART_RECT + 1] = min(np.ceil(last_row) + ONE, F(rows))
            part[PART_RECT + 2] = max(np.floor(first_column), ZERO)
            part[PART_RECT + 3] = min(np.ceil(last_column) + ONE, F(columns))
            if part[PART_RECT] < part[PART_RECT + 1] and part[PART_RECT + 2] < part[PART_RECT + 3]:
                count += 1
    return count


@device_function
def part_pixel(assets, frame, part, dx, dy, dz, r, g, b, depth):
    """Draw a mob's part over a pixel -> its new (r, g, b, depth)."""
    if part[PART_BOX] < ZERO:
        # A dark disc on the ground, where the ground is what the ray sees.
        t = part[PART_ORIGIN + 1] / dy
        x, z = dx * t - part[PART_ORIGIN], dz * t - part[PART_ORIGIN + 2]
        radius = part[PART_HIGH] / F(16)
        off = (x * x + z * z) / (radius * radius)
        if dy < ZERO and off < ONE and abs(t - depth) < F(0.002) * depth:
            k = ONE - HALF * (ONE - off)
            return r * k, g * k, b * k, depth
        return r, g, b, depth
    near, far, axis_hit, positive = NEAR, depth, -1, False
    for axis in range(3):
        i = PART_MATRIX + 3 * axis
        d = part[i] * dx + part[i + 1] * dy + part[i + 2] * dz
        o = part[PART_ORIGIN + axis]
        if abs(d) < F(1e-6):
            d = F(1e-6)
        inverse = ONE / d
        enter, leave = (part[PART_LOW + axis] - o) * inverse, (part[PART_HIGH + axis] - o) * inverse
        if enter > leave:
            enter, leave = leave, enter
        if enter > near:
            near, axis_hit, positive = enter, axis, d < ZERO
        far = min(far, leave)
    if near >= far or axis_hit < 0:
        return r, g, b, depth

    # The texel of the face that was hit.
    across, down = (2 if axis_hit == 0 else 0), (2 if axis_hit == 1 else 1)
    i, j = PART_MATRIX + 3 * across, PART_MATRIX + 3 * down
    u = part[PART_ORIGIN + across] + near * (part[i] * dx + part[i + 1] * dy + part[i + 2] * dz)
    v = part[PART_ORIGIN + down] + near * (part[j] * dx + part[j + 1] * dy + part[j + 2] * dz)
    width = np.int32(part[PART_HIGH + across] - part[PART_LOW + across])
    height = np.int32(part[PART_HIGH + down] - part[PART_LOW + down])
    column = min(max(np.int32(u - part[PART_LOW + across]), 0), width - 1)
    row = min(max(np.int32(v - part[PART_LOW + down]), 0), height - 1)
    if down == 1:
        row = height - 1 - row
    face = 2 * axis_hit + np.int32(positive)
    start = assets.model_skin_start[np.int32(part[PART_KIND]), np.int32(part[PART_BOX]), face]
    texel = assets.model_skin[start + row * width + column]
    r, g, b = F(texel & 255), F((texel >> 8) & 255), F(texel >> 16)
    shade = part[PART_LIGHT + face]
    r, g, b = r * shade, g * shade, b * shade
    if part[PART_RED] > ZERO:
        r, g, b = r * F(0.65) + F(0.35 * 255), g * F(0.65), b * F(0.65)
    r, g, b = r * frame.light[0], g * frame.light[1], b * frame.light[2]
    k = part[PART_FOG]
    if k > ZERO:
        fr, fg, fb = horizon_colour(frame, dx, dz, ONE / np.sqrt(dx * dx + dy * dy + dz * dz))
        r, g, b = r + (fr - r) * k, g + (fg - g) * k, b + (fb - b) * k
    return r, g, b, near


# PICTURES


@device_function
def make_tiles(height, tiles):
    """Fill ``tiles`` uint8 [S / TILE, S / TILE] with the highest column of each tile -> the highest of all, float32."""
    top = np.uint8(0)
    for i in range(tiles.shape[0]):
        for j in range(tiles.shape[1]):
            highest = np.uint8(0)
            for x in range(TILE):
                for z in range(TILE):
                    highest = max(highest, height[np.uint32(i * TILE + x), np.uint32(j * TILE + z)])
            tiles[i, j] = highest
            top = max(top, highest)
    return F(top)


@device_function
def render_pixel(voxels, height, tiles, assets, frame, parts, num_parts, layers, row, column):
    """Colour (r, g, b) float32 0-255 of one pixel, from scratch: the reference, and what a GPU's thread does."""
    r, g, b, depth = world_pixel(voxels, height, tiles, assets, frame, row, column)
    dx, dy, dz = ray_direction(frame, row, column)
    for p in range(num_parts):
        part = parts[p]
        if part[PART_RECT] <= row < part[PART_RECT + 1] and part[PART_RECT + 2] <= column < part[PART_RECT + 3]:
            r, g, b, depth = part_pixel(assets, frame, part, dx, dy, dz, r, g, b, depth)
    r, g, b = np.floor(r + HALF), np.floor(g + HALF), np.floor(b + HALF)
    return hud.overlay_pixel(assets, layers, frame.light, row, column, r, g, b)


@njit(error_model="numpy")
def render_by_pixel(state, assets, n, image):
    """``render``, ray by ray: slow, and what the fast one is tested against."""
    rows, columns = image.shape[0], image.shape[1]
    tiles = np.empty((state.height.shape[1] // TILE, state.height.shape[1] // TILE), np.uint8)
    frame = make_frame(state, n, rows, columns, make_tiles(state.height[n], tiles))
    parts = np.empty((state.mobs.shape[1] * PARTS_PER_MOB + 1, PART_SIZE), np.float32)
    num_parts = make_parts(state, assets, n, frame, rows, columns, parts)
    layers = np.empty((hud.NUM_LAYERS, 2), np.int32)
    hud.make_layers(state, assets, n, layers)
    voxels, height = state.voxels[n], state.height[n]
    for row in range(rows):
        for column in range(columns):
            r, g, b = render_pixel(voxels, height, tiles, assets, frame, parts, num_parts, layers, row, column)
            image[row, column, 0] = np.uint8(r)
            image[row, column, 1] = np.uint8(g)
            image[row, column, 2] = np.uint8(b)


@inlined_function
def _write(image, row, column, r, g, b):
    row, column = np.uint32(row), np.uint32(column)
    image[row, column, 0] = np.uint8(np.int32(r + HALF))
    image[row, column, 1] = np.uint8(np.int32(g + HALF))
    image[row, column, 2] = np.uint8(np.int32(b + HALF))


@device_function
def _trace_pixels(voxels, height, tiles, assets, frame, pixels, starts, count, image, planes, depths):
    """Trace and draw the first ``count`` of ``pixels`` (row * columns + column) and note the plane each one sees.

    Nothing is nearer than ``starts``. A plane is PLANES * face + its place, or SKY.
    """
    columns = image.shape[1]
    mask = voxels.shape[0] - 1
    known_x = known_y = known_z = known_face = np.int64(-9999)
    corners = (ONE, ONE, ONE, ONE)
    for p in range(count):
        row = pixels[np.uint32(p)] // columns
        column = pixels[np.uint32(p)] - row * columns
        dx, dy, dz = ray_direction(frame, row, column)
        face, x, y, z = trace(voxels, height, tiles, frame, dx, dy, dz, starts[np.uint32(p)])
        plane, t = SKY, FAR
        if face == SKY:
            r, g, b = sky_colour(assets, frame, dx, dy, dz)
        else:
            block = voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)]
            t = face_depth(frame, face, x, y, z, dx, dy, dz)
            if t < frame.occlusion and (x != known_x or y != known_y or z != known_z or face != known_face):
                corners = corner_light(voxels, frame, face, x, y, z)
                known_x, known_y, known_z, known_face = x, y, z, face
            r, g, b = block_colour(assets, frame, block, face, x, y, z, dx, dy, dz, t, corners)
            plane = face * PLANES + (x if face < 2 else (y if face < 4 else z)) + PLANES // 2
        _write(image, row, column, r, g, b)
        planes[np.uint32(row), np.uint32(column)] = plane
        depths[np.uint32(row), np.uint32(column)] = t


@inlined_function
def _meet(voxels, frame, plane, dx, dy, dz):
    """Where a ray meets a plane -> (block, face, x, y, z, t): the block seen there, AIR if no bare face is there."""
    mask = voxels.shape[0] - 1
    face = plane // PLANES
    place = plane - face * PLANES - PLANES // 2
    edge = F(place + (face & 1))
    out = 2 * (face & 1) - 1
    x = y = z = place
    out_x = out_y = out_z = 0
    if face < 2:
        t = (edge - frame.ex) / dx
        y, z = np.int64(np.floor(frame.ey + dy * t)), np.int64(np.floor(frame.ez + dz * t))
        out_x = out
    elif face < 4:
        t = (edge - frame.ey) / dy
        x, z = np.int64(np.floor(frame.ex + dx * t)), np.int64(np.floor(frame.ez + dz * t))
        out_y = out
    else:
        t = (edge - frame.ez) / dz
        x, y = np.int64(np.floor(frame.ex + dx * t)), np.int64(np.floor(frame.ey + dy * t))
        out_z = out
    block = np.uint8(AIR)
    if 0 <= y < voxels.shape[2] and solid(voxels, frame, x + out_x, y + out_y, z + out_z) == 0:
        block = voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)]
    return block, face, x, y, z, t


@device_function
def _fill_cells(voxels, assets, frame, cells, count, size, image, planes, depths, pixels, starts):
    """Draw cells whose corners all see one plane -> how many ``pixels`` see another, undrawn."""
    rows, columns = image.shape[0], image.shape[1]
    failed = 0
    for c in range(count):
        top = cells[np.uint32(c)] // columns
        left = cells[np.uint32(c)] - top * columns
        plane = planes[np.uint32(top), np.uint32(left)]
        known_x = known_y = known_z = np.int64(-9999)
        corners = (ONE, ONE, ONE, ONE)
        for row in range(top, min(top + size, rows)):
            for column in range(left, min(left + size, columns)):
                if planes[np.uint32(row), np.uint32(column)] != UNKNOWN:
                    continue
                dx, dy, dz = ray_direction(frame, row, column)
                if plane == SKY:
                    t = FAR
                    r, g, b = sky_colour(assets, frame, dx, dy, dz)
                else:
                    block, face, x, y, z, t = _meet(voxels, frame, plane, dx, dy, dz)
                    if block == AIR:
                        planes[np.uint32(row), np.uint32(column)] = PENDING
                        pixels[np.uint32(failed)], starts[np.uint32(failed)] = row * columns + column, ZERO
                        failed += 1
                        continue
                    if t < frame.occlusion and (x != known_x or y != known_y or z != known_z):
                        corners = corner_light(voxels, frame, face, x, y, z)
                        known_x, known_y, known_z = x, y, z
                    r, g, b = block_colour(assets, frame, block, face, x, y, z, dx, dy, dz, t, corners)
                _write(image, row, column, r, g, b)
                depths[np.uint32(row), np.uint32(column)] = t
    return failed


@inlined_function
def _queue(planes, row, column, start, pixels, starts, count):
    """Add a pixel to the list of those to trace, unless it was."""
    if planes[row, column] == UNKNOWN:
        planes[row, column] = PENDING
        pixels[count], starts[count] = row * planes.shape[1] + column, start
        count += 1
    return count


PLAIN, MIXED, ROUGH = range(3)


@device_function
def _judge(frame, planes, depths, top, bottom, left, right, near):
    """What the corners of a cell tell about it -> (PLAIN, MIXED or ROUGH, depth before which it is empty).

    Plain: it shows one plane, nearer than ``near``, or open sky. Mixed: the same, but more than one.
    """
    plane = planes[top, left]
    kind, sky, first = PLAIN, False, near
    for corner in range(4):
        row, column = (bottom if corner & 1 else top), (right if corner & 2 else left)
        if planes[row, column] != plane:
            kind = max(kind, MIXED)
        first = min(first, depths[row, column])
        if planes[row, column] == SKY:
            sky = True
        elif depths[row, column] >= near:
            kind = ROUGH
    if sky:  # is even the lowest ray above everything far? What rises there is hills and crowns, 3 blocks wide
        lowest = min(ray_direction(frame, bottom, left)[1], ray_direction(frame, bottom, right)[1])
        if frame.ey + F(3) * near * lowest <= frame.top:
            kind = ROUGH
    return kind, F(0.9) * first - F(0.7)


@device_function
def _sort_cells(frame, cells, count, size, near, planes, depths, plain, pixels, starts):
    """Split cells into plain ones and, in place, rough ones; queue the pixels of mixed ones.

    -> (plain cells, rough cells, pixels queued)
    """
    rows, columns = planes.shape
    num_plain = num_rough = queued = 0
    for c in range(count):
        top = cells[c] // columns
        left = cells[c] - top * columns
        bottom, right = min(top + size, rows - 1), min(left + size, columns - 1)
        kind, start = _judge(frame, planes, depths, top, bottom, left, right, near)
        if kind == PLAIN:
            plain[num_plain] = cells[c]
            num_plain += 1
        elif size == 2 or (kind == MIXED and size == 4):
            for row in range(top, min(top + size, rows)):
                for column in range(left, min(left + size, columns)):
                    queued = _queue(planes, row, column, start, pixels, starts, queued)
        else:
            cells[num_rough] = cells[c]
            num_rough += 1
            for i in range(3):
                for j in range(3):
                    row, column = min(top + i * size // 2, rows - 1), min(left + j * size // 2, columns - 1)
                    queued = _queue(planes, row, column, start, pixels, starts, queued)
    return num_plain, num_rough, queued


@njit(error_model="numpy")
def draw_world(voxels, height, tiles, assets, frame, image, depths):
    """Sky and blocks into ``image``, their depths into ``depths`` float32 [rows, columns]."""
    rows, columns = image.shape[0], image.shape[1]
    planes = np.full((rows, columns), UNKNOWN, np.int32)
    pixels, starts = np.empty(rows * columns, np.int32), np.empty(rows * columns, np.float32)  # to be traced
    cells = np.empty((rows // 2 + 1) * (columns // 2 + 1), np.int32)  # by their first pixel
    plain, failed = np.empty_like(cells), np.empty(rows * columns, np.int32)
    failed_starts = np.empty(rows * columns, np.float32)
    queued = num_cells = 0
    for row in range(0, rows + CELL - 1, CELL):
        for column in range(0, columns + CELL - 1, CELL):
            queued = _queue(planes, min(row, rows - 1), min(column, columns - 1), ZERO, pixels, starts, queued)
            if row < rows and column < columns:
                cells[num_cells] = row * columns + column
                num_cells += 1
    size = CELL
    while True:
        _trace_pixels(voxels, height, tiles, assets, frame, pixels, starts, queued, image, planes, depths)
        if size == 1:
            break
        # A block nearer than this is as wide as a cell, so that none hides between a cell's corners.
        near = F(columns) / (TWO * TAN_H * F(size))
        num_plain, num_rough, queued = _sort_cells(
            frame, cells, num_cells, size, near, planes, depths, plain, pixels, starts
        )
        num_failed = _fill_cells(
            voxels, assets, frame, plain, num_plain, size, image, planes, depths, failed, failed_starts
        )
        _trace_pixels(voxels, height, tiles, assets, frame, failed, failed_starts, num_failed, image, planes, depths)
        size //= 2
        for c in range(num_rough):  # the quarters of the rough cells are the next cells
            plain[c] = cells[c]
        num_cells = 0
        for c in range(num_rough):
            top = plain[c] // columns
            left = plain[c] - top * columns
            for quarter in range(4):
                row, column = top + size * (quarter >> 1), left + size * (quarter & 1)
                if row < rows and column < columns:
                    cells[num_cells] = row * columns + column
                    num_cells += 1


@device_function
def draw_parts(assets, frame, parts, num_parts, image, depths):
    """The mobs into ``image``, each part inside its outline, where it is nearer than ``depths``."""
    for p in range(num_parts):
        part = parts[p]
        for row in range(np.int32(part[PART_RECT]), np.int32(part[PART_RECT + 1])):
            for column in range(np.int32(part[PART_RECT + 2]), np.int32(part[PART_RECT + 3])):
                i, j = np.uint32(row), np.uint32(column)
                dx, dy, dz = ray_direction(frame, row, column)
                r, g, b = F(image[i, j, 0]), F(image[i, j, 1]), F(image[i, j, 2])
                before = depths[i, j]
                r, g, b, depths[i, j] = part_pixel(assets, frame, part, dx, dy, dz, r, g, b, before)
                _write(image, row, column, r, g, b)


@njit(error_model="numpy")
def render(state, assets, n, image):
    """Draw environment ``n`` into ``image`` uint8 [height, width, 3] (RGB, row 0 on top), all of it, in place."""
    rows, columns = image.shape[0], image.shape[1]
    tiles = np.empty((state.height.shape[1] // TILE, state.height.shape[1] // TILE), np.uint8)
    frame = make_frame(state, n, rows, columns, make_tiles(state.height[n], tiles))
    depths = np.empty((rows, columns), np.float32)
    draw_world(state.voxels[n], state.height[n], tiles, assets, frame, image, depths)
    parts = np.empty((state.mobs.shape[1] * PARTS_PER_MOB + 1, PART_SIZE), np.float32)
    num_parts = make_parts(state, assets, n, frame, rows, columns, parts)
    draw_parts(assets, frame, parts, num_parts, image, depths)
    layers = np.empty((hud.NUM_LAYERS, 2), np.int32)
    hud.make_layers(state, assets, n, layers)
    hud.draw_overlay(assets, layers, frame.light, image)
