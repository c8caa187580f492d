"""Settings in nested dataclasses: from a user's configuration or the command line, every key and value checked.

A field is a section, which is a dataclass itself, or a leaf: bool, int, float, str, Literal[...], Any (what JSON can
hold), tuple[...], list[...] and dict[str, ...] of these, and unions such as `int | None`. Every field has a default.
Where annotations are strings, the dataclasses must stand at their module's top level.

A section may take more keys than its fields, for instance to hand them to a library: `extra_keys: ClassVar[str]` names
the dict field that takes them up, and `allowed_extra()`, a class or static method, returns which are allowed.
"""

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

T = TypeVar("T")


class SettingsError(ValueError):
    """A configuration that cannot be used. The message has one line for each fault, beginning with the key's path."""


def from_config(cls: type[T], config: Mapping[str, Any] | T | None) -> T:
    """The settings `cls` with the values of `config`; what is not given keeps its default.

    `config` is a nested mapping, an OmegaConf configuration, or an instance of `cls`, which is copied; its sections may
    be any of these too, and None where everything is default. Whole numbers count as floats and 1e3 as an int; a blank
    (None) bool is False. Raises SettingsError with everything that is wrong.
    """
    reader = _Reader(cls())
    settings = reader.read(reader.root, config)
    if reader.faults:
        raise SettingsError("\n".join(reader.faults))
    return settings


def to_config(settings: Any) -> dict[str, Any]:
    """The settings as nested dicts, for JSON; from_config takes them back."""
    return dataclasses.asdict(settings)


def flatten(settings: Any) -> dict[str, Any]:
    """Name and value of every leaf, without names that several sections have."""
    leaves = _leaves(settings)
    return {name: leaves[path] for name, path in _unique(leaves).items()}


def paths(settings: Any) -> dict[str, str]:
    """Dotted path of every leaf, by its name where that is unique, and by the path itself. Takes a class too."""
    leaves = _leaves(settings() if isinstance(settings, type) else settings)
    return _unique(leaves) | {path: path for path in leaves}


def differences(there: T, here: T) -> list[str]:
    """A line for every leaf that differs between two instances: "train_config.discount: 0.99 there, 0.999 here"."""
    if type(there) is not type(here):
        raise TypeError(f"cannot compare {type(there).__name__} with {type(here).__name__}")
    values = _leaves(here)
    return [f"{path}: {a!r} there, {values[path]!r} here" for path, a in _leaves(there).items() if a != values[path]]


def parse(args: type[T] | T, description: str | None = None, argv: Sequence[str] | None = None) -> T:
    """`args`, a class or an instance with other defaults, from flags such as --train-config.discount 0.99.

    A bool is --section.name or --section.no-name. Dicts have flags for the items they have by default, and no others.
    """
    cls = args if isinstance(args, type) else type(args)
    default = from_config(cls, None if isinstance(args, type) else args)
    return from_config(cls, tyro.cli(cls, args=argv, default=default, description=description))


