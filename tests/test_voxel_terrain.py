"""The world is a seamless torus of biomes, each with its ground, trees, plants, ores and caves."""

import numpy as np
import pytest
from voxel_worlds import play

from minestudio_envs.voxel.biomes import NEIGHBOURS
from minestudio_envs.voxel.blocks import (
    BEDROCK,
    BLOCK_ID,
    BLOCKS,
    DIRT,
    FIRST_LIQUID,
    FIRST_OPAQUE,
    GRASS_BLOCK,
    LAVA,
    SOLID,
    STONE,
    WATER,
)
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.randomness import environment_key
from minestudio_envs.voxel.terrain import BIOMES

SEEDS = 20
SEA, SCALE, LAVA_LEVEL = 31, 31 / 63, 6  # of a world of 64 blocks
LOGS = [BLOCK_ID[f"{wood}_log"] for wood in ("oak", "birch", "spruce", "acacia")]
LEAVES = [BLOCK_ID[f"{wood}_leaves"] for wood in ("oak", "birch", "spruce", "acacia")]
SOIL = [BLOCK_ID[name] for name in ("grass_block", "dirt", "podzol", "coarse_dirt")]
TREE = [*LOGS, *LEAVES, BLOCK_ID["pumpkin"]]


def make(biomes, num_envs=SEEDS, **options):
    engine = VoxelEngine(num_envs, biomes=biomes, empty_frames=0, teleport_range=1000, **options)
    engine.set_keys(np.array([environment_key(5, i) for i in range(num_envs)]))
    play(engine, reset=True)
    return engine.state


@pytest.fixture(scope="module")
def plains():
    return make(("plains",))


@pytest.fixture(scope="module")
def world():
    """The state of an engine for a biome, made once."""
    made = {}

    def of(biome):
        if biome not in made:
            made[biome] = make((biome,), 6)
        return made[biome]

    return of


def ids(*names):
    return [i for i, block in enumerate(BLOCKS) if block.split("[")[0] in names]


def ground_height(state):
    """Blocks below the air or water over each column, without what grows there, int [N, S, S]."""
    ground = (state.voxels >= FIRST_OPAQUE) & ~np.isin(state.voxels, TREE)
    return ground.shape[3] - np.argmax(ground[..., ::-1], axis=3).astype(int)


def around_spawn(state, array, radius):
    """``array`` [N, S, S, ...] at the columns within ``radius`` of each spawn -> [N, 2 r + 1, 2 r + 1, ...]."""
    size, offsets = array.shape[1], np.arange(-radius, radius + 1)
    spawn = np.floor(state.spawn).astype(int)
    return np.stack(
        [array[n][np.ix_((spawn[n, 0] + offsets) % size, (spawn[n, 2] + offsets) % size)] for n in range(len(spawn))]
    )


@pytest.mark.parametrize("biome", BIOMES)
def test_the_maps_of_heights_and_cutouts_are_those_of_the_voxels(world, biome):
    state = world(biome)
    filled = state.voxels >= FIRST_LIQUID
    np.testing.assert_array_equal(state.height, filled.shape[3] - np.argmax(filled[..., ::-1], axis=3))
    cutout = (state.voxels > 0) & (state.voxels < FIRST_LIQUID)
    bits = np.unpackbits(state.cutouts.view(np.uint8), axis=-1, bitorder="little")
    np.testing.assert_array_equal(cutout, bits.reshape(cutout.shape).astype(bool))
    assert state.height.max() <= 63


@pytest.mark.parametrize("biome", BIOMES)
def test_the_spawn_is_dry_open_and_in_the_wanted_biome(biome):
    state = make((biome,), 50)
    for n in range(50):
        x, y, z = state.spawn[n]
        assert x % 1 == 0.5 and z % 1 == 0.5 and abs(x) <= 500.5 and abs(z) <= 500.5
        np.testing.assert_allclose(state.position[n], (x, y, z))
    assert (around_spawn(state, state.biome, 0) == BIOMES.index(biome)).all()
    np.testing.assert_array_equal(around_spawn(state, state.height, 0)[:, 0, 0], state.spawn[:, 1])  # under the sky
    at = around_spawn(state, state.voxels, 0)[:, 0, 0]
    n, y = np.arange(50), state.spawn[:, 1].astype(int)
    assert (at[n, y - 1] >= FIRST_OPAQUE).all() and not np.isin(at[n, y - 1], LEAVES).any()
    assert (at[n, y] == 0).all() and (at[n, y + 1] == 0).all()
    near = around_spawn(state, state.voxels, 3)
    assert not np.isin(near, LOGS).any()
    home = around_spawn(state, state.biome, 40) == BIOMES.index(biome)
    assert home.mean() > (0.55 if biome == "beach" else 0.85)
    if biome != "plains":
        assert np.ptp(state.spawn[:, 0]) > 500 and np.ptp(state.yaw) > 180


