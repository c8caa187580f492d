"""The picture a player sees: ``render(state, assets, n, image)`` draws environment ``n`` into a uint8 image.

A ray is followed through the columns of the world: the small map of column heights says whether it can hit anything
there, and only then voxels are read. What one ray sees is ``render_pixel``, for a kernel with a thread per pixel.
``render`` gives the same picture faster: it follows the rays at the corners of small cells of pixels, and where all
four see the same plane of blocks, near enough that nothing can hide between them, it only looks up the blocks that
the other pixels see on that plane. Where they see several, each pixel tries the nearest of these, and traces its own
ray where there is no face. What is seen through (plants, torches, glass) and what moves (mobs, items, arrows)
is drawn last, block by block and box by box, inside its outline on the screen.

Frames of reference: the origin is the player's block column, (floor(x), 0, floor(z)), so that float32 is enough
wherever the player is. A ray's direction d has length 1 along the view, so its parameter t is depth.
Light, sky and sun follow Minecraft 1.16.5 (light map at gamma 2, face shading, ambient occlusion, linear fog): the
light of a face is that of the cell in front of it, smooth near by.
"""

import numpy as np
from numba import njit

from minestudio_envs.voxel import hud
from minestudio_envs.voxel.block_rays import (
    FACES_KNOWN,
    block_colour,
    cell_light,
    face_colour,
    face_depth,
    face_light,
    face_look,
    known_corners,
    solid,
    trace,
    world_pixel,
)
from minestudio_envs.voxel.blocks import AIR
from minestudio_envs.voxel.cutouts import CUT_RECT, CUT_SIZE, MAX_CUTOUTS, cutout_pixel, cutout_texels, make_cutouts
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.marks import MARK_RECT, MARK_SIZE, make_marks, mark_pixel
from minestudio_envs.voxel.parts import make_held_part, make_item_parts, make_mob_parts, part_pixel
from minestudio_envs.voxel.view import (
    FAR,
    HALF,
    ONE,
    PART_RECT,
    PART_SIZE,
    PARTS_PER_MOB,
    SKY,
    SKYLIGHT,
    TAN_H,
    TAN_V,
    TILE,
    TWO,
    ZERO,
    F,
    build_assets,
    make_frame,
    make_world,
    ray_direction,
    sky_colour,
)

__all__ = ["build_assets", "render", "render_by_pixel", "render_pixel"]

CELL = 8  # pixels between the rays that are traced first
BEARINGS = 64  # directions of the horizon; a power of two
PLANES = 1024  # room for the planes of one face
UNKNOWN, PENDING = -2, -3  # a pixel whose ray was not traced, and one that waits for it


@device_function
def make_tiles(height, tiles):
    """Fill ``tiles`` uint8 [S / TILE, S / TILE] with the highest column of each tile -> the highest of all, float32."""
    top = np.uint8(0)
    for i in range(tiles.shape[0]):
        for j in range(tiles.shape[1]):
            tiles[i, j] = tile_top(height, i, j)
            top = max(top, tiles[i, j])
    return F(top)


@device_function
def tile_top(height, i, j):
    """The highest column of a tile."""
    highest = np.uint8(0)
    for x in range(TILE):
        for z in range(TILE):
            highest = max(highest, height[np.uint32(i * TILE + x), np.uint32(j * TILE + z)])
    return highest


@device_function
def held_pixel(assets, frame, held, shift, rows, columns, row, column, r, g, b):
    """Draw what the hand holds over a pixel of a picture of rows x columns -> (r, g, b)."""
    x = ((F(column) + HALF) / F(columns) * TWO - ONE) * TAN_H
    y = (ONE - (F(row) - shift + HALF) / F(rows) * TWO) * TAN_V
    r, g, b, _ = part_pixel(assets, frame, held, x, y, ONE, r, g, b, FAR)
    return np.floor(r + HALF), np.floor(g + HALF), np.floor(b + HALF)


@device_function
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


