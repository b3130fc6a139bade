"""The commands that show what is live or explain it. They don't deploy anything."""
