"""Commands are Minecraft 1.16.5's: what it would refuse is refused with advice, the rest does what it says."""

import re

import numpy as np
import pytest
from voxel_worlds import play

from minestudio_envs.voxel.blocks import BLOCKS
from minestudio_envs.voxel.commands import CommandError, compile_command, compile_commands, summon_range
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.items import ITEM_ID
from minestudio_envs.voxel.program import ROW
from minestudio_envs.voxel.state import COW, DEATHS, EFFECT_ID, PIG


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


def test_what_does_not_fit_falls_to_the_ground():
    engine = run("/give @p diamond 2400", "/give @p stick")
    state, lying = engine.state, {ITEM_ID["diamond"]: 2400 - 36 * 64, ITEM_ID["stick"]: 1}
    for item, count in lying.items():
        assert state.drop_count[0][state.drop_item[0] == item].sum() == count
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


def test_kill_chooses():
    near, far = "/summon cow ~2 ~30 ~", "/summon pig ~9 ~30 ~"

    def alive(command):
        engine = run(near, far, "/give @p stick", command)
        state = engine.state
        return [int(k) for k, h in zip(state.mob_kind[0], state.mob_health[0], strict=True) if k and h > 0]

    assert alive("/kill @e[type=!cow,type=!player]") == [COW]
    assert alive("/kill @e[type=minecraft:pig,distance=..31]") == [COW, PIG]
    assert alive("/kill @e[type=!player,limit=1,sort=nearest]") == [PIG]
    assert alive("/kill @e[type=!player,limit=1,sort=furthest]") == [COW]
    assert alive("/kill @e[type=!player,distance=5..]") == []
    state = run(near, "/kill @e").state
    assert state.custom[0, DEATHS] == 1 and state.mob_health[0, 0] == 0
    state = run("/summon item ~3 ~1 ~ {Item:{id:'minecraft:diamond',Count:3b}}", empty_frames=0).state
    assert state.drop_item[0, 0] == ITEM_ID["diamond"] and state.drop_count[0, 0] == 3
    state = run("/summon item ~3 ~1 ~ {Item:{id:'diamond'}}", "/kill @e[type=item]").state
    assert not state.drop_item.any()


def test_damage_and_slots():
    state = run(
        "/give @p iron_sword{Damage:5}",
        "/replaceitem entity @s weapon.offhand shield",
        "/replaceitem entity @p armor.head minecraft:iron_helmet{Damage:7}",
        "/replaceitem entity @p container.20 diamond 64",
        "/replaceitem entity @p inventory.0 stick 2",
        "/replaceitem entity @p hotbar.8 apple",
        "/replaceitem entity @p hotbar.8 air",
    ).state
    assert {s: (int(state.inventory_item[0, s]), int(state.inventory_damage[0, s])) for s in (0, 8, 9, 20, 39, 40)} == {
        0: (ITEM_ID["iron_sword"], 5),
        8: (0, 0),
        9: (ITEM_ID["stick"], 0),
        20: (ITEM_ID["diamond"], 0),
        39: (ITEM_ID["iron_helmet"], 7),
        40: (ITEM_ID["shield"], 0),
    }
    state = run("/give @p apple", "/replaceitem entity @p weapon stick 3").state
    assert inventory_of(state) == {0: (ITEM_ID["stick"], 3)}


def inventory_of(state):
    return {
        int(s): (int(state.inventory_item[0, s]), int(state.inventory_count[0, s]))
        for s in np.flatnonzero(state.inventory_count[0])
    }


def block(state, dx, dy, dz):
    """The block at an offset from the player's feet."""
    x, y, z = (int(np.floor(v)) for v in state.position[0])
    mask = state.voxels.shape[1] - 1
    return BLOCKS[state.voxels[0, (x + dx) & mask, (z + dz) & mask, y + dy]]


