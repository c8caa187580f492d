"""Drawing the blocks that are seen through: plants as crossed squares, torches, glass, ladders, ... (shapes.py)."""

import numpy as np

from minestudio_envs.voxel import shapes
from minestudio_envs.voxel.block_rays import cell_light, mip_start, texel_at
from minestudio_envs.voxel.blocks import BLOCK_ID
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.state import WORD
from minestudio_envs.voxel.view import (
    HALF,
    MIP_SCALE,
    NEAR,
    ONE,
    TAN_H,
    TAN_V,
    TILE,
    ZERO,
    F,
    horizon_colour,
    outline,
    ray_direction,
    to_camera,
)

# Columns of the table of cutouts: place of the block's lowest corner, relative to the eye, and what it looks like.
CUT_X, CUT_Y, CUT_Z, CUT_BLOCK, CUT_RECT, CUT_LIGHT, CUT_FOG, CUT_FADE = 0, 1, 2, 3, 4, 8, 11, 12
CUT_I, CUT_J, CUT_K, CUT_BIOME, CUT_LEVEL, CUT_SIZE = 13, 14, 15, 16, 17, 18
MAX_CUTOUTS = 16384  # of the picture drawn ray by ray
GLASS = BLOCK_ID["glass"]


@device_function
def mip_level(t, length2):
    """Of something at depth t that faces the eye."""
    footprint = t * length2 * MIP_SCALE
    return (
        np.int32(footprint > ONE) + np.int32(footprint > F(2)) + np.int32(footprint > F(4)) + np.int32(footprint > F(8))
    )


@device_function
def make_cutout(world, assets, frame, rows, columns, x, y, z, block, cut):
    """Fill ``cut`` float32 [CUT_SIZE] with how a cutout at (x, y, z) is drawn -> whether it may be seen."""
    bx, by, bz = F(x) - frame.ex, F(y) - frame.ey, F(z) - frame.ez
    mx, my, mz = bx + HALF, by + HALF, bz + HALF
    across, up, depth = to_camera(frame, mx, my, mz)
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
        to_camera(frame, bx + low_x, by + low_y, bz + low_z),
        to_camera(frame, size_x, ZERO, ZERO),
        to_camera(frame, lean_x * size_y, size_y, lean_z * size_y),
        to_camera(frame, ZERO, ZERO, size_z),
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
    depth = max(depth, NEAR)
    cut[CUT_LEVEL] = F(mip_level(depth, distance * distance / (depth * depth)))
    return True


@device_function
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


@device_function
def _visible(texel):
    return texel if texel >> 24 > 12 else np.int32(0)


@device_function
def plant_of(assets, cut):
    """What of a plant all rays need: x - z, x + z + 1, x, y of its corner, its texture, where its mip level begins in
    it, and the texels along that."""
    texture = assets.block_texture[np.int32(cut[CUT_BLOCK]), 3]
    if texture >= assets.first_tinted:
        texture += np.int32(cut[CUT_BIOME])
    x, z, level = cut[CUT_X], cut[CUT_Z], np.int32(cut[CUT_LEVEL])
    return x - z, x + z + ONE, x + F(0.05), cut[CUT_Y], texture, mip_start(level), np.int32(16) >> level


@device_function
def _plane_texel(assets, plant, t, dx, dy, depth):
    """The texel of a plant's plane that a ray meets at depth t; 0: nowhere."""
    _, _, x, y, texture, start, size = plant
    u, v = (dx * t - x) * F(1 / 0.9), dy * t - y
    if not (NEAR < t < depth and ZERO <= u < ONE and ZERO < v <= ONE):
        return np.int32(0)
    column, row = np.int32(u * F(size)), np.int32(min(ONE - v, F(0.9999)) * F(size))
    return _visible(assets.texture[np.uint32(texture), np.uint32(start + row * size + column)])


@device_function
def plant_texels(assets, plant, dx, dy, dz, depth):
    """``cutout_texels`` of a plant, which is two upright squares along the diagonals."""
    across0, across1 = dx - dz, dx + dz
    inverse = ONE / (across0 * across1)  # one division for both planes
    t0 = plant[0] * across1 * inverse
    t1 = plant[1] * across0 * inverse
    texel0 = _plane_texel(assets, plant, t0, dx, dy, depth)
    texel1 = _plane_texel(assets, plant, t1, dx, dy, depth)
    if t1 > t0:
        return texel1, t1, texel0, t0, ONE
    return texel0, t0, texel1, t1, ONE


@device_function
def is_plant(assets, cut):
    return assets.block_box[np.int32(cut[CUT_BLOCK]), shapes.BOX_SHAPE] != F(shapes.BOX)


@device_function
def cutout_texels(voxels, assets, frame, cut, dx, dy, dz, depth):
    """What a ray sees of a cutout before ``depth`` -> (texel, its depth, nearer texel, its depth, shade).

    A texel with too little of it to be seen is 0.
    """
    if is_plant(assets, cut):
        return plant_texels(assets, plant_of(assets, cut), dx, dy, dz, depth)
    return box_texels(voxels, assets, frame, cut, dx, dy, dz, depth)


