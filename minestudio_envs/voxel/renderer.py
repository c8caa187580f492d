"""The picture a player sees: ``render(state, assets, n, image)`` draws environment ``n`` into a uint8 image.

A ray is followed through the columns of the world: the small map of column heights says whether it can hit anything
there, and only then voxels are read. What one ray sees is ``render_pixel``, for a kernel with a thread per pixel.
``render`` gives the same picture faster: it follows the rays at the corners of small cells of pixels, and where all
four see the same plane of blocks, near enough that nothing can hide between them, it only looks up the blocks that
the other pixels see on that plane. What is seen through (plants, torches, glass) and what moves (mobs, items, arrows)
is drawn last, block by block and box by box, inside its outline on the screen.

Frames of reference: the origin is the player's block column, (floor(x), 0, floor(z)), so that float32 is enough
wherever the player is. A ray's direction d has length 1 along the view, so its parameter t is depth.
Light, sky and sun follow Minecraft 1.16.5 (light map at gamma 2, face shading, ambient occlusion, linear fog): the
light of a face is that of the cell in front of it, smooth near by.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit

from minestudio_envs.voxel import hud, items, shapes, sprites, textures
from minestudio_envs.voxel.blocks import AIR, BLOCK_ID, BLOCKS, FIRST_LIQUID, FIRST_OPAQUE, LAVA
from minestudio_envs.voxel.jit import device_function, inlined_function
from minestudio_envs.voxel.mobs import GOAL_ATTACK
from minestudio_envs.voxel.models import MAX_BOXES, NUM_MODELS, box_angles, build_models, model_of
from minestudio_envs.voxel.physics import eye_height
from minestudio_envs.voxel.state import EFFECT_ID, WORD

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

# Columns of the table of parts: the boxes of mobs, items, arrows.
PART_MATRIX, PART_ORIGIN, PART_LOW, PART_HIGH, PART_SHADE, PART_RECT = 0, 9, 12, 15, 18, 24
PART_KIND, PART_BOX, PART_FOG, PART_RED, PART_LIGHT, PART_SIZE = 28, 29, 30, 31, 32, 36
# A PART_BOX below 0 is not a box of a model: the mob's shadow on the ground, a flat sprite one texel thick, a block.
SHADOW, PLATE, CUBE = -1, -2, -3
PARTS_PER_MOB = MAX_BOXES + 2  # the shadow, and the fire that it burns in
ARROW_MODEL, ARM_MODEL = NUM_MODELS, NUM_MODELS + 1  # as a PART_KIND, after the mobs

# Columns of the table of cutouts: place of the block's lowest corner, relative to the eye, and what it looks like.
CUT_X, CUT_Y, CUT_Z, CUT_BLOCK, CUT_RECT, CUT_LIGHT, CUT_FOG, CUT_FADE, CUT_I, CUT_J, CUT_K, CUT_BIOME, CUT_SIZE = (
    *(0, 1, 2, 3, 4, 8, 11, 12, 13, 14, 15, 16, 17),
)
MAX_CUTOUTS = 16384  # of the picture drawn ray by ray
GLASS = BLOCK_ID["glass"]
REACH = F(4.5)  # of the crosshair
NIGHT_VISION = EFFECT_ID["night_vision"]
DRY, IN_WATER, IN_LAVA = 0, 1, 2  # what the eye is in
SKYLIGHT = 15 << 4  # of a cell under the open sky without a torch near, as state.light packs it

CELL = 8  # pixels between the rays that are traced first
PLANES = 1024  # room for the planes of one face
UNKNOWN, PENDING = -2, -3  # a pixel whose ray was not traced, and one that waits for it


class Assets(NamedTuple):
    """Tables of the renderer, read only."""

    texture: np.ndarray  # int32 [textures, 341]: see _mip_levels
    first_tinted: np.int32  # textures from here on come once per biome
    block_texture: np.ndarray  # int32 [blocks, 6]: texture of each face
    block_box: np.ndarray  # float32 [blocks, 8]: see shapes.py
    outline_box: np.ndarray  # float32 [blocks, 6]
    face_shade: np.ndarray  # float32 [6]
    brightness: np.ndarray  # float32 [16], of light levels
    water_fog: np.ndarray  # float32 [biomes, 3]
    crack: np.ndarray  # uint8 [10, 16, 16]
    cloud: np.ndarray  # uint8 [32, 32]
    model_box: np.ndarray  # see models.ModelTables
    model_moves: np.ndarray
    model_count: np.ndarray
    model_skin_start: np.ndarray
    model_skin: np.ndarray
    patch_rect: np.ndarray  # see hud.build_patches
    patch_pixels: np.ndarray
    sprite: np.ndarray  # int32 [pictures, 256]: r | g << 8 | b << 16 | alpha << 24, alpha 0 or 127
    picture_texture: np.ndarray  # int32 [pictures, 6]: of what is held as a cube, else -1
    item_picture: np.ndarray  # int32 [items]: sprites.ITEM_PICTURE
    item_hold: np.ndarray  # int32 [items]: how it is held, hud.ARM ...
    item_durability: np.ndarray  # int32 [items]
    item_armour: np.ndarray  # float32 [items]
    slot_place: np.ndarray  # int32 [slots, 2]: of the inventory screen
    hold: np.ndarray  # float32 [ways, SWING_PHASES, PART_SIZE]: the part that is held
    charge_ticks: np.ndarray  # float32 [items]
    hand_drop: np.float32  # rows that the hand sinks when the attack's charge is 0


class World(NamedTuple):
    """One environment's arrays, and what a picture works out from them."""

    voxels: np.ndarray  # uint8 [S, S, H]
    height: np.ndarray  # uint8 [S, S]
    light: np.ndarray  # uint8 [S, S, H]
    biome: np.ndarray  # uint8 [S, S]
    cutouts: np.ndarray  # uint64 [S, S, words]
    tiles: np.ndarray  # uint8 [S / TILE, S / TILE]: see make_tiles
    light_map: np.ndarray  # float32 [256, 4]: red, green, blue, grey of a cell's packed light, 0-1


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
    right: tuple[np.float32, np.float32, np.float32]  # the camera's axes
    up: tuple[np.float32, np.float32, np.float32]
    ahead: tuple[np.float32, np.float32, np.float32]
    first: np.int64  # blocks from this id on stop a ray: FIRST_LIQUID, under water FIRST_OPAQUE
    medium: np.int64  # DRY, IN_WATER or IN_LAVA
    bright: bool  # a torch adds nothing to the light of the open sky
    rain: np.float32  # 0-1
    flow: np.float32  # 0-1, of liquids' textures
    plant_reach: np.float32  # blocks to which plants are drawn
    box_reach: np.float32  # and the other cutouts


def _mip_levels(texture: np.ndarray) -> np.ndarray:
    """RGBA [..., 16, 16, 4] -> packed int32 [..., 341]: the texture and its averages over 2, 4, 8, 16 texels.

    A texel is r | g << 8 | b << 16 | alpha << 24, alpha 0-127. Transparent texels do not count in the colours.
    """
    levels, level = [], texture.astype(np.float32)
    level[..., :3] *= level[..., 3:] / 255
    while True:
        alpha = np.maximum(level[..., 3:], 1e-3)
        texels = np.rint(np.concatenate([np.minimum(level[..., :3] * 255 / alpha, 255), level[..., 3:] / 2.008], -1))
        packed = texels.astype(np.int32) @ np.array([1, 1 << 8, 1 << 16, 1 << 24], np.int32)
        levels.append(packed.reshape(*packed.shape[:-2], -1))
        n = level.shape[-2] // 2
        if n == 0:
            return np.concatenate(levels, -1)
        level = level.reshape(*level.shape[:-3], n, 2, n, 2, 4).mean((-4, -2))


def _clouds() -> np.ndarray:
    """A tileable pattern of cloud cells: long patches over about a third of the sky."""
    noise = np.random.default_rng(30).random((CLOUD_CELLS, CLOUD_CELLS))
    for axis, n in ((0, 2), (1, 1)):
        noise = sum(np.roll(noise, k, axis) for k in range(-n, n + 1))
    return (noise > np.quantile(noise, 0.68)).astype(np.uint8)


def _models() -> tuple[np.ndarray, ...]:
    """The mobs' models with the renderer's own after them: an arrow that flies along z, the player's right arm."""
    models = build_models(variants=True)
    box, moves, count, start, skin = models
    more = 2
    box = np.concatenate([box, np.zeros((more, *box.shape[1:]), box.dtype)])
    moves = np.concatenate([moves, np.zeros((more, *moves.shape[1:]), moves.dtype)])
    start = np.concatenate([start, np.zeros((more, *start.shape[1:]), start.dtype)])
    skins, total = [skin], len(skin)
    for kind, size, paint in (
        (ARROW_MODEL, (1, 1, 14), sprites.paint_arrow),
        (ARM_MODEL, (4, 12, 4), sprites.paint_arm),
    ):
        box[kind, 0, 3:6] = size
        for face in range(6):
            colours = paint(face, size)
            start[kind, 0, face] = total
            skins.append((colours.astype(np.int32) @ np.array([1, 1 << 8, 1 << 16], np.int32)).ravel())
            total += skins[-1].size
    return box, moves, np.append(count, np.ones(more, count.dtype)), start, np.concatenate(skins).astype(np.int32)


