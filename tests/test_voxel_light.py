"""Sky and block light are those of Minecraft's rule, after a world is made and after every change."""

import numpy as np
import pytest
from numba import njit
from voxel_worlds import GROUND, flat_engine, play

from minestudio_envs.views import sun_brightness
from minestudio_envs.voxel.blocks import BLOCK_ID, FIRST_LIQUID, LAVA, LIGHT, LIGHT_FILTER, STONE, WATER
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.jit import OPTIONS
from minestudio_envs.voxel.light import light_at, sky_darkening
from minestudio_envs.voxel.randomness import environment_key
from minestudio_envs.voxel.state import WEATHERS
from minestudio_envs.voxel.terrain import BIOMES
from minestudio_envs.voxel.view import daylight, make_frame
from minestudio_envs.voxel.world import change_block


@njit(**OPTIONS)
def change_all(state, tables, places, blocks):
    for i in range(len(places)):
        change_block(state, 0, tables, places[i, 0], places[i, 1], places[i, 2], blocks[i])


@njit(**OPTIONS)
def light_of(state, n, x, y, z):
    return light_at(state.light, state.height, n, x, y, z)


@njit(**OPTIONS)
def darkening(time, weather):
    return sky_darkening(time, weather)


@njit(**OPTIONS)
def daylight_drawn(state, assets):
    frame = make_frame(state, assets, 0, 8, 8, np.float32(0))
    return daylight(frame.sun_y, frame.rain, np.float32(state.world[0].weather > 1))


def change(engine, *changes):
    """Changes blocks of environment 0; ``changes`` are (x, y, z, block or its name)."""
    places = np.array([c[:3] for c in changes], np.int64)
    blocks = np.array([BLOCK_ID.get(c[3], c[3]) for c in changes], np.int64)
    change_all(engine.arrays, engine.tables, places, blocks)


def expected_light(voxels):
    """Both lights [S, S, H] of one world by relaxing until nothing changes."""
    filters = LIGHT_FILTER[voxels].astype(int)
    cost = np.maximum(filters, 1)
    clear = np.flip(np.logical_and.accumulate(np.flip(voxels < FIRST_LIQUID, 2), axis=2), 2)
    lights = []
    for start in (np.where(clear, 15, 0), LIGHT[voxels].astype(int)):
        light = start
        for _ in range(15):
            best = np.zeros_like(light)
            best[..., 1:] = light[..., :-1]
            best[..., :-1] = np.maximum(best[..., :-1], light[..., 1:])
            if start is not None and lights == []:
                best[..., -1] = 15
            for axis in (0, 1):
                for step in (1, -1):
                    best = np.maximum(best, np.roll(light, step, axis))
            light = np.maximum(light, np.where(filters < 15, best - cost, 0))
        lights.append(light)
    return lights


def assert_right(engine, n=0):
    sky, block = expected_light(engine.state.voxels[n])
    np.testing.assert_array_equal(engine.state.light[n] >> 4, sky)
    np.testing.assert_array_equal(engine.state.light[n] & 15, block)


def at(engine, x, y, z):
    return light_of(engine.arrays, 0, x, y, z)


@pytest.fixture
def flat():
    return flat_engine()


@pytest.mark.parametrize("biome", BIOMES)
def test_a_new_world_is_lit(biome):
    engine = VoxelEngine(3, biomes=(biome,), empty_frames=0)
    engine.set_keys(np.array([environment_key(9, i) for i in range(3)]))
    play(engine, reset=True)
    for n in range(3):
        assert_right(engine, n)
    caves = (engine.state.voxels == 0) & (np.arange(64) < 20)
    assert (engine.state.light[caves] >> 4 == 0).mean() > 0.5  # caves are dark


def test_a_deep_world_is_lit():
    engine = VoxelEngine(1, biomes=("extreme_hills",), world_size=64, world_height=128, empty_frames=0)
    play(engine, reset=True)
    assert_right(engine)


