"""The MCP server for AI agents. Begin reading in `server` (the tools as agents see them), then `tools` (what they do).

No tool ever asks a question. May import everything but `platform`; nothing imports it except the table of commands.
"""