@cache
def _common_assets() -> dict:
    """What does not depend on the picture's size."""
    fixed = {**textures.BLOCK_TEXTURES, **sprites.ITEM_TEXTURES}
    names = {name: i for i, name in enumerate(fixed)}
    biomes = len(textures.BIOME_COLOURS)
    for i, name in enumerate(textures.TINTED_TEXTURES):
        names[name] = len(fixed) + i * biomes
    stack = np.concatenate([np.stack(list(fixed.values())), *textures.TINTED_TEXTURES.values()])

    def six(faces):
        side, top, bottom = (names[face] for face in faces[:3])
        front = names[faces[-1]] if len(faces) == 4 else side
        return side, side, bottom, top, front, front

    block_texture = np.zeros((len(BLOCKS), 6), np.int32)
    for i, block in enumerate(BLOCKS[1:], 1):
        block_texture[i] = six(textures.BLOCK_FACES[block])
    pictures = sprites.build_pictures()
    box, moves, count, skin_start, skin = _models()
    level = np.arange(16, dtype=np.float32) / 15
    return dict(
        texture=_mip_levels(stack),
        first_tinted=np.int32(len(fixed)),
        block_texture=block_texture,
        block_box=shapes.BLOCK_BOX,
        outline_box=shapes.OUTLINE_BOX,
        face_shade=FACE_SHADE.copy(),
        brightness=(level / (4 - 3 * level)).astype(np.float32),
        water_fog=np.array([colours[3] for colours in textures.BIOME_COLOURS.values()], np.float32),
        crack=textures.cracks(),
        cloud=_clouds(),
        model_box=box,
        model_moves=moves,
        model_count=count,
        model_skin_start=skin_start,
        model_skin=skin,
        sprite=_mip_levels(pictures.sprites)[:, :256].copy(),
        picture_texture=np.array([six(faces) if faces else (-1,) * 6 for faces in pictures.faces], np.int32),
        item_picture=pictures.item_picture,
        item_hold=pictures.item_hold,
        item_durability=items.DURABILITY.copy(),
        item_armour=items.ARMOUR_POINTS.copy(),
        slot_place=hud.SLOT_PLACES.astype(np.int32),
        charge_ticks=items.ATTACK_CHARGE_TICKS.astype(np.float32),
    )


def _hold(width: int, height: int) -> np.ndarray:
    """The parts that stand for what is held, in the camera's axes, float32 [ways, SWING_PHASES, PART_SIZE]."""
    parts = np.zeros((hud.WAYS_TO_HOLD, hud.SWING_PHASES, PART_SIZE), np.float32)
    for way in range(hud.WAYS_TO_HOLD):
        for phase in range(hud.SWING_PHASES):
            size, matrix, origin, shades, rect = hud.pose(way, phase, width, height)
            part = parts[way, phase]
            part[PART_MATRIX : PART_MATRIX + 9], part[PART_ORIGIN : PART_ORIGIN + 3] = matrix.ravel(), origin
            part[PART_HIGH : PART_HIGH + 3], part[PART_SHADE : PART_SHADE + 6] = size, shades
            part[PART_RECT : PART_RECT + 4] = rect
            part[PART_KIND], part[PART_BOX] = {hud.ARM: (ARM_MODEL, 0), hud.CUBE: (0, CUBE)}.get(way, (0, PLATE))
    return parts


def build_assets(width: int, height: int) -> Assets:
    """Everything the renderer looks up, for images of ``height`` x ``width`` pixels."""
    patch_rect, patch_pixels = hud.build_patches(width, height)
    return Assets(
        **_common_assets(),
        patch_rect=patch_rect,
        patch_pixels=patch_pixels,
        hold=_hold(width, height),
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
def daylight(sun_cos, rain, thunder):
    """How bright the sky's light is, 0.2-1."""
    bright = min(max(sun_cos * TWO + F(0.2), ZERO), ONE)
    return bright * (ONE - F(0.3125) * rain) * (ONE - F(0.3125) * thunder) * F(0.8) + F(0.2)


@inlined_function
def sky_part(bright):
    """The open sky's part of the light map, before gamma: (red and green, blue). The night is bluish."""
    sky_light = bright * F(0.95) + F(0.05)
    return sky_light * (F(0.65) * bright + F(0.35)), sky_light


@device_function
def make_light_map(brightness, sky_red, sky_blue, night_vision, light_map):
    """Fill ``light_map`` for the sky's part of the light as from ``sky_part``."""
    for block in range(16):
        lamp = brightness[block] * F(1.5)
        green = lamp * ((lamp * F(0.6) + F(0.4)) * F(0.6) + F(0.4))
        blue = lamp * (lamp * lamp * F(0.6) + F(0.4))
        for sky in range(16):
            k = brightness[sky]
            r, g, b = lamp + sky_red * k, green + sky_red * k, blue + sky_blue * k
            if night_vision:
                most = max(max(r, g), max(b, F(1e-3)))
                r, g, b = r / most, g / most, b / most
            r, g, b = _gamma(r), _gamma(g), _gamma(b)
            i = np.uint32(sky * 16 + block)
            light_map[i, 0], light_map[i, 1], light_map[i, 2] = r, g, b
            light_map[i, 3] = F(0.3) * r + F(0.59) * g + F(0.11) * b


@njit(error_model="numpy")
def make_world(state, assets, n, frame, tiles):
    """The World of environment ``n``. With numba's memory manager, unlike the rest: it hands out arrays."""
    light_map = np.empty((256, 4), np.float32)
    bright = daylight(frame.sun_y, frame.rain, ONE if state.world[n].weather > 1 else ZERO)
    red, blue = sky_part(bright)
    make_light_map(assets.brightness, red, blue, state.player[n].effect_ticks[NIGHT_VISION] > 0, light_map)
    return World(state.voxels[n], state.height[n], state.light[n], state.biome[n], state.cutouts[n], tiles, light_map)


@inlined_function
def make_frame(state, assets, n, rows, columns, top):
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
    rain = ONE if state.world[n].weather > 0 else ZERO
    thunder = ONE if state.world[n].weather > 1 else ZERO
    bright = daylight(sun_cos, rain, thunder)
    red, blue = sky_part(bright)
    red, blue = _gamma(red), _gamma(blue)
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
    glow_strength *= ONE - rain
    if rain > ZERO:  # grey and darker
        grey = (sky[0] * F(0.3) + sky[1] * F(0.59) + sky[2] * F(0.11)) * (F(0.6) - F(0.35) * thunder)
        sky = (grey + sky[0] * F(0.15), grey + sky[1] * F(0.15), grey + sky[2] * F(0.15))
        dark = ONE - F(0.35) * thunder
        fog = (fog[0] * F(0.62) * dark, fog[1] * F(0.62) * dark, fog[2] * F(0.64) * dark)
    reach = F(world_size // 2)
    fog_start, first, medium = reach * F(0.7), FIRST_LIQUID, DRY
    mask = world_size - 1
    level = np.int64(np.floor(ey))
    eye_x, eye_z = np.int64(block_x) & mask, np.int64(block_z) & mask
    if 0 <= level < state.voxels.shape[3]:
        block = state.voxels[n, eye_x, eye_z, level]
        if FIRST_LIQUID <= block < FIRST_OPAQUE:
            first, medium, glow_strength = FIRST_OPAQUE, IN_WATER, ZERO
            biome = state.biome[n, eye_x, eye_z]
            fog_start, reach = ZERO, F(30)
            dim = F(0.25) + F(0.75) * clear
            fog = (
                assets.water_fog[biome, 0] * dim,
                assets.water_fog[biome, 1] * dim,
                assets.water_fog[biome, 2] * dim,
            )
            if block >= LAVA:
                medium, reach, fog = IN_LAVA, F(1.6), (F(153), F(26), ZERO)
    box_reach = min(max(F(columns) * F(0.375), F(24)), F(64))
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
        fog_start,
        top,
        (red, red, blue),
        fog,
        sky,
        glow,
        glow_strength,
        -sun_sin,
        sun_cos,
        min(max(HALF - TWO * sun_cos, ZERO), ONE) * HALF * (ONE - rain),
        (clear * F(0.9) + F(0.1)) * (ONE - F(0.4) * rain - F(0.2) * thunder),
        F(state.world[n].time_of_day) * F(0.03),
        right,
        up,
        ahead,
        first,
        medium,
        bright > F(0.999),
        rain,
        F(state.world[n].tick % 64) / F(64),
        min(box_reach * F(0.67), reach),
        min(box_reach, reach),
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
    if rise <= ZERO or frame.medium != DRY:
        if frame.medium == IN_WATER:  # light comes from above
            k = HALF * max(rise, ZERO)
            r, g, b = (
                r + (F(150) * frame.light[0] - r) * k,
                g + (F(190) * frame.light[1] - g) * k,
                b + (F(235) * frame.light[2] - b) * k,
            )
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
    if abs(toward_sun) > F(0.9) and frame.rain == ZERO:  # both hang on squares that face the player
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
    """1 if the block at (x, y, z), x and z relative to the eye's column, stops a ray; outside the world is air."""
    mask = voxels.shape[0] - 1
    if y < 0 or y >= voxels.shape[2]:
        return 0
    return np.int32(
        voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)] >= frame.first
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


@inlined_function
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


@inlined_function
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


@inlined_function
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


@inlined_function
def face_depth(frame, face, x, y, z, dx, dy, dz):
    """Depth at which a ray meets the plane of a block's face."""
    if face < 2:
        return (F(x + (face & 1)) - frame.ex) / dx
    if face < 4:
        return (F(y + (face & 1)) - frame.ey) / dy
    return (F(z + (face & 1)) - frame.ez) / dz


@inlined_function
def texel_at(assets, texture, level, u, v):
    """The texel of a texture's mip level at (u, v), 0-1 from the left and from the top."""
    size = np.int32(16) >> level
    start = (1024 - (1024 >> (2 * level))) // 3
    return assets.texture[np.uint32(texture), np.uint32(start + np.int32(v * F(size)) * size + np.int32(u * F(size)))]


@inlined_function
def below_liquid(assets, world, frame, i, j, x, y, z, dx, dy, dz, t, length2, r, g, b):
    """The colour (r, g, b) of a liquid's surface, mixed with that of the ground below it where the ray goes on."""
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


@inlined_function
def block_colour(assets, world, frame, block, face, x, y, z, dx, dy, dz, t, light, corners):
    """Colour of a block's face where a ray meets it at depth t: texture, shading, light and fog.

    ``light``: packed, of the cell in front of it. ``corners``: from corner_light, where t < frame.occlusion.
    """
    mask = world.height.shape[0] - 1
    i, j = np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask)
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
    texture = assets.block_texture[block, face]
    if texture >= assets.first_tinted:
        texture += np.int32(world.biome[i, j])
    down = v
    if face != 2 and face != 3:
        down = F(0.99995) - v
    if block < FIRST_OPAQUE:  # liquids flow
        down += frame.flow
        down -= np.floor(down)
        down = min(down, F(0.9999))
    texel = texel_at(assets, texture, level, u, down)

    shade = assets.face_shade[face]
    if t < frame.occlusion:
        c00, c10, c01, c11 = corners
        low, high = c00 + (c10 - c00) * u, c01 + (c11 - c01) * u
        dark = ONE - (low + (high - low) * v)
        shade *= ONE - dark * min(F(3) * (ONE - t / frame.occlusion), ONE)
    r = min(F(texel & 255) * shade * world.light_map[light, 0], F(255))
    g = min(F((texel >> 8) & 255) * shade * world.light_map[light, 1], F(255))
    b = min(F((texel >> 16) & 255) * shade * world.light_map[light, 2], F(255))
    if block < LAVA and face == 3:
        r, g, b = below_liquid(assets, world, frame, i, j, x, y, z, dx, dy, dz, t, length2, r, g, b)

    if t * TWO > frame.fog_start:  # no ray of the picture is more than twice as long as it is deep
        length = np.sqrt(length2)
        k = min(max((t * length - frame.fog_start) / (frame.reach - frame.fog_start), ZERO), ONE)
        fr, fg, fb = horizon_colour(frame, dx, dz, ONE / length)
        r, g, b = r + (fr - r) * k, g + (fg - g) * k, b + (fb - b) * k
    return r, g, b


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


