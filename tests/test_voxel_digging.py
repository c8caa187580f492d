"""Blocks take as long to mine as in Minecraft 1.16.5 and leave what they leave there."""

import numpy as np
import pytest
from voxel_worlds import GROUND, give_effect, hold, lying, play, put_block, put_player, quiet_engine, remove_drops

from minestudio_envs.voxel.blocks import BLOCK_ID, BLOCK_NAME, NAMED_BLOCK, NUM_BLOCKS
from minestudio_envs.voxel.items import BLOCK_ITEM, DURABILITY, ITEM_ID, ITEMS
from minestudio_envs.voxel.state import GAMERULE_ID

PLACE = (0, GROUND + 1, 2)  # of the block that is mined, straight before the eyes


@pytest.fixture(scope="module")
def shared():
    engine = quiet_engine()
    return engine, engine.snapshot()


@pytest.fixture
def engine(shared):
    shared[0].restore(shared[1])
    return shared[0]


def face(engine, block, item=None):
    """The player stands before ``block`` with ``item`` in the hand."""
    put_player(engine, 0.5, GROUND, 0.5)
    hold(engine, item)
    put_block(engine, 0, GROUND, 2)
    put_block(engine, *PLACE, BLOCK_ID[block])


def seen(engine, place=PLACE):
    mask = engine.state.voxels.shape[1] - 1
    return engine.state.voxels[0, place[0] & mask, place[2] & mask, place[1]]


def mine(engine, place=PLACE, limit=6000):
    """Holds attack until the block changes; returns the ticks that it took."""
    before = seen(engine, place)
    for tick in range(1, limit + 1):
        play(engine, "attack")
        if seen(engine, place) != before:
            return tick
    return None


BY_HAND = {
    "oak_log": 60, "dirt": 15, "grass_block": 18, "sand": 15, "gravel": 18, "oak_leaves": 6, "oak_planks": 60,
    "crafting_table": 75, "chest": 75, "hay_block": 15, "pumpkin": 30, "white_wool": 24, "clay": 18, "birch_log": 60,
    "grass": 1, "dandelion": 1, "torch": 1, "sugar_cane": 1, "oak_sapling": 1, "ice": 15, "glass": 9, "melon": 30,
}  # fmt: skip
BY_HAND_WITHOUT_DROP = {
    "stone": 150, "andesite": 150, "cobblestone": 200, "coal_ore": 300, "iron_ore": 300, "gold_ore": 300,
    "redstone_ore": 300, "diamond_ore": 300, "furnace": 350, "obsidian": 5000, "sandstone": 80, "snow_block": 20,
}  # fmt: skip
ORE = {"wooden": 45, "stone": 23, "iron": 15, "diamond": 12, "netherite": 10, "golden": 8}
BY_PICKAXE = {
    "stone": {"wooden": 23, "stone": 12, "iron": 8, "diamond": 6, "netherite": 5, "golden": 4},
    "cobblestone": {"wooden": 30, "stone": 15, "iron": 10, "diamond": 8, "netherite": 7, "golden": 5},
    "coal_ore": ORE,
    "iron_ore": {**ORE, "wooden": 150, "golden": 25},  # too soft: no drop, and a hundredth instead of a thirtieth
    "diamond_ore": {**ORE, "wooden": 150, "stone": 75, "golden": 25},
    "furnace": {"wooden": 53, "stone": 27, "iron": 18, "diamond": 14, "netherite": 12, "golden": 9},
    "obsidian": {"wooden": 2500, "stone": 1250, "iron": 834, "diamond": 188, "netherite": 167, "golden": 417},
    "sandstone": {"wooden": 12, "stone": 6, "iron": 4, "diamond": 3, "netherite": 3, "golden": 2},
}  # fmt: skip
WITH_TOOLS = (
    [(block, f"{tier}_pickaxe", ticks) for block, tiers in BY_PICKAXE.items() for tier, ticks in tiers.items()]
    + [("oak_log", f"{tier}_axe", t) for tier, t in dict(wooden=30, stone=15, iron=10, diamond=8, golden=5).items()]
    + [("dirt", f"{tier}_shovel", t) for tier, t in dict(wooden=8, stone=4, iron=3, diamond=2, golden=2).items()]
    + [("oak_leaves", "shears", 1), ("white_wool", "shears", 5), ("cobweb", "iron_sword", 8), ("cobweb", "shears", 8)]
    + [("oak_leaves", "iron_sword", 4), ("pumpkin", "iron_sword", 20), ("oak_log", "iron_pickaxe", 60)]
    + [("oak_leaves", "iron_hoe", 1), ("cobweb", None, 400), ("oak_planks", "iron_axe", 10)]
)


