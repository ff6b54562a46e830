"""Track consensus on synthetic individuals of known truth, with correlated frames."""

from benchmarks import consensus_quality, links
from benchmarks.consensus_quality import NOISE, accuracy, make_tracks


def test_consensus_beats_the_best_single_score_at_every_level_of_noise() -> None:
    for noise in NOISE:
        found = accuracy(make_tracks(noise, tracks=400))
        assert found.mean > found.best, noise
        assert found.log_mean > found.best, noise


def test_weights_of_looks_help_where_frames_repeat_each_other() -> None:
    found = accuracy(make_tracks(2.0, tracks=400))
    assert found.mean > found.equal_weights


def test_consensus_names_tracks_of_one_frame_like_the_best_single_score() -> None:
    for noise in NOISE:
        found = accuracy(make_tracks(noise, tracks=200, looks=1, frames=1))
        assert found.mean == found.log_mean == found.best, noise


def test_page_holds_the_figures() -> None:
    text = consensus_quality.PAGE.read_text().split(links.BEGIN)[1].split(links.END)[0]
    assert text == consensus_quality.report()
