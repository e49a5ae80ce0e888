"""Each private part of PyTorch alone, against a public or slower way, so that its failure names what has changed."""

import copy
import threading

import numpy as np
import pytest
import torch
from helpers.internals import broken_by
from torch import nn

from lightning_cnnviz.model.torch_internals import (
    OperationsHeard,
    Uncompiled,
    class_weights,
    compared_tensors,
    compiled_original,
    copy_all,
    filtered_hooks,
    foreign_attributes,
    forward_pre_hooks,
    graph_below,
    is_compiled,
    norms_of,
    runs_compiled_code,
    uncompiled,
    unscales_in_step,
    without_compiled_code,
    write_count,
)

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]


def tensors(dtype):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).to(dtype) for shape in ((), (3,), (4, 5), (2, 3, 3, 3))]


# ---- Tensor._version


def test_writes_are_counted_for_all_that_shares_the_memory():
    values = torch.zeros(3)
    part, other = values[:2], torch.zeros(3)
    message = broken_by("torch", "torch.Tensor._version")
    assert [write_count(tensor) for tensor in (values, part, other)] == [0, 0, 0], message
    part.add_(1)
    assert [write_count(tensor) for tensor in (values, part, other)] == [1, 1, 0], message
    with torch.inference_mode():
        assert write_count(torch.zeros(2).add_(1)) == 0


# ---- torch._foreach_*


@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_in_one_call_are_copies_one_by_one(dtype):
    sources = tensors(dtype)
    targets = [torch.empty_like(source, dtype=torch.float32) for source in sources]
    places = [target.data_ptr() for target in targets]
    copy_all(targets, sources)
    message = broken_by("torch", "torch._foreach_copy_")
    assert all(torch.equal(one, other.float()) for one, other in zip(targets, sources, strict=True)), message
    assert [target.data_ptr() for target in targets] == places, message


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", [1, 2, float("inf")])
def test_norms_in_one_call_are_those_of_numpy(dtype, order):
    given = tensors(dtype)
    expected = [np.linalg.norm(tensor.double().numpy().ravel(), order) for tensor in given]
    found = norms_of(given, order, torch.float64)
    message = broken_by("torch", "torch._foreach_norm")
    assert found.dtype == torch.float64, message
    assert np.allclose(found.numpy(), expected, rtol=1e-12, atol=0), message


def test_norms_of_half_precision_do_not_overflow_where_they_are_asked_for_in_single():
    found = norms_of([torch.full((1000,), 60000.0, dtype=torch.float16)], 1, torch.float32)
    assert found.item() == pytest.approx(6e7), broken_by("torch", "torch._foreach_norm(dtype=...)")


# ---- _step_supports_amp_scaling


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_gradients_that_a_step_receives_are_still_scaled_where_the_optimizer_says_so(kind, fused):
    weight = torch.ones(4, requires_grad=True)
    optimizer, scaler, received = kind([weight], lr=0.1, fused=fused), torch.amp.GradScaler("cpu", init_scale=128), []
    optimizer.register_step_pre_hook(lambda *_: received.append(weight.grad.tolist()))
    scaler.scale((weight * torch.tensor([1.0, -2.0, 3.0, 0.5])).sum()).backward()
    scaler.step(optimizer)
    factor = 128 if unscales_in_step(optimizer) else 1
    message = broken_by("torch", "Optimizer._step_supports_amp_scaling")
    assert received == [[factor * value for value in (1.0, -2.0, 3.0, 0.5)]], message
    assert unscales_in_step(optimizer) is fused, message


# ---- compiled modules


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.act = nn.Linear(4, 3), nn.ReLU()

    def forward(self, x):
        return self.act(self.fc(x))


class Backend:
    """Counts how many graphs run; runs them as they are."""

    def __init__(self):
        self.runs = 0

    def __call__(self, graph, inputs):
        def run(*arguments):
            self.runs += 1
            return graph.forward(*arguments)

        return run

    def __deepcopy__(self, memo):
        return self


@pytest.fixture
def backend():
    return Backend()


def test_a_module_that_torch_compile_wraps_is_compiled_and_its_original_is_found(backend):
    body, x = Body(), torch.rand(2, 4)
    wrapped = torch.compile(body, backend=backend)
    assert is_compiled(wrapped), broken_by("torch", "OptimizedModule._orig_mod")
    assert not is_compiled(body)
    assert uncompiled(wrapped) is body, broken_by("torch", "OptimizedModule._orig_mod")
    uncompiled(wrapped)(x)
    assert backend.runs == 0
    wrapped(x)
    assert backend.runs == 1


