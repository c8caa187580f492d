"""Mob models as data: boxes with painted faces. A new mob is a list of boxes and a function that paints them.

Unit: texels of 1/16 block. Axes: x to the mob's left, y up, z forward; the origin is between its feet.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minestudio_envs.voxel.state import MOBS

Vector = tuple[float, float, float]

STILL, HEAD, LEG, OPPOSITE_LEG = range(4)  # how a box moves
MAX_BOXES = 10


class Box(NamedTuple):
    name: str
    low: Vector
    high: Vector
    moves: int = STILL
    pivot: Vector = (0, 0, 0)


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


MODELS: dict[str, tuple[list[Box], Callable[[str, int, np.ndarray], np.ndarray]]] = {"cow": (COW, paint_cow)}


class ModelTables(NamedTuple):
    box: np.ndarray  # float32 [len(MOBS), MAX_BOXES, 9]: low, high, pivot
    moves: np.ndarray  # int32 [len(MOBS), MAX_BOXES]
    count: np.ndarray  # int32 [len(MOBS)]
    skin_start: np.ndarray  # int32 [len(MOBS), MAX_BOXES, 6]: first texel of each face
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


def build_models() -> ModelTables:
    kinds = len(MOBS)
    box, moves = np.zeros((kinds, MAX_BOXES, 9), np.float32), np.zeros((kinds, MAX_BOXES), np.int32)
    count, skin_start = np.zeros(kinds, np.int32), np.zeros((kinds, MAX_BOXES, 6), np.int32)
    skin: list[np.ndarray] = []
    total = 0
    for name, (boxes, paint) in MODELS.items():
        kind = MOBS.index(name)
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
