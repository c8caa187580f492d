"""Minecraft 1.16.5 commands, as far as the engine has what they act on.

``compile_command`` turns a command's text into one row of a program, a float64 array [P, ROW]: an opcode and its
arguments. The engine runs a program at every reset, one row per tick, as MineStudio sends one command per tick.
"""

import math
import re

import numpy as np

from minestudio_envs.voxel.collision import is_free
from minestudio_envs.voxel.errors import nearest
from minestudio_envs.voxel.items import INVENTORY_SLOTS, ITEM_ID, STACK_SIZE
from minestudio_envs.voxel.jit import device_function
from minestudio_envs.voxel.mobs import spawn_mob
from minestudio_envs.voxel.physics import place_player
from minestudio_envs.voxel.randomness import STREAM_SUMMON, random_bits, to_unit
from minestudio_envs.voxel.state import EFFECT_ID, MOB_ID

ROW = 8
(
    NOTHING,
    GIVE,  # item, count
    EFFECT_GIVE,  # effect, ticks, amplifier
    EFFECT_CLEAR,  # effect or -1
    SUMMON,  # mob, bits of the axes that are relative to the player, x, y, z
    SUMMON_RANGE,  # mob, x low, x high, z low, z high
    TIME_SET,  # time of day
    TIME_ADD,  # ticks
    CLEAR,  # item or -1, most items
    KILL_MOBS,  # mob or 0 = all
    KILL_PLAYER,
    TELEPORT,  # bits of the axes that are relative, x, y, z
    SET_SLOT,  # slot, item, count
) = range(13)

MAIN_SLOTS = 36  # what /give fills
SUMMON_HEIGHT = 3.0  # above the player's feet
SUMMON_TRIES = 8

TIMES = {"day": 1000, "noon": 6000, "night": 13000, "midnight": 18000}
MAX_SECONDS, MAX_AMPLIFIER = 1_000_000, 255
MAX_COORDINATE = 30_000_000

# The 32 effects of Minecraft 1.16.5 in the order of the numeric ids that Minecraft used before 1.13.
MINECRAFT_EFFECTS = (
    *("speed", "slowness", "haste", "mining_fatigue", "strength", "instant_health", "instant_damage", "jump_boost"),
    *("nausea", "regeneration", "resistance", "fire_resistance", "water_breathing", "invisibility", "blindness"),
    *("night_vision", "hunger", "weakness", "poison", "wither", "health_boost", "absorption", "saturation"),
    *("glowing", "levitation", "luck", "unluck", "slow_falling", "conduit_power", "dolphins_grace", "bad_omen"),
    "hero_of_the_village",
)
KNOWN = ("give", "effect", "summon", "execute", "time", "clear", "kill", "tp", "teleport", "weather")
PLAYER = ("@p", "@s", "@a")


class CommandError(ValueError):
    """A command that Minecraft 1.16.5 would refuse, or that the engine does not have."""


# TEXT TO PROGRAM


def compile_commands(commands) -> np.ndarray:
    """A program float64 [len(commands), ROW] from command texts; raises CommandError at the first one it cannot run."""
    return np.array([compile_command(command) for command in commands], np.float64).reshape(-1, ROW)


def summon_range(mob: str, number: int, range_x, range_z) -> np.ndarray:
    """A program of ``number`` rows, each summoning one adult 3 blocks above the player's feet.

    The offsets are uniform in range_x = (low, high) and range_z, in blocks, drawn anew in every episode.
    """
    if number < 0:
        raise CommandError(f"summon_range: number={number} must not be negative")
    for name, bounds in (("range_x", range_x), ("range_z", range_z)):
        if len(bounds) != 2 or not bounds[0] <= bounds[1]:
            raise CommandError(f"summon_range: {name}={list(bounds)} must be [low, high] with low <= high")
        if max(map(abs, bounds)) > MAX_COORDINATE:
            raise CommandError(f"summon_range: {name}={list(bounds)} must be within {MAX_COORDINATE:,} blocks")
    row = _row(SUMMON_RANGE, _known("mob", mob, MOB_ID, "summon_range"), *range_x, *range_z)
    return np.array([row] * number, np.float64).reshape(-1, ROW)


