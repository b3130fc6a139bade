"""`mosaic-deploy login` and `logout`: the API key, kept on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import read_api_url
from mosaic_deploy.cli.target.keyring_keys import is_keyring_installed
from mosaic_deploy.cli.target.stored_keys import delete_key, store_in_file, store_in_keyring
from mosaic_deploy.cli.terminal.consent import is_interactive
from mosaic_deploy.errors import KeyMissing, Unauthorized


@click.command()
@click.option(
    "--keyring",
    "in_keyring",
    is_flag=True,
    help="Keep it in the system's keyring instead; needs the extra `keyring`.",
)
@options.output
@click.pass_obj
def login(screen: Screen, in_keyring: bool) -> None:
    """Keep your API key on this machine, in a file that only you can read, or in the system's keyring.

    It is asked for, or read from standard input, and tried before it is kept. MOSAIC_API_KEY, where it is set,
    counts more.
    """
    if in_keyring:
        _require_keyring()
    url = read_api_url(Path())
    key = _read_key(url)
    from mosaic_deploy.live.api.api_key import ApiKey
    from mosaic_deploy.live.api.client import Api
    from mosaic_deploy.live.api.projects import read_projects

    try:
        with Api(url, ApiKey(key)) as api:
            count = len(read_projects(api))
    except Unauthorized as error:
        error.hint = _key_hint(url)
        raise
    noun = "project" if count == 1 else "projects"
    document = {"type": "login", "api": url, "file": None, "keyring": None, "projects": count}
    if in_keyring:
        document["keyring"] = store_in_keyring(url, key)
        where = f"the keyring ({document['keyring']})"
    else:
        where = document["file"] = str(store_in_file(url, key))
    screen.result(document, [f"The key is good ({count} {noun}) and is kept in {where}."])


@click.command()
@options.output
@click.pass_obj
def logout(screen: Screen) -> None:
    """Forget the API key that `login` kept, in the file and in the keyring."""
    url = read_api_url(Path())
    known = delete_key(url)
    said = "The key is forgotten." if known else f"There is no key kept for {url}."
    screen.result({"type": "logout", "api": url, "forgotten": known}, [said])


def _require_keyring() -> None:
    """Before a key is asked for."""
    if not is_keyring_installed():
        from mosaic_deploy.installed import install_command

        raise click.UsageError(
            f"--keyring needs a package that isn't installed, keyring: {install_command('keyring')}"
        )


def _key_hint(url: str) -> str:
    """Where a key that is taken comes from."""
    from mosaic_deploy.live.api.transport import is_loopback

    if is_loopback(url):
        return "nothing was kept; `mosaic-deploy local key` prints the key of the platform on this machine"
    return (
        "nothing was kept; keys rotate every 30 days: copy the current one, whole, from the dashboard of the account "
        f"that {url} is for"
    )


def _read_key(url: str) -> str:
    if is_interactive():
        key = str(click.prompt(f"API key for {url}", hide_input=True, err=True)).strip()
    else:
        key = sys.stdin.readline().strip()
    if not key:
        raise KeyMissing(
            "no key was given",
            hint="copy it from your dashboard; unattended: echo $KEY | mosaic-deploy login",
        )
    return key
