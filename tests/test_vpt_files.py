"""Policy files: OpenAI's and MineStudio's forms are read, ours by them, everything else is refused clearly."""

import io
import json
import logging
import math
import os
import pickle
import shutil
import sys
import types
from pathlib import Path

import pytest
import safetensors.torch
import torch

from minestudio_envs.training.vpt_files import (
    NET_ARGS,
    VPTFileError,
    load_policy,
    read_vpt_model,
    replace_file,
    save_vpt_policy,
)
from ppo_vpt_online import VPTPolicy, load_openai_policy

GOLDEN = Path(__file__).parent / "golden"
ARGS = {
    **{key: value for key, value in NET_ARGS.items() if not isinstance(value, type)},
    **{"hidsize": 8, "attention_heads": 2, "attention_memory_size": 6, "timesteps": 2},
    **{"n_recurrence_layers": 2, "pointwise_ratio": 4, "impala_width": 1, "impala_chans": [2, 4, 4]},
    **{"img_shape": [16, 16, 3], "use_pre_lstm_ln": False},
}


@pytest.fixture
def policy() -> VPTPolicy:
    torch.manual_seed(0)
    policy = VPTPolicy(ARGS, temperature=1.5)
    policy.value_head.normalizer.update(torch.randn(4, 4))
    return policy


@pytest.fixture
def files(policy, tmp_path) -> tuple[Path, Path]:
    paths = tmp_path / "small.model", tmp_path / "small.weights"
    save_vpt_policy(policy, *paths)
    return paths


def assert_same(a: VPTPolicy, b: VPTPolicy):
    assert a.net_args == b.net_args and a.temperature == b.temperature
    assert list(a.state_dict()) == list(b.state_dict())
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# reading


@pytest.mark.parametrize(
    ("name", "size", "temperature"), [("1x_like", 1, 1.0), ("1x_like_proto2", 1, 1.0), ("2x_like", 2, 2.0)]
)
def test_model_files_with_gym3_spaces_are_read_without_gym3(name, size, temperature):
    assert "gym3" not in sys.modules
    net_args, read = read_vpt_model(GOLDEN / f"fixture_{name}.model")
    assert (net_args["hidsize"], net_args["impala_width"], net_args["attention_heads"]) == (
        1024 * size,
        4 * size,
        8 * size,
    )
    assert read == temperature and type(read) is float
    assert net_args["attention_memory_size"] - net_args["timesteps"] == 128
    assert "gym3" not in sys.modules


@pytest.mark.parametrize(("name", "culprit"), [("global", "posix.getcwd"), ("builtin", "builtins.eval")])
def test_model_files_with_any_other_global_are_refused(name, culprit):
    with pytest.raises(VPTFileError, match=f"fixture_forbidden_{name}.model.*forbidden global {culprit}"):
        load_openai_policy(GOLDEN / f"fixture_forbidden_{name}.model")


def test_a_forbidden_global_is_refused_before_anything_runs(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "bomb.model").write_bytes(pickle.dumps({"model": Bomb()}, protocol))
        with pytest.raises(VPTFileError, match="forbidden global"):
            load_openai_policy(tmp_path / "bomb.model")
    assert not (tmp_path / "ran").exists()


def test_persistent_ids_are_refused(tmp_path):
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return "x" if obj == 7 else None

    buffer = io.BytesIO()
    Pickler(buffer, 4).dump({"model": 7})
    (tmp_path / "id.model").write_bytes(buffer.getvalue())
    with pytest.raises(VPTFileError, match="persistent id"):
        load_openai_policy(tmp_path / "id.model")


def test_lightning_checkpoint_bare_state_dict_and_safetensors_give_the_same_policy(policy, files, tmp_path):
    state = {name: tensor.contiguous() for name, tensor in policy.state_dict().items()}
    prefixed = {f"mine_policy.{name}": tensor for name, tensor in state.items()}
    torch.save({"state_dict": prefixed, "epoch": 3, "global_step": 10}, tmp_path / "lightning.ckpt")
    torch.save(state, tmp_path / "model.ckpt")
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    torch.save(dict(reversed(list(state.items()))), tmp_path / "legacy.weights", _use_new_zipfile_serialization=False)
    for name in ("lightning.ckpt", "model.ckpt", "model.safetensors", "legacy.weights"):
        assert_same(load_openai_policy(files[0], tmp_path / name), policy)


