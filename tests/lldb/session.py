"""Executes the commands of a session inside lldb, one answer each, on through errors.

SESSION_COMMANDS names a JSON file with a list of commands; the answers are marked as by ../gdb/session.py. What the
program prints goes to the file that SESSION_OUTPUT names, and is shown as the answer to `program output`. `complete LINE`
is answered by what the tabulator would offer after the line, `editor watches VARIABLE PART...` by what an editor would
show if that part of the variable, found child by child, were added to the watched expressions.
"""

import json
import os
import sys

import lldb


def __lldb_init_module(debugger, _):
    debugger.SetAsync(False)
    # A busy machine is no reason to give a debug server up.
    debugger.HandleCommand("settings set plugin.process.gdb-remote.packet-timeout 120")
    interpreter = debugger.GetCommandInterpreter()
    output = os.environ["SESSION_OUTPUT"]
    debugger.HandleCommand("settings set target.output-path " + output)
    with open(os.environ["SESSION_COMMANDS"]) as file:
        commands = json.load(file)
    for index, command in enumerate(commands):
        if command == "program output":
            with open(output) as file:
                answer = file.read()
        elif command.startswith("complete "):
            line = command.removeprefix("complete ")
            offers = lldb.SBStringList()
            interpreter.HandleCompletion(line, len(line), 0, -1, offers)
            # The first one is what all have in common.
            answer = "\n".join(offers.GetStringAtIndex(at) for at in range(1, offers.GetSize()))
        elif command.startswith("editor watches "):
            answer = watched(debugger.GetSelectedTarget().process.GetSelectedThread().GetSelectedFrame(), *command.split()[2:])
        else:
            result = lldb.SBCommandReturnObject()
            # The context of the command that imports this file has no process.
            frame = debugger.GetSelectedTarget().process.GetSelectedThread().GetSelectedFrame()
            context = lldb.SBExecutionContext(frame) if frame.IsValid() else lldb.SBExecutionContext(debugger.GetSelectedTarget())
            interpreter.HandleCommand(command, context, result)
            answer = result.GetOutput() + ("error: " + result.GetError() if not result.Succeeded() else "")
            # Where the process stopped is not the command's own output.
            if command.split()[0] in ("run", "continue", "step", "next", "finish", "c", "n", "s"):
                thread = debugger.GetSelectedTarget().process.GetSelectedThread()
                if thread.IsValid():
                    answer += "\n%s" % thread.GetSelectedFrame()
        sys.stdout.write("\n\x01%d\n%s" % (index, answer))
    sys.stdout.write("\n\x01%d\n" % len(commands))
    sys.stdout.flush()


def watched(frame, variable, *parts):
    part = frame.FindVariable(variable)
    for name in parts:
        part = part.GetChildMemberWithName(name)
    stream = lldb.SBStream()
    part.GetExpressionPath(stream)
    value = frame.EvaluateExpression(stream.GetData())
    if value.GetError().Fail():
        return "%s: %s" % (stream.GetData(), value.GetError().GetCString())
    expands = "expands" if value.MightHaveChildren() and value.GetNumChildren() else "is one value"
    return "%s = %s, %s" % (stream.GetData(), value.GetSummary() or value.GetValue(), expands)
