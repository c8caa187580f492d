"""The use key places, fills, eats, wears, shears and milks as in Minecraft 1.16.5."""

import os
import subprocess
import sys

import numpy as np
import pytest
from voxel_worlds import GROUND, give_effect, hold, lying, play, put_block, put_cow, put_player, quiet_engine

from minestudio_envs.voxel.blocks import BLOCK_ID, BLOCK_NAME, BLOCKS, NUM_BLOCKS
from minestudio_envs.voxel.items import ITEM_ID, ITEMS
from minestudio_envs.voxel.state import EFFECT_ID, SHEEP
from minestudio_envs.voxel.tables import build_tables
from minestudio_envs.voxel.using import ANYWHERE, NEEDS, can_be
from minestudio_envs.voxel.world import REACTION, is_supported

WATER, LAVA = BLOCK_ID["water[level=0]"], BLOCK_ID["lava[level=0]"]


@pytest.fixture(scope="module")
def shared():
    engine = quiet_engine()
    return engine, engine.snapshot()


@pytest.fixture
def engine(shared):
    shared[0].restore(shared[1])
    return shared[0]


def block(engine, x, y, z):
    mask = engine.state.voxels.shape[1] - 1
    return int(engine.state.voxels[0, x & mask, z & mask, y])


def use_on_ground(engine, ground="grass_block"):
    """Uses what is in the hand on the top of the block two before the feet; returns what stands there then."""
    put_block(engine, 0, GROUND - 1, 2, BLOCK_ID[ground])
    put_player(engine, 0.5, GROUND, 0.5, pitch=np.degrees(np.arctan2(1.62, 2.0)))
    play(engine)
    play(engine, "use")
    play(engine)
    return block(engine, 0, GROUND, 2)


def test_placing_takes_one_counts_it_and_swings_the_arm(engine):
    hold(engine, "oak_planks", 3)
    put_player(engine, 0.5, GROUND, 0.5, pitch=39)
    play(engine, "use")
    assert block(engine, 0, GROUND, 2) == BLOCK_ID["oak_planks"]
    assert engine.state.inventory_count[0, 0] == 2
    assert engine.state.use_item[0, ITEM_ID["oak_planks"]] == 1
    assert engine.state.swing_ticks[0] > 0
    assert engine.state.height[0, 0, 2] == GROUND + 1


def test_a_held_key_acts_every_four_ticks_and_a_new_press_at_once(engine):
    hold(engine, "oak_planks", 64)
    put_player(engine, 0.5, GROUND, 0.5, pitch=45)  # turning around, it builds a wall about itself
    counts = []
    for _ in range(13):
        play(engine, "use", camera=(0, 20))
        counts.append(int(engine.state.inventory_count[0, 0]))
    assert [i for i in range(1, 13) if counts[i] < counts[i - 1]] == [4, 8, 12] and counts[0] == 63
    play(engine)
    play(engine, "use", camera=(0, 20))
    assert engine.state.inventory_count[0, 0] == counts[-1] - 1


def test_all_six_sides(engine):
    hold(engine, "cobblestone", 64)
    put_block(engine, 0, GROUND + 2, 3)
    sides = {
        "north": ((0.5, GROUND + 1, 0.5), 0, -2, (0, GROUND + 2, 2)),
        "south": ((0.5, GROUND + 1, 6.5), 180, -2, (0, GROUND + 2, 4)),
        "east": ((3.5, GROUND + 1, 3.5), 90, -2, (1, GROUND + 2, 3)),
        "west": ((-2.5, GROUND + 1, 3.5), -90, -2, (-1, GROUND + 2, 3)),
        "top": ((0.5, GROUND + 4, 2.2), 0, 70, (0, GROUND + 3, 3)),
        "bottom": ((0.5, GROUND - 1, 2.4), 0, -60, (0, GROUND + 1, 3)),
    }
    for side, (position, yaw, pitch, place) in sides.items():
        put_player(engine, *position, yaw=yaw, pitch=pitch)
        play(engine, "use")
        assert block(engine, *place) == BLOCK_ID["cobblestone"], side
        put_block(engine, *place, 0)
        play(engine)


def test_a_block_takes_the_place_of_grass_but_not_of_a_flower(engine):
    hold(engine, "cobblestone", 64)
    for plant, placed in (("grass", (0, GROUND, 2)), ("poppy", (0, GROUND, 1))):
        put_block(engine, 0, GROUND, 2, BLOCK_ID[plant])
        put_player(engine, 0.5, GROUND, 0.1, pitch=33)
        play(engine)
        play(engine, "use")
        assert block(engine, *placed) == BLOCK_ID["cobblestone"], plant
        put_block(engine, *placed, 0)


