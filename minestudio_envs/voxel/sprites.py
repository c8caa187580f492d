"""Pictures of all items, drawn by code: RGBA uint8 [16, 16, 4], row 0 on top.

An item that is a full block shows its textures, as a little cube seen from above a corner; all others are drawn flat
from a few simple areas (polygons, ellipses, lines) that are shaded and outlined alike. What a name says decides:
``iron_pickaxe`` is a pickaxe of iron. What no rule knows gets a plain shape in a colour of its own.
"""

from functools import cache
from typing import NamedTuple
from zlib import crc32

import numpy as np

from minestudio_envs.voxel import textures as tx
from minestudio_envs.voxel.blocks import COLOURS
from minestudio_envs.voxel.items import ITEM_ID, ITEMS, NUM_ITEMS

RGB = tuple[int, int, int]
Layer = tuple[np.ndarray, RGB]  # an area, bool [16, 16], and its colour
ROWS, COLUMNS = tx.ROWS, tx.COLUMNS

ARM, FLAT, TOOL, CUBE = range(4)  # how an item is held
# Pictures after those of the items: what burns on a mob, the inventory's cursor, digits.
FLAME, POINTER, DIGIT = NUM_ITEMS, NUM_ITEMS + 1, NUM_ITEMS + 2

# AREAS


def poly(*points: tuple[float, float]) -> np.ndarray:
    """Inside of a polygon of (x, y) corners."""
    inside, x, y = np.zeros((16, 16), bool), COLUMNS + 0.5, ROWS + 0.5
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0 if y1 != y0 else 1e-9) + x0)
    return inside


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return (x0 <= COLUMNS) & (x1 > COLUMNS) & (y0 <= ROWS) & (y1 > ROWS)


def disc(x: float, y: float, rx: float, ry: float | None = None) -> np.ndarray:
    return ((COLUMNS + 0.5 - x) / rx) ** 2 + ((ROWS + 0.5 - y) / (ry or rx)) ** 2 <= 1


def line(x0: float, y0: float, x1: float, y1: float, width: float = 1.5) -> np.ndarray:
    """All within half of ``width`` of a segment."""
    x, y, dx, dy = COLUMNS + 0.5 - x0, ROWS + 0.5 - y0, x1 - x0, y1 - y0
    k = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
    return np.hypot(x - k * dx, y - k * dy) <= width / 2


def dots(*places: tuple[int, int]) -> np.ndarray:
    area = np.zeros((16, 16), bool)
    for x, y in places:
        area[y, x] = True
    return area


# DRAWING


def _shifted(area: np.ndarray, dx: int, dy: int) -> np.ndarray:
    padded = np.zeros((18, 18), bool)
    padded[1:17, 1:17] = area
    return padded[1 - dy : 17 - dy, 1 - dx : 17 - dx]


def _shade(image: np.ndarray, area: np.ndarray, colour: RGB) -> None:
    """Fill an area: light from the top left, a dark outline where it is thick enough to have an inside."""
    inner = area & _shifted(area, 1, 0) & _shifted(area, -1, 0) & _shifted(area, 0, 1) & _shifted(area, 0, -1)
    rgb = np.array(colour, float)
    tone = np.full((16, 16), 1.0)
    if inner.sum() >= 4:
        edge = area & ~inner
        light = inner & (_shifted(edge, 1, 0) | _shifted(edge, 0, 1))
        dark = inner & (_shifted(edge, -1, 0) | _shifted(edge, 0, -1))
        tone[dark] = 0.8
        tone[light] = 1.22
        tone[light & dark] = 1.0
        tone[edge] = 0.42
    else:
        tone[area & ~_shifted(area, 1, 0)] = 1.12
        tone[area & ~_shifted(area, -1, 0)] = 0.8
    image[area, :3] = np.clip(rgb * tone[..., None], 0, 255)[area]
    image[area, 3] = 255


def draw(*layers: Layer) -> np.ndarray:
    """RGBA of areas laid over each other."""
    image = np.zeros((16, 16, 4))
    for area, colour in layers:
        _shade(image, area, colour)
    return image.astype(np.uint8)


# LITTLE CUBES

Faces = tuple[str, ...]  # names of textures: side, top, bottom and, if other than the side, front
ITEM_TEXTURES: dict[str, np.ndarray] = {}  # of items that are blocks, but not blocks of the engine


def _texture(name: str) -> np.ndarray:
    return ITEM_TEXTURES[name] if name in ITEM_TEXTURES else tx.texture(name)


WHOLE = ((0, 0, 0, 16, 16, 16),)  # boxes in texels: along the right face's bottom, up, along the left face's bottom
SLAB = ((0, 0, 0, 16, 8, 16),)
STAIRS = ((0, 0, 0, 16, 8, 16), (0, 8, 0, 8, 16, 16))
WALL = ((4, 0, 4, 12, 16, 12), (5, 0, 0, 11, 13, 4), (5, 0, 12, 11, 13, 16))
FENCE = ((6, 0, 1, 10, 16, 5), (6, 0, 11, 10, 16, 15), (7, 11, 0, 9, 14, 16), (7, 4, 0, 9, 7, 16))
GATE = ((7, 3, 0, 9, 16, 2), (7, 3, 14, 9, 16, 16), (7, 4, 2, 9, 7, 14), (7, 11, 2, 9, 14, 14), (7, 4, 6, 9, 14, 10))
CARPET, PLATE_BOX = ((0, 5, 0, 16, 7, 16),), ((1, 5, 1, 15, 7, 15),)
BUTTON, TRAPDOOR = ((5, 6, 6, 11, 10, 10),), ((0, 5, 0, 16, 8, 16),)
CHEST, CACTUS = ((1, 0, 1, 15, 14, 15),), ((1, 0, 1, 15, 16, 15),)
ANVIL = ((2, 0, 2, 14, 4, 14), (4, 4, 5, 12, 10, 11), (3, 10, 0, 13, 16, 16))
HEAD = ((4, 0, 4, 12, 8, 12),)


@cache
def _rays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each texel's line of sight passes: (u, y, v) at s = 0; it goes on by (1, 7 / 8, 1) towards the viewer."""
    a, down = (COLUMNS + 0.5 - 8) / 7, ROWS - 0.0
    u_plus_v = (down - 8) / 3.5  # on the floor y = 0
    return (u_plus_v + a) / 2 * 16, np.zeros((16, 16)), (u_plus_v - a) / 2 * 16


def cube_sprite(faces: Faces, boxes: tuple = WHOLE) -> np.ndarray:
    """Boxes with a block's textures, seen from above a corner, as the hotbar shows block items."""
    side, top, front = (_texture(faces[i]).astype(float) for i in (0, 1, -1 if len(faces) == 4 else 0))
    u0, y0, v0 = _rays()
    image, nearest = np.zeros((16, 16, 4)), np.full((16, 16), -1e9)
    for u_low, y_low, v_low, u_high, y_high, v_high in boxes:
        ends = np.stack([u_high - u0, (y_high - y0) * 8 / 7, v_high - v0])
        enter, axis = ends.min(0), ends.argmin(0)
        leave = np.maximum(np.maximum(u_low - u0, (y_low - y0) * 8 / 7), v_low - v0)
        hit = (enter > leave) & (enter > nearest)
        u, y, v = (np.clip(k, 0, 15.99).astype(int) for k in (u0 + enter, y0 + enter * 7 / 8, v0 + enter))
        for which, texels, shade in (
            (0, side[15 - y, 15 - v], 0.6),
            (1, top[v, u], 1.0),
            (2, front[15 - y, u], 0.8),
        ):
            shown = hit & (axis == which) & (texels[..., 3] > 0)
            image[shown, :3] = texels[shown, :3] * shade
            image[shown, 3] = 255
            nearest[shown] = enter[shown]
    return np.rint(image).astype(np.uint8)


def _item_texture(name: str, image: np.ndarray) -> str:
    """Registers a texture that only items show."""
    ITEM_TEXTURES[name] = tx.rgba(np.asarray(image, float))
    return name


def _seed(name: str) -> int:
    return crc32(name.encode()) % 100000


def _hue(name: str) -> RGB:
    """A colour of its own for a name."""
    bits = crc32(name.encode())
    hue, light = (bits & 0xFFFF) / 65536 * 6, 0.55 + 0.4 * ((bits >> 16) & 255) / 255
    parts = [np.clip(abs((hue - k) % 6 - 3) - 1, 0, 1) for k in (0, 2, 4)]
    return tuple(int(255 * light * (0.35 + 0.65 * p)) for p in parts)


def _pattern(colour: RGB, other: RGB, seed: int) -> np.ndarray:
    """Glazed: a pattern with fourfold symmetry in two colours and white."""
    quarter = np.random.default_rng(seed).integers(0, 4, (8, 8))
    quarter = np.maximum(quarter, quarter.T)
    whole = np.block([[quarter, quarter[:, ::-1]], [quarter[::-1], quarter[::-1, ::-1]]])
    return np.array([colour, np.array(colour) * 0.75, other, (232, 232, 226)], float)[whole]


def _workbench(name: str, wood: RGB, top: RGB, mark: RGB) -> Faces:
    side = tx.planks(wood)
    side[:3] = top
    upper = tx.noisy(top, _seed(name), 0.15)
    upper[tx.RING > 6.6] *= 0.7
    upper[5:11, 5:11] = mark
    front = side.copy()
    front[6:12, 4:12] = mark
    return (
        _item_texture(name, side),
        _item_texture(f"{name}_top", upper),
        "oak_planks",
        _item_texture(f"{name}_front", front),
    )


def _machine(name: str, hole: RGB, base: np.ndarray | None = None) -> Faces:
    side = tx.furnace_side() if base is None else base
    front = side.copy()
    front[5:11, 5:11] = hole
    front[[4, 11], 5:11] *= 0.6
    return (_item_texture(name, side), "furnace_top", "furnace_top", _item_texture(f"{name}_front", front))


