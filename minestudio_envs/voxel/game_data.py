"""Minecraft 1.16.5's tables as PrismarineJS minecraft-data has them, read from ``minecraft_data.json``.

Attribution and licence stand in that file; ``scripts/extract_minecraft_data.py`` writes it.
"""

import json
from pathlib import Path

_DATA = json.loads((Path(__file__).with_name("minecraft_data.json")).read_text(encoding="utf-8"))

ITEMS: dict[str, tuple[int, int]] = _DATA["items"]  # name -> (stack size, durability or 0), in the order of item ids
BLOCKS: dict[str, dict] = _DATA["blocks"]  # name -> hardness (-1: unbreakable), material, solid, light, filter, harvest
TOOL_SPEEDS: dict[str, dict[str, float]] = _DATA["tool_speeds"]  # material -> tool -> speed
FOODS: dict[str, tuple[int, float]] = _DATA["foods"]  # item -> (food points, saturation)
ENTITIES: dict[str, tuple[float, float, str]] = _DATA["entities"]  # name -> (width, height in blocks, category)
BIOMES: dict[str, tuple[int, str, float, float]] = _DATA["biomes"]  # name -> (id, category, temperature, rainfall)
RECIPES: list[dict] = _DATA["recipes"]  # {"result": [item, count], "shape": rows or "ingredients": items}
