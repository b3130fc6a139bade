"""The dashboard's routes: (method, path, needs the API key, endpoint)."""

from __future__ import annotations

from mosaic_deploy.platform.dashboard import access, account_pages, inbox_pages, overview, schema_page
from mosaic_deploy.platform.dashboard.access import Endpoint
from mosaic_deploy.platform.dashboard.access import browser_session_required as locked
from mosaic_deploy.platform.dashboard.assets import show_asset
from mosaic_deploy.platform.dashboard.database import change_pages, table_pages
from mosaic_deploy.platform.dashboard.projects import pages as project_pages
from mosaic_deploy.platform.dashboard.queries import page as sql_page

_PROJECT = "/projects/{project_id}"

ROUTES: tuple[tuple[str, str, bool, Endpoint], ...] = (
    ("GET", "/", False, locked(overview.show_overview)),
    ("GET", "/key", False, locked(account_pages.show_key)),
    ("GET", "/requests", False, locked(account_pages.show_requests)),
    ("GET", "/tickets/{ticket_id}", False, locked(account_pages.show_ticket)),
    ("POST", "/tickets/{ticket_id}", False, locked(account_pages.change_ticket)),
    ("GET", "/inbox", False, locked(inbox_pages.show_inbox_page)),
    ("GET", "/inbox/{email_id}", False, locked(inbox_pages.show_email_page)),
    ("GET", "/inbox/{email_id}/html", False, locked(inbox_pages.show_email_html)),
    ("GET", _PROJECT, False, locked(project_pages.show_about)),
    ("GET", _PROJECT + "/tables", False, locked(table_pages.show_tables)),
    ("GET", _PROJECT + "/tables/rows", False, locked(table_pages.show_rows)),
    ("GET", _PROJECT + "/tables/structure", False, locked(table_pages.show_structure)),
    ("GET", _PROJECT + "/tables/row", False, locked(table_pages.show_row)),
    ("POST", _PROJECT + "/tables/row", False, locked(change_pages.change_row)),
    ("GET", _PROJECT + "/tables/new", False, locked(table_pages.show_new_row)),
    ("POST", _PROJECT + "/tables/new", False, locked(change_pages.create_row)),
    ("GET", _PROJECT + "/deploys", False, locked(project_pages.show_deploys)),
    ("GET", _PROJECT + "/schema", False, locked(schema_page.show_schema)),
    ("GET", _PROJECT + "/sql", False, locked(sql_page.show_sql)),
    ("POST", _PROJECT + "/sql", False, locked(sql_page.run_sql)),
    ("GET", _PROJECT + "/sql/names.json", False, locked(sql_page.show_names)),
    ("GET", "/dashboard/{digest}/{name}", False, show_asset),
    # Creating a dashboard link needs the key; the link itself is the credential.
    ("POST", "/open", True, access.create_dashboard_link),
    ("GET", "/open", False, access.start_browser_session),
    ("POST", "/leave", False, locked(access.end_browser_session)),
)