@pytest.mark.parametrize("block", [*BY_HAND, *BY_HAND_WITHOUT_DROP])
def test_ticks_by_hand(engine, block):
    face(engine, block)
    assert mine(engine) == {**BY_HAND, **BY_HAND_WITHOUT_DROP}[block]
    assert bool(lying(engine)) == (block not in ("glass", "ice", "grass", "oak_leaves", *BY_HAND_WITHOUT_DROP)) or (
        block in ("grass", "oak_leaves")  # by chance
    )
    assert engine.state.mine_block[0, BLOCK_ID[block]] == (block not in BY_HAND_WITHOUT_DROP)


@pytest.mark.parametrize(("block", "tool", "ticks"), WITH_TOOLS)
def test_ticks_with_a_tool(engine, block, tool, ticks):
    face(engine, block, tool)
    assert mine(engine) == ticks


def test_numbers_of_the_formula_without_regard_to_what_can_be_harvested(engine, monkeypatch):
    """The plain formula's table also has obsidian and ores with every tier."""
    harvestable = np.minimum(engine.tables.block_tier, 1)
    monkeypatch.setattr(engine, "tables", engine.tables._replace(block_tier=harvestable))
    obsidian = {"wooden": 750, "stone": 375, "iron": 250, "diamond": 188, "netherite": 167, "golden": 125}
    for block, tiers in {"iron_ore": ORE, "diamond_ore": ORE, "obsidian": obsidian}.items():
        for tier, ticks in tiers.items():
            face(engine, block, f"{tier}_pickaxe")
            play(engine, ticks=10)  # the pause after the last one is over
            engine.state.dig_delay[0] = 0
            assert (block, tier, mine(engine)) == (block, tier, ticks)


def test_nothing_breaks_bedrock_or_water(engine):
    face(engine, "bedrock", "netherite_pickaxe")
    assert mine(engine, limit=300) is None
    assert engine.state.dig_progress[0] == 0
    face(engine, "water[level=0]")
    assert mine(engine, limit=30) is None


LOOT = {
    ("stone", "wooden_pickaxe"): [("cobblestone", 1)], ("grass_block", None): [("dirt", 1)],
    ("podzol", None): [("dirt", 1)], ("clay", None): [("clay_ball", 4)], ("bookshelf", None): [("book", 3)],
    ("coal_ore", "wooden_pickaxe"): [("coal", 1)], ("iron_ore", "stone_pickaxe"): [("iron_ore", 1)],
    ("iron_ore", "golden_pickaxe"): [], ("gold_ore", "iron_pickaxe"): [("gold_ore", 1)],
    ("diamond_ore", "iron_pickaxe"): [("diamond", 1)], ("diamond_ore", "stone_pickaxe"): [],
    ("emerald_ore", "iron_pickaxe"): [("emerald", 1)], ("glass", None): [], ("ice", "iron_pickaxe"): [],
    ("snow", "iron_shovel"): [("snowball", 1)], ("snow_block", "iron_shovel"): [("snowball", 4)],
    ("snow", None): [], ("oak_log", None): [("oak_log", 1)], ("torch", None): [("torch", 1)],
    ("wall_torch[facing=north]", None): [("torch", 1)], ("cobweb", "iron_sword"): [("string", 1)],
    ("cobweb", "shears"): [("cobweb", 1)], ("oak_leaves", "shears"): [("oak_leaves", 1)],
    ("grass", "shears"): [("grass", 1)], ("tall_grass[half=lower]", "shears"): [("grass", 2)],
    ("vine[facing=north]", None): [], ("vine[facing=north]", "shears"): [("vine", 1)],
    ("dead_bush", "shears"): [("dead_bush", 1)], ("andesite", "wooden_pickaxe"): [("andesite", 1)],
    ("red_wool", None): [("red_wool", 1)], ("obsidian", "diamond_pickaxe"): [("obsidian", 1)],
}  # fmt: skip


