//! Both debuggers on containers of libc++ that the bigger programs do not have.

use tests::{Session, assert_in_order, at, line, normalized};

const SOURCE: &str = "sequences/main.cc";
const PROGRAM: &str = "sequences/sequences";
const CONTAINERS: &str = "return total + stack.top()";
const LIST: &str = "return total;";
const WALKING: &str = "return entry->second[1]";
const UNWRITTEN: &str = "int before = 1;";

#[test]
fn gdb_shows_sequences_variants_and_tuples() {
    let list = format!("break {}", at(SOURCE, LIST));
    let containers = format!("break {}", at(SOURCE, CONTAINERS));
    let commands = [
        &list,
        "run",
        "p values",
        &containers,
        "continue",
        "p deque",
        "p forward",
        "p stack",
        "p heap",
        "p array",
        "p nothing",
        "p mask",
        "p variant",
        "p tuple",
        "p letter",
        "p names",
        "p *names_by_pointer",
        "p lists",
    ];
    for level in [0, 2] {
        let answers = Session::new(PROGRAM, level).invoke("run").run(&commands);
        answers.assert_values(&[
            ("p values", "std::initializer_list of length 3 = {1, 2, 3}"),
            ("p deque", "std::deque with 3 elements = {0.5, 1.5, 2.5}"),
            ("p forward", "std::forward_list = {120 'x', 121 'y'}"),
            ("p stack", "std::stack wrapping: std::deque with 2 elements = {4, 5}"),
            ("p heap", "std::priority_queue wrapping: std::vector of length 1 = {2}"),
            ("p array", "std::array = {1, 2}"),
            ("p nothing", "std::array"),
            ("p mask", "std::bitset = {[0] = 1, [2] = 1, [39] = 1}"),
            ("p variant", "std::variant [index 2] = {value = 2.5}"),
            ("p tuple", "std::tuple = {[0] = 1, [1] = 99 'c', [2] = 0x? \"three\"}"),
            ("p letter", "(char &&) @0x?: 99 'c'"),
            ("p names", "{\"one\", \"two\", \"a name that is longer than the others\"}"),
            ("p *names_by_pointer", "{\"one\", \"two\", \"a name that is longer than the others\"}"),
            ("p lists", "{std::deque with 2 elements = {1, 2}, std::deque with 1 element = {3}}"),
        ]);
    }
}

/// No function of the program's is called, and most of these it does not have.
#[test]
fn gdb_reads_members_of_the_librarys_classes() {
    let stop = format!("break {}", at(SOURCE, WALKING));
    let containers = format!("break {} if names[2].size() > 30 && names[0] == \"one\"", at(SOURCE, CONTAINERS));
    let expected = [
        ("p nested[\"two\"]", "std::vector of length 2 = {2, 22}"),
        ("p nested[key][1]", "22"),
        ("p nested.at(\"one\").front()", "1"),
        ("p nested.count(\"three\")", "0"),
        ("p nested.contains(key)", "true"),
        ("p nested.size()", "2"),
        ("p broken.size()", "5"),
        ("p *nested.begin()", "{first = \"one\", second = std::vector of length 1 = {1}}"),
        ("p nested.find(\"two\")->second[0]", "2"),
        ("p owned.begin()->get()->first", "5"),
        ("p shared->begin()[1]", "5"),
        ("p shared->end() - shared->begin()", "3"),
        ("p words[7]", "\"seven\""),
        ("p words[8][0]", "101 'e'"),
        ("p owned.front()->second", "6"),
        ("p *owned.back()", "{first = 5, second = 6}"),
        ("p letters.count('c')", "1"),
        ("p bits[1]", "false"),
        ("p bits[2]", "true"),
        ("p bits.empty()", "false"),
        ("p place->second", "4"),
        ("p *place", "{first = 3, second = 4}"),
        ("p nowhere.has_value()", "false"),
        ("p shared->name", "\"a vector\""),
        ("p (*shared)[2]", "6"),
        ("p shared->size()", "3"),
        ("p shared->back()", "6"),
        ("p weak", "std::weak_ptr = {get() = 0x?}"),
        ("p view[1]", "119 'w'"),
        ("p view == \"two\"", "true"),
        ("p key == view", "true"),
        ("p key != \"two\"", "false"),
        ("p $_streq(key.c_str(), \"two\")", "true"),
        ("p *entry", "{first = \"two\", second = std::vector of length 2 = {2, 22}}"),
        ("p entry->second[1]", "22"),
        ("whatis entry->second[1]", "type = int"),
        ("whatis entry->first.size()", "type = unsigned long"),
        ("p word->second", "\"seven\""),
        ("p *letter", "99 'c'"),
        ("p *number", "4"),
        ("p *last", "6"),
        ("p (*pointer)->first", "5"),
        ("set var shared->front() = 44", ""),
        ("p *number + 0", "44"),
        ("p deque[2]", "2.5"),
        ("p *deque.begin()", "0.5"),
        ("p variant.index()", "2"),
        ("p deque.back()", "2.5"),
        ("p forward.front()", "120 'x'"),
        ("p stack.top()", "5"),
        ("p heap.size()", "1"),
        ("p array[1]", "2"),
        ("p array.data()[1]", "2"),
        ("p nothing.empty()", "true"),
        ("p mask[39]", "true"),
        ("p mask[38]", "false"),
        ("p lists[0][1]", "2"),
    ];
    let (walking, later) = expected.split_at(expected.iter().position(|it| it.0 == "p deque[2]").expect("it is there"));
    let names = |part: &[(&'static str, &'static str)]| part.iter().map(|it| it.0).collect::<Vec<_>>();
    let errors = ["p deque[3]", "p nested[\"three\"]", "p *nowhere"];
    let commands = [
        &[stop.as_str(), "run"],
        &*names(walking),
        &[errors[1], errors[2], containers.as_str(), "continue"],
        &*names(later),
        &errors[..1],
    ];
    for level in [0, 2] {
        let answers = Session::new(PROGRAM, level).invoke("run").run(&commands.concat());
        answers.assert_values(&expected);
        // gdb says why before it answers.
        for reason in
            ["There is no element 3: there are 3.", "There is no element with this key.", "The optional has no value."]
        {
            assert!(answers.transcript().contains(reason), "{reason}: {}", answers.transcript());
        }
    }
}

