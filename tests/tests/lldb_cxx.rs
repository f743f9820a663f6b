//! lldb's steps through the library of C++.

use tests::{Session, assert_in_order, line, normalized};

const SOURCE: &str = "shapes/main.cc";

#[test]
fn a_step_goes_through_the_library_into_what_it_calls() {
    let call = line(SOURCE, "int result = function(argument);");
    let plain = format!("breakpoint set --file main.cc --line {} --one-shot true", line(SOURCE, "numbers.push_back("));
    let stop = format!("breakpoint set --file main.cc --line {call} --one-shot true");
    let avoided = "settings show target.process.thread.step-avoid-regexp";
    let commands = [&plain, "run", "wasm-step", &stop, "continue", "wasm-step", "bt", avoided];
    for level in [0, 2] {
        let answers = Session::new("shapes/shapes", level).run_lldb(&commands);
        let said = |command, nth: usize| normalized(answers.to(command)[nth]);
        // The library calls nothing of the program's.
        let after = format!("`main at main.cc:{}:", line(SOURCE, "numbers.push_back(") + 1);
        assert_in_order(&said("wasm-step", 0), &["stop reason = step in", &after]);
        let lambda = format!("at main.cc:{}:", line(SOURCE, "return value * value;"));
        assert_in_order(&said("wasm-step", 1), &["stop reason = step in", "::operator()(this=0x?, value=12)", &lambda]);
        assert_in_order(
            &said("bt", 0),
            &["value=12", "`std::", &format!("`apply(function=0x?, argument=12) at main.cc:{call}:")],
        );
        assert_in_order(&said(avoided, 0), &["^std::", "::~basic_string(..)?|"]);
    }
}

/// The optimizer mixes statements with code of the library, which is inlined. Each step ends at a line of the program.
#[test]
fn steps_through_optimized_code_stay_in_the_program() {
    const STEPS: usize = 20;
    let commands = [&["breakpoint set --name main --one-shot true", "run"][..], &["thread step-in"; STEPS]].concat();
    for level in [0, 2] {
        let answers = Session::new("abilities/cxx-O2", level).run_lldb(&commands);
        let stops = answers.to("thread step-in");
        assert_eq!(stops.len(), STEPS);
        for (number, stop) in stops.into_iter().enumerate() {
            assert!(stop.contains(" at main.cc:"), "level {level}, step {number}: {stop}");
        }
    }
}

/// In wasm all of these come through memory, but for the first one; x86-64 has some in one register or another.
#[test]
fn results_are_shown_when_a_function_is_finished() {
    let results: [(&str, &[&str]); 8] = [
        ("one", &["(only = 1)"]),
        ("pair", &["(a = 2, b = 3)"]),
        ("floats", &["(x = 3, y = 6)"]),
        ("big", &["(a = 4, b = 8, c = 12, d = 2)"]),
        ("word", &["(number = 5, bytes = "]),
        ("text", &["(of_base = 5)", "begin = \"sixth\"", "length = 5"]),
        ("maybe", &["(is_there = true, value = 7)"]),
        ("corner", &["(a = 9, b = 3)"]),
    ];
    let breaks = results.map(|(name, _)| format!("breakpoint set --one-shot true --name {name}"));
    let mut commands: Vec<&str> = breaks.iter().map(String::as_str).collect();
    for (index, _) in results.iter().enumerate() {
        commands.extend([if index == 0 { "run" } else { "continue" }, "finish"]);
    }
    // The classes of the second lie in units of their own.
    for (program, level) in [("results", 0), ("results", 2), ("results-types", 2)] {
        let answers = Session::new(&format!("results/{program}"), level).invoke("run").run_lldb(&commands);
        for (answer, (name, parts)) in answers.to("finish").into_iter().zip(results) {
            let value = answer.split_once("Return value:").map_or("", |(_, value)| value);
            assert!(!value.is_empty(), "{name}: {answer}");
            assert_in_order(value, parts);
        }
    }
}

