"""Minecraft 1.16.5's commands, as far as the engine has what they act on.

``compile_command`` turns a command's text into one row of a program (program.py), a list of ROW numbers: an opcode and
its arguments. What 1.16.5 would refuse, or the engine does not have, raises CommandError, which says what to write.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from minestudio_envs.voxel import game_data
from minestudio_envs.voxel import program as rows
from minestudio_envs.voxel.blocks import BLOCK_ID, BLOCK_NAME, BLOCKS, COLOURS, NAMED_BLOCK
from minestudio_envs.voxel.errors import nearest
from minestudio_envs.voxel.items import DURABILITY, INVENTORY_SLOTS, ITEM_ID, MAIN_SLOTS, OFFHAND, STACK_SIZE
from minestudio_envs.voxel.mobs import BABY_AGE
from minestudio_envs.voxel.program import ROW
from minestudio_envs.voxel.state import EFFECT_ID, GAMERULE_ID, GAMERULES, MOB_ID, MOBS, WEATHERS

TIMES = {"day": 1000, "noon": 6000, "night": 13000, "midnight": 18000}
MAX_SECONDS, MAX_AMPLIFIER = 1_000_000, 255
MAX_COORDINATE = 30_000_000
WEATHER_TICKS = 6000  # of rain and thunder without a duration
EVERYWHERE = 1e9  # blocks

# The 32 effects of Minecraft 1.16.5 in the order of the numeric ids that Minecraft used before 1.13.
MINECRAFT_EFFECTS = (
    *("speed", "slowness", "haste", "mining_fatigue", "strength", "instant_health", "instant_damage", "jump_boost"),
    *("nausea", "regeneration", "resistance", "fire_resistance", "water_breathing", "invisibility", "blindness"),
    *("night_vision", "hunger", "weakness", "poison", "wither", "health_boost", "absorption", "saturation"),
    *("glowing", "levitation", "luck", "unluck", "slow_falling", "conduit_power", "dolphins_grace", "bad_omen"),
    "hero_of_the_village",
)
INSTANT_EFFECTS = {"instant_health", "instant_damage", "saturation"}  # their seconds are ticks
# Game rules that change nothing here: there is nobody to tell, and no operator.
SILENT_GAMERULES = (
    *("announceAdvancements", "commandBlockOutput", "doImmediateRespawn", "doInsomnia", "doLimitedCrafting"),
    *("doPatrolSpawning", "doTraderSpawning", "logAdminCommands", "maxCommandChainLength", "reducedDebugInfo"),
    *("sendCommandFeedback", "showDeathMessages", "spectatorsGenerateChunks", "disableRaids", "doFireTick"),
    *("spawnRadius", "maxEntityCramming", "forgiveDeadPlayers", "universalAnger", "disableElytraMovementCheck"),
    "randomTickSpeed",
)
INTEGER_GAMERULES = ("randomTickSpeed", "maxCommandChainLength", "spawnRadius", "maxEntityCramming")
# States of blocks that are only another look of the same block.
LOOKS = ("axis", "snowy", "persistent", "distance", "stage", "age", "facing", "north", "south", "east", "west", "up")
LOOKS = (*LOOKS, "has_bottle", "unstable", "hinge")
PLAIN_STATES = {"waterlogged": "false", "lit": "false", "layers": "1", "type": "single", "level": "0"}

ARMOUR_SLOTS = {"feet": 36, "legs": 37, "chest": 38, "head": 39}
SELECTOR = re.compile(r"@([a-z])(?:\[(.*)\])?")
LENGTH = r"(?:\d+\.?\d*|(?<!\.)\.\d+)"  # the two points between two of them are not part of the second
ALL_MOBS = sum(1 << kind for kind in range(1, len(MOBS)))
EVERYTHING = rows.SELECT_PLAYER | rows.SELECT_ITEMS | rows.SELECT_ARROWS | ALL_MOBS
ORDERS = {
    "nearest": rows.NEAREST,
    "furthest": rows.FURTHEST,
    "random": rows.RANDOM,
    "arbitrary": rows.ARBITRARY,
}


class CommandError(ValueError):
    """A command that Minecraft 1.16.5 would refuse, or that the engine does not have."""


# ROWS


def compile_commands(commands: Iterable[str]) -> np.ndarray:
    """A program float64 [len(commands), ROW] from command texts; raises CommandError at the first one it cannot run."""
    return np.array([compile_command(command) for command in commands], np.float64).reshape(-1, ROW)


def summon_range(mob: str, number: int, range_x: Sequence[float], range_z: Sequence[float]) -> np.ndarray:
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
    row = make_row(rows.SUMMON_RANGE, known("mob", mob, MOB_ID, "summon_range"), *range_x, *range_z)
    return np.array([row] * number, np.float64).reshape(-1, ROW)


def set_slot(slot: int, item: str, count: int, damage: int = 0) -> list[float]:
    """One row that puts ``count`` items into inventory slot 0-40, whatever was there."""
    name = f"inventory slot {slot}"
    if not 0 <= slot < INVENTORY_SLOTS:
        raise CommandError(f"{name} must be 0 to {INVENTORY_SLOTS - 1}")
    kind = known("item", item, ITEM_ID, name)
    if not 1 <= count <= STACK_SIZE[kind]:
        raise CommandError(f"{name}: {count} of {item} is not a stack of 1 to {STACK_SIZE[kind]}")
    return make_row(rows.SET_SLOT, slot, kind, count, damage)


def draw_slot(
    *, slot: int = -1, free: int = 0, order: int = 0, item: int = -1, low: int, high: int = -1, one: float = 0.0,
    damage: int = 0, of: int = 1, active: int = 1, stream: int,
) -> list[float]:  # fmt: skip
    """One row that fills a slot with something random.

    slot: -1 takes the ``order``-th drawn of the slots in the bits of ``free``. item: -1 is any. The quantity is uniform
    in low ... high (-1: a whole stack), but 1 with chance ``one``. The row does something in ``active`` of ``of``
    episodes; rows of one ``stream`` draw this together.
    """
    return make_row(rows.DRAW_SLOT, slot, free, order, item, low, high, one, damage, of, active, stream)


def make_row(opcode: int, *arguments: float) -> list[float]:
    row = [float(opcode), *(float(a) for a in arguments)]
    assert len(row) < ROW
    return row + [0.0] * (ROW - len(row))


# TEXT TO ROWS


def compile_command(command: str) -> list[float]:
    """One row of a program from one command, with or without the leading slash."""
    return _compile(command, split_words(command), "at the player")


def _compile(command: str, words: Sequence[str], origin) -> list[float]:
    """``origin``: where ~ is, "at the player" or a place (bits, values) as /execute positioned gives it."""
    if not words:
        raise CommandError(f"{command!r}: empty command")
    name, arguments = words[0].removeprefix("minecraft:"), list(words[1:])
    if name not in COMPILERS:
        raise CommandError(f"{command!r}: the engine has no command /{name}; {nearest(name, COMPILERS)}")
    return COMPILERS[name](command, arguments, origin)


def split_words(command: str) -> list[str]:
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


# WORDS


def known(what: str, name: str, ids: Mapping[str, int], command: str) -> int:
    """The engine's id of a name with or without ``minecraft:``; the 'none' entries do not count."""
    short = name.removeprefix("minecraft:")
    names = [n for n in ids if n not in ("air", "none")]
    if short not in names:
        if what == "effect" and short in MINECRAFT_EFFECTS:
            raise CommandError(f"{command!r}: the engine does not have the effect {short}; it has {', '.join(names)}")
        if what == "mob" and short in game_data.ENTITIES:
            raise CommandError(f"{command!r}: the engine does not have the mob {short}; it has {', '.join(names)}")
        raise CommandError(f"{command!r}: the engine knows no {what} {name!r}; {nearest(short, names)}")
    return ids[short]


