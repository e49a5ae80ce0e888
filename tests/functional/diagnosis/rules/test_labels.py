"""Rules about labels and the order in which they come."""

import numpy as np
from helpers.evidence import FACTS, run, scores, stuck

from lightning_cnnviz.functional.diagnosis.rules.labels import (
    class_imbalance,
    labels_do_not_fit,
    labels_shifted,
    not_shuffled,
    one_class_from_the_start,
    one_class_outweighs,
    one_class_predicted,
    sorted_batches,
)


def trained(loss, **options):
    return [scores(step, loss, **options) for step in range(5, 301, 5)]


def noisy(loss, accuracy, vals=None, **options):
    """A run whose labels are as random as its accuracy tells."""
    vals = [scores(300, loss, accuracy, samples=200)] if vals is None else vals
    return run(loss, train=trained(loss, accuracy=accuracy, rank=0.5), vals=vals, **options)


def test_random_ranks_in_mistakes_are_told_of_labels():
    assert list(labels_do_not_fit(noisy(1.5, 0.5)))
    assert not list(labels_do_not_fit(run(1.5, train=trained(1.5, accuracy=0.5, rank=0.2))))
    assert not list(labels_do_not_fit(run(train=trained(0.1, accuracy=0.99, rank=0.5))))


def test_inputs_that_tell_little_of_the_class_are_no_wrong_labels():
    assert not list(labels_do_not_fit(noisy(2.2, 0.3)))
    assert list(labels_do_not_fit(noisy(2.2, 0.3, [scores(300, 1.0, 0.8, samples=200)])))  # in training only
    learnt_by_heart = noisy(2.2, 0.2, [scores(300, 2.6, 0.1, samples=200)])
    assert list(labels_do_not_fit(learnt_by_heart))


def test_a_loss_that_counts_labels_otherwise_says_nothing_of_them():
    assert not list(labels_do_not_fit(noisy(1.5, 0.5, loss_facts=[FACTS, FACTS])))  # as with mixed images
    assert not list(labels_do_not_fit(noisy(1.5, 0.5, loss_facts=[FACTS._replace(weights=(1.0,) * 10)])))
    assert not list(labels_do_not_fit(noisy(1.5, 0.5, losses=np.full(300, 0.7))))


def test_labels_are_not_blamed_before_a_network_has_learned_something_or_seen_many_samples():
    def random(samples):
        return noisy(2.31, 0.1, setup={"batch_size": samples})

    assert list(labels_do_not_fit(random(64)))
    assert not list(labels_do_not_fit(random(8)))
    hundred = trained(4.6, accuracy=0.01, rank=0.5, classes=100)
    assert not list(labels_do_not_fit(run(4.6, train=hundred, vals=[], setup={"batch_size": 64})))


def test_a_class_that_outweighs_all_others_in_the_loss_is_told():
    one = [scores(step, 2.0, predicted=np.full(64, 3)) for step in range(5, 301, 5)]

    def weighted(weight, train=one):
        weights = tuple(weight if name == 3 else 1.0 for name in range(10))
        return list(one_class_outweighs(run(train=train, loss_facts=[FACTS._replace(weights=weights)])))

    (found,) = weighted(1000)
    assert (found.rule, found.sure) == ("one_class_predicted", "certain")
    assert found.numbers["weight"] > 0.99
    assert not weighted(10)
    assert not weighted(1000, trained(0.5, accuracy=0.9))
    assert not list(one_class_outweighs(run(train=one)))


def test_a_permutation_of_classes_in_validation_is_told():
    true = np.repeat(np.arange(10), 20)
    (found,) = labels_shifted(run(vals=[scores(300, 5.0, true=true, predicted=(true + 1) % 10)]))
    assert "class 0 as 1, 1 as 2" in found.evidence
    assert not list(labels_shifted(run(vals=[scores(300, 5.0, true=true, predicted=np.zeros(200, int))])))
    assert not list(labels_shifted(run()))


def test_a_class_of_nearly_all_samples_is_told_where_the_others_are_not_found():
    true = np.r_[np.zeros(190, int), np.ones(10, int)]
    lost = scores(300, 0.2, true=true, predicted=np.zeros(200, int), classes=2)
    found = scores(300, 0.2, true=true, predicted=true, classes=2)
    assert list(class_imbalance(run(train=[lost] * 10, vals=[lost])))
    assert not list(class_imbalance(run(train=[found] * 10, vals=[found])))
    assert not list(class_imbalance(run()))


def test_batches_of_one_class_each_are_told_from_the_dataset_or_from_batches():
    known = {"sequential": True, "purity": 1.0, "class_counts": (100,) * 10}
    assert list(sorted_batches(run(setup=known)))
    assert not list(sorted_batches(run(setup={**known, "sequential": False})))
    batches = [scores(step, 1.0, true=np.full(16, step // 5 % 10)) for step in range(5, 301, 5)]
    assert list(sorted_batches(run(train=batches)))
    alike = [scores(step, 1.0, true=np.zeros(16, int)) for step in range(5, 301, 5)]
    assert not list(sorted_batches(run(train=alike)))


def test_the_same_order_is_told_in_the_second_epoch():
    assert next(iter(not_shuffled(run(setup={"sequential": True, "epoch_steps": 100})))).since == 101
    assert not list(not_shuffled(run(setup={"sequential": True, "epoch_steps": 300})))
    assert not list(not_shuffled(run(setup={"sequential": True, "epoch_steps": 1})))
    assert not list(not_shuffled(run(setup={"epoch_steps": 100})))


def test_one_class_for_all_is_told_in_training_and_validation_together():
    one = np.full(200, 3)
    vals = [scores(300, 2.3, samples=200, predicted=one)]
    train = [scores(step, 2.3, predicted=np.full(64, 3)) for step in range(5, 301, 5)]
    assert "Class 3" in next(iter(one_class_predicted(stuck(train=train, vals=vals)))).evidence
    assert not list(one_class_predicted(run(vals=vals)))
    assert not list(one_class_predicted(stuck(train=train)))


def test_one_class_from_the_start_is_told_where_the_loss_begins_far_above_chance():
    train = [scores(step, 2.0, predicted=np.full(64, 3)) for step in range(5, 301, 5)]
    assert next(iter(one_class_from_the_start(run(start=100.0, train=train)))).since == 1
    assert not list(one_class_from_the_start(run(train=train)))
    once = [train[0], *(scores(step, 2.0) for step in range(10, 301, 5))]
    assert list(one_class_from_the_start(run(start=100.0, train=once)))
    assert list(one_class_from_the_start(run(start=10.0, train=train)))
    assert not list(one_class_from_the_start(run(start=10.0, train=once)))
    assert not list(one_class_from_the_start(run(start=100.0)))
