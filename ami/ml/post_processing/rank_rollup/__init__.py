from ami.ml.post_processing.rank_rollup.task import RankRollupConfig, RankRollupTask

__all__ = ["RankRollupConfig", "RankRollupTask"]