# OUTLINES ON THE SCREEN


@inlined_function
def _to_camera(frame, x, y, z):
    """A vector of the world in the camera's axes: (right, up, depth)."""
    return (
        x * frame.right[0] + y * frame.right[1] + z * frame.right[2],
        x * frame.up[0] + y * frame.up[1] + z * frame.up[2],
        x * frame.ahead[0] + y * frame.ahead[1] + z * frame.ahead[2],
    )


@inlined_function
def _corner(corner, o, a, b, c):
    """Corner 0-7 of the box at ``o`` with the edges a, b, c, a bit for each."""
    i, j, k = F(corner & 1), F((corner >> 1) & 1), F(corner >> 2)
    return (
        o[0] + i * a[0] + j * b[0] + k * c[0],
        o[1] + i * a[1] + j * b[1] + k * c[1],
        o[2] + i * a[2] + j * b[2] + k * c[2],
    )


@device_function
def outline(rows, columns, o, a, b, c, rect, first):
    """Write the rectangle around a box (camera axes, see _corner) to rect[first:], in pixels -> whether it has any.

    Its columns: first row, row after the last, first column, column after the last, clipped to the picture.
    """
    first_row, last_row, first_column, last_column = FAR, -FAR, FAR, -FAR
    half_rows, half_columns = HALF * F(rows), HALF * F(columns)
    per_row, per_column = half_rows / TAN_V, half_columns / TAN_H
    for corner in range(8):
        across, up, depth = _corner(corner, o, a, b, c)
        if depth >= NEAR:
            inverse = ONE / depth
            row, column = half_rows - up * inverse * per_row, half_columns + across * inverse * per_column
            first_row, last_row = min(first_row, row), max(last_row, row)
            first_column, last_column = min(first_column, column), max(last_column, column)
        else:  # where its edges come into view
            for edge in range(3):
                across2, up2, depth2 = _corner(corner ^ (1 << edge), o, a, b, c)
                if depth2 >= NEAR:
                    k, inverse = (NEAR - depth) / (depth2 - depth), ONE / NEAR
                    row = half_rows - (up + (up2 - up) * k) * inverse * per_row
                    column = half_columns + (across + (across2 - across) * k) * inverse * per_column
                    first_row, last_row = min(first_row, row), max(last_row, row)
                    first_column, last_column = min(first_column, column), max(last_column, column)
    rect[first] = max(np.floor(first_row), ZERO)
    rect[first + 1] = min(np.ceil(last_row) + ONE, F(rows))
    rect[first + 2] = max(np.floor(first_column), ZERO)
    rect[first + 3] = min(np.ceil(last_column) + ONE, F(columns))
    return rect[first] < rect[first + 1] and rect[first + 2] < rect[first + 3]


# CUTOUTS


@inlined_function
def _mip_level(t, length2):
    """Of something at depth t that faces the eye."""
    footprint = t * length2 * MIP_SCALE
    return (
        np.int32(footprint > ONE) + np.int32(footprint > F(2)) + np.int32(footprint > F(4)) + np.int32(footprint > F(8))
    )


@inlined_function
def make_cutout(world, assets, frame, rows, columns, x, y, z, block, cut):
    """Fill ``cut`` float32 [CUT_SIZE] with how a cutout at (x, y, z) is drawn -> whether it may be seen."""
    bx, by, bz = F(x) - frame.ex, F(y) - frame.ey, F(z) - frame.ez
    mx, my, mz = bx + HALF, by + HALF, bz + HALF
    across, up, depth = _to_camera(frame, mx, my, mz)
    if depth < -ONE or abs(across) > depth * TAN_H + F(1.8) or abs(up) > depth * TAN_V + F(1.8):
        return False
    shape = assets.block_box[block, shapes.BOX_SHAPE]
    distance = np.sqrt(mx * mx + my * my + mz * mz)
    reach = frame.box_reach if shape == shapes.BOX else frame.plant_reach
    if distance >= reach:
        return False
    mask = world.height.shape[0] - 1
    i, j = np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask)
    if shape == shapes.CROSS:  # by up to a quarter of a block, always the same at the same place
        bits = (np.int64(i) * 3129871) ^ (np.int64(j) * 116129781)
        bits = (bits * bits * 42317861 + bits * 11) >> 16
        bx += (F(bits & 15) / F(15) - HALF) * HALF
        bz += (F((bits >> 8) & 15) / F(15) - HALF) * HALF
    low_x, low_y, low_z = (
        assets.block_box[block, 0] / F(16),
        assets.block_box[block, 1] / F(16),
        assets.block_box[block, 2] / F(16),
    )
    size_x = assets.block_box[block, 3] / F(16) - low_x
    size_y = assets.block_box[block, 4] / F(16) - low_y
    size_z = assets.block_box[block, 5] / F(16) - low_z
    lean_x, lean_z = (
        assets.block_box[block, shapes.BOX_LEAN] / F(16),
        assets.block_box[block, shapes.BOX_LEAN + 1] / F(16),
    )
    seen = outline(
        rows,
        columns,
        _to_camera(frame, bx + low_x, by + low_y, bz + low_z),
        _to_camera(frame, size_x, ZERO, ZERO),
        _to_camera(frame, lean_x * size_y, size_y, lean_z * size_y),
        _to_camera(frame, ZERO, ZERO, size_z),
        cut,
        CUT_RECT,
    )
    if not seen:
        return False
    cut[CUT_X], cut[CUT_Y], cut[CUT_Z], cut[CUT_BLOCK] = bx, by, bz, F(block)
    cut[CUT_I], cut[CUT_J], cut[CUT_K], cut[CUT_BIOME] = F(x), F(y), F(z), F(world.biome[i, j])
    light = cell_light(world, frame, x, y, z)
    for channel in range(3):
        cut[CUT_LIGHT + channel] = world.light_map[light, channel]
    cut[CUT_FOG] = min(max((distance - frame.fog_start) / (frame.reach - frame.fog_start), ZERO), ONE)
    cut[CUT_FADE] = min((reach - distance) * F(0.25), ONE)
    return True


@inlined_function
def _lay(frame, cut, texel, shade, dx, dy, dz, r, g, b, depth, t):
    """Lay a texel of a cutout at depth t over a colour -> (r, g, b, depth). Half covered is covered, for the depth."""
    alpha = F(texel >> 24) * F(1 / 127) * cut[CUT_FADE]
    tr = F(texel & 255) * shade * cut[CUT_LIGHT]
    tg = F((texel >> 8) & 255) * shade * cut[CUT_LIGHT + 1]
    tb = F((texel >> 16) & 255) * shade * cut[CUT_LIGHT + 2]
    k = cut[CUT_FOG]
    if k > ZERO:
        fr, fg, fb = horizon_colour(frame, dx, dz, ONE / np.sqrt(dx * dx + dy * dy + dz * dz))
        tr, tg, tb = tr + (fr - tr) * k, tg + (fg - tg) * k, tb + (fb - tb) * k
    r, g, b = r + (tr - r) * alpha, g + (tg - g) * alpha, b + (tb - b) * alpha
    return np.floor(r + HALF), np.floor(g + HALF), np.floor(b + HALF), (t if alpha >= HALF else depth)


