from ami.ml.post_processing.track_consensus.task import TrackConsensusConfig, TrackConsensusTask

__all__ = ["TrackConsensusConfig", "TrackConsensusTask"]
