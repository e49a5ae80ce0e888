"""Parameters that are sharded across ranks, with PyTorch's own `fully_shard` on a group of one process."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from lightning_cnnviz.model.sharding import full_tensor, is_sharded, skip_if_sharded


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """A process group of this process alone."""
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this PyTorch has no Gloo")
    store = tmp_path_factory.mktemp("store") / "file"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def sharded(group):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    whole = [parameter.detach().clone() for parameter in net.parameters()]
    fully_shard(net, mesh=init_device_mesh("cpu", (1,)))
    return net, whole


def test_a_plain_model_is_not_sharded_and_its_tensors_are_whole():
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    assert not is_sharded(net)
    assert not is_sharded(nn.ReLU())
    assert all(full_tensor(parameter) is parameter for parameter in net.parameters())


def test_of_a_sharded_model_the_whole_tensors_are_gathered(sharded):
    net, whole = sharded
    assert is_sharded(net)
    assert is_sharded(nn.ModuleList([nn.Linear(2, 2), net]))
    for parameter, expected in zip(net.parameters(), whole, strict=True):
        gathered = full_tensor(parameter)
        assert not hasattr(gathered, "full_tensor")
        assert torch.equal(gathered, expected)


def test_what_needs_whole_parameters_is_skipped_and_said_once(sharded, told):
    assert not skip_if_sharded("GradientFlow", nn.Linear(2, 2))
    assert told() == ""
    assert skip_if_sharded("GradientFlow", sharded[0])
    assert told() == "GradientFlow: parameters are sharded across ranks; nothing is drawn"
