"""The inventory screen: its cursor, and what clicks do to stacks.

The world goes on behind it. Places are pixels of the window of 640 x 360 at GUI scale 1: Minecraft's inventory
picture of 176 x 166 stands in its middle. The 2 x 2 crafting grid is drawn and does nothing.
"""

import numpy as np

from minestudio_envs.voxel.digging import stop_digging
from minestudio_envs.voxel.inventory import (
    clear_slot,
    close_screen,
    lose_from_cursor,
    take,
    throw_cursor,
    throw_from,
)
from minestudio_envs.voxel.items import FEET, HEAD, HOTBAR_SLOTS, ITEM_ID, OFFHAND
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.physics import ATTACK, DROP, HOTBAR, INVENTORY, SNEAK, USE

WINDOW_WIDTH, WINDOW_HEIGHT = 640, 360
SCREEN_WIDTH, SCREEN_HEIGHT = 176, 166
SCREEN_LEFT, SCREEN_TOP = (WINDOW_WIDTH - SCREEN_WIDTH) // 2, (WINDOW_HEIGHT - SCREEN_HEIGHT) // 2
SLOT_PITCH = 18  # a slot of 16 pixels reacts to the cursor one pixel beyond its edges
CURSOR_PIXELS = 2400 / 360  # that a degree of the camera moves the cursor
MISS_FOREVER = 10_000  # a button held while the screen closes does nothing until it is let go

SHIELD = ITEM_ID["shield"]
OUTSIDE, NO_SLOT = -2, -1


def _in_window(places) -> np.ndarray:
    return np.array(places, np.int32) + np.array((SCREEN_LEFT, SCREEN_TOP), np.int32)


