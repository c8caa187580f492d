"""What lies over the world: the HUD (hotbar, items, counts, hearts, food, armour, air, crosshair) and the inventory
screen; and how the held item is posed.

Everything is the game's at GUI scale 1 in a window of 640x360, scaled to the image by area averages, so that it stays
readable when the image is small. A frame makes a list of *ops*, which are then drawn in order: *patches* are pieces
with a fixed place, prepared once at the image's own resolution as premultiplied RGBA pictures; items, which may be
any of a thousand, are scaled when they are drawn; the rest are plain rectangles.
"""

import numpy as np

from minestudio_envs.voxel import sprites, textures
from minestudio_envs.voxel.items import FEET, HEAD, HOTBAR_SLOTS, INVENTORY_SLOTS, OFFHAND
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.screen import (
    CRAFTING_PLACES,
    SCREEN_HEIGHT,
    SCREEN_LEFT,
    SCREEN_TOP,
    SCREEN_WIDTH,
    SLOT_PLACES,
)
from minestudio_envs.voxel.sprites import ARM, CUBE, TOOL

WINDOW_WIDTH, WINDOW_HEIGHT = 640, 360
SWING_TICKS = 6
SWING_PHASES = SWING_TICKS + 1  # at rest, then tick 1 to 6
WAYS_TO_HOLD = 4  # sprites.ARM, FLAT, TOOL, CUBE
FULL_AIR = 300

# Patch ids. Each block of ids is one kind of patch.
PATCH_BASE = 0  # hotbar and experience bar
PATCH_CROSSHAIR = 1
PATCH_OFFHAND = 2
PATCH_SCREEN = 3  # the inventory's
PATCH_SELECTION = 4  # + slot
PATCH_HEART = PATCH_SELECTION + HOTBAR_SLOTS  # + 3 * position + halves
PATCH_FOOD = PATCH_HEART + 30
PATCH_ARMOUR = PATCH_FOOD + 30
PATCH_BUBBLE = PATCH_ARMOUR + 30  # + position
PATCH_TENS = PATCH_BUBBLE + 10  # + 10 * slot + digit
PATCH_UNITS = PATCH_TENS + 10 * HOTBAR_SLOTS
NUM_PATCHES = PATCH_UNITS + 10 * HOTBAR_SLOTS

# An op is a row of int32: kind, patch or picture or colour (r | g << 8 | b << 16), x, y, width, height in the window.
OP_PATCH, OP_INVERT, OP_PICTURE, OP_RECTANGLE, OP_DIM = range(5)
OP_SIZE = 6
MAX_OPS = 400

HOTBAR_LEFT = WINDOW_WIDTH // 2 - 91
ITEM_LEFT, ITEM_TOP = HOTBAR_LEFT + 3, WINDOW_HEIGHT - 19  # of the first slot's item
OFFHAND_LEFT = HOTBAR_LEFT - 29


# BUILDING THE PATCHES


def _coverage(first: float, size: int, window: int, pixels: int) -> tuple[int, np.ndarray]:
    """How much of each image pixel each texel covers along one axis -> (first pixel, float [pixels touched, size]).

    The sprite's ``size`` texels start at ``first`` in a window of ``window`` texels shown on ``pixels`` pixels.
    """
    scale = window / pixels
    start = max(int(np.floor(first / scale + 1e-6)), 0)
    stop = min(int(np.ceil((first + size) / scale - 1e-6)), pixels)
    pixel = np.arange(start, stop)[:, None] * scale
    texel = first + np.arange(size)[None]
    overlap = np.minimum(pixel + scale, texel + 1) - np.maximum(pixel, texel)
    return start, np.clip(overlap, 0, None) / scale


def _place(sprite: np.ndarray, x: float, y: float, width: int, height: int) -> tuple[int, int, np.ndarray]:
    """Scale a sprite at window place (x, y) to the image -> (row, column, premultiplied float [h, w, 4])."""
    row, rows = _coverage(y, sprite.shape[0], WINDOW_HEIGHT, height)
    column, columns = _coverage(x, sprite.shape[1], WINDOW_WIDTH, width)
    colour = sprite.astype(float)
    colour[..., :3] *= colour[..., 3:] / 255
    scaled = np.tensordot(np.tensordot(rows, colour, (1, 0)), columns, (1, 1))  # [h, 4, w]
    return row, column, scaled.transpose(0, 2, 1)


