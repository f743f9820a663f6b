// Exercises what Rust debug information can say: enums with and without data, Option and Result, String, Vec,
// HashMap, BTreeMap, slices, tuples, Box, Rc and RefCell, closures, generics, traits, trait objects, pattern matching.
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// A hasher without a seed, so that every run has the same order.
#[derive(Default)]
struct Plain(u64);

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

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Piece,
    Kilogram,
}

#[derive(Debug)]
enum Event {
    Nothing,
    Sold(u32),
    Moved { from: i16, to: i16 },
    Renamed(String),
}

#[derive(Debug)]
struct Item {
    name: String,
    unit: Unit,
    price: f64,
    stock: u32,
}

trait Priced {
    fn price(&self) -> f64;
    fn twice(&self) -> f64 {
        let single = self.price();
        single * 2.0
    }
}

impl Priced for Item {
    fn price(&self) -> f64 {
        self.price * self.stock as f64
    }
}

struct Fixed(f64);

impl Priced for Fixed {
    fn price(&self) -> f64 {
        self.0
    }
}

static LIMIT: u32 = 1000;

fn largest<T: PartialOrd + Copy>(values: &[T]) -> Option<T> {
    let mut best = *values.first()?;
    for &value in values {
        if value > best {
            best = value;
        }
    }
    Some(best)
}

fn describe(event: &Event) -> i32 {
    match event {
        Event::Nothing => 0,
        Event::Sold(count) => *count as i32,
        Event::Moved { from, to } => {
            let distance = to - from;
            distance as i32
        }
        Event::Renamed(name) => name.len() as i32,
    }
}

fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
    let number = text.trim().parse::<u32>()?;
    Ok(number.min(LIMIT))
}

fn fibonacci(n: u32) -> u64 {
    if n < 2 {
        return n as u64;
    }
    let left = fibonacci(n - 1);
    let right = fibonacci(n - 2);
    left + right
}

fn total(priced: &[Box<dyn Priced>]) -> f64 {
    let mut sum = 0.0;
    for it in priced {
        sum += it.twice();
    }
    sum
}

fn main() {
    let items = vec![
        Item { name: String::from("apple"), unit: Unit::Piece, price: 0.5, stock: 12 },
        Item { name: "flour".to_string(), unit: Unit::Kilogram, price: 1.25, stock: 4 },
    ];
    let mut worth = 0.0;
    for item in &items {
        if item.unit == Unit::Kilogram {
            worth += item.price() * 10.0;
        } else {
            worth += item.price();
        }
    }

    let numbers = [3i32, -1, 4, 1, -5, 9, 2];
    let middle = &numbers[2..5];
    let best = largest(middle);
    let nothing: Option<i32> = largest(&numbers[..0]);

    let mut counts: HashMap<u32, &str, BuildHasherDefault<Plain>> = HashMap::default();
    counts.insert(1, "one");
    counts.insert(2, "two");
    let mut sorted = BTreeMap::new();
    sorted.insert("b", 2u8);
    sorted.insert("a", 1u8);
    let two = counts.get(&2).copied();

    let events = vec![
        Event::Nothing,
        Event::Sold(7),
        Event::Moved { from: -3, to: 4 },
        Event::Renamed("pear".to_string()),
    ];
    let mut score = 0;
    for event in &events {
        score += describe(event);
    }

    let good = parse(" 4321 ");
    let bad = parse("many").is_err();
    let term = fibonacci(4);

    let factor = 3;
    let scale = |value: i32| -> i32 {
        let scaled = value * factor;
        scaled + score
    };
    let scaled = scale(5);

    let priced: Vec<Box<dyn Priced>> = vec![Box::new(Fixed(2.5))];
    let sum = total(&priced);

    let shared = Rc::new(RefCell::new(vec![1u8, 2, 3]));
    let other = Rc::clone(&shared);
    other.borrow_mut().push(4);
    let length = shared.borrow().len();
    let cell = Cell::new('x');
    cell.set('ß');
    let pair = (1u8, "pair", 2.5f32);
    let wide = i128::from(term) << 70;

    println!(
        "{} {} {:?} {:?} {:?} {} {:?} {} {} {} {} {} {} {:?} {}",
        worth, items.len(), best, nothing, two, score, good, bad, term, scaled, sum, length, cell.get(), pair, wide
    );
    std::process::exit(if score == 18 && sorted.len() == 2 { 0 } else { 1 });
}
