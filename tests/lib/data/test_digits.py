"""The digits loader: split, scales, determinism, errors."""

from __future__ import annotations

import pytest
import torch

from optbias import data


def test_parts_are_disjoint_and_complete():
    split = data.digits(1200, scale="raw")
    assert split.inputs.shape == (1200, 64)
    assert split.test_inputs.shape == (597, 64)
    together = torch.cat([split.inputs, split.test_inputs])
    from sklearn.datasets import load_digits

    stored = torch.as_tensor(load_digits().data)
    # Sorted by rows: the same multiset of images.
    assert torch.equal(
        torch.stack(sorted(together, key=lambda r: r.tolist())), torch.stack(sorted(stored, key=lambda r: r.tolist()))
    )


def test_labels_go_with_their_images():
    from sklearn.datasets import load_digits

    stored = load_digits()
    known = {tuple(image): label for image, label in zip(stored.data.tolist(), stored.target.tolist(), strict=True)}
    split = data.digits(scale="raw", seed=3)
    for image, label in zip(split.inputs.tolist(), split.labels.tolist(), strict=True):
        assert known[tuple(image)] == label
    assert split.labels.dtype == torch.int64
    assert set(split.test_labels.tolist()) == set(range(split.classes))


def test_same_seed_same_split_whatever_the_scale():
    raw, unit, again = data.digits(seed=5, scale="raw"), data.digits(seed=5, scale="unit"), data.digits(seed=5)
    assert torch.equal(raw.inputs / 16, unit.inputs)
    assert torch.equal(raw.test_labels, again.test_labels)
    assert not torch.equal(raw.labels, data.digits(seed=6).labels)


def test_global_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    data.digits()
    assert torch.equal(before, torch.random.get_rng_state())


def test_standard_scale_uses_the_training_part_only():
    split, raw = data.digits(800), data.digits(800, scale="raw")
    mean, std = split.inputs.mean(0), split.inputs.std(0, correction=0)
    assert mean.abs().max() < 1e-12
    constant = raw.inputs.std(0) == 0
    assert constant.any()
    assert (std[~constant] - 1).abs().max() < 1e-12
    assert (split.inputs[:, constant] == 0).all()
    assert torch.isfinite(split.test_inputs).all()
    assert split.test_inputs.mean(0).abs().max() > 1e-3


def test_images_and_dtype():
    split = data.digits(100, images=True, dtype=torch.float32)
    assert split.inputs.shape == (100, 1, 8, 8)
    assert split.inputs.dtype == torch.float32
    assert torch.equal(split.inputs.reshape(100, 64), data.digits(100, dtype=torch.float32).inputs)


@pytest.mark.parametrize("train", [0, -1, 1797, 10.0, True, "10"])
def test_train_is_checked(train):
    with pytest.raises(ValueError, match=r"train must be a whole number in \[1, 1796\]; got"):
        data.digits(train)


def test_options_are_checked():
    with pytest.raises(ValueError, match="'raw', 'unit', 'standard'; got 'minmax'"):
        data.digits(scale="minmax")
    with pytest.raises(TypeError, match="images must be True or False"):
        data.digits(images=1)
    with pytest.raises(TypeError, match="floating-point torch.dtype"):
        data.digits(dtype=torch.int64)
    with pytest.raises(ValueError, match="seed"):
        data.digits(seed=-1)
