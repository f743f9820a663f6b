//! Guest pointers in gdb: memories that grow, are shared, or have 64-bit addresses; addresses that are taken; other instances.
//! With and without privileges, and what the helpers say of each.

use tests::{Answers, Session, line, normalized};

const SOURCE: &str = "memory/main.c";

/// What may be mapped at the very bottom: everything with privileges.
fn hole() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/vm/mmap_min_addr").expect("Linux says so");
    text.trim().parse().expect("a number")
}

fn assert_map(answers: &Answers, privileged: bool, times: usize, size: &str) {
    let begin = if privileged { "0x0".to_owned() } else { format!("{:#x}", hole()) };
    let end = if times == 0 { "0x30000" } else { "0x60000" };
    let map = format!("identity map: wasm addresses {begin} to {end}");
    answers.assert_contains("wasm memory", times, &[&format!("memory 0: {size} at 0x"), &map]);
    if !privileged {
        answers.assert_contains("wasm memory", times, &["not mapped: wasm addresses 0 to 0x", "vm.mmap_min_addr"]);
    }
}

#[test]
fn pointers_lead_into_memory_that_has_grown_whatever_its_kind() {
    for (program, privileged) in [
        ("memory/memory32", true),
        ("memory/memory32", false),
        ("memory/shared", true),
        ("memory/shared", false),
        ("memory/memory64", true),
        ("memory/memory64", false),
    ] {
        let commands = [
            "break look",
            "run",
            "wasm memory",
            "p *node->next",
            "continue",
            "wasm memory",
            "p *node",
            "p *node->next",
            "p node->name",
            "set var node->next->value = 9",
            "p first",
            "p &first",
            "finish",
        ];
        let answers = Session::new(program, 0).invoke("run").privileged(privileged).run(&commands);
        assert_map(&answers, privileged, 0, "192 KiB");
        assert_map(&answers, privileged, 1, "384 KiB");
        answers.assert_contains("p *node->next", 0, &["value = 1, name = 0x10000 \"first\", next = 0x0"]);
        answers.assert_contains("p *node", 0, &["value = 3, name = 0x10006 \"grown\""]);
        answers.assert_contains("p *node->next", 1, &["value = 1, name = 0x10000 \"first\""]);
        answers.assert_contains("p node->name", 0, &["\"grown\""]);
        answers.assert_contains("p first", 0, &["value = 9, name = 0x10000 \"first\""]);
        answers.assert_contains("finish", 0, &["Value returned is $", " = 12"]);
    }
}

#[test]
fn what_is_taken_is_told_and_the_rest_is_followed() {
    for privileged in [true, false] {
        let commands =
            ["break look", "run", "wasm memory", "continue", "wasm memory", "p *node", "p node->next->name", "finish"];
        let answers =
            Session::example("processes", &["taken", "memory/memory32.wasm"]).privileged(privileged).run(&commands);
        answers.assert_contains("wasm memory", 0, &["memory 0: 192 KiB at 0x", " to 0x30000"]);
        answers.assert_contains(
            "wasm memory",
            1,
            &[
                "memory 0: 384 KiB at 0x",
                " to 0x30000\n",
                "identity map: wasm addresses 0x31000 to 0x60000",
                "not mapped: wasm addresses 0x30000 to 0x31000 (taken by memory of the host)",
            ],
        );
        answers.assert_contains("p *node", 0, &["value = 3, name = 0x10006 \"grown\""]);
        answers.assert_contains("p node->next->name", 0, &["\"first\""]);
        answers.assert_contains("finish", 0, &["Value returned is $", " = 4"]);
    }
}