def test_hugging_face_folder_and_its_config(policy, tmp_path):
    folder = tmp_path / "MineStudio_VPT.foundation_model_1x"
    folder.mkdir()
    config = {"policy_kwargs": policy.net_args, "temperature": policy.temperature, "action_space": None}
    (folder / "config.json").write_text(json.dumps(config))
    state = {name: tensor.contiguous() for name, tensor in policy.state_dict().items()}
    safetensors.torch.save_file(state, folder / "model.safetensors")
    assert_same(load_openai_policy(folder), policy)
    assert_same(load_openai_policy(folder / "config.json", folder / "model.safetensors"), policy)
    assert_same(load_openai_policy(folder / "config.json", folder), policy)
    fresh = load_openai_policy(folder / "config.json")
    assert not torch.equal(fresh.net.lastlayer.layer.weight, policy.net.lastlayer.layer.weight)
    (folder / "model.safetensors").unlink()
    with pytest.raises(VPTFileError, match=r"model\.safetensors: no such file"):
        load_openai_policy(folder)
    del config["temperature"]
    (folder / "config.json").write_text(json.dumps(config))
    assert load_openai_policy(folder / "config.json").temperature == 1.0


def test_half_precision_weights_become_float32(policy, files, tmp_path):
    torch.save({name: tensor.half() for name, tensor in policy.state_dict().items()}, tmp_path / "half.weights")
    loaded = load_openai_policy(files[0], tmp_path / "half.weights")
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32}
    torch.testing.assert_close(loaded.state_dict(), policy.state_dict(), rtol=1e-3, atol=1e-4)


def test_unknown_tensors_are_dropped_and_named(policy, files, tmp_path, caplog):
    torch.save(policy.state_dict() | {"aux_value_head.linear.weight": torch.zeros(1, 8)}, tmp_path / "rl.weights")
    with caplog.at_level(logging.WARNING):
        assert_same(load_openai_policy(files[0], tmp_path / "rl.weights"), policy)
    assert "rl.weights" in caplog.text and "aux_value_head.linear.weight" in caplog.text


def test_temperature_is_the_file_s_unless_given_and_is_logged_with_its_source(files, caplog):
    with caplog.at_level(logging.INFO):
        assert load_openai_policy(*files).temperature == 1.5
    assert "temperature 1.5" in caplog.text and "small.model" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert load_openai_policy(*files, temperature=2).temperature == 2.0
    assert "temperature 2, from the caller" in caplog.text


@pytest.mark.parametrize(
    ("weights", "temperature", "given", "warns"),
    [
        ("foundation-model-2x.weights", 2, None, True),
        ("bc-house-3x.weights", 2, None, True),
        ("rl-from-house-2x.weights", 2, None, False),
        ("foundation-model-1x.weights", 1, None, False),
        ("foundation-model-2x.weights", 2, 2.0, False),
    ],
)
def test_the_rl_temperature_with_foundation_or_bc_weights_warns(
    policy, tmp_path, caplog, weights, temperature, given, warns
):
    policy.temperature = float(temperature)
    save_vpt_policy(policy, tmp_path / "2x.model", tmp_path / weights)
    with caplog.at_level(logging.WARNING):
        load_openai_policy(tmp_path / "2x.model", tmp_path / weights, given)
    assert ("temperature" in caplog.text and weights in caplog.text) == warns


# refusing


def refused(call, path: Path, *words: str):
    """The call fails with a VPTFileError that names the file and the fault and says what to do."""
    with pytest.raises(VPTFileError) as error:
        call()
    message = str(error.value)
    assert isinstance(error.value, ValueError)
    for word in (str(path), *words):
        assert word in message, message
    assert any(advice in message for advice in ("ownload", "Check", "Fetch", "Use ", "Pass ", "take the weights"))


