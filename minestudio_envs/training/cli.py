"""The command line of flat settings, shown in groups."""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

T = TypeVar("T")


def parse_args(args: type[T] | T, description: str | None = None, argv: Sequence[str] | None = None) -> T:
    """`args`, a dataclass or an instance with other defaults, from the command line.

    Each of the dataclass's bases is a group in --help, titled by its docstring; flags carry no group's name.
    """
    default = args() if isinstance(args, type) else args
    bases = type(default).__bases__
    split = dataclasses.make_dataclass("Split", [(base.__name__, base) for base in bases])
    parts = [base(**{f.name: getattr(default, f.name) for f in dataclasses.fields(base)}) for base in bases]
    config = (tyro.conf.OmitArgPrefixes,)
    parsed = tyro.cli(split, args=argv, default=split(*parts), description=description, config=config)
    values: dict[str, Any] = {}
    for base in bases:
        values |= vars(getattr(parsed, base.__name__))
    return type(default)(**values)