@device_function
def most_parts(state):
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
        if inside(cuts[c], CUT_RECT, row, column):
            texels = cutout_texels(world.voxels, assets, frame, cuts[c], dx, dy, dz, depth)
            r, g, b, depth = cutout_pixel(frame, cuts[c], texels, dx, dy, dz, r, g, b, depth)
    for p in range(num_parts):
        if inside(parts[p], PART_RECT, row, column):
            r, g, b, depth = part_pixel(assets, frame, parts[p], dx, dy, dz, r, g, b, depth)
    r, g, b = near_pixel(assets, frame, marks, num_marks, held, shift, rows, columns, row, column, r, g, b, depth)
    return hud.overlay_pixel(assets, ops, row, column, rows, columns, r, g, b)


@device_function
def inside(table, rect, row, column):
    """Whether a pixel is in the rectangle that begins at table[rect]: rows from, to, columns from, to."""
    return table[rect] <= row < table[rect + 1] and table[rect + 2] <= column < table[rect + 3]


@device_function
def near_pixel(assets, frame, marks, num_marks, held, shift, rows, columns, row, column, r, g, b, depth):
    """Marks, rain and what is held over a pixel that shows the world -> (r, g, b)."""
    dx, dy, dz = ray_direction(frame, row, column)
    r, g, b = np.floor(r + HALF), np.floor(g + HALF), np.floor(b + HALF)
    for m in range(num_marks):
        if inside(marks[m], MARK_RECT, row, column):
            r, g, b = mark_pixel(assets, frame, marks[m], F(640) / F(columns), dx, dy, dz, r, g, b, depth)
    if frame.rain > ZERO:
        r, g, b = rain_pixel(frame, row, column, columns, dx, dy, dz, r, g, b, depth)
    if inside(held, PART_RECT, row, column):
        r, g, b = held_pixel(assets, frame, held, shift, rows, columns, row, column, r, g, b)
    return r, g, b


@njit(error_model="numpy")
def render_by_pixel(state, assets, n, image):
    """``render``, ray by ray: slow, and what the fast one is tested against."""
    rows, columns = image.shape[0], image.shape[1]
    tiles = np.empty((state.height.shape[1] // TILE, state.height.shape[1] // TILE), np.uint8)
    frame = make_frame(state, assets, n, rows, columns, make_tiles(state.height[n], tiles))
    world = make_world(state, assets, n, frame, tiles)
    parts = np.empty((most_parts(state), PART_SIZE), np.float32)
    num_parts = make_mob_parts(state, assets, world, n, frame, rows, columns, parts)
    num_parts = make_item_parts(state, assets, world, n, frame, rows, columns, parts, num_parts)
    cuts = np.empty((MAX_CUTOUTS, CUT_SIZE), np.float32)
    num_cuts = make_cutouts(world, assets, frame, rows, columns, cuts, None, None)
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


@device_function
def write_pixel(image, row, column, r, g, b):
    row, column = np.uint32(row), np.uint32(column)
    image[row, column, 0] = np.uint8(np.int32(r + HALF))
    image[row, column, 1] = np.uint8(np.int32(g + HALF))
    image[row, column, 2] = np.uint8(np.int32(b + HALF))


@device_function
def _trace_pixels(world, assets, frame, known, pixels, starts, count, image, planes, depths):
    """Trace and draw the first ``count`` of ``pixels`` (row * columns + column) and note the plane each one sees.

    Nothing is nearer than ``starts``. A plane is PLANES * face + its place, or SKY.
    """
    columns = image.shape[1]
    mask = world.height.shape[0] - 1
    keys, values = known
    corners = (ONE, ONE, ONE, ONE)
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
            light = face_light(world, frame, face, x, y, z)
            if t < frame.occlusion:
                corners = known_corners(world, frame, face, x, y, z, light, keys, values)
            r, g, b = block_colour(assets, world, frame, block, face, x, y, z, dx, dy, dz, t, light, corners)
            plane = face * PLANES + (x if face < 2 else (y if face < 4 else z)) + PLANES // 2
        write_pixel(image, row, column, r, g, b)
        planes[np.uint32(row), np.uint32(column)] = plane
        depths[np.uint32(row), np.uint32(column)] = t


@device_function
def _axes(frame, face):
    """The coordinates across a face and along its axes (see corner_light), as rows of 3: eye and rays.

    A ray's direction along a row is first + row * down + column * across.
    """
    x = (frame.ex, frame.fx, frame.rx, frame.cx)
    y = (frame.ey, frame.fy, frame.ry, frame.cy)
    z = (frame.ez, frame.fz, frame.rz, frame.cz)
    if face < 2:
        return x, z, y
    if face < 4:
        return y, x, z
    return z, x, y


@device_function
def _bare_face(world, frame, face, place, a, b):
    """The block with a bare face at (a, b) along the face's axes -> (block or AIR, x, y, z, light)."""
    voxels = world.voxels
    mask = voxels.shape[0] - 1
    out = 2 * (face & 1) - 1
    x, y, z = place, b, a
    out_x, out_y, out_z = out, 0, 0
    if face >= 4:
        x, y, z = a, b, place
        out_x, out_z = 0, out
    elif face >= 2:
        x, y, z = a, place, b
        out_x, out_y = 0, out
    block, light = np.uint8(AIR), np.uint32(SKYLIGHT)
    if 0 <= y < voxels.shape[2] and solid(voxels, frame, x + out_x, y + out_y, z + out_z) == 0:
        block = voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)]
        if block < frame.first:
            block = np.uint8(AIR)
        light = cell_light(world, frame, x + out_x, y + out_y, z + out_z)
    return block, x, y, z, light