@device_function
def box_texels(voxels, assets, frame, cut, dx, dy, dz, depth):
    """``cutout_texels`` of a box, of which the nearer side alone is seen."""
    block = np.int32(cut[CUT_BLOCK])
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
        return np.int32(0), ZERO, np.int32(0), ZERO, ONE
    if block == GLASS:  # two panes side by side have no face between them
        x, y, z = np.int64(cut[CUT_I]), np.int64(cut[CUT_J]), np.int64(cut[CUT_K])
        out = 2 * (face & 1) - 1
        x, y, z = x + (out if face < 2 else 0), y + (out if 2 <= face < 4 else 0), z + (out if face >= 4 else 0)
        mask = voxels.shape[0] - 1
        if 0 <= y < voxels.shape[2]:
            if voxels[np.uint32((frame.ox + x) & mask), np.uint32((frame.oz + z) & mask), np.uint32(y)] == GLASS:
                return np.int32(0), ZERO, np.int32(0), ZERO, ONE
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
    texel = texel_at(assets, texture, np.int32(cut[CUT_LEVEL]), u, v)
    return _visible(texel), near, np.int32(0), ZERO, assets.face_shade[face]


@device_function
def cutout_pixel(frame, cut, texels, dx, dy, dz, r, g, b, depth):
    """Lay what a ray sees of a cutout (``cutout_texels``) over a pixel -> its new (r, g, b, depth)."""
    texel0, t0, texel1, t1, shade = texels
    if texel0:
        r, g, b, depth = _lay(frame, cut, texel0, shade, dx, dy, dz, r, g, b, depth, t0)
    if texel1:
        r, g, b, depth = _lay(frame, cut, texel1, shade, dx, dy, dz, r, g, b, depth, t1)
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
    upright, plant = is_plant(assets, cut), plant_of(assets, cut)
    left, right = np.int32(cut[CUT_RECT + 2]), np.int32(cut[CUT_RECT + 3])
    for row in range(np.int32(cut[CUT_RECT]), np.int32(cut[CUT_RECT + 1])):
        for column in range(left, right):
            i, j = np.uint32(row), np.uint32(column)
            dx, dy, dz = ray_direction(frame, row, column)
            if upright:
                texels = plant_texels(assets, plant, dx, dy, dz, depths[i, j])
            else:
                texels = box_texels(voxels, assets, frame, cut, dx, dy, dz, depths[i, j])
            if texels[0] | texels[2]:
                r, g, b = F(image[i, j, 0]), F(image[i, j, 1]), F(image[i, j, 2])
                r, g, b, depths[i, j] = cutout_pixel(frame, cut, texels, dx, dy, dz, r, g, b, depths[i, j])
                image[i, j, 0], image[i, j, 1], image[i, j, 2] = np.uint8(r), np.uint8(g), np.uint8(b)


@device_function
def _reaches(frame, x, y, z, half_y, across, up, ahead):
    """The farthest that a tile of columns reaches in a direction of the camera's axes; (x, y, z) is its middle."""
    nx = frame.right[0] * across + frame.up[0] * up + frame.ahead[0] * ahead
    ny = frame.right[1] * across + frame.up[1] * up + frame.ahead[1] * ahead
    nz = frame.right[2] * across + frame.up[2] * up + frame.ahead[2] * ahead
    half = F(TILE // 2 + 1)
    return x * nx + y * ny + z * nz + half * (abs(nx) + abs(nz)) + half_y * abs(ny)


@device_function
def tile_in_view(frame, tile_x, tile_z, world_height):
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
def make_cutouts(world, assets, frame, rows, columns, cuts, image, depths):
    """Find the cutouts in view -> how many.

    Each is drawn at once, with room for one in ``cuts``; with None for ``image`` they are listed there.
    """
    reach = cutout_reach(world, frame)
    count = 0
    for tile_x in range(-reach, reach, TILE):
        for tile_z in range(-reach, reach, TILE):
            if tile_in_view(frame, tile_x, tile_z, world.voxels.shape[2]):
                most = cuts.shape[0]
                count = tile_cutouts(
                    world, assets, frame, rows, columns, tile_x, tile_z, reach, cuts, count, most, image, depths
                )
    return count


@device_function
def cutout_reach(world, frame):
    """How many columns away cutouts are looked for."""
    return min(np.int64(np.ceil(frame.box_reach)), world.height.shape[0] // 2)


@device_function
def tile_cutouts(world, assets, frame, rows, columns, tile_x, tile_z, reach, cuts, count, most, image, depths):
    """``make_cutouts`` of a tile of columns, behind ``count`` others, until there are ``most``.

    Those for which there is no row in ``cuts`` are only counted.
    """
    mask = world.height.shape[0] - 1
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
                    cut = cuts[min(count, cuts.shape[0] - 1)]
                    if count < most and make_cutout(world, assets, frame, rows, columns, x, y, z, block, cut):
                        if image is not None:
                            draw_cutout(world.voxels, assets, frame, cut, image, depths)
                        else:
                            count += 1
    return count
