"""What stands on what: asked when a block is placed or grows, and again when something beside it changes."""

from minestudio_envs.voxel.blocks import BLOCK_ID, DIRT, FIRST_OPAQUE, GRASS_BLOCK, LAST_WATER, OAK_LEAVES, WATER
from minestudio_envs.voxel.jit import device_function

COARSE_DIRT, PODZOL = BLOCK_ID["coarse_dirt"], BLOCK_ID["podzol"]
SAND, RED_SAND, TERRACOTTA = BLOCK_ID["sand"], BLOCK_ID["red_sand"], BLOCK_ID["terracotta"]
GLASS = BLOCK_ID["glass"]
FIRST_LOG, LAST_PLANKS = BLOCK_ID["oak_log"], BLOCK_ID["dark_oak_planks"]


@device_function
def is_full(block):
    """Whether a block's sides are whole: a vine hangs on them."""
    return block >= FIRST_OPAQUE or block == GLASS


@device_function
def holds_up(block):
    """Whether a torch can stand on a block, or a torch or a ladder hang on its side."""
    leaves = FIRST_LOG <= block <= LAST_PLANKS and (block - OAK_LEAVES) % 3 == 0
    return is_full(block) and not leaves


@device_function
def is_water(block):
    return WATER <= block <= LAST_WATER


@device_function
def is_soil(block):
    return block == GRASS_BLOCK or block == DIRT or block == COARSE_DIRT or block == PODZOL


@device_function
def is_sand(block):
    return block == SAND or block == RED_SAND


@device_function
def is_dry_ground(block):
    """Whether a dead bush can stand on a block."""
    return is_sand(block) or block == TERRACOTTA or (is_soil(block) and block != GRASS_BLOCK)
