"""The faults that can be told, with what to do about each."""

from typing import NamedTuple


class Fault(NamedTuple):
    """A kind of fault.

    Attributes:
        title: The fault in a few words.
        advice: What to try.
        chart: Tag, or beginning of the tags, of the chart that shows it.
        source: Where the rule, or what it rests on, comes from.
    """

    title: str
    advice: str
    chart: str
    source: str


_RECIPE = "Karpathy, A Recipe for Training Neural Networks, 2019"
_DEBUGGING = "Zhang et al., AUTOTRAINER, ICSE 2021"
_CHECKS = "Ben Braiek & Khomh, TheDeepChecker, 2023"
_GLOROT = "Glorot & Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010"
_HE = "He et al., Delving deep into rectifiers, 2015"
_BATCH_NORM = "Ioffe & Szegedy, Batch normalization, 2015"
_BOOK = "Goodfellow, Bengio & Courville, Deep Learning, 2016"
_NOISE = "Zhang et al., Understanding deep learning requires rethinking generalization, 2017"
_HALF = "Micikevicius et al., Mixed precision training, 2018"
_TORCH = "documentation of PyTorch"
_UMLAUT = "Schoop, Huang & Hartmann, UMLAUT, CHI 2021"

# In this order, causes come before what they cause.
CATALOG: dict[str, Fault] = {
    "half_precision_overflow": Fault(
        "overflow of half precision",
        'Use Trainer(precision="bf16-mixed") or "16-mixed", or scale down what becomes too large.',
        "activations/",
        _HALF,
    ),
    "half_precision_underflow": Fault(
        "underflow of half precision",
        'Use Trainer(precision="16-mixed"), which scales the loss, or "bf16-mixed".',
        "gradient_flow/",
        _HALF,
    ),
    "softmax_before_loss": Fault(
        "softmax before a loss that applies one",
        "Give the loss the scores as they are, without softmax or sigmoid.",
        "curves/loss",
        _UMLAUT,
    ),
    "wrong_loss": Fault(
        "loss that does not fit the task",
        "For classes take cross_entropy, which wants one score per class and class indices.",
        "curves/loss",
        _CHECKS,
    ),
    "no_nonlinearity": Fault(
        "network without nonlinearity",
        "Put an activation such as ReLU behind each layer but the last: without, all layers together are one.",
        "architecture/diagram",
        _BOOK,
    ),
    "gradients_not_cleared": Fault(
        "gradients that are not cleared",
        "Call optimizer.zero_grad() before each backward pass, or do not override optimizer_zero_grad.",
        "gradient_flow/",
        _TORCH,
    ),
    "layers_in_evaluation_mode": Fault(
        "layers left in evaluation mode",
        "Call .train() on them before training, e.g. in on_train_epoch_start; Lightning leaves modes as they are.",
        "architecture/table",
        "documentation of PyTorch Lightning",
    ),
    "batch_norm_of_one": Fault(
        "batch normalisation over a single sample",
        "Use larger batches, or GroupNorm or LayerNorm; accumulating gradients does not help here.",
        "activations/",
        "Wu & He, Group normalization, 2018",
    ),
    "inputs_not_normalized": Fault(
        "inputs that are not normalised",
        "Bring inputs to a mean near 0 and a deviation near 1, e.g. divide by 255 and then use Normalize(mean, std).",
        "class_report/samples",
        "LeCun et al., Efficient BackProp, 1998",
    ),
    "bad_initialization": Fault(
        "initialisation that does not suit the network",
        "Initialise at random with a deviation of √(2 / inputs of a unit), e.g. nn.init.kaiming_normal_.",
        "kernels/",
        _HE,
    ),
    "layer_not_trained": Fault(
        "layer that learns nothing",
        "Look for detach(), no_grad(), requires_grad=False and parameters that are missing in configure_optimizers.",
        "gradient_flow/",
        _CHECKS,
    ),
    "sorted_batches": Fault(
        "batches sorted by class",
        "Use DataLoader(shuffle=True).",
        "curves/loss",
        _BOOK,
    ),
    "not_shuffled": Fault(
        "training data that are not shuffled",
        "Use DataLoader(shuffle=True).",
        "curves/loss",
        _BOOK,
    ),
    "class_imbalance": Fault(
        "hardly any samples of some classes",
        "Weight the loss or sample by class, and judge by the accuracy of each class.",
        "class_report/confusion",
        "Buda, Maki & Mazurowski, A systematic study of the class imbalance problem, 2018",
    ),
    "leakage": Fault(
        "training samples in the validation data",
        "Split first, then augment; use indices that do not overlap.",
        "curves/accuracy",
        "Kapoor & Narayanan, Leakage and the reproducibility crisis, 2023",
    ),
    "preprocessing_differs": Fault(
        "preprocessing that differs between training and validation",
        "Use the same Normalize and the same range of values for both.",
        "class_report/samples",
        _UMLAUT,
    ),
    "augmentation_destroys_labels": Fault(
        "augmentation after which the label cannot be told",
        "Look at augmented samples: could you tell the class? Make it weaker.",
        "curves/accuracy",
        _RECIPE,
    ),
    "labels_shifted": Fault(
        "labels of training and validation that do not agree",
        "Compare the class indices of both; they may be counted from 0 and from 1, or sorted differently.",
        "class_report/confusion",
        _RECIPE,
    ),
    "momentum_too_high": Fault(
        "momentum that is too high",
        "Use 0.9, or a learning rate lower by the same factor as 1 − momentum.",
        "curves/loss",
        "Sutskever et al., On the importance of initialization and momentum, 2013",
    ),
    "weight_decay_too_strong": Fault(
        "weight decay that is too strong",
        "Lower weight_decay: 1e-4 with SGD and 1e-2 with AdamW are usual.",
        "kernels/",
        _BOOK,
    ),
    "dropout_too_strong": Fault(
        "dropout that is too strong",
        "Lower its probability: 0.5 in linear layers and 0.1 elsewhere are usual.",
        "curves/loss",
        "Srivastava et al., Dropout, 2014",
    ),
    "schedule_ends_early": Fault(
        "schedule that ends before the training does",
        "Give the scheduler the number of steps or epochs that it is stepped: trainer.estimated_stepping_batches, or "
        "max_steps where the data are a stream.",
        "curves/loss",
        "Schneider et al., Cockpit, NeurIPS 2021",
    ),
    "exploding_gradients": Fault(
        "exploding gradients",
        "Lower the learning rate or the scale of the weights, add normalisation, or clip gradients.",
        "gradient_flow/bars",
        _GLOROT,
    ),
    "learning_rate_too_high": Fault(
        "learning rate that is far too high",
        "Divide the learning rate by ten, until the loss falls.",
        "curves/loss",
        _DEBUGGING,
    ),
    "non_finite": Fault(
        "NaN or infinite loss",
        "Look at what is computed there: log(0), a division by zero, √0, values beyond the range of the data type.",
        "curves/loss",
        "Wardat, Le & Rajan, DeepLocalize, ICSE 2021",
    ),
    "one_class_predicted": Fault(
        "one class predicted always",
        "Look at the bias of the last layer, the balance of the classes and the learning rate.",
        "class_report/confusion",
        _RECIPE,
    ),
    "bottleneck": Fault(
        "bottleneck that lets nothing through",
        "Look at what precedes the layer and widen it; its output does not tell samples apart.",
        "activations/heatmap",
        _CHECKS,
    ),
    "saturated_activations": Fault(
        "saturated activations",
        "Normalise the inputs, lower the scale of the weights, or use ReLU.",
        "activations/heatmap",
        _GLOROT,
    ),
    "dead_units": Fault(
        "dead units",
        "Lower the learning rate, start biases at 0, or use LeakyReLU.",
        "activations/heatmap",
        "Lu et al., Dying ReLU and initialization, 2020",
    ),
    "vanishing_gradients": Fault(
        "vanishing gradients",
        "Use ReLU, normalisation, shortcuts, or initialisation that keeps the scale.",
        "gradient_flow/bars",
        _GLOROT,
    ),
    "clipping_every_step": Fault(
        "gradients clipped in every step",
        "Raise gradient_clip_val above the usual norm: now it alone sets the length of the steps.",
        "gradient_flow/bars",
        "Pascanu, Mikolov & Bengio, On the difficulty of training recurrent neural networks, 2013",
    ),
    "learning_rate_too_low": Fault(
        "learning rate that is far too low",
        "Multiply the learning rate by ten, until the loss falls.",
        "curves/loss",
        _DEBUGGING,
    ),
    "normalization_statistics": Fault(
        "normalisation statistics that do not fit",
        "Use the default momentum of 0.1, larger batches, or statistics computed anew before validation.",
        "curves/loss",
        _BATCH_NORM,
    ),
    "labels_do_not_fit": Fault(
        "labels that do not fit the inputs",
        "Look at samples with their labels: they may be shuffled apart, or partly wrong.",
        "class_report/mistakes",
        _NOISE,
    ),
    "overfitting": Fault(
        "over-fitting",
        "Stop where the validation loss is lowest; more data, augmentation, weight decay or dropout help.",
        "curves/loss",
        _BOOK,
    ),
    "underfitting": Fault(
        "under-fitting",
        "Use a larger network, a higher learning rate, or less regularisation.",
        "curves/loss",
        _BOOK,
    ),
    "loss_does_not_fall": Fault(
        "loss that does not fall",
        "Try to fit a single batch: if that fails, the loss, the labels or the optimizer do not fit the network.",
        "curves/loss",
        _RECIPE,
    ),
}
