"""Files of tensors: what is read, and that nothing in them is run."""

import pickle
import sys

import numpy as np
import pytest

from vlx.errors import UserError
from vlx.interop.files import find_weights, read_tensors, write_tensors


def test_a_folder_is_searched_for_the_usual_names(tmp_path):
    (tmp_path / "pytorch_model.bin").touch()
    assert find_weights(tmp_path).name == "pytorch_model.bin"
    write_tensors(tmp_path / "open_clip_model.safetensors", {"x": np.ones(2)}, {})
    assert find_weights(tmp_path).name == "open_clip_model.safetensors"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "holds no weights; it should have one of open_clip_model.safetensors"),
        ("nowhere.bin", "there is no such file or folder"),
    ],
)
def test_a_place_without_weights_is_named(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        find_weights(tmp_path / name)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "weights.h5").touch()
    with pytest.raises(UserError, match=r"should end in \.safetensors, \.bin, \.pt"):
        read_tensors(tmp_path / "weights.h5")


def test_without_torch_its_format_asks_for_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(UserError, match=r"pip install vlx\[torch\]"):
        read_tensors(tmp_path / "model.bin")


class Bomb:
    """Would make a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "model.bin").write_bytes(pickle.dumps({"x": Bomb(tmp_path / "ran")}, protocol=2))
    with pytest.raises(UserError, match="holds more than tensors, or is damaged"):
        read_tensors(tmp_path / "model.bin")
    assert not (tmp_path / "ran").exists()


def test_the_prefix_of_data_parallel_training_is_taken_off(tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"module.a": np.ones(2), "module.b": np.ones(3)}, {})
    assert read_tensors(path).keys() == {"a", "b"}
    path.unlink()
    write_tensors(path, {"module.a": np.ones(2), "b": np.ones(3)}, {})
    assert read_tensors(path).keys() == {"module.a", "b"}


@pytest.mark.parametrize("wrapper", ["state_dict", "module", "model"])
def test_what_training_wraps_weights_in_is_taken_off(tmp_path, wrapper):
    torch = pytest.importorskip("torch")
    inside = {"module.x": torch.ones(2), "module.y": torch.zeros(3)}
    torch.save({wrapper: inside, "epoch": 3}, tmp_path / "model.pth")
    assert read_tensors(tmp_path / "model.pth").keys() == {"x", "y"}


def test_torch_files_give_the_same_numbers(tmp_path):
    torch = pytest.importorskip("torch")
    x = torch.arange(6.0).reshape(2, 3)
    state = {"x": x.T, "half": x.half(), "short": x.bfloat16(), "one": torch.tensor(2.0)}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "model.pt")
    got = read_tensors(tmp_path / "model.pt")
    assert got.keys() == state.keys()
    for name in state:
        np.testing.assert_array_equal(got[name].astype(np.float32), state[name].float().numpy())
