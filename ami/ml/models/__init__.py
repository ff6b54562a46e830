from ami.ml.models.algorithm import Algorithm, AlgorithmCategoryMap, AlgorithmTaskType

__all__ = ["Algorithm", "AlgorithmCategoryMap", "AlgorithmTaskType"]
