"""Records: whole or not at all, small, and with their provenance."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from optbias.experiments import store


def test_an_error_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "record.json"
    store.save_json({"a": 1}, path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.save_json({"a": math.nan}, path)

    def cut_off():
        with store.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        cut_off()
    assert store.read_json(path) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["record.json"]


def test_a_table_keeps_numbers_names_and_exact_columns(tmp_path):
    n = 5000
    table = pd.DataFrame(
        {
            "name": np.repeat(["a", "b"], n // 2),
            "inside": np.arange(n) % 2 == 0,
            "step": np.arange(n),
            "lr": 1e-3 / 3,
            "loss": np.linspace(0, 1, n) ** 2 / 3,
        }
    )
    path = tmp_path / "table.parquet"
    store.save_table(table, path, exact=["lr"])
    back = pd.read_parquet(path)
    assert (back["lr"] == 1e-3 / 3).all()
    assert back["loss"].dtype == np.float32
    np.testing.assert_allclose(back["loss"], table["loss"], rtol=1e-7)
    for name in ("name", "inside", "step"):
        assert (back[name] == table[name]).all()
    assert path.stat().st_size < 50_000
    assert list(table["loss"].head(2)) == [0.0, table["loss"][1]]  # the caller's table is untouched


def test_provenance_says_how_and_with_what():
    record = store.provenance("python -m optbias ...", 1.26, seeds=[0])
    assert record["seconds"] == 1.3
    assert record["versions"]["torch"] == torch.__version__
    assert record["threads"] == 1
    assert record["device"].startswith("cpu (")
    assert record["seeds"] == [0]
    assert len(record.get("revision", "0" * 40).rstrip("+")) == 40
    assert "/" not in json.dumps({k: v for k, v in record.items() if k != "command"})


def test_plain_makes_everything_fit_for_json():
    value = {1: np.float64(0.5), "t": torch.tensor([1.0, math.nan]), "l": (np.int64(3), None, "x", True, math.inf)}
    assert store.plain(value) == {"1": 0.5, "t": [1.0, None], "l": [3, None, "x", True, None]}


def test_a_record_that_is_not_there_is_none():
    assert store.recorded("fair-comparison", "nothing") is None
    assert store.find("nothing", "cpu.json") is None
