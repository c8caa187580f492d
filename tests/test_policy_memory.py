"""The policy's memory: episodes, splits, ring buffers, gradients, precision; and what the constructor accepts."""

import contextlib

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from minestudio_envs.training.vpt_files import NET_ARGS
from ppo_vpt_online import (
    FrameNorm,
    PolicyOutput,
    VPTMemory,
    VPTPolicy,
    entropy,
    kl_divergence,
    log_prob,
    sample_actions,
)

M, LAYERS = 4, 2
ARGS = {
    **{key: value for key, value in NET_ARGS.items() if not isinstance(value, type)},
    **{"hidsize": 16, "attention_heads": 2, "attention_memory_size": M + 3, "timesteps": 3},
    **{"n_recurrence_layers": LAYERS, "pointwise_ratio": 2, "impala_width": 1, "impala_chans": [2, 4, 2]},
    **{"img_shape": [9, 14, 3], "use_pre_lstm_ln": False},
}


def make_policy(**changes) -> VPTPolicy:
    """A policy whose attention is far from uniform, unlike at initialisation, so that mistakes show."""
    torch.manual_seed(0)
    policy = VPTPolicy(ARGS | changes)
    for name, parameter in policy.named_parameters():
        if "q_layer" in name or "k_layer" in name or "r_layer" in name:
            parameter.data.mul_(15)
    return policy


POLICY = make_policy()


def observations(batch: int, steps: int, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (batch, steps, *ARGS["img_shape"]), dtype=torch.uint8, generator=generator)
    return image, torch.zeros(batch, steps, dtype=torch.bool)


def run(policy, image, first, memory, lengths, grad=False, inplace=False) -> PolicyOutput:
    outputs = []
    with torch.set_grad_enabled(grad):
        for image_part, first_part in zip(image.split(lengths, 1), first.split(lengths, 1), strict=True):
            outputs.append(policy(image_part, first_part, memory, inplace=inplace))
            memory = outputs[-1].memory
    return PolicyOutput(*(torch.cat([output[i] for output in outputs], 1).detach() for i in range(3)), memory)


def assert_same_outputs(a: PolicyOutput, b: PolicyOutput, tolerance: float = 5e-4):
    for x, y in zip(a[:3], b[:3], strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=tolerance)


def assert_same_memory(a: VPTMemory, b: VPTMemory):
    a, b = a.ordered(), b.ordered()
    assert torch.equal(a.valid, b.valid)
    for x, y in ((a.keys, b.keys), (a.values, b.values)):
        torch.testing.assert_close(x[:, a.valid], y[:, a.valid], rtol=0, atol=5e-4)


@st.composite
def splits(draw):
    lengths = draw(st.lists(st.integers(1, 2 * M + 1), min_size=1, max_size=5))
    steps = sum(lengths)
    flags = draw(st.lists(st.booleans(), min_size=2 * steps, max_size=2 * steps))
    rare = draw(st.booleans())  # windows fill only where episodes are long
    first = torch.tensor(flags).view(2, steps)
    return lengths, first & (torch.arange(steps) % 5 == 3) if rare else first, draw(st.booleans()), draw(st.booleans())


@settings(max_examples=40, deadline=None)
@given(splits())
def test_any_split_of_a_sequence_gives_the_same_outputs_and_memory(split):
    lengths, first, grad, inplace = split
    image, _ = observations(2, sum(lengths))
    step = run(POLICY, image, first, POLICY.initial_memory(2), [1] * sum(lengths))
    other = run(POLICY, image, first, POLICY.initial_memory(2), lengths, grad, inplace)
    assert_same_outputs(step, other)
    assert_same_memory(step.memory, other.memory)


@pytest.mark.parametrize("lengths", [[12], [1] * 12, [5, 7], [3, 9]])
def test_an_episode_starts_afresh_wherever_its_first_step_lies(lengths):
    image, first = observations(2, 12)
    first[0, 5] = first[1, 0] = True
    output = run(POLICY, image, first, POLICY.initial_memory(2), lengths)
    alone = run(POLICY, image[:1, 5:], first[:1, 5:] & False, POLICY.initial_memory(1), [7])
    assert_same_outputs(PolicyOutput(*(x[:1, 5:] for x in output[:3]), None), alone)
    going_on = run(POLICY, image, first & False, POLICY.initial_memory(2), lengths)
    assert not torch.allclose(going_on.buttons[0, 5:], output.buttons[0, 5:], atol=1e-2)
    assert_same_outputs(
        PolicyOutput(*(x[1:] for x in output[:3]), None), PolicyOutput(*(x[1:] for x in going_on[:3]), None)
    )


