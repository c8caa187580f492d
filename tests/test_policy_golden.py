"""The policy, its heads, masks and value normaliser reproduce VPT's numbers (vectors from OpenAI's own code)."""

import functools
import hashlib
import json
from pathlib import Path

import golden_rule
import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from ppo_vpt_online import (
    PolicyOutput,
    ValueHead,
    ValueNormalizer,
    VPTMemory,
    VPTPolicy,
    attention_window,
    entropy,
    kl_divergence,
    log_prob,
    sample_actions,
)

GOLDEN = Path(__file__).parent / "golden"
CASES = ("tiny_a", "tiny_b", "tiny_long", "full_1x")
TOLERANCE = 1e-3


def near(actual: torch.Tensor, expected: np.ndarray, tolerance: float = TOLERANCE):
    actual = actual.detach().numpy()
    np.testing.assert_allclose(actual, expected.reshape(actual.shape), rtol=0, atol=tolerance)


def load_golden(name: str):
    data = np.load(GOLDEN / f"{name}.npz")
    return data, json.loads(str(data["meta"]))


class Case:
    def __init__(self, name: str):
        self.data, self.meta = load_golden(f"policy_{name}")
        meta, (height, width, _) = self.meta, self.meta["policy_kwargs"]["img_shape"]
        self.policy = VPTPolicy(meta["policy_kwargs"], meta["pi_head_kwargs"]["temperature"])
        state = {n: golden_rule.fill(n, t.shape, meta["seed"]) for n, t in self.policy.state_dict().items()}
        self.policy.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        self.image = torch.from_numpy(
            golden_rule.images(meta["seed"], meta["batch"], meta["total_steps"], height, width)
        )
        self.first = torch.from_numpy(self.data["first"])
        actions = golden_rule.actions(meta["seed"], meta["batch"], meta["total_steps"])
        self.actions = [torch.from_numpy(actions[head][..., 0]) for head in ("buttons", "camera")]

    def run(self, lengths: list[int], inplace: bool = False):
        """Outputs of all steps joined, and the memory after every call."""
        memory, outputs, memories, start = self.policy.initial_memory(self.meta["batch"]), [], [], 0
        for length in lengths:
            steps = slice(start, start + length)
            with torch.no_grad():
                output = self.policy(self.image[:, steps], self.first[:, steps], memory, inplace=inplace)
            memory, start = output.memory, start + length
            outputs.append(output)
            memories.append(memory.ordered())
        joined = [torch.cat([output[i] for output in outputs], 1) for i in range(3)]
        return PolicyOutput(*joined, memory), memories

    @functools.cached_property
    def by_steps(self):
        return self.run([1] * self.meta["total_steps"])


@functools.lru_cache(maxsize=1)  # the tests of a case run one after the other; full_1x need not stay
def case_of(name: str) -> Case:
    return Case(name)


@pytest.fixture(params=CASES, scope="module")
def case(request) -> Case:
    return case_of(request.param)


def test_parameter_names_shapes_and_fill_are_the_reference_s(case):
    state = case.policy.state_dict()
    assert list(state) == list(case.meta["params"])
    for name, (shape, digest) in case.meta["params"].items():
        assert list(state[name].shape) == shape
        assert hashlib.sha256(state[name].contiguous().numpy().tobytes()).hexdigest() == digest, name


