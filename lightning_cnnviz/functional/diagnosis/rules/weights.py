"""Rules about the weights at the start, and about layers whose weights do not change."""

from collections.abc import Iterable

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Observation


def bad_initialization(evidence: Evidence) -> Iterable[Observation]:
    """Units that can never differ, or weights so large that the loss begins far above chance."""
    layers = evidence.setup.layers
    late = [look for look in evidence.looks if look.step >= 8]
    alike = [name for name in layers if len(late) >= 2 and all(name in look.alike for look in late)]
    alike = [name for name in alike if layers[name].trainable]
    if alike:
        words = (
            f"All units have the same weights, still after {late[-1].step} steps, since they get the same gradient."
        )
        yield Observation("bad_initialization", words, 1, tuple(alike), sure="certain")
        return
    large = [name for name, one in layers.items() if one.scale >= 2.5 and one.trainable]
    if large and evidence.of_classes and evidence.step >= 20 and evidence.first_loss > 3 * evidence.chance:
        most = max(layers[name].scale for name in large)
        words = f"Weights are up to {most:.3g} times √(2 / inputs), and the first loss is {evidence.first_loss:.3g} "
        words += f"where {evidence.chance:.3g} is chance."
        yield Observation("bad_initialization", words, 1, tuple(large), {"scale": most})


def layer_not_trained(evidence: Evidence) -> Iterable[Observation]:
    """Layers that no optimizer holds, that are cut off the loss, or that are frozen as they were initialised."""
    layers = evidence.setup.layers
    looks = [look for look in evidence.looks if look.gradients or look.without_gradient]
    if not looks:
        return
    missing = [
        name
        for name, one in layers.items()
        if one.trainable
        and not one.optimized
        and one.untrained
        and looks[-1].gradients.get(name, {}).get("norm", 0) > 0
    ]
    cut = [name for name in looks[-1].without_gradient if all(name in look.without_gradient for look in looks)]
    cut = [name for name in cut if layers[name].untrained] if len(looks) >= 2 else []
    frozen = [name for name, one in layers.items() if not one.trainable and one.untrained]
    for names, words in (
        (missing, "gets a gradient, but no optimizer has its weights."),
        (cut, "runs, and an optimizer has its weights, but no gradient reaches it."),
        (frozen, "is frozen, though its weights are as a random initialisation leaves them."),
    ):
        if names:
            first = names[0] if len(names) == 1 else f"Each of {len(names)} layers"
            yield Observation("layer_not_trained", f"{first} {words}", looks[0].step, tuple(names), sure="certain")
            return


CAUSES = (bad_initialization, layer_not_trained)