@pytest.mark.parametrize("lengths", [[9], [1] * 9])
def test_a_step_sees_itself_and_the_m_minus_1_before_it(lengths):
    policy = make_policy(n_recurrence_layers=1)  # each block more would widen the view
    image, first = observations(1, 9)
    changed = image.clone()
    changed[:, 2] = 255 - changed[:, 2]
    a, b = (run(policy, x, first, policy.initial_memory(1), lengths).camera for x in (image, changed))
    moved = (a - b).abs().amax((0, 2)) > 1e-5
    assert moved.tolist() == [2 <= step < 2 + M for step in range(9)]


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("steps", [1, M - 1, M, 2 * M + 1])
def test_a_call_leaves_the_memory_it_was_given_alone(steps, grad):
    image, first = observations(2, 3 + steps)
    first[0, 4 if steps > 1 else 3] = True
    memory = run(POLICY, image[:, :3], first[:, :3], POLICY.initial_memory(2), [3]).memory
    copy = VPTMemory(*(tensor.clone() for tensor in memory))
    a = run(POLICY, image[:, 3:], first[:, 3:], memory, [steps], grad)
    b = run(POLICY, image[:, 3:], first[:, 3:], memory, [steps], grad)
    assert all(torch.equal(x, y) for x, y in zip(memory, copy, strict=True))
    assert all(torch.equal(x, y) for x, y in zip(a[:3], b[:3], strict=True))


@pytest.mark.parametrize("lengths", [[1] * 9, [2, 7]])
def test_in_place_gives_the_same_results_in_the_buffers_that_came_in(lengths):
    image, first = observations(2, 9)
    first[1, 4] = True
    memory = POLICY.initial_memory(2)
    places = [tensor.data_ptr() for tensor in memory]
    inplace = run(POLICY, image, first, memory, lengths, inplace=True)
    functional = run(POLICY, image, first, POLICY.initial_memory(2), lengths)
    assert_same_outputs(inplace, functional, 0)
    assert [tensor.data_ptr() for tensor in inplace.memory] == places
    assert all(torch.equal(x, y) for x, y in zip(inplace.memory, functional.memory, strict=True))


def test_memory_rows_and_batches_from_different_times_go_on_as_they_were():
    image, first = observations(3, 11)
    first[2, 4] = True
    together = run(POLICY, image[:, :6], first[:, :6], POLICY.initial_memory(3), [6]).memory
    picked = together.rows([2, 0])
    assert_same_memory(
        picked, VPTMemory(*(x[:, [2, 0]] for x in together[:2]), together.valid[[2, 0]], together.cursor)
    )
    alone = run(POLICY, image[1:2, 1:6], first[1:2, 1:6], POLICY.initial_memory(1), [5]).memory
    batch = VPTMemory.cat([picked.ordered(), alone.ordered()])
    assert batch.cursor == 0 and torch.equal(alone.valid, alone.ordered().valid) == bool(alone.valid.all())
    order = [2, 0, 1]
    out = run(POLICY, image[order, 6:], first[order, 6:], batch, [1, 4])
    expected = run(POLICY, image[[2, 0], 6:], first[[2, 0], 6:], picked, [5])
    assert_same_outputs(PolicyOutput(*(x[:2] for x in out[:3]), None), expected)
    expected = run(POLICY, image[1:2, 6:], first[1:2, 6:], alone, [5])
    assert_same_outputs(PolicyOutput(*(x[2:] for x in out[:3]), None), expected)
    with pytest.raises(ValueError, match="ordered"):
        VPTMemory.cat([together, together._replace(cursor=together.cursor + 1)])


