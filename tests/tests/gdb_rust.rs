//! gdb on the Rust program: enums, collections, strings, slices, closures and traits at both optimization levels.

use tests::{Session, at, normalized};

const SOURCE: &str = "inventory/main.rs";

fn everywhere(check: impl Fn(&str, u8)) {
    for level in [0, 2] {
        check("inventory/inventory", level);
    }
}

#[test]
fn collections_and_enums_are_read() {
    let stop = format!("break {}", at(SOURCE, "let wide ="));
    let commands = [
        &stop,
        "run",
        "p items",
        "p items.len",
        "p worth",
        "p numbers",
        "p middle",
        "p best",
        "p nothing",
        "p counts",
        "p sorted",
        "p two",
        "p events",
        "p score",
        "p good",
        "p bad",
        "p term",
        "p scale",
        "p scaled",
        "p priced.len",
        "p sum",
        "p shared",
        "p length",
        "p cell.value.value",
        "p pair",
        "p pair.1",
        "whatis items",
        "ptype inventory::Item",
        "p numbers[1] * 3",
        "p inventory::Unit::Kilogram",
        "next",
        "p/x wide",
        "info locals",
    ];
    everywhere(|program, level| {
        let answers = Session::new(program, level).run(&commands);
        answers.assert_contains("run", 0, &["inventory::main () at ", "inventory/main.rs:"]);
        answers.assert_contains("info locals", 0, &["wide = ", "numbers = [3, -1, 4, 1, -5, 9, 2]", "factor = 3"]);
        let rc = "Rc(strong=2, weak=0) = {value = RefCell(borrow=0) = {value = Vec(size=4) = {1, 2, 3, 4}}}";
        answers.assert_values(&[
            (
                "p items",
                "Vec(size=2) = {inventory::Item {name: \"apple\", unit: inventory::Unit::Piece, price: 0.5, stock: 12}, \
                 inventory::Item {name: \"flour\", unit: inventory::Unit::Kilogram, price: 1.25, stock: 4}}",
            ),
            ("p items.len", "2"),
            ("p worth", "56"),
            ("p numbers", "[3, -1, 4, 1, -5, 9, 2]"),
            ("p middle", "&[i32] (size=3) = {4, 1, -5}"),
            ("p best", "core::option::Option<i32>::Some(4)"),
            ("p nothing", "core::option::Option<i32>::None"),
            ("p counts", r#"HashMap(size=2) = {[2] = "two", [1] = "one"}"#),
            ("p sorted", r#"BTreeMap(size=2) = {["a"] = 1, ["b"] = 2}"#),
            ("p two", r#"core::option::Option<&str>::Some("two")"#),
            (
                "p events",
                "Vec(size=4) = {inventory::Event::Nothing, inventory::Event::Sold(7), inventory::Event::Moved{from: -3, \
                 to: 4}, inventory::Event::Renamed(\"pear\")}",
            ),
            ("p score", "18"),
            ("p good", "core::result::Result<u32, core::num::error::ParseIntError>::Ok(1000)"),
            ("p bad", "true"),
            ("p term", "3"),
            ("p scale", "inventory::main::{closure_env#0} {_ref__factor: 0x?, _ref__score: 0x?}"),
            ("p scaled", "33"),
            ("p priced.len", "1"),
            ("p sum", "5"),
            ("p shared", rc),
            ("p length", "4"),
            ("p cell.value.value", "223 '\\xdf'"),
            ("p pair", r#"(1, "pair", 2.5)"#),
            ("p pair.1", r#""pair""#),
            ("p numbers[1] * 3", "-3"),
            (
                "ptype inventory::Item",
                "type = struct inventory::Item {\n  name: alloc::string::String,\n  unit: inventory::Unit,\n  price: f64,\n  stock: u32,\n}",
            ),
        ]);
    });
}

#[test]
fn functions_closures_and_methods_are_walked() {
    let in_closure = format!("break {}", at(SOURCE, "let scaled = value * factor;"));
    let in_main = format!("tbreak {}", at(SOURCE, "let scaled = scale(5);"));
    let in_match = format!("break {}", at(SOURCE, "let distance = to - from;"));
    let commands = [
        "break inventory::largest<i32>",
        "run",
        "info args",
        "next",
        "next",
        "next",
        "p best",
        "p value",
        "delete",
        &in_match,
        "continue",
        "p *from",
        "p *to",
        "next",
        "p distance",
        "p *event",
        "up",
        "p score",
        "info locals",
        "down",
        "finish",
        "tbreak inventory::fibonacci if n == 0",
        "continue",
        "bt",
        "up",
        "p n",
        &in_main,
        "continue",
        "set var factor = 30",
        &in_closure,
        "continue",
        "p value",
        "next",
        "p scaled",
        "tbreak inventory::total",
        "continue",
        "p priced.length",
        "next",
        "next",
        "p sum",
        "delete",
        "continue",
    ];
    everywhere(|program, level| {
        let answers = Session::new(program, level).run(&commands);
        answers.assert_contains("run", 0, &["inventory::largest<i32> (values="]);
        answers.assert_contains(
            "bt",
            0,
            &["#0  inventory::fibonacci (n=0)", "inventory::fibonacci (n=4)", "inventory::main ()", "_start"],
        );
        answers.assert_values(&[
            ("p best", "4"),
            ("p *from", "-3"),
            ("p *to", "4"),
            ("p distance", "7"),
            ("p *event", "inventory::Event::Moved{from: -3, to: 4}"),
            ("p score", "7"),
            ("p n", "2"),
            ("p scaled", "150"),
            ("p priced.length", "1"),
            ("p sum", "0"),
        ]);
        answers.assert_contains("continue", 5, &[" 18 Ok(1000) true 3 168 5 4 ", "exited normally"]);
    });
}

/// gdb 13 ends with an internal error where the result is an enum, natively as well; here it is told that it does not know.
#[test]
fn results_are_shown_when_a_function_is_finished() {
    let results = [
        ("point", "Value returned is $? = results_rust::Point {x: 1, y: -1}"),
        ("tuple", "Value returned is $? = (2, 3, 1.5)"),
        ("same", "Value returned is $? = \"third\""),
        ("token", "Value returned has type: results_rust::Token. Cannot determine contents"),
        ("small", "Value returned has type: results_rust::Small. Cannot determine contents"),
        ("array", "Value returned is $? = [6, 6, 7]"),
        ("bytes", "Value returned is $? = (7, 8)"),
    ];
    let breaks = results.map(|(name, _)| format!("tbreak results_rust::{name}"));
    let mut commands: Vec<&str> = breaks.iter().map(String::as_str).collect();
    for (index, _) in results.iter().enumerate() {
        commands.extend([if index == 0 { "run" } else { "continue" }, "finish"]);
    }
    for level in [0, 2] {
        let answers = Session::new("results/results-rust", level).invoke("run").run(&commands);
        for (answer, (name, value)) in answers.to("finish").into_iter().zip(results) {
            assert!(normalized(answer).ends_with(value), "{name}: {answer}");
        }
    }
}
