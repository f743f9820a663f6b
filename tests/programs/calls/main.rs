//! What calls return to: natively, where the next statement loads something first that has no line, lldb stops at the call once more, and
//! where it does not, at the next statement. And what comes behind an `if` without an `else`: natively it lies before the block, from which
//! a jump leads there that has the line of the `if`.

#![no_std]
#![no_main]

extern "C" {
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    unsafe { abort() }
}

#[derive(Clone, Copy)]
enum Kind {
    Small,
    Middle,
    Large,
}

#[derive(Clone, Copy)]
struct Store {
    sum: u32,
    last: u32,
    used: u32,
    kind: Kind,
}

fn empty(kind: Kind) -> Store {
    Store { sum: 0, last: 0, used: 0, kind }
}

fn copied(from: &Store) -> Store {
    Store { used: from.used, ..*from }
}

/// Its last statement is a call, whose result is its own.
fn widened(from: &Store) -> Store {
    copied(from)
}

impl Store {
    fn push(&mut self, value: u32) -> u32 {
        self.sum = self.sum.wrapping_add(value);
        self.last = value;
        self.used = self.used.wrapping_add(1);
        self.used
    }

    fn mark(&mut self, kind: Kind) {
        self.kind = kind;
    }
}

/// Five arguments: more than fit into registers in some calling conventions.
fn fill(store: &mut Store, first: u32, second: u32, third: u32, fourth: u32) {
    store.push(first);
    store.push(second);
    store.push(third);
    store.push(fourth);
}

fn each<F: FnMut(u32, u32)>(store: &Store, mut then: F) -> u32 {
    let mut sum = 0u32;
    let mut index = 0u32;
    while index < store.used {
        let value = store.sum.wrapping_sub(index);
        then(index, value);
        sum = sum.wrapping_add(value);
        index = index.wrapping_add(1);
    }
    sum
}

fn clamp(store: &mut Store, limit: u32, really: bool) -> u32 {
    if store.sum > limit {
        store.sum = limit;
    }
    if really && store.used > 3 {
        if store.last == 1 {
            store.last = 2;
        }
        store.used = 3;
    }
    if limit > 5
        && store.used == 3
    {
        store.mark(Kind::Small);
    }
    if store.sum == 0 || limit > 7 {
        store.last ^= 1;
    }
    if !really {
        store.last ^= 2;
    }
    if limit > 6 {
        match store.last & 3 {
            1 => store.used = 4,
            _ => store.used = 5,
        }
    }
    store.last
}

fn weight(kind: Kind) -> u32 {
    let first = empty(kind);
    let second = copied(&first);
    let third = widened(&second);
    match third.kind {
        Kind::Small => 1,
        Kind::Middle => 10,
        Kind::Large => 100,
    }
}

#[no_mangle]
extern "C" fn main() -> i32 {
    let mut store = empty(Kind::Small);
    fill(&mut store, 3, 1, 4, 1);
    store.mark(Kind::Middle);
    let kind = store.kind;
    let mut last = 0u32;
    let sum = each(&store, |index, value| {
        if value > 7 {
            last = index;
        }
    });
    store.push(sum);
    let weights = weight(kind).wrapping_add(weight(Kind::Small)).wrapping_add(weight(Kind::Large));
    store.mark(Kind::Large);
    let wide = widened(&store);
    let mut limit = 4u32;
    while limit < 12 {
        last = last.wrapping_add(clamp(&mut store, limit, limit & 1 == 0));
        limit = limit.wrapping_add(3);
    }
    (wide.sum.wrapping_add(weights) as i32).wrapping_add(last as i32)
}
