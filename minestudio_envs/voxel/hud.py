"""What lies over the world: the held item and the HUD (hotbar, items, counts, hearts, food, experience, crosshair).

Everything is prepared once, at the image's own resolution, as *patches*: small premultiplied RGBA pictures with a
place in the image. A frame only blends the few that apply. The HUD is the game's at GUI scale 1 in a window of
640x360, scaled to the image by area averages, so that it stays readable when the image is small.
"""

import numpy as np
from numba import njit

from minestudio_envs.voxel import textures
from minestudio_envs.voxel.items import ATTACK_CHARGE_TICKS, HOTBAR_SLOTS
from minestudio_envs.voxel.jit import device_function, inlined_function

WINDOW_WIDTH, WINDOW_HEIGHT = 640, 360
SWING_TICKS = 6
SWING_PHASES = SWING_TICKS + 1  # at rest, then tick 1 to 6

# Patch ids. Each block of ids is one kind of patch.
PATCH_BASE = 0  # hotbar and experience bar
PATCH_CROSSHAIR = 1
PATCH_SELECTION = 2  # + slot
PATCH_HEART = PATCH_SELECTION + HOTBAR_SLOTS  # + 3 * position + halves
PATCH_FOOD = PATCH_HEART + 30
PATCH_TENS = PATCH_FOOD + 30  # + 10 * slot + digit
PATCH_UNITS = PATCH_TENS + 10 * HOTBAR_SLOTS
PATCH_ITEM = PATCH_UNITS + 10 * HOTBAR_SLOTS  # + HOTBAR_SLOTS * item + slot
PATCH_HAND = PATCH_ITEM + HOTBAR_SLOTS * len(textures.PICTURES)  # + SWING_PHASES * item + phase
NUM_PATCHES = PATCH_HAND + SWING_PHASES * len(textures.PICTURES)

# The order in which a frame's patches are blended.
LAYER_HAND, LAYER_BASE, LAYER_SELECTION, LAYER_ITEM = 0, 1, 2, 3
LAYER_TENS = LAYER_ITEM + HOTBAR_SLOTS
LAYER_UNITS = LAYER_TENS + HOTBAR_SLOTS
LAYER_HEART = LAYER_UNITS + HOTBAR_SLOTS
LAYER_FOOD = LAYER_HEART + 10
LAYER_CROSSHAIR = LAYER_FOOD + 10
NUM_LAYERS = LAYER_CROSSHAIR + 1

CHARGE_TICKS = ATTACK_CHARGE_TICKS.astype(np.float32)


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
    return row, column, np.einsum("rh,hwk,cw->rck", rows, colour, columns, optimize=True)


def build_patches(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """All patches -> (rectangles int32 [NUM_PATCHES, 5]: row, column, height, width, first pixel;
    premultiplied pixels uint8 [total, 4])."""
    patches: list[tuple[int, int, np.ndarray] | None] = [None] * NUM_PATCHES

    def put(patch: int, sprite: np.ndarray, x: float, y: float) -> None:
        patches[patch] = _place(sprite, x, y, width, height)

    left, bottom = WINDOW_WIDTH // 2 - 91, WINDOW_HEIGHT
    base = np.zeros((29, 182, 4), np.uint8)
    base[:5], base[7:] = textures.experience_bar(), textures.hotbar()
    put(PATCH_BASE, base, left, bottom - 29)
    put(PATCH_CROSSHAIR, textures.crosshair(), WINDOW_WIDTH / 2 - 4.5, WINDOW_HEIGHT / 2 - 4.5)
    digits = [textures.digit(value) for value in range(10)]
    for slot in range(HOTBAR_SLOTS):
        x, y = left + 3 + 20 * slot, bottom - 19
        put(PATCH_SELECTION + slot, textures.selection(), x - 4, y - 4)
        for item, sprite in enumerate(textures.ITEM_SPRITES):
            put(PATCH_ITEM + HOTBAR_SLOTS * item + slot, sprite, x, y)
        for value, sprite in enumerate(digits):
            put(PATCH_TENS + 10 * slot + value, sprite, x + 5, y + 9)
            put(PATCH_UNITS + 10 * slot + value, sprite, x + 11, y + 9)
    for position in range(10):
        for halves in range(3):
            put(PATCH_HEART + 3 * position + halves, textures.heart(halves), left + 8 * position, bottom - 39)
            put(PATCH_FOOD + 3 * position + halves, textures.food(halves), left + 173 - 8 * position, bottom - 39)
    for item in range(len(textures.PICTURES)):
        for phase in range(SWING_PHASES):
            patches[PATCH_HAND + SWING_PHASES * item + phase] = held_item(item, phase, width, height)

    rectangles, pixels, total = np.zeros((NUM_PATCHES, 5), np.int32), [], 0
    for i, (row, column, picture) in enumerate(patches):
        rectangles[i] = row, column, picture.shape[0], picture.shape[1], total
        pixels.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8).reshape(-1, 4))
        total += len(pixels[-1])
    return rectangles, np.concatenate(pixels)


