"""The picture: that things are where geometry says, look as they should, and that the fast way draws the same."""

import numpy as np
import pytest

from minestudio_envs.voxel import renderer, sprites, textures
from minestudio_envs.voxel.blocks import (
    BEDROCK,
    BIRCH_LEAVES,
    BLOCK_ID,
    BLOCKS,
    CUTOUTS,
    DIRT,
    FIRST_LIQUID,
    GRASS_BLOCK,
    OAK_LEAVES,
    OAK_LOG,
    STONE,
    WATER,
)
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.items import ITEM_ID, ITEMS
from minestudio_envs.voxel.screen import SLOT_PLACES
from minestudio_envs.voxel.state import COW, WORD, ZOMBIE

GROUND = 20  # height of the flat world's grass
EYE = GROUND + 1.62
SIZE = 128


def update_heights(state):
    """The maps of heights and of cutouts, from the voxels."""
    voxels = state.voxels[0]
    above = np.arange(1, voxels.shape[2] + 1)
    state.height[0] = np.where(voxels >= FIRST_LIQUID, above, 0).max(-1)
    cutout = ((voxels > 0) & (voxels < FIRST_LIQUID)).reshape(*voxels.shape[:2], -1, WORD).astype(np.uint64)
    state.cutouts[0] = (cutout << np.arange(WORD, dtype=np.uint64)).sum(-1, dtype=np.uint64)


@pytest.fixture
def engine():
    """One environment on a meadow, at noon, the player in its middle looking south with a sword in hand."""
    engine = VoxelEngine(1, SIZE, SIZE, max_mobs=3)
    state = engine.state
    state.voxels[0, :, :, 0], state.voxels[0, :, :, 1 : GROUND - 1] = BEDROCK, DIRT
    state.voxels[0, :, :, GROUND - 1] = GRASS_BLOCK
    update_heights(state)
    state.previous_position[0] = state.position[0] = (64.5, GROUND, 64.5)
    state.time_of_day[0], state.health[0], state.food[0], state.attack_ticks[0], state.air[0] = 6000, 20, 20, 100, 300
    state.inventory_item[0, 0], state.inventory_count[0, 0] = ITEM_ID["iron_sword"], 1
    return engine


def draw(engine):
    image = np.full((1, engine.height, engine.width, 3), 77, np.uint8)
    engine.render(image)
    return image[0].astype(int)


def put(engine, x, y, z, block=STONE):
    engine.state.voxels[0, x % SIZE, z % SIZE, y] = block
    update_heights(engine.state)


def put_cow(engine, x, z, yaw=90.0, slot=0, y=GROUND):
    state = engine.state
    state.mob_kind[0, slot], state.mob_health[0, slot] = COW, 10
    state.mob_position[0, slot] = state.mob_previous_position[0, slot] = (x, y, z)
    state.mob_yaw[0, slot] = state.mob_head_yaw[0, slot] = yaw


