//! Both debuggers on collections, counted references and trait objects of Rust 1.95's `alloc`.

use tests::{Session, assert_in_order, at, line, normalized};

const SOURCE: &str = "collections/main.rs";
const PROGRAM: &str = "collections/collections";
const COLLECTIONS: &str = "let size = tree.len()";
const COUNTED: &str = "let result = leaf.children";
const TRAIT_OBJECTS: &str = "area + shared.area()";
const BY_REFERENCE: &str = "count += letter as usize";
const BORROWED: &str = "let count = reader.len()";

#[test]
fn gdb_shows_collections_and_counted_references() {
    let stops = [COLLECTIONS, COUNTED, TRAIT_OBJECTS, BORROWED].map(|text| format!("tbreak {}", at(SOURCE, text)));
    let [collections, counted, objects, borrowed] = stops.each_ref().map(String::as_str);
    let objects = [objects, "run", "p shared", "p boxed", borrowed, "continue", "p reader"];
    let counted = [counted, "continue", "p branch", "p leaf->value", "p text", "p slice", "p boxed"];
    // gdb 13 ends where it prints an array of enums itself.
    let collections =
        [collections, "continue", "p tree", "p set", "p heap", "p list", "p queue", "p grid", "p fine", "p number"];
    let commands: Vec<&str> = [&objects[..], &counted, &collections].concat();
    for level in [0, 2] {
        let answers = Session::new(PROGRAM, level).run(&commands);
        let said = |command| answers.values(command)[0].clone();
        assert_eq!(said("p shared"), "Rc(strong=1, weak=0) = {value = collections::Square {side: 4}}");
        assert_in_order(&said("p boxed"), &["<<collections::Square as collections::Shape>::{vtable}>"]);
        assert_eq!(said("p reader"), "Ref = {value = Vec(size=3) = {1, 2, 3}}");
        let branch = [
            "Rc(strong=1, weak=1) = {value = collections::Node {value: 5, parent: RefCell(borrow=0) = {value = ",
            "Weak(dangling)}, children: RefCell(borrow=0) = {value = Vec(size=1) = {Rc(strong=2, weak=0) = ",
            "value: 3, parent: RefCell(borrow=0) = {value = Weak(strong=1, weak=1)}",
        ];
        assert_in_order(&said("p branch"), &branch);
        assert_eq!(said("p text"), "Rc(strong=1, weak=0) = {value = \"shared\"}");
        assert_eq!(said("p slice"), "Arc(strong=1, weak=0) = {value = [5, 6]}");
        assert_eq!(answers.values("p boxed")[1], "\"boxed\"");
        assert_in_order(&said("p tree"), &["BTreeMap(size=20) = {[0] = 0, [1] = 100,", "[18] = 1800, [19] = 1900}"]);
        assert_eq!(said("p set"), "BTreeSet(size=3) = {-1, 2, 3}");
        assert_eq!(said("p heap"), "BinaryHeap(size=3) = {5, 1, 4}");
        assert_eq!(said("p list"), "LinkedList(size=2) = {\"a\", \"b\"}");
        assert_eq!(said("p queue"), "VecDeque(size=3) = {7, 1, 2}");
        let some = |number| format!("core::option::Option<i16>::Some({number})");
        let none = "core::option::Option<i16>::None";
        let grid = format!("{{items: {{{{{}, {none}}}, {{{none}, {}}}}}}}", some(4), some(-6));
        assert_in_order(&said("p grid"), &["collections::Grid<2> ", &grid]);
        assert_eq!(said("p fine"), "core::result::Result<(), i16>::Ok(())");
        assert_eq!(said("p number"), "-4");
    }
}

#[test]
fn lldb_shows_collections_and_counted_references() {
    let stops = [COLLECTIONS, COUNTED, TRAIT_OBJECTS, BORROWED]
        .map(|text| format!("breakpoint set --one-shot true --file main.rs --line {}", line(SOURCE, text)));
    let [collections, counted, objects, borrowed] = stops.each_ref().map(String::as_str);
    let objects = [objects, "run", "v plain", "v boxed->side", "v *shared", borrowed, "continue", "v reader"];
    let counted = [counted, "continue", "v branch", "v leaf.value.parent.value->value", "v text", "v slice"];
    let collections =
        [collections, "continue", "v tree", "v set", "v heap", "v list", "v queue", "v grid", "v fine", "v number"];
    let commands: Vec<&str> = [&objects[..], &counted, &collections].concat();
    for level in [0, 2] {
        let answers = Session::new(PROGRAM, level).run_lldb(&commands);
        let said = |command| normalized(answers.to(command)[0]);
        assert_in_order(&said("v plain"), &["plain = collections::Square {", "object = (side = 2)"]);
        assert_in_order(&said("v boxed->side"), &["boxed->side = 3"]);
        assert_in_order(&said("v *shared"), &["(collections::Square) *shared = (side = 4)"]);
        assert_in_order(&said("v reader"), &["value = size=3", "[2] = '\\x03'"]);
        let branch = ["strong=1, weak=1", "value = 5", "value = dangling", "size=1", "strong=2, weak=0", "value = 3"];
        assert_in_order(&said("v branch"), &branch);
        // What a Weak refers to may refer back.
        assert_in_order(&said("v branch"), &["value = strong=1, weak=1\n"]);
        assert_in_order(&said("v leaf.value.parent.value->value"), &["= 5"]);
        assert_in_order(&said("v text"), &["text = \"shared\" strong=1, weak=0", "value = \"shared\""]);
        assert_in_order(&said("v slice"), &["strong=1, weak=0", "value = ([0] = 5, [1] = 6)"]);
        assert_in_order(&said("v tree"), &["size=20", "[0] = (__0 = 0, __1 = 0)", "[19] = (__0 = 19, __1 = 1900)"]);
        assert_in_order(&said("v set"), &["size=3", "[0] = -1", "[1] = 2", "[2] = 3"]);
        assert_in_order(&said("v heap"), &["size=3", "[0] = '\\x05'"]);
        assert_in_order(&said("v list"), &["size=2", "[0] = \"a\"", "[1] = \"b\""]);
        assert_in_order(&said("v queue"), &["size=3", "[0] = 7", "[1] = 1", "[2] = 2"]);
        assert_in_order(&said("v grid"), &["Some(4)", "None", "None", "Some(-6)"]);
        assert_in_order(&said("v fine"), &["fine = Ok(())"]);
        assert_in_order(&said("v number"), &["number = -4"]);
    }
}

#[test]
fn an_argument_by_reference_is_shown_in_all_of_its_function() {
    let gdb = format!("break {}", at(SOURCE, BY_REFERENCE));
    let lldb = format!("breakpoint set --file main.rs --line {}", line(SOURCE, BY_REFERENCE));
    for level in [0, 2] {
        let answers = Session::new(PROGRAM, level).run(&[&gdb, "run", "continue", "p pair"]);
        assert_eq!(answers.values("p pair")[0], "(-1, \"pair\", 1099511627776)");
        let answers = Session::new(PROGRAM, level).run_lldb(&[&lldb, "run", "continue", "v pair"]);
        assert_in_order(answers.to("v pair")[0], &["__0 = '\\xff'", "__1 = \"pair\"", "__2 = 1099511627776"]);
    }
}