def test_no_gradient_passes_through_the_memory():
    image, first = observations(1, 4)
    policy = make_policy()
    earlier = policy(image[:, :2], first[:, :2], policy.initial_memory(1))
    assert not any(tensor.requires_grad for tensor in earlier.memory)
    with torch.no_grad():
        same = policy(image[:, :2], first[:, :2], policy.initial_memory(1)).memory
    grads = []
    for memory in (earlier.memory, same):
        policy.zero_grad()
        policy(image[:, 2:], first[:, 2:], memory).camera[..., 0].sum().backward()
        grads.append(policy.net.img_process.linear.layer.weight.grad.clone())
    assert (grads[0] - grads[1]).norm() < 1e-3 * grads[0].norm()


def test_one_step_under_gradients_equals_one_step_without():
    image, first = observations(2, 5)
    memory = run(POLICY, image[:, :4], first[:, :4], POLICY.initial_memory(2), [4]).memory
    assert_same_outputs(*(run(POLICY, image[:, 4:], first[:, 4:], memory, [1], grad) for grad in (True, False)))


@pytest.mark.parametrize("lengths", [[1] * 6, [6]])
def test_bfloat16_autocast_keeps_outputs_and_memory_in_float32(lengths):
    torch.manual_seed(0)
    policy = VPTPolicy(ARGS | {"hidsize": 64, "impala_chans": [8, 8, 8]})  # as initialised: smooth
    image, first = observations(2, 6)
    first[0, 3] = True
    residual = set()
    policy.net.recurrent_layer.blocks[0].register_forward_pre_hook(lambda _, inputs: residual.add(inputs[0].dtype))
    exact = run(policy, image, first, policy.initial_memory(2), lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = run(policy, image, first, policy.initial_memory(2), lengths)
        grad = policy(image, first, policy.initial_memory(2))
        loss = -log_prob(grad, grad.buttons.argmax(-1), grad.camera.argmax(-1)).mean() + grad.vpred.square().mean()
    assert all(x.dtype == torch.float32 for x in (*output[:3], output.memory.keys, output.memory.values))
    assert residual == {torch.float32} and not torch.equal(output.buttons, exact.buttons)
    assert_same_outputs(output, exact, 0.5)  # 20 layers of rounding to 8 bits
    assert (output.buttons - exact.buttons).abs().mean() < 0.06
    torch.testing.assert_close(output.buttons.exp().sum(-1), torch.ones(2, 6), rtol=0, atol=1e-5)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in policy.parameters() if p.requires_grad)