@inlined_function
def _cross_texel(assets, texture, cut, plane, dx, dy, dz, length2, depth):
    """Where a ray meets one of a plant's two planes -> (texel, depth t); texel 0: nowhere."""
    if plane == 0:
        t = (cut[CUT_X] - cut[CUT_Z]) / (dx - dz)
    else:
        t = (cut[CUT_X] + cut[CUT_Z] + ONE) / (dx + dz)
    if not (NEAR < t < depth):
        return np.int32(0), t
    u, v = (dx * t - cut[CUT_X] - F(0.05)) / F(0.9), dy * t - cut[CUT_Y]
    if not (ZERO <= u < ONE and ZERO < v <= ONE):
        return np.int32(0), t
    return texel_at(assets, texture, _mip_level(t, length2), min(u, F(0.9999)), min(ONE - v, F(0.9999))), t


@device_function
def cutout_pixel(voxels, assets, frame, cut, dx, dy, dz, r, g, b, depth):
    """Draw a cutout over a pixel -> its new (r, g, b, depth)."""
    block = np.int32(cut[CUT_BLOCK])
    length2 = dx * dx + dy * dy + dz * dz
    texture = assets.block_texture[block, 3]
    if assets.block_box[block, shapes.BOX_SHAPE] != F(shapes.BOX):
        if texture >= assets.first_tinted:
            texture += np.int32(cut[CUT_BIOME])
        texel0, t0 = _cross_texel(assets, texture, cut, 0, dx, dy, dz, length2, depth)
        texel1, t1 = _cross_texel(assets, texture, cut, 1, dx, dy, dz, length2, depth)
        if t1 > t0:  # the farther one first
            texel0, t0, texel1, t1 = texel1, t1, texel0, t0
        if texel0 >> 24 > 12:
            r, g, b, depth = _lay(frame, cut, texel0, ONE, dx, dy, dz, r, g, b, depth, t0)
        if texel1 >> 24 > 12:
            r, g, b, depth = _lay(frame, cut, texel1, ONE, dx, dy, dz, r, g, b, depth, t1)
        return r, g, b, depth

    # A box: lean the world so that it stands upright.
    lean_x, lean_z = (
        assets.block_box[block, shapes.BOX_LEAN] / F(16),
        assets.block_box[block, shapes.BOX_LEAN + 1] / F(16),
    )
    foot = assets.block_box[block, 1] / F(16)
    oy = -cut[CUT_Y]
    ox, oz = -cut[CUT_X] - lean_x * (oy - foot), -cut[CUT_Z] - lean_z * (oy - foot)
    sx, sz = dx - lean_x * dy, dz - lean_z * dy
    near, far, face = NEAR, depth, -1
    for axis in range(3):
        d = sx if axis == 0 else (dy if axis == 1 else sz)
        o = ox if axis == 0 else (oy if axis == 1 else oz)
        if abs(d) < F(1e-6):
            d = F(1e-6)
        inverse = ONE / d
        enter = (assets.block_box[block, axis] / F(16) - o) * inverse
        leave = (assets.block_box[block, 3 + axis] / F(16) - o) * inverse
        if enter > leave:
            enter, leave = leave, enter
        if enter > near:
            near, face = enter, 2 * axis + (1 if d < ZERO else 0)
        far = min(far, leave)
    if near >= far or face < 0:
        return r, g, b, depth
    if block == GLASS:  # two panes side by side have no face between them
        x, y, z = np.int64(cut[CUT_I]), np.int64(cut[CUT_J]), np.int64(cut[CUT_K])
        out = 2 * (face & 1) - 1
        x, y, z = x + (out if face < 2 else 0), y + (out if 2 <= face < 4 else 0), z + (out if face >= 4 else 0)
        mask = voxels.shape[0] - 1
        if 0 <= y < voxels.shape[2]:
            if voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)] == GLASS:
                return r, g, b, depth
    px, py, pz = ox + sx * near, oy + dy * near, oz + sz * near
    if face < 2:
        u, v = pz, ONE - py
    elif face < 4:
        u, v = px, pz
    else:
        u, v = px, ONE - py
    texture = assets.block_texture[block, face]
    if texture >= assets.first_tinted:
        texture += np.int32(cut[CUT_BIOME])
    u, v = min(max(u, ZERO), F(0.9999)), min(max(v, ZERO), F(0.9999))
    texel = texel_at(assets, texture, _mip_level(near, length2), u, v)
    if texel >> 24 > 12:
        r, g, b, depth = _lay(frame, cut, texel, assets.face_shade[face], dx, dy, dz, r, g, b, depth, near)
    return r, g, b, depth


@device_function
def lowest_bit(word):
    """Place of the lowest bit that is set in a uint64 other than 0."""
    place = 0
    for half in (32, 16, 8, 4, 2, 1):
        if word & ((np.uint64(1) << np.uint64(half)) - np.uint64(1)) == np.uint64(0):
            word >>= np.uint64(half)
            place += half
    return place


@device_function
def draw_cutout(voxels, assets, frame, cut, image, depths):
    """A cutout into ``image``, inside its outline, where it is nearer than ``depths``."""
    for row in range(np.int32(cut[CUT_RECT]), np.int32(cut[CUT_RECT + 1])):
        for column in range(np.int32(cut[CUT_RECT + 2]), np.int32(cut[CUT_RECT + 3])):
            i, j = np.uint32(row), np.uint32(column)
            dx, dy, dz = ray_direction(frame, row, column)
            r, g, b = F(image[i, j, 0]), F(image[i, j, 1]), F(image[i, j, 2])
            before = depths[i, j]
            nr, ng, nb, depths[i, j] = cutout_pixel(voxels, assets, frame, cut, dx, dy, dz, r, g, b, before)
            if nr != r or ng != g or nb != b:
                image[i, j, 0], image[i, j, 1], image[i, j, 2] = np.uint8(nr), np.uint8(ng), np.uint8(nb)


