"""Draws a sheet of the voxel engine's pictures: biomes, mobs, times of day, places, HUD and inventory screen.

Each scene is shown as on a 16:9 screen, and as an agent sees it at 128x128 and 64x64.

python scripts/gallery.py --output docs/gallery.png
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image, ImageDraw, ImageFont

from minestudio_envs.voxel.blocks import BLOCK_ID, COLOURS, FIRST_LIQUID, STONE
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.items import ITEM_ID
from minestudio_envs.voxel.randomness import environment_key
from minestudio_envs.voxel.state import MOB_ID, WORD
from minestudio_envs.voxel.terrain import BIOMES

SCREEN = (256, 144)  # width and height of a scene's large picture, drawn twice as large
AGENT_SIZES = (128, 64)
GAP, LABEL, COLUMNS = 6, 13, 3
GROUND = 30  # of the scenes that are built here


@dataclass
class Args:
    output: Path = Path("docs/gallery.png")
    """the sheet, a PNG"""
    steps: int = 43
    """shades of red, green and blue in the file; fewer make it smaller"""
    only: str = ""
    """draw only scenes whose label contains this, to try things out"""


@dataclass
class Scene:
    """Where, when, and what stands there.

    ``build``: of the functions below, makes the place; without it, it is the spawn of a world of ``biome``.
    ``mobs``: (name, blocks ahead, blocks to the right, degrees turned away from the viewer).
    """

    label: str
    biome: str = "plains"
    world: int = 0
    time: int = 6000
    yaw: float = 0.0
    pitch: float = 5.0
    ahead: float = 0.0  # blocks to walk on from the spawn before looking
    build: str = ""
    item: str = "iron_sword"
    swing: int = 0
    mobs: tuple[tuple[str, float, float, float], ...] = ()
    inventory: bool = False
    weather: int = 0


SCENES = [
    Scene("plains", "plains", 1, yaw=40, pitch=8),
    Scene("forest", "forest", 0, yaw=0),
    Scene("desert", "desert", 0, yaw=90),
    Scene("extreme hills", "extreme_hills", 0, yaw=0, pitch=0),
    Scene("taiga", "taiga", 0, yaw=0),
    Scene("savanna", "savanna", 0, yaw=0),
    Scene("swamp", "swamp", 0, yaw=0, pitch=10),
    Scene("beach", "beach", 0, yaw=110, pitch=8),
    Scene("ocean", "ocean", 0, yaw=0, pitch=12),
    Scene("cow, pig", build="meadow", mobs=(("cow", 3.6, -1.5, 70), ("pig", 3.2, 1.2, 150)), item="wheat"),
    Scene(
        "sheep, chicken", build="meadow", mobs=(("sheep", 3.4, -1.4, 110), ("chicken", 2.4, 0.7, 130)), item="shears"
    ),
    Scene(
        "zombie, skeleton",
        build="meadow",
        time=13500,
        mobs=(("zombie", 3.2, -1.3, 165), ("skeleton", 3.4, 1.1, 170)),
        item="diamond_sword",
    ),
    Scene("dawn", "plains", 1, time=23300, yaw=-90, pitch=0),
    Scene("noon", "forest", 3, time=6000, yaw=120, pitch=2),
    Scene("dusk", "plains", 1, time=12700, yaw=90, pitch=0),
    Scene("night, torches", build="camp", time=18000, pitch=8, item="torch"),
    Scene("cave", build="cave", pitch=6, item="iron_pickaxe"),
    Scene("under water", build="water", pitch=12, yaw=0, item="cod"),
    Scene("rain", "forest", 0, yaw=90, weather=1, item="oak_log"),
    Scene("digging, items on the ground", build="dig", pitch=22, item="stone_pickaxe", swing=3),
    Scene("inventory screen", build="camp", inventory=True),
]

# PLACES


class Builder:
    """Sets blocks of a world and, at the end, what follows from them: heights, cutouts, light."""

    def __init__(self, engine: VoxelEngine):
        self.engine, self.state, self.voxels = engine, engine.state, engine.state.voxels[0]

    def flat(self, surface: str = "grass_block") -> None:
        self.voxels[:] = 0
        self.voxels[..., 0], self.voxels[..., 1 : GROUND - 1] = BLOCK_ID["bedrock"], STONE
        self.voxels[..., GROUND - 4 : GROUND - 1] = BLOCK_ID["dirt"]
        self.voxels[..., GROUND - 1] = BLOCK_ID[surface]
        self.state.biome[0] = 0

    def put(self, x: int, y: int, z: int, block: str) -> None:
        self.voxels[x, z, y] = BLOCK_ID[block]

    def fill(self, x: tuple[int, int], y: tuple[int, int], z: tuple[int, int], block: str) -> None:
        self.voxels[x[0] : x[1], z[0] : z[1], y[0] : y[1]] = BLOCK_ID[block]

    def scatter(self, plants: dict[str, float], seed: int = 0) -> None:
        """Plants on the grass, as parts of it."""
        rng = np.random.default_rng(seed)
        for x, z in np.ndindex(self.voxels.shape[:2]):
            chance = rng.random()
            for plant, part in plants.items():
                chance -= part
                if chance < 0:
                    if self.voxels[x, z, GROUND] == 0 and self.voxels[x, z, GROUND - 1] == BLOCK_ID["grass_block"]:
                        self.put(x, GROUND, z, plant)
                    break

    def finish(self, lamps: tuple[tuple[int, int, int, int], ...] = ()) -> None:
        """``lamps``: (x, y, z, level) of what gives off light."""
        state, voxels = self.state, self.voxels
        height = voxels.shape[2]
        opaque = voxels >= FIRST_LIQUID
        state.height[0] = np.where(opaque, np.arange(1, height + 1), 0).max(-1)
        cutout = ((voxels > 0) & ~opaque).reshape(*voxels.shape[:2], -1, WORD).astype(np.uint64)
        state.cutouts[0] = (cutout << np.arange(WORD, dtype=np.uint64)).sum(-1, dtype=np.uint64)
        wall = voxels >= BLOCK_ID["bedrock"]
        water = opaque & ~wall
        sky = np.where(np.arange(height) >= state.height[0][..., None], 15, 0)
        block = np.zeros_like(sky)
        for x, y, z, level in lamps:
            block[x, z, y] = level
        for levels in (sky, block):
            for _ in range(15):
                spread = levels.copy()
                for axis in range(3):
                    for step in (1, -1):
                        spread = np.maximum(spread, np.roll(levels, step, axis) - 1 - water)
                levels[:] = np.where(wall, 0, np.maximum(levels, spread))
        state.light[0] = sky << 4 | block


def meadow(b: Builder) -> None:
    b.flat()
    b.scatter({"grass": 0.12, "dandelion": 0.01, "poppy": 0.01, "oxeye_daisy": 0.01})
    b.fill((60, 69), (GROUND, GROUND + 1), (62, 69), "air")
    b.finish()


def camp(b: Builder) -> None:
    b.flat()
    b.scatter({"grass": 0.08, "poppy": 0.01})
    b.fill((56, 74), (GROUND, GROUND + 4), (71, 72), "cobblestone")
    b.fill((60, 69), (GROUND, GROUND + 1), (62, 70), "air")
    for x, block in ((60, "crafting_table"), (61, "furnace"), (67, "chest"), (68, "bookshelf"), (69, "hay_block")):
        b.put(x, GROUND, 70, block)
    b.fill((58, 59), (GROUND, GROUND + 4), (68, 72), "oak_log")
    b.fill((71, 72), (GROUND, GROUND + 4), (68, 72), "oak_log")
    lamps = []
    for x, y, z, block in (
        (63, GROUND + 2, 70, "wall_torch[facing=north]"),
        (66, GROUND + 2, 70, "wall_torch[facing=north]"),
        (61, GROUND, 67, "torch"),
    ):
        b.put(x, y, z, block)
        lamps.append((x, y, z, 14))
    b.put(68, GROUND, 67, "carved_pumpkin")
    b.finish(tuple(lamps))


def cave(b: Builder) -> None:
    b.flat()
    b.voxels[..., 1 : GROUND + 14] = STONE
    rng = np.random.default_rng(1)
    for x, y, z, r in ((64, 32, 63, 3.2), (64, 32, 67, 3.4), (65, 32, 72, 3.8), (62, 31, 77, 3.4), (66, 33, 80, 3.6)):
        where = np.indices(b.voxels.shape)
        distance = (where[0] - x) ** 2 + (where[1] - z) ** 2 + 1.3 * (where[2] - y) ** 2
        b.voxels[distance < r * r] = 0
    b.voxels[..., :GROUND] = np.where(b.voxels[..., :GROUND] == 0, STONE, b.voxels[..., :GROUND])
    bare = np.argwhere(b.voxels == STONE)
    for ore in ("coal_ore", "iron_ore", "gold_ore", "redstone_ore", "diamond_ore"):
        near = bare[(abs(bare - (64, 71, 32)) < (6, 10, 5)).all(1)]
        for x, z, y in near[rng.choice(len(near), 14, replace=False)]:
            b.voxels[x : x + 2, z, y] = np.where(
                b.voxels[x : x + 2, z, y] == STONE, BLOCK_ID[ore], b.voxels[x : x + 2, z, y]
            )
    b.fill((66, 69), (GROUND - 1, GROUND), (76, 80), "lava[level=0]")
    b.put(62, GROUND, 69, "torch")
    b.finish(((62, GROUND, 69, 14), (67, GROUND, 78, 15)))


def water(b: Builder) -> None:
    b.flat("sand")
    b.voxels[..., GROUND : GROUND + 9] = BLOCK_ID["water[level=0]"]
    rng = np.random.default_rng(2)
    for x, z in rng.integers(50, 90, (60, 2)):
        b.fill(
            (x, x + 3),
            (GROUND, GROUND + rng.integers(1, 3)),
            (z, z + 2),
            ("dirt", "sand", "clay", "gravel")[rng.integers(4)],
        )
    b.fill((62, 67), (GROUND, GROUND + 4), (61, 66), "water[level=0]")
    b.fill((60, 62), (GROUND, GROUND + 6), (70, 72), "mossy_cobblestone")
    b.finish()


def dig(b: Builder) -> None:
    b.flat()
    b.scatter({"grass": 0.06})
    b.fill((58, 72), (GROUND, GROUND + 3), (67, 69), "stone")
    b.put(62, GROUND + 1, 67, "coal_ore")
    b.put(67, GROUND, 67, "iron_ore")
    b.fill((60, 69), (GROUND, GROUND + 1), (62, 67), "air")
    b.finish()
    state = b.state
    state.dig_block[0], state.dig_progress[0] = (64, GROUND, 67), 0.62
    for i, (item, x, z) in enumerate(
        (("diamond", 62.9, 65.6), ("cobblestone", 65.6, 65.9), ("apple", 65.2, 64.9), ("oak_log", 63.4, 66.2))
    ):
        state.drop_item[0, i], state.drop_count[0, i], state.drop_age[0, i] = ITEM_ID[item], 1, 9 * i
        state.drop_position[0, i] = state.drop_previous_position[0, i] = (x, GROUND, z)


BUILDERS = {"meadow": meadow, "camp": camp, "cave": cave, "water": water, "dig": dig}

# SCENES


def give(engine: VoxelEngine, scene: Scene) -> None:
    """The hotbar, and what the inventory screen shows."""
    state = engine.state
    state.inventory_item[0], state.inventory_count[0], state.inventory_damage[0] = 0, 0, 0

    def put(slot: int, item: str, count: int = 1, damage: int = 0) -> None:
        state.inventory_item[0, slot], state.inventory_count[0, slot] = ITEM_ID[item], count
        state.inventory_damage[0, slot] = damage

    put(0, scene.item, 1, 60 if scene.item == "stone_pickaxe" else 0)
    for slot, (item, count) in enumerate((("cooked_beef", 12), ("oak_planks", 64), ("torch", 33), ("bow", 1)), 1):
        put(slot, item, count)
    if scene.inventory:
        stacks = (
            "diamond",
            "iron_ingot",
            "gold_ingot",
            "coal",
            "redstone",
            "lapis_lazuli",
            "emerald",
            "apple",
            "bread",
        )
        stacks += (
            "oak_log",
            "cobblestone",
            "dirt",
            "sand",
            "glass",
            "crafting_table",
            "furnace",
            "chest",
            "oak_stairs",
        )
        stacks += (
            "water_bucket",
            "iron_pickaxe",
            "golden_axe",
            "diamond_shovel",
            "arrow",
            "bone",
            "string",
            "egg",
            "book",
        )
        for slot, item in enumerate(stacks, 9):
            put(
                slot,
                item,
                1 if item in ("water_bucket", "iron_pickaxe", "golden_axe", "diamond_shovel") else 3 + 5 * (slot % 7),
            )
        for slot, part in enumerate(("boots", "leggings", "chestplate", "helmet"), 36):
            put(slot, f"iron_{part}", 1, 40)
        put(40, "shield")
        state.gui_open[0], state.cursor[0] = 1, (372, 236)
        state.cursor_item[0], state.cursor_count[0] = ITEM_ID[f"{COLOURS[14]}_wool"], 7
    state.held_item[0] = state.inventory_item[0, 0]


def set_up(engine: VoxelEngine, scene: Scene) -> None:
    """Makes the scene's world and puts everything in its place."""
    state = engine.state
    engine.set_keys(np.array([environment_key(0, scene.world)]))
    engine.tick(np.zeros((1, 20)), np.zeros((1, 2)), np.ones(1, bool))
    state.mob_kind[0], state.drop_item[0], state.gui_open[0], state.cursor_item[0], state.dig_progress[0] = (
        0,
        0,
        0,
        0,
        0,
    )
    state.arrow_ticks[0] = 0
    yaw = np.radians(scene.yaw)
    ahead, right = np.array([-np.sin(yaw), np.cos(yaw)]), np.array([-np.cos(yaw), -np.sin(yaw)])
    size = state.height.shape[1]
    if scene.build:
        BUILDERS[scene.build](Builder(engine))
        state.position[0] = (64.5, GROUND + (3 if scene.build == "water" else 0), 63.5)
        state.air[0] = 180 if scene.build == "water" else 300
    else:
        x, z = state.position[0, [0, 2]] + scene.ahead * ahead
        y = state.height[0, int(np.floor(x)) % size, int(np.floor(z)) % size]
        state.position[0] = (x, y, z)
        state.air[0] = 300
    state.previous_position[0] = state.position[0]
    state.time_of_day[0], state.weather[0] = scene.time, scene.weather
    state.yaw[0], state.pitch[0] = scene.yaw, scene.pitch
    state.health[0], state.food[0] = 17, 18
    state.swing_ticks[0], state.attack_ticks[0] = scene.swing, 100
    give(engine, scene)
    for slot, (name, far, aside, turned) in enumerate(scene.mobs):
        x, z = state.position[0, [0, 2]] + far * ahead + aside * right
        state.mob_kind[0, slot], state.mob_health[0, slot] = MOB_ID[name], 10
        state.mob_hurt_ticks[0, slot] = state.mob_death_ticks[0, slot] = state.mob_fire_ticks[0, slot] = 0
        state.mob_age[0, slot] = state.mob_variant[0, slot] = state.mob_goal[0, slot] = 0
        state.mob_position[0, slot] = state.mob_previous_position[0, slot] = (x, GROUND, z)
        state.mob_position[0, slot, 0] += 0.06 * slot  # the second walks
        state.mob_yaw[0, slot] = scene.yaw + turned
        state.mob_head_yaw[0, slot] = scene.yaw + turned + (20 if turned < 150 else 0)
        state.mob_head_pitch[0, slot] = 0
        state.mob_walk[0, slot] = 0.9 * slot