def test_forward_never_looks_at_a_tensor_s_values(monkeypatch):
    """On the meta device there are none to look at; on CUDA a look would wait for the GPU."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())  # knows no meta device
    with torch.device("meta"):
        policy = VPTPolicy(ARGS)
        for steps, grad in ((1, False), (1, True), (2 * M, True)):
            image = torch.empty(3, steps, *ARGS["img_shape"], dtype=torch.uint8)
            first = torch.empty(3, steps, dtype=torch.bool)
            with torch.set_grad_enabled(grad):
                output = policy(image, first, policy.initial_memory(3), inplace=not grad)
            buttons, camera = sample_actions(output)
            assert log_prob(output, buttons, camera).shape == (3, steps)
            assert (entropy(output) + kl_divergence(output, output)).shape == (3, steps)
            policy.value_head.normalizer.update(policy.denormalize(output.vpred), first)
            VPTMemory.cat([output.memory.ordered(), output.memory.ordered()]).rows(torch.tensor([0, 2]))


def test_norm_of_a_frame_as_one_row_equals_group_norm():
    norm = FrameNorm(6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = (torch.randn(5, 6, 7, 9) * 3 + 1).to(memory_format=torch.channels_last).requires_grad_()
    upstream = torch.randn(5, 6, 7, 9)
    results = []
    for y in (norm.as_row(x), F.group_norm(x, 1, norm.weight, norm.bias)):
        results.append((y, *torch.autograd.grad(y, (x, norm.weight, norm.bias), upstream)))
    assert results[0][0].is_contiguous(memory_format=torch.channels_last)
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert norm.as_row(x.bfloat16()).dtype == torch.bfloat16


def test_pre_lstm_ln_adds_one_norm_before_the_blocks():
    policy = make_policy(use_pre_lstm_ln=True)
    assert set(policy.state_dict()) - set(POLICY.state_dict()) == {"net.pre_lstm_ln.weight", "net.pre_lstm_ln.bias"}
    policy.load_state_dict(POLICY.state_dict(), strict=False)
    image, first = observations(1, 3)
    seen = []
    policy.net.pre_lstm_ln.register_forward_hook(lambda _, inputs, out: seen.extend((inputs[0], out)))
    output = run(policy, image, first, policy.initial_memory(1), [3])
    torch.testing.assert_close(seen[1], F.layer_norm(seen[0], (16,)))
    # pre_r_ln normalises again, which undoes nothing but the first norm's scale: break the tie with its gain
    policy.net.pre_lstm_ln.weight.data.normal_()
    assert not torch.allclose(run(policy, image, first, policy.initial_memory(1), [3]).camera, output.camera, atol=1e-2)


def test_forward_refuses_inputs_of_another_kind():
    image, first = observations(2, 3)
    memory = POLICY.initial_memory(2)
    for bad in (image.float(), image[:, :2], image[..., :2, :]):
        with pytest.raises(ValueError, match=r"image must be uint8 \[2, 3, 9, 14, 3\]"):
            POLICY(bad, first, memory)
    for bad in (first.float(), first.to(torch.uint8)):
        with pytest.raises(TypeError, match="first must be bool"):
            POLICY(image, bad, memory)
    with pytest.raises(ValueError, match="memory is for"):
        POLICY(image, first, POLICY.initial_memory(3))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidsize": None}, ["hidsize", "None"]),
        ({"hidsize": 16.0}, ["hidsize", "16.0"]),
        ({"attention_heads": 3}, ["attention_heads", "3", "16"]),
        ({"attention_memory_size": 3}, ["attention_memory_size", "3"]),
        ({"n_recurrence_layers": 0}, ["n_recurrence_layers", "0"]),
        ({"n_recurrence_layers": True}, ["n_recurrence_layers", "True"]),
        ({"impala_chans": 16}, ["impala_chans", "16"]),
        ({"impala_chans": []}, ["impala_chans", "[]"]),
        ({"img_shape": [9, 14]}, ["img_shape", "[9, 14]"]),
        ({"img_shape": [9, 14, 1]}, ["img_shape", "[9, 14, 1]"]),
        ({"use_pre_lstm_ln": 1}, ["use_pre_lstm_ln", "1"]),
        ({"attention_mask_style": "none"}, ["attention_mask_style", "none"]),
        ({"recurrence_type": "lstm"}, ["recurrence_type", "lstm"]),
        ({"recurrence_is_residual": False}, ["recurrence_is_residual", "False"]),
        ({"use_pointwise_layer": False}, ["use_pointwise_layer", "False"]),
        ({"pointwise_use_activation": True}, ["pointwise_use_activation", "True"]),
        ({"init_norm_kwargs": {"batch_norm": True}}, ["init_norm_kwargs", "batch_norm"]),
        ({"impala_kwargs": {}}, ["impala_kwargs", "{}"]),
        ({"diff_mlp_embedding": True}, ["diff_mlp_embedding", "True"]),
        ({"single_output": False}, ["single_output", "False"]),
    ],
)
def test_unsupported_network_arguments_are_refused_by_name_and_value(changes, words):
    with pytest.raises(ValueError) as error:
        VPTPolicy(ARGS | changes)
    assert all(word in str(error.value) for word in words)


def test_every_network_argument_that_matters_is_required():
    for key in NET_ARGS:
        with pytest.raises(ValueError, match=key):
            VPTPolicy({k: v for k, v in ARGS.items() if k != key})
    unused = {"active_reward_monitors": {"env_reward": 1}, "only_img_input": True, "diff_mlp_embedding": False}
    assert VPTPolicy(ARGS | unused | {"img_shape": (9, 14, 3)}).net_args == ARGS


@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), float("nan")])
def test_temperature_must_be_a_positive_number(temperature):
    with pytest.raises(ValueError, match="temperature"):
        VPTPolicy(ARGS, temperature)


def test_temperature_divides_the_logits():
    image, first = observations(1, 2)
    warm = make_policy()
    warm.temperature = 2.5
    a, b = (run(policy, image, first, policy.initial_memory(1), [2]) for policy in (POLICY, warm))
    torch.testing.assert_close(F.log_softmax(a.buttons / 2.5, -1), b.buttons, rtol=0, atol=1e-5)
    torch.testing.assert_close(F.log_softmax(a.camera / 2.5, -1), b.camera, rtol=0, atol=1e-5)
    assert torch.equal(a.vpred, b.vpred)
