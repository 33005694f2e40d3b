"""The benchmark of ingest still runs: what it measures is of no interest here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

OPTIONS = ["--batch", "100", "--runs", "1", "--customers", "5", "--part", "80"]


@pytest.mark.slow
def test_it_writes_what_it_has_measured(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "ingest", *OPTIONS, "--output", str(tmp_path)]

    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=240)

    (path,) = tmp_path.glob("ingest-*.json")
    document = json.loads(path.read_text())
    assert document["machine"]["postgresql"]["fsync"] == "on"
    (result,) = document["results"]
    assert result["batch_size"] == 100
    assert result["variants"].keys() == {"COPY", "platform", "bare view", "plain DRF"}
    assert result["platform_to"]["COPY"] > 0
