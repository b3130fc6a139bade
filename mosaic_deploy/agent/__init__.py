"""For AI agents: the MCP server, and the texts that agents read."""