def _integer(command: str, what: str, text: str, low: int, high: int) -> int:
    if not re.fullmatch(r"-?\d+", text):
        raise CommandError(f"{command!r}: {what} must be an integer, not {text!r}")
    if not low <= int(text) <= high:
        raise CommandError(f"{command!r}: {what} must be within {low} and {high}, not {text}")
    return int(text)


def _usage(command: str, arguments: Sequence[str], least: int, most: int, usage: str) -> None:
    if not least <= len(arguments) <= most:
        fault = "something is missing" if len(arguments) < least else f"{arguments[most]!r} is one word too many"
        raise CommandError(f"{command!r}: {fault}; write {usage}")


def _split(command: str, text: str, sign: str) -> list[tuple[str, str]]:
    """``a=1,b={c=2}`` -> pairs, split outside of brackets; ``sign`` stands between key and value."""
    pairs, depth, part = [], 0, ""
    for character in [*text, ","]:
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            if part.strip():
                key, found, value = part.partition(sign)
                if not found:
                    raise CommandError(f"{command!r}: {part.strip()!r} must be key{sign}value")
                pairs.append((key.strip(), value.strip()))
            part = ""
        else:
            part += character
    return pairs


def select(command: str, text: str) -> list[float]:
    """A selector -> its five columns: bits, least and greatest distance, most, order."""
    match = SELECTOR.fullmatch(text)
    if match is None or match[1] not in "psare":
        raise CommandError(f"{command!r}: {text!r} is no selector; write @p (or @s, @a, @e[type=cow])")
    entities = match[1] == "e"
    bits = EVERYTHING if entities else rows.SELECT_PLAYER
    low, high, most = 0.0, EVERYWHERE, 0
    order = rows.ARBITRARY
    for key, value in _split(command, match[2] or "", "="):
        if key == "type":
            unwanted, kind = value.startswith("!"), value.removeprefix("!").removeprefix("minecraft:")
            if kind == "player":
                chosen = rows.SELECT_PLAYER
            elif kind == "item":
                chosen = rows.SELECT_ITEMS
            elif kind == "arrow":
                chosen = rows.SELECT_ARROWS
            elif kind == "experience_orb":
                chosen = 0  # the engine has none
            else:
                chosen = 1 << known("mob", kind, MOB_ID, command)
            bits &= ~chosen if unwanted else chosen
        elif key == "distance":
            bounds = re.fullmatch(f"({LENGTH})?(?:(\\.\\.)({LENGTH})?)?", value)
            if bounds is None or not value.strip("."):
                raise CommandError(f"{command!r}: distance={value}: write distance=..5, 2..5, 2.. or 5")
            low = float(bounds[1] or 0)
            high = float(bounds[3] or EVERYWHERE) if bounds[2] else low
            if low > high:
                raise CommandError(f"{command!r}: distance={value}: the smaller number must come first")
        elif key == "limit":
            most = _integer(command, "limit", value, 1, 2**31 - 1)
        elif key == "sort":
            if value not in ORDERS:
                raise CommandError(f"{command!r}: sort={value}: {nearest(value, ORDERS)}")
            order = ORDERS[value]
        else:
            keys = ("type", "distance", "limit", "sort")
            raise CommandError(f"{command!r}: a selector's {key}= is not supported; the engine has {', '.join(keys)}")
    return [bits, low, high, min(most, 10**6), order]