# THE HELD ITEM: a small scene of voxels in front of the camera (x right, y up, z forward, in blocks)


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


def _model(item: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """What is held -> (voxels uint8 [nx, ny, nz, 4], rotation [3, 3], centre [3], voxel size in blocks)."""
    name = textures.PICTURES[item]
    if name == "air":  # the right arm: skin, with a sleeve at the shoulder's end
        rng = np.random.default_rng(20)
        voxels = np.full((4, 12, 4, 4), 255, np.uint8)
        grain = 1 + 0.07 * (rng.random((4, 12, 4, 1)) - 0.5)
        voxels[..., :3] = np.array([186, 138, 108]) * grain
        voxels[:, :4, :, :3] = (np.array([0, 156, 156]) * grain)[:, :4]
        return voxels, _basis((0.80, 0.35, -0.5), (-0.50, 0.62, 0.60)), np.array([0.80, -0.64, 0.92]), 1.35 / 16
    if name in textures.BLOCK_FACES:
        side, top, bottom = (textures.BLOCK_TEXTURES[t] for t in textures.BLOCK_FACES[name])
        voxels = np.full((16, 16, 16, 4), 255, np.uint8)
        voxels[..., :3] = side[::-1, :].transpose(1, 0, 2)[:, :, None]  # x, y from the side's column and row
        voxels[0, :, :, :3] = voxels[15, :, :, :3] = side[::-1, :].transpose(0, 1, 2)
        voxels[:, 15, :, :3], voxels[:, 0, :, :3] = top, bottom
        return voxels, _rotation(1, 45), np.array([0.56, -0.56, 0.92]), 0.4 / 16
    voxels = textures.ITEM_SPRITES[item][::-1].transpose(1, 0, 2)[:, :, None].copy()  # one voxel thick
    if name.endswith("sword") or name == "stick":
        rotation = _basis((-0.22, 0.80, 0.56), (0.62, 0.20, -0.24)) @ _rotation(2, -45)  # the blade is the diagonal
        return voxels, rotation, np.array([0.66, -0.35, 1.0]), 0.68 / 16
    return voxels, _basis((0.86, 0.10, 0.50), (-0.12, 1.0, 0.05)), np.array([0.66, -0.42, 0.95]), 0.46 / 16


def held_item(item: int, phase: int, width: int, height: int) -> tuple[int, int, np.ndarray]:
    """Draw the held item in one phase of its swing -> (row, column, premultiplied float32 [h, w, 4])."""
    voxels, rotation, centre, size = _model(item)
    progress = phase / SWING_PHASES
    thrust, sweep = np.sin(np.sqrt(progress) * np.pi), np.sin(progress**2 * np.pi)
    lift, reach = np.sin(np.sqrt(progress) * 2 * np.pi), np.sin(progress * np.pi)
    centre = centre + np.array([-0.42 * thrust, 0.18 * lift, 0.2 * reach])
    swing = _rotation(1, -20 * sweep) @ _rotation(2, 30 * thrust) @ _rotation(0, 40 * thrust)
    rotation = swing @ rotation
    extent = np.array(voxels.shape[:3]) * size
    corners = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)]) * extent
    corners = corners @ rotation.T + centre
    tan_v = np.tan(np.radians(35))
    depth = np.maximum(corners[:, 2], 0.05)
    columns = (corners[:, 0] / depth / (tan_v * 16 / 9) + 1) / 2 * width
    rows = (1 - corners[:, 1] / depth / tan_v) / 2 * height
    top, bottom = (int(np.clip(k, 0, height)) for k in (rows.min(), np.ceil(rows.max())))
    left, right = (int(np.clip(k, 0, width)) for k in (columns.min(), np.ceil(columns.max())))
    picture = np.zeros((max(bottom - top, 1), max(right - left, 1), 4), np.float32)
    samples = 1 if height >= 240 else 2
    to_voxels = rotation.T / size
    origin = np.array(voxels.shape[:3]) / 2 - to_voxels @ centre
    light = np.array([0.4, 1.0, -0.6]) / np.linalg.norm([0.4, 1.0, -0.6])
    shade = np.empty(6, np.float32)
    for face in range(6):
        normal = rotation[:, face // 2] * (1 if face % 2 else -1)
        shade[face] = 0.55 + 0.45 * max(0.0, normal @ light) + 0.12 * abs(normal[0])
    _trace_voxels(
        *(np.ascontiguousarray(a, t) for a, t in ((voxels, np.uint8), (to_voxels, np.float32), (origin, np.float32))),
        *(np.minimum(shade, 1), picture, top, left, height, width, samples),
    )
    return min(top, height - 1), min(left, width - 1), picture


@njit(cache=True, error_model="numpy")
def _trace_voxels(voxels, to_voxels, origin, shade, picture, top, left, height, width, samples):
    """Ray-trace a small voxel model into ``picture``, the window at (top, left) of a height x width image."""
    tan_v = np.tan(np.radians(35.0))
    tan_h = tan_v * 16 / 9
    for row in range(picture.shape[0]):
        for column in range(picture.shape[1]):
            for sample in range(samples * samples):
                x = ((left + column + (sample % samples + 0.5) / samples) / width * 2 - 1) * tan_h
                y = (1 - (top + row + (sample // samples + 0.5) / samples) / height * 2) * tan_v
                near, far, face = 0.02, 1e9, 0
                for axis in range(3):
                    d = to_voxels[axis, 0] * x + to_voxels[axis, 1] * y + to_voxels[axis, 2]
                    if abs(d) < 1e-6:
                        d = 1e-6
                    low, high = (0 - origin[axis]) / d, (voxels.shape[axis] - origin[axis]) / d
                    if d < 0:
                        low, high = high, low
                    if low > near:
                        near, face = low, 2 * axis + (1 if d < 0 else 0)
                    far = min(far, high)
                t = near
                for _ in range(64):  # at most 16 + 16 + 16 voxels in a row
                    if t >= far:
                        break
                    following, next_face = 1e9, 0
                    inside = t + 1e-4
                    i = j = k = 0
                    for axis in range(3):
                        d = to_voxels[axis, 0] * x + to_voxels[axis, 1] * y + to_voxels[axis, 2]
                        if abs(d) < 1e-6:
                            d = 1e-6
                        cell = int(np.floor(origin[axis] + d * inside))
                        cell = min(max(cell, 0), voxels.shape[axis] - 1)
                        wall = (cell + (1 if d > 0 else 0) - origin[axis]) / d
                        if wall < following:
                            following, next_face = wall, 2 * axis + (1 if d < 0 else 0)
                        if axis == 0:
                            i = cell
                        elif axis == 1:
                            j = cell
                        else:
                            k = cell
                    if voxels[i, j, k, 3]:
                        for channel in range(3):
                            picture[row, column, channel] += voxels[i, j, k, channel] * shade[face]
                        picture[row, column, 3] += 255
                        break
                    t, face = max(following, inside), next_face
            for channel in range(4):
                picture[row, column, channel] /= samples * samples


# DRAWING


@inlined_function
def layer_patch(state, assets, n, layer):
    """The patch that environment ``n`` shows in a layer -> (patch id or -1, rows it is shifted down)."""
    if layer == LAYER_HAND:
        item = state.player[n].inventory_item[state.player[n].selected]
        swing = min(max(state.player[n].swing_ticks, 0), SWING_TICKS)
        # The hand sinks after a hit, at most 0.4 per tick, and rises with the cube of the attack's charge.
        waited = np.float32(state.player[n].attack_ticks)
        charge = min(np.float32(1), (waited + np.float32(0.5)) / assets.charge_ticks[item])
        lifted = max(charge * charge * charge, np.float32(1) - np.float32(0.4) * waited)
        shift = np.int32((np.float32(1) - lifted) * assets.hand_drop)
        return PATCH_HAND + SWING_PHASES * assets.item_picture[item] + swing, shift
    if layer == LAYER_BASE:
        return PATCH_BASE, 0
    if layer == LAYER_SELECTION:
        return PATCH_SELECTION + state.player[n].selected, 0
    if layer < LAYER_TENS:
        slot = layer - LAYER_ITEM
        item = state.player[n].inventory_item[slot]
        return (PATCH_ITEM + HOTBAR_SLOTS * assets.item_picture[item] + slot if item > 0 else -1), 0
    if layer < LAYER_HEART:
        slot = (layer - LAYER_TENS) % HOTBAR_SLOTS
        count = min(state.player[n].inventory_count[slot], 99)
        if state.player[n].inventory_item[slot] == 0 or count < 2:
            return -1, 0
        if layer >= LAYER_UNITS:
            return PATCH_UNITS + 10 * slot + count % 10, 0
        return (PATCH_TENS + 10 * slot + count // 10 if count >= 10 else -1), 0
    if layer < LAYER_FOOD:
        position = layer - LAYER_HEART
        halves = np.int32(np.ceil(state.player[n].health)) - 2 * position
        return PATCH_HEART + 3 * position + min(max(halves, 0), 2), 0
    if layer < LAYER_CROSSHAIR:
        position = layer - LAYER_FOOD
        halves = state.player[n].food - 2 * position
        return PATCH_FOOD + 3 * position + min(max(halves, 0), 2), 0
    return PATCH_CROSSHAIR, 0


@inlined_function
def blend(assets, pixel, layer, light, r, g, b):
    """Lay one pixel of a patch over a colour; r, g, b float32 0-255. ``light`` dims what is not part of the HUD."""
    alpha = np.float32(assets.patch_pixels[pixel, 3]) * np.float32(1 / 255)
    if layer == LAYER_CROSSHAIR:  # inverts
        white = np.float32(255)
        return (
            r + (white - r - r) * alpha,
            g + (white - g - g) * alpha,
            b + (white - b - b) * alpha,
        )
    rest = np.float32(1) - alpha
    lr = lg = lb = np.float32(1)
    if layer == LAYER_HAND:
        lr, lg, lb = light
    return (
        r * rest + np.float32(assets.patch_pixels[pixel, 0]) * lr,
        g * rest + np.float32(assets.patch_pixels[pixel, 1]) * lg,
        b * rest + np.float32(assets.patch_pixels[pixel, 2]) * lb,
    )


@inlined_function
def make_layers(state, assets, n, layers):
    """Fill ``layers`` int32 [NUM_LAYERS, 2] with environment n's patch ids (or -1) and the rows they are shifted."""
    for layer in range(NUM_LAYERS):
        patch, shift = layer_patch(state, assets, n, layer)
        layers[layer, 0], layers[layer, 1] = patch, shift


@device_function
def overlay_pixel(assets, layers, light, row, column, r, g, b):
    """All layers over one pixel's colour -> (r, g, b)."""
    for layer in range(NUM_LAYERS):
        patch = layers[layer, 0]
        if patch >= 0:
            i = row - assets.patch_rect[patch, 0] - layers[layer, 1]
            j = column - assets.patch_rect[patch, 1]
            if 0 <= i < assets.patch_rect[patch, 2] and 0 <= j < assets.patch_rect[patch, 3]:
                pixel = assets.patch_rect[patch, 4] + i * assets.patch_rect[patch, 3] + j
                r, g, b = blend(assets, pixel, layer, light, r, g, b)
                r, g, b = np.floor(r + np.float32(0.5)), np.floor(g + np.float32(0.5)), np.floor(b + np.float32(0.5))
    return r, g, b


@device_function
def draw_overlay(assets, layers, light, image):
    """All layers over the whole image, in place: what ``overlay_pixel`` does, patch by patch."""
    half = np.float32(0.5)
    for layer in range(NUM_LAYERS):
        patch = layers[layer, 0]
        if patch < 0:
            continue
        top, left = assets.patch_rect[patch, 0] + layers[layer, 1], assets.patch_rect[patch, 1]
        width, first = assets.patch_rect[patch, 3], assets.patch_rect[patch, 4]
        rows = min(assets.patch_rect[patch, 2], image.shape[0] - top)
        for i in range(rows):
            for j in range(width):
                pixel = np.uint32(first + i * width + j)
                if assets.patch_pixels[pixel, 3]:
                    row, column = np.uint32(top + i), np.uint32(left + j)
                    r, g, b = (
                        np.float32(image[row, column, 0]),
                        np.float32(image[row, column, 1]),
                        np.float32(image[row, column, 2]),
                    )
                    r, g, b = blend(assets, pixel, layer, light, r, g, b)
                    image[row, column, 0] = np.uint8(r + half)
                    image[row, column, 1] = np.uint8(g + half)
                    image[row, column, 2] = np.uint8(b + half)
