from ami.ml.models.algorithm import Algorithm, AlgorithmCategoryMap, AlgorithmTaskType
from ami.ml.models.calibration import Calibration

__all__ = ["Algorithm", "AlgorithmCategoryMap", "AlgorithmTaskType", "Calibration"]