def _who(command: str, text: str) -> None:
    """Where only the player will do: any selector of players is that one."""
    bits = select(command, text)[0]
    if bits != rows.SELECT_PLAYER:
        raise CommandError(f"{command!r}: {text!r} is no player selector; write @p (or @s, @a)")


def _number(command: str, word: str, what: str = "coordinate") -> tuple[bool, float]:
    """``~``, ``~1.5`` or ``64`` -> (relative, value)."""
    number = word.removeprefix("~")
    try:
        value = float(number) if number else 0.0
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (not word.startswith("~") and not number):
        raise CommandError(f"{command!r}: {word!r} is no {what}; write a number, ~ or ~ with a number")
    if abs(value) > MAX_COORDINATE:
        raise CommandError(f"{command!r}: {word!r} is farther than Minecraft's limit of {MAX_COORDINATE:,}")
    return word.startswith("~"), value


def _place(command: str, words: Sequence[str], origin, block: bool = False) -> list[float]:
    """Three words like ``~``, ``~1.5``, ``64`` or ``^ ^ ^2`` -> a place's columns: bits, x, y, z.

    ``block``: of a block, whose whole numbers are not its middle.
    """
    local = [word.startswith("^") for word in words]
    if any(local):
        if not all(local):
            raise CommandError(f"{command!r}: local coordinates (^) cannot be mixed with others; write ^ ^ ^1")
        if origin != "at the player":
            raise CommandError(f"{command!r}: local coordinates (^) behind 'positioned' are not supported; write ~")
        return [rows.LOCAL, *(_number(command, "~" + word[1:])[1] for word in words)]
    bits, values = 0, []
    for axis, word in enumerate(words):
        relative, value = _number(command, word)
        if relative and origin != "at the player":
            if origin[0] & rows.LOCAL:
                if value:
                    raise CommandError(f"{command!r}: offsets from 'positioned ^' are not supported; write ~ ~ ~")
                return list(origin)
            bits |= int(origin[0]) & (1 << axis)
            value += origin[1 + axis]
        elif relative:
            bits |= 1 << axis
        elif re.fullmatch(r"-?\d+", word) and axis != 1 and not block:
            value += 0.5  # whole numbers along x and z mean the middle of the block
        values.append(value)
    return [bits, *values]