_PLAIN_CUBES: dict[str, tuple[str, RGB]] = {  # style and colour
    **dict.fromkeys(("smooth_quartz", "quartz_block"), ("plate", (236, 230, 223))),
    **{"polished_granite": ("plate", (154, 107, 89)), "polished_diorite": ("plate", (193, 193, 195))},
    **{"polished_andesite": ("plate", (132, 135, 134)), "smooth_stone": ("plate", (160, 160, 160))},
    **{"smooth_sandstone": ("soft", (223, 214, 170)), "smooth_red_sandstone": ("soft", (181, 97, 31))},
    **{"chiseled_sandstone": ("carved", (216, 203, 155)), "cut_sandstone": ("plate", (218, 206, 160))},
    **{"chiseled_red_sandstone": ("carved", (183, 96, 27)), "cut_red_sandstone": ("plate", (189, 102, 32))},
    **{"sponge": ("spots", (196, 192, 75)), "wet_sponge": ("spots", (171, 181, 70))},
    **{"note_block": ("carved", (98, 64, 43)), "jukebox": ("carved", (110, 74, 52))},
    **{"purpur_block": ("bricks8", (170, 126, 170)), "purpur_pillar": ("pillar", (172, 128, 172))},
    **{"spawner": ("grate", (40, 54, 68)), "soul_soil": ("rough", (76, 58, 47)), "mycelium": ("soft", (111, 98, 101))},
    **{"basalt": ("pillar", (78, 78, 84)), "polished_basalt": ("pillar", (100, 100, 104))},
    **{"mossy_stone_bricks": ("mossy", (115, 121, 105)), "cracked_stone_bricks": ("cracked", (118, 118, 118))},
    **{"chiseled_stone_bricks": ("carved", (120, 119, 120)), "brown_mushroom_block": ("soft", (149, 112, 81))},
    **{"red_mushroom_block": ("spots", (200, 46, 45)), "mushroom_stem": ("pillar", (203, 196, 185))},
    **{"nether_bricks": ("bricks", (50, 25, 30)), "cracked_nether_bricks": ("cracked", (44, 22, 26))},
    **{"chiseled_nether_bricks": ("carved", (52, 26, 31)), "red_nether_bricks": ("bricks", (76, 10, 14))},
    **{"end_stone": ("rough", (219, 222, 158)), "end_stone_bricks": ("bricks8", (222, 226, 166))},
    **{
        "redstone_lamp": ("grate", (120, 70, 38)),
        "beacon": ("gem", (118, 222, 216)),
        "slime_block": ("gem", (112, 192, 92)),
    },
    **{"command_block": ("grate", (178, 134, 110)), "repeating_command_block": ("grate", (130, 112, 176))},
    **{"chain_command_block": ("grate", (132, 162, 146)), "structure_block": ("grate", (90, 75, 92))},
    **{"jigsaw": ("grate", (80, 70, 82)), "chiseled_quartz_block": ("carved", (232, 227, 218))},
    **{"quartz_bricks": ("bricks8", (235, 229, 222)), "quartz_pillar": ("pillar", (236, 231, 224))},
    **{"prismarine": ("rough", (99, 156, 151)), "prismarine_bricks": ("bricks", (99, 171, 158))},
    **{"dark_prismarine": ("bricks", (52, 92, 76)), "sea_lantern": ("gem", (188, 216, 206))},
    **{"magma_block": ("cracked", (170, 74, 30)), "nether_wart_block": ("rough", (116, 4, 4))},
    **{"warped_wart_block": ("rough", (22, 119, 121)), "bone_block": ("pillar", (226, 222, 196))},
    **{"blue_ice": ("soft", (116, 167, 253)), "dried_kelp_block": ("pillar", (50, 62, 34))},
    **{"honey_block": ("gem", (250, 186, 54)), "honeycomb_block": ("grate", (229, 148, 30))},
    **{
        "ancient_debris": ("carved", (96, 66, 58)),
        "target": ("target", (230, 220, 214)),
        "lodestone": ("carved", (147, 149, 152)),
    },
    **{
        "crying_obsidian": ("spots", (34, 12, 62)),
        "respawn_anchor": ("gem", (76, 26, 146)),
        "shroomlight": ("rough", (240, 146, 70)),
    },
    **{"blackstone": ("rough", (44, 38, 44)), "polished_blackstone": ("plate", (54, 49, 57))},
    **{
        "chiseled_polished_blackstone": ("carved", (54, 49, 57)),
        "polished_blackstone_bricks": ("bricks8", (50, 44, 52)),
    },
    **{"cracked_polished_blackstone_bricks": ("cracked", (46, 40, 46)), "gilded_blackstone": ("gold", (56, 43, 38))},
    **{
        "observer": ("carved", (98, 98, 98)),
        "ender_chest": ("carved", (42, 58, 60)),
        "dragon_egg": ("spots", (16, 10, 22)),
    },
    **{
        "chorus_flower": ("spots", (150, 120, 150)),
        "chorus_plant": ("rough", (94, 58, 94)),
        "end_portal_frame": ("carved", (92, 120, 96)),
    },
    **{
        "composter": ("pillar", (112, 70, 31)),
        "barrel": ("pillar", (134, 100, 58)),
        "scaffolding": ("grate", (174, 136, 76)),
    },
    **{
        "bee_nest": ("spots", (202, 160, 74)),
        "beehive": ("pillar", (158, 128, 76)),
        "enchanting_table": ("carved", (110, 30, 34)),
    },
    **{
        "structure_void": ("grate", (90, 140, 150)),
        "barrier": ("grate", (200, 30, 30)),
        "conduit": ("spots", (160, 140, 112)),
    },
    **{
        "lectern": ("pillar", (170, 134, 80)),
        "grindstone": ("plate", (142, 142, 142)),
        "turtle_egg": ("spots", (226, 222, 190)),
    },
    **{
        "farmland": ("pillar", (110, 76, 48)),
        "shulker_box": ("plate", (140, 98, 140)),
        "end_rod": ("pillar", (230, 226, 216)),
    },
}


def _styled(style: str, colour: RGB, seed: int) -> np.ndarray:
    rgb = np.array(colour)
    image = tx.noisy(colour, seed, 0.1)
    if style == "plate":
        return tx.mineral(colour, seed)
    if style == "rough":
        return tx.stepped(colour, seed, (1.28, 1.1, 0.94, 0.74), (0, 1))
    if style in ("bricks", "bricks8"):
        return tx.masonry(colour, tuple(rgb * 0.72), seed, *((4, 8) if style == "bricks" else (8, 8)))
    if style == "carved":
        image[np.isin(tx.RING.astype(int), (2, 5, 7))] *= 0.68
        image[tx.RING.astype(int) == 3] *= 1.12
    elif style == "pillar":
        image *= np.where(COLUMNS % 4 == 3, 0.78, np.where(COLUMNS % 4 == 1, 1.12, 1))[..., None]
        image[[0, 15]] *= 0.82
    elif style == "grate":
        image[(ROWS % 5 == 0) | (COLUMNS % 5 == 0)] *= 0.55
    elif style == "spots":
        spots = tx.blotches(seed + 7, (1, 1)) > 0.78
        image[spots] = image[spots] * 0.5 + (60 if rgb.mean() < 120 else 0) + (110 if style == "x" else 0)
    elif style == "gem":
        image[tx.RING > 6.6] *= 0.78
        image[tx.RING < 4] = np.minimum(image[tx.RING < 4] * 1.2, 255)
    elif style == "mossy":
        image = tx.masonry((126, 126, 126), (88, 88, 88), 50, 8, 16)
        mossy = tx.blotches(seed, (1, 1)) > 0.5
        image[mossy] *= (0.72, 0.98, 0.5)
    elif style == "cracked":
        image = tx.masonry(colour, tuple(rgb * 0.7), seed, 8, 16)
        image[tx.blotches(seed, (1, 0)) > 0.82] *= 0.55 if colour != (170, 74, 30) else 1.5
    elif style == "gold":
        image[tx.blotches(seed, (1, 1)) > 0.8] = (236, 190, 60)
    elif style == "target":
        image[np.isin(tx.RING.astype(int), (0, 1, 4, 5))] = (206, 54, 46)
    return np.clip(image, 0, 255)