def screen_picture() -> np.ndarray:
    """The inventory screen, uint8 [166, 176, 4], with its slots and the player's figure."""
    image = textures.window(SCREEN_HEIGHT, SCREEN_WIDTH)
    for x, y in [*SLOT_PLACES, *CRAFTING_PLACES]:
        textures.draw_slot(image, x - SCREEN_LEFT, y - SCREEN_TOP)
    textures.draw_player(image, 26, 8)
    textures.draw_craft_arrow(image, 135, 29)
    return image


def build_patches(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """All patches -> (rectangles int32 [NUM_PATCHES, 5]: row, column, height, width, first pixel;
    premultiplied pixels uint8 [total, 4])."""
    patches: list[tuple[int, int, np.ndarray] | None] = [None] * NUM_PATCHES

    def put(patch: int, sprite: np.ndarray, x: float, y: float) -> None:
        patches[patch] = _place(sprite, x, y, width, height)

    left, bottom = HOTBAR_LEFT, WINDOW_HEIGHT
    base = np.zeros((29, 182, 4), np.uint8)
    base[:5], base[7:] = textures.experience_bar(), textures.hotbar()
    put(PATCH_BASE, base, left, bottom - 29)
    put(PATCH_CROSSHAIR, textures.crosshair(), WINDOW_WIDTH / 2 - 4.5, WINDOW_HEIGHT / 2 - 4.5)
    put(PATCH_OFFHAND, textures.offhand_slot(), OFFHAND_LEFT, bottom - 22)
    put(PATCH_SCREEN, screen_picture(), SCREEN_LEFT, SCREEN_TOP)
    digits = [textures.digit(value) for value in range(10)]
    for slot in range(HOTBAR_SLOTS):
        x, y = ITEM_LEFT + 20 * slot, ITEM_TOP
        put(PATCH_SELECTION + slot, textures.selection(), x - 4, y - 4)
        for value, sprite in enumerate(digits):
            put(PATCH_TENS + 10 * slot + value, sprite, x + 5, y + 9)
            put(PATCH_UNITS + 10 * slot + value, sprite, x + 11, y + 9)
    for position in range(10):
        x = left + 8 * position
        for halves in range(3):
            put(PATCH_HEART + 3 * position + halves, textures.heart(halves), x, bottom - 39)
            put(PATCH_FOOD + 3 * position + halves, textures.food(halves), left + 173 - 8 * position, bottom - 39)
            put(PATCH_ARMOUR + 3 * position + halves, textures.armour(halves), x, bottom - 49)
        put(PATCH_BUBBLE + position, textures.bubble(), left + 173 - 8 * position, bottom - 49)

    rectangles, pixels, total = np.zeros((NUM_PATCHES, 5), np.int32), [], 0
    for i, (row, column, picture) in enumerate(patches):
        rectangles[i] = row, column, picture.shape[0], picture.shape[1], total
        pixels.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8).reshape(-1, 4))
        total += len(pixels[-1])
    return rectangles, np.concatenate(pixels)


# THE HELD ITEM: a box of texels in front of the camera (x right, y up, z forward, in blocks)


def _rotation(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def _basis(x: tuple[float, float, float], y: tuple[float, float, float]) -> np.ndarray:
    """A rotation whose first column is along ``x`` and whose second is ``y`` made orthogonal to it."""
    first = np.array(x) / np.linalg.norm(x)
    second = np.array(y) - first * np.dot(first, y)
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)], 1)


