"""`mosaic-deploy auth`."""

from __future__ import annotations

import shlex
from dataclasses import asdict

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.lazy_groups import Group
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions
from mosaic_deploy.errors import NextAction, RequestRefused, UsageInvalid
from mosaic_deploy.model.manifest import MagicLinkSpec


@click.group(cls=Group)
def auth() -> None:
    """Send magic links."""


@auth.command("send-link", cls=folder_option.FolderCommand)
@click.argument("email")
@click.option(
    "--redirect",
    metavar="PATH",
    help="The page that the link opens. Default: auth.magic_link.redirect_url in the manifest.",
)
@folder_option.target_options
@options.output
@click.pass_obj
def send_link(
    screen: Screen,
    email: str,
    redirect: str | None,
    target_options: TargetOptions,
) -> None:
    """Email a magic link to EMAIL. It works once, for 15 minutes.

    \b
    Examples:
      mosaic-deploy auth send-link ada@example.com
      mosaic-deploy auth send-link ada@example.com --local --redirect /welcome
    """
    session = target_options.open("if_there")
    from mosaic_deploy.live.api.operations import send_magic_link

    settings = session.manifest.magic_link
    page = redirect or (settings.redirect_url if settings else None)
    if page is None:
        raise UsageInvalid(
            "no page for the magic link: the manifest has no auth.magic_link.redirect_url",
            hint="add it, or pass --redirect /page.html",
        )
    with session:
        project = folder_option.find_project(session)
        try:
            message = send_magic_link(session.api, project.id, email, page)
        except RequestRefused as error:
            if "redirect" in error.message:
                _explain_refused_page(error, page, settings)
            raise
    actions = [_read_email_action(email)] if target_options.local else []
    document = {
        "type": "sign_in_link", "email": email, "redirect_url": page, "message": message,
        "next_actions": [asdict(action) for action in actions],
    }  # fmt: skip
    if target_options.local:
        line = f"Magic link sent to the local inbox: {actions[0].command}"
    else:
        line = f"Magic link sent to {email}."
    screen.result(document, [line])


def _explain_refused_page(error: RequestRefused, page: str, settings: MagicLinkSpec | None) -> None:
    field = "auth.magic_link.allowed_redirect_urls"
    if settings and page in (settings.redirect_url, *settings.allowed_redirect_urls):
        error.hint = f"the manifest allows {page}, but the live settings don't"
        error.next_actions = (NextAction("deploy the manifest's settings", "mosaic-deploy apply"),)
    else:
        error.hint = f"add {page} to {field} in the manifest and apply it, or pass a page that is listed"


def _read_email_action(email: str) -> NextAction:
    return NextAction("read the email", shlex.join(["mosaic-deploy", "local", "inbox", "--to", email]))