def test_nobody_is_walled_in(engine):
    hold(engine, "cobblestone", 64)
    put_player(engine, 0.5, GROUND, 0.5, pitch=90)
    play(engine, "use")
    assert engine.state.inventory_count[0, 0] == 64 and engine.state.use_item.sum() == 0
    put_cow(engine, 0, 1.5, GROUND, 2.7)
    put_player(engine, 0.5, GROUND, 0.5, pitch=39)
    play(engine)
    play(engine, "use")
    assert block(engine, 0, GROUND, 2) == BLOCK_ID["cobblestone"]
    put_block(engine, 0, GROUND, 2, 0)
    put_cow(engine, 0, 1.3, GROUND, 2.7)
    play(engine)
    play(engine, "use")
    assert block(engine, 0, GROUND, 2) == 0
    hold(engine, "torch", 5)
    put_player(engine, 0.5, GROUND, 0.5, pitch=90)
    play(engine, "use")
    assert block(engine, 0, GROUND, 0) == BLOCK_ID["torch"]  # in nobody's way


def test_the_jump_that_builds_a_pillar(engine):
    hold(engine, "cobblestone", 64)
    put_player(engine, 0.5, GROUND, 0.5, pitch=90)
    for _ in range(60):
        play(engine, "jump", "use")
    assert engine.state.position[0, 1] > GROUND + 3
    assert block(engine, 0, GROUND + 2, 0) == BLOCK_ID["cobblestone"]


@pytest.mark.parametrize(("yaw", "facing"), [(0, "north"), (180, "south"), (90, "east"), (-90, "west")])
def test_torches_and_ladders_hang_on_walls(engine, yaw, facing):
    x, z = {0: (0, 2), 180: (0, -2), 90: (-2, 0), -90: (2, 0)}[yaw]
    put_block(engine, x, GROUND + 1, z)
    in_front = (int(np.sign(x)), GROUND + 1, int(np.sign(z)))
    for item, name in (("torch", "wall_torch"), ("ladder", "ladder"), ("vine", "vine")):
        hold(engine, item, 5)
        put_player(engine, 0.5, GROUND, 0.5, yaw=yaw)
        play(engine)
        play(engine, "use")
        assert block(engine, *in_front) == BLOCK_ID[f"{name}[facing={facing}]"]
        put_block(engine, *in_front, 0)


def test_torches_stand_on_floors_but_not_on_leaves(engine):
    hold(engine, "torch", 5)
    assert use_on_ground(engine) == BLOCK_ID["torch"]
    put_block(engine, 0, GROUND, 2, 0)
    assert use_on_ground(engine, "oak_leaves") == 0
    hold(engine, "ladder", 5)
    assert use_on_ground(engine, "stone") == 0


@pytest.mark.parametrize(
    ("item", "ground", "stands"),
    [
        ("oak_sapling", "grass_block", True), ("oak_sapling", "stone", False), ("poppy", "dirt", True),
        ("poppy", "sand", False), ("dead_bush", "sand", True), ("dead_bush", "grass_block", False),
        ("cactus", "sand", True), ("cactus", "dirt", False), ("sugar_cane", "sand", False),
        ("brown_mushroom", "podzol", True), ("snow", "stone", True), ("snow", "ice", False),
        ("lily_pad", "grass_block", False), ("oak_log", "sand", True),
    ],
)  # fmt: skip
def test_plants_need_their_ground(engine, item, ground, stands):
    hold(engine, item, 5)
    assert (use_on_ground(engine, ground) == BLOCK_ID[item]) == stands
    assert engine.state.inventory_count[0, 0] == 5 - stands


@pytest.mark.parametrize(
    ("item", "ground"),
    [("torch", "glass"), ("dead_bush", "podzol"), ("dead_bush", "terracotta"), ("snow", "stone")],
)
def test_what_is_placed_stays(engine, item, ground):
    hold(engine, item)
    assert use_on_ground(engine, ground) == BLOCK_ID[item]
    play(engine, ticks=5)
    assert block(engine, 0, GROUND, 2) == BLOCK_ID[item]


def check_every_block_stays_wherever_it_can_be_placed():
    block_height = build_tables().block_height
    for needy in map(int, np.flatnonzero(NEEDS != ANYWHERE)):
        if "half=upper" in BLOCKS[needy]:
            continue
        grounds = 0
        for ground in range(1, NUM_BLOCKS):
            voxels = np.zeros((1, 8, 8, 8), np.uint8)
            voxels[0, 4, 4, 3] = ground
            if BLOCK_NAME[needy] in ("wall_torch", "ladder", "vine"):
                voxels[0, 3:6, 3:6, 4] = ground
            if BLOCK_NAME[needy] == "sugar_cane":
                voxels[0, 5, 4, 3] = WATER
            if can_be(voxels, 0, NEEDS, block_height, needy, 4, 4, 4):
                voxels[0, 4, 4, 4] = needy
                if "half=lower" in BLOCKS[needy]:
                    voxels[0, 4, 4, 5] = needy + 1
                assert is_supported(voxels, 0, 4, 4, 4, needy, REACTION[needy]), (BLOCKS[needy], BLOCKS[ground])
                grounds += 1
        assert grounds > 0, BLOCKS[needy]


