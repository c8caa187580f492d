"""Every texture of the engine, drawn here by code: blocks, items, mob skins, HUD. No asset of anybody is used.

Block textures are RGB uint8 [16, 16, 3], sprites RGBA uint8 [h, w, 4] with alpha 0 or 255. Row 0 is the top.
Colours aim at the average colours of the game's textures, so that an agent trained on the game finds its way.
"""

import numpy as np

from minestudio_envs.voxel.items import ITEM_ID, ITEMS

RGB = tuple[int, int, int]

GRASS_TINT = np.array([145, 189, 89]) / 255  # plains
OAK_LEAVES_TINT = np.array([119, 171, 47]) / 255
BIRCH_LEAVES_TINT = np.array([128, 167, 85]) / 255


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _speckle(seed: int, shades: list[RGB], weights: list[float], size: tuple[int, int] = (16, 16)) -> np.ndarray:
    """Every texel one of ``shades``, drawn independently."""
    choice = _rng(seed).choice(len(shades), size=size, p=np.array(weights) / sum(weights))
    return np.array(shades, float)[choice]


def _blotches(seed: int, stretch: tuple[int, int] = (1, 2)) -> np.ndarray:
    """Tileable noise in [0, 1] [16, 16], smeared over ``stretch`` texels per axis."""
    noise = _rng(seed).random((16, 16))
    for axis, n in enumerate(stretch):
        noise = sum(np.roll(noise, k, axis) for k in range(-n, n + 1))
    order = noise.ravel().argsort().argsort()  # ranks: an even histogram
    return (order / 255.0).reshape(16, 16)


