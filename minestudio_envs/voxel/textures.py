"""Every texture of the engine, drawn here by code: blocks, plants, HUD (items: sprites.py; mobs: models.py).

No asset of anybody is used. Block textures are RGBA uint8 [16, 16, 4], sprites RGBA uint8 [h, w, 4] with alpha 0 or
255. Row 0 is the top. Colours aim at the average colours of the game's textures, so that an agent trained on the game
finds its way. What the biome tints is drawn in grey and comes once for every biome.
"""

import numpy as np

from minestudio_envs.voxel.blocks import BLOCK_NAME, BLOCKS, COLOURS, FLOWERS, WOODS

RGB = tuple[int, int, int]

# Minecraft 1.16's colours of a biome, by the names of terrain.BIOMES: grass, foliage, water, fog under water.
BIOME_COLOURS: dict[str, tuple[RGB, RGB, RGB, RGB]] = {
    "plains": ((145, 189, 89), (119, 171, 47), (63, 118, 228), (16, 28, 150)),
    "forest": ((121, 192, 90), (89, 174, 48), (63, 118, 228), (16, 28, 150)),
    "desert": ((191, 183, 85), (174, 164, 42), (63, 118, 228), (16, 28, 150)),
    "extreme_hills": ((138, 182, 137), (109, 163, 107), (63, 118, 228), (16, 28, 150)),
    "taiga": ((134, 183, 131), (104, 164, 100), (61, 104, 214), (16, 28, 150)),
    "savanna": ((191, 183, 85), (174, 164, 42), (63, 118, 228), (16, 28, 150)),
    "swamp": ((106, 112, 57), (106, 112, 57), (97, 123, 100), (44, 52, 40)),
    "beach": ((145, 189, 89), (119, 171, 47), (63, 118, 228), (16, 28, 150)),
    "ocean": ((142, 185, 113), (113, 167, 77), (63, 118, 228), (16, 28, 150)),
}
GRASS, FOLIAGE, WATER = range(3)  # what a tinted texture takes from BIOME_COLOURS
BIRCH_TINT, SPRUCE_TINT = (128, 167, 85), (97, 153, 97)  # the same everywhere


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def _speckle(seed: int, shades: list[RGB], weights: list[float], size: tuple[int, int] = (16, 16)) -> np.ndarray:
    """Every texel one of ``shades``, drawn independently."""
    choice = _rng(seed).choice(len(shades), size=size, p=np.array(weights) / sum(weights))
    return np.array(shades, float)[choice]


def blotches(seed: int, stretch: tuple[int, int] = (1, 2)) -> np.ndarray:
    """Tileable noise in [0, 1] [16, 16], smeared over ``stretch`` texels per axis."""
    noise = _rng(seed).random((16, 16))
    for axis, n in enumerate(stretch):
        noise = sum(np.roll(noise, k, axis) for k in range(-n, n + 1))
    order = noise.ravel().argsort().argsort()  # ranks: an even histogram
    return (order / 255.0).reshape(16, 16)