@pytest.mark.parametrize("biome", ["forest", "swamp", "desert"])
def test_light_stays_right_after_random_changes(biome):
    rng = np.random.default_rng(BIOMES.index(biome))
    engine = VoxelEngine(1, biomes=(biome,), world_size=64, empty_frames=0)
    play(engine, reset=True)
    names = ["air", "air", "air", "stone", "torch", "glowstone", "oak_leaves", "glass", "ice", "poppy"]
    choices = [*(BLOCK_ID[name] for name in names), WATER, LAVA]
    for _ in range(5):
        changes = []
        for _ in range(40):
            x, z = rng.integers(0, 64, 2)
            top = int(engine.state.height[0, x, z])
            y = int(np.clip(top + rng.integers(-6, 4), 1, 63)) if rng.random() < 0.8 else int(rng.integers(1, 64))
            changes.append((x, y, z, int(rng.choice(choices))))
        change(engine, *changes)
        assert_right(engine)
        voxels = engine.state.voxels
        filled = voxels >= FIRST_LIQUID
        np.testing.assert_array_equal(engine.state.height, 64 - np.argmax(filled[..., ::-1], axis=3))
        bits = np.unpackbits(engine.state.cutouts.view(np.uint8), axis=-1, bitorder="little")
        np.testing.assert_array_equal((voxels > 0) & ~filled, bits.reshape(voxels.shape).astype(bool))


def test_a_torch_lights_its_surroundings(flat):
    change(flat, (5, GROUND, 5, "torch"))
    assert [at(flat, 5 + d, GROUND, 5)[1] for d in range(15)] == list(range(14, -1, -1))
    assert at(flat, 5, GROUND + 3, 9) == (15, 7)
    change(flat, (8, GROUND, 5, "torch"), (5, GROUND, 5, "air"))
    assert at(flat, 5, GROUND, 5) == (15, 11)
    change(flat, (8, GROUND, 5, "air"))
    assert not (flat.state.light & 15).any()
    assert_right(flat)


def test_a_roof_makes_shade_and_a_hole_lets_light_in(flat):
    y = GROUND + 3
    change(flat, *((x, y, z, "stone") for x in range(4, 13) for z in range(4, 13)))
    assert [at(flat, x, GROUND, 8)[0] for x in range(3, 9)] == [15, 14, 13, 12, 11, 10]
    change(flat, (8, y, 8, "air"))
    assert at(flat, 8, GROUND, 8)[0] == 15 and at(flat, 7, GROUND, 8)[0] == 14
    change(flat, (8, y, 8, "glass"))
    assert at(flat, 8, GROUND, 8)[0] == 15
    change(flat, (8, y, 8, "oak_leaves"))
    assert [at(flat, 8, y - d, 8)[0] for d in range(4)] == [14, 13, 12, 11]
    assert_right(flat)


def test_water_takes_a_level_per_block(flat):
    change(flat, *((8, GROUND - d, 8, WATER) for d in range(1, 6)))
    assert [at(flat, 8, GROUND - d, 8)[0] for d in range(7)] == [15, 14, 13, 12, 11, 10, 0]


def test_a_closed_room_is_dark_whatever_is_opened_inside(flat):
    changes = [(x, y, z, "air") for x in range(5, 9) for y in range(10, 13) for z in range(5, 9)]
    change(flat, *changes)
    assert not flat.state.light[0, 5:9, 5:9, 10:13].any()
    change(flat, *((6, y, 6, "air") for y in range(13, GROUND)))
    assert at(flat, 6, 10, 6) == (15, 0) and at(flat, 8, 10, 8) == (11, 0)
    change(flat, (6, GROUND - 1, 6, STONE))
    assert not flat.state.light[0, 5:9, 5:9, 10:13].any()
    assert_right(flat)


def test_outside_of_the_world(flat):
    assert at(flat, 0, -1, 0) == (0, 0) and at(flat, 0, 64, 0) == (15, 0) and at(flat, -1000, 63, 77) == (15, 0)


# Sky light 15 until about 12040, 12 at 12500, 9 at 13000, 4 from 13670 to 22330, 15 from about 23960.
@pytest.mark.parametrize(
    "time, sky",
    [(0, 15), (6000, 15), (12030, 15), (12500, 12), (13000, 9), (13680, 4), (18000, 4), (22320, 4), (23970, 15)],
)
def test_the_sky_darkens_at_night(time, sky):
    assert 15 - darkening(time, 0) == sky


def test_the_sky_darkens_in_bad_weather():
    assert darkening(6000, 1) == 3 and darkening(6000, 2) == 5
    assert darkening(18000, 2) == 11


def test_pictures_are_as_bright_as_infos_say():
    engine = VoxelEngine(1, 8, 8)
    for weather in range(len(WEATHERS)):
        for time in range(0, 24000, 250):
            engine.state.weather[0], engine.state.time_of_day[0] = weather, time
            drawn = daylight_drawn(engine.arrays, engine.assets)
            assert drawn == pytest.approx(sun_brightness(time, weather), abs=1e-5)
