"""Images found by gradient ascent against the maxima that are known in closed form."""

import random
from itertools import chain, pairwise
from queue import SimpleQueue

import numpy as np
import pytest
import torch
from helpers.tiny import TinyData, TinyNet
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d, correlate2d
from torch import nn

from lightning_cnnviz.functional.units.gradient_ascent import Ascent, maximize

PLAIN = {"blur": 0, "jitter": 0, "l2": 0}


pytestmark = pytest.mark.usefixtures("no_warnings")


def numbers(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 3, shape))


def linear(weight):
    layer = nn.Linear(weight[0].numel(), len(weight), bias=False).double()
    layer.weight = nn.Parameter(weight.reshape(len(weight), -1))
    return nn.Sequential(nn.Flatten(), layer)


def magnitudes(*shape, seed=1):
    """Weights of both signs that are not near zero."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.uniform(0.5, 1, shape) * rng.choice([-1, 1], shape))


class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def net_of(function):
    return nn.Sequential(Apply(function))


# ---- where the maximum is known


@pytest.mark.parametrize("size", [(12,), (1, 9), (2, 4, 5), (1, 3, 4, 2)], ids=str)
def test_of_a_linear_unit_it_is_the_corner_that_the_signs_of_its_weights_point_to(size):
    weight, samples = magnitudes(3, *size), numbers(20, *size)
    found = maximize(linear(weight), "1", samples, ascent=Ascent(**PLAIN))
    over = (0, *range(2, samples.ndim)) if samples.ndim > 2 else (0, 1)
    low, high = (getattr(samples.numpy(), side)(axis=over, keepdims=True)[0] for side in ("min", "max"))
    corner = np.where(weight > 0, high, low)
    np.testing.assert_array_equal(found.images.numpy(), corner)
    np.testing.assert_allclose(found.values, (weight.numpy() * corner).reshape(3, -1).sum(axis=1))
    assert found.status == ["ok"] * 3
    assert found.units == [0, 1, 2]
    assert found.total == 3


def test_of_a_map_the_mean_counts():
    conv = nn.Conv2d(1, 2, 3, padding=1, dtype=torch.double)
    conv.weight = nn.Parameter(magnitudes(2, 1, 3, 3))
    samples = numbers(5, 1, 6, 7)
    found = maximize(nn.Sequential(conv), "0", samples, ascent=Ascent(steps=1000, **PLAIN))
    for channel in (0, 1):
        kernel = conv.weight[channel, 0].detach().numpy()
        effect = convolve2d(np.ones((6, 7)), kernel, mode="same")
        corner = np.where(effect > 0, samples.max(), samples.min())
        np.testing.assert_array_equal(found.images[channel, 0], corner)
        expected = correlate2d(corner, kernel, mode="same").mean() + conv.bias[channel].item()
        assert found.values[channel].item() == pytest.approx(expected)


def test_a_maximum_within_the_range_is_reached():
    peak = torch.linspace(-0.5, 2.5, 24, dtype=torch.double).reshape(1, 4, 6)
    net = net_of(lambda x: -(x - peak).square().flatten(1).sum(1, keepdim=True))
    found = maximize(net, "0", numbers(9, 1, 4, 6), ascent=Ascent(**PLAIN))
    np.testing.assert_allclose(found.images[0], peak, atol=0.02)


@pytest.mark.parametrize("l2", [1.0, 2.0])
def test_decay_lets_a_pixel_rest_where_its_definition_says(l2):
    weight, samples = magnitudes(1, 12), torch.cat([numbers(500, 12), torch.full((2, 12), 30.0)])
    samples[-1] = -30
    found = maximize(linear(weight), "1", samples, ascent=Ascent(blur=0, jitter=0, l2=l2))
    direction = weight[0] / weight[0].square().mean().sqrt()
    np.testing.assert_allclose(
        found.images[0], samples.numpy().mean() + samples.numpy().std() * direction / l2, atol=1e-6
    )


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_blur_smooths_the_gradient_like_scipy(sigma):
    weight, samples = magnitudes(1, 1, 9, 7), numbers(500, 1, 9, 7)
    ascent = Ascent(steps=1, step_size=0.01, blur=sigma, jitter=0, l2=0)
    there, back = (maximize(linear(sign * weight), "1", samples, ascent=ascent).images[0, 0] for sign in (1, -1))
    smooth, weights = (
        gaussian_filter(values, sigma, mode="constant", truncate=20)
        for values in (weight[0, 0].numpy(), np.ones((9, 7)))
    )
    smooth = smooth / weights
    expected = 2 * 0.01 * samples.numpy().std() * smooth / np.sqrt((smooth**2).mean())
    np.testing.assert_allclose((there - back).numpy(), expected, rtol=1e-6, atol=1e-12)


SEEN = SimpleQueue()  # in which a pass leaves something behind: what a closure or a list holds is put back


def seen():
    return [SEEN.get() for _ in range(SEEN.qsize())]


def test_steps_are_as_long_as_they_say_and_shrink_to_nothing():
    samples = 5 * numbers(500, 1, 4, 4)
    seen()
    net = net_of(lambda x: (SEEN.put(x.detach().clone()), (x * x).flatten(1).sum(1, keepdim=True))[1])
    maximize(net, "0", samples, ascent=Ascent(steps=4, step_size=0.1, **PLAIN))
    climbed = seen()[2:]  # behind the look at the layer and at the first image
    lengths = [float((after - before).square().mean().sqrt()) for before, after in pairwise(climbed)]
    np.testing.assert_allclose(lengths, samples.numpy().std() * 0.1 * np.array([1, 0.75, 0.5, 0.25]), rtol=1e-9)


def test_jitter_shifts_what_is_climbed_less_and_less_and_not_what_is_measured():
    seen()
    net = net_of(lambda x: (SEEN.put(x.detach().clone()), x.flatten(1).sum(1, keepdim=True))[1])
    ascent = Ascent(steps=80, step_size=1e-9, blur=0, jitter=2, l2=0)
    maximize(net, "0", numbers(9, 1, 6, 5), ascent=ascent)
    first, *climbed, last = (image[0, 0].numpy() for image in seen()[1:])
    np.testing.assert_allclose(last, first, atol=1e-6)
    shifts = []
    for image in climbed:
        fits = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if np.allclose(np.roll(first, (down, right), (0, 1)), image, atol=1e-6)
        ]
        assert len(fits) == 1
        shifts += fits
    begin, middle, end = shifts[:20], shifts[21:60], shifts[61:]
    assert set(chain(*begin)) == {-2, -1, 0, 1, 2}
    assert {down for down, _ in middle} == {right for _, right in middle} == {-1, 0, 1}
    assert set(end) == {(0, 0)}


def test_ascents_excite_more_than_a_thousand_samples():
    torch.manual_seed(0)
    net, samples = TinyNet(), TinyData(1000).images
    net.eval()
    with torch.no_grad():
        best = net(samples).amax(dim=0)
    assert (maximize(net, "fc2", samples[:40]).values > best).all()


# ---- what can go wrong


def test_a_dead_unit_is_stalled_and_its_neighbour_is_not():
    net = nn.Sequential(linear(magnitudes(2, 8)), nn.ReLU())
    net[0][1].bias = nn.Parameter(torch.tensor([0.0, -100.0]).double())
    found = maximize(net, "1", numbers(9, 8))
    assert found.status == ["ok", "stalled at step 1"]
    assert found.values[1] == 0


def test_a_sleeping_unit_is_woken():
    weight = magnitudes(1, 8)
    net = nn.Sequential(linear(weight), nn.ReLU())
    samples = numbers(99, 8)
    net[0][1].bias = nn.Parameter(-(samples @ weight[0]).quantile(0.8).reshape(1))
    assert net(samples.mean().expand(1, 8)).item() == 0
    found = maximize(net, "1", samples, ascent=Ascent(l2=0))
    assert found.status == ["ok"]
    assert found.values[0].item() == pytest.approx(net(torch.where(weight > 0, samples.max(), samples.min())).item())


def test_where_nothing_can_change_it_is_stalled_to_the_last_step():
    found = maximize(linear(magnitudes(1, 8)), "1", torch.ones(9, 8).double(), ascent=Ascent(steps=7))
    assert found.status == ["stalled at step 7"]
    assert (found.images == 1).all()


def test_a_unit_that_is_not_finite_is_diverged_and_its_neighbour_is_not():
    weight = magnitudes(2, 8)
    net = linear(weight)
    net[1].bias = nn.Parameter(torch.tensor([0, np.nan]).double())
    found = maximize(net, "1", numbers(9, 8))
    assert found.status == ["ok", "diverged at step 1"]
    assert found.values.isnan().tolist() == [False, True]
    assert torch.equal(found.images[0], maximize(linear(weight[:1]), "1", numbers(9, 8)).images[0])


def test_an_image_that_diverges_stays_as_it_was_then():
    net = net_of(lambda x: torch.where(x.sum(1, keepdim=True) > 12, np.nan, x.sum(1, keepdim=True)))
    found = maximize(net, "0", numbers(9, 8), ascent=Ascent(steps=50, step_size=0.1, **PLAIN))
    (status,) = found.status
    step = int(status.removeprefix("diverged at step "))
    assert 1 < step < 50
    assert found.images.isfinite().all()
    assert 12 < found.images.sum() < 12 + 8 * 0.1 * numbers(9, 8).std()


# ---- nothing is left behind


def test_the_model_and_the_random_states_stay_as_they_were():
    net = TinyNet().train()
    net.norm.eval()
    net.conv1.weight.requires_grad_(False)
    net.fc1.weight.grad = torch.ones_like(net.fc1.weight)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    randomness = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    maximize(net, "fc2", TinyData(9).images, ascent=Ascent(steps=3))
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert [module.training for module in net.modules()] == modes
    assert torch.equal(torch.get_rng_state(), randomness[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == randomness[1:]
    assert torch.equal(net.fc1.weight.grad, torch.ones_like(net.fc1.weight))
    assert all(parameter.grad is None for name, parameter in net.named_parameters() if name != "fc1.weight")
    assert not net.conv1.weight.requires_grad
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_an_error_leaves_no_hook():
    net = nn.Sequential(nn.Linear(8, 2), nn.Linear(3, 2))
    with pytest.raises(RuntimeError):
        maximize(net, "0", torch.rand(9, 8))
    assert not net[0]._forward_hooks


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_gradient_mode_makes_no_difference(around):
    torch.manual_seed(0)
    net = TinyNet()
    expected = maximize(net, "fc2", TinyData(9).images, ascent=Ascent(steps=3)).images
    with around():
        samples = TinyData(9).images
        found = maximize(net, "fc2", samples, ascent=Ascent(steps=3)).images
    assert torch.equal(found, expected)
    assert not samples.requires_grad


def test_a_compiled_model_runs_uncompiled():
    torch.manual_seed(0)
    net, samples = TinyNet().eval(), TinyData(9).images
    expected = maximize(net, "act", samples, ascent=Ascent(steps=3))
    net.compile(backend="eager")
    net(samples)
    found = maximize(net, "act", samples, ascent=Ascent(steps=3))
    assert torch.equal(found.images, expected.images)


# ---- which units


def test_the_same_seed_gives_the_same_images_and_another_one_others():
    torch.manual_seed(0)
    net, samples = TinyNet(), TinyData(9).images
    one, same, other = (maximize(net, "fc2", samples, ascent=Ascent(steps=5, seed=seed)).images for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


def test_a_units_image_depends_neither_on_the_others_nor_on_the_batch():
    net, samples = TinyNet().double(), TinyData(9).images.double()
    everything = maximize(net, "fc1", samples, units=16, ascent=Ascent(steps=20))
    few = maximize(net, "fc1", samples, units=[7, 2, 11], ascent=Ascent(steps=20), batch_size=2)
    assert few.units == [7, 2, 11]
    np.testing.assert_allclose(few.images, everything.images[[7, 2, 11]], atol=1e-9)
    np.testing.assert_allclose(few.values, everything.values[[7, 2, 11]], atol=1e-9)
    assert everything.total == few.total == 16
    assert len(few.status) == 3


def test_an_in_place_layer_behind_does_not_count():
    torch.manual_seed(0)
    net, samples = TinyNet(), TinyData(9).images
    found = maximize(net, "norm", samples, ascent=Ascent(steps=3))
    with torch.no_grad():
        net.eval()
        expected = net.norm(net.conv1(found.images)).mean(dim=(2, 3)).diagonal()
    np.testing.assert_allclose(found.values, expected, atol=1e-5)


def test_what_a_layer_receives_can_be_maximised_too():
    torch.manual_seed(0)
    net, samples = TinyNet(), TinyData(9).images
    received, returned = (maximize(net, name, samples, ascent=Ascent(steps=5)) for name in ("fc2.input", "drop"))
    assert received.total == 16
    assert torch.equal(received.images, returned.images)


def test_a_layer_of_one_number_per_sample_has_one_unit():
    found = maximize(net_of(lambda x: x.sum(dim=1)), "0", numbers(9, 8), ascent=Ascent(**PLAIN))
    assert found.total == 1
    np.testing.assert_allclose(found.images, numbers(9, 8).max())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_climbs_too(dtype):
    torch.manual_seed(0)
    net, samples = TinyNet().eval(), TinyData(9).images
    exact = maximize(net, "fc2", samples)
    half = maximize(net.to(dtype), "fc2", samples.to(dtype))
    assert half.images.dtype == torch.float32
    assert half.status == ["ok"] * 4
    np.testing.assert_allclose(half.values, exact.values, rtol=0.1, atol=0.05)


def test_a_copy_of_the_samples_is_changed_and_not_the_samples():
    samples = numbers(9, 8)
    before = samples.clone()
    maximize(linear(magnitudes(1, 8)), "1", samples)
    assert torch.equal(samples, before)


# ---- what is refused


def test_inputs_of_whole_numbers_are_refused():
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(ValueError, match=r"changed little by little, got whole numbers: torch.int64"):
        maximize(net, "2", torch.ones(5, 3, dtype=torch.long))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.argmax(dim=1), "0 did not run or returned no floating-point tensor with one row per sample"),
        (lambda x: x.sum(), "no floating-point tensor with one row per sample"),
        (lambda x: x.detach(), "no gradient with respect to the model's input"),
        (lambda x: torch.ones(len(x), 2, requires_grad=True), "no gradient with respect to the model's input"),
    ],
)
def test_a_layer_that_cannot_be_climbed_is_refused(function, message):
    with pytest.raises((TypeError, ValueError), match=message):
        maximize(net_of(function), "0", numbers(9, 8))


def test_a_layer_that_does_not_run_is_refused():
    net = nn.ModuleDict({"idle": nn.Linear(8, 2)})
    net.forward = lambda x: x
    with pytest.raises(ValueError, match="idle did not run"):
        maximize(net, "idle", torch.rand(9, 8))


@pytest.mark.parametrize("units", [0, [], [0, 3], [-1]])
def test_units_that_do_not_exist_are_refused(units):
    with pytest.raises(ValueError, match=r"expected units of 1 from 0 to 2, got"):
        maximize(linear(magnitudes(3, 8)), "1", numbers(9, 8), units=units)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "expected steps to be at least 1, got 0"),
        ({"steps": 1.5}, "expected steps to be a whole number, got 1.5"),
        ({"jitter": -1}, "expected jitter to be at least 0, got -1"),
        ({"jitter": True}, "expected jitter to be a whole number, got True"),
        ({"step_size": 0}, "expected step_size to be above 0, got 0"),
        ({"step_size": float("nan")}, "expected step_size to be above 0, got nan"),
        ({"blur": -0.5}, "expected blur to be from 0, got -0.5"),
        ({"l2": -1}, "expected l2 to be from 0, got -1"),
        ({"l2": float("inf")}, "expected l2 to be from 0, got inf"),
    ],
    ids=str,
)
def test_impossible_ascents_are_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Ascent(**arguments)


def test_an_ascent_says_in_words_what_it_does_and_leaves_out_what_it_does_not():
    words = Ascent(steps=500, step_size=0.25, blur=1.5, jitter=2, l2=0.1).in_words()
    assert (
        words == "500 steps from 0.25 standard deviations · gradient blurred by 1.5 px · shifts up to 2 px · decay 0.1"
    )
    of_vectors = Ascent(steps=500, step_size=0.25, blur=1.5, jitter=2, l2=0.1).in_words(places=False)
    assert of_vectors == "500 steps from 0.25 standard deviations · decay 0.1"
    assert Ascent(**PLAIN).in_words() == "200 steps from 0.4 standard deviations"


def test_seeds_may_be_numpys():
    net, inputs = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)), torch.rand(4, 1, 6, 6)
    one, other = (maximize(net, "1", inputs, ascent=Ascent(steps=2, seed=seed)) for seed in (3, np.int64(3)))
    assert torch.equal(torch.as_tensor(one.images), torch.as_tensor(other.images))
