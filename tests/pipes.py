"""Reads from and writes to the pipes of a process, one line at a time."""

import subprocess


def read_line(process: subprocess.Popen[str]) -> str:
    """Return the next line of its stdout, with the line's end; empty when stdout is closed."""
    assert process.stdout is not None
    return process.stdout.readline()


def write_line(process: subprocess.Popen[str], line: str) -> None:
    """Write a line to its stdin at once."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
