"""The player moves as in Minecraft 1.16.5; the numbers are those of its formulas, worked out by hand."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from voxel_worlds import GROUND, flat_engine, play, put_block, put_player

from minestudio_envs.voxel.blocks import COLLISION_HEIGHT, DIRT, STONE
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.items import ITEM_ID
from minestudio_envs.voxel.state import DEATHS, EFFECT_ID, JUMP


@pytest.fixture(scope="module")
def shared():
    return flat_engine()


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
