"""Commands are Minecraft 1.16.5's: what it would refuse is refused with advice, the rest does what it says."""

import re

import numpy as np
import pytest
from voxel_worlds import play

from minestudio_envs.voxel.commands import CommandError, compile_command, compile_commands, summon_range
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.items import ITEM_ID
from minestudio_envs.voxel.state import COW, DEATHS, EFFECT_ID


def run(*commands, num_envs=1, **options):
    """An engine right after a reset that ran the commands."""
    program = commands[0] if isinstance(commands[0], np.ndarray) else compile_commands(commands)
    engine = VoxelEngine(num_envs, world_size=64, program=program, **{"empty_frames": 5, **options})
    play(engine, reset=True)
    return engine


def inventory(engine, n=0):
    state = engine.state
    return {
        int(slot): (int(state.inventory_item[n, slot]), int(state.inventory_count[n, slot]))
        for slot in np.flatnonzero(state.inventory_count[n])
    }


def test_give_fills_stacks_then_slots():
    engine = run("/give @p minecraft:iron_sword 1", "give @s diamond 64", "/give @a diamond 10", "/give @p stick")
    iron_sword, diamond, stick = ITEM_ID["iron_sword"], ITEM_ID["diamond"], ITEM_ID["stick"]
    assert inventory(engine) == {0: (iron_sword, 1), 1: (diamond, 64), 2: (diamond, 10), 3: (stick, 1)}
    engine = run("/give @p diamond 30", "/give @p diamond 40", "/give @p iron_sword 2")
    assert inventory(engine) == {0: (diamond, 64), 1: (diamond, 6), 2: (iron_sword, 1), 3: (iron_sword, 1)}


def test_what_does_not_fit_is_lost():
    engine = run("/give @p diamond 6400", "/give @p stick")
    assert len(inventory(engine)) == 36
    assert all(stack == (ITEM_ID["diamond"], 64) for stack in inventory(engine).values())


def test_effect_give_and_clear():
    state = run("/effect give @p minecraft:strength 9999 255 true", "/effect give @p speed").state
    assert state.effect_amplifier[0, EFFECT_ID["strength"]] == 255
    assert state.effect_ticks[0, EFFECT_ID["strength"]] == 9999 * 20 - 2
    assert state.effect_ticks[0, EFFECT_ID["speed"]] == 30 * 20 - 1
    state = run("/effect give @p strength", "/effect give @p speed", "/effect clear @p speed").state
    assert state.effect_ticks[0, EFFECT_ID["speed"]] == 0 and state.effect_ticks[0, EFFECT_ID["strength"]] > 0
    assert not run("/effect give @p strength", "/effect clear @p").state.effect_ticks.any()


def test_a_weaker_effect_does_not_replace_a_stronger_one():
    state = run("/effect give @p strength 100 5", "/effect give @p strength 1000 1").state
    assert state.effect_amplifier[0, EFFECT_ID["strength"]] == 5
    state = run("/effect give @p strength 100 1", "/effect give @p strength 50 1").state
    assert state.effect_ticks[0, EFFECT_ID["strength"]] == 1998


def test_every_row_costs_one_tick():
    assert run("/time set day", "/give @p stick", "/weather clear", empty_frames=20).state.tick[0] == 23


def test_time():
    for text, ticks in (("day", 1000), ("noon", 6000), ("night", 13000), ("midnight", 18000), ("777", 777)):
        assert run(f"/time set {text}").state.time_of_day[0] == ticks + 1
    assert run("/time set 23999", "/time add 1d", "/time add 10").state.time_of_day[0] == 12


def test_summon_relative_and_absolute():
    engine = run(
        "/summon minecraft:cow ~2 ~10 ~-3 {Age:0}", "/execute as @p at @p run summon cow ~ ~20 ~", "summon cow 5 60 6"
    )
    state = engine.state
    assert (state.mob_kind[0, :4] == [COW, COW, COW, 0]).all()
    x, _, z = state.position[0]
    np.testing.assert_allclose(state.mob_position[0, :3, 0], [x + 2, x, 5.5])
    np.testing.assert_allclose(state.mob_position[0, :3, 2], [z - 3, z, 6.5])
    assert state.mob_position[0, 1, 1] == pytest.approx(state.position[0, 1] + 20, abs=1)
    assert (state.mob_health[0, :3] == 10).all()


def test_a_cow_summoned_below_the_world_comes_out_where_there_is_room():
    state = run("/summon cow ~ -30000000 ~").state
    x, y, z = np.floor(state.mob_position[0, 0]).astype(int)
    assert 5 <= y <= state.height.max() and state.voxels[0, x % 128, z % 128, y] == 0  # a cave or the surface


