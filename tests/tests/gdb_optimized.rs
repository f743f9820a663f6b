//! Values in optimized guests: what is shown is right, or nothing is shown.

use tests::{Session, at, line};

/// LLVM gives one wasm local to several values, and says of the earlier ones that they stay there.
#[test]
fn a_local_that_holds_another_value_by_then_is_not_shown() {
    const STEPS: usize = 120;
    let source = "optimized/main.c";
    let tested = [line(source, "int next = r"), line(source, "if (distance[next] < 0)")];
    for level in [0, 2] {
        let mut commands = vec!["break reach", "run"];
        for _ in 0..STEPS {
            commands.extend(["next", "print r", "print c", "print column"]);
        }
        let answers = Session::new("optimized/optimized", level).run(&commands);
        let [steps, rows, columns, from] =
            ["next", "print r", "print c", "print column"].map(|command| answers.values(command));
        let mut shown = 0;
        for stop in 0..STEPS {
            // Behind the tests for the borders.
            let here = steps[stop].split('\t').next().and_then(|line| line.parse().ok());
            if !here.is_some_and(|here| tested.contains(&here)) {
                continue;
            }
            for (name, value) in [("r", &rows[stop]), ("c", &columns[stop]), ("column", &from[stop])] {
                if let Ok(value) = value.parse::<i32>() {
                    shown += 1;
                    assert!((0..8).contains(&value), "level {level}, stop {stop}, {here:?}: {name} = {value}");
                }
            }
        }
        assert!(shown > 5, "hardly anything is shown: {shown}\n{}", answers.transcript());
    }
}

/// The optimizer takes a structure apart. At the first call only one of its members has a value.
#[test]
fn what_is_not_known_of_a_structure_is_optimized_out() {
    for level in [0, 2] {
        let answers =
            Session::new("parts/parts", level).run(&["break look", "run", "up", "print span", "print span.begin"]);
        answers.assert_values(&[
            ("print span", "{begin = 42, end = <optimized out>, step = <optimized out>}"),
            ("print span.begin", "42"),
        ]);
    }
}

#[test]
fn what_is_gone_is_optimized_out_whatever_prints_it() {
    let commands = ["break use", "run", "up", "info locals", "print method", "print view", "print machine.a"];
    let answers = Session::new("parts/gone", 2).invoke("run").run(&commands);
    let locals = ["method = <optimized out>", "view = <optimized out>", "machine = {a = 4}"];
    answers.assert_contains("info locals", 0, &locals);
    answers.assert_values(&[
        ("print method", "<optimized out>"),
        ("print view", "<optimized out>"),
        ("print machine.a", "4"),
    ]);
}

/// LLVM gives a parameter's local to other values once its own is not needed. Of one that is never assigned the first value is
/// the only one, which the source tells.
#[test]
fn a_parameter_that_is_never_assigned_is_shown_to_the_end() {
    let source = "lasting/main.c";
    let [number, steps, sum] = ["in number", "in steps", "in sum"].map(|place| at(source, place));
    for level in [0, 2] {
        let breaks = [format!("break {number}"), format!("break {steps}"), format!("break {sum}")];
        let mut commands: Vec<&str> = breaks.iter().map(String::as_str).collect();
        commands.extend(["run", "print base", "print text->at", "continue", "print base", "print *text", "delete 1"]);
        commands.extend(["continue", "print n", "continue", "print n", "delete 2"]);
        commands.extend(["continue", "print list->value", "continue", "print list->value"]);
        let answers = Session::new("lasting/lasting", level).run(&commands);
        assert_eq!(answers.values("print base"), ["10", "10"], "{}", answers.transcript());
        assert_eq!(answers.values("print text->at"), ["1"]);
        assert!(answers.values("print *text")[0].contains("at = 2, errors = 0"), "{}", answers.transcript());
        // One that is assigned is shown as it is, or not.
        for (value, right) in answers.values("print n").iter().zip(["3", "10"]) {
            assert!(value == "<optimized out>" || value == right, "{}", answers.transcript());
        }
        for (value, right) in answers.values("print list->value").iter().zip(["1", "2"]) {
            assert!(value == "<optimized out>" || value == right, "{}", answers.transcript());
        }
    }
    let stop = format!("b {number}");
    let answers = Session::new("lasting/lasting", 2).run_lldb(&[&stop, "run", "v base", "continue", "v base"]);
    for round in 0..2 {
        answers.assert_contains("v base", round, &["(int) base = 10"]);
    }
}

