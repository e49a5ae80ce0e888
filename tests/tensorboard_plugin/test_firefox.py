"""The tab in Firefox: tests that show in Chromium what people see and do, once more."""
# ruff: noqa: F401 - pytest finds a test wherever it is imported, and gives it that module's fixtures

import pytest
from tensorboard_plugin.tab_page import Tab
from tensorboard_plugin.test_layer import (
    test_the_activations_of_a_linear_layer_are_bars,
    test_the_weights_of_a_linear_layer_are_a_matrix,
)
from tensorboard_plugin.test_measured import (
    test_not_measured_and_no_gradient_differ_by_pattern_and_the_axis_is_as_long_as_the_run,
)
from tensorboard_plugin.test_odd_runs import test_names_are_shown_as_they_are
from tensorboard_plugin.test_tab import (
    test_a_class_can_be_seen_alone,
    test_a_lasso_follows_samples_into_other_layers,
    test_dark_as_tensorboard_is,
    test_keys_move_through_time,
    test_play_runs_to_the_end_with_points_between_the_frames,
    test_pointing_at_a_channel_tells_its_numbers_and_its_past,
    test_pointing_at_a_sample_shows_what_it_is,
    test_slider_pictures_scatter_and_heat_map_are_at_one_step,
    test_the_partition_of_the_plane_moves_with_time,
    test_the_tab_is_found_by_its_name,
    test_two_runs_stand_side_by_side_on_one_time_axis,
)
from tensorboard_plugin.test_way_in import test_keys_need_no_click


@pytest.fixture
def tab(firefox):
    """In place of the tab in Chromium, which other files look at."""
    tab = Tab(firefox)
    yield tab
    tab.close()


@pytest.fixture
def server(fast):
    """One loader: how TensorBoard reads is the same for every browser."""
    return fast