def _nbt(command: str, text: str) -> dict[str, str]:
    """``{Age:0,Color:3b}`` -> its keys with their values as text."""
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise CommandError(f"{command!r}: {text!r} is no NBT; write {{key:value}}")
    return {key.strip('"'): value for key, value in _split(command, text[1:-1], ":")}


def _tag(command: str, tags: Mapping[str, str], key: str, default: float = 0) -> float:
    """A number among NBT tags, whose letter says its type: 3b, 20.0f."""
    if key not in tags:
        return default
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)[bBsSlLfFdD]?", tags[key])
    if match is None:
        raise CommandError(f"{command!r}: {key}:{tags[key]} must be a number")
    return float(match[1])


def _item(command: str, text: str) -> tuple[int, int]:
    """``minecraft:iron_sword{Damage:5}`` -> (item, damage)."""
    name, brace, rest = text.partition("{")
    item = known("item", name, ITEM_ID, command)
    if not brace:
        return item, 0
    tags = _nbt(command, brace + rest)
    harmless = ("display", "HideFlags", "RepairCost")
    for key in tags:
        if key not in ("Damage", *harmless):
            raise CommandError(f"{command!r}: the engine's items have no {key}; they have Damage")
    damage = int(_tag(command, tags, "Damage"))
    if not 0 <= damage <= max(DURABILITY[item] - 1, 0):
        raise CommandError(f"{command!r}: Damage:{damage}: {name} takes 0 to {max(DURABILITY[item] - 1, 0)}")
    return item, damage


def block_id(text: str, command: str) -> int:
    """The engine's id of a block as 1.16.5 writes it, ``minecraft:wall_torch[facing=north]``."""
    if "{" in text:
        raise CommandError(f"{command!r}: the engine's blocks hold no data; write {text.partition('{')[0]!r}")
    name, bracket, rest = text.removeprefix("minecraft:").partition("[")
    if name in ("cave_air", "void_air"):
        name = "air"
    if name not in NAMED_BLOCK:
        if name in game_data.BLOCKS:
            close = nearest(name, [n for n in NAMED_BLOCK if n != "air"])
            raise CommandError(f"{command!r}: the engine does not have the block {name!r} of Minecraft; {close}")
        raise CommandError(f"{command!r}: there is no block {name!r}; {nearest(name, NAMED_BLOCK)}")
    states = _split(command, rest.removesuffix("]"), "=") if bracket else []
    own = [block for block, block_name in zip(BLOCKS, BLOCK_NAME, strict=True) if block_name == name]
    chosen = own[0]
    for key, value in states:
        matching = [block for block in own if f"[{key}={value}]" in block]
        if matching:
            chosen = matching[0]
        elif any(f"[{key}=" in block for block in own):
            values = [block.partition("=")[2].removesuffix("]") for block in own]
            raise CommandError(f"{command!r}: {name} has no {key}={value}; {nearest(value, values)}")
        elif key not in LOOKS and PLAIN_STATES.get(key) != value:
            raise CommandError(f"{command!r}: the engine's {name} has no state {key}={value}; leave it out")
    return BLOCK_ID[chosen]


# COMMANDS


def _give(command, arguments, origin):
    _usage(command, arguments, 2, 3, "/give @p <item> [count]")
    _who(command, arguments[0])
    item, damage = _item(command, arguments[1])
    count = _integer(command, "the count", arguments[2], 1, 6400) if len(arguments) > 2 else 1
    return make_row(rows.GIVE, item, count, damage)


def _effect(command, arguments, origin):
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
        return make_row(
            rows.EFFECT_CLEAR, known("effect", arguments[2], EFFECT_ID, command) if len(arguments) > 2 else -1
        )
    _usage(command, arguments, 3, 6, usage)
    _who(command, arguments[1])
    effect = known("effect", arguments[2], EFFECT_ID, command)
    instant = INSTANT_EFFECTS & {arguments[2].removeprefix("minecraft:")}
    seconds = 1 if instant else 30
    if len(arguments) > 3:
        seconds = _integer(command, "seconds", arguments[3], 1, MAX_SECONDS)
    amplifier = _integer(command, "the amplifier", arguments[4], 0, MAX_AMPLIFIER) if len(arguments) > 4 else 0
    if len(arguments) > 5 and arguments[5] not in ("true", "false"):
        raise CommandError(f"{command!r}: hideParticles must be true or false, not {arguments[5]!r}")
    return make_row(rows.EFFECT_GIVE, effect, seconds if instant else seconds * 20, amplifier)