/// A pointer that lies in memory is a structure for lldb; a reference to one is shown as lldb shows references to pointers.
#[test]
fn references_to_pointers_are_shown() {
    let commands = [
        "breakpoint set --name by_reference",
        "run",
        "v slot deep function text",
        "v *slot",
        "v slot->sides",
        "v *deep",
        "expr slot->sides",
        "up",
        "v alias",
        "v *alias",
    ];
    // The classes of the second lie in units of their own.
    for (program, level) in [("results", 0), ("results", 2), ("results-types", 2)] {
        let answers = Session::new(&format!("results/{program}"), level).invoke("run").run_lldb(&commands);
        let said = |command| normalized(answers.to(command)[0]);
        let all = ["slot = 0x?: {", "&slot = 0x?", "deep = 0x?: {", "&deep = 0x?", "function = 0x?", "&function = "];
        assert_in_order(&said("v slot deep function text"), &[&all[..], &["pair(int)", "text = 0x?"]].concat());
        assert_in_order(&said("v *slot"), &["*slot = 0x?"]);
        assert_in_order(&said("v slot->sides"), &["(int) slot->sides = 3"]);
        assert_in_order(&said("v *deep"), &["*deep = 0x?"]);
        assert_in_order(&said("expr slot->sides"), &["int) $? = 3"]);
        assert_in_order(&said("v alias"), &["alias = 0x?: {", "&alias = 0x?"]);
        assert_in_order(&said("v *alias"), &["*alias = 0x?"]);
    }
}

const CAPTURES: &str = "captures/main.cc";

#[test]
fn references_that_are_members_are_what_they_refer_to() {
    let stop = format!("breakpoint set --file main.cc --line {}", line(CAPTURES, "return number + z + point.x"));
    let commands = [
        "breakpoint set --name look",
        &stop,
        "run",
        "v all.numbers",
        "p all.numbers",
        "v all.numbers[1]",
        "v all.number",
        "v all.point",
        "p all.point",
        "v all.point.x",
        "v all.text",
        "v all.pointer",
        "p all.pointer->x",
        "p all.array[2]",
        "p all.number",
        "p all.number + 1",
        "p all.number == 1",
        "p &all.number",
        "p all.constant * 2",
        "expr all.number = 5",
        "expr all.number += 2",
        "expr all.fraction = all.fraction * 2",
        "v all.number all.fraction",
        "expr all.constant = 1",
        "expr all.number = all.number",
        "continue",
        "p number + z",
        "p numbers",
        "p point.x",
    ];
    let vector = "size=3 {\n  [0] = 4\n  [1] = 5\n  [2] = 6\n}";
    for level in [0, 2] {
        let answers = Session::new("captures/captures", level).invoke("run").run_lldb(&commands);
        let is = |command: &str, parts: &[&str]| assert_in_order(&normalized(answers.to(command)[0]), parts);
        is("v all.numbers", &["all.numbers = ", vector]);
        is("p all.numbers", &[vector]);
        is("v all.numbers[1]", &["(int) all.numbers[1] = 5"]);
        is("v all.number", &["(int&) all.number = 0x? (&number = 1)"]);
        is("v all.point", &["(Point&) all.point = 0x? (x = 2, y = 3)"]);
        is("p all.point", &["(x = 2, y = 3)"]);
        is("v all.point.x", &["(int) all.point.x = 2"]);
        is("v all.text", &["all.text = \"text\""]);
        is("v all.pointer", &["all.pointer = 0x? (&pointer = 0x?)"]);
        is("p all.pointer->x", &["(int) 2"]);
        is("p all.array[2]", &["(int) 9"]);
        is("p all.number", &["(int&) 1"]);
        is("p all.number + 1", &["(int) 2"]);
        is("p all.number == 1", &["(bool) true"]);
        is("p &all.number", &["(int *) 0x?"]);
        is("p all.constant * 2", &["(int) 20"]);
        is("expr all.number = 5", &["(int) $? = 5"]);
        is("expr all.number += 2", &["(int) $? = 7"]);
        is("expr all.fraction = all.fraction * 2", &["(double) $? = 3"]);
        is("v all.number all.fraction", &["(&number = 7)", "(&fraction = 3)"]);
        is("expr all.constant = 1", &["error: "]);
        // Not the reference is assigned.
        is("expr all.number = all.number", &["error: "]);
        is("p number + z", &["(int) 8"]);
        is("p numbers", &[vector]);
        is("p point.x", &["(int) 2"]);
    }
}

#[test]
fn conditions_look_at_what_is_captured() {
    let by_reference = line(CAPTURES, "return number + z + point.x");
    let with_this = line(CAPTURES, "return n + k + z");
    let condition =
        |line: usize, condition: &str| format!("breakpoint set --file main.cc --line {line} --condition '{condition}'");
    let commands = [
        &condition(by_reference, "number == 99"),
        &condition(with_this, "n == 99"),
        &condition(with_this, "n + k == 4"),
        "run",
        "p n",
        "p k",
        "p z + 1",
        "p *this",
        "v *this",
        "continue",
    ];
    for level in [0, 2] {
        let answers = Session::new("captures/captures", level).invoke("run").run_lldb(&commands);
        let is = |command: &str, parts: &[&str]| assert_in_order(&normalized(answers.to(command)[0]), parts);
        is("run", &["stop reason = breakpoint ", &format!("at main.cc:{with_this}:")]);
        is("p n", &["(int) 1"]);
        is("p k", &["(int) 3"]);
        is("p z + 1", &["(int) 3"]);
        is("p *this", &["(Counter)  (n = 1)"]);
        is("v *this", &["this = 0x?", "k = 3"]);
        let address = answers.to("v *this")[0];
        assert!(address.contains("this = 0x00000000"), "{address}");
        is("continue", &["exited with status = 0"]);
    }
}