@device_function
def _plane_depth(frame, plane, dx, dy, dz):
    """Depth at which a ray meets a plane."""
    face = plane // PLANES
    place = plane - face * PLANES - PLANES // 2
    return face_depth(frame, face, place, place, place, dx, dy, dz)


@device_function
def _along(frame, face, t, dx, dy, dz):
    """The block that a ray is at in depth t, along a face's axes."""
    x, y, z = frame.ex + dx * t, frame.ey + dy * t, frame.ez + dz * t
    a, b = (z if face < 2 else x), (z if 2 <= face < 4 else y)
    return np.int64(np.floor(a)), np.int64(np.floor(b))


@device_function
def _fill_plane(world, assets, frame, known, top, left, size, image, planes, depths, pixels, starts, failed):
    """Draw a cell whose corners all see one plane of blocks -> how many pixels have failed by now."""
    rows, columns = image.shape[0], image.shape[1]
    keys, values = known
    plane = planes[np.uint32(top), np.uint32(left)]
    face = plane // PLANES
    place = plane - face * PLANES - PLANES // 2
    (en, n0, nr, nc), (eu, u0, ur, uc), (ev, v0, vr, vc) = _axes(frame, face)
    gap = F(place + (face & 1)) - en
    last_a = last_b = np.int64(1 << 40)
    block, x, y, z, light = np.uint8(AIR), place, place, place, np.uint32(0)
    look, corners, lit = (np.int32(0), ONE, ONE, ONE), (ONE, ONE, ONE, ONE), False
    for row in range(top, min(top + size, rows)):
        for column in range(left, min(left + size, columns)):
            if planes[np.uint32(row), np.uint32(column)] != UNKNOWN:
                continue
            i, j = F(row), F(column)
            normal, du, dv = n0 + i * nr + j * nc, u0 + i * ur + j * uc, v0 + i * vr + j * vc
            t = gap / normal
            pu, pv = eu + du * t, ev + dv * t
            fa, fb = np.floor(pu), np.floor(pv)
            a, b = np.int64(fa), np.int64(fb)
            if a != last_a or b != last_b:
                last_a, last_b, lit = a, b, False
                block, x, y, z, light = _bare_face(world, frame, face, place, a, b)
                if block != AIR:
                    look = face_look(assets, world, frame, block, face, x, y, z, light)
            if block == AIR:
                planes[np.uint32(row), np.uint32(column)] = PENDING
                pixels[np.uint32(failed)], starts[np.uint32(failed)] = row * columns + column, ZERO
                failed += 1
                continue
            if not lit and t < frame.occlusion:
                corners, lit = known_corners(world, frame, face, x, y, z, light, keys, values), True
            dx, dy, dz = ray_direction(frame, row, column)
            red, green, blue = face_colour(
                assets, world, frame, block, face, x, y, z, look, corners, pu - fa, pv - fb, normal, dx, dy, dz, t
            )
            write_pixel(image, row, column, red, green, blue)
            depths[np.uint32(row), np.uint32(column)] = t
    return failed


