"""Attacks hit, charge, hurt and count as in Minecraft 1.16.5."""

import numpy as np
import pytest
from voxel_worlds import GROUND, flat_engine, give_effect, play, put_block, put_cow, put_player

from minestudio_envs.voxel.combat import charge
from minestudio_envs.voxel.items import ITEM_ID
from minestudio_envs.voxel.jit import python_function
from minestudio_envs.voxel.state import COW, CUSTOM_ID, DAMAGE_DEALT, EFFECT_ID


@pytest.fixture(scope="module")
def shared():
    engine = flat_engine()
    return engine, engine.snapshot()


@pytest.fixture
def engine(shared):
    shared[0].restore(shared[1])
    return shared[0]


def hold(engine, item):
    engine.state.inventory_item[0, 0], engine.state.inventory_count[0, 0] = (ITEM_ID[item], 1) if item else (0, 0)
    play(engine, ticks=20)  # the charge restarts when the item in hand changes


def pin_cow(engine, z=2.5, m=0):
    """Keeps the cow where it is, whatever pushes it; its health and counters go on."""
    state = engine.state
    state.mob_position[0, m] = (0.5, GROUND, z)
    state.mob_velocity[0, m] = (0, -0.0784, 0)
    state.mob_on_ground[0, m] = 1


def clicks_and_ticks_to_kill(engine, interval, limit=400):
    clicks = 0
    for tick in range(limit):
        pin_cow(engine)
        click = tick % interval == 0
        clicks += click
        play(engine, *(["attack"] if click else []))
        if engine.state.mob_health[0, 0] <= 0:
            return clicks, tick
    return None


KILLS = {
    None: {2: (116, 230), 4: (34, 132), 6: (19, 108), 8: (19, 144), 10: (10, 90), 12: (10, 108), 13: (10, 117),
           16: (10, 144), 20: (10, 180)},
    "iron_sword": {2: (16, 30), 4: (10, 36), 6: (5, 24), 8: (5, 32), 10: (2, 10), 12: (2, 12), 13: (2, 13),
                   16: (2, 16), 20: (2, 20)},
}  # fmt: skip


@pytest.mark.parametrize(("item", "interval"), [(item, interval) for item in KILLS for interval in KILLS[item]])
def test_clicks_and_ticks_to_kill_a_cow(engine, item, interval):
    hold(engine, item)
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    clicks, ticks = clicks_and_ticks_to_kill(engine, interval)
    assert (clicks, ticks) == KILLS[item][interval]
    assert engine.state.kill_entity[0, COW] == 1


def test_holding_the_button_is_one_click(engine):
    hold(engine, "iron_sword")
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    for _ in range(60):
        pin_cow(engine)
        play(engine, "attack")
    assert engine.state.mob_health[0, 0] == 4


@pytest.mark.parametrize(("ticks", "charge"), [(2, 0.232), (4, 0.304), (6, 0.416), (8, 0.57), (10, 0.764), (12, 1)])
def test_sword_charge_after_a_miss(engine, ticks, charge):
    hold(engine, "iron_sword")
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    play(engine, "attack", camera=(-60, 0))  # into the air
    play(engine, ticks=ticks - 1)
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    play(engine, "attack", camera=(60, 0))
    assert engine.state.mob_health[0, 0] == pytest.approx(10 - 6 * charge, abs=3e-3)


def test_a_click_on_a_block_does_not_use_up_the_charge_and_a_change_of_item_does(engine):
    hold(engine, "iron_sword")
    put_player(engine, 0.5, GROUND, 0.5, pitch=90)
    play(engine, "attack")
    assert engine.state.attack_ticks[0] >= 20
    assert engine.state.swing_ticks[0] > 0
    play(engine, "hotbar.2")
    assert engine.state.attack_ticks[0] == 0


@pytest.mark.parametrize(("distance", "hit"), [(2.9, True), (2.999, True), (3.001, False), (3.5, False)])
def test_reach_is_three_blocks_from_the_eye_to_the_box(engine, distance, hit):
    put_player(engine, 0.5, GROUND, 0.5)
    engine.state.pitch[0] = 45
    down = 1.62 - 1.4  # a level look goes over the cow's back: look at its front, just below the top
    forward = np.sqrt(distance**2 - (down + 0.05) ** 2)
    engine.state.pitch[0] = np.degrees(np.arctan2(down + 0.05, forward))
    put_cow(engine, 0, 0.5, GROUND, 0.5 + forward + 0.45)
    play(engine, "attack")
    assert (engine.state.mob_health[0, 0] < 10) == hit


def test_eyes_are_lower_when_sneaking(engine):
    play(engine, "sneak", ticks=3)
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    play(engine, "sneak", "attack")  # level, 1.27 high: hits the 1.4 high cow
    assert engine.state.mob_health[0, 0] < 10
    play(engine, ticks=30)
    put_player(engine, 0.5, GROUND, 0.5)
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    play(engine, "attack")  # level, 1.62 high: goes over it
    assert engine.state.mob_health[0, 0] == 10