def _bytes(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


# BLOCKS


def dirt() -> np.ndarray:
    shades = [(134, 96, 67), (121, 85, 58), (150, 108, 74), (89, 61, 41), (170, 122, 85), (120, 116, 112)]
    return _bytes(_speckle(1, shades, [5, 4, 4, 2.5, 1.2, 0.4]))


def _grass_grey() -> np.ndarray:
    return 120 + 62 * (0.6 * _rng(2).random((16, 16)) + 0.4 * _blotches(3, (1, 1)))


def grass_top() -> np.ndarray:
    return _bytes(_grass_grey()[..., None] * GRASS_TINT)


def grass_side() -> np.ndarray:
    image = dirt().astype(float)
    depth = np.array([3, 2, 4, 3, 3, 2, 3, 5, 3, 2, 3, 4, 2, 3, 4, 3])  # how far each column's grass hangs down
    hangs = np.arange(16)[:, None] < depth
    image[hangs] = (_grass_grey()[..., None] * GRASS_TINT)[hangs]
    edge = np.arange(16)[:, None] == depth
    image[edge] *= 0.75  # the fringe's shadow
    return _bytes(image)


def stone() -> np.ndarray:
    grey = 125 + np.select([_blotches(4, (0, 2)) > x for x in (0.85, 0.6, 0.3, 0.12)], [14, 5, 0, -8], -19)
    return _bytes(np.repeat(grey[..., None], 3, 2))


def cobblestone() -> np.ndarray:
    """Rounded stones: cells of a jittered grid that wraps around, dark at their borders."""
    rng, (rows, cols) = _rng(5), np.mgrid[:16, :16]
    seeds = [(4 * i + rng.uniform(0, 4), 4 * j + rng.uniform(0, 4) + 2 * (i % 2)) for i in range(4) for j in range(4)]
    distance = np.stack([np.hypot((rows - r + 8) % 16 - 8, (cols - c + 8) % 16 - 8) for r, c in seeds])
    first, second = np.sort(distance, 0)[:2]
    grey = 105 + rng.uniform(-12, 32, 16)[distance.argmin(0)] + rng.uniform(-8, 8, (16, 16)) + 8 * (2 - first)
    grey[second - first < 0.9] = 84
    return _bytes(np.repeat(grey[..., None], 3, 2))


def bedrock() -> np.ndarray:
    grey = np.select([_blotches(6, (0, 1)) > x for x in (0.85, 0.6, 0.35, 0.15)], [150, 105, 85, 60], 35)
    return _bytes(np.repeat(grey[..., None], 3, 2))


def log_side(bark: RGB, seed: int) -> np.ndarray:
    """Bark of vertical ribs."""
    rib = np.array([1.1, 0.9, 0.68, 1.0, 1.15, 0.85, 0.7, 1.05, 0.95, 1.12, 0.7, 0.9, 1.1, 0.98, 0.66, 1.0])
    grain = 1 + 0.28 * (_blotches(seed, (2, 0)) - 0.5)
    return _bytes(np.array(bark) * (rib * grain)[..., None])


def log_top(wood: RGB, bark: RGB) -> np.ndarray:
    """Year rings inside a frame of bark."""
    ring = np.maximum(*np.abs(np.mgrid[:16, :16] - 7.5))
    shade = np.where(ring.astype(int) % 2 == 0, 1.06, 0.86)[..., None]
    image = np.array(wood) * shade * (1 + 0.06 * (_rng(8).random((16, 16, 1)) - 0.5))
    image[ring > 7] = log_side(bark, 9)[ring > 7]
    return _bytes(image)


def birch_side() -> np.ndarray:
    """White bark with dark, short, horizontal scars."""
    image = 214 + 16 * (_blotches(10, (0, 2)) - 0.4)[..., None] * np.ones(3) - np.array([0, 0, 5])
    for row, col, length in [
        (1, 2, 3),
        (2, 9, 5),
        (4, 13, 4),
        (6, 5, 4),
        (7, 0, 2),
        (9, 10, 4),
        (11, 3, 5),
        (13, 12, 3),
    ]:
        image[row, np.arange(col, col + length) % 16] = (62, 60, 54)
        image[(row + 1) % 16, np.arange(col + 1, col + length - 1) % 16] = (120, 118, 110)
    return _bytes(image)


def leaves(tint: np.ndarray, seed: int) -> np.ndarray:
    """Bright leaflets over dark gaps; opaque, as with the game's fast graphics."""
    noise = 0.55 * _rng(seed).random((16, 16)) + 0.45 * _blotches(seed + 1, (1, 1))
    grey = np.select([noise > x for x in (0.68, 0.5, 0.34, 0.24)], [200, 160, 122, 80], 42)
    return _bytes(grey[..., None] * tint)


def planks() -> np.ndarray:
    image = np.array([162, 130, 78]) * (1 + 0.16 * (_blotches(13, (0, 3)) - 0.5))[..., None]
    for board in range(4):
        image[4 * board + 3] *= 0.66
        image[4 * board : 4 * board + 3, (5 + 7 * board) % 16] *= 0.75
    return _bytes(image)


OAK_BARK, OAK_WOOD, BIRCH_WOOD = (112, 88, 54), (160, 128, 78), (196, 178, 124)

# name -> texture; the index of a name is the id used below and by the renderer
BLOCK_TEXTURES = {
    "missing": np.full((16, 16, 3), (200, 60, 200), np.uint8),
    "bedrock": bedrock(),
    "stone": stone(),
    "dirt": dirt(),
    "grass_top": grass_top(),
    "grass_side": grass_side(),
    "oak_log_side": log_side(OAK_BARK, 7),
    "oak_log_top": log_top(OAK_WOOD, OAK_BARK),
    "oak_leaves": leaves(OAK_LEAVES_TINT, 11),
    "birch_log_side": birch_side(),
    "birch_log_top": log_top(BIRCH_WOOD, (205, 203, 195)),
    "birch_leaves": leaves(BIRCH_LEAVES_TINT, 15),
    "oak_planks": planks(),
    "cobblestone": cobblestone(),
}

# block or block item -> textures of (side, top, bottom)
BLOCK_FACES = {
    "bedrock": ("bedrock",) * 3,
    "stone": ("stone",) * 3,
    "dirt": ("dirt",) * 3,
    "grass_block": ("grass_side", "grass_top", "dirt"),
    "oak_log": ("oak_log_side", "oak_log_top", "oak_log_top"),
    "oak_leaves": ("oak_leaves",) * 3,
    "birch_log": ("birch_log_side", "birch_log_top", "birch_log_top"),
    "birch_leaves": ("birch_leaves",) * 3,
    "oak_planks": ("oak_planks",) * 3,
    "cobblestone": ("cobblestone",) * 3,
}


# ITEMS


def _drawing(rows: str, palette: dict[str, RGB]) -> np.ndarray:
    """A sprite from text: one character per texel, a dot is transparent."""
    lines = rows.split()
    image = np.zeros((len(lines), len(lines[0]), 4), np.uint8)
    for r, line in enumerate(lines):
        assert len(line) == len(lines[0]), line
        for c, char in enumerate(line):
            if char != ".":
                image[r, c] = (*palette[char], 255)
    return image


def sword(light: RGB, mid: RGB, dark: RGB, outline: RGB) -> np.ndarray:
    """Along the diagonal from the pommel, bottom left, to the tip, top right."""
    image = np.zeros((16, 16, 4), np.uint8)
    for y in range(16):
        for x in range(16):
            along, across = x + y, x - y
            colour = None
            if along >= 13 and abs(across) <= 2:  # blade: bright upper edge, dark lower edge
                colour = outline if abs(across) == 2 else (light if across <= -1 else mid if across == 0 else dark)
                if x == 15 or y == 15:
                    colour = outline
            if 9 <= along <= 12 and abs(across) <= 6:  # guard
                colour = outline if along in (9, 12) or abs(across) >= 5 else mid if across < 0 else dark
            if 3 <= along <= 8 and abs(across) <= 1:  # grip
                colour = (73, 54, 21) if across == 1 else (137, 103, 39) if (along // 2) % 2 else (104, 78, 30)
            if along <= 3 and abs(across) <= 2:  # pommel
                colour = outline if along in (0, 3) or abs(across) == 2 else mid
            if colour is not None:
                image[15 - y, x] = (*colour, 255)
    return image


def stick() -> np.ndarray:
    image = np.zeros((16, 16, 4), np.uint8)
    for y in range(16):
        for x in range(16):
            if abs(x - y) <= 1 and 4 <= x + y <= 26:
                colour = (73, 54, 21) if x - y == 1 or x + y in (4, 26) else (137, 103, 39) if x == y else (104, 78, 30)
                image[15 - y, x] = (*colour, 255)
    return image


_INGOT = """
................ ................ ................ ................ .........oooo... .....oooolllko..
.oooollllllmko.. oLLLLllllmmmko.. ollllmmmmkkkdo.. omdddddddddddo.. .omddddddddddo.. ..oooddddddooo..
.....oooooo..... ................ ................ ................
"""
_GEM = """
................ ................ ....oooooooo.... ...oLlllllmko... ..oLLLlllmmmko.. .oLLLLllmmmmkko.
.olllllmmmmkkdo. .omllllmmmkkkdo. ..omlllmmkkkdo.. ...omllmmkkdo... ....omlmmkdo.... .....ommkdo.....
......omdo...... .......oo....... ................ ................
"""
_EMERALD = """
................ .......oo....... ......oLko...... .....oLlmko..... .....oLlmko..... ....oLLlmkko....
....oLllmmko.... ....oLllmmko.... ....olllmmko.... ....olllmkdo.... ....olmmmkdo.... .....ommkdo.....
.....omkkdo..... ......omdo...... .......oo....... ................
"""
_COAL = """
................ ................ ................ ......oooo...... ....oommmkoo.... ...omLlmmkkko...
..omLlmmkkmkko.. ..omlmmkklmkdo.. .okmmmkkLlmkkdo. .okmkkkmlmmkddo. .odkkkmmmmkkddo. ..odkkkkkkkddo..
...ooddddddoo... .....oooooo..... ................ ................
"""
_LEATHER = """
................ ................ ..ooo....ooo.... .ommmoooommlo... .omllmmmmllmko.. ..omlllmmmlmkko.
..ommllmmmmmkdo. .omlmmmmmmmkkdo. .ommlmmmmkmmkdo. ..omlmmmmmkkddo. ..ommmmmmkkkdo.. .ommmkmmkkkddo..
.okkmoookkddddo. ..ooo...odddoo.. .........ooo.... ................
"""
_MEAT = """
................ ................ .......ooooo.... .....oollllmoo.. ....ollLLlmmmko. ...olLLwwLlmmko.
..olLwwwwLlmmko. ..olLwwLLlmmkdo. .olLLLLllmmmkdo. .ollllLlmmmkdo.. .ommlllmmmkkdo.. .okmmmmmmkkdo...
..okkkkkkkddo... ...oodddddoo.... .....ooooo...... ................
"""
_APPLE = """
................ ........bb...... .......bb..g.... .......b.ggg.... ...ooo.boogo.... ..olllobollmo...
.olLLllmmmmmko.. .olLLlmmmmmmko.. .olLlmmmmmmkko.. .olllmmmmmmkko.. .ommmmmmmmkkdo.. ..ommmmmmkkdo...
..okmmmmkkkdo... ...okkkkkddo.... ....oodooddo.... ......o..oo.....
"""
_BREAD = """
................ ................ ................ ..........ooo... ........oolllo.. ......oolLlmmko.
....oolLlommkko. ...olLlommkomko. ..olLlommkommkdo .olLlommkommkkdo .ollommkommkkdo. .ommmkommkkddo..
.okmkommkkddo... ..okkkkkdddo.... ...oodddoo...... .....ooo........
"""
_WHEAT = """
................ ............yo.. ...........yLyo. ......y...yLyo.. .....yLy.yLyg... ......yLyLyg....
...y...yLyLy.y.. ..yLy..yLyyyLy.. ...yLyyLyyLyg... ....yLyLyLyg.... .....gyyyyg..... .....gggggg.....
....gGgGg....... ...gGgGg........ ..gGg.Gg........ ...g..g.........
"""


def _shades(light: RGB, mid: RGB, dark: RGB, outline: RGB) -> dict[str, RGB]:
    """The palette letters of the drawings above: L l m k d from light to dark, o the outline, w white."""
    light_, mid_, dark_ = np.array(light), np.array(mid), np.array(dark)
    colours = {"L": light_, "l": (light_ + mid_) // 2, "m": mid_, "k": (mid_ + dark_) // 2, "d": dark_}
    return {**{key: tuple(int(c) for c in value) for key, value in colours.items()}, "o": outline, "w": (236, 226, 214)}


def cube_sprite(name: str) -> np.ndarray:
    """A block seen from above a corner, as the hotbar shows block items."""
    side, top, _ = (BLOCK_TEXTURES[t].astype(float) for t in BLOCK_FACES[name])
    image = np.zeros((16, 16, 4), np.uint8)
    rows, cols = np.mgrid[:16, :16] + 0.5
    x, down = (cols - 8) / 7, (rows - 0.5) / 7  # -1..1 from the left edge to the right one; 0..1 down the top
    u, v = down + x / 2, down - x / 2
    under = (rows - 7.5 + 3.5 * abs(x)) / 8  # 0..1 from the top's lower edges to the cube's
    faces = [((u >= 0) & (u < 1) & (v >= 0) & (v < 1), top, u, v, 1.0)]
    for visible, across, shade in ((x < 0, 1 + x, 0.8), (x >= 0, x, 0.6)):
        faces.append((visible & (abs(x) < 1) & (under >= 0) & (under < 1), side, across, under, shade))
    for inside, texture, s, t, shade in faces:
        column, row = (np.clip((k * 16).astype(int), 0, 15) for k in (s, t))
        image[inside, :3] = _bytes(texture[row, column] * shade)[inside]
        image[inside, 3] = 255
    return image


_SWORDS = {  # light, mid, dark, outline of the blade
    "wooden_sword": ((160, 126, 68), (137, 103, 39), (104, 78, 30), (58, 43, 17)),
    "golden_sword": ((255, 255, 150), (234, 214, 60), (190, 150, 36), (84, 66, 14)),
    "stone_sword": ((178, 178, 178), (146, 146, 146), (112, 112, 112), (52, 52, 52)),
    "iron_sword": ((255, 255, 255), (222, 222, 222), (170, 170, 170), (62, 62, 62)),
    "diamond_sword": ((190, 255, 244), (74, 237, 217), (39, 178, 154), (10, 66, 60)),
    "netherite_sword": ((122, 112, 118), (88, 78, 84), (62, 54, 60), (24, 20, 24)),
}
_DRAWINGS = {
    "diamond": (_GEM, _shades((220, 255, 250), (94, 236, 224), (30, 150, 150), (12, 82, 86))),
    "iron_ingot": (_INGOT, _shades((255, 255, 255), (216, 216, 216), (140, 140, 140), (60, 60, 60))),
    "gold_ingot": (_INGOT, _shades((255, 255, 190), (250, 214, 62), (190, 130, 20), (90, 60, 10))),
    "emerald": (_EMERALD, _shades((214, 255, 226), (48, 220, 110), (10, 120, 50), (4, 60, 26))),
    "coal": (_COAL, _shades((96, 96, 96), (52, 52, 52), (28, 28, 28), (14, 14, 14))),
    "leather": (_LEATHER, _shades((222, 128, 78), (190, 94, 50), (130, 60, 28), (70, 32, 14))),
    "beef": (_MEAT, _shades((250, 120, 104), (214, 62, 56), (150, 30, 34), (80, 14, 18))),
    "cooked_beef": (_MEAT, _shades((176, 116, 76), (136, 82, 50), (90, 50, 28), (48, 26, 14))),
    "apple": (
        _APPLE,
        _shades((255, 180, 170), (226, 40, 36), (150, 14, 20), (70, 8, 12)) | {"b": (96, 66, 28), "g": (76, 160, 52)},
    ),
    "bread": (_BREAD, _shades((238, 190, 100), (200, 142, 58), (140, 92, 30), (72, 46, 12))),
    "wheat": (
        _WHEAT,
        {"y": (190, 160, 50), "L": (236, 216, 110), "g": (120, 130, 40), "G": (150, 150, 50), "o": (90, 80, 20)},
    ),
}


def item_sprite(name: str) -> np.ndarray:
    """The hotbar's picture of an item, uint8 [16, 16, 4]; empty for air."""
    if name in _SWORDS:
        return sword(*_SWORDS[name])
    if name == "stick":
        return stick()
    if name in _DRAWINGS:
        return _drawing(*_DRAWINGS[name])
    if name in BLOCK_FACES:
        return cube_sprite(name)
    if name == "air":
        return np.zeros((16, 16, 4), np.uint8)
    if name == "missing":
        return np.full((16, 16, 4), (200, 60, 200, 255), np.uint8)
    raise KeyError(f"no sprite for the item {name!r}: draw one in textures.py")


# The items that have a picture of their own; any other shows the last one.
PICTURES = ("air", *_SWORDS, "stick", *_DRAWINGS, *(b for b in BLOCK_FACES if b in ITEM_ID), "missing")
ITEM_SPRITES = [item_sprite(name) for name in PICTURES]
ITEM_PICTURE = np.array([PICTURES.index(n) if n in PICTURES else len(PICTURES) - 1 for n in ITEMS], np.int32)


# HUD: the pieces of the game's GUI texture, by their places on a 640x360 screen at GUI scale 1


def hotbar() -> np.ndarray:
    """Nine slots of 20 texels in a frame: [22, 182, 4], half transparent inside."""
    image = np.zeros((22, 182, 4), np.uint8)
    image[:] = (20, 20, 20, 255)
    image[1:21, 1:181] = (120, 120, 120, 255)
    for slot in range(9):
        left = 1 + 20 * slot
        image[1:21, left : left + 20] = (86, 86, 86, 220)
        image[1, left : left + 20] = image[1:21, left] = (150, 150, 150, 255)
        image[20, left : left + 20] = image[1:21, left + 19] = (56, 56, 56, 255)
        image[3:19, left + 2 : left + 18] = (70, 70, 70, 150)
    return image


def selection() -> np.ndarray:
    """The bright frame of the selected slot: [24, 24, 4]."""
    image = np.zeros((24, 24, 4), np.uint8)
    image[:] = (30, 30, 30, 255)
    image[1:23, 1:23] = (220, 220, 220, 255)
    image[2:22, 2:22] = (250, 250, 250, 255)
    image[3:21, 3:21] = (140, 140, 140, 255)
    image[4:20, 4:20] = 0
    return image


_HEART = """
.oo...oo. olmo.ommo omwmommmo ommmmmmmo ommmmmkko .ommmkko. ..omkko.. ...oko... ....o....
"""
_FOOD = """
.....ooo. ....olmmo ...olmmko ...ommmko ...okmkko ..ookkoo. obboo.... obwo..... .oo......
"""

_DIGITS = (
    *(
        "###/# #/# #/# #/# #/# #/###",
        " # /## / # / # / # / # /###",
        "###/  #/  #/###/#  /#  /###",
        "###/  #/  #/ ##/  #/  #/###",
    ),
    *(
        "# #/# #/# #/###/  #/  #/  #",
        "###/#  /#  /###/  #/  #/###",
        "###/#  /#  /###/# #/# #/###",
        "###/  #/  #/ # / # / # / # ",
    ),
    *("###/# #/# #/###/# #/# #/###", "###/# #/# #/###/  #/  #/###"),
)


def heart(halves: int) -> np.ndarray:
    """A heart's outline with 0, 1 or 2 halves filled: [9, 9, 4]."""
    full = _drawing(
        _HEART, {"o": (20, 8, 8), "l": (255, 120, 110), "m": (238, 24, 20), "k": (180, 12, 12), "w": (255, 220, 214)}
    )
    empty = _drawing(_HEART, {"o": (20, 8, 8), **dict.fromkeys("lmkw", (58, 40, 40))})
    return np.where(np.arange(9)[None, :, None] < (0, 5, 9)[halves], full, empty)


def food(halves: int) -> np.ndarray:
    """A drumstick's outline with 0, 1 or 2 halves filled, from the right: [9, 9, 4]."""
    full = _drawing(
        _FOOD,
        {
            "o": (24, 16, 8),
            "l": (224, 168, 106),
            "m": (184, 112, 56),
            "k": (136, 74, 30),
            "b": (230, 220, 200),
            "w": (255, 250, 240),
        },
    )
    empty = _drawing(
        _FOOD, {"o": (24, 16, 8), **dict.fromkeys("lmk", (60, 46, 36)), "b": (60, 46, 36), "w": (60, 46, 36)}
    )
    return np.where(np.arange(9)[None, :, None] >= (9, 4, 0)[halves], full, empty)


def experience_bar() -> np.ndarray:
    """The bar of the experience points, without any: [5, 182, 4]."""
    image = np.zeros((5, 182, 4), np.uint8)
    image[:] = (12, 12, 12, 255)
    image[1:4, 1:181] = (52, 66, 44, 255)
    image[3, 1:181] = (36, 46, 30, 255)
    image[1:4, 9::10] = (28, 34, 24, 255)
    return image


def digit(value: int) -> np.ndarray:
    """A white digit with its shadow: [8, 6, 4]."""
    image = np.zeros((8, 6, 4), np.uint8)
    rows = np.array([[char == "#" for char in row] for row in _DIGITS[value].split("/")])
    pixels = rows[:, [0, 1, 2]] if value == 1 else rows[:, [0, 1, 1, 1, 2]]  # strokes of five columns; 1 is slim
    pixels = np.pad(pixels, ((0, 0), (1, 1))) if value == 1 else pixels
    if value == 7:
        pixels[3:, 1], pixels[3:, 3] = False, False
    image[1:8, 1:6][pixels] = (62, 62, 62, 255)
    image[0:7, 0:5][pixels] = (255, 255, 255, 255)
    return image


def crosshair() -> np.ndarray:
    """A plus of 9 by 9 texels, 1 thick: [9, 9, 4]; it inverts what is behind."""
    image = np.zeros((9, 9, 4), np.uint8)
    image[4] = image[:, 4] = 255
    return image