def test_setblock():
    state = run(
        "/setblock ~2 ~9 ~ obsidian",
        "/setblock ~3 ~9 ~ minecraft:oak_log[axis=x]",
        "/setblock ~3 ~9 ~ stone keep",
        "/setblock ~4 ~9 ~1 stone",
        "/setblock ~4 ~9 ~ wall_torch[facing=north]",
        "/setblock ~2 ~9 ~1 air",
    ).state
    assert [block(state, d, 9, 0) for d in (2, 3, 4)] == ["obsidian", "oak_log", "wall_torch[facing=north]"]
    x, y, z = (int(np.floor(v)) for v in state.position[0])
    assert state.height[0, (x + 2) & 63, z & 63] == y + 10
    state = run("/setblock ~2 ~9 ~ oak_log", "/setblock ~2 ~9 ~ stone destroy").state
    assert state.drop_item[0].tolist().count(ITEM_ID["oak_log"]) == 1
    before = run("/time set day").state
    after = run("/setblock ~ -5 ~ stone", "/setblock ~ 3000 ~ stone").state
    assert (before.voxels == after.voxels).all()


def test_fill():
    box = "~2 ~8 ~2 ~6 ~12 ~6"
    cases = {
        f"/fill {box} stone": ("stone", "stone"),
        f"/fill {box} glass hollow": ("glass", "air"),
        f"/fill {box} bricks outline": ("bricks", "sandstone"),
        f"/fill {box} stone keep": ("sandstone", "sandstone"),
        f"/fill {box} stone replace sandstone": ("stone", "stone"),
        f"/fill {box} stone replace dirt": ("sandstone", "sandstone"),
    }
    for command, (edge, middle) in cases.items():
        state = run(f"/fill {box} sandstone", command).state
        assert (block(state, 2, 8, 2), block(state, 6, 12, 6), block(state, 4, 10, 4)) == (edge, edge, middle), command
        assert block(state, 1, 8, 2) == "air"


def test_weather_runs_out_unless_a_game_rule_keeps_it():
    engine = run("/weather rain 1", empty_frames=0)
    assert engine.state.weather[0] == 1 and engine.state.weather_ticks[0] == 19
    play(engine, ticks=19)
    assert engine.state.weather[0] == 0
    engine = run("/gamerule doWeatherCycle false", "/weather thunder 1", empty_frames=0)
    play(engine, ticks=30)
    assert engine.state.weather[0] == 2
    state = run("/gamerule doDaylightCycle false", "/time set noon", "/gamerule randomTickSpeed 9").state
    assert state.time_of_day[0] == 6000


def test_harmless_commands_do_nothing_but_take_their_tick():
    texts = ("/time query daytime", "/gamerule sendCommandFeedback false", "/difficulty hard", "/gamemode survival")
    assert run(*texts, empty_frames=1).state.tick[0] == 5


def test_places_behind_positioned_and_along_the_view():
    state = run("/tp @s ~ ~ ~ 90 0", "/execute at @p positioned ~1 ~20 ~ run summon cow ~ ~3 ~2", "/summon pig ^ ^9 ^4")
    state = state.state
    x, y, z = state.position[0]
    np.testing.assert_allclose(state.mob_position[0, 0], (x + 1, y + 23, z + 2), atol=0.3)
    np.testing.assert_allclose(state.mob_position[0, 1], (x - 4, y + 9, z), atol=0.3)  # yaw 90 looks west
    state = run("/execute positioned 5 60 7 run summon cow ~1 ~ ~").state
    np.testing.assert_allclose(state.mob_position[0, 0, [0, 2]], (6.5, 7.5), atol=1e-6)


def test_sheep_are_summoned_as_described():
    state = run("/summon sheep ~ ~20 ~ {Age:-100,Color:14b,Sheared:1b,Health:3f,PersistenceRequired:1b}").state
    assert state.mob_variant[0, 0] == 14 + 16 and state.mob_age[0, 0] in (-100, -99) and state.mob_health[0, 0] == 3


def test_commands_in_the_middle_of_an_episode_and_of_one_environment():
    engine = run("/give @p stick", num_envs=3)
    before = engine.state.tick.copy()
    engine.execute(compile_commands(["/give @p diamond 2", "/time set noon"]), np.array([False, True, False]))
    assert inventory(engine, 0) == inventory(engine, 2) == {0: (ITEM_ID["stick"], 1)}
    assert inventory(engine, 1) == {0: (ITEM_ID["stick"], 1), 1: (ITEM_ID["diamond"], 2)}
    assert (engine.state.tick == before).all() and engine.state.time_of_day[1] == 6000


