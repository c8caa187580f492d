"""Learning curves of several runs as one PNG: a line for each group of runs, and the band between its seeds.

python scripts/plot.py --runs "KL leash=output/kill_cow__*" --output learning_curve.png
"""

import glob
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import tyro

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.backend_bases import FigureCanvasBase


@dataclass
class Args:
    runs: tuple[str, ...] = ("runs=output/*",)
    """groups LABEL=PATTERN of run folders (those with a metrics.jsonl)"""
    output: Path = Path("learning_curve.png")
    """the picture"""
    x: str = "charts/global_step"
    """key along the horizontal axis"""
    y: str = "charts/episodic_return"
    """key along the vertical axis"""
    begin: float = 0.0
    """where the horizontal axis begins: the mean of the very first episodes says little"""
    smooth: int = 5
    """iterations in the moving average"""


def read_curve(path: Path, x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
    """The two columns of a metrics.jsonl, float64 each, without the rows in which one is missing.

    Raises SystemExit naming the file, and the line if it is none of metrics.
    """
    pairs = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            row = json.loads(line.decode())
            if row.get(x) is not None and row.get(y) is not None:
                pairs.append((float(row[x]), float(row[y])))
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise SystemExit(
                f"{path}, line {number} is no row of metrics ({error}). If a killed run left half of it, resume the "
                "run; else take the line out"
            ) from error
    if not pairs:
        raise SystemExit(f"{path} has no row with {x} and {y}")
    xs, ys = np.array(pairs, float).T
    return xs, ys


def seeds(label: str, count: int) -> str:
    return f"{label} ({count} seed{'s' * (count > 1)})"


def save(figure: plt.Figure, axes: plt.Axes, x: str, y: str, output: Path) -> None:
    if not output.suffix:
        output = output.with_name(f"{output.name}.png")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output)
    print(output)


def draw(groups: dict[str, list[Path]], args: Args) -> None:
    """The picture of runs' folders, by label."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6), dpi=110)
    for label, folders in groups.items():
        curves = [read_curve(folder / "metrics.jsonl", args.x, args.y) for folder in folders]
        end = min(xs[-1] for xs, _ in curves)
        if not args.begin <= end:
            raise SystemExit(
                f"--begin {args.begin:g} must not be beyond {end:g}, where the shortest run of {label} ends"
            )
        grid = np.linspace(max(args.begin, *(xs[0] for xs, _ in curves)), end, 200)
        kernel = np.ones(args.smooth) / args.smooth
        smoothed = [np.convolve(np.pad(ys, (args.smooth - 1, 0), "edge"), kernel, "valid") for _, ys in curves]
        values = np.stack([np.interp(grid, xs, ys) for (xs, _), ys in zip(curves, smoothed, strict=True)])
        (line,) = axes.plot(grid, values.mean(0), label=seeds(label, len(curves)))
        axes.fill_between(grid, values.min(0), values.max(0), color=line.get_color(), alpha=0.2, linewidth=0)
    save(figure, axes, *(key.split("/")[-1].replace("_", " ") for key in (args.x, args.y)), args.output)


def draw_sweep(amounts: tuple[int, ...], values: dict[str, list[list[float]]], x: str, y: str, output: Path) -> None:
    """The picture of a figure of merit against a setting. values: of each label [amounts][seeds]."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6), dpi=110)
    for label, rows in values.items():
        grid = np.array(rows)
        (line,) = axes.plot(amounts, grid.mean(1), marker="o", label=seeds(label, grid.shape[1]))
        axes.fill_between(amounts, grid.min(1), grid.max(1), color=line.get_color(), alpha=0.2, linewidth=0)
    save(figure, axes, x, y, output)


def check_args(args: Args) -> None:
    """Refuse settings that cannot work before anything is read. Raises SystemExit."""
    if not args.runs:
        raise SystemExit("--runs is empty: expected LABEL=PATTERN")
    if args.smooth < 1:
        raise SystemExit(f"--smooth {args.smooth} must be at least 1, which smooths nothing")
    formats = FigureCanvasBase.get_supported_filetypes()
    if args.output.suffix and args.output.suffix[1:].lower() not in formats:
        raise SystemExit(f"--output {args.output} must be a picture: {', '.join(sorted(formats))}")


def main(args: Args) -> None:
    check_args(args)
    groups = {}
    for group in args.runs:
        label, _, pattern = group.partition("=")
        if label in groups:
            raise SystemExit(f"--runs {group}: {label!r} is the label of another group already")
        groups[label] = [path.parent for path in map(Path, sorted(glob.glob(f"{pattern}/metrics.jsonl")))]
        if not groups[label]:
            raise SystemExit(f"--runs {group}: no folder with a metrics.jsonl matches; expected LABEL=PATTERN")
    draw(groups, args)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