BROKEN = {
    "missing": (None, "no such file"),
    "empty": (b"", "is empty"),
    "text": (b"hello, this is a note\n", ""),
    "web page": (b"\n<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
    "truncated": ("truncated", ""),
    "other half": ("swap", ""),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("kind", ["model", "weights", "safetensors", "json"])
def test_a_file_that_is_not_what_it_should_be_is_named_with_its_fault(policy, files, tmp_path, kind, fault):
    content, words = BROKEN[fault]
    good = {"model": files[0], "weights": files[1]}
    good["safetensors"], good["json"] = tmp_path / "good.safetensors", tmp_path / "good.json"
    state = {name: tensor.contiguous() for name, tensor in policy.state_dict().items()}
    safetensors.torch.save_file(state, good["safetensors"])
    good["json"].write_text(json.dumps({"policy_kwargs": policy.net_args}))
    path = tmp_path / f"bad.{kind}"
    if content == "truncated":
        content = good[kind].read_bytes()[: good[kind].stat().st_size // 2]
    elif content == "swap":
        content = files[1 if kind in ("model", "json") else 0].read_bytes()
    if content is not None:
        path.write_bytes(content)
    if kind in ("model", "json"):
        refused(lambda: load_openai_policy(path, files[1]), path, words)
    else:
        refused(lambda: load_openai_policy(files[0], path), path, words)


def test_missing_and_misshaped_tensors_are_named(policy, files, tmp_path):
    path = tmp_path / "bad.weights"
    state = policy.state_dict()
    torch.save({name: tensor for name, tensor in state.items() if name != "net.final_ln.bias"}, path)
    refused(lambda: load_openai_policy(files[0], path), path, "net.final_ln.bias is missing", str(files[0]))
    torch.save(state | {"value_head.normalizer.debiasing_term": torch.zeros(1)}, path)
    refused(lambda: load_openai_policy(files[0], path), path, "debiasing_term is [1], not []")
    save_vpt_policy(VPTPolicy(ARGS | {"hidsize": 16}), tmp_path / "bigger.model", path)
    refused(lambda: load_openai_policy(files[0], path), path, "is [16", "not [8")


@pytest.mark.parametrize("content", [[1, 2], {"net.final_ln.bias": 3.0}, {"state_dict": None}, torch.zeros(3)])
def test_a_torch_file_without_a_state_dict_is_refused(files, tmp_path, content):
    path = tmp_path / "other.weights"
    torch.save(content, path)
    refused(lambda: load_openai_policy(files[0], path), path, "no state dict")


def test_a_checkpoint_with_foreign_objects_is_refused_with_a_way_out(policy, files, tmp_path, monkeypatch):
    module = types.ModuleType("foreign_library")
    exec("class HyperParameters:\n    pass", module.__dict__)
    module.HyperParameters.__module__ = "foreign_library"
    monkeypatch.setitem(sys.modules, "foreign_library", module)
    path = tmp_path / "lightning.ckpt"
    state = {f"mine_policy.{name}": tensor for name, tensor in policy.state_dict().items()}
    torch.save({"state_dict": state, "hyper_parameters": module.HyperParameters()}, path)
    refused(lambda: load_openai_policy(files[0], path), path, "can run code", "weights_only=False)['state_dict']")
    torch.save(torch.load(path, weights_only=False)["state_dict"], tmp_path / "policy.weights")  # the way out works
    assert_same(load_openai_policy(files[0], tmp_path / "policy.weights"), policy)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"args": {}}, "KeyError: 'net'"),
        ({"args": {"net": {"args": ARGS}}}, "KeyError: 'pi_head_opts'"),
        ({"args": {"net": {"args": ARGS}, "pi_head_opts": {"temperature": 0}}}, "temperature 0"),
        ({"args": {"net": {"args": ARGS | {"hidsize": 0}}, "pi_head_opts": {"temperature": 1}}}, "'hidsize'] = 0"),
        (
            {"args": {"net": {"args": ARGS | {"hidsize": 4 * 10**9}}, "pi_head_opts": {"temperature": 1}}},
            "too large",
        ),
        (None, "TypeError"),
    ],
)
def test_a_model_file_with_other_contents_is_refused(tmp_path, model, words):
    path = tmp_path / "other.model"
    path.write_bytes(pickle.dumps({"model": model}))
    refused(lambda: load_openai_policy(path), path, words)


# writing


def test_saved_files_load_bit_for_bit(policy, files):
    assert_same(load_openai_policy(*files), policy)
    again = files[0].with_name("again.model"), files[1].with_name("again.weights")
    save_vpt_policy(load_openai_policy(*files), *again)
    assert again[0].read_bytes() == files[0].read_bytes()
    assert_same(load_openai_policy(*again), policy)