@pytest.mark.parametrize(("block", "tool"), LOOT)
def test_what_a_block_leaves(engine, block, tool):
    face(engine, block, tool)
    give_effect(engine, "haste", 50)
    if block.startswith(("snow", "grass", "tall", "dead", "torch", "vine", "wall")):
        put_player(engine, 0.5, GROUND, 0.5, pitch=1)
    if block == "snow":
        put_player(engine, 0.5, GROUND, 0.5, pitch=15)
    assert mine(engine, limit=800)
    assert lying(engine) == LOOT[block, tool]
    for x, y, z in engine.state.drop_position[0, engine.state.drop_item[0] != 0]:
        assert 0.1 < x < 0.9 and GROUND + 1 < y < GROUND + 2.2 and 2.1 < z < 2.9


# block -> item -> (chance that there is any, least, most)
BY_CHANCE = {
    "oak_leaves": {"oak_sapling": (0.05, 1, 1), "stick": (0.02, 1, 2), "apple": (0.005, 1, 1)},
    "jungle_leaves": {"jungle_sapling": (0.025, 1, 1), "stick": (0.02, 1, 2), "apple": (0, 0, 0)},
    "gravel": {"flint": (0.1, 1, 1), "gravel": (0.9, 1, 1)},
    "grass": {"wheat_seeds": (0.125, 1, 1)},
    "redstone_ore": {"redstone": (1, 4, 5)},
    "lapis_ore": {"lapis_lazuli": (1, 4, 9)},
    "glowstone": {"glowstone_dust": (1, 2, 4)},
    "melon": {"melon_slice": (1, 3, 7)},
    "dead_bush": {"stick": (2 / 3, 1, 2)},
}


@pytest.mark.parametrize("block", BY_CHANCE)
def test_loot_by_chance(engine, block):
    face(engine, block, "netherite_pickaxe" if "ore" in block else None)
    give_effect(engine, "haste", 255)
    counts = {item: [] for item in BY_CHANCE[block]}
    tries = 4000 if "leaves" in block else 1000
    for _ in range(tries):
        put_block(engine, *PLACE, BLOCK_ID[block])
        play(engine, "attack")
        play(engine)
        found = dict(lying(engine))
        remove_drops(engine)
        engine.state.inventory_damage[0] = 0
        assert set(found) <= set(counts)
        for item, count in found.items():
            counts[item].append(count)
    for item, (chance, least, most) in BY_CHANCE[block].items():
        error = 4 * np.sqrt(chance * (1 - chance) / tries)
        assert len(counts[item]) / tries == pytest.approx(chance, abs=error + 1e-9), item
        if counts[item]:
            assert (min(counts[item]), max(counts[item])) == (least, most)


def test_every_block_leaves_items_that_exist_and_at_most_once_what_was_there(engine):
    tables = engine.tables
    for block in range(NUM_BLOCKS):
        item = tables.block_drop_item[block]
        if tables.block_hardness[block] >= 0 and tables.block_drop_most[block] > 0:
            assert item > 0, BLOCK_NAME[block]
        if item == BLOCK_ITEM[block] and item:
            assert tables.block_drop_most[block] == 1


def test_no_drops_without_the_game_rule(engine):
    face(engine, "dirt")
    engine.state.gamerule[0, GAMERULE_ID["doTileDrops"]] = 0
    assert mine(engine) == 15
    assert lying(engine) == [] and engine.state.mine_block[0, BLOCK_ID["dirt"]] == 1


@pytest.mark.parametrize(
    ("effect", "amplifier", "ticks"),
    [("haste", 0, 13), ("haste", 1, 11), ("mining_fatigue", 0, 50), ("mining_fatigue", 1, 167)],
)
def test_effects_on_mining(engine, effect, amplifier, ticks):
    face(engine, "dirt")
    give_effect(engine, effect, amplifier)
    assert mine(engine) == ticks


