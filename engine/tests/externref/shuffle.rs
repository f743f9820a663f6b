//! Random modules that shuffle references, held against a model of them.
//!
//! A program is a list of functions over locals, globals, a table and a source of pseudo-random bits. It is written as text
//! and compiled, and it is interpreted by the model; both must show the host the same values in the same order. After each
//! run, what is alive after a collection is what the model's table and globals hold.
//!
//! `SHUFFLE_ROUNDS` says how many programs there are (60), `SHUFFLE_SEED` which one is the first.

use crate::{Live, engine, id};
use std::collections::HashSet;
use std::fmt::Write;
use wasmscope::{Caller, Engine, ExternRef, Linker, Module, OptLevel, Store};

const LOCALS: usize = 4;
const PARAMS: usize = 2;
const GLOBALS: usize = 3;
const TABLE: usize = 6;
const FUNCTIONS: usize = 5;

#[derive(Clone)]
enum Expr {
    Local(usize),
    Global(usize),
    Table(usize),
    Make,
    Null,
    Tee(usize, Box<Expr>),
    Select(Box<Expr>, Box<Expr>),
    /// A block whose result is the first value if a bit is set.
    Block(Box<Expr>, Box<Expr>),
    Call(usize, Box<Expr>, Box<Expr>),
}

#[derive(Clone)]
enum Stmt {
    Set(usize, Expr),
    SetGlobal(usize, Expr),
    SetTable(usize, Expr),
    Fill(usize, usize, Expr),
    Copy(usize, usize, usize),
    Observe(Expr),
    /// Exchanges two locals through the two results of a call.
    Swap(usize, usize),
    Gc,
    If(Vec<Stmt>, Vec<Stmt>),
    Loop(u32, Vec<Stmt>),
    /// Leaves the enclosing block if a bit is set.
    Leave(Vec<Stmt>, Vec<Stmt>),
}

#[derive(Clone)]
struct Function {
    body: Vec<Stmt>,
    result: Expr,
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % bound
    }

    fn expr(&mut self, function: usize, depth: usize) -> Expr {
        let leaf = depth == 0;
        match self.below(if leaf { 7 } else { 13 }) {
            0..=2 => Expr::Local(self.below(LOCALS)),
            3 => Expr::Global(self.below(GLOBALS)),
            4 => Expr::Table(self.below(TABLE)),
            5 => Expr::Make,
            6 => Expr::Null,
            7 | 8 => Expr::Tee(self.below(LOCALS), self.boxed(function, depth)),
            9 => Expr::Select(self.boxed(function, depth), self.boxed(function, depth)),
            10 => Expr::Block(self.boxed(function, depth), self.boxed(function, depth)),
            _ if function + 1 < FUNCTIONS => {
                let callee = function + 1 + self.below(FUNCTIONS - function - 1);
                Expr::Call(callee, self.boxed(function, depth), self.boxed(function, depth))
            }
            _ => Expr::Make,
        }
    }

    fn boxed(&mut self, function: usize, depth: usize) -> Box<Expr> {
        Box::new(self.expr(function, depth - 1))
    }

    fn stmt(&mut self, function: usize, depth: usize) -> Stmt {
        let bound = if depth == 0 { 11 } else { 15 };
        match self.below(bound) {
            0..=2 => Stmt::Set(self.below(LOCALS), self.expr(function, 2)),
            3 => Stmt::SetGlobal(self.below(GLOBALS), self.expr(function, 2)),
            4 => Stmt::SetTable(self.below(TABLE), self.expr(function, 2)),
            5 => {
                let at = self.below(TABLE);
                Stmt::Fill(at, self.below(TABLE - at + 1), self.expr(function, 1))
            }
            6 => {
                let (to, from) = (self.below(TABLE), self.below(TABLE));
                Stmt::Copy(to, from, self.below(TABLE - to.max(from) + 1))
            }
            7 | 8 => Stmt::Observe(self.expr(function, 2)),
            9 => Stmt::Swap(self.below(LOCALS), self.below(LOCALS)),
            10 => Stmt::Gc,
            11 | 12 => Stmt::If(self.stmts(function, depth - 1), self.stmts(function, depth - 1)),
            13 => Stmt::Loop(1 + self.below(3) as u32, self.stmts(function, depth - 1)),
            _ => Stmt::Leave(self.stmts(function, depth - 1), self.stmts(function, depth - 1)),
        }
    }

    fn stmts(&mut self, function: usize, depth: usize) -> Vec<Stmt> {
        (0..=self.below(4)).map(|_| self.stmt(function, depth)).collect()
    }

    fn program(&mut self) -> Vec<Function> {
        (0..FUNCTIONS)
            .map(|function| Function { body: self.stmts(function, 2), result: self.expr(function, 2) })
            .collect()
    }
}

