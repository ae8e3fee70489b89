# What this package offers to the others; nothing else of it is imported from outside.
from . import churn
from .comparison import losses
from .fusion_fit import JudgedPool, Part, fit, judged_pools
from .metrics import SEZNAM, Measure
from .relevance import (
    Known,
    System,
    Task,
    check_run,
    join_index,
    measure_system,
    measures_for,
    rerank,
    resampled,
    retrieve,
)
from .remembered_pools import RememberedPools
from .report import TASKS, Measured, Report, as_json, make_report, versions
from .report_files import write_report
from .report_markdown import comparison_table, figures
from .statistics import paired, shown_p
from .systems import Spec, named, parse_spec
from .tuning import Candidate, Tuned, candidates, folds_of, settings_of, tune

__all__ = [
    "SEZNAM",
    "TASKS",
    "Candidate",
    "JudgedPool",
    "Known",
    "Measure",
    "Measured",
    "Part",
    "RememberedPools",
    "Report",
    "Spec",
    "System",
    "Task",
    "Tuned",
    "as_json",
    "candidates",
    "check_run",
    "churn",
    "comparison_table",
    "figures",
    "fit",
    "folds_of",
    "join_index",
    "judged_pools",
    "losses",
    "make_report",
    "measure_system",
    "measures_for",
    "named",
    "paired",
    "parse_spec",
    "rerank",
    "resampled",
    "retrieve",
    "settings_of",
    "shown_p",
    "tune",
    "versions",
    "write_report",
]