def test_mining_is_five_times_slower_in_the_air_and_under_water(engine):
    face(engine, "dirt")
    ticks = 0
    while seen(engine):
        engine.state.on_ground[0] = 0
        play(engine, "attack")
        ticks += 1
    assert ticks == 75
    engine.state.dig_delay[0] = 0
    face(engine, "dirt")
    for x in (-1, 0, 1):
        for z in (-1, 0, 1, 2):
            for y in range(GROUND, GROUND + 4):
                if (x, y, z) != PLACE and (x, y, z) != (0, GROUND, 2):
                    put_block(engine, x, y, z, BLOCK_ID["water[level=0]"])
    play(engine, ticks=20)
    assert engine.state.on_ground[0] and engine.state.in_water[0]
    assert mine(engine) == 75


def test_the_next_block_waits_for_five_ticks_but_not_after_an_instant_one(engine):
    face(engine, "dirt")
    put_block(engine, 0, GROUND + 1, 3, BLOCK_ID["dirt"])
    assert mine(engine) == 15
    assert mine(engine, (0, GROUND + 1, 3)) == 5 + 1 + 15  # the pause, the first knock, and then as ever
    for z in (2, 3, 4):
        put_block(engine, 0, GROUND + 1, z, BLOCK_ID["grass"])
    play(engine)
    engine.state.dig_delay[0] = 0
    put_player(engine, 0.5, GROUND, 0.5, pitch=5)
    assert [mine(engine, (0, GROUND + 1, z)) for z in (2, 3, 4)] == [1, 1, 1]


def test_progress_is_lost_with_the_button_the_target_or_the_tool(engine):
    state = engine.state
    face(engine, "oak_log")
    play(engine, "attack", ticks=30)
    assert state.dig_progress[0] == pytest.approx(0.5)
    assert state.dig_block[0].tolist() == list(PLACE)
    play(engine)
    assert state.dig_progress[0] == 0
    assert mine(engine) == 60
    face(engine, "oak_log")
    play(engine, ticks=6)
    state.dig_delay[0] = 0
    play(engine, "attack", ticks=30)
    play(engine, "attack", camera=(30, 0))  # at the block below
    assert state.dig_block[0].tolist() == [0, GROUND, 2] and state.dig_progress[0] == 0
    play(engine, "attack", camera=(-30, 0))
    assert mine(engine) == 60
    face(engine, "oak_log")
    play(engine, ticks=6)
    state.dig_delay[0] = 0
    play(engine, "attack", ticks=30)
    state.inventory_item[0, 2], state.inventory_count[0, 2] = ITEM_ID["iron_axe"], 1
    play(engine, "attack", "hotbar.3")
    assert state.dig_progress[0] == 0
    assert mine(engine) == 10


def test_a_click_on_nothing_blocks_the_held_key_for_ten_ticks(engine):
    face(engine, "dirt")
    put_player(engine, 0.5, GROUND, 0.5, pitch=-80)
    play(engine, "attack")
    play(engine, "attack", camera=(80, 0))
    assert mine(engine) == 8 + 1 + 15  # eight ticks more, the first knock, the mining
    face(engine, "dirt")
    put_player(engine, 0.5, GROUND, 0.5, pitch=-80)
    play(engine, "attack")
    play(engine, camera=(80, 0))
    engine.state.dig_delay[0] = 0
    assert mine(engine) == 15


def test_reach_is_four_and_a_half_blocks(engine):
    for distance, reached in ((4.4, True), (4.49, True), (4.51, False)):
        engine.state.dig_delay[0] = 0
        face(engine, "dirt")
        put_player(engine, 0.5, GROUND, 2 - distance)
        assert (mine(engine, limit=40) is not None) == reached
        play(engine)


