from ami.ml.post_processing.tracking.task import TrackingConfig, TrackingTask

__all__ = ["TrackingConfig", "TrackingTask"]
