from ami.ml.post_processing.class_masking.antenna import make_classifications_filtered_by_taxa_list
from ami.ml.post_processing.class_masking.task import ClassMaskingConfig, ClassMaskingTask

__all__ = [
    "ClassMaskingConfig",
    "ClassMaskingTask",
    "make_classifications_filtered_by_taxa_list",
]