@pytest.mark.parametrize("biome", BIOMES)
def test_what_lies_around_a_biome_is_plausible(world, biome):
    state = world(biome)
    allowed = {biome, "beach", "ocean"} | {BIOMES[i] for i in NEIGHBOURS[BIOMES.index(biome)]}
    assert {BIOMES[i] for i in np.unique(state.biome)} <= allowed
    share = (state.biome == BIOMES.index(biome)).mean()
    assert 0.3 < share < 0.95


def test_the_biome_of_an_episode_is_drawn_from_those_given():
    state = make(("desert", "taiga", "swamp"), 30)
    homes = around_spawn(state, state.biome, 0).ravel()
    assert {BIOMES[i] for i in homes} == {"desert", "taiga", "swamp"}
    with pytest.raises(ValueError, match="did you mean 'savanna'"):
        VoxelEngine(1, biomes=("savana",))
    with pytest.raises(ValueError, match="at least one"):
        VoxelEngine(1, biomes=())
    with pytest.raises(ValueError, match="sequence"):
        VoxelEngine(1, biomes="plains")


# THE LAND


def test_layers_of_the_plains(plains):
    assert (plains.voxels[..., 0] == BEDROCK).all()
    ragged = [(plains.voxels[..., y] == BEDROCK).mean() for y in range(1, 6)]
    np.testing.assert_allclose(ragged, (0.8, 0.6, 0.4, 0.2, 0), atol=0.02)
    surface = ground_height(plains)
    home = (plains.biome == 0) & (surface > SEA)
    n, x, z = np.nonzero(home)
    top = surface[n, x, z]
    ground = plains.voxels[n, x, z, top - 1]
    assert (np.isin(ground, [GRASS_BLOCK, DIRT])).mean() > 0.97  # but for the mouths of caves
    assert np.isin(plains.voxels[n, x, z, top][ground == GRASS_BLOCK], LOGS).sum() == 0
    for depth in (2, 3, 4):
        assert (plains.voxels[n, x, z, top - depth] == DIRT).mean() > 0.95
    assert (plains.voxels[n, x, z, top - 5] == STONE).mean() > 0.6


def test_plains_are_gentle_but_not_flat_and_have_no_seam(plains):
    surface = ground_height(plains)
    home = around_spawn(plains, surface, 30)
    assert 28 <= home.min() or (home < 28).mean() < 0.01  # mouths of caves
    assert home.max() <= 44
    assert (np.ptp(home, axis=(1, 2)) >= 3).all()
    assert (home >= SEA).mean() > 0.97
    for axis in (1, 2):
        steps = np.abs(surface - np.roll(surface, 1, axis))
        assert (steps > 1).mean() < 0.03
        seam = np.take(steps, 0, axis)  # between the last and the first column
        assert seam.mean() < 2 * steps.mean() + 0.05


@pytest.mark.parametrize(
    "biome, top",
    [
        ("plains", {"grass_block": 0.9}),
        ("forest", {"grass_block": 0.8}),
        ("desert", {"sand": 0.95}),
        ("extreme_hills", {"grass_block": 0.4, "stone": 0.05}),
        ("taiga", {"grass_block": 0.4, "podzol": 0.1}),
        ("savanna", {"grass_block": 0.7, "coarse_dirt": 0.03}),
        ("swamp", {"grass_block": 0.3, "dirt": 0.05, "clay": 0.005}),
        ("beach", {"sand": 0.95}),
        ("ocean", {"gravel": 0.3, "sand": 0.05}),
    ],
)
def test_surfaces(world, biome, top):
    state = world(biome)
    n, x, z = np.nonzero(state.biome == BIOMES.index(biome))
    surface = state.voxels[n, x, z, ground_height(state)[n, x, z] - 1]
    for name, share in top.items():
        assert (surface == BLOCK_ID[name]).mean() > share, name


def test_heights_and_water(world):
    mean = {}
    for biome in BIOMES:
        state = world(biome)
        surface = ground_height(state)[state.biome == BIOMES.index(biome)]
        mean[biome] = surface.mean()
        n, x, z, y = np.nonzero(state.voxels == WATER)
        assert len(y) == 0 or y.max() == SEA - 1
        # water is never above air or beside it below the surface of the sea
        assert (state.voxels[n, x, z, y - 1] != 0).all()
        for dx, dz in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            assert (state.voxels[n, (x + dx) % 128, (z + dz) % 128, y] != 0).all()
    assert mean["ocean"] < SEA - 5 and abs(mean["swamp"] - SEA) < 1.5 and abs(mean["beach"] - SEA) < 2.5
    hills = ground_height(world("extreme_hills"))
    assert mean["extreme_hills"] > mean["plains"] + 2 and hills.max() >= 48
    assert (world("swamp").voxels == WATER).sum() > 0 and (world("ocean").biome == 8).mean() > 0.4