def set_slot(slot: int, item: str, count: int) -> list[float]:
    """One row of a program that puts ``count`` items into inventory slot 0-40, whatever was there."""
    name = f"inventory slot {slot}"
    if not 0 <= slot < INVENTORY_SLOTS:
        raise CommandError(f"{name} must be 0 to {INVENTORY_SLOTS - 1}")
    kind = _known("item", item, ITEM_ID, name)
    if not 1 <= count <= STACK_SIZE[kind]:
        raise CommandError(f"{name}: {count} of {item} is not a stack of 1 to {STACK_SIZE[kind]}")
    return _row(SET_SLOT, slot, kind, count)


def compile_command(command: str) -> list[float]:
    """One row of a program from one command, with or without the leading slash."""
    words = _split(command)
    if not words:
        raise CommandError(f"{command!r}: empty command")
    name, arguments = words[0], words[1:]
    if name not in KNOWN:
        raise CommandError(f"{command!r}: the engine has no command /{name}; {nearest(name, KNOWN)}")
    compiler = {
        "give": _give,
        "effect": _effect,
        "summon": _summon,
        "execute": _execute,
        "time": _time,
        "clear": _clear,
        "kill": _kill,
        "tp": _teleport,
        "teleport": _teleport,
        "weather": _weather,
    }[name]
    return compiler(command, arguments)


def _split(command: str) -> list[str]:
    """Words separated by spaces outside of brackets and quotes."""
    words, word, depth, quote = [], "", 0, ""
    for character in command.strip().removeprefix("/"):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
        if character.isspace() and depth == 0 and not quote:
            if word:
                words.append(word)
            word = ""
        else:
            word += character
    if depth or quote:
        raise CommandError(f"{command!r}: unbalanced brackets or quotes")
    return [*words, word] if word else words


def _row(opcode, *arguments) -> list[float]:
    row = [float(opcode), *(float(a) for a in arguments)]
    return row + [0.0] * (ROW - len(row))


def _known(what: str, name: str, ids: dict, command: str) -> int:
    """The engine's id of a name with or without ``minecraft:``; the 'none' entries do not count."""
    short = name.removeprefix("minecraft:")
    names = [n for n in ids if n not in ("air", "none")]
    if short not in names:
        if what == "effect" and short in MINECRAFT_EFFECTS:
            raise CommandError(f"{command!r}: the engine does not have the effect {short}; it has {', '.join(names)}")
        raise CommandError(f"{command!r}: the engine knows no {what} {name!r}; {nearest(short, names)}")
    return ids[short]


def _integer(command: str, what: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"-?\d+", text):
        raise CommandError(f"{command!r}: {what} must be an integer, not {text!r}")
    if not low <= int(text) <= high:
        raise CommandError(f"{command!r}: {what} must be within {low} and {high}, not {text}")
    return int(text)


def _usage(command: str, arguments, least: int, most: int, usage: str):
    if not least <= len(arguments) <= most:
        fault = "something is missing" if len(arguments) < least else f"{arguments[most]!r} is one word too many"
        raise CommandError(f"{command!r}: {fault}; write {usage}")


def _who(command: str, text: str):
    """The engine has one player: any selector of players is that one."""
    if re.sub(r"\[.*\]$", "", text) not in PLAYER:
        raise CommandError(f"{command!r}: {text!r} is no player selector; write @p (or @s, @a)")


def _coordinates(command: str, words) -> tuple[int, list[float]]:
    """Three words like ``~``, ``~1.5`` or ``64`` -> (bits of the relative axes, values)."""
    bits, values = 0, []
    for axis, word in enumerate(words):
        if word.startswith("^"):
            raise CommandError(f"{command!r}: local coordinates (^) are not supported; write ~ or a number")
        if word.startswith("~"):
            bits |= 1 << axis
        number = word.removeprefix("~")
        try:
            value = float(number) if number else 0.0
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise CommandError(f"{command!r}: {word!r} is no coordinate; write a number, ~ or ~ with a number")
        if abs(value) > MAX_COORDINATE:
            raise CommandError(f"{command!r}: {word!r} is farther than Minecraft's limit of {MAX_COORDINATE:,}")
        if not word.startswith("~") and re.fullmatch(r"-?\d+", word) and axis != 1:
            value += 0.5  # whole numbers along x and z mean the middle of the block
        values.append(value)
    return bits, values


