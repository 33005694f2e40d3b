"""How fast the platform is, measured by anyone: `uv run python -m benchmarks <name>`.

Owns: an install of its own in a temporary folder, load from client processes, and baselines to compare with.
Does not own: anything that the platform runs on; nothing imports it.
Always true: it does the real thing, over real HTTP, on a real database with fsync on, and compares with
baselines of the same run.
"""
