"""Experiments: the same work under several arms (a mode, N and a client each), interleaved, checked and judged."""
