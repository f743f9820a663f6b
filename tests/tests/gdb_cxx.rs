//! gdb on the C++ program: containers, classes, references, templates and lambdas at both optimization levels.

use tests::{Session, at, line, normalized};

const SOURCE: &str = "shapes/main.cc";

fn everywhere(check: impl Fn(&str, u8)) {
    for level in [0, 2] {
        check("shapes/shapes", level);
    }
}

#[test]
fn containers_and_objects_are_read() {
    let stop = format!("break {}", at(SOURCE, "alias += left;"));
    let commands = [
        &stop,
        "run",
        "p greeting",
        "p long_text",
        "p numbers",
        "p ages",
        "p names",
        "p shapes",
        "p *shared.__ptr_",
        "p doubled",
        "p stack",
        "p first",
        "p third",
        "p alias",
        "p &alias == &offset",
        "p shift",
        "p some",
        "p none",
        "p pair",
        "p im",
        "p geometry::Shape::count",
        "p total",
        "p top",
        "ptype pair",
        "ptype geometry::Box",
        "ptype Stack<short, 2>",
        "ptype doubled",
        "whatis alias",
        "p sizeof(long_text)",
    ];
    everywhere(|program, level| {
        Session::new(program, level).run(&commands).assert_values(&[
            ("p greeting", r#""hello, shapes""#),
            ("p long_text", r#""a string that is too long to be stored inline""#),
            ("p numbers", "std::vector of length 6 = {3, 1, 4, 1, 5, 9}"),
            ("p ages", r#"std::map with 2 elements = {["ada"] = 36, ["grace"] = 85}"#),
            ("p names", r#"std::unordered_map with 1 element = {[7] = "seven"}"#),
            (
                "p shapes",
                "std::vector of length 2 = {std::unique_ptr = {get() = 0x?}, std::unique_ptr = {get() = 0x?}}",
            ),
            ("p *shared.__ptr_", "{re = 1.5, im = -2.5}"),
            ("p doubled", "{re = 3, im = -5}"),
            ("p stack", "{items = {10, 20}, size = 2}"),
            ("p first", "true"),
            ("p third", "false"),
            ("p alias", "(int &) @0x?: 100"),
            ("p &alias == &offset", "true"),
            ("p shift", "{offset = @0x?, top = 9}"),
            ("p some", "std::optional = {value = 42}"),
            ("p none", "std::optional (no value)"),
            ("p pair", "{first = 7, second = 120 'x'}"),
            ("p im", "-5"),
            ("p geometry::Shape::count", "2"),
            ("p total", "24"),
            ("p top", "9"),
            ("whatis alias", "type = int &"),
            ("ptype doubled", "type = struct Complex {\n    double re;\n    double im;\n  public:\n    Complex operator+(const Complex &) const;\n}"),
            ("p sizeof(long_text)", "12"),
        ]);
    });
}

#[test]
fn methods_know_their_object() {
    let in_circle = format!("break {}", at(SOURCE, "double square ="));
    let in_lambda = format!("break {}", at(SOURCE, "int shifted = value + offset;"));
    let commands = [
        &in_circle,
        "run",
        "bt",
        "p *this",
        "p this->radius_",
        "p radius_",
        "p name",
        "p kind_",
        "info args",
        "next",
        "p square",
        "set var radius_ = 3",
        "p radius_",
        "up",
        "p it",
        "p total",
        "p shape",
        "down",
        "finish",
        "break geometry::Box::area",
        "continue",
        "p width_ * height_",
        "set var width_ = 30",
        "p name",
        "p *this",
        "p Shape::kind_",
        "ptype this",
        "up",
        "p shape",
        "delete",
        "break largest<int>",
        "tbreak Complex::operator+",
        "continue",
        "info args",
        "p *this",
        "p other.re",
        "next",
        "p sum",
        "finish",
        "tbreak swap_by_reference",
        "continue",
        "info args",
        "p left",
        "set var left = 11",
        "up",
        "p left",
        &in_lambda,
        "continue",
        "p value",
        "p offset",
        "p top",
        "info args",
        "next",
        "p shifted",
        "delete",
        "continue",
    ];
    everywhere(|program, level| {
        let answers = Session::new(program, level).run(&commands);
        answers.assert_contains("run", 0, &["geometry::Circle::area (this=0x", "shapes/main.cc:"]);
        answers.assert_contains("bt", 0, &["#0  geometry::Circle::area (this=0x", "#1 ", " main () at ", "_start"]);
        answers.assert_contains(
            "ptype this",
            0,
            &["const class geometry::Box : public geometry::Shape {", "int width_;"],
        );
        answers.assert_contains("continue", 0, &["geometry::Box::area (this=0x"]);
        answers.assert_contains("continue", 1, &["Complex::operator+ (this=0x", "other=...)"]);
        answers.assert_contains("continue", 2, &["swap_by_reference (left=@0x", ": 1, right=@0x", ": 2)"]);
        answers.assert_contains("continue", 3, &["operator() (this=0x", "value=5)"]);
        assert_eq!(answers.values("p left"), ["(int &) @0x?: 1", "11"], "{}", answers.transcript());
        assert_eq!(answers.values("p name"), [r#""circle""#, r#""box with a rather long name""#]);
        assert_eq!(answers.values("p radius_"), ["2", "3"]);
        answers.assert_values(&[
            ("p this->radius_", "2"),
            ("p kind_", "geometry::Shape::Kind::Round"),
            ("p square", "4"),
            ("p total", "0"),
            ("p width_ * height_", "12"),
            ("p Shape::kind_", "geometry::Shape::Kind::Cornered"),
            ("p other.re", "1.5"),
            ("p sum", "{re = 3, im = -5}"),
            ("p value", "5"),
            ("p offset", "(int &) @0x?: 100"),
            ("p top", "9"),
            ("p shifted", "105"),
        ]);
        // 12 of the circle, 120 of the box whose width was changed, and the swapped 11.
        answers.assert_contains("continue", 4, &[" 132.0 -5.0 10 2 11 114 144 42 x 0 2", "exited normally"]);
    });
}

#[test]
fn member_functions_are_called_with_the_instances_context() {
    if !tests::gdb_calls_functions() {
        return;
    }
    let commands = [
        "break look",
        "run",
        "p base.value()",
        "p left->value()",
        "p right->value()",
        "p base.value()",
        "up",
        "p bottom.value()",
        "p plain.value()",
        "down",
        "finish",
    ];
    for level in [0, 2] {
        let answers = Session::new("bases/bases", level).run(&commands);
        // 2 + 3 + 4 + 11: the object's own function, whatever it is looked at as.
        answers.assert_values(&[
            ("p base.value()", "20"),
            ("p left->value()", "20"),
            ("p right->value()", "20"),
            ("p bottom.value()", "20"),
            ("p plain.value()", "12"),
        ]);
        answers.assert_contains("p base.value()", 1, &["= 20"]);
        answers.assert_contains("finish", 0, &["Value returned is $", "= 55"]);
    }
}

/// gdb would take a pointer to a virtual table and the zeros behind it for one of 8 bytes, and what lies before the table for its words.
#[test]
fn objects_are_what_they_are_where_zeros_follow_their_virtual_tables() {
    let stop = format!("break {}", at("tables/main.cc", "return sum + "));
    let commands = [
        &stop,
        "run",
        "print *named",
        "print *counted",
        "print *longer",
        "print *wide",
        "set print object on",
        "print counted",
        "print *longer",
    ];
    for level in [0, 2] {
        let answers = Session::new("tables/tables", level).invoke("run").run(&commands);
        answers.assert_contains("print *named", 0, &["<vtable for Both+8>, zero = 0}"]);
        answers.assert_contains("print *counted", 0, &["<vtable for Both+32>, zero = 0, total = 7}"]);
        answers.assert_contains("print *wide", 0, &["<vtable for Padded+8>, width = 2.5}"]);
        answers.assert_contains("print *longer", 0, &[" = {_vptr$Counted = "]);
        answers.assert_contains("print counted", 0, &["(Both *) 0x"]);
        answers.assert_contains("print *longer", 1, &["(Measured) {<Counted> = {", "total = 7}, length = 1.5}"]);
    }
}

/// Variable objects of the machine interface, which editors show, are of what has children its children alone.
#[test]
fn objects_have_the_members_of_their_dynamic_types_in_variable_objects() {
    let stop = format!("break {}", at("tables/main.cc", "return sum + "));
    let list = |name: &str| format!("interpreter-exec mi \"-var-list-children --all-values {name}\"");
    let (of_pointer, of_object) = (list("pointer"), list("object"));
    let commands = [
        &stop,
        "run",
        "set print object on",
        "interpreter-exec mi \"-enable-pretty-printing\"",
        "interpreter-exec mi \"-var-create pointer * counted\"",
        &of_pointer,
        "interpreter-exec mi \"-var-create object * *longer\"",
        &of_object,
        "print counted",
    ];
    let answers = Session::new("tables/tables", 2).invoke("run").run(&commands);
    answers.assert_contains(
        &of_pointer,
        0,
        &["exp=\"zero\"", "exp=\"Counted::zero\"", "exp=\"total\",numchild=\"0\",value=\"7\""],
    );
    answers.assert_contains(&of_object, 0, &["exp=\"total\"", "exp=\"length\",numchild=\"0\",value=\"1.5\""]);
    // At the prompt a pointer stays one.
    assert!(!answers.to("print counted")[0].contains('{'), "{}", answers.transcript());
}

/// Virtual bases lie where the whole object has them, behind the end of the part that a pointer leads to.
#[test]
fn parts_of_objects_have_their_virtual_bases() {
    let stop = format!("break {}", at("tables/main.cc", "return sum + named.sum()"));
    let commands = [
        &stop,
        "run",
        "print *left",
        "continue",
        "print *left",
        "print *right",
        "print *diamond",
        "print *only",
        "print named",
        "print left->root",
        "print right->zero",
        "print only->plain",
        "print ((Left *) diamond)->root",
        "print sizeof(Left)",
        "whatis *left",
        "ptype Only",
        "break Left::sum",
        "continue",
        "print *this",
        "print root",
        "up 2",
        "print diamond",
        "print deep",
        "set print object on",
        "print diamond",
        "down",
        "print right",
        "print *left",
        "print only",
        "info vtbl right",
    ];
    let parts = |text: &str| {
        let names = text.split(" <vtable for ").enumerate().map(|(index, rest)| match index {
            0 => rest,
            _ => rest.split_once('>').map_or(rest, |(_, rest)| rest),
        });
        names.collect::<String>()
    };
    for level in [0, 2] {
        let answers = Session::new("tables/tables", level).invoke("run").run(&commands);
        let values = |command: &str| answers.values(command).iter().map(|value| parts(value)).collect::<Vec<_>>();
        let root = "<Root> = {_vptr$Root = 0x?, zero = 0, root = 1}";
        let left = format!("{{{root}, _vptr$Left = 0x?, zero_left = 0, left = 2}}");
        let right = "{_vptr$Right = 0x?, zero_right = 0, right = 3}";
        let diamond = format!("{{<Left> = {left}, <Right> = {right}, zero_own = 0, own = 4}}");
        let deep = format!("{{<Diamond> = {diamond}, <Plain> = {{zero = 0, plain = 5}}, zero_deep = 0, deep = 6}}");
        let whole = format!("((anonymous namespace)::Deep) {deep}");
        assert_eq!(values("print *left"), [left.as_str(), &left, &whole], "{}", answers.transcript());
        assert_eq!(values("print diamond"), [diamond.clone(), format!("(Diamond) {diamond}")]);
        assert_eq!(values("print *this"), [left.as_str()]);
        assert_eq!(values("print deep"), [deep.as_str()]);
        assert_eq!(values("print *right"), [format!("{{{root}, {}", &right[1..])]);
        assert_eq!(values("print *diamond"), [diamond.as_str()]);
        answers.assert_values(&[
            ("print *only", "{<Plain> = {zero = 0, plain = 5}, _vptr$Only = 0x?, zero_only = 0, only = 8}"),
            ("print left->root", "1"),
            ("print right->zero", "0"),
            ("print only->plain", "5"),
            ("print ((Left *) diamond)->root", "1"),
            ("print sizeof(Left)", "24"),
            ("whatis *left", "type = const Left"),
            ("print root", "1"),
            ("print right", "((anonymous namespace)::Deep *) 0x?"),
            ("print only", "(More *) 0x?"),
        ]);
        assert_eq!(values("print named")[0], format!("(const Left &) @0x?: {left}"));
        answers.assert_contains("print deep", 0, &["<vtable for (anonymous namespace)::Deep+8>", "::Deep+28>"]);
        answers.assert_contains("ptype Only", 0, &["type = struct Only : public virtual Plain {"]);
        answers.assert_contains(
            "info vtbl right",
            0,
            &["vtable for '(anonymous namespace)::Deep' @", "[0]: 0x", "[1]: 0x"],
        );
    }
}

/// Each part's table ends where the next one begins, whose first word may look like a function's index.
#[test]
fn virtual_tables_are_listed_part_by_part() {
    let answers =
        Session::new("bases/bases", 2).run(&["break look", "run", "info vtbl left", "info vtbl nothing", "continue"]);
    let shown = tests::normalized(answers.to("info vtbl left")[0]);
    let lines: Vec<&str> = shown.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    assert_eq!(
        lines,
        [
            "vtable for 'Bottom' @ 0x? (subobject @ 0x?):",
            "[0]: 0x? <Bottom::value()>",
            "vtable for 'Right' @ 0x? (subobject @ 0x?):",
            "vtable for 'Base' @ 0x? (subobject @ 0x?):",
            "[0]: 0x? <virtual thunk to Bottom::value()>",
        ]
    );
    answers.assert_contains("info vtbl nothing", 0, &["No symbol \"nothing\" in current context."]);
    assert!(!answers.transcript().contains("Python Exception"), "{}", answers.transcript());
}

/// gdb keeps values when the program is gone, but not all of their types.
#[test]
fn objects_with_virtual_bases_outlast_the_program() {
    let stop = format!("break {}", at("bases/main.cc", "int sum = look(bottom"));
    let answers =
        Session::new("bases/bases", 2).run(&[&stop, "run", "p plain", "delete", "continue", "p $", "p $1.plain"]);
    answers.assert_contains("continue", 0, &["exited"]);
    answers.assert_contains("p $", 0, &["<Base> = <invalid address>", "right = 3", "plain = 5"]);
    answers.assert_values(&[("p $1.plain", "5")]);
}

/// In wasm all of these come through memory, but for the first one; x86-64 has some in one register or another.
#[test]
fn results_are_shown_when_a_function_is_finished() {
    let results = [
        ("one", "{only = 1}"),
        ("pair", "{a = 2, b = 3}"),
        ("floats", "{x = 3, y = 6}"),
        ("big", "{a = 4, b = 8, c = 12, d = 2}"),
        ("word", "{number = 5, bytes = \"\\005\\000\\000\"}"),
        ("text", "{<Base> = {of_base = 5}, begin = 0x? \"sixth\", length = 5}"),
        ("maybe", "{is_there = true, value = 7}"),
        ("Shape::corner", "{a = 9, b = 3}"),
    ];
    let breaks = results.map(|(name, _)| format!("tbreak {name}"));
    let mut commands: Vec<&str> = breaks.iter().map(String::as_str).collect();
    for (index, _) in results.iter().enumerate() {
        commands.extend([if index == 0 { "run" } else { "continue" }, "finish"]);
    }
    commands.extend(["tbreak through", "continue", "tbreak pair", "continue", "finish", "next", "finish"]);
    commands.extend(["print sizeof(Pair)", "print sizeof(Text)", "whatis pair", "whatis first", "print second"]);
    for (level, privileged) in [(0, true), (2, true), (2, false)] {
        let answers = Session::new("results/results", level).invoke("run").privileged(privileged).run(&commands);
        let finished: Vec<String> = answers.to("finish").into_iter().map(normalized).collect();
        let expected = results.iter().map(|(_, value)| *value).chain(["{a = 10, b = 11}", "{a = -10, b = 11}"]);
        assert_eq!(finished.len(), results.len() + 2);
        for (answer, value) in finished.iter().zip(expected) {
            assert!(answer.ends_with(&format!("Value returned is $? = {value}")), "{value}: {answer}");
        }
        // In the caller's line, as natively: something is left of it behind the call.
        for answer in &finished[..results.len()] {
            assert!(answer.starts_with("0x? in "), "{answer}");
        }
        answers.assert_values(&[
            ("print sizeof(Pair)", "8"),
            ("print sizeof(Text)", "12"),
            ("whatis pair", "type = Pair (int)"),
            ("whatis first", "type = One"),
            ("print second", "{a = 2, b = 3}"),
        ]);
    }
}

/// Up to LLVM 14, and still in emscripten 3.1.6, one byte has both a string's length and whether its text is elsewhere.
#[test]
fn strings_of_older_libraries_are_shown() {
    let stop = format!("break {}", at("tables/main.cc", "return sum + "));
    let session = Session::new("tables/tables", 2).invoke("run");
    let names = ["low", "low_long", "high", "high_long"];
    let prints = names.map(|name| format!("print {name}"));
    let commands: Vec<&str> = [stop.as_str(), "run"].into_iter().chain(prints.iter().map(String::as_str)).collect();
    let answers = session.run(&commands);
    let long = "\"a text that is too long to be kept in the string\"";
    let texts = ["\"short\"", long, "\"short\"", long];
    let expected: Vec<(&str, &str)> = prints.iter().map(String::as_str).zip(texts).collect();
    answers.assert_values(&expected);

    let stop = format!("breakpoint set --file main.cc --line {}", line("tables/main.cc", "return sum + "));
    let answers = Session::new("tables/tables", 2).invoke("run").run_lldb(&[&stop, "run", "v"]);
    for (name, text) in names.into_iter().zip(texts) {
        answers.assert_contains("v", 0, &[&format!(" {name} = {text}")]);
    }
}
