"""Monsters come in the dark and go; animals are there from the beginning, if asked for."""

import numpy as np
import pytest
from voxel_worlds import GROUND, flat_engine, play, put_player

from minestudio_envs.voxel import mobs
from minestudio_envs.voxel.blocks import BLOCK_ID
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.randomness import environment_key
from minestudio_envs.voxel.state import CHICKEN, COW, GAMERULE_ID, PIG, SHEEP, SKELETON, ZOMBIE

NIGHT, NOON = 18000, 6000
RULE = GAMERULE_ID["doMobSpawning"]


@pytest.fixture(scope="module")
def shared():
    engine = flat_engine(8, world_size=128)
    return engine, engine.snapshot()


@pytest.fixture
def engine(shared):
    shared[0].restore(shared[1])
    shared[0].state.time_of_day[...] = NIGHT
    shared[0].state.gamerule[:, GAMERULE_ID["doDaylightCycle"]] = 0
    put_player(shared[0], 0.5, GROUND, 0.5)
    return shared[0]


def natural(engine):
    return (engine.state.mob_kind > 0) & (engine.state.mob_natural > 0)


def distances(engine):
    return np.linalg.norm(engine.state.mob_position - engine.state.position[:, None], axis=-1)


def test_at_night_monsters_fill_their_number_and_no_more(engine):
    state = engine.state
    appeared = []
    for _ in range(2000):
        before = state.mob_kind.copy()
        state.health[...] = 20
        play(engine)
        put_player(engine, 0.5, GROUND, 0.5)
        new = (before == 0) & (state.mob_kind > 0)
        appeared += distances(engine)[new].tolist()
        assert natural(engine).sum(1).max() <= 8
    assert natural(engine).sum(1).mean() > 6
    assert set(state.mob_kind[state.mob_kind > 0]) == {ZOMBIE, SKELETON}
    assert min(appeared) >= 24 - 0.5 and max(appeared) <= 56.5 and len(appeared) > 60


@pytest.mark.parametrize("why", ["day", "torchlight", "rule", "leaves", "water"])
def test_where_none_appear(engine, why):
    state = engine.state
    if why == "day":
        state.time_of_day[...] = NOON
    elif why == "torchlight":
        state.light[..., GROUND:] = 15 << 4 | 8
    elif why == "rule":
        state.gamerule[:, RULE] = 0
    elif why == "leaves":
        state.voxels[..., GROUND - 1] = BLOCK_ID["oak_leaves"]
        state.voxels[..., 1 : GROUND - 1] = BLOCK_ID["stone"]
    else:
        state.voxels[..., GROUND] = BLOCK_ID["water[level=0]"]
        state.height[...] = GROUND + 1
        put_player(engine, 0.5, GROUND + 1, 0.5)
    play(engine, ticks=600)
    assert not natural(engine).any()


def test_they_appear_in_dark_caves_by_day(engine):
    state = engine.state
    state.time_of_day[...] = NOON
    state.voxels[..., 10:14] = 0
    state.light[..., :GROUND] = 0
    put_player(engine, 0.5, GROUND, 0.5)
    play(engine, ticks=1500)
    assert natural(engine).sum() > 20
    assert set(state.mob_position[natural(engine)][:, 1]) == {10.0}
    assert (distances(engine)[natural(engine)] >= 15).all()


def test_they_leave_when_the_player_is_far(engine):
    state = engine.state
    play(engine, ticks=400)
    state.gamerule[:, RULE] = 0
    count = natural(engine).sum()
    assert count > 20
    # stuck at 40 blocks: only after 600 ticks, and then at 1/800 per tick
    where = np.argwhere(natural(engine))
    state.mob_age[...] = 0

    def hold(distance):
        for n, m in where:
            state.mob_position[n, m] = (0.5, GROUND, 0.5 + distance)
            state.mob_velocity[n, m] = 0
            state.mob_goal[n, m] = mobs.GOAL_NONE

    for _ in range(150):
        hold(40)
        play(engine, ticks=4)
    assert natural(engine).sum() == count
    for _ in range(200):
        hold(40)
        play(engine, ticks=4)
    assert natural(engine).sum() / count == pytest.approx(np.exp(-1), abs=0.2)
    hold(57)
    play(engine, ticks=4)
    assert not natural(engine).any()


def test_summoned_monsters_never_leave(engine):
    state = engine.state
    state.gamerule[:, RULE] = 0
    state.mob_kind[:, 0], state.mob_health[:, 0] = ZOMBIE, 20
    state.mob_position[:, 0] = (0.5, GROUND, 62.5)
    play(engine, ticks=900)
    assert (state.mob_kind[:, 0] == ZOMBIE).all()


def test_animals_of_a_new_world():
    engine = VoxelEngine(48, animals=True, empty_frames=0, max_mobs=24)
    play(engine, reset=True)
    state = engine.state
    kinds = state.mob_kind
    assert (kinds > 0).sum(1).max() <= 12 and (kinds > 0).sum() > 48
    assert (state.mob_natural[kinds > 0] == 1).all()
    counts = np.array([(kinds == kind).sum() for kind in (SHEEP, PIG, CHICKEN, COW)])
    np.testing.assert_allclose(counts / counts.sum(), np.array([12, 10, 10, 8]) / 40, atol=0.12)
    babies = state.mob_age[kinds > 0] < 0
    assert 0 < babies.mean() < 0.1
    n, m = np.nonzero(kinds)
    x, y, z = np.floor(state.mob_position[n, m]).astype(int).T
    assert (state.voxels[n, x % 128, z % 128, y - 1] == BLOCK_ID["grass_block"]).mean() > 0.95
    colours = state.mob_variant[kinds == SHEEP]
    assert (colours == 0).mean() > 0.6
    # groups: nearly everybody has another of its kind near
    gap = np.abs(state.mob_position[:, :, None] - state.mob_position[:, None]).max(-1)
    alike = (kinds[:, :, None] == kinds[:, None]) & (kinds[:, None] > 0) & (gap < 12)
    assert (alike.sum(-1)[kinds > 0] >= 2).mean() > 0.8


def test_without_being_asked_for_there_are_no_animals():
    engine = VoxelEngine(4, empty_frames=0)
    play(engine, reset=True)
    assert not engine.state.mob_kind.any()


def test_the_same_night_whatever_the_batch():
    """Environment 2 of a batch of 3 has the monsters of the same environment alone."""
    states = []
    for first, number in ((0, 3), (2, 1)):
        engine = VoxelEngine(number, start_time=NIGHT, world_size=64, animals=True)
        engine.set_keys(np.array([environment_key(5, first + i) for i in range(number)]))
        play(engine, reset=True)
        play(engine, "forward", "jump", ticks=400, camera=(0, 1))
        states.append({k: v[-1] for k, v in engine.snapshot().items() if k.startswith(("mob_", "arrow_", "health"))})
    assert (states[0]["mob_kind"] >= ZOMBIE).any()
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name], err_msg=name)
