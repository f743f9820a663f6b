//! The counting of references to host values in compiled code.
//!
//! Frames borrow what the store's activations table lists, so locals, operands and calls count nothing. A reference that
//! is read from a table or global is listed first, and what is written there is counted exactly. Both are inline where
//! the store owns the value's count ([`externref`](vmoffsets::externref)); a call is needed when the table's chunk is
//! full, when the store's last reference is given up, or when another store owns the count.
//!
//! ```text
//! read r:   if r == null or r.listed == store: done
//!           if r.owner == store and next != end: r.owned += 1; r.listed = store; *next++ = r
//!           else: activations_insert(r)
//! write r:  if r != null: if r.owner == store: r.owned += 1, else: externref_acquire(r)
//!           old = [slot]; [slot] = r
//!           if old != null: if old.owner == store and old.owned != 1: old.owned -= 1, else: externref_release(old)
//! ```
//! `store` is the address of its `VMExternRefActivations`.

use super::func_env::FuncEnv;
use crate::environ::builtins::Builtin;
use crate::environ::vmoffsets::{self, activations, externref};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, MemFlags, types};
use cranelift_frontend::FunctionBuilder;

/// Where a reference is stored.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) address: ir::Value,
    pub(super) offset: i32,
    pub(super) flags: MemFlags,
    /// Whether null may be there.
    pub(super) nullable: bool,
}

/// A new block behind the current one.
fn block(builder: &mut FunctionBuilder<'_>, cold: bool) -> ir::Block {
    let block = builder.create_block();
    if cold {
        builder.set_cold_block(block);
    }
    block
}

/// Goes on in `block`, all of whose predecessors are known.
fn switch(builder: &mut FunctionBuilder<'_>, block: ir::Block) {
    builder.seal_block(block);
    builder.switch_to_block(block);
}

fn load(builder: &mut FunctionBuilder<'_>, header: ir::Value, field: u32) -> ir::Value {
    builder.ins().load(types::I64, MemFlags::trusted(), header, field as i32)
}

fn store(builder: &mut FunctionBuilder<'_>, value: ir::Value, header: ir::Value, field: u32) {
    builder.ins().store(MemFlags::trusted(), value, header, field as i32);
}

/// Is this the constant null?
fn is_null(builder: &FunctionBuilder<'_>, value: ir::Value) -> bool {
    let dfg = &builder.func.dfg;
    let inst = dfg.value_def(dfg.resolve_aliases(value)).inst();
    inst.is_some_and(|inst| {
        matches!(dfg.insts[inst], ir::InstructionData::UnaryImm { opcode: ir::Opcode::Iconst, imm } if imm.bits() == 0)
    })
}