def _old_effect(command: str, arguments: Sequence[str]) -> str:
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


# NBT that a summoned mob may have without any difference here.
SILENT_TAGS = ("PersistenceRequired", "Silent", "CustomName", "CustomNameVisible", "Tags", "OnGround", "Air", "Team")


def _summon(command, arguments, origin):
    _usage(command, arguments, 1, 5, "/summon <entity> [<x> <y> <z>] [nbt]")
    tags = {}
    rest = arguments[1:]
    if rest and rest[-1].startswith("{"):
        tags, rest = _nbt(command, rest[-1]), rest[:-1]
    if len(rest) not in (0, 3):
        raise CommandError(f"{command!r}: a position has three coordinates; write /summon <entity> <x> <y> <z> [nbt]")
    place = _place(command, rest or ["~", "~", "~"], origin)
    if arguments[0].removeprefix("minecraft:") == "item":
        stack = _nbt(command, tags.get("Item", ""))
        item, damage = _item(command, stack.get("id", "").strip("\"'"))
        return make_row(rows.SUMMON_ITEM, item, _tag(command, stack, "Count", 1), damage, *place)
    mob = known("mob", arguments[0], MOB_ID, command)
    allowed = ["Age", "IsBaby", "Health"] + ["Color", "Sheared"] * (MOBS[mob] == "sheep")
    for key in tags:
        if key not in (*allowed, *SILENT_TAGS):
            raise CommandError(f"{command!r}: the engine's {MOBS[mob]} has no {key}; {nearest(key, allowed)}")
    age = _tag(command, tags, "Age") if not _tag(command, tags, "IsBaby") else BABY_AGE
    variant = -1.0
    if "Color" in tags or "Sheared" in tags:
        colour = _tag(command, tags, "Color")
        if not (colour == int(colour) and 0 <= colour < len(COLOURS)):
            raise CommandError(f"{command!r}: Color:{tags['Color']} must be 0 to {len(COLOURS) - 1}")
        variant = colour + (16 if _tag(command, tags, "Sheared") else 0)
    health = _tag(command, tags, "Health")
    if health < 0:
        raise CommandError(f"{command!r}: Health:{tags['Health']} must not be negative")
    return make_row(rows.SUMMON, mob, *place, age, variant, health)


def _execute(command, arguments, origin):
    usage = "/execute as @p at @p run <command>"
    while arguments and arguments[0] != "run":
        branch = arguments[0]
        if branch in ("as", "at") and len(arguments) > 1:
            _who(command, arguments[1])
            if branch == "at":
                origin = "at the player"
            arguments = arguments[2:]
        elif branch == "positioned" and arguments[1:2] == ["as"] and len(arguments) > 2:
            _who(command, arguments[2])
            origin, arguments = "at the player", arguments[3:]
        elif branch == "positioned" and len(arguments) > 3:
            origin, arguments = _place(command, arguments[1:4], origin), arguments[4:]
        elif branch == "in" and arguments[1:2] in (["minecraft:overworld"], ["overworld"]):
            arguments = arguments[2:]
        else:
            raise CommandError(
                f"{command!r}: {branch!r}: only the branches 'as', 'at' and 'positioned' are supported; write {usage}"
            )
    if len(arguments) < 2:
        raise CommandError(f"{command!r}: something is missing; write {usage}")
    return _compile(command, arguments[1:], origin)


def _time(command, arguments, origin):
    usage = "/time set <number|day|noon|night|midnight>, /time add <number> or /time query daytime"
    _usage(command, arguments, 2, 2, usage)
    if arguments[0] == "query" and arguments[1] in ("daytime", "gametime", "day"):
        return make_row(rows.NOTHING)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([dst]?)", arguments[1])
    if arguments[0] == "set" and arguments[1] in TIMES:
        return make_row(rows.TIME_SET, TIMES[arguments[1]])
    if arguments[0] not in ("set", "add") or match is None:
        raise CommandError(f"{command!r}: {' '.join(arguments)!r} is not understood; write {usage}")
    ticks = round(float(match[1]) * {"d": 24000, "s": 20, "t": 1, "": 1}[match[2]])
    return make_row(rows.TIME_SET if arguments[0] == "set" else rows.TIME_ADD, ticks % 24000)


