"""The shapes of the blocks that are seen through, for the renderer.

``BLOCK_BOX`` float32 [blocks, 9]: a box in texels (1/16 block) from the block's lowest corner (low x, y, z, high x, y,
z), how far it leans along x and z per block of height, and the kind of shape. A box shows its textures as a full cube
would, cut off; that of a cross is around what is drawn of it. ``OUTLINE_BOX`` float32 [blocks, 6]: what the crosshair
meets and the thin outline surrounds, in blocks.
"""

import numpy as np

from minestudio_envs.voxel import textures
from minestudio_envs.voxel.blocks import BLOCK_ID, BLOCKS, CROSSES, FIRST_OPAQUE, NUM_BLOCKS

CROSS, STILL_CROSS, BOX = 1, 2, 3  # 0 is none; a cross stands a little off its block's middle, a still one does not
BOX_COLUMNS, BOX_LEAN, BOX_SHAPE = 9, 6, 8

_TOWARDS_WALL = {"north": (0, 1), "south": (0, -1), "west": (1, 0), "east": (-1, 0)}  # from a block that faces there


def _block_boxes() -> np.ndarray:
    boxes = np.zeros((NUM_BLOCKS, BOX_COLUMNS), np.float32)
    for name in CROSSES:
        still = name in ("sugar_cane", "cobweb") or name.endswith("_sapling")
        drawn = textures.texture(textures.BLOCK_FACES[name][0])[..., 3] > 0
        columns, top = np.flatnonzero(drawn.any(0)), np.flatnonzero(drawn.any(1))[0]
        low, high = columns[0], columns[-1] + 1
        boxes[BLOCK_ID[name]] = (low, 0, low, high, 16 - top, high, 0, 0, STILL_CROSS if still else CROSS)
    upright = {
        "torch": (7, 0, 7, 9, 10, 9),
        "cactus": (1, 0, 1, 15, 16, 15),
        "glass": (0, 0, 0, 16, 16, 16),
        "chest": (1, 0, 1, 15, 14, 15),
        "lily_pad": (0, 0.2, 0, 16, 0.25, 16),
        "snow": (0, 0, 0, 16, 2, 16),
    }
    for name, box in upright.items():
        boxes[BLOCK_ID[name]] = (*box, 0, 0, BOX)
    for facing, (x, z) in _TOWARDS_WALL.items():
        # A torch on a wall stands 3 texels up with its foot against the wall, and leans away from it.
        low, foot = 7.0, 5.6 + 3 / 16 * 6.4
        torch = boxes[BLOCK_ID[f"wall_torch[facing={facing}]"]]
        torch[:] = (
            low + foot * x,
            3,
            low + foot * z,
            low + 2 + foot * x,
            13,
            low + 2 + foot * z,
            *(-6.4 * k for k in (x, z)),
            BOX,
        )
        for name, off in (("ladder", 15.0), ("vine", 15.0)):
            low_x, high_x = (0, 16) if x == 0 else ((off, off + 0.05) if x > 0 else (16 - off - 0.05, 16 - off))
            low_z, high_z = (0, 16) if z == 0 else ((off, off + 0.05) if z > 0 else (16 - off - 0.05, 16 - off))
            boxes[BLOCK_ID[f"{name}[facing={facing}]"]] = (low_x, 0, low_z, high_x, 16, high_z, 0, 0, BOX)
    return boxes


def _outline_boxes() -> np.ndarray:
    boxes = np.zeros((NUM_BLOCKS, 6), np.float32)
    boxes[FIRST_OPAQUE:, 3:] = 1
    for name in CROSSES:
        boxes[BLOCK_ID[name]] = (0.125, 0, 0.125, 0.875, 0.8125, 0.875)
    for name in ("brown_mushroom", "red_mushroom"):
        boxes[BLOCK_ID[name]] = (0.3125, 0, 0.3125, 0.6875, 0.375, 0.6875)
    for name in BLOCKS:
        if name == "cobweb" or name.startswith(("tall_grass", "large_fern")):
            boxes[BLOCK_ID[name]] = (0, 0, 0, 1, 1, 1)
    for block in range(NUM_BLOCKS):
        if BLOCK_BOX[block, BOX_SHAPE] == BOX:
            box = BLOCK_BOX[block].copy()
            if box[BOX_LEAN] or box[BOX_LEAN + 1]:  # around all of a leaning torch
                box[[0, 3]] += np.sort([0, box[BOX_LEAN] * 10 / 16])
                box[[2, 5]] += np.sort([0, box[BOX_LEAN + 1] * 10 / 16])
            boxes[block] = np.clip(box[:6] / 16, 0, 1)
            for axis in (0, 2):  # a ladder and a vine are thicker to the touch
                if boxes[block, 3 + axis] - boxes[block, axis] < 0.01:
                    boxes[block, [axis, 3 + axis]] = (0.8125, 1) if boxes[block, axis] > 0.5 else (0, 0.1875)
    return boxes


BLOCK_BOX = _block_boxes()
OUTLINE_BOX = _outline_boxes()
