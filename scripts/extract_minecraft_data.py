"""Extracts the tables that the voxel engine reads from PrismarineJS minecraft-data, for Minecraft 1.16.5.

pip install minecraft_data==3.20.0
python scripts/extract_minecraft_data.py
"""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

VERSION = "1.16.5"
ATTRIBUTION = (
    "From minecraft-data (https://github.com/PrismarineJS/minecraft-data) by PrismarineJS, "
    "packaged for Python as minecraft_data (Copyright (c) 2021 N. Vito Gamberini and contributors), MIT License; "
    "written by scripts/extract_minecraft_data.py."
)
TIERS = ("wooden", "golden", "stone", "iron", "diamond", "netherite")  # from weak to strong
TABLES = ("blocks", "items", "materials", "foods", "entities", "biomes", "recipes")


@dataclass
class Args:
    source: Path | None = None
    """minecraft-data's folder `data`; by default that of the installed package minecraft_data"""
    output: Path = Path("minestudio_envs/voxel/minecraft_data.json")
    """the file to write"""


def read(source: Path, table: str) -> Any:
    """One of minecraft-data's tables for the version; most versions share an earlier one's file."""
    folder = json.loads((source / "dataPaths.json").read_text())["pc"][VERSION][table]
    return json.loads((source / folder / f"{table}.json").read_text())


def extract(source: Path) -> dict[str, Any]:
    """The engine's tables, keyed by Minecraft's names in the order of Minecraft's ids."""
    tables = {name: read(source, name) for name in TABLES}
    items = sorted(tables["items"], key=lambda item: item["id"])
    name_of = {item["id"]: item["name"] for item in items}
    if list(name_of) != list(range(1, len(items) + 1)):
        raise ValueError("items.json: ids are expected to count from 1, 0 being air")
    blocks = {}
    for block in sorted(tables["blocks"], key=lambda block: block["id"]):
        blocks[block["name"]] = {
            "hardness": block["hardness"] if block["diggable"] else -1,
            "material": block.get("material", ""),
            "solid": int(block["boundingBox"] == "block"),
            "light": block["emitLight"],
            "filter": block["filterLight"],
            "harvest": weakest([name_of[int(tool)] for tool in block.get("harvestTools", ())]),
        }
    return {
        "items": {"air": [64, 0]}  # id 0, which minecraft-data leaves out
        | {item["name"]: [item["stackSize"], item.get("maxDurability", 0)] for item in items},
        "blocks": blocks,
        "tool_speeds": {
            material: {name_of[int(tool)]: speed for tool, speed in tools.items()}
            for material, tools in tables["materials"].items()
        },
        "foods": {food["name"]: [food["foodPoints"], food["saturation"]] for food in tables["foods"]},
        "entities": {
            entity["name"]: [entity["width"], entity["height"], entity["category"]] for entity in tables["entities"]
        },
        "biomes": {
            biome["name"]: [biome["id"], biome["category"], biome["temperature"], biome["rainfall"]]
            for biome in tables["biomes"]
        },
        "recipes": [recipe(entry, name_of) for entries in tables["recipes"].values() for entry in entries],
    }


def weakest(tools: list[str]) -> str:
    """The weakest of the tools that a block yields its drop to; "" for a block that yields it to the hand."""
    return min(
        tools, key=lambda tool: next((i for i, tier in enumerate(TIERS) if tool.startswith(tier)), 0), default=""
    )


def recipe(entry: dict[str, Any], name_of: dict[int, str]) -> dict[str, Any]:
    """``{"result": [item, count], "shape": rows}``, empty places "", or with "ingredients" where no shape matters."""
    result = [name_of[entry["result"]["id"]], entry["result"]["count"]]
    if "inShape" in entry:
        return {"result": result, "shape": [[name_of.get(i, "") for i in row] for row in entry["inShape"]]}
    return {"result": result, "ingredients": [name_of[i] for i in entry["ingredients"]]}


def dump(data: dict[str, Any]) -> str:
    """JSON with one line for each entry, so that a change of the data can be read as one."""
    parts = [f'"attribution": {json.dumps(ATTRIBUTION)}', f'"version": "{VERSION}"']
    for name, table in data.items():
        if isinstance(table, dict):
            rows = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in table.items()]
        else:
            rows = [json.dumps(value) for value in table]
        opening, closing = "{}" if isinstance(table, dict) else "[]"
        parts.append(f'"{name}": {opening}\n' + ",\n".join(rows) + f"\n{closing}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(args: Args) -> None:
    source = args.source
    if source is None:
        package = importlib.util.find_spec("minecraft_data")
        if package is None:
            raise SystemExit("minecraft_data is not installed: pip install minecraft_data==3.20.0, or give --source")
        source = Path(package.origin).parent / "data" / "data"
    args.output.write_text(dump(extract(source)))
    print(f"wrote {args.output}, {args.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(tyro.cli(Args))
