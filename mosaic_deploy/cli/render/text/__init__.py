"""Output for people. Modules turn model values into lines of text; `view.TextView` wraps and prints them.

`layout` wraps lines and builds tables; nothing else here knows about terminals.
"""
