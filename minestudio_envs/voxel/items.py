"""Items: ids, names and the numbers the engine reads (Minecraft 1.16.5)."""

from typing import NamedTuple

import numpy as np


class Item(NamedTuple):
    name: str
    stack_size: int = 64
    attack_damage: float = 1.0  # health points of a fully charged hit
    attack_speed: float = 4.0  # full charges per second


ITEMS = (
    Item("air"),
    Item("wooden_sword", 1, 4, 1.6),
    Item("golden_sword", 1, 4, 1.6),
    Item("stone_sword", 1, 5, 1.6),
    Item("iron_sword", 1, 6, 1.6),
    Item("diamond_sword", 1, 7, 1.6),
    Item("netherite_sword", 1, 8, 1.6),
    Item("diamond"),
    Item("iron_ingot"),
    Item("gold_ingot"),
    Item("emerald"),
    Item("coal"),
    Item("stick"),
    Item("leather"),
    Item("beef"),
    Item("cooked_beef"),
    Item("apple"),
    Item("bread"),
    Item("wheat"),
    Item("oak_log"),
    Item("oak_planks"),
    Item("dirt"),
    Item("cobblestone"),
)

ITEM_ID = {item.name: i for i, item in enumerate(ITEMS)}
STACK_SIZE = np.array([item.stack_size for item in ITEMS], np.int32)
ATTACK_DAMAGE = np.array([item.attack_damage for item in ITEMS], np.float32)
ATTACK_CHARGE_TICKS = np.array([20.0 / item.attack_speed for item in ITEMS], np.float32)

HOTBAR_SLOTS = 9
INVENTORY_SLOTS = 41  # 0-8 hotbar, 9-35 main, 36-39 feet, legs, chest, head, 40 offhand
