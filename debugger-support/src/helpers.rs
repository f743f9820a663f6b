//! The Python files for both debuggers, carried by the program so that they need no installation.

/// Commands and printers for gdb; to be `source`d.
pub fn gdb_helpers() -> &'static str {
    concat!(
        include_str!("../python/wasmscope_gdb.py"),
        "\n\n",
        include_str!("../python/memory_state.py"),
        "\n\n",
        include_str!("../python/traps.py"),
        "\n\n",
        include_str!("../python/low_memory_gdb.py"),
        "\n\n",
        include_str!("../python/cxx_strings.py"),
        "\n\n",
        include_str!("../python/containers_gdb.py"),
        "\n\n",
        include_str!("../python/dynamic_types_gdb.py"),
        "\n\n",
        include_str!("../python/member_pointers.py"),
        "\n\n",
        include_str!("../python/member_pointers_gdb.py"),
        "\n\n",
        include_str!("../python/casts_gdb.py"),
        "\n\n",
        include_str!("../python/memory_functions_gdb.py"),
        "\n\n",
        include_str!("../python/references_gdb.py"),
        "\n\n",
        include_str!("../python/library_members_gdb.py"),
        "\n\n",
        include_str!("../python/arguments.py"),
        "\n\n",
        include_str!("../python/shadow_stack.py"),
        "\n\n",
        include_str!("../python/calls_gdb.py"),
        "\n\n",
        include_str!("../python/breakpoints_gdb.py"),
        "\n\n",
        include_str!("../python/steps_gdb.py")
    )
}

/// Commands, synthetic children and summaries for lldb; to be loaded by `command script import`.
pub fn lldb_helpers() -> &'static str {
    concat!(
        include_str!("../python/wasmscope_lldb.py"),
        "\n\n",
        include_str!("../python/memory_state.py"),
        "\n\n",
        include_str!("../python/traps.py"),
        "\n\n",
        include_str!("../python/cxx_strings.py"),
        "\n\n",
        include_str!("../python/containers_lldb.py"),
        "\n\n",
        include_str!("../python/rust_lldb.py"),
        "\n\n",
        include_str!("../python/member_pointers.py"),
        "\n\n",
        include_str!("../python/member_pointers_lldb.py"),
        "\n\n",
        include_str!("../python/arguments.py"),
        "\n\n",
        include_str!("../python/shadow_stack.py"),
        "\n\n",
        include_str!("../python/calls_lldb.py"),
        "\n\n",
        include_str!("../python/call_entries_lldb.py"),
        "\n\n",
        include_str!("../python/steps_lldb.py"),
        "\n\n",
        include_str!("../python/references_lldb.py")
    )
}
