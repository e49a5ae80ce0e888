"""Functions that a module keeps run on the copy, too, with what they refer to, and never on the user's module."""

import functools
import random
import weakref

import pytest
from helpers.tiny import TinyNet
from helpers.untouched import Prepared, differing, few, maps


class LambdaInDict(Prepared):
    def build(self):
        self.operations = {"count": lambda x: self.count(x)}

    def before(self, x):
        return self.operations["count"](x)


class PartialOfLambda(Prepared):
    def build(self):
        self.operation = functools.partial(lambda x, factor: self.count(x) * factor, factor=2)

    def before(self, x):
        return self.operation(x)


class ClosureOverList(Prepared):
    def build(self):
        seen = []
        self.operation = lambda x: (seen.append(len(x)), x)[1]

    def before(self, x):
        return self.operation(x)


class Nonlocal(Prepared):
    def build(self):
        calls = 0

        def operation(x):
            nonlocal calls
            calls += 1
            return x

        self.operation = operation

    def before(self, x):
        return self.operation(x)


class ModuleAsDefault(Prepared):
    def build(self):
        self.operation = lambda x, net=self: net.count(x)

    def before(self, x):
        return self.operation(x)


class WrappedForward(TinyNet):
    def __init__(self):
        super().__init__()
        plain = self.forward
        self.forward = lambda x: 0.5 * plain(x)


class WrappedChild(TinyNet):
    def __init__(self):
        super().__init__()
        plain = self.norm.forward

        @functools.wraps(plain)
        def halved(x):
            return 0.5 * plain(x)

        self.norm.forward = halved


class BoundBuiltin(Prepared):
    def build(self):
        self.draw, self.sizes = random.Random(0).random, []
        self.note = self.sizes.append

    def before(self, x):
        self.note(len(x))
        return x + self.draw()


class WeakParent(Prepared):
    def build(self):
        self.conv1.parent = weakref.ref(self)

    def before(self, x):
        return self.conv1.parent().count(x)


class WeakProxy(Prepared):
    def build(self):
        self.conv1.context = {"parent": weakref.proxy(self)}

    def before(self, x):
        self.conv1.context["parent"].calls += 1
        return self.conv1.context["parent"].count(x)


class WeakMethod(Prepared):
    def build(self):
        self.operation = weakref.WeakMethod(self.count)

    def before(self, x):
        return self.operation()(x)


class WeakListeners(Prepared):
    def build(self):
        self.listeners, self.named = weakref.WeakSet([self]), weakref.WeakValueDictionary({"self": self})

    def before(self, x):
        return self.named["self"].count(next(iter(self.listeners)).count(x))


class CachedMethod(Prepared):
    @functools.lru_cache  # noqa: B019 - the slip in question
    def scale(self, size):
        self.calls += 1
        return 1 / size

    def before(self, x):
        return x * self.scale(len(x))

    def outcome(self):
        found = CachedMethod.scale.cache_info()
        CachedMethod.scale.cache_clear()
        return list(found)


class Helper:
    def __init__(self, module):
        self.module, self.seen = module, []

    def __call__(self, x):
        self.seen.append(len(x))
        return self.module.count(x)


class InsideOfAnObject(Prepared):
    def build(self):
        self.helpers = {"first": Helper(self)}

    def before(self, x):
        return self.helpers["first"](x)


@pytest.mark.parametrize(
    "kind",
    [
        *(LambdaInDict, PartialOfLambda, ClosureOverList, Nonlocal, ModuleAsDefault, WrappedForward, WrappedChild),
        *(BoundBuiltin, WeakParent, WeakProxy, WeakMethod, WeakListeners, CachedMethod, InsideOfAnObject),
    ],
    ids=lambda kind: kind.__name__,
)
def test_what_a_function_of_a_module_refers_to_is_not_touched(kind, tmp_path):
    assert differing(tmp_path, kind, maps(), few, max_epochs=1) == []
