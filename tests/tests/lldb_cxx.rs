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
        assert_in_order(&said(avoided, 0), &["^std::"]);
    }
}
