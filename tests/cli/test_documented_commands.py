"""Every command line in a block of the README, the docs and the examples runs: here, in another test, or a reason says why not.

`test_docs.py` checks that all of them, also those in running text, parse.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.docs_markdown import PAGES, ROOT, blocks, shell_lines

_PAGES = (
    *(page for page in PAGES if page.suffix == ".md" and "skills" not in page.parts),
    *ROOT.glob("examples/*/README.md"),
)

RUN = (
    # In a folder with the examples, then in examples/todo, as the README says.
    "mosaic-deploy apply --local --yes examples/todo",
    "mosaic-deploy validate examples/todo",
    "mosaic-deploy status --local examples/todo",
    "mosaic-deploy plan --local --out plan.json examples/todo",
    "mosaic-deploy apply plan.json",
    "cd examples/todo",
    'mosaic-deploy sql --local "SELECT task, done FROM todos"',
    "mosaic-deploy credentials --local --reveal",
    "mosaic-deploy local open",
    "mosaic-deploy auth send-link ann@example.com --local",
    "mosaic-deploy local inbox",
    "mosaic-deploy local inbox --to ann@example.com --limit 1",
    "mosaic-deploy local status",
    "mosaic-deploy plan --local",
    "mosaic-deploy plan --local --output json",
    "mosaic-deploy apply --local --yes --output ndjson",
    "mosaic-deploy verify --local",
    # With a key, as for an account.
    "mosaic-deploy plan",
    "mosaic-deploy plan --out plan.json",
    "mosaic-deploy apply",
    'mosaic-deploy sql --read-only "SELECT title FROM todos"',
    'mosaic-deploy projects create "Todo App"',
    "mosaic-deploy projects list --local",
    "mosaic-deploy doctor",
    "mosaic-deploy migrate lint",
    "mosaic-deploy migrate status",
    "mosaic-deploy migrate drift",
    "mosaic-deploy storage put photo.jpg",
    "mosaic-deploy storage put photos --recursive --to images/",
    "mosaic-deploy storage ls images/",
    "mosaic-deploy storage url images/welcome.png",
    "mosaic-deploy storage get images/ --to backup",
    "mosaic-deploy storage rm 'images/*.tmp' --dry-run",
    "mosaic-deploy storage rm --left",
    'mosaic-deploy ticket --subject "Slow" --message "GET / takes 9 s since noon"',
    "mosaic-deploy explain lock_held",
    "mosaic-deploy schema > mosaic.schema.json",
    "mosaic-deploy completion bash > ~/.mosaic-deploy-complete.bash",
    "mosaic-deploy migrate restore-file 2",
    "mosaic-deploy migrate commit price",
    "mosaic-deploy migrate new add_due_dates",
    'mosaic-deploy migrate new "order lines"',
    "mosaic-deploy login",
    "cd ../guestbook",
    "mosaic-deploy apply --local",
    "mosaic-deploy sql --local \"INSERT INTO entries (name, message) VALUES ('Grace', 'Hello')\"",
    'mosaic-deploy sql --local -o json "SELECT name, message, written_at::date AS written_on FROM entries WHERE NOT hidden ORDER BY id DESC" > public/entries.json',
    "cd ../semantic-search",
    "mosaic-deploy apply --local",
    "mosaic-deploy sql --local \"SELECT title, distance FROM nearest('[0.85, 0.2, 0.05]')\"",
    "cd ../uploads",
    "mosaic-deploy apply --local",
    "mosaic-deploy storage ls --local visitors/",
    'mosaic-deploy sql --local "SELECT title, size FROM pictures"',
    "cd ../empty",
    "mosaic-deploy init",
)
"""In this order."""

ENDS = {'mosaic-deploy sql --read-only "SELECT title FROM todos"': 1}
"""Exit codes but 0."""

ELSEWHERE = {
    "mosaic-deploy dev|.venv/bin/mosaic-deploy dev examples/todo": "cli/watch/test_todo_example.py",
    "mosaic-deploy watch --local": "cli/watch/test_watch_loop.py",
    "mosaic-deploy init --github": "cli/commands/start/test_init.py",
    "mosaic-deploy migrate (baseline|import|repair) .*": "cli/commands/database/test_migrate.py",
    "mosaic-deploy ci (plan|apply) .*": "cli/commands/ci/test_ci.py",
    "mosaic-deploy local (backup|restore) .*": "platform/backup/test_platform_backup.py",
    "mosaic-deploy local (start|stop|reset).*": "platform/daemon/test_platform_process.py",
    "MOSAIC_LOCAL_SQL=.* mosaic-deploy local start": "conftest.py",
    "mosaic-deploy platform (account|serve|take-over|pause-deletions) .*|rclone copy .*|pg_basebackup .*": "platform/cluster/self_hosting/test_self_hosting_guide.py",
    "mosaic-deploy local logs --status .*": "cli/commands/local/test_log_filter.py",
    "mosaic-deploy explain .*": "cli/commands/inspect/test_inspect_commands.py",
    r"mosaic-deploy psql .*|echo .* \| mosaic-deploy sql": "cli/commands/database/test_sql_prompt.py",
    r"cd examples/todo && \. .*": "cli/test_documented_commands.py",
    r"python3 -m venv \.venv && .*": "test_docs.py",
    "(uvx|pipx run) .*": "../.ci/wheel",
}
"""Patterns of lines, and the file that runs these commands, because they need a platform or a folder of their own."""

NOT_RUN = {
    r"pipx? install '\.\[.*\]'": "installs into the machine; .ci/wheel installs the wheel with the same extras",
    r"\.venv/bin/python benchmarks/.*": "a benchmark takes minutes, and its numbers are only good on a quiet machine",
    r"python -m tests\.faults.*": "takes hours; tests/faults/test_fault_sample.py runs a sample",
    "alembic .*|python manage.py .*|npx prisma .*": "another tool, which isn't installed for our tests",
    "pg_dump .*": "reads a database of yours, of another hoster",
    "MOSAIC_SMTP_URL=.* mosaic-deploy local start": "needs a mail server; tests of email_limits and smtp use a stand-in",
    "MOSAIC_API_URL=.* mosaic-deploy plan|curl .*": "names the port 8787, which may be another platform's here",
    "(MOSAIC_API_KEY|LITERAL)=.*|export .*": "sets a variable",
}


ASKED = (
    "mosaic-deploy apply --local",
    'mosaic-deploy ticket --subject "Slow" --message "GET / takes 9 s since noon"',
)
"""They ask; `--yes` stands for the person's answer."""


