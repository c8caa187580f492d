"""Mob models as data: boxes with painted faces. A new mob is a list of boxes and a function that paints them.

Unit: texels of 1/16 block. Axes: x to the mob's left, y up, z forward; the origin is between its feet. Boxes have
Minecraft's measures. A side of 11.5 texels is painted with 11 of them.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from minestudio_envs.voxel.blocks import COLOURS
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.state import MOBS, SHEEP

Vector = tuple[float, float, float]
Painter = Callable[[str, int, np.ndarray], np.ndarray]

# How a box moves.
STILL, HEAD, LEG, OPPOSITE_LEG, ARM, OPPOSITE_ARM, ZOMBIE_ARM, BOW_ARM = range(8)
MAX_BOXES = 12

# Models: one for each of MOBS, then the sheep of the other colours, then the shorn one.
SHORN_MODEL = len(MOBS) + len(COLOURS) - 1
NUM_MODELS = SHORN_MODEL + 1
_PI, _ZERO = np.float32(np.pi), np.float32(0)
_ARM_SWING = np.float32(1 / 1.4)  # arms swing less than legs


@device_function
def model_of(kind, variant):
    """The model of a mob; ``variant`` of a sheep: its colour | 16 when shorn."""
    if kind != SHEEP or variant == 0:
        return int(kind)
    return SHORN_MODEL if variant >= 16 else len(MOBS) - 1 + int(variant)


@device_function
def box_angles(moves, swing, head_turn, head_pitch, attacking):
    """(turn about y, turn about x) of a box around its pivot, float32 radians; ``swing``: of the legs."""
    if moves == HEAD:
        return head_turn, head_pitch
    if moves == LEG:
        return _ZERO, swing
    if moves == OPPOSITE_LEG:
        return _ZERO, -swing
    if moves == ARM:
        return _ZERO, -swing * _ARM_SWING
    if moves == OPPOSITE_ARM:
        return _ZERO, swing * _ARM_SWING
    if moves == ZOMBIE_ARM:  # stretched out, higher when it attacks
        return _ZERO, -_PI / np.float32(1.5 if attacking else 2.25)
    if moves == BOW_ARM:
        return (head_turn, head_pitch - _PI / np.float32(2)) if attacking else (_ZERO, swing * _ARM_SWING)
    return _ZERO, _ZERO


class Box(NamedTuple):
    name: str
    low: Vector
    high: Vector
    moves: int = STILL
    pivot: Vector = (0, 0, 0)


# COW


def _cow_legs() -> list[Box]:
    """Legs on one diagonal swing together."""
    legs = []
    for x, z, moves in ((-4, 6, LEG), (4, -7, LEG), (4, 6, OPPOSITE_LEG), (-4, -7, OPPOSITE_LEG)):
        legs.append(Box("leg", (x - 2, 0, z - 2), (x + 2, 12, z + 2), moves, (x, 12, z)))
    return legs


_NECK = (0, 20, 8)
COW = [
    Box("body", (-6, 12, -10), (6, 22, 8)),
    Box("head", (-4, 16, 8), (4, 24, 14), HEAD, _NECK),
    Box("horn", (-5, 22, 11), (-4, 25, 12), HEAD, _NECK),
    Box("horn", (4, 22, 11), (5, 25, 12), HEAD, _NECK),
    Box("udder", (-2, 11, -8), (2, 12, -2)),
    *_cow_legs(),
]

COW_BROWN, COW_WHITE = (68, 53, 38), (190, 186, 180)
COW_PATCHES = [  # centre and radius of the coat's white patches
    *[((-6, 19, 3), 4.2), ((-6, 14, -5), 3.4), ((6, 16, -2), 4.6), ((6, 20, 6), 2.6), ((0, 22, -6), 4.5)],
    *[((3, 22, 4), 2.8), ((-2, 12, 1), 5.0), ((0, 15, 9), 3.2), ((-3, 18, -11), 3.6), ((-4, 8, 5), 2.4)],
    ((4, 9, -8), 2.4),
]


def paint_cow(box: str, face: int, points: np.ndarray) -> np.ndarray:
    """Colours float [h, w, 3] of one face of a box at texel centres ``points`` float [h, w, 3].

    ``face`` is 0-5 for -x, +x, -y, +y, -z, +z; rows run down or forward, columns along x or forward.
    The coat is a function of space, so patches run around edges.
    """
    height, width = points.shape[:2]
    rng = np.random.default_rng(100 + 7 * face + sum(map(ord, box)))
    grain = 1 + 0.16 * (rng.random((height, width, 1)) - 0.5)
    coat = np.empty((height, width, 3))
    coat[:] = {"udder": (222, 150, 142), "horn": (205, 200, 188)}.get(box, COW_BROWN)
    if box in ("body", "leg"):
        for centre, radius in COW_PATCHES:
            distance = np.linalg.norm(points - centre, axis=-1) + rng.uniform(-0.5, 0.5, (height, width))
            coat[distance < radius] = COW_WHITE
    if box == "leg":
        coat[points[..., 1] < 2] = (92, 86, 80)  # hooves
    if box == "head":
        if face == 5:
            coat[0:5, 3:5] = COW_WHITE  # blaze
            coat[5:8, 1:7] = (178, 162, 152)  # muzzle
            coat[6, [2, 5]] = (92, 74, 68)  # nostrils
            coat[7, 2:6] = (128, 108, 100)  # mouth
            coat[3, [0, 7]] = (12, 10, 10)  # eyes
            coat[3, [1, 6]] = (235, 235, 235)
        elif face == 3:
            coat[3:6, 2:6] = COW_WHITE
        elif face < 2:
            coat[5:8, -2:] = (150, 134, 124)  # the muzzle's sides
            coat[3, -1] = (12, 10, 10)
    return coat * grain


def _canvas(box: str, face: int, points: np.ndarray, seed: int, colour, grain: float):
    """(a face of one colour, the grain to multiply it with, the random generator behind it)."""
    height, width = points.shape[:2]
    rng = np.random.default_rng(seed + 7 * face + sum(map(ord, box)))
    coat = np.empty((height, width, 3))
    coat[:] = colour
    return coat, 1 + grain * (rng.random((height, width, 1)) - 0.5), rng


def _between(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (values > low) & (values < high)


def _four_legs(side: float, front: float, back: float, height: float) -> list[Box]:
    """Legs 4 texels thick; those on one diagonal swing together."""
    legs = []
    for x, z, moves in (
        *((-side, front, LEG), (side, back, LEG)),
        *((side, front, OPPOSITE_LEG), (-side, back, OPPOSITE_LEG)),
    ):
        legs.append(Box("leg", (x - 2, 0, z - 2), (x + 2, height, z + 2), moves, (x, height, z)))
    return legs


# PIG

_PIG_NECK = (0, 12, 6)
PIG = [
    Box("body", (-5, 6, -8), (5, 14, 8)),
    Box("head", (-4, 8, 6), (4, 16, 14), HEAD, _PIG_NECK),
    Box("snout", (-2, 9, 14), (2, 12, 15), HEAD, _PIG_NECK),
    *_four_legs(3, 5, -7, 6),
]


def paint_pig(box: str, face: int, points: np.ndarray) -> np.ndarray:
    skin, grain, rng = _canvas(box, face, points, 200, (240, 165, 162), 0.1)
    x, y = points[..., 0], points[..., 1]
    if box == "body":  # darker spots here and there, a paler belly
        skin[rng.random(skin.shape[:2]) < 0.12] = (226, 146, 144)
        skin[y < 8] = (247, 182, 178)
    if box == "leg":
        skin[y < 1.6] = (190, 120, 118)  # trotters
    if box == "head" and face == 5:
        skin[_between(y, 12, 13) & (abs(x) > 3)] = (20, 16, 18)  # eyes
        skin[_between(y, 12, 13) & _between(abs(x), 2, 3)] = (245, 245, 245)
    if box == "snout":
        skin[:] = (228, 138, 140)
        if face == 5:
            skin[_between(y, 10, 11) & (abs(x) > 1)] = (120, 56, 60)  # nostrils
    return skin * grain


# SHEEP

_SHEEP_NECK = (0, 18, 8)
SHORN_SHEEP = [
    Box("skin", (-4, 12, -10), (4, 18, 6)),
    Box("head", (-3, 16, 6), (3, 22, 14), HEAD, _SHEEP_NECK),
    *_four_legs(3, 5, -7, 12),
]
_FUR_LEGS = [
    Box("wool", (leg.low[0] - 0.5, 5.5, leg.low[2] - 0.5), (leg.high[0] + 0.5, 12.5, leg.high[2] + 0.5), *leg[3:])
    for leg in SHORN_SHEEP[2:]
]
SHEEP_BOXES = [
    *SHORN_SHEEP[1:],
    Box("wool", (-5.75, 10.25, -11.75), (5.75, 19.75, 7.75)),
    Box("cap", (-3.6, 15.4, 5.4), (3.6, 22.6, 12.6), HEAD, _SHEEP_NECK),
    *_FUR_LEGS,
]
WOOL_COLOURS = {
    **{"white": (236, 238, 238), "orange": (242, 122, 24), "magenta": (192, 72, 182), "light_blue": (62, 180, 220)},
    **{"yellow": (250, 200, 44), "lime": (116, 190, 28), "pink": (240, 146, 174), "gray": (66, 72, 76)},
    **{"light_gray": (146, 146, 138), "cyan": (24, 140, 146), "purple": (124, 44, 174), "blue": (56, 62, 160)},
    **{"brown": (118, 74, 42), "green": (88, 112, 30), "red": (164, 40, 36), "black": (28, 28, 32)},
}
SHEEP_FACE = (196, 170, 152)


def paint_sheep(box: str, face: int, points: np.ndarray, colour: str = "white") -> np.ndarray:
    if box in ("wool", "cap"):
        wool, grain, rng = _canvas(box, face, points, 300, WOOL_COLOURS[colour], 0.1)
        grain[rng.random(wool.shape[:2]) < 0.22] *= 0.86  # curls
        return wool * grain
    skin, grain, _ = _canvas(box, face, points, 310, SHEEP_FACE, 0.1)
    x, y = points[..., 0], points[..., 1]
    if box == "skin":
        skin[:] = (226, 196, 178)
    if box == "leg":
        skin[y < 2] = (120, 104, 94)  # hooves
    if box == "head" and face == 5:
        skin[_between(y, 19, 20) & (abs(x) > 2)] = (16, 14, 14)  # eyes
        skin[_between(y, 19, 20) & _between(abs(x), 1, 2)] = (244, 244, 244)
        skin[_between(y, 16, 18) & (abs(x) < 1)] = (226, 166, 160)  # nose and mouth
        skin[_between(y, 17, 18) & (abs(x) < 1)] = (160, 106, 102)
    return skin * grain


# CHICKEN

_CHICKEN_NECK = (0, 9, 4)
CHICKEN_BOXES = [
    Box("body", (-3, 5, -4), (3, 11, 4)),
    Box("head", (-2, 9, 3), (2, 15, 6), HEAD, _CHICKEN_NECK),
    Box("beak", (-2, 11, 6), (2, 13, 8), HEAD, _CHICKEN_NECK),
    Box("wattle", (-1, 9, 5), (1, 11, 7), HEAD, _CHICKEN_NECK),
    Box("wing", (-4, 7, -3), (-3, 11, 3)),
    Box("wing", (3, 7, -3), (4, 11, 3)),
    Box("foot", (-2, 0, -1), (-1, 5, 0), LEG, (-1.5, 5, -1)),
    Box("foot", (1, 0, -1), (2, 5, 0), OPPOSITE_LEG, (1.5, 5, -1)),
    Box("foot", (-3, 0, 0), (0, 1, 2), LEG, (-1.5, 5, -1)),
    Box("foot", (0, 0, 0), (3, 1, 2), OPPOSITE_LEG, (1.5, 5, -1)),
]


def paint_chicken(box: str, face: int, points: np.ndarray) -> np.ndarray:
    colours = {"beak": (236, 170, 52), "wattle": (206, 34, 24), "foot": (226, 158, 50)}
    coat, grain, rng = _canvas(box, face, points, 400, colours.get(box, (238, 238, 236)), 0.06)
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    if box == "body":
        coat[rng.random(coat.shape[:2]) < 0.12] = (214, 214, 212)
    if box == "wing":
        coat[:] = (222, 222, 220)
        coat[y < 8] = (178, 178, 178)
    if box == "head":
        coat[_between(y, 13, 14) & (abs(x) > 1) & (z > 5)] = (16, 14, 14)  # eyes, around the edge
    if box == "beak":
        coat[y < 12] = (206, 138, 34)
    return coat * grain


# ZOMBIE AND SKELETON


def _limb(name: str, x: float, side: float, y: float, moves: int, turn: Vector) -> Box:
    """An arm or a leg 12 texels long around (x, 0)."""
    return Box(name, (x - side, y, -side), (x + side, y + 12, side), moves, turn)


ZOMBIE_BOXES = [
    Box("head", (-4, 24, -4), (4, 32, 4), HEAD, (0, 24, 0)),
    Box("body", (-4, 12, -2), (4, 24, 2)),
    _limb("arm", -6, 2, 12, ZOMBIE_ARM, (-5, 22, 0)),
    _limb("arm", 6, 2, 12, ZOMBIE_ARM, (5, 22, 0)),
    _limb("leg", -2, 2, 0, LEG, (-2, 12, 0)),
    _limb("leg", 2, 2, 0, OPPOSITE_LEG, (2, 12, 0)),
]
SKELETON_BOXES = [
    Box("head", (-4, 24, -4), (4, 32, 4), HEAD, (0, 24, 0)),
    Box("ribs", (-4, 17, -2), (4, 24, 2)),
    Box("spine", (-1, 13, -1), (1, 17, 1)),
    Box("hips", (-3, 12, -1), (3, 14, 1)),
    _limb("arm", -5, 1, 12, BOW_ARM, (-5, 22, 0)),
    _limb("arm", 5, 1, 12, BOW_ARM, (5, 22, 0)),
    _limb("leg", -2, 1, 0, LEG, (-2, 12, 0)),
    _limb("leg", 2, 1, 0, OPPOSITE_LEG, (2, 12, 0)),
    # the bow lies across the right hand, so that it stands upright when the arm is raised
    Box("bow", (-5.5, 10, -4), (-4.5, 11, 4), BOW_ARM, (-5, 22, 0)),
    Box("bow", (-5.5, 11, 4), (-4.5, 12, 7), BOW_ARM, (-5, 22, 0)),
    Box("bow", (-5.5, 11, -7), (-4.5, 12, -4), BOW_ARM, (-5, 22, 0)),
]
ZOMBIE_SKIN, ZOMBIE_SHIRT, ZOMBIE_TROUSERS = (86, 132, 68), (22, 144, 146), (70, 62, 158)


def paint_zombie(box: str, face: int, points: np.ndarray) -> np.ndarray:
    skin, grain, rng = _canvas(box, face, points, 500, ZOMBIE_SKIN, 0.18)
    x, y = points[..., 0], points[..., 1]
    spots = rng.random(skin.shape[:2])
    skin[spots < 0.15] = (66, 106, 54)
    if box == "head" and face == 5:
        skin[_between(y, 27, 29) & _between(abs(x), 1, 3)] = (12, 24, 14)  # eyes
        skin[_between(y, 26, 27) & (abs(x) < 1)] = (60, 96, 48)  # nose
        skin[_between(y, 24, 26) & (abs(x) < 2)] = (48, 78, 42)  # mouth
    if box == "body":
        skin[:] = ZOMBIE_SHIRT
        skin[spots > 0.85] = (14, 116, 120)
        skin[y < 13] = ZOMBIE_TROUSERS
        skin[_between(y, 13, 15) & (x > 1) & (spots < 0.7)] = ZOMBIE_SKIN  # torn
    if box == "arm":
        sleeve = y > (19 if face % 2 else 18)
        skin[sleeve] = ZOMBIE_SHIRT
        skin[sleeve & (spots > 0.85)] = (14, 116, 120)
    if box == "leg":
        skin[:] = ZOMBIE_TROUSERS
        skin[spots > 0.85] = (56, 50, 132)
        skin[y < 2] = (84, 84, 88)  # shoes
    return skin * grain


def paint_skeleton(box: str, face: int, points: np.ndarray) -> np.ndarray:
    bone, grain, rng = _canvas(box, face, points, 600, (202, 202, 198), 0.16)
    x, y = points[..., 0], points[..., 1]
    bone[rng.random(bone.shape[:2]) < 0.12] = (168, 168, 164)
    if box == "head" and face == 5:
        bone[_between(y, 27, 29) & _between(abs(x), 1, 3)] = (42, 42, 44)  # eye sockets
        bone[_between(y, 26, 27) & (abs(x) < 1)] = (84, 84, 86)  # nose
        bone[_between(y, 25, 26) & (abs(x) < 3)] = (70, 70, 72)  # mouth
    if box == "ribs" and face != 3:
        gaps = np.floor(y) % 2 == 0
        bone[gaps & ((abs(x) > 1) | (face < 2))] = (64, 64, 66)
    if box == "bow":
        bone[:] = (118, 84, 44)
        bone[abs(points[..., 2]) < 1.5] = (84, 58, 30)  # the grip
    return bone * grain


MODELS: dict[int, tuple[list[Box], Painter]] = {  # by index: see NUM_MODELS
    **{
        MOBS.index(name): model
        for name, model in {
            "cow": (COW, paint_cow),
            "pig": (PIG, paint_pig),
            "sheep": (SHEEP_BOXES, paint_sheep),
            "chicken": (CHICKEN_BOXES, paint_chicken),
            "zombie": (ZOMBIE_BOXES, paint_zombie),
            "skeleton": (SKELETON_BOXES, paint_skeleton),
        }.items()
    },
    **{
        len(MOBS) - 1 + i: (SHEEP_BOXES, partial(paint_sheep, colour=colour))
        for i, colour in enumerate(COLOURS)
        if colour != "white"
    },
    SHORN_MODEL: (SHORN_SHEEP, paint_sheep),
}


class ModelTables(NamedTuple):
    box: np.ndarray  # float32 [NUM_MODELS, MAX_BOXES, 9]: low, high, pivot
    moves: np.ndarray  # int32 [NUM_MODELS, MAX_BOXES]
    count: np.ndarray  # int32 [NUM_MODELS]
    skin_start: np.ndarray  # int32 [NUM_MODELS, MAX_BOXES, 6]: first texel of each face
    skin: np.ndarray  # int32 [texels]: r | g << 8 | b << 16


def face_points(low: np.ndarray, high: np.ndarray, face: int) -> np.ndarray:
    """Texel centres of a box's face in space: float [h, w, 3], rows and columns as in ``paint_cow``."""
    axis = face // 2
    across, down = [(2, 1), (0, 2), (0, 1)][axis]
    size = (high - low).astype(int)
    points = np.empty((size[down], size[across], 3))
    points[..., axis] = (low, high)[face % 2][axis]
    points[..., across] = low[across] + 0.5 + np.arange(size[across])
    steps = np.arange(size[down])[:, None]
    points[..., down] = high[down] - 0.5 - steps if down == 1 else low[down] + 0.5 + steps
    return points


def build_models(variants: bool = False) -> ModelTables:
    """The tables of the models of MOBS, or (``variants``) of all NUM_MODELS."""
    kinds = NUM_MODELS if variants else len(MOBS)
    box, moves = np.zeros((kinds, MAX_BOXES, 9), np.float32), np.zeros((kinds, MAX_BOXES), np.int32)
    count, skin_start = np.zeros(kinds, np.int32), np.zeros((kinds, MAX_BOXES, 6), np.int32)
    skin: list[np.ndarray] = []
    total = 0
    for kind, (boxes, paint) in list(MODELS.items())[: kinds - 1]:
        count[kind] = len(boxes)
        for i, part in enumerate(boxes):
            box[kind, i] = (*part.low, *part.high, *part.pivot)
            moves[kind, i] = part.moves
            for face in range(6):
                points = face_points(np.array(part.low, float), np.array(part.high, float), face)
                colours = np.clip(np.rint(paint(part.name, face, points)), 0, 255).astype(np.int32)
                skin_start[kind, i, face] = total
                skin.append((colours @ np.array([1, 1 << 8, 1 << 16], np.int32)).ravel())
                total += skin[-1].size
    return ModelTables(box, moves, count, skin_start, np.concatenate(skin).astype(np.int32))