def test_every_block_stays_wherever_it_can_be_placed():
    # in a process without numba: Python itself may call no device function
    code = "import test_voxel_using as t; t.check_every_block_stays_wherever_it_can_be_placed()"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_sugar_cane_by_water_a_cactus_alone_and_plants_of_two_halves(engine):
    hold(engine, "sugar_cane", 5)
    put_block(engine, 1, GROUND - 1, 2, WATER)
    assert use_on_ground(engine, "sand") == BLOCK_ID["sugar_cane"]
    put_block(engine, 0, GROUND, 2, 0)
    hold(engine, "cactus", 5)
    put_block(engine, 1, GROUND, 2)
    assert use_on_ground(engine, "sand") == 0
    hold(engine, "tall_grass", 5)
    assert use_on_ground(engine) == BLOCK_ID["tall_grass[half=lower]"]
    assert block(engine, 0, GROUND + 1, 2) == BLOCK_ID["tall_grass[half=upper]"]


def test_buckets(engine):
    state = engine.state
    hold(engine, "bucket", 2)
    put_block(engine, 0, GROUND - 1, 2, WATER)
    put_player(engine, 0.5, GROUND, 0.5, pitch=39)
    play(engine)
    play(engine, "use")
    assert block(engine, 0, GROUND - 1, 2) == 0
    assert (ITEMS[state.inventory_item[0, 0]], state.inventory_count[0, 0]) == ("bucket", 1)
    assert (ITEMS[state.inventory_item[0, 1]], state.inventory_count[0, 1]) == ("water_bucket", 1)
    assert state.use_item[0, ITEM_ID["bucket"]] == 1
    put_block(engine, 0, GROUND - 1, 2)
    play(engine, "hotbar.2")
    play(engine, "use")
    assert block(engine, 0, GROUND, 2) == WATER
    assert ITEMS[state.inventory_item[0, 1]] == "bucket"
    hold(engine, "lava_bucket", slot=2)
    put_block(engine, 0, GROUND, 2, 0)
    play(engine)
    play(engine, "use")
    assert block(engine, 0, GROUND, 2) == LAVA
    play(engine)
    play(engine, "use")
    assert block(engine, 0, GROUND, 2) == 0 and ITEMS[state.inventory_item[0, 2]] == "lava_bucket"


def test_a_bucket_takes_no_flowing_water_and_a_lily_pad_lies_on_water(engine):
    hold(engine, "bucket")
    put_block(engine, 0, GROUND - 1, 2, BLOCK_ID["water[level=3]"])
    put_player(engine, 0.5, GROUND, 0.5, pitch=39)
    play(engine)
    play(engine, "use")
    assert ITEMS[engine.state.inventory_item[0, 0]] == "bucket"
    put_block(engine, 0, GROUND - 1, 2, WATER)
    hold(engine, "lily_pad", 2)
    play(engine, "use")
    assert block(engine, 0, GROUND, 2) == BLOCK_ID["lily_pad"] and engine.state.inventory_count[0, 0] == 1


def test_eating_takes_32_ticks(engine):
    state = engine.state
    hold(engine, "cooked_beef", 3)
    put_player(engine, 0.5, GROUND, 0.5, pitch=-60)
    state.food[0], state.saturation[0] = 10, 0
    play(engine, "use", ticks=31)
    assert state.food[0] == 10 and state.eat_ticks[0] == 31
    play(engine, "use")
    assert state.food[0] == 18 and state.saturation[0] == pytest.approx(12.8) and state.inventory_count[0, 0] == 2
    assert state.use_item[0, ITEM_ID["cooked_beef"]] == 1
    play(engine, "use", ticks=32)
    assert state.food[0] == 20 and state.saturation[0] == 20 and state.inventory_count[0, 0] == 1
    play(engine, "use", ticks=40)  # full
    assert state.inventory_count[0, 0] == 1


def test_letting_go_or_changing_the_hand_interrupts_a_meal(engine):
    state = engine.state
    hold(engine, "apple", 3)
    put_player(engine, 0.5, GROUND, 0.5, pitch=-60)
    state.food[0] = 10
    play(engine, "use", ticks=31)
    play(engine)
    play(engine, "use", ticks=31)
    play(engine, "use", "hotbar.2")
    play(engine, "use", ticks=40)
    assert state.food[0] == 10 and state.inventory_count[0, 0] == 3


