"""How a recipe runs: loop, checkpoints, log, collapse alarm, device."""
