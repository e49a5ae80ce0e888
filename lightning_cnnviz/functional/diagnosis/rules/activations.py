"""Rules about what layers return."""

from collections.abc import Iterable

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Observation
from lightning_cnnviz.functional.diagnosis.rules.gradients import vanishing_gradients


def no_nonlinearity(evidence: Evidence) -> Iterable[Observation]:
    """There is nothing but linear operations between the loss and the weights."""
    if evidence.graph is not None and evidence.graph.linear and evidence.graph.products >= 2:
        words = f"Between its {evidence.graph.products} layers with weights the network applies no activation."
        yield Observation("no_nonlinearity", words, 1, sure="certain")


def dead_units(evidence: Evidence) -> Iterable[Observation]:
    """Most units of a rectifier are never positive, and the classifier learns slowly or not at all."""
    looks = evidence.recent_looks()
    if len(looks) < 2:
        return
    shares = {name: min(look.layers[name].dead for look in looks if name in look.layers) for name in looks[-1].layers}
    least = 0.85 if evidence.is_stuck else 0.95 if evidence.is_slow else 1.0
    fading = _fading_layers(evidence)  # units of such a layer die since its biases outweigh what it receives
    dead = [name for name, share in shares.items() if share >= least and name not in fading]
    dead = dead if evidence.is_slow or len(evidence.looks) >= 5 else []
    if dead:
        most = max(shares[name] for name in dead)
        samples = sum(look.samples for look in looks)
        words = f"{most:.0%} of the units were never positive, in {samples} samples."
        since = next(
            look.step for look in evidence.looks if look.layers.get(dead[0]) and look.layers[dead[0]].dead >= 0.8
        )
        yield Observation("dead_units", words, since, tuple(dead), {"dead": most})


def saturated_activations(evidence: Evidence) -> Iterable[Observation]:
    """Most values of a bounded activation are at its bounds, and the classifier learns slowly or not at all."""
    looks = evidence.recent_looks()
    if len(looks) < 2 or not evidence.is_slow:
        return
    names = list(looks[-1].layers)[:-1]  # an output may be at its bounds
    shares = {name: min(look.layers[name].saturated for look in looks if name in look.layers) for name in names}
    full = [name for name, share in shares.items() if share >= 0.7]
    if full:
        most = max(shares[name] for name in full)
        words = f"{most:.0%} of the values are within 1 % of the range from a bound."
        yield Observation("saturated_activations", words, looks[0].step, tuple(full), {"saturated": most})


def bottleneck(evidence: Evidence) -> Iterable[Observation]:
    """A layer has far fewer units than there are classes, or returns the same for every sample."""
    looks = evidence.recent_looks()
    if len(looks) < 2 or not evidence.is_slow:
        return
    narrow = _narrow_layers(evidence)
    if narrow:
        units, classes = min(narrow.values()), evidence.scores[-1].classes
        few = "a single unit" if units == 1 else f"{units} units"
        words = f"It has {few}, from which {classes} classes are to be told."
        yield Observation("bottleneck", words, 1, tuple(narrow), {"units": units})
        return
    constant = _constant_layers(evidence)
    others = (dead_units, saturated_activations, vanishing_gradients)
    if constant and evidence.is_stuck and not any(any(rule(evidence)) for rule in others):
        words = f"From {constant[0]} on, the output is the same for all samples."
        yield Observation("bottleneck", words, looks[0].step, tuple(constant[:1]), sure="certain")


def _narrow_layers(evidence: Evidence) -> dict[str, int]:
    """Layers through which all that tells classes apart has to go, and the number of their values for a sample.

    A narrow layer may stand beside a wide one, as gates and adapters do. Where all goes through it, the scores, which
    are linear in what it returns or in what an activation makes of that, differ in no more directions than it has
    values.
    """
    looks, classes = evidence.recent_looks(), evidence.scores[-1].classes if evidence.scores else 0
    most, names = classes // 3, list(looks[-1].layers)
    if classes < 5 or not names or any(look.samples < 2 * most + 2 for look in looks):
        return {}
    directions = max(one.directions for look in looks for one in look.layers.values())
    layers = {name: looks[-1].layers[name].values for name in evidence.setup.layers if name in names}
    narrow = {name: values for name, values in list(layers.items())[:-1] if 0 < values <= most}
    constant = _constant_layers(evidence)
    if constant:  # one of them, or the activation after it, is where samples become alike
        place = names.index(constant[0])
        return narrow if narrow.keys() & set(names[max(place - 1, 0) : place + 1]) else {}
    return narrow if 0 < directions <= most else {}


def _constant_layers(evidence: Evidence) -> list[str]:
    """Layers that return the same for all samples, in the order in which they run."""
    looks = evidence.recent_looks()
    return [
        name
        for name in looks[-1].layers
        if all(name in look.layers and look.layers[name].variation < 1e-4 for look in looks)
    ]


def _fading_layers(evidence: Evidence) -> set[str]:
    """Layers whose output was less than a thousandth of the first one's before the first step, with units alive."""
    first = evidence.looks[0].layers
    scale = next(iter(first.values())).std if first else 0.0
    return {name for name, one in first.items() if one.std < 1e-3 * scale and not one.dead >= 0.5}


CAUSES = (no_nonlinearity,)
CONSEQUENCES = (dead_units, saturated_activations, bottleneck)