def test_summon_range_is_uniform_over_the_range_and_three_blocks_up():
    engine = run(summon_range("cow", 10, (-5, 5), (2, 4)), num_envs=64, max_mobs=16)
    state = engine.state
    assert ((state.mob_kind == COW).sum(axis=1) == 10).all()
    # the last one has had one tick of pushing and none of walking
    offset = state.mob_position[:, 9] - state.position
    assert (offset[:, 0] > -5.2).all() and (offset[:, 0] < 5.2).all() and np.ptp(offset[:, 0]) > 8
    assert (offset[:, 2] > 1.8).all() and (offset[:, 2] < 4.2).all()
    assert np.median(offset[:, 1]) == pytest.approx(3, abs=0.01)
    assert len(np.unique(state.mob_position[:, :10, 0])) > 600


def test_summons_without_room_are_counted():
    engine = run(summon_range("cow", 10, (-5, 5), (-5, 5)), max_mobs=4)
    assert (engine.state.mob_kind[0] == COW).all()
    assert engine.state.mobs_refused[0] == 6


def test_clear_and_kill():
    assert inventory(run("/give @p diamond 64", "/give @p stick 3", "/clear @p diamond 60")) == {
        0: (ITEM_ID["diamond"], 4),
        1: (ITEM_ID["stick"], 3),
    }
    assert inventory(run("/give @p diamond 64", "/clear")) == {}
    engine = run("/summon cow ~ ~3 ~", "/summon cow ~2 ~3 ~", "/kill @e[type=minecraft:cow]")
    assert (engine.state.mob_health[0, :2] == 0).all() and engine.state.kill_entity.sum() == 0
    play(engine, ticks=20)
    assert (engine.state.mob_kind == 0).all()
    engine = run("/give @p stick", "/kill")
    assert engine.state.custom[0, DEATHS] == 1 and engine.state.health[0] == 20 and inventory(engine) == {}


def test_teleport():
    engine = run("/tp @p 100 60 -200")
    np.testing.assert_allclose(engine.state.position[0], (100.5, 60, -199.5))
    np.testing.assert_allclose(engine.state.previous_position[0], engine.state.position[0])


OLD = "/effect @p 5 9999 255 true"
FAULTS = {
    OLD: [
        "before 1.13",
        "in 1.16.5 it is a syntax error and does nothing",
        "/effect give @p minecraft:strength 9999 255 true",
    ],
    "/effect @p 10": ["/effect give @p minecraft:regeneration"],
    "/effect @p minecraft:speed 5": ["/effect give @p minecraft:speed 5"],
    "/effect @p clear": ["/effect clear @p"],
    "/effect": ["/effect give @p"],
    "/effect give @p strenght": ["strength"],
    "/effect give @p levitation": ["does not have the effect levitation"],
    "/effect give @p strength 9999 256": ["255"],
    "/effect give @p strength 1000001": ["1000000"],
    "/effect give @p strength 5 5 yes": ["true or false"],
    "/effect give @p": ["something is missing"],
    "/give @p iron_swrod": ["iron_sword"],
    "/give @p minecraft:air": ["knows no item"],
    "/give Steve stick": ["@p"],
    "/give @p stick many": ["integer"],
    "/give @p stick 0": ["1"],
    "/give @p stick 1 2": ["one word too many"],
    "/summon caw": ["cow"],
    "/summon cow ~ ~": ["three coordinates"],
    "/summon cow ~ ~x ~": ["no coordinate"],
    "/summon cow ^ ^ ^1": ["local coordinates"],
    "/summon cow 0 -1e12 0": ["'-1e12' is farther than Minecraft's limit of 30,000,000"],
    "/tp @p ~ ~ ~30000001": ["30,000,000"],
    "/execute if block ~ ~ ~ stone run say hi": ["as @p at @p run"],
    "/time set late": ["noon"],
    "/weather rain": ["always clear"],
    "/kill @e[distance=..5]": ["type=cow"],
    "/tp @p 1 2": ["something is missing; write /tp"],
    "/gvie @p stick": ["give"],
    "/gamerule doMobSpawning false": ["no command /gamerule"],
    "/give @p stick{a:1": ["unbalanced"],
    "": ["empty"],
}


@pytest.mark.parametrize("command", FAULTS)
def test_faults_name_the_command_and_what_to_write(command):
    with pytest.raises(CommandError) as error:
        compile_command(command)
    assert repr(command) in str(error.value)
    for hint in FAULTS[command]:
        assert re.search(hint, str(error.value)) or hint in str(error.value), error.value


def test_summon_range_checks_its_arguments():
    for arguments in (
        ("cwo", 1, (0, 1), (0, 1)),
        ("cow", -1, (0, 1), (0, 1)),
        ("cow", 1, (2, 1), (0, 1)),
        ("cow", 1, (0, 1), (-np.inf, 0)),
        ("cow", 1, (0, 1e9), (0, 1)),
    ):
        with pytest.raises(CommandError):
            summon_range(*arguments)
    assert summon_range("minecraft:cow", 0, (0, 1), (0, 1)).shape == (0, 8)
