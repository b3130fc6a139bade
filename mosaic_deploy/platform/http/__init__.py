"""HTTP basics that know nothing of projects: hosts, request bodies, responses, content types, the request log.

May import only `faults`. Begin with `request_body.py` and `responses.py`.
"""
