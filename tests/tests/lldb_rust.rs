//! lldb on what Debian's rustc 1.63 makes: layouts of enums and containers that differ from those of later versions.

use tests::{Session, assert_in_order, line, normalized};

const SOURCE: &str = "inventory/main.rs";

/// The root of a `BTreeMap` is an `Option` whose discriminant does not lie at its start, where lldb 19 looks for it.
#[test]
fn enums_and_trees_are_shown_by_what_they_hold() {
    let stop = format!("breakpoint set --file main.rs --line {}", line(SOURCE, "let term = fibonacci(4)"));
    let commands = [&stop, "run", "v sorted", "v counts", "v best nothing two", "v events", "v good", "v bad"];
    for level in [0, 2] {
        let answers = Session::new("inventory/inventory", level).run_lldb(&commands);
        let said = |command| normalized(answers.to(command)[0]);
        assert_in_order(
            &said("v sorted"),
            &["size=2", "[0] = {", "__0 = \"a\"", "__1 = '\\x01'", "[1] = {", "__0 = \"b\"", "__1 = '\\x02'"],
        );
        assert_in_order(&said("v counts"), &["size=2", "\"two\""]);
        assert_in_order(&said("v best nothing two"), &["best = Some(4)", "nothing = None", "two = Some(\"two\")"]);
        let events = ["Nothing", "Sold(7)", "Moved{from:-3, to:4}", "Renamed(\"pear\")"];
        assert_in_order(&said("v events"), &events);
        assert_in_order(&said("v good"), &["Ok(1000)"]);
        assert_in_order(&said("v bad"), &["true"]);
    }
}

#[test]
fn results_are_shown_when_a_function_is_finished() {
    let results: [(&str, &[&str]); 5] = [
        ("point", &["(x = 1, y = -1)"]),
        ("tuple", &["(__0 = 2, __1 = ", "__2 = 1.5)"]),
        ("same", &["\"third\""]),
        ("token", &["= Pair('\\x04', 4)"]),
        ("array", &["([0] = 6, [1] = 6, [2] = 7)"]),
    ];
    let breaks = results.map(|(name, _)| format!("breakpoint set --one-shot true --name results_rust::{name}"));
    let mut commands: Vec<&str> = breaks.iter().map(String::as_str).collect();
    for (index, _) in results.iter().enumerate() {
        commands.extend([if index == 0 { "run" } else { "continue" }, "finish"]);
    }
    for level in [0, 2] {
        let answers = Session::new("results/results-rust", level).invoke("run").run_lldb(&commands);
        for (answer, (name, parts)) in answers.to("finish").into_iter().zip(results) {
            let value = answer.split_once("Return value:").map_or("", |(_, value)| value);
            assert!(!value.is_empty(), "{name}: {answer}");
            assert_in_order(value, parts);
        }
    }
}