def _without_nbt(text: str) -> str:
    return text.split("{", 1)[0]


def _give(command, arguments):
    _usage(command, arguments, 2, 3, "/give @p <item> [count]")
    _who(command, arguments[0])
    item = _known("item", _without_nbt(arguments[1]), ITEM_ID, command)
    count = _integer(command, "the count", arguments[2], 1, 6400) if len(arguments) > 2 else 1
    return _row(GIVE, item, count)


def _effect(command, arguments):
    usage = "/effect give @p <effect> [seconds] [amplifier] [true|false] or /effect clear @p [effect]"
    if arguments and arguments[0] not in ("give", "clear"):
        raise CommandError(
            _old_effect(command, arguments) or f"{command!r}: unknown branch {arguments[0]!r}; write {usage}"
        )
    if not arguments:
        raise CommandError(f"{command!r}: something is missing; write {usage}")
    if arguments[0] == "clear":
        _usage(command, arguments, 1, 3, usage)
        if len(arguments) > 1:
            _who(command, arguments[1])
        return _row(EFFECT_CLEAR, _known("effect", arguments[2], EFFECT_ID, command) if len(arguments) > 2 else -1)
    _usage(command, arguments, 3, 6, usage)
    _who(command, arguments[1])
    effect = _known("effect", arguments[2], EFFECT_ID, command)
    seconds = _integer(command, "seconds", arguments[3], 1, MAX_SECONDS) if len(arguments) > 3 else 30
    amplifier = _integer(command, "the amplifier", arguments[4], 0, MAX_AMPLIFIER) if len(arguments) > 4 else 0
    if len(arguments) > 5 and arguments[5] not in ("true", "false"):
        raise CommandError(f"{command!r}: hideParticles must be true or false, not {arguments[5]!r}")
    return _row(EFFECT_GIVE, effect, seconds * 20, amplifier)


def _old_effect(command: str, arguments) -> str:
    """What to say to the form of Minecraft before 1.13, ``/effect <who> <effect> ...``; '' if it is not that."""
    if not arguments[0].startswith("@") or len(arguments) < 2:
        return ""
    effect = arguments[1].removeprefix("minecraft:")
    if effect.isdigit() and 1 <= int(effect) <= len(MINECRAFT_EFFECTS):
        effect = MINECRAFT_EFFECTS[int(effect) - 1]
    if effect == "clear":
        instead = f"/effect clear {arguments[0]}"
    else:
        instead = " ".join([f"/effect give {arguments[0]} minecraft:{effect}", *arguments[2:]])
    return (
        f"{command!r} is the form of Minecraft before 1.13: in 1.16.5 it is a syntax error and does nothing. "
        f"Write {instead!r}"
    )


def _summon(command, arguments):
    _usage(command, arguments, 1, 5, "/summon <entity> [<x> <y> <z>] [nbt]")
    mob = _known("mob", arguments[0], MOB_ID, command)
    rest = arguments[1:]
    if rest and rest[-1].startswith("{"):
        rest = rest[:-1]
    if len(rest) not in (0, 3):
        raise CommandError(f"{command!r}: a position has three coordinates; write /summon <entity> <x> <y> <z> [nbt]")
    bits, values = _coordinates(command, rest) if rest else (7, [0.0, 0.0, 0.0])
    return _row(SUMMON, mob, bits, *values)


def _execute(command, arguments):
    usage = "/execute as @p at @p run <command>"
    while len(arguments) >= 2 and arguments[0] in ("as", "at"):
        _who(command, arguments[1])
        arguments = arguments[2:]
    if len(arguments) < 2 or arguments[0] != "run":
        raise CommandError(f"{command!r}: only the branches 'as' and 'at' are supported; write {usage}")
    return compile_command(" ".join(arguments[1:]))