@inlined_function
def _reaches(frame, x, y, z, half_y, across, up, ahead):
    """The farthest that a tile of columns reaches in a direction of the camera's axes; (x, y, z) is its middle."""
    nx = frame.right[0] * across + frame.up[0] * up + frame.ahead[0] * ahead
    ny = frame.right[1] * across + frame.up[1] * up + frame.ahead[1] * ahead
    nz = frame.right[2] * across + frame.up[2] * up + frame.ahead[2] * ahead
    half = F(TILE // 2 + 1)
    return x * nx + y * ny + z * nz + half * (abs(nx) + abs(nz)) + half_y * abs(ny)


@inlined_function
def _column_in_view(frame, tile_x, tile_z, world_height):
    """Whether a tile of columns may reach into the view."""
    half_y = F(world_height // 2)
    x, y, z = F(tile_x + TILE // 2) - frame.ex, half_y - frame.ey, F(tile_z + TILE // 2) - frame.ez
    return (
        _reaches(frame, x, y, z, half_y, ZERO, ZERO, ONE) > ZERO
        and _reaches(frame, x, y, z, half_y, ONE, ZERO, TAN_H) > ZERO
        and _reaches(frame, x, y, z, half_y, -ONE, ZERO, TAN_H) > ZERO
        and _reaches(frame, x, y, z, half_y, ZERO, ONE, TAN_V) > ZERO
        and _reaches(frame, x, y, z, half_y, ZERO, -ONE, TAN_V) > ZERO
    )


@device_function
def make_cutouts(world, assets, frame, rows, columns, cuts, image, depths, draw):
    """Find the cutouts in view -> how many.

    Each is drawn at once if ``draw``, with room for one in ``cuts``; else they are listed there.
    """
    mask = world.height.shape[0] - 1
    reach = min(np.int64(np.ceil(frame.box_reach)), world.height.shape[0] // 2)
    count = 0
    for tile_x in range(-reach, reach, TILE):
        for tile_z in range(-reach, reach, TILE):
            if not _column_in_view(frame, tile_x, tile_z, world.voxels.shape[2]):
                continue
            for x in range(tile_x, min(tile_x + TILE, reach)):
                i = np.uint32((frame.ox + x) & mask)
                for z in range(tile_z, min(tile_z + TILE, reach)):
                    j = np.uint32((frame.oz + z) & mask)
                    for w in range(world.cutouts.shape[2]):
                        word = world.cutouts[i, j, np.uint32(w)]
                        while word != np.uint64(0):
                            y = lowest_bit(word) + w * WORD
                            word &= word - np.uint64(1)
                            block = world.voxels[i, j, np.uint32(y)]
                            if count < cuts.shape[0] and make_cutout(
                                world, assets, frame, rows, columns, x, y, z, block, cuts[count]
                            ):
                                if draw:
                                    draw_cutout(world.voxels, assets, frame, cuts[count], image, depths)
                                else:
                                    count += 1
    return count


# MOBS, ITEMS, ARROWS


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
def _relative(state, n, frame, position):
    """Where the nearest image of a place on the torus is, relative to the eye: after a death it may be laps away."""
    size = state.voxels.shape[1]
    gap_x = position[0] - state.player[n].previous_position[0]
    gap_z = position[2] - state.player[n].previous_position[2]
    gap_x -= size * np.floor(gap_x / size + 0.5)
    gap_z -= size * np.floor(gap_z / size + 0.5)
    return F(gap_x), F(position[1]) - frame.ey, F(gap_z)


@device_function
def _light_part(world, frame, part, x, y, z):
    """Light a part by the cell at (x, y, z), relative to the eye."""
    place_x, place_y, place_z = (
        np.int64(np.floor(x + frame.ex)),
        np.int64(np.floor(y + frame.ey)),
        np.int64(np.floor(z + frame.ez)),
    )
    light = cell_light(world, frame, place_x, place_y, place_z)
    for channel in range(3):
        part[PART_LIGHT + channel] = world.light_map[light, channel]


@device_function
def place_part(frame, rows, columns, part, scale, x_axis, y_axis, z_axis, w, pivot):
    """Put a box into the world: its axes (unit vectors), the place ``w`` of its ``pivot`` (texels), texels per block.

    Fills the matrix that takes the world to the box's texels, the faces' shades, the outline -> whether it is in view.
    """
    for axis in range(3):
        along = x_axis if axis == 0 else (y_axis if axis == 1 else z_axis)
        part[PART_MATRIX + 3 * axis] = scale * along[0]
        part[PART_MATRIX + 3 * axis + 1] = scale * along[1]
        part[PART_MATRIX + 3 * axis + 2] = scale * along[2]
        here = pivot[0] if axis == 0 else (pivot[1] if axis == 1 else pivot[2])
        part[PART_ORIGIN + axis] = here - scale * (w[0] * along[0] + w[1] * along[1] + w[2] * along[2])
        part[PART_SHADE + 2 * axis] = _entity_light(-along[0], -along[1], -along[2])
        part[PART_SHADE + 2 * axis + 1] = _entity_light(along[0], along[1], along[2])
    inverse = ONE / scale
    x, y, z = (
        (part[PART_LOW] - pivot[0]) * inverse,
        (part[PART_LOW + 1] - pivot[1]) * inverse,
        (part[PART_LOW + 2] - pivot[2]) * inverse,
    )
    a, b, c = (
        (part[PART_HIGH] - part[PART_LOW]) * inverse,
        (part[PART_HIGH + 1] - part[PART_LOW + 1]) * inverse,
        (part[PART_HIGH + 2] - part[PART_LOW + 2]) * inverse,
    )
    corner = (
        w[0] + x * x_axis[0] + y * y_axis[0] + z * z_axis[0],
        w[1] + x * x_axis[1] + y * y_axis[1] + z * z_axis[1],
        w[2] + x * x_axis[2] + y * y_axis[2] + z * z_axis[2],
    )
    return outline(
        rows,
        columns,
        _to_camera(frame, corner[0], corner[1], corner[2]),
        _to_camera(frame, a * x_axis[0], a * x_axis[1], a * x_axis[2]),
        _to_camera(frame, b * y_axis[0], b * y_axis[1], b * y_axis[2]),
        _to_camera(frame, c * z_axis[0], c * z_axis[1], c * z_axis[2]),
        part,
        PART_RECT,
    )


@inlined_function
def _fog_of(frame, x, y, z):
    distance = np.sqrt(x * x + y * y + z * z)
    return min(max((distance - frame.fog_start) / (frame.reach - frame.fog_start), ZERO), ONE)


@inlined_function
def _in_view(frame, x, y, z):
    """Whether a thing at most 2 blocks large at (x, y, z) relative to the eye may be seen."""
    across, up, depth = _to_camera(frame, x, y, z)
    reach = frame.reach + TWO
    return (
        x * x + y * y + z * z < reach * reach
        and depth > -TWO
        and abs(across) < depth * TAN_H + F(4)
        and abs(up) < depth * TAN_V + F(4)
    )


@inlined_function
def make_mob_parts(state, assets, world, n, frame, rows, columns, parts):
    """Fill ``parts`` float32 [., PART_SIZE] with what may be seen of the mobs -> how many."""
    count = 0
    ax, az = frame.ahead[0], frame.ahead[2]
    for m in range(state.mobs.shape[1]):
        kind = state.mobs[n, m].kind
        if kind == 0:
            continue
        px, py, pz = _relative(state, n, frame, state.mobs[n, m].previous_position)
        if not _in_view(frame, px, py, pz):
            continue
        fog = _fog_of(frame, px, py, pz)

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

        model = model_of(kind, state.mobs[n, m].variant)
        scale = F(32) if state.mobs[n, m].age < 0 else F(16)  # texels per block; the young are half as large
        head_turn = (state.mobs[n, m].head_yaw - state.mobs[n, m].yaw) * RADIANS
        head_pitch = state.mobs[n, m].head_pitch * RADIANS
        attacking = state.mobs[n, m].goal == GOAL_ATTACK
        for box in range(-1, assets.model_count[model]):
            part = parts[count]
            part[PART_KIND], part[PART_BOX], part[PART_FOG], part[PART_RED] = F(model), F(box), fog, F(red)
            turn = tilt = ZERO
            pivot = (ZERO, ZERO, ZERO)
            if box == SHADOW:
                if fog > ZERO or roll > ZERO:
                    continue
                for axis in range(3):
                    part[PART_LOW + axis] = F(-0.7 * 16) if axis != 1 else ZERO
                    part[PART_HIGH + axis] = F(0.7 * 16) if axis != 1 else ZERO
            else:
                for axis in range(3):
                    part[PART_LOW + axis] = assets.model_box[model, box, axis]
                    part[PART_HIGH + axis] = assets.model_box[model, box, 3 + axis]
                pivot = (
                    assets.model_box[model, box, 6],
                    assets.model_box[model, box, 7],
                    assets.model_box[model, box, 8],
                )
                turn, tilt = box_angles(assets.model_moves[model, box], swing, head_turn, head_pitch, attacking)
            sin_a, cos_a, sin_b, cos_b = np.sin(turn), np.cos(turn), np.sin(tilt), np.cos(tilt)
            turned = _turn(pivot[0], pivot[1], pivot[2], sin_roll, cos_roll, sin_yaw, cos_yaw)
            w = (px + turned[0] / scale, py + turned[1] / scale, pz + turned[2] / scale)
            seen = place_part(
                frame,
                rows,
                columns,
                part,
                scale,
                _turn(cos_a, ZERO, sin_a, sin_roll, cos_roll, sin_yaw, cos_yaw),
                _turn(-sin_a * sin_b, cos_b, cos_a * sin_b, sin_roll, cos_roll, sin_yaw, cos_yaw),
                _turn(-sin_a * cos_b, -sin_b, cos_a * cos_b, sin_roll, cos_roll, sin_yaw, cos_yaw),
                w,
                pivot,
            )
            if box == SHADOW:  # only the place and the radius are used
                part[PART_SHADE] = part[PART_HIGH] / scale
                part[PART_ORIGIN], part[PART_ORIGIN + 1], part[PART_ORIGIN + 2] = px, py, pz
            if seen:
                _light_part(world, frame, part, px, py + HALF, pz)
                count += 1

        if state.mobs[n, m].fire_ticks > 0:  # a flame that faces the eye
            part = parts[count]
            part[PART_KIND], part[PART_BOX], part[PART_FOG], part[PART_RED] = F(sprites.FLAME), F(PLATE), fog, ZERO
            for axis in range(3):
                part[PART_LOW + axis], part[PART_HIGH + axis] = ZERO, (F(16) if axis < 2 else F(0.01))
            length = max(np.sqrt(ax * ax + az * az), F(1e-3))
            fx, fz = ax / length, az / length
            w = (px - fx * F(0.5), py, pz - fz * F(0.5))
            if place_part(
                frame,
                rows,
                columns,
                part,
                F(11),
                (-fz, ZERO, fx),
                (ZERO, ONE, ZERO),
                (fx, ZERO, fz),
                w,
                (F(8), ZERO, ZERO),
            ):
                for channel in range(3):
                    part[PART_LIGHT + channel] = ONE
                for face in range(6):
                    part[PART_SHADE + face] = ONE
                count += 1
    return count


@inlined_function
def make_item_parts(state, assets, world, n, frame, rows, columns, parts, count):
    """Add what may be seen of items that lie about and of arrows to ``parts`` -> how many there are now."""
    for d in range(state.drops.shape[1]):
        item = state.drops[n, d]["item"]
        if item <= 0:
            continue
        px, py, pz = _relative(state, n, frame, state.drops[n, d].previous_position)
        if not _in_view(frame, px, py, pz):
            continue
        part = parts[count]
        picture = assets.item_picture[item]
        cube = assets.picture_texture[picture, 0] >= 0
        part[PART_KIND], part[PART_BOX] = F(picture), F(CUBE) if cube else F(PLATE)
        part[PART_FOG], part[PART_RED] = _fog_of(frame, px, py, pz), ZERO
        for axis in range(3):
            part[PART_LOW + axis], part[PART_HIGH + axis] = ZERO, F(16)
        middle = F(8)
        if not cube:
            part[PART_HIGH + 2] = middle = ONE
            middle = HALF
        age = F(state.drops[n, d].age)
        turn = age / F(20) + F(d) * F(2.4)
        bob = F(0.1) + F(0.1) * np.sin(age / F(10) + F(d) * F(2.4))
        scale = F(64) if cube else F(32)  # a quarter of a block wide, or half of one
        sin_turn, cos_turn = np.sin(turn), np.cos(turn)
        w = (px, py + bob + (F(0.125) if cube else F(0.2)), pz)
        if place_part(
            frame,
            rows,
            columns,
            part,
            scale,
            (cos_turn, ZERO, sin_turn),
            (ZERO, ONE, ZERO),
            (-sin_turn, ZERO, cos_turn),
            w,
            (F(8), F(8), middle),
        ):
            _light_part(world, frame, part, px, py + F(0.25), pz)
            count += 1
    for a in range(state.arrows.shape[1]):
        if state.arrows[n, a].ticks <= 0:
            continue
        px, py, pz = _relative(state, n, frame, state.arrows[n, a].previous_position)
        if not _in_view(frame, px, py, pz):
            continue
        part = parts[count]
        part[PART_KIND], part[PART_BOX] = F(ARROW_MODEL), ZERO
        part[PART_FOG], part[PART_RED] = _fog_of(frame, px, py, pz), ZERO
        for axis in range(3):
            part[PART_LOW + axis], part[PART_HIGH + axis] = ZERO, assets.model_box[ARROW_MODEL, 0, 3 + axis]
        vx, vy, vz = (
            F(state.arrows[n, a].velocity[0]),
            F(state.arrows[n, a].velocity[1]),
            F(state.arrows[n, a].velocity[2]),
        )
        speed = np.sqrt(vx * vx + vy * vy + vz * vz)
        if speed < F(1e-4):
            vx, vy, vz, speed = ZERO, -ONE, ZERO, ONE
        vx, vy, vz = vx / speed, vy / speed, vz / speed
        level = np.sqrt(vx * vx + vz * vz)
        x_axis = (vz / level, ZERO, -vx / level) if level > F(1e-4) else (ONE, ZERO, ZERO)
        y_axis = (
            vy * x_axis[2] - vz * x_axis[1],
            vz * x_axis[0] - vx * x_axis[2],
            vx * x_axis[1] - vy * x_axis[0],
        )
        if place_part(
            frame, rows, columns, part, F(17), x_axis, y_axis, (vx, vy, vz), (px, py, pz), (HALF, HALF, F(12))
        ):
            _light_part(world, frame, part, px, py, pz)
            count += 1
    return count


@inlined_function
def make_held_part(state, assets, world, n, frame, part):
    """What the player holds, in the camera's axes, as ``part``; its rectangle is empty while a screen is open."""
    item = state.player[n].inventory_item[state.player[n].selected]
    swing = min(max(state.player[n].swing_ticks, 0), hud.SWING_TICKS)
    way = assets.item_hold[item]
    for i in range(PART_SIZE):
        part[i] = assets.hold[way, swing, i]
    if way != hud.ARM:
        part[PART_KIND] = F(assets.item_picture[item])
    _light_part(world, frame, part, ZERO, ZERO, ZERO)
    # The hand sinks after a hit, at most 0.4 per tick, and rises with the cube of the attack's charge.
    waited = F(state.player[n].attack_ticks)
    charge = min(ONE, (waited + HALF) / assets.charge_ticks[item])
    lifted = max(charge * charge * charge, ONE - F(0.4) * waited)
    shift = np.floor((ONE - lifted) * assets.hand_drop)
    part[PART_RECT] += shift
    part[PART_RECT + 1] = part[PART_RECT + 1] + shift
    return shift


@inlined_function
def plate_texel(sprite, part, dx, dy, dz, depth):
    """Where a ray meets a sprite one texel thick -> (depth, texel or 0, shade).

    Looked for at four places between its two sides: the first opaque texel is what is seen.
    """
    u = part[PART_MATRIX] * dx + part[PART_MATRIX + 1] * dy + part[PART_MATRIX + 2] * dz
    v = part[PART_MATRIX + 3] * dx + part[PART_MATRIX + 4] * dy + part[PART_MATRIX + 5] * dz
    w = part[PART_MATRIX + 6] * dx + part[PART_MATRIX + 7] * dy + part[PART_MATRIX + 8] * dz
    if abs(w) < F(1e-6):
        w = F(1e-6)
    inverse = ONE / w
    near = -part[PART_ORIGIN + 2] * inverse
    far = (part[PART_HIGH + 2] - part[PART_ORIGIN + 2]) * inverse
    if near > far:
        near, far = far, near
    u0, v0 = part[PART_ORIGIN] + near * u, part[PART_ORIGIN + 1] + near * v
    u1, v1 = part[PART_ORIGIN] + far * u, part[PART_ORIGIN + 1] + far * v
    size = F(16)
    if (
        near >= depth
        or far <= NEAR
        or max(u0, u1) < ZERO
        or max(v0, v1) < ZERO
        or min(u0, u1) >= size
        or min(v0, v1) >= size
    ):
        return near, np.int32(0), ONE
    kind = np.int32(part[PART_KIND])
    shade = part[PART_SHADE + (5 if w < ZERO else 4)]
    for step in range(4):
        k = F(step) * F(1 / 3)
        column, row = np.int32(np.floor(u0 + (u1 - u0) * k)), 15 - np.int32(np.floor(v0 + (v1 - v0) * k))
        if 0 <= column < 16 and 0 <= row < 16:
            texel = sprite[kind, row * 16 + column]
            t = near + (far - near) * k
            if texel >> 24 and NEAR < t < depth:
                return t, texel, (shade if step == 0 else shade * F(0.75))
    return near, np.int32(0), ONE


@inlined_function
def box_texel(assets, part, box, dx, dy, dz, depth):
    """Where a ray meets a box from outside -> (depth, texel, shade); not nearer than ``depth``: nowhere."""
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
        return depth, np.int32(0), ONE
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
    kind, face = np.int32(part[PART_KIND]), 2 * axis_hit + np.int32(positive)
    if box == CUBE:
        texel = assets.texture[np.uint32(assets.picture_texture[kind, face]), np.uint32(row * 16 + column)]
    else:
        texel = assets.model_skin[assets.model_skin_start[kind, box, face] + row * width + column]
    return near, texel, part[PART_SHADE + face]


@device_function
def part_pixel(assets, frame, part, dx, dy, dz, r, g, b, depth):
    """Draw a part over a pixel -> its new (r, g, b, depth)."""
    box = np.int32(part[PART_BOX])
    if box == SHADOW:
        # A dark disc on the ground, where the ground is what the ray sees.
        t = part[PART_ORIGIN + 1] / dy
        x, z = dx * t - part[PART_ORIGIN], dz * t - part[PART_ORIGIN + 2]
        radius = part[PART_SHADE]
        off = (x * x + z * z) / (radius * radius)
        if dy < ZERO and off < ONE and abs(t - depth) < F(0.002) * depth:
            k = ONE - HALF * (ONE - off)
            return r * k, g * k, b * k, depth
        return r, g, b, depth
    if box == PLATE:
        near, texel, shade = plate_texel(assets.sprite, part, dx, dy, dz, depth)
        if texel >> 24 == 0:
            return r, g, b, depth
    else:
        near, texel, shade = box_texel(assets, part, box, dx, dy, dz, depth)
        if near >= depth:
            return r, g, b, depth
    r, g, b = F(texel & 255) * shade, F((texel >> 8) & 255) * shade, F((texel >> 16) & 255) * shade
    if part[PART_RED] > ZERO:
        r, g, b = r * F(0.65) + F(0.35 * 255), g * F(0.65), b * F(0.65)
    r, g, b = r * part[PART_LIGHT], g * part[PART_LIGHT + 1], b * part[PART_LIGHT + 2]
    k = part[PART_FOG]
    if k > ZERO:
        fr, fg, fb = horizon_colour(frame, dx, dz, ONE / np.sqrt(dx * dx + dy * dy + dz * dz))
        r, g, b = r + (fr - r) * k, g + (fg - g) * k, b + (fb - b) * k
    return r, g, b, near


# THE BLOCK UNDER THE CROSSHAIR: its outline, and the cracks of digging


MARK_X, MARK_Y, MARK_Z, MARK_STAGE, MARK_LOW, MARK_HIGH, MARK_RECT, MARK_OUTLINED, MARK_SIZE = (
    *(0, 1, 2, 3, 4, 7, 10, 14, 15),
)


@inlined_function
def _box_entry(mark, o, dx, dy, dz):
    """Where a ray from (-o) meets a box of ``mark`` -> (depth or FAR, axis)."""
    near, far, axis_hit = -FAR, FAR, 0
    for axis in range(3):
        d = dx if axis == 0 else (dy if axis == 1 else dz)
        if abs(d) < F(1e-6):
            d = F(1e-6)
        inverse = ONE / d
        start = mark[o + axis]
        enter, leave = (start + mark[MARK_LOW + axis]) * inverse, (start + mark[MARK_HIGH + axis]) * inverse
        if enter > leave:
            enter, leave = leave, enter
        if enter > near:
            near, axis_hit = enter, axis
        far = min(far, leave)
    if near >= far or far <= ZERO:
        return FAR, axis_hit
    return near, axis_hit


@device_function
def _mark(world, assets, frame, x, y, z, block, mark):
    mark[MARK_X], mark[MARK_Y], mark[MARK_Z] = F(x) - frame.ex, F(y) - frame.ey, F(z) - frame.ez
    for axis in range(3):
        mark[MARK_LOW + axis], mark[MARK_HIGH + axis] = (
            assets.outline_box[block, axis],
            assets.outline_box[block, 3 + axis],
        )


@inlined_function
def make_marks(state, world, assets, n, frame, rows, columns, marks):
    """Fill ``marks`` float32 [2, MARK_SIZE]: the block that the crosshair is on, and the one being dug -> how many."""
    count = 0
    dx, dy, dz = frame.ahead
    x, y, z = np.int64(0), np.int64(np.floor(frame.ey)), np.int64(0)
    mask = world.height.shape[0] - 1
    step_x, step_y, step_z = (1 if dx > ZERO else -1), (1 if dy > ZERO else -1), (1 if dz > ZERO else -1)
    per_x, per_y, per_z = (
        ONE / max(abs(dx), F(1e-6)),
        ONE / max(abs(dy), F(1e-6)),
        ONE / max(abs(dz), F(1e-6)),
    )
    next_x = (ONE - frame.ex if dx > ZERO else frame.ex) * per_x
    next_y = (F(y + 1) - frame.ey if dy > ZERO else frame.ey - F(y)) * per_y
    next_z = (ONE - frame.ez if dz > ZERO else frame.ez) * per_z
    t = ZERO
    while t < REACH and state.player[n].gui_open == 0:
        if 0 <= y < world.voxels.shape[2]:
            block = world.voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)]
            if block != AIR and (block < FIRST_LIQUID or block >= FIRST_OPAQUE):
                _mark(world, assets, frame, x, y, z, block, marks[0])
                hit, _ = _box_entry(marks[0], MARK_X, dx, dy, dz)
                if ZERO < hit < REACH:
                    marks[0, MARK_OUTLINED], marks[0, MARK_STAGE] = ONE, -ONE
                    count = 1
                    break
        if next_x < next_y and next_x < next_z:
            t, x, next_x = next_x, x + step_x, next_x + per_x
        elif next_y < next_z:
            t, y, next_y = next_y, y + step_y, next_y + per_y
        else:
            t, z, next_z = next_z, z + step_z, next_z + per_z
    if state.player[n].dig_progress > ZERO:
        x, y, z = (
            (state.player[n].dig_block[0] - frame.ox) & mask,
            state.player[n].dig_block[1],
            (state.player[n].dig_block[2] - frame.oz) & mask,
        )
        x, z = x - (mask + 1 if x > mask // 2 else 0), z - (mask + 1 if z > mask // 2 else 0)
        if 0 <= y < world.voxels.shape[2]:
            block = world.voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)]
            if block != AIR and (block < FIRST_LIQUID or block >= FIRST_OPAQUE):
                _mark(world, assets, frame, x, y, z, block, marks[count])
                stage = min(max(np.floor(state.player[n].dig_progress * F(10)), ZERO), F(9))
                marks[count, MARK_OUTLINED], marks[count, MARK_STAGE] = ZERO, stage
                count += 1
    seen = 0
    for k in range(count):
        mark = marks[k]
        if outline(
            rows,
            columns,
            _to_camera(
                frame,
                mark[MARK_X] + mark[MARK_LOW],
                mark[MARK_Y] + mark[MARK_LOW + 1],
                mark[MARK_Z] + mark[MARK_LOW + 2],
            ),
            _to_camera(frame, mark[MARK_HIGH] - mark[MARK_LOW], ZERO, ZERO),
            _to_camera(frame, ZERO, mark[MARK_HIGH + 1] - mark[MARK_LOW + 1], ZERO),
            _to_camera(frame, ZERO, ZERO, mark[MARK_HIGH + 2] - mark[MARK_LOW + 2]),
            mark,
            MARK_RECT,
        ):
            for i in range(MARK_SIZE):
                marks[seen, i] = mark[i]
            seen += 1
    return seen


@device_function
def mark_pixel(assets, frame, mark, pixel, dx, dy, dz, r, g, b, depth):
    """Draw a mark over a pixel, ``pixel`` pixels of the game's window wide -> (r, g, b)."""
    t, axis = _box_entry(mark, MARK_X, dx, dy, dz)
    if t <= NEAR or t > depth * F(1.004):
        return r, g, b
    x, y, z = dx * t - mark[MARK_X], dy * t - mark[MARK_Y], dz * t - mark[MARK_Z]
    if mark[MARK_STAGE] >= ZERO:
        if depth < t * F(0.99) or depth > t * F(1.3):
            return r, g, b
        u, v = (z if axis == 0 else x), (z if axis == 1 else ONE - y)
        column, row = min(max(np.int32(u * F(16)), 0), 15), min(max(np.int32(v * F(16)), 0), 15)
        k = ONE - F(assets.crack[np.int32(mark[MARK_STAGE]), row, column]) * F(1 / 255)
        r, g, b = r * k, g * k, b * k
    if mark[MARK_OUTLINED] > ZERO:
        nearest = F(9)  # edge of this face, in blocks
        for i in range(3):
            if i != axis:
                p = x if i == 0 else (y if i == 1 else z)
                nearest = min(nearest, min(p - mark[MARK_LOW + i], mark[MARK_HIGH + i] - p))
        off = max(nearest, ZERO) * F(257) / t
        covered = max(min(off + HALF * pixel, F(1.25)) - max(off - HALF * pixel, ZERO), ZERO) / pixel
        k = ONE - min(F(0.7) * covered, F(0.4))
        r, g, b = r * k, g * k, b * k
    return np.floor(r + HALF), np.floor(g + HALF), np.floor(b + HALF)


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


@inlined_function
def held_pixel(assets, frame, held, shift, rows, columns, row, column, r, g, b):
    """Draw what the hand holds over a pixel of a picture of rows x columns -> (r, g, b)."""
    x = ((F(column) + HALF) / F(columns) * TWO - ONE) * TAN_H
    y = (ONE - (F(row) - shift + HALF) / F(rows) * TWO) * TAN_V
    r, g, b, _ = part_pixel(assets, frame, held, x, y, ONE, r, g, b, FAR)
    return np.floor(r + HALF), np.floor(g + HALF), np.floor(b + HALF)


@inlined_function
def rain_pixel(frame, row, column, columns, dx, dy, dz, r, g, b, depth):
    """Streaks of rain over a pixel -> (r, g, b): three curtains of drops around the player that fall with time."""
    level = np.sqrt(dx * dx + dz * dz)
    for curtain in range(3):
        distance = F(3) + F(5) * F(curtain)
        t = distance / max(level, F(0.05))
        if t >= depth:
            break
        x, z, y = dx * t + frame.ex, dz * t + frame.ez, dy * t + frame.ey
        lane = np.int32(np.floor(x * F(3))) * np.int32(7919) + np.int32(np.floor(z * F(3))) * np.int32(104729)
        lane = ((lane ^ (lane >> np.int32(9))) * np.int32(1327)) & np.int32(0xFFFF)
        fall = y * F(0.35) + frame.flow * F(32) * (F(0.8) + F(lane & 15) * F(0.02)) + F(lane & 255) / F(64)
        if (lane & 3) == 0 and fall - np.floor(fall) < F(0.35):
            k = F(0.22)
            r, g, b = r + (F(130) - r) * k, g + (F(145) - g) * k, b + (F(190) - b) * k
    return np.floor(r + HALF), np.floor(g + HALF), np.floor(b + HALF)


@inlined_function
def _most_parts(state):
    return state.mobs.shape[1] * PARTS_PER_MOB + state.drops.shape[1] + state.arrows.shape[1] + 1


@device_function
def render_pixel(world, assets, frame, things, ops, rows, columns, row, column):
    """Colour (r, g, b) float32 0-255 of one pixel, from scratch: the reference, and what a GPU's thread does.

    ``things``: cutouts, parts and marks, each a table and how many of it count; the held part and its shift.
    """
    cuts, num_cuts, parts, num_parts, marks, num_marks, held, shift = things
    r, g, b, depth = world_pixel(world, assets, frame, row, column)
    r, g, b = np.floor(r + HALF), np.floor(g + HALF), np.floor(b + HALF)
    dx, dy, dz = ray_direction(frame, row, column)
    for c in range(num_cuts):
        cut = cuts[c]
        if cut[CUT_RECT] <= row < cut[CUT_RECT + 1] and cut[CUT_RECT + 2] <= column < cut[CUT_RECT + 3]:
            r, g, b, depth = cutout_pixel(world.voxels, assets, frame, cut, dx, dy, dz, r, g, b, depth)
    for p in range(num_parts):
        part = parts[p]
        if part[PART_RECT] <= row < part[PART_RECT + 1] and part[PART_RECT + 2] <= column < part[PART_RECT + 3]:
            r, g, b, depth = part_pixel(assets, frame, part, dx, dy, dz, r, g, b, depth)
    r, g, b = np.floor(r + HALF), np.floor(g + HALF), np.floor(b + HALF)
    for m in range(num_marks):
        mark = marks[m]
        if mark[MARK_RECT] <= row < mark[MARK_RECT + 1] and mark[MARK_RECT + 2] <= column < mark[MARK_RECT + 3]:
            r, g, b = mark_pixel(assets, frame, mark, F(640) / F(columns), dx, dy, dz, r, g, b, depth)
    if frame.rain > ZERO:
        r, g, b = rain_pixel(frame, row, column, columns, dx, dy, dz, r, g, b, depth)
    if held[PART_RECT] <= row < held[PART_RECT + 1] and held[PART_RECT + 2] <= column < held[PART_RECT + 3]:
        r, g, b = held_pixel(assets, frame, held, shift, rows, columns, row, column, r, g, b)
    return hud.overlay_pixel(assets, ops, row, column, rows, columns, r, g, b)


@njit(error_model="numpy")
def render_by_pixel(state, assets, n, image):
    """``render``, ray by ray: slow, and what the fast one is tested against."""
    rows, columns = image.shape[0], image.shape[1]
    tiles = np.empty((state.height.shape[1] // TILE, state.height.shape[1] // TILE), np.uint8)
    frame = make_frame(state, assets, n, rows, columns, make_tiles(state.height[n], tiles))
    world = make_world(state, assets, n, frame, tiles)
    parts = np.empty((_most_parts(state), PART_SIZE), np.float32)
    num_parts = make_mob_parts(state, assets, world, n, frame, rows, columns, parts)
    num_parts = make_item_parts(state, assets, world, n, frame, rows, columns, parts, num_parts)
    cuts = np.empty((MAX_CUTOUTS, CUT_SIZE), np.float32)
    num_cuts = make_cutouts(world, assets, frame, rows, columns, cuts, image, cuts, False)
    marks = np.empty((2, MARK_SIZE), np.float32)
    num_marks = make_marks(state, world, assets, n, frame, rows, columns, marks)
    held = np.empty(PART_SIZE, np.float32)
    shift = make_held_part(state, assets, world, n, frame, held)
    ops = np.empty((hud.MAX_OPS + 1, hud.OP_SIZE), np.int32)
    hud.make_ops(state, assets, n, ops)
    things = (cuts, num_cuts, parts, num_parts, marks, num_marks, held, shift)
    for row in range(rows):
        for column in range(columns):
            r, g, b = render_pixel(world, assets, frame, things, ops, rows, columns, row, column)
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
def _trace_pixels(world, assets, frame, pixels, starts, count, image, planes, depths):
    """Trace and draw the first ``count`` of ``pixels`` (row * columns + column) and note the plane each one sees.

    Nothing is nearer than ``starts``. A plane is PLANES * face + its place, or SKY.
    """
    columns = image.shape[1]
    mask = world.height.shape[0] - 1
    known_x = known_y = known_z = known_face = np.int64(-9999)
    corners, light = (ONE, ONE, ONE, ONE), np.uint32(SKYLIGHT)
    for p in range(count):
        row = pixels[np.uint32(p)] // columns
        column = pixels[np.uint32(p)] - row * columns
        dx, dy, dz = ray_direction(frame, row, column)
        face, x, y, z = trace(world.voxels, world.height, world.tiles, frame, dx, dy, dz, starts[np.uint32(p)])
        plane, t = SKY, FAR
        if face == SKY:
            r, g, b = sky_colour(assets, frame, dx, dy, dz)
        else:
            block = world.voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)]
            t = face_depth(frame, face, x, y, z, dx, dy, dz)
            if t >= frame.occlusion:
                light, known_face = face_light(world, frame, face, x, y, z), np.int64(-9999)
            elif x != known_x or y != known_y or z != known_z or face != known_face:
                light = face_light(world, frame, face, x, y, z)
                corners = corner_light(world, frame, face, x, y, z, light)
                known_x, known_y, known_z, known_face = x, y, z, np.int64(face)
            r, g, b = block_colour(assets, world, frame, block, face, x, y, z, dx, dy, dz, t, light, corners)
            plane = face * PLANES + (x if face < 2 else (y if face < 4 else z)) + PLANES // 2
        _write(image, row, column, r, g, b)
        planes[np.uint32(row), np.uint32(column)] = plane
        depths[np.uint32(row), np.uint32(column)] = t


@inlined_function
def _meet(world, frame, plane, dx, dy, dz):
    """Where a ray meets a plane -> (block, face, x, y, z, t, light).

    The block seen there, AIR if no bare face is there.
    """
    voxels = world.voxels
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
    block, light = np.uint8(AIR), np.uint32(SKYLIGHT)
    if 0 <= y < voxels.shape[2] and solid(voxels, frame, x + out_x, y + out_y, z + out_z) == 0:
        block = voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)]
        if block < frame.first:
            block = np.uint8(AIR)
        light = cell_light(world, frame, x + out_x, y + out_y, z + out_z)
    return block, face, x, y, z, t, light


