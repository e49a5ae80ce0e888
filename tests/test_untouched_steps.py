"""No hook of ours breaks or changes what an unusual step does, and no unusual attribute costs a picture."""

import threading

import pytest
import torch
from helpers.tiny import TinyNet, events, fit, image_steps
from helpers.untouched import Prepared, differing, few, maps
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lightning_cnnviz import FeatureMaps, Probe

SAVED = torch.nn.functional.mse_loss(torch.ones(1, requires_grad=True), torch.ones(1)).grad_fn._raw_saved_self
TELLING = pytest.mark.skipif(
    not hasattr(SAVED, "unpack_hook"), reason="this release of PyTorch does not tell who packs what a loss has saved"
)


class Sorted(TinyNet):
    """A layer gets what `sort` returns, which has its values in an attribute of this name."""

    def __init__(self):
        super().__init__()
        self.last = Weighted()

    def forward(self, x):
        return self.last(super().forward(x).sort(dim=1))


class Weighted(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(4))

    def forward(self, found):
        return found.values * self.factor


class Functional(TinyNet):
    """A step runs the model in a transform of `torch.func`, whose tensors have no memory of their own."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.Identity(), nn.Identity()

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores, slope = torch.func.jvp(self, (x,), (torch.ones_like(x),))
        return F.cross_entropy(scores, y) + 0.01 * slope.square().mean()


class Checkpointed(TinyNet):
    """The loss is computed anew in the backward pass, to save memory."""

    calls = 0

    def loss(self, scores, y):
        self.calls += 1
        return F.cross_entropy(2 * scores, y)

    def training_step(self, batch, batch_idx):
        return checkpoint(self.loss, self(batch[0]), batch[1], use_reentrant=False)


class Unpacking(TinyNet):
    """What the backward pass needs is stored by functions of the user's, which count."""

    calls = 0

    def training_step(self, batch, batch_idx):
        def load(tensor):
            self.calls += 1
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, load):
            return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(
    "kind",
    [
        Sorted,
        Functional,
        pytest.param(Checkpointed, marks=TELLING),
        pytest.param(Unpacking, marks=TELLING),
    ],
    ids=lambda kind: kind.__name__,
)
def test_steps_of_unusual_kinds_run_as_they_do_alone(kind, tmp_path):
    assert differing(tmp_path, kind, maps(), few, max_epochs=1) == []


def pictures(folder, kind):
    fit(folder, [FeatureMaps(num_images=2, probe=Probe(4))], model=kind, data=few(), max_epochs=1)
    steps = image_steps(folder)
    return {tag: events(folder).Images(tag)[0].encoded_image_string for tag in steps}


class KeywordDefault(Prepared):
    def build(self):
        self.operation = lambda x, *, factor=1: self.count(x) * factor

    def before(self, x):
        return self.operation(x)


class Scaled(nn.Parameter):
    """A parameter of a kind of its own, as libraries for manifolds and for quantised weights have them."""

    def __new__(cls, data, requires_grad=True, scale=1.0):
        made = super().__new__(cls, data, requires_grad)
        made.scale = scale
        return made

    def __deepcopy__(self, memo):
        return type(self)(self.data.clone(), self.requires_grad, self.scale)


class OwnParameter(Prepared):
    def build(self):
        self.factor = Scaled(torch.ones(1), requires_grad=False)

    def before(self, x):
        return x * self.factor * self.factor.scale


class HookOfLocked(TinyNet):
    def __init__(self):
        super().__init__()
        self.conv1.register_forward_hook(Recorder().hear)


class Recorder:
    def __init__(self):
        self.lock = threading.Lock()

    def hear(self, *_):
        pass


@pytest.mark.parametrize(
    "kind",
    [
        KeywordDefault,
        OwnParameter,
        HookOfLocked,
    ],
    ids=lambda kind: kind.__name__,
)
@pytest.mark.filterwarnings("ignore:FeatureMaps failed")
def test_pictures_are_those_of_a_plain_module(kind, tmp_path):
    assert pictures(tmp_path / "own", kind) == pictures(tmp_path / "plain", Prepared)