def _time(command, arguments):
    usage = "/time set <number|day|noon|night|midnight> or /time add <number>"
    _usage(command, arguments, 2, 2, usage)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([dst]?)", arguments[1])
    if arguments[0] == "set" and arguments[1] in TIMES:
        return _row(TIME_SET, TIMES[arguments[1]])
    if arguments[0] not in ("set", "add") or match is None:
        raise CommandError(f"{command!r}: {' '.join(arguments)!r} is not understood; write {usage}")
    ticks = round(float(match[1]) * {"d": 24000, "s": 20, "t": 1, "": 1}[match[2]])
    return _row(TIME_SET if arguments[0] == "set" else TIME_ADD, ticks % 24000)


def _clear(command, arguments):
    _usage(command, arguments, 0, 3, "/clear [@p] [item] [most]")
    if arguments:
        _who(command, arguments[0])
    item = _known("item", _without_nbt(arguments[1]), ITEM_ID, command) if len(arguments) > 1 else -1
    most = _integer(command, "the count", arguments[2], 0, 2**31 - 1) if len(arguments) > 2 else 2**31 - 1
    return _row(CLEAR, item, most)


def _kill(command, arguments):
    usage = "/kill, /kill @p, /kill @e[type=cow] or /kill @e[type=!player]"
    _usage(command, arguments, 0, 1, usage)
    if not arguments or arguments[0] in PLAYER:
        return _row(KILL_PLAYER)
    match = re.fullmatch(r"@e\[\s*type\s*=\s*(!?)\s*([\w:]+)\s*\]", arguments[0])
    if match is None:
        raise CommandError(f"{command!r}: {arguments[0]!r} is not supported; write {usage}")
    kind = match[2].removeprefix("minecraft:")
    if match[1]:
        if kind != "player":
            raise CommandError(f"{command!r}: only type=!player can be excluded; write {usage}")
        return _row(KILL_MOBS, 0)
    if kind == "player":
        return _row(KILL_PLAYER)
    if kind in ("item", "experience_orb"):
        return _row(NOTHING)  # the engine has none lying about
    return _row(KILL_MOBS, _known("mob", kind, MOB_ID, command))


def _teleport(command, arguments):
    usage = "/tp [@p] <x> <y> <z>"
    named = bool(arguments) and arguments[0].startswith("@")
    _usage(command, arguments, 3 + named, 3 + named, usage)
    if named:
        _who(command, arguments[0])
    bits, values = _coordinates(command, arguments[-3:])
    return _row(TELEPORT, bits, *values)


def _weather(command, arguments):
    _usage(command, arguments, 1, 2, "/weather clear")
    if arguments[0] != "clear":
        raise CommandError(f"{command!r}: the engine has no {arguments[0]}; its weather is always clear")
    return _row(NOTHING)


# PROGRAM TO STATE


@device_function
def give(state, n, tables, item, count):
    """Adds items to stacks of the same kind, then to empty slots; what has no room is lost."""
    size = tables.stack_size[item]
    for empty in range(2):
        for slot in range(MAIN_SLOTS):
            if count > 0 and state.player[n].inventory_item[slot] == (0 if empty else item):
                added = min(count, size - (0 if empty else state.player[n].inventory_count[slot]))
                if added > 0:
                    state.player[n].inventory_item[slot] = item
                    state.player[n].inventory_count[slot] += added
                    count -= added


@device_function
def summon_near(state, n, tables, row, kind, x_low, x_high, z_low, z_high):
    """Summons a mob above a uniformly drawn spot, where it fits: a few draws, then upwards from the last one."""
    half, height = tables.mob_width[kind] / 2.0, tables.mob_height[kind]
    x, y, z = 0.0, 0.0, 0.0
    for attempt in range(SUMMON_TRIES):
        stream = STREAM_SUMMON + row * 2 * SUMMON_TRIES + 2 * attempt
        u = to_unit(random_bits(state.world[n].key, state.world[n].episode, state.world[n].tick, stream))
        v = to_unit(random_bits(state.world[n].key, state.world[n].episode, state.world[n].tick, stream + 1))
        x = state.player[n].position[0] + x_low + (x_high - x_low) * u
        z = state.player[n].position[2] + z_low + (z_high - z_low) * v
        y = state.player[n].position[1] + SUMMON_HEIGHT
        if is_free(state.voxels, n, tables.block_height, x - half, x + half, y, y + height, z - half, z + half):
            break
    lift(state, n, tables, kind, x, y, z, row)