/// The program in the text format.
struct Text {
    out: String,
    /// How many counters of loops the function has.
    counters: usize,
}

impl Text {
    fn program(functions: &[Function]) -> String {
        let mut text = Text {
            out: String::from(
                r#"(module
                (import "" "make" (func $make (result externref)))
                (import "" "observe" (func $observe (param externref)))
                (import "" "gc" (func $gc))
                (table $t 6 externref)
                (global $seed (mut i32) (i32.const 1))
                (global $g0 (mut externref) (ref.null extern))
                (global $g1 (mut externref) (ref.null extern))
                (global $g2 (mut externref) (ref.null extern))
                (func $bit (result i32)
                    (global.set $seed (i32.add (i32.mul (global.get $seed) (i32.const 1103515245)) (i32.const 12345)))
                    (i32.and (i32.shr_u (global.get $seed) (i32.const 16)) (i32.const 1)))
                (func $swap (param externref externref) (result externref externref)
                    (call $gc) (local.get 1) (local.get 0))
                (func (export "run") (param $seed i32) (param $a externref) (param $b externref) (result externref)
                    (global.set $seed (local.get $seed))
                    (call $f0 (local.get $a) (local.get $b)))"#,
            ),
            counters: 0,
        };
        for (number, function) in functions.iter().enumerate() {
            let mut body = Text { out: String::new(), counters: 0 };
            function.body.iter().for_each(|stmt| body.stmt(stmt));
            body.expr(&function.result);
            let counters = "(local i32)".repeat(body.counters);
            let locals = "(local externref)".repeat(LOCALS - PARAMS);
            text.push(&format!(
                "\n(func $f{number} (param externref externref) (result externref) {locals} {counters}\n{})",
                body.out
            ));
        }
        text.push(")");
        text.out
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Local(local) => write!(self.out, "(local.get {local})").unwrap(),
            Expr::Global(global) => write!(self.out, "(global.get $g{global})").unwrap(),
            Expr::Table(index) => write!(self.out, "(table.get $t (i32.const {index}))").unwrap(),
            Expr::Make => self.push("(call $make)"),
            Expr::Null => self.push("(ref.null extern)"),
            Expr::Tee(local, value) => {
                self.expr(value);
                write!(self.out, " local.tee {local} ").unwrap();
            }
            Expr::Select(a, b) => {
                self.expr(a);
                self.expr(b);
                self.push(" (call $bit) select (result externref) ");
            }
            Expr::Block(a, b) => {
                self.push("(block (result externref) ");
                self.expr(a);
                self.push(" (br_if 0 (call $bit)) drop ");
                self.expr(b);
                self.push(")");
            }
            Expr::Call(callee, a, b) => {
                self.expr(a);
                self.expr(b);
                write!(self.out, " (call $f{callee}) ").unwrap();
            }
        }
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        stmts.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Set(local, value) => {
                self.expr(value);
                writeln!(self.out, " local.set {local}").unwrap();
            }
            Stmt::SetGlobal(global, value) => {
                self.expr(value);
                writeln!(self.out, " global.set $g{global}").unwrap();
            }
            Stmt::SetTable(index, value) => {
                write!(self.out, "i32.const {index} ").unwrap();
                self.expr(value);
                self.push(" table.set $t\n");
            }
            Stmt::Fill(at, len, value) => {
                write!(self.out, "i32.const {at} ").unwrap();
                self.expr(value);
                writeln!(self.out, " i32.const {len} table.fill $t").unwrap();
            }
            Stmt::Copy(to, from, len) => {
                writeln!(self.out, "(table.copy $t $t (i32.const {to}) (i32.const {from}) (i32.const {len}))").unwrap();
            }
            Stmt::Observe(value) => {
                self.expr(value);
                self.push(" call $observe\n");
            }
            Stmt::Swap(a, b) => {
                writeln!(self.out, "local.get {a} local.get {b} call $swap local.set {b} local.set {a}").unwrap();
            }
            Stmt::Gc => self.push("call $gc\n"),
            Stmt::If(then, otherwise) => {
                self.push("(if (call $bit) (then\n");
                self.stmts(then);
                self.push(") (else\n");
                self.stmts(otherwise);
                self.push("))\n");
            }
            Stmt::Loop(count, body) => {
                let counter = LOCALS + self.counters;
                self.counters += 1;
                writeln!(self.out, "(local.set {counter} (i32.const {count})) (loop").unwrap();
                self.stmts(body);
                writeln!(self.out, "(br_if 0 (local.tee {counter} (i32.sub (local.get {counter}) (i32.const 1)))))")
                    .unwrap();
            }
            Stmt::Leave(before, after) => {
                self.push("(block\n");
                self.stmts(before);
                self.push("(br_if 0 (call $bit))\n");
                self.stmts(after);
                self.push(")\n");
            }
        }
    }
}

