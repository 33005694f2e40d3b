"""Results, kept as JSON: what was measured, on what, and when."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


def write_results(
    name: str,
    *,
    folder: Path,
    at: datetime,
    machine: Mapping[str, object],
    setup: Mapping[str, object],
    results: Sequence[Mapping[str, object]],
) -> Path:
    """Write the results of a benchmark to a file of their own, and return where it is."""
    document = {
        "benchmark": name,
        "at": at.isoformat(timespec="seconds"),
        "machine": machine,
        "setup": setup,
        "results": results,
    }
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{at:%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path