@device_function
def lift(state, n, tables, kind, x, y, z, row):
    """Summons a mob at (x, y, z), or at the first free height above it."""
    half, height = tables.mob_width[kind] / 2.0, tables.mob_height[kind]
    y = max(y, 0.0)  # nothing is free below the world
    while not is_free(state.voxels, n, tables.block_height, x - half, x + half, y, y + height, z - half, z + half):
        y = math.floor(y) + 1.0
    bits = random_bits(state.world[n].key, state.world[n].episode, state.world[n].tick, STREAM_SUMMON + (1 << 15) + row)
    spawn_mob(state, n, tables, kind, x, y, z, bits)


@device_function
def execute(state, n, tables, program, row):
    """Runs row ``row`` of a program in environment ``n``."""
    opcode, a, b = int(program[row, 0]), program[row, 1], program[row, 2]
    if opcode == GIVE:
        give(state, n, tables, int(a), int(b))
    elif opcode == EFFECT_GIVE:
        effect = int(a)
        # a stronger effect replaces a weaker one, an equal one is only ever prolonged
        weaker = (
            state.player[n].effect_ticks[effect] > 0 and int(program[row, 3]) < state.player[n].effect_amplifier[effect]
        )
        same = (
            state.player[n].effect_ticks[effect] > 0
            and int(program[row, 3]) == state.player[n].effect_amplifier[effect]
        )
        if not weaker:
            state.player[n].effect_ticks[effect] = max(int(b), state.player[n].effect_ticks[effect] if same else 0)
            state.player[n].effect_amplifier[effect] = int(program[row, 3])
    elif opcode == EFFECT_CLEAR:
        for effect in range(len(state.player[n].effect_ticks)):
            if int(a) < 0 or int(a) == effect:
                state.player[n].effect_ticks[effect] = 0
    elif opcode == SUMMON:
        x, y, z = program[row, 3], program[row, 4], program[row, 5]
        if int(b) & 1:
            x += state.player[n].position[0]
        if int(b) & 2:
            y += state.player[n].position[1]
        if int(b) & 4:
            z += state.player[n].position[2]
        lift(state, n, tables, int(a), x, y, z, row)
    elif opcode == SUMMON_RANGE:
        summon_near(state, n, tables, row, int(a), b, program[row, 3], program[row, 4], program[row, 5])
    elif opcode == TIME_SET:
        state.world[n].time_of_day = int(a) % 24000
    elif opcode == TIME_ADD:
        state.world[n].time_of_day = (state.world[n].time_of_day + int(a)) % 24000
    elif opcode == CLEAR:
        left = int(b)
        for slot in range(INVENTORY_SLOTS):
            if left > 0 and (int(a) < 0 or state.player[n].inventory_item[slot] == int(a)):
                taken = min(left, state.player[n].inventory_count[slot])
                left -= taken
                state.player[n].inventory_count[slot] -= taken
                if state.player[n].inventory_count[slot] == 0:
                    state.player[n].inventory_item[slot] = 0
    elif opcode == KILL_MOBS:
        for m in range(state.mobs.shape[1]):
            if state.mobs[n, m].kind != 0 and (int(a) == 0 or state.mobs[n, m].kind == int(a)):
                state.mobs[n, m].health = 0.0
    elif opcode == KILL_PLAYER:
        state.player[n].health = 0.0
    elif opcode == TELEPORT:
        x, y, z = program[row, 2], program[row, 3], program[row, 4]
        if int(a) & 1:
            x += state.player[n].position[0]
        if int(a) & 2:
            y += state.player[n].position[1]
        if int(a) & 4:
            z += state.player[n].position[2]
        place_player(state, n, x, y, z)
    elif opcode == SET_SLOT:
        state.player[n].inventory_item[int(a)] = int(b)
        state.player[n].inventory_count[int(a)] = int(program[row, 3])