/// LLVM loses variables where control flow joins, and leaves constants in lists behind loops that change the variable. The source and the
/// code tell more; and where they do not, nothing is shown.
#[test]
fn a_variable_that_changes_is_shown_as_it_is_or_not() {
    let data: Vec<i32> = (0..16).map(|i| (i * 7 + 1) % 11).collect();
    let mut total = 27;
    let totals = data.iter().map(|value| {
        total += if value & 1 == 1 { *value } else { 0 };
        total
    });
    let mut number = 100;
    let numbers = data[..4].iter().map(|value| {
        number += 1 + (value & 1);
        number
    });
    // The variables that are given to `note`, one after the other, and their values.
    let mut noted: Vec<(&str, i32)> = totals.map(|total| ("total", total)).collect();
    noted.extend([1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 4].map(|count| ("count", count)));
    noted.extend([("length", 3), ("offset", 0)]);
    [2, 4, 6].into_iter().for_each(|offset| noted.extend([("-1", -1), ("offset", offset)]));
    noted.extend([4, 3, 2, 1].map(|left| ("left", left)));
    noted.extend([1, 3, 5].map(|depth| ("depth", depth)));
    noted.extend(numbers.map(|number| ("number", number)));
    for level in [0, 2] {
        let prints: Vec<String> = noted.iter().map(|(variable, _)| format!("print {variable}")).collect();
        let mut commands = vec!["break note"];
        for (number, print) in prints.iter().enumerate() {
            commands.extend([if number == 0 { "run" } else { "continue" }, "up", print]);
        }
        let answers = Session::new("changing/changing", level).run(&commands);
        for (variable, least) in
            [("total", 16), ("count", 0), ("length", 0), ("offset", 3), ("left", 4), ("depth", 0), ("number", 4)]
        {
            let right = noted.iter().filter(|noted| noted.0 == variable).map(|noted| noted.1.to_string());
            let shown = answers.values(&format!("print {variable}"));
            let known = shown.iter().zip(right).filter(|(shown, _)| *shown != "<optimized out>");
            let known: Vec<_> = known.map(|(shown, right)| (shown.clone(), right)).collect();
            let is_right = known.iter().all(|(shown, right)| shown == right);
            assert!(is_right, "level {level}: {variable}\n{}", answers.transcript());
            assert!(known.len() >= least, "level {level}: {variable}\n{}", answers.transcript());
        }
    }
}

/// Debuggers take a stop at the first address of an inlined function for one at its call.
#[test]
fn a_loop_that_an_inlined_function_begins_with_does_not_come_back_to_its_call() {
    let body = at("records/main.c", "sum += it->value");
    let commands = |breakpoint| [&[breakpoint, "run"][..], &["next"; 5]].concat();
    let session = || Session::new("records/records-O2", 2);
    let answers = session().run(&[&commands("break list_sum")[..], &["info breakpoints"]].concat());
    answers.assert_contains("run", 0, &["list_sum (list=<optimized out>)"]);
    assert!(answers.to("next").iter().all(|stop| !stop.contains("main (")), "{}", answers.transcript());
    answers.assert_contains("info breakpoints", 0, &["already hit 1 time"]);
    // In the loop, each round counts.
    let in_loop = format!("break {body}");
    let answers = session().run(&[&in_loop, "run", "continue", "continue", "info breakpoints"]);
    answers.assert_contains("info breakpoints", 0, &["already hit 3 times"]);

    let answers = session().run_lldb(&[&commands("b list_sum")[..], &["breakpoint list"]].concat());
    for step in 0..5 {
        answers.assert_contains("next", step, &["[inlined] list_sum"]);
    }
    answers.assert_contains("breakpoint list", 0, &["hit count = 1"]);
    let in_loop = format!("b {body}");
    let answers = session().run_lldb(&[&in_loop, "run", "continue", "continue", "breakpoint list"]);
    answers.assert_contains("breakpoint list", 0, &["hit count = 3"]);
}

/// Natively an optimized function has no frame pointer, by which gdb would find the end of its prologue.
#[test]
fn a_step_into_a_function_stops_at_its_opening_line() {
    let source = "abilities/main.c";
    let call = format!("break {}", at(source, "head = push("));
    for level in [0, 2] {
        let answers = Session::new("abilities/c-O2", level).run(&[&call, "run", "step", "info args", "step"]);
        let opening = line(source, "static struct node *push(");
        answers.assert_contains("step", 0, &["push (list=0x0, name=", &format!("main.c:{opening}\n")]);
        answers.assert_contains("info args", 0, &["value = 1\n", "color = RED", "<add>"]);
        let first = line(source, "malloc(sizeof *it)");
        assert!(answers.to("step")[1].starts_with(&format!("{first}\t")), "{}", answers.transcript());
    }
}