def test_a_nearer_block_hides_the_cow(engine):
    put_cow(engine, 0, 0.5, GROUND, 3.0)
    put_player(engine, 0.5, GROUND, 0.5, pitch=25)
    put_block(engine, 0, GROUND, 1)
    put_block(engine, 0, GROUND + 1, 1)
    play(engine, "attack")
    assert engine.state.mob_health[0, 0] == 10
    put_block(engine, 0, GROUND + 1, 1, 0)
    put_block(engine, 0, GROUND, 1, 0)
    play(engine)
    play(engine, "attack")
    assert engine.state.mob_health[0, 0] < 10


@pytest.mark.parametrize("laps", [(1, 0), (0, -1), (-1000, 100_000)])
def test_laps_around_the_torus_change_nothing(engine, laps):
    """The cow that is drawn is the one that is hit, knocked back and pushed, wherever the player is."""
    state, start = engine.state, engine.snapshot()
    way = np.array([laps[0], 0, laps[1]]) * state.voxels.shape[1]
    after = []
    for offset in (way * 0, way):
        engine.restore(start)
        hold(engine, "iron_sword")
        put_cow(engine, 0, 0.5, GROUND, 2.5)
        put_cow(engine, 1, 1.6, GROUND, 2.0)  # the sword's sweep reaches it
        put_player(engine, *np.add(offset, (0.5, GROUND, 0.5)), pitch=20)
        play(engine)
        play(engine, "attack")
        play(engine, ticks=10)
        np.testing.assert_array_equal(state.mob_health[0, :2], [4, 9])
        after.append(np.stack([state.position[0], *state.mob_position[0, :2], *state.mob_target[0, :2]]) - offset)
    np.testing.assert_allclose(after[1], after[0], atol=1e-6)


def test_the_nearest_cow_is_hit(engine):
    put_cow(engine, 0, 0.5, GROUND, 2.8)
    put_cow(engine, 1, 0.5, GROUND, 2.0)
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    play(engine, "attack")
    assert engine.state.mob_health[0, 0] == 10 and engine.state.mob_health[0, 1] == 9


@pytest.mark.parametrize(
    ("effect", "amplifier", "damage"), [("strength", 0, 4), ("strength", 1, 7), ("weakness", 0, 0)]
)
def test_effects_on_damage(engine, effect, amplifier, damage):
    engine.state.effect_ticks[0, EFFECT_ID[effect]] = 1000
    engine.state.effect_amplifier[0, EFFECT_ID[effect]] = amplifier
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    play(engine, ticks=10)
    pin_cow(engine)
    play(engine, "attack")
    assert 10 - engine.state.mob_health[0, 0] == pytest.approx(damage)
    assert engine.state.custom[0, DAMAGE_DEALT] == damage * 10


def test_strength_255_kills_with_every_hit_and_only_the_health_that_was_there_counts(engine):
    engine.state.effect_ticks[0, EFFECT_ID["strength"]] = 9999 * 20
    engine.state.effect_amplifier[0, EFFECT_ID["strength"]] = 255
    hold(engine, "iron_sword")
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    for kill in range(1, 4):
        put_cow(engine, 0, 0.5, GROUND, 2.5)
        play(engine, "attack")
        play(engine)
        assert engine.state.kill_entity[0, COW] == kill
        assert engine.state.custom[0, DAMAGE_DEALT] == 100 * kill
        play(engine, ticks=20)
        assert engine.state.mob_kind[0, 0] == 0


def test_a_falling_blow_is_critical_and_a_sprinting_one_is_not(engine):
    for sprinting, damage in ((False, 9), (True, 6)):
        put_player(engine, 0.5, GROUND, 0.5, pitch=20)
        hold(engine, "iron_sword")
        play(engine, "jump")
        play(engine, ticks=8)
        assert engine.state.fall_distance[0] > 0
        put_cow(engine, 0, 0.5, GROUND, 2.5)
        engine.state.sprinting[0] = sprinting
        play(engine, "attack", camera=(10, 0))
        assert 10 - engine.state.mob_health[0, 0] == pytest.approx(damage)
        play(engine, ticks=40)


def test_knockback_goes_away_from_the_player_and_up_and_further_from_a_sprint(engine, monkeypatch):
    state = engine.state
    no_flight = np.zeros_like(engine.tables.mob_panic)  # which would add to the first tick
    monkeypatch.setattr(engine, "tables", engine.tables._replace(mob_panic=no_flight))
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    play(engine, ticks=10)
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    pin_cow(engine)
    play(engine, "attack")
    # a tick of motion after (0, 0.36, 0.4)
    np.testing.assert_allclose(state.mob_position[0, 0] - (0.5, GROUND, 2.5), (0, 0.3608, 0.4), atol=1e-6)
    assert state.mob_panic_ticks[0, 0] > 90
    play(engine, ticks=40)
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    pin_cow(engine)
    state.sprinting[0] = 1
    play(engine, "attack", "forward")
    assert state.mob_position[0, 0, 2] - 2.5 == pytest.approx(0.4 / 2 + 0.5, abs=1e-6)
    assert not state.sprinting[0]


