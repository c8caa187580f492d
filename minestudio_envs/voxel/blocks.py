"""Blocks: ids, names and the properties the engine reads (Minecraft 1.16.5).

Ids are the engine's own and say how a block is drawn: air is 0, then come *cutouts* (seen through: plants, torches,
glass), then liquids, then opaque cubes. ``id >= FIRST_LIQUID`` is thus all that a ray through the world has to ask.
Names are Minecraft's, with its notation for the states the engine tells apart: ``wall_torch[facing=north]``.
"""

import numpy as np

from minestudio_envs.voxel import game_data

COLOURS = (
    *("white", "orange", "magenta", "light_blue", "yellow", "lime", "pink", "gray"),
    *("light_gray", "cyan", "purple", "blue", "brown", "green", "red", "black"),
)
WOODS = ("oak", "spruce", "birch", "jungle", "acacia", "dark_oak")
FACINGS = ("north", "south", "west", "east")  # -z, +z, -x, +x: away from the wall that it hangs on
FLOWERS = (
    *("dandelion", "poppy", "blue_orchid", "allium", "azure_bluet", "red_tulip", "orange_tulip", "white_tulip"),
    *("pink_tulip", "oxeye_daisy", "cornflower", "lily_of_the_valley"),
)
DOUBLE_PLANTS = ("tall_grass", "large_fern")

# Drawn as two crossed squares.
CROSSES = (
    *("grass", "fern", "dead_bush", *FLOWERS, "brown_mushroom", "red_mushroom", "sugar_cane", "cobweb"),
    *(f"{wood}_sapling" for wood in WOODS),
    *(f"{plant}[half={half}]" for plant in DOUBLE_PLANTS for half in ("lower", "upper")),
)
# Drawn as a box or a square of their own.
SHAPES = (
    *("torch", *(f"wall_torch[facing={facing}]" for facing in FACINGS), "cactus", "glass", "chest", "lily_pad", "snow"),
    *(f"{block}[facing={facing}]" for block in ("ladder", "vine") for facing in FACINGS),
)
CUTOUTS = (*CROSSES, *SHAPES)
# Level 0 is a source, 1-7 flows farther and farther from one, 8 falls.
LIQUIDS = (*(f"water[level={level}]" for level in range(9)), "lava[level=0]")
OPAQUE = (
    *("bedrock", "stone", "granite", "diorite", "andesite", "cobblestone", "mossy_cobblestone", "stone_bricks"),
    *("dirt", "coarse_dirt", "podzol", "grass_block", "sand", "red_sand", "gravel", "clay"),
    *("sandstone", "red_sandstone", "obsidian", "ice", "packed_ice", "snow_block"),
    *("coal_ore", "iron_ore", "gold_ore", "redstone_ore", "lapis_ore", "diamond_ore", "emerald_ore"),
    *("coal_block", "iron_block", "gold_block", "redstone_block", "lapis_block", "diamond_block", "emerald_block"),
    *(f"{wood}_{part}" for wood in WOODS for part in ("log", "leaves", "planks")),
    *("crafting_table", "furnace", "bookshelf", "bricks", "hay_block", "pumpkin", "carved_pumpkin", "melon"),
    *("netherrack", "glowstone", "soul_sand", "tnt", "terracotta", *(f"{colour}_wool" for colour in COLOURS)),
)
BLOCKS = ("air", *CUTOUTS, *LIQUIDS, *OPAQUE)
BLOCK_ID = {name: i for i, name in enumerate(BLOCKS)}
NUM_BLOCKS = len(BLOCKS)

AIR, FIRST_LIQUID, FIRST_OPAQUE = 0, 1 + len(CUTOUTS), 1 + len(CUTOUTS) + len(LIQUIDS)
WATER, LAVA = BLOCK_ID["water[level=0]"], BLOCK_ID["lava[level=0]"]
LAST_WATER = BLOCK_ID["water[level=8]"]
BEDROCK, STONE, DIRT, GRASS_BLOCK = (BLOCK_ID[name] for name in ("bedrock", "stone", "dirt", "grass_block"))
OAK_LOG, OAK_LEAVES = BLOCK_ID["oak_log"], BLOCK_ID["oak_leaves"]
BIRCH_LEAVES = BLOCK_ID["birch_leaves"]