def test_the_crosshair_passes_liquids_and_what_is_beside_a_plant(engine):
    face(engine, "dirt")
    put_block(engine, 0, GROUND + 1, 1, BLOCK_ID["water[level=3]"])
    engine.state.position[0, 2] = -0.5
    assert mine(engine) == 15
    face(engine, "dirt")
    engine.state.dig_delay[0] = 0
    put_block(engine, 0, GROUND + 1, 1, BLOCK_ID["dandelion"])  # its top is at 10/16, the eyes at 0.62
    assert mine(engine, (0, GROUND + 1, 1)) == 1
    put_block(engine, 0, GROUND, 1)
    put_block(engine, 0, GROUND + 1, 1, BLOCK_ID["brown_mushroom"])
    play(engine)
    assert mine(engine) == 15
    assert seen(engine, (0, GROUND + 1, 1)) == BLOCK_ID["brown_mushroom"]


def test_tools_wear_and_break(engine):
    state = engine.state
    pickaxe = ITEM_ID["iron_pickaxe"]
    assert DURABILITY[pickaxe] == 250 and DURABILITY[ITEM_ID["wooden_pickaxe"]] == 59
    face(engine, "stone", "iron_pickaxe")
    assert mine(engine) == 8
    assert state.inventory_damage[0, 0] == 1 and state.use_item[0, pickaxe] == 1
    state.inventory_damage[0, 0] = 249
    face_again = engine.state.inventory_damage[0].copy()
    put_block(engine, *PLACE)
    state.inventory_damage[0] = face_again
    play(engine, ticks=6)
    assert mine(engine)
    assert state.break_item[0, pickaxe] == 1 and state.inventory_item[0, 0] == 0 and state.inventory_count[0, 0] == 0
    face(engine, "oak_leaves", "iron_sword")
    play(engine, ticks=6)
    mine(engine)
    assert state.inventory_damage[0, 0] == 2
    face(engine, "grass", "iron_sword")
    put_player(engine, 0.5, GROUND, 0.5, pitch=1)
    play(engine)
    mine(engine)
    assert state.inventory_damage[0, 0] == 0 and state.use_item[0, ITEM_ID["iron_sword"]] == 2


def test_mining_is_effort(engine):
    face(engine, "dirt")
    mine(engine)
    assert engine.state.exhaustion[0] == pytest.approx(0.005)
    face(engine, "stone")
    mine(engine)
    assert engine.state.exhaustion[0] == pytest.approx(0.005)  # what leaves nothing costs nothing


def test_ice_becomes_water_and_both_halves_of_a_tall_plant_go(engine):
    face(engine, "ice")
    mine(engine)
    assert seen(engine) == BLOCK_ID["water[level=0]"]
    for pitch, half in ((20, "lower"), (1, "upper")):
        engine.state.dig_delay[0] = 0
        remove_drops(engine)
        face(engine, "tall_grass[half=upper]", "shears")
        put_block(engine, 0, GROUND, 2, BLOCK_ID["tall_grass[half=lower]"])
        put_player(engine, 0.5, GROUND, 0.5, pitch=pitch)
        play(engine)
        play(engine, "attack")
        assert not seen(engine) and not seen(engine, (0, GROUND, 2)), half
        assert lying(engine) == [("grass", 2)]


def test_states_of_a_block_count_as_one(engine):
    face(engine, "wall_torch[facing=north]")
    assert mine(engine) == 1
    assert engine.state.mine_block[0].nonzero()[0].tolist() == [NAMED_BLOCK["wall_torch"]]
    assert ITEMS[BLOCK_ITEM[NAMED_BLOCK["wall_torch"]]] == "torch"


def test_a_second_click_on_the_block_goes_on_after_the_pause(engine):
    face(engine, "dirt")
    mine(engine)
    put_block(engine, *PLACE, BLOCK_ID["dirt"])
    play(engine)
    assert mine(engine) == 5 + 15  # the click begins at once, the pause still runs


def test_opening_the_screen_stops_mining(engine):
    face(engine, "oak_log")
    play(engine, "attack", ticks=10)
    play(engine, "attack", "inventory")
    assert engine.state.dig_progress[0] == 0
    play(engine, "attack", ticks=80)
    assert seen(engine) == BLOCK_ID["oak_log"]
    play(engine, "attack", "inventory")
    play(engine, "attack", ticks=80)  # a button held since then does nothing until it is let go
    assert seen(engine) == BLOCK_ID["oak_log"]
    play(engine)
    assert mine(engine) == 60
