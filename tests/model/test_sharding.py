"""Parameters that are sharded across ranks, with PyTorch's own `fully_shard` on a group of one process."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from lightning_cnnviz.model.sharding import (
    full_tensor,
    is_shard,
    is_sharded,
    local_part,
    over_shards,
    skip_if_sharded,
)


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
    assert not skip_if_sharded("FilterResponse", nn.Linear(2, 2))
    assert told() == ""
    assert skip_if_sharded("FilterResponse", sharded[0])
    assert told() == "FilterResponse: parameters are sharded across ranks; nothing is drawn"


def test_a_rank_has_its_own_part_and_what_is_added_up_is_over_all(sharded):
    """Here of one rank; of three, see `tests/compatibility/test_strategies.py`."""
    net, whole = sharded
    given = [*net.parameters(), torch.ones(2)]
    assert [is_shard(tensor) for tensor in given] == [True] * 4 + [False]
    for tensor, expected in zip(given, [*whole, torch.ones(2)], strict=True):
        assert not is_shard(local_part(tensor))
        assert torch.equal(local_part(tensor), expected)
    values = torch.arange(10.0).view(5, 2)
    assert torch.equal(over_shards(values, given, "sum"), values)
    assert torch.equal(over_shards(values, given, "max"), values)