def _cube_faces() -> dict[str, Faces]:
    """The items that are full blocks -> their textures."""
    faces = {name: tx.BLOCK_FACES[name] for name in ITEMS if name in tx.BLOCK_FACES}
    shapes = ("sapling", "torch", "tulip", "mushroom")
    flat = ("grass", "fern", "dead_bush", "sugar_cane", "cobweb", "ladder", "vine", "lily_pad", "snow", "water", "lava")
    flat += (*tx.FLOWERS, "tall_grass", "large_fern")
    faces = {k: v for k, v in faces.items() if k not in flat and not k.endswith(shapes)}
    faces.pop("chest", None), faces.pop("cactus", None), faces.pop("glass", None)
    for wood, (_, _, cut) in tx.WOOD.items():
        nether = wood in ("crimson", "warped")
        log, bark_name = ("stem", "hyphae") if nether else ("log", "wood")
        faces[f"{wood}_planks"] = (f"{wood}_planks",) * 3
        faces[f"{wood}_{log}"] = (f"{wood}_log", f"{wood}_log_top", f"{wood}_log_top")
        faces[f"{wood}_{bark_name}"] = (f"{wood}_log",) * 3
        side = _item_texture(f"stripped_{wood}", tx.noisy(cut, _seed(wood), 0.2, (3, 0)))
        top = _item_texture(f"stripped_{wood}_top", tx.log_top(cut, tuple(np.array(cut) * 0.85)))
        faces[f"stripped_{wood}_{log}"] = (side, top, top)
        faces[f"stripped_{wood}_{bark_name}"] = (side,) * 3
    for name, (style, colour) in _PLAIN_CUBES.items():
        faces[name] = (_item_texture(name, _styled(style, colour, _seed(name))),) * 3
    for i, colour in enumerate(COLOURS):
        for name, rgb, style in (
            (f"{colour}_concrete", tx.CONCRETE[colour], "flat"),
            (f"{colour}_concrete_powder", tuple(np.minimum(np.array(tx.CONCRETE[colour]) * 1.12 + 8, 255)), "rough"),
            (f"{colour}_terracotta", tx.TERRACOTTA[colour], "soft"),
            (f"{colour}_shulker_box", tx.WOOL[colour], "carved"),
        ):
            image = tx.noisy(rgb, _seed(name), 0.03) if style == "flat" else _styled(style, rgb, _seed(name))
            faces[name] = (_item_texture(name, image),) * 3
        name, other = f"{colour}_glazed_terracotta", tx.WOOL[COLOURS[(i + 5) % 16]]
        faces[name] = (_item_texture(name, _pattern(tx.WOOL[colour], other, 300 + i)),) * 3
    for coral, rgb in CORALS.items():
        for name, colour in ((f"{coral}_coral_block", rgb), (f"dead_{coral}_coral_block", (134, 125, 121))):
            faces[name] = (_item_texture(name, _styled("rough", colour, _seed(name))),) * 3
    netherrack = _texture("netherrack")[..., :3].astype(float)
    for name, colour in (("crimson_nylium", (134, 32, 32)), ("warped_nylium", (44, 116, 102))):
        top = tx.noisy(colour, _seed(name), 0.3)
        side = netherrack.copy()
        side[ROWS < tx.HANGS] = top[ROWS < tx.HANGS]
        faces[name] = (_item_texture(name, side), _item_texture(f"{name}_top", top), "netherrack")
    for name, colour in (("nether_gold_ore", (250, 214, 74)), ("nether_quartz_ore", (228, 220, 208))):
        image, spots = netherrack.copy(), tx.blotches(_seed(name), (1, 1)) > 0.8
        image[spots] = colour
        faces[name] = (_item_texture(name, image),) * 3
    path = tx.covered_dirt(tx.noisy((152, 124, 70), 311, 0.15))
    faces["grass_path"] = (
        _item_texture("grass_path", path),
        _item_texture("grass_path_top", tx.noisy((152, 124, 70), 312, 0.2)),
        "dirt",
    )
    mycelium = _texture("mycelium")[..., :3].astype(float)
    faces["mycelium"] = (_item_texture("mycelium_side", tx.covered_dirt(mycelium)), "mycelium", "dirt")
    lit = tx.carved_pumpkin()
    lit[(lit.sum(-1) < 120)] = (255, 224, 90)
    faces["jack_o_lantern"] = ("pumpkin_side", "pumpkin_top", "pumpkin_top", _item_texture("jack_o_lantern", lit))
    faces["dispenser"] = _machine("dispenser", (30, 30, 30))
    faces["dropper"] = _machine("dropper", (60, 44, 44))
    faces["smoker"] = _machine("smoker", (140, 84, 40), tx.planks((104, 82, 56)))
    faces["blast_furnace"] = _machine("blast_furnace", (60, 58, 64), tx.mineral((112, 112, 116), 313))
    piston = tx.cobblestone()
    piston[:4] = tx.planks((162, 130, 78))[:4]
    side = _item_texture("piston", piston)
    faces["piston"] = (side, "oak_planks", "cobblestone")
    slime = tx.planks((162, 130, 78))
    slime[3:13, 3:13] = (116, 178, 92)
    faces["sticky_piston"] = (side, _item_texture("sticky_piston", slime), "cobblestone")
    faces["loom"] = _workbench("loom", (170, 138, 86), (196, 172, 130), (224, 214, 196))
    faces["cartography_table"] = _workbench("cartography_table", (66, 44, 22), (208, 196, 150), (96, 140, 80))
    faces["fletching_table"] = _workbench("fletching_table", (196, 178, 124), (206, 190, 138), (120, 78, 44))
    faces["smithing_table"] = _workbench("smithing_table", (60, 44, 36), (62, 62, 74), (106, 108, 122))
    faces["stonecutter"] = _workbench("stonecutter", (124, 124, 124), (140, 140, 140), (200, 200, 204))
    for stone in (
        "stone",
        "cobblestone",
        "stone_bricks",
        "mossy_stone_bricks",
        "cracked_stone_bricks",
        "chiseled_stone_bricks",
    ):
        faces[f"infested_{stone}"] = faces[stone]
    faces["netherite_block"] = ("netherite_block",) * 3
    for name in ("conduit", "turtle_egg", "end_rod", "barrier", "structure_void", "grindstone", "chorus_plant"):
        faces.pop(name, None)  # drawn flat
    return {name: value for name, value in faces.items() if name in ITEM_ID}


CORALS: dict[str, RGB] = {
    "tube": (49, 87, 206),
    "brain": (207, 91, 159),
    "bubble": (165, 26, 162),
    "fire": (176, 38, 48),
    "horn": (216, 199, 66),
}
CUBE_FACES = _cube_faces()


def _material(stem: str) -> Faces | None:
    """The block that a part block (stairs, slab, wall, ...) is made of."""
    special = {
        "petrified_oak": "oak_planks",
        "smooth_quartz": "smooth_quartz",
        "quartz": "quartz_block",
        "purpur": "purpur_block",
        "light_weighted": "gold_block",
        "heavy_weighted": "iron_block",
        "iron": "iron_block",
    }
    for name in (special.get(stem, stem), f"{stem}s", f"{stem}_planks", f"{stem}_block"):
        if name in CUBE_FACES:
            return CUBE_FACES[name]
    return None


_PARTS = {
    "_stairs": STAIRS,
    "_slab": SLAB,
    "_wall": WALL,
    "_fence_gate": GATE,
    "_fence": FENCE,
    "_button": BUTTON,
    "_pressure_plate": PLATE_BOX,
    "_trapdoor": TRAPDOOR,
}

# FLAT SPRITES

BROWN, WOODEN, STEEL = (104, 78, 30), (137, 103, 39), (222, 222, 222)
TOOL_MATERIALS: dict[str, RGB] = {
    "wooden": (150, 116, 56),
    "stone": (146, 146, 146),
    "iron": (222, 222, 222),
    "golden": (238, 214, 62),
    "diamond": (74, 237, 217),
    "netherite": (92, 82, 88),
}
ARMOUR_MATERIALS: dict[str, RGB] = {
    **TOOL_MATERIALS,
    "leather": (164, 104, 66),
    "chainmail": (150, 150, 156),
    "turtle": (76, 186, 80),
}
HANDLE = line(1.5, 14.5, 11, 5, 2.2)


def _tool(kind: str, colour: RGB) -> np.ndarray:
    dark = tuple(int(0.8 * c) for c in colour)
    if kind == "sword":
        return draw(
            (poly((16, 0), (16, 2.6), (6.4, 11.9), (4.1, 9.6), (13.4, 0)), colour),
            (line(2.5, 7.5, 8.5, 13.5, 2.2), dark),
            (line(1.5, 14.5, 4.5, 11.5, 2.2), BROWN),
            (disc(1.5, 14.5, 1.5), dark),
        )
    heads = {
        "pickaxe": poly((3, 0.5), (9, 0.5), (15.5, 7), (15.5, 13), (13, 13), (12.5, 8), (8, 3.5), (3, 3)),
        "axe": poly((6, 1), (10, 0.5), (14, 4), (15.5, 6), (12, 10.5), (10.5, 8), (7.5, 6.5), (4.5, 5.5)),
        "shovel": poly((9.5, 2), (13, 0.5), (15.5, 3), (14, 6.5), (11.5, 7.5), (8.5, 4.5)),
        "hoe": poly((5, 0.5), (11, 0.5), (15.5, 5), (13.5, 7), (10, 3.5), (5, 3.5)),
    }
    return draw((HANDLE, BROWN), (heads[kind], colour))


def _armour(part: str, colour: RGB, mesh: bool) -> np.ndarray:
    areas = {
        "helmet": poly(
            (3, 3), (13, 3), (14.5, 5), (14.5, 13), (10.5, 13), (10.5, 8.5), (5.5, 8.5), (5.5, 13), (1.5, 13), (1.5, 5)
        ),
        "chestplate": poly(
            (1, 1),
            (5, 1),
            (6, 3.5),
            (10, 3.5),
            (11, 1),
            (15, 1),
            (16, 7),
            (13, 8),
            (13, 15.5),
            (3, 15.5),
            (3, 8),
            (0, 7),
        ),
        "leggings": poly((2.5, 0.5), (13.5, 0.5), (14, 15.5), (9.5, 15.5), (8.7, 6), (7.3, 6), (6.5, 15.5), (2, 15.5)),
        "boots": box(1, 4, 6, 13) | box(0, 9, 6, 13) | box(10, 4, 15, 13) | box(10, 9, 16, 13),
    }
    image = draw((areas[part], colour))
    if mesh:
        holes = (image[..., 3] > 0) & ((ROWS + COLUMNS) % 3 == 0)
        image[holes, :3] = image[holes, :3] // 2
    return image


