//! Collections of `alloc` and what else the debuggers' helpers have to know of Rust.
#![no_std]
#![no_main]
#![allow(unused)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap, LinkedList, VecDeque};
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, RefCell};
use core::num::NonZeroI16;

/// Memory that is never given back.
struct Bump;

static mut NEXT: usize = 0;

unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if NEXT == 0 {
            NEXT = core::arch::wasm32::memory_grow::<0>(16) << 16;
        }
        let place = (NEXT + layout.align() - 1) & !(layout.align() - 1);
        NEXT = place + layout.size();
        place as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

trait Shape {
    fn area(&self) -> u32;
}

struct Square {
    side: u32,
}

impl Shape for Square {
    fn area(&self) -> u32 {
        self.side * self.side
    }
}

struct Node {
    value: i32,
    parent: RefCell<Weak<Node>>,
    children: RefCell<Vec<Rc<Node>>>,
}

struct Grid<const N: usize> {
    items: [[Option<i16>; N]; 2],
}

/// The caller passes `pair` by reference.
fn by_reference(pair: (i8, &str, u64)) -> usize {
    let mut count = 0;
    for letter in pair.1.bytes() {
        count += letter as usize;
    }
    count + pair.0 as usize
}

fn trait_objects(plain: &dyn Shape, boxed: Box<dyn Shape>, shared: Rc<dyn Shape>) -> u32 {
    let area = plain.area() + boxed.area();
    area + shared.area()
}

fn borrowed(cell: &RefCell<Vec<u8>>) -> usize {
    let reader = cell.borrow();
    let count = reader.len();
    count
}

fn counted() -> usize {
    let leaf = Rc::new(Node { value: 3, parent: RefCell::new(Weak::new()), children: RefCell::new(Vec::new()) });
    let children = RefCell::new(Vec::from([leaf.clone()]));
    let branch = Rc::new(Node { value: 5, parent: RefCell::new(Weak::new()), children });
    *leaf.parent.borrow_mut() = Rc::downgrade(&branch);
    let text: Rc<str> = Rc::from("shared");
    let slice: Arc<[i32]> = Arc::from([5, 6]);
    let boxed: Box<str> = Box::from("boxed");
    let result = leaf.children.borrow().len() + text.len() + slice.len() + boxed.len();
    result
}

fn collections() -> usize {
    let mut tree: BTreeMap<u32, u64> = BTreeMap::new();
    let mut set: BTreeSet<i16> = BTreeSet::new();
    let mut heap: BinaryHeap<u8> = BinaryHeap::new();
    let mut list: LinkedList<&str> = LinkedList::new();
    let mut queue: VecDeque<u16> = VecDeque::new();
    for number in 0..20 {
        tree.insert(number, u64::from(number) * 100);
    }
    for number in [3, -1, 2] {
        set.insert(number);
        heap.push((number + 2) as u8);
    }
    list.push_back("a");
    list.push_back("b");
    queue.push_back(1);
    queue.push_back(2);
    queue.push_front(7);
    let grid = Grid { items: [[Some(4), None], [None, Some(-6)]] };
    let fine: Result<(), i16> = Ok(());
    let number = NonZeroI16::new(-4).unwrap();
    let cell = Cell::new(9u16);
    let size = tree.len() + set.len() + heap.len() + list.len() + queue.len();
    size + grid.items.len() + cell.get() as usize + number.get().unsigned_abs() as usize + fine.is_ok() as usize
}

#[no_mangle]
extern "C" fn _start() {
    let square = Square { side: 2 };
    let area = trait_objects(&square, Box::new(Square { side: 3 }), Rc::new(Square { side: 4 }));
    let cell = RefCell::new(Vec::from([1, 2, 3]));
    let mut total = borrowed(&cell) + area as usize;
    total += by_reference((-1, "pair", 1 << 40));
    total += counted();
    total += collections();
    assert!(total > 0);
}
