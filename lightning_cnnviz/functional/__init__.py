"""Visualizations as pure functions: tensors in, uint8 images or metrics out. No Lightning, no logger."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `as` the same name: exported
    from lightning_cnnviz.functional.activations.activation_stats import ActivationStatistics as ActivationStatistics
    from lightning_cnnviz.functional.activations.activation_stats import activation_heat_map as activation_heat_map
    from lightning_cnnviz.functional.activations.effective_rank import effective_rank as effective_rank
    from lightning_cnnviz.functional.activations.histogram import Histogram as Histogram
    from lightning_cnnviz.functional.activations.value_sums import value_sums as value_sums
    from lightning_cnnviz.functional.class_report import class_accuracies as class_accuracies
    from lightning_cnnviz.functional.class_report import confusion_matrix_chart as confusion_matrix_chart
    from lightning_cnnviz.functional.curves import Point as Point
    from lightning_cnnviz.functional.curves import best_point as best_point
    from lightning_cnnviz.functional.curves import curve_chart as curve_chart
    from lightning_cnnviz.functional.curves import find_metric as find_metric
    from lightning_cnnviz.functional.drawing.image_sheet import image_sheet as image_sheet
    from lightning_cnnviz.functional.drawing.image_sheet import prediction_sheet as prediction_sheet
    from lightning_cnnviz.functional.feature_map_grid import MapFacts as MapFacts
    from lightning_cnnviz.functional.feature_map_grid import feature_maps as feature_maps
    from lightning_cnnviz.functional.feature_map_grid import map_facts as map_facts
    from lightning_cnnviz.functional.feature_map_grid import mean_maps as mean_maps
    from lightning_cnnviz.functional.filter_response_grid import filter_response as filter_response
    from lightning_cnnviz.functional.filtering import filter_responses as filter_responses
    from lightning_cnnviz.functional.gradients.gradient_flow import diagnose as diagnose
    from lightning_cnnviz.functional.gradients.gradient_flow import gradient_bars as gradient_bars
    from lightning_cnnviz.functional.gradients.gradient_flow import gradient_heat_map as gradient_heat_map
    from lightning_cnnviz.functional.gradients.gradient_sums import GradientSums as GradientSums
    from lightning_cnnviz.functional.gradients.gradient_sums import gradient_sums as gradient_sums
    from lightning_cnnviz.functional.input_partition.cells import Partition as Partition
    from lightning_cnnviz.functional.input_partition.cells import PartitionLevel as PartitionLevel
    from lightning_cnnviz.functional.input_partition.cells import TooManyCellsError as TooManyCellsError
    from lightning_cnnviz.functional.input_partition.cells import partition as partition
    from lightning_cnnviz.functional.input_partition.nonlinearities import Nonlinearity as Nonlinearity
    from lightning_cnnviz.functional.input_partition.panels import Points as Points
    from lightning_cnnviz.functional.input_partition.plane_model import PlaneModel as PlaneModel
    from lightning_cnnviz.functional.input_partition.plane_model import affine_maps as affine_maps
    from lightning_cnnviz.functional.input_partition.views import PartitionViews as PartitionViews
    from lightning_cnnviz.functional.input_partition.weight_history import load_weights as load_weights
    from lightning_cnnviz.functional.input_partition.weight_history import redraw as redraw
    from lightning_cnnviz.functional.kernels import KernelSelection as KernelSelection
    from lightning_cnnviz.functional.kernels import conv_weight as conv_weight
    from lightning_cnnviz.functional.kernels import kernel_grid as kernel_grid
    from lightning_cnnviz.functional.kernels import select_kernels as select_kernels
    from lightning_cnnviz.functional.model_summary.arrangement import Arrangement as Arrangement
    from lightning_cnnviz.functional.model_summary.arrangement import arranged as arranged
    from lightning_cnnviz.functional.model_summary.diagram import architecture_diagram as architecture_diagram
    from lightning_cnnviz.functional.model_summary.layer_info import GraphNode as GraphNode
    from lightning_cnnviz.functional.model_summary.layer_info import LayerInfo as LayerInfo
    from lightning_cnnviz.functional.model_summary.layer_info import NetworkGraph as NetworkGraph
    from lightning_cnnviz.functional.model_summary.layer_table import ParameterCount as ParameterCount
    from lightning_cnnviz.functional.model_summary.layer_table import architecture as architecture
    from lightning_cnnviz.functional.model_summary.layer_table import architecture_table as architecture_table
    from lightning_cnnviz.functional.model_summary.layer_table import count_parameters as count_parameters
    from lightning_cnnviz.functional.model_summary.network_graph import network_graph as network_graph
    from lightning_cnnviz.functional.notebook import Pictures as Pictures
    from lightning_cnnviz.functional.notebook import look as look
    from lightning_cnnviz.functional.projection.animation import Animation as Animation
    from lightning_cnnviz.functional.projection.animation import apng as apng
    from lightning_cnnviz.functional.projection.animation import projection_animation as projection_animation
    from lightning_cnnviz.functional.projection.animation import projection_film as projection_film
    from lightning_cnnviz.functional.projection.chart import projection_chart as projection_chart
    from lightning_cnnviz.functional.projection.class_separation import KnnVote as KnnVote
    from lightning_cnnviz.functional.projection.class_separation import knn_accuracy as knn_accuracy
    from lightning_cnnviz.functional.projection.class_separation import knn_vote as knn_vote
    from lightning_cnnviz.functional.projection.class_separation import silhouette as silhouette
    from lightning_cnnviz.functional.projection.layout import Layout as Layout
    from lightning_cnnviz.functional.projection.layout import principal_components as principal_components
    from lightning_cnnviz.functional.projection.layout import project as project
    from lightning_cnnviz.functional.projection.neighbours import trustworthiness as trustworthiness
    from lightning_cnnviz.functional.projection.overview import projection_overview as projection_overview
    from lightning_cnnviz.functional.projection.procrustes import align as align
    from lightning_cnnviz.functional.projection.procrustes import movement as movement
    from lightning_cnnviz.functional.projection.quality import LayoutQuality as LayoutQuality
    from lightning_cnnviz.functional.projection.quality import measure as measure
    from lightning_cnnviz.functional.saliency.attribution import Attribution as Attribution
    from lightning_cnnviz.functional.saliency.attribution import attribute as attribute
    from lightning_cnnviz.functional.saliency.saliency_sheet import saliency_sheet as saliency_sheet
    from lightning_cnnviz.functional.sample_history.data_map import data_map as data_map
    from lightning_cnnviz.functional.sample_history.dynamics import SampleDynamics as SampleDynamics
    from lightning_cnnviz.functional.sample_history.dynamics import rank_samples as rank_samples
    from lightning_cnnviz.functional.sample_history.dynamics import sample_dynamics as sample_dynamics
    from lightning_cnnviz.functional.sample_history.margins import Margins as Margins
    from lightning_cnnviz.functional.sample_history.margins import sample_margins as sample_margins
    from lightning_cnnviz.functional.sample_history.sample_sheet import history_sheet as history_sheet
    from lightning_cnnviz.functional.sample_history.table import history_csv as history_csv
    from lightning_cnnviz.functional.units.excitation_grid import excitation_grid as excitation_grid
    from lightning_cnnviz.functional.units.gradient_ascent import Ascent as Ascent
    from lightning_cnnviz.functional.units.gradient_ascent import Excitation as Excitation
    from lightning_cnnviz.functional.units.gradient_ascent import maximize as maximize
    from lightning_cnnviz.functional.units.patch_search import find_patches as find_patches
    from lightning_cnnviz.functional.units.patch_sheet import Patches as Patches
    from lightning_cnnviz.functional.units.patch_sheet import patch_sheet as patch_sheet
    from lightning_cnnviz.model.capture import Activations as Activations
    from lightning_cnnviz.model.capture import record as record
    from lightning_cnnviz.model.layers import convolutions as convolutions
    from lightning_cnnviz.model.layers import last_hidden_layer as last_hidden_layer
    from lightning_cnnviz.model.layers import layers_with_weights as layers_with_weights
    from lightning_cnnviz.model.layers import weights_of as weights_of
    from lightning_cnnviz.model.receptive_field import ReceptiveField as ReceptiveField
    from lightning_cnnviz.model.receptive_field import receptive_fields as receptive_fields

# Imported lazily, so that using one part of the package does not import PyTorch and Lightning.
_MODULES = {
    ".input_partition.nonlinearities": ["Nonlinearity"],
    "..model.capture": ["Activations", "record"],
    "..model.layers": ["convolutions", "last_hidden_layer", "layers_with_weights", "weights_of"],
    ".activations.activation_stats": ["ActivationStatistics", "activation_heat_map"],
    ".activations.effective_rank": ["effective_rank"],
    ".activations.histogram": ["Histogram"],
    ".activations.value_sums": ["value_sums"],
    ".class_report": ["class_accuracies", "confusion_matrix_chart"],
    ".curves": ["Point", "best_point", "curve_chart", "find_metric"],
    ".drawing.image_sheet": ["image_sheet", "prediction_sheet"],
    ".feature_map_grid": ["MapFacts", "feature_maps", "map_facts", "mean_maps"],
    ".filter_response_grid": ["filter_response"],
    ".filtering": ["filter_responses"],
    ".gradients.gradient_flow": ["diagnose", "gradient_bars", "gradient_heat_map"],
    ".gradients.gradient_sums": ["GradientSums", "gradient_sums"],
    ".input_partition.cells": ["PartitionLevel", "TooManyCellsError", "Partition", "partition"],
    ".input_partition.panels": ["Points"],
    ".input_partition.plane_model": ["PlaneModel", "affine_maps"],
    ".input_partition.views": ["PartitionViews"],
    ".input_partition.weight_history": ["load_weights", "redraw"],
    ".kernels": ["KernelSelection", "conv_weight", "kernel_grid", "select_kernels"],
    ".model_summary.arrangement": ["Arrangement", "arranged"],
    ".model_summary.diagram": ["architecture_diagram"],
    ".model_summary.layer_info": ["GraphNode", "LayerInfo", "NetworkGraph"],
    ".model_summary.layer_table": ["ParameterCount", "architecture", "architecture_table", "count_parameters"],
    ".model_summary.network_graph": ["network_graph"],
    ".notebook": ["Pictures", "look"],
    ".projection.animation": ["Animation", "apng", "projection_animation", "projection_film"],
    ".projection.chart": ["projection_chart"],
    ".projection.class_separation": ["KnnVote", "knn_accuracy", "knn_vote", "silhouette"],
    ".projection.layout": ["Layout", "principal_components", "project"],
    ".projection.neighbours": ["trustworthiness"],
    ".projection.overview": ["projection_overview"],
    ".projection.procrustes": ["align", "movement"],
    ".projection.quality": ["LayoutQuality", "measure"],
    ".saliency.attribution": ["Attribution", "attribute"],
    ".saliency.saliency_sheet": ["saliency_sheet"],
    ".sample_history.data_map": ["data_map"],
    ".sample_history.dynamics": ["SampleDynamics", "rank_samples", "sample_dynamics"],
    ".sample_history.margins": ["Margins", "sample_margins"],
    ".sample_history.sample_sheet": ["history_sheet"],
    ".sample_history.table": ["history_csv"],
    ".units.excitation_grid": ["excitation_grid"],
    ".units.gradient_ascent": ["Ascent", "Excitation", "maximize"],
    ".units.patch_search": ["find_patches"],
    ".units.patch_sheet": ["Patches", "patch_sheet"],
    "..model.receptive_field": ["ReceptiveField", "receptive_fields"],
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