_TEXTS = {
    "ingot": """
................ ................ ................ ................ .........oooo... .....oooolllko..
.oooollllllmko.. oLLLLllllmmmko.. ollllmmmmkkkdo.. omdddddddddddo.. .omddddddddddo.. ..oooddddddooo..
.....oooooo..... ................ ................ ................""",
    "gem": """
................ ................ ....oooooooo.... ...oLlllllmko... ..oLLLlllmmmko.. .oLLLLllmmmmkko.
.olllllmmmmkkdo. .omllllmmmkkkdo. ..omlllmmkkkdo.. ...omllmmkkdo... ....omlmmkdo.... .....ommkdo.....
......omdo...... .......oo....... ................ ................""",
    "emerald": """
................ .......oo....... ......oLko...... .....oLlmko..... .....oLlmko..... ....oLLlmkko....
....oLllmmko.... ....oLllmmko.... ....olllmmko.... ....olllmkdo.... ....olmmmkdo.... .....ommkdo.....
.....omkkdo..... ......omdo...... .......oo....... ................""",
    "coal": """
................ ................ ................ ......oooo...... ....oommmkoo.... ...omLlmmkkko...
..omLlmmkkmkko.. ..omlmmkklmkdo.. .okmmmkkLlmkkdo. .okmkkkmlmmkddo. .odkkkmmmmkkddo. ..odkkkkkkkddo..
...ooddddddoo... .....oooooo..... ................ ................""",
    "leather": """
................ ................ ..ooo....ooo.... .ommmoooommlo... .omllmmmmllmko.. ..omlllmmmlmkko.
..ommllmmmmmkdo. .omlmmmmmmmkkdo. .ommlmmmmkmmkdo. ..omlmmmmmkkddo. ..ommmmmmkkkdo.. .ommmkmmkkkddo..
.okkmoookkddddo. ..ooo...odddoo.. .........ooo.... ................""",
    "meat": """
................ ................ .......ooooo.... .....oollllmoo.. ....ollLLlmmmko. ...olLLwwLlmmko.
..olLwwwwLlmmko. ..olLwwLLlmmkdo. .olLLLLllmmmkdo. .ollllLlmmmkdo.. .ommlllmmmkkdo.. .okmmmmmmkkdo...
..okkkkkkkddo... ...oodddddoo.... .....ooooo...... ................""",
    "apple": """
................ ........bb...... .......bb..g.... .......b.ggg.... ...ooo.boogo.... ..olllobollmo...
.olLLllmmmmmko.. .olLLlmmmmmmko.. .olLlmmmmmmkko.. .olllmmmmmmkko.. .ommmmmmmmkkdo.. ..ommmmmmkkdo...
..okmmmmkkkdo... ...okkkkkddo.... ....oodooddo.... ......o..oo.....""",
    "bread": """
................ ................ ................ ..........ooo... ........oolllo.. ......oolLlmmko.
....oolLlommkko. ...olLlommkomko. ..olLlommkommkdo .olLlommkommkkdo .ollommkommkkdo. .ommmkommkkddo..
.okmkommkkddo... ..okkkkkdddo.... ...oodddoo...... .....ooo........""",
    "wheat": """
................ ............yo.. ...........yLyo. ......y...yLyo.. .....yLy.yLyg... ......yLyLyg....
...y...yLyLy.y.. ..yLy..yLyyyLy.. ...yLyyLyyLyg... ....yLyLyLyg.... .....gyyyyg..... .....gggggg.....
....gGgGg....... ...gGgGg........ ..gGg.Gg........ ...g..g.........""",
}


