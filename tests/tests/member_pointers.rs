//! Both debuggers on pointers to members, on pointers to classes of one name, and on objects under construction.

use tests::{Session, assert_in_order, at, line, normalized};

const SOURCE: &str = "members/main.cc";
const PROGRAM: &str = "members/members";
const MEMBERS: &str = "return (machine.*function)";
const POINTERS: &str = "return numbers.head->value";
const CONSTRUCTOR: &str = "right = 20;";

#[test]
fn gdb_shows_pointers_to_members() {
    let stop = format!("break {}", at(SOURCE, MEMBERS));
    let commands =
        [&stop, "run", "p plain", "p virtuals", "p local", "p function", "p machine.*local", "p sizeof(plain)"];
    for level in [0, 2] {
        let answers = Session::new(PROGRAM, level).invoke("run").run(&commands);
        answers.assert_values(&[
            (
                "p plain",
                "{first = &Machine::b, mark = 2863311530, method = &Machine::fast(int), after = 3149642683, more = \
                 3435973836, none = NULL, nothing = NULL, end = 3722304989}",
            ),
            (
                "p virtuals",
                "{first = &Machine::a, mark = 1, method = &virtual Machine::third(int), after = 2, more = 3, none = NULL, \
                 nothing = NULL, end = 4}",
            ),
            ("p local", "&Machine::b"),
            ("p function", "&Machine::fast(int)"),
            ("p machine.*local", "3"),
            ("p sizeof(plain)", "40"),
        ]);
    }
}

#[test]
fn lldb_shows_pointers_to_members() {
    let stop = format!("breakpoint set --file main.cc --line {}", line(SOURCE, MEMBERS));
    let commands = [&stop, "run", "v plain", "v virtuals", "v local", "v function", "p machine.*local"];
    for level in [0, 2] {
        let answers = Session::new(PROGRAM, level).invoke("run").run_lldb(&commands);
        let said = |command| normalized(answers.to(command)[0]);
        let plain =
            ["first = &Machine::b", "2863311530", "method = &Machine::fast(int)", "none = NULL", "nothing = NULL"];
        assert_in_order(&said("v plain"), &plain);
        assert_in_order(&said("v virtuals"), &["first = &Machine::a", "method = &virtual Machine::third(int)"]);
        assert_eq!(answers.to("v local")[0], "(int Machine::*) local = 0x0000000000000008");
        assert_in_order(&said("v function"), &["function = &Machine::fast(int)"]);
        assert_in_order(&said("p machine.*local"), &["(int) 3"]);
    }
}

/// lldb takes two structures of one name for one type, those that stand for pointers, too.
#[test]
fn lldb_tells_classes_of_one_name_apart() {
    let stop = format!("breakpoint set --file main.cc --line {}", line(SOURCE, POINTERS));
    let commands = [&stop, "run", "v numbers.head->value", "v letters.head->value", "v -T both"];
    for level in [0, 2] {
        let answers = Session::new(PROGRAM, level).invoke("run").run_lldb(&commands);
        assert_eq!(answers.to("v numbers.head->value")[0], "(int) numbers.head->value = 7");
        assert_in_order(answers.to("v letters.head->value")[0], &["letters.head->value = ", "\"letter\""]);
        let functions = ["(int (*)(int, int)) binary = ", "(int (*)(int)) unary = "];
        assert_in_order(&normalized(answers.to("v -T both")[0]), &functions);
    }
}

/// lldb reads 8 bytes for a pointer to a virtual table, and finds one where zeros follow; the table's words have 4.
#[test]
fn lldb_keeps_to_the_object_under_construction() {
    let stop = format!("breakpoint set --file main.cc --line {}", line(SOURCE, CONSTRUCTOR));
    let commands = [&stop, "run", "v this", "v *this", "v this->name", "finish", "v *this"];
    for level in [0, 2] {
        let answers = Session::new(PROGRAM, level).invoke("run").run_lldb(&commands);
        let said = |command| normalized(answers.to(command)[0]);
        let address = answers.to("v this")[0].rsplit(' ').next().expect("it has an address");
        assert!(address.len() == 18 && address.starts_with("0x0000000000"), "{address}");
        assert_in_order(&said("v *this"), &["(Right) *this = {", "name = \"named\"", "right = 0"]);
        assert_in_order(&normalized(answers.to("v *this")[1]), &["(Both) *this = {", "right = 20"]);
    }
}
