"""The commands under `migrate` with a second manifest of the project, as processes."""

from __future__ import annotations


def test_a_second_manifest_is_offered_only_commands_that_work(run, deployed, sql):
    (deployed / "other").mkdir()
    (deployed / "other/1_b.sql").write_text(
        "-- migrate:up\ncreate table b (id int);\n-- migrate:down\ndrop table b;"
    )
    (deployed / "other.yaml").write_text(
        (deployed / "mosaic.yaml").read_text().replace("migrations: sql", "migrations: other")
    )
    options = ("--local", "--in", "other.yaml")
    for arguments in (
        ("repair", "--accept", "1_b.sql", "--yes"),
        ("rollback", "--yes", "--allow", "destructive"),
        ("baseline", "1", "--yes"),
        ("import", "dbmate", "--yes"),
    ):
        ended = run("migrate", *arguments, *options)
        assert ended.returncode == 1
        assert "error[migration_diverged]: another manifest's migrations" in ended.stderr
        assert "mosaic-deploy migrate restore-file 1 --local other.yaml" in ended.stderr
        assert "--forget" not in ended.stderr
    assert run("migrate", "restore-file", "1", "--local", "other.yaml").returncode == 0
    assert {path.name for path in (deployed / "other").iterdir()} == {"1_t.sql", "2_b.sql"}
    assert run("plan", "--local", "other.yaml").returncode == 0
    assert [row["file"] for row in sql("select file from mosaic_deploy.migrations")] == ["1_t.sql"]
    assert "No changes" in run("plan", "--local").stdout
