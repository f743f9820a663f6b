//! Arithmetic that is checked: each operation begins a block, which natively loads what the one before computed. Without the standard
//! library, whose debug information is a hundred times as large.

#![no_std]
#![no_main]

extern "C" {
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    unsafe { abort() }
}

struct Grid {
    width: i32,
    height: i32,
    cells: [u8; 6],
}

impl Grid {
    fn neighbours(&self, x: i32, y: i32) -> u32 {
        let steps = [(0i32, 1i32), (1, 0), (0, -1), (-1, 0)];
        let mut count = 0;
        for (dx, dy) in steps {
            let column = x + dx;
            let row = y + dy;
            if column < 0 || row < 0 || column >= self.width || row >= self.height {
                continue;
            }
            let at = row * self.width + column;
            if self.cells[at as usize] == b'#' {
                count += 1;
            }
        }
        count
    }
}

fn mean(values: &[i32], weights: &[i32]) -> i32 {
    let mut sum = 0;
    let mut total = 0;
    for index in 0..values.len() {
        let product = values[index] * weights[index];
        sum += product;
        total += weights[index];
    }
    let rounded = sum + total / 2;
    rounded / total
}

#[no_mangle]
extern "C" fn main() -> i32 {
    let grid = Grid { width: 3, height: 2, cells: *b"#.##.#" };
    let mut found = 0;
    for y in 0..grid.height {
        for x in 0..grid.width {
            let near = grid.neighbours(x, y);
            found += near;
        }
    }
    let average = mean(&[3, 5, 10], &[1, 2, 1]);
    (found as i32) - average
}
