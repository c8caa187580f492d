"""The constant tables that the engine's functions read, passed to them as one NamedTuple of arrays."""

from typing import NamedTuple

import numpy as np

from minestudio_envs.voxel import blocks, items, mobs


class Tables(NamedTuple):
    block_height: np.ndarray  # float64 [num_blocks]: height of the collision box, 0 = none
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
        block_height=blocks.SOLID.astype(np.float64),
        attack_damage=items.ATTACK_DAMAGE,
        attack_charge_ticks=items.ATTACK_CHARGE_TICKS,
        is_sword=np.array([item.name.endswith("_sword") for item in items.ITEMS], np.uint8),
        stack_size=items.STACK_SIZE,
        mob_health=np.array([kind.health for kind in kinds], np.float32),
        mob_width=np.array([kind.width for kind in kinds], np.float64),
        mob_height=np.array([kind.height for kind in kinds], np.float64),
        mob_speed=np.array([kind.speed for kind in kinds], np.float64),
        mob_panic=np.array([kind.panic for kind in kinds], np.float64),
    )
