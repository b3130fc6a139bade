"""One stateless worker of a served platform: any number of them, on any machines, serve the same projects."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from mosaic_deploy.platform import chores
from mosaic_deploy.platform.cluster import Cluster, opened_control, shared_state
from mosaic_deploy.platform.listen import listen, stop_signal
from mosaic_deploy.platform.mailer import VARIABLE, mailer_from
from mosaic_deploy.platform.parts import Platform
from mosaic_deploy.platform.sessions import Sessions
from mosaic_deploy.platform.variants import variants_from


def work(
    cluster: Cluster, listener: socket.socket, lifeline: int | None, announce: Callable[[], None]
) -> None:
    """Serve until SIGTERM or SIGINT, or until the other end of `lifeline` closes: its holder has ended."""
    os.umask(0o077)
    asyncio.run(_work(cluster, listener, lifeline, announce))


async def _work(
    cluster: Cluster, listener: socket.socket, lifeline: int | None, announce: Callable[[], None]
) -> None:
    stop = stop_signal()
    if lifeline is not None:
        asyncio.get_running_loop().add_reader(lifeline, stop.set)
    variants = variants_from()
    server = cluster.server()
    async with opened_control(cluster) as pool:
        platform = Platform(
            state=await shared_state(pool),
            hosts=cluster.hosts(),
            pool=pool,
            server=server,
            sessions=Sessions(server, reuse=variants.reuse, limit=cluster.connections),
            store=cluster.store(),
            account_id=0,
            variants=variants,
            limits=cluster.limits,
            mailer=mailer_from(os.environ.get(VARIABLE)),
            local=False,
        )
        await listen(
            platform,
            listener,
            stop,
            announce,
            chores.together(chores.do_chores(platform), chores.mind_connections(platform)),
        )
        await platform.finish_tasks()
        await platform.sessions.close_idle(older_than=0)
