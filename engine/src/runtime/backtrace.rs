//! Walks the guest's stack.

/// One frame as found on the stack.
#[derive(Clone, Copy, Debug)]
pub struct RawFrame {
    /// The trapping instruction, or the return address.
    pub pc: usize,
}