@device_function
def _fill_cells(world, assets, frame, cells, count, size, image, planes, depths, pixels, starts):
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
                    block, face, x, y, z, t, light = _meet(world, frame, plane, dx, dy, dz)
                    if block == AIR:
                        planes[np.uint32(row), np.uint32(column)] = PENDING
                        pixels[np.uint32(failed)], starts[np.uint32(failed)] = row * columns + column, ZERO
                        failed += 1
                        continue
                    if t < frame.occlusion and (x != known_x or y != known_y or z != known_z):
                        corners = corner_light(world, frame, face, x, y, z, light)
                        known_x, known_y, known_z = x, y, z
                    r, g, b = block_colour(assets, world, frame, block, face, x, y, z, dx, dy, dz, t, light, corners)
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
def draw_world(world, assets, frame, image, depths):
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
        _trace_pixels(world, assets, frame, pixels, starts, queued, image, planes, depths)
        if size == 1:
            break
        # A block nearer than this is as wide as a cell, so that none hides between a cell's corners.
        near = F(columns) / (TWO * TAN_H * F(size))
        num_plain, num_rough, queued = _sort_cells(
            frame, cells, num_cells, size, near, planes, depths, plain, pixels, starts
        )
        num_failed = _fill_cells(
            world, assets, frame, plain, num_plain, size, image, planes, depths, failed, failed_starts
        )
        _trace_pixels(world, assets, frame, failed, failed_starts, num_failed, image, planes, depths)
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
    """The parts into ``image``, each inside its outline, where it is nearer than ``depths``."""
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


