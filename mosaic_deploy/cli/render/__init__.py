"""The only place that prints. stdout is the payload; progress, questions and errors go to stderr."""
