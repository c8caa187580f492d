"""VPT's file formats: OpenAI's `.model` and `.weights`, MineStudio's checkpoints. Nothing in a file is executed."""

import contextlib
import json
import logging
import math
import os
import pickle
import zipfile
from pathlib import Path

import safetensors.torch
import torch

logger = logging.getLogger("ppo_vpt")

NET_ARGS = {  # argument: the only supported value, or its type where any positive (list of) int or bool will do
    **dict.fromkeys(("hidsize", "attention_heads", "attention_memory_size", "timesteps"), int),
    **dict.fromkeys(("n_recurrence_layers", "pointwise_ratio", "impala_width"), int),
    **dict.fromkeys(("impala_chans", "img_shape"), list),
    "use_pre_lstm_ln": bool,
    "attention_mask_style": "clipped_causal",
    "recurrence_type": "transformer",
    "recurrence_is_residual": True,
    "use_pointwise_layer": True,
    "pointwise_use_activation": False,
    "init_norm_kwargs": {"batch_norm": False, "group_norm_groups": 1},
    "impala_kwargs": {"post_pool_groups": 1},
}


def check_net_args(net_args: dict) -> dict:
    """Network arguments as OpenAI's `.model` files hold them -> a plain copy of those that matter.

    Nothing has a default: a published file names every argument, and a guess would be another network.
    Raises ValueError naming the key and the value that is missing, unknown or unsupported.
    """
    args = {key: list(value) if isinstance(value, list | tuple) else value for key, value in net_args.items()}
    for key in ("active_reward_monitors", "only_img_input"):  # no effect on the network
        args.pop(key, None)
    if args.pop("diff_mlp_embedding", False):
        raise ValueError("net_args['diff_mlp_embedding'] = True is not supported, only False")
    if args.keys() != NET_ARGS.keys():
        unknown = {key: args[key] for key in args if key not in NET_ARGS}
        raise ValueError(f"net_args lacks {[key for key in NET_ARGS if key not in args]} and has unknown {unknown}")
    for key, want in NET_ARGS.items():
        value, values = args[key], args[key] if want is list else [args[key]]
        if want in (int, list):
            good = isinstance(values, list) and values and all(type(v) is int and v > 0 for v in values)
            want = "a positive int" if want is int else "a list of positive ints"
        else:
            good = type(value) is bool if want is bool else value == want
        if not good:
            raise ValueError(f"net_args[{key!r}] = {value!r} is not supported, only {want}")
    if len(args["img_shape"]) != 3 or args["img_shape"][2] != 3:
        raise ValueError(f"net_args['img_shape'] = {args['img_shape']} must be [height, width, 3]")
    d, heads, size, timesteps = (args[key] for key in list(NET_ARGS)[:4])
    if d % heads:
        raise ValueError(f"hidsize {d} must be a multiple of attention_heads {heads}")
    if size <= timesteps:
        raise ValueError(f"attention_memory_size {size} must exceed timesteps {timesteps}")
    return args


class VPTFileError(ValueError):
    """A policy file is not what it should be; the message names the file, the fault and what to do."""


class _Gym3Space:
    """Stands in for gym3's DictType, TensorType and Discrete in `.model` files; their contents are not needed."""

    def __setstate__(self, state) -> None:
        pass


class _ModelUnpickler(pickle.Unpickler):
    """Unpickling can run any code, so only the three names that OpenAI's files contain get through."""

    def find_class(self, module: str, name: str):
        if module == "gym3.types" and name in ("DictType", "TensorType", "Discrete"):
            return _Gym3Space
        raise pickle.UnpicklingError(f"forbidden global {module}.{name}")

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("forbidden persistent id")


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise VPTFileError(f"{path}: no such file. Check the path, copy the file there, or download it")
    with open(path, "rb") as file:
        head = file.read(64).lstrip().lower()
    if not head:
        raise VPTFileError(f"{path} is empty. Download it again")
    if head.startswith(b"version https://git-lfs"):
        raise VPTFileError(f"{path} is a git-LFS pointer, not the file itself. Fetch it with `git lfs pull`")
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise VPTFileError(f"{path} is a web page, not the file itself. Download it again")


def read_vpt_model(path: str | Path) -> tuple[dict, float]:
    """(net_args, temperature) of OpenAI's `.model`, or of MineStudio's `config.json` or the folder with it.

    Raises VPTFileError. A `.model` is a pickle: nothing but plain values and three inert names are let through.
    """
    path = Path(path)
    path = path / "config.json" if path.is_dir() else path
    _check_file(path)
    try:
        if path.suffix == ".json":
            config = json.loads(path.read_text(encoding="utf-8"))
            net_args, temperature = config["policy_kwargs"], config.get("temperature", 1.0)
        else:
            with open(path, "rb") as file:
                args = _ModelUnpickler(file).load()["model"]["args"]
            net_args, temperature = args["net"]["args"], args["pi_head_opts"]["temperature"]
        if not 0 < float(temperature) < math.inf:
            raise ValueError(f"temperature {temperature} is not positive")
        return check_net_args(net_args), float(temperature)
    except Exception as error:  # a broken pickle can raise anything
        raise VPTFileError(
            f"{path} does not describe a VPT policy ({type(error).__name__}: {error}). It should be OpenAI's .model as "
            "published or MineStudio's config.json, not the weights. If it should be one of these, download it again"
        ) from error


