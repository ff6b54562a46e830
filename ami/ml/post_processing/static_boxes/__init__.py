from ami.ml.post_processing.static_boxes.task import StaticBoxesConfig, StaticBoxesTask

__all__ = ["StaticBoxesConfig", "StaticBoxesTask"]