#[test]
fn pointers_to_bases_say_the_derived_type() {
    let setting = "settings set target.prefer-dynamic-value no-dynamic-values";
    let commands = ["breakpoint set --name look", "run", "v left", "v *left", "v reference", setting, "continue"];
    let commands = [&commands[..], &["run", "v right", "v *right", "v reference"]].concat();
    for level in [0, 2] {
        let answers = Session::new("bases/bases", level).run_lldb(&commands);
        let is = |command: &str, nth: usize, part: &str| {
            let said = normalized(answers.to(command)[nth]);
            assert!(said.contains(part), "level {level}: {command}: {said}");
        };
        is("v left", 0, "(Bottom *) left = 0x?");
        is("v *left", 0, "(Bottom) *left = {");
        is("v reference", 0, "(Plain &) reference = 0x?: {");
        is("v right", 0, "(Right *) right = 0x?");
        is("v *right", 0, "(Right) *right = {");
        is("v reference", 1, "(const Right &) reference = 0x?: {");
    }
}

/// There is no virtual table at 3, and nothing before it.
#[test]
fn objects_that_begin_with_a_small_number_are_shown() {
    let commands = ["breakpoint set --name corner", "run", "v *this", "v this->sides", "up", "v shape"];
    // The classes of the second lie in units of their own.
    for (program, level) in [("results", 0), ("results", 2), ("results-types", 2)] {
        let answers = Session::new(&format!("results/{program}"), level).invoke("run").run_lldb(&commands);
        for (command, shown) in [("v *this", "(sides = 3)"), ("v this->sides", "= 3"), ("v shape", "(sides = 3)")] {
            answers.assert_contains(command, 0, &[shown]);
        }
    }
}

#[test]
fn virtual_bases_are_found_by_the_guests_virtual_tables() {
    let commands = [
        "breakpoint set --name look",
        "run",
        "v base",
        "v *left",
        "v *right",
        "v reference",
        "v left->id",
        "v right->id",
        "v reference.id",
        "expr left->id",
        "up",
        "v bottom",
        "v plain",
        "v bottom.id",
        "v plain.id",
    ];
    let whole = "{Left={Base=(id=11)left=2}Right={Base=(id=11)right=3}bottom=4}";
    let plain = "{Right={Base=(id=12)right=3}plain=5}";
    for level in [0, 2] {
        let answers = Session::new("bases/bases", level).run_lldb(&commands);
        let is = |command: &str, expected: &str| {
            let said: String = answers.to(command)[0].split_whitespace().collect();
            assert!(said.contains(expected), "level {level}: {command}: {said}");
        };
        is("v base", whole);
        is("v *left", whole);
        is("v *right", whole);
        is("v reference", plain);
        is("v bottom", whole);
        is("v plain", plain);
        is("v left->id", "=11");
        is("v right->id", "=11");
        is("v reference.id", "=12");
        is("v bottom.id", "=11");
        is("v plain.id", "=12");
        // lldb would read it from anywhere.
        is("expr left->id", "nomembernamed'id'");
    }
}

/// lldb 14 cannot ask whether a formatter suits a type.
#[test]
fn formatters_are_also_found_by_the_names_of_types() {
    let stop = format!("breakpoint set --file main.cc --line {}", line(SOURCE, "return offset == 102 ? 0 : 1;"));
    let by_name = "script import wasmscope_helpers; wasmscope_helpers.has_recognizers = lambda _: False; \
                   wasmscope_helpers.__lldb_init_module(lldb.debugger, {})";
    let shown = "v greeting long_text numbers ages names shapes some none";
    let clear = ["type synthetic clear -a", "type summary clear -a"];
    let commands = [clear[0], clear[1], by_name, "type synthetic list", &stop, "run", shown];
    let answers = Session::new("shapes/shapes", 2).run_lldb(&commands);
    let list = answers.to("type synthetic list")[0];
    assert!(list.contains("std::(__[A-Za-z0-9_]+::)?vector<") && !list.contains("matches_"), "{list}");
    let expected = [
        "greeting = \"hello, shapes\"",
        "long_text = \"a string that is too long to be stored inline\"",
        "size=6",
        "[5] = 9",
        "\"grace\"",
        "\"seven\"",
        "geometry::Shape",
        "Value = 42",
        "Has Value=false",
    ];
    assert_in_order(&normalized(answers.to(shown)[0]), &expected);
}

