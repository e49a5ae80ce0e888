"""Other detectors, which watch the same runs as `Diagnosis`.

Three are packages of their own, needed for nothing else and left out if they are not there:

    pip install torchmortem==0.1.1 torch-audit==0.3.0 nansense==0.4.0
"""

from benchmarks.diagnosis.others.audit import TorchAudit
from benchmarks.diagnosis.others.autotrainer import AutoTrainer
from benchmarks.diagnosis.others.lightning import CheckFinite, DetectAnomaly
from benchmarks.diagnosis.others.mortem import TorchMortem
from benchmarks.diagnosis.others.nansense import NaNsense
from benchmarks.diagnosis.others.watcher import Report, Watcher

WATCHERS: tuple[type[Watcher], ...] = (CheckFinite, AutoTrainer, TorchMortem, TorchAudit, NaNsense)
"""Those that let a run go on."""

DETECTORS: tuple[type[Watcher], ...] = (DetectAnomaly, *WATCHERS)

__all__ = ["DETECTORS", "WATCHERS", "DetectAnomaly", "Report", "Watcher"]
