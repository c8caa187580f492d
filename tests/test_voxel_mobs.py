"""Cows wander, flee, look, climb, fall and keep out of the ground."""

import numpy as np
import pytest
from voxel_worlds import GROUND, flat_engine, play, put_block, put_cow, put_player

from minestudio_envs.voxel import mobs
from minestudio_envs.voxel.commands import summon_range
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.state import COW


@pytest.fixture(scope="module")
def shared():
    engine = flat_engine()
    return engine, engine.snapshot()


@pytest.fixture
def engine(shared):
    shared[0].restore(shared[1])
    put_player(shared[0], 16.5, GROUND, 16.5)
    return shared[0]


def send_cow(engine, goal, x, z, m=0):
    """Gives the cow a goal far enough away to reach its full speed."""
    state = engine.state
    state.mob_goal[0, m], state.mob_goal_ticks[0, m] = goal, 200
    state.mob_target[0, m] = (x, GROUND, z)
    if goal == mobs.GOAL_PANIC:
        state.mob_panic_ticks[0, m] = 200


@pytest.mark.parametrize(("goal", "speed"), [(mobs.GOAL_WANDER, 1.73), (mobs.GOAL_PANIC, 6.91)])
def test_speed_in_metres_per_second(engine, goal, speed):
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    send_cow(engine, goal, 0.5, 14.5)
    before = engine.state.mob_position[0, 0, 2]
    for _ in range(30):
        before = engine.state.mob_position[0, 0, 2]
        play(engine)
    assert (engine.state.mob_position[0, 0, 2] - before) * 20 == pytest.approx(speed, abs=0.01)
    assert abs(engine.state.mob_yaw[0, 0]) < 1e-3


def test_it_stops_where_it_wanted_to_go(engine):
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    send_cow(engine, mobs.GOAL_WANDER, 3.5, 3.5)
    play(engine, ticks=70)
    np.testing.assert_allclose(engine.state.mob_position[0, 0, [0, 2]], 3.5, atol=0.5)
    assert engine.state.mob_goal[0, 0] != mobs.GOAL_WANDER or not np.allclose(
        engine.state.mob_target[0, 0, [0, 2]], 3.5
    )


def test_it_wanders_about_once_in_120_ticks():
    engine = flat_engine(64)
    put_player(engine, 16.5, GROUND, 16.5)
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    starts = 0
    for _ in range(600):
        before = engine.state.mob_goal[:, 0].copy()
        play(engine)
        starts += ((before != mobs.GOAL_WANDER) & (engine.state.mob_goal[:, 0] == mobs.GOAL_WANDER)).sum()
        standing = engine.state.mob_goal[:, 0] == mobs.GOAL_WANDER
        engine.state.mob_goal_ticks[standing, 0] = 1  # at once given up
    # each start costs two ticks in which no other can begin
    assert starts == pytest.approx(64 * 600 / 122, rel=0.2)


def test_it_jumps_up_a_block_and_turns_from_a_wall(engine):
    for x in range(-2, 4):
        put_block(engine, x, GROUND, 3)
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    send_cow(engine, mobs.GOAL_WANDER, 0.5, 9.5)
    heights = []
    for _ in range(90):
        play(engine)
        heights.append(engine.state.mob_position[0, 0, 1] - GROUND)
    assert max(heights) >= 1 and heights[-1] == 0
    assert engine.state.mob_position[0, 0, 2] > 4

    for x in range(-2, 4):
        put_block(engine, x, GROUND + 1, 3)
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    send_cow(engine, mobs.GOAL_WANDER, 0.5, 9.5)
    play(engine, ticks=40)
    assert engine.state.mob_position[0, 0, 2] == pytest.approx(3 - 0.45, abs=1e-3)
    assert engine.state.mob_goal[0, 0] != mobs.GOAL_WANDER or engine.state.mob_target[0, 0, 2] != 9.5


def test_it_does_not_walk_into_a_deep_hole(engine):
    state = engine.state
    state.voxels[0, :, 4:8, GROUND - 6 : GROUND] = 0
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    for _ in range(20):
        send_cow(engine, mobs.GOAL_WANDER, 0.5, 9.5)
        play(engine, ticks=10)
    assert state.mob_position[0, 0, 1] == GROUND


@pytest.mark.parametrize(("height", "damage"), [(3, 0), (3.5, 1), (6, 3)])
def test_fall_damage(engine, height, damage):
    put_cow(engine, 0, 0.5, GROUND + height, 0.5)
    engine.state.mob_on_ground[0, 0] = 0
    play(engine, ticks=30)
    assert engine.state.mob_health[0, 0] == 10 - damage
    assert engine.state.mob_position[0, 0, 1] == GROUND