def _sections(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every section, outermost first, after the prefix of its fields' paths."""
    yield prefix, settings
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from _sections(value, f"{prefix}{field.name}.")


def _leaves(settings: Any) -> dict[str, Any]:
    """Value of every leaf by its path."""
    values = {
        prefix + name: value for prefix, section in _sections(settings) for name, value in _fields(section).items()
    }
    return {path: value for path, value in values.items() if not dataclasses.is_dataclass(value)}


def _fields(section: Any) -> dict[str, Any]:
    """Value of every field by its name. Unlike dataclasses.asdict, neither goes deeper nor copies."""
    return {field.name: getattr(section, field.name) for field in dataclasses.fields(section)}


def _unique(leaves: Mapping[str, Any]) -> dict[str, str]:
    """Path by name, of the names that occur once."""
    counts = Counter(map(_name, leaves))
    return {_name(path): path for path in leaves if counts[_name(path)] == 1}


def _name(path: str) -> str:
    return path.rpartition(".")[2]


def _allowed(section: Any) -> list[str]:
    """Keys that a section takes beside its fields."""
    return sorted(set(section.allowed_extra()) - set(_fields(section))) if hasattr(section, "extra_keys") else []


class _Reader:
    """Reads a configuration to its end, gathering what is wrong with it."""

    def __init__(self, root: Any):
        self.root = root
        self.faults: list[str] = []

    def read(self, default: T, config: Any, prefix: str = "") -> T:
        """A section as `config` says. `prefix` goes before its keys in messages."""
        config = _plain(config)
        if isinstance(config, type(default)):
            default, config = type(config)(), _fields(config)
        if config is None:
            config = {}
        if not isinstance(config, Mapping):
            path = prefix.removesuffix(".") or "the configuration"
            self.faults.append(f"{path}: wrong type; given {config!r}, expected a mapping of its settings")
            return default
        config = self.take_extra(default, config, prefix)
        hints = get_type_hints(type(default))
        values = {}
        for name, own in _fields(default).items():
            value = config.get(name, own)
            if dataclasses.is_dataclass(own):
                values[name] = self.read(own, value, f"{prefix}{name}.")
                continue
            try:
                values[name] = _fit(hints[name], value)
            except _Misfit as misfit:
                expected = _expected(hints[name])
                self.faults.append(f"{prefix}{name}: {misfit}; given {_plain(value)!r}, expected {expected}")
        return default if self.faults else type(default)(**values)

    def take_extra(self, section: Any, config: Mapping, prefix: str) -> Mapping:
        """`config` with the keys that are no fields in the field that takes them up, where there is one."""
        names = list(_fields(section))
        others = {key: value for key, value in config.items() if key not in names}
        field = getattr(section, "extra_keys", None)
        given = _plain(config.get(field, getattr(section, field))) if field else None
        inside = given if isinstance(given, Mapping) else {}
        allowed = _allowed(section) if others or inside else []  # not else: it may import a library
        for key in others:
            if key not in allowed:
                self.refuse(key, prefix, names + allowed)
        for key in inside:
            if key not in allowed:
                self.refuse(key, f"{prefix}{field}.", allowed)
        return {**config, field: {**inside, **others}} if others and inside is given else config

    def refuse(self, key: Any, prefix: str, known: list[str]) -> None:
        """Report an unknown key with what it may have meant: a slip of the pen, the wrong section, something alike."""

        def alike(names: Collection[str], cutoff: float) -> list[str]:
            return get_close_matches(str(key), names, n=1, cutoff=cutoff)

        places = [at + name for at, section in _sections(self.root) for name in [*_fields(section), *_allowed(section)]]
        meant = (
            [prefix + name for name in alike(known, 0.8)]
            or [path for path in places if _name(path) == key]
            or [prefix + name for name in alike(known, 0.6)]
            or [path for path in places if _name(path) in alike(set(map(_name, places)), 0.6)]
        )
        hint = f"did you mean {' or '.join(meant)}?" if meant else f"known are {', '.join(known) or 'none'}"
        self.faults.append(f"{prefix}{key}: no such setting; {hint}")


class _Misfit(ValueError):
    """In a few words why a value is not of a type."""


def _fit(kind: Any, value: Any) -> Any:
    """A copy of the value, of type `kind`."""
    value = _plain(value)
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if kind is Any:
        try:
            return json.loads(json.dumps(value))  # as it will be when read from a file
        except (TypeError, ValueError):
            raise _Misfit("cannot be saved") from None
    if origin is Literal:
        for choice in inner:
            if type(value) is type(choice) and value == choice:
                return choice
        raise _Misfit("not one of the choices")
    if origin in (Union, UnionType):
        misfits = []
        for option in sorted(inner, key=lambda option: option is not type(value)):  # 1.0 stays one in int | float
            try:
                return _fit(option, value)
            except _Misfit as misfit:
                misfits.append(misfit)
        raise misfits[0]
    if origin is bool and value is None:
        return False  # `key:` in YAML
    if origin in (int, float) and isinstance(value, int | float) and not isinstance(value, bool):
        if origin is int and value % 1 != 0:
            raise _Misfit("not a whole number")
        return origin(value)
    if origin in (tuple, list) and isinstance(value, tuple | list):
        kinds = inner[:1] * len(value) if origin is list or inner[-1:] == (...,) else inner
        if len(kinds) != len(value):
            raise _Misfit("wrong length")
        return origin(map(_fit, kinds, value))
    if origin is dict and isinstance(value, Mapping):
        return {_fit(inner[0], key): _fit(inner[1], item) for key, item in value.items()}
    if origin in (bool, str, NoneType) and isinstance(value, origin):
        return value
    if origin not in (bool, int, float, str, NoneType, tuple, list, dict):
        raise TypeError(f"a setting cannot be a {kind}")
    raise _Misfit("text, not a number" if origin in (int, float) and isinstance(value, str) else "wrong type")


def _expected(kind: Any) -> str:
    """A type in words."""
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(map(_expected, get_args(kind)))
    if kind is NoneType:
        return "None"
    return str(kind).replace("typing.", "") if get_args(kind) else kind.__name__


def _plain(value: Any) -> Any:
    """OmegaConf's containers as dicts and lists, interpolations resolved. Whoever has some has imported omegaconf."""
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is not None and omegaconf.OmegaConf.is_config(value):
        return omegaconf.OmegaConf.to_container(value, resolve=True)
    return value
