"""What all pixels of a picture share: the renderer's tables, one environment's world, the camera, light and sky.

Frames of reference: the origin is the player's block column, (floor(x), 0, floor(z)), so that float32 is enough
wherever the player is. A ray's direction d has length 1 along the view, so its parameter t is depth.
Light, sky and sun follow Minecraft 1.16.5 (light map at gamma 2, linear fog).
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from minestudio_envs.voxel import hud, items, shapes, sprites, textures
from minestudio_envs.voxel.blocks import BLOCKS, FIRST_LIQUID, FIRST_OPAQUE, LAVA
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.models import MAX_BOXES, NUM_MODELS, build_models
from minestudio_envs.voxel.player_body import eye_height
from minestudio_envs.voxel.state import EFFECT_ID

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

NIGHT_VISION = EFFECT_ID["night_vision"]
DRY, IN_WATER, IN_LAVA = 0, 1, 2  # what the eye is in
SKYLIGHT = 15 << 4  # of a cell under the open sky without a torch near, as state.light packs it

# Columns of the table of parts: the boxes of mobs, items, arrows.
PART_MATRIX, PART_ORIGIN, PART_LOW, PART_HIGH, PART_SHADE, PART_RECT = 0, 9, 12, 15, 18, 24
PART_KIND, PART_BOX, PART_FOG, PART_RED, PART_LIGHT, PART_SIZE = 28, 29, 30, 31, 32, 36
# A PART_BOX below 0 is not a box of a model: the mob's shadow on the ground, a flat sprite one texel thick, a block.
SHADOW, PLATE, CUBE = -1, -2, -3
PARTS_PER_MOB = MAX_BOXES + 2  # the shadow, and the fire that it burns in
ARROW_MODEL, ARM_MODEL = NUM_MODELS, NUM_MODELS + 1  # as a PART_KIND, after the mobs


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


@device_function
def daylight(sun_cos, rain, thunder):
    """How bright the sky's light is, 0.2-1."""
    bright = min(max(sun_cos * TWO + F(0.2), ZERO), ONE)
    return bright * (ONE - F(0.3125) * rain) * (ONE - F(0.3125) * thunder) * F(0.8) + F(0.2)


@device_function
def sky_part(bright):
    """The open sky's part of the light map, before gamma: (red and green, blue). The night is bluish."""
    sky_light = bright * F(0.95) + F(0.05)
    return sky_light * (F(0.65) * bright + F(0.35)), sky_light


@device_function
def sky_now(state, n, frame):
    """``sky_part`` of an environment."""
    return sky_part(daylight(frame.sun_y, frame.rain, ONE if state.world[n].weather > 1 else ZERO))


@device_function
def make_light_map(brightness, sky_red, sky_blue, night_vision, light_map):
    """Fill ``light_map`` for the sky's part of the light as from ``sky_part``."""
    for block in range(16):
        map_lamp(brightness, sky_red, sky_blue, night_vision, block, light_map)


@device_function
def map_lamp(brightness, sky_red, sky_blue, night_vision, block, light_map):
    """``make_light_map`` for one level of block light."""
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


@device_function(nrt=True)
def make_world(state, assets, n, frame, tiles):
    """The World of environment ``n``. With numba's memory manager, unlike the rest: it hands out arrays."""
    light_map = np.empty((256, 4), np.float32)
    red, blue = sky_now(state, n, frame)
    make_light_map(assets.brightness, red, blue, state.player[n].effect_ticks[NIGHT_VISION] > 0, light_map)
    return World(state.voxels[n], state.height[n], state.light[n], state.biome[n], state.cutouts[n], tiles, light_map)


@device_function
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


@device_function
def ray_direction(frame, row, column):
    row, column = F(row), F(column)
    return (
        frame.fx + row * frame.rx + column * frame.cx,
        frame.fy + row * frame.ry + column * frame.cy,
        frame.fz + row * frame.rz + column * frame.cz,
    )


@device_function
def horizon_colour(frame, dx, dz, inverse_length):
    """Colour of the fog in a direction: reddish towards the sun when it rises or sets."""
    r, g, b = frame.fog
    if frame.glow_strength > ZERO:
        toward = dx * inverse_length * (ONE if frame.sun_x > ZERO else -ONE)
        k = frame.glow_strength * max(toward, ZERO)
        r, g, b = r + (frame.glow[0] - r) * k, g + (frame.glow[1] - g) * k, b + (frame.glow[2] - b) * k
    return r, g, b


@device_function
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


@device_function
def to_camera(frame, x, y, z):
    """A vector of the world in the camera's axes: (right, up, depth)."""
    return (
        x * frame.right[0] + y * frame.right[1] + z * frame.right[2],
        x * frame.up[0] + y * frame.up[1] + z * frame.up[2],
        x * frame.ahead[0] + y * frame.ahead[1] + z * frame.ahead[2],
    )


@device_function
def box_corner(corner, o, a, b, c):
    """Corner 0-7 of the box at ``o`` with the edges a, b, c, a bit for each."""
    i, j, k = F(corner & 1), F((corner >> 1) & 1), F(corner >> 2)
    return (
        o[0] + i * a[0] + j * b[0] + k * c[0],
        o[1] + i * a[1] + j * b[1] + k * c[1],
        o[2] + i * a[2] + j * b[2] + k * c[2],
    )


@device_function
def outline(rows, columns, o, a, b, c, rect, first):
    """Write the rectangle around a box (camera axes, see box_corner) to rect[first:], in pixels -> whether it has any.

    Its columns: first row, row after the last, first column, column after the last, clipped to the picture.
    """
    first_row, last_row, first_column, last_column = FAR, -FAR, FAR, -FAR
    half_rows, half_columns = HALF * F(rows), HALF * F(columns)
    per_row, per_column = half_rows / TAN_V, half_columns / TAN_H
    for corner in range(8):
        across, up, depth = box_corner(corner, o, a, b, c)
        if depth >= NEAR:
            inverse = ONE / depth
            row, column = half_rows - up * inverse * per_row, half_columns + across * inverse * per_column
            first_row, last_row = min(first_row, row), max(last_row, row)
            first_column, last_column = min(first_column, column), max(last_column, column)
        else:  # where its edges come into view
            for edge in range(3):
                across2, up2, depth2 = box_corner(corner ^ (1 << edge), o, a, b, c)
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