def _clear(command, arguments, origin):
    _usage(command, arguments, 0, 3, "/clear [@p] [item] [most]")
    if arguments:
        _who(command, arguments[0])
    item = _item(command, arguments[1])[0] if len(arguments) > 1 else -1
    most = _integer(command, "the count", arguments[2], 0, 2**31 - 1) if len(arguments) > 2 else 2**31 - 1
    return make_row(rows.CLEAR, item, most)


def _kill(command, arguments, origin):
    _usage(command, arguments, 0, 1, "/kill, /kill @p, /kill @e[type=cow] or /kill @e[type=!player]")
    return make_row(rows.KILL, *select(command, arguments[0] if arguments else "@s"))


def _teleport(command, arguments, origin):
    usage = "/tp [@p] <x> <y> <z> [<yaw> <pitch>]"
    who = arguments.pop(0) if arguments and arguments[0].startswith("@") else "@s"
    if arguments and (arguments[0].startswith("@") or "facing" in arguments):
        raise CommandError(f"{command!r}: only places with coordinates are supported; write {usage}")
    _usage(command, arguments, 3, 5, usage)
    selection = select(command, who)
    if selection[3] > 1:
        raise CommandError(f"{command!r}: {who!r}: a limit other than 1 is not supported here; write limit=1")
    place = _place(command, arguments[:3], origin)
    if len(arguments) == 3:
        return make_row(rows.TELEPORT, *selection, *place)
    if len(arguments) == 4:
        raise CommandError(f"{command!r}: something is missing; write {usage}")
    if selection[0] != rows.SELECT_PLAYER:
        raise CommandError(f"{command!r}: only the player can be turned; write {usage}")
    (relative_yaw, yaw), (relative_pitch, pitch) = (_number(command, word, "angle") for word in arguments[3:])
    return make_row(rows.TELEPORT, *selection, *place, 1 | relative_yaw << 1 | relative_pitch << 2, yaw, pitch)


def _weather(command, arguments, origin):
    _usage(command, arguments, 1, 2, "/weather clear|rain|thunder [seconds]")
    if arguments[0] not in WEATHERS:
        raise CommandError(f"{command!r}: there is no weather {arguments[0]!r}; {nearest(arguments[0], WEATHERS)}")
    kind = WEATHERS.index(arguments[0])
    ticks = WEATHER_TICKS if kind else 0
    if len(arguments) > 1:
        ticks = 20 * _integer(command, "seconds", arguments[1], 0, MAX_SECONDS)
    return make_row(rows.WEATHER, kind, ticks)


def slot_number(text: str, command: str) -> int:
    """A slot as /replaceitem names it -> its number, IN_HAND for the selected one."""
    if text in ("weapon", "weapon.mainhand"):
        return rows.IN_HAND
    if text == "weapon.offhand":
        return OFFHAND
    part, _, number = text.partition(".")
    if part == "armor" and number in ARMOUR_SLOTS:
        return ARMOUR_SLOTS[number]
    first, count = {"hotbar": (0, 9), "inventory": (9, 27), "container": (0, MAIN_SLOTS)}.get(part, (0, 0))
    if number.isdigit() and int(number) < count:
        return first + int(number)
    names = ["weapon.mainhand", "weapon.offhand", *(f"armor.{name}" for name in ARMOUR_SLOTS)]
    names += [f"hotbar.{i}" for i in range(9)] + [f"inventory.{i}" for i in range(27)]
    close = nearest(text, names) if count == 0 else f"{part} goes from 0 to {count - 1}"
    if close.startswith("known"):
        close = "known: weapon.mainhand, weapon.offhand, armor.head ..., hotbar.0 ..., inventory.0 ..., container.0 ..."
    raise CommandError(f"{command!r}: there is no slot {text!r}; {close}")