def _slot_places() -> np.ndarray:
    hotbar = [(8 + 18 * i, 142) for i in range(HOTBAR_SLOTS)]
    main = [(8 + 18 * (i % 9), 84 + 18 * (i // 9)) for i in range(27)]
    armour = [(8, 62 - 18 * i) for i in range(4)]  # feet, legs, chest, head
    return _in_window([*hotbar, *main, *armour, (77, 62)])


# The left upper corner of every inventory slot's 16 x 16 pixels, [41, 2] x, y in the window.
SLOT_PLACES = _slot_places()
# The same of the crafting grid (its four places, then the result), which does nothing.
CRAFTING_PLACES = _in_window([(98, 18), (116, 18), (98, 36), (116, 36), (154, 28)])


@device_function
def slot_under(x, y):
    """The slot that the cursor is on, else NO_SLOT, or OUTSIDE of the screen's picture."""
    x, y = int(x) - SCREEN_LEFT, int(y) - SCREEN_TOP
    if x < 0 or y < 0 or x >= SCREEN_WIDTH or y >= SCREEN_HEIGHT:
        return OUTSIDE
    column = (x - 7) // SLOT_PITCH
    if x >= 7 and column < 9:
        if 141 <= y < 159:
            return column
        if 83 <= y < 137:
            return 9 + 9 * ((y - 83) // SLOT_PITCH) + column
        if column == 0 and 7 <= y < 79:
            return HEAD - (y - 7) // SLOT_PITCH
    if 76 <= x < 94 and 61 <= y < 79:
        return OFFHAND
    return NO_SLOT


@device_function
def room_for(tables, slot, item):
    """How many of an item a slot may hold at most: one piece of its armour, or a stack."""
    if FEET <= slot <= HEAD:
        return 1 if tables.item_armour_slot[item] == slot else 0
    return tables.stack_size[item]


@device_function
def left_click(player, n, tables, slot):
    """Takes the stack up, puts the cursor's down, adds it to an equal one, or swaps the two."""
    item, count, damage = (
        int(player[n].inventory_item[slot]),
        int(player[n].inventory_count[slot]),
        int(player[n].inventory_damage[slot]),
    )
    held, held_count = int(player[n].cursor_item), int(player[n].cursor_count)
    held_damage = int(player[n].cursor_damage)
    if held_count > 0:
        room = room_for(tables, slot, held)
        if count == 0 or (item == held and damage == held_damage and room > 1):
            moved = min(held_count, room - count)
            if moved > 0:
                put(player, n, slot, held, moved, held_damage)
                lose_from_cursor(player, n, moved)
            return
        if held_count > room:
            return
    player[n].inventory_item[slot] = held
    player[n].inventory_count[slot] = held_count
    player[n].inventory_damage[slot] = held_damage
    player[n].cursor_item, player[n].cursor_count, player[n].cursor_damage = item, count, damage


@device_function
def right_click(player, n, tables, slot):
    """Takes the larger half of a stack, or puts one item down; unequal stacks swap."""
    item, count, damage = (
        int(player[n].inventory_item[slot]),
        int(player[n].inventory_count[slot]),
        int(player[n].inventory_damage[slot]),
    )
    held, held_damage = int(player[n].cursor_item), int(player[n].cursor_damage)
    if player[n].cursor_count == 0:
        half = (count + 1) // 2
        if half > 0:
            player[n].cursor_item, player[n].cursor_count, player[n].cursor_damage = item, half, damage
            take(player, n, slot, half)
    elif count == 0 or (item == held and damage == held_damage):
        if count < room_for(tables, slot, held):
            put(player, n, slot, held, 1, held_damage)
            lose_from_cursor(player, n, 1)
    else:
        left_click(player, n, tables, slot)


@device_function
def put(player, n, slot, item, count, damage):
    """Adds to a slot that is empty or holds the same."""
    player[n].inventory_item[slot] = item
    player[n].inventory_count[slot] += count
    player[n].inventory_damage[slot] = damage


@device_function
def move_into(player, n, tables, slot, first, last):
    """Moves a slot's stack into slots first..last: equal stacks, then the first empty slot."""
    item, damage = int(player[n].inventory_item[slot]), int(player[n].inventory_damage[slot])
    size = tables.stack_size[item]
    for empty in range(2):
        for other in range(first, last + 1):
            count = int(player[n].inventory_count[slot])
            if count == 0 or other == slot:
                continue
            same = player[n].inventory_item[other] == item and player[n].inventory_damage[other] == damage and size > 1
            if same if empty == 0 else player[n].inventory_count[other] == 0:
                moved = min(count, size - player[n].inventory_count[other])
                if moved > 0:
                    put(player, n, other, item, moved, damage)
                    take(player, n, slot, moved)


@device_function
def shift_click(player, n, tables, slot):
    """Sends a stack to where it belongs: armour on, else between hotbar and main slots."""
    item = int(player[n].inventory_item[slot])
    if player[n].inventory_count[slot] == 0:
        return
    worn = int(tables.item_armour_slot[item])
    if slot >= FEET:
        move_into(player, n, tables, slot, 9, FEET - 1)
        move_into(player, n, tables, slot, 0, 8)
        return
    if worn != 0 and player[n].inventory_count[worn] == 0:
        put(player, n, worn, item, 1, int(player[n].inventory_damage[slot]))
        take(player, n, slot, 1)
    elif item == SHIELD and player[n].inventory_count[OFFHAND] == 0:
        move_into(player, n, tables, slot, OFFHAND, OFFHAND)
    elif slot >= HOTBAR_SLOTS:
        move_into(player, n, tables, slot, 0, 8)
    else:
        move_into(player, n, tables, slot, 9, FEET - 1)


@device_function
def swap_with_hotbar(player, n, tables, slot, hotbar):
    """Exchanges a slot's stack with one of the hotbar, if both fit where they go."""
    if slot == hotbar:
        return
    count = player[n].inventory_count[hotbar]
    if count > 0 and count > room_for(tables, slot, player[n].inventory_item[hotbar]):
        return
    item, damage = player[n].inventory_item[hotbar], player[n].inventory_damage[hotbar]
    player[n].inventory_item[hotbar] = player[n].inventory_item[slot]
    player[n].inventory_count[hotbar] = player[n].inventory_count[slot]
    player[n].inventory_damage[hotbar] = player[n].inventory_damage[slot]
    player[n].inventory_item[slot], player[n].inventory_count[slot] = item, count
    player[n].inventory_damage[slot] = damage
    if count == 0:
        clear_slot(player, n, slot)


@device_function
def tick_open_screen(state, n, tables, pressed, camera):
    """One tick of the open screen: the camera moves the cursor, new presses click."""
    player = state.player
    player[n].miss_ticks = MISS_FOREVER
    x = float(player[n].cursor[0]) + CURSOR_PIXELS * float(camera[1])
    y = float(player[n].cursor[1]) + CURSOR_PIXELS * float(camera[0])
    player[n].cursor[0] = min(max(x, 0.0), float(WINDOW_WIDTH))
    player[n].cursor[1] = min(max(y, 0.0), float(WINDOW_HEIGHT))
    slot = slot_under(player[n].cursor[0], player[n].cursor[1])
    if player[n].cursor_count == 0 and slot >= 0:
        for i in range(HOTBAR_SLOTS):
            if pressed[HOTBAR + i] and not player[n].pressed[HOTBAR + i]:
                swap_with_hotbar(player, n, tables, slot, i)
        if pressed[DROP] and not player[n].pressed[DROP]:
            throw_from(state, n, slot, 1)
    for button in (ATTACK, USE):
        if not pressed[button] or player[n].pressed[button]:
            continue
        if slot == OUTSIDE:
            throw_cursor(state, n, int(player[n].cursor_count) if button == ATTACK else 1)
        elif slot >= 0:
            if pressed[SNEAK]:
                shift_click(player, n, tables, slot)
            elif button == ATTACK:
                left_click(player, n, tables, slot)
            else:
                right_click(player, n, tables, slot)


@device_function
def tick_screen(state, n, tables, pressed, camera):
    """Opens and closes the screen; moves its cursor and stacks."""
    if pressed[INVENTORY] and not state.player[n].pressed[INVENTORY]:
        if state.player[n].gui_open:
            close_screen(state, n, tables)
        else:
            state.player[n].gui_open = 1
            state.player[n].eat_ticks = 0
            stop_digging(state.player, n)
            state.player[n].cursor[0], state.player[n].cursor[1] = WINDOW_WIDTH / 2, WINDOW_HEIGHT / 2
    if state.player[n].gui_open:
        tick_open_screen(state, n, tables, pressed, camera)