def test_teleport():
    state = run("/tp @p ~ ~ ~ -90 30", "/tp @p ~ ~ ~ ~10 ~-50").state
    assert (state.yaw[0], state.pitch[0]) == (-80, -20)
    state = run("/summon cow ~5 ~3 ~", "/tp @e[type=cow] ~ ~40 ~3").state
    np.testing.assert_allclose(state.mob_position[0, 0] - state.position[0], (0, 40, 3), atol=0.3)
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
    "/summon cow 0 -1e12 0": ["'-1e12' is farther than Minecraft's limit of 30,000,000"],
    "/tp @p ~ ~ ~30000001": ["30,000,000"],
    "/execute if block ~ ~ ~ stone run say hi": ["as @p at @p run"],
    "/time set late": ["noon"],
    "/tp @p 1 2": ["something is missing; write /tp"],
    "/gvie @p stick": ["give"],
    "/give @p stick{a:1": ["unbalanced"],
    "/give @p stick{a:1}": ["items have no a", "Damage"],
    "/give @p iron_sword{Damage:250}": ["takes 0 to 249"],
    "/summon cow ~ ~ ~ {NoAI:1b}": ["cow has no NoAI"],
    "/summon sheep ~ ~ ~ {Color:16b}": ["0 to 15"],
    "/summon horse": ["does not have the mob horse"],
    "/summon cow ^ ~ ^1": ["cannot be mixed"],
    "/execute positioned ~ ~ run kill": ["'run' is no coordinate"],
    "/execute positioned 1 2 3 run tp ^ ^ ^1": ["behind 'positioned'"],
    "/execute as @e[type=cow] run kill @s": ["no player selector"],
    "/kill @e[tag=x]": ["tag= is not supported"],
    "/kill @e[type=caw]": ["did you mean 'cow'"],
    "/kill @e[distance=near]": ["distance=..5"],
    "/kill @e[distance=...5]": ["distance=..5"],
    "/kill @e[distance=5..2]": ["smaller number"],
    "/kill @e[sort=near]": ["did you mean 'nearest'"],
    "/kill cow": ["no selector"],
    "/tp @p @e[type=cow]": ["places with coordinates"],
    "/tp @p 1 2 3 90": ["something is missing"],
    "/weather snow": ["known: clear, rain, thunder"],
    "/weather rain soon": ["seconds must be an integer"],
    "/setblock ~ ~ ~ ston": ["there is no block 'ston'; did you mean 'stone'"],
    "/setblock ~ ~ ~ beacon": ["does not have the block 'beacon' of Minecraft"],
    "/setblock ~ ~ ~ wall_torch[facing=up]": ["no facing=up"],
    "/setblock ~ ~ ~ snow[layers=3]": ["no state layers=3"],
    "/setblock ~ ~ ~ chest{Items:[]}": ["hold no data"],
    "/setblock ~ ~ ~ stone gently": ["no way to set a block"],
    "/fill ~ ~ ~ ~40 ~40 ~40 stone": ["68,921 blocks", "32,768"],
    "/fill 0.9 0 0 1.1 128 127 stone": ["33,024 blocks"],
    "/fill 0 0 0 ~ ~ ~ stone": ["both corners"],
    "/fill ~ ~ ~ ~ ~ ~ stone hollow dirt": ["one word too many"],
    "/gamerule doMobSpawnin false": ["did you mean 'doMobSpawning'"],
    "/gamerule doMobSpawning 0": ["true or false"],
    "/gamerule randomTickSpeed true": ["integer"],
    "/gamerule doInsomnia banana": ["true or false"],
    "/gamerule doWardenSpawning true": ["no game rule"],
    "/replaceitem block 0 0 0 container.0 stick": ["only entities"],
    "/replaceitem entity @p hotbar.9 stick": ["hotbar goes from 0 to 8"],
    "/replaceitem entity @p hotbar.0 iron_sword 64": ["within 1 and 1"],
    "/replaceitem entity @p armour.head stick": ["no slot 'armour.head'", "armor.head"],
    "/difficulty peaceful": ["always hard", "doMobSpawning false"],
    "/gamemode creative": ["always survival"],
    "/teleportbiome @a plains": ["no command /teleportbiome"],
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
    assert summon_range("minecraft:cow", 0, (0, 1), (0, 1)).shape == (0, ROW)
