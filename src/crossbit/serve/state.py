"""What all addresses of a service share."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from crossbit.errors import UserError
from crossbit.model import Model
from crossbit.runs.folder import RunFolder
from crossbit.serve.changes import Changes
from crossbit.serve.generations import Generations
from crossbit.serve.metrics import Metrics
from crossbit.serve.pictures import Pictures, Thumbnails
from crossbit.serve.settings import Settings
from crossbit.serve.work import Work

WATCH = 1.0  # seconds between two looks whether the run has changed
PICTURE_QUEUE = 256  # a page asks for a grid of them at once

log = logging.getLogger("crossbit.serve")


class State:
    """The run that is served, its search, its pictures, and the threads that work.

    Attributes:
        run: the run's folder.
        settings: what the service was told.
        generations: the search that answers now.
        work: for searches and changes.
        changes: of the index, one after the other.
        auditing: for the audit, which must not keep searches waiting.
        drawing: for pictures, as well.
        closing: whether it is about to end.
    """

    def __init__(self, run: RunFolder, settings: Settings) -> None:
        self.run, self.settings, self.closing = run, settings, False
        self.generations = Generations(run, settings.uri, settings.exact)
        self._show(self.generations.now.search.model)
        self.work = Work(settings.concurrent, settings.queued, settings.request_seconds)
        self.auditing = Work(1, settings.queued, settings.request_seconds)
        self.drawing = Work(1, PICTURE_QUEUE, settings.request_seconds)
        self.changes = Changes(self, settings.queued)
        self.metrics = Metrics(self)

    async def watch(self) -> None:
        """Take over what other processes change, until cancelled."""
        while True:
            await asyncio.sleep(WATCH)
            with suppress(Exception):
                await asyncio.to_thread(self.refresh)
                await asyncio.to_thread(self.changes.fold)

    def refresh(self) -> None:
        """Take over a new run or index, where there is one that can be used."""
        try:
            before = self.generations.now.search.model
            if self.generations.refresh():
                if (model := self.generations.now.search.model) is not before:
                    self._show(model)
                self.pictures.has_grown()
                log.info("took over generation %d", self.generations.now.number)
        except UserError as error:
            log.warning("the run has changed and cannot be taken over: %s", error)
        except Exception:
            log.exception("the run has changed and could not be taken over")
            raise

    def _show(self, model: Model) -> None:
        """Begin with the pictures of a run: those of another may have the same ids."""
        self.pictures = Pictures(self.run, any(each.reads == "pictures" for each in model.featurisers.values()))
        self.thumbnails = Thumbnails(self.settings.thumbnails_mb << 20)

    def close(self) -> None:
        """End all work."""
        self.closing = True
        self.work.close()
        self.changes.close()
        self.auditing.close()
        self.drawing.close()
        self.generations.close()