@pytest.mark.parametrize("split", ["steps", "steps in place", "chunks", "chunks in place", "one chunk"])
def test_outputs_and_memory_equal_the_reference_for_any_split(case, split):
    data, meta = case.data, case.meta
    total, chunks = meta["total_steps"], meta["chunks"]
    if split == "steps":
        output, memories = case.by_steps
    else:
        lengths = {"steps": [1] * total, "chunks": chunks, "one chunk": [total]}[split.removesuffix(" in place")]
        output, memories = case.run(lengths, inplace=split.endswith("in place"))

    near(output.camera, data["step/camera_logits"])
    near(output.buttons[..., data["button_slice_index"]], data["step/button_logits_slice"])
    near(output.buttons.max(-1).values, data["step/button_max"])
    # the sum of 8641 log-probabilities: the tolerance of each, but rounding errors do not all point the same way
    near(output.buttons.double().sum(-1), data["step/button_logits_sum"], TOLERANCE * 8641)
    buttons, camera = sample_actions(output, deterministic=True)
    assert np.array_equal(buttons, data["step/button_argmax"][..., 0])
    assert np.array_equal(camera, data["step/camera_argmax"][..., 0])
    near(output.vpred, data["step/vpred"])
    near(case.policy.denormalize(output.vpred), data["step/value"])
    near(log_prob(output, *case.actions), data["step/logprob"])
    near(entropy(output), data["step/entropy"])

    ends = np.cumsum(chunks)
    at_ends = [memories[end - 1] for end in ends] if split.startswith("steps") else memories
    last_chunks = range(len(chunks)) if len(at_ends) == len(chunks) else [len(chunks) - 1]
    for chunk, memory in zip(last_chunks, at_ends, strict=True):
        for layer in range(meta["policy_kwargs"]["n_recurrence_layers"]):
            key = f"step/chunk{chunk}/layer{layer}"
            assert np.array_equal(memory.valid, data[f"{key}/mask"][:, 0]), key
            for tensor, name in ((memory.keys, "k"), (memory.values, "v")):
                valid_sum = (tensor[layer].double() * memory.valid[..., None]).sum((1, 2))
                near(valid_sum, data[f"{key}/{name}_valid_sum"], 1e-2)
    memory = memories[-1]
    for layer in range(meta["policy_kwargs"]["n_recurrence_layers"]):
        for tensor, name in ((memory.keys, "k"), (memory.values, "v")):
            expected = data[f"step/final/layer{layer}/{name}"]
            slots, channels = expected.shape[1:]
            valid = memory.valid[:, -slots:]
            near(tensor[layer, :, -slots:, :channels][valid], expected[valid.numpy()])


def test_kl_divergence_both_ways(case):
    output, _ = case.by_steps
    rolled = output._replace(buttons=output.buttons.roll(1, 1), camera=output.camera.roll(1, 1))
    near(kl_divergence(output, rolled), case.data["kl/step_vs_rolled"])
    near(kl_divergence(rolled, output), case.data["kl/rolled_vs_step"])


def test_activations_inside_the_network():
    case = case_of("tiny_a")
    length = case.meta["chunks"][0]
    assert not case.first[:, 1:length].any()  # the trace comes from code that ignores later flags
    net, seen = case.policy.net, {}
    blocks = net.recurrent_layer.blocks
    modules = {"cnn_dense": net.img_process.cnn.dense, "img_embed": net.img_process.linear, "lastlayer": net.lastlayer}
    modules["final_ln"] = net.final_ln
    for i, block in enumerate(blocks):
        modules |= {f"block{i}_pre_r_ln": block.pre_r_ln, f"block{i}_attn": block.r.orc_block, f"block{i}_out": block}
    hooks = [m.register_forward_hook(lambda _, __, out, n=n: seen.update({n: out})) for n, m in modules.items()]
    case.run([length])
    for hook in hooks:
        hook.remove()
    for i in range(len(blocks)):
        seen[f"block{i}_attn"] = seen[f"block{i}_attn"] + seen[f"block{i}_pre_r_ln"]  # the trace is after the residual
    for name, value in seen.items():
        expected = case.data[f"trace_chunk0/{name}"]
        near(value.reshape(expected.shape), expected)


def test_gradients():
    case = case_of("tiny_a")
    length = case.meta["chunks"][0]
    case.policy.zero_grad()
    output = case.policy(case.image[:, :length], case.first[:, :length], case.policy.initial_memory(2))
    logprob = log_prob(output, *(action[:, :length] for action in case.actions))
    loss = -logprob.mean() + 0.5 * output.vpred.square().mean() - 0.01 * entropy(output).mean()
    loss.backward()
    assert loss.item() == pytest.approx(float(case.data["grad/loss"]), abs=TOLERANCE)
    grads = {name: p.grad for name, p in case.policy.named_parameters() if p.grad is not None}
    assert sorted(grads) == sorted(case.meta["grad_names"])
    norms = [grads[name].double().norm().item() for name in case.meta["grad_names"]]
    np.testing.assert_allclose(norms, case.data["grad/norms"], rtol=0.02)
    case.policy.zero_grad()


@pytest.mark.parametrize("size", ["1x", "2x", "3x"])
def test_published_sizes_have_the_published_tensors(size):
    published = json.loads((GOLDEN / "shapes_published.json").read_text())[size]
    args = json.loads(str(np.load(GOLDEN / "policy_full_1x.npz")["meta"]))["policy_kwargs"]
    x = int(size[0])
    with torch.device("meta"):
        policy = VPTPolicy(args | {"hidsize": 1024 * x, "attention_heads": 8 * x, "impala_width": 4 * x})
    state = policy.state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == published["tensors"]
    assert sum(tensor.numel() for tensor in state.values()) == published["total"]
    assert [name for name, p in policy.named_parameters() if not p.requires_grad] == [
        f"value_head.normalizer.{name}" for name in ("running_mean", "running_mean_sq", "debiasing_term")
    ]


