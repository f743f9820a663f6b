// Results of Rust that come through memory.
#![no_std]
#![no_main]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

pub struct Point {
    x: i32,
    y: i32,
}

pub enum Token {
    Number(f64),
    Pair(u8, i32),
    End,
}

#[derive(Clone, Copy)]
pub enum Small {
    None,
    Some(u8),
}

#[inline(never)]
fn point(x: i32) -> Point {
    Point { x, y: -x }
}

#[inline(never)]
fn tuple(x: i32) -> (i32, u8, f64) {
    (x, 3, 1.5)
}

#[inline(never)]
fn same(text: &str) -> &str {
    text
}

#[inline(never)]
fn token(x: i32) -> Token {
    match x {
        0 => Token::End,
        1 => Token::Number(2.5),
        _ => Token::Pair(4, x),
    }
}

#[inline(never)]
fn small(x: u8) -> Small {
    if x == 0 {
        Small::None
    } else {
        Small::Some(x)
    }
}

// As small as a pointer, but of two values.
#[inline(never)]
fn bytes(x: u8) -> (u8, u8) {
    (x, x + 1)
}

#[inline(never)]
fn array(x: i64) -> [i64; 3] {
    [x, x, 7]
}

#[no_mangle]
pub extern "C" fn run() -> i32 {
    let first = point(1);
    let second = tuple(2);
    let third = same("third");
    let fourth = token(4);
    let fifth = small(5);
    let sixth = array(6);
    let seventh = bytes(7);
    let number = match fourth {
        Token::Number(number) => number as i32,
        Token::Pair(_, number) => number,
        Token::End => 0,
    };
    let few = if let Small::Some(few) = fifth { few } else { 0 };
    first.x ^ first.y ^ second.0 ^ third.len() as i32 ^ number ^ few as i32 ^ sixth[2] as i32 ^ seventh.1 as i32
}