def test_a_compiled_part_makes_a_model_a_compiled_one(backend):
    within = nn.Sequential(nn.Sequential(torch.compile(nn.ReLU(), backend=backend)))
    in_place = nn.Sequential(Body(), Body())
    assert runs_compiled_code(within), broken_by("torch", "OptimizedModule._orig_mod")
    assert not runs_compiled_code(in_place)
    in_place[1].compile(backend=backend)
    assert runs_compiled_code(in_place), broken_by("torch", "Module._compiled_call_impl")


def test_compiled_children_are_taken_out_of_their_wrappers_at_every_depth(backend):
    net = nn.Sequential(
        torch.compile(Body(), backend=backend), nn.Sequential(torch.compile(nn.ReLU(), backend=backend))
    )
    net(torch.rand(2, 4))
    runs = backend.runs
    assert runs == 2
    plain = uncompiled(copy.deepcopy(net))
    assert not any(is_compiled(module) for module in plain.modules()), broken_by("torch", "OptimizedModule._orig_mod")
    x = torch.rand(2, 4)
    assert torch.equal(plain(x), net[1][0]._orig_mod(net[0]._orig_mod(x)))
    assert backend.runs == runs


def test_a_module_that_was_compiled_in_place_runs_its_own_code_again(backend):
    body, x = Body(), torch.rand(2, 4)
    expected = body(x)
    body.compile(backend=backend)
    body(x)
    assert backend.runs == 1
    assert torch.equal(uncompiled(body)(x), expected)
    assert backend.runs == 1, broken_by("torch", "Module._compiled_call_impl")


def test_a_module_that_lightning_compiled_is_compiled_until_it_is_taken_apart(backend):
    import pytorch_lightning as pl
    from pytorch_lightning.utilities.compile import from_compiled

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.body = Body()

        def forward(self, x):
            return self.body(x)

    assert not is_compiled(Module())
    made = from_compiled(torch.compile(Module(), backend=backend))
    assert is_compiled(made), broken_by("pytorch-lightning", "LightningModule._compiler_ctx")
    x = torch.rand(2, 4)
    made(x)
    runs = backend.runs
    assert runs > 0
    plain = uncompiled(made)
    assert torch.equal(plain(x), Module.forward(plain, x))
    assert backend.runs == runs, broken_by("pytorch-lightning", "LightningModule._compiler_ctx")


def test_forward_pre_hooks_are_those_that_were_added():
    net, seen = nn.Linear(2, 2), []
    assert forward_pre_hooks(net) == []
    handle = net.register_forward_pre_hook(lambda *_: seen.append(1))
    (hook,) = forward_pre_hooks(net)
    hook(net, ())
    assert seen == [1], broken_by("torch", "Module._forward_pre_hooks")
    handle.remove()
    assert forward_pre_hooks(net) == []


def test_values_that_a_module_does_not_set_itself_are_foreign():
    net, lock, kept = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), threading.Lock(), torch.ones(3)
    net.lock, net[0].kept = lock, kept
    found = list(foreign_attributes(net))
    message = broken_by("torch", "attributes that nn.Module sets in its constructor")
    assert any(value is lock for value in found), message
    assert any(value is kept for value in found), message
    inner = [net._modules, net._parameters, net[0]._parameters, net._forward_hooks]
    assert not any(value is part for value in found for part in inner), message


# ---- Node._saved_self and Node._saved_target


@pytest.mark.parametrize(
    ("function", "targets"),
    [
        (nn.functional.nll_loss, torch.tensor([1, 0])),
        (nn.functional.multi_margin_loss, torch.tensor([1, 0])),
        (nn.functional.mse_loss, torch.rand(2, 3)),
        (nn.functional.smooth_l1_loss, torch.rand(2, 3)),
        (nn.functional.huber_loss, torch.rand(2, 3)),
        (nn.functional.binary_cross_entropy, torch.rand(2, 3)),
        (nn.functional.binary_cross_entropy_with_logits, torch.rand(2, 3)),
    ],
)
def test_the_node_of_a_loss_keeps_what_it_compares(function, targets):
    given = torch.rand(2, 3, requires_grad=True)
    node = function(given, targets, reduction="none").grad_fn
    scores, kept = compared_tensors(node)
    assert torch.equal(scores, given)
    assert torch.equal(kept, targets)


