"""The world is a seamless torus of rolling plains with trees."""

import numpy as np
import pytest
from voxel_worlds import play

from minestudio_envs.voxel.blocks import BEDROCK, BLOCK_ID, DIRT, GRASS_BLOCK, SOLID, STONE
from minestudio_envs.voxel.engine import VoxelEngine

LOGS = [BLOCK_ID["oak_log"], BLOCK_ID["birch_log"]]
LEAVES = [BLOCK_ID["oak_leaves"], BLOCK_ID["birch_leaves"]]


@pytest.fixture(scope="module")
def worlds():
    engine = VoxelEngine(32, empty_frames=0, teleport_range=1000)
    play(engine, reset=True)
    return engine.state


@pytest.fixture(scope="module")
def surface(worlds):
    """Height of the ground without trees, int [N, S, S]."""
    ground = np.isin(worlds.voxels, [BEDROCK, STONE, DIRT, GRASS_BLOCK])
    return ground.shape[3] - np.argmax(ground[..., ::-1], axis=3).astype(int)


def test_the_height_map_is_that_of_the_voxels(worlds):
    filled = worlds.voxels != 0
    top = filled.shape[3] - np.argmax(filled[..., ::-1], axis=3)
    np.testing.assert_array_equal(worlds.height, top)
    assert worlds.height.max() < 60


def test_layers(worlds, surface):
    assert (worlds.voxels[..., 0] == BEDROCK).all()
    n, x, z = np.nonzero(surface)
    top = surface[n, x, z]
    ground = worlds.voxels[n, x, z, top - 1]
    assert np.isin(ground, [GRASS_BLOCK, DIRT]).all()
    np.testing.assert_array_equal(ground == DIRT, np.isin(worlds.voxels[n, x, z, top], LOGS))  # below trunks only
    for depth in (2, 3, 4):
        assert (worlds.voxels[n, x, z, top - depth] == DIRT).all()
    assert (worlds.voxels[n, x, z, top - 5] == STONE).all()


def test_plains_are_gentle_but_not_flat_and_have_no_seam(surface):
    assert 28 <= surface.min() and surface.max() <= 43
    assert (np.ptp(surface, axis=(1, 2)) >= 3).all()
    for axis in (1, 2):
        steps = np.abs(surface - np.roll(surface, 1, axis))
        assert steps.max() <= 2
        assert (steps > 1).mean() < 1e-3
        seam = np.take(steps, 0, axis)  # between the last and the first column
        assert seam.mean() < 2 * steps.mean() + 0.02


def test_the_spawn_is_open_and_the_player_stands_on_it(worlds):
    size = worlds.height.shape[1]
    for n in range(32):
        x, y, z = worlds.spawn[n]
        assert x % 1 == 0.5 and z % 1 == 0.5 and abs(x) <= 500.5 and abs(z) <= 500.5
        np.testing.assert_allclose(worlds.position[n], (x, y, z))
        bx, bz = int(np.floor(x)), int(np.floor(z))
        assert worlds.height[n, bx % size, bz % size] == y
        around = np.arange(-4, 5)
        columns = worlds.voxels[n][np.ix_((bx + around) % size, (bz + around) % size)]
        assert not np.isin(columns, LOGS).any()
        assert not SOLID[worlds.voxels[n, bx % size, bz % size, int(y) :]].any()
    assert np.ptp(worlds.spawn[:, 0]) > 500
    assert np.ptp(worlds.yaw) > 180


def test_trees_stand_in_groves_and_leave_open_views(worlds):
    trunks = np.isin(worlds.voxels, LOGS).any(axis=3)
    trees = trunks.sum(axis=(1, 2))
    assert 8 <= trees.mean() <= 40
    covered = np.isin(worlds.voxels, LEAVES).any(axis=3).mean()
    assert 0.005 < covered < 0.12
    # groves: there are squares of 32 blocks without a tree, and ones with many
    squares = trunks.reshape(32, 4, 32, 4, 32).sum(axis=(2, 4))
    assert (squares == 0).mean() > 0.3 and (squares >= 4).mean() > 0.02
    assert np.isin(worlds.voxels, [BLOCK_ID["birch_log"]]).any()


def test_the_shape_of_a_tree(worlds, surface):
    alone = 0
    for n, x, z in np.argwhere(np.isin(worlds.voxels, LOGS).any(axis=3)):
        offsets = np.arange(-5, 6)
        near = worlds.voxels[n][np.ix_((x + offsets) % 128, (z + offsets) % 128)]
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
