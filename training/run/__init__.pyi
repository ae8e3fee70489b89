# What this package offers to the others; nothing else of it is imported from outside.
from .collapse_alarm import Collapse, Health, collapse, health
from .device import keep_memory, pick_device, suit_attention
from .loop import Evaluation, Outcome, Progress, Task, train
from .needs import check_needs
from .progress import QUIET, Talk
from .run_log import Journal

__all__ = [
    "QUIET",
    "Collapse",
    "Evaluation",
    "Health",
    "Journal",
    "Outcome",
    "Progress",
    "Talk",
    "Task",
    "check_needs",
    "collapse",
    "health",
    "keep_memory",
    "pick_device",
    "suit_attention",
    "train",
]