def test_a_standing_sword_sweeps_the_neighbours(engine):
    state = engine.state
    hold(engine, "iron_sword")
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    put_cow(engine, 1, 1.6, GROUND, 2.0)
    put_cow(engine, 2, 0.5, GROUND, 5.0)
    play(engine, "attack")
    np.testing.assert_allclose(state.mob_health[0, :3], [4, 9, 10])
    assert state.custom[0, DAMAGE_DEALT] == 60
    play(engine, ticks=3)
    play(engine, "attack")  # not charged: no sweep
    assert state.mob_health[0, 1] == 9


def test_a_dying_cow_counts_once_and_leaves_after_twenty_ticks(engine):
    state = engine.state
    state.effect_ticks[0, EFFECT_ID["strength"]], state.effect_amplifier[0, EFFECT_ID["strength"]] = 1000, 9
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    put_cow(engine, 0, 0.5, GROUND, 2.0)
    seen = []
    for tick in range(25):
        pin_cow(engine, z=2.0)
        play(engine, *(["attack"] if tick % 2 == 0 else []))
        seen.append(int(state.mob_kind[0, 0]))
    assert state.kill_entity[0, COW] == 1
    assert seen == [COW] * 19 + [0] * 6


@pytest.mark.parametrize(
    ("charge_ticks", "factors"),
    [
        (5.0, [0.208, 0.272, 0.4, 0.592, 0.848, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (12.5, [0.201, 0.212, 0.232, 0.263, 0.304, 0.355, 0.416, 0.488, 0.57, 0.662, 0.764, 0.877, 1, 1]),
    ],
)
def test_damage_by_ticks_since_the_last_swing(engine, charge_ticks, factors):
    item = ITEM_ID["air"] if charge_ticks == 5 else ITEM_ID["iron_sword"]
    assert engine.tables.attack_charge_ticks[item] == charge_ticks
    for ticks, factor in enumerate(factors):
        assert 0.2 + 0.8 * python_function(charge)(ticks, charge_ticks) ** 2 == pytest.approx(factor, abs=5.1e-4)


WEAPONS = {
    "wooden_sword": (4, 1), "stone_sword": (5, 1), "iron_sword": (6, 1), "golden_sword": (4, 1),
    "diamond_sword": (7, 1), "netherite_sword": (8, 1), "wooden_axe": (7, 2), "golden_axe": (7, 2),
    "stone_axe": (9, 2), "iron_axe": (9, 2), "diamond_axe": (9, 2), "netherite_axe": (10, 2), "stick": (1, 0),
}  # fmt: skip


@pytest.mark.parametrize("item", WEAPONS)
def test_damage_and_wear_of_weapons(engine, item):
    state = engine.state
    damage, wear = WEAPONS[item]
    hold(engine, item)
    play(engine, ticks=20)
    put_cow(engine, 0, 0.5, GROUND, 2.5, health=20)
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    play(engine, "attack")
    assert 20 - state.mob_health[0, 0] == pytest.approx(damage)
    assert state.inventory_damage[0, 0] == wear
    assert state.use_item[0, ITEM_ID[item]] == (wear > 0)
    state.inventory_damage[0, 0] = max(0, int(engine.tables.item_durability[ITEM_ID[item]]) - 1)
    play(engine, ticks=30)
    pin_cow(engine)
    play(engine, "attack")
    assert state.break_item[0, ITEM_ID[item]] == (wear > 0)
    assert (state.inventory_item[0, 0] == 0) == (wear > 0)


def test_kills_of_any_mob_are_counted_together(engine):
    give_effect(engine, "strength", 10)
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    for kill in range(1, 4):
        put_cow(engine, 0, 0.5, GROUND, 2.5)
        play(engine, "attack")
        play(engine, ticks=25)
        assert engine.state.custom[0, CUSTOM_ID["mob_kills"]] == kill


def test_a_held_button_mines_what_is_behind_a_dead_cow(engine):
    put_cow(engine, 0, 0.5, GROUND, 2.0, health=1)
    put_player(engine, 0.5, GROUND, 0.5, pitch=25)
    for y in (GROUND, GROUND + 1):
        put_block(engine, 0, y, 3)
    for _ in range(30):
        pin_cow(engine, z=2.0)
        play(engine, "attack")
    assert engine.state.kill_entity[0, COW] == 1 and engine.state.dig_progress[0] > 0
