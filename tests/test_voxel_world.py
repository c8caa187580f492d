"""Blocks that fall, flow and break when something beside them changes."""

import numpy as np
import pytest
from numba import njit
from voxel_worlds import GROUND, flat_engine, play

from minestudio_envs.voxel.blocks import AIR, BLOCK_ID, BLOCKS, FIRST_LIQUID, LAVA, STONE, WATER
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.items import ITEM_ID
from minestudio_envs.voxel.jit import OPTIONS
from minestudio_envs.voxel.state import MAX_UPDATES
from minestudio_envs.voxel.world import REACTION, change_block


@njit(**OPTIONS)
def change_all(state, tables, places, blocks):
    for i in range(len(places)):
        for n in range(state.voxels.shape[0]):
            change_block(state, n, tables, places[i, 0], places[i, 1], places[i, 2], blocks[i])


def change(engine, *changes):
    """Changes blocks in every environment; ``changes`` are (x, y, z, block or its name)."""
    places = np.array([c[:3] for c in changes], np.int64)
    blocks = np.array([BLOCK_ID.get(c[3], c[3]) for c in changes], np.int64)
    change_all(engine.arrays, engine.tables, places, blocks)


def block(engine, x, y, z):
    return BLOCKS[engine.state.voxels[0, x % 32, z % 32, y]]


def dropped(engine, item):
    return int(engine.state.drop_count[0][engine.state.drop_item[0] == ITEM_ID[item]].sum())


@pytest.fixture
def flat():
    engine = flat_engine()
    assert engine.state.pending_updates[0] == 0
    return engine


@pytest.mark.parametrize("name", ["sand", "red_sand", "gravel"])
def test_sand_falls_to_the_ground(flat, name):
    change(flat, (8, GROUND + 5, 8, name), (8, GROUND + 6, 8, name))
    play(flat, ticks=30)
    assert [block(flat, 8, GROUND + d, 8) for d in range(3)] == [name, name, "air"]
    assert flat.state.height[0, 8, 8] == GROUND + 2
    assert flat.state.pending_updates[0] == 0


def test_sand_stays_on_a_block_until_that_is_dug(flat):
    change(flat, (8, GROUND, 8, "stone"), (8, GROUND + 1, 8, "sand"), (8, GROUND + 2, 8, "sand"))
    play(flat, ticks=20)
    assert block(flat, 8, GROUND + 2, 8) == "sand"
    change(flat, (8, GROUND, 8, "air"))
    play(flat, ticks=20)
    assert [block(flat, 8, GROUND + d, 8) for d in range(3)] == ["sand", "sand", "air"]


def test_sand_sinks_through_water(flat):
    change(flat, *((8, GROUND - d, 8, WATER) for d in (1, 2, 3)), (8, GROUND, 8, "sand"))
    play(flat, ticks=20)
    assert block(flat, 8, GROUND - 3, 8) == "sand"


def test_water_flows_seven_blocks_over_the_flat_one_in_five_ticks(flat):
    change(flat, (16, GROUND, 16, WATER))
    reach = []
    for _ in range(9):
        play(flat, ticks=5)
        row = flat.state.voxels[0, 16:, 16, GROUND]
        reach.append(int((row >= WATER).sum()) - 1)
    assert reach[:3] in ([0, 1, 2], [1, 2, 3]) and reach[-1] == 7
    play(flat, ticks=20)
    layer = flat.state.voxels[0, :, :, GROUND]
    x, z = np.indices(layer.shape)
    distance = np.abs(x - 16) + np.abs(z - 16)
    np.testing.assert_array_equal(layer, np.where(distance <= 7, WATER + distance, AIR))
    assert flat.state.pending_updates[0] == 0


def test_water_retreats_when_its_source_is_gone(flat):
    change(flat, (16, GROUND, 16, WATER))
    play(flat, ticks=60)
    change(flat, (16, GROUND, 16, "air"))
    play(flat, ticks=150)
    assert not (flat.state.voxels[0, :, :, GROUND:] != 0).any()
    assert flat.state.pending_updates[0] == 0
    assert (flat.state.light[0, :, :, GROUND:] == 15 << 4).all()


