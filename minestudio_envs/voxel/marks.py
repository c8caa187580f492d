"""Drawing on the block under the crosshair: its outline, and the cracks of digging."""

import numpy as np

from minestudio_envs.voxel.blocks import AIR, FIRST_LIQUID, FIRST_OPAQUE
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.view import FAR, HALF, NEAR, ONE, ZERO, F, outline, to_camera

REACH = F(4.5)  # of the crosshair


MARK_X, MARK_Y, MARK_Z, MARK_STAGE, MARK_LOW, MARK_HIGH, MARK_RECT, MARK_OUTLINED, MARK_SIZE = (
    *(0, 1, 2, 3, 4, 7, 10, 14, 15),
)


@device_function
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


@device_function
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
            to_camera(
                frame,
                mark[MARK_X] + mark[MARK_LOW],
                mark[MARK_Y] + mark[MARK_LOW + 1],
                mark[MARK_Z] + mark[MARK_LOW + 2],
            ),
            to_camera(frame, mark[MARK_HIGH] - mark[MARK_LOW], ZERO, ZERO),
            to_camera(frame, ZERO, mark[MARK_HIGH + 1] - mark[MARK_LOW + 1], ZERO),
            to_camera(frame, ZERO, ZERO, mark[MARK_HIGH + 2] - mark[MARK_LOW + 2]),
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
