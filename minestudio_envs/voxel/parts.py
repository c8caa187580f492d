"""Drawing what is made of boxes: mobs, items that lie about, arrows, and what the player holds."""

import numpy as np

from minestudio_envs.voxel import hud, sprites
from minestudio_envs.voxel.block_rays import cell_light
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.mobs import GOAL_ATTACK
from minestudio_envs.voxel.models import box_angles, model_of
from minestudio_envs.voxel.view import (
    ARROW_MODEL,
    CUBE,
    HALF,
    NEAR,
    ONE,
    PART_BOX,
    PART_FOG,
    PART_HIGH,
    PART_KIND,
    PART_LIGHT,
    PART_LOW,
    PART_MATRIX,
    PART_ORIGIN,
    PART_RECT,
    PART_RED,
    PART_SHADE,
    PART_SIZE,
    PI,
    PLATE,
    RADIANS,
    SHADOW,
    TAN_H,
    TAN_V,
    TWO,
    ZERO,
    F,
    horizon_colour,
    outline,
    to_camera,
)


@device_function
def _turn(x, y, z, sin_roll, cos_roll, sin_yaw, cos_yaw):
    """From a mob's axes to the world's."""
    x, y = x * cos_roll - y * sin_roll, x * sin_roll + y * cos_roll
    return x * cos_yaw - z * sin_yaw, y, x * sin_yaw + z * cos_yaw


@device_function
def _entity_light(x, y, z):
    """Brightness of a mob's face with this normal: two lamps above, to the north and the south."""
    lamps = max(F(0.16) * x + F(0.81) * y - F(0.57) * z, ZERO) + max(F(-0.16) * x + F(0.81) * y + F(0.57) * z, ZERO)
    return min(F(0.4) + F(0.6) * lamps, ONE)


@device_function
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
        to_camera(frame, corner[0], corner[1], corner[2]),
        to_camera(frame, a * x_axis[0], a * x_axis[1], a * x_axis[2]),
        to_camera(frame, b * y_axis[0], b * y_axis[1], b * y_axis[2]),
        to_camera(frame, c * z_axis[0], c * z_axis[1], c * z_axis[2]),
        part,
        PART_RECT,
    )


@device_function
def fog_at(frame, x, y, z):
    distance = np.sqrt(x * x + y * y + z * z)
    return min(max((distance - frame.fog_start) / (frame.reach - frame.fog_start), ZERO), ONE)


@device_function
def in_view(frame, x, y, z):
    """Whether a thing at most 2 blocks large at (x, y, z) relative to the eye may be seen."""
    across, up, depth = to_camera(frame, x, y, z)
    reach = frame.reach + TWO
    return (
        x * x + y * y + z * z < reach * reach
        and depth > -TWO
        and abs(across) < depth * TAN_H + F(4)
        and abs(up) < depth * TAN_V + F(4)
    )


@device_function
def make_mob_parts(state, assets, world, n, frame, rows, columns, parts):
    """Fill ``parts`` float32 [., PART_SIZE] with what may be seen of the mobs -> how many."""
    count = 0
    ax, az = frame.ahead[0], frame.ahead[2]
    for m in range(state.mobs.shape[1]):
        kind = state.mobs[n, m].kind
        if kind == 0:
            continue
        px, py, pz = _relative(state, n, frame, state.mobs[n, m].previous_position)
        if not in_view(frame, px, py, pz):
            continue
        fog = fog_at(frame, px, py, pz)

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


@device_function
def make_item_parts(state, assets, world, n, frame, rows, columns, parts, count):
    """Add what may be seen of items that lie about and of arrows to ``parts`` -> how many there are now."""
    for d in range(state.drops.shape[1]):
        item = state.drops[n, d]["item"]
        if item <= 0:
            continue
        px, py, pz = _relative(state, n, frame, state.drops[n, d].previous_position)
        if not in_view(frame, px, py, pz):
            continue
        part = parts[count]
        picture = assets.item_picture[item]
        cube = assets.picture_texture[picture, 0] >= 0
        part[PART_KIND], part[PART_BOX] = F(picture), F(CUBE) if cube else F(PLATE)
        part[PART_FOG], part[PART_RED] = fog_at(frame, px, py, pz), ZERO
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
        if not in_view(frame, px, py, pz):
            continue
        part = parts[count]
        part[PART_KIND], part[PART_BOX] = F(ARROW_MODEL), ZERO
        part[PART_FOG], part[PART_RED] = fog_at(frame, px, py, pz), ZERO
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


@device_function
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


@device_function
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


@device_function
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


@device_function(forceinline=True)
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
