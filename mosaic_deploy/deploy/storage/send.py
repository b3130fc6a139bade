"""Carries out a plan of `storage put` or `storage rm`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

from mosaic_deploy.deploy.applying.transfers import SendProgress, transfer
from mosaic_deploy.errors import Interrupted
from mosaic_deploy.live.api.client import Api
from mosaic_deploy.live.api.upload import CHUNK_SIZE, delete_storage_file, upload_storage_file
from mosaic_deploy.live.check_stored import stored_wrongly, stored_wrongly_error
from mosaic_deploy.model.change import DeleteStorageFile, PutStorageFile
from mosaic_deploy.model.event import ApplyStarted, Event
from mosaic_deploy.model.plan import Plan
from mosaic_deploy.source.files.local_file import LocalFile, unchanged_chunks

ReportEvent = Callable[[Event], None]


def send(
    api: Api, plan: Plan, files: Mapping[str, LocalFile], parallelism: int
) -> Generator[Event, None, None]:
    """Uploads `files`, by name, and deletes, as the plan says. Yields events like those of an apply.

    Raises the only failure, or TransfersFailed with all of them, also for files that storage doesn't list afterwards as sent; and
    Interrupted.
    """
    project = plan.project.id
    puts = [change for change in plan.changes if isinstance(change, PutStorageFile)]
    deletes = [change for change in plan.changes if isinstance(change, DeleteStorageFile)]
    api.rate_limiter.set_limit(parallelism)
    yield ApplyStarted(len(plan.changes), sum(put.size for put in puts), "")

    def put(change: PutStorageFile, report: ReportEvent) -> None:
        file = files[change.path]
        progress = SendProgress(change, report, api.rate_limiter, lambda: None)
        upload_storage_file(api, project, file.object, lambda: unchanged_chunks(file, CHUNK_SIZE), progress)

    def delete(change: DeleteStorageFile, _: ReportEvent) -> None:
        delete_storage_file(api, project, change.path)

    try:
        yield from transfer(puts, put, parallelism, api.rate_limiter.cancel)
        if wrong := stored_wrongly(api, project, puts):
            raise stored_wrongly_error(wrong)
        yield from transfer(deletes, delete, parallelism, api.rate_limiter.cancel)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted", hint="run the same command again for what is left", mutation_state="partial"
        ) from None