def project(engine, point):
    """(row, column) in pixels of a point in the world; 70 degrees of height, 16:9, squeezed into the image."""
    yaw, pitch = np.radians([engine.state.yaw[0], engine.state.pitch[0]])
    offset = np.array(point) - engine.state.previous_position[0] - [0, 1.62, 0]
    ahead = np.array([-np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    right = np.array([-np.cos(yaw), 0, -np.sin(yaw)])
    up = np.cross(right, ahead)
    tangent = np.tan(np.radians(35))
    depth = offset @ ahead
    return (
        (1 - offset @ up / depth / tangent) / 2 * engine.height,
        (1 + offset @ right / depth / (tangent * 16 / 9)) / 2 * engine.width,
    )


def is_grey(pixels):
    return np.ptp(pixels, axis=-1) < 12


def is_grass(pixels):
    return (pixels[..., 1] > pixels[..., 0] + 15) & (pixels[..., 1] > pixels[..., 2] + 15)


def is_sky(pixels):
    return pixels[..., 2] > pixels[..., 0]


def test_sky_is_above_and_the_ground_below(engine):
    open_view = np.s_[:80, :60]  # neither HUD nor hand
    engine.state.time_of_day[0], engine.state.pitch[0] = 1000, -60  # the sun is elsewhere
    assert is_sky(draw(engine)[open_view]).all()
    engine.state.pitch[0] = 60
    assert is_grass(draw(engine)[open_view]).mean() > 0.99
    engine.state.pitch[0] = 0
    image = draw(engine)
    assert is_sky(image[:60, :60]).all() and is_grass(image[75:95, :60]).mean() > 0.99


def test_a_block_appears_where_projection_says(engine):
    put(engine, 66, GROUND, 69)
    image = draw(engine)
    top, left = project(engine, (67, GROUND + 1, 69))
    bottom, right = project(engine, (66, GROUND, 69))
    stone = is_grey(image) & (image[..., 0] > 40)
    inside = np.zeros_like(stone)
    inside[round(top) : round(bottom), round(left) : round(right)] = True
    assert 0 < left < right < 60 and stone[inside].all()
    around = np.zeros_like(stone)
    around[round(top) - 9 : round(bottom) + 5, round(left) - 5 : round(left) - 1] = True
    around[round(bottom) + 1 : round(bottom) + 5, round(left) - 5 : round(right)] = True
    assert not stone[around].any()


@pytest.mark.parametrize(
    ("yaw", "direction"),
    [(0, (0, 1)), (90, (-1, 0)), (180, (0, -1)), (-90, (1, 0))],
    ids=["south", "west", "north", "east"],
)
def test_yaw_looks_where_minecraft_does(engine, yaw, direction):
    for y in (GROUND, GROUND + 1):
        put(engine, 64 + 4 * direction[0], y, 64 + 4 * direction[1])
    engine.state.yaw[0] = yaw
    assert is_grey(draw(engine)[60, 60])
    engine.state.yaw[0] = yaw + 90
    assert not is_grey(draw(engine)[60, 60])


def cow_pixels(engine):
    """Where the picture changes when the cow is taken away."""
    with_cow = draw(engine)
    engine.state.mob_kind[0, 0] = 0
    without = draw(engine)
    engine.state.mob_kind[0, 0] = COW
    return np.abs(with_cow - without).max(-1) > 3, with_cow


def test_a_cow_stands_where_projection_says(engine):
    put_cow(engine, 65.5, 69.5)
    changed, image = cow_pixels(engine)
    top, left = project(engine, (66.4, GROUND + 1.5, 69.5))
    bottom, right = project(engine, (64.4, GROUND, 69.5))
    rows, columns = np.nonzero(changed)
    assert abs(rows.min() - top) < 4 and abs(rows.max() - bottom) < 8
    assert abs(columns.min() - left) < 4 and abs(columns.max() - right) < 4
    rear, shoulder = (round(project(engine, (x, GROUND + 1, 69.2))[1]) for x in (66.0, 65.1))
    body = image[round(project(engine, (65.5, GROUND + 1, 69.2))[0]), rear:shoulder]
    assert len(body) > 5 and (np.ptp(body, axis=-1) < 45).all() and not is_grass(body).any()  # browns and whites


def test_a_wall_hides_a_cow(engine):
    put_cow(engine, 65.0, 69.5)
    assert cow_pixels(engine)[0].sum() > 100
    for x in range(60, 70):
        for y in range(GROUND, GROUND + 3):
            put(engine, x, y, 67)
    assert cow_pixels(engine)[0].sum() == 0


def test_a_cow_behind_the_camera_is_not_drawn(engine):
    put_cow(engine, 64.5, 61.5)
    assert cow_pixels(engine)[0].sum() == 0


def test_a_hurt_cow_is_redder_and_a_dying_one_lies(engine):
    put_cow(engine, 65.0, 68.5)
    changed, healthy = cow_pixels(engine)
    engine.state.mob_hurt_ticks[0, 0] = 15
    hurt = draw(engine)
    assert (hurt[changed][:, 0] - hurt[changed][:, 1]).mean() > (
        healthy[changed][:, 0] - healthy[changed][:, 1]
    ).mean() + 40
    engine.state.mob_hurt_ticks[0, 0] = 5
    assert (draw(engine) == healthy).all()
    engine.state.mob_death_ticks[0, 0] = 19
    lying, _ = cow_pixels(engine)
    assert np.nonzero(lying)[0].min() > np.nonzero(changed)[0].min() + 5


def test_walking_moves_the_legs(engine):
    put_cow(engine, 65.0, 68.5)
    engine.state.mob_position[0, 0, 0] += 0.1
    pictures = []
    for walked in (0.0, 0.6):
        engine.state.mob_walk[0, 0] = walked
        pictures.append(draw(engine))
    rows, _ = np.nonzero((pictures[0] != pictures[1]).any(-1))
    assert len(rows) > 10 and rows.min() > project(engine, (65, GROUND + 0.9, 68.5))[0]


def scatter(engine, seed):
    """Hills, trees, pits, lakes, plants, caves, light and cows at random; the player anywhere, looking anywhere."""
    rng, state = np.random.default_rng(seed), engine.state
    angle = np.arange(SIZE) * 2 * np.pi / SIZE
    hills = 4 * np.sin(3 * angle)[:, None] * np.cos(2 * angle + rng.uniform(0, 6)) + 2 * np.sin(9 * angle + seed)
    ground = np.floor(GROUND + hills).astype(int)
    levels = np.arange(state.voxels.shape[3])
    state.voxels[0] = np.where(levels < ground[..., None], DIRT, 0)
    state.voxels[0][levels == ground[..., None] - 1] = GRASS_BLOCK
    for _ in range(90):
        x, z, leaf = *rng.integers(0, SIZE, 2), rng.choice([OAK_LEAVES, BIRCH_LEAVES])
        for dx, dz in np.ndindex(5, 5):
            state.voxels[0, (x + dx - 2) % SIZE, (z + dz - 2) % SIZE, ground[x, z] + 4 : ground[x, z] + 6] = leaf
        state.voxels[0, x, z, ground[x, z] : ground[x, z] + 5] = OAK_LOG
    state.voxels[0, rng.integers(0, SIZE, 200), rng.integers(0, SIZE, 200), :][:, 5:] = 0
    state.voxels[0][(levels < GROUND - 2) & (levels >= ground[..., None])] = WATER
    for _ in range(30):  # caves
        x, y, z = rng.integers(0, SIZE), rng.integers(5, 15), rng.integers(0, SIZE)
        state.voxels[0, x : x + 6, z : z + 6, y : y + 4] = 0
    for cutout in rng.choice(np.arange(1, FIRST_LIQUID), 1500):
        x, z = rng.integers(0, SIZE, 2)
        state.voxels[0, x, z, ground[x, z]] = cutout
    update_heights(state)
    state.light[0] = rng.integers(0, 256, state.light[0].shape)
    state.biome[0] = rng.integers(0, 9)
    x, z = rng.uniform(0, SIZE, 2)
    feet = state.height[0, int(x), int(z)]
    if seed % 4 == 3:  # in a lake or a cave
        feet = rng.integers(6, 14)
        state.voxels[0, int(x), int(z), feet : feet + 2] = (0, WATER)[seed % 8 == 3]
        update_heights(state)
    state.previous_position[0] = (x, feet, z)
    state.yaw[0], state.pitch[0], state.time_of_day[0] = (
        rng.uniform(-180, 180),
        rng.uniform(-60, 60),
        rng.integers(24000),
    )
    state.weather[0] = (0, 0, 0, 0, 1, 2)[seed % 6]
    for slot in range(3):
        cow_x, cow_z = x + rng.uniform(-9, 9), z + rng.uniform(-9, 9)
        put_cow(engine, cow_x, cow_z, rng.uniform(0, 360), slot, state.height[0, int(cow_x) % SIZE, int(cow_z) % SIZE])
        state.mob_head_yaw[0, slot] += rng.uniform(-40, 40)
        state.mob_hurt_ticks[0, slot] = rng.integers(0, 21)
        state.mob_fire_ticks[0, slot] = slot == 1
    for slot in range(6):
        put_drop(engine, rng.integers(1, len(ITEMS)), x + rng.uniform(-4, 4), feet, z + rng.uniform(-4, 4), slot)
        state.drop_age[0, slot] = rng.integers(0, 200)
    state.hurt_ticks[0] = seed % 10
    state.dig_block[0], state.dig_progress[0] = (int(x) + 1, feet - 1, int(z) + 1), rng.uniform(0, 1)
    state.inventory_item[0, 0] = rng.integers(0, len(ITEMS))
    state.gui_open[0] = seed % 5 == 4


def put_drop(engine, item, x, y, z, slot=0):
    state = engine.state
    state.drop_item[0, slot], state.drop_count[0, slot] = item, 1
    state.drop_position[0, slot] = state.drop_previous_position[0, slot] = (x, y, z)


def test_the_fast_picture_is_the_one_drawn_ray_by_ray(engine):
    wrong = []
    for seed in range(24):
        scatter(engine, seed)
        by_ray = np.empty((SIZE, SIZE, 3), np.uint8)
        renderer.render_by_pixel(engine.arrays, engine.assets, 0, by_ray)
        wrong.append((np.abs(draw(engine) - by_ray).max(-1) > 1).mean())
    assert np.mean(wrong) < 0.001 and max(wrong) < 0.004, wrong


def test_the_seam_of_the_torus_cannot_be_seen(engine):
    scatter(engine, 3)
    state = engine.state
    picture = draw(engine)
    for laps in ((1, 0), (0, -1), (1_000_000, -3_000_000)):
        moved = state.previous_position[0].copy()
        state.previous_position[0, [0, 2]] += np.array(laps) * SIZE
        state.mob_previous_position[0, 0, [0, 2]] += np.array(laps) * SIZE  # the others' images are as near
        state.mob_position[0, 0] = state.mob_previous_position[0, 0]
        assert (np.abs(draw(engine) - picture).max(-1) > 1).mean() < 0.002, laps
        state.previous_position[0] = moved


def test_a_laps_exact_multiple_changes_no_bit(engine):
    """With a position that float64 holds exactly, far away is as near."""
    engine.state.previous_position[0] = (10.25, GROUND, 3.5)
    put(engine, 12, GROUND, 8)
    picture = draw(engine)
    engine.state.previous_position[0, [0, 2]] += 1e6 * SIZE
    assert (draw(engine) == picture).all()


def test_the_world_goes_on_across_the_seam(engine):
    """Blocks laid alike around a place in the middle and around the corner of the map look alike."""
    pictures = []
    for x, z in ((64, 64), (0, 0)):
        engine.state.voxels[0, :, :, GROUND:] = 0
        for dx, dz in ((2, 5), (-3, 7), (0, 12), (-6, 20)):
            put(engine, x + dx, GROUND, z + dz)
        engine.state.previous_position[0] = (x + 0.5, GROUND, z + 0.5)
        pictures.append(draw(engine))
    assert (pictures[0] == pictures[1]).all()


def test_night_is_darker_than_day_and_still_readable(engine):
    world = np.s_[:110, :60]
    day = draw(engine)[world]
    engine.state.time_of_day[0] = 18000
    night = draw(engine)[world]
    assert night[:50].mean() < 0.25 * day[:50].mean()  # the sky
    assert 0.4 * day[70:].mean() < night[70:].mean() < 0.95 * day[70:].mean()  # the ground, at gamma 2


def test_the_sun_crosses_the_sky_from_east_to_west(engine):
    state = engine.state
    state.pitch[0] = -30
    brightest = {}
    for time, yaw in ((2000, -90), (2000, 90), (10000, -90), (10000, 90)):
        state.time_of_day[0], state.yaw[0] = time, yaw
        brightest[time, yaw] = (draw(engine)[:90, :70].min(-1) > 230).sum()
    assert brightest[2000, -90] > brightest[2000, 90] + 20
    assert brightest[10000, 90] > brightest[10000, -90] + 20


def test_distance_fades_into_the_fog(engine):
    columns = []
    for distance in (5, 30, 56, 62):
        engine.state.voxels[0, :, :, GROUND:] = 0
        engine.state.voxels[0, :, (64 + distance) % SIZE, GROUND : GROUND + 20] = STONE
        update_heights(engine.state)
        columns.append(draw(engine)[58, 40])
    saturation = [int(c[2] - c[0]) for c in columns]
    assert saturation[0] == saturation[1] == 0 < saturation[2] < saturation[3]


def test_blocks_darken_the_corners_beside_them(engine):
    engine.state.pitch[0] = 40
    plain = draw(engine)
    for x in range(60, 69):
        for y in (GROUND, GROUND + 1):
            put(engine, x, y, 67)
    row, _ = project(engine, (64.5, GROUND, 66.95))
    row = int(row) + 1
    assert draw(engine)[row, 40:60].mean() < 0.85 * plain[row, 40:60].mean()


def test_the_hud_shows_the_selected_slot_health_and_food(engine):
    slots = [slice(*(round(SIZE * (229 + 20 * slot + k) / 640) for k in (0, 20))) for slot in range(9)]
    bar = slice(round(SIZE * 339 / 360), SIZE)
    frames = []
    for selected in (0, 5):
        engine.state.selected[0] = selected
        image = draw(engine)
        frames.append([image[bar, slot].mean() for slot in slots])
    assert frames[0][0] > frames[1][0] + 25 and frames[1][5] > frames[0][5] + 25

    hearts = np.s_[round(SIZE * 321 / 360) : round(SIZE * 330 / 360), round(SIZE * 229 / 640) : round(SIZE * 310 / 640)]
    full = draw(engine)[hearts]
    engine.state.health[0] = 6
    low = draw(engine)[hearts]
    red = [(k[..., 0] - k[..., 1] > 60).mean(0) for k in (full, low)]
    assert red[0].min() > 0 and red[1][:4].min() > 0 and red[1][6:].max() == 0
    food = np.s_[hearts[0], round(SIZE * 330 / 640) : round(SIZE * 411 / 640)]
    before = draw(engine)[food]
    engine.state.food[0] = 3
    assert (draw(engine)[food] != before).any()


def test_an_item_and_its_count_are_in_its_slot(engine):
    big = VoxelEngine(1, 640, 360, max_mobs=1)
    for mine, theirs in zip(big.arrays, engine.arrays, strict=True):
        if mine.shape == theirs.shape:
            mine[:] = theirs
    slot = np.s_[341:357, 232 + 60 : 232 + 60 + 17]
    empty = draw(big)[slot]
    big.state.inventory_item[0, 3], big.state.inventory_count[0, 3] = ITEM_ID["diamond"], 1
    one = draw(big)[slot]
    assert (one != empty).any() and (one[3:8, 6:10, 2] > one[3:8, 6:10, 0]).all()
    big.state.inventory_count[0, 3] = 48
    many = draw(big)[slot]
    changed = (one != many).any(-1)
    assert changed.any() and not changed[:8].any()
    assert (many[9:16] == 255).all(-1).sum() > 15


def test_the_crosshair_inverts(engine):
    big = VoxelEngine(1, 640, 360, max_mobs=1)
    big.state.time_of_day[0], big.state.pitch[0] = 6000, -30
    bright = draw(big)[180, 320].mean()
    big.state.time_of_day[0] = 18000
    assert draw(big)[180, 320].mean() > bright + 80


def test_the_hand_swings_and_sinks_after_a_hit(engine):
    hand = np.s_[40:128, 70:128]
    rest = draw(engine)[hand]
    engine.state.swing_ticks[0] = 2
    assert (draw(engine)[hand] != rest).any(-1).mean() > 0.05
    engine.state.swing_ticks[0], engine.state.attack_ticks[0] = 0, 4
    sunk = draw(engine)[hand]
    engine.state.inventory_item[0, 0], engine.state.attack_ticks[0] = 0, 100
    assert (sunk != rest).any(-1).mean() > 0.05 and (draw(engine)[hand] != rest).any(-1).mean() > 0.05


def test_sneaking_lowers_the_eye(engine):
    put(engine, 64, GROUND, 67)
    for sneaking, eye in ((0, 1.62), (1, 1.27)):
        engine.state.sneaking[0] = sneaking
        row, _ = project(engine, (64.5, GROUND + 1 + 1.62 - eye, 68))  # the block's top, as far below the eye
        assert 66 + is_grey(draw(engine)[66:90, 62]).argmax() == pytest.approx(row, abs=1)


def test_damage_tilts_the_view(engine):
    horizon = []
    for ticks in (0, 8):
        engine.state.hurt_ticks[0] = ticks
        horizon.append(is_sky(draw(engine)[:100, (10, 60)]).sum(0))
    assert abs(horizon[0][0] - horizon[0][1]) <= 1
    assert horizon[1][0] < horizon[1][1] - 15  # the world turns clockwise


@pytest.mark.parametrize(("width", "height"), [(64, 64), (128, 128), (97, 53), (640, 360)])
def test_every_pixel_is_written_and_nothing_else_matters(engine, width, height):
    sized = VoxelEngine(1, width, height, max_mobs=3)
    for mine, theirs in zip(sized.arrays, engine.arrays, strict=True):
        mine[:] = theirs
    put_cow(sized, 65.0, 66.0)
    images = [np.full((1, height, width, 3), fill, np.uint8) for fill in (0, 255)]
    for image in images:
        sized.render(image)
    assert (images[0] == images[1]).all()


def test_a_cow_at_arms_length_does_not_break_the_picture(engine):
    """A box with corners behind the camera still has an outline on the screen."""
    for x, z in ((64.5, 65.0), (65.2, 64.6), (64.5, 64.5), (63.6, 64.2)):
        put_cow(engine, x, z, 45)
        by_ray = np.empty((SIZE, SIZE, 3), np.uint8)
        renderer.render_by_pixel(engine.arrays, engine.assets, 0, by_ray)
        assert (np.abs(draw(engine) - by_ray).max(-1) > 1).mean() < 0.001


def changed(before, after):
    return np.abs(after - before).max(-1) > 3


@pytest.mark.parametrize("yaw", [0, 90, 180, -90], ids=["south", "west", "north", "east"])
def test_every_cutout_is_seen_from_every_side(engine, yaw):
    state = engine.state
    ahead = {0: (0, 2), 90: (-2, 0), 180: (0, -2), -90: (2, 0)}[yaw]
    x, z = 64 + ahead[0], 64 + ahead[1]
    state.yaw[0], state.pitch[0] = yaw, 35
    background = draw(engine)
    unseen = []
    for name in CUTOUTS:
        put(engine, x, GROUND, z, BLOCK_ID[name])
        seen = changed(background, draw(engine))[:110]
        if seen.sum() < 8:
            # Seen exactly from its edge, as a ladder from the side: a little to the side it must show.
            state.previous_position[0, [0, 2]] += (0.4 * (ahead[0] == 0), 0.4 * (ahead[1] == 0))
            aside = draw(engine)
            put(engine, x, GROUND, z, 0)
            seen = changed(draw(engine), aside)[:110]
            state.previous_position[0] = (64.5, GROUND, 64.5)
        if seen.sum() < 8:
            unseen.append(name)
        put(engine, x, GROUND, z, 0)
    assert not unseen


def test_one_sees_through_glass_and_between_blades(engine):
    put_cow(engine, 64.5, 68.5)
    for name in ("glass", "grass"):
        changed_pixels, _ = cow_pixels(engine)
        for y in (GROUND, GROUND + 1):
            put(engine, 64, y, 66, BLOCK_ID[name])
        through = cow_pixels(engine)[0]
        assert 0.3 < through.sum() / changed_pixels.sum() <= 1, name
        for y in (GROUND, GROUND + 1):
            put(engine, 64, y, 66, 0)


def dark_room(engine):
    """A closed room around the player; its light is what a torch at (64, GROUND, 66) gives."""
    state = engine.state
    state.voxels[0, 58:71, 58:78, GROUND - 1 : GROUND + 5] = STONE
    state.voxels[0, 59:70, 59:77, GROUND : GROUND + 4] = 0
    update_heights(state)
    x, z, y = np.indices(state.light[0].shape)
    return np.clip(14 - abs(x - 64) - abs(y - GROUND) - abs(z - 66), 0, 15)


def test_a_torch_lights_what_is_near_more_than_what_is_far(engine):
    state = engine.state
    torchlight = dark_room(engine)
    dark = draw(engine)[70:100, 40:60]
    state.light[0] = torchlight
    lit = draw(engine)
    near, far = lit[88:100, 56:64].mean(), lit[60:64, 56:64].mean()
    assert near > 1.25 * far and far > 1.1 * dark.mean()
    assert dark.mean() < 45
    warm = lit[60:66, 50:62].astype(float).mean((0, 1))
    assert warm[0] > 1.08 * warm[2]  # grey stone in a torch's light


def test_light_is_smooth_near_by(engine):
    state = engine.state
    state.light[0] = dark_room(engine)
    state.time_of_day[0], state.pitch[0] = 18000, 60
    floor = draw(engine)[:100, 50].astype(float).mean(-1)
    texture = np.convolve(floor, np.ones(9) / 9, "valid")  # of the stone
    assert np.abs(np.diff(texture)).max() < 6


def test_the_sky_lights_only_what_it_reaches(engine):
    """By day a roofed place is as dark as its light says, and a place under the open sky does not read it."""
    engine.state.pitch[0] = 60
    ground = np.s_[:90, :50]
    open_air = draw(engine)[ground].mean()
    engine.state.light[0] = 255
    assert draw(engine)[ground].mean() == open_air
    engine.state.light[0] = 0
    engine.state.voxels[0, :, :, GROUND + 6] = STONE
    update_heights(engine.state)
    assert draw(engine)[ground].mean() < 0.5 * open_air


def test_under_water_all_is_blue_and_near(engine):
    state = engine.state
    state.pitch[0] = 10
    state.voxels[0, :, :, GROUND : GROUND + 6] = WATER
    state.voxels[0, :, 70, GROUND : GROUND + 6] = STONE
    update_heights(state)
    state.light[0] = 0xC0
    near = draw(engine)[20:90, :60].astype(float).mean((0, 1))
    state.voxels[0, :, 70, GROUND : GROUND + 6] = WATER
    far = draw(engine)[20:60, :60].astype(float).mean((0, 1))
    assert far[2] > 2 * far[0] and far[2] > near[2] - 60 and near[0] > far[0]


def test_the_ground_shows_through_water(engine):
    state = engine.state
    state.pitch[0] = 60
    pictures = []
    for bottom in ("sand", "coal_block"):
        state.voxels[0, :, :, GROUND - 2], state.voxels[0, :, :, GROUND - 1] = BLOCK_ID[bottom], WATER
        update_heights(state)
        state.light[0] = 0xE0
        pictures.append(draw(engine)[:90, :50].astype(float).mean((0, 1)))
    assert (pictures[0] > pictures[1] + 20).all()
    assert pictures[1][2] > 2 * pictures[1][0]


def test_biomes_tint_grass_and_leaves_but_not_stone(engine):
    state = engine.state
    put(engine, 64, GROUND, 66, OAK_LEAVES)
    put(engine, 66, GROUND, 66, STONE)
    state.pitch[0] = 30
    plains, stones = draw(engine), []
    for biome in ("savanna", "swamp"):
        state.biome[0] = list(textures.BIOME_COLOURS).index(biome)
        image = draw(engine)
        differ = changed(plains, image)
        assert differ[45:100, 5:60].mean() > 0.5
        stones.append(~differ & is_grey(image) & (image[..., 0] > 60))
    assert all(stone[60:110].sum() > 40 for stone in stones)


def test_items_lie_about_as_cubes_and_as_sprites(engine):
    engine.state.pitch[0] = 20
    background = draw(engine)
    seen = []
    for item in ("diamond", "oak_log"):
        put_drop(engine, ITEM_ID[item], 65.2, GROUND, 66.5)
        image = draw(engine)
        pixels = changed(background, image)
        assert 15 < pixels.sum() < 500
        row, column = project(engine, (65.2, GROUND + 0.3, 66.5))
        assert abs(np.nonzero(pixels)[0].mean() - row) < 8 and abs(np.nonzero(pixels)[1].mean() - column) < 4
        seen.append(image[pixels].mean(0))
    assert seen[0][2] > seen[0][0] + 30 and seen[1][0] > seen[1][2]


def test_an_arrow_is_seen_along_its_flight(engine):
    state = engine.state
    background = draw(engine)
    state.arrow_ticks[0, 0] = 3
    state.arrow_position[0, 0] = state.arrow_previous_position[0, 0] = (65.5, GROUND + 1.6, 67)
    state.arrow_velocity[0, 0] = (1, 0, 0)
    rows, columns = np.nonzero(changed(background, draw(engine)))
    assert np.ptp(columns) > 3 * np.ptp(rows) and np.ptp(columns) >= 6


def test_cracks_grow_while_a_block_is_dug(engine):
    put(engine, 64, GROUND + 1, 66)
    state = engine.state
    pictures = []
    for progress in (0.0, 0.05, 0.35, 0.65, 0.95):
        state.dig_block[0], state.dig_progress[0] = (64, GROUND + 1, 66), progress
        pictures.append(draw(engine))
    darker = [(pictures[0] - picture).sum() for picture in pictures]
    assert (np.diff(darker) > 0).all()
    stages = [changed(pictures[0], picture) for picture in pictures]
    assert stages[4].sum() > 4 * stages[1].sum() > 0


def test_the_block_under_the_crosshair_is_outlined(engine):
    put(engine, 64, GROUND + 1, 66, BLOCK_ID["snow_block"])
    big = sized(engine, 640, 360)
    for z, outlined in ((64.5, True), (60.5, False)):  # within reach and beyond it
        big.state.previous_position[0, 2] = z
        image = draw(big)
        top, left = project(big, (65, GROUND + 2, 66))
        bottom, right = project(big, (64, GROUND + 1, 66))
        middle = slice(round((2 * top + bottom) / 3) - 3, round((2 * top + bottom) / 3))
        inside = image[middle, round(left) + 6 : round(left) + 12].mean()
        for edge in (round(left + 0.5), round(right - 0.5) - 1):
            assert (image[middle, edge].mean() < 0.85 * inside) == outlined


def test_burning_mobs_show_fire(engine):
    put_cow(engine, 64.5, 68.5)
    engine.state.mob_kind[0, 0] = ZOMBIE
    before = draw(engine)
    engine.state.mob_fire_ticks[0, 0] = 20
    after = draw(engine)
    flames = changed(before, after)
    assert flames.sum() > 100 and (after[flames][:, 0] > after[flames][:, 2] + 40).mean() > 0.8


def test_rain_greys_the_sky_and_falls(engine):
    clear = draw(engine)[:50, :60]
    engine.state.weather[0] = 1
    pictures = []
    for tick in (0, 3):
        engine.state.tick[0] = tick
        pictures.append(draw(engine)[:50, :60])
    assert pictures[0].mean() < 0.8 * clear.mean() and np.ptp(pictures[0].mean((0, 1))) < np.ptp(clear.mean((0, 1)))
    assert changed(*pictures).mean() > 0.01


def sized(engine, width, height):
    """The engine's state, drawn at another size."""
    other = VoxelEngine(1, width, height, max_mobs=3)
    for mine, theirs in zip(other.arrays, engine.arrays, strict=True):
        mine[:] = theirs
    return other


def test_armour_air_and_wear_are_in_the_hud(engine):
    big = sized(engine, 640, 360)
    state = big.state
    above_hearts, above_food = np.s_[311:320, 229:310], np.s_[311:320, 330:411]
    plain = draw(big)
    state.inventory_item[0, 38] = ITEM_ID["iron_chestplate"]
    assert changed(plain, draw(big))[above_hearts].sum() > 100 and not changed(plain, draw(big))[above_food].any()
    plain, bubbles = draw(big), []
    for air in (299, 150, 0):
        state.air[0] = air
        bubbles.append(changed(plain, draw(big))[above_food].sum())
    assert bubbles[0] > 1.5 * bubbles[1] > 0 == bubbles[2]
    plain = draw(big)
    bar = np.s_[354:356, 234:247]
    state.inventory_damage[0, 0] = 240
    worn = draw(big)
    assert changed(plain, worn)[bar].mean() > 0.9 and worn[354, 234, 0] > 200 > worn[354, 246, 0]
    state.inventory_item[0, 40] = ITEM_ID["shield"]
    assert changed(worn, draw(big))[338:360, 200:222].mean() > 0.9


@pytest.mark.parametrize(("width", "height"), [(640, 360), (128, 128)])
def test_the_inventory_screen_shows_stacks_where_they_are(engine, width, height):
    screen = sized(engine, width, height)
    state = screen.state
    state.gui_open[0], state.cursor[0] = 1, (500, 60)
    scale_x, scale_y = width / 640, height / 360

    def area(slot):
        x, y = SLOT_PLACES[slot]
        rows = slice(round(y * scale_y), max(round((y + 16) * scale_y), round(y * scale_y) + 1))
        return rows, slice(round(x * scale_x), max(round((x + 16) * scale_x), round(x * scale_x) + 1))

    empty = draw(screen)
    for slot in (9, 35, 36):
        state.inventory_item[0, slot], state.inventory_count[0, slot] = ITEM_ID["diamond"], 1
        shown = changed(empty, draw(screen))
        assert shown[area(slot)].mean() > 0.3
        shown[area(slot)] = False
        assert shown.sum() < 0.25 * changed(empty, draw(screen)).sum() + 12  # nothing elsewhere, but for the rims
        state.inventory_item[0, slot] = 0
    state.cursor_item[0], state.cursor_count[0] = ITEM_ID["diamond"], 1
    rows, columns = np.nonzero(changed(empty, draw(screen)))
    assert abs(rows.mean() / scale_y - 60) < 10 and abs(columns.mean() / scale_x - 500) < 10
    state.gui_open[0] = 0
    assert draw(screen)[: height // 4].mean() > 1.5 * empty[: height // 4].mean()


def test_every_item_can_be_held(engine):
    hands = set()
    for item in range(0, len(ITEMS), 13):
        engine.state.inventory_item[0, 0] = item
        image = draw(engine)
        hands.add(image[40:115, 70:].tobytes())
    assert len(hands) == len(range(0, len(ITEMS), 13))


def test_a_picture_does_not_depend_on_what_was_drawn_before(engine):
    scatter(engine, 2)
    first = draw(engine)
    snapshot = engine.snapshot()
    scatter(engine, 5)
    draw(engine)
    engine.restore(snapshot)
    assert (draw(engine) == first).all()


def test_everything_that_exists_has_a_picture():
    assets = renderer.build_assets(64, 64)
    curve = [0.0, 0.018, 0.037, 0.059, 0.083, 0.111, 0.143, 0.179, 0.222, 0.273, 0.333, 0.407, 0.5, 0.619, 0.778, 1.0]
    np.testing.assert_allclose(assets.brightness, curve, atol=6e-4)  # of light levels, by 1.16.5's formula
    assert assets.block_texture.shape == (len(BLOCKS), 6)
    assert all(name in textures.BLOCK_FACES for name in BLOCKS[1:])
    assert not (assets.block_texture[1:] == list(textures.BLOCK_TEXTURES).index("missing")).any()
    pictures = sprites.build_pictures().sprites
    items = pictures[: len(ITEMS)]
    assert pictures.shape[1:] == (16, 16, 4)
    assert (items[1:, ..., 3] > 0).any((1, 2)).all() and not items[0].any()
    assert len({sprite.tobytes() for sprite in items}) > 0.95 * len(ITEMS)


def test_textures_are_about_as_bright_as_the_games():
    for name, colour in {
        "stone": (125,) * 3,
        "dirt": (134, 96, 67),
        "sand": (219, 207, 163),
        "oak_planks": (162, 130, 78),
    }.items():
        average = textures.texture(name)[..., :3].mean((0, 1))
        assert np.abs(average - colour).max() < 16, name
    for name, colours in textures.TINTED_TEXTURES.items():
        assert len(colours) == len(textures.BIOME_COLOURS), name
