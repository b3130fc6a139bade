"""`mosaic-deploy login` and `logout`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mosaic_deploy.cli import options
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.api_access import ApiUrl, read_api_url, untrusted_url_error
from mosaic_deploy.cli.target.keyring_keys import is_keyring_installed
from mosaic_deploy.cli.target.stored_keys import delete_key, store_in_file, store_in_keyring
from mosaic_deploy.cli.terminal.consent import is_interactive
from mosaic_deploy.errors import KeyInvalid, KeyMissing, Unauthorized
from mosaic_deploy.model.quantities import count_text


@click.command()
@click.option(
    "--keyring",
    "in_keyring",
    is_flag=True,
    help="Save it in the system keyring instead; needs the `keyring` extra.",
)
@options.output
@click.pass_obj
def login(screen: Screen, in_keyring: bool) -> None:
    """Save your API key on this machine. It goes into a file that only you can read, or the system keyring.

    Asks for the key, or reads it from stdin, and checks it before it is saved. MOSAIC_API_KEY takes precedence
    over the saved key.

    \b
    Examples:
      mosaic-deploy login
      echo "$KEY" | mosaic-deploy login
    """
    if in_keyring:
        _require_keyring()
    address = read_api_url(Path())
    url, key = address.url, _read_key(address)
    from mosaic_deploy.live.api.api_key import ApiKey
    from mosaic_deploy.live.api.client import Api
    from mosaic_deploy.live.api.projects import read_projects

    try:
        with Api(url, ApiKey(key)) as api:
            count = len(read_projects(api))
    except (Unauthorized, KeyInvalid) as error:
        error.hint = _key_hint(url)
        raise
    document = {"type": "login", "api": url, "file": None, "keyring": None, "projects": count}
    if in_keyring:
        document["keyring"] = store_in_keyring(url, key)
        where = f"the system keyring ({document['keyring']})"
    else:
        where = document["file"] = str(store_in_file(url, key))
    screen.result(document, [f"Logged in. API key saved in {where} ({count_text(count, 'project')})"])


@click.command()
@options.output
@click.pass_obj
def logout(screen: Screen) -> None:
    """Delete the saved API key. The key itself stays valid.

    \b
    Example:
      mosaic-deploy logout
    """
    url = read_api_url(Path()).url
    deleted = delete_key(url)
    message = f"Logged out. API key for {url} deleted" if deleted else f"No API key saved for {url}"
    screen.result({"type": "logout", "api": url, "forgotten": deleted}, [message])


def _require_keyring() -> None:
    """Checked before the key is asked for."""
    if not is_keyring_installed():
        from mosaic_deploy.installed import install_command

        raise click.UsageError(
            f"--keyring needs the package keyring; install it: {install_command('keyring')}"
        )


def _key_hint(url: str) -> str:
    """Where to get a valid key."""
    from mosaic_deploy.live.api.transport import is_loopback

    if is_loopback(url):
        return "nothing was saved; `mosaic-deploy local key` prints the embedded platform's key"
    return (
        "nothing was saved; keys rotate every 30 days: copy the whole current key from the dashboard of your account "
        f"on {url}"
    )


def _read_key(address: ApiUrl) -> str:
    """The key from the terminal, where the person sees for which address, or from stdin. Raises ApiUrlUntrusted."""
    if is_interactive():
        source = " (the address is from .env)" if address.is_from_file else ""
        key = str(click.prompt(f"API key for {address.url}{source}", hide_input=True, err=True)).strip()
    elif address.is_from_file:
        raise untrusted_url_error(address.url, "the key from stdin")
    else:
        key = sys.stdin.readline().strip()
    if not key:
        raise KeyMissing(
            "no API key given",
            hint="copy it from your dashboard; in scripts: echo $KEY | mosaic-deploy login",
        )
    return key