/// lldb finds no enumerations in registers, and of a structure no bases and arrays.
#[test]
fn results_in_registers_are_shown_when_a_function_is_finished() {
    let results: [(&str, &[&str]); 8] = [
        ("array", &["only = ([0] = 6)"]),
        ("pointer", &["place = 0x"]),
        ("derived", &["Base = (of_base = 5)"]),
        ("owned", &["unique_ptr<int", "= 8 {", "pointer = 0x"]),
        ("holder", &["owned = 3 {", "pointer = 0x"]),
        ("letter", &["(enum Letter) $", "= Last"]),
        ("number", &["(enum Number) $", "= two"]),
        ("count", &["(enum Count) $", "= one"]),
    ];
    let breaks = results.map(|(name, _)| format!("breakpoint set --one-shot true --name {name}"));
    let mut commands: Vec<&str> = breaks.iter().map(String::as_str).collect();
    for (index, _) in results.iter().enumerate() {
        commands.extend([if index == 0 { "run" } else { "continue" }, "finish"]);
    }
    let result = "script r = lldb.debugger.GetSelectedTarget().process.GetSelectedThread().GetStopReturnValue(); \
                  print(r.GetValue(), r.GetDisplayTypeName(), r.GetValueAsUnsigned())";
    commands.extend([result, "p $7", "p letter(1)", "wasm-call number(1)"]);
    for level in [0, 2] {
        let answers = Session::new("returned/returned", level).invoke("run").run_lldb(&commands);
        for (answer, (name, parts)) in answers.to("finish").into_iter().zip(results) {
            let value = answer.split_once("Return value:").map_or("", |(_, value)| value);
            assert!(!value.is_empty(), "{name}: {answer}");
            assert_in_order(value, parts);
        }
        answers.assert_contains("p $7", 0, &["(Count) one"]);
        answers.assert_contains("p letter(1)", 0, &["(Letter) Last"]);
        answers.assert_contains("wasm-call number(1)", 0, &["= two"]);
        assert!(answers.transcript().contains("one Count 1"), "{}", answers.transcript());
    }
}

/// Their code takes hidden arguments first; their declarations name entries that add these.
#[test]
fn expressions_call_member_functions() {
    let calls: [(&str, &str); 18] = [
        ("p left + right", "(x = 4, y = 6)"),
        ("p left == right", "(bool) false"),
        ("p left == left", "(bool) true"),
        ("p (left + right).y", "(int) 6"),
        ("p left.times(3)", "(int) 9"),
        ("p left.scaled(1.5)", "(double) 1.5"),
        ("p left.self()->y", "(const int) 2"),
        ("p *left.self() == left", "(bool) true"),
        ("p row[1]", "(x = 10, y = 11)"),
        ("p row[1].times(2)", "(int) 42"),
        ("p row.size()", "(int) 2"),
        ("p closure(5)", "(int) 6"),
        ("p left.within(limits)", "error: "),
        ("p plane::Point::twice(21)", "(int) 42"),
        ("expr right.move(10); right.x", "= 13"),
        ("p right.x", "(int) 13"),
        ("p shape.corners()", "(int) 4"),
        // An object of the expression's own is none for the guest.
        ("p left == plane::Point{1, 2}", "error: "),
    ];
    let stop = format!("breakpoint set --file main.cc --line {}", line("returned/main.cc", "int result = closure(1)"));
    let mut commands = vec![stop.as_str(), "run"];
    commands.extend(calls.iter().map(|(command, _)| *command));
    // The declarations of virtual functions do not tell which one an object has.
    commands.extend([
        "p shape.sides()",
        "breakpoint set --name plane::Point::times -c '*this == *this && scaled(1) == 14'",
        "continue",
        "bt 2",
    ]);
    for level in [0, 2] {
        for privileged in [true, false] {
            let session = Session::new("returned/returned", level).invoke("run").privileged(privileged);
            let answers = session.run_lldb(&commands);
            for (command, expected) in calls {
                answers.assert_contains(command, 0, &[expected]);
            }
            answers.assert_contains("p shape.sides()", 0, &["error: "]);
            // Calls leave the program as it was, and functions keep their names.
            answers.assert_contains("bt 2", 0, &["`plane::Point::times(this=0x", "factor=2", "`look(", "main.cc:"]);
        }
    }
}
