"""The dashboard of the embedded platform: projects, inbox, tickets, deploys, requests and the API key, as HTML pages.

Endpoints collect the data, `templates/` has the HTML, and `access` decides who may see it. May import every other room
of the platform except `app`, `daemon` and `cluster`. Begin with `routes`.
"""