/// The programs with one statement left out, or one value replaced by a simpler one.
fn simpler(program: &[Function]) -> Vec<Vec<Function>> {
    fn exprs(expr: &Expr, put: &mut dyn FnMut(Expr)) {
        if !matches!(expr, Expr::Null | Expr::Local(_)) {
            put(Expr::Null);
            put(Expr::Local(0));
        }
        let mut parts = |a: &Expr, b: &Expr, make: &dyn Fn(Box<Expr>, Box<Expr>) -> Expr| {
            put(a.clone());
            put(b.clone());
            exprs(a, &mut |a| put(make(Box::new(a), Box::new(b.clone()))));
            exprs(b, &mut |b| put(make(Box::new(a.clone()), Box::new(b))));
        };
        match expr {
            Expr::Select(a, b) => parts(a, b, &Expr::Select),
            Expr::Block(a, b) => parts(a, b, &Expr::Block),
            Expr::Call(callee, a, b) => parts(a, b, &|a, b| Expr::Call(*callee, a, b)),
            Expr::Tee(local, value) => {
                put((**value).clone());
                exprs(value, &mut |value| put(Expr::Tee(*local, Box::new(value))));
            }
            _ => {}
        }
    }
    fn stmt(of: &Stmt, put: &mut dyn FnMut(Vec<Stmt>)) {
        let mut one = |of: &Expr, make: &dyn Fn(Expr) -> Stmt| exprs(of, &mut |expr| put(vec![make(expr)]));
        match of {
            Stmt::Set(local, value) => one(value, &|value| Stmt::Set(*local, value)),
            Stmt::SetGlobal(global, value) => one(value, &|value| Stmt::SetGlobal(*global, value)),
            Stmt::SetTable(index, value) => one(value, &|value| Stmt::SetTable(*index, value)),
            Stmt::Fill(at, len, value) => one(value, &|value| Stmt::Fill(*at, *len, value)),
            Stmt::Observe(value) => one(value, &Stmt::Observe),
            Stmt::Loop(count, body) => {
                put(body.clone());
                stmts(body, &mut |body| put(vec![Stmt::Loop(*count, body)]));
            }
            Stmt::If(a, b) | Stmt::Leave(a, b) => {
                let make = |a, b| match of {
                    Stmt::If(..) => Stmt::If(a, b),
                    _ => Stmt::Leave(a, b),
                };
                put(a.clone());
                put(b.clone());
                stmts(a, &mut |a| put(vec![make(a, b.clone())]));
                stmts(b, &mut |b| put(vec![make(a.clone(), b)]));
            }
            Stmt::Copy(..) | Stmt::Swap(..) | Stmt::Gc => {}
        }
    }
    fn stmts(of: &[Stmt], put: &mut dyn FnMut(Vec<Stmt>)) {
        for at in 0..of.len() {
            let mut with = |middle: Vec<Stmt>| put([&of[..at], &middle, &of[at + 1..]].concat());
            with(Vec::new());
            stmt(&of[at], &mut with);
        }
    }
    let mut all = Vec::new();
    for at in 0..program.len() {
        let mut with = |function: Function| {
            let mut program = program.to_vec();
            program[at] = function;
            all.push(program);
        };
        let function = &program[at];
        stmts(&function.body, &mut |body| with(Function { body, ..function.clone() }));
        exprs(&function.result, &mut |result| with(Function { result, ..function.clone() }));
    }
    all
}