def test_attention_masks_and_relative_bias():
    data, meta = load_golden("masks_public")
    for c, spec in enumerate(meta["cases"]):
        t, m, batch = spec["t"], spec["maxlen"], len(spec["firsts"][0])
        empty = torch.zeros(1, batch, m, 1)
        memory = VPTMemory(empty, empty, torch.zeros(batch, m, dtype=torch.bool), torch.tensor(0))
        for call, flags in enumerate(spec["firsts"]):
            first = torch.zeros(batch, t, dtype=torch.bool)
            first[:, 0] = torch.tensor(flags)
            memory = memory.ordered()
            window = attention_window(first, memory)  # gradients are on: m slots, then the t new steps
            assert np.array_equal(~window.hidden[:, 0], data[f"{c}/{call}/mask"].astype(bool))
            table = torch.from_numpy(data[f"{c}/b_nd"])
            bias, expected = table[:, window.age], torch.from_numpy(data[f"{c}/bias"])
            age = m + torch.arange(t)[:, None] - torch.arange(m + t)
            band = (age >= 0) & (age < m)
            assert torch.equal(bias[:, band], expected[:, band]) and not expected[:, ~band].any()
            memory = memory._replace(valid=window.valid, cursor=window.cursor)
            assert np.array_equal(memory.ordered().valid, data[f"{c}/{call}/state_mask"][:, 0].astype(bool))


@pytest.mark.parametrize("case", range(3))
def test_action_heads(case):
    data, meta = load_golden("heads_public")
    spec = meta["cases"][case]
    args = json.loads(str(np.load(GOLDEN / "policy_tiny_b.npz")["meta"]))["policy_kwargs"]
    policy = VPTPolicy(args | {"hidsize": spec["hid"], "attention_heads": 2}, spec["temperature"])
    for name, parameter in policy.pi_head.named_parameters(prefix="pi_head"):
        parameter.data.copy_(torch.from_numpy(golden_rule.fill(name, parameter.shape, spec["seed"])))

    class Latent(nn.Module):  # in place of the last norm: the heads see what the golden heads saw
        def forward(self, x):
            return torch.from_numpy(golden_rule.key_unit(self.key, x.shape).astype(np.float32))

    policy.net["final_ln"] = latent = Latent()
    outputs = []
    batch, steps = spec["shape"]
    image = torch.zeros(batch, steps, *args["img_shape"], dtype=torch.uint8)
    for i in (1, 2):
        latent.key = f"h{i}|{meta['seed']}|{case}"
        with torch.no_grad():
            outputs.append(policy(image, torch.zeros(batch, steps, dtype=torch.bool), policy.initial_memory(batch)))
    one, two = outputs
    near(one.camera, data[f"{case}/camera_logits1"], 1e-5)
    near(two.camera, data[f"{case}/camera_logits2"], 1e-5)
    near(one.buttons.max(-1).values, data[f"{case}/button_max1"], 1e-5)
    actions = [torch.from_numpy(a[..., 0]) for a in golden_rule.actions(spec["seed"], *spec["shape"]).values()]
    near(log_prob(one, *actions), data[f"{case}/logprob"], 1e-4)
    near(entropy(one), data[f"{case}/entropy"], 1e-4)
    near(kl_divergence(one, two), data[f"{case}/kl12"], 1e-4)
    near(kl_divergence(two, one), data[f"{case}/kl21"], 1e-4)
    for head, best in zip(("buttons", "camera"), sample_actions(one, deterministic=True), strict=True):
        assert np.array_equal(best, data[f"{case}/argmax_{head}"][..., 0])