@device_function
def draw_held(assets, frame, held, shift, image):
    """What the hand holds into ``image``."""
    for row in range(np.int32(held[PART_RECT]), min(np.int32(held[PART_RECT + 1]), image.shape[0])):
        for column in range(np.int32(held[PART_RECT + 2]), np.int32(held[PART_RECT + 3])):
            i, j = np.uint32(row), np.uint32(column)
            r, g, b = F(image[i, j, 0]), F(image[i, j, 1]), F(image[i, j, 2])
            r, g, b = held_pixel(assets, frame, held, shift, image.shape[0], image.shape[1], row, column, r, g, b)
            image[i, j, 0], image[i, j, 1], image[i, j, 2] = np.uint8(r), np.uint8(g), np.uint8(b)


@device_function
def draw_marks(assets, frame, marks, num_marks, image, depths):
    """The crosshair's block and the one being dug, into ``image``."""
    for m in range(num_marks):
        mark = marks[m]
        for row in range(np.int32(mark[MARK_RECT]), np.int32(mark[MARK_RECT + 1])):
            for column in range(np.int32(mark[MARK_RECT + 2]), np.int32(mark[MARK_RECT + 3])):
                i, j = np.uint32(row), np.uint32(column)
                dx, dy, dz = ray_direction(frame, row, column)
                r, g, b = F(image[i, j, 0]), F(image[i, j, 1]), F(image[i, j, 2])
                pixel = F(640) / F(image.shape[1])
                r, g, b = mark_pixel(assets, frame, mark, pixel, dx, dy, dz, r, g, b, depths[i, j])
                image[i, j, 0], image[i, j, 1], image[i, j, 2] = np.uint8(r), np.uint8(g), np.uint8(b)


