// What the table of abilities is asked of, in Rust. Functions are kept out of line and their variables in memory, so that
// the optimized build can be asked the same questions.
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicI32, Ordering};

/// A hasher without a seed, so that every run has the same order.
#[derive(Default)]
pub struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.wrapping_mul(31).wrapping_add(byte as u64);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Color {
    Red,
    Green = 5,
    Blue,
}

pub enum Event {
    Nothing,
    Sold(u32),
    Moved { from: i16, to: i16 },
    Renamed(String),
}

type Operation = fn(i32, i32) -> i32;

pub struct Node {
    name: &'static str,
    value: i32,
    color: Color,
    apply: Operation,
    scores: [i16; 4],
    next: Option<Box<Node>>,
}

pub trait Shape {
    fn area(&self) -> i32;
}

pub struct Circle {
    radius: i32,
}

impl Shape for Circle {
    #[inline(never)]
    fn area(&self) -> i32 {
        let square = self.radius * self.radius;
        3 * square
    }
}

static COUNTER: AtomicI32 = AtomicI32::new(3);
#[unsafe(no_mangle)]
pub static WAITING: AtomicI32 = AtomicI32::new(0);
#[unsafe(no_mangle)]
pub static FAILING: AtomicI32 = AtomicI32::new(0);

#[inline(never)]
fn keep<T>(variable: &T) {
    std::hint::black_box(variable);
}

#[inline(never)]
fn add(left: i32, right: i32) -> i32 {
    COUNTER.fetch_add(1, Ordering::Relaxed);
    left + right
}

#[inline(never)]
fn multiply(left: i32, right: i32) -> i32 {
    COUNTER.fetch_add(2, Ordering::Relaxed);
    left * right
}

#[inline(never)]
fn push(next: Option<Box<Node>>, name: &'static str, value: i32, color: Color, apply: Operation) -> Option<Box<Node>> {
    let base = value as i16;
    let scores = [base, base - 1, base - 2, base - 3];
    Some(Box::new(Node { name, value, color, apply, scores, next }))
}

#[inline(never)]
fn score(it: &Node, bonus: i32) -> i32 {
    let part = (it.apply)(it.value, bonus);
    keep(&part);
    part
}

#[inline(never)]
fn visit(list: &Node, bonus: i32) -> i32 {
    let mut sum = bonus;
    keep(&sum);
    let mut it = list;
    loop {
        let part = score(it, bonus);
        sum += part;
        keep(&sum);
        match &it.next {
            Some(next) => it = next,
            None => return sum,
        }
    }
}

#[inline(never)]
fn describe(event: &Event) -> i32 {
    match event {
        Event::Nothing => 0,
        Event::Sold(count) => *count as i32,
        Event::Moved { from, to } => (to - from) as i32,
        Event::Renamed(name) => name.len() as i32,
    }
}

type Counts = HashMap<u32, &'static str, BuildHasherDefault<Plain>>;

#[inline(never)]
fn inspect(greeting: &String, numbers: &Vec<i32>, counts: &Counts, events: &[Event; 4], shape: &dyn Shape) {
    keep(&greeting);
    keep(&numbers);
    keep(&counts);
    keep(&events);
    keep(&shape);
}

#[inline(never)]
fn descend(depth: u32) -> u32 {
    let mut below = depth;
    keep(&below);
    if depth > 1 {
        below += descend(depth - 1);
    }
    keep(&below);
    below
}

#[inline(never)]
fn fail(wild: *const i32) -> i32 {
    let found = unsafe { *wild };
    found
}

fn main() {
    WAITING.store((std::env::args().nth(1).as_deref() == Some("wait")) as i32, Ordering::Relaxed);
    // wasm's loads are plain without threads: LLVM would take one that is not volatile out of the loop.
    while unsafe { WAITING.as_ptr().read_volatile() } != 0 {}
    let mut list = push(None, "first", 1, Color::Red, add);
    list = push(list, "second", 22, Color::Green, multiply);
    list = push(list, "third", 333, Color::Blue, add);
    let head = list.expect("it is not empty");
    let total = visit(&head, 10);
    keep(&total);

    let greeting = String::from("hello");
    let numbers = vec![3i32, 1, 4, 1, 5];
    let mut counts: Counts = HashMap::default();
    counts.insert(1, "one");
    counts.insert(2, "two");
    let events = [Event::Nothing, Event::Sold(7), Event::Moved { from: -3, to: 4 }, Event::Renamed("pear".to_string())];
    let circle = Circle { radius: 2 };
    inspect(&greeting, &numbers, &counts, &events, &circle);
    let mut score = 0;
    for event in &events {
        score += describe(event);
    }
    let shape: &dyn Shape = &circle;
    let area = shape.area();
    let depth = descend(4);
    println!(
        "total {total}, score {score}, area {area}, depth {depth}, counter {}, {greeting} {} {}",
        COUNTER.load(Ordering::Relaxed),
        numbers.len(),
        counts.len()
    );
    if FAILING.load(Ordering::Relaxed) != 0 {
        std::process::exit(fail(0xfffffff0 as *const i32));
    }
}