def test_other_nodes_and_those_that_have_run_keep_nothing():
    given = torch.rand(2, 3, requires_grad=True)
    assert compared_tensors((given + 1).grad_fn) is None
    loss = nn.functional.mse_loss(given, given.detach() + 1)
    loss.backward()
    assert compared_tensors(loss.grad_fn) is None


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 500.0])])
def test_the_node_of_a_cross_entropy_keeps_the_weights_of_the_classes(weights):
    given = torch.rand(2, 3, requires_grad=True)
    loss = nn.functional.cross_entropy(given, torch.tensor([0, 2]), weights)
    node = next(node for node in graph_below(loss, stop=()) if node.name() == "NllLossBackward0")
    kept = class_weights(node)
    assert (kept is None) if weights is None else torch.equal(kept, weights), broken_by("torch", "_saved_weight")
    assert class_weights((given + 1).grad_fn) is None
    loss.backward()
    assert class_weights(node) is None


def test_a_graph_is_walked_from_the_top_each_node_once():
    x = torch.ones(2, requires_grad=True)
    doubled = 2 * x
    names = [node.name() for node in graph_below((doubled + doubled.exp()).sum(), stop={"ExpBackward0"})]
    assert names[:2] == ["SumBackward0", "AddBackward0"]
    assert sorted(names[2:4]) == ["ExpBackward0", "MulBackward0"]
    assert len(names) == len(set(names))


def test_a_copy_with_filtered_hooks_calls_only_those_wanted():
    layer, heard = nn.Linear(4, 3), []
    layer.register_forward_hook(lambda *_: heard.append("forward"))
    layer.register_forward_hook(lambda *_, **__: heard.append("wanted"), always_call=True)
    layer.register_forward_pre_hook(lambda *_: heard.append("before"), with_kwargs=True)
    layer.register_full_backward_hook(lambda *_: heard.append("backward"))
    layer.register_full_backward_pre_hook(lambda *_: heard.append("before backward"))
    wanted = list(layer._forward_hooks.values())[1]
    kept = filtered_hooks(layer, lambda hook: hook is wanted)
    copied = copy.deepcopy(layer, {id(hooks): filtered for hooks, filtered in kept})
    copied(torch.ones(2, 4, requires_grad=True)).sum().backward()
    assert heard == ["wanted"], broken_by("torch", "Module._forward_hooks and the like")
    heard.clear()
    layer(torch.ones(2, 4))
    assert heard == ["before", "forward", "wanted"], "the original has all of them"


def test_a_module_that_compiles_itself_runs_its_own_forward_again():
    layer, heard = nn.Linear(4, 3), []
    layer.compile(backend=lambda graph, _: heard.append(graph) or graph.forward)
    without_compiled_code(layer)
    layer(torch.ones(2, 4))
    assert heard == [], broken_by("torch", "Module._compiled_call_impl")


def test_what_takes_the_place_of_a_compiled_module_in_a_copy_computes_the_same_under_the_same_names():
    body = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    wrapped, x = torch.compile(body, backend="eager"), torch.rand(2, 4)
    assert compiled_original(wrapped) is body, broken_by("torch", "OptimizedModule._orig_mod")
    assert compiled_original(body) is None
    plain = Uncompiled()
    plain.add_module("_orig_mod", body)
    assert torch.equal(plain(x), wrapped(x))
    assert [name for name, _ in plain.named_modules()] == [name for name, _ in wrapped.named_modules()]
    assert plain.__getattr__("forward") is not None
    with pytest.raises(AttributeError):
        _ = plain.nothing


@pytest.mark.parametrize(
    ("run", "heard"),
    [
        (lambda x: x + x, ("add", [True, True], [], 1)),
        (lambda x: x.relu_(), ("relu_", [True], [True], 0)),
        (lambda x: torch.add(x, x, out=torch.empty(2)), ("add", [True, True], [False], 0)),
        (lambda x: torch.stack([x, x]), ("stack", [True, True], [], 1)),
        (lambda x: x.chunk(2), ("split", [True], [], 2)),
        (lambda x: x.view(1, 2), ("view", [True], [], 1)),
        (lambda x: torch.zeros(3), ("zeros", [], [], 1)),
        (lambda x: x.sum().item(), ("_local_scalar_dense", [False], [], 0)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_operations_tell_what_they_were_given_wrote_to_and_made(run, heard):
    x, told = torch.rand(2), []
    with torch.no_grad(), OperationsHeard(told.append):
        run(x)
    last = [operation for operation in told if operation.name != "detach"][-1]  # which some factories add
    found = last.name, [part is x for part in last.given], [part is x for part in last.written], len(last.made)
    assert found == heard


def test_operations_are_heard_within_the_context_only():
    told = []
    with OperationsHeard(told.append):
        torch.zeros(1)
    torch.ones(1)
    assert "zeros" in [operation.name for operation in told]
    assert "ones" not in [operation.name for operation in told]