@device_function
def draw_rain(frame, image, depths):
    """Streaks of rain into ``image``."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            i, j = np.uint32(row), np.uint32(column)
            dx, dy, dz = ray_direction(frame, row, column)
            r, g, b = F(image[i, j, 0]), F(image[i, j, 1]), F(image[i, j, 2])
            r, g, b = rain_pixel(frame, row, column, image.shape[1], dx, dy, dz, r, g, b, depths[i, j])
            image[i, j, 0], image[i, j, 1], image[i, j, 2] = np.uint8(r), np.uint8(g), np.uint8(b)


@njit(error_model="numpy")
def render(state, assets, n, image):
    """Draw environment ``n`` into ``image`` uint8 [height, width, 3] (RGB, row 0 on top), all of it, in place."""
    rows, columns = image.shape[0], image.shape[1]
    tiles = np.empty((state.height.shape[1] // TILE, state.height.shape[1] // TILE), np.uint8)
    frame = make_frame(state, assets, n, rows, columns, make_tiles(state.height[n], tiles))
    world = make_world(state, assets, n, frame, tiles)
    depths = np.empty((rows, columns), np.float32)
    draw_world(world, assets, frame, image, depths)
    make_cutouts(world, assets, frame, rows, columns, np.empty((1, CUT_SIZE), np.float32), image, depths, True)
    parts = np.empty((_most_parts(state), PART_SIZE), np.float32)
    num_parts = make_mob_parts(state, assets, world, n, frame, rows, columns, parts)
    num_parts = make_item_parts(state, assets, world, n, frame, rows, columns, parts, num_parts)
    draw_parts(assets, frame, parts, num_parts, image, depths)
    marks = np.empty((2, MARK_SIZE), np.float32)
    num_marks = make_marks(state, world, assets, n, frame, rows, columns, marks)
    draw_marks(assets, frame, marks, num_marks, image, depths)
    if frame.rain > ZERO:
        draw_rain(frame, image, depths)
    held = np.empty(PART_SIZE, np.float32)
    shift = make_held_part(state, assets, world, n, frame, held)
    draw_held(assets, frame, held, shift, image)
    ops = np.empty((hud.MAX_OPS + 1, hud.OP_SIZE), np.int32)
    hud.make_ops(state, assets, n, ops)
    hud.draw_overlay(assets, ops, image)
