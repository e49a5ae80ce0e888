"""Rules about batch normalisation and layers that behave differently in evaluation."""

from collections.abc import Iterable

from lightning_cnnviz.functional.diagnosis.evidence import Evidence
from lightning_cnnviz.functional.diagnosis.finding import Observation
from lightning_cnnviz.model.input_tap import NormalizationLook


def batch_norm_of_one(evidence: Evidence) -> Iterable[Observation]:
    """Batch normalisation over the values of one sample."""
    looks = [look for look in evidence.looks if look.normalizations]
    if len(looks) >= 3 and all(one.samples == 1 for look in looks for one in look.normalizations.values()):
        words = "In training each sample is normalised by itself, in evaluation by running statistics of all."
        layers = tuple(looks[-1].normalizations)
        yield Observation("batch_norm_of_one", words, looks[0].step, layers, sure="certain")


def normalization_statistics(evidence: Evidence) -> Iterable[Observation]:
    """Running statistics are far from those of the batches, and the validation is much worse than the training."""
    looks = [look for look in evidence.recent_looks() if look.step >= 60 and look.normalizations]
    if len(looks) < 2 or not _validates_badly(evidence):
        return
    far = [{name: one for name, one in look.normalizations.items() if _is_far(one)} for look in looks]
    layers = [name for name in far[-1] if all(name in one for one in far)]
    if not (evidence.recent_scores and evidence.validations):
        # Then those are left out that only have a long memory, and those of networks that see two kinds of batches.
        known = evidence.setup.automatic
        layers = [
            name for name in layers if known and (far[-1][name].remembered < 0.5 or far[-1][name].remembered == 1)
        ]
    if layers:
        worst = max(layers, key=lambda name: max(far[-1][name].distance, far[-1][name].ratio))
        one = far[-1][worst]
        words = (
            f"In {worst} the running mean is {one.distance:.2g} deviations from the batch's (median over channels) "
        )
        words += f"and the variances differ by a factor of {2.718281828**one.ratio:.2g}, after {one.batches} batches"
        words += f", in which {one.remembered:.0%} of the initial values are left." if one.remembered > 0.5 else "."
        numbers = {"distance": one.distance, "remembered": one.remembered}
        yield Observation("normalization_statistics", words, looks[0].step, tuple(layers), numbers)


def _is_far(one: NormalizationLook) -> bool:
    """Whether statistics differ from the batch's by more than chance, and by more than weights that change explain."""
    if one.samples < 2 or one.values < 32:
        return False
    # Of 32 samples the mean is known to 0.18 deviations and the logarithm of the variance to 0.25.
    initial = one.remembered > 0.5 and (one.distance > 0.25 or one.ratio > 0.3)
    return initial or one.distance > 0.5 or one.ratio > 0.7


def _validates_badly(evidence: Evidence) -> bool:
    train, val = evidence.recent_scores, evidence.validations[-1:]
    return not train or not val or val[0].mean_loss > 1.3 * train.mean_loss


def layers_in_evaluation_mode(evidence: Evidence) -> Iterable[Observation]:
    """Layers that act in training only are in evaluation mode while the model trains."""
    looks = evidence.recent_looks(2)
    if len(looks) < 2:
        return
    layers = [name for name in looks[-1].evaluating if all(name in look.evaluating for look in looks)]
    if layers:
        kinds = ", ".join(sorted({looks[-1].evaluating[name] for name in layers}))
        words = f"{len(layers)} layers ({kinds}) are in evaluation mode in training steps."
        yield Observation("layers_in_evaluation_mode", words, evidence.looks[0].step, tuple(layers), sure="certain")
        return
    before = {name for look in evidence.looks for name in look.normalizations}
    switched = [name for name in looks[0].as_in_evaluation if name in before and name in looks[1].as_in_evaluation]
    if switched:
        since = next(look.step for look in evidence.looks if switched[0] in look.as_in_evaluation)
        words = f"{len(switched)} batch normalisations were training before, and are in evaluation mode since."
        yield Observation("layers_in_evaluation_mode", words, since, tuple(switched), sure="certain")


CAUSES = (batch_norm_of_one, normalization_statistics, layers_in_evaluation_mode)