type Reference = Option<u32>;

/// What the program does, with numbers instead of references.
#[derive(Default)]
struct Model {
    seed: u32,
    globals: [Reference; GLOBALS],
    table: [Reference; TABLE],
    next_id: u32,
    observed: Vec<Reference>,
    steps: u32,
}

/// Programs that run longer are left out.
const MAX_STEPS: u32 = 20_000;

impl Model {
    fn bit(&mut self) -> bool {
        self.seed = self.seed.wrapping_mul(1_103_515_245).wrapping_add(12345);
        self.seed >> 16 & 1 != 0
    }

    fn make(&mut self) -> Reference {
        self.next_id += 1;
        Some(self.next_id)
    }

    fn call(&mut self, functions: &[Function], number: usize, a: Reference, b: Reference) -> Option<Reference> {
        let mut locals = [None; LOCALS];
        (locals[0], locals[1]) = (a, b);
        self.stmts(functions, &mut locals, &functions[number].body)?;
        self.expr(functions, &mut locals, &functions[number].result)
    }

    fn expr(&mut self, functions: &[Function], locals: &mut [Reference; LOCALS], expr: &Expr) -> Option<Reference> {
        Some(match expr {
            Expr::Local(local) => locals[*local],
            Expr::Global(global) => self.globals[*global],
            Expr::Table(index) => self.table[*index],
            Expr::Make => self.make(),
            Expr::Null => None,
            Expr::Tee(local, value) => {
                let value = self.expr(functions, locals, value)?;
                locals[*local] = value;
                value
            }
            Expr::Select(a, b) => {
                let (a, b) = (self.expr(functions, locals, a)?, self.expr(functions, locals, b)?);
                if self.bit() { a } else { b }
            }
            Expr::Block(a, b) => {
                let a = self.expr(functions, locals, a)?;
                if self.bit() { a } else { self.expr(functions, locals, b)? }
            }
            Expr::Call(callee, a, b) => {
                let (a, b) = (self.expr(functions, locals, a)?, self.expr(functions, locals, b)?);
                self.call(functions, *callee, a, b)?
            }
        })
    }

    fn stmts(&mut self, functions: &[Function], locals: &mut [Reference; LOCALS], stmts: &[Stmt]) -> Option<()> {
        stmts.iter().try_for_each(|stmt| self.stmt(functions, locals, stmt))
    }

    fn stmt(&mut self, functions: &[Function], locals: &mut [Reference; LOCALS], stmt: &Stmt) -> Option<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return None;
        }
        match stmt {
            Stmt::Set(local, value) => locals[*local] = self.expr(functions, locals, value)?,
            Stmt::SetGlobal(global, value) => self.globals[*global] = self.expr(functions, locals, value)?,
            Stmt::SetTable(index, value) => self.table[*index] = self.expr(functions, locals, value)?,
            Stmt::Fill(at, len, value) => {
                let value = self.expr(functions, locals, value)?;
                self.table[*at..at + len].fill(value);
            }
            Stmt::Copy(to, from, len) => self.table.copy_within(*from..from + len, *to),
            Stmt::Observe(value) => {
                let value = self.expr(functions, locals, value)?;
                self.observed.push(value);
            }
            Stmt::Swap(a, b) => {
                let (first, second) = (locals[*a], locals[*b]);
                locals[*b] = first;
                locals[*a] = second;
            }
            Stmt::Gc => {}
            Stmt::If(then, otherwise) => {
                let branch = if self.bit() { then } else { otherwise };
                self.stmts(functions, locals, branch)?;
            }
            Stmt::Loop(count, body) => (0..*count).try_for_each(|_| self.stmts(functions, locals, body))?,
            Stmt::Leave(before, after) => {
                self.stmts(functions, locals, before)?;
                if !self.bit() {
                    self.stmts(functions, locals, after)?;
                }
            }
        }
        Some(())
    }

    /// The values that the table and the globals hold.
    fn reachable(&self) -> HashSet<u32> {
        self.globals.iter().chain(&self.table).copied().flatten().collect()
    }
}