def _line(text: str) -> str:
    return re.sub(r"\s+#\s.*$", "", text).strip()


def _documented() -> Iterator[str]:
    for page in _PAGES:
        for block in blocks(page):
            if block.language in ("sh", "bash", "console"):
                yield from filter(
                    None, (_line(each) for each in shell_lines(block) if not each.startswith("#"))
                )


def test_every_command_line_is_run_or_says_why_not() -> None:
    documented = set(_documented())
    patterns = {**ELSEWHERE, **NOT_RUN}
    unknown = [
        line for line in documented - set(RUN) if not any(re.fullmatch(pattern, line) for pattern in patterns)
    ]
    assert unknown == []
    unused = [each for each in patterns if not any(re.fullmatch(each, line) for line in documented)]
    assert unused == []
    assert [line for line in RUN if line not in documented and not line.startswith("cd ")] == []
    assert [file for file in ELSEWHERE.values() if not (ROOT / "tests" / file).is_file()] == []


def test_documented_commands_work(environment, warm_program, tmp_path: Path, platform) -> None:
    skip = shutil.ignore_patterns(".venv", "__pycache__", "node_modules", "dist")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=skip)
    for manifest in tmp_path.glob("examples/*/mosaic.yaml"):
        manifest.write_text(
            re.sub(r"(?m)^  name: (.*)$", r"  name: Documented \1", manifest.read_text(), count=1)
        )
    (tmp_path / "examples/empty").mkdir()
    account = {"MOSAIC_API_URL": platform.url, "MOSAIC_API_KEY": platform.api_key, "HOME": str(tmp_path)}
    folder = tmp_path
    failed: list[str] = []
    for line in RUN:
        if line.startswith("cd "):
            folder = (folder / line.removeprefix("cd ")).resolve()
            continue
        command, _, target = line.partition(" > ")
        arguments = shlex.split(command)[1:]
        _prepare(folder, line)
        local = "--local" in arguments or arguments[0] in ("init", "validate", "explain", "schema", "local")
        text = f"{platform.api_key}\n" if arguments == ["login"] else ""
        if line in ASKED:
            arguments.append("--yes")
        whole = {**environment, **({} if local else account)}
        ended = warm_program.run(tuple(arguments), whole, folder, text, 100)
        if ended.returncode != ENDS.get(line, 0):
            failed.append(f"{line}: {ended.returncode}\n{ended.stdout}{ended.stderr}")
        if target:
            (folder / target.replace("~", str(tmp_path))).write_text(ended.stdout)
    assert not failed, "\n".join(failed)


def _prepare(folder: Path, line: str) -> None:
    """What the page says that there is before the command."""
    if line == "mosaic-deploy storage put photo.jpg":
        (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff")
        (folder / "photos").mkdir()
        shutil.copy(folder / "photo.jpg", folder / "photos/one.jpg")
        shutil.copy(folder / "photo.jpg", folder / "photos/two.tmp")
    elif line == "mosaic-deploy migrate restore-file 2":
        next((folder / "migrations").glob("0002_*")).unlink()
    elif line == "mosaic-deploy migrate commit price":
        (folder / "migrations/draft.sql").write_text("ALTER TABLE todos ADD COLUMN price int;\n")
