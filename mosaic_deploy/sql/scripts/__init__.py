"""What SQL files contain besides SQL: other tools' section markers, psql's meta-commands, COPY rows, dumps.

Text in, values out. Start with `scan`, which finds the places. May import `parse` and `quote`.
"""
