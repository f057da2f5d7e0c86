"""A run that is killed, twice, is the run that was not."""

import pytest
from processes import Forked

from experiments import kill_resume
from experiments.kill_resume import differences, finish, kill_again_and_again


@pytest.mark.slow
def test_kills_between_and_during_saves_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(kill_resume, "start", lambda folder: Forked(*kill_resume.command(folder)))
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    finish(calm)
    kills = list(kill_again_and_again(killed, ["step", "save"], seed=0))
    assert [kill.kind for kill in kills if kill.step > 0] == ["step", "save"]
    assert differences(calm, killed) == []