def _rest(way: int) -> tuple[tuple[int, int, int], np.ndarray, np.ndarray, float]:
    """How an item is held at rest -> (size in texels, rotation [3, 3], centre [3], texel's size in blocks)."""
    if way == ARM:
        return (4, 12, 4), _basis((0.80, 0.35, -0.5), (-0.50, 0.62, 0.60)), np.array([0.80, -0.64, 0.92]), 1.35 / 16
    if way == CUBE:
        return (16, 16, 16), _rotation(1, 45), np.array([0.56, -0.56, 0.92]), 0.4 / 16
    if way == TOOL:  # along the sprite's diagonal
        rotation = _basis((-0.22, 0.80, 0.56), (0.62, 0.20, -0.24)) @ _rotation(2, -45)
        return (16, 16, 1), rotation, np.array([0.66, -0.35, 1.0]), 0.68 / 16
    return (16, 16, 1), _basis((0.86, 0.10, 0.50), (-0.12, 1.0, 0.05)), np.array([0.66, -0.42, 0.95]), 0.46 / 16


def pose(way: int, phase: int, width: int, height: int) -> tuple[tuple, np.ndarray, np.ndarray, np.ndarray, tuple]:
    """An item in one phase of its swing -> (size in texels, matrix and origin that take the camera's axes to texels,
    shade of each face [6], the rectangle around it in the image: first row, row after the last, columns alike)."""
    size, rotation, centre, scale = _rest(way)
    progress = phase / SWING_PHASES
    thrust, sweep = np.sin(np.sqrt(progress) * np.pi), np.sin(progress**2 * np.pi)
    lift, reach = np.sin(np.sqrt(progress) * 2 * np.pi), np.sin(progress * np.pi)
    centre = centre + np.array([-0.42 * thrust, 0.18 * lift, 0.2 * reach])
    swing = _rotation(1, -20 * sweep) @ _rotation(2, 30 * thrust) @ _rotation(0, 40 * thrust)
    rotation = swing @ rotation
    extent = np.array(size) * scale
    corners = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)]) * extent
    corners = corners @ rotation.T + centre
    tan_v = np.tan(np.radians(35))
    depth = np.maximum(corners[:, 2], 0.05)
    columns = (corners[:, 0] / depth / (tan_v * 16 / 9) + 1) / 2 * width
    rows = (1 - corners[:, 1] / depth / tan_v) / 2 * height
    top, bottom = (int(np.clip(k, 0, height)) for k in (np.floor(rows.min()), np.ceil(rows.max())))
    left, right = (int(np.clip(k, 0, width)) for k in (np.floor(columns.min()), np.ceil(columns.max())))
    matrix = rotation.T / scale
    light = np.array([0.4, 1.0, -0.6]) / np.linalg.norm([0.4, 1.0, -0.6])
    shades = np.empty(6)
    for face in range(6):
        normal = rotation[:, face // 2] * (1 if face % 2 else -1)
        shades[face] = min(0.55 + 0.45 * max(0.0, normal @ light) + 0.12 * abs(normal[0]), 1)
    return size, matrix, np.array(size) / 2 - matrix @ centre, shades, (top, bottom, left, right)


# WHAT IS TO BE DRAWN


@device_function
def _add(ops, count, kind, what, x, y, width, height):
    ops[count, 0], ops[count, 1], ops[count, 2], ops[count, 3] = kind, what, x, y
    ops[count, 4], ops[count, 5] = width, height
    return count + 1


@device_function
def _add_stack(assets, ops, count, item, amount, damage, x, y, slot):
    """An item, if it is one, with its count and wear; ``slot``: of the hotbar, whose digits are patches, or -1."""
    if item == 0:
        return count
    count = _add(ops, count, OP_PICTURE, assets.item_picture[item], x, y, 16, 16)
    durability = assets.item_durability[item]
    if durability > 0 and damage > 0:
        left = max(np.float32(1) - np.float32(damage) / np.float32(durability), np.float32(0))
        red = np.int32(np.float32(255) * min(np.float32(2) - np.float32(2) * left, np.float32(1)))
        green = np.int32(np.float32(255) * min(np.float32(2) * left, np.float32(1)))
        count = _add(ops, count, OP_RECTANGLE, 0, x + 2, y + 13, 13, 2)
        bar = np.int32(np.float32(13) * left + np.float32(0.5))
        if bar > 0:
            count = _add(ops, count, OP_RECTANGLE, red | (green << 8), x + 2, y + 13, bar, 1)
    if amount > 1:
        amount = min(amount, 99)
        tens, units = amount // 10, amount % 10
        if slot >= 0:
            if tens > 0:
                count = _add(ops, count, OP_PATCH, PATCH_TENS + 10 * slot + tens, 0, 0, 0, 0)
            count = _add(ops, count, OP_PATCH, PATCH_UNITS + 10 * slot + units, 0, 0, 0, 0)
        else:
            if tens > 0:
                count = _add(ops, count, OP_PICTURE, sprites.DIGIT + tens, x + 5, y + 9, 16, 16)
            count = _add(ops, count, OP_PICTURE, sprites.DIGIT + units, x + 11, y + 9, 16, 16)
    return count


@device_function
def _add_slot(state, assets, n, ops, count, slot, x, y, hotbar):
    """What is in a slot of the inventory; ``hotbar``: as _add_stack's ``slot``."""
    player = state.player
    item, amount = player[n].inventory_item[slot], player[n].inventory_count[slot]
    return _add_stack(assets, ops, count, item, amount, player[n].inventory_damage[slot], x, y, hotbar)


@device_function
def make_ops(state, assets, n, ops):
    """Fill ``ops`` int32 [MAX_OPS + 1, OP_SIZE]; the last row's first number is how many there are."""
    count = _add(ops, 0, OP_PATCH, PATCH_BASE, 0, 0, 0, 0)
    count = _add(ops, count, OP_PATCH, PATCH_SELECTION + state.player[n].selected, 0, 0, 0, 0)
    for slot in range(HOTBAR_SLOTS):
        count = _add_slot(state, assets, n, ops, count, slot, ITEM_LEFT + 20 * slot, ITEM_TOP, slot)
    if state.player[n].inventory_item[OFFHAND] > 0:
        count = _add(ops, count, OP_PATCH, PATCH_OFFHAND, 0, 0, 0, 0)
        count = _add_slot(state, assets, n, ops, count, OFFHAND, OFFHAND_LEFT + 3, ITEM_TOP, -1)
    health, food = np.int32(np.ceil(state.player[n].health)), state.player[n].food
    points = np.float32(0)
    for slot in range(FEET, HEAD + 1):
        points += assets.item_armour[state.player[n].inventory_item[slot]]
    for position in range(10):
        halves = min(max(health - 2 * position, 0), 2)
        count = _add(ops, count, OP_PATCH, PATCH_HEART + 3 * position + halves, 0, 0, 0, 0)
        halves = min(max(food - 2 * position, 0), 2)
        count = _add(ops, count, OP_PATCH, PATCH_FOOD + 3 * position + halves, 0, 0, 0, 0)
        if points > 0:
            halves = min(max(np.int32(points) - 2 * position, 0), 2)
            count = _add(ops, count, OP_PATCH, PATCH_ARMOUR + 3 * position + halves, 0, 0, 0, 0)
    air = state.player[n].air
    if air < FULL_AIR:
        for position in range((max(air, 0) * 10 + FULL_AIR - 1) // FULL_AIR):
            count = _add(ops, count, OP_PATCH, PATCH_BUBBLE + position, 0, 0, 0, 0)
    count = _add(ops, count, OP_INVERT, PATCH_CROSSHAIR, 0, 0, 0, 0)

    if state.player[n].gui_open:
        count = _add(ops, count, OP_DIM, 0, 0, 0, 0, 0)
        count = _add(ops, count, OP_PATCH, PATCH_SCREEN, 0, 0, 0, 0)
        for slot in range(INVENTORY_SLOTS):
            x, y = assets.slot_place[slot, 0], assets.slot_place[slot, 1]
            count = _add_slot(state, assets, n, ops, count, slot, x, y, -1)
        x, y = np.int32(state.player[n].cursor[0]), np.int32(state.player[n].cursor[1])
        item, amount = state.player[n].cursor_item, state.player[n].cursor_count
        count = _add_stack(assets, ops, count, item, amount, state.player[n].cursor_damage, x - 8, y - 8, -1)
        count = _add(ops, count, OP_PICTURE, sprites.POINTER, x, y, 16, 16)
    ops[MAX_OPS, 0] = count


# DRAWING


@device_function
def rounded(r, g, b):
    half = np.float32(0.5)
    return np.floor(r + half), np.floor(g + half), np.floor(b + half)


@device_function
def _overlap(pixel, scale, first, size):
    """What part of a pixel of ``scale`` window pixels the window's [first, first + size) covers, 0-1."""
    low, high = np.float32(pixel) * scale, np.float32(pixel + 1) * scale
    return max(min(high, np.float32(first + size)) - max(low, np.float32(first)), np.float32(0)) / scale


@device_function
def picture_pixel(assets, picture, x, y, row, column, rows, columns, r, g, b):
    """Blend one pixel of an item's picture at the window's (x, y): the average of its texels."""
    scale_x, scale_y = np.float32(WINDOW_WIDTH) / np.float32(columns), np.float32(WINDOW_HEIGHT) / np.float32(rows)
    left, top = np.float32(column) * scale_x - np.float32(x), np.float32(row) * scale_y - np.float32(y)
    right, bottom = left + scale_x, top + scale_y
    zero, one = np.float32(0), np.float32(1)
    red = green = blue = weight = zero
    for j in range(max(np.int32(np.floor(top)), 0), min(np.int32(np.ceil(bottom)), 16)):
        high = min(bottom, np.float32(j + 1)) - max(top, np.float32(j))
        for i in range(max(np.int32(np.floor(left)), 0), min(np.int32(np.ceil(right)), 16)):
            texel = assets.sprite[picture, j * 16 + i]
            if texel >> 24:
                k = high * (min(right, np.float32(i + 1)) - max(left, np.float32(i)))
                red += np.float32(texel & 255) * k
                green += np.float32((texel >> 8) & 255) * k
                blue += np.float32((texel >> 16) & 255) * k
                weight += k
    area = one / (scale_x * scale_y)
    rest = max(one - weight * area, zero)
    return r * rest + red * area, g * rest + green * area, b * rest + blue * area


@device_function
def op_pixel(assets, ops, op, row, column, rows, columns, r, g, b):
    """One op, other than a patch, over a pixel's colour -> (r, g, b)."""
    one = np.float32(1)
    if ops[op, 0] == OP_PICTURE:
        return rounded(*picture_pixel(assets, ops[op, 1], ops[op, 2], ops[op, 3], row, column, rows, columns, r, g, b))
    if ops[op, 0] == OP_RECTANGLE:
        scale_x, scale_y = np.float32(WINDOW_WIDTH) / np.float32(columns), np.float32(WINDOW_HEIGHT) / np.float32(rows)
        k = _overlap(column, scale_x, ops[op, 2], ops[op, 4]) * _overlap(row, scale_y, ops[op, 3], ops[op, 5])
        red, green, blue = ops[op, 1] & 255, (ops[op, 1] >> 8) & 255, ops[op, 1] >> 16
        rest = one - k
        return rounded(
            r * rest + np.float32(red) * k, g * rest + np.float32(green) * k, b * rest + np.float32(blue) * k
        )
    k, dark = np.float32(0.28), np.float32(16 * 0.72)  # dimmed
    return rounded(r * k + dark, g * k + dark, b * k + dark)


@device_function
def blend(assets, pixel, invert, r, g, b):
    """Lay one pixel of a patch over a colour; r, g, b float32 0-255."""
    alpha = np.float32(assets.patch_pixels[pixel, 3]) * np.float32(1 / 255)
    if invert:
        white = np.float32(255)
        return rounded(
            r + (white - r - r) * alpha,
            g + (white - g - g) * alpha,
            b + (white - b - b) * alpha,
        )
    rest = np.float32(1) - alpha
    return rounded(
        r * rest + np.float32(assets.patch_pixels[pixel, 0]),
        g * rest + np.float32(assets.patch_pixels[pixel, 1]),
        b * rest + np.float32(assets.patch_pixels[pixel, 2]),
    )


@device_function
def _span(first, size, window, pixels):
    """The image's pixels that the window's [first, first + size) touches -> (first, after the last)."""
    scale = np.float32(pixels) / np.float32(window)
    start, stop = np.floor(np.float32(first) * scale), np.ceil(np.float32(first + size) * scale)
    return max(np.int32(start), 0), min(np.int32(stop), pixels)


@device_function
def overlay_pixel(assets, ops, row, column, rows, columns, r, g, b):
    """All ops over one pixel's colour -> (r, g, b)."""
    for op in range(ops[MAX_OPS, 0]):
        top, bottom, left, right = op_bounds(assets, ops, op, rows, columns)
        if top <= row < bottom and left <= column < right:
            r, g, b = overlay_op(assets, ops, op, row, column, rows, columns, r, g, b)
    return r, g, b


@device_function
def op_bounds(assets, ops, op, rows, columns):
    """The pixels that an op changes: rows from, to, columns from, to."""
    kind, patch = ops[op, 0], ops[op, 1]
    if kind == OP_PATCH or kind == OP_INVERT:
        top, left = assets.patch_rect[patch, 0], assets.patch_rect[patch, 1]
        return top, top + assets.patch_rect[patch, 2], left, left + assets.patch_rect[patch, 3]
    if kind == OP_DIM:
        return 0, rows, 0, columns
    top, bottom = _span(ops[op, 3], ops[op, 5], WINDOW_HEIGHT, rows)
    left, right = _span(ops[op, 2], ops[op, 4], WINDOW_WIDTH, columns)
    return top, bottom, left, right


@device_function
def overlay_op(assets, ops, op, row, column, rows, columns, r, g, b):
    """An op over the colour of one of its pixels -> (r, g, b)."""
    kind, patch = ops[op, 0], ops[op, 1]
    if kind == OP_PATCH or kind == OP_INVERT:
        i, j = row - assets.patch_rect[patch, 0], column - assets.patch_rect[patch, 1]
        pixel = assets.patch_rect[patch, 4] + i * assets.patch_rect[patch, 3] + j
        return blend(assets, pixel, kind == OP_INVERT, r, g, b)
    return op_pixel(assets, ops, op, row, column, rows, columns, r, g, b)


@device_function
def _read(image, row, column):
    return np.float32(image[row, column, 0]), np.float32(image[row, column, 1]), np.float32(image[row, column, 2])


@device_function
def _write(image, row, column, r, g, b):
    image[row, column, 0], image[row, column, 1], image[row, column, 2] = np.uint8(r), np.uint8(g), np.uint8(b)


@device_function
def draw_overlay(assets, ops, image):
    """All ops over the whole image, in place: what ``overlay_pixel`` does, op by op."""
    rows, columns = image.shape[0], image.shape[1]
    for op in range(ops[MAX_OPS, 0]):
        kind = ops[op, 0]
        if kind == OP_PATCH or kind == OP_INVERT:
            patch = ops[op, 1]
            top, left = assets.patch_rect[patch, 0], assets.patch_rect[patch, 1]
            width, first = assets.patch_rect[patch, 3], assets.patch_rect[patch, 4]
            for i in range(assets.patch_rect[patch, 2]):
                for j in range(width):
                    pixel = np.uint32(first + i * width + j)
                    if assets.patch_pixels[pixel, 3]:
                        row, column = np.uint32(top + i), np.uint32(left + j)
                        r, g, b = _read(image, row, column)
                        r, g, b = blend(assets, pixel, kind == OP_INVERT, r, g, b)
                        _write(image, row, column, r, g, b)
            continue
        top, bottom, left, right = 0, rows, 0, columns
        if kind != OP_DIM:
            top, bottom = _span(ops[op, 3], ops[op, 5], WINDOW_HEIGHT, rows)
            left, right = _span(ops[op, 2], ops[op, 4], WINDOW_WIDTH, columns)
        for row in range(top, bottom):
            for column in range(left, right):
                i, j = np.uint32(row), np.uint32(column)
                r, g, b = _read(image, i, j)
                r, g, b = op_pixel(assets, ops, op, row, column, rows, columns, r, g, b)
                _write(image, i, j, r, g, b)