def test_water_falls_and_spreads_below(flat):
    y = GROUND + 4
    change(flat, (16, y - 1, 16, "stone"), (16, y, 16, WATER))
    play(flat, ticks=120)
    assert block(flat, 17, y, 16) == "water[level=1]" and block(flat, 18, y, 16) == "air"
    assert [block(flat, 17, y - d, 16) for d in (1, 2, 3, 4)] == ["water[level=8]"] * 4
    assert block(flat, 24, GROUND, 16) == "water[level=7]"


def test_two_sources_make_a_third(flat):
    hole = [(x, GROUND - 1, 8, "air") for x in (8, 9, 10)]
    change(flat, *hole, (8, GROUND - 1, 8, WATER), (10, GROUND - 1, 8, WATER))
    play(flat, ticks=20)
    assert block(flat, 9, GROUND - 1, 8) == "water[level=0]"


def test_water_stays_behind_a_wall_and_runs_through_a_hole_in_it(flat):
    walls = [(8 + dx, GROUND, 8 + dz, "glass") for dx, dz in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    change(flat, *walls, (8, GROUND, 8, WATER))
    play(flat, ticks=40)
    assert (flat.state.voxels[0] == WATER).sum() == 1 and not (flat.state.voxels[0] == WATER + 1).any()
    change(flat, (9, GROUND, 8, "air"))
    play(flat, ticks=6)
    assert block(flat, 9, GROUND, 8) == "water[level=1]"


def test_water_hardens_lava(flat):
    change(flat, (8, GROUND - 1, 8, LAVA), (10, GROUND, 8, WATER))
    play(flat, ticks=20)
    assert block(flat, 8, GROUND - 1, 8) == "obsidian"
    assert not (flat.state.light[0] & 15).any()


def test_water_washes_plants_and_torches_away(flat):
    change(flat, (9, GROUND, 8, "poppy"), (8, GROUND, 9, "torch"), (7, GROUND, 8, "chest"), (8, GROUND, 8, WATER))
    play(flat, ticks=12)
    assert block(flat, 9, GROUND, 8) == block(flat, 8, GROUND, 9) == "water[level=1]"
    assert block(flat, 7, GROUND, 8) == "chest"
    assert dropped(flat, "poppy") == dropped(flat, "torch") == 1


@pytest.mark.parametrize(
    "ground, plants, item",
    [
        ("grass_block", ["poppy"], "poppy"),
        ("grass_block", ["oak_sapling"], "oak_sapling"),
        ("sand", ["dead_bush"], None),
        ("grass_block", ["tall_grass[half=lower]", "tall_grass[half=upper]"], None),
        ("sand", ["cactus", "cactus", "cactus"], "cactus"),
        ("sand", ["sugar_cane", "sugar_cane", "sugar_cane"], "sugar_cane"),
        ("stone", ["torch"], "torch"),
        ("stone", ["snow"], None),
        ("stone", ["brown_mushroom"], "brown_mushroom"),
    ],
)
def test_plants_and_torches_break_when_their_ground_goes(flat, ground, plants, item):
    column = [(8, GROUND + i, 8, plant) for i, plant in enumerate(plants)]
    change(flat, (8, GROUND - 1, 8, ground), *column)
    play(flat, ticks=10)
    assert [block(flat, 8, GROUND + i, 8) for i in range(len(plants))] == plants
    change(flat, (8, GROUND - 1, 8, "air"))
    play(flat, ticks=10)
    assert not flat.state.voxels[0, 8, 8, GROUND - 1 :].any()
    assert flat.state.cutouts[0, 8, 8, 0] == 0
    assert item is None or dropped(flat, item) == len(plants)


def test_the_lower_half_goes_with_the_upper_one(flat):
    change(flat, (8, GROUND, 8, "large_fern[half=lower]"), (8, GROUND + 1, 8, "large_fern[half=upper]"))
    change(flat, (8, GROUND + 1, 8, "air"))
    play(flat, ticks=3)
    assert block(flat, 8, GROUND, 8) == "air"


@pytest.mark.parametrize("facing, dx, dz", [("north", 0, 1), ("south", 0, -1), ("west", 1, 0), ("east", -1, 0)])
@pytest.mark.parametrize("name", ["wall_torch", "ladder", "vine"])
def test_what_hangs_on_a_wall_breaks_with_it(flat, name, facing, dx, dz):
    hanging = f"{name}[facing={facing}]"
    change(flat, (8 + dx, GROUND + 3, 8 + dz, "stone"), (8, GROUND + 3, 8, hanging))
    play(flat, ticks=5)
    assert block(flat, 8, GROUND + 3, 8) == hanging
    change(flat, (8 + dx, GROUND + 3, 8 + dz, "air"))
    play(flat, ticks=5)
    assert block(flat, 8, GROUND + 3, 8) == "air"


def test_a_vine_hangs_on_a_vine(flat):
    vines = [(8, GROUND + 3 - i, 8, "vine[facing=north]") for i in range(3)]
    change(flat, (8, GROUND + 3, 9, "stone"), *vines)
    play(flat, ticks=5)
    assert block(flat, 8, GROUND + 1, 8) == "vine[facing=north]"
    change(flat, (8, GROUND + 3, 9, "air"))
    play(flat, ticks=10)
    assert block(flat, 8, GROUND + 1, 8) == "air"


def test_a_block_beside_a_cactus_breaks_it(flat):
    change(flat, (8, GROUND - 1, 8, "sand"), (8, GROUND, 8, "cactus"), (8, GROUND + 1, 8, "cactus"))
    change(flat, (9, GROUND + 1, 8, "stone"))
    play(flat, ticks=5)
    assert block(flat, 8, GROUND, 8) == "cactus" and block(flat, 8, GROUND + 1, 8) == "air"


def test_lily_pads_need_their_water(flat):
    change(flat, (8, GROUND - 1, 8, WATER), (8, GROUND, 8, "lily_pad"))
    play(flat, ticks=10)
    assert block(flat, 8, GROUND, 8) == "lily_pad"
    change(flat, (8, GROUND - 1, 8, STONE))
    play(flat, ticks=5)
    assert block(flat, 8, GROUND, 8) == "air"


def test_more_updates_than_there_is_room_for_do_no_harm(flat):
    changes = [(x, GROUND + 4, z, "sand") for x in range(32) for z in range(32)]
    change(flat, *changes)
    assert flat.state.pending_updates[0] == MAX_UPDATES
    play(flat, ticks=100)
    assert (flat.state.voxels[0] == BLOCK_ID["sand"]).sum() == 32 * 32
    assert flat.state.pending_updates[0] == 0


def test_a_new_world_is_at_rest():
    """Nothing in it would change if it were looked at, but for sand and gravel over caves and water in mid-flow."""
    engine = VoxelEngine(9, biomes=("swamp", "desert", "taiga", "savanna"), world_size=64, empty_frames=0)
    play(engine, reset=True)
    assert (engine.state.pending_updates == 0).all()
    before = engine.state.voxels.copy()
    rng = np.random.default_rng(0)
    reacting = np.argwhere((REACTION[before] > 2) & (before < FIRST_LIQUID))
    for n, x, z, y in reacting[rng.permutation(len(reacting))[:2000]]:
        engine.state.update_place[n, 0] = (x * 64 + z) * 64 + y
        engine.state.update_tick[n, 0] = 0
        engine.state.pending_updates[n] = 1
        play(engine)
        assert engine.state.voxels[n, x, z, y] == before[n, x, z, y], BLOCKS[before[n, x, z, y]]


def test_updates_do_not_depend_on_the_batch():
    alone, many = flat_engine(), flat_engine(4)
    for engine in (alone, many):
        change(engine, (8, GROUND, 8, WATER), (12, GROUND + 6, 8, "sand"), (9, GROUND, 8, "poppy"))
        play(engine, ticks=40)
    for n in range(4):
        np.testing.assert_array_equal(many.state.voxels[n], alone.state.voxels[0])
        np.testing.assert_array_equal(many.state.light[n], alone.state.light[0])
