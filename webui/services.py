"""What every route of one application shares, kept in `app.extensions`."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import cast

from flask import Flask, current_app

from webui.judgments import Judgments
from webui.live_index import Live
from webui.metrics import Metrics
from webui.search_request import Limits
from webui.writing import Writer

__all__ = ["Services", "services", "services_of"]


@dataclass(frozen=True, slots=True)
class Services:
    live: Live
    limits: Limits
    metrics: Metrics
    judgments: Judgments | None
    examples: tuple[str, ...] = ()
    """Queries that the first page offers."""
    writer: Writer | None = None
    """Only where programs may write."""
    token: str = field(default_factory=token_urlsafe)
    """In every form that changes something: another site cannot read it, so it cannot send it."""


def services() -> Services:
    """Those of the application that answers the request."""
    return services_of(current_app)


def services_of(app: Flask) -> Services:
    """Those of this application."""
    return cast(Services, app.extensions["tandem"])