def _replaceitem(command, arguments, origin):
    usage = "/replaceitem entity @p <slot> <item> [count]"
    if arguments and arguments[0] != "entity":
        raise CommandError(f"{command!r}: only entities can be given items; write {usage}")
    _usage(command, arguments, 4, 5, usage)
    _who(command, arguments[1])
    slot = slot_number(arguments[2], command)
    if arguments[3].removeprefix("minecraft:") == "air":
        return make_row(rows.SET_SLOT, slot, 0, 0, 0)
    item, damage = _item(command, arguments[3])
    count = _integer(command, "the count", arguments[4], 1, int(STACK_SIZE[item])) if len(arguments) > 4 else 1
    return make_row(rows.SET_SLOT, slot, item, count, damage)


def _setblock(command, arguments, origin):
    _usage(command, arguments, 4, 5, "/setblock <x> <y> <z> <block> [destroy|keep|replace]")
    modes = {"replace": rows.REPLACE, "keep": rows.KEEP, "destroy": rows.DESTROY}
    mode = arguments[4] if len(arguments) > 4 else "replace"
    if mode not in modes:
        raise CommandError(f"{command!r}: {mode!r} is no way to set a block; {nearest(mode, modes)}")
    place = _place(command, arguments[:3], origin, block=True)
    return make_row(rows.SET_BLOCK, block_id(arguments[3], command), modes[mode], *place)


def _fill(command, arguments, origin):
    usage = "/fill <x1> <y1> <z1> <x2> <y2> <z2> <block> [replace [block]|keep|hollow|outline|destroy]"
    _usage(command, arguments, 7, 9, usage)
    modes = {
        "replace": rows.REPLACE,
        "keep": rows.KEEP,
        "destroy": rows.DESTROY,
        "hollow": rows.HOLLOW,
        "outline": rows.OUTLINE,
    }
    mode = arguments[7] if len(arguments) > 7 else "replace"
    if mode not in modes:
        raise CommandError(f"{command!r}: {mode!r} is no way to fill; {nearest(mode, modes)}")
    if len(arguments) > 8 and mode != "replace":
        raise CommandError(f"{command!r}: {arguments[8]!r} is one word too many; write {usage}")
    only = block_id(arguments[8], command) if len(arguments) > 8 else -1
    low, high = (_place(command, arguments[i : i + 3], origin, block=True) for i in (0, 3))
    if low[0] != high[0] or low[0] & rows.LOCAL:
        raise CommandError(f"{command!r}: along each axis both corners must be relative (~) or both absolute")
    volume = 1
    for axis, (a, b) in enumerate(zip(low[1:], high[1:], strict=True)):
        relative = int(low[0]) & (1 << axis)  # then it may be one more: it depends on the player's place
        volume *= math.floor(abs(a - b)) + 1 if relative else abs(math.floor(a) - math.floor(b)) + 1
    if volume > rows.MAX_FILL:
        raise CommandError(f"{command!r}: {volume:,} blocks are more than Minecraft's limit of {rows.MAX_FILL:,}")
    return make_row(rows.FILL, block_id(arguments[6], command), modes[mode], only, *low, *high)


def _gamerule(command, arguments, origin):
    _usage(command, arguments, 1, 2, "/gamerule <rule> [value]")
    rule = arguments[0]
    if rule not in GAMERULES and rule not in SILENT_GAMERULES:
        raise CommandError(f"{command!r}: the engine has no game rule {rule!r}; {nearest(rule, GAMERULES)}")
    if len(arguments) == 1:
        return make_row(rows.NOTHING)
    if rule in INTEGER_GAMERULES:
        value = _integer(command, rule, arguments[1], 0, 2**31 - 1)
    elif arguments[1] in ("true", "false"):
        value = arguments[1] == "true"
    else:
        raise CommandError(f"{command!r}: {rule} must be true or false, not {arguments[1]!r}")
    return make_row(rows.NOTHING) if rule in SILENT_GAMERULES else make_row(rows.GAMERULE, GAMERULE_ID[rule], value)


def _fixed(name: str, value: str, instead: str):
    """A command for a setting that the engine has only one of."""

    def compiler(command, arguments, origin):
        _usage(command, arguments, 1, 2, f"/{name} {value}")
        if arguments[0] != value:
            raise CommandError(f"{command!r}: the engine's {name} is always {value}{instead}")
        return make_row(rows.NOTHING)

    return compiler


COMPILERS = {
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
    "replaceitem": _replaceitem,
    "setblock": _setblock,
    "fill": _fill,
    "gamerule": _gamerule,
    "difficulty": _fixed("difficulty", "hard", "; /gamerule doMobSpawning false keeps monsters away"),
    "gamemode": _fixed("gamemode", "survival", ""),
}