/// The host's side of a run.
struct Host {
    live: Live,
    next_id: u32,
    observed: Vec<Reference>,
}

fn run(program: &[Function], module: &Module, model: &mut Model, seed: u32) -> Option<()> {
    let live = Live::default();
    let engine = module.engine().clone();
    let mut linker = Linker::new(&engine);
    linker
        .func_wrap("", "make", |mut caller: Caller<'_, Host>| {
            let host = caller.data_mut();
            host.next_id += 1;
            Some(host.live.make(host.next_id))
        })
        .unwrap();
    linker
        .func_wrap("", "observe", |mut caller: Caller<'_, Host>, reference: Option<ExternRef>| {
            caller.data_mut().observed.push(reference.as_ref().map(id));
        })
        .unwrap();
    linker.func_wrap("", "gc", |mut caller: Caller<'_, Host>| caller.gc()).unwrap();
    let mut store = Store::new(&engine, Host { live: live.clone(), next_id: 0, observed: Vec::new() });
    let instance = linker.instantiate(&mut store, module).unwrap();
    let run = instance
        .get_typed_func::<(u32, Option<ExternRef>, Option<&ExternRef>), Option<ExternRef>>(&mut store, "run")
        .unwrap();
    for round in 0..3 {
        model.seed = seed + round;
        let (a, b) = (model.make(), model.make());
        model.steps = 0;
        let expected = model.call(program, 0, a, b)?;
        store.data_mut().next_id += 2;
        let reference = |id: Reference| id.map(|id| live.make(id));
        let borrowed = reference(b);
        let result = run.call(&mut store, (seed + round, reference(a), borrowed.as_ref())).unwrap();
        assert_eq!(result.as_ref().map(id), expected, "result");
        assert_eq!(store.data().observed, model.observed, "what the host was shown");
        drop((result, borrowed));
        store.gc();
        assert_eq!(live.count(), model.reachable().len(), "what is alive beside what can be reached");
    }
    drop(store);
    assert_eq!(live.count(), 0);
    Some(())
}

#[test]
fn random_modules_agree_with_the_model() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (rounds, first) = (number("SHUFFLE_ROUNDS", 60), number("SHUFFLE_SEED", 1));
    let engines: Vec<_> = [OptLevel::Speed, OptLevel::None]
        .into_iter()
        .flat_map(|opt_level| [engine(opt_level, true), engine(opt_level, false)])
        .collect();
    let mut ran = 0;
    let attempt = |program: &[Function], engine: &Engine, seed: u64| {
        let module = Module::new(engine, Text::program(program)).expect("programs are valid");
        std::panic::catch_unwind(|| run(program, &module, &mut Model::default(), seed as u32))
    };
    for seed in first..first + rounds {
        let mut program = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).program();
        for engine in &engines {
            if let Ok(outcome) = attempt(&program, engine, seed) {
                ran += u64::from(outcome.is_some());
                continue;
            }
            std::panic::set_hook(Box::new(|_| {}));
            while let Some(found) =
                simpler(&program).into_iter().find(|program| attempt(program, engine, seed).is_err())
            {
                program = found;
            }
            drop(std::panic::take_hook());
            eprintln!("seed {seed}, {:?}:\n{}", engine.tunables(), Text::program(&program));
            attempt(&program, engine, seed).map(drop).unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    }
    let made = crate::MADE.load(std::sync::atomic::Ordering::Relaxed);
    println!("{ran} runs of {rounds} programs, {made} host values");
    assert!(ran > rounds * 3, "only {ran} of {} runs were short enough", rounds * 4);
}