def test_a_deeper_world_has_minecrafts_sea_level():
    state = make(("beach",), 2, world_height=128)
    assert np.nonzero(state.voxels == WATER)[3].max() == 62
    hills = make(("extreme_hills",), 3, world_height=128)
    assert hills.height.max() > 95
    assert hills.height.max() <= 127


# WHAT GROWS


@pytest.mark.parametrize(
    "biome, trees",
    [
        ("forest", ("oak", "birch")),
        ("taiga", ("spruce",)),
        ("savanna", ("acacia",)),
        ("swamp", ("oak",)),
        ("extreme_hills", ("spruce", "oak")),
        ("desert", ()),
        ("beach", ()),
    ],
)
def test_trees_of_a_biome(world, biome, trees):
    state = world(biome)
    home = around_spawn(state, state.voxels, 28)
    found = {wood for wood in ("oak", "birch", "spruce", "acacia") if (home == BLOCK_ID[f"{wood}_log"]).sum() > 20}
    assert found == set(trees) or (biome in ("desert", "beach", "swamp") and not set(trees) - found)
    columns = np.isin(home, LOGS).any(axis=3).mean()
    if biome == "forest":
        assert 0.012 < columns < 0.04
    leaves = np.isin(state.voxels[..., 1:], LEAVES)
    assert (
        leaves & (state.voxels[..., :-1] == GRASS_BLOCK)
    ).sum() < 0.03 * leaves.sum() + 1  # where trees stand on slopes


def test_trees_of_the_plains_stand_in_groves_and_leave_open_views(plains):
    trunks = np.isin(around_spawn(plains, plains.voxels, 32), LOGS).any(axis=3)[:, :64, :64]
    assert 2 <= trunks.sum(axis=(1, 2)).mean() <= 20
    covered = np.isin(around_spawn(plains, plains.voxels, 32), LEAVES).any(axis=3).mean()
    assert 0.005 < covered < 0.12
    squares = trunks.reshape(SEEDS, 4, 16, 4, 16).sum(axis=(2, 4))
    assert (squares == 0).mean() > 0.5 and (squares >= 3).mean() > 0.01


def test_the_shape_of_an_oak(plains):
    alone = 0
    surface = ground_height(plains)
    for n, x, z in np.argwhere(np.isin(plains.voxels, LOGS[:2]).any(axis=3) & (plains.biome == 0)):
        offsets = np.arange(-5, 6)
        near = plains.voxels[n][np.ix_((x + offsets) % 128, (z + offsets) % 128)]
        if np.isin(near, LOGS).any(axis=2).sum() > 1:
            continue
        alone += 1
        base = surface[n, x, z]
        trunk = np.isin(near[5, 5], LOGS)
        length = trunk.sum()
        assert trunk[base : base + length].all()
        birch = near[5, 5, base] == BLOCK_ID["birch_log"]
        assert length in ((5, 6, 7) if birch else (4, 5, 6))
        leaves = near[3:8, 3:8] == BLOCK_ID["birch_leaves" if birch else "oak_leaves"]
        layers = [int(leaves[:, :, base + length - i].sum()) for i in range(4)]
        assert layers[0] == 5 and 4 <= layers[1] <= 8 and 20 <= layers[2] <= 24 and 20 <= layers[3] <= 24
    assert alone > 5


@pytest.mark.parametrize(
    "biome, plants",
    [
        ("plains", ("grass", "tall_grass", "dandelion", "poppy", "azure_bluet", "cornflower", "oxeye_daisy")),
        ("forest", ("grass", "dandelion", "poppy", "lily_of_the_valley")),
        ("desert", ("dead_bush", "cactus")),
        ("extreme_hills", ("grass", "snow")),
        ("taiga", ("fern", "large_fern", "brown_mushroom")),
        ("savanna", ("grass", "tall_grass")),
        ("swamp", ("blue_orchid", "lily_pad", "vine", "sugar_cane", "brown_mushroom")),
        ("beach", ("sugar_cane",)),
    ],
)
def test_plants_of_a_biome(world, biome, plants):
    state = world(biome)
    home = state.voxels[state.biome == BIOMES.index(biome)]
    for plant in plants:
        assert np.isin(home, ids(plant)).any(), plant
    if biome == "savanna":
        assert np.isin(home, ids("grass", "tall_grass")).any(axis=1).mean() > 0.12