#[test]
fn a_tree_that_leads_in_circles_is_left() {
    let line = line(SOURCE, WALKING);
    let stop = format!("break {SOURCE}:{line}");
    let answers = Session::new(PROGRAM, 0).invoke("run").run(&[&stop, "run", "p broken"]);
    answers.assert_contains(
        "p broken",
        0,
        &["std::map with 5 elements = {[1] = 10, [1] = 10, [1] = 10, [1] = 10, [1] = 10}"],
    );
    let stop = format!("breakpoint set --file main.cc --line {line}");
    let answers = Session::new(PROGRAM, 0).invoke("run").run_lldb(&[&stop, "run", "v broken"]);
    answers.assert_contains("v broken", 0, &["size=5", "[4]"]);
}

/// gdb 13 ended with an arithmetic error where it was the first to look at the type of the characters.
#[test]
fn gdb_lists_a_view_that_was_not_written_yet() {
    let stop = format!("break {}", at(SOURCE, UNWRITTEN));
    let answers = Session::new(PROGRAM, 0).invoke("run").run(&[&stop, "run", "info locals", "p 1 + 1"]);
    answers.assert_contains("info locals", 0, &["before = ", "view = "]);
    assert_eq!(answers.values("p 1 + 1")[0], "2");
}

#[test]
fn lldb_shows_sequences_variants_and_tuples() {
    let stop = format!("breakpoint set --file main.cc --line {}", line(SOURCE, CONTAINERS));
    let commands = [
        &stop,
        "run",
        "v deque",
        "v forward",
        "v stack",
        "v array",
        "v mask",
        "v variant",
        "v tuple",
        "v names",
        "v *names_by_pointer",
        "v lists",
        "v names_by_pointer",
    ];
    for level in [0, 2] {
        let answers = Session::new(PROGRAM, level).invoke("run").run_lldb(&commands);
        let said = |command| normalized(answers.to(command)[0]);
        assert_in_order(&said("v deque"), &["size=3", "[0] = 0.5", "[1] = 1.5", "[2] = 2.5"]);
        assert_in_order(&said("v forward"), &["size=2", "[0] = 'x'", "[1] = 'y'"]);
        assert_in_order(&said("v stack"), &["size=2", "[0] = 4", "[1] = 5"]);
        assert_in_order(&said("v array"), &["[0] = 1", "[1] = 2"]);
        assert_in_order(&said("v variant"), &["Active Type = double", "Value = 2.5"]);
        assert_in_order(&said("v tuple"), &["[0] = 1", "[1] = 'c'", "\"three\""]);
        // The name of an array's type begins with that of its elements.
        let names = ["[0] = \"one\"", "[1] = \"two\"", "[2] = \"a name that is longer than the others\""];
        assert_in_order(&said("v names"), &names);
        assert_in_order(&said("v *names_by_pointer"), &names);
        assert_in_order(&said("v names_by_pointer"), &["(*)[3]) names_by_pointer = 0x?"]);
        assert_in_order(&said("v lists"), &["[0] = size=2", "[1] = 2", "[1] = size=1", "[0] = 3"]);
    }
}