@device_function
def _fill_mixed(world, assets, frame, known, cells, count, size, image, planes, depths, pixels, starts, queued):
    """Draw cells whose corners see more than one plane -> how many pixels are queued by now.

    A pixel sees the first of these planes if there is a bare face where its ray meets it; else its ray is traced.
    """
    rows, columns = image.shape[0], image.shape[1]
    keys, values = known
    corners = (ONE, ONE, ONE, ONE)
    for c in range(count):
        top = cells[np.uint32(c)] // columns
        left = cells[np.uint32(c)] - top * columns
        bottom, right = min(top + size, rows - 1), min(left + size, columns - 1)
        seen = (planes[top, left], planes[top, right], planes[bottom, left], planes[bottom, right])
        first = min(min(depths[top, left], depths[top, right]), min(depths[bottom, left], depths[bottom, right]))
        for row in range(top, min(top + size, rows)):
            for column in range(left, min(left + size, columns)):
                if planes[np.uint32(row), np.uint32(column)] != UNKNOWN:
                    continue
                dx, dy, dz = ray_direction(frame, row, column)
                t, plane = FAR, SKY
                for k in range(4):
                    if seen[k] != SKY:
                        met = _plane_depth(frame, seen[k], dx, dy, dz)
                        if ZERO < met < t:
                            t, plane = met, seen[k]
                face = plane // PLANES
                place = plane - face * PLANES - PLANES // 2
                along = _along(frame, face, t, dx, dy, dz)
                block, x, y, z, light = _bare_face(world, frame, face, place, along[0], along[1])
                if plane == SKY or block == AIR:
                    queued = _queue(planes, row, column, F(0.9) * first - F(0.7), pixels, starts, queued)
                    continue
                if t < frame.occlusion:
                    corners = known_corners(world, frame, face, x, y, z, light, keys, values)
                r, g, b = block_colour(assets, world, frame, block, face, x, y, z, dx, dy, dz, t, light, corners)
                write_pixel(image, row, column, r, g, b)
                depths[np.uint32(row), np.uint32(column)] = t
    return queued


@device_function
def _fill_sky(assets, frame, top, left, size, image, planes, depths):
    """Draw a cell whose corners all see the sky."""
    for row in range(top, min(top + size, image.shape[0])):
        for column in range(left, min(left + size, image.shape[1])):
            if planes[np.uint32(row), np.uint32(column)] == UNKNOWN:
                r, g, b = sky_colour(assets, frame, *ray_direction(frame, row, column))
                write_pixel(image, row, column, r, g, b)
                depths[np.uint32(row), np.uint32(column)] = FAR


@device_function
def _fill_cells(world, assets, frame, known, cells, count, size, image, planes, depths, pixels, starts):
    """Draw cells whose corners all see one plane -> how many ``pixels`` see another, undrawn."""
    columns = image.shape[1]
    failed = 0
    for c in range(count):
        top = cells[np.uint32(c)] // columns
        left = cells[np.uint32(c)] - top * columns
        if planes[np.uint32(top), np.uint32(left)] == SKY:
            _fill_sky(assets, frame, top, left, size, image, planes, depths)
        else:
            failed = _fill_plane(
                world, assets, frame, known, top, left, size, image, planes, depths, pixels, starts, failed
            )
    return failed


@device_function
def _queue(planes, row, column, start, pixels, starts, count):
    """Add a pixel to the list of those to trace, unless it was."""
    if planes[row, column] == UNKNOWN:
        planes[row, column] = PENDING
        pixels[count], starts[count] = row * planes.shape[1] + column, start
        count += 1
    return count