def test_saved_files_are_what_openai_s_loader_reads(policy, files):
    parameters = pickle.loads(files[0].read_bytes())
    args, options = parameters["model"]["args"]["net"]["args"], parameters["model"]["args"]["pi_head_opts"]
    assert args == policy.net_args and float(options["temperature"]) == 1.5
    json.dumps(parameters)  # plain values only
    state = torch.load(files[1], weights_only=True)
    assert list(state) == list(policy.state_dict())
    for name, tensor in policy.state_dict().items():
        assert state[name].dtype == torch.float32 and state[name].is_contiguous() and torch.equal(state[name], tensor)


def test_a_crash_while_saving_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "x.weights"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), replace_file(path) as file:
        file.write(b"half of the n")
        raise RuntimeError
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["x.weights"]
    with replace_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["x.weights"]


def test_saving_over_existing_files_replaces_them(policy, files):
    shutil.copy(files[1], files[1].with_suffix(".copy"))
    with torch.no_grad():
        policy.net.final_ln.bias.add_(1)
    save_vpt_policy(policy, *files)
    assert_same(load_openai_policy(*files), policy)
    assert files[1].read_bytes() != files[1].with_suffix(".copy").read_bytes()


# initialisation


def test_fresh_weights_have_vpt_s_row_norms():
    torch.manual_seed(0)
    policy = VPTPolicy(ARGS | {"n_recurrence_layers": 4, "hidsize": 32})
    branch = 8**-0.5
    expected = {
        **{"firstconv": 1.0, "conv0": 1.5**0.25, "conv1": 1.5**0.25, "dense": 1.4, "img_process.linear": 1.0},
        **{"mlp0": 1.0, "mlp1": branch, "lastlayer": 1.0},
        **{"q_layer": 0.1, "k_layer": 0.2, "v_layer": branch**0.5, "proj_layer": branch**0.5, "r_layer": 0.1},
    }
    assert math.isclose(branch**0.5, 0.594604, abs_tol=1e-6) and math.isclose(1.5**0.25, 1.106682, abs_tol=1e-6)
    seen = set()
    for name, parameter in policy.named_parameters():
        owner, leaf = name.rsplit(".", 1)
        if "norm" in owner.rsplit(".", 1)[-1] or owner.endswith((".n", "_ln")):
            if not owner.endswith("normalizer"):
                assert (parameter == (1.0 if leaf == "weight" else 0.0)).all(), name
        elif leaf == "bias" and not name.startswith(("pi_head", "value_head")):
            assert not parameter.any(), name
        elif leaf == "weight" and not name.startswith(("pi_head", "value_head")):
            kinds = [kind for kind in expected if owner.removesuffix(".layer").endswith(kind)]
            assert len(kinds) == 1, name
            norms = parameter.flatten(1).norm(dim=1)
            torch.testing.assert_close(norms, torch.full_like(norms, expected[kinds[0]]), msg=name)
            seen.add(kinds[0])
    assert seen == set(expected)
    tables = torch.cat([p.detach().flatten() for name, p in policy.named_parameters() if name.endswith("b_nd")])
    assert tables.std() == pytest.approx(0.2, rel=0.2) and tables.mean().abs() < 0.06
    for head in (policy.value_head.linear, policy.pi_head.buttons.linear_layer):  # torch's default for a linear layer
        assert head.weight.abs().max() <= 32**-0.5 and head.weight.detach().std() == pytest.approx(
            (32 * 3) ** -0.5, rel=0.3
        )
        assert head.bias.any()
    normalizer = policy.value_head.normalizer
    assert not any(p.any() or p.requires_grad for p in normalizer.parameters()) and normalizer.beta == 0.99999
    torch.testing.assert_close(policy.denormalize(torch.ones(1)), torch.full((1,), 0.1))


def test_a_fault_of_the_policys_class_is_not_blamed_on_its_file(tmp_path):
    """Whoever changes the network wants the traceback."""
    save_vpt_policy(VPTPolicy(ARGS), tmp_path / "a.model", tmp_path / "a.weights")

    def broken(net_args, temperature):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        load_policy(broken, tmp_path / "a.model", tmp_path / "a.weights")
