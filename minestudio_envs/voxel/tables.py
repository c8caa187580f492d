"""The constant tables that the engine's functions read, passed to them as one NamedTuple of arrays."""

from typing import NamedTuple

import numpy as np

from minestudio_envs.voxel import blocks, items, mobs
from minestudio_envs.voxel.state import GAMERULES


class Tables(NamedTuple):
    block_height: np.ndarray  # float64 [num_blocks]: height of the collision box, 0 = none
    block_hardness: np.ndarray  # float32 [num_blocks]: -1 = cannot be broken
    block_tool: np.ndarray  # uint8 [num_blocks]: blocks.TOOLS, the kind that digs it faster
    block_tier: np.ndarray  # uint8 [num_blocks]: items.TIERS, that its drop needs
    block_light: np.ndarray  # uint8 [num_blocks]: 0-15, given off
    block_filter: np.ndarray  # uint8 [num_blocks]: 0-15, light taken away
    block_replaceable: np.ndarray  # uint8 [num_blocks]
    block_item: np.ndarray  # int32 [num_blocks]
    item_block: np.ndarray  # uint8 [num_items]: the block it places, 0 = none
    item_tool: np.ndarray  # uint8 [num_items]: blocks.TOOLS
    item_tier: np.ndarray  # uint8 [num_items]
    item_dig_speed: np.ndarray  # float32 [num_items]
    item_durability: np.ndarray  # int32 [num_items]: uses, 0 = for ever
    item_food: np.ndarray  # int32 [num_items]: food points, 0 = not edible
    item_saturation: np.ndarray  # float32 [num_items]
    item_armour: np.ndarray  # float32 [num_items]: armour points
    item_toughness: np.ndarray  # float32 [num_items]
    item_armour_slot: np.ndarray  # uint8 [num_items]: 36-39 where it is worn, 0 = nowhere
    gamerule: np.ndarray  # int32 [len(GAMERULES)]: Minecraft's defaults
    attack_damage: np.ndarray  # float32 [num_items]: health points of a fully charged hit
    attack_charge_ticks: np.ndarray  # float32 [num_items]
    is_sword: np.ndarray  # uint8 [num_items]
    stack_size: np.ndarray  # int32 [num_items]
    mob_health: np.ndarray  # float32 [num_mobs]
    mob_width: np.ndarray  # float64 [num_mobs]
    mob_height: np.ndarray  # float64 [num_mobs]
    mob_speed: np.ndarray  # float64 [num_mobs]: the movement speed attribute
    mob_panic: np.ndarray  # float64 [num_mobs]: speed factor when hurt, 0 = does not flee


def build_tables() -> Tables:
    kinds = mobs.MOB_KINDS
    return Tables(
        block_height=blocks.COLLISION_HEIGHT.copy(),
        block_hardness=blocks.HARDNESS.copy(),
        block_tool=blocks.TOOL.copy(),
        block_tier=blocks.TIER_NEEDED.copy(),
        block_light=blocks.LIGHT.copy(),
        block_filter=blocks.LIGHT_FILTER.copy(),
        block_replaceable=blocks.REPLACEABLE.copy(),
        block_item=items.BLOCK_ITEM.copy(),
        item_block=items.PLACED_BLOCK.copy(),
        item_tool=items.TOOL.copy(),
        item_tier=items.TIER.copy(),
        item_dig_speed=items.DIG_SPEED.copy(),
        item_durability=items.DURABILITY.copy(),
        item_food=items.FOOD_POINTS.copy(),
        item_saturation=items.FOOD_SATURATION.copy(),
        item_armour=items.ARMOUR_POINTS.copy(),
        item_toughness=items.ARMOUR_TOUGHNESS.copy(),
        item_armour_slot=items.ARMOUR_SLOT.copy(),
        gamerule=np.array(list(GAMERULES.values()), np.int32),
        attack_damage=items.ATTACK_DAMAGE.copy(),
        attack_charge_ticks=items.ATTACK_CHARGE_TICKS.copy(),
        is_sword=(items.TOOL == blocks.TOOL_ID["sword"]).astype(np.uint8),
        stack_size=items.STACK_SIZE.copy(),
        mob_health=np.array([kind.health for kind in kinds], np.float32),
        mob_width=np.array([kind.width for kind in kinds], np.float64),
        mob_height=np.array([kind.height for kind in kinds], np.float64),
        mob_speed=np.array([kind.speed for kind in kinds], np.float64),
        mob_panic=np.array([kind.panic for kind in kinds], np.float64),
    )
