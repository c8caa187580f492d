"""Blocks: ids, names and the properties the engine reads. Ids are ours; names are Minecraft 1.16.5's."""

import numpy as np

BLOCKS = ("air", "bedrock", "stone", "dirt", "grass_block", "oak_log", "oak_leaves", "birch_log", "birch_leaves")

AIR, BEDROCK, STONE, DIRT, GRASS_BLOCK, OAK_LOG, OAK_LEAVES, BIRCH_LOG, BIRCH_LEAVES = range(len(BLOCKS))

BLOCK_ID = {name: i for i, name in enumerate(BLOCKS)}

# Whether a body collides with the block, uint8 [num_blocks].
SOLID = np.array([name != "air" for name in BLOCKS], np.uint8)
