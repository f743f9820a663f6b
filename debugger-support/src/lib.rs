//! What a debugger or profiler is told at run time.
