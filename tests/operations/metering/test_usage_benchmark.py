"""The benchmark of usage still runs: what it measures is of no interest here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

OPTIONS = ["--events", "600", "3000", "--requests", "2"]


@pytest.mark.slow
def test_it_writes_what_it_has_measured(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "usage", *OPTIONS, "--output", str(tmp_path)]

    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=240)

    (path,) = tmp_path.glob("usage-*.json")
    document = json.loads(path.read_text())
    assert document["machine"]["postgresql"]["fsync"] == "on"
    assert [result["events"] for result in document["results"]] == [600, 3000]
    for result in document["results"]:
        assert result["queries"].keys() == {"summary", "by day", "by hour", "the last 24 hours"}
        assert result["queries"]["summary"]["http_ms"]["p99"] > 0