def test_eating_slows_down_and_keeps_the_arm_from_hitting(engine):
    state = engine.state
    hold(engine, "apple", 3)
    state.food[0] = 10
    put_player(engine, 0.5, GROUND, 0.5, pitch=-60)
    z = play(engine, "use", "forward", "sprint", ticks=25)[:, 2]
    assert z[-1] - z[-2] == pytest.approx(0.2 * 0.21586, abs=1e-4) and not state.sprinting[0]
    put_player(engine, 0.5, GROUND, 0.5, pitch=20)
    put_cow(engine, 0, 0.5, GROUND, 2.5)
    play(engine, "use", "attack")
    assert state.mob_health[0, 0] == 10


def test_what_else_food_does(engine):
    state = engine.state
    put_player(engine, 0.5, GROUND, 0.5, pitch=-60)
    hold(engine, "golden_apple")
    play(engine, "use", ticks=32)  # even with a full stomach
    assert state.absorption[0] == 4
    assert state.effect_amplifier[0, EFFECT_ID["regeneration"]] == 1
    assert 95 < state.effect_ticks[0, EFFECT_ID["regeneration"]] <= 100
    state.food[0] = 5
    hold(engine, "mushroom_stew")
    play(engine, "use", ticks=32)
    assert ITEMS[state.inventory_item[0, 0]] == "bowl" and state.food[0] == 11
    hold(engine, "spider_eye")
    play(engine)
    play(engine, "use", ticks=32)
    assert state.effect_ticks[0, EFFECT_ID["poison"]] > 0


def test_the_offhand_comes_second(engine):
    state = engine.state
    hold(engine, None)
    state.inventory_item[0, 40], state.inventory_count[0, 40] = ITEM_ID["torch"], 2
    assert use_on_ground(engine) == BLOCK_ID["torch"]
    assert state.inventory_count[0, 40] == 1
    put_block(engine, 0, GROUND, 2, 0)
    hold(engine, "cobblestone", 2)
    assert use_on_ground(engine) == BLOCK_ID["cobblestone"] and state.inventory_count[0, 40] == 1


def test_armour_is_put_on(engine):
    state = engine.state
    hold(engine, "iron_chestplate")
    put_player(engine, 0.5, GROUND, 0.5, pitch=-60)
    play(engine, "use")
    assert ITEMS[state.inventory_item[0, 38]] == "iron_chestplate" and state.inventory_count[0, 0] == 0
    hold(engine, "diamond_chestplate")
    play(engine)
    play(engine, "use")
    assert ITEMS[state.inventory_item[0, 38]] == "iron_chestplate" and state.inventory_count[0, 0] == 1


def test_what_opens_takes_the_click_unless_sneaking(engine):
    hold(engine, "cobblestone", 5)
    put_block(engine, 0, GROUND, 2, BLOCK_ID["crafting_table"])
    put_player(engine, 0.5, GROUND, 0.5, pitch=25)
    play(engine)
    play(engine, "use")
    assert engine.state.inventory_count[0, 0] == 5
    play(engine, "sneak", ticks=2)
    play(engine, "sneak", "use")
    assert engine.state.inventory_count[0, 0] == 4


def test_shearing_and_milking(engine):
    state = engine.state
    hold(engine, "shears")
    put_cow(engine, 0, 0.5, GROUND, 2.3)
    state.mob_kind[0, 0], state.mob_variant[0, 0] = SHEEP, 3
    put_player(engine, 0.5, GROUND, 0.5, pitch=25)
    play(engine, "use")
    assert state.mob_variant[0, 0] == 3 | 16
    ((name, count),) = lying(engine)
    assert name == "light_blue_wool" and 1 <= count <= 3 and state.inventory_damage[0, 0] == 1
    play(engine, "use", ticks=10)
    assert lying(engine) == [(name, count)]
    hold(engine, "bucket")
    put_cow(engine, 0, 0.5, GROUND, 2.3)
    play(engine)
    play(engine, "use")
    assert ITEMS[state.inventory_item[0, 0]] == "milk_bucket"


def test_nothing_is_placed_while_a_block_is_mined(engine):
    hold(engine, "cobblestone", 5)
    put_player(engine, 0.5, GROUND, 0.5, pitch=39)
    play(engine, "attack", "use", ticks=10)
    assert engine.state.inventory_count[0, 0] == 5 and engine.state.dig_progress[0] > 0


def test_nothing_is_placed_above_the_world(engine):
    give_effect(engine, "slow_falling")
    hold(engine, "cobblestone", 5)
    put_block(engine, 0, 63, 2)
    put_player(engine, 0.5, 62.6, 0.5, pitch=5)
    put_player(engine, 0.5, 64, 0.9, pitch=55)
    play(engine, "use")
    assert engine.state.inventory_count[0, 0] == 5