def _shades(light: RGB, mid: RGB, dark: RGB, outline: RGB) -> dict[str, RGB]:
    """The letters of the texts above: L l m k d from light to dark, o the outline, w white."""
    light_, mid_, dark_ = np.array(light), np.array(mid), np.array(dark)
    colours = {"L": light_, "l": (light_ + mid_) // 2, "m": mid_, "k": (mid_ + dark_) // 2, "d": dark_}
    return {**{key: tuple(int(c) for c in value) for key, value in colours.items()}, "o": outline, "w": (236, 226, 214)}


def _from_colour(text: str, colour: RGB, **more: RGB) -> np.ndarray:
    rgb = np.array(colour)
    palette = _shades(tuple(np.minimum(rgb * 1.25 + 40, 255)), colour, tuple(rgb * 0.58), tuple(rgb * 0.3))
    return tx.drawing(_TEXTS[text], {**palette, **more})


def _bottle(liquid: RGB | None, neck: RGB = (200, 214, 224)) -> np.ndarray:
    layers = [(disc(8, 10.5, 5), (206, 220, 230)), (box(6, 2, 10, 7), neck), (box(6, 1, 10, 3), (150, 108, 60))]
    if liquid is not None:
        layers.append((disc(8, 11, 3.6) & (ROWS >= 9), liquid))
    return draw(*layers)


def _bucket(content: RGB | None, fish: RGB | None = None) -> np.ndarray:
    image = draw(
        (poly((2, 3.5), (14, 3.5), (12, 15.5), (4, 15.5)), (206, 206, 206)), (disc(8, 4.2, 5.8, 2.2), (120, 120, 124))
    )
    if content is not None:
        image[disc(8, 4.4, 4.6, 1.5)] = (*content, 255)
    if fish is not None:
        image[disc(8, 3.4, 3, 2.4)] = (*fish, 255)
        image[3, 9] = (20, 20, 20, 255)
    return image


def _egg(colour: RGB, spots: RGB | None = None) -> np.ndarray:
    layers = [(poly((8, 1), (11, 4), (13, 9), (12, 13), (8, 15.5), (4, 13), (3, 9), (5, 4)), colour)]
    image = draw(*layers)
    if spots is not None:
        for x, y in ((6, 5), (9, 4), (10, 8), (5, 9), (7, 12), (10, 11), (8, 7)):
            image[y : y + 2, x] = (*spots, 255)
            image[y, x + 1] = (*spots, 255)
    return image


def _pile(colour: RGB) -> np.ndarray:
    return draw((poly((8, 4), (11, 8), (15, 13), (13, 14.5), (3, 14.5), (1, 13), (5, 8)), colour))


def _seeds(colour: RGB) -> np.ndarray:
    image = np.zeros((16, 16, 4), np.uint8)
    for x, y in ((4, 3), (9, 4), (6, 7), (11, 8), (3, 10), (8, 11), (12, 12)):
        image |= draw((disc(x + 0.5, y + 0.5, 1.6, 1.4), colour))
    return image


def _fish(colour: RGB, belly: RGB) -> np.ndarray:
    return draw(
        (poly((10, 1.5), (14.5, 3), (15, 8), (8, 13.5), (4, 12.5), (4, 9)), colour),
        (line(6, 12.5, 12, 7, 2), belly),
        (poly((1, 10), (4.5, 10.5), (6, 13), (4, 15.5), (0.5, 14.5)), colour),
        (dots((12, 4)), (20, 20, 20)),
    )


def _stew(content: RGB) -> np.ndarray:
    bowl = poly((0.5, 6.5), (15.5, 6.5), (13.5, 12), (10.5, 14.5), (5.5, 14.5), (2.5, 12))
    return draw((bowl, (112, 76, 40)), (disc(8, 7, 6.6, 2), content))


def _minecart(content: RGB | None) -> np.ndarray:
    layers = [
        (poly((0.5, 5.5), (15.5, 5.5), (13.5, 13), (2.5, 13)), (126, 128, 140)),
        (disc(4, 13.5, 1.6), (60, 60, 60)),
        (disc(12, 13.5, 1.6), (60, 60, 60)),
    ]
    if content is not None:
        layers.insert(0, (box(3, 1, 13, 8), content))
    return draw(*layers)


def _door(colour: RGB) -> np.ndarray:
    window = tuple(int(0.5 * c) for c in colour)
    return draw(
        (box(3, 0, 13, 16), colour),
        (box(5, 2, 11, 6), window),
        (box(5, 9, 11, 14), tuple(int(0.85 * c) for c in colour)),
        (dots((11, 8)), (40, 34, 26)),
    )


def _disc(colour: RGB) -> np.ndarray:
    return draw(
        (disc(8, 8.5, 7.5, 6.5), (44, 40, 44)),
        (disc(8, 8.5, 3.2, 2.8), colour),
        (dots((7, 8), (8, 8)), (230, 230, 230)),
    )


def _ball(colour: RGB, radius: float = 5.6) -> np.ndarray:
    return draw((disc(8, 8.5, radius), colour))


def _book(colour: RGB) -> np.ndarray:
    return draw(
        (poly((2, 4), (10, 1), (15, 8.5), (7, 13.5)), colour),
        (poly((2, 5), (7, 13), (7, 15.5), (1.5, 8)), (232, 226, 210)),
    )


def _bow(cross: bool) -> np.ndarray:
    if cross:
        return draw(
            (line(2, 14, 11, 5, 2.6), WOODEN),
            (line(3.5, 3.5, 10, 2, 2), WOODEN),
            (line(13.5, 5.5, 12.5, 12, 2), WOODEN),
            (line(3.5, 4, 12, 12, 1), (222, 222, 222)),
            (line(9, 2.5, 13.5, 6.5, 2), (150, 150, 150)),
        )
    arc = disc(10.5, 10.5, 10) & ~disc(11.5, 11.5, 8.8) & (ROWS + COLUMNS < 17)
    return draw((line(2, 14.5, 14.5, 2, 1), (214, 214, 214)), (arc, WOODEN))


def _arrow(head: RGB) -> np.ndarray:
    return draw(
        (line(2.5, 13.5, 13, 3, 1.4), WOODEN),
        (poly((15.8, 0.2), (15.5, 4.5), (11.5, 0.5)), head),
        (line(0.8, 13, 3.2, 15.2, 1.2), (230, 230, 230)),
        (line(1.5, 11.5, 4.5, 14.5, 1.2), (210, 210, 210)),
    )


def _skull(colour: RGB, eyes: RGB) -> np.ndarray:
    return draw(
        (box(2, 2, 14, 14), colour),
        (box(4, 7, 7, 9) | box(9, 7, 12, 9), eyes),
        (box(6, 11, 10, 12), tuple(int(0.6 * c) for c in colour)),
    )


def _rail(bars: RGB, middle: RGB | None) -> np.ndarray:
    sleepers = np.zeros((16, 16), bool)
    for row in (1, 5, 9, 13):
        sleepers |= box(1, row, 15, row + 2)
    layers = [(sleepers, (110, 84, 48)), (box(3, 0, 5, 16), bars), (box(11, 0, 13, 16), bars)]
    if middle is not None:
        layers.append((box(7, 0, 9, 16), middle))
    return draw(*layers)


def _boat(colour: RGB) -> np.ndarray:
    inside = tuple(int(0.6 * c) for c in colour)
    return draw(
        (poly((0.5, 6), (15.5, 6), (13.5, 13), (2.5, 13)), colour),
        (box(3, 7, 13, 9), inside),
        (line(12, 1, 9, 10, 1.4), (150, 116, 66)),
    )


def _bed(colour: RGB) -> np.ndarray:
    return draw(
        (poly((0.5, 7.5), (9, 3.5), (15.5, 7), (15.5, 10.5), (7, 15), (0.5, 11)), colour),
        (poly((0.5, 7.5), (4.5, 5.5), (10, 9), (6.5, 11.5)), (236, 236, 236)),
        (line(1.2, 11, 1.2, 14, 1.6), WOODEN),
        (line(14.6, 10.5, 14.6, 13, 1.6), WOODEN),
    )


def _banner(colour: RGB) -> np.ndarray:
    return draw((box(7, 0, 9, 16), WOODEN), (box(3, 1, 13, 13), colour), (box(2, 0, 14, 2), (120, 90, 50)))


def _sign(colour: RGB) -> np.ndarray:
    return draw(
        (box(7, 9, 9, 16), BROWN), (box(1, 1, 15, 10), colour), (box(3, 3, 13, 4) | box(3, 6, 11, 7), (50, 38, 22))
    )


def _stained(colour: RGB) -> np.ndarray:
    """Coloured glass: every texel shows, paler than its frame."""
    image = np.empty((16, 16, 4))
    image[:] = (*(np.array(colour) * 0.55 + 100), 255)
    image[tx.RING == 7.5] = (*colour, 255)
    image[dots((4, 3), (3, 4), (5, 3), (3, 5), (12, 11), (11, 12))] = (*(np.array(colour) * 0.3 + 178), 255)
    return np.clip(image, 0, 255).astype(np.uint8)


def _drum(colour: RGB) -> np.ndarray:
    """A bird's leg with its bone."""
    return draw(
        (line(1.8, 14.2, 6, 10, 2.2), (232, 224, 204)),
        (disc(1.8, 13, 1.3) | disc(3, 14.4, 1.3), (240, 234, 216)),
        (disc(9.8, 6.4, 5.6, 5), colour),
    )


def _horse_armour(colour: RGB) -> np.ndarray:
    return draw(
        (
            poly(
                (1, 1),
                (5, 1),
                (6, 5),
                (13, 5),
                (15, 8),
                (14.5, 14.5),
                (11, 14.5),
                (10.5, 10),
                (6, 10),
                (5.5, 14.5),
                (2, 14.5),
            ),
            colour,
        )
    )


_SPAWN_COLOURS: dict[str, tuple[RGB, RGB]] = {
    "cow": ((68, 54, 38), (161, 161, 161)),
    "pig": ((240, 165, 162), (219, 99, 95)),
    "sheep": ((231, 231, 231), (255, 181, 181)),
    "chicken": ((161, 161, 161), (255, 0, 0)),
    "zombie": ((0, 175, 175), (121, 156, 101)),
    "skeleton": ((193, 193, 193), (73, 73, 73)),
    "creeper": ((13, 167, 11), (10, 10, 10)),
    "spider": ((52, 45, 39), (168, 14, 14)),
    "enderman": ((22, 22, 22), (90, 10, 100)),
    "slime": ((81, 160, 62), (126, 191, 110)),
    "villager": ((86, 60, 51), (189, 139, 114)),
    "wolf": ((215, 211, 211), (206, 175, 150)),
}
_INGOTS = {
    "iron_ingot": (216, 216, 216),
    "gold_ingot": (250, 214, 62),
    "netherite_ingot": (88, 78, 84),
    "brick": (176, 92, 72),
    "nether_brick": (64, 32, 38),
}
_MEATS = {
    "beef": (214, 62, 56),
    "cooked_beef": (136, 82, 50),
    "porkchop": (240, 140, 136),
    "cooked_porkchop": (188, 140, 88),
    "mutton": (206, 84, 72),
    "cooked_mutton": (150, 98, 60),
    "rabbit": (226, 160, 140),
    "cooked_rabbit": (180, 124, 76),
    "rotten_flesh": (150, 84, 50),
}
_PILES = {
    "gunpowder": (114, 114, 114),
    "glowstone_dust": (236, 204, 90),
    "redstone": (204, 16, 10),
    "sugar": (240, 240, 246),
    "blaze_powder": (240, 150, 30),
    "bone_meal": (232, 230, 220),
}
_BALLS = {
    "snowball": (240, 250, 252),
    "slime_ball": (126, 196, 110),
    "ender_pearl": (22, 110, 100),
    "clay_ball": (164, 170, 184),
    "magma_cream": (226, 136, 40),
    "ender_eye": (90, 190, 120),
    "heart_of_the_sea": (34, 132, 190),
    "fire_charge": (150, 80, 30),
    "firework_star": (120, 120, 120),
    "popped_chorus_fruit": (190, 140, 186),
    "chorus_fruit": (142, 96, 140),
}
_SEEDS = {
    "wheat_seeds": (92, 160, 40),
    "pumpkin_seeds": (226, 212, 160),
    "melon_seeds": (90, 72, 50),
    "beetroot_seeds": (176, 140, 96),
    "cocoa_beans": (120, 70, 34),
    "nether_wart": (150, 26, 30),
}
_GEMS = {
    "diamond": (94, 236, 224),
    "quartz": (234, 226, 216),
    "lapis_lazuli": (44, 88, 190),
    "prismarine_crystals": (190, 226, 214),
    "nether_star": (236, 236, 220),
    "netherite_scrap": (112, 78, 68),
    "scute": (86, 186, 82),
    "echo": (20, 30, 40),
}


@cache
def _single() -> dict[str, tuple[Layer, ...]]:
    """Items that are drawn one by one."""
    w, wood = WOODEN, BROWN
    return {
        "stick": ((line(2, 14, 13.5, 2.5, 2.2), wood),),
        "blaze_rod": ((line(2, 14, 13.5, 2.5, 2.4), (246, 176, 30)),),
        "debug_stick": ((line(2, 14, 13.5, 2.5, 2.2), (150, 110, 160)),),
        "bone": (
            (line(4, 12, 12, 4, 2.6), (228, 224, 206)),
            (disc(3, 11.5, 1.8) | disc(4.5, 13, 1.8), (236, 232, 214)),
            (disc(11.5, 3, 1.8) | disc(13, 4.5, 1.8), (236, 232, 214)),
        ),
        "string": (
            (
                line(2, 12, 8, 9, 1.3) | line(8, 9, 5, 4, 1.3) | line(5, 4, 13, 2, 1.3) | line(8, 9, 13, 13, 1.3),
                (226, 226, 226),
            ),
        ),
        "feather": (
            (poly((14.5, 1), (15, 5), (9, 11.5), (5, 12), (5.5, 8)), (238, 238, 238)),
            (line(1.5, 14.8, 10, 6, 1.2), (180, 180, 180)),
        ),
        "flint": ((poly((4, 2), (10, 3), (13.5, 9), (11, 14), (6, 13), (3, 8)), (66, 64, 64)),),
        "paper": (
            (poly((3, 3), (12, 1), (14, 12), (5, 15)), (236, 236, 228)),
            (line(5, 6, 11, 4.8, 1) | line(5.5, 9, 12, 7.5, 1), (190, 190, 184)),
        ),
        "map": ((box(1, 1, 15, 15), (224, 206, 158)), (box(4, 4, 12, 12), (236, 222, 182))),
        "filled_map": (
            (box(1, 1, 15, 15), (224, 206, 158)),
            (disc(7, 8, 3.4), (96, 150, 70)),
            (disc(11, 11, 2), (70, 110, 190)),
        ),
        "shears": (
            (line(3, 3, 12, 8, 2.4), STEEL),
            (line(8, 13, 12.5, 3, 2.4), STEEL),
            (disc(4, 12, 2.6) & ~disc(4, 12, 1.2), (140, 50, 40)),
        ),
        "flint_and_steel": (
            (disc(5, 5.5, 4.5) & ~disc(6, 6.5, 2.6), STEEL),
            (poly((9, 7), (14, 9), (13.5, 14.5), (8, 13)), (66, 64, 64)),
        ),
        "fishing_rod": (
            (line(2, 14.5, 13.5, 2.5, 1.8), w),
            (line(13.8, 2.5, 14.2, 11, 1), (230, 230, 230)),
            (dots((14, 12), (13, 12)), (200, 40, 30)),
        ),
        "carrot_on_a_stick": (
            (line(2, 14.5, 12, 3, 1.8), w),
            (line(12.5, 3, 13, 8, 1), (230, 230, 230)),
            (line(13, 9, 13, 13, 2.4), (244, 138, 30)),
        ),
        "warped_fungus_on_a_stick": (
            (line(2, 14.5, 12, 3, 1.8), w),
            (line(12.5, 3, 13, 8, 1), (230, 230, 230)),
            (disc(13, 10.5, 2.4), (30, 150, 140)),
        ),
        "compass": (
            (disc(8, 8.5, 7), (150, 150, 154)),
            (disc(8, 8.5, 4.8), (60, 60, 64)),
            (line(8, 8.5, 11, 5.5, 1.6), (220, 40, 30)),
            (line(5.5, 11, 8, 8.5, 1.2), (220, 220, 220)),
        ),
        "clock": (
            (disc(8, 8.5, 7), (238, 206, 62)),
            (disc(8, 8.5, 4.6) & (COLUMNS < 8), (70, 110, 220)),
            (disc(8, 8.5, 4.6) & (COLUMNS >= 8), (26, 26, 60)),
            (disc(6, 7.5, 1.4), (250, 230, 90)),
        ),
        "bowl": ((poly((0.5, 6.5), (15.5, 6.5), (13.5, 12), (10.5, 14.5), (5.5, 14.5), (2.5, 12)), (112, 76, 40)),),
        "saddle": (
            (poly((2, 2), (13, 2), (15, 6), (10.5, 9), (8, 7), (4, 8)), (148, 76, 36)),
            (line(6, 8, 5, 14, 1.6) | line(9.5, 8, 10, 14, 1.6), (110, 110, 110)),
        ),
        "lead": ((disc(9, 7, 6) & ~disc(9, 7, 4.2), (150, 116, 84)), (line(2, 14.5, 6, 10, 2), (130, 98, 70))),
        "name_tag": (
            (poly((2, 6), (6, 3), (15, 10), (11.5, 15), (2, 9)), (206, 186, 140)),
            (line(0.5, 2, 4, 6, 1.2), (150, 110, 70)),
        ),
        "painting": (
            (box(1, 2, 15, 14), (150, 108, 60)),
            (box(3, 4, 13, 12), (120, 180, 220)),
            (box(3, 8, 13, 12), (90, 150, 70)),
            (disc(10, 6, 1.4), (250, 220, 90)),
        ),
        "item_frame": ((box(2, 2, 14, 14), (150, 108, 60)), (box(4, 4, 12, 12), (190, 140, 90))),
        "flower_pot": (
            (poly((3.5, 6), (12.5, 6), (11, 14.5), (5, 14.5)), (150, 76, 54)),
            (box(3, 5, 13, 8), (168, 88, 62)),
        ),
        "armor_stand": (
            (box(7, 3, 9, 13), w),
            (box(4, 5, 12, 7), w),
            (disc(8, 2.5, 2), w),
            (box(3, 13, 13, 15), (150, 150, 150)),
        ),
        "carrot": (
            (poly((6, 5), (10.5, 7.5), (8, 12), (1.5, 15), (3, 9)), (244, 138, 30)),
            (line(9, 6.5, 14, 2, 2) | line(9, 6.5, 10, 1.5, 1.6) | line(9, 6.5, 14.5, 6, 1.6), (64, 150, 40)),
        ),
        "golden_carrot": (
            (poly((6, 5), (10.5, 7.5), (8, 12), (1.5, 15), (3, 9)), (246, 214, 70)),
            (line(9, 6.5, 14, 2, 2) | line(9, 6.5, 10, 1.5, 1.6), (190, 160, 40)),
        ),
        "beetroot": (
            (disc(6.5, 10, 4.8), (164, 40, 50)),
            (line(9, 7, 14, 1.5, 1.8) | line(9, 7, 14.5, 5, 1.6), (76, 150, 50)),
        ),
        "potato": ((disc(8, 9, 6.2, 4.8), (216, 176, 88)),),
        "baked_potato": ((disc(8, 9, 6.2, 4.8), (190, 136, 60)), (line(5, 7, 11, 9, 1.8), (250, 224, 130))),
        "poisonous_potato": ((disc(8, 9, 6.2, 4.8), (180, 186, 84)),),
        "cookie": (
            (disc(8, 8.5, 6.4), (206, 140, 72)),
            (disc(6, 6.5, 1.2) | disc(10, 8, 1.2) | disc(7, 11, 1.2), (86, 46, 24)),
        ),
        "cake": (
            (poly((1, 6.5), (15, 6.5), (15, 14), (1, 14)), (178, 108, 60)),
            (poly((3, 3), (13, 3), (15, 7), (15, 9), (1, 9), (1, 7)), (244, 240, 236)),
            (dots((5, 5), (9, 4), (11, 6), (7, 7)), (214, 40, 36)),
        ),
        "pumpkin_pie": (
            (poly((1, 7), (5, 3.5), (12, 3.5), (15, 7), (13, 13), (3, 13)), (222, 146, 66)),
            (disc(8, 7.5, 5.4, 2.6), (240, 170, 84)),
        ),
        "melon_slice": (
            (poly((0.5, 5), (15.5, 5), (12.5, 11), (8, 14), (3.5, 11)), (96, 156, 50)),
            (poly((2, 5), (14, 5), (11.5, 10), (8, 12), (4.5, 10)), (216, 58, 42)),
            (dots((5, 7), (8, 8), (10, 6)), (40, 20, 16)),
        ),
        "glistering_melon_slice": (
            (poly((0.5, 5), (15.5, 5), (12.5, 11), (8, 14), (3.5, 11)), (240, 206, 70)),
            (poly((2, 5), (14, 5), (11.5, 10), (8, 12), (4.5, 10)), (226, 92, 52)),
        ),
        "sweet_berries": (
            (line(8, 8, 9, 1.5, 1.4), (70, 120, 40)),
            (disc(5, 9, 2.7), (206, 30, 40)),
            (disc(10.5, 11, 2.7), (186, 20, 34)),
            (disc(11, 5.5, 2.3), (216, 40, 46)),
        ),
        "dried_kelp": ((poly((6, 1), (10, 2), (12, 8), (10, 15), (5, 14), (7, 8)), (60, 72, 40)),),
        "kelp": (
            (line(8, 15.5, 8, 1, 2), (70, 130, 36)),
            (line(8, 12, 12.5, 9, 2) | line(8, 8, 3.5, 6, 2) | line(8, 4, 12, 2, 2), (90, 150, 44)),
        ),
        "spider_eye": ((disc(8, 8.5, 5.6), (150, 40, 50)), (disc(9.5, 7, 2), (230, 170, 160))),
        "fermented_spider_eye": (
            (disc(8, 8.5, 5.6), (170, 100, 80)),
            (disc(9.5, 7, 2), (210, 190, 120)),
            (box(4, 11, 8, 13), (120, 120, 60)),
        ),
        "ghast_tear": ((poly((8, 1.5), (12, 9), (10.5, 13.5), (5.5, 13.5), (4, 9)), (224, 236, 236)),),
        "phantom_membrane": ((poly((2, 4), (13, 1.5), (14, 6), (9, 9), (10, 14), (4, 13)), (208, 200, 184)),),
        "rabbit_hide": ((poly((3, 2), (13, 3), (12, 13), (8, 11.5), (4, 14)), (200, 160, 110)),),
        "rabbit_foot": ((line(4, 13, 9, 6, 4), (206, 168, 118)), (disc(11, 4, 2.4), (226, 190, 140))),
        "egg": (
            (poly((8, 2), (11, 5), (12.5, 9.5), (11, 13.5), (8, 14.5), (5, 13.5), (3.5, 9.5), (5, 5)), (226, 206, 160)),
        ),
        "iron_nugget": ((poly((5, 6), (10, 4.5), (12.5, 9), (9, 12.5), (5, 11)), (214, 214, 214)),),
        "gold_nugget": ((poly((5, 6), (10, 4.5), (12.5, 9), (9, 12.5), (5, 11)), (248, 212, 64)),),
        "prismarine_shard": ((poly((4, 15), (6, 6), (12, 1), (11, 8)), (104, 176, 160)),),
        "shulker_shell": ((poly((2, 10), (4, 4), (12, 4), (14, 10), (12, 13), (4, 13)), (146, 104, 146)),),
        "nautilus_shell": ((disc(8, 8.5, 6), (222, 200, 186)), (disc(9, 9, 3) & ~disc(9, 9, 1.6), (170, 110, 100))),
        "totem_of_undying": (
            (box(5, 1, 11, 8), (240, 214, 100)),
            (box(2, 5, 14, 8), (236, 204, 84)),
            (box(6, 8, 10, 15), (226, 190, 70)),
            (dots((6, 4), (9, 4)), (60, 170, 70)),
        ),
        "shield": (
            (poly((2, 1), (14, 1), (14, 10), (8, 15.5), (2, 10)), (132, 96, 50)),
            (box(7, 3, 9, 12), (176, 176, 180)),
        ),
        "elytra": (
            (poly((7.5, 1), (5, 2), (1, 10), (3, 15.5), (7.5, 11)), (140, 140, 168)),
            (poly((8.5, 1), (11, 2), (15, 10), (13, 15.5), (8.5, 11)), (120, 120, 150)),
        ),
        "trident": (
            (line(1.5, 14.5, 11, 5, 1.8), (60, 130, 120)),
            (
                line(7, 3.5, 12.5, 9, 1.6)
                | line(9, 7, 15, 1, 1.8)
                | line(7, 3.5, 9.5, 1, 1.6)
                | line(12.5, 9, 15, 6.5, 1.6),
                (96, 190, 170),
            ),
        ),
        "end_crystal": ((poly((8, 1), (14, 8), (8, 15), (2, 8)), (226, 150, 220)), (disc(8, 8, 2.4), (250, 230, 250))),
        "firework_rocket": (
            (box(6, 4, 10, 13), (206, 50, 44)),
            (poly((8, 0.5), (11, 5), (5, 5)), (230, 226, 220)),
            (line(8, 13, 8, 15.8, 1), (150, 116, 66)),
        ),
        "honeycomb": (
            (poly((8, 1.5), (14, 5), (14, 11.5), (8, 15), (2, 11.5), (2, 5)), (236, 160, 40)),
            (disc(6, 7, 1.7) | disc(10.5, 9, 1.7) | disc(7, 11.5, 1.5), (180, 104, 16)),
        ),
        "lantern": (
            (box(5, 5, 11, 14), (70, 76, 92)),
            (box(6, 7, 10, 12), (252, 206, 110)),
            (box(6, 3, 10, 5), (90, 96, 112)),
            (line(8, 0.5, 8, 3, 1.4), (60, 66, 80)),
        ),
        "soul_lantern": (
            (box(5, 5, 11, 14), (70, 76, 92)),
            (box(6, 7, 10, 12), (110, 220, 226)),
            (box(6, 3, 10, 5), (90, 96, 112)),
            (line(8, 0.5, 8, 3, 1.4), (60, 66, 80)),
        ),
        "campfire": (
            (line(1, 14, 14, 11, 2.6) | line(2, 11, 15, 14, 2.6), (100, 74, 42)),
            (poly((8, 1), (11, 6), (12, 11), (4, 11), (5, 6)), (248, 160, 40)),
            (poly((8, 5), (10, 11), (6, 11)), (255, 230, 110)),
        ),
        "soul_campfire": (
            (line(1, 14, 14, 11, 2.6) | line(2, 11, 15, 14, 2.6), (100, 74, 42)),
            (poly((8, 1), (11, 6), (12, 11), (4, 11), (5, 6)), (60, 190, 200)),
            (poly((8, 5), (10, 11), (6, 11)), (180, 240, 240)),
        ),
        "bell": (
            (poly((5, 4), (11, 4), (12, 11), (14.5, 13), (1.5, 13), (4, 11)), (250, 212, 70)),
            (box(3, 1, 13, 3), (120, 90, 50)),
            (disc(8, 14, 1.5), (190, 150, 40)),
        ),
        "chain": (
            (
                disc(8, 3.5, 2.6) & ~disc(8, 3.5, 1.2)
                | disc(8, 8.2, 2.6) & ~disc(8, 8.2, 1.2)
                | disc(8, 13, 2.6) & ~disc(8, 13, 1.2),
                (84, 92, 112),
            ),
        ),
        "lever": ((box(4, 11, 12, 15), (120, 120, 120)), (line(8, 12, 11.5, 3, 2), (140, 108, 60))),
        "tripwire_hook": ((box(5, 9, 11, 15), w), (disc(8, 5, 3) & ~disc(8, 5, 1.6), (160, 160, 160))),
        "hopper": (
            (
                poly(
                    (1, 2),
                    (15, 2),
                    (15, 7),
                    (11, 9),
                    (11, 12),
                    (9, 12),
                    (9, 15),
                    (7, 15),
                    (7, 12),
                    (5, 12),
                    (5, 9),
                    (1, 7),
                ),
                (82, 82, 86),
            ),
        ),
        "cauldron": (
            (box(1, 2, 15, 13), (80, 80, 84)),
            (box(2, 12, 5, 16) | box(11, 12, 14, 16), (70, 70, 74)),
            (disc(8, 3.5, 5, 1.8), (46, 46, 50)),
        ),
        "brewing_stand": (
            (line(8, 1, 8, 12, 2), (240, 190, 50)),
            (box(2, 12, 14, 15), (130, 130, 130)),
            (disc(4, 8, 2) | disc(12, 8, 2), (180, 200, 210)),
        ),
        "repeater": (
            (box(1, 8, 15, 14), (176, 176, 176)),
            (box(4, 4, 6, 9) | box(10, 4, 12, 9), (200, 40, 20)),
            (line(4, 11, 12, 11, 1.4), (150, 20, 10)),
        ),
        "comparator": (
            (box(1, 8, 15, 14), (176, 176, 176)),
            (box(3, 4, 5, 9) | box(11, 4, 13, 9) | box(7, 6, 9, 11), (200, 40, 20)),
        ),
        "redstone_torch": ((box(7, 6, 9, 16), w), (disc(8, 5, 2.8), (240, 40, 24))),
        "soul_torch": ((box(7, 6, 9, 16), w), (disc(8, 5, 2.8), (90, 220, 226))),
        "torch": ((box(7, 6, 9, 16), w), (box(6, 3, 10, 7), (255, 214, 80)), (box(7, 4, 9, 6), (255, 250, 200))),
        "iron_bars": (
            ((COLUMNS % 5 == 2) | (COLUMNS % 5 == 3) | box(0, 1, 16, 3) | box(0, 13, 16, 15), (140, 142, 144)),
        ),
        "conduit": ((box(4, 4, 12, 12), (160, 140, 112)), (disc(8, 8, 2), (80, 60, 40))),
        "turtle_egg": ((disc(5.5, 10, 3.4, 4), (226, 222, 190)), (disc(11, 11, 2.8, 3.2), (226, 222, 190))),
        "end_rod": ((box(7, 1, 9, 13), (240, 236, 226)), (box(5, 13, 11, 15), (160, 130, 160))),
        "barrier": ((disc(8, 8, 7) & ~disc(8, 8, 5), (214, 24, 24)), (line(3.5, 3.5, 12.5, 12.5, 2), (214, 24, 24))),
        "structure_void": ((disc(8, 8, 3), (110, 170, 180)),),
        "grindstone": (
            (disc(8, 7, 6), (150, 150, 150)),
            (disc(8, 7, 2), (110, 84, 48)),
            (box(3, 12, 5, 16) | box(11, 12, 13, 16), (110, 84, 48)),
        ),
        "daylight_detector": ((box(1, 6, 15, 12), (130, 112, 88)), (box(3, 4, 13, 7), (180, 210, 220))),
        "bamboo": ((line(6, 15.5, 7, 1, 2.4), (110, 160, 50)), (line(11, 15.5, 10.5, 4, 2), (100, 148, 44))),
        "seagrass": (
            (line(4, 15.5, 5, 5, 1.6) | line(8, 15.5, 7.5, 2, 1.6) | line(12, 15.5, 11, 6, 1.6), (50, 130, 50)),
        ),
        "sea_pickle": ((box(5, 6, 9, 14) | box(10, 9, 13, 14), (100, 116, 50)), (box(6, 4, 8, 6), (200, 220, 120))),
        "nether_sprouts": (
            (
                line(3, 15.5, 4, 8, 1.5)
                | line(7, 15.5, 7, 6, 1.5)
                | line(11, 15.5, 10, 8, 1.5)
                | line(13, 15.5, 14, 9, 1.5),
                (30, 156, 140),
            ),
        ),
        "weeping_vines": ((line(8, 0.5, 7, 15, 2) | line(7, 6, 11, 9, 2) | line(8, 3, 4, 6, 2), (150, 20, 20)),),
        "twisting_vines": ((line(8, 15.5, 7, 1, 2) | line(7, 9, 11, 6, 2) | line(8, 12, 4, 9, 2), (30, 150, 140)),),
        "crimson_roots": (
            (line(8, 15.5, 4, 4, 1.6) | line(8, 15.5, 8, 2, 1.6) | line(8, 15.5, 12, 5, 1.6), (170, 30, 40)),
        ),
        "warped_roots": (
            (line(8, 15.5, 4, 4, 1.6) | line(8, 15.5, 8, 2, 1.6) | line(8, 15.5, 12, 5, 1.6), (30, 150, 130)),
        ),
        "crimson_fungus": ((box(7, 9, 9, 15), (200, 120, 90)), (poly((3, 9), (5, 4), (11, 4), (13, 9)), (180, 30, 36))),
        "warped_fungus": ((box(7, 9, 9, 15), (200, 120, 90)), (poly((3, 9), (5, 4), (11, 4), (13, 9)), (30, 150, 130))),
        "wither_rose": ((line(8, 15.5, 8, 7, 1.4), (50, 70, 30)), (disc(8, 5, 3.4), (36, 32, 34))),
        "sunflower": (
            (line(8, 15.5, 8, 6, 1.6), (80, 140, 40)),
            (disc(8, 5, 4.6), (250, 210, 40)),
            (disc(8, 5, 2), (110, 70, 30)),
        ),
        "lilac": ((line(8, 15.5, 8, 6, 1.6), (80, 140, 40)), (disc(8, 5, 4, 5), (206, 160, 214))),
        "rose_bush": (
            (disc(8, 9, 5.5, 6.5), (70, 130, 40)),
            (disc(6, 5, 1.9) | disc(10.5, 7.5, 1.9) | disc(6, 11, 1.9), (210, 30, 34)),
        ),
        "peony": (
            (disc(8, 9, 5.5, 6.5), (80, 140, 60)),
            (disc(6, 5, 2.2) | disc(10.5, 8, 2.2) | disc(6, 11, 2.2), (236, 180, 220)),
        ),
        "ink_sac": ((poly((6, 2), (10, 2), (13, 8), (11.5, 14), (5, 14), (3, 9)), (46, 44, 56)),),
        "chorus_plant": ((box(5, 5, 11, 11), (94, 58, 94)), (box(7, 0, 9, 5) | box(7, 11, 9, 16), (104, 66, 104))),
    }


def _named(name: str) -> np.ndarray | None:
    return draw(*_single()[name]) if name in _single() else None


def _flat(name: str) -> np.ndarray:
    """The sprite of an item that is no full block."""
    words = name.split("_")
    tool = words[-1]
    if len(words) == 2 and words[0] in TOOL_MATERIALS and tool in ("sword", "pickaxe", "axe", "shovel", "hoe"):
        return _tool(tool, TOOL_MATERIALS[words[0]])
    if len(words) == 2 and words[0] in ARMOUR_MATERIALS and tool in ("helmet", "chestplate", "leggings", "boots"):
        return _armour(tool, ARMOUR_MATERIALS[words[0]], words[0] == "chainmail")
    for suffix, boxes in _PARTS.items():
        if name.endswith(suffix):
            faces = _material(name.removesuffix(suffix))
            if faces is not None:
                return cube_sprite(faces, boxes)
    colour = next((c for c in sorted(COLOURS, key=len, reverse=True) if name.startswith(f"{c}_")), None)
    kind = name.removeprefix(f"{colour}_") if colour else name
    if colour:
        rgb = tx.WOOL[colour]
        makers = {"dye": _pile, "bed": _bed, "banner": _banner, "stained_glass_pane": _stained}
        if kind in makers:
            return makers[kind](rgb)
        if kind == "carpet":
            return cube_sprite((f"{colour}_wool",) * 3, CARPET)
        if kind == "stained_glass":
            _item_texture(name, _stained(rgb))
            return cube_sprite((name,) * 3)
    wood = next((w for w in sorted(tx.WOOD, key=len, reverse=True) if name.startswith(f"{w}_")), None)
    if wood:
        makers = {"door": _door, "boat": _boat, "sign": _sign}
        if tool in makers:
            return makers[tool](tx.WOOD[wood][0])
    for table, make in (
        (_INGOTS, lambda c: _from_colour("ingot", c)),
        (_MEATS, lambda c: _from_colour("meat", c)),
        (_PILES, _pile),
        (_BALLS, _ball),
        (_SEEDS, _seeds),
        (_GEMS, lambda c: _from_colour("gem", c)),
    ):
        if name in table:
            return make(table[name])
    if name.endswith("_spawn_egg"):
        return _egg(*_SPAWN_COLOURS.get(name.removesuffix("_spawn_egg"), (_hue(name), _hue(name[::-1]))))
    for coral, rgb in CORALS.items():
        if f"{coral}_coral" in name:
            rgb = (134, 125, 121) if name.startswith("dead") else rgb
            if name.endswith("fan"):
                return draw((poly((8, 15.5), (1, 6), (4, 2), (8, 1), (12, 2), (15, 6)), rgb))
            return draw((line(8, 15.5, 8, 2, 2) | line(8, 11, 3, 4, 2) | line(8, 10, 13, 3, 2), rgb))
    if name.startswith("music_disc"):
        return _disc(_hue(name))
    if name.endswith("banner_pattern"):
        return draw((poly((3, 1), (13, 1), (13, 15), (3, 15)), (226, 218, 200)), (disc(8, 8, 3.4), _hue(name)))
    if name in tx.BLOCK_FACES or f"{name}[half=upper]" in tx.BLOCK_FACES:
        textures = {"glass": WHOLE, "chest": CHEST, "cactus": CACTUS}
        if name in textures:
            return cube_sprite(tx.BLOCK_FACES[name], textures[name])
        if name == "snow":
            return cube_sprite(tx.BLOCK_FACES[name], ((0, 5, 0, 16, 7, 16),))
        sprite = _named(name)
        if sprite is not None:
            return sprite
        return tx.texture(tx.BLOCK_FACES.get(name, tx.BLOCK_FACES.get(f"{name}[half=upper]"))[0])
    special = {
        "glass_pane": lambda: tx.texture("glass"),
        "trapped_chest": lambda: cube_sprite(tx.BLOCK_FACES["chest"], CHEST),
        "bow": lambda: _bow(False),
        "crossbow": lambda: _bow(True),
        "arrow": lambda: _arrow((150, 150, 150)),
        "spectral_arrow": lambda: _arrow((246, 220, 90)),
        "tipped_arrow": lambda: _arrow((80, 120, 220)),
        "emerald": lambda: _from_colour("emerald", (48, 220, 110)),
        "coal": lambda: _from_colour("coal", (52, 52, 52)),
        "charcoal": lambda: _from_colour("coal", (74, 62, 46)),
        "leather": lambda: _from_colour("leather", (190, 94, 50)),
        "bread": lambda: _from_colour("bread", (200, 142, 58)),
        "apple": lambda: _from_colour("apple", (226, 40, 36), b=(96, 66, 28), g=(76, 160, 52)),
        "golden_apple": lambda: _from_colour("apple", (246, 214, 70), b=(96, 66, 28), g=(200, 170, 50)),
        "enchanted_golden_apple": lambda: _from_colour("apple", (246, 190, 210), b=(96, 66, 28), g=(200, 150, 250)),
        "wheat": lambda: tx.drawing(
            _TEXTS["wheat"],
            {"y": (190, 160, 50), "L": (236, 216, 110), "g": (120, 130, 40), "G": (150, 150, 50), "o": (90, 80, 20)},
        ),
        "bucket": lambda: _bucket(None),
        "water_bucket": lambda: _bucket((60, 110, 226)),
        "lava_bucket": lambda: _bucket((246, 130, 30)),
        "milk_bucket": lambda: _bucket((246, 246, 246)),
        "pufferfish_bucket": lambda: _bucket((60, 110, 226), (240, 200, 60)),
        "salmon_bucket": lambda: _bucket((60, 110, 226), (190, 70, 60)),
        "cod_bucket": lambda: _bucket((60, 110, 226), (190, 160, 120)),
        "tropical_fish_bucket": lambda: _bucket((60, 110, 226), (246, 130, 40)),
        "cod": lambda: _fish((190, 160, 120), (226, 206, 170)),
        "salmon": lambda: _fish((176, 66, 56), (130, 140, 90)),
        "tropical_fish": lambda: _fish((246, 130, 40), (250, 250, 250)),
        "pufferfish": lambda: _fish((240, 200, 60), (250, 240, 200)),
        "cooked_cod": lambda: _fish((214, 186, 130), (236, 220, 180)),
        "cooked_salmon": lambda: _fish((226, 120, 70), (240, 160, 100)),
        "mushroom_stew": lambda: _stew((190, 140, 110)),
        "rabbit_stew": lambda: _stew((190, 110, 60)),
        "beetroot_soup": lambda: _stew((160, 30, 36)),
        "suspicious_stew": lambda: _stew((90, 150, 90)),
        "glass_bottle": lambda: _bottle(None),
        "potion": lambda: _bottle((56, 90, 220)),
        "splash_potion": lambda: _bottle((190, 60, 200), (170, 170, 180)),
        "lingering_potion": lambda: _bottle((120, 40, 130), (210, 180, 140)),
        "experience_bottle": lambda: _bottle((190, 230, 80)),
        "honey_bottle": lambda: _bottle((246, 170, 40)),
        "dragon_breath": lambda: _bottle((220, 110, 210)),
        "minecart": lambda: _minecart(None),
        "chest_minecart": lambda: _minecart((160, 112, 46)),
        "furnace_minecart": lambda: _minecart((110, 110, 110)),
        "tnt_minecart": lambda: _minecart((206, 52, 34)),
        "hopper_minecart": lambda: _minecart((70, 70, 74)),
        "command_block_minecart": lambda: _minecart((178, 134, 110)),
        "iron_door": lambda: _door((206, 206, 206)),
        "book": lambda: _book((124, 74, 40)),
        "writable_book": lambda: _book((150, 100, 70)),
        "written_book": lambda: _book((130, 60, 40)),
        "enchanted_book": lambda: _book((120, 60, 170)),
        "knowledge_book": lambda: _book((60, 140, 60)),
        "chicken": lambda: _drum((240, 190, 170)),
        "cooked_chicken": lambda: _drum((196, 130, 70)),
        "skeleton_skull": lambda: _skull((196, 196, 196), (40, 40, 40)),
        "wither_skeleton_skull": lambda: _skull((60, 60, 60), (16, 16, 16)),
        "player_head": lambda: _skull((186, 138, 108), (70, 60, 160)),
        "zombie_head": lambda: _skull((96, 140, 76), (16, 24, 12)),
        "creeper_head": lambda: _skull((94, 184, 84), (10, 20, 10)),
        "dragon_head": lambda: _skull((36, 34, 38), (210, 90, 220)),
        "rail": lambda: _rail((150, 150, 150), None),
        "powered_rail": lambda: _rail((238, 196, 60), (190, 30, 20)),
        "detector_rail": lambda: _rail((150, 150, 150), (110, 110, 110)),
        "activator_rail": lambda: _rail((150, 150, 150), (160, 40, 30)),
        "lava": lambda: tx.texture("lava"),
        **{f"{m}_horse_armor": (lambda c=c: _horse_armour(c)) for m, c in ARMOUR_MATERIALS.items()},
        **{
            f"{k}anvil": (
                lambda c=c, k=k: cube_sprite((_item_texture(f"{k}anvil_", _styled("soft", c, 5)),) * 3, ANVIL)
            )
            for k, c in (("", (72, 72, 74)), ("chipped_", (80, 78, 78)), ("damaged_", (88, 84, 84)))
        },
    }
    if name in special:
        return special[name]()
    sprite = _named(name)
    if sprite is not None:
        return sprite
    rgb = _hue(name)  # nothing known: a shape and a colour of its own
    areas = (disc(8, 8, 6), box(3, 3, 13, 13), poly((8, 1), (15, 8), (8, 15), (1, 8)), poly((8, 1), (15, 14), (1, 14)))
    return draw((areas[_seed(name) % 4], rgb), (disc(8, 8.5, 2), _hue(name[::-1])))


def flame() -> np.ndarray:
    """Fire, as wide and high as a block."""
    image, rng = np.zeros((16, 16, 4)), np.random.default_rng(320)
    for column in range(16):
        height = int(7 + 5 * np.sin(column * 1.3) + rng.uniform(0, 4))
        for step in range(height):
            k = step / height
            image[15 - step, column] = (255, 230 - 170 * k, 110 - 100 * k, 255)
    return image.astype(np.uint8)


class Pictures(NamedTuple):
    sprites: np.ndarray  # uint8 [pictures, 16, 16, 4]
    faces: list[Faces | None]  # of what is held and lies about as a cube
    item_picture: np.ndarray  # int32 [items]
    item_hold: np.ndarray  # int32 [items]: ARM, FLAT, TOOL, CUBE


_LIKE_TOOLS = (
    "stick",
    "blaze_rod",
    "bone",
    "fishing_rod",
    "carrot_on_a_stick",
    "warped_fungus_on_a_stick",
    "debug_stick",
    "trident",
    "bamboo",
)


@cache
def item_sprite(name: str) -> np.ndarray:
    """The hotbar's picture of an item, uint8 [16, 16, 4]; empty for air."""
    if name == "air":
        return np.zeros((16, 16, 4), np.uint8)
    return cube_sprite(CUBE_FACES[name]) if name in CUBE_FACES else _flat(name)


@cache
def build_pictures() -> Pictures:
    """Every item's picture, and after them the others."""
    digits = [np.pad(tx.digit(value), ((0, 8), (0, 10), (0, 0))) for value in range(10)]
    hold = np.full(NUM_ITEMS, FLAT, np.int32)
    for i, name in enumerate(ITEMS):
        if name == "air":
            hold[i] = ARM
        elif name in CUBE_FACES:
            hold[i] = CUBE
        elif name in _LIKE_TOOLS or name.endswith(("_sword", "_pickaxe", "_axe", "_shovel", "_hoe")):
            hold[i] = TOOL
    return Pictures(
        sprites=np.stack([*(item_sprite(name) for name in ITEMS), flame(), tx.pointer(), *digits]),
        faces=[*(CUBE_FACES.get(name) for name in ITEMS), *[None] * (2 + len(digits))],
        item_picture=np.arange(NUM_ITEMS, dtype=np.int32),
        item_hold=hold,
    )


# BOXES: colours float [h, w, 3] of a face (0-5: -x, +x, -y, +y, -z, +z) of a box of ``size`` texels


def _face_size(face: int, size: tuple[int, int, int]) -> tuple[int, int]:
    across, down = ((2, 1), (0, 2), (0, 1))[face // 2]
    return size[down], size[across]


def paint_arrow(face: int, size: tuple[int, int, int]) -> np.ndarray:
    """The head is at the box's high z, the feathers at its low."""
    height, width = _face_size(face, size)
    image = np.empty((height, width, 3))
    image[:] = (128, 98, 52)
    if face // 2 == 2:
        image[:] = (150, 150, 150) if face == 5 else (226, 226, 226)
        return image
    along = image.swapaxes(0, 1) if face // 2 == 0 else image
    along[:3], along[-2:] = (226, 226, 226), (150, 150, 150)
    return image


def paint_arm(face: int, size: tuple[int, int, int]) -> np.ndarray:
    """Skin, with a sleeve at the shoulder's end, which is low."""
    height, width = _face_size(face, size)
    image = np.empty((height, width, 3))
    image[:] = (186, 138, 108)
    if face // 2 != 1:
        image[8:] = (0, 156, 156)
    elif face == 2:
        image[:] = (0, 156, 156)
    return image * (1 + 0.07 * (np.random.default_rng(20 + face).random((height, width, 1)) - 0.5))