def main(args: Args) -> None:
    (width, height), scenes = SCREEN, [scene for scene in SCENES if args.only in scene.label]
    cell = (width + sum(AGENT_SIZES) + 3 * GAP, height + LABEL + GAP)
    rows = -(-len(scenes) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell[0] - GAP, rows * cell[1]), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    engines = {
        biome: VoxelEngine(1, 2 * width, 2 * height, max_mobs=4, biomes=(biome,), empty_frames=0) for biome in BIOMES
    }
    for i, scene in enumerate(scenes):
        engine = engines[scene.biome]
        set_up(engine, scene)
        left, top = i % COLUMNS * cell[0], i // COLUMNS * cell[1]
        pen.text((left, top), scene.label, "black", font)
        large = Image.fromarray(engine.frame(0, 2 * width, 2 * height)).resize(SCREEN, Image.Resampling.BOX)
        pictures = [large, *(Image.fromarray(engine.frame(0, size, size)) for size in AGENT_SIZES)]
        for picture in pictures:
            sheet.paste(picture, (left, top + LABEL))
            left += picture.width + GAP
    args.output.parent.mkdir(parents=True, exist_ok=True)
    sheet = sheet.point(lambda value: round(round(value * (args.steps - 1) / 255) * 255 / (args.steps - 1)))
    sheet.save(args.output, optimize=True)
    print(f"wrote {args.output}: {sheet.width}x{sheet.height}, {args.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
