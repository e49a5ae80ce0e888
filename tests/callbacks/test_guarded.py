"""No exception of a hook ends a run but what says that the configuration is wrong."""

import pickle
import warnings

import pytest
import pytorch_lightning as pl
from helpers.tiny import fit

import lightning_cnnviz
from lightning_cnnviz.callbacks import VisualCallback
from lightning_cnnviz.callbacks.guarded import GuardedCallback
from lightning_cnnviz.errors import ConfigurationError

CALLBACKS = [
    thing
    for thing in (getattr(lightning_cnnviz, name) for name in lightning_cnnviz.__all__)
    if isinstance(thing, type) and issubclass(thing, pl.Callback)
]
HOOKS = [
    "on_fit_start",
    "on_train_start",
    "on_train_epoch_start",
    "on_train_batch_start",
    "on_before_optimizer_step",
    "on_train_batch_end",
    "on_validation_batch_end",
    "on_validation_end",
    "on_train_epoch_end",
    "on_train_end",
    "teardown",
]


def broken(hook, error=None):
    """A callback that fails in a hook."""
    calls = []

    def fails(self, *arguments, **options):
        calls.append(hook)
        raise error or RuntimeError("not today")

    return type("Broken", (GuardedCallback,), {hook: fails})(), calls


def caught(run):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        run()
    return [str(warning.message) for warning in found if "failed to" in str(warning.message)]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_fails_gives_one_warning_and_the_run_goes_on(hook, tmp_path):
    callback, calls = broken(hook)
    runs = []
    found = caught(lambda: runs.append(fit(tmp_path, [callback], logger=False)))
    assert calls
    assert len(found) == 1
    assert found[0].startswith("Broken failed to draw; training continues: RuntimeError: not today")
    assert runs[0].global_step == 12


def test_what_says_that_the_configuration_is_wrong_ends_the_run(tmp_path):
    callback, _ = broken("on_train_start", ConfigurationError("no such layer"))
    with pytest.raises(ConfigurationError, match="no such layer"):
        fit(tmp_path, [callback], logger=False)


def test_so_does_everything_where_it_was_asked_for(tmp_path):
    callback, _ = broken("on_train_batch_end")
    callback.account.strict = True
    with pytest.raises(RuntimeError, match="not today"):
        fit(tmp_path, [callback], logger=False)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_whoever_wants_to_end_the_run_ends_it(error, tmp_path):
    callback, _ = broken("on_train_batch_end", error)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path, [callback], logger=False)


def test_what_is_no_hook_is_the_users_own():
    class Mine(GuardedCallback):
        def helper(self):
            raise ValueError("mine")

        def _hidden(self):
            raise ValueError("hidden")

    with pytest.raises(ValueError, match="mine"):
        Mine().helper()
    with pytest.raises(ValueError, match="hidden"):
        Mine()._hidden()


def test_hooks_keep_their_names_and_words_and_return_what_they_return():
    class Mine(GuardedCallback):
        def on_train_start(self, trainer, pl_module):
            """Says hello."""
            return 7

        def state_dict(self):
            return {"a": 1}

    assert Mine().on_train_start(None, None) == 7
    assert Mine().state_dict() == {"a": 1}
    assert Mine.on_train_start.__doc__ == "Says hello."
    assert Mine.on_train_start.__name__ == "on_train_start"


def test_a_hook_of_a_subclass_that_calls_super_warns_once():
    class First(GuardedCallback):
        def on_train_start(self, trainer, pl_module):
            raise RuntimeError("not today")

    class Second(First):
        def on_train_start(self, trainer, pl_module):
            super().on_train_start(trainer, pl_module)
            raise RuntimeError("neither")

    assert len(caught(lambda: Second().on_train_start(None, None))) == 1


class Counting(GuardedCallback):
    def __init__(self):
        super().__init__()
        self.starts = 0

    def on_train_start(self, trainer, pl_module):
        self.starts += 1


def test_a_copy_by_pickle_works_as_the_original():
    one = Counting()
    one.on_train_start(None, None)
    other = pickle.loads(pickle.dumps(one))
    other.on_train_start(None, None)
    assert (one.starts, other.starts) == (1, 2)


def refuses_classes_itself():
    """Lightning 2.5 ends in a message of its own before it comes to a hook of the class."""
    return tuple(map(int, pl.__version__.split(".")[:2])) < (2, 6)


@pytest.mark.skipif(refuses_classes_itself(), reason="this Lightning refuses a class itself")
@pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
def test_a_class_in_place_of_an_instance_is_refused_with_what_to_write(kind, tmp_path):
    message = rf"class {kind.__name__}\b.*{kind.__name__}\(\)"
    with pytest.raises(TypeError, match=message):
        fit(tmp_path, [kind], logger=False)


@pytest.mark.skipif(refuses_classes_itself(), reason="this Lightning refuses a class itself")
def test_so_is_one_among_others_and_a_class_of_ones_own(tmp_path):
    class Mine(VisualCallback):
        pass

    with pytest.raises(TypeError, match=r"class Mine\b.*Mine\(\)"):
        fit(tmp_path, [Counting(), Mine], logger=False)


def test_instances_pass(tmp_path):
    counting = Counting()
    fit(tmp_path, [counting], logger=False, max_epochs=1)
    assert counting.starts == 1
