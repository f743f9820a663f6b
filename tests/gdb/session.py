"""Executes the commands of a session inside gdb, one answer each, on through errors.

SESSION_COMMANDS names a JSON file with a list of commands. Before each answer a line with a byte 1 and the command's
index is written, so that the reader can tell answers, and what the program itself prints meanwhile, apart.
"""

import json
import os

import gdb

for setting in (
    "confirm off",
    "pagination off",
    "width 0",
    "height 0",
    "debuginfod enabled off",
    "breakpoint pending on",
    "startup-with-shell off",
    "style enabled off",
    "backtrace past-main on",
):
    gdb.execute("set " + setting)
gdb.execute("set environment LD_BIND_NOW 1")

with open(os.environ["SESSION_COMMANDS"]) as file:
    commands = json.load(file)
for index, command in enumerate(commands):
    gdb.write("\n\x01%d\n" % index)
    gdb.flush()
    try:
        gdb.execute(command)
    except gdb.error as error:
        gdb.write("error: %s\n" % error)
    gdb.flush()
gdb.write("\n\x01%d\n" % len(commands))
gdb.flush()
