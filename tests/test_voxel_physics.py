"""The player moves as in Minecraft 1.16.5; the numbers are those of its formulas, worked out by hand."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numba import njit
from voxel_worlds import GROUND, give_effect, play, put_block, put_player, quiet_engine

from minestudio_envs.voxel.blocks import BLOCK_ID, COLLISION_HEIGHT, DIRT, FIRST_LIQUID, STONE
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.items import ITEM_ID
from minestudio_envs.voxel.jit import python_function
from minestudio_envs.voxel.physics import PIERCES, STOPPED_BY_ARMOUR, armoured, hurt_player
from minestudio_envs.voxel.state import CUSTOM_ID, DEATHS, EFFECT_ID, GAMERULE_ID, JUMP


@pytest.fixture(scope="module")
def shared():
    return quiet_engine()


@pytest.fixture
def engine(shared, saved={}):  # noqa: B006  (one snapshot for all tests)
    """The same flat world for every test."""
    saved.setdefault("start", shared.snapshot())
    shared.restore(saved["start"])
    return shared


def distances(positions, start):
    """Horizontal way made in each tick."""
    return np.hypot(*np.diff(np.vstack([start, positions]), axis=0)[:, [0, 2]].T)


MOTIONS = {
    "walk": (("forward",), [0.098, 0.15151, 0.18072, 0.19667, 0.20538], 0.21586),
    "sprint": (("forward", "sprint"), [0.1274, 0.19696, 0.23494, 0.25568, 0.267], 0.28062),
    "sneak": (("forward", "sneak"), [0.0294, 0.04545, 0.05422, 0.059, 0.06162], 0.06476),
    "walk diagonal": (("forward", "left"), [0.1, 0.1546, 0.18441, 0.20069, 0.20958], 0.22026),
    "sprint diagonal": (("forward", "left", "sprint"), [0.13, 0.20098, 0.23974, 0.2609, 0.27245], 0.28634),
}


@pytest.mark.parametrize("name", MOTIONS)
def test_speed_from_rest_and_in_the_long_run(engine, name):
    buttons, first, steady = MOTIONS[name]
    start = engine.state.position[0].copy()
    way = distances(play(engine, *buttons, ticks=60), start)
    np.testing.assert_allclose(way[:5], first, atol=6e-6)
    assert way[-1] == pytest.approx(steady, abs=6e-6)


def test_speed_in_metres_per_second(engine):
    for buttons, speed in ((("forward",), 4.317), (("forward", "sprint"), 5.612), (("forward", "sneak"), 1.295)):
        put_player(engine, 0.5, GROUND, 0.5)
        positions = play(engine, *buttons, ticks=80)
        assert (positions[-1, 2] - positions[-21, 2]) == pytest.approx(speed, abs=2e-3)
        play(engine, ticks=20)


def test_directions(engine):
    for yaw, buttons, sign in (
        (0, ("forward",), (0, 1)),
        (90, ("forward",), (-1, 0)),
        (-90, ("forward",), (1, 0)),
        (0, ("left",), (1, 0)),
        (0, ("right",), (-1, 0)),
        (0, ("back",), (0, -1)),
        (180, ("forward",), (0, -1)),
    ):
        put_player(engine, 0.5, GROUND, 0.5, yaw=yaw)
        moved = play(engine, *buttons)[0] - (0.5, GROUND, 0.5)
        np.testing.assert_allclose(moved[[0, 2]], np.array(sign) * 0.098, atol=1e-6)
        play(engine, ticks=10)  # or the next press of forward would sprint
    put_player(engine, 0.5, GROUND, 0.5)
    assert np.array_equal(play(engine, "forward", "back", "left", "right", ticks=5)[-1], (0.5, GROUND, 0.5))


def test_jump_heights(engine):
    heights = play(engine, "jump")[:, 1] - GROUND
    heights = np.append(heights, play(engine, ticks=13)[:, 1] - GROUND)
    expected = [0.42, 0.7532, 1.0013, 1.1661, 1.2492, 1.2522, 1.1768, 1.0244, 0.7967, 0.4952, 0.1213, 0, 0, 0]
    np.testing.assert_allclose(heights, expected, atol=6e-5)


def test_held_jump_repeats_when_it_lands_and_not_sooner_than_every_ten_ticks(engine):
    put_block(engine, 0, GROUND + 2, 0)  # a ceiling: a jump lasts a few ticks only
    try:
        heights = play(engine, "jump", ticks=24)[:, 1] - GROUND
        rising = np.flatnonzero(np.diff(np.append(0, heights)) > 0.15)
        assert rising[0] == 0 and rising[1] == 10 and rising[2] == 20
    finally:
        put_block(engine, 0, GROUND + 2, 0, 0)
    play(engine, ticks=10)
    before = engine.state.custom[0, JUMP]
    play(engine, "jump", ticks=25)
    assert engine.state.custom[0, JUMP] - before == 3  # at 0, 12 and 24: the next tick after landing


def test_a_released_jump_key_jumps_again_at_once(engine):
    put_block(engine, 0, GROUND + 2, 0)
    try:
        play(engine, "jump")
        while not engine.state.on_ground[0]:
            play(engine)
        before = engine.state.custom[0, JUMP]
        play(engine, "jump")
        assert engine.state.custom[0, JUMP] == before + 1
    finally:
        put_block(engine, 0, GROUND + 2, 0, 0)


def test_sprint_jump_adds_speed_along_the_view(engine):
    play(engine, "forward", "sprint", ticks=40)
    before = engine.state.position[0].copy()
    moved = (play(engine, "forward", "sprint", "jump") - before)[0]
    assert moved[2] == pytest.approx(0.28062 + 0.2, abs=1e-5)
    assert moved[1] == pytest.approx(0.42)
    way = distances(play(engine, "forward", "sprint", "jump", ticks=96)[-48:], before)[1:]
    assert way.mean() * 20 == pytest.approx(7.127, abs=0.05)  # the well-known speed of sprint-jumping


def test_fall_from_rest(engine):
    put_player(engine, 0.5, GROUND + 20, 0.5)
    fallen = play(engine, ticks=10)[:, 1] - (GROUND + 20)
    expected = [0.0, -0.078, -0.234, -0.464, -0.768, -1.145, -1.593, -2.11, -2.695, -3.346]
    np.testing.assert_allclose(fallen, expected, atol=6e-4)


def test_terminal_velocity(engine):
    put_player(engine, 0.5, 2000, 0.5)
    way = np.diff(play(engine, ticks=400)[:, 1])
    assert way[-1] == pytest.approx(-3.92, abs=2e-3)


@pytest.mark.parametrize(("height", "damage"), [(3, 0), (3.5, 1), (4, 1), (5, 2), (10, 7)])
def test_fall_damage(engine, height, damage):
    put_player(engine, 0.5, GROUND + height, 0.5)
    engine.state.saturation[0], engine.state.food[0] = 0, 17  # no healing
    play(engine, ticks=40)
    assert engine.state.health[0] == 20 - damage
    assert engine.state.exhaustion[0] == 0


def test_a_dead_player_comes_back_at_the_spawn_with_nothing(engine):
    state = engine.state
    state.inventory_item[0, 3], state.inventory_count[0, 3] = ITEM_ID["diamond"], 5
    state.selected[0] = 3
    state.effect_ticks[0, EFFECT_ID["strength"]] = 1000
    put_player(engine, 7.5, GROUND + 40, 7.5)
    play(engine, ticks=60)
    assert state.custom[0, DEATHS] == 1
    assert state.health[0] == 20 and state.food[0] == 20
    assert not state.inventory_item.any() and not state.inventory_count.any() and not state.effect_ticks.any()
    np.testing.assert_allclose(state.position[0], state.spawn[0])


def test_natural_healing(engine):
    state = engine.state
    state.health[0], state.saturation[0], state.food[0] = 10, 0, 18
    play(engine, ticks=79)
    assert state.health[0] == 10
    play(engine)
    assert state.health[0] == 11
    state.food[0], state.saturation[0], state.exhaustion[0] = 20, 6, 0
    play(engine, ticks=10)
    assert state.health[0] == 12
    state.food[0] = 17
    play(engine, ticks=200)
    assert state.health[0] == 12


def test_sprinting_ends_at_a_wall_without_forward_and_when_hungry(engine):
    state = engine.state
    play(engine, "forward", "sprint", ticks=3)
    assert state.sprinting[0]
    play(engine, "forward", ticks=3)  # the key need not be held
    assert state.sprinting[0]
    play(engine)
    assert not state.sprinting[0]
    play(engine, "sprint", "back", ticks=3)
    assert not state.sprinting[0]
    state.food[0] = 6
    play(engine, "forward", "sprint", ticks=3)
    assert not state.sprinting[0]
    state.food[0] = 20
    put_player(engine, 0.5, GROUND, 0.5)
    for y in (GROUND, GROUND + 1):
        put_block(engine, 0, y, 2)
    try:
        play(engine, "forward", "sprint", ticks=30)
        assert state.position[0, 2] == pytest.approx(1.7)
        play(engine, "forward", ticks=1)
        assert not state.sprinting[0]
    finally:
        for y in (GROUND + 1, GROUND):
            put_block(engine, 0, y, 2, 0)


def test_a_second_press_of_forward_within_seven_ticks_sprints(engine):
    play(engine, "forward")
    play(engine, ticks=3)
    play(engine, "forward")
    assert engine.state.sprinting[0]
    play(engine, ticks=20)
    play(engine, "forward")
    play(engine, ticks=10)
    play(engine, "forward")
    assert not engine.state.sprinting[0]


def test_sneaking_does_not_walk_off_an_edge(engine):
    put_player(engine, 0.5, GROUND + 1, 0.5)
    put_block(engine, 0, GROUND, 0)
    try:
        positions = play(engine, "forward", "sneak", ticks=100)
        assert (positions[:, 1] == GROUND + 1).all()
        assert 1.2 < positions[-1, 2] < 1.3  # the box still touches the block
        positions = play(engine, "forward", "left", "sneak", ticks=60)
        assert (positions[:, 1] == GROUND + 1).all()
        assert play(engine, "forward", ticks=12)[-1, 1] == GROUND
    finally:
        put_block(engine, 0, GROUND, 0, 0)


def test_no_standing_up_under_a_low_ceiling(engine):
    state, heights = engine.state, engine.tables.block_height
    for z in (2, 3):
        put_block(engine, 0, GROUND, z)
        put_block(engine, 0, GROUND + 2, z, DIRT)
    heights[STONE] = 0.4  # what a slab will be: it leaves 1.6 blocks
    try:
        assert play(engine, "forward", ticks=30)[-1, 2] == pytest.approx(1.7)  # too low to stand in
        play(engine, "forward", "sneak", ticks=20)
        assert 2 < state.position[0, 2] < 3.5 and state.position[0, 1] == GROUND + heights[STONE]
        crouched = 0
        while state.position[0, 2] < 4.3:
            play(engine, "forward")
            crouched += 1
            assert state.sneaking[0] and crouched < 50
        assert crouched > 10
        play(engine, "forward")
        assert not state.sneaking[0]
    finally:
        heights[STONE] = 1.0
        for z in (2, 3):
            put_block(engine, 0, GROUND + 2, z, 0)
            put_block(engine, 0, GROUND, z, 0)


def test_a_block_needs_a_jump_and_a_lower_one_does_not(engine):
    put_block(engine, 0, GROUND, 2)
    heights = engine.tables.block_height
    try:
        assert play(engine, "forward", ticks=30)[-1, 1] == GROUND
        assert GROUND + 1 in play(engine, "forward", "jump", ticks=10)[:, 1]
        play(engine, ticks=20)
        put_player(engine, 0.5, GROUND, 0.5)
        heights[STONE] = 0.5  # what a slab will be
        positions = play(engine, "forward", ticks=12)
        assert positions[:, 1].max() == GROUND - 0.5 + 1
        assert positions[-1, 2] > 2.0
        heights[STONE] = 0.625
        put_player(engine, 0.5, GROUND, 0.5)
        assert play(engine, "forward", ticks=20)[-1, 2] == pytest.approx(1.7)
    finally:
        heights[STONE] = 1.0
        put_block(engine, 0, GROUND, 2, 0)


def test_camera_turns_before_the_tick_and_pitch_stops_at_90(engine):
    moved = play(engine, "forward", camera=(0, 90))[0] - (0.5, GROUND, 0.5)
    np.testing.assert_allclose(moved, (-0.098, 0, 0), atol=1e-6)
    play(engine, camera=(10, 10), ticks=20)
    assert engine.state.pitch[0] == 90
    assert engine.state.yaw[0] == pytest.approx(-70)
    play(engine, camera=(-180, 0), ticks=3)
    assert engine.state.pitch[0] == -90


def test_translation_is_drawn_one_tick_late(engine):
    positions = play(engine, "forward", ticks=5)
    np.testing.assert_array_equal(engine.state.previous_position[0], positions[-2])


def test_hotbar_keys_select_when_newly_pressed(engine):
    play(engine, "hotbar.4")
    assert engine.state.selected[0] == 3
    play(engine, "hotbar.4", "hotbar.2")
    assert engine.state.selected[0] == 1
    play(engine, "hotbar.4", "hotbar.2")
    assert engine.state.selected[0] == 1
    play(engine)
    play(engine, "hotbar.9", "hotbar.1")
    assert engine.state.selected[0] == 8


@pytest.mark.parametrize(
    ("effect", "amplifier", "factor"), [("speed", 0, 1.2), ("speed", 1, 1.4), ("slowness", 0, 0.85), ("slowness", 9, 0)]
)
def test_effects_on_speed(engine, effect, amplifier, factor):
    engine.state.effect_ticks[0, EFFECT_ID[effect]] = 1000
    engine.state.effect_amplifier[0, EFFECT_ID[effect]] = amplifier
    start = engine.state.position[0].copy()
    assert distances(play(engine, "forward", ticks=60), start)[-1] == pytest.approx(0.21586 * factor, abs=1e-5)


def test_jump_boost(engine):
    engine.state.effect_ticks[0, EFFECT_ID["jump_boost"]] = 1000
    engine.state.effect_amplifier[0, EFFECT_ID["jump_boost"]] = 1
    assert play(engine, "jump")[0, 1] - GROUND == pytest.approx(0.62)


def test_effects_run_out(engine):
    engine.state.effect_ticks[0, EFFECT_ID["speed"]] = 5
    play(engine, ticks=4)
    assert engine.state.effect_ticks[0, EFFECT_ID["speed"]] == 1
    play(engine, ticks=3)
    assert engine.state.effect_ticks[0, EFFECT_ID["speed"]] == 0


# WATER, LAVA, CLIMBING


WATER, LAVA = BLOCK_ID["water[level=0]"], BLOCK_ID["lava[level=0]"]


def fill(engine, block, low=GROUND, high=GROUND + 12):
    """Fills the world with a block from ``low`` up to ``high``."""
    engine.state.voxels[..., low:high] = block
    engine.state.height[...] = high if block >= FIRST_LIQUID else low


def test_every_number_of_a_jump_even_below_its_start(engine):
    put_player(engine, 0.5, GROUND + 10, 0.5)
    engine.state.on_ground[0] = 1
    heights = np.append(play(engine, "jump")[:, 1], play(engine, ticks=13)[:, 1]) - GROUND - 10
    expected = [0.42, 0.7532, 1.0013, 1.1661, 1.2492, 1.2522, 1.1768, 1.0244, 0.7967, 0.4952, 0.1213]
    np.testing.assert_allclose(heights, [*expected, -0.3235, -0.8379, -1.4203], atol=6e-5)


def test_diagonal_speeds_in_metres_per_second(engine):
    for buttons, speed in ((("forward", "left"), 4.405), (("forward", "left", "sprint"), 5.727)):
        put_player(engine, 0.5, GROUND, 0.5)
        positions = play(engine, *buttons, ticks=80)
        assert np.hypot(*(positions[-1] - positions[-21])[[0, 2]]) == pytest.approx(speed, abs=2e-3)
        play(engine, ticks=20)


def test_sinking_rising_and_wading(engine):
    fill(engine, WATER, high=GROUND + 25)
    put_player(engine, 0.5, GROUND + 20, 0.5)
    sunk = np.diff(play(engine, ticks=60)[:, 1])
    assert sunk[-1] == pytest.approx(-0.025, abs=1e-4)
    risen = np.diff(play(engine, "jump", ticks=40)[:, 1])
    assert risen[-1] == pytest.approx(0.175, abs=1e-4)
    put_player(engine, 0.5, GROUND + 10, 0.5)
    way = distances(play(engine, "forward", ticks=60), (0.5, 0, 0.5))
    assert way[-1] == pytest.approx(0.098, abs=1e-5)
    sunk = np.diff(play(engine, "sneak", ticks=40)[:, 1])
    assert sunk[-1] == pytest.approx(-0.04 - 0.185 + 0.0, abs=1e-3)


def test_sprinting_under_water_swims_where_it_looks(engine):
    fill(engine, WATER, high=GROUND + 25)
    put_player(engine, 0.5, GROUND + 10, 0.5)
    play(engine, ticks=3)
    way = distances(play(engine, "forward", "sprint", ticks=80), (0.5, 0, 0.5))
    assert engine.state.sprinting[0] and way[-1] == pytest.approx(0.196, abs=1e-4)
    assert engine.state.custom[0, CUSTOM_ID["swim_one_cm"]] > 1000
    engine.state.pitch[0] = -60
    assert np.diff(play(engine, "forward", "sprint", ticks=10)[:, 1])[-1] > 0.05


def test_no_sprint_with_the_head_above_water(engine):
    fill(engine, WATER, high=GROUND + 1)
    play(engine, "forward", "sprint", ticks=10)
    assert not engine.state.sprinting[0] and engine.state.in_water[0]


def test_who_swims_keeps_afloat_and_climbs_out_at_an_edge(engine):
    fill(engine, WATER, low=GROUND - 5, high=GROUND)
    engine.state.voxels[:, :, 4:16, GROUND - 5 : GROUND] = STONE
    put_player(engine, 0.5, GROUND - 1, 0.5)
    heights = play(engine, "jump", ticks=100)[-40:, 1]
    assert heights.min() > GROUND - 1.2 and heights.max() < GROUND + 0.3
    positions = play(engine, "jump", "forward", ticks=80)
    assert positions[-1, 2] > 4 and positions[-1, 1] >= GROUND


def test_no_fall_damage_into_water_and_a_fifth_on_hay(engine):
    fill(engine, WATER, high=GROUND + 1)
    put_player(engine, 0.5, GROUND + 25, 0.5)
    play(engine, ticks=80)
    assert engine.state.health[0] == 20
    fill(engine, 0, high=GROUND + 1)
    engine.state.voxels[..., GROUND - 1] = BLOCK_ID["hay_block"]
    engine.state.food[0], engine.state.saturation[0] = 17, 0
    put_player(engine, 0.5, GROUND + 13, 0.5)
    play(engine, ticks=60)
    assert engine.state.health[0] == 18  # (13 - 3) / 5
    assert engine.state.custom[0, CUSTOM_ID["fall_one_cm"]] == 1200  # the last tick's way does not count
    assert engine.state.custom[0, CUSTOM_ID["damage_taken"]] == 20


def test_flowing_water_pushes(engine):
    for x in range(-4, 5):
        for z in range(-2, 4):
            put_block(engine, x, GROUND, z, BLOCK_ID[f"water[level={min(7, x + 4)}]"])
    put_player(engine, -1.5, GROUND, 0.5)
    x = play(engine, ticks=40)[:, 0]
    assert x[-1] > 0 and np.diff(x).max() < 0.08
    assert np.diff(x)[5:20].max() == pytest.approx(0.014 / (1 - 0.8), abs=0.01)


def test_drowning(engine):
    state = engine.state
    fill(engine, WATER)
    put_player(engine, 0.5, GROUND, 0.5)
    state.food[0] = 17
    play(engine, ticks=300)
    assert state.air[0] == 0 and state.health[0] == 20
    play(engine, ticks=19)
    assert state.health[0] == 20
    play(engine)
    assert state.health[0] == 18 and state.air[0] == 0
    play(engine, ticks=20)
    assert state.health[0] == 16
    give_effect(engine, "water_breathing")
    play(engine, ticks=60)
    assert state.health[0] == 16
    fill(engine, 0)
    play(engine)
    before = state.air[0]
    play(engine)
    assert state.air[0] == before + 4
    play(engine, ticks=80)
    assert state.air[0] == 300


def test_game_rules_against_damage(engine):
    state = engine.state
    for rule in ("fallDamage", "fireDamage", "drowningDamage"):
        state.gamerule[0, GAMERULE_ID[rule]] = 0
    put_player(engine, 0.5, GROUND + 20, 0.5)
    play(engine, ticks=60)
    fill(engine, WATER)
    play(engine, ticks=400)
    fill(engine, LAVA)
    play(engine, ticks=40)
    assert state.health[0] == 20


def test_lava_burns_and_water_puts_the_fire_out(engine):
    state = engine.state
    state.food[0] = 17
    fill(engine, LAVA)
    put_player(engine, 0.5, GROUND + 6, 0.5)
    play(engine)
    assert state.health[0] == 16 and state.fire_ticks[0] == 300
    play(engine, ticks=9)
    assert state.health[0] == 16
    play(engine)
    assert state.health[0] == 12
    sunk = np.diff(play(engine, ticks=15)[:, 1])
    assert sunk[-1] == pytest.approx(-0.04, abs=1e-4)
    state.health[0] = 20
    fill(engine, 0)
    put_player(engine, 0.5, GROUND, 0.5)
    play(engine, ticks=100)
    assert state.health[0] == 16 and state.fire_ticks[0] == 200
    fill(engine, WATER, high=GROUND + 1)
    play(engine, ticks=30)
    assert state.health[0] == 16 and state.fire_ticks[0] == 0


def test_fire_resistance(engine):
    give_effect(engine, "fire_resistance")
    fill(engine, LAVA)
    play(engine, ticks=50)
    assert engine.state.health[0] == 20


def test_ladders_and_vines(engine):
    state = engine.state
    for name in ("ladder[facing=north]", "vine[facing=north]"):
        for y in range(GROUND, GROUND + 10):
            put_block(engine, 0, y, 1)
            put_block(engine, 0, y, 0, BLOCK_ID[name])
        put_player(engine, 0.5, GROUND, 0.5)
        up = np.diff(play(engine, "forward", ticks=30)[:, 1])
        assert up[-1] == pytest.approx(0.1176, abs=1e-6)  # 2.35 m/s
        down = np.diff(play(engine, ticks=10)[:, 1])
        assert down[-1] == pytest.approx(-0.15)
        assert np.diff(play(engine, "sneak", ticks=10)[:, 1])[2:].max() == 0
        sideways = distances(play(engine, "left", "sneak", ticks=2), state.position[0])
        assert sideways.max() <= 0.15
        put_player(engine, 0.5, GROUND + 8, 0.5)
        play(engine, ticks=80)
        assert state.health[0] == 20 and state.position[0, 1] == GROUND


def test_cobwebs_hold(engine):
    fill(engine, BLOCK_ID["cobweb"], high=GROUND + 4)
    put_player(engine, 0.5, GROUND + 2, 0.5)
    positions = play(engine, "forward", ticks=10)
    assert np.diff(positions[:, 1])[-1] == pytest.approx(-0.0784 * 0.05, abs=1e-6)
    assert distances(positions, positions[0])[-1] <= 0.0246
    put_player(engine, 0.5, GROUND + 30, 0.5)
    play(engine, ticks=200)
    assert engine.state.health[0] == 20


def test_ice_and_soul_sand(engine):
    for block, speed in (("ice", 0.20785), ("packed_ice", 0.20785), ("soul_sand", 0.12538)):
        engine.state.voxels[..., GROUND - 1] = BLOCK_ID[block]
        put_player(engine, 0.5, GROUND, 0.5)
        way = distances(play(engine, "forward", ticks=150), (0.5, 0, 0.5))
        assert way[-1] == pytest.approx(speed, abs=2e-5), block
    assert way[0] == pytest.approx(0.098, abs=1e-6)


def test_cactus_pricks(engine):
    state = engine.state
    state.food[0] = 17
    put_block(engine, 0, GROUND, 2, BLOCK_ID["cactus"])
    play(engine, "forward", ticks=6)
    assert state.health[0] == 20
    play(engine, "forward", ticks=10)
    assert state.health[0] == 19
    play(engine, "forward", ticks=10)
    assert state.health[0] == 18
    assert state.custom[0, CUSTOM_ID["damage_taken"]] == 20
    assert state.exhaustion[0] == pytest.approx(0.2, abs=1e-6)


def test_a_head_in_stone_suffocates_and_in_leaves_or_glass_does_not(engine):
    state = engine.state
    state.food[0] = 17
    for block, damage in (("oak_leaves", 0), ("glass", 0), ("stone", 3)):
        put_block(engine, 0, GROUND + 1, 0, BLOCK_ID[block])
        put_player(engine, 0.5, GROUND, 0.5)
        play(engine, ticks=30)
        assert state.health[0] == 20 - damage


# HURT


@njit
def _hurt(player, tables, amount, x, z, pierces):
    hurt_player(player, 0, tables, amount, x, z, pierces)


def hurt(engine, amount, x=np.nan, z=np.nan, pierces=STOPPED_BY_ARMOUR):
    _hurt(engine.arrays.player, engine.tables, float(amount), float(x), float(z), pierces)


@pytest.mark.parametrize(
    ("damage", "points", "toughness", "taken"),
    [(4, 0, 0, 4), (4, 15, 0, 1.92), (10, 20, 8, 3), (4, 7, 0, 3.2), (100, 20, 0, 84), (1, 20, 12, 0.208)],
)
def test_what_armour_lets_through(damage, points, toughness, taken):
    least = max(points / 5, points - damage / (2 + toughness / 4))
    assert taken == pytest.approx(damage * (1 - min(20, least) / 25), abs=1e-6)
    assert python_function(armoured)(damage, points, toughness) == pytest.approx(taken, abs=1e-6)


def wear_all(engine, material):
    for slot, part in enumerate(("boots", "leggings", "chestplate", "helmet")):
        engine.state.inventory_item[0, 36 + slot] = ITEM_ID[f"{material}_{part}"]
        engine.state.inventory_count[0, 36 + slot] = 1


@pytest.mark.parametrize(
    ("material", "taken"), [("iron", 1.92), ("diamond", 0.96), ("leather", 3.2), ("netherite", 0.928)]
)
def test_worn_armour_helps_and_wears(engine, material, taken):
    wear_all(engine, material)
    hurt(engine, 4)
    assert 20 - engine.state.health[0] == pytest.approx(taken, abs=1e-5)
    engine.state.food[0] = 17
    play(engine)
    assert engine.state.inventory_damage[0, 36:40].tolist() == [1] * 4
    play(engine, ticks=20)
    hurt(engine, 4, pierces=PIERCES)
    assert engine.state.health[0] < 20 - taken - 3.9


def test_used_up_armour_breaks(engine):
    wear_all(engine, "leather")
    engine.state.inventory_damage[0, 36] = 61  # of 65
    hurt(engine, 12)
    play(engine)
    assert engine.state.inventory_count[0, 36:40].tolist() == [1, 1, 1, 1]
    assert engine.state.inventory_damage[0, 36:40].tolist() == [64, 3, 3, 3]
    play(engine, ticks=20)
    hurt(engine, 4)
    play(engine)
    assert engine.state.inventory_count[0, 36:40].tolist() == [0, 1, 1, 1]
    assert engine.state.break_item[0, ITEM_ID["leather_boots"]] == 1


def test_within_ten_ticks_only_what_is_more_than_the_last_hit_counts(engine):
    state = engine.state
    state.food[0] = 17
    hurt(engine, 4)
    assert state.health[0] == 16 and state.hurt_ticks[0] == 10
    hurt(engine, 3)
    hurt(engine, 4)
    assert state.health[0] == 16
    play(engine, ticks=5)
    hurt(engine, 6)
    assert state.health[0] == 14
    play(engine, ticks=4)
    hurt(engine, 6)
    assert state.health[0] == 14
    play(engine)
    hurt(engine, 6)
    assert state.health[0] == 8
    play(engine)
    assert state.custom[0, CUSTOM_ID["damage_taken"]] == 120


def test_a_hit_knocks_back_away_from_its_source(engine):
    hurt(engine, 1, 0.5, 3.5)
    np.testing.assert_allclose(engine.state.velocity[0], (0, 0.4 - 0.0784 / 2, -0.4), atol=1e-6)
    play(engine, ticks=20)
    put_player(engine, 0.5, GROUND, 0.5)
    hurt(engine, 1)
    assert engine.state.velocity[0, 0] == 0 and engine.state.velocity[0, 2] == 0


def test_resistance_and_absorption(engine):
    state = engine.state
    give_effect(engine, "resistance", 1)
    hurt(engine, 10)
    assert state.health[0] == pytest.approx(14)
    state.effect_ticks[0] = 0
    play(engine, ticks=20)
    state.health[0], state.absorption[0] = 20, 4
    hurt(engine, 3)
    assert state.health[0] == 20 and state.absorption[0] == 1
    play(engine, ticks=20)
    hurt(engine, 3)
    assert state.health[0] == 18 and state.absorption[0] == 0


def test_poison_leaves_one_health_point_and_regeneration_heals(engine):
    state = engine.state
    state.food[0] = 17
    state.health[0] = 3
    give_effect(engine, "poison")
    play(engine, ticks=400)
    assert state.health[0] == 1
    state.effect_ticks[0] = 0
    give_effect(engine, "regeneration", ticks=100)
    play(engine, ticks=100)
    assert state.health[0] == 3


def test_slow_falling(engine):
    give_effect(engine, "slow_falling")
    put_player(engine, 0.5, GROUND + 200, 0.5)
    assert np.diff(play(engine, ticks=300)[:, 1])[-1] == pytest.approx(-0.01 * 0.98 / 0.02, abs=0.01)
    play(engine, ticks=300)
    assert engine.state.on_ground[0]
    assert engine.state.health[0] == 20


# HUNGER


def test_effort_uses_up_saturation_then_food_then_health(engine):
    state = engine.state
    state.exhaustion[0], state.saturation[0] = 4.1, 1
    play(engine)
    assert (state.saturation[0], state.food[0]) == (0, 20) and state.exhaustion[0] == pytest.approx(0.1)
    state.exhaustion[0] = 4.1
    play(engine)
    assert state.food[0] == 19
    state.food[0] = 0
    play(engine, ticks=80)
    assert state.health[0] == 19
    play(engine, ticks=80 * 18)
    assert state.health[0] == 1
    play(engine, ticks=80)
    assert state.custom[0, DEATHS] == 1  # difficulty hard


def test_what_motion_costs(engine):
    state = engine.state
    play(engine, "forward", ticks=40)
    assert state.exhaustion[0] == 0  # walking is free
    play(engine, "jump")
    assert state.exhaustion[0] == pytest.approx(0.05)
    play(engine, ticks=30)
    play(engine, "forward", "sprint", ticks=100)
    way = state.custom[0, CUSTOM_ID["sprint_one_cm"]]
    assert state.exhaustion[0] == pytest.approx(0.05 + 0.001 * way, abs=1e-3)
    before = state.exhaustion[0]
    play(engine, "forward", "sprint", "jump")
    assert state.exhaustion[0] == pytest.approx(before + 0.2, abs=1e-5)


def test_the_hunger_effect(engine):
    give_effect(engine, "hunger", 1)
    play(engine, ticks=100)
    assert engine.state.exhaustion[0] == pytest.approx(100 * 0.005 * 2, abs=1e-4)


def test_no_natural_healing_without_the_game_rule(engine):
    engine.state.gamerule[0, GAMERULE_ID["naturalRegeneration"]] = 0
    engine.state.health[0] = 10
    play(engine, ticks=100)
    assert engine.state.health[0] == 10


# STATISTICS


def test_distances_and_times_are_counted(engine):
    state = engine.state
    custom = lambda name: int(state.custom[0, CUSTOM_ID[name]])  # noqa: E731
    before = {name: custom(name) for name in ("play_one_minute", "time_since_death")}
    play(engine, "forward", ticks=60)
    play(engine, ticks=20)
    assert custom("walk_one_cm") == pytest.approx(100 * (state.position[0, 2] - 0.5), abs=40)
    steady = custom("walk_one_cm")
    play(engine, "forward", "sneak", ticks=40)
    assert custom("walk_one_cm") == steady
    assert custom("crouch_one_cm") == pytest.approx(40 * 6, abs=20) and custom("sneak_time") == 40
    play(engine, ticks=20)
    play(engine, "forward", "sprint", ticks=40)
    assert custom("sprint_one_cm") == pytest.approx(40 * 28, abs=60)
    assert custom("play_one_minute") - before["play_one_minute"] == 180
    assert custom("time_since_death") - before["time_since_death"] == 180
    state.health[0] = 0
    play(engine)
    assert custom("time_since_death") == 0 and custom("deaths") == 1
    fill(engine, WATER)
    play(engine, "forward", ticks=40)
    assert custom("walk_under_water_one_cm") > 200 and custom("swim_one_cm") == 0


# ANYTHING


def inside_a_block(state, n, shrink=1e-6):
    x, y, z = state.position[n]
    height = 1.5 if state.sneaking[n] else 1.8
    size = state.voxels.shape[1]
    corners = np.array(
        [
            [x + sx * (0.3 - shrink), y + sy, z + sz * (0.3 - shrink)]
            for sx in (-1, 1)
            for sz in (-1, 1)
            for sy in (shrink, 1.0, height - shrink)
        ]
    )
    i, j, k = np.floor(corners).astype(int).T
    block = state.voxels[n, i % size, k % size, np.clip(j, 0, 63)]
    return (corners[:, 1] < j + COLLISION_HEIGHT[block]).any()


@pytest.fixture(scope="module")
def wild():
    return VoxelEngine(8, world_size=64, empty_frames=0, teleport_range=100)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31))
def test_no_sequence_of_actions_puts_the_player_inside_a_block(wild, seed):
    rng = np.random.default_rng(seed)
    wild.set_keys(rng.integers(0, 2**62, wild.num_envs))
    reset = np.ones(wild.num_envs, bool)
    odds = np.full(20, 0.2)
    odds[[2, 3, 7]] = 0.8, 0.5, 0.5
    for _ in range(12):
        pressed = (rng.random((wild.num_envs, 20)) < odds).astype(np.uint8)
        camera = rng.uniform(-40, 40, (wild.num_envs, 2)).astype(np.float32)
        for _ in range(10):
            wild.tick(pressed, camera, reset)
            reset[:] = False
            assert not any(inside_a_block(wild.state, n) for n in range(wild.num_envs))
    for name in ("position", "velocity", "yaw", "pitch", "health"):
        assert np.isfinite(getattr(wild.state, name)).all()