@pytest.mark.parametrize("biome", BIOMES)
def test_plants_grow_where_they_can_live(world, biome):
    voxels = world(biome).voxels
    below = np.concatenate([np.zeros_like(voxels[..., :1]), voxels[..., :-1]], axis=3)
    above = np.concatenate([voxels[..., 1:], np.zeros_like(voxels[..., :1])], axis=3)
    beside = np.stack([np.roll(voxels, step, axis) for axis in (1, 2) for step in (1, -1)])
    flowers = ids("grass", "fern", "dandelion", "poppy", "blue_orchid", "allium", "azure_bluet", "cornflower")
    assert np.isin(below[np.isin(voxels, flowers)], SOIL).all()
    assert np.isin(below[np.isin(voxels, ids("dead_bush"))], ids("sand")).all()
    assert np.isin(below[np.isin(voxels, ids("cactus"))], ids("sand", "cactus")).all()
    cactus = beside[:, np.isin(voxels, ids("cactus"))]
    assert not (cactus >= FIRST_OPAQUE).any() and not np.isin(cactus, ids("cactus")).any()
    assert (below[voxels == BLOCK_ID["lily_pad"]] == WATER).all()
    assert np.isin(below[np.isin(voxels, ids("sugar_cane"))], [*SOIL, *ids("sand", "sugar_cane")]).all()
    n, x, z, y = np.nonzero((voxels == BLOCK_ID["sugar_cane"]) & (below != BLOCK_ID["sugar_cane"]))
    assert (beside[:, n, x, z, y - 1] == WATER).any(axis=0).all()
    for plant in ("tall_grass", "large_fern"):
        lower = voxels == BLOCK_ID[f"{plant}[half=lower]"]
        assert (above[lower] == BLOCK_ID[f"{plant}[half=upper]"]).all()
        assert (voxels == BLOCK_ID[f"{plant}[half=upper]"]).sum() == lower.sum()
    shade = np.isin(voxels, ids("brown_mushroom", "red_mushroom"))
    n, x, z, y = np.nonzero(shade)
    assert (world(biome).height[n, x, z] > y).all()


# UNDERGROUND


def test_ores_lie_at_their_depths_in_their_shares(plains):
    # Minecraft 1.16's blocks per chunk (as players count them), scaled like the depths; half to one and a half of it
    for ore, per_chunk, highest in [
        ("coal_ore", 142, 63),
        ("iron_ore", 77, 63),
        ("gold_ore", 8.2, 31),
        ("redstone_ore", 24.8, 15),
        ("lapis_ore", 3.4, 30),
        ("diamond_ore", 3.1, 15),
    ]:
        n, _, _, y = np.nonzero(plains.voxels == BLOCK_ID[ore])
        count = len(y) / SEEDS / 64 / SCALE
        assert 0.5 * per_chunk < count < 1.5 * per_chunk, (ore, count)
        assert y.min() >= 1 and y.max() <= int(highest * SCALE), ore
        assert len(np.unique(n)) == SEEDS
    assert not np.isin(plains.voxels, ids("emerald_ore"))[plains.biome == 0].any()


def test_emeralds_lie_below_hills_only(world):
    state = world("extreme_hills")
    n, x, z, y = np.nonzero(state.voxels == BLOCK_ID["emerald_ore"])
    assert len(y) > 50 and (state.biome[n, x, z] == BIOMES.index("extreme_hills")).all()
    assert y.max() <= int(31 * SCALE)


def test_other_stone_comes_in_pockets(plains):
    below = plains.voxels[..., 5:24]
    for name in ("granite", "diorite", "andesite", "dirt", "gravel"):
        assert 0.005 < (below == BLOCK_ID[name]).mean() < 0.06, name


def test_caves(plains):
    y = np.arange(64)
    hollow = ((plains.voxels == 0) | (plains.voxels == LAVA)) & (y < 26)
    assert 0.01 < hollow[..., 5:24].mean() < 0.08
    assert (hollow.any(axis=(1, 2, 3))).all()
    assert (plains.voxels[..., 5 : LAVA_LEVEL + 1] != 0).all()
    lava = np.nonzero(plains.voxels == LAVA)[3]
    assert len(lava) > 0 and lava.max() == LAVA_LEVEL and lava.min() >= 5
    # some open to the sky: columns far lower than those around them
    surface = ground_height(plains)
    mouths = (surface < np.median(surface) - 6) & (plains.height == surface) & (surface < SEA)
    assert mouths.sum() > 20


def test_caves_leave_the_ground_below_the_spawn(plains):
    ground = ground_height(plains)
    below = around_spawn(plains, plains.voxels, 4)
    top = around_spawn(plains, ground, 4)
    for depth in range(1, 6):
        assert np.take_along_axis(below, top[..., None] - depth, axis=3).all()


def test_the_player_stands_on_solid_ground(plains):
    x, y, z = np.floor(plains.spawn).astype(int).T
    assert SOLID[plains.voxels[np.arange(SEEDS), x % 128, z % 128, y - 1]].all()