def _bytes(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _grey(image: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(image, float)[..., None], 3, 2)


ROWS, COLUMNS = np.mgrid[:16, :16]
RING = np.maximum(abs(ROWS - 7.5), abs(COLUMNS - 7.5))  # 0.5 in the middle, 7.5 at the edge

# BLOCKS: RGB float [16, 16, 3]


def noisy(colour: RGB, seed: int, contrast: float = 0.2, stretch: tuple[int, int] = (0, 1)) -> np.ndarray:
    """One colour in soft patches and grains; ``contrast`` is the full range, as a part of the colour."""
    noise = 0.6 * blotches(seed, stretch) + 0.4 * _rng(seed + 1000).random((16, 16))
    return np.array(colour) * (1 + contrast * (noise - 0.5))[..., None]


def stepped(colour: RGB, seed: int, steps: tuple[float, ...], stretch: tuple[int, int]) -> np.ndarray:
    """One colour in patches of a few shades (factors, from the rarest bright one to the rarest dark one)."""
    bounds = np.linspace(0.88, 0.12, len(steps) - 1)
    return np.array(colour) * np.select([blotches(seed, stretch) > b for b in bounds], steps[:-1], steps[-1])[..., None]


def dirt() -> np.ndarray:
    shades = [(134, 96, 67), (121, 85, 58), (150, 108, 74), (89, 61, 41), (170, 122, 85), (120, 116, 112)]
    return _speckle(1, shades, [5, 4, 4, 2.5, 1.2, 0.4])


def coarse_dirt() -> np.ndarray:
    shades = [(119, 85, 59), (105, 74, 51), (140, 102, 72), (78, 54, 37), (150, 130, 110), (124, 112, 100)]
    return _speckle(21, shades, [5, 4, 3, 3, 1.2, 1])


def grass_grey() -> np.ndarray:
    return _grey(120 + 62 * (0.6 * _rng(2).random((16, 16)) + 0.4 * blotches(3, (1, 1))))


HANGS = np.array([3, 2, 4, 3, 3, 2, 3, 5, 3, 2, 3, 4, 2, 3, 4, 3])  # how far each column of the cover hangs down


def covered_dirt(cover: np.ndarray) -> np.ndarray:
    """The side of a block of dirt with a cover: grass, podzol, snow."""
    image = dirt()
    hangs = ROWS < HANGS
    image[hangs] = cover[hangs]
    image[HANGS == ROWS] *= 0.75  # the fringe's shadow
    return image


def stone(base: float = 125) -> np.ndarray:
    return _grey(base + np.select([blotches(4, (0, 2)) > x for x in (0.85, 0.6, 0.3, 0.12)], [14, 5, 0, -8], -19))


def cobblestone(moss: bool = False) -> np.ndarray:
    """Rounded stones: cells of a jittered grid that wraps around, dark at their borders."""
    rng = _rng(5)
    seeds = [(4 * i + rng.uniform(0, 4), 4 * j + rng.uniform(0, 4) + 2 * (i % 2)) for i in range(4) for j in range(4)]
    distance = np.stack([np.hypot((ROWS - r + 8) % 16 - 8, (COLUMNS - c + 8) % 16 - 8) for r, c in seeds])
    first, second = np.sort(distance, 0)[:2]
    grey = 105 + rng.uniform(-12, 32, 16)[distance.argmin(0)] + rng.uniform(-8, 8, (16, 16)) + 8 * (2 - first)
    grey[second - first < 0.9] = 84
    image = _grey(grey)
    if moss:
        mossy = blotches(22, (1, 1)) > 0.52
        image[mossy] = image[mossy] * (0.72, 0.98, 0.52)
    return image


def bedrock() -> np.ndarray:
    return _grey(np.select([blotches(6, (0, 1)) > x for x in (0.85, 0.6, 0.35, 0.15)], [150, 105, 85, 60], 35))


def gravel() -> np.ndarray:
    shades = [(131, 127, 126), (110, 105, 104), (152, 148, 146), (86, 82, 82), (164, 148, 140), (120, 112, 106)]
    image = _speckle(23, shades, [4, 4, 3, 2.4, 1.2, 2])
    return 0.55 * image + 0.45 * np.roll(image, 1, 1)


def ore(colour: RGB, seed: int, light: float = 1.35) -> np.ndarray:
    """Stone with clusters of a mineral: bright above, dark below, a shadow around."""
    image, rng = stone(), _rng(seed)
    spots = [(2, 3), (3, 10), (7, 6), (6, 13), (11, 2), (12, 9), (10, 13)]
    for row, column in spots:
        size = int(rng.integers(2, 4))
        cells = [(i, j) for i in range(size) for j in range(size + 1) if rng.random() < 0.85]
        for i, j in cells:
            for near in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                image[(row + i + near[0]) % 16, (column + j + near[1]) % 16] *= 0.93
        for i, j in cells:
            shade = light if i == 0 else (0.72 if i == size - 1 else 1.0)
            image[(row + i) % 16, (column + j) % 16] = np.minimum(np.array(colour) * shade * rng.uniform(0.9, 1.1), 255)
    return image


def mineral(colour: RGB, seed: int) -> np.ndarray:
    """A block of metal or gems: a bevelled plate."""
    image = noisy(colour, seed, 0.1, (0, 3))
    image[(RING == 7.5) & (ROWS + COLUMNS < 15)] *= 1.15
    image[(RING == 7.5) & (ROWS + COLUMNS >= 15)] *= 0.72
    image[(RING == 6.5) & (ROWS + COLUMNS >= 15)] *= 0.9
    return image


def log_side(bark: RGB, seed: int) -> np.ndarray:
    """Bark of vertical ribs."""
    rib = np.array([1.1, 0.9, 0.68, 1.0, 1.15, 0.85, 0.7, 1.05, 0.95, 1.12, 0.7, 0.9, 1.1, 0.98, 0.66, 1.0])
    grain = 1 + 0.28 * (blotches(seed, (2, 0)) - 0.5)
    return np.array(bark) * (rib * grain)[..., None]


def log_top(wood: RGB, bark: RGB) -> np.ndarray:
    """Year rings inside a frame of bark."""
    shade = np.where(RING.astype(int) % 2 == 0, 1.06, 0.86)[..., None]
    image = np.array(wood) * shade * (1 + 0.06 * (_rng(8).random((16, 16, 1)) - 0.5))
    image[RING > 7] = log_side(bark, 9)[RING > 7]
    return image


def birch_side() -> np.ndarray:
    """White bark with dark, short, horizontal scars."""
    image = 214 + 16 * (blotches(10, (0, 2)) - 0.4)[..., None] * np.ones(3) - np.array([0, 0, 5])
    scars = [(1, 2, 3), (2, 9, 5), (4, 13, 4), (6, 5, 4), (7, 0, 2), (9, 10, 4), (11, 3, 5), (13, 12, 3)]
    for row, col, length in scars:
        image[row, np.arange(col, col + length) % 16] = (62, 60, 54)
        image[(row + 1) % 16, np.arange(col + 1, col + length - 1) % 16] = (120, 118, 110)
    return image


def leaves(seed: int, needles: bool = False) -> np.ndarray:
    """Grey: bright leaflets over dark gaps; opaque, as with the game's fast graphics."""
    noise = 0.55 * _rng(seed).random((16, 16)) + 0.45 * blotches(seed + 1, (2, 0) if needles else (1, 1))
    return _grey(np.select([noise > x for x in (0.68, 0.5, 0.34, 0.24)], [200, 160, 122, 80], 42))


def planks(colour: RGB) -> np.ndarray:
    image = np.array(colour) * (1 + 0.16 * (blotches(13, (0, 3)) - 0.5))[..., None]
    for board in range(4):
        image[4 * board + 3] *= 0.66
        image[4 * board : 4 * board + 3, (5 + 7 * board) % 16] *= 0.75
    return image


def masonry(colour: RGB, mortar: RGB, seed: int, height: int = 4, width: int = 8) -> np.ndarray:
    """Bricks in courses, every other one shifted by half a brick; bright upper edges."""
    course = ROWS // height
    across = COLUMNS + (course % 2) * (width // 2)
    tone = _rng(seed).uniform(0.88, 1.12, (16, 16))[course, (across // width) % (16 // width)]
    image = noisy(colour, seed, 0.12) * tone[..., None]
    image[ROWS % height == 0] *= 1.08
    joint = (ROWS % height == height - 1) | (across % width == width - 1)
    image[joint] = np.array(mortar) * (1 + 0.1 * (_rng(seed + 1).random((16, 16, 1)) - 0.5))[joint]
    return image


def sandstone(colour: RGB, seed: int) -> np.ndarray:
    """Smooth, with a band above and worn layers below."""
    image = noisy(colour, seed, 0.07, (0, 4))
    image[0] *= 1.06
    image[3] *= 0.88
    image[4] *= 0.95
    for row in (9, 12, 14):
        image[row] *= np.where(blotches(seed + row, (0, 2))[row] > 0.4, 0.88, 1)[:, None]
    image[15] *= 0.85
    return image


def wool(colour: RGB) -> np.ndarray:
    weave = 1 + 0.07 * np.where((ROWS // 2 + COLUMNS // 2) % 2, 1, -1) * np.where((ROWS + COLUMNS) % 2, 1, 0.3)
    return np.clip(np.array(colour) * (weave * (1 + 0.1 * (blotches(24, (1, 1)) - 0.5)))[..., None], 0, 255)


def crafting_table_top() -> np.ndarray:
    image = planks((150, 98, 56))
    image[RING > 6] = (82, 52, 28)
    for k in (4, 8, 11):
        image[2:14, k] *= 0.55
        image[k, 2:14] *= 0.55
    return image


def crafting_table_side(front: bool) -> np.ndarray:
    image = planks((162, 130, 78))
    image[:3] = np.array((120, 76, 44)) * (1 + 0.1 * (_rng(25).random((3, 16, 1)) - 0.5))
    image[3] = (58, 40, 22)
    image[:, [0, 15]] = (92, 66, 36)
    if front:  # a saw and a hammer hang there
        image[5:13, 3:5], image[5:8, 2:6] = (104, 72, 38), (170, 170, 170)
        image[6:12, 9:13] = (176, 176, 176)
        image[[7, 9, 11], 9] = (110, 86, 50)
        image[12:14, 9:13] = (92, 60, 32)
    else:
        image[5:14, 4], image[5:14, 11] = (92, 66, 36), (92, 66, 36)
        image[5, 4:12], image[9, 4:12] = (104, 74, 42), (178, 178, 178)
    return image


def furnace_side() -> np.ndarray:
    image = cobblestone() * 0.87
    image[(RING > 7)] *= 0.75
    return image


def furnace_front() -> np.ndarray:
    image = furnace_side()
    image[2:5, 3:13] = (70, 70, 70)
    image[3, 4:12] = (40, 40, 40)
    image[8:14, 3:13] = (58, 58, 58)
    image[9:14, 4:12] = (22, 22, 22)
    image[13, 4:12] = (96, 96, 96)
    return image


def bookshelf() -> np.ndarray:
    image, rng = planks((162, 130, 78)), _rng(26)
    covers = [(122, 38, 32), (60, 84, 44), (48, 62, 112), (140, 98, 44), (92, 54, 100), (64, 44, 28), (170, 160, 140)]
    for top in (1, 9):
        image[top : top + 6] = (50, 36, 20)
        column = 1
        while column < 15:
            width = int(rng.integers(1, 3))
            colour = np.array(covers[int(rng.integers(len(covers)))])
            height = int(rng.integers(0, 2))
            image[top + height : top + 6, column : min(column + width, 15)] = colour
            image[top + 2, column : min(column + width, 15)] = colour * 1.35
            column += width
    return image


def hay_side() -> np.ndarray:
    image = np.array((176, 148, 38)) * (1 + 0.4 * (blotches(27, (3, 0)) - 0.5))[..., None]
    image[[3, 4, 11, 12]] = (150, 44, 26)
    image[[5, 13]] *= 0.7
    return image


def hay_top() -> np.ndarray:
    image = np.array((182, 154, 34)) * (1 + 0.5 * (_rng(28).random((16, 16)) - 0.5))[..., None]
    image[RING > 7] *= 0.75
    return image


def pumpkin_side() -> np.ndarray:
    rib = np.array([0.78, 1, 1.08, 1, 0.82, 1, 1.08, 1, 0.82, 1, 1.08, 1, 0.82, 1.05, 1, 0.8])
    return np.array((204, 120, 26)) * (rib * (1 + 0.12 * (blotches(29, (2, 0)) - 0.5)))[..., None]


def pumpkin_top() -> np.ndarray:
    angle = np.arctan2(ROWS - 7.5, COLUMNS - 7.5)
    image = np.array((204, 122, 26)) * (1 + 0.16 * np.sign(np.sin(angle * 8)))[..., None]
    image[RING < 2] = (104, 96, 34)
    return image


_FACE = """
................ ................ ................ ................
...#........#... ..###......###.. .#####....#####. ................
................ ................ ..##..#..#..##.. ..############..
...##########... .....#.##.#..... ................ ................
"""


def carved_pumpkin() -> np.ndarray:
    image = pumpkin_side()
    image[np.array([[c == "#" for c in row] for row in _FACE.split()])] = (52, 28, 8)
    return image


def melon_side() -> np.ndarray:
    stripe = np.where((COLUMNS + (blotches(31, (2, 0)) > 0.6)) % 4 < 2, 1.18, 0.8)
    return np.array((112, 146, 32)) * (stripe * (1 + 0.16 * (_rng(31).random((16, 16)) - 0.5)))[..., None]


def melon_top() -> np.ndarray:
    return np.array((112, 146, 32)) * (1 + 0.34 * (blotches(32, (1, 1)) - 0.5))[..., None]


def tnt_side() -> np.ndarray:
    """Red sticks and a white band with the letters."""
    image = np.array((206, 52, 34)) * np.where(COLUMNS % 4 == 3, 0.72, 1.0)[..., None] * np.ones((16, 16, 1))
    image[6:11] = (226, 222, 214)
    for first, rows in ((1, ("###", ".#.", ".#.")), (6, ("#.#", "###", "#.#")), (11, ("###", ".#.", ".#."))):
        for i, row in enumerate(rows):
            for j, char in enumerate(row):
                if char == "#":
                    image[7 + i, first + j] = (40, 36, 36)
    return image


def tnt_end(fuse: bool) -> np.ndarray:
    image = np.array((190, 60, 42)) * np.where((ROWS % 4 == 3) | (COLUMNS % 4 == 3), 0.6, 1.0)[..., None]
    if fuse:
        image[6:10, 6:10] = (90, 84, 78)
    return image


def glowstone() -> np.ndarray:
    noise = blotches(33, (1, 1))
    shades = [(255, 234, 170), (236, 190, 104), (190, 140, 78), (128, 90, 46)]
    return np.stack(
        [np.select([noise > x for x in (0.8, 0.5, 0.2)], [s[c] for s in shades[:3]], shades[3][c]) for c in range(3)],
        -1,
    ).astype(float)


def netherrack() -> np.ndarray:
    return stepped((102, 40, 40), 34, (1.35, 1.1, 0.95, 0.72), (0, 1))


def soul_sand() -> np.ndarray:
    image = noisy((84, 64, 52), 35, 0.35)
    for row, column in ((3, 3), (4, 11), (10, 7)):  # hollow faces
        image[row : row + 2, [column, column + 3]] = (44, 32, 26)
        image[row + 3, column + 1 : column + 3] = (44, 32, 26)
    return image


def obsidian() -> np.ndarray:
    return stepped((20, 14, 32), 36, (3.2, 1.5, 0.9, 0.55), (0, 1))


def ice() -> np.ndarray:
    image = noisy((150, 186, 252), 37, 0.08, (0, 3))
    for k in range(16):
        if k % 5 < 3:
            image[k, (15 - k) % 16] *= (1.18, 1.1, 1.0)
    return image


def water() -> np.ndarray:
    """Grey waves, which the biome tints."""
    return _grey(172 + 46 * (blotches(38, (0, 4)) - 0.5) + 10 * np.sin(ROWS * 2 * np.pi / 8))


def lava() -> np.ndarray:
    noise = blotches(39, (1, 2))
    shades = [(255, 226, 120), (248, 160, 40), (214, 92, 18), (172, 48, 10)]
    return np.stack(
        [np.select([noise > x for x in (0.88, 0.55, 0.2)], [s[c] for s in shades[:3]], shades[3][c]) for c in range(3)],
        -1,
    ).astype(float)


# PLANTS AND OTHER CUTOUTS: RGBA float [16, 16, 4]


def empty() -> np.ndarray:
    return np.zeros((16, 16, 4))


def blades(seed: int, count: int, low: int, high: int, width: float = 1.0, base: float = 150) -> np.ndarray:
    """Blades of grass that grow from the bottom, ``low`` to ``high`` texels long, in grey."""
    image, rng = empty(), _rng(seed)
    for k in range(count):
        x = (k + rng.uniform(0.2, 0.8)) * 16 / count
        lean, length = rng.uniform(-0.35, 0.35), rng.uniform(low, high)
        for step in range(int(length)):
            at = x + lean * step * step / length
            for column in range(int(at), int(at + (width if step < 0.6 * length else 1))):
                if 0 <= column < 16:
                    image[15 - step, column] = (*(base * (0.72 + 0.5 * step / length) * np.ones(3)), 255)
    return image


def fern(seed: int, top: int, full: bool) -> np.ndarray:
    """Fronds of small leaves on both sides of arching stems, in grey."""
    image, rng = empty(), _rng(seed)
    for lean in (-0.75, -0.4, 0.0, 0.4, 0.75):
        for step in range(16 - top):
            x = 7.5 + lean * step
            y = 15 - step if full else 15 - int(step * (1 - 0.25 * abs(lean)))
            for side in range(-2, 3):
                column = round(x + side)
                if 0 <= column < 16 and 0 <= y < 16 and (side == 0 or (step % 2 == 0 and rng.random() < 0.85)):
                    image[y, column] = (*(rng.uniform(100, 175) * np.ones(3)), 255)
    return image


def flower(petals: RGB, centre: RGB, head: tuple[str, ...], top: int = 3, leaf: RGB = (60, 118, 36)) -> np.ndarray:
    """A head (letters p, c, s for petals, centre, shade) on a stem with two leaves."""
    image = empty()
    left = 8 - len(head[0]) // 2
    image[top + 1 :, 7] = (*leaf, 255)
    for row, column in ((12, 5), (13, 6), (11, 9), (12, 8), (14, 6), (14, 8)):
        image[row, column] = (leaf[0] * 1.25, leaf[1] * 1.2, leaf[2] * 1.1, 255)
    colours = {"p": petals, "c": centre, "s": tuple(0.72 * np.array(petals)), "g": leaf}
    for i, row in enumerate(head):
        for j, char in enumerate(row):
            if char != ".":
                image[top + i, left + j] = (*colours[char], 255)
    return image


_DAISY = (".ppp.", "ppcpp", "pcccp", "ppcpp", ".sps.")
_TULIP = (".p.p.", "ppppp", "ppppp", "spppS".lower(), ".sss.")
_BALL = (".ppp.", "ppppp", "ppspp", "pspps", ".sss.")
_BELLS = ("..ppp", ".pp.g", "pp..g", "p.ppg", "..ppg")
_HEADS: dict[str, tuple[RGB, RGB, tuple[str, ...]]] = {
    "dandelion": ((255, 222, 40), (255, 190, 20), (".ppp.", "ppcpp", "pcccp", ".sss.")),
    "poppy": ((226, 32, 24), (60, 20, 20), (".pppp.", "pppppp", "ppccpp", "spccps", ".spps.")),
    "blue_orchid": ((44, 190, 250), (240, 250, 255), ("pp..pp", ".pccp.", "p.cc.p", ".pssp.")),
    "allium": ((196, 130, 246), (220, 180, 250), _BALL),
    "azure_bluet": ((238, 242, 246), (244, 214, 60), ("pp.pp", "pcpcp", ".ppp.", "pp.pp", "pc.cp")),
    "red_tulip": ((222, 44, 30), (250, 110, 60), _TULIP),
    "orange_tulip": ((240, 130, 30), (250, 180, 60), _TULIP),
    "white_tulip": ((236, 240, 236), (220, 230, 220), _TULIP),
    "pink_tulip": ((240, 170, 210), (250, 200, 220), _TULIP),
    "oxeye_daisy": ((242, 242, 236), (244, 206, 50), _DAISY),
    "cornflower": ((70, 106, 238), (36, 50, 160), ("p.p.p", "ppppp", ".ccc.", "ppppp", "p.p.p")),
    "lily_of_the_valley": ((246, 250, 246), (220, 240, 220), _BELLS),
}


def mushroom(cap: RGB, spot: RGB | None) -> np.ndarray:
    image = empty()
    image[11:, 7:9] = (222, 208, 184, 255)
    for row, half in ((7, 2), (8, 3), (9, 4), (10, 4)):
        image[row, 8 - half : 8 + half] = (*(np.array(cap) * (1.12 - 0.08 * (row - 7))), 255)
    if spot is not None:
        for row, column in ((7, 7), (8, 10), (9, 5), (9, 8)):
            image[row, column] = (*spot, 255)
    return image


def sugar_cane() -> np.ndarray:
    image = empty()
    for column, joint in ((2, 3), (7, 8), (12, 5)):
        image[:, column : column + 2] = (148, 196, 104, 255)
        image[:, column + 1] = (118, 168, 80, 255)
        for row in range(joint - 5, 16, 6):
            image[row % 16, column : column + 2] = (92, 138, 58, 255)
        image[joint : joint + 3, column + 2] = (130, 180, 88, 255)
    return image


def cobweb() -> np.ndarray:
    image, x, y = empty(), COLUMNS - 7.5, ROWS - 7.5
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    threads = (abs(np.sin(4 * angle)) * radius < 1.6) | (abs((radius + 0.7 * np.cos(8 * angle)) % 3.2 - 1.6) < 0.42)
    image[threads] = (236, 238, 240, 255)
    return image


def sapling(leaf: RGB, trunk: RGB, seed: int, narrow: bool = False) -> np.ndarray:
    image, rng = empty(), _rng(seed)
    image[9:, 7:9] = (*trunk, 255)
    for row in range(1, 12):
        half = (0.5 * row if narrow else 5.2 * np.sin((row + 1) / 12 * np.pi)) + rng.uniform(-0.8, 0.8)
        for column in range(16):
            if abs(column - 7.5) <= half and rng.random() < 0.86:
                image[row, column] = (*(np.array(leaf) * rng.uniform(0.7, 1.25)), 255)
    return image


def dead_bush() -> np.ndarray:
    image, rng = empty(), _rng(40)
    for lean, length in ((-0.9, 9), (-0.5, 11), (-0.1, 8), (0.35, 12), (0.8, 10)):
        for step in range(length):
            column = round(7.5 + lean * step * 0.75)
            if 0 <= column < 16:
                image[15 - step, column] = (*(np.array((128, 86, 44)) * rng.uniform(0.75, 1.15)), 255)
                if step % 3 == 2:
                    image[15 - step, min(max(column + (1 if lean < 0 else -1), 0), 15)] = (108, 72, 36, 255)
    return image


def lily_pad() -> np.ndarray:
    image, x, y = empty(), COLUMNS - 7.5, ROWS - 7.5
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    pad = (radius < 7.6) & ~((abs(angle) < 0.3) & (radius > 1))
    vein = abs(np.sin(3.5 * angle)) * radius < 0.7
    image[pad] = (32, 122, 44, 255)
    image[pad & vein] = (24, 92, 34, 255)
    image[pad & (radius > 6.6)] = (40, 140, 52, 255)
    return image


def ladder() -> np.ndarray:
    image = empty()
    image[:, [2, 3, 12, 13]] = (146, 112, 62, 255)
    image[:, [3, 13]] = (112, 84, 44, 255)
    for row in (1, 5, 9, 13):
        image[row : row + 2, 1:15] = (162, 126, 74, 255)
        image[row + 1, 1:15] = (118, 90, 48, 255)
    return image


def vine() -> np.ndarray:
    image, rng = empty(), _rng(41)
    for column in (1, 4, 7, 10, 13):
        for row in range(16):
            for k in range(-1, 2):
                if 0 <= column + k < 16 and (k == 0 or rng.random() < 0.55):
                    image[row, column + k] = (*(rng.uniform(80, 165) * np.ones(3)), 255)
    return image


def glass(colour: RGB = (218, 240, 244)) -> np.ndarray:
    """A bright frame and a few reflections."""
    image = empty()
    image[RING == 7.5] = (*colour, 255)
    for row, column in ((3, 4), (4, 3), (3, 5), (5, 3), (11, 13), (12, 12), (13, 11), (6, 2), (2, 6)):
        image[row, column] = (*(np.minimum(np.array(colour) * 1.1, 255)), 255)
    return image


def torch(flame: RGB = (255, 244, 160)) -> np.ndarray:
    """The stick and its flame fill the whole texture: what is drawn is a box two texels wide, ten high."""
    image = np.empty((16, 16, 4))
    image[:] = (128, 98, 52, 255)
    image[COLUMNS % 2 == 1] = (104, 78, 40, 255)
    image[:6] = (*flame, 255)
    image[6:8] = (255, 216, 76, 255)
    image[8] = (150, 110, 60, 255)
    return image


def cactus_side() -> np.ndarray:
    rib = np.where(COLUMNS % 4 == 1, 1.16, np.where(COLUMNS % 4 == 3, 0.72, 0.96))
    image = np.dstack(
        [
            np.array((86, 128, 46)) * (rib * (1 + 0.1 * (_rng(42).random((16, 16)) - 0.5)))[..., None],
            np.full((16, 16), 255.0),
        ]
    )
    for row, column in ((2, 3), (5, 7), (8, 11), (11, 3), (13, 13), (4, 13), (9, 5), (14, 9)):
        image[row, column] = (30, 44, 20, 255)
        image[row, column - 1] = (226, 226, 190, 255)
    return image


def cactus_top() -> np.ndarray:
    image = np.array((98, 140, 54)) * (1 - 0.06 * (RING.astype(int) % 3))[..., None]
    image[RING > 6] *= 0.72
    return image


def chest_side(front: bool) -> np.ndarray:
    image = np.array((150, 106, 42)) * (1 + 0.14 * (blotches(43, (0, 3)) - 0.5))[..., None]
    image[:, [0, 1, 14, 15]] = (68, 46, 18)
    image[[1, 2, 15, 14]] = (76, 52, 20)
    image[7] = (38, 26, 10)
    if front:
        image[6:10, 7:9] = (186, 186, 186)
        image[8, 7:9] = (96, 96, 96)
    return image


def chest_top() -> np.ndarray:
    image = np.array((156, 112, 46)) * (1 + 0.14 * (blotches(44, (0, 3)) - 0.5))[..., None]
    image[RING > 5.9] = (76, 52, 20)
    return image


def snow() -> np.ndarray:
    return noisy((246, 251, 252), 45, 0.06)


WOOD = {  # planks, bark, cut wood
    "oak": ((162, 130, 78), (112, 88, 54), (160, 128, 78)),
    "spruce": ((115, 85, 49), (60, 40, 20), (110, 82, 48)),
    "birch": ((192, 175, 121), (216, 215, 210), (196, 178, 124)),
    "jungle": ((160, 115, 81), (86, 68, 30), (152, 112, 72)),
    "acacia": ((168, 90, 50), (104, 96, 88), (158, 90, 52)),
    "dark_oak": ((67, 43, 20), (62, 48, 28), (72, 48, 24)),
    "crimson": ((101, 49, 71), (92, 26, 30), (110, 54, 76)),
    "warped": ((43, 105, 99), (58, 58, 78), (54, 110, 104)),
}
WOOL = dict(zip(COLOURS, (
    *((233, 236, 236), (240, 118, 19), (189, 68, 179), (58, 175, 217), (248, 197, 39), (112, 185, 25)),
    *((237, 141, 172), (62, 68, 71), (142, 142, 134), (21, 137, 145), (121, 42, 172), (53, 57, 157)),
    *((114, 71, 40), (84, 109, 27), (160, 39, 34), (22, 23, 28)),
), strict=True))  # fmt: skip
CONCRETE = dict(zip(COLOURS, (
    *((207, 213, 214), (224, 97, 0), (169, 48, 159), (35, 137, 198), (240, 175, 21), (94, 168, 24)),
    *((213, 101, 142), (54, 57, 61), (125, 125, 115), (21, 119, 136), (100, 31, 156), (44, 46, 143)),
    *((96, 59, 31), (73, 91, 36), (142, 32, 32), (8, 10, 15)),
), strict=True))  # fmt: skip
TERRACOTTA = dict(zip(COLOURS, (
    *((209, 178, 161), (161, 83, 37), (149, 88, 108), (113, 108, 137), (186, 133, 35), (103, 117, 52)),
    *((161, 78, 78), (57, 42, 35), (135, 106, 97), (86, 91, 91), (118, 70, 86), (74, 59, 91)),
    *((77, 51, 35), (76, 83, 42), (143, 61, 46), (37, 22, 16)),
), strict=True))  # fmt: skip
MINERALS = {
    "coal": (44, 44, 44), "iron": (218, 180, 152), "gold": (250, 218, 74), "redstone": (206, 22, 14),
    "lapis": (40, 84, 196), "diamond": (100, 238, 228), "emerald": (26, 204, 84),
}  # fmt: skip
MINERAL_BLOCKS = {
    "coal": (22, 22, 24), "iron": (220, 220, 220), "gold": (246, 208, 61), "redstone": (172, 26, 10),
    "lapis": (32, 70, 150), "diamond": (98, 232, 224), "emerald": (44, 200, 90), "netherite": (68, 62, 64),
}  # fmt: skip


def _draw_blocks() -> dict[str, np.ndarray]:
    """Textures by name. What ``TINTED`` names is grey."""
    podzol = stepped((93, 65, 28), 46, (1.4, 1.1, 0.9, 0.7), (0, 1))
    sand, red_sand = (219, 207, 163), (190, 103, 34)
    drawn = {
        "bedrock": bedrock(),
        "stone": stone(),
        "granite": stepped((150, 104, 86), 47, (1.2, 1.08, 0.96, 0.8), (0, 1)),
        "diorite": stepped((190, 190, 191), 48, (1.16, 1.06, 0.94, 0.72), (0, 1)),
        "andesite": stepped((136, 136, 137), 49, (1.14, 1.05, 0.96, 0.86), (0, 1)),
        "cobblestone": cobblestone(),
        "mossy_cobblestone": cobblestone(moss=True),
        "stone_bricks": masonry((126, 126, 126), (88, 88, 88), 50, 8, 16),
        "dirt": dirt(),
        "coarse_dirt": coarse_dirt(),
        "podzol_top": podzol,
        "podzol_side": covered_dirt(podzol),
        "grass_top": grass_grey(),
        "sand": noisy(sand, 51, 0.13),
        "red_sand": noisy(red_sand, 52, 0.15),
        "gravel": gravel(),
        "clay": noisy((160, 166, 179), 53, 0.08, (0, 2)),
        "sandstone": sandstone((217, 205, 158), 54),
        "sandstone_top": noisy((223, 214, 170), 55, 0.06),
        "red_sandstone": sandstone((186, 99, 30), 56),
        "red_sandstone_top": noisy((184, 98, 30), 57, 0.07),
        "obsidian": obsidian(),
        "ice": ice(),
        "packed_ice": noisy((141, 180, 250), 58, 0.1, (1, 1)),
        "snow": snow(),
        "crafting_table_top": crafting_table_top(),
        "crafting_table_front": crafting_table_side(True),
        "crafting_table_side": crafting_table_side(False),
        "furnace_top": furnace_side(),
        "furnace_side": furnace_side(),
        "furnace_front": furnace_front(),
        "bookshelf": bookshelf(),
        "bricks": masonry((152, 94, 80), (176, 166, 158), 59),
        "hay_side": hay_side(),
        "hay_top": hay_top(),
        "pumpkin_side": pumpkin_side(),
        "pumpkin_top": pumpkin_top(),
        "carved_pumpkin": carved_pumpkin(),
        "melon_side": melon_side(),
        "melon_top": melon_top(),
        "netherrack": netherrack(),
        "glowstone": glowstone(),
        "soul_sand": soul_sand(),
        "tnt_side": tnt_side(),
        "tnt_top": tnt_end(True),
        "tnt_bottom": tnt_end(False),
        "terracotta": noisy((152, 94, 67), 60, 0.06),
        "water": water(),
        "lava": lava(),
        "grass": blades(61, 10, 6, 14),
        "fern": fern(62, 3, True),
        "tall_grass_lower": blades(63, 8, 15, 17, 1.4),
        "tall_grass_upper": blades(64, 9, 6, 15),
        "large_fern_lower": fern(65, 0, True),
        "large_fern_upper": fern(66, 4, False),
        "dead_bush": dead_bush(),
        **{name: flower(*_HEADS[name]) for name in FLOWERS},
        "brown_mushroom": mushroom((152, 112, 82), None),
        "red_mushroom": mushroom((216, 38, 36), (246, 240, 232)),
        "sugar_cane": sugar_cane(),
        "cobweb": cobweb(),
        "oak_sapling": sapling((88, 140, 44), (104, 78, 40), 67),
        "spruce_sapling": sapling((58, 94, 58), (70, 50, 26), 68, narrow=True),
        "birch_sapling": sapling((124, 164, 76), (206, 204, 196), 69),
        "jungle_sapling": sapling((46, 122, 26), (90, 70, 36), 70),
        "acacia_sapling": sapling((128, 148, 36), (128, 98, 72), 71),
        "dark_oak_sapling": sapling((46, 100, 28), (58, 42, 22), 72),
        "torch": torch(),
        "cactus_side": cactus_side(),
        "cactus_top": cactus_top(),
        "glass": glass(),
        "chest_front": chest_side(True),
        "chest_side": chest_side(False),
        "chest_top": chest_top(),
        "lily_pad": lily_pad(),
        "ladder": ladder(),
        "vine": vine(),
    }
    for i, (mineral_name, colour) in enumerate(MINERALS.items()):
        drawn[f"{mineral_name}_ore"] = ore(colour, 80 + i, 1.6 if mineral_name == "coal" else 1.35)
    for i, (mineral_name, colour) in enumerate(MINERAL_BLOCKS.items()):
        drawn[f"{mineral_name}_block"] = mineral(colour, 90 + i)
    for i, (wood, (boards, bark, cut)) in enumerate(WOOD.items()):
        drawn[f"{wood}_planks"] = planks(boards)
        drawn[f"{wood}_log"] = birch_side() if wood == "birch" else log_side(bark, 7 + 20 * i)
        drawn[f"{wood}_log_top"] = log_top(cut, bark)
    for i, wood in enumerate(WOODS):
        drawn[f"{wood}_leaves"] = leaves(11 + 4 * i, wood == "spruce")
    for colour, rgb in WOOL.items():
        drawn[f"{colour}_wool"] = wool(rgb)
    return drawn


TINTED = {
    "grass_top": GRASS, "grass_side": GRASS, "grass": GRASS, "fern": GRASS, "tall_grass_lower": GRASS,
    "tall_grass_upper": GRASS, "large_fern_lower": GRASS, "large_fern_upper": GRASS, "water": WATER,
    "oak_leaves": FOLIAGE, "jungle_leaves": FOLIAGE, "acacia_leaves": FOLIAGE, "dark_oak_leaves": FOLIAGE,
    "vine": FOLIAGE,
}  # fmt: skip
FIXED_TINTS = {"birch_leaves": BIRCH_TINT, "spruce_leaves": SPRUCE_TINT}


def rgba(image: np.ndarray) -> np.ndarray:
    """Makes a drawing, with or without alpha, a texture."""
    if image.shape[-1] == 3:
        image = np.dstack([image, np.full(image.shape[:2], 255.0)])
    return _bytes(image)


def tinted(image: np.ndarray, tint: RGB) -> np.ndarray:
    return image * np.array([*tint, 255][: image.shape[-1]]) / 255


def _all_textures() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """-> (textures that are the same everywhere, tinted textures [biomes, 16, 16, 4]); the latter's plain ones too."""
    drawn = _draw_blocks()
    fixed = {"missing": np.full((16, 16, 4), (200, 60, 200, 255), np.uint8)}
    by_biome = {}
    for name in TINTED:
        variants = []
        for colours in BIOME_COLOURS.values():
            if name == "grass_side":
                variants.append(rgba(covered_dirt(tinted(drawn["grass_top"], colours[GRASS]))))
            else:
                variants.append(rgba(tinted(drawn[name], colours[TINTED[name]])))
        by_biome[name] = np.stack(variants)
    for name, image in drawn.items():
        if name not in TINTED:
            fixed[name] = rgba(tinted(image, FIXED_TINTS[name]) if name in FIXED_TINTS else image)
    return fixed, by_biome


BLOCK_TEXTURES, TINTED_TEXTURES = _all_textures()


def texture(name: str) -> np.ndarray:
    """RGBA uint8 [16, 16, 4]; of a tinted one, that of the plains."""
    return TINTED_TEXTURES[name][0] if name in TINTED_TEXTURES else BLOCK_TEXTURES[name]


def _faces() -> dict[str, tuple[str, ...]]:
    """Block (Minecraft's name, or with its state) -> textures of (side, top, bottom) or (side, top, bottom, front)."""
    faces = {
        "grass_block": ("grass_side", "grass_top", "dirt"),
        "podzol": ("podzol_side", "podzol_top", "dirt"),
        "sandstone": ("sandstone", "sandstone_top", "sandstone_top"),
        "red_sandstone": ("red_sandstone", "red_sandstone_top", "red_sandstone_top"),
        "snow_block": ("snow",) * 3,
        "crafting_table": ("crafting_table_side", "crafting_table_top", "oak_planks", "crafting_table_front"),
        "furnace": ("furnace_side", "furnace_top", "furnace_top", "furnace_front"),
        "bookshelf": ("bookshelf", "oak_planks", "oak_planks"),
        "hay_block": ("hay_side", "hay_top", "hay_top"),
        "pumpkin": ("pumpkin_side", "pumpkin_top", "pumpkin_top"),
        "carved_pumpkin": ("pumpkin_side", "pumpkin_top", "pumpkin_top", "carved_pumpkin"),
        "melon": ("melon_side", "melon_top", "melon_top"),
        "tnt": ("tnt_side", "tnt_top", "tnt_bottom"),
        "cactus": ("cactus_side", "cactus_top", "cactus_top"),
        "chest": ("chest_side", "chest_top", "chest_top", "chest_front"),
        "wall_torch": ("torch",) * 3,
        **{f"{wood}_log": (f"{wood}_log", f"{wood}_log_top", f"{wood}_log_top") for wood in WOODS},
    }
    for plant in ("tall_grass", "large_fern"):
        for half in ("lower", "upper"):
            faces[f"{plant}[half={half}]"] = (f"{plant}_{half}",) * 3
    for block, name in zip(BLOCKS, BLOCK_NAME, strict=True):
        if block not in faces and (name in BLOCK_TEXTURES or name in TINTED_TEXTURES):
            faces[block] = faces.get(name, (name,) * 3)
        elif block not in faces and name in faces:
            faces[block] = faces[name]
    return faces


BLOCK_FACES = _faces()


def drawing(rows: str, palette: dict[str, RGB]) -> np.ndarray:
    """A sprite from text: one character per texel, a dot is transparent."""
    lines = rows.split()
    image = np.zeros((len(lines), len(lines[0]), 4), np.uint8)
    for r, line in enumerate(lines):
        for c, char in enumerate(line):
            if char != ".":
                image[r, c] = (*palette[char], 255)
    return image


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

_ARMOUR = """
oo.....oo ollo.olmo ommmmmmko .ommmmko. ..omkko.. ..ommko.. ..omkko.. ..ommko.. ..ooooo..
"""
_BUBBLE = """
..ooooo.. .o.....o. o.ww....o o.w.....o o.......o o......lo o.....llo .o....lo. ..ooooo..
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
    full = drawing(
        _HEART, {"o": (20, 8, 8), "l": (255, 120, 110), "m": (238, 24, 20), "k": (180, 12, 12), "w": (255, 220, 214)}
    )
    empty = drawing(_HEART, {"o": (20, 8, 8), **dict.fromkeys("lmkw", (58, 40, 40))})
    return np.where(np.arange(9)[None, :, None] < (0, 5, 9)[halves], full, empty)


def food(halves: int) -> np.ndarray:
    """A drumstick's outline with 0, 1 or 2 halves filled, from the right: [9, 9, 4]."""
    full = drawing(
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
    empty = drawing(
        _FOOD, {"o": (24, 16, 8), **dict.fromkeys("lmk", (60, 46, 36)), "b": (60, 46, 36), "w": (60, 46, 36)}
    )
    return np.where(np.arange(9)[None, :, None] >= (9, 4, 0)[halves], full, empty)


def armour(halves: int) -> np.ndarray:
    """A breastplate's outline with 0, 1 or 2 halves filled: [9, 9, 4]."""
    full = drawing(_ARMOUR, {"o": (30, 30, 34), "l": (250, 250, 252), "m": (206, 206, 212), "k": (150, 150, 158)})
    empty = drawing(_ARMOUR, {"o": (30, 30, 34), **dict.fromkeys("lmk", (66, 66, 70))})
    return np.where(np.arange(9)[None, :, None] < (0, 5, 9)[halves], full, empty)


def bubble() -> np.ndarray:
    """A bubble of air: [9, 9, 4]."""
    return drawing(_BUBBLE, {"o": (84, 130, 236), "w": (250, 252, 255), "l": (150, 190, 250)})


def offhand_slot() -> np.ndarray:
    """The frame left of the hotbar: [22, 22, 4]."""
    return np.concatenate([hotbar()[:, :21], hotbar()[:, -1:]], 1)


# THE INVENTORY SCREEN


def window(height: int, width: int) -> np.ndarray:
    """An empty grey window with raised edges: [height, width, 4]."""
    image = np.zeros((height, width, 4), np.uint8)
    image[1:-1] = image[:, 1:-1] = (0, 0, 0, 255)
    image[1:-1, 1:-1] = (198, 198, 198, 255)
    image[1:-3, 1:3] = image[1:3, 1:-3] = (255, 255, 255, 255)
    image[3:-1, -3:-1] = image[-3:-1, 3:-1] = (85, 85, 85, 255)
    return image


def draw_slot(image: np.ndarray, x: int, y: int) -> None:
    """A sunken slot whose 16 x 16 texels begin at (x, y)."""
    image[y - 1 : y + 17, x - 1 : x + 17] = (255, 255, 255, 255)
    image[y - 1 : y + 16, x - 1 : x + 16] = (55, 55, 55, 255)
    image[y : y + 16, x : x + 16] = (139, 139, 139, 255)


def draw_player(image: np.ndarray, x: int, y: int) -> None:
    """The player's figure, seen from the front, in its black field of 49 x 70 texels at (x, y)."""
    image[y : y + 70, x : x + 49] = (0, 0, 0, 255)
    skin, hair, shirt, trousers, shoes = (186, 138, 108), (62, 42, 24), (0, 156, 156), (60, 54, 140), (84, 84, 84)

    def part(left: int, top: int, width: int, height: int, colour: RGB, shade: float = 1.0) -> None:
        area = image[y + top : y + top + height, x + left : x + left + width]
        area[..., :3], area[..., 3] = np.minimum(np.array(colour) * shade, 255), 255
        area[:, -2:, :3] = np.array(colour) * shade * 0.8

    part(17, 6, 15, 15, skin)
    part(17, 6, 15, 5, hair)
    part(17, 11, 2, 4, hair)
    part(20, 13, 3, 2, (250, 250, 250))
    part(26, 13, 3, 2, (250, 250, 250))
    part(22, 13, 1, 2, (70, 60, 160))
    part(26, 13, 1, 2, (70, 60, 160))
    part(22, 17, 5, 2, (120, 74, 54))
    part(17, 21, 15, 22, shirt)
    for left, shade in ((9, 0.9), (32, 0.85)):
        part(left, 21, 8, 7, shirt, shade)
        part(left, 28, 8, 15, skin, shade)
    part(17, 43, 7, 19, trousers)
    part(25, 43, 7, 19, trousers, 0.9)
    part(17, 59, 7, 4, shoes)
    part(25, 59, 7, 4, shoes, 0.9)


def draw_craft_arrow(image: np.ndarray, x: int, y: int) -> None:
    """From the crafting grid to what it makes."""
    image[y + 5 : y + 8, x : x + 9] = (139, 139, 139, 255)
    for k in range(7):
        image[y + k : y + 13 - k, x + 8 + k] = (139, 139, 139, 255)


def pointer() -> np.ndarray:
    """The cursor: a white arrow with a black edge, its tip at the top left: [16, 16, 4]."""
    image = np.zeros((16, 16, 4), np.uint8)
    inside = (COLUMNS <= ROWS) & (ROWS + 0.9 * COLUMNS <= 14) | (
        (ROWS > 7) & (ROWS < 15) & (abs(COLUMNS - 2.6 - (ROWS - 7) * 0.5) <= 1.2)
    )
    image[inside] = (0, 0, 0, 255)
    padded = np.pad(inside, 1)
    core = inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    image[core] = (255, 255, 255, 255)
    return image


def cracks() -> np.ndarray:
    """How dark each stage of digging is: uint8 [10, 16, 16]."""
    rng = _rng(400)
    order = np.full((16, 16), 99)
    for branch in range(14):  # cracks grow from the middle
        x, y, angle = 8.0, 8.0, branch * 2.4 + rng.uniform(-0.3, 0.3)
        for step in range(14):
            angle += rng.uniform(-0.7, 0.7)
            x, y = x + np.cos(angle), y + np.sin(angle)
            if not (0 <= x < 16 and 0 <= y < 16):
                break
            order[int(y), int(x)] = min(order[int(y), int(x)], max(step - 1, 0) * 0.55 + branch * 0.45)
    return np.stack([np.where(order <= stage * 1.3 + 0.5, 150, 0) for stage in range(10)]).astype(np.uint8)


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
