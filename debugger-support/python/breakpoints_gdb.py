# Breakpoints on guest functions, from one run of the program to the next and through pointers.
#
# What the guest's code is known by goes when the process ends. gdb sets breakpoints anew when the program is run again, before the
# code is there, and disables those that it cannot find but for the ones that were pending when they were made.


class KeptBreakpoints:
    """Enables breakpoints again that gdb has disabled for want of the guest's code."""

    def __init__(self):
        # The numbers of those that a run is to begin with; None while the program is stopped in it.
        self.enabled = set()
        gdb.events.breakpoint_created.connect(self.changed)
        gdb.events.breakpoint_modified.connect(self.changed)
        gdb.events.exited.connect(self.ended)
        gdb.events.new_objfile.connect(self.loaded)
        gdb.events.stop.connect(self.stopped)

    def changed(self, breakpoint):
        # While the program runs, gdb itself may be what changes it.
        if self.enabled is None or gdb.selected_inferior().pid != 0:
            return
        (self.enabled.add if breakpoint.enabled else self.enabled.discard)(breakpoint.number)

    def ended(self, _event):
        self.enabled = {it.number for it in gdb.breakpoints() if it.enabled}

    def loaded(self, event):
        if self.enabled is None or not (event.new_objfile.filename or "").startswith("<in-memory@"):
            return
        for breakpoint in gdb.breakpoints():
            if breakpoint.number in self.enabled and not breakpoint.enabled:
                breakpoint.enabled = True

    def stopped(self, _event):
        self.enabled = None


def move_breakpoint(breakpoint):
    """A pointer to a guest function is an index, and `break *pointer` would write into the guest's memory: the breakpoint goes to
    the function's code."""
    location = breakpoint.location or ""
    if breakpoint.type != gdb.BP_BREAKPOINT or not location.startswith("*"):
        return
    try:
        value = gdb.parse_and_eval(location[1:])
        type_ = value.type.strip_typedefs()
        if type_.code != gdb.TYPE_CODE_PTR or type_.sizeof != 4:
            return
        if type_.target().strip_typedefs().code != gdb.TYPE_CODE_FUNC:
            return
        index, condition, temporary = int(value), breakpoint.condition, breakpoint.temporary
        breakpoint.delete()
        try:
            code = int(pointed_function(value).address)
        except gdb.error as error:
            print("The breakpoint is deleted: %s" % error)
            return
        print("0x%x is the index of a function, whose code is at 0x%x:" % (index, code))
        gdb.Breakpoint("*0x%x" % code, temporary=temporary).condition = condition
    except gdb.error:
        pass


gdb.events.breakpoint_created.connect(move_breakpoint)
KeptBreakpoints()