def test_a_deadly_fall_is_not_the_players_kill(engine):
    put_cow(engine, 0, 0.5, GROUND + 20, 0.5)
    engine.state.mob_on_ground[0, 0] = 0
    play(engine, ticks=80)
    assert engine.state.mob_kind[0, 0] == 0
    assert engine.state.kill_entity[0, COW] == 0


def test_a_hurt_cow_flees_for_about_a_hundred_ticks(engine):
    state = engine.state
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    play(engine, "attack")
    way, goals = [], []
    for _ in range(200):
        before = state.mob_position[0, 0, [0, 2]].copy()
        play(engine)
        way.append(np.hypot(*(state.mob_position[0, 0, [0, 2]] - before)))
        goals.append(state.mob_goal[0, 0])
    assert np.mean(way[5:95]) * 20 > 3
    assert mobs.GOAL_PANIC in goals[90:99] and mobs.GOAL_PANIC not in goals[170:]


def test_it_looks_at_a_player_nearby_and_not_at_one_far_away(engine):
    state = engine.state
    for distance, looks in ((4.0, True), (12.0, False)):
        put_cow(engine, 0, 0.5, GROUND, 0.5)
        put_player(engine, 0.5 + distance, GROUND, 0.5)
        seen = []
        for _ in range(400):
            play(engine)
            seen.append(state.mob_goal[0, 0] == mobs.GOAL_LOOK_AT_PLAYER)
            state.mob_position[0, 0] = (0.5, GROUND, 0.5)
            if state.mob_goal[0, 0] == mobs.GOAL_WANDER:
                state.mob_goal_ticks[0, 0] = 0
            if len(seen) > 30 and all(seen[-30:]):
                break
        assert any(seen) == looks
        if looks:
            assert state.mob_head_yaw[0, 0] == pytest.approx(-90, abs=1)  # east
            assert state.mob_head_pitch[0, 0] == pytest.approx(-4.5, abs=1.5)  # the player's eyes are higher


def test_bodies_push_apart(engine):
    state = engine.state
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    put_cow(engine, 1, 0.7, GROUND, 0.5)
    play(engine, ticks=60)
    assert np.abs(state.mob_position[0, 0] - state.mob_position[0, 1])[[0, 2]].max() >= 0.9 - 1e-3
    put_cow(engine, 1, 30.5, GROUND, 30.5)
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    put_player(engine, 0.8, GROUND, 0.5)
    play(engine, ticks=60)
    assert np.abs(state.mob_position[0, 0] - state.position[0])[[0, 2]].max() >= 0.75 - 1e-3
    assert state.position[0, 0] > 0.8


def test_legs_count_the_way(engine):
    put_cow(engine, 0, 0.5, GROUND, 0.5)
    engine.state.mob_walk[0, 0] = 0
    send_cow(engine, mobs.GOAL_WANDER, 0.5, 14.5)
    play(engine, ticks=40)
    assert engine.state.mob_walk[0, 0] == pytest.approx(engine.state.mob_position[0, 0, 2] - 0.5, rel=1e-5)


def test_cows_stay_out_of_the_ground_whatever_happens():
    engine = VoxelEngine(16, world_size=64, program=summon_range("cow", 10, (-5, 5), (-5, 5)))
    play(engine, reset=True)
    rng = np.random.default_rng(0)
    state = engine.state
    for tick in range(600):
        if tick % 40 == 0:
            state.mob_panic_ticks[...] = rng.integers(0, 2, state.mob_kind.shape) * 40
        play(engine, *(["forward", "jump", "sprint"] if tick % 3 else ["attack"]), camera=(0, 7))
        n, m = np.nonzero(state.mob_kind)
        x, y, z = state.mob_position[n, m].T
        for sx in (-1, 1):
            for sz in (-1, 1):
                for sy in (1e-6, 1, 1.4 - 1e-6):
                    bx, by, bz = (np.floor(c).astype(int) for c in (x + sx * 0.449999, y + sy, z + sz * 0.449999))
                    assert not state.voxels[n, bx % 64, bz % 64, by].any()
    assert (state.mob_kind > 0).sum() > 100
    assert np.isfinite(state.mob_position).all() and np.isfinite(state.mob_velocity).all()
    assert np.ptp(state.mob_position[..., 0][state.mob_kind > 0]) > 12  # they did move
