"""What the player carries: taking from stacks, wear of tools and armour, the stack on the screen's cursor."""

from minestudio_envs.voxel.drops import add_item, throw
from minestudio_envs.voxel.items import INVENTORY_SLOTS
from minestudio_envs.voxel.jit import device_function

CURSOR = INVENTORY_SLOTS  # stands for the stack on the screen's cursor


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
    item = int(player[n].inventory_item[slot])
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
        count = min(count, int(state.player[n].inventory_count[slot]))
        item, damage = int(state.player[n].inventory_item[slot]), int(state.player[n].inventory_damage[slot])
        throw(state, n, item, count, damage, slot, False)
        take(state.player, n, slot, count)


@device_function
def throw_everything(state, n):
    """A dead player's things fall about."""
    for slot in range(INVENTORY_SLOTS):
        if state.player[n].inventory_count[slot] > 0:
            item, count = int(state.player[n].inventory_item[slot]), int(state.player[n].inventory_count[slot])
            throw(state, n, item, count, int(state.player[n].inventory_damage[slot]), slot, True)
            clear_slot(state.player, n, slot)
    if state.player[n].cursor_count > 0:
        item, count = int(state.player[n].cursor_item), int(state.player[n].cursor_count)
        throw(state, n, item, count, int(state.player[n].cursor_damage), CURSOR, True)
        state.player[n].cursor_item = state.player[n].cursor_count = state.player[n].cursor_damage = 0


@device_function
def lose_from_cursor(player, n, count):
    player[n].cursor_count -= count
    if player[n].cursor_count <= 0:
        player[n].cursor_item = player[n].cursor_count = player[n].cursor_damage = 0


@device_function
def throw_cursor(state, n, count):
    if state.player[n].cursor_count > 0:
        item, damage = int(state.player[n].cursor_item), int(state.player[n].cursor_damage)
        count = min(count, int(state.player[n].cursor_count))
        throw(state, n, item, count, damage, CURSOR, False)
        lose_from_cursor(state.player, n, count)


@device_function
def close_screen(state, n, tables):
    """Closes it; the cursor's stack goes back into the inventory, or to the ground."""
    state.player[n].gui_open = 0
    if state.player[n].cursor_count > 0:
        item, count, damage = (
            int(state.player[n].cursor_item),
            int(state.player[n].cursor_count),
            int(state.player[n].cursor_damage),
        )
        left = add_item(state.player, n, tables.stack_size, item, count, damage)
        lose_from_cursor(state.player, n, count - left)
        throw_cursor(state, n, left)
