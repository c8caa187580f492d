"""What the player carries: taking from stacks, wear of tools and armour."""

from minestudio_envs.voxel.drops import OFFHAND, throw
from minestudio_envs.voxel.items import INVENTORY_SLOTS
from minestudio_envs.voxel.jit import device_function

FEET, HEAD = 36, 39  # the first and the last slot of armour
CURSOR = INVENTORY_SLOTS  # stands for the stack on the screen's cursor
__all__ = ["CURSOR", "FEET", "HEAD", "OFFHAND", "clear_slot", "take", "throw_everything", "throw_from", "wear"]


@device_function
def clear_slot(player, n, slot):
    player[n].inventory_item[slot] = 0
    player[n].inventory_count[slot] = 0
    player[n].inventory_damage[slot] = 0


@device_function
def take(player, n, slot, count):
    """Takes ``count`` items out of a slot, which holds at least so many."""
    player[n].inventory_count[slot] -= count
    if player[n].inventory_count[slot] <= 0:
        clear_slot(player, n, slot)


@device_function
def wear(player, statistics, n, item_durability, slot, uses):
    """Wears the tool or the armour in a slot by ``uses``; used up it is gone and counts as broken."""
    item = player[n].inventory_item[slot]
    if item_durability[item] == 0:
        return
    player[n].inventory_damage[slot] += uses
    if player[n].inventory_damage[slot] >= item_durability[item]:
        statistics[n].break_item[item] += 1
        player[n].inventory_damage[slot] = 0
        take(player, n, slot, 1)


@device_function
def throw_from(state, n, slot, count):
    """Throws ``count`` items of a slot along the view."""
    if state.player[n].inventory_count[slot] > 0:
        count = min(count, state.player[n].inventory_count[slot])
        damage = state.player[n].inventory_damage[slot]
        throw(state, n, state.player[n].inventory_item[slot], count, damage, slot, False)
        take(state.player, n, slot, count)


@device_function
def throw_everything(state, n):
    """A dead player's things fall about."""
    for slot in range(INVENTORY_SLOTS):
        if state.player[n].inventory_count[slot] > 0:
            item, count = state.player[n].inventory_item[slot], state.player[n].inventory_count[slot]
            throw(state, n, item, count, state.player[n].inventory_damage[slot], slot, True)
            clear_slot(state.player, n, slot)
    if state.player[n].cursor_count > 0:
        item, count = state.player[n].cursor_item, state.player[n].cursor_count
        throw(state, n, item, count, state.player[n].cursor_damage, CURSOR, True)
        state.player[n].cursor_item = state.player[n].cursor_count = state.player[n].cursor_damage = 0