#[test]
fn another_instance_is_told_and_its_pointers_are_followed_on_request() {
    let stop = format!("break instances/main.c:{}", line("instances/main.c", "counter += step->amount;"));
    let choose = "python gdb.execute('wasm memory use 0x%x' % LinearMemories(mappings()).others[0][0])";
    for privileged in [true, false] {
        // The third stop is in the instance without the map.
        let commands = [
            &stop,
            "run",
            "continue",
            "continue",
            "p *step",
            "wasm memory",
            choose,
            "p *step",
            "p step->name",
            "wasm memory",
            "set var step->amount = 77",
            "up",
            "p here",
            // Its own memory is chosen; then the other instance's stops.
            "continue",
            "wasm memory use",
            "p *last",
            "wasm memory use 5",
            "delete",
        ];
        let answers = Session::example("processes", &["instances", "instances/instances.wasm"])
            .privileged(privileged)
            .run(&commands);
        let note = |command, nth: usize| {
            let answer = answers.to(command)[nth];
            let at = answer.find("note: the instance that runs has ");
            at.map_or(String::new(), |at| normalized(&answer[at..]))
        };
        assert_eq!((note("run", 0), note("continue", 0)), (String::new(), String::new()));
        let own = "its memory at 0x?; pointers lead into memory 0 (`wasm memory use 0x?` follows its)";
        assert!(note("continue", 1).contains(own), "{}", answers.transcript());
        assert!(
            note("continue", 2).contains("memory 0; pointers lead into the memory at 0x?"),
            "{}",
            answers.transcript()
        );
        answers.assert_contains("p *step", 0, &["amount = 2"]);
        answers.assert_contains(
            "wasm memory",
            0,
            &["memory of another instance: 192 KiB at 0x", "`wasm memory use ADDRESS`"],
        );
        answers.assert_contains("p *step", 1, &["amount = 1, name = 0x10000 \"small\""]);
        answers.assert_contains("p step->name", 0, &["\"small\""]);
        answers.assert_contains("wasm memory", 1, &["pointers are followed into the memory at 0x"]);
        answers.assert_contains("p here", 0, &["amount = 77"]);
        answers.assert_contains("p *last", 0, &["amount = 4"]);
        answers.assert_contains("wasm memory use 5", 0, &["There is no other instance's memory at 0x5"]);
    }
}

#[test]
fn lldb_tells_of_another_instance_when_it_stops_there() {
    let stop = format!("breakpoint set --file main.c --line {}", line("instances/main.c", "counter += step->amount;"));
    for privileged in [true, false] {
        let session = Session::example("processes", &["instances", "instances/instances.wasm"]).privileged(privileged);
        let notes = |answers: &Answers| {
            let note = "note: the instance that runs has its memory at 0x?, without an identity map";
            normalized(answers.transcript()).matches(note).count()
        };
        // The first two stops are in the instance with the map.
        let mut commands = vec![&*stop, "run", "continue"];
        assert_eq!(notes(&session.run_lldb(&commands)), 0);
        commands.extend(["continue", "v step", "next", "up", "v here.amount", "continue"]);
        let answers = session.run_lldb(&commands);
        assert_eq!(notes(&answers), 1, "{}", answers.transcript());
        answers.assert_contains("v here.amount", 0, &["= 1"]);
    }
}

#[test]
fn lldb_tells_the_same() {
    let stop = format!("breakpoint set --file main.c --line {}", line(SOURCE, "return node->value"));
    for program in ["memory/memory32", "memory/shared", "memory/memory64"] {
        let commands = [&stop, "run", "continue", "wasm-memory", "v node->name", "v node->next->name", "v *node->next"];
        let answers = Session::new(program, 0).invoke("run").run_lldb(&commands);
        answers.assert_contains(
            "wasm-memory",
            0,
            &["memory 0: 384 KiB at 0x", "identity map: wasm addresses 0x0 to 0x60000"],
        );
        answers.assert_contains("v node->name", 0, &["\"grown\""]);
        answers.assert_contains("v node->next->name", 0, &["\"first\""]);
        answers.assert_contains("v *node->next", 0, &["value = 1"]);
    }
}

#[test]
fn what_lies_behind_the_memory_cannot_be_read() {
    for privileged in [true, false] {
        let commands = [
            "break look",
            "run",
            "p node->value",
            "p *(int32_t *) 0x3ff00000",
            "x/s 0x7fff0000",
            "set var *(char *) 0x3ff00000 = 1",
        ];
        let answers = Session::new("memory/memory32", 0).invoke("run").privileged(privileged).run(&commands);
        answers.assert_contains("p node->value", 0, &["= 2"]);
        answers.assert_contains("p *(int32_t *) 0x3ff00000", 0, &["Cannot access memory at address 0x3ff00000"]);
        answers.assert_contains("x/s 0x7fff0000", 0, &["Cannot access memory at address 0x7fff0000"]);
        answers.assert_contains("set var *(char *) 0x3ff00000 = 1", 0, &["Cannot access memory at address 0x3ff00000"]);
    }
}