@device_function
def _bearing(dx, dz):
    """A direction's place on the circle, 0-4: cheaper than its angle, and in the same order."""
    along = dz / (abs(dx) + abs(dz) + F(1e-12))
    return ONE + along if dx > ZERO else F(3) - along


@device_function
def make_horizon(frame, tiles, beyond, horizon):
    """Fill ``horizon`` float32 [BEARINGS] with the slope to the highest that stands farther than ``beyond`` there."""
    mask, reach = TILE * tiles.shape[0] - 1, TILE * tiles.shape[0] // 2
    for bearing in range(BEARINGS):
        horizon[bearing] = ZERO
    half = F(TILE) * F(0.71)  # of a tile's diagonal
    first_x, first_z = (frame.ox - reach) & (TILE - 1), (frame.oz - reach) & (TILE - 1)
    for tile_x in range(-reach - first_x, reach, TILE):
        for tile_z in range(-reach - first_z, reach, TILE):
            i, j = np.uint32(((frame.ox + tile_x) & mask) // TILE), np.uint32(((frame.oz + tile_z) & mask) // TILE)
            rise = F(tiles[i, j]) - frame.ey
            x, z = F(tile_x + TILE // 2) - frame.ex, F(tile_z + TILE // 2) - frame.ez
            distance = np.sqrt(x * x + z * z)
            if rise <= ZERO or distance + half < beyond:
                continue
            slope, middle = rise / max(distance - half, beyond), _bearing(x, z)
            width = F(1.3) * half / max(distance, half)
            for bearing in range(
                np.int64(np.floor((middle - width) * F(BEARINGS / 4))),
                np.int64(np.floor((middle + width) * F(BEARINGS / 4))) + 1,
            ):
                k = np.uint32(bearing & (BEARINGS - 1))
                horizon[k] = max(horizon[k], slope)


@device_function
def _above_horizon(frame, horizon, top, bottom, left, right):
    """Whether a cell shows only what is above ``horizon``."""
    slope, first, last, start = FAR, ZERO, ZERO, ZERO
    for corner in range(4):
        row, column = (bottom if corner & 1 else top), (right if corner & 2 else left)
        dx, dy, dz = ray_direction(frame, row, column)
        slope = min(slope, dy / np.sqrt(dx * dx + dz * dz + F(1e-12)))
        bearing = _bearing(dx, dz)
        if corner == 0:
            start = bearing
        gap = bearing - start
        gap -= F(4) * np.floor(gap * F(0.25) + HALF)
        first, last = min(first, gap), max(last, gap)
    if slope <= ZERO or last - first > ONE:
        return False
    for bearing in range(
        np.int64(np.floor((start + first) * F(BEARINGS / 4))), np.int64(np.floor((start + last) * F(BEARINGS / 4))) + 1
    ):
        if horizon[np.uint32(bearing & (BEARINGS - 1))] >= slope:
            return False
    return True


PLAIN, MIXED, ROUGH = range(3)


@device_function
def _judge(frame, horizon, planes, depths, top, bottom, left, right, near):
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
    if sky and kind != ROUGH and not _above_horizon(frame, horizon, top, bottom, left, right):
        kind = ROUGH
    return kind, F(0.9) * first - F(0.7)


@device_function
def _sort_cells(frame, horizon, cells, count, size, near, planes, depths, plain, mixed, pixels, starts):
    """Split cells into plain ones, mixed ones and, in place, rough ones, whose pixels are queued.

    -> (plain cells, mixed cells, rough cells, pixels queued)
    """
    rows, columns = planes.shape
    num_plain = num_mixed = num_rough = queued = 0
    for c in range(count):
        top = cells[c] // columns
        left = cells[c] - top * columns
        bottom, right = min(top + size, rows - 1), min(left + size, columns - 1)
        kind, start = _judge(frame, horizon, planes, depths, top, bottom, left, right, near)
        if kind == PLAIN:
            plain[num_plain] = cells[c]
            num_plain += 1
        elif kind == MIXED and size <= CELL // 2:
            mixed[num_mixed] = cells[c]
            num_mixed += 1
        elif size == 2:
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
    return num_plain, num_mixed, num_rough, queued


@device_function(nrt=True)
def draw_world(world, assets, frame, image, depths):
    """Sky and blocks into ``image``, their depths into ``depths`` float32 [rows, columns]."""
    rows, columns = image.shape[0], image.shape[1]
    planes = np.full((rows, columns), UNKNOWN, np.int32)
    pixels, starts = np.empty(rows * columns, np.int32), np.empty(rows * columns, np.float32)  # to be traced
    cells = np.empty((rows // 2 + 1) * (columns // 2 + 1), np.int32)  # by their first pixel
    plain, mixed, failed = np.empty_like(cells), np.empty_like(cells), np.empty(rows * columns, np.int32)
    failed_starts = np.empty(rows * columns, np.float32)
    known = np.full(FACES_KNOWN, -1, np.int64), np.empty((FACES_KNOWN, 4), np.float32)
    horizon = np.empty(BEARINGS, np.float32)
    queued = num_cells = 0
    for row in range(0, rows + CELL - 1, CELL):
        for column in range(0, columns + CELL - 1, CELL):
            queued = _queue(planes, min(row, rows - 1), min(column, columns - 1), ZERO, pixels, starts, queued)
            if row < rows and column < columns:
                cells[num_cells] = row * columns + column
                num_cells += 1
    size = CELL
    while True:
        _trace_pixels(world, assets, frame, known, pixels, starts, queued, image, planes, depths)
        if size == 1:
            break
        # A block nearer than this is as wide as a cell, so that none hides between a cell's corners.
        near = F(columns) / (TWO * TAN_H * F(size))
        make_horizon(frame, world.tiles, F(3) * near, horizon)  # hills and crowns rise there, 3 blocks wide
        num_plain, num_mixed, num_rough, queued = _sort_cells(
            frame, horizon, cells, num_cells, size, near, planes, depths, plain, mixed, pixels, starts
        )
        queued = _fill_mixed(
            world, assets, frame, known, mixed, num_mixed, size, image, planes, depths, pixels, starts, queued
        )
        num_failed = _fill_cells(
            world, assets, frame, known, plain, num_plain, size, image, planes, depths, failed, failed_starts
        )
        _trace_pixels(world, assets, frame, known, failed, failed_starts, num_failed, image, planes, depths)
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
                write_pixel(image, row, column, r, g, b)


@device_function
def draw_held(assets, frame, held, shift, image):
    """What the hand holds into ``image``."""
    for row in range(np.int32(held[PART_RECT]), min(np.int32(held[PART_RECT + 1]), image.shape[0])):
        for column in range(np.int32(held[PART_RECT + 2]), np.int32(held[PART_RECT + 3])):
            i, j = np.uint32(row), np.uint32(column)
            r, g, b = F(image[i, j, 0]), F(image[i, j, 1]), F(image[i, j, 2])
            r, g, b = held_pixel(assets, frame, held, shift, image.shape[0], image.shape[1], row, column, r, g, b)
            write_pixel(image, row, column, r, g, b)


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


@device_function(nrt=True)
def render(state, assets, n, image):
    """Draw environment ``n`` into ``image`` uint8 [height, width, 3] (RGB, row 0 on top), all of it, in place."""
    rows, columns = image.shape[0], image.shape[1]
    tiles = np.empty((state.height.shape[1] // TILE, state.height.shape[1] // TILE), np.uint8)
    frame = make_frame(state, assets, n, rows, columns, make_tiles(state.height[n], tiles))
    world = make_world(state, assets, n, frame, tiles)
    depths = np.empty((rows, columns), np.float32)
    draw_world(world, assets, frame, image, depths)
    make_cutouts(world, assets, frame, rows, columns, np.empty((1, CUT_SIZE), np.float32), image, depths)
    parts = np.empty((most_parts(state), PART_SIZE), np.float32)
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
