"""The constant tables that the engine's functions read, passed to them as one NamedTuple of arrays."""

from typing import NamedTuple

import numpy as np

from minestudio_envs.voxel import blocks, collision, digging, drops, items, mobs, using
from minestudio_envs.voxel.state import GAMERULES


class Tables(NamedTuple):
    block_height: np.ndarray  # float64 [num_blocks]: height of the collision box, 0 = none
    block_hardness: np.ndarray  # float32 [num_blocks]: -1 = cannot be broken
    block_tool: np.ndarray  # uint8 [num_blocks]: blocks.TOOLS, the kind that digs it faster
    block_tier: np.ndarray  # uint8 [num_blocks]: items.TIERS, that its drop needs
    block_light: np.ndarray  # uint8 [num_blocks]: 0-15, given off
    block_filter: np.ndarray  # uint8 [num_blocks]: 0-15, light taken away
    block_replaceable: np.ndarray  # uint8 [num_blocks]
    block_first: np.ndarray  # uint8 [num_blocks]: the first id of the block's name
    block_outline: np.ndarray  # float64 [num_blocks, 6]: x, y, z from and to, of the box that a ray meets
    block_touch: np.ndarray  # uint8 [num_blocks]: collision.TOUCH_ bits
    block_needs: np.ndarray  # uint8 [num_blocks]: using.ANYWHERE, ON_SOIL, ...: where it can be placed
    block_sword_speed: np.ndarray  # float32 [num_blocks]: how much faster than a hand a sword digs it
    block_shears_speed: np.ndarray  # float32 [num_blocks]
    block_drop_item: np.ndarray  # int32 [num_blocks]
    block_drop_least: np.ndarray  # int32 [num_blocks]
    block_drop_most: np.ndarray  # int32 [num_blocks]
    block_drop_chance: np.ndarray  # float64 [num_blocks]
    block_sheared_item: np.ndarray  # int32 [num_blocks]: what shears take instead, 0 = nothing special
    block_sheared_count: np.ndarray  # int32 [num_blocks]
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
    mob_parent: np.ndarray  # float64 [num_mobs]: speed factor of a baby behind an adult
    mob_look: np.ndarray  # float64 [num_mobs]: blocks from which it looks at a player
    mob_range: np.ndarray  # float64 [num_mobs]: blocks from which it attacks a player, 0 = does not
    mob_loot: np.ndarray  # int32 [num_mobs, MAX_LOOT, 4]: item, cooked item, fewest, most
    item_bait: np.ndarray  # uint8 [num_items]: a bit per kind of mob that follows who holds it
    wool_item: np.ndarray  # int32 [16], by colour
    sheep_colour: np.ndarray  # uint8 [10000]: of natural sheep


# Outlines of what is not a full block, in sixteenths: x, y, z from, x, y, z to.
_OUTLINES = {
    **dict.fromkeys(("grass", "fern", "dead_bush"), (2, 0, 2, 14, 13, 14)),
    **dict.fromkeys(blocks.FLOWERS, (5, 0, 5, 11, 10, 11)),
    **dict.fromkeys((f"{wood}_sapling" for wood in blocks.WOODS), (2, 0, 2, 14, 12, 14)),
    **dict.fromkeys(("brown_mushroom", "red_mushroom"), (5, 0, 5, 11, 6, 11)),
    "sugar_cane": (2, 0, 2, 14, 16, 14),
    "torch": (6, 0, 6, 10, 10, 10),
    "wall_torch[facing=north]": (5.5, 3, 11, 10.5, 13, 16),
    "wall_torch[facing=south]": (5.5, 3, 0, 10.5, 13, 5),
    "wall_torch[facing=west]": (11, 3, 5.5, 16, 13, 10.5),
    "wall_torch[facing=east]": (0, 3, 5.5, 5, 13, 10.5),
    "cactus": (1, 0, 1, 15, 16, 15),
    "chest": (1, 0, 1, 15, 14, 15),
    "lily_pad": (1, 0, 1, 15, 1.5, 15),
    "snow": (0, 0, 0, 16, 2, 16),
    **{
        f"{name}[facing={facing}]": box
        for name, thick in (("ladder", 3), ("vine", 1))
        for facing, box in (
            ("north", (0, 0, 16 - thick, 16, 16, 16)),
            ("south", (0, 0, 0, 16, 16, thick)),
            ("west", (16 - thick, 0, 0, 16, 16, 16)),
            ("east", (0, 0, 0, thick, 16, 16)),
        )
    },
}


def _touch(block: int) -> int:
    """The collision.TOUCH_ bits of a block. Leaves, like glass, smother nobody."""
    name = blocks.BLOCK_NAME[block]
    if block >= blocks.FIRST_OPAQUE:
        return 0 if name.endswith("_leaves") else collision.TOUCH_OPAQUE
    bits = {"water": collision.TOUCH_WATER, "lava": collision.TOUCH_LAVA, "cobweb": collision.TOUCH_WEB}
    bits |= {"cactus": collision.TOUCH_CACTUS, "ladder": collision.TOUCH_CLIMB, "vine": collision.TOUCH_CLIMB}
    return bits.get(name, 0)


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
        block_first=np.array([blocks.NAMED_BLOCK[name] for name in blocks.BLOCK_NAME], np.uint8),
        block_outline=np.array([_OUTLINES.get(name, (0, 0, 0, 16, 16, 16)) for name in blocks.BLOCKS], np.float64) / 16,
        block_touch=np.array([_touch(block) for block in range(blocks.NUM_BLOCKS)], np.uint8),
        block_needs=using.NEEDS.copy(),
        block_sword_speed=digging.SWORD_SPEED.copy(),
        block_shears_speed=digging.SHEARS_SPEED.copy(),
        block_drop_item=drops.DROP_ITEM.copy(),
        block_drop_least=drops.DROP_LEAST.copy(),
        block_drop_most=drops.DROP_MOST.copy(),
        block_drop_chance=drops.DROP_CHANCE.copy(),
        block_sheared_item=drops.SHEARED_ITEM.copy(),
        block_sheared_count=drops.SHEARED_COUNT.copy(),
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
        mob_parent=np.array([kind.parent for kind in kinds], np.float64),
        mob_look=np.array([kind.look for kind in kinds], np.float64),
        mob_range=np.array([kind.range for kind in kinds], np.float64),
        mob_loot=mobs.LOOT.copy(),
        item_bait=mobs.BAIT.copy(),
        wool_item=mobs.WOOL_ITEM.copy(),
        sheep_colour=mobs.SHEEP_COLOUR.copy(),
    )
