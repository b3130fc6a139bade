"""The process and its terminal: standard streams, interrupts, and questions.

Imports nothing else of `cli`. Begin with `consent`.
"""
