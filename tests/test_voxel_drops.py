"""Item entities fall, float, merge, are picked up and end as in Minecraft 1.16.5."""

import numpy as np
import pytest
from numba import njit
from voxel_worlds import GROUND, hold, lying, play, put_block, put_player, quiet_engine

from minestudio_envs.voxel.blocks import BLOCK_ID
from minestudio_envs.voxel.drops import drop_item
from minestudio_envs.voxel.items import ITEM_ID
from minestudio_envs.voxel.state import CUSTOM_ID, GAMERULE_ID, MAX_DROPS


@njit
def _drop(state, item, count, x, y, z):
    return drop_item(state, 0, item, count, 0, x, y, z, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def shared():
    engine = quiet_engine()
    return engine, engine.snapshot()


@pytest.fixture
def engine(shared):
    shared[0].restore(shared[1])
    return shared[0]


def drop(engine, item, x, y, z, count=1):
    return _drop(engine.arrays, ITEM_ID[item], count, float(x), float(y), float(z))


def test_an_item_falls_with_its_own_gravity_and_comes_to_rest(engine):
    i = drop(engine, "dirt", 8.5, GROUND + 10, 8.5)
    fallen = []
    for _ in range(4):
        play(engine)
        fallen.append(engine.state.drop_position[0, i, 1] - GROUND - 10)
    np.testing.assert_allclose(fallen, [-0.04, -0.1192, -0.236816, -0.39207968], atol=1e-9)
    play(engine, ticks=60)
    np.testing.assert_allclose(engine.state.drop_position[0, i], (8.5, GROUND, 8.5), atol=1e-9)
    assert engine.state.drop_on_ground[0, i]


def test_a_sliding_item_loses_its_speed_to_the_ground(engine):
    i = drop(engine, "dirt", 8.5, GROUND, 8.5)
    play(engine, ticks=5)
    engine.state.drop_velocity[0, i, 0] = 0.1
    play(engine)
    assert engine.state.drop_position[0, i, 0] == pytest.approx(8.6)
    assert engine.state.drop_velocity[0, i, 0] == pytest.approx(0.1 * 0.588)
    play(engine, ticks=40)
    assert engine.state.drop_position[0, i, 0] < 8.5 + 0.1 / (1 - 0.588)


def test_items_float_in_water_and_burn_in_lava(engine):
    for y in (GROUND, GROUND + 1):
        for x in range(7, 12):
            for z in range(7, 12):
                put_block(engine, x, y, z, BLOCK_ID["water[level=0]"])
    i = drop(engine, "dirt", 9.5, GROUND + 0.1, 9.5)
    play(engine, ticks=400)
    assert GROUND + 1.5 < engine.state.drop_position[0, i, 1] < GROUND + 2
    put_block(engine, -9, GROUND, -9, BLOCK_ID["lava[level=0]"])
    drop(engine, "diamond", -8.5, GROUND + 0.5, -8.5)
    play(engine, ticks=5)
    assert lying(engine) == [("dirt", 1)]


def test_flowing_water_carries_items(engine):
    for x in range(6, 14):
        put_block(engine, x, GROUND, 8, BLOCK_ID[f"water[level={x - 6}]"])
        for z in (7, 9):
            put_block(engine, x, GROUND, z)
    i = drop(engine, "dirt", 7.5, GROUND + 0.5, 8.5)
    play(engine, ticks=40)
    assert engine.state.drop_position[0, i, 0] > 9


def test_equal_neighbours_merge_and_others_do_not(engine):
    drop(engine, "dirt", 8.5, GROUND, 8.5, 3)
    drop(engine, "dirt", 9.2, GROUND, 8.5, 4)
    drop(engine, "stone", 8.5, GROUND, 8.5, 5)
    drop(engine, "dirt", 8.5, GROUND, 11.5, 6)
    drop(engine, "dirt", 9.0, GROUND, 8.5, 60)
    play(engine, ticks=45)
    assert sorted(lying(engine)) == [("dirt", 6), ("dirt", 7), ("dirt", 60), ("stone", 5)]


def test_an_item_is_gone_after_6000_ticks(engine):
    drop(engine, "dirt", 8.5, GROUND, 8.5)
    play(engine, ticks=5999)
    assert lying(engine) == [("dirt", 1)]
    play(engine)
    assert lying(engine) == []


def test_pick_up_waits_for_ten_ticks_and_counts_items(engine):
    drop(engine, "dirt", 0.5, GROUND, 0.5, 7)
    play(engine, ticks=9)
    assert lying(engine) == [("dirt", 7)]
    play(engine)
    assert lying(engine) == []
    assert engine.state.pickup[0, ITEM_ID["dirt"]] == 7
    assert (engine.state.inventory_item[0, 0], engine.state.inventory_count[0, 0]) == (ITEM_ID["dirt"], 7)


@pytest.mark.parametrize(
    ("dx", "dy", "taken"),
    [(1.42, 0, True), (1.43, 0, False), (-1.42, 0, True), (0, 2.2, True), (0, 2.4, False), (1.4, -0.7, True)],
)
def test_the_box_that_picks_up(engine, dx, dy, taken):
    if dy:  # on a ledge of its own, so that it lies still
        engine.state.voxels[:, :, :, GROUND - 1] = 0
        put_block(engine, 0, GROUND - 1, 0)
    i = drop(engine, "dirt", 0.5 + dx, GROUND + dy, 0.5)
    engine.state.drop_delay[0, i] = 1
    engine.state.drop_velocity[0, i, 1] = 0.04  # against gravity, for this tick
    play(engine)
    assert (lying(engine) == []) == taken


def test_pick_up_fills_the_hand_first_then_stacks_then_empty_slots(engine):
    state = engine.state
    for slot, count in ((2, 60), (5, 10), (40, 63)):
        state.inventory_item[0, slot], state.inventory_count[0, slot] = ITEM_ID["dirt"], count
    state.inventory_item[0, 0], state.inventory_count[0, 0] = ITEM_ID["stone"], 1
    state.selected[0] = 5
    drop(engine, "dirt", 0.5, GROUND, 0.5, 60)
    play(engine, ticks=10)
    assert state.inventory_count[0, [5, 40, 2]].tolist() == [64, 64, 64]
    assert (state.inventory_item[0, 1], state.inventory_count[0, 1]) == (ITEM_ID["dirt"], 1)


def test_what_has_no_room_stays(engine):
    state = engine.state
    state.inventory_item[0, :36], state.inventory_count[0, :36] = ITEM_ID["stone"], 64
    state.inventory_item[0, 7], state.inventory_count[0, 7] = ITEM_ID["dirt"], 60
    drop(engine, "dirt", 0.5, GROUND, 0.5, 10)
    drop(engine, "iron_sword", 0.5, GROUND, 0.5)
    play(engine, ticks=12)
    assert state.inventory_count[0, 7] == 64
    assert sorted(lying(engine)) == [("dirt", 6), ("iron_sword", 1)]
    assert state.pickup[0, ITEM_ID["dirt"]] == 4


def test_the_drop_key_throws_one_item_forwards(engine):
    state = engine.state
    hold(engine, "dirt", 5)
    play(engine, "drop", ticks=3)  # held: one item
    assert state.inventory_count[0, 0] == 4 and lying(engine) == [("dirt", 1)]
    assert state.custom[0, CUSTOM_ID["drop"]] == 1
    assert state.drop_velocity[0, 0, 2] > 0.2
    play(engine, ticks=60)
    assert 2 < state.drop_position[0, 0, 2] < 5
    assert state.drop_position[0, 0, 1] == GROUND
    put_player(engine, *state.drop_position[0, 0])
    play(engine, ticks=2)
    assert state.inventory_count[0, 0] == 5 and state.pickup[0, ITEM_ID["dirt"]] == 1


def test_a_thrown_item_cannot_be_picked_up_for_forty_ticks(engine):
    hold(engine, "dirt", 1)
    put_player(engine, 0.5, GROUND, 0.5, pitch=90)
    play(engine, "drop")
    play(engine, ticks=38)
    assert lying(engine) == [("dirt", 1)]
    play(engine, ticks=2)
    assert lying(engine) == []


def test_the_oldest_makes_room(engine):
    for k in range(MAX_DROPS + 1):
        drop(engine, "dirt" if k else "diamond", 8.5 + 2 * (k % 8), GROUND + 3 * (k // 8), 8.5, 64)
        play(engine)
    assert len(lying(engine)) == MAX_DROPS and ("diamond", 64) not in lying(engine)


def test_items_lie_where_they_lie_after_laps_around_the_world(engine):
    drop(engine, "dirt", 0.5, GROUND, 6.5)
    size = engine.state.voxels.shape[1]
    put_player(engine, 0.5 + 5 * size, GROUND, 6.5 - 3 * size)
    play(engine, ticks=12)
    assert engine.state.inventory_count[0, 0] == 1


def test_death_scatters_what_was_carried(engine):
    state = engine.state
    hold(engine, "diamond", 5)
    state.inventory_item[0, 36], state.inventory_count[0, 36] = ITEM_ID["iron_boots"], 1
    state.cursor_item[0], state.cursor_count[0] = ITEM_ID["stick"], 3
    put_player(engine, 9.5, GROUND, 9.5)
    state.health[0] = 0
    play(engine)
    assert sorted(lying(engine)) == [("diamond", 5), ("iron_boots", 1), ("stick", 3)]
    assert not state.inventory_item.any() and state.cursor_count[0] == 0
    play(engine, ticks=30)
    assert np.hypot(*(state.drop_position[0, :3, [0, 2]] - 9.5)).max() < 8


def test_death_loses_none_of_all_the_stacks(engine):
    state = engine.state
    state.inventory_item[0], state.inventory_count[0] = ITEM_ID["dirt"], 64
    state.cursor_item[0], state.cursor_count[0] = ITEM_ID["stick"], 3
    put_player(engine, 9.5, GROUND, 9.5)
    state.health[0] = 0
    play(engine)
    assert sorted(lying(engine)) == [("dirt", 64)] * state.inventory_item.shape[1] + [("stick", 3)]


def test_keep_inventory(engine):
    hold(engine, "diamond", 5)
    engine.state.gamerule[0, GAMERULE_ID["keepInventory"]] = 1
    engine.state.cursor_item[0], engine.state.cursor_count[0] = ITEM_ID["stick"], 3
    engine.state.gui_open[0] = 1
    engine.state.health[0] = 0
    play(engine)
    assert lying(engine) == [] and engine.state.inventory_count[0, 0] == 5
    assert engine.state.cursor_count[0] == 0 and not engine.state.gui_open[0]
    assert (engine.state.inventory_item[0, 1], engine.state.inventory_count[0, 1]) == (ITEM_ID["stick"], 3)
