"""The inventory screen: clicks move stacks as in Minecraft 1.16.5, and nothing comes from nothing."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from voxel_worlds import BUTTONS, GROUND, lying, play, put_player, quiet_engine

from minestudio_envs.voxel.items import ITEM_ID, ITEMS, STACK_SIZE
from minestudio_envs.voxel.jit import python_function
from minestudio_envs.voxel.screen import CRAFTING_PLACES, SLOT_PLACES, slot_under
from minestudio_envs.voxel.state import CUSTOM_ID

PIXELS_PER_DEGREE = 2400 / 360


@pytest.fixture(scope="module")
def shared():
    engine = quiet_engine()
    return engine, engine.snapshot()


@pytest.fixture
def engine(shared):
    shared[0].restore(shared[1])
    play(shared[0], "inventory")
    return shared[0]


def fill(engine, slot, item, count=1, damage=0):
    state = engine.state
    state.inventory_item[0, slot], state.inventory_count[0, slot] = ITEM_ID[item], count
    state.inventory_damage[0, slot] = damage


def at(engine, slot):
    item, count = engine.state.inventory_item[0, slot], engine.state.inventory_count[0, slot]
    return (ITEMS[item], int(count)) if count else None


def cursor(engine):
    count = engine.state.cursor_count[0]
    return (ITEMS[engine.state.cursor_item[0]], int(count)) if count else None


def click(engine, slot, *buttons):
    """Moves the cursor to a slot, or to x and y, and clicks."""
    place = SLOT_PLACES[slot] + 8 if np.isscalar(slot) else np.array(slot)
    dx, dy = (place - engine.state.cursor[0]) / PIXELS_PER_DEGREE
    play(engine, camera=(dy, dx))
    play(engine, *(buttons or ("attack",)))
    play(engine)


def test_places_of_the_slots():
    assert len(SLOT_PLACES) == 41 and len(CRAFTING_PLACES) == 5
    assert SLOT_PLACES[0].tolist() == [240, 239] and SLOT_PLACES[8].tolist() == [384, 239]
    assert SLOT_PLACES[9].tolist() == [240, 181] and SLOT_PLACES[35].tolist() == [384, 217]
    assert SLOT_PLACES[36].tolist() == [240, 159] and SLOT_PLACES[39].tolist() == [240, 105]  # feet, head
    assert SLOT_PLACES[40].tolist() == [309, 159]
    for slot, (x, y) in enumerate(SLOT_PLACES):
        for dx, dy in ((0, 0), (15, 15), (-1, -1), (16, 16)):
            assert python_function(slot_under)(x + dx, y + dy) == slot
    for x, y in CRAFTING_PLACES:
        assert python_function(slot_under)(x, y) == -1


def test_the_key_opens_and_closes_when_newly_pressed(engine):
    assert engine.state.gui_open[0]
    play(engine, "inventory", ticks=5)  # held since it opened
    assert engine.state.gui_open[0]
    play(engine)
    play(engine, "inventory")
    assert not engine.state.gui_open[0]
    assert engine.state.custom[0, CUSTOM_ID["open_container"]] == 0


def test_the_camera_moves_the_cursor_and_not_the_view(engine):
    state = engine.state
    assert state.cursor[0].tolist() == [320, 180]
    play(engine, camera=(3, -6))
    np.testing.assert_allclose(state.cursor[0], (320 - 40, 180 + 20), atol=1e-3)
    assert state.yaw[0] == 0 and state.pitch[0] == 0
    play(engine, camera=(180, 180), ticks=3)
    assert state.cursor[0].tolist() == [640, 360]
    play(engine, camera=(-180, -180), ticks=3)
    assert state.cursor[0].tolist() == [0, 0]
    play(engine, "inventory")
    play(engine, camera=(3, -6))
    assert state.yaw[0] == -6 and state.pitch[0] == 3


def test_the_world_goes_on_and_the_player_stands(engine):
    state = engine.state
    time = state.time_of_day[0]
    put_player(engine, 0.5, GROUND + 2, 0.5)
    play(engine, "forward", "jump", "sprint", "hotbar.3", "sneak", ticks=30)
    assert state.position[0].tolist() == [0.5, GROUND, 0.5]
    assert state.time_of_day[0] == time + 30 and state.selected[0] == 0 and not state.sneaking[0]


def test_left_clicks_take_put_merge_and_swap(engine):
    fill(engine, 0, "dirt", 40)
    fill(engine, 10, "dirt", 30)
    fill(engine, 20, "stone", 5)
    click(engine, 0)
    assert cursor(engine) == ("dirt", 40) and at(engine, 0) is None
    click(engine, 10)
    assert cursor(engine) == ("dirt", 6) and at(engine, 10) == ("dirt", 64)
    click(engine, 20)
    assert cursor(engine) == ("stone", 5) and at(engine, 20) == ("dirt", 6)
    click(engine, 35)
    assert cursor(engine) is None and at(engine, 35) == ("stone", 5)


def test_a_held_button_is_one_click(engine):
    fill(engine, 13, "dirt", 5)
    click(engine, 13, "attack")
    assert cursor(engine) == ("dirt", 5)
    play(engine, "attack", ticks=7)
    assert at(engine, 13) == ("dirt", 5)


def test_right_clicks_take_half_and_put_one(engine):
    fill(engine, 0, "dirt", 7)
    click(engine, 0, "use")
    assert cursor(engine) == ("dirt", 4) and at(engine, 0) == ("dirt", 3)
    click(engine, 1, "use")
    assert cursor(engine) == ("dirt", 3) and at(engine, 1) == ("dirt", 1)
    click(engine, 1, "use")
    assert cursor(engine) == ("dirt", 2) and at(engine, 1) == ("dirt", 2)
    fill(engine, 2, "stone", 1)
    click(engine, 2, "use")
    assert cursor(engine) == ("stone", 1) and at(engine, 2) == ("dirt", 2)


def test_tools_do_not_stack_and_keep_their_wear(engine):
    fill(engine, 0, "iron_sword", damage=17)
    fill(engine, 1, "iron_sword", damage=3)
    click(engine, 0)
    click(engine, 1)
    assert engine.state.inventory_damage[0, 1] == 17 and engine.state.cursor_damage[0] == 3
    click(engine, 0)
    assert engine.state.inventory_damage[0, 0] == 3 and at(engine, 0) == ("iron_sword", 1)


def test_only_armour_of_its_kind_goes_into_an_armour_slot(engine):
    fill(engine, 0, "iron_helmet")
    fill(engine, 1, "dirt", 3)
    click(engine, 0)
    click(engine, 36)  # feet
    assert cursor(engine) == ("iron_helmet", 1) and at(engine, 36) is None
    click(engine, 39)
    assert cursor(engine) is None and at(engine, 39) == ("iron_helmet", 1)
    click(engine, 1)
    click(engine, 39)
    assert cursor(engine) == ("dirt", 3) and at(engine, 39) == ("iron_helmet", 1)
    click(engine, 40)
    assert at(engine, 40) == ("dirt", 3)


def test_shift_clicks_send_stacks_home(engine):
    fill(engine, 0, "dirt", 40)
    fill(engine, 12, "dirt", 30)
    click(engine, 0, "sneak", "attack")
    assert at(engine, 12) == ("dirt", 64) and at(engine, 9) == ("dirt", 6) and at(engine, 0) is None
    click(engine, 12, "sneak", "attack")
    assert at(engine, 12) is None and at(engine, 0) == ("dirt", 64)
    fill(engine, 20, "diamond_boots")
    click(engine, 20, "sneak", "attack")
    assert at(engine, 36) == ("diamond_boots", 1)
    fill(engine, 20, "shield")
    click(engine, 20, "sneak", "use")
    assert at(engine, 40) == ("shield", 1)
    click(engine, 36, "sneak", "attack")
    assert at(engine, 36) is None and at(engine, 10) == ("diamond_boots", 1)


def test_hotbar_keys_swap_with_the_slot_under_the_cursor(engine):
    fill(engine, 0, "dirt", 4)
    fill(engine, 13, "stone", 2)
    click(engine, 13, "hotbar.1")
    assert at(engine, 0) == ("stone", 2) and at(engine, 13) == ("dirt", 4)
    click(engine, 13, "hotbar.9")
    assert at(engine, 8) == ("dirt", 4) and at(engine, 13) is None
    click(engine, 39, "hotbar.1")  # stone is no helmet
    assert at(engine, 0) == ("stone", 2) and at(engine, 39) is None
    assert engine.state.selected[0] == 0


def test_a_click_outside_throws_the_cursor_and_the_drop_key_one_item(engine):
    fill(engine, 0, "dirt", 9)
    click(engine, 0, "drop")
    assert at(engine, 0) == ("dirt", 8) and lying(engine) == [("dirt", 1)]
    click(engine, 0)
    click(engine, (10, 10), "use")
    assert cursor(engine) == ("dirt", 7)
    click(engine, (10, 10))
    assert cursor(engine) is None
    assert sum(count for _, count in lying(engine)) == 9
    assert engine.state.custom[0, CUSTOM_ID["drop"]] == 3


def test_clicks_between_slots_and_on_the_crafting_grid_do_nothing(engine):
    fill(engine, 0, "oak_log", 9)
    click(engine, 0)
    for place in (*CRAFTING_PLACES + 8, (235, 100)):
        click(engine, tuple(place))
        click(engine, tuple(place), "use")
    assert cursor(engine) == ("oak_log", 9) and lying(engine) == []


def test_closing_puts_the_cursor_back_or_drops_it(engine):
    fill(engine, 3, "dirt", 9)
    click(engine, 3)
    play(engine, "inventory")
    assert at(engine, 0) == ("dirt", 9) and cursor(engine) is None
    play(engine)
    play(engine, "inventory")
    click(engine, 0)
    for slot in range(36):
        fill(engine, slot, "stone", 64)
    play(engine, "inventory")
    assert cursor(engine) is None and lying(engine) == [("dirt", 9)]


def everything(engine):
    state, total = engine.state, Counter()
    for item, count in zip(state.inventory_item[0], state.inventory_count[0], strict=True):
        assert (item == 0) == (count == 0) and 0 <= count <= STACK_SIZE[item]
        total[ITEMS[item]] += int(count)
    total[ITEMS[state.cursor_item[0]]] += int(state.cursor_count[0])
    for item, count in lying(engine):
        total[item] += count
    return +total


THINGS = ("diamond", "stick", "iron_sword", "iron_helmet", "golden_boots", "coal", "ender_pearl", "shield")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31))
def test_no_click_makes_or_loses_an_item(shared, seed):
    engine, start = shared
    engine.restore(start)
    rng = np.random.default_rng(seed)
    engine.state.yaw[0], engine.state.pitch[0] = 0, -60  # with nothing to mine before the eyes
    for _ in range(12):
        item = THINGS[rng.integers(len(THINGS))]
        fill(engine, rng.integers(36), item, rng.integers(1, STACK_SIZE[ITEM_ID[item]] + 1))
    before = everything(engine)
    odds = dict.fromkeys(("attack", "use", "sneak"), 0.4) | {"inventory": 0.05, "drop": 0.05, "forward": 0.2}
    odds |= {f"hotbar.{i}": 0.03 for i in range(1, 10)}
    for _ in range(150):
        pressed = [b for b in BUTTONS if rng.random() < odds.get(b, 0)]
        if engine.state.gui_open[0]:
            place = SLOT_PLACES[rng.integers(41)] + 8 if rng.random() < 0.9 else rng.integers(0, (640, 360))
            dx, dy = (place - engine.state.cursor[0]) / PIXELS_PER_DEGREE
        else:
            dx = dy = 0
        play(engine, *pressed, camera=(dy, dx))
        assert everything(engine) == before
