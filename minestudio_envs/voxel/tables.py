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
    mob_eyes: np.ndarray  # float64 [num_mobs]: height of the eyes above the feet
    mob_panic: np.ndarray  # float64 [num_mobs]: speed factor when hurt, 0 = does not flee
    mob_tempt: np.ndarray  # float64 [num_mobs]: speed factor behind a player who holds its food
    mob_look: np.ndarray  # float64 [num_mobs]: blocks from which it looks at a player
    mob_range: np.ndarray  # float64 [num_mobs]: blocks from which it attacks a player, 0 = does not
    mob_loot: np.ndarray  # int32 [num_mobs, MAX_LOOT, 4]: item, cooked item, fewest, most
    item_bait: np.ndarray  # uint8 [num_items]: a bit per kind of mob that follows who holds it
    wool_item: np.ndarray  # int32 [16], by colour
    sheep_colour: np.ndarray  # uint8 [10000]: of natural sheep


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
        mob_eyes=np.array([kind.eyes for kind in kinds], np.float64),
        mob_panic=np.array([kind.panic for kind in kinds], np.float64),
        mob_tempt=np.array([kind.tempt for kind in kinds], np.float64),
        mob_look=np.array([kind.look for kind in kinds], np.float64),
        mob_range=np.array([kind.range for kind in kinds], np.float64),
        mob_loot=mobs.LOOT.copy(),
        item_bait=mobs.BAIT.copy(),
        wool_item=mobs.WOOL_ITEM.copy(),
        sheep_colour=mobs.SHEEP_COLOUR.copy(),
    )
