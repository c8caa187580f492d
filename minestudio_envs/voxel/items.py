"""Items: Minecraft 1.16.5's ids, names and the numbers the engine reads. Every item exists; id 0 is air, nothing."""

import numpy as np

from minestudio_envs.voxel import game_data
from minestudio_envs.voxel.blocks import BLOCK_NAME, NAMED_BLOCK, NUM_BLOCKS, TOOL_ID

ITEMS = tuple(game_data.ITEMS)
ITEM_ID = {name: i for i, name in enumerate(ITEMS)}
NUM_ITEMS = len(ITEMS)
STACK_SIZE = np.array([stack for stack, _ in game_data.ITEMS.values()], np.int32)
DURABILITY = np.array([durability for _, durability in game_data.ITEMS.values()], np.int32)  # uses; 0 = for ever

# Slots: 0-8 hotbar, 9-35 main, 36-39 feet, legs, chest, head, 40 offhand.
HOTBAR_SLOTS, MAIN_SLOTS, INVENTORY_SLOTS = 9, 36, 41  # MAIN_SLOTS: the hotbar's too
FEET, HEAD, OFFHAND = 36, 39, 40

# TOOLS AND WEAPONS

TIERS = {"wooden": 1, "golden": 1, "stone": 2, "iron": 3, "diamond": 4, "netherite": 5}
_DIG_SPEED = {"wooden": 2, "golden": 12, "stone": 4, "iron": 6, "diamond": 8, "netherite": 9}
_DAMAGE_BONUS = {"wooden": 0, "golden": 0, "stone": 1, "iron": 2, "diamond": 3, "netherite": 4}
# Health points of a fully charged hit beyond the tier's, and full charges per second.
_WEAPONS = {"sword": (4, 1.6), "pickaxe": (2, 1.2), "shovel": (2.5, 1.0)}
_AXES = {"wooden": (7, 0.8), "golden": (7, 1.0), "stone": (9, 0.8), "iron": (9, 0.9), "diamond": (9, 1.0)} | {
    "netherite": (10, 1.0)
}
_HOE_SPEED = {"wooden": 1, "golden": 1, "stone": 2, "iron": 3, "diamond": 4, "netherite": 4}

TOOL = np.zeros(NUM_ITEMS, np.uint8)  # blocks.TOOLS
TIER = np.zeros(NUM_ITEMS, np.uint8)
DIG_SPEED = np.ones(NUM_ITEMS, np.float32)
ATTACK_DAMAGE = np.ones(NUM_ITEMS, np.float32)
ATTACK_SPEED = np.full(NUM_ITEMS, 4, np.float32)
for _tier in TIERS:
    for _tool in ("sword", "pickaxe", "axe", "shovel", "hoe"):
        _item = ITEM_ID[f"{_tier}_{_tool}"]
        TOOL[_item], TIER[_item], DIG_SPEED[_item] = TOOL_ID[_tool], TIERS[_tier], _DIG_SPEED[_tier]
        if _tool == "axe":
            ATTACK_DAMAGE[_item], ATTACK_SPEED[_item] = _AXES[_tier]
        elif _tool == "hoe":
            ATTACK_SPEED[_item] = _HOE_SPEED[_tier]
        else:
            ATTACK_DAMAGE[_item], ATTACK_SPEED[_item] = _WEAPONS[_tool]
            ATTACK_DAMAGE[_item] += _DAMAGE_BONUS[_tier]
TOOL[ITEM_ID["shears"]] = TOOL_ID["shears"]
ATTACK_DAMAGE[ITEM_ID["trident"]], ATTACK_SPEED[ITEM_ID["trident"]] = 9, 1.1
ATTACK_CHARGE_TICKS = np.float32(20) / ATTACK_SPEED

# ARMOUR: slot 36-39 that it is worn in (0: none), armour points, toughness

_ARMOUR_POINTS = {  # boots, leggings, chestplate, helmet
    "leather": (1, 2, 3, 1),
    "golden": (1, 3, 5, 2),
    "chainmail": (1, 4, 5, 2),
    "iron": (2, 5, 6, 2),
    "diamond": (3, 6, 8, 3),
    "netherite": (3, 6, 8, 3),
}
ARMOUR_SLOT = np.zeros(NUM_ITEMS, np.uint8)
ARMOUR_POINTS = np.zeros(NUM_ITEMS, np.float32)
ARMOUR_TOUGHNESS = np.zeros(NUM_ITEMS, np.float32)
for _material, _points in _ARMOUR_POINTS.items():
    for _i, _part in enumerate(("boots", "leggings", "chestplate", "helmet")):
        _item = ITEM_ID[f"{_material}_{_part}"]
        ARMOUR_SLOT[_item], ARMOUR_POINTS[_item] = FEET + _i, _points[_i]
        ARMOUR_TOUGHNESS[_item] = {"diamond": 2, "netherite": 3}.get(_material, 0)
ARMOUR_SLOT[ITEM_ID["turtle_helmet"]], ARMOUR_POINTS[ITEM_ID["turtle_helmet"]] = HEAD, 2
ARMOUR_SLOT[ITEM_ID["carved_pumpkin"]] = HEAD

# FOOD

FOOD_POINTS = np.zeros(NUM_ITEMS, np.int32)
FOOD_SATURATION = np.zeros(NUM_ITEMS, np.float32)
for _name, (_points, _saturation) in game_data.FOODS.items():
    FOOD_POINTS[ITEM_ID[_name]], FOOD_SATURATION[ITEM_ID[_name]] = _points, _saturation

# BLOCKS AS ITEMS

# The block that an item places, 0 = none: those of the engine's blocks. A torch on a wall is using.py's business.
PLACED_BLOCK = np.array(
    [NAMED_BLOCK.get(name, 0) if name not in ("air", "water", "lava") else 0 for name in ITEMS], np.uint8
)
# The item of a block, 0 = none; wall torches are torches.
BLOCK_ITEM = np.array([ITEM_ID.get(name.removeprefix("wall_"), 0) for name in BLOCK_NAME], np.int32)
assert len(BLOCK_ITEM) == NUM_BLOCKS <= 256
