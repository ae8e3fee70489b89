"""The log of a run: one JSON object a line, and TensorBoard's files when it is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import TandemError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["Journal"]


class Journal:
    """Writes to FOLDER/log.jsonl, and to FOLDER/tensorboard when that package is there."""

    def __init__(self, path: Path, board: SummaryWriter | None) -> None:
        self.path = path
        self._board = board

    @classmethod
    def open(cls, folder: Path, step: int) -> Journal:
        """Go on after `step`: lines of later steps, which a killed run wrote, are taken out."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.jsonl"
        if path.is_file():
            lines = [line for line in path.read_text("utf-8").splitlines() if _step(line) <= step]
            path.write_text("".join(f"{line}\n" for line in lines if step), "utf-8")
        board = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        return cls(path, board)

    def write(self, step: int, figures: dict[str, float]) -> None:
        """One line: the step and its figures."""
        rounded = {name: round(value, 6) for name, value in figures.items()}
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **rounded}) + "\n")
        except OSError as error:
            raise TandemError(
                f"{self.path}: cannot be written ({error.strerror}); "
                "make room and run the same command again"
            ) from error
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        if self._board is not None:
            self._board.close()


def _step(line: str) -> float:
    """The step of a line; a line that a kill cut short belongs to no step."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