def read_vpt_weights(path: str | Path) -> dict[str, torch.Tensor]:
    """The state dict in a `.weights`, `.ckpt` or `.safetensors` file, or in a folder's model.safetensors.

    Wrappers that MineStudio's trainers put around it are taken off. Raises VPTFileError. Nothing but tensors is loaded.
    """
    path = Path(path)
    path = path / "model.safetensors" if path.is_dir() else path
    _check_file(path)
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file can raise anything
        if isinstance(error, pickle.UnpicklingError) and zipfile.is_zipfile(path):
            raise VPTFileError(
                f"{path} holds Python objects besides tensors, which are not loaded because they can run code. If you "
                "trust it, take the weights out where the libraries it needs are installed, with `torch.save("
                "torch.load(path, weights_only=False)['state_dict'], 'policy.weights')`, and load that file instead"
            ) from error
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise VPTFileError(f"{path} is no weights file, or a broken one ({reason}). Download it again") from error
    state = state["state_dict"] if isinstance(state, dict) and "state_dict" in state else state
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise VPTFileError(f"{path} holds no state dict (name -> tensor). Pass the file with the policy's weights")
    return {name.removeprefix("mine_policy."): tensor for name, tensor in state.items()}


@contextlib.contextmanager
def replace_file(path: str | Path):
    """Yields a binary file that takes `path`'s place when complete, so that a crash never leaves half a file."""
    aside = Path(f"{path}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def load_policy(policy_class: type, model_path, weights_path=None, temperature: float | None = None):
    """A policy_class(net_args, temperature) from files in OpenAI's or MineStudio's form, on the CPU in float32.

    model_path: OpenAI's `.model`, or MineStudio's Hugging Face folder or its `config.json`.
    weights_path: see read_vpt_weights; None means fresh weights, or for a folder those in it.
    temperature: None means the file's. The weights do not hold it, yet it changes the policy: OpenAI lists `2x.model`
    for all 2x weights, but its 2.0 belongs to the RL models; the foundation models were probably trained with 1.0.
    Raises VPTFileError. Unknown tensors are named in a warning and dropped.
    """
    net_args, file_temperature = read_vpt_model(model_path)
    try:
        policy = policy_class(net_args, file_temperature if temperature is None else temperature)
    except (RuntimeError, MemoryError) as error:
        reason = str(error).partition("\n")[0]
        if not isinstance(error, MemoryError) and "alloc" not in reason and "memory" not in reason:
            raise  # a fault of policy_class, not of the file
        raise VPTFileError(
            f"{model_path} describes a network that is too large ({reason}), with {net_args}. If these sizes are not "
            "those meant, download it again"
        ) from error
    weights_path = model_path if weights_path is None and Path(model_path).is_dir() else weights_path
    source = model_path if temperature is None else "the caller"
    logger.info("temperature %g, from %s; weights: %s", policy.temperature, source, weights_path or "fresh")
    if weights_path is None:
        return policy
    weights_name = Path(weights_path).name.lower()
    if temperature is None and policy.temperature == 2.0 and weights_name.startswith(("foundation", "bc")):
        hint = "%s says temperature 2, but %s was probably trained with 1: consider temperature=1"
        logger.warning(hint, model_path, weights_name)
    state, own = read_vpt_weights(weights_path), policy.state_dict()
    faults = [f"{name} is missing" for name in own if name not in state]
    known = {name: state[name] for name in own if name in state}
    faults += [f"{n} is {list(t.shape)}, not {list(own[n].shape)}" for n, t in known.items() if t.shape != own[n].shape]
    if faults:
        raise VPTFileError(
            f"{weights_path} does not fit {model_path}: {'; '.join(faults[:5])} ({len(faults)} such faults). "
            "Use the .model and the weights that belong together (1x, 2x or 3x)"
        )
    if extra := [name for name in state if name not in own]:
        logger.warning("%s: dropped tensors that are not the policy's: %s", weights_path, ", ".join(extra))
    policy.load_state_dict(known)
    return policy


def save_vpt_policy(policy: torch.nn.Module, model_path: str | Path, weights_path: str | Path) -> None:
    """Write the policy as a `.model` and a `.weights` file that load_openai_policy and OpenAI's own code can read."""
    net = {"args": policy.net_args}
    model = {"model": {"args": {"net": net, "pi_head_opts": {"temperature": policy.temperature}}}}
    state = {name: tensor.detach().float().cpu().contiguous() for name, tensor in policy.state_dict().items()}
    with replace_file(weights_path) as file:
        torch.save(state, file)
    with replace_file(model_path) as file:
        pickle.dump(model, file, protocol=4)