impl FuncEnv<'_> {
    /// The address of the store's `VMExternRefActivations`.
    fn activations(&mut self, builder: &mut FunctionBuilder<'_>) -> ir::Value {
        let pointer = self.load_from_context(builder.func, vmoffsets::VMCTX_ACTIVATIONS, true);
        builder.ins().global_value(types::I64, pointer)
    }

    /// Reads a reference that the frame then may keep.
    pub(super) fn read_reference(&mut self, builder: &mut FunctionBuilder<'_>, slot: Slot) -> ir::Value {
        let reference = builder.ins().load(types::I64, slot.flags, slot.address, slot.offset);
        self.declare_root(reference);
        let owner = self.activations(builder);
        let (unlisted, push, call, done) =
            (block(builder, true), block(builder, true), block(builder, true), block(builder, false));
        if slot.nullable {
            let present = block(builder, false);
            builder.ins().brif(reference, present, &[], done, &[]);
            switch(builder, present);
        }
        let listed = load(builder, reference, externref::LISTED);
        let is_listed = builder.ins().icmp(IntCC::Equal, listed, owner);
        builder.ins().brif(is_listed, done, &[], unlisted, &[]);

        switch(builder, unlisted);
        let found = load(builder, reference, externref::OWNER);
        let next = load(builder, owner, activations::NEXT);
        let end = load(builder, owner, activations::END);
        let owns = builder.ins().icmp(IntCC::Equal, found, owner);
        let room = builder.ins().icmp(IntCC::UnsignedLessThan, next, end);
        let inline = builder.ins().band(owns, room);
        builder.ins().brif(inline, push, &[], call, &[]);

        switch(builder, push);
        let owned = load(builder, reference, externref::OWNED);
        let owned = builder.ins().iadd_imm(owned, 1);
        store(builder, owned, reference, externref::OWNED);
        store(builder, owner, reference, externref::LISTED);
        store(builder, reference, next, 0);
        let next = builder.ins().iadd_imm(next, 8);
        store(builder, next, owner, activations::NEXT);
        builder.ins().jump(done, &[]);

        switch(builder, call);
        self.builtin(&mut builder.cursor(), Builtin::activations_insert, &[reference]);
        builder.ins().jump(done, &[]);
        switch(builder, done);
        reference
    }

    /// Writes a reference over another.
    pub(super) fn write_reference(&mut self, builder: &mut FunctionBuilder<'_>, slot: Slot, reference: ir::Value) {
        let owner = self.activations(builder);
        if !is_null(builder, reference) {
            self.acquire(builder, owner, reference, slot.nullable);
        }
        let old = builder.ins().load(types::I64, slot.flags, slot.address, slot.offset);
        builder.ins().store(slot.flags, reference, slot.address, slot.offset);
        self.release(builder, owner, old, slot.nullable);
    }

    fn acquire(&mut self, builder: &mut FunctionBuilder<'_>, owner: ir::Value, reference: ir::Value, nullable: bool) {
        let (count, call, done) = (block(builder, false), block(builder, true), block(builder, false));
        if nullable {
            let present = block(builder, false);
            builder.ins().brif(reference, present, &[], done, &[]);
            switch(builder, present);
        }
        let found = load(builder, reference, externref::OWNER);
        let owns = builder.ins().icmp(IntCC::Equal, found, owner);
        builder.ins().brif(owns, count, &[], call, &[]);

        switch(builder, count);
        let owned = load(builder, reference, externref::OWNED);
        let owned = builder.ins().iadd_imm(owned, 1);
        store(builder, owned, reference, externref::OWNED);
        builder.ins().jump(done, &[]);

        switch(builder, call);
        self.builtin(&mut builder.cursor(), Builtin::externref_acquire, &[reference]);
        builder.ins().jump(done, &[]);
        switch(builder, done);
    }

    fn release(&mut self, builder: &mut FunctionBuilder<'_>, owner: ir::Value, old: ir::Value, nullable: bool) {
        let (own, count, call, done) =
            (block(builder, false), block(builder, false), block(builder, true), block(builder, false));
        if nullable {
            let present = block(builder, false);
            builder.ins().brif(old, present, &[], done, &[]);
            switch(builder, present);
        }
        let found = load(builder, old, externref::OWNER);
        let owns = builder.ins().icmp(IntCC::Equal, found, owner);
        builder.ins().brif(owns, own, &[], call, &[]);

        switch(builder, own);
        let owned = load(builder, old, externref::OWNED);
        let last = builder.ins().icmp_imm(IntCC::Equal, owned, 1);
        builder.ins().brif(last, call, &[], count, &[]);

        switch(builder, count);
        let owned = builder.ins().iadd_imm(owned, -1);
        store(builder, owned, old, externref::OWNED);
        builder.ins().jump(done, &[]);

        switch(builder, call);
        self.builtin(&mut builder.cursor(), Builtin::externref_release, &[old]);
        builder.ins().jump(done, &[]);
        switch(builder, done);
    }

    /// In code that collects at every safepoint: collects here.
    pub(super) fn collect_if_always(&mut self, builder: &mut FunctionBuilder<'_>) {
        if self.tunables().collect_always {
            self.builtin(&mut builder.cursor(), Builtin::collect, &[]);
        }
    }
}