# Minecraft's name without the state, per id. The first id of a name stands for it where no state is given.
BLOCK_NAME = tuple(name.split("[")[0] for name in BLOCKS)
NAMED_BLOCK = {name: BLOCK_NAME.index(name) for name in dict.fromkeys(BLOCK_NAME)}


def _property(key):
    return [game_data.BLOCKS[name][key] for name in BLOCK_NAME]


HARDNESS = np.array(_property("hardness"), np.float32)  # -1: cannot be broken
HARDNESS[[AIR, *range(FIRST_LIQUID, FIRST_OPAQUE)]] = -1
LIGHT = np.array(_property("light"), np.uint8)  # 0-15, given off
LIGHT[LAVA], LIGHT[BLOCK_ID["torch"]] = 15, 14
LIGHT[[BLOCK_ID[_name] for _name in ("redstone_ore", "furnace", "red_mushroom")]] = 0  # the first two only when lit

# Height of the box that bodies collide with, 0 = none; it is a full square seen from above.
COLLISION_HEIGHT = np.array(_property("solid"), np.float64)
COLLISION_HEIGHT[BLOCK_ID["cactus"]] = COLLISION_HEIGHT[BLOCK_ID["chest"]] = 0.9375
COLLISION_HEIGHT[BLOCK_ID["chest"]] = 0.875
for _name in ("snow", *(name for name in SHAPES if name.startswith(("ladder", "vine")))):
    COLLISION_HEIGHT[BLOCK_ID[_name]] = 0
COLLISION_HEIGHT[BLOCK_ID["lily_pad"]] = 0.09375
SOLID = (COLLISION_HEIGHT > 0).astype(np.uint8)

# How many levels of light a block takes away, 0-15.
LIGHT_FILTER = np.full(NUM_BLOCKS, 15, np.uint8)
LIGHT_FILTER[:FIRST_LIQUID] = 0
LIGHT_FILTER[FIRST_LIQUID:LAVA] = 1
LIGHT_FILTER[[BLOCK_ID[f"{_wood}_leaves"] for _wood in WOODS] + [BLOCK_ID["ice"]]] = 1

# The kind of tool that digs a block faster. minecraft-data files leaves and podzol under plants, which axes cut.
TOOLS = ("none", "pickaxe", "axe", "shovel", "hoe", "shears", "sword")
TOOL_ID = {name: i for i, name in enumerate(TOOLS)}
_MATERIAL_TOOL = {"rock": "pickaxe", "wood": "axe", "dirt": "shovel", "wool": "shears", "web": "sword"}
_OWN_TOOL = (
    {f"{wood}_leaves": "hoe" for wood in WOODS}
    | dict.fromkeys(("pumpkin", "carved_pumpkin", "melon", "vine", "ladder", "chest", "crafting_table"), "axe")
    | {"podzol": "shovel", "coarse_dirt": "shovel", "hay_block": "hoe", "bookshelf": "axe"}
)
TOOL = np.array(
    [TOOL_ID[_OWN_TOOL.get(n, _MATERIAL_TOOL.get(game_data.BLOCKS[n]["material"], "none"))] for n in BLOCK_NAME],
    np.uint8,
)
# The tier (items.TIERS) that a block's drop needs, 0 = none; 1 is wood and gold.
TIER_NEEDED = np.array(
    [
        0
        if not game_data.BLOCKS[n]["harvest"]
        else {"wooden": 1, "golden": 1, "stone": 2, "iron": 3, "diamond": 4}[
            game_data.BLOCKS[n]["harvest"].split("_")[0]
        ]
        for n in BLOCK_NAME
    ],
    np.uint8,
)

# What a placed block may take the place of.
REPLACEABLE = np.zeros(NUM_BLOCKS, np.uint8)
REPLACEABLE[[AIR, *range(FIRST_LIQUID, FIRST_OPAQUE)]] = 1
REPLACEABLE[[BLOCK_ID[n] for n in ("grass", "fern", "dead_bush", "snow")]] = 1
REPLACEABLE[[i for i, n in enumerate(BLOCK_NAME) if n in (*DOUBLE_PLANTS, "vine")]] = 1