@pytest.mark.parametrize("case", range(4))
def test_value_normalizer_and_loss(case):
    data, meta = load_golden("normalizer_public")
    spec = meta["cases"][case]
    normalizer = ValueNormalizer(**spec["kw"])
    probe = torch.linspace(-3, 3, 7).view(1, 7, 1)

    def close(actual, expected):
        np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-5, atol=1e-5)

    close(normalizer.normalize(probe), data[f"{case}/init_normalize"])
    close(normalizer.denormalize(probe), data[f"{case}/init_denormalize"])
    for i in range(len(spec["shapes"])):
        x = torch.from_numpy(data[f"{case}/{i}/x"])
        normalizer.update(x)
        # normalised values: the statistics may be off by 1e-5 of their size, which the deviation magnifies
        scale = 1e-5 * max(1.0, abs(spec["loc"]) / spec["scale"])
        np.testing.assert_allclose(normalizer.normalize(x).numpy(), data[f"{case}/{i}/y"], rtol=scale, atol=scale)
        np.testing.assert_allclose(
            normalizer.denormalize(probe).numpy(), data[f"{case}/{i}/denorm_probe"], rtol=1e-5, atol=scale
        )
        stats = [normalizer.running_mean, normalizer.running_mean_sq, normalizer.debiasing_term]
        np.testing.assert_allclose([s.item() for s in stats], data[f"{case}/stats"][i], rtol=1e-5)

    head = ValueHead(4)
    head.normalizer = ValueNormalizer(**spec["kw"])
    pred = torch.from_numpy(golden_rule.key_unit(f"pred|{meta['seed']}|{case}", (3, 5, 1)).astype(np.float32))
    target = spec["loc"] + spec["scale"] * golden_rule.key_unit(f"tgt|{meta['seed']}|{case}", (3, 5, 1))
    target = torch.from_numpy(target.astype(np.float32))
    losses = [head.train().loss(pred, target), head.loss(pred, target)]
    before = [parameter.clone() for parameter in head.normalizer.parameters()]
    losses.append(head.eval().loss(pred, target))
    assert all(torch.equal(a, b) for a, b in zip(before, head.normalizer.parameters(), strict=True))
    np.testing.assert_allclose([x.item() for x in losses], data[f"{case}/loss_train_train_eval"], rtol=1e-4)


def test_value_normalizer_counts_only_what_the_mask_keeps():
    x = torch.randn(3, 5) * 4 + 2
    mask = torch.rand(3, 5) < 0.5
    mask[0, 0] = True
    masked, plain = ValueNormalizer(per_element_update=True), ValueNormalizer(per_element_update=True)
    masked.update(torch.where(mask, x, torch.nan), mask)
    plain.update(x[mask])
    for a, b in zip(masked.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    for per_element in (False, True):
        masked.per_element_update = per_element
        before = [p.clone() for p in masked.parameters()]
        masked.update(x, torch.zeros_like(mask))
        assert all(torch.equal(a, b) for a, b in zip(before, masked.parameters(), strict=True))


def test_samples_follow_the_distribution():
    log_probs = F.log_softmax(torch.tensor([1.0, 0.0, -1.0, 3.0, -torch.inf]), -1)
    output = PolicyOutput(log_probs.expand(400, 50, 5), log_probs.expand(400, 50, 5), None, None)
    buttons, camera = sample_actions(output, torch.Generator().manual_seed(0))
    for sample in (buttons, camera):
        assert sample.dtype == torch.int64 and sample.shape == (400, 50)
        counts = torch.bincount(sample.flatten(), minlength=5) / sample.numel()
        torch.testing.assert_close(counts, log_probs.exp(), rtol=0, atol=0.012)  # > 3 standard deviations
        assert counts[4] == 0
    again = sample_actions(output, torch.Generator().manual_seed(0))
    assert torch.equal(again[0], buttons) and torch.equal(again[1], camera) and not torch.equal(buttons, camera)


def test_samples_of_all_buttons_follow_the_distribution():
    """8,641 probabilities in float32: each tenth of them gets its share."""
    log_probs = F.log_softmax(torch.randn(8641, generator=torch.Generator().manual_seed(1)) * 2, -1)
    output = PolicyOutput(log_probs.expand(1, 20000, 8641), log_probs[:121].expand(1, 20000, 121), None, None)
    buttons, camera = sample_actions(output, torch.Generator().manual_seed(2))
    tenths = torch.bincount(buttons[0] * 10 // 8641, minlength=10) / 20000
    expected = torch.zeros(10).index_add(0, torch.arange(8641) * 10 // 8641, log_probs.exp())
    torch.testing.assert_close(tenths, expected, rtol=0, atol=0.012)
    assert camera.max() <= 120  # what does not sum to 1 is taken as if it did


def test_all_but_impossible_actions_make_no_nan():
    a = F.log_softmax(torch.tensor([[[1.0, 2.0, -1e9]]], requires_grad=True), -1)
    b = F.log_softmax(torch.tensor([[[1.0, -1e9, -1e9]]]), -1)
    p, q = PolicyOutput(a, a, None, None), PolicyOutput(b, b, None, None)
    chance = torch.tensor([1.0, 2.0]).softmax(-1)
    torch.testing.assert_close(entropy(p)[0, 0], -2 * (chance * chance.log()).sum())
    torch.testing.assert_close(kl_divergence(q, p)[0, 0], -2 * chance[0].log())
    assert kl_divergence(p, p).item() == 0.0 and kl_divergence(p, q).item() > 1e8
    assert torch.isfinite(torch.autograd.grad((entropy(p) + kl_divergence(q, p)).sum(), a)[0]).all()
