"""The dashboard's routes: (method, path, needs the API key, endpoint).

`page` also answers on a served platform, where it must only read, and only the control database; `local_page` only on the embedded one. The first
pattern that matches a decoded path wins, and a parameter is one segment of it.
"""

from __future__ import annotations

from mosaic_deploy.platform.dashboard import access, account_pages, overview, schema_page, settings_page
from mosaic_deploy.platform.dashboard.access import Endpoint, local_page, page
from mosaic_deploy.platform.dashboard.assets import show_asset, show_favicon
from mosaic_deploy.platform.dashboard.database import change_pages, table_pages
from mosaic_deploy.platform.dashboard.files import site, storage, storage_changes
from mosaic_deploy.platform.dashboard.projects import connect, sign_ins
from mosaic_deploy.platform.dashboard.projects import pages as project_pages
from mosaic_deploy.platform.dashboard.queries import page as sql_page

_PROJECT = "/projects/{project_id}"

ROUTES: tuple[tuple[str, str, bool, Endpoint], ...] = (
    ("GET", "/", False, page(overview.show_overview)),
    ("GET", "/key", False, local_page(account_pages.show_key)),
    ("GET", "/requests", False, local_page(account_pages.show_requests)),
    ("GET", "/tickets/{ticket_id}", False, local_page(account_pages.show_ticket)),
    ("POST", "/tickets/{ticket_id}", False, local_page(account_pages.change_ticket)),
    ("GET", "/inbox", False, local_page(account_pages.show_inbox_page)),
    ("GET", "/inbox/{email_id}", False, local_page(account_pages.show_email_page)),
    ("GET", "/inbox/{email_id}/html", False, local_page(account_pages.show_email_html)),
    ("GET", _PROJECT, False, page(project_pages.show_about)),
    ("GET", _PROJECT + "/tables", False, local_page(table_pages.show_tables)),
    ("GET", _PROJECT + "/tables/rows", False, local_page(table_pages.show_rows)),
    ("GET", _PROJECT + "/tables/structure", False, local_page(table_pages.show_structure)),
    ("GET", _PROJECT + "/tables/row", False, local_page(table_pages.show_row)),
    ("POST", _PROJECT + "/tables/row", False, local_page(change_pages.change_row)),
    ("GET", _PROJECT + "/tables/new", False, local_page(table_pages.show_new_row)),
    ("POST", _PROJECT + "/tables/new", False, local_page(change_pages.create_row)),
    ("GET", _PROJECT + "/deploys", False, local_page(project_pages.show_deploys)),
    ("GET", _PROJECT + "/deploys/{deploy_id}", False, local_page(project_pages.show_deploy)),
    ("GET", _PROJECT + "/emails", False, local_page(sign_ins.show_emails)),
    ("GET", _PROJECT + "/sign-ins", False, page(sign_ins.show_sign_ins)),
    ("GET", _PROJECT + "/requests", False, local_page(project_pages.show_requests)),
    ("GET", _PROJECT + "/schema", False, local_page(schema_page.show_schema)),
    ("GET", _PROJECT + "/sql", False, local_page(sql_page.show_sql)),
    ("POST", _PROJECT + "/sql", False, local_page(sql_page.run_sql)),
    ("GET", _PROJECT + "/sql/names.json", False, local_page(sql_page.show_names)),
    ("GET", _PROJECT + "/site", False, local_page(site.show_site)),
    ("GET", _PROJECT + "/storage", False, local_page(storage.show_storage)),
    ("GET", _PROJECT + "/storage/file", False, local_page(storage.show_file)),
    ("POST", _PROJECT + "/storage/upload", False, local_page(storage_changes.start_upload)),
    ("POST", _PROJECT + "/storage/delete", False, local_page(storage_changes.delete_file)),
    ("GET", _PROJECT + "/connect", False, page(connect.show_connect)),
    ("GET", _PROJECT + "/settings", False, page(settings_page.show_settings)),
    ("POST", _PROJECT + "/settings/delete", False, local_page(settings_page.delete_project)),
    ("GET", "/favicon.ico", False, show_favicon),
    ("GET", "/dashboard/{digest}/{name}", False, show_asset),
    # Creating a dashboard link needs the key; the link itself is the credential.
    ("POST", "/open", True, access.create_dashboard_link),
    ("GET", "/open", False, access.start_browser_session),
    ("POST", "/sign-in", False, access.sign_in),
    ("POST", "/leave", False, page(access.end_browser_session)),
)
